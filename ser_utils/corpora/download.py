"""Download of the corpora whose entry has a `Download`.

The zip archive is unpacked into a hidden folder beside the corpus' folder, which is replaced only after all checksums match.
"""

import fcntl
import itertools
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pooch

from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.corpora.corpus import Corpus
from ser_utils.corpora.files import visible_files
from ser_utils.corpora.registry import CORPORA, find_corpus

TIMEOUT_S = 10.0
"""A download stops when the server cannot be reached, or sends nothing, for this time."""
UNPACKED_RATIO = 10
"""Largest accepted ratio of the size of an archive's files to its own size."""

ARCHIVE_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError)
"""Errors of pooch and zipfile for an archive with another checksum, and for a damaged, encrypted or unsafe one."""


def fetch(name: str) -> Path:
    """Download a corpus in `CORPORA` into the data folder, and return its folder.

    If all its files are there, nothing is downloaded. An incomplete folder stays as it is until all checksums of the new one
    match, and is then kept as ``EMOVO.before-1``. The environment variable ``SER_EMOVO_URL`` sets a mirror, which is verified
    by the same checksums.

    Raises
    ------
    StudyError
        The corpus has no download, the server or the archive fails, the data folder is not writable, or another process
        downloads the same corpus.
    """
    corpus = find_corpus(name)
    if corpus is None or corpus.download is None:
        names = [known.name for known in CORPORA.values() if known.download]
        advice = corpus.instructions if corpus else f"choose one of {', '.join(names)}."
        raise StudyError(f"There is no download for the corpus '{corpus.name if corpus else name}': {advice}")
    url = os.environ.get(f"SER_{corpus.name.upper()}_URL") or corpus.download.url
    folder = paths.DATA / corpus.folder
    try:
        _fetch(corpus, url, folder)
    except (OSError, *ARCHIVE_ERRORS) as error:
        if getattr(error, "errno", None) is None:  # not from the file system
            raise StudyError(
                f"{corpus.folder} could not be downloaded from {url}: {_reason(error)}; try again later, or {corpus.by_hand} "
                "(the previous files are unchanged)."
            ) from error
        raise StudyError(
            f"{corpus.folder} could not be written to {folder} ({error.strerror}): free some space (about "
            f"{3 * corpus.download.archive_bytes / 1e6:.0f} MB) and check that you may write there, or set another data folder "
            "with the environment variable SER_DATA (the previous files are unchanged)."
        ) from error
    return folder


def _reason(error: Exception) -> str:
    """Return why a download failed, as part of a sentence; those of the server are the exceptions of requests, OSErrors."""
    if getattr(error, "response", None) is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, OSError):
        return f"no connection to the server, or it broke off (are you offline?): {type(error).__name__}"
    return f"the received archive cannot be used: {str(error).split('. ')[0]}"


def _fetch(corpus: Corpus, url: str, folder: Path) -> None:
    """Download, verify and move into place, unless the folder is complete."""
    download = corpus.download
    checksum_file = download.file_checksums or folder / f".{download.md5}.sha256"
    checksums = read_checksums(checksum_file) if checksum_file.exists() else {}
    if checksums and not differing(folder, checksums):
        print(f"{corpus.folder} is already in {folder}: {len(checksums)} files, all checksums match.")
        return
    print(f"Downloading {corpus.folder} from {url} (about {download.archive_bytes / 1e6:.0f} MB).")
    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(progressbar=True, chunk_size=1 << 16, timeout=TIMEOUT_S)
    known_hash = f"md5:{download.md5}" if download.md5 else None
    with _work_folder(folder) as work:
        archive = pooch.retrieve(url, known_hash, "archive.zip", work, downloader=downloader)
        _unpack(Path(archive), work / "unpacked", max_bytes=UNPACKED_RATIO * download.archive_bytes)
        root, checksums = _verified_files(work / "unpacked", {} if download.md5 else checksums)
        new = work / "new"
        for name in checksums:
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).rename(new / name)
        if download.md5:  # the next fetch compares the files with this list
            lines = "".join(f"{digest}  {name}\n" for name, digest in checksums.items())
            (new / checksum_file.name).write_text(lines, encoding="utf-8")
        previous = _move_into_place(new, folder)
    note = f"; the previous folder is now {previous}" if previous else ""
    print(f"{corpus.folder} is in {folder}: {len(checksums)} files, all checksums match{note}.")


def read_checksums(path: Path) -> dict[str, str]:
    """Return the SHA-256 (hexadecimal) of each file by its path in the folder, from the output of ``sha256sum``."""
    return dict(line.split("  ", 1)[::-1] for line in path.read_text(encoding="utf-8").splitlines())


def differing(folder: Path, checksums: Mapping[str, str]) -> list[str]:
    """Return the names in `checksums` whose file in `folder` is missing or has another content, in their order."""
    return [name for name, digest in checksums.items() if paths.file_hash(folder / name) != digest]


@contextmanager
def _work_folder(folder: Path) -> Iterator[Path]:
    """Yield the path of a new hidden folder beside `folder`, on the same file system, and remove it at the end.

    It is locked against other downloads of the corpus; what a killed download left there is removed first.
    """
    hidden = folder.with_name(f".{folder.name}.partial")
    hidden.mkdir(parents=True, exist_ok=True)
    with (hidden / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StudyError(f"Another download into {folder} is running: wait until it ends.") from None
        try:
            shutil.rmtree(hidden / "work", ignore_errors=True)
            yield hidden / "work"
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


def _unpack(archive: Path, target: Path, *, max_bytes: int) -> None:
    """Unpack a zip archive into the new folder `target`; zipfile writes links and devices as plain files."""
    with zipfile.ZipFile(archive) as zip_file:
        for name in zip_file.namelist():
            if re.search(r"^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)", name):
                raise ValueError(f"the path of its member {name!r} leads outside the folder")
        if sum(member.file_size for member in zip_file.infolist()) > max_bytes:
            raise ValueError(f"its files have more than {max_bytes / 1e6:.0f} MB, which cannot be the corpus")
        zip_file.extractall(target)


def _verified_files(unpacked: Path, checksums: Mapping[str, str]) -> tuple[Path, Mapping[str, str]]:
    """Return the folder in an unpacked archive that has the corpus, and its files with their SHA-256.

    The files are those in `checksums`, wherever their folder is. If it is empty, the archive itself is verified, and they are
    all its files, below the top folder if there is only one.
    """
    if not checksums:
        tops = {name.split("/")[0] for name in visible_files(unpacked)}
        root = unpacked / tops.pop() if len(tops) == 1 else unpacked
        return root, {name: paths.file_hash(root / name) for name in sorted(visible_files(root))}
    first = next(iter(checksums))
    roots = [path.parents[first.count("/")] for path in sorted(unpacked.rglob(first))]
    root = min(roots, key=lambda root: len(differing(root, checksums)), default=unpacked)
    if wrong := differing(root, checksums):
        raise ValueError(f"{len(wrong)} of {len(checksums)} files are missing or differ from the published ones, as {wrong[0]}")
    return root, checksums


def _move_into_place(new: Path, folder: Path) -> Path | None:
    """Rename `new` to `folder`; return the path ``folder.before-<n>`` of the previous folder, if there was one."""
    if not os.path.lexists(folder):
        new.rename(folder)
        return None
    names = (folder.with_name(f"{folder.name}.before-{n}") for n in itertools.count(1))
    previous = next(name for name in names if not os.path.lexists(name))
    folder.rename(previous)
    try:
        new.rename(folder)
    except BaseException:
        previous.rename(folder)
        raise
    return previous
