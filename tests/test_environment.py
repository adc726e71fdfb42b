"""The scripts that make the environment, in copies of the study, with stand-ins for Python and pip that take no time."""

import contextlib
import os
import pty
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from ser_utils.core.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DIRECT = [Requirement(line).name for line in PROJECT["dependencies"]]
LOCK = (ROOT / "requirements.lock").read_text()
TOOLS = ("bash", "sh", "env", "cat", "cksum", "cp", "dirname", "grep", "mkdir", "mktemp", "readlink", "rm", "sleep", "tail")

# A Python that does at once what takes minutes (making .venv, installing, compiling), and is the real one for the rest.
FAKE = """#!/bin/sh
echo "$*" >>{calls}
case "$*" in
  "-m venv"*) . {parts}/venv; rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
  "-m pip install"*) . {parts}/pip ;;
  "-m pytest"*) . {parts}/pytest ;;
  "-m pip --version" | -c*warm_up*) ;;
  "--version") echo "Python {version}" ;;
  "-m ser_utils"*) echo "$0 $*" ;;
  -c*) exec {python} -c "import sys; sys.version_info = {version_info}; $2" ;;
  *) exec {python} "$@" ;;
esac
"""


class Study:
    """A copy of what makes the environment, a PATH with little on it, and what was called."""

    def __init__(self, folder: Path):
        self.root, self.bin, self.parts = folder / "my study", folder / "bin", folder / "parts"
        self.calls_file = folder / "calls"
        for made in (self.root / "ser_utils", self.bin, self.parts):
            made.mkdir(parents=True)
        for name in ("run_all.sh", "run_tests.sh", "pyproject.toml", "requirements.lock"):
            shutil.copy(ROOT / name, self.root)
        shutil.copytree(ROOT / "scripts", self.root / "scripts")
        (self.root / "ser_utils" / "__init__.py").touch()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.says("venv", ":")
        self.says("pip", ":")
        self.says("pytest", ":")
        self.env = {"PATH": str(self.bin), "HOME": str(folder), "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1"}

    def says(self, part: str, script: str) -> None:
        """What the fake Python does at ``-m venv``, ``-m pip install`` or ``-m pytest``."""
        (self.parts / part).write_text(script + "\n")

    def program(self, path: Path, script: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(script)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def fake_python(self, name: str = "python3", version: str = "3.12.1") -> None:
        info = tuple(map(int, version.split(".")))
        names = {"calls": self.calls_file, "parts": self.parts, "python": shlex.quote(sys.executable)}
        self.program(self.bin / name, FAKE.format(version=version, version_info=info, **names))

    def environment(self, name: str, finds_study: bool) -> Path:
        """An environment with all packages, whose ser_utils is that of this copy or of another checkout."""
        path = f"PYTHONPATH={shlex.quote(str(self.root))} " if finds_study else ""
        run = f'case "$*" in "-m ser_utils"*) echo "$0 $*" ;; *) {path}exec {shlex.quote(sys.executable)} "$@" ;; esac'
        self.program(self.root.parent / name / "bin" / "python", f"#!/bin/sh\n{run}\n")
        return self.root.parent / name

    def start(self, *arguments: str, script: Path | None = None, **env: str) -> subprocess.CompletedProcess:
        command = [script or self.root / "run_all.sh", *arguments]
        return subprocess.run(command, env=self.env | env, capture_output=True, text=True, timeout=60, cwd=self.bin)

    def calls(self, beginning: str) -> list[str]:
        """What the fake Python was called with, so far."""
        calls = self.calls_file.read_text().splitlines() if self.calls_file.exists() else []
        return [call for call in calls if call.startswith(beginning)]


@pytest.fixture
def study(tmp_path):
    study = Study(tmp_path)
    study.fake_python()
    return study


def runs_in(done, python):
    return done.returncode == 0 and f"{python} -m ser_utils run" in done.stdout


def is_one_sentence(done, *words):
    """Status not 0, and one line on standard error that has these words."""
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and all(word in lines[0] for word in words), done.stderr
    return True


def test_first_start_makes_venv_from_the_lock_and_the_second_only_starts_the_study(study):
    assert runs_in(study.start("demo", "--set", "N_SEEDS=1"), study.root / ".venv/bin/python")
    locked, own = study.calls("-m pip install")
    assert "--require-hashes" in locked and locked.endswith(f"-r {study.root}/requirements.lock")
    assert "--no-deps" in own and own.endswith(f"-e {study.root}")
    assert study.calls("-m ser_utils") == ["-m ser_utils run demo --set N_SEEDS=1"]
    first = len(study.calls(""))
    assert runs_in(study.start(), study.root / ".venv/bin/python")
    version, run = study.calls("")[first:]
    assert version.startswith("-c import sys; pass; sys.exit(") and run == "-m ser_utils run"


def test_started_through_a_link_from_another_folder(study):
    link = study.root.parent / "elsewhere" / "link"
    link.parent.mkdir()
    link.symlink_to("../my study/run_all.sh")
    assert runs_in(study.start(script=link), study.root / ".venv/bin/python")


def test_run_tests_uses_the_same_environment(study):
    study.start(script=study.root / "run_tests.sh")
    one, other = sorted(study.calls("-m pytest"))
    kernels = one.removeprefix("-m pytest ").split()
    assert kernels[0] == "notebooks" and len(kernels) > 1
    assert other == " ".join(["-m pytest tests", *(f"--ignore={name}" for name in kernels)]), "each test in one of the halves"
    assert len(study.calls("-m venv")) == 1


def test_run_tests_hands_on_what_it_is_given(study):
    study.start("-k", "folds", script=study.root / "run_tests.sh")
    assert study.calls("-m pytest") == ["-m pytest -k folds"]


@pytest.mark.parametrize("half", ["tests ", "notebooks "])
def test_run_tests_fails_where_a_half_fails(study, half):
    study.says("pytest", f'case "$*" in "-m pytest {half}"*) exit 3 ;; esac')
    assert study.start(script=study.root / "run_tests.sh").returncode == 3
    assert len(study.calls("-m pytest")) == 2, "the other runs to its end"


@pytest.mark.parametrize("kind", ["VIRTUAL_ENV", "CONDA_PREFIX"])
def test_active_environment_with_the_study_is_used(study, kind):
    active = study.environment("active", finds_study=True)
    assert runs_in(study.start(**{kind: str(active)}), active / "bin/python")
    assert not study.calls("-m venv")


def test_active_environment_of_another_checkout_is_not_used(study):
    active = study.environment("active", finds_study=False)
    assert runs_in(study.start(VIRTUAL_ENV=str(active)), study.root / ".venv/bin/python")


@pytest.mark.parametrize("dependency", ["no-such-package", "numpy>=999"])
def test_active_environment_without_a_dependency_is_not_used(study, dependency):
    active = study.environment("active", finds_study=True)
    settings = study.root / "pyproject.toml"
    settings.write_text(settings.read_text().replace("dependencies = [", f'dependencies = [\n    "{dependency}",'))
    assert runs_in(study.start(CONDA_PREFIX=str(active)), study.root / ".venv/bin/python")


@pytest.mark.parametrize("version", ["3.10.13", "3.11.0", "3.13.9", "3.14.0"])
def test_python_is_in_range_where_pyproject_says_so(study, version):
    study.fake_python(version=version)
    done = study.start()
    if SpecifierSet(PROJECT["requires-python"]).contains(version):
        assert runs_in(done, study.root / ".venv/bin/python")
    else:
        assert is_one_sentence(done, "No Python 3.11, 3.12 or 3.13", f"Python {version}")
        assert not (study.root / ".venv").exists()


def test_no_python_at_all(study):
    (study.bin / "python3").unlink()
    assert is_one_sentence(study.start(), "No Python 3.11, 3.12 or 3.13", "no python3")


@pytest.mark.parametrize("name", ["python3.13", "python3.12", "python3.11", "python"])
def test_python_is_found_behind_a_shim_that_fails(study, name):
    study.program(study.bin / "python3", "#!/bin/sh\necho 'pyenv: python3: command not found' >&2\nexit 127\n")
    study.fake_python(name)
    assert runs_in(study.start(), study.root / ".venv/bin/python")


def test_python_that_can_make_an_environment_is_preferred(study):
    script = 'case "$*" in *ensurepip* | "-m venv"*) exit 1 ;; *) exec python3.12 "$@" ;; esac'
    study.program(study.bin / "python3", f"#!/bin/sh\n{script}\n")
    study.fake_python("python3.12")
    assert runs_in(study.start(), study.root / ".venv/bin/python")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("because ensurepip is not\navailable.  On Debian", ["no venv module", "apt install python3."]),
        ("python3: No module named venv", ["no venv module"]),
        ("OSError: [Errno 28] No space left on device", ["disk is full"]),
        ("Error: [Errno 13] Permission denied: here", ["Permission denied"]),
    ],
)
def test_venv_fails(study, said, words):
    study.says("venv", f"echo '{said}'; exit 1")
    assert is_one_sentence(study.start(), *words)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", ["disk is full"]),
        ("ERROR: No matching distribution found for tensorflow==2.21.0", ["needs Linux or macOS", "tensorflow==2.21.0"]),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", ["DO NOT MATCH THE HASHES", "install.log"]),
        ("urllib3.exceptions.ReadTimeoutError: Read timed out.", ["could not be downloaded"]),
        ("", ["failed", "install.log"]),
    ],
)
def test_pip_fails_and_the_next_start_makes_it_anew(study, said, words):
    study.says("pip", f"echo '{said}'; exit 1")
    assert is_one_sentence(study.start(), *words)
    study.says("pip", ":")
    assert runs_in(study.start(), study.root / ".venv/bin/python")
    assert len(study.calls("-m venv")) == 2


