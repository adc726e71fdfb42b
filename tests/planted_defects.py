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
COPIED = ("ser_utils", "tests", "benchmarks", "data/demo", "conftest.py", "pyproject.toml")
"""What the tests below need."""
RESULTS, FEATURES = "tests/test_recomputed_results.py", "tests/test_plain.py"


@dataclass(frozen=True)
class Defect:
    """A change of one line of the code, and the test file that finds it."""

    file: str
    old: str
    new: str
    tests: str


DEFECTS = {
    "two labels swapped in the registry": Defect("ser_utils/corpora/registry.py", '"gio", "pau"', '"pau", "gio"', RESULTS),
    "two labels swapped in the predictions": Defect(
        "ser_utils/experiments/experiment.py",
        "predicted=[data.classes[i] for",
        "predicted=[[data.classes[1], data.classes[0], *data.classes[2:]][i] for",
        RESULTS,
    ),
    "scaler dropped": Defect("ser_utils/models/fits.py", "scaled = scaler.transform(x)", "scaled = x.copy()", RESULTS),
    "a test row in training": Defect(
        "ser_utils/experiments/fits.py",
        "                    train=train,",
        "                    train=np.append(train, roles[TEST][0]),",
        RESULTS,
    ),
    "MFCC shifted by one": Defect("ser_utils/features/spectra.py", "cepstrum[i] for i", "cepstrum[i + 1] for i", FEATURES),
}


def first_failure(defect: Defect) -> str:
    """Name of the first test that fails with a defect; empty if none does.

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
        source = (copy / defect.file).read_text(encoding="utf-8")
        assert source.count(defect.old) == 1, f"{defect.file} has {source.count(defect.old)} times {defect.old!r}"
        (copy / defect.file).write_text(source.replace(defect.old, defect.new), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "-rf", defect.tests],
            cwd=copy,
            env=os.environ | {"PYTHONPATH": str(copy), "NUMBA_CACHE_DIR": str(ROOT / ".cache" / "numba")},  # no compiling anew
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = re.search(r"^FAILED \S+::(\w+)", done.stdout, re.MULTILINE)
    return found.group(1) if found else ""


if __name__ == "__main__":
    missed = False
    for name, defect in DEFECTS.items():
        found = first_failure(defect)
        missed |= not found
        print(f"{name}: {found or 'NOT FOUND'}", flush=True)
    sys.exit(missed)
