"""What a result depends on besides data: the source of the functions that computed it, and the packages they call."""

import ast
import functools
import hashlib
import importlib.util
import platform
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version as package_version
from pathlib import Path

PACKAGES = (
    "numpy",
    "scipy",
    "librosa",
    "soxr",
    "soundfile",
    "numba",
    "scikit-learn",
    "pandas",
    "keras",
    "tensorflow",
    "matplotlib",
)
"""Packages whose versions can change a result."""
PACKAGE = __name__.partition(".")[0]  # its __init__ sets how TensorFlow computes
LOADED = time.time()
_TURN = threading.Lock()  # Python 3.11 may fail to parse source in two threads at once (its issue 106905)


def modules() -> list[str]:
    """Names of all the study's modules."""
    return sorted(f"ser_utils.{path.stem}" for path in Path(__file__).parent.glob("[!_]*.py"))


def version(*what: str | Callable, alone: str = "") -> str | None:
    """A name for the state of code: it changes with any module named, with what of the study these import, and with packages.

    Parameters
    ----------
    what : str or callable
        Modules by name, or functions defined in them. A module outside the study counts, and what it imports from the study.
    alone : str
        A module of which what it imports does not count.

    Returns
    -------
    str or None
        A hash of 64 hexadecimal digits; None where what is computed is not to be kept. So it is where a function was defined in
        a notebook or a terminal, where its source may change without a trace, or was made by another with values that are in
        no source. And where a source was changed after this process had loaded it, so that it is not what runs.
    """
    names = {one if isinstance(one, str) else one.__module__ for one in what}
    if "__main__" in names or any(isinstance(one, partial) or getattr(one, "__closure__", None) for one in what):
        return None
    names = tuple(sorted(names))
    with _TURN:
        return None if any(map(_is_changed, _files(names, alone))) else _version(names, alone)


@functools.cache
def _version(names: tuple[str, ...], alone: str) -> str:
    said = hashlib.sha256(f"{platform.system()} {platform.machine()} {sys.version_info[:2]}".encode())
    for package in PACKAGES:
        said.update(f"{package} {package_version(package)}\n".encode())
    sources = _with_imports(names) | {name: _source(name) for name in (alone, PACKAGE) if name}
    for name, source in sorted(sources.items()):
        said.update(f"{name} {hashlib.sha256(source).hexdigest()}\n".encode())
    return said.hexdigest()


def _with_imports(names: tuple[str, ...]) -> dict[str, bytes]:
    """The sources of modules and of the study's modules that they import, by name."""
    found: dict[str, bytes] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _source(name)
            waiting += [other for other in imported(found[name]) if other not in found]
    return found


@functools.cache
def _files(names: tuple[str, ...], alone: str) -> list[Path]:
    return [_file(name) for name in [*_with_imports(names), alone] if name]


def _file(name: str) -> Path:
    """Where a module's source is; without importing it, as TensorFlow takes seconds."""
    return Path(importlib.util.find_spec(name).origin)


def _is_changed(path: Path) -> bool:
    try:
        return path.stat().st_mtime > LOADED
    except OSError:
        return True


def _source(name: str) -> bytes:
    return _file(name).read_bytes()


def imported(source: bytes | str) -> list[str]:
    """Modules of the study that a source imports, by name; all of them where it is not plain Python."""
    here = set(modules())
    names = []
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a mistake, which the notebook's page will show, or a line for IPython
        return sorted(here)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return sorted(here & set(names))
