"""Listing, executing and normalising the notebooks."""

import contextlib
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import nbformat

from ser_utils.core import paths
from ser_utils.features.registry import FEATURE_SETS, feature_file_name

KERNEL = "python3"


QUIET_KERNEL = [
    "--IPKernelApp.log_level=50",  # a kernel on this machine alone need not warn that it is not encrypted,
    "--IPKernelApp.exec_lines=__import__('logging').getLogger('asyncio').setLevel('CRITICAL')",  # nor tell how it ends
]


def list_notebooks() -> list[Path]:
    """The study's notebooks in their order."""
    return sorted(paths.NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def about(book: Path) -> dict:
    """The ``ser`` metadata of a notebook: which files it reads and writes, and its entry in the index."""
    return nbformat.read(book, as_version=4).metadata.get("ser", {})


def written_files(book: Path) -> list[str]:
    """Names of the files in ``out/<run>/`` that a notebook writes, from its metadata."""
    return expand_names(about(book).get("writes", []))


def expand_names(names: Iterable[str]) -> list[str]:
    """File names in which ``features_*`` stands for the tables of all registered feature sets."""
    tables = [feature_file_name(name) for name in FEATURE_SETS]
    return [file for name in names for file in (tables if name == "features_*" else [name])]


def execute_notebook(book: Path, executed: Path, parameters: Mapping, *, progress: str | None = None) -> str | None:
    """Execute one notebook with papermill; returns None, or why it failed.

    Parameters
    ----------
    book : Path
        The notebook.
    executed : Path
        Where its executed copy goes, normalised (see `normalise`); half-run where it failed.
    parameters : mapping
        JSON values by name; every name must be in the notebook.
    progress : str, optional
        Value of ``SER_PROGRESS`` for the kernel; the default is the terminal, where there is one.
    """
    from papermill import execute_notebook
    from papermill.exceptions import PapermillExecutionError

    executed.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("papermill").setLevel(logging.ERROR)
    failed = None
    with environment(SER_PROGRESS=progress or _terminal()), warnings.catch_warnings():
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
        except Exception as error:  # a kernel that died, a full disk: whatever it is, the report must say it
            failed = f"{type(error).__name__}: {error}"
    if executed.exists():
        nbformat.write(normalise_notebook(nbformat.read(executed, as_version=4)), executed)
    else:
        shutil.copyfile(book, executed)
    return failed


@contextlib.contextmanager
def environment(**values: str):
    """Environment variables for the kernels started inside the block, unless the user has set them."""
    new = {key: value for key, value in values.items() if key not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for key in new:
            del os.environ[key]


def _terminal() -> str:
    """Where a kernel's progress bars reach the person waiting."""
    with contextlib.suppress(OSError):
        if sys.stdout.isatty():
            return os.ttyname(sys.stdout.fileno())  # not /dev/tty: kernels, in sessions of their own, have none
    return "off"


def normalise_notebook(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Take out of an executed notebook what differs from run to run: times, random cell ids, papermill's metadata."""
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
    return notebook


def refresh_notebooks() -> int:
    """Execute the committed notebooks on the demo corpus, as they are, and save them so; the same bytes each time."""
    for book in list_notebooks():
        print(f"{book.stem} ...", end=" ", flush=True)
        executed = paths.out_dir("demo") / "executed" / book.name
        failed = execute_notebook(book, executed, {}, progress="off")
        if failed is not None:
            print(f"FAILED\n  {failed}")
            return 1
        with paths.write_aside(book) as aside:
            shutil.copyfile(executed, aside)
        print("saved", flush=True)
    return 0
