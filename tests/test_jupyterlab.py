"""A notebook as a person opens it: JupyterLab in a browser, "Run All Cells", no error, and a figure to be seen.

nbval runs all notebooks; this test adds that they run in JupyterLab. It works on a copy without outputs.
"""

import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, expect

from ser_utils.core.paths import NOTEBOOKS

NOTEBOOK = "01_explore.ipynb"
START_S, RUN_S = 60, 300
# From JupyterLab's own model of the open notebook: the page shows an error just as it shows a warning.
CODE_CELLS = """() => jupyterapp.shell.currentWidget.content.model.toJSON().cells
    .filter((cell) => cell.cell_type === "code")
    .map((cell) => ({
        count: cell.execution_count,
        errors: cell.outputs.filter((output) => output.output_type === "error").map((output) => output.evalue),
    }))"""
FINISHED = f"""() => {{
    const cells = ({CODE_CELLS})();
    return cells.at(-1).count || cells.some((cell) => cell.errors.length);
}}"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_up(address: str, server: subprocess.Popen, log: Path) -> None:
    """Return when the server answers; fail with the end of its log when it dies or takes too long."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture
def lab(tmp_path) -> Iterator[str]:
    """A JupyterLab server on a copy of the notebook; yields the notebook's address."""
    book = nbformat.read(NOTEBOOKS / NOTEBOOK, as_version=4)
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    (tmp_path / "notebooks").mkdir()
    nbformat.write(book, tmp_path / "notebooks" / NOTEBOOK)
    port, token = free_port(), secrets.token_hex(16)
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *(f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"),
        f"--ServerApp.root_dir={tmp_path / 'notebooks'}",
        *(
            "--LabApp.extension_manager=readonly",
            "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            "--LabApp.expose_app_in_browser=True",
        ),
    ]
    # The user's own configuration stays out, and the kernel is the one of this Python.
    own = {f"JUPYTER_{name}_DIR": str(tmp_path / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    environment = os.environ | own | {f"SER_{name}": str(tmp_path / name.lower()) for name in ("OUT", "REPORTS")}
    log = tmp_path / "lab.log"
    with log.open("w") as output:
        server = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=output, stderr=output)
    try:
        wait_until_up(f"http://127.0.0.1:{port}/api/status?token={token}", server, log)
        yield f"http://127.0.0.1:{port}/lab/tree/{NOTEBOOK}?reset&token={token}"
    finally:
        server.terminate()  # ends its kernel too
        server.wait(timeout=30)


def test_jupyterlab_runs_all_cells_and_shows_the_figures(lab: str, chromium: Browser):
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    status = page.locator("#jp-main-statusbar")
    page.goto(lab)
    expect(status).to_contain_text("| Idle", timeout=START_S * 1000)
    assert page.locator(".jp-RenderedImage img").count() == 0
    page.locator(".lm-MenuBar-item", has_text="Run").click()
    page.locator(".lm-Menu-item[data-command='runmenu:run-all']").click()
    page.wait_for_function(FINISHED, timeout=RUN_S * 1000)
    cells = page.evaluate(CODE_CELLS)
    assert [message for cell in cells for message in cell["errors"]] == []
    assert [cell["count"] for cell in cells] == list(range(1, len(cells) + 1)) and cells
    figure = page.locator(".jp-RenderedImage img").first
    figure.scroll_into_view_if_needed()
    assert figure.evaluate("img => img.naturalWidth") > 300
