"""The version of code: it changes with every source that a result comes from, and with no other."""

import functools
import itertools
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

GRAPH = {
    "top": "from ser_utils import middle\n",
    "middle": "import ser_utils.low as low\nfrom ser_utils.side import x\n",
    "low": "def late():\n    from ser_utils.lowest import y\n",
    "lowest": "import numpy\nfrom ser_utils import top\n",  # round in a circle
    "side": "x = 1\n",
    "apart": "from ser_utils import low\n",
}


@pytest.fixture
def package(tmp_path):
    """A package of the study's name with small modules; `GRAPH` says which imports which."""
    folder = tmp_path / "ser_utils"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "core").mkdir()
    (folder / "core" / "__init__.py").write_text("")
    shutil.copy(code_version.__file__, folder / "core")
    for name, source in GRAPH.items():
        (folder / f"{name}.py").write_text(source)
    return folder


@pytest.fixture
def copied(tmp_path):
    """A copy of the study's package."""
    return Path(shutil.copytree(paths.PACKAGE, tmp_path / "ser_utils", ignore=shutil.ignore_patterns("__pycache__")))


def says(package, statements):
    """What a process prints that has the study from that folder."""
    environment = os.environ | {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", f"from ser_utils.core import code_version as code\n{statements}"]
    done = subprocess.run(command, env=environment, cwd=package.parent, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def version(package, *names, alone=""):
    return says(package, f"print(code.version(*{[f'ser_utils.{name}' for name in names]}, alone={alone!r}))")


def edit(package, name, more="# a remark\n"):
    path = package / f"{name}.py"
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")


@pytest.mark.parametrize("name", ["top", "middle", "low", "lowest", "side", "__init__"])
def test_a_version_changes_with_a_module_and_all_that_it_imports(package, name):
    before = version(package, "top")
    assert len(before) == 64
    edit(package, name)
    assert version(package, "top") != before


def test_a_version_changes_with_nothing_else(package):
    before = version(package, "top")
    edit(package, "apart")
    (package / "new.py").write_text("import ser_utils.top\n")
    (package / "top.csv").write_text("no code")
    assert version(package, "top") == before
    edit(package, "side", "import ser_utils.new\n")
    after = version(package, "top")
    edit(package, "new")
    assert len({before, after, version(package, "top")}) == 3


def test_a_version_does_not_depend_on_order_or_place(package, tmp_path):
    elsewhere = Path(shutil.copytree(package, tmp_path / "elsewhere" / "ser_utils"))
    assert version(package, "side", "low") == version(elsewhere, "low", "side")


def test_two_modules_that_swap_what_is_in_them_are_another_version(package):
    before = version(package, "side", "apart")
    (package / "side.py").write_text(GRAPH["apart"])
    (package / "apart.py").write_text(GRAPH["side"])
    assert version(package, "side", "apart") != before


def test_of_a_module_alone_what_it_imports_does_not_count(package):
    before = version(package, "side", alone="ser_utils.apart")
    edit(package, "low")
    assert version(package, "side", alone="ser_utils.apart") == before
    edit(package, "apart")
    assert version(package, "side", alone="ser_utils.apart") != before


def test_in_the_study_a_change_reaches_what_it_concerns_and_nothing_else(copied):
    names = [
        "features.original38",
        "features.functionals",
        "features.augmentation",
        "core.audio",
        "models.training",
        "models.baselines",
    ]
    ask = f"print(*[code.version(f'ser_utils.{{name}}') for name in {names}])"
    seen = [says(copied, ask).split()]
    for changed in ("features/short_time", "evaluation/leakage", "figures/style"):
        edit(copied, changed)
        seen.append(says(copied, ask).split())
    by_short_time, by_leakage, by_style = (
        {name for name, x, y in zip(names, *pair, strict=True) if x != y} for pair in itertools.pairwise(seen)
    )
    assert set(names[:3]) <= by_short_time
    assert by_leakage == set(names[4:])
    assert not by_style


# Functions


def test_a_function_counts_as_its_module_and_so_do_classes_and_lambdas():
    assert code_version.version(audio.read_audio) == code_version.version("ser_utils.core.audio")
    assert code_version.version(optimizers.Adam) == code_version.version("ser_utils.models.optimizers")
    assert code_version.version(lambda y: y) == code_version.version(__name__)


def test_all_that_the_study_registers_has_a_version():
    registered = [entry.extract for entry in FEATURE_SETS.values()] + list(AUGMENTATIONS.values())
    registered += [function for entry in MODELS.values() for function in (entry.build, entry.optimizer)]
    assert None not in map(code_version.version, registered)


def test_a_module_outside_the_study_counts_with_what_it_imports_of_it(package):
    (package.parent / "mine.py").write_text("from ser_utils.low import late\ndef extract(): pass\n")
    ask = "import mine; print(code.version(mine.extract))"
    seen = [says(package, ask)]
    (package.parent / "mine.py").write_text("from ser_utils.low import late\ndef extract(): return 1\n")
    seen.append(says(package, ask))
    edit(package, "lowest")
    seen.append(says(package, ask))
    edit(package, "apart")
    assert len(set(seen)) == 3 and says(package, ask) == seen[-1]


def test_a_function_of_a_notebook_has_no_version(package):
    ask = "def mine(): pass\nprint(code.version(mine), code.version('ser_utils.low', mine), code.version(lambda y: y))"
    assert says(package, ask) == "None None None"


def test_a_function_made_with_values_that_are_in_no_source_has_no_version():
    def scaled(by):
        return lambda y: y * by

    assert code_version.version(scaled) is not None
    assert code_version.version(scaled(2)) is None
    assert code_version.version(functools.partial(audio.read_audio, sr=16_000)) is None
    assert code_version.version("ser_utils.core.audio", scaled(2)) is None


def test_what_was_changed_after_it_was_loaded_has_no_version(package):
    """A JupyterLab session or a cluster's worker that is older than its sources runs something else than these."""
    ask = """
import pathlib
before = code.version("ser_utils.top")
for name in ("apart", "lowest"):
    path = pathlib.Path(code.__file__).parents[1] / f"{name}.py"
    path.write_text(path.read_text() + "# edited")
    print(code.version("ser_utils.top") == before, code.version("ser_utils.top"))
"""
    first, second = says(package, ask).splitlines()
    assert first.startswith("True ") and second == "False None"
    assert len(version(package, "top")) == 64


# Packages and platform


def computed(names=("ser_utils.core.errors",)):
    return code_version._version.__wrapped__(names, "")


@pytest.mark.parametrize("package", code_version.PACKAGES)
def test_a_version_changes_with_a_packages_version(monkeypatch, package):
    before, installed = computed(), code_version.package_version
    monkeypatch.setattr(code_version, "package_version", lambda name: "99.9" if name == package else installed(name))
    assert computed() != before


def test_a_version_changes_with_platform_and_python(monkeypatch):
    seen = {computed()}
    monkeypatch.setattr(code_version.platform, "machine", lambda: "vax")
    seen.add(computed())
    monkeypatch.setattr(code_version.sys, "version_info", (4, 0, 0))
    seen.add(computed())
    assert len(seen) == 3


def test_every_package_that_computes_is_among_those_that_count():
    """A package that the features' or networks' modules import, and that is not in the list, would change results unseen."""
    known = {"sklearn": "scikit-learn"} | {name: name for name in code_version.PACKAGES}
    harmless = {"joblib", "threadpoolctl", "IPython", "tqdm", "distributed", "lazy_loader", "ser_utils"}
    computing = [paths.PACKAGE / "core" / "audio.py", *paths.PACKAGE.glob("features/*.py"), *paths.PACKAGE.glob("models/*.py")]
    for path in computing:
        source = path.read_text(encoding="utf-8")
        found = {line.split()[1].split(".")[0] for line in source.splitlines() if line.startswith(("import ", "from "))}
        other = found - set(sys.stdlib_module_names) - set(known) - harmless
        assert not other, f"{path.name} imports {other}"


# What a source imports


def test_imports_are_found_however_they_are_written():
    source = """
import ser_utils.core.audio, numpy
import ser_utils.figures.style as p
from ser_utils.core import cache, nothing
from ser_utils.features import FeatureSet
def late():
    from ser_utils.evaluation import protocols
"""
    found = code_version.imported(source)
    names = ("core.audio", "core.cache", "evaluation.protocols", "features.registry", "figures.style")
    assert set(found) - {name for name in found if name.startswith("ser_utils.core")} == {f"ser_utils.{n}" for n in names[2:]}
    assert {f"ser_utils.{name}" for name in names[:2]} <= set(found)
    assert code_version.imported(b"import numpy") == []


@pytest.mark.parametrize("source", ["%matplotlib inline\nfrom ser_utils import audio", "from ser_utils import", "!ls"])
def test_what_cannot_be_read_is_taken_to_import_all(source):
    assert code_version.imported(source) == code_version.modules()


# Subpackages


@pytest.fixture
def nested(package):
    """The small package with subpackages, one of which exports names of its modules."""
    exports = "__getattr__, __dir__, __all__ = lazy.attach(__name__, submod_attrs={'near': ['x'], 'far': ['y', 'z']})\n"
    for folder, init in {"deep": exports, "deep/deeper": "", "other": ""}.items():
        (package / folder).mkdir()
        (package / folder / "__init__.py").write_text(init)
    (package / "deep" / "near.py").write_text("x = 1\n")
    (package / "deep" / "far.py").write_text("from ser_utils.deep.deeper.bottom import b\ny = z = b\n")
    (package / "deep" / "deeper" / "bottom.py").write_text("b = 1\n")
    (package / "other" / "near.py").write_text("from ser_utils.deep.far import y\n")
    return package


def test_a_change_deep_inside_a_package_is_another_version(nested):
    for changed in ("deep/deeper/bottom", "deep/far", "deep/__init__", "other/__init__"):
        before = version(nested, "other.near")
        edit(nested, changed)
        assert version(nested, "other.near") != before, changed
    before = version(nested, "other.near")
    edit(nested, "deep/near")
    assert version(nested, "other.near") == before


def test_modules_of_the_same_name_in_two_packages_are_told_apart(nested):
    assert version(nested, "deep.near") != version(nested, "other.near")
    assert {"ser_utils.deep", "ser_utils.deep.near", "ser_utils.other.near", "ser_utils.top"} <= set(
        says(nested, "print(*code.modules())").split()
    )


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("from ser_utils.deep import x", {"near"}),
        ("from ser_utils import deep\ndeep.x", {"near"}),
        ("from ser_utils import deep as d\nd.y, d.z", {"far"}),
        ("from ser_utils.deep import near", {"near"}),
        ("from ser_utils import deep\nprint(deep)\ndeep.x", {"", "near", "far", "deeper", "deeper.bottom"}),
        ("import ser_utils.deep", {"", "near", "far", "deeper", "deeper.bottom"}),
        ("from ser_utils.deep import nothing", {"", "near", "far", "deeper", "deeper.bottom"}),
    ],
)
def test_names_of_a_package_stand_for_the_modules_that_define_them(nested, source, modules):
    expected = sorted(f"ser_utils.deep.{name}".rstrip(".") for name in modules)
    assert says(nested, f"print(*code.imported({source!r}))").split() == expected
