"""The scripts that make the environment, in a copy of the study, with a stand-in for Python that takes no time."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ser_utils.core.paths import ROOT

# What takes minutes (making .venv, installing, compiling) is a script of the test; all else is done by the real Python.
STAND_IN = """#!/bin/sh
echo "$*" >>{folder}/calls
case "$*" in
  "-m venv"*) . {folder}/venv; rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
  "-m pip"*) . {folder}/pip ;;
  "-m pytest"*) . {folder}/pytest ;;
  *warm_up*) ;;
  --version) echo "Python {version}" ;;
  "-m ser_utils"*) echo "$0 $*" ;;
  *"sys.exit(not"*) exec {python} -c "import sys; sys.version_info = tuple(map(int, '{version}'.split('.'))); $2" ;;
  *) {path} exec {python} "$@" ;;
esac
"""
TOOLS = ("bash", "sh", "env", "cat", "cksum", "cp", "dirname", "grep", "mkdir", "mktemp", "readlink", "rm", "sleep", "tail")


class Study:
    """A copy of what makes the environment, in a folder whose name has a space, and a PATH with little on it."""

    def __init__(self, folder: Path):
        self.folder, self.root, self.bin = folder, folder / "my study", folder / "bin"
        self.bin.mkdir()
        (self.root / "ser_utils").mkdir(parents=True)
        (self.root / "ser_utils" / "__init__.py").touch()
        for name in ("run_all.sh", "run_tests.sh", "pyproject.toml", "requirements.lock", "scripts/environment.sh"):
            (self.root / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, self.root / name)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        for command in ("venv", "pip", "pytest"):
            self.script(command, ":")
        self.python(self.bin / "python3")
        self.env = {"PATH": str(self.bin), "HOME": str(folder)}

    def script(self, command: str, script: str) -> None:
        """Set what the stand-in does at ``-m venv``, ``-m pip`` or ``-m pytest``."""
        (self.folder / command).write_text(script + "\n")

    def python(self, path: Path, version: str = "3.12.1", finds_study: bool = False) -> None:
        """Write a stand-in for Python."""
        path.parent.mkdir(parents=True, exist_ok=True)
        variable = f"PYTHONPATH={shlex.quote(str(self.root))}" if finds_study else ""
        python = shlex.quote(sys.executable)
        path.write_text(STAND_IN.format(folder=self.folder, version=version, python=python, path=variable))
        path.chmod(0o755)

    def start(self, *arguments: str, script: str = "run_all.sh", **env: str) -> subprocess.CompletedProcess:
        command = [self.root / script, *arguments]
        return subprocess.run(command, env=self.env | env, capture_output=True, text=True, timeout=60, cwd=self.bin)

    def popen(self, script: str = "run_all.sh") -> subprocess.Popen:
        """Start the study or its tests, and return when a script of the test has begun."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen([self.root / script], env=self.env, start_new_session=True, **pipes)
        while not (self.folder / "begun").exists() and process.poll() is None:
            time.sleep(0.05)
        return process

    def calls(self, beginning: str) -> list[str]:
        """Return what the stand-ins were called with, so far."""
        return [call for call in (self.folder / "calls").read_text().splitlines() if call.startswith(beginning)]

    def runs(self, python: Path | None = None, **env: str) -> bool:
        """Start the study; return whether it ran in that Python, by default the one of .venv."""
        done = self.start(**env)
        return done.returncode == 0 and done.stdout.endswith(f"{python or self.root / '.venv/bin/python'} -m ser_utils run\n")

    def fails(self, *words: str, **env: str) -> bool:
        """Start the study; return whether it fails with one sentence that has these words."""
        done = self.start(**env)
        sentence = done.stderr.strip()
        return done.returncode == 1 and "\n" not in sentence and all(word in sentence for word in words)


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def test_first_start_makes_venv_from_the_lock_and_the_second_only_starts_the_study(study):
    assert study.start("demo", "--set", "N_SEEDS=1").returncode == 0
    locked, own = study.calls("-m pip install")
    assert locked.endswith(f"--require-hashes -r {study.root}/requirements.lock")
    assert own.endswith(f"--no-deps --no-build-isolation -e {study.root}") and study.calls("-c from ser_utils")
    assert study.calls("-m ser_utils") == ["-m ser_utils run demo --set N_SEEDS=1"]
    before = len(study.calls(""))
    assert study.runs()
    assert len(study.calls("")) == before + 2, "a look at the version, and the study"


