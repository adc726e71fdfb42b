"""Download of the corpora whose audio is not part of this project, each one entry of `SOURCES`.

The download is a zip archive that is unpacked aside and moved into place only when it is as published: by the
checksum of the archive, or of each file in it where the archive has none. (GitHub makes it anew on request and
promises the files, not the zip's bytes, and for the same reason gives it neither a length nor a way to resume.)
A download that broke off is thrown away, and the next one starts afresh.
"""

import hashlib
import itertools
import os
import re
import shutil
import stat
import tempfile
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pooch
import requests
from tqdm import tqdm

from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.corpora.registry import CORPORA

try:
    import fcntl
except ImportError:  # Windows cannot lock a folder: there nothing keeps two downloads from running at once
    fcntl = None

TIMEOUT_S = 10.0
CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True)
class Source:
    """Where a corpus comes from.

    `folder` is its name below the data folder, `checksums` a file of lines "sha256, two spaces, path in the
    folder", or None where `md5` is that of the archive, `about_bytes` the size of the archive for the progress
    bar, `max_bytes` the most that the archive, or all its files together, may have, and `by_hand` what to do by
    hand instead, with `{folder}` for the place.
    """

    folder: str
    url: str
    checksums: Path | None
    about_bytes: int
    max_bytes: int
    by_hand: str
    md5: str = ""


EMOVO_COMMIT = "c13834136874dbf9404f077fd977890605ac90bd"
EMOVO_URL = f"https://github.com/fp1acm8/SER/archive/{EMOVO_COMMIT}.zip"

SOURCES = {
    "emovo": Source(
        folder="EMOVO",
        url=EMOVO_URL,
        checksums=Path(__file__).with_name("emovo.sha256"),
        about_bytes=250_000_000,
        max_bytes=1_000_000_000,
        by_hand=f"download by hand {EMOVO_URL} (its clips lie in SER-{EMOVO_COMMIT}/data/EMOVO), or "
        "emovo.zip from https://drive.google.com/file/d/1SUtaKeA-LYnKaD3qv87Y5wYgihJiNJAo, or "
        "https://www.kaggle.com/datasets/sourabhy/emovo-italian-ser-dataset, and put the six folders with "
        "the clips (f1, f2, f3, m1, m2, m3) into {folder}",
    ),
    "emodb": Source(
        folder="EmoDB",
        url="https://zenodo.org/records/7447302/files/emodb.zip",
        checksums=None,
        md5="9d21362dbc5676ef3ab4745d83ced0db",
        about_bytes=39_981_818,
        max_bytes=200_000_000,
        by_hand="download by hand emodb.zip from https://zenodo.org/records/7447302, or the 535 files from "
        "http://emodb.bilderbar.info, and put its folder wav into {folder}",
    ),
    "ravdess": Source(
        folder="RAVDESS",
        url="https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip",
        checksums=None,
        md5="bc696df654c87fed845eb13823edef8a",
        about_bytes=208_468_073,
        max_bytes=2_000_000_000,
        by_hand="download by hand Audio_Speech_Actors_01-24.zip from https://zenodo.org/records/1188976 and put its "
        "folders Actor_01 to Actor_24 into {folder}",
    ),
    "emozionalmente": Source(
        folder="Emozionalmente",
        url="https://zenodo.org/records/12616095/files/emozionalmente.zip",  # version 1.1 of record 6569824
        checksums=None,
        md5="398c6502dd2b0e1e810f927c12897547",
        about_bytes=558_900_000,
        max_bytes=3_000_000_000,
        by_hand="download by hand emozionalmente.zip from https://doi.org/10.5281/zenodo.6569824 and put its folders "
        "audio and metadata into {folder}",
    ),
}


