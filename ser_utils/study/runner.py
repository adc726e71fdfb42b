"""The strict runner: checks every parameter, executes the notebooks in order, renders them, and says what happened.

papermill takes an unknown parameter with a warning and goes on; this runner checks names and types before it computes anything.
"""

import contextlib
import fcntl
import os
import platform
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from ser_utils import corpora
from ser_utils.core import parallel, paths
from ser_utils.core.errors import StudyError
from ser_utils.study import manifest
from ser_utils.study.index_page import render_notebook, write_run_index
from ser_utils.study.inputs import ensure_extra_corpora
from ser_utils.study.notebooks import environment, execute_notebook, expand_names, list_notebooks, written_files
from ser_utils.study.parameters import known_parameters, parse_settings
from ser_utils.study.stages import Stage

PREPARED = ("utterances.csv", "folds.csv", "features_*")
"""What a corpus must have before another may train on it as well."""


def choose_corpus(name: str | None, scheme: str = "") -> str:
    """The corpus to run on, a registered name or the whole path of one of the user's own.

    Without a name, a line on standard output says which it is and, without EMOVO, how to get it.
    """
    if name is not None:
        corpus = corpora.get_corpus(name, scheme)
        return str(corpus.root / corpus.listing) if corpus.is_own else corpus.name
    if corpora.has_audio(corpora.CORPORA["emovo"].root):
        print("Running on EMOVO, found in data/EMOVO.", flush=True)
        return "emovo"
    print(
        "Running on the embedded demo corpus (synthetic voices), as data/EMOVO is not there; "
        "`./run_all.sh emovo` downloads the real corpus.",
        flush=True,
    )
    return "demo"


def run_study(corpus: str | None = None, *, settings: Sequence[str] = (), start: str = "", fresh: bool = False) -> int:
    """Run the study and render its reports.

    Parameters
    ----------
    corpus : str, optional
        A name in `ser_utils.corpora.registry.CORPORA`, or the path of a folder or CSV of the user's own; without it EMOVO where it is
        there, else the demo corpus.
    settings : sequence of str
        Parameters as ``NAME=VALUE``.
    start : str
        Begin of the name of the notebook to start from, such as ``03``; the files of earlier ones are taken as they are.
    fresh : bool
        Remove what earlier runs left, and compute everything again; else notebooks whose inputs, code and parameters are
        unchanged are not run again, and what was computed before is taken from the cache.

    Returns
    -------
    int
        Exit status: 0 when every notebook ran, else 1.
    """
    known = known_parameters()
    parameters = parse_settings(settings, known)
    scheme = parameters.get("SCHEME", "")
    chosen = choose_corpus(corpus or parameters.get("CORPUS"), scheme)
    if choose_corpus(parameters.get("CORPUS", chosen), scheme) != chosen:
        raise StudyError(f"Two corpora: {chosen} and CORPUS={parameters['CORPUS']}; name one of them.")
    parameters["CORPUS"], entry = chosen, corpora.get_corpus(chosen, scheme)
    if "EXTRA_CORPORA" in parameters:  # with whole paths: the notebooks run in another folder
        parameters["EXTRA_CORPORA"] = [choose_corpus(one) for one in parameters["EXTRA_CORPORA"]]
    name = paths.run_name(entry.name, parameters.get("VARIANT", ""))
    if fresh and start:
        raise StudyError(f"--fresh removes what --from {start} would start from: use one of them.")
    books = [book for book in list_notebooks() if book.stem >= start] if start else list_notebooks()
    if not books or (start and not books[0].stem.startswith(start)):
        raise StudyError(f"--from {start}: expected one of {', '.join(book.stem[:2] for book in list_notebooks())}.")
    _see_that_it_is_there(entry)
    if not start:
        corpora.check_corpus(entry, parameters.get("LABELS", {}))
    if parameters.get("SCHEDULER"):
        parallel.check_address(parameters["SCHEDULER"])
    if start:
        _check_earlier(books[0], name)
    _prepare_extra(chosen, parameters.get("EXTRA_CORPORA", []))
    with _alone(name):
        corpora.run_folder(entry, parameters.get("VARIANT", ""))  # before anything is removed: it may be another corpus'
        if fresh:
            shutil.rmtree(paths.OUT / name, ignore_errors=True)
            shutil.rmtree(paths.REPORTS / name, ignore_errors=True)
            corpora.run_folder(entry, parameters.get("VARIANT", ""))
        for folder in (paths.out_dir(name), paths.OUT / name / "executed", paths.REPORTS / name):
            paths.sweep(folder)
        began = time.monotonic()
        stages = [
            Stage(b, name, chosen, {k: v for k, v in parameters.items() if b.stem in known[k]["notebooks"]}) for b in books
        ]
        failures = _run_notebooks(stages, again=fresh or bool(start), forget=fresh)
        index = write_run_index(name, chosen, parameters, failures)
        if not failures:
            facts = {"seconds": round(time.monotonic() - began, 1), "host": platform.node(), "cores": os.cpu_count()}
            manifest.write(name, chosen, parameters, facts=facts)
    print(f"{'FAILED: ' + ', '.join(failures) + '. ' if failures else ''}Reports: {_relative(index)}", flush=True)
    return 1 if failures else 0


