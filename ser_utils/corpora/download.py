"""Download of the corpora whose entry has a `Download`.

The zip archive is unpacked into a temporary folder, which replaces the corpus' folder only after all checksums match. An
interrupted download is discarded: archives that GitHub generates have neither a length nor a way to resume.
"""

import itertools
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pooch
import requests
from tqdm import tqdm

from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.corpora.archive import ArchiveError, differing, read_checksums, unpack
from ser_utils.corpora.corpus import Corpus
from ser_utils.corpora.registry import CORPORA, find_corpus

try:
    import fcntl
except ImportError:  # Windows has no folder locks: nothing prevents two downloads at the same time there
    fcntl = None

TIMEOUT_S = 10.0
"""A download stops when fewer than `CHUNK_BYTES` arrive in this time."""
CHUNK_BYTES = 64 * 1024


class _ServerError(Exception):
    """A problem of the server or of the connection, as part of a sentence."""


def fetch(name: str) -> Path:
    """Download a corpus in `CORPORA` into the data folder, and return its folder.

    If all its files are there, nothing is downloaded. An incomplete folder stays as it is until all checksums of the new one
    match, and is then kept as ``EMOVO.before-1``. The environment variable ``SER_EMOVO_URL`` sets a mirror, which is verified
    by the same checksums.

    Raises
    ------
    StudyError
        The corpus has no download, the server or the archive fails, or the data folder is not writable.
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
    except (_ServerError, ArchiveError) as error:
        raise StudyError(
            f"{corpus.folder} could not be downloaded from {url}: {error}; try again later, or {corpus.by_hand} "
            "(the previous files are unchanged)."
        ) from error
    except OSError as error:
        raise StudyError(
            f"{corpus.folder} could not be written to {folder} ({error.strerror or error}): free some space (about "
            f"{3 * corpus.download.archive_bytes / 1e6:.0f} MB) and check that you may write there, or set another data folder "
            "with the environment variable SER_DATA (the previous files are unchanged)."
        ) from error
    return folder


def _fetch(corpus: Corpus, url: str, folder: Path) -> None:
    """Download, verify and move into place, unless the folder is complete."""
    download = corpus.download
    checksum_file = download.file_checksums or folder / f".{download.md5}.sha256"
    checksums = read_checksums(checksum_file) if checksum_file.exists() else {}
    if checksums and not differing(folder, checksums):
        print(f"{corpus.folder} is already in {folder}: {len(checksums)} files, all checksums match.")
        return
    print(f"Downloading {corpus.folder} from {url} (about {download.archive_bytes / 1e6:.0f} MB).")
    with _temporary_folder(folder) as temporary:
        archive, new = temporary / "archive.zip", temporary / corpus.folder
        _transfer(url, archive, corpus)
        print("Unpacking and verifying the archive.")
        checksums = unpack(archive, new, download, checksums)
        if download.md5:  # the next fetch compares the files with this list
            lines = "".join(f"{digest}  {name}\n" for name, digest in checksums.items())
            (new / checksum_file.name).write_text(lines, encoding="utf-8")
        previous = _move_into_place(new, folder)
    note = f"; the previous folder is now {previous}" if previous else ""
    print(f"{corpus.folder} is in {folder}: {len(checksums)} files, all checksums match{note}.")


@contextmanager
def _temporary_folder(folder: Path) -> Iterator[Path]:
    """Yield a new hidden folder beside `folder`, on the same file system, and remove it at the end.

    Folders that killed downloads left are removed first, if the lock excludes that another download uses them.
    """
    prefix = f".{folder.name}.partial-"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _lock(folder.parent) as is_locked:
        for leftover in folder.parent.glob(f"{prefix}*") if is_locked else ():
            shutil.rmtree(leftover)
        with tempfile.TemporaryDirectory(prefix=prefix, dir=folder.parent, ignore_cleanup_errors=True) as temporary:
            yield Path(temporary)


@contextmanager
def _lock(data: Path) -> Iterator[bool]:
    """Lock `data` against another download; yield False where the system has no such lock (Windows, some NFS)."""
    if fcntl is None:
        yield False
        return
    handle = os.open(data, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_locked = True
        except BlockingIOError:
            raise StudyError(f"Another download into {data} is running: wait until it ends.") from None
        except OSError:
            is_locked = False
        yield is_locked
    finally:
        os.close(handle)


def _transfer(url: str, path: Path, corpus: Corpus) -> None:
    """Download `url` to `path`; raise `_ServerError` for a problem of the server, OSError for one of the disk."""
    bar = tqdm(desc=corpus.folder, total=corpus.download.archive_bytes, unit="B", unit_scale=True)
    with path.open("wb") as file, bar:  # closing the file also ends the thread of a stopped download
        try:
            _watch(_start_transfer(url, file), path, bar, corpus.download.max_bytes)
        except (OSError, ValueError) as error:
            if getattr(error, "errno", None) is not None and not isinstance(error, requests.RequestException):
                raise  # from writing the file
            raise _ServerError(_reason(error, path.stat().st_size)) from error
        bar.total = path.stat().st_size


def _start_transfer(url: str, file: BinaryIO) -> Future:
    """Start a download in a thread that can be left behind.

    The timeouts of requests limit neither the name resolution, nor the attempts at all addresses of a server, nor a server
    that sends single bytes.
    """
    download = pooch.HTTPDownloader(chunk_size=CHUNK_BYTES, timeout=TIMEOUT_S + 1)
    outcome: Future = Future()

    def run() -> None:
        try:
            outcome.set_result(download(url, file, None))
        except BaseException as error:  # noqa: BLE001 - raised again where the outcome is awaited
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return outcome


def _watch(outcome: Future, path: Path, bar: tqdm, max_bytes: int) -> None:
    """Wait for a download to `path`; raise if it fails, is too large, or stalls."""
    n_bytes, n_bytes_in_time, in_time_s = 0, 0, time.monotonic()
    is_done = False
    while not is_done:
        is_done = bool(wait([outcome], timeout=min(0.1, TIMEOUT_S)).done)
        n_before, n_bytes = n_bytes, path.stat().st_size
        bar.update(n_bytes - n_before)
        if n_bytes > max_bytes:
            raise ArchiveError(f"the archive has more than {max_bytes / 1e6:.0f} MB, which cannot be the corpus")
        if n_bytes - n_bytes_in_time >= CHUNK_BYTES:
            n_bytes_in_time, in_time_s = n_bytes, time.monotonic()
        if not is_done and time.monotonic() - in_time_s > TIMEOUT_S:
            raise TimeoutError
    outcome.result()


def _reason(error: Exception, n_bytes: int) -> str:
    """Return why a download failed after `n_bytes`, as part of a sentence."""
    if isinstance(error, TimeoutError | requests.Timeout):
        return f"the server sent nothing or almost nothing for {TIMEOUT_S:g} seconds"
    if isinstance(error, requests.HTTPError):
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy in the environment variables refused the connection"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate could not be verified"
    if n_bytes or isinstance(error, requests.exceptions.ChunkedEncodingError):
        return f"the connection broke after {n_bytes / 1e6:.1f} MB"
    if isinstance(error, requests.ConnectionError):
        return "no connection to the server (are you offline?)"
    if isinstance(error, ValueError):
        return "this is not the address of a web server"
    return " ".join(str(error).split()).rstrip(".")


def _move_into_place(new: Path, folder: Path) -> Path | None:
    """Rename `new` to `folder`; return the path ``folder.before-<n>`` of the previous folder, if there was one."""
    if not os.path.lexists(folder):
        new.rename(folder)
        return None
    names = (folder.with_name(f"{folder.name}.before-{n}") for n in itertools.count(1))
    previous = next(name for name in names if not os.path.lexists(name))
    try:
        folder.rename(previous)
        new.rename(folder)
    except BaseException:
        if not os.path.lexists(folder):
            previous.rename(folder)
        raise
    return previous
