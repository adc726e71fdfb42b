"""Folders of the study, independent of the current directory, and safe writing of files.

The environment variables ``SER_DATA``, ``SER_OUT``, ``SER_REPORTS`` and ``SER_CACHE`` set other folders, as the tests do.
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
    """Return the name of a run's folders: the corpus, and the variant of the study if there is one.

    Raises
    ------
    StudyError
        The name of the variant has other characters than letters, digits and underscores.
    """
    if not re.fullmatch(r"[A-Za-z0-9_]*", variant):
        raise StudyError(f"VARIANT is {variant!r}: expected letters, digits and underscores only, such as thesis.")
    return f"{corpus}-{variant}" if variant else corpus


def shown(path: Path) -> str:
    """Return a path relative to the folder of the study, if it is below it."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


def out_dir(run: str) -> Path:
    """Return ``out/<run>/``, and create it if it is missing."""
    (OUT / run).mkdir(parents=True, exist_ok=True)
    return OUT / run


def reports_dir(run: str) -> Path:
    """Return ``reports/<run>/``, and create it if it is missing."""
    (REPORTS / run).mkdir(parents=True, exist_ok=True)
    return REPORTS / run


@contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """Yield a temporary path that is renamed to `path` when the block ends without an error.

    A reader never sees an incomplete file, and a failed write keeps the previous file.
    """
    writer = f"{os.getpid()}-{threading.get_native_id()}"  # two threads may write the same file
    aside = path.with_name(f".{path.stem}.{writer}{path.suffix}")
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove temporary files of `write_aside` that killed processes have left."""
    for path in folder.glob(".*"):
        writer = re.fullmatch(r"\..+\.(\d+)-\d+(\.\w+)?", path.name)
        if writer and not _is_running(int(writer[1])):
            path.unlink(missing_ok=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # sends no signal
    except OSError as error:
        return isinstance(error, PermissionError)  # a process of another user
    return True


def file_hash(path: Path) -> str | None:
    """Return the SHA-256 of a file in hexadecimal digits; None if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def write_json(path: Path, values: object) -> None:
    """Write JSON values to a file by `write_aside`."""
    with write_aside(path) as aside:
        aside.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def file_hashes(root: Path, files: list[str]) -> list[str]:
    """Return the SHA-256 of recordings; `StudyError` if one cannot be read."""
    hashes = []
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(files), 256):  # a waiting task takes more memory than a row of features
            hashes += pool.map(file_hash, (root / file for file in files[start : start + 256]))
    if None in hashes:
        raise StudyError(f"{files[hashes.index(None)]} is not there any more: run 01_explore again.")
    return hashes
