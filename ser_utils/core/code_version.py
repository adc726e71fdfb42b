"""Fingerprint of the code that a result depends on: sources of the study, and versions of the packages that it calls."""

import ast
import functools
import importlib.util
import pkgutil
import platform
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version as package_version
from itertools import accumulate
from pathlib import Path

import joblib

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
PACKAGE = __name__.partition(".")[0]
"""The study's package; its ``__init__`` sets how TensorFlow computes, so it is part of every version."""
FOLDER = Path(__file__).parents[1]
LOADED = time.time()
"""When this process loaded the study: a source that is newer does not describe what runs."""
_PARSE_LOCK = threading.Lock()  # Python 3.11 can fail to parse source in two threads at once (cpython issue 106905)


def modules() -> list[str]:
    """Dotted names of all modules and subpackages of the study."""
    return [module.name for module in pkgutil.walk_packages([str(FOLDER)], f"{PACKAGE}.")]


def version(*code: str | Callable, alone: str = "") -> str | None:
    """Hash the code that a result depends on.

    Parameters
    ----------
    code : str or callable
        Names of modules, or functions. A module counts together with all modules of the study that it imports, directly or
        not; a function counts as its module, also if that is outside the study.
    alone : str
        Name of a module that counts without its imports.

    Returns
    -------
    str or None
        40 hexadecimal digits, which change with the sources, the versions of `PACKAGES`, Python and the platform. None if
        results must not be cached: a function was defined in a notebook or terminal, where its source can change unnoticed,
        or holds values that no source shows (a closure, a partial function), or a source changed after it was loaded.
    """
    names = {part if isinstance(part, str) else part.__module__ for part in code}
    if "__main__" in names or any(isinstance(part, partial) or getattr(part, "__closure__", None) for part in code):
        return None
    names = tuple(sorted(names))
    with _PARSE_LOCK:
        try:
            is_changed = any(file.stat().st_mtime > LOADED for file in _files(names, alone).values())
        except OSError:  # a source is gone
            return None
        return None if is_changed else _version(names, alone)


@functools.cache
def _version(names: tuple[str, ...], alone: str) -> str:
    packages = {package: package_version(package) for package in PACKAGES}
    sources = {name: file.read_bytes() for name, file in _files(names, alone).items()}
    machine = [platform.system(), platform.machine(), *sys.version_info[:2]]
    return joblib.hash([packages, sources, machine], hash_name="sha1")


@functools.cache
def _files(names: tuple[str, ...], alone: str) -> dict[str, Path]:
    """Sources, by name, of modules, of all modules of the study that they import, and of the packages that hold these."""
    files: dict[str, Path] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in files:
            files[name] = _file(name)
            waiting += _imported_by(name)
    inside = [name for name in [*files, alone, PACKAGE] if name.split(".")[0] == PACKAGE]
    return files | {part: _file(part) for name in inside for part in accumulate(name.split("."), "{}.{}".format)}


@functools.cache
def _imported_by(name: str) -> list[str]:
    """Names of the study's modules that a module imports."""
    return imported(_file(name).read_bytes())


def _file(name: str) -> Path:
    """Path of a module's source, found without importing more than its package, as TensorFlow takes seconds."""
    return Path(importlib.util.find_spec(name).origin)


def imported(source: bytes | str) -> list[str]:
    """Names of the study's modules that a source imports; all of them where it is not plain Python.

    A package stands for those of its modules from which its ``__init__`` exports a name that the source imports or uses as
    an attribute; if there is none, or the package is used by itself, for all of its modules.
    """
    here = modules()
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except SyntaxError:  # a mistake, which the notebook's page will show, or a line for IPython
        return here
    owners = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    passed = {node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in owners}  # names used by themselves
    imports = [
        (f"{node.module}.{alias.name}", alias.asname or alias.name)
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    imports += [(alias.name, alias.name) for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    found: set[str] = set()
    for module, local in imports:
        used = set() if local in passed else attributes
        if module not in here:
            module, _, name = module.rpartition(".")
            used = {name}
        if module in here:
            exporting = {f"{module}.{other}" for other, names in _exports(module) if used & {other, *names}}
            found |= exporting or {other for other in here if other == module or other.startswith(f"{module}.")}
    return sorted(found)


@functools.cache
def _exports(module: str) -> list[tuple[str, set[str]]]:
    """Modules of a package, each with the names that the package exports from it by ``lazy_loader.attach``."""
    nodes = ast.walk(ast.parse(_file(module).read_bytes()))
    exports = [ast.literal_eval(node.value) for node in nodes if isinstance(node, ast.keyword) and node.arg == "submod_attrs"]
    return [(name, set(names)) for one in exports for name, names in one.items()]
