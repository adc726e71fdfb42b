"""Fixtures that several test files share."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from browser import NAMES, find_chromium, launch
from playwright.sync_api import Browser
from runs import RECORDINGS, StudyRun, write_results

from ser_utils.core import paths
from ser_utils.study import manifest

# A shell without job control starts background commands with SIGINT ignored, and every child would inherit that: tests that
# interrupt a child would wait for it in vain. With a handler set here, children start with the default action.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# Per module, not per session: while Playwright runs its event loop, papermill cannot run one of its own.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Headless Chromium; without one the test is skipped, and fails in CI, where it has to be there."""
    executable = find_chromium()
    if executable is None:
        reason = f"needs one of {', '.join(NAMES)} on the PATH"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with launch(executable) as browser:
        yield browser


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory, voices) -> StudyRun:
    """The whole study on `voices` with few folds and resamples, never interrupted."""
    run = StudyRun(tmp_path_factory.mktemp("finished"), voices)
    try:
        assert run.start().wait(timeout=600) == 0, run.log()
    finally:
        run.end()
    return run


@pytest.fixture
def out(tmp_path, monkeypatch):
    """Folder with the results of a run on a corpus of three recordings, in a data and an output folder of its own."""
    for name in ("DATA", "OUT"):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
    for name, content in RECORDINGS.items():
        (paths.DATA / "demo" / name).parent.mkdir(parents=True, exist_ok=True)
        (paths.DATA / "demo" / name).write_bytes(content)
    return write_results(paths.OUT / "demo")


@pytest.fixture
def written(out):
    """The same with a manifest."""

    manifest.write("demo", "demo", {})
    return out