def test_started_through_a_link(study):
    (study.bin / "link").symlink_to("../my study/run_all.sh")
    assert study.start(script="../bin/link").returncode == 0 and (study.root / ".venv/study").exists()


@pytest.mark.parametrize("where", ["-p", "-f"], ids=["in the shown process", "in the process with a log"])
def test_run_tests_shares_all_tests_between_two_processes_and_fails_where_one_fails(study, where):
    note = 'echo "FAILED tests/$PPID" >>"$SER_TESTS_SHARED/failed"'
    study.script("pytest", f"echo all of it; if [ {where} /dev/stdout ]; then {note}; exit 3; fi")
    done = study.start(script="run_tests.sh")
    assert done.returncode == 3 and done.stdout.count("all of it") == 2
    assert done.stdout.splitlines()[-1].startswith("FAILED tests/")
    assert study.calls("-m pytest") == ["-m pytest"] * 2


def test_run_tests_ends_when_it_is_interrupted(study):
    study.script("pytest", f": >{study.folder}/begun; exec sleep 60")
    process = study.popen("run_tests.sh")
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode != 0


@pytest.mark.parametrize("numeric", [False, True])
def test_ci_runs_the_numeric_tests_on_another_processor_too_and_fails_where_one_fails(study, numeric):
    for name in (".ci/run", "tests/other_processor.env"):
        (study.root / name).parent.mkdir()
        shutil.copy(ROOT / name, study.root / name)
    for tool, does in {"uname": "echo x86_64", "chromium": "", "espeak-ng": ""}.items():
        (study.bin / tool).write_text(f"#!/bin/sh\n{does}\n")
        (study.bin / tool).chmod(0o755)
    pattern = '*"-m numeric"*' if numeric else '"-m pytest"'
    study.script("pytest", f'echo begun; echo "$CI $ONEDNN_MAX_CPU_ISA"; case "$*" in {pattern}) echo stopped; exit 3 ;; esac')
    done = study.start(script=".ci/run")
    assert done.returncode == 3 and done.stdout.count("stopped") == (1 if numeric else 2)
    assert (
        study.calls("-m pytest tests") == ["-m pytest tests -m numeric -k not one_process_or_two"]
        and len(study.calls("-m pytest")) == 3
    )
    all_tests, _, again = done.stdout.partition("as on another processor:")
    assert "AVX2" not in all_tests and "true AVX2" in again
    assert ("begun" in again) == numeric, "of tests that pass only the last line is shown"


def test_run_tests_passes_its_arguments_to_pytest(study):
    study.start("-k", "folds", script="run_tests.sh")
    assert study.calls("-m pytest") == ["-m pytest -k folds"]


@pytest.mark.parametrize(("variable", "finds_study"), [("VIRTUAL_ENV", True), ("CONDA_PREFIX", True), ("VIRTUAL_ENV", False)])
def test_active_environment_is_used_if_it_has_this_checkout(study, variable, finds_study):
    active = study.folder / "active"
    study.python(active / "bin" / "python", finds_study=finds_study)
    assert study.runs(active / "bin/python" if finds_study else None, **{variable: str(active)})
    assert (study.root / ".venv").exists() != finds_study


