"""The strict runner: checks every parameter, executes the notebooks in order, renders them, and says what happened.

papermill takes an unknown parameter with a warning and goes on; this runner checks names and types before it computes anything.
"""

import contextlib
import fcntl
import json
import logging
import os
import platform
import shutil
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import nbformat
import pandas as pd

from ser_utils import corpora, manifest, parallel, paths, report
from ser_utils.errors import StudyError
from ser_utils.folds import WORDS, main_protocol
from ser_utils.metrics import headline
from ser_utils.metrics import over as resampled
from ser_utils.stages import Stage

KERNEL = "python3"
QUIET_KERNEL = [
    "--IPKernelApp.log_level=50",  # a kernel on this machine alone need not warn that it is not encrypted,
    "--IPKernelApp.exec_lines=__import__('logging').getLogger('asyncio').setLevel('CRITICAL')",  # nor tell how it ends
]
PACKAGES = ("tensorflow", "keras", "librosa", "numpy", "scikit-learn", "pandas", "papermill")
LEAST = {"N_SEEDS": 1, "N_FOLDS": 2, "N_RESAMPLES": 1, "N_PERMUTATIONS": 1, "BATCH_SIZE": 0, "SEARCH": 0}
"""The smallest value of parameters that count something."""
PREPARED = ("utterances.csv", "folds.csv", "features_original38.csv", "features_functionals.npz", "features_log_mel.npz")
"""What a corpus must have before another may train on it as well."""
TYPES = {"int": int, "float": (int, float), "str": str, "bool": bool, "list": list, "dict": dict}


