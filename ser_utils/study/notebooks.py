"""Listing, executing and normalising the notebooks."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import sys
import warnings
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from ser_utils.core import paths, profile

if TYPE_CHECKING:
    import nbformat

KERNEL = "python3"
FEATURE_FILES = ("features_original38.csv", "features_functionals.npz")
"""The tables of features that every run has; others are computed on request."""
QUIET_KERNEL = [
    "--IPKernelApp.log_level=50",  # no warning that the connection to a local kernel is not encrypted
    "--IPKernelApp.exec_lines=__import__('logging').getLogger('asyncio').setLevel('CRITICAL')",  # no messages at its end
    "--IPKernelApp.exec_lines=__import__('ser_utils.study.kernel_end').study.kernel_end.end_at_once()",
]


def list_notebooks() -> list[Path]:
    """The study's notebooks in their order."""
    return sorted(paths.NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def read_notebook(book: Path) -> dict:
    """The JSON of a notebook, with the source of each cell as one text. Importing nbformat, which also validates, takes 1 s."""
    notebook = json.loads(book.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


def code_cells(notebook: dict) -> list[str]:
    """The sources of the code cells of a notebook from `read_notebook`."""
    return [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"]


def read_title(book: Path) -> str:
    """The first heading of level one of a notebook, or the stem of its file name."""
    prose = "\n".join(cell["source"] for cell in read_notebook(book)["cells"] if cell["cell_type"] == "markdown")
    heading = re.search(r"^# +(.+)$", prose, re.MULTILINE)
    return heading.group(1) if heading else book.stem


def about(book: Path) -> dict:
    """The ``ser`` metadata of a notebook: which files it reads and writes, and its entry in the index."""
    return read_notebook(book)["metadata"].get("ser", {})


def written_files(book: Path) -> list[str]:
    """Names of the files in ``out/<run>/`` that a notebook writes in every run, from its metadata."""
    return expand_names(about(book).get("writes", []))


def expand_names(names: Iterable[str]) -> list[str]:
    """File names in which ``features_*`` stands for `FEATURE_FILES`."""
    return [file for name in names for file in (FEATURE_FILES if name == "features_*" else [name])]


def can_write(book: Path, file: str) -> bool:
    """Whether a notebook writes a file in ``out/<run>/``, if only on request, as the tables of some feature sets."""
    return any(fnmatchcase(file, pattern) for pattern in about(book).get("writes", []))


def execute_notebook(book: Path, executed: Path, parameters: Mapping) -> str | None:
    """Execute one notebook with papermill; return None, or why it failed. Progress is shown on the terminal, if there is one.

    Parameters
    ----------
    book : Path
        The notebook.
    executed : Path
        Path of its executed copy, normalised by `normalise_notebook`. After a failure it is executed up to the failed cell.
    parameters : mapping
        JSON values by name; every name must be in the notebook.
    """
    import nbformat
    from papermill import execute_notebook
    from papermill.exceptions import PapermillExecutionError

    executed.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("papermill").setLevel(logging.ERROR)
    failed = None
    with environment(SER_PROGRESS=_terminal()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            execute_notebook(
                str(book),
                str(executed),
                parameters=dict(parameters),
                kernel_name=KERNEL,
                progress_bar=False,
                cwd=str(paths.NOTEBOOKS),
                extra_arguments=QUIET_KERNEL,
            )
        except PapermillExecutionError as error:
            failed = error.evalue if error.ename == "StudyError" else f"{error.ename}: {error.evalue}"
        except Exception as error:  # such as a dead kernel or a full disk: the report must show it
            failed = f"{type(error).__name__}: {error}"
    if executed.exists():
        notebook = nbformat.read(executed, as_version=4)
        _record_cells(book.stem, notebook)
        nbformat.write(normalise_notebook(notebook), executed)
    else:
        shutil.copyfile(book, executed)
    return failed


def _record_cells(name: str, notebook: nbformat.NotebookNode) -> None:
    """Record the seconds of each code cell, which papermill has measured, in the profile of the run."""
    for number, cell in enumerate(notebook.cells):
        if seconds := cell.metadata.get("papermill", {}).get("duration"):
            profile.record("cell", notebook=name, cell=number, seconds=seconds, code=cell.source.strip().partition("\n")[0])


@contextlib.contextmanager
def environment(**values: str):
    """Set environment variables for the kernels that start inside the block, unless the user has set them."""
    new = {key: value for key, value in values.items() if key not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for key in new:
            del os.environ[key]


def _terminal() -> str:
    """Path of the terminal that shows a kernel's progress bars, or ``off``."""
    with contextlib.suppress(OSError):
        if sys.stdout.isatty():
            return os.ttyname(sys.stdout.fileno())  # not /dev/tty, which kernels do not have: they run in their own sessions
    return "off"


def normalise_notebook(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Remove what differs between runs from an executed notebook: times, random ids, papermill's metadata."""
    import nbformat

    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": KERNEL},
            "language_info": {"name": "python"},
            **({"ser": notebook.metadata.ser} if "ser" in notebook.metadata else {}),
        }
    )
    notebook.cells = [cell for cell in notebook.cells if cell.metadata.get("tags", []) != ["papermill-error-cell-tag"]]
    for i, cell in enumerate(notebook.cells):
        cell.id = f"cell-{i:02d}"
        cell.metadata = nbformat.from_dict({"tags": cell.metadata.tags} if cell.metadata.get("tags") else {})
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":  # a warning has a path with the number of the kernel's process
                output.text = re.sub(r"\S*[/\\]ipykernel_\d+[/\\]\d+\.py", "cell", output.text)
    return notebook


def refresh_notebooks() -> int:
    """Execute the committed notebooks on the demo corpus and save them; the bytes are the same each time."""
    for book in list_notebooks():
        print(f"{book.stem} ...", end=" ", flush=True)
        executed = paths.out_dir("demo") / "executed" / book.name
        failed = execute_notebook(book, executed, {})
        if failed is not None:
            print(f"FAILED\n  {failed}")
            return 1
        with paths.write_aside(book) as aside:
            shutil.copyfile(executed, aside)
        print("saved", flush=True)
    return 0
