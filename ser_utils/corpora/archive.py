"""Verified unpacking of a corpus' zip archive."""

import re
import shutil
import stat
import zipfile
import zlib
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import pooch

from ser_utils.core import paths
from ser_utils.corpora.corpus import Download


class ArchiveError(Exception):
    """A problem of an archive, as part of a sentence."""


def read_checksums(path: Path) -> dict[str, str]:
    """Return the SHA-256 (hexadecimal) of each file by its path in the folder, from the output of ``sha256sum``."""
    lines = (line.split("  ", 1) for line in path.read_text(encoding="utf-8").splitlines())
    return {name: digest for digest, name in lines}


def differing(folder: Path, checksums: dict[str, str]) -> list[str]:
    """Return the names in `checksums` whose file in `folder` is missing or has another content, in their order."""
    return [name for name, digest in checksums.items() if paths.file_hash(folder / name) != digest]


def unpack(archive: Path, target: Path, download: Download, checksums: dict[str, str]) -> dict[str, str]:
    """Unpack a zip archive into the new folder `target`, and return the SHA-256 of its files.

    An archive with a published MD5 is verified by it, and all its files are unpacked. From any other, only the files in
    `checksums` are unpacked, and verified by these.

    Raises
    ------
    ArchiveError
        The archive differs from the published one, is incomplete, or has a member that cannot be unpacked safely.
    """
    size = f"{archive.stat().st_size / 1e6:.1f} MB"
    if download.md5 and (md5 := pooch.file_hash(str(archive), "md5")) != download.md5:
        raise ArchiveError(f"the received file ({size}) is not the published archive, its MD5 is {md5}, not {download.md5}")
    try:
        zip_file = zipfile.ZipFile(archive)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise ArchiveError(f"the received file ({size}) is not a complete zip archive") from error
    with zip_file:
        _check_paths(zip_file)
        members = _all_files(zip_file) if download.md5 else _listed_files(zip_file, checksums)
        _check_members(members, download.max_bytes)
        for name, member in members.items():
            _unpack_member(zip_file, member, target / name)
    if download.md5:
        return {name: paths.file_hash(target / name) for name in members}
    if wrong := differing(target, checksums):
        raise ArchiveError(f"{len(wrong)} of {len(checksums)} files differ from the published ones, the first is {wrong[0]}")
    return checksums


def _check_paths(zip_file: zipfile.ZipFile) -> None:
    """Raise if the path of any member leads outside the folder where it would be unpacked."""
    for name in zip_file.namelist():
        if ".." in name.split("/") or re.match(r"/|[A-Za-z]:|(?s:.*)\\", name):
            raise ArchiveError(f"the path of its member {name!r} leads outside the folder")


def _all_files(zip_file: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the files of an archive by name, without a common top folder and without the extra files of macOS."""
    files = [member for member in zip_file.infolist() if not member.is_dir()]
    files = [member for member in files if not re.search(r"(^|/)(__MACOSX/|\._|\.DS_Store$)", member.filename)]
    top = files[0].filename.split("/")[0] + "/" if files else ""
    start = len(top) if all(member.filename.startswith(top) for member in files) else 0
    return {member.filename[start:]: member for member in files}


def _listed_files(zip_file: zipfile.ZipFile, checksums: dict[str, str]) -> dict[str, zipfile.ZipInfo]:
    """Return the member for each name in `checksums`, all from the folder of the archive that has most of them."""
    by_folder = defaultdict(dict)
    for member in zip_file.infolist():
        parts = member.filename.split("/")
        for depth in range(len(parts)):
            name = "/".join(parts[depth:])
            if name in checksums:
                by_folder["/".join(parts[:depth])][name] = member
    chosen = max(by_folder.values(), key=len, default={})
    if missing := [name for name in checksums if name not in chosen]:
        raise ArchiveError(f"{len(missing)} of {len(checksums)} files are missing in it, the first is {missing[0]}")
    return chosen


def _check_members(members: dict[str, zipfile.ZipInfo], max_bytes: int) -> None:
    """Raise unless all members are regular files (no links, devices or encrypted files) of at most `max_bytes` in total.

    The sizes are those that the archive states; zipfile never unpacks more than these.
    """
    for name, member in members.items():
        kind = stat.S_IFMT(member.external_attr >> 16)  # 0 in archives from systems without file modes
        is_readable = member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) and not member.flag_bits & 1
        if kind not in (0, stat.S_IFREG) or not is_readable:
            raise ArchiveError(f"its member {name} is not a regular file but a link, a device or encrypted")
    if sum(member.file_size for member in members.values()) > max_bytes:
        raise ArchiveError(f"its files have more than {max_bytes / 1e6:.0f} MB, which cannot be the corpus")


def _unpack_member(zip_file: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """Write one member to `target`; a damaged one is left incomplete, which its checksum shows."""
    target.parent.mkdir(parents=True, exist_ok=True)
    damage = zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError
    with target.open("xb") as file, suppress(*damage), zip_file.open(member) as packed:
        shutil.copyfileobj(packed, file, 1 << 20)