@pytest.mark.parametrize("dependency", ["no-such-package", "numpy>=999"])
def test_active_environment_without_a_dependency_is_not_used(study, dependency):
    study.python(study.folder / "active" / "bin" / "python", finds_study=True)
    settings = study.root / "pyproject.toml"
    settings.write_text(settings.read_text().replace("dependencies = [", f'dependencies = [\n    "{dependency}",'))
    assert study.runs(CONDA_PREFIX=str(study.folder / "active"))


@pytest.mark.parametrize("version", ["3.10.13", "3.14.0"])
def test_python_out_of_range(study, version):
    study.python(study.bin / "python3", version)
    assert study.fails("No Python 3.11, 3.12 or 3.13", f"Python {version}")
    study.python(study.bin / "python3.11", "3.11.0")
    assert study.runs()


def test_python_without_venv_module(study):
    (study.bin / "python3").write_text("#!/bin/sh\nexit 1\n")
    assert study.fails("venv module", "apt install python3-venv")
    study.python(study.bin / "python3.13", "3.13.9")
    assert study.runs()


@pytest.mark.parametrize(
    ("command", "error", "words"),
    [
        ("venv", "Error: [Errno 28] No space left on device", "disk is full"),
        ("pip", "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("pip", "urllib3.exceptions.ReadTimeoutError: Read timed out.", "could not be downloaded"),
    ],
)
def test_failure_is_one_sentence_and_the_next_start_makes_venv_anew(study, command, error, words):
    study.script(command, f"echo '{error}' >&2; exit 1")
    assert study.fails(words, "same command again")
    study.script(command, ":")
    assert study.runs() and len(study.calls("-m venv")) == 2


def test_other_failure_shows_what_pip_reported(study):
    study.script("pip", "echo Collecting numpy; echo 'ERROR: THESE PACKAGES DO NOT MATCH THE HASHES' >&2; exit 1")
    done = study.start()
    assert "DO NOT MATCH THE HASHES\nMaking .venv failed" in done.stderr and "Collecting numpy" in done.stdout


def test_no_network(study):
    """The real pip, which installs nothing in a dry run, and no server at the other end."""
    study.script("pip", f'shift 3; exec {shlex.quote(sys.executable)} -m pip install --dry-run --ignore-installed "$@"')
    assert study.fails(
        "could not be downloaded", PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_CONFIG_FILE=os.devnull, PIP_RETRIES="1"
    )
    assert not (study.root / ".venv/study").exists()


def test_folder_that_cannot_be_written_to(study):
    (study.root / ".cache").touch()  # a file in place of the folder stops the superuser too
    assert study.fails("cannot be written to", "copy the study")


@pytest.mark.parametrize(
    ("by", "message"), [(signal.SIGKILL, ""), (signal.SIGINT, "Stopped; the same command starts again.\n")]
)
def test_interrupted_installation_is_done_anew(study, by, message):
    study.script("pip", f"trap 'exit 1' INT; : >{study.folder}/begun; sleep 60")
    process = study.popen()
    os.killpg(process.pid, by)
    assert process.communicate(timeout=120)[1] == message and process.returncode != 0
    study.script("pip", ":")
    assert study.runs() and len(study.calls("-m venv")) == 2


def test_two_starts_at_once_make_one_environment(study):
    study.script("pip", f": >{study.folder}/begun; sleep 1")
    first = study.popen()
    second = study.start()
    assert "-m ser_utils run" in first.communicate(timeout=120)[0] and "-m ser_utils run" in second.stdout
    assert len(study.calls("-m venv")) == 1 and len(study.calls("-m pip install")) == 2


@pytest.mark.parametrize("change", ["lock", "folder", "python"])
def test_environment_is_made_anew_when_it_no_longer_fits(study, change):
    assert study.runs()
    if change == "lock":
        (study.root / "requirements.lock").write_text("# changed\n")
    elif change == "folder":
        study.root = study.root.rename(study.root.with_name("moved"))
    else:
        (study.root / ".venv/bin/python").unlink()
    assert study.runs() and len(study.calls("-m venv")) == 2
