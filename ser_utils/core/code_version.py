"""Fingerprint of the code that a result depends on: sources of the study, and versions of the packages that it calls."""

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
PACKAGE = __name__.partition(".")[0]
"""The study's package; its ``__init__`` sets how TensorFlow computes, so it is part of every version."""
FOLDER = next(parent for parent in Path(__file__).parents if parent.name == PACKAGE)
LOADED = time.time()
"""When this process loaded the study: a source that is newer does not describe what runs."""
_PARSE_LOCK = threading.Lock()  # Python 3.11 can fail to parse source in two threads at once (cpython issue 106905)


def modules() -> list[str]:
    """Dotted names of all modules and subpackages of the study."""
    return sorted(_dotted(path) for path in FOLDER.rglob("*.py") if path.parent != FOLDER or path.name[0] != "_")


def _dotted(path: Path) -> str:
    parts = path.relative_to(FOLDER.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


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
        64 hexadecimal digits, which change with the sources, the versions of `PACKAGES`, Python and the platform. None if
        results must not be cached: a function was defined in a notebook or terminal, where its source can change unnoticed,
        or holds values that no source shows (a closure, a partial function), or a source changed after it was loaded.
    """
    names = {part if isinstance(part, str) else part.__module__ for part in code}
    if "__main__" in names or any(isinstance(part, partial) or getattr(part, "__closure__", None) for part in code):
        return None
    names = tuple(sorted(names))
    with _PARSE_LOCK:
        return None if any(map(_is_changed, _files(names, alone))) else _version(names, alone)


@functools.cache
def _version(names: tuple[str, ...], alone: str) -> str:
    digest = hashlib.sha256(f"{platform.system()} {platform.machine()} {sys.version_info[:2]}".encode())
    for package in PACKAGES:
        digest.update(f"{package} {package_version(package)}\n".encode())
    sources = _with_imports(names) | {name: _source(name) for name in (alone, PACKAGE) if name}
    sources |= {parent: _source(parent) for name in sources for parent in _parents(name)}
    for name, source in sorted(sources.items()):
        digest.update(f"{name} {hashlib.sha256(source).hexdigest()}\n".encode())
    return digest.hexdigest()


def _with_imports(names: tuple[str, ...]) -> dict[str, bytes]:
    """Sources by name of modules and of all modules of the study that they import."""
    sources: dict[str, bytes] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in sources:
            sources[name] = _source(name)
            waiting += [other for other in imported(sources[name]) if other not in sources]
    return sources


@functools.cache
def _files(names: tuple[str, ...], alone: str) -> list[Path]:
    return [_file(name) for name in [*_with_imports(names), alone] if name]


def _parents(name: str) -> list[str]:
    """Packages of the study that are imported with a module: of ``ser_utils.a.b`` this is ``ser_utils.a``."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(2, len(parts))] if parts[0] == PACKAGE else []


def _file(name: str) -> Path:
    """Path of a module's source, found without importing it, as TensorFlow takes seconds."""
    if name.partition(".")[0] != PACKAGE:
        return Path(importlib.util.find_spec(name).origin)
    place = FOLDER.parent.joinpath(*name.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def _is_changed(path: Path) -> bool:
    try:
        return path.stat().st_mtime > LOADED
    except OSError:
        return True


def _source(name: str) -> bytes:
    return _file(name).read_bytes()


def imported(source: bytes | str) -> list[str]:
    """Names of the study's modules that a source imports; all of them where it is not plain Python.

    A name that is imported from a package, or used as ``package.name``, stands for the module that the package's ``__init__``
    exports it from. A package that is used in any other way stands for all of its modules.
    """
    here = set(modules())
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a mistake, which the notebook's page will show, or a line for IPython
        return sorted(here)
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                if module not in here:
                    names |= _exporting(node.module, {alias.name}, here)
                elif _is_package(module):
                    names |= _exporting(module, _attributes(tree, alias.asname or alias.name), here)
                else:
                    names.add(module)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                names |= _exporting(alias.name, None, here)
    return sorted(names)


def _attributes(tree: ast.AST, name: str) -> set[str] | None:
    """The attributes of a name that a source uses; None where it uses the name by itself, too."""
    uses = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name]
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.value in uses]
    return {node.attr for node in attributes} if len(attributes) == len(uses) else None


def _exporting(module: str, attributes: set[str] | None, here: set[str]) -> set[str]:
    """The modules behind some attributes of a module or package; behind all that it has where `attributes` is None."""
    if module == PACKAGE or module not in here:
        return set()
    if not _is_package(module):
        return {module}
    inside = {name for name in here if name == module or name.startswith(f"{module}.")}
    exports = _exports(module) if attributes is not None else {}
    if attributes is None or not attributes <= set(exports):
        return inside
    return {f"{module}.{exports[name]}" for name in attributes}


def _is_package(module: str) -> bool:
    return _file(module).name == "__init__.py"


def _exports(package: str) -> dict[str, str]:
    """Public names of a package by the modules that define them: the ``submod_attrs`` of its ``lazy_loader.attach``."""
    for node in ast.walk(ast.parse(_source(package))):
        if isinstance(node, ast.keyword) and node.arg == "submod_attrs":
            return {name: module for module, names in ast.literal_eval(node.value).items() for name in names}
    return {}
