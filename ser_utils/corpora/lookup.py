"""A corpus by its name or path, and the folder of a run on it."""

import json
import os
import re
from pathlib import Path

from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.corpora.corpus import Corpus
from ser_utils.corpora.file_names import pattern_expression
from ser_utils.corpora.folders import EXPECTED_FOLDER, EXPECTED_INPUT, EXPECTED_TABLE
from ser_utils.corpora.labels import plain
from ser_utils.corpora.metadata import TABLE_SUFFIXES
from ser_utils.corpora.registry import CORPORA, find_corpus


def get_corpus(name: str, scheme: str = "") -> Corpus:
    """Return the registered corpus of a name, or the user's own corpus at a path.

    Parameters
    ----------
    name : str
        A name in `CORPORA` (in any case, with or without punctuation), or the path of a folder or of a CSV.
    scheme : str
        How the user's own folder is read: ``""`` to detect it, ``folders`` (one subfolder per emotion), a pattern such as
        ``{speaker}_{emotion}_{sentence}.wav``, or the name of a registered corpus.

    Raises
    ------
    StudyError
        There is no such corpus, folder or CSV, or `scheme` does not apply to it.
    """
    registered, is_path = find_corpus(name), re.search(r"[/\\]", name)
    if registered and not is_path:
        if scheme:
            raise StudyError(
                f"SCHEME describes the user's own folder, and {registered.name} is a registered corpus: leave SCHEME out."
            )
        return registered
    path = Path(name).expanduser()
    existing = [folder / path for folder in (Path.cwd(), paths.ROOT) if (folder / path).exists()]
    if not existing and not is_path and not re.search(r"\.\w+$", name):
        raise StudyError(
            f"Unknown corpus {name!r}: expected one of {', '.join(CORPORA)}, or the path of your own folder or CSV."
        )
    named_scheme = find_corpus(scheme)
    return _own_corpus(existing[0] if existing else path, named_scheme.name if named_scheme else scheme.strip())


def _own_corpus(path: Path, scheme: str) -> Corpus:
    """Return the user's own corpus, a folder or a CSV."""
    path = Path(os.path.abspath(path))  # not resolve(): links keep the names that the user gave them
    is_table, expected = path.is_file(), f"the path of a folder ({EXPECTED_FOLDER}) or of {EXPECTED_TABLE}"
    if not path.exists():
        raise StudyError(f"There is no folder or CSV {path}: expected {expected}, or one of {', '.join(CORPORA)}.")
    if is_table and path.suffix.lower() not in TABLE_SUFFIXES:
        raise StudyError(f"{path} is neither a folder nor a CSV: expected {expected}.")
    if is_table and scheme:
        raise StudyError(f"SCHEME is {scheme!r}, but {path.name} is a CSV, whose columns give the labels: leave SCHEME out.")
    if "{" in scheme:
        pattern_expression(scheme)  # raises if it is not a pattern
    elif scheme not in ("", "folders", *CORPORA):
        raise StudyError(
            f"SCHEME is {scheme!r}: expected folders (one subfolder per emotion), a pattern such as "
            f"{{speaker}}_{{emotion}}_{{sentence}}.wav, or one of {', '.join(CORPORA)}."
        )
    title = path.stem if is_table else path.name
    name = re.sub(r"[^a-z0-9]+", "_", plain(title)).strip("_") or "corpus"
    return Corpus(
        name=f"{name}_own" if find_corpus(name) else name,
        title=title,
        folder=str(path.parent if is_table else path),
        scheme=scheme,
        listing=path.name if is_table else "",
        is_own=True,
        licence="unknown",
        citation="The user's own recordings: cite their source.",
        how_to_get=f"Expected {EXPECTED_INPUT}.",
    )


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
