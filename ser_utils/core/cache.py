"""Cache of computed results, found by everything that they depend on.

The name of an entry is a hash of its inputs, settings and code (`ser_utils.core.code_version`). A checksum shows whether it is
damaged. Entries are written to a temporary file and renamed: two runs at once, or a killed run, leave complete entries or none.
Only the process that leads a run reads and writes entries.
"""

import contextlib
import hashlib
import io
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import joblib
import numpy as np

from ser_utils.core import paths
from ser_utils.core.progress import announce

DIGEST_BYTES = 32  # of SHA-256
_broken: set[str] = set()


def key(*, code: str | None, **parts: object) -> str:
    """Return the name of the entry for a result that depends on the given values.

    Parameters
    ----------
    code : str or None
        From `ser_utils.core.code_version.version`; None if the result must not be cached.
    parts
        JSON values, or arrays, of which type, shape and values count.

    Returns
    -------
    str
        40 hexadecimal digits; empty if the result must not be cached.
    """
    arrays = {name: np.ascontiguousarray(part) for name, part in parts.items() if isinstance(part, np.ndarray)}
    return joblib.hash(parts | arrays | {"code": code}, hash_name="sha1") if code else ""


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
    payload = entry[DIGEST_BYTES:]
    if entry != _with_checksum(name, payload):
        return None
    with np.load(io.BytesIO(payload)) as arrays:
        return dict(arrays)


def save(kind: str, name: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays as an entry. If that fails, for instance on a full disk, one line says so and the run continues."""
    if not name:
        return
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    path = _path(kind, name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with paths.write_aside(path) as aside:
            aside.write_bytes(_with_checksum(name, buffer.getvalue()))
    except OSError as error:
        if error.strerror not in _broken:
            _broken.add(error.strerror)
            announce(f"Results cannot be cached in {paths.CACHE} ({error.strerror}); the run continues without a cache.")


def _with_checksum(name: str, payload: bytes) -> bytes:
    """An entry. The checksums of the archive itself do not cover its directory, so damage there could hide an array."""
    return hashlib.sha256(name.encode() + payload).digest() + payload


def _path(kind: str, name: str) -> Path:
    return paths.CACHE / kind / name[:2] / name


def print_cache_size(*, clear_it: bool) -> int:
    """Print the size of the cache, and remove its entries if `clear_it`; return the exit status."""
    sizes = []
    for path in paths.CACHE.glob("*/*/*"):
        with contextlib.suppress(FileNotFoundError):  # another run has just renamed it
            sizes.append(path.stat().st_size)
    if clear_it:
        for kind in paths.CACHE.glob("*/"):
            shutil.rmtree(kind)
    print(f"{'Removed ' if clear_it else ''}{len(sizes)} results, {sum(sizes) / 1e6:.1f} MB, in {paths.CACHE}")
    return 0
