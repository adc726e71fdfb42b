"""Fixtures that several test files share."""

import os
import signal
from collections.abc import Iterator

import pytest
from browser import NAMES, find_chromium, launch
from playwright.sync_api import Browser
from runs import RECORDINGS, write_results

from ser_utils.core import paths
from ser_utils.study import manifest

# A shell without job control starts background commands with SIGINT ignored, and every child would inherit that: tests that
# interrupt a child would wait for it in vain. With a handler set here, children start with the default action.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def without_results(tmp_path_factory) -> Iterator[None]:
    """Each file of tests starts without results; those of the notebooks, which nbval runs, are in a folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        out = tmp_path_factory.mktemp("results") / "out"
        patch.setattr(paths, "OUT", out)
        patch.setenv("SER_OUT", str(out))
        yield


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
