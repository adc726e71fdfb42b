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
PACKAGE = __name__.partition(".")[0]
"""The study's package; its ``__init__`` sets how TensorFlow computes, so it is part of every version."""
FOLDER = next(parent for parent in Path(__file__).parents if parent.name == PACKAGE)
LOADED = time.time()
_TURN = threading.Lock()  # Python 3.11 may fail to parse source in two threads at once (its issue 106905)


def modules() -> list[str]:
    """Dotted names of all modules and subpackages of the study."""
    return sorted(_dotted(path) for path in FOLDER.rglob("*.py") if path.parent != FOLDER or path.name[0] != "_")


def _dotted(path: Path) -> str:
    parts = path.relative_to(FOLDER.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


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
    sources |= {parent: _source(parent) for name in sources for parent in _parents(name)}
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
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    found = [node for node in found if node.value.id == name]
    return {node.attr for node in found} if len(found) == len(uses) else None


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
