"""Cache of computed results, found by everything that they depend on, and checked when they are read.

The name of an entry is a hash of its inputs, settings and code (`ser_utils.core.code_version`). Its first bytes are a checksum
of the rest, so a truncated or altered entry is not used. Entries are written to a temporary file and renamed: two runs at
once, or a killed run, leave complete entries or none. Only the process that leads a run reads and writes entries.
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
    """Return the name of the entry for a result that depends on the given values.

    Parameters
    ----------
    code : str or None
        From `ser_utils.core.code_version.version`; None if the result must not be cached.
    parts
        JSON values, or arrays, of which type, shape and bytes count.

    Returns
    -------
    str
        64 hexadecimal digits; empty if the result must not be cached.
    """
    if code is None:
        return ""
    parts["code"] = code
    digest = hashlib.sha256()
    for name, part in sorted(parts.items()):
        if isinstance(part, np.ndarray):
            digest.update(f"{name} {part.dtype} {part.shape} ".encode())
            digest.update(np.ascontiguousarray(part).data)
        else:
            digest.update(f"{name} {json.dumps(part, sort_keys=True)} ".encode())
    return digest.hexdigest()


def load(kind: str, name: str) -> dict[str, np.ndarray] | None:
    """Read the arrays of an entry; None if there is no such entry or it is damaged.

    Parameters
    ----------
    kind : str
        Folder of the cache, such as ``features``.
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
    """Write arrays as an entry. If that fails, for instance on a full disk, one line says so and the run continues."""
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
            announce(f"Results cannot be cached in {paths.CACHE} ({error.strerror}); the run continues without a cache.")


def _digest(name: str, payload: bytes) -> bytes:
    """Checksum of an entry. Its name is part of it, so that one entry cannot be taken for another."""
    return hashlib.sha256(name.encode() + payload).digest()


def _path(kind: str, name: str) -> Path:
    return paths.CACHE / kind / name[:2] / name


def size() -> tuple[int, int]:
    """Return the number of entries and their size in bytes."""
    sizes = []
    for path in paths.CACHE.glob("*/*/*"):
        with contextlib.suppress(FileNotFoundError):  # another run has just renamed it
            sizes.append(path.stat().st_size)
    return len(sizes), sum(sizes)


def print_cache_size(*, clear_it: bool) -> int:
    """Print the size of the cache, and remove its entries if `clear_it`; return the exit status."""
    count, n_bytes = size()
    if clear_it:
        for kind in paths.CACHE.glob("*/"):
            shutil.rmtree(kind)
    print(f"{'Removed ' if clear_it else ''}{count} results, {n_bytes / 1e6:.1f} MB, in {paths.CACHE}")
    return 0
