"""The runner: checks all parameters, executes the notebooks in order, renders them, and writes the index and the manifest.

papermill only warns of an unknown parameter; this runner checks names, types and registered names before anything is computed.
"""

import contextlib
import fcntl
import os
import platform
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from ser_utils import corpora
from ser_utils.core import parallel, paths, profile
from ser_utils.core.errors import StudyError
from ser_utils.study import manifest
from ser_utils.study.index_page import render_notebook, write_run_index
from ser_utils.study.inputs import ensure_extra_corpora, table_names, with_feature_sets
from ser_utils.study.notebooks import environment, execute_notebook, expand_names, list_notebooks, written_files
from ser_utils.study.parameters import check_names, known_parameters, network_features, parse_settings
from ser_utils.study.progress_lines import progress_lines
from ser_utils.study.stages import Stage

PREPARED = ("utterances.csv", "folds.csv", "features_*")
"""Files that an extra training corpus must have; `ser_utils.study.notebooks.expand_names` explains ``features_*``."""


def corpus_to_run(name: str | None, scheme: str = "") -> str:
    """Return the corpus to run on: a registered name, or the absolute path of a user's own corpus.

    Without a name it is EMOVO if its recordings are in ``data/``, else the demo corpus; a line on standard output says which.
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


def run_study(
    corpus: str | None = None,
    *,
    settings: Sequence[str] = (),
    start: str = "",
    fresh: bool = False,
    with_profile: bool = False,
) -> int:
    """Run the study and render its reports.

    Parameters
    ----------
    corpus : str, optional
        A name in `ser_utils.corpora.registry.CORPORA`, or the path of a user's own folder or table; see `corpus_to_run`.
    settings : sequence of str
        Notebook parameters as ``NAME=VALUE``.
    start : str
        First characters of the notebook to start from, such as ``03``. Files of earlier notebooks are used as they are.
    fresh : bool
        Remove the results of earlier runs and compute everything again. Otherwise notebooks whose inputs, code and parameters
        are unchanged are not run, and earlier results are read from the cache.
    with_profile : bool
        Print where the time went, which is recorded in ``out/<run>/executed/profile.jsonl``.

    Returns
    -------
    int
        Exit status: 0 if every notebook ran, else 1.

    Raises
    ------
    StudyError
        A parameter, the corpus or an earlier result does not allow the run; nothing has been computed.
    """
    known = known_parameters()
    parameters = parse_settings(settings, known)
    check_names(parameters)
    _resolve_corpora(parameters, corpus)
    chosen, scheme, variant = parameters["CORPUS"], parameters.get("SCHEME", ""), parameters.get("VARIANT", "")
    entry = corpora.get_corpus(chosen, scheme)
    run = paths.run_name(entry.name, variant)
    if fresh and start:
        raise StudyError(f"--fresh removes what --from {start} would start from: use one of them.")
    books = _notebooks_from(start)
    _ensure_corpus(entry)
    if start:
        _check_earlier_files(books[0], run)
    else:
        corpora.check_corpus(entry, parameters.get("LABELS", {}))
    if parameters.get("SCHEDULER"):
        parallel.check_address(parameters["SCHEDULER"])
    feature_sets = parameters.get("FEATURE_SETS", network_features(parameters))
    _prepare_extra_corpora(chosen, parameters.get("EXTRA_CORPORA", []), feature_sets)
    stages = []
    for book in books:
        own = {name: value for name, value in parameters.items() if book.stem in known[name]["notebooks"]}
        stages.append(Stage(book, run, chosen, with_feature_sets(book, own, feature_sets)))
    with _run_lock(run):
        _prepare_folders(entry, run, variant, fresh=fresh)
        start_time = time.monotonic()
        with _profile(run) if with_profile else contextlib.nullcontext():
            failures = _run_notebooks(stages, rerun_unchanged=fresh or bool(start), read_cache=not fresh)
        index = write_run_index(run, chosen, parameters, failures)
        if not failures:
            seconds = round(time.monotonic() - start_time, 1)
            facts = {"seconds": seconds, "host": platform.node(), "cores": os.cpu_count()}
            manifest.write(run, chosen, parameters, facts)
    failed = f"FAILED: {', '.join(failures)}. " if failures else ""
    print(f"{failed}Reports: {index.relative_to(Path.cwd()) if index.is_relative_to(Path.cwd()) else index}", flush=True)
    return 1 if failures else 0


def _resolve_corpora(parameters: dict, corpus: str | None) -> None:
    """Set CORPUS and EXTRA_CORPORA to registered names or absolute paths, since notebooks run in another folder."""
    scheme = parameters.get("SCHEME", "")
    chosen = corpus_to_run(corpus or parameters.get("CORPUS"), scheme)
    if corpus_to_run(parameters.get("CORPUS", chosen), scheme) != chosen:
        raise StudyError(f"Two corpora: {chosen} and CORPUS={parameters['CORPUS']}; name one of them.")
    parameters["CORPUS"] = chosen
    if "EXTRA_CORPORA" in parameters:
        parameters["EXTRA_CORPORA"] = [corpus_to_run(name) for name in parameters["EXTRA_CORPORA"]]


def _notebooks_from(start: str) -> list[Path]:
    """The notebooks to run, from the one whose name begins with `start`."""
    books = [book for book in list_notebooks() if book.stem >= start]
    if not books or not books[0].stem.startswith(start):
        raise StudyError(f"--from {start}: expected one of {', '.join(book.stem[:2] for book in list_notebooks())}.")
    return books


def _ensure_corpus(corpus: corpora.Corpus) -> None:
    """Download a registered corpus that is missing.

    Raises
    ------
    StudyError
        It is missing and cannot be downloaded; the message says how to get it.
    """
    if corpus.is_own or corpora.has_audio(corpus.root):
        return
    from ser_utils.corpora.download import fetch

    if corpus.download is None:
        raise StudyError(f"{corpus.title} is not in {paths.shown(paths.DATA / corpus.folder)}. {corpus.instructions}")
    fetch(corpus.name)


def _check_earlier_files(first: Path, run: str) -> None:
    """Raise `StudyError` if a file that a notebook before `first` writes is missing.

    The earlier notebooks are not run instead, as they may have been run with other parameters.
    """
    for book in list_notebooks():
        missing = [file for file in written_files(book) if not (paths.OUT / run / file).exists()]
        if book.stem < first.stem and missing:
            raise StudyError(
                f"--from {first.stem[:2]}: {missing[0]}, which {book.stem} writes, is not in out/{run}; run without --from."
            )


def _prepare_extra_corpora(corpus: str, extra: Sequence[str], feature_sets: Sequence[str] = ()) -> None:
    """Prepare extra training corpora by the notebooks that write `PREPARED`, each in a run of its own.

    Tables of `feature_sets` are computed besides those of every run.

    A corpus that was prepared before is prepared again, with the same parameters, if its recordings or the code changed.

    Raises
    ------
    StudyError
        As `ser_utils.study.inputs.ensure_extra_corpora`; or a notebook fails.
    """
    prepared_files = expand_names(PREPARED) + table_names(feature_sets)
    for name, run in zip(extra, ensure_extra_corpora(corpus, extra), strict=True):
        entry = corpora.get_corpus(name)
        is_prepared = all((paths.OUT / run / file).exists() for file in prepared_files)
        if is_prepared and not entry.is_own and not corpora.has_audio(entry.root):
            continue  # the prepared files are enough
        _ensure_corpus(entry)
        books = [book for book in list_notebooks() if {*prepared_files} & {*written_files(book)}]
        before = [Stage(book, run, name, {"CORPUS": name}).as_before() for book in books]
        stages = [replace(stage, parameters=with_feature_sets(stage.book, stage.parameters, feature_sets)) for stage in before]
        with _run_lock(run):
            if is_prepared and all(stage.is_done() for stage in stages):
                continue
            corpora.check_corpus(entry, stages[0].parameters.get("LABELS", {}))
            print(f"Preparing the extra corpus {run}:", flush=True)
            corpora.run_folder(entry)
            if failures := _run_notebooks(stages, rerun_unchanged=False, read_cache=True):
                raise StudyError(f"The extra corpus {run} cannot be prepared: {' '.join(failures.values())}")


def _prepare_folders(corpus: corpora.Corpus, run: str, variant: str, *, fresh: bool) -> None:
    """Make the folders of a run, and remove earlier results (`fresh`) or unfinished files of a run that was stopped."""
    corpora.run_folder(corpus, variant)  # before anything is removed: the folder may belong to another corpus
    if fresh:
        shutil.rmtree(paths.OUT / run, ignore_errors=True)
        shutil.rmtree(paths.REPORTS / run, ignore_errors=True)
        corpora.run_folder(corpus, variant)
    for folder in (paths.out_dir(run), paths.OUT / run / "executed", paths.REPORTS / run):
        paths.sweep(folder)


@contextlib.contextmanager
def _run_lock(run: str) -> Iterator[None]:
    """Hold the lock of a run's folder, so that no second run writes there.

    Raises
    ------
    StudyError
        Another run holds it.
    """
    paths.OUT.mkdir(parents=True, exist_ok=True)
    with (paths.OUT / f".{run}.lock").open("w") as lock:  # not in the folder, which --fresh removes
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StudyError(
                f"Another run is writing out/{run}: wait for it, or give this run a name of its own with "
                "--set VARIANT='\"other\"'."
            ) from error
        yield


@contextlib.contextmanager
def _profile(run: str) -> Iterator[None]:
    """Record the seconds of cells and fits in the block, and print them at its end."""
    from ser_utils.study.profile_tables import print_tables

    path = paths.OUT / run / "executed" / "profile.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    with environment(SER_PROFILE=str(path)):
        yield
    print_tables(path)


def _run_notebooks(stages: list[Stage], *, rerun_unchanged: bool, read_cache: bool) -> dict[str, str]:
    """Execute and render the notebooks until one fails; return the failed notebook and its message, or an empty dictionary.

    The page of a notebook is rendered while the next notebook runs.

    Parameters
    ----------
    stages : list of Stage
    rerun_unchanged : bool
        Whether notebooks are run whose results exist and would not change.
    read_cache : bool
        Whether earlier results are read from the cache.
    """
    variables = {} if read_cache else {"SER_CACHE_READ": "off"}
    pages: list[Future] = []
    failures: dict[str, str] = {}
    with ThreadPoolExecutor(1) as pool:
        for number, stage in enumerate(stages):
            print(f"{stage.book.stem} ...", end=" ", flush=True)
            if not rerun_unchanged and stage.is_done():
                print("unchanged", flush=True)
                continue
            start_time = time.monotonic()
            with environment(**variables), progress_lines(stage.book.stem):
                message = _execute(stage)
            seconds = time.monotonic() - start_time
            profile.record("notebook", notebook=stage.book.stem, seconds=round(seconds, 3))
            print(f"{seconds:.0f} s" if message is None else f"FAILED\n  {message}", flush=True)
            pages.append(pool.submit(_render, stage, message))
            if message is not None:
                failures[stage.book.stem] = message
                for later in stages[number + 1 :]:
                    later.marker.unlink(missing_ok=True)
                    later.page.unlink(missing_ok=True)
                break
    for page in pages:
        page.result()  # raises its error
    return failures


def _execute(stage: Stage) -> str | None:
    """Execute one notebook; return None, or why it failed."""
    stage.start()
    message = execute_notebook(stage.book, _executed(stage), stage.parameters)
    stage.record_results()
    return message


def _render(stage: Stage, failed: str | None) -> None:
    """Render the page of an executed notebook, which ends its stage unless it has failed."""
    render_notebook(_executed(stage), stage.run, failed, corpora.get_corpus(stage.corpus).notice)
    if failed is None:
        stage.end()


def _executed(stage: Stage) -> Path:
    return paths.out_dir(stage.run) / "executed" / stage.book.name
