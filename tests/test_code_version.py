"""The version of code: it changes with every source that a result comes from, and with no other."""

import ast
import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ser_utils.core import audio, code_version, paths
from ser_utils.features.augmentation import AUGMENTATIONS
from ser_utils.features.registry import FEATURE_SETS
from ser_utils.models import optimizers
from ser_utils.models.registry import MODELS

SOURCES = {
    "__init__": "",
    "core/__init__": "",
    "top": "from ser_utils import middle\n",
    "middle": "import ser_utils.low as low\nfrom ser_utils.side import x\nfrom ser_utils.deep import y\n",
    "low": "def late():\n    from ser_utils.lowest import y\n",
    "lowest": "import numpy\nfrom ser_utils import top\n",  # a cycle
    "side": "x = 1\n",
    "apart": "from ser_utils import low\n",
    "deep/__init__": "import lazy_loader\nlazy_loader.attach(__name__, submod_attrs={'near': ['x'], 'far': ['y', 'z']})\n",
    "deep/near": "x = 1\n",
    "deep/far": "from ser_utils.deep.deeper.bottom import b\ny = z = b\n",
    "deep/deeper/__init__": "",
    "deep/deeper/bottom": "b = 1\n",
    "other/__init__": "",
    "other/near": "x = 1\n",
}
"""A small package of the study's name: sources by module."""
USED_BY_TOP = ["top", "middle", "low", "lowest", "side", "deep/far", "deep/deeper/bottom"]
HOLDING = ["__init__", "deep/__init__", "deep/deeper/__init__"]


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "ser_utils"
    for name, source in SOURCES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.py").write_text(source)
    shutil.copy(code_version.__file__, folder / "core")
    return folder


def run(package, statements):
    """Words that a process prints which imports the study from that folder."""
    environment = os.environ | {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", f"from ser_utils.core import code_version as code\n{statements}"]
    done = subprocess.run(command, env=environment, cwd=package.parent, capture_output=True, text=True, check=True)
    return done.stdout.split()


def versions(package, *names, alone=""):
    return run(package, f"for name in {names}: print(code.version('ser_utils.' + name, alone={alone!r}))")


def edit(package, name, more="# a remark\n"):
    path = package / f"{name}.py"
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")


@pytest.mark.parametrize("name", USED_BY_TOP + HOLDING)
def test_a_version_changes_with_a_module_its_imports_and_the_packages_that_hold_them(package, name):
    before = versions(package, "top")
    edit(package, name)
    assert versions(package, "top") != before


def test_a_version_changes_with_nothing_else(package, tmp_path):
    before = versions(package, "top")
    for name in SOURCES.keys() - {*USED_BY_TOP, *HOLDING}:
        edit(package, name)
    (package / "new.py").write_text("import ser_utils.top\n")
    (package / "top.csv").write_text("no code")
    elsewhere = Path(shutil.copytree(package, tmp_path / "elsewhere" / "ser_utils"))
    assert versions(package, "top") == versions(elsewhere, "top") == before


def test_the_imports_of_a_module_alone_do_not_count(package):
    before = versions(package, "side", alone="ser_utils.apart")
    edit(package, "low")
    assert versions(package, "side", alone="ser_utils.apart") == before
    edit(package, "apart")
    assert versions(package, "side", alone="ser_utils.apart") != before


FEATURES = {"features.original38", "features.functionals", "features.augmentation"}
FITS = {"models.training", "models.baselines"}


def test_in_the_study_a_change_concerns_only_what_depends_on_it(tmp_path):
    copied = Path(shutil.copytree(paths.PACKAGE, tmp_path / "ser_utils", ignore=shutil.ignore_patterns("__pycache__")))
    names = [*FEATURES, *FITS, "core.audio"]
    changes = {
        "features/short_time": FEATURES,
        "evaluation/leakage": FITS,
        "models/corpus_scaler": {"models.baselines"},  # imported inside a function, as the next three
        "models/backend": {"models.training"},
        "models/optimizers": {"models.training"},
        "models/stacked": {"models.training"},
        "evaluation/statistics": set(),
        "figures/style": set(),
        "study/report": set(),
    }
    before = versions(copied, *names)
    for changed, expected in changes.items():
        edit(copied, changed)
        after = versions(copied, *names)
        assert {name for name, one, other in zip(names, before, after, strict=True) if one != other} == expected, changed
        before = after


# Functions


def test_a_function_a_class_and_a_lambda_count_as_their_module():
    assert code_version.version(audio.read_audio) == code_version.version("ser_utils.core.audio")
    assert code_version.version(optimizers.Adam) == code_version.version("ser_utils.models.optimizers")
    assert code_version.version(lambda y: y) == code_version.version(__name__)


def test_all_registered_functions_have_a_version():
    registered = [entry.extract for entry in FEATURE_SETS.values()] + [entry.change for entry in AUGMENTATIONS.values()]
    registered += [function for entry in MODELS.values() for function in (entry.build, entry.optimizer)]
    assert None not in map(code_version.version, registered)


def test_a_module_outside_the_study_counts_with_what_it_imports_of_it(package):
    mine, ask = package.parent / "mine.py", "import mine; print(code.version(mine.extract))"
    mine.write_text("from ser_utils.low import late\ndef extract(): pass\n")
    seen = [run(package, ask)]
    for change in (lambda: edit(package.parent, "mine"), lambda: edit(package, "lowest"), lambda: edit(package, "__init__")):
        change()
        seen.append(run(package, ask))
    assert len({version for (version,) in seen}) == 4
    edit(package, "apart")
    assert run(package, ask) == seen[-1]


def test_a_function_of_a_notebook_has_no_version(package):
    ask = "def mine(): pass\nprint(code.version(mine), code.version('ser_utils.low', mine), code.version(lambda y: y))"
    assert run(package, ask) == ["None"] * 3


def test_a_function_that_holds_values_has_no_version():
    def scaled(by):
        return lambda y: y * by

    assert code_version.version(scaled) is not None
    assert code_version.version(scaled(2)) is None
    assert code_version.version(functools.partial(audio.read_audio, sr=16_000)) is None
    assert code_version.version("ser_utils.core.audio", scaled(2)) is None


@pytest.mark.parametrize("change", ["path.write_text(path.read_text() + '# edited')", "path.unlink()"])
def test_a_source_that_changed_after_it_was_loaded_has_no_version(package, change):
    """A JupyterLab session or a worker that is older than its sources runs something else than these."""
    ask = f"""
import pathlib
before = code.version("ser_utils.top")
for name in ("apart", "lowest"):
    path = pathlib.Path(code.__file__).parents[1] / f"{{name}}.py"
    {change}
    print(code.version("ser_utils.top") == before, code.version("ser_utils.top") is None)
"""
    assert run(package, ask) == ["True", "False", "False", "True"]


# Packages and platform


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [
        (code_version, "package_version", lambda package: "99.9"),
        (code_version.platform, "machine", lambda: "vax"),
        (code_version.sys, "version_info", (4, 0, 0)),
    ],
    ids=["packages", "platform", "Python"],
)
def test_a_version_changes_with_packages_platform_and_python(monkeypatch, where, name, value):
    compute = functools.partial(code_version._version.__wrapped__, ("ser_utils.core.errors",), "")
    before = compute()
    monkeypatch.setattr(where, name, value)
    assert compute() != before