def _see_that_it_is_there(corpus: corpora.Corpus) -> None:
    """Download a corpus that is not there, or say where to get it.

    Raises
    ------
    StudyError
        It is not there and cannot be downloaded.
    """
    if corpus.is_own or corpora.has_audio(corpus.root):
        return
    from ser_utils.corpora.download import fetch

    if corpus.download is None:
        raise StudyError(f"{corpus.title} is not in {paths.shown(paths.DATA / corpus.folder)}. {corpus.instructions}")
    fetch(corpus.name)


def _prepare_extra(corpus: str, extra: Sequence[str]) -> None:
    """Prepare extra corpora by the notebooks that write `PREPARED`, each in a run of its own, as if it were the only one.

    One that was prepared before is prepared again, with the parameters of then, where its recordings or the code are others.

    Raises
    ------
    StudyError
        See `ensure_extra`; or a notebook fails.
    """
    for given, name in zip(extra, ensure_extra_corpora(corpus, extra), strict=True):
        entry = corpora.get_corpus(given)
        there = all((paths.OUT / name / file).exists() for file in expand_names(PREPARED))
        if there and not entry.is_own and not corpora.has_audio(entry.root):
            continue  # what was made of its recordings is all that is needed
        _see_that_it_is_there(entry)
        books = [book for book in list_notebooks() if {*expand_names(PREPARED)} & {*written_files(book)}]
        stages = [Stage(book, name, given, {"CORPUS": given}).as_before() for book in books]
        with _alone(name):
            if there and all(stage.is_done() for stage in stages):
                continue
            corpora.check_corpus(entry, stages[0].parameters.get("LABELS", {}))
            print(f"Preparing the extra corpus {name}:", flush=True)
            corpora.run_folder(entry)
            if failures := _run_notebooks(stages, again=False, forget=False):
                raise StudyError(f"The extra corpus {name} cannot be prepared: {' '.join(failures.values())}")


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    """Keep a second run out of the same folder.

    Raises
    ------
    StudyError
        Another run is writing there.
    """
    paths.OUT.mkdir(parents=True, exist_ok=True)
    with (paths.OUT / f".{name}.lock").open("w") as lock:  # beside the folder, which --fresh removes
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StudyError(
                f"Another run is writing out/{name}: wait for it, or keep this one apart with --set VARIANT='\"other\"'."
            ) from error
        yield


def _check_earlier(first: Path, name: str) -> None:
    """Raise `StudyError` where a file that a notebook before `first` writes is not there.

    Running that notebook now would give it other parameters than the user may have set then.
    """
    for book in list_notebooks():
        if book.stem >= first.stem:
            return
        for file in written_files(book):
            if not (paths.OUT / name / file).exists():
                raise StudyError(
                    f"--from {first.stem[:2]}: {file}, which {book.stem} writes, is not in out/{name}; run without --from."
                )


def _run_notebooks(stages: list[Stage], *, again: bool, forget: bool) -> dict[str, str]:
    """Execute and render the notebooks until one fails; returns the failed notebook and its message, or nothing.

    Parameters
    ----------
    stages : list of Stage
    again : bool
        Whether notebooks are run whose results are there and would be the same.
    forget : bool
        Whether nothing is taken from the cache.
    """
    cache_read = {"SER_CACHE_READ": "off"} if forget else {}
    for stage in stages:
        book, name = stage.book, stage.run
        print(f"{book.stem} ...", end=" ", flush=True)
        if not again and stage.is_done():
            print("unchanged", flush=True)
            continue
        began = time.monotonic()
        stage.start()
        executed = paths.out_dir(name) / "executed" / book.name
        page = paths.REPORTS / name / f"{book.stem}.html"
        page.unlink(missing_ok=True)  # a page of an earlier run must not pass for one of this run
        with environment(**cache_read):
            failed = execute_notebook(book, executed, stage.parameters)
        render_notebook(executed, name, failed, corpora.get_corpus(stage.corpus).notice)
        print(f"{time.monotonic() - began:.0f} s" if failed is None else f"FAILED\n  {failed}", flush=True)
        if failed is not None:
            for later in stages[stages.index(stage) + 1 :]:
                later.start()
                (paths.REPORTS / name / f"{later.book.stem}.html").unlink(missing_ok=True)
            return {book.stem: failed}
        stage.end()
    return {}


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
