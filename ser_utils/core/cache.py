"""Results that need not be computed again: found by all that they depend on, and checked when they are read.

An entry's name is a hash of its inputs' content, of the settings and of the code (see `ser_utils.core.code_version`), so what has
changed is not found. Its first bytes are a checksum of the rest, so what was cut off or altered is not taken. Entries are
written aside and renamed: two runs at once, or one that is killed, leave whole entries or none. Only the process that leads
a run reads and writes them, also where others compute.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ser_utils.core import paths
from ser_utils.core.progress import announce

DIGEST = 32  # bytes of SHA-256
_broken: set[str] = set()


def key(*, code: str | None, **parts: object) -> str:
    """A name for what a result depends on.

    Parameters
    ----------
    code : str or None
        From `ser_utils.core.code_version.version`; None for what must not be kept.
    parts
        JSON values, or arrays, whose type, shape and bytes count.

    Returns
    -------
    str
        64 hexadecimal digits, or nothing, under which nothing is kept.
    """
    if code is None:
        return ""
    parts["code"] = code
    said = hashlib.sha256()
    for name, part in sorted(parts.items()):
        if isinstance(part, np.ndarray):
            said.update(f"{name} {part.dtype} {part.shape} ".encode())
            said.update(np.ascontiguousarray(part).data)
        else:
            said.update(f"{name} {json.dumps(part, sort_keys=True)} ".encode())
    return said.hexdigest()


def load(kind: str, name: str) -> dict[str, np.ndarray] | None:
    """The arrays that were kept under a name, or None where there are none, or none that are whole.

    Parameters
    ----------
    kind : str
        What they are, such as ``features``: a folder of the cache.
    name : str
        From `key`.
    """
    if not name or os.environ.get("SER_CACHE_READ") == "off":
        return None
    try:
        entry = _path(kind, name).read_bytes()
    except OSError:
        return None
    digest, payload = entry[:DIGEST], entry[DIGEST:]
    if digest != _digest(name, payload):
        return None
    with np.load(io.BytesIO(payload), allow_pickle=False) as arrays:
        return dict(arrays)


def save(kind: str, name: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Keep arrays under a name. Where that fails (a full disk) it is said once, and the run goes on without."""
    if not name:
        return
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    payload = buffer.getvalue()
    path = _path(kind, name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with paths.write_aside(path) as aside:
            aside.write_bytes(_digest(name, payload) + payload)
    except OSError as error:
        if error.strerror not in _broken:
            _broken.add(error.strerror)
            announce(f"Results cannot be kept in {paths.CACHE} ({error.strerror}); the run goes on without.")


def _digest(name: str, payload: bytes) -> bytes:
    """The checksum of an entry; its name counts, so that no entry passes for another."""
    return hashlib.sha256(name.encode() + payload).digest()


def _path(kind: str, name: str) -> Path:
    return paths.CACHE / kind / name[:2] / name


def size() -> tuple[int, int]:
    """Number of entries and their bytes."""
    sizes = []
    for path in paths.CACHE.glob("*/*/*"):
        with contextlib.suppress(FileNotFoundError):  # a run that goes on has just renamed it
            sizes.append(path.stat().st_size)
    return len(sizes), sum(sizes)


def print_cache_size(*, clear_it: bool) -> int:
    """Print how much is kept, and remove it if asked to; the exit status."""
    count, n_bytes = size()
    if clear_it:
        for kind in paths.CACHE.glob("*/"):
            shutil.rmtree(kind)
    print(f"{'Removed ' if clear_it else ''}{count} results, {n_bytes / 1e6:.1f} MB, in {paths.CACHE}")
    return 0
