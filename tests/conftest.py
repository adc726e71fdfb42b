"""Fixtures that several test files share."""

import os
from collections.abc import Iterator

import pytest
from browser import NAMES, find_chromium, launch
from playwright.sync_api import Browser


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
