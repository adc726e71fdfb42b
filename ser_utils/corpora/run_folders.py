"""Folders of the runs on a corpus."""

import json
from pathlib import Path

from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.corpora.corpus import Corpus


def run_folder(corpus: Corpus, variant: str = "") -> Path:
    """Return ``out/<run>/`` of a corpus, and create it; for the user's own corpus, ``source.json`` in it holds the path.

    Raises
    ------
    StudyError
        It holds the results of another folder or CSV of the same name.
    """
    run = paths.run_name(corpus.name, variant)
    if not corpus.is_own:
        return paths.out_dir(run)
    source, previous = str(corpus.root / corpus.listing), source_of_run(run)
    if previous not in (None, source):
        raise StudyError(
            f"out/{run} holds the results on {previous}, not on {source}: keep this run separate with "
            f"--set VARIANT='\"other\"', or remove out/{run}."
        )
    folder = paths.out_dir(run)
    paths.write_json(folder / "source.json", {"path": source})
    return folder


def source_of_run(run: str) -> str | None:
    """Return the path of the own corpus that a run was made on; None for a registered corpus or if there is no such run."""
    try:
        return json.loads((paths.OUT / run / "source.json").read_text(encoding="utf-8"))["path"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