def notebooks() -> list[Path]:
    """The study's notebooks in their order."""
    return sorted(paths.NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def known_parameters() -> dict[str, dict]:
    """Every notebook parameter by name: type, default (as written), help, and the notebooks that have it."""
    from papermill import inspect_notebook

    known: dict[str, dict] = {}
    for notebook in notebooks():
        for name, found in inspect_notebook(str(notebook)).items():
            entry = known.setdefault(
                name,
                {
                    "type": found["inferred_type_name"],
                    "default": found["default"],
                    "help": found["help"],
                    "notebooks": [],
                },
            )
            entry["notebooks"].append(notebook.stem)
    return known


def parse_settings(settings: Sequence[str], known: Mapping[str, dict]) -> dict[str, object]:
    """``NAME=VALUE`` texts as parameters, the values as JSON.

    Raises
    ------
    StudyError
        No such parameter, no JSON, or a value of the wrong type.
    """
    parameters = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise StudyError(f"--set {setting}: expected NAME=VALUE, such as --set N_SEEDS=2.")
        if name not in known:
            listed = "\n".join(
                f"  {key} ({entry['type']}, {entry['default']}): {entry['help']}" for key, entry in known.items()
            )
            raise StudyError(f"Unknown parameter {name!r}; the notebooks have:\n{listed}")
        parameters[name] = _parse_value(name, text, known[name]["type"])
    return parameters


def _parse_value(name: str, text: str, kind: str) -> object:
    example = {"str": "'\"text\"'", "list": '\'["a", "b"]\'', "dict": '\'{"a": "b"}\'', "bool": "true"}.get(kind, "2")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if kind == "str":
            return text  # no one types quotes within quotes for a word
        raise StudyError(f"--set {name}={text}: the value is not JSON; expected {kind}, such as {name}={example}.") from error
    is_bool = isinstance(value, bool)
    if not isinstance(value, TYPES[kind]) or (is_bool and kind != "bool"):
        raise StudyError(f"--set {name}={text}: found {type(value).__name__}, expected {kind}, such as {name}={example}.")
    parts = [*value, *value.values()] if kind == "dict" else value if kind == "list" else []
    if not all(isinstance(part, str) for part in parts):
        raise StudyError(f"--set {name}={text}: expected texts in the {kind}, such as {name}={example}.")
    if name in LEAST and value < LEAST[name]:
        raise StudyError(f"--set {name}={text}: expected {LEAST[name]} or more.")
    if name == "N_JOBS" and value == 0:
        raise StudyError("--set N_JOBS=0: expected a number of processes, or -1 for one a core.")
    return value


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


def run(corpus: str | None = None, *, settings: Sequence[str] = (), start: str = "", fresh: bool = False) -> int:
    """Run the study and render its reports.

    Parameters
    ----------
    corpus : str, optional
        A name in `ser_utils.corpora.CORPORA`, or the path of a folder or CSV of the user's own; without it EMOVO where it is
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
    books = [book for book in notebooks() if book.stem >= start] if start else notebooks()
    if not books or (start and not books[0].stem.startswith(start)):
        raise StudyError(f"--from {start}: expected one of {', '.join(book.stem[:2] for book in notebooks())}.")
    _see_that_it_is_there(entry)
    if not start:
        corpora.check_names(entry, parameters.get("LABELS", {}))
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
        index = write_index(name, chosen, parameters, failures)
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
    from ser_utils.fetch import SOURCES, fetch

    if corpus.name not in SOURCES:
        raise StudyError(f"{corpus.title} is not in {paths.shown(paths.DATA / corpus.folder)}. {corpus.where}")
    fetch(corpus.name)


def _prepare_extra(corpus: str, extra: Sequence[str]) -> None:
    """Prepare extra corpora by the notebooks that write `PREPARED`, each in a run of its own, as if it were the only one.

    One that was prepared before is prepared again, with the parameters of then, where its recordings or the code are others.

    Raises
    ------
    StudyError
        See `ensure_extra`; or a notebook fails.
    """
    for given, name in zip(extra, ensure_extra(corpus, extra), strict=True):
        entry = corpora.get_corpus(given)
        there = all((paths.OUT / name / file).exists() for file in PREPARED)
        if there and not entry.is_own and not corpora.has_audio(entry.root):
            continue  # what was made of its recordings is all that is needed
        _see_that_it_is_there(entry)
        books = [book for book in notebooks() if {*PREPARED} & {*_about(book).get("writes", [])}]
        stages = [Stage(book, name, given, {"CORPUS": given}).as_before() for book in books]
        with _alone(name):
            if there and all(stage.is_done() for stage in stages):
                continue
            corpora.check_names(entry, stages[0].parameters.get("LABELS", {}))
            print(f"Preparing the extra corpus {name}:", flush=True)
            corpora.run_folder(entry)
            if failures := _run_notebooks(stages, again=False, forget=False):
                raise StudyError(f"The extra corpus {name} cannot be prepared: {' '.join(failures.values())}")


def _about(book: Path) -> dict:
    """What a notebook says of itself: what it reads and writes, and how it stands in the index."""
    return nbformat.read(book, as_version=4).metadata.get("ser", {})


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
    for book in notebooks():
        if book.stem >= first.stem:
            return
        for file in _about(book).get("writes", []):
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
        with _environment(**cache_read):
            failed = execute(book, executed, stage.parameters)
        render(executed, name, failed, corpora.get_corpus(stage.corpus).notice)
        print(f"{time.monotonic() - began:.0f} s" if failed is None else f"FAILED\n  {failed}", flush=True)
        if failed is not None:
            for later in stages[stages.index(stage) + 1 :]:
                later.start()
                (paths.REPORTS / name / f"{later.book.stem}.html").unlink(missing_ok=True)
            return {book.stem: failed}
        stage.end()
    return {}


def execute(book: Path, executed: Path, parameters: Mapping, *, progress: str | None = None) -> str | None:
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
    with _environment(SER_PROGRESS=progress or _terminal()), warnings.catch_warnings():
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
        nbformat.write(normalise(nbformat.read(executed, as_version=4)), executed)
    else:
        shutil.copyfile(book, executed)
    return failed


@contextlib.contextmanager
def _environment(**values: str):
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


def normalise(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
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
    for book in notebooks():
        print(f"{book.stem} ...", end=" ", flush=True)
        executed = paths.out_dir("demo") / "executed" / book.name
        failed = execute(book, executed, {}, progress="off")
        if failed is not None:
            print(f"FAILED\n  {failed}")
            return 1
        with paths.write_aside(book) as aside:
            shutil.copyfile(executed, aside)
        print("saved", flush=True)
    return 0


def ensure(corpus: str, run: str, *files: str) -> None:
    """Make sure that what earlier notebooks write is there: where a file is missing, run those notebooks.

    A notebook opened alone thus has its input. Earlier notebooks run with their defaults for this corpus and variant.

    Parameters
    ----------
    corpus : str
        The notebook's CORPUS.
    run : str
        Name of the run's folder, from `ser_utils.paths.run_name`.
    files : str
        Names of files in ``out/<run>/``; each notebook's metadata lists what it writes.

    Raises
    ------
    StudyError
        An earlier notebook fails, or writes no such file.
    """
    known = corpora.get_corpus(corpus)
    for book in notebooks():
        writes = _about(book).get("writes", [])
        wanted = [name for name in files if name in writes and not (paths.OUT / run / name).exists()]
        if wanted:
            variant = run.removeprefix(known.name).removeprefix("-")
            failed = execute(book, paths.out_dir(run) / "executed" / book.name, {"CORPUS": corpus, "VARIANT": variant})
            if failed is not None:
                raise StudyError(f"{wanted[0]} is needed, and {book.stem}, which writes it, failed: {failed}")
    missing = [name for name in files if not (paths.OUT / run / name).exists()]
    if missing:
        raise StudyError(f"{missing[0]} is not in out/{run} and no notebook of this study writes it.")


def ensure_extra(corpus: str, extra: Sequence[str], *files: str) -> list[str]:
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
        ensure(given, name, *files)
    return names


def render(executed: Path, name: str, failed: str | None, banner: str) -> Path:
    """The executed notebook as a page of the run's reports; `banner` is what no reader must miss."""
    series = [report.Link(f"{book.stem}.html", report.read_title(book)) for book in notebooks()]
    return report.render(
        executed, paths.reports_dir(name) / f"{executed.stem}.html", series=series, failed=failed, banner=banner or None
    )


def write_index(name: str, corpus: str, parameters: Mapping, failures: Mapping[str, str]) -> Path:
    """``index.html`` of a run: headline, key figure, a card per notebook, parameters and versions."""
    out, entry = paths.out_dir(name), corpora.get_corpus(corpus)
    table = pd.read_csv(out / "metrics.csv") if not failures and (out / "metrics.csv").exists() else None
    over = resampled(corpora.read_utterances(out / "utterances.csv").speaker) if table is not None else "speakers"
    main = main_protocol(table.protocol) if table is not None else "speaker"
    key_figure = report.Picture(
        out / "headline.png",
        f"Bars of unweighted average recall of the original network and the study's, 95 % intervals over {over}, and chance.",
        f"Grey: tested on voices and clips that training has heard. Blue: on {WORDS[main].many}.",
    )
    entries = []
    for book in notebooks():
        about = _about(book)
        page = paths.REPORTS / name / f"{book.stem}.html"
        status = "failed" if book.stem in failures else "ok" if page.exists() else "not run"
        entries.append(
            report.Entry(
                title=report.read_title(book),
                href=page.name,
                sentence=about.get("sentence", ""),
                status=status,
                picture=report.Picture(out / about["thumbnail"], about.get("thumbnail_alt", ""))
                if "thumbnail" in about
                else None,
            )
        )
    defaults = {key: value["default"] for key, value in known_parameters().items()}
    shown = {key: json.dumps(parameters[key]) if key in parameters else default for key, default in defaults.items()}
    said = "The run stopped before there was a result." if table is None else headline(table, over)
    return report.write_index(
        paths.reports_dir(name) / "index.html",
        title=f"Speech emotion recognition on {entry.title}",
        headline=said,
        entries=entries,
        key_figure=None if failures else key_figure,
        banner=entry.notice or None,
        tables={
            "Parameters": shown,
            "Corpus": {"cite": entry.citation, "licence": entry.licence},
            "Versions": versions(),
        },
    )


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    return {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}}


def anchors(corpus: str) -> pd.DataFrame:
    """Published results on a corpus, with their sources: system, uar, kind, source, protocol, comparable (yes or no)."""
    table = pd.read_csv(Path(__file__).with_name("anchors.csv"))
    return table[table.corpus == corpus].drop(columns="corpus")
