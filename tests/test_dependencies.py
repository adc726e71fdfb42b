"""Dependencies: what is imported is declared, what is declared is used, and the files that list them agree."""

import ast
import os
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from ser_utils.core.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DECLARED = {Requirement(line).name for line in PROJECT["dependencies"]}
LOCK = (ROOT / "requirements.lock").read_text()
NOT_IMPORTED = {
    "import-linter": "a command, which test_imports runs",
    "ipykernel": "the kernel of the notebooks",
    "jupyterlab": "opens the notebooks; test_jupyterlab starts it",
    "nbval": "a plug-in of pytest",
    "ruff": "a command of the Makefile",
}
FOLDERS = ("ser_utils", "tests", "benchmarks", "data")


def imported_modules():
    """The top-level modules that the code and the notebooks import, apart from the project's own and Python's."""
    files = [*ROOT.glob("*.py"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))]
    code = [path.read_text() for path in files]
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        code += [TransformerManager().transform_cell(cell.source) for cell in cells if cell.cell_type == "code"]
    nodes = [node for text in code for node in ast.walk(ast.parse(text))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0}
    own = {path.stem for path in files} | set(FOLDERS)
    return {name.split(".")[0] for name in names} - own - sys.stdlib_module_names


def test_what_is_imported_is_declared_and_what_is_declared_is_used():
    distributions = packages_distributions()
    imported = {name: {d.lower().replace("_", "-") for d in distributions.get(name, [])} for name in imported_modules()}
    undeclared = {name: by for name, by in imported.items() if not by & DECLARED}
    assert undeclared == {}, "imported and not in pyproject.toml"
    used = set().union(*imported.values())
    assert DECLARED - used == set(NOT_IMPORTED), "in pyproject.toml and not imported"


def test_lock_pins_every_direct_dependency_with_hashes_and_names_no_host():
    entries = re.split(r"^(?=[a-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    pins = [Requirement(entry.split("\\")[0].split("#")[0]) for entry in entries]
    for line in PROJECT["dependencies"]:
        need = Requirement(line)
        versions = [next(iter(pin.specifier)).version for pin in pins if pin.name == need.name]
        assert versions and all(version in need.specifier for version in versions), line
    assert all("--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"://|index-url|find-links|@ ", LOCK)


def test_environment_yml_is_the_lock_and_says_what_each_dependency_is_for():
    text = (ROOT / "environment.yml").read_text()
    python, pip, _, lock = re.findall(r"^ +- ([^#\n]+[^#\s])", text.partition("\ndependencies:")[2], re.MULTILINE)
    assert SpecifierSet(python.removeprefix("python")) == SpecifierSet(PROJECT["requires-python"])
    assert (pip, lock) == ("pip", "-r requirements.lock")
    assert re.findall(r"^ +# ([a-z0-9-]+) {2,}\S.+$", text, re.MULTILINE) == sorted(DECLARED)


def test_binder_installs_the_study_itself():
    assert "pip install --no-deps -e ." in (ROOT / "postBuild").read_text()
    assert os.access(ROOT / "postBuild", os.X_OK)