def fetch(
    name: str,
    *,
    url: str | None = None,
    data: Path | None = None,
    progress: bool = True,
    timeout_s: float = TIMEOUT_S,
    say: Callable[[str], None] = print,
) -> Path:
    """Put the corpus `name` of `SOURCES` into the data folder, and return its folder.

    Nothing is downloaded when all its files are already there. A folder of that name that is not complete is
    left as it is until all checksums of the new one are right, and is then kept beside it as
    `EMOVO.before-1`: nothing is lost. `url` (else the environment variable ``SER_EMOVO_URL``) names a mirror,
    held to the same checksum. A server from which less than 64 KiB come in `timeout_s` seconds is given up.

    Raises StudyError: unknown name, a server or an archive that is no good, no room or no right to write.
    """
    name = next((known for known in [*CORPORA, *SOURCES] if _bare(known) == _bare(name)), name)
    if name not in SOURCES:
        where = f": {CORPORA[name].how_to_get}" if name in CORPORA else f": choose one of {', '.join(SOURCES)}."
        raise StudyError(f"There is no download for the corpus '{name}'{where}")
    source = SOURCES[name]
    url = url or os.environ.get(f"SER_{name.upper()}_URL") or source.url
    folder = Path(data or paths.DATA).absolute() / source.folder
    try:
        return _fetch(source, url, folder, progress, timeout_s, say)
    except _Fault as fault:
        raise StudyError(
            f"{source.folder} could not be fetched from {url}: {fault}; try again later, or "
            f"{source.by_hand.format(folder=folder)} (what was there before is untouched)."
        ) from fault
    except OSError as error:
        raise StudyError(
            f"{source.folder} could not be written to {folder} ({error.strerror or error}): make room (about "
            f"{3 * source.about_bytes / 1e6:.0f} MB) and see that you may write there, or name another data "
            "folder in the environment variable SER_DATA (what was there before is untouched)."
        ) from error


