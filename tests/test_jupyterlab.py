"""Each notebook, opened by a person: JupyterLab in a browser, "Run All Cells", and no error to be seen.

Works on copies without outputs, so that each count and output seen is of this run, and what is committed
stays as it is. The notebooks run in order and share one folder for their results, as they do for a person.
"""

import json
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
from playwright.sync_api import Browser, Page, expect

from ser_utils.core.paths import NOTEBOOKS

NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))
START_S, RUN_S = 60, 300
# From JupyterLab's own model of the open notebook: the page shows an error just as it shows a warning.
CODE_CELLS = """() => jupyterapp.shell.currentWidget.content.model.toJSON().cells
    .filter((cell) => cell.cell_type === "code")
    .map((cell) => ({
        count: cell.execution_count,
        errors: cell.outputs.filter((each) => each.output_type === "error").map((each) => each.evalue),
    }))"""
FINISHED = f"""() => {{
    const cells = ({CODE_CELLS})();
    return cells.at(-1).count || cells.some((cell) => cell.errors.length);
}}"""
# Nothing from the network, nothing saved.
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "docmanager-extension/plugin": {"autosave": False},
}


def without_outputs(source: Path, target: Path) -> None:
    """Copy a notebook as if it had never run, for one seed: as much is to be seen, in half the time."""
    notebook = nbformat.read(source, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            cell.source = cell.source.replace("N_SEEDS: int = 5", "N_SEEDS: int = 1")
    nbformat.write(notebook, target)


def write_settings(folder: Path) -> None:
    for plugin, values in SETTINGS.items():
        path = folder / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))


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


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[str]:
    """A JupyterLab server on copies of the notebooks; yields an address to put a notebook's name into."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "notebooks").mkdir()
    for name in NAMES:
        without_outputs(NOTEBOOKS / name, folder / "notebooks" / name)
    write_settings(folder / "settings")
    port, token = free_port(), secrets.token_hex(16)
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
        f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={folder / 'notebooks'}",
        f"--LabApp.user_settings_dir={folder / 'settings'}",
        f"--LabApp.workspaces_dir={folder / 'workspaces'}",
        "--LabApp.extension_manager=readonly",
        "--LabApp.expose_app_in_browser=True",
    ]
    # The user's own configuration stays out, and the kernel is the one of this Python.
    own = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    environment = os.environ | own | {"SER_OUT": str(folder / "out"), "SER_REPORTS": str(folder / "reports")}
    log = folder / "lab.log"
    with log.open("w") as output:
        server = subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=output)
    try:
        wait_until_up(f"http://127.0.0.1:{port}/api/status?token={token}", server, log)
        yield f"http://127.0.0.1:{port}/lab/tree/{{name}}?reset&token={token}"
    finally:
        server.terminate()  # ends its kernels too
        server.wait(timeout=30)


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


def wait_until_idle(page: Page) -> None:
    expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=START_S * 1000)


def open_notebook(page: Page, address: str) -> None:
    """Open a notebook and wait until its cells are shown and its kernel is ready."""
    page.goto(address)
    expect(page.locator(".jp-Notebook .jp-Cell").first).to_be_visible(timeout=START_S * 1000)
    wait_until_idle(page)


def run_all_cells(page: Page) -> None:
    """Run > Run All Cells, by the menu, and wait until the last cell has its number or one has failed."""
    page.locator(".lm-MenuBar-item", has_text="Run").click()
    page.locator(".lm-Menu-item[data-command='runmenu:run-all']").click()
    page.wait_for_function(FINISHED, timeout=RUN_S * 1000)
    wait_until_idle(page)


def test_there_are_notebooks():
    assert NAMES, f"no notebook in {NOTEBOOKS}"


@pytest.mark.parametrize("name", NAMES)
def test_jupyterlab_runs_all_cells(lab: str, page: Page, name: str):
    open_notebook(page, lab.format(name=name))
    run_all_cells(page)
    cells = nbformat.read(NOTEBOOKS / name, as_version=4).cells
    n_code = sum(cell.cell_type == "code" for cell in cells)
    seen = page.evaluate(CODE_CELLS)
    assert [error for cell in seen for error in cell["errors"]] == []
    assert [cell["count"] for cell in seen] == list(range(1, n_code + 1))
