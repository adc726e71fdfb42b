"""Input files of a notebook: earlier notebooks run if a file is missing."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ser_utils import corpora
from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.study.notebooks import about, can_write, execute_notebook, expand_names, list_notebooks
from ser_utils.study.parameters import with_defaults
from ser_utils.study.stages import Stage


def ensure_files(corpus: str, run: str, *files: str) -> None:
    """Run earlier notebooks if files that they write are missing, so that a notebook opened alone has its input files.

    Earlier notebooks run with the parameters of their last run for this corpus and variant, or with their defaults; a table of
    features that is missing is added to those that are computed.

    Parameters
    ----------
    corpus : str
        The notebook's CORPUS.
    run : str
        Name of the run's folder, from `ser_utils.core.paths.run_name`.
    files : str
        Names of files in ``out/<run>/``; ``features_*`` stands for the tables that every run has. Each notebook's metadata
        lists what it writes.

    Raises
    ------
    StudyError
        An earlier notebook fails, or no notebook writes a file.
    """
    entry, files = corpora.get_corpus(corpus), expand_names(files)
    for book in list_notebooks():
        missing = [name for name in files if can_write(book, name) and not (paths.OUT / run / name).exists()]
        if missing:
            variant = run.removeprefix(entry.name).removeprefix("-")
            parameters = Stage(book, run, corpus, {}).as_before().parameters | {"CORPUS": corpus, "VARIANT": variant}
            executed = paths.out_dir(run) / "executed" / book.name
            message = execute_notebook(book, executed, with_feature_sets(book, parameters, _sets_of(run, files)))
            if message is not None:
                raise StudyError(f"{missing[0]} is needed, and {book.stem}, which writes it, failed: {message}")
    if missing := [name for name in files if not (paths.OUT / run / name).exists()]:
        raise StudyError(f"{missing[0]} is not in out/{run} and no notebook of this study writes it.")


def with_feature_sets(book: Path, parameters: Mapping, names: Sequence[str]) -> dict:
    """Add feature sets to the parameter FEATURE_SETS of the notebook that computes them; leave other parameters as they are."""
    if names and "features_*" in about(book).get("writes", []):
        computed = with_defaults(parameters)["FEATURE_SETS"]
        if more := [name for name in names if name not in computed]:
            return {**parameters, "FEATURE_SETS": [*computed, *more]}
    return dict(parameters)


def table_names(feature_sets: Sequence[str]) -> list[str]:
    """Names of the files with the tables of feature sets."""
    if not feature_sets:
        return []
    from ser_utils.features.registry import feature_file_name  # importing librosa takes seconds

    return [feature_file_name(name) for name in feature_sets]


def _sets_of(run: str, files: Sequence[str]) -> list[str]:
    """Feature sets with a table among `files` or in ``out/<run>/``."""
    from ser_utils.features.registry import FEATURE_SETS  # importing librosa takes seconds

    tables = zip(FEATURE_SETS, table_names(list(FEATURE_SETS)), strict=True)
    return [name for name, file in tables if file in files or (paths.OUT / run / file).exists()]


def ensure_extra_corpora(corpus: str, extra: Sequence[str], *files: str) -> list[str]:
    """Prepare extra training corpora that are not prepared yet, each in a run of its own, by `ensure_files`.

    Parameters
    ----------
    corpus : str
        The notebook's CORPUS.
    extra : sequence of str
        The notebook's EXTRA_CORPORA.
    files : str
        Names of files in ``out/<extra corpus>/``.

    Returns
    -------
    list of str
        Names of the corpora, which are the names of their runs.

    Raises
    ------
    StudyError
        A corpus is unknown, named twice, the notebook's own corpus, or its recordings are missing.
    """
    names = [corpora.get_corpus(name).name for name in extra]
    for name in names:
        if name == corpora.get_corpus(corpus).name:
            raise StudyError(f"EXTRA_CORPORA names {name}, which is CORPUS itself: name other corpora.")
        if names.count(name) > 1:
            raise StudyError(f"EXTRA_CORPORA names {name} {names.count(name)} times: name each corpus once.")
    for corpus_name, run in zip(extra, names, strict=True):
        ensure_files(corpus_name, run, *files)
    return names