def test_every_package_that_computes_counts():
    """A package that features or networks import, and that is not in the list, could change results unnoticed."""
    known = {"sklearn", *code_version.PACKAGES}
    harmless = {"joblib", "threadpoolctl", "IPython", "tqdm", "distributed", "lazy_loader", "ser_utils"}
    computing = [paths.PACKAGE / "core" / "audio.py", *paths.PACKAGE.glob("features/*.py"), *paths.PACKAGE.glob("models/*.py")]
    for path in computing:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))  # also inside functions
        names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        names += [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
        imports = {name.split(".")[0] for name in names}
        assert imports <= known | harmless | set(sys.stdlib_module_names), path.name


# What a source imports


@pytest.mark.parametrize("source", ["%matplotlib inline\nfrom ser_utils import audio", "from ser_utils import", "!ls"])
def test_a_source_that_is_not_python_imports_all(source):
    assert code_version.imported(source) == code_version.modules()


ALL_OF_DEEP = {"deep", "deep.near", "deep.far", "deep.deeper", "deep.deeper.bottom"}


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("import numpy, ser_utils.low", {"low"}),
        ("import ser_utils.side as s\ndef late():\n    from ser_utils.other import near", {"side", "other.near"}),
        ("from ser_utils.low import late", {"low"}),
        ("from ser_utils.deep import x", {"deep.near"}),
        ("from ser_utils import deep\ndeep.x", {"deep.near"}),
        ("from ser_utils import deep as d\nd.y, d.z", {"deep.far"}),
        ("from ser_utils.deep import near", {"deep.near"}),
        ("from ser_utils import deep\ndeep.near.hidden, deep.y", {"deep.near", "deep.far"}),
        ("from ser_utils import deep\nprint(deep)", ALL_OF_DEEP),
        ("from ser_utils.deep import *", ALL_OF_DEEP),
        ("import ser_utils.deep", ALL_OF_DEEP),
        ("import numpy\nnumpy.x", set()),
    ],
)
def test_a_source_imports_the_modules_that_define_what_it_uses(package, source, modules):
    assert run(package, f"print(*code.imported({source!r}))") == sorted(f"ser_utils.{name}" for name in modules)