def test_no_network(study):
    """The real pip, which can harm nothing in a dry run, and no server at the other end."""
    study.says("pip", f'shift 3; exec {shlex.quote(sys.executable)} -m pip install --dry-run --ignore-installed "$@"')
    assert is_one_sentence(study.start(PIP_INDEX_URL="http://127.0.0.1:9/simple"), "could not be downloaded", "online")
    assert len(study.calls("-m pip install")) == 1 and not (study.root / ".venv/study").exists()


def test_folder_that_cannot_be_written_to(study):
    (study.root / ".cache").touch()  # a file where a folder has to go stops the owner of the machine too
    assert is_one_sentence(study.start(), "cannot be written to")


@pytest.mark.parametrize(("by", "said"), [(signal.SIGKILL, ""), (signal.SIGINT, "Stopped; the same command starts again.\n")])
def test_interrupted_installation_is_done_anew(study, by, said):
    study.says("pip", f"trap 'echo ERROR: cancelled; exit 1' INT; : >{study.parts}/begun; sleep 60")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([study.root / "run_all.sh"], env=study.env, start_new_session=True, **pipes)
    wait_for(study.parts / "begun")
    os.killpg(process.pid, by)
    assert process.communicate()[1] == said and process.returncode != 0
    study.says("pip", ":")
    assert runs_in(study.start(), study.root / ".venv/bin/python")
    assert len(study.calls("-m venv")) == 2


