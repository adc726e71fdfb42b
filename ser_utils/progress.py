"""Progress bars that the person waiting sees, and that stay out of reports and of compared notebooks.

``SER_PROGRESS`` says where they go: ``off`` for nowhere, a path (the study's runner names the terminal), or unset, as in
JupyterLab, for below the running cell.
"""

import os
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], *, total: int, desc: str, unit: str) -> Iterator[T]:
    """Pass `items` on, showing how many of `total` are done, the rate and the time left."""
    where = os.environ.get("SER_PROGRESS", "")
    if where == "off":
        yield from items
    elif where:
        with open(where, "w", encoding="utf-8") as terminal:
            yield from tqdm(items, total=total, desc=desc, unit=unit, file=terminal, leave=False)
    else:
        yield from tqdm(items, total=total, desc=desc, unit=unit, leave=False)
