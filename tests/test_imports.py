"""The structure of the library: packages import in one direction only, and files stay short."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ser_utils.core import paths

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


def test_importing_a_package_imports_no_heavy_library():
    """The command line and notebooks that train nothing do not wait for TensorFlow."""
    code = f"import sys, {', '.join(f'ser_utils.{name}' for name in PACKAGES)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, text=True, check=True)
    assert not {"tensorflow", "librosa", "sklearn", "pandas"} & set(done.stdout.split())
