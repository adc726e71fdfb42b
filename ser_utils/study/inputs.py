"""What a notebook needs from earlier notebooks, made where it is missing."""

from collections.abc import Sequence

from ser_utils import corpora
from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.study.notebooks import execute_notebook, expand_names, list_notebooks, written_files


def ensure_files(corpus: str, run: str, *files: str) -> None:
    """Make sure that what earlier notebooks write is there: where a file is missing, run those notebooks.

    A notebook opened alone thus has its input. Earlier notebooks run with their defaults for this corpus and variant.

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
        An earlier notebook fails, or writes no such file.
    """
    known, files = corpora.get_corpus(corpus), expand_names(files)
    for book in list_notebooks():
        wanted = [name for name in files if name in written_files(book) and not (paths.OUT / run / name).exists()]
        if wanted:
            variant = run.removeprefix(known.name).removeprefix("-")
            failed = execute_notebook(book, paths.out_dir(run) / "executed" / book.name, {"CORPUS": corpus, "VARIANT": variant})
            if failed is not None:
                raise StudyError(f"{wanted[0]} is needed, and {book.stem}, which writes it, failed: {failed}")
    missing = [name for name in files if not (paths.OUT / run / name).exists()]
    if missing:
        raise StudyError(f"{missing[0]} is not in out/{run} and no notebook of this study writes it.")


def ensure_extra_corpora(corpus: str, extra: Sequence[str], *files: str) -> list[str]:
    """Make sure that extra corpora are prepared, each in a run of its own as if it were the only one: see `ensure`.

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
        Their names, which are those of their runs.

    Raises
    ------
    StudyError
        One is unknown, named twice or the corpus itself, or its recordings are not there.
    """
    names = [corpora.get_corpus(name).name for name in extra]
    for name in names:
        if name == corpora.get_corpus(corpus).name:
            raise StudyError(f"EXTRA_CORPORA names {name}, which is CORPUS itself: name other corpora.")
        if names.count(name) > 1:
            raise StudyError(f"EXTRA_CORPORA names {name} {names.count(name)} times: name each corpus once.")
    for given, name in zip(extra, names, strict=True):
        ensure_files(given, name, *files)
    return names
