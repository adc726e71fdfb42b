"""A run that is killed and started again ends as one that was never interrupted, and does nothing twice."""

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.study import manifest, runner

DEMO = paths.ROOT / "data" / "demo"
SETTINGS = {
    "N_SEEDS": 1,
    "N_FOLDS": 2,
    "AUGMENTATIONS": ["noise"],
    "MODEL": "original_mlp",
    "FEATURES": "functionals",
    "SPEAKER_NORMS": ["none"],
    "BASELINES": ["majority"],
    "N_RESAMPLES": 20,
    "N_PERMUTATIONS": 20,
}
ROUNDS = [
    ("features", 1, 140, "leader"),
    ("fits", 1, 5, "all"),
    ("fits", 6, 10, "leader"),
    ("executed", 3, 3, "all"),
]
"""When a run is killed: soon after so many results or finished notebooks are there. And which of its processes: with those
that it has started, or it alone, so that these are left behind."""
LATER_S = 2


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three speakers, three emotions and four sentences of the demo corpus."""
    folder = tmp_path_factory.mktemp("data")
    for speaker in ("f1", "m1", "m2"):
        (folder / "demo" / speaker).mkdir(parents=True)
        for emotion in ("neu", "rab", "tri"):
            for path in DEMO.glob(f"{speaker}/{emotion}-*.ogg"):
                shutil.copy(path, folder / "demo" / speaker)
    return folder


class Run:
    """Runs of the study into a folder of its own."""

    def __init__(self, folder: Path, data: Path):
        self.folder, self.started = folder, []
        self.environment = os.environ | {"SER_DATA": str(data), "SER_PROGRESS": "off"}
        self.environment |= {f"SER_{name}": str(folder / name.lower()) for name in ("OUT", "REPORTS", "CACHE")}

    def start(self) -> psutil.Popen:
        settings = [part for name, value in SETTINGS.items() for part in ("--set", f"{name}={json.dumps(value)}")]
        command = [sys.executable, "-m", "ser_utils", "run", "demo", *settings]
        with (self.folder / "log").open("a") as log:
            run = psutil.Popen(command, cwd=paths.ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True)
        self.started.append(run)
        return run

    def kill(self, run: psutil.Popen, which: str) -> None:
        others = run.children(recursive=True)
        self.started += others
        run.send_signal(signal.SIGKILL)
        for process in others if which == "all" else []:
            _kill(process)
        run.wait()

    def end(self) -> None:
        """End all that was started and what that has started."""
        for process in self.started:
            for one in [process, *(process.children(recursive=True) if process.is_running() else [])]:
                _kill(one)

    def said(self) -> str:
        return (self.folder / "log").read_text()

    def done(self) -> dict[Path, int]:
        """What is finished, results in the cache and markers of notebooks, with the time at which each was written."""
        found = [*(self.folder / "cache").glob("*/*/[!.]*"), *(self.folder / "out" / "demo" / "executed").glob("0*.json")]
        return {path.relative_to(self.folder): path.stat().st_mtime_ns for path in found}

    def results(self) -> dict[str, bytes | str | dict]:
        """What is in every file below ``out/``; of the network what it holds, as its file has a date."""
        out = self.folder / "out"
        names = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
        found = {}
        for name, path in names.items():
            if path.suffix == ".keras":
                found[name] = manifest.content_hash(path)
            elif path.name == "03_train_mlp.json":  # among others it has a hash of the network's file
                found[name] = json.loads(path.read_text())
                del found[name]["left"]["out/demo/model/model.keras"]
            elif path.name != "run.json":
                found[name] = path.read_bytes()
        return found


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


@pytest.fixture
def runs(tmp_path, data):
    """Two runs of the same, one to be left alone and one to be killed."""
    both = []
    for name in ("alone", "killed"):
        (tmp_path / name).mkdir()
        both.append(Run(tmp_path / name, data))
    yield both
    for run in both:
        run.end()


def test_a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been(runs, monkeypatch):
    alone, killed = runs
    monkeypatch.setattr(paths, "OUT", killed.folder / "out")
    reference, moments, finished = alone.start(), np.random.default_rng(4), []
    for what, fewest, most, which in ROUNDS:
        run, number = killed.start(), moments.integers(fewest, most, endpoint=True)
        while sum(what in path.parts for path in killed.done()) < number:
            assert run.poll() is None, f"it was over before it was killed: {killed.said()}"
            time.sleep(0.02)
        time.sleep(moments.uniform(0, LATER_S))
        with pytest.raises(StudyError, match="Another run is writing out/demo"), runner._run_lock("demo"):
            pass
        killed.kill(run, which)
        finished.append(killed.done())
        print(which, number, len(finished[-1]), killed.said().splitlines()[-1:])
    assert killed.start().wait(timeout=300) == 0, killed.said()
    assert reference.wait(timeout=300) == 0, alone.said()
    here, there = killed.results(), alone.results()
    assert sorted(here) == sorted(there)
    assert [name for name in here if here[name] != there[name]] == []
    for before in finished:
        assert before.items() <= killed.done().items(), "something was done twice"
