"""Progress of kernels on standard output where that is no terminal, such as in CI."""

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from ser_utils.study.notebooks import environment

POLL_S = 1.0
"""Seconds between two looks at what the kernels have written."""


@contextlib.contextmanager
def progress_lines(name: str) -> Iterator[None]:
    """Print the lines that kernels which start in the block write on their progress, each after the notebook's `name`.

    The block runs while the line ``name ...`` is open; if any line is printed, it is opened again at the end. Nothing is
    printed where standard output is a terminal, which shows bars, or where the user has set ``SER_PROGRESS``.
    """
    if sys.stdout.isatty() or "SER_PROGRESS" in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        path, ended = Path(folder) / "lines", threading.Event()
        path.touch()
        follower = threading.Thread(target=_follow, args=(path, name, ended), daemon=True)
        follower.start()
        try:
            with environment(SER_PROGRESS=f"lines:{path}"):
                yield
        finally:
            ended.set()
            follower.join()


def _follow(path: Path, name: str, ended: threading.Event) -> None:
    """Print what is added to a file until `ended` is set."""
    n_lines, is_last = 0, False
    with path.open(encoding="utf-8") as file:
        while not is_last:
            is_last = ended.wait(POLL_S)  # lines that were written before it was set are read below
            for line in file:
                print("" if n_lines else "\n", f"{name}: {line}", sep="", end="", flush=True)
                n_lines += 1
    if n_lines:
        print(f"{name} ...", end=" ", flush=True)