def test_two_starts_at_once_make_one_environment(study):
    study.says("pip", f": >{study.parts}/begun; sleep 0.5")
    first = subprocess.Popen([study.root / "run_all.sh"], env=study.env, stdout=subprocess.PIPE, text=True)
    wait_for(study.parts / "begun")
    second = study.start()
    assert "-m ser_utils run" in first.communicate()[0] and first.returncode == 0
    assert "waiting" in second.stdout and runs_in(second, study.root / ".venv/bin/python")
    assert len(study.calls("-m venv")) == 1 and len(study.calls("-m pip install")) == 2


def wait_for(path):
    for _ in range(200):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path.name} never came")


def test_environment_is_made_anew_after_the_folder_moved(study):
    study.start()
    study.root = study.root.rename(study.root.with_name("moved"))
    assert runs_in(study.start(), study.root / ".venv/bin/python")
    assert len(study.calls("-m venv")) == 2


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_changed_pins_are_installed(study, name):
    study.start()
    with (study.root / name).open("a") as file:
        file.write("# changed\n")
    study.start()
    assert len(study.calls("-m pip install")) == 4


@pytest.mark.parametrize(("status", "pip_calls"), [(0, 0), (1, 2)])
def test_uv_is_used_where_it_is_and_pip_where_it_fails(study, status, pip_calls):
    study.program(study.bin / "uv", f'#!/bin/sh\necho "$*" >>{study.parts}/uv\necho noise >&2\nexit {status}\n')
    done = study.start()
    assert runs_in(done, study.root / ".venv/bin/python") and done.stderr == ""
    assert "--require-hashes" in (study.parts / "uv").read_text().splitlines()[0]
    assert len(study.calls("-m pip install")) == pip_calls


def test_progress_is_sparse_lines_and_on_a_terminal_a_count(study):
    study.says("pip", "for i in 1 2 3 4 5 6; do for j in 0 1 2 3 4 5 6 7 8 9; do echo Collecting p$i$j==1; done; done")
    done = study.start()
    assert "50 of" in done.stdout and "49 of" not in done.stdout
    shutil.rmtree(study.root / ".venv")
    assert f"\r\x1b[K  49 of {len(pins())} packages: p58==1" in on_terminal(study)


def on_terminal(study):
    """What a start shows on a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([study.root / "run_all.sh"], env=study.env, stdout=theirs)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that nobody writes there any more
        while chunk := os.read(ours, 4096):
            shown += chunk
    os.close(ours)
    assert process.wait() == 0
    return shown.decode()


def pins():
    return re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[[a-z,]*\])?==", LOCK, re.MULTILINE)


def test_lock_pins_every_direct_dependency_with_hashes_and_names_no_host():
    assert set(DIRECT) <= set(pins())
    for entry in re.split(r"^(?=[a-z0-9])", LOCK, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in entry, entry.splitlines()[0]
    assert not re.search(r"://|index-url|find-links|@ ", LOCK)


def test_environment_yml_is_the_lock_and_says_what_each_dependency_is_for():
    text = (ROOT / "environment.yml").read_text()
    found = yaml.safe_load(text)
    python, pip, lock = found["dependencies"]
    assert found["name"] == "ser" and found["channels"] == ["conda-forge"]
    assert SpecifierSet(python.removeprefix("python")) == SpecifierSet(PROJECT["requires-python"])
    assert (pip, lock) == ("pip", {"pip": ["-r requirements.lock"]})
    said = dict(re.findall(r"^ +# ([a-z0-9-]+) {2,}(\S.+)$", text, re.MULTILINE))
    assert sorted(said) == sorted(DIRECT)


def test_binder_installs_the_study_itself():
    assert "pip install --no-deps -e ." in (ROOT / "postBuild").read_text()
    assert os.access(ROOT / "postBuild", os.X_OK)


def test_every_target_of_the_makefile_explains_itself():
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)[1].split()
    assert set(re.findall(r"^([a-z]+):  ## .{10,}$", text, re.MULTILINE)) == set(phony)
    assert {"help", "run", "emovo", "tests", "notebooks", "lock", "lint", "clean"} == set(phony)
