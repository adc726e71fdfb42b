"""Every folder of the study, found from this file and never from the current directory.

The environment variables ``SER_DATA``, ``SER_OUT``, ``SER_REPORTS`` and ``SER_CACHE`` move them elsewhere (the tests do).
"""

import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from ser_utils.core.errors import StudyError

PACKAGE = Path(__file__).resolve().parent.parent
ROOT = PACKAGE.parent
NOTEBOOKS = ROOT / "notebooks"
DATA = Path(os.environ.get("SER_DATA", ROOT / "data")).absolute()
OUT = Path(os.environ.get("SER_OUT", ROOT / "out")).absolute()
REPORTS = Path(os.environ.get("SER_REPORTS", ROOT / "reports")).absolute()
CACHE = Path(os.environ.get("SER_CACHE", ROOT / ".cache" / "results")).absolute()


def run_name(corpus: str, variant: str = "") -> str:
    """The name of a run's folders: the corpus, with the name of a variant of the study behind it where there is one.

    Raises
    ------
    StudyError
        The variant's name has anything but letters, digits and underscores.
    """
    if not re.fullmatch(r"[A-Za-z0-9_]*", variant):
        raise StudyError(f"VARIANT is {variant!r}: expected letters, digits and underscores only, such as thesis.")
    return f"{corpus}-{variant}" if variant else corpus


def shown(path: Path) -> str:
    """A path as a user would type it from the study's folder."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


def out_dir(run: str) -> Path:
    """``out/<run>/``, made where it is not there."""
    (OUT / run).mkdir(parents=True, exist_ok=True)
    return OUT / run


def reports_dir(run: str) -> Path:
    """``reports/<run>/``, made where it is not there."""
    (REPORTS / run).mkdir(parents=True, exist_ok=True)
    return REPORTS / run


@contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; it is renamed to `path` only when the block ends without an error.

    So a reader never sees half a file, and a failed write leaves what was there before.
    """
    aside = path.with_name(f".{path.stem}.{threading.get_native_id()}{path.suffix}")  # threads, too, may write one at once
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what `write_aside` began and a killed process left."""
    for path in folder.glob(".*"):
        pid = re.fullmatch(r"\..+?\.(\d+)(\.\w+)?", path.name)
        if pid and path.is_file() and not Path("/proc", pid[1]).exists():
            path.unlink(missing_ok=True)


def file_hash(path: Path) -> str | None:
    """SHA-256 of a file, in hexadecimal digits; None where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def write_json(path: Path, values: object) -> None:
    """Write JSON values to a file, aside and renamed."""
    with write_aside(path) as aside:
        aside.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def file_hashes(root: Path, files: list[str]) -> list[str]:
    """SHA-256 of recordings; `StudyError` where one is not there."""
    found = []
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(files), 256):  # each that waits takes more memory than its clip's row of features
            found += pool.map(file_hash, (root / file for file in files[start : start + 256]))
    if None in found:
        raise StudyError(f"{files[found.index(None)]} is not there any more: run 01_explore again.")
    return found
