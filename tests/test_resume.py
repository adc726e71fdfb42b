"""A run that is killed and started again ends as one that was never interrupted, and computes nothing twice."""

import json
import time
from pathlib import Path

import pytest
from runs import StudyRun

from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.study import manifest, runner

ROUNDS = [("fits", 2, False), ("executed", 4, True)]
"""When a run is killed: as soon as so many fits are in the cache, or so many notebooks have ended; and whether it is killed
alone, so that its kernel and workers are left behind."""


@pytest.fixture
def killed(tmp_path, voices):
    """A run to kill; at the end, nothing that it has started is left."""
    run = StudyRun(tmp_path, voices)
    yield run
    run.end()


def finished_work(run: StudyRun) -> dict[Path, int]:
    """Results in the cache and markers of notebooks, with the time at which each was written."""
    files = [*(run.folder / "cache").glob("*/*/[!.]*"), *(run.folder / "out").glob("*/executed/0*.json")]
    return {path.relative_to(run.folder): path.stat().st_mtime_ns for path in files}


def results(run: StudyRun) -> dict[str, bytes | str | dict]:
    """Content of every file below ``out/``; of the network its weights and layers, as its file has a date."""
    out, contents = run.folder / "out", {}
    for path in (path for path in out.rglob("*") if path.is_file()):
        name = path.relative_to(out).as_posix()
        if path.suffix == ".keras":
            contents[name] = manifest.content_hash(path)
        elif path.name == "03_train_mlp.json":  # has a hash of the network's file
            contents[name] = json.loads(path.read_text())
            del contents[name]["left"]["out/model/model.keras"]
        elif path.name != "run.json":
            contents[name] = path.read_bytes()
    return contents


def test_a_run_that_is_killed_and_started_again_ends_as_if_it_had_not_been(finished_run, killed, monkeypatch):
    monkeypatch.setattr(paths, "OUT", killed.folder / "out")
    before = []
    for what, number, only_leader in ROUNDS:
        run = killed.start()
        while sum(what in path.parts for path in finished_work(killed)) < number:
            assert run.poll() is None, f"it ended before it was killed: {killed.log()}"
            time.sleep(0.02)
        with pytest.raises(StudyError, match="Another run is writing out/my_voices"), runner._run_lock("my_voices"):
            pass
        killed.kill(only_leader=only_leader)
        before.append(finished_work(killed))
    assert killed.start().wait(timeout=600) == 0, killed.log()
    here, there = results(killed), results(finished_run)
    assert sorted(here) == sorted(there)
    assert [name for name in here if here[name] != there[name]] == []
    for work in before:
        assert work.items() <= finished_work(killed).items(), "something was computed twice"
