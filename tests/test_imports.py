"""The structure of the library: packages import in one direction only, and files stay short."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ser_utils.core import paths
from ser_utils.study.notebooks import list_notebooks, written_files

PACKAGES = sorted(path.name for path in paths.PACKAGE.iterdir() if (path / "__init__.py").exists())


def lint(folder: Path) -> subprocess.CompletedProcess:
    """Run import-linter with the contracts of pyproject.toml in a folder that has the package."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--config", str(folder / "pyproject.toml")]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_packages_import_downwards_only_and_without_cycles():
    done = lint(paths.ROOT)
    assert done.returncode == 0 and "2 kept, 0 broken" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("core/errors.py", "from ser_utils.study import runner"),  # upwards
        ("evaluation/metrics.py", "from ser_utils.features import registry"),  # sideways
        ("corpora/labels.py", "def late():\n    from ser_utils.corpora.lookup import get_corpus"),  # a cycle
    ],
)
def test_a_forbidden_import_is_found(tmp_path, module, statement):
    package = shutil.copytree(paths.PACKAGE, tmp_path / "ser_utils", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(paths.ROOT / "pyproject.toml", tmp_path)
    with (package / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{statement}\n")
    done = lint(tmp_path)
    assert done.returncode == 1 and "BROKEN" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_says_what_it_is_for_and_its_public_names_exist(name):
    package = importlib.import_module(f"ser_utils.{name}")
    assert 4 <= len(package.__doc__.strip().splitlines()) <= 8
    assert package.__all__ and all(getattr(package, public) is not None for public in package.__all__)


def test_no_file_is_longer_than_350_lines():
    lengths = {str(path.relative_to(paths.ROOT)): len(path.read_text().splitlines()) for path in paths.PACKAGE.rglob("*.py")}
    assert not {name: n for name, n in lengths.items() if n > 350}


HEAVY = {"tensorflow", "keras", "librosa.core", "sklearn", "scipy.stats", "matplotlib", "nbformat", "papermill", "nbconvert"}
"""Modules that take from a third of a second to seconds to import."""


def imported_by(code: str, *arguments: str, **environment: str) -> set[str]:
    """Names of the modules that a new process has imported after running the code."""
    command = [sys.executable, "-c", f"{code}\nimport sys; print('modules', *sys.modules)", *arguments]
    done = subprocess.run(command, cwd=paths.ROOT, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("modules ")[2].split())


def test_importing_a_package_imports_no_heavy_library():
    modules = imported_by(f"import {', '.join(f'ser_utils.{name}' for name in PACKAGES)}")
    assert not (HEAVY | {"librosa", "pandas"}) & modules


OPENING = """
import ast, json, sys
cells = ["".join(cell["source"]) for cell in json.load(open(sys.argv[1]))["cells"] if cell["cell_type"] == "code"]
names = {}
for cell in cells[:3]:
    exec(cell, names)
"""
"""Runs the imports, the parameters and the next cell of a notebook."""
EVERYTHING = """
for node in ast.walk(ast.parse("\\n".join(cells))):
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        value = names.get(node.value.id)
        if getattr(value, "__name__", "").startswith("ser_utils."):
            getattr(value, node.attr)
"""
"""Gets each name that the notebook takes from the study."""


@pytest.fixture
def results(tmp_path):
    """A run whose files are there, though empty, so that no notebook runs earlier ones."""
    for book in list_notebooks():
        for name in written_files(book):
            (tmp_path / "demo" / name).parent.mkdir(exist_ok=True)
            (tmp_path / "demo" / name).touch()
    return {"SER_OUT": str(tmp_path)}


@pytest.mark.parametrize("book", list_notebooks(), ids=lambda book: book.stem[:2])
def test_the_opening_cells_of_a_notebook_import_what_they_use(book, results):
    modules = imported_by(OPENING, str(book), **results)
    own = {module for module in ("sklearn", "scipy.stats") if "from sklearn" in book.read_text(encoding="utf-8")}
    assert "pandas" in modules and not (HEAVY - own) & modules


@pytest.mark.parametrize("number", ["01", "04", "07"])
def test_notebooks_that_train_nothing_import_no_tensorflow(number, results):
    (book,) = paths.NOTEBOOKS.glob(f"{number}_*.ipynb")
    modules = imported_by(OPENING + EVERYTHING, str(book), **results)
    assert "ser_utils.figures.style" in modules and not {"tensorflow", "keras"} & modules


def test_wrong_arguments_are_refused_before_a_heavy_library_is_imported():
    wrong = ["NOPE=1", "N_SEEDS=many", "MODEL=x", "FEATURES=x", 'MODELS=["x"]', 'PROTOCOLS=["x"]', 'BASELINES=["x"]']
    wrong += ['AUGMENTATIONS=["x"]', 'SPEAKER_NORMS=["x"]', "SEARCH=-1"]
    runs = [["run", "demo", "--set", setting] for setting in wrong]
    runs += [["run", "nowhere"], ["run", "demo", "--from", "99"], ["run", "demo", "--fresh", "--from", "03"], ["verify", "x"]]
    code = f"from ser_utils.__main__ import main\nassert [main(run) for run in {runs}] == [1] * {len(runs)}"
    assert not HEAVY & imported_by(code)