def _bare(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


def _fetch(source: Source, url: str, folder: Path, progress: bool, timeout_s: float, say: Callable[[str], None]) -> Path:
    list_of_files = source.checksums or folder / f".{source.md5}.sha256"
    checksums = read_checksums(list_of_files) if list_of_files.exists() else {}
    if checksums and not differing(folder, checksums):
        say(f"{source.folder} is already in {folder}: {len(checksums)} files, all checksums right.")
        return folder
    say(f"Downloading {source.folder} from {url} (about {source.about_bytes / 1e6:.0f} MB).")
    with _aside(folder) as aside:
        _download(url, aside / "archive.zip", source, progress, timeout_s)
        say("Unpacking and checking it.")
        if source.md5:
            _check_md5(aside / "archive.zip", source.md5)
        checksums = _unpack(aside / "archive.zip", aside / source.folder, checksums, source)
        before = _move_into_place(aside / source.folder, folder)
    kept = f"; what was there before is now {before}" if before else ""
    say(f"{source.folder} is in {folder}: {len(checksums)} files, all checksums right{kept}.")
    return folder


def read_checksums(path: Path) -> dict[str, str]:
    """The sha256 (hex) of each file of a corpus by its path in the folder, from what ``sha256sum`` wrote."""
    lines = (line.split("  ", 1) for line in path.read_text(encoding="utf-8").splitlines())
    return {name: digest for digest, name in lines}


def differing(folder: Path, checksums: dict[str, str]) -> list[str]:
    """The names of `checksums` that are not in `folder` or have another content there, in their order."""

    def differs(name: str) -> bool:
        if not (folder / name).is_file():
            return True
        with (folder / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() != checksums[name]

    return [name for name in checksums if differs(name)]


class _Fault(Exception):
    """What is wrong with a server or its archive, as half a sentence."""


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """A new hidden folder beside `folder`, on the same file system, gone however the block ends.

    What a killed download left there is removed first, if the lock says that no other download is at work.
    """
    prefix = f".{folder.name}.partial-"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _lock(folder.parent) as is_alone:
        for leftover in folder.parent.glob(f"{prefix}*") if is_alone else ():
            shutil.rmtree(leftover)
        aside = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
        try:
            yield aside
        finally:
            shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _lock(data: Path) -> Iterator[bool]:
    """Hold `data` against another download; False where the system has no such lock (Windows, some NFS)."""
    if fcntl is None:
        yield False
        return
    handle = os.open(data, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_alone = True
        except BlockingIOError:
            raise StudyError(f"Another download into {data} is running: wait until it has ended.") from None
        except OSError:
            is_alone = False
        yield is_alone
    finally:
        os.close(handle)


class _Sink:
    """The file a download writes to: it knows when the last 64 KiB came, and refuses what is too much."""

    def __init__(self, file: BinaryIO, bar: tqdm, max_bytes: int) -> None:
        self.file, self.bar, self.max_bytes = file, bar, max_bytes
        self.n_bytes, self.n_bytes_seen, self.seen_s = 0, 0, time.monotonic()
        self.is_given_up = False
        self.disk_error: OSError | None = None

    def write(self, chunk: bytes) -> None:
        if self.is_given_up or self.n_bytes + len(chunk) > self.max_bytes:
            raise _Fault(f"more than {self.max_bytes / 1e6:.0f} MB came, which cannot be the corpus")
        try:
            self.file.write(chunk)
        except OSError as error:
            self.disk_error = error
            raise
        self.n_bytes += len(chunk)
        self.bar.update(len(chunk))
        if self.n_bytes - self.n_bytes_seen >= CHUNK_BYTES:
            self.n_bytes_seen, self.seen_s = self.n_bytes, time.monotonic()

    def flush(self) -> None:
        """Nothing: pooch asks for it after each chunk, and closing the file does it once."""


def _download(url: str, path: Path, source: Source, progress: bool, timeout_s: float) -> None:
    """Download `url` to `path`, or raise the fault of the server or the OSError of the disk."""
    bar = tqdm(desc=source.folder, total=source.about_bytes, unit="B", unit_scale=True, disable=not progress)
    with path.open("wb") as file, bar:
        sink = _Sink(file, bar, source.max_bytes)
        try:
            _watch(url, sink, timeout_s)
        except (OSError, ValueError) as error:
            if error is sink.disk_error:
                raise
            raise _Fault(_reason(error, sink.n_bytes, timeout_s)) from error
        bar.total = sink.n_bytes


def _watch(url: str, sink: _Sink, timeout_s: float) -> None:
    """Run the download in a thread and leave that behind when it stalls.

    The timeouts of requests bound neither the look-up of the name, nor all addresses of a server together,
    nor a server that sends a byte now and then; and a thread that hangs in one of these cannot be ended, only
    left.
    """
    download = pooch.HTTPDownloader(chunk_size=CHUNK_BYTES, timeout=timeout_s + 1)
    outcome: Future = Future()

    def run() -> None:
        try:
            outcome.set_result(download(url, sink, None))
        except BaseException as error:  # noqa: BLE001 - it is raised where the outcome is awaited
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        while not wait([outcome], timeout=min(0.1, timeout_s)).done:
            if time.monotonic() - sink.seen_s > timeout_s:
                raise TimeoutError
    finally:
        sink.is_given_up = True
    outcome.result()


def _reason(error: Exception, n_bytes: int, timeout_s: float) -> str:
    """Why a download failed, in a few words."""
    if isinstance(error, TimeoutError | requests.Timeout):
        return f"nothing or next to nothing came for {timeout_s:g} seconds"
    if isinstance(error, requests.HTTPError):
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy that the environment variables name did not let it through"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate could not be verified"
    if n_bytes or isinstance(error, requests.exceptions.ChunkedEncodingError):
        return f"the download broke off after {n_bytes / 1e6:.1f} MB"
    if isinstance(error, requests.ConnectionError):
        return "no connection to the server (are you offline?)"
    if isinstance(error, ValueError):
        return "this is no address of a web server"
    return " ".join(str(error).split()).rstrip(".")


def _check_md5(path: Path, md5: str) -> None:
    """Raise unless the archive at `path` is the published one."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != md5:
        size = f"{path.stat().st_size / 1e6:.1f} MB"
        raise _Fault(f"what came ({size}) is not the archive as published, its md5 is {found} and not {md5}")


def _unpack(path: Path, new: Path, checksums: dict[str, str], source: Source) -> dict[str, str]:
    """Unpack the zip `path` into the folder `new`, or raise what is wrong; returns the checksums of its files.

    Of an archive without a checksum of its own the files of `checksums` are unpacked, and held to them. Of one that
    has been checked all are, with a list of their checksums, by which a later fetch sees that they are still there.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise _Fault(f"what came is no complete zip archive ({path.stat().st_size / 1e6:.1f} MB)") from error
    with archive:
        members = _all_of(archive.infolist()) if source.md5 else _choose(archive.infolist(), checksums)
        _check_members(members, source.max_bytes)
        for name, member in members.items():
            _unpack_member(archive, member, new / name)
    if source.md5:
        checksums = {name: paths.file_hash(new / name) for name in members}
        lines = "".join(f"{digest}  {name}\n" for name, digest in checksums.items())
        (new / f".{source.md5}.sha256").write_text(lines, encoding="utf-8")
    wrong = differing(new, checksums)
    if wrong:
        raise _Fault(f"{len(wrong)} of {len(checksums)} files are not as published, the first is {wrong[0]}")
    return checksums


def _all_of(members: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """The files of an archive by their names, without a folder that holds them all and without what a Mac adds."""
    for member in members:
        _check_path(member)
    files = [m for m in members if not m.is_dir() and not re.search(r"(^|/)(__MACOSX/|\._|\.DS_Store$)", m.filename)]
    top = files[0].filename.split("/")[0] + "/" if files else ""
    cut = len(top) if all(member.filename.startswith(top) for member in files) else 0
    return {member.filename[cut:]: member for member in files}


def _check_path(member: zipfile.ZipInfo) -> None:
    """Raise where a member of an archive would be unpacked outside the folder."""
    if ".." in member.filename.split("/") or re.match(r"/|[A-Za-z]:|(?s:.*)\\", member.filename):
        raise _Fault(f"its member {member.filename!r} leads outside the folder it is unpacked in")


def _choose(members: list[zipfile.ZipInfo], checksums: dict[str, str]) -> dict[str, zipfile.ZipInfo]:
    """The member for each name of `checksums`, all from that folder of the archive that has most of them.

    The names to write to come from `checksums`, never from the archive, so nothing can land outside; an
    archive that tries is refused all the same. What a Mac adds (``__MACOSX/.../._name``) fits no name and is
    left out.
    """
    by_folder: dict[str, dict[str, zipfile.ZipInfo]] = {"": {}}
    depths = {name.count("/") + 1 for name in checksums}
    for member, depth in itertools.product(members, depths):
        _check_path(member)
        parts = member.filename.split("/")
        name = "/".join(parts[-depth:])
        if name in checksums:
            by_folder.setdefault("/".join(parts[:-depth]), {})[name] = member
    chosen = max(by_folder.values(), key=len)
    missing = [name for name in checksums if name not in chosen]
    if missing:
        raise _Fault(f"{len(missing)} of {len(checksums)} files are missing in it, the first is {missing[0]}")
    return chosen


def _check_members(members: dict[str, zipfile.ZipInfo], max_bytes: int) -> None:
    """Raise unless all members are plain files (not links, devices, encrypted) of a credible size together.

    The sizes are what the archive says, but no more than that is ever unpacked.
    """
    for name, member in members.items():
        kind = stat.S_IFMT(member.external_attr >> 16)  # 0 in archives made where files have no such bits
        packing = member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if kind not in (0, stat.S_IFREG) or not packing or member.flag_bits & 1:
            raise _Fault(f"its member {name} is no plain file but a link, a device or encrypted")
    if sum(member.file_size for member in members.values()) > max_bytes:
        raise _Fault(f"its files would have more than {max_bytes / 1e6:.0f} MB, which cannot be the corpus")


def _unpack_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """Write one member; a damaged one breaks off, and its checksum tells."""
    target.parent.mkdir(parents=True, exist_ok=True)
    damage = zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError
    with target.open("xb") as file, suppress(*damage), archive.open(member) as packed:
        shutil.copyfileobj(packed, file, 1 << 20)


def _move_into_place(new: Path, folder: Path) -> Path | None:
    """Rename `new` to `folder`; what was there is kept as ``folder.before-<n>``, which is returned."""
    if not os.path.lexists(folder):
        new.rename(folder)
        return None
    names = (folder.with_name(f"{folder.name}.before-{n}") for n in itertools.count(1))
    before = next(name for name in names if not os.path.lexists(name))
    try:
        folder.rename(before)
        new.rename(folder)
    except BaseException:
        if not os.path.lexists(folder):
            before.rename(folder)
        raise
    return before
