"""A whole run on a folder of which little is known; and one that is killed and started again, which ends the same.

Both are in one file, as each file is run by one process (see conftest.py): that run is done once.
"""

import json
import re
import time
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from runs import StudyRun

from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.study import manifest, notebooks, runner

ROUNDS = [("fits", 2, False), ("executed", 4, True)]
"""When a run is killed: as soon as so many fits are in the cache, or so many notebooks have ended; and whether it is killed
alone, so that its kernel and workers are left behind."""
PROMISES = ("unseen speaker", "new speaker", "never heard", "speaker-independent")
DENIALS = (
    r"tests unseen speakers[^.]*\. \*Folds made: no",
    r"[^.]*\b(?:do|does) not apply to unseen speakers",
    r"[^.]*\bsay nothing about unseen speakers",
)
"""Sentences that name unseen speakers to say that there is no result for them."""
PAGES = ("index", *(book.stem for book in notebooks.list_notebooks()))


@pytest.fixture(scope="module")
def voices(tmp_path_factory) -> Path:
    """A folder of the user's own: two emotions, eight and five clips of tones with noise, without speakers and sentences."""
    folder, rng = tmp_path_factory.mktemp("voices") / "My voices", np.random.default_rng(0)
    for emotion, f0, n in (("happy", 400, 8), ("sad", 150, 5)):
        (folder / emotion).mkdir(parents=True)
        for i in range(n):
            t = np.arange(8000) / 16_000
            y = 0.3 * np.sin(2 * np.pi * f0 * (1 + 0.02 * i) * t) + 0.02 * rng.normal(size=t.size)
            sf.write(folder / emotion / f"{i}.wav", y, 16_000)
    return folder


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory, voices) -> StudyRun:
    """The whole study on `voices` with few folds and resamples, never interrupted."""
    run = StudyRun(tmp_path_factory.mktemp("finished"), voices)
    try:
        assert run.start().wait(timeout=600) == 0, run.log()
    finally:
        run.end()
    return run


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


def text_of(book):
    """What an executed notebook says below its cells."""
    outputs = [out for cell in book.cells if cell.cell_type == "code" for out in cell.outputs]
    return " ".join(str(out.get("text") or out.get("data", {}).get("text/markdown", "")) for out in outputs)


def test_a_folder_without_speakers_gives_all_reports_and_promises_nothing_of_new_voices(finished_run):
    out, pages = finished_run.folder / "out" / "my_voices", finished_run.folder / "reports" / "my_voices"
    assert sorted(page.stem for page in pages.glob("*.html")) == sorted(PAGES)
    assert list(pd.read_csv(out / "folds.csv").protocol.unique()) == ["clip"]
    metrics = pd.read_csv(out / "metrics.csv")
    assert set(metrics.protocol) == {"clip"} and set(metrics.speaker_norm) == {"none"}
    assert metrics.ci_low.notna().all()
    assert set(pd.read_csv(out / "utterances.csv").emotion) == {"joy", "sadness"}
    said = " ".join(text_of(nbformat.read(book, as_version=4)) for book in sorted((out / "executed").glob("*.ipynb")))
    assert "the speaker of every clip is unknown" in said and "`speaker_norm=speaker` is left out" in said
    assert "For unseen clips of speakers who may be in training" in said and "interval over clips" in said
    index = re.sub(r"data:image/[^\"]+", "", (pages / "index.html").read_text(encoding="utf-8"))  # no pictures: slow
    assert "For unseen clips of speakers who may be in training" in index and "interval over clips" in index
    for denial in DENIALS:
        assert re.search(denial, said), denial
        said, index = (re.sub(denial, "", text) for text in (said, index))
    for promise in PROMISES:
        assert promise not in index and promise not in said


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
