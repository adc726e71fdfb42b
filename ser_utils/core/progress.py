"""Progress of long work, on the terminal, below a running cell or in a log, but not in reports or saved notebooks.

The environment variable ``SER_PROGRESS`` sets where: ``off`` for nowhere; the path of a terminal for bars; or ``lines:`` and
the path of a file, to which a line a minute is appended. The runner sets one of the latter two. If it is unset, as in
JupyterLab, bars appear below the running cell.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import IO, TypeVar

from tqdm import tqdm

T = TypeVar("T")
INTERVAL_S = 60.0
"""Least time from the start of the work to its first line, and between two lines of a process."""
_last_line = -float("inf")


class _Lines:
    """As much of tqdm's bar as `progress` needs: a line a minute in a file, and none for work that takes less."""

    def __init__(self, file: IO, total: int, desc: str, unit: str, done: int):
        self.file, self.total, self.desc, self.unit = file, total, desc, unit
        self.done = self.before = done
        self.start = time.monotonic()

    def update(self, n: int) -> None:
        global _last_line
        self.done += n
        now = time.monotonic()
        if now - max(self.start, _last_line) < INTERVAL_S:
            return
        _last_line = now
        left = (now - self.start) / max(1, self.done - self.before) * (self.total - self.done)
        minutes = f"{round(left / 60)} min" if left >= 60 else "under 1 min"
        print(f"{self.desc}, {self.done} of {self.total} {self.unit}s, {minutes} left", file=self.file, flush=True)


def progress(
    items: Iterable[T],
    *,
    total: int,
    desc: str,
    unit: str,
    done: int = 0,
    size: Callable[[T], int] = lambda item: 1,
    first: str = "",
) -> Iterator[T]:
    """Yield the items, and show how many of `total` are done, the rate and the time left.

    Parameters
    ----------
    items : iterable
    total : int
        Number of units in all.
    desc, unit : str
        Name of the work, and of the units.
    done : int
        Units that are done before the first item, such as those from an earlier run.
    size : callable
        Number of units of an item.
    first : str
        Text until the first item is done, such as "compiling".
    """
    with _progress_file() as file:
        if file is None:
            yield from items
            return
        if _in_lines():
            lines = _Lines(file, total, desc, unit, done)
            for item in items:
                lines.update(size(item))
                yield item
            return
        with tqdm(total=total, initial=done, desc=desc, unit=unit, file=file, leave=False, dynamic_ncols=True) as bar:
            bar.set_postfix_str(first if done < total else "")
            for item in items:
                bar.set_postfix_str("", refresh=False)
                bar.update(size(item))
                yield item


@contextlib.contextmanager
def waiting(text: str) -> Iterator[None]:
    """Show a line while the block runs, for work that cannot be counted."""
    with _progress_file() as file:
        if file is None or _in_lines():
            yield
            return
        with tqdm(bar_format="{desc} [{elapsed}]", desc=text, file=file, leave=False):
            yield


def announce(text: str) -> None:
    """Print a line that stays."""
    with _progress_file() as file:
        if file is not None:
            tqdm.write(text, file=file)


def _in_lines() -> bool:
    return os.environ.get("SER_PROGRESS", "").startswith("lines:")


@contextlib.contextmanager
def _progress_file() -> Iterator[IO | None]:
    """Yield the file to show progress on, or None."""
    name = os.environ.get("SER_PROGRESS", "")
    if name == "off":
        yield None
    elif name:
        with open(name.removeprefix("lines:"), "a" if _in_lines() else "w", encoding="utf-8") as file:
            yield file
    else:
        yield sys.stderr
