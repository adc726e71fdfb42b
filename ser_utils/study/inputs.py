"""Input files of a notebook: earlier notebooks run if a file is missing."""

from collections.abc import Sequence

from ser_utils import corpora
from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.study.notebooks import execute_notebook, expand_names, list_notebooks, written_files


def ensure_files(corpus: str, run: str, *files: str) -> None:
    """Run earlier notebooks if files that they write are missing, so that a notebook opened alone has its input files.

    Earlier notebooks run with their default parameters for this corpus and variant.

    Parameters
    ----------
    corpus : str
        The notebook's CORPUS.
    run : str
        Name of the run's folder, from `ser_utils.core.paths.run_name`.
    files : str
        Names of files in ``out/<run>/``; ``features_*`` stands for the tables of all feature sets. Each notebook's metadata
        lists what it writes.

    Raises
    ------
    StudyError
        An earlier notebook fails, or no notebook writes a file.
    """
    entry, files = corpora.get_corpus(corpus), expand_names(files)
    for book in list_notebooks():
        missing = [name for name in files if name in written_files(book) and not (paths.OUT / run / name).exists()]
        if missing:
            variant = run.removeprefix(entry.name).removeprefix("-")
            executed = paths.out_dir(run) / "executed" / book.name
            message = execute_notebook(book, executed, {"CORPUS": corpus, "VARIANT": variant})
            if message is not None:
                raise StudyError(f"{missing[0]} is needed, and {book.stem}, which writes it, failed: {message}")
    if missing := [name for name in files if not (paths.OUT / run / name).exists()]:
        raise StudyError(f"{missing[0]} is not in out/{run} and no notebook of this study writes it.")


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
