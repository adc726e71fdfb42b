"""Progress bars that appear on the terminal or below a running cell, but not in reports or saved notebooks.

The environment variable ``SER_PROGRESS`` sets where: ``off`` for nowhere, or a path (the runner sets that of the terminal). If
it is unset, as in JupyterLab, bars appear below the running cell.
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
        if file is None:
            yield
            return
        with tqdm(bar_format="{desc} [{elapsed}]", desc=text, file=file, leave=False):
            yield


def announce(text: str) -> None:
    """Print a line that stays."""
    with _progress_file() as file:
        if file is not None:
            tqdm.write(text, file=file)


@contextlib.contextmanager
def _progress_file() -> Iterator[IO | None]:
    """Yield the file to show progress on, or None."""
    name = os.environ.get("SER_PROGRESS", "")
    if name == "off":
        yield None
    elif name:
        with open(name, "w", encoding="utf-8") as terminal:
            yield terminal
    else:
        yield sys.stderr
