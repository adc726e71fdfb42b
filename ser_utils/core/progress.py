"""Progress bars that the person waiting sees, and that stay out of reports and of compared notebooks.

``SER_PROGRESS`` says where they go: ``off`` for nowhere, a path (the study's runner names the terminal), or unset, as in
JupyterLab, for below the running cell.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import IO, TypeVar

from tqdm import tqdm

T = TypeVar("T")


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
    """Pass `items` on, showing how many of `total` are done, the rate and the time left.

    Parameters
    ----------
    items : iterable
    total : int
        How many units there are in all.
    desc, unit : str
        What is done, and what is counted.
    done : int
        Units that were there before the first item, such as those of an earlier run.
    size : callable
        How many units an item is.
    first : str
        What takes its time before the first item, such as compiling.
    """
    with _where() as file:
        if file is None:
            yield from items
            return
        with tqdm(total=total, initial=done, desc=desc, unit=unit, file=file, leave=False, dynamic_ncols=True) as bar:
            bar.set_postfix_str(first if done < total else "")
            for item in items:
                bar.set_postfix_str("", refresh=False)
                bar.update(size(item))
                yield item


@contextlib.contextmanager
def waiting(text: str) -> Iterator[None]:
    """Show a line while the block runs: for work that cannot be counted."""
    with _where() as file:
        if file is None:
            yield
            return
        with tqdm(bar_format="{desc} [{elapsed}]", desc=text, file=file, leave=False):
            yield


def announce(text: str) -> None:
    """Show a line that stays."""
    with _where() as file:
        if file is not None:
            tqdm.write(text, file=file)


@contextlib.contextmanager
def _where() -> Iterator[IO | None]:
    """The file to show progress on, or None."""
    name = os.environ.get("SER_PROGRESS", "")
    if name == "off":
        yield None
    elif name:
        with open(name, "w", encoding="utf-8") as terminal:
            yield terminal
    else:
        yield sys.stderr
