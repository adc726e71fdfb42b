"""Plant a known defect in a copy of the code, and run the tests that have to find it.

python tests/planted_defects.py        each defect in turn, with the first test that fails
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("ser_utils", "tests", "benchmarks", "data/demo", "pyproject.toml")
"""What the tests below need."""
LABELS, SVM, NETWORK = (
    f"tests/test_recomputed_results.py::test_demo_{name}"
    for name in ("emotions_are_the_codes_in_the_file_names", "uar_of_a_baseline", "uar_of_unseen_speakers")
)
FEATURES = "tests/test_plain.py::test_functionals_equal_the_reference"


@dataclass(frozen=True)
class Defect:
    """A change of one line of the code, and the test that finds it."""

    file: str
    old: str
    new: str
    test: str


DEFECTS = {
    "two labels swapped in the registry": Defect("ser_utils/corpora/registry.py", '"gio", "pau"', '"pau", "gio"', LABELS),
    "two labels swapped in the predictions": Defect(
        "ser_utils/experiments/experiment.py",
        "predicted=[data.classes[i] for",
        "predicted=[[data.classes[1], data.classes[0], *data.classes[2:]][i] for",
        SVM,
    ),
    "scaler dropped": Defect("ser_utils/models/fits.py", "scaled = scaler.transform(x)", "scaled = x.copy()", NETWORK),
    "a test row in training": Defect(
        "ser_utils/experiments/fits.py",
        "                    train=train,",
        "                    train=np.append(train, roles[TEST][0]),",
        SVM,
    ),
    "MFCC shifted by one": Defect("ser_utils/features/spectra.py", "cepstrum[i] for i", "cepstrum[i + 1] for i", FEATURES),
}


def failures(tests: list[str], defect: Defect | None = None, *, cache: Path) -> list[str]:
    """Names of the given tests that fail in a copy of the code, with a defect or without.

    All may share a cache: it gives the features of the demo corpus to each copy in which they are computed by the same code.

    Raises
    ------
    AssertionError
        The line to change is not in the code exactly once, or the tests did not run.
    """
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name)
        for part in COPIED:
            (copy / part).parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(ROOT / part, copy / part)
        if defect:
            source = (copy / defect.file).read_text(encoding="utf-8")
            assert source.count(defect.old) == 1, f"{defect.file} has {source.count(defect.old)} times {defect.old!r}"
            (copy / defect.file).write_text(source.replace(defect.old, defect.new), encoding="utf-8")
        own = {"PYTHONPATH": str(copy), "SER_DATA": str(copy / "data"), "NUMBA_CACHE_DIR": str(ROOT / ".cache" / "numba")}
        own |= {"SER_OUT": str(copy / "out"), "SER_CACHE": str(cache), "SER_PROGRESS": "off"}
        own |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}  # plugins take seconds to import
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--noconftest", "-o", "addopts=", "-p", "no:cacheprovider", "-rf", *tests],
            cwd=copy,
            env=os.environ | own,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return re.findall(r"^FAILED (\S+?::\w+)", done.stdout, re.MULTILINE)


if __name__ == "__main__":
    tests = sorted({defect.test for defect in DEFECTS.values()})
    missed = False
    with tempfile.TemporaryDirectory() as cache:
        print(f"without a defect: {', '.join(failures(tests, cache=Path(cache))) or 'all pass'}", flush=True)
        for name, defect in DEFECTS.items():
            found = failures([defect.test], defect, cache=Path(cache))
            missed |= not found
            print(f"{name}: {found[0] if found else 'NOT FOUND'}", flush=True)
    sys.exit(missed)
