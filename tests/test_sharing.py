"""Two processes that share the tests run each file once, and note what fails."""

import os
import shutil
import subprocess
import sys

from ser_utils.core.paths import ROOT

TESTS = """
import time
from pathlib import Path
import pytest

@pytest.fixture(scope="session")
def folder(): yield Path(__file__).parent

def test_first(folder):
    with (folder / "ran").open("a") as file: file.write(Path(__file__).name + "\\n")
    until = time.monotonic() + 60
    while len(set((folder / "ran").read_text().split())) < 2 and time.monotonic() < until: time.sleep(0.01)

def test_second(folder): assert "test_3" not in __file__
"""


def test_two_processes_run_each_file_once_and_note_what_fails(tmp_path):
    """In two folders; the first test of each process waits for the other one."""
    shutil.copy(ROOT / "conftest.py", tmp_path)
    for number in range(6):
        file = tmp_path / "ab"[number % 2] / f"test_{number}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(TESTS.replace("Path(__file__).parent", "Path(__file__).parent.parent"))
    (tmp_path / "shared").mkdir()
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path]
    environment = os.environ | {"SER_TESTS_SHARED": str(tmp_path / "shared"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    both = [subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True) for _ in "ab"]
    outputs = [process.communicate()[0] for process in both]
    assert sorted((tmp_path / "ran").read_text().split()) == [f"test_{number}.py" for number in range(6)]
    assert (tmp_path / "shared" / "failed").read_text() == "FAILED b/test_3.py::test_second\n"
    assert sorted(process.returncode for process in both) == [0, 1]
    assert sum(output.count(" passed") for output in outputs) == 2, outputs
