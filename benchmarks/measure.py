"""Shared parts of the benchmarks: time and memory of a function in a warmed-up process, printed table, results file."""

import argparse
import importlib
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import joblib
import numpy as np
import pandas as pd
from joblib.externals.loky import get_reusable_executor

from ser_utils import corpora
from ser_utils.core.errors import StudyError

RESULTS = Path(__file__).with_name("results.csv")
COLUMNS = ["benchmark", "corpus", "clips", "side", "seconds", "peak_mb", "ratio", "target"]
WARM_UP_CLIPS = 4
"""Clips per core for the warm-up, so that every worker gets some."""
QUIET = {"SER_PROGRESS": "off", "SER_CACHE_READ": "off", "TF_CPP_MIN_LOG_LEVEL": "3"}


@dataclass(frozen=True)
class Measured:
    """Return value of a function, its time, and the peak memory of its process and of its largest worker."""

    value: object
    seconds: float
    parent_mb: float
    worker_mb: float
    warm_up_s: float

    def row(self, side: str, *, ratio: float = np.nan, target: str = "") -> dict[str, object]:
        """Return a row of ``results.csv``; `target` is ``at least 8``, for the ratio, or ``at most 480 s``, for the time."""
        peak_mb = max(self.parent_mb, self.worker_mb)
        return {"side": side, "seconds": self.seconds, "peak_mb": peak_mb, "ratio": ratio, "target": target}


def measure_in_process(function: Callable, *args: object, warm_up: Sequence) -> Measured:
    """Call a function in a new process twice: with the arguments `warm_up`, which does not count, then with `args`.

    The warm-up imports modules, compiles kernels and starts workers. The second call reads nothing from the cache.
    """
    with (
        tempfile.TemporaryDirectory(prefix="ser-benchmark-") as cache,
        patch.dict(os.environ, QUIET, SER_CACHE=cache),
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor,
    ):
        return executor.submit(_measure, function, args, warm_up).result()


def _measure(function: Callable, args: Sequence, warm_up: Sequence) -> Measured:
    start = time.perf_counter()
    function(*warm_up)
    warm = time.perf_counter()
    value = function(*args)
    end = time.perf_counter()
    get_reusable_executor().shutdown(wait=True)  # only terminated children are counted
    parent, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return Measured(value, end - warm, peak_mb(parent), peak_mb(children), warm - start)


def peak_mb(usage: resource.struct_rusage) -> float:
    """Return the peak memory of a process, or of the largest of its children."""
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def command(name: str, *, default: str = "", parts: bool = True) -> None:
    """Run a benchmark on the corpus that the command line names; print its rows, and save them if they are of a whole corpus.

    Parameters
    ----------
    name : str
        Module of this package. It is imported under this name, so that worker processes find its functions. Its function
        `benchmark` takes a corpus and its recordings and returns rows as `Measured.row` does.
    default : str
        Corpus; by default EMOVO if it is there, else the demo.
    parts : bool
        Whether a part of a corpus can be measured.
    """
    module = importlib.import_module(f"benchmarks.{name}")
    title = f"{name}: {module.__doc__.splitlines()[0]}"
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("corpus", nargs="?", default=default, help="demo or emovo")
    if parts:
        parser.add_argument("--clips", type=int, metavar="N", help="number of clips for a trial; not saved in results.csv")
    arguments = parser.parse_args()
    try:
        corpus, files = select_clips(arguments.corpus, getattr(arguments, "clips", None))
        print(f"{title}\n{len(files)} clips of {corpus.name}; {joblib.cpu_count()} cores.", flush=True)
        rows = module.benchmark(corpus, files)
    except StudyError as error:
        sys.exit(str(error))
    table = pd.DataFrame([{"benchmark": name, "corpus": corpus.name, "clips": len(files)} | row for row in rows])
    table = table.reindex(columns=COLUMNS).fillna({"target": ""}).round({"seconds": 2, "peak_mb": 0, "ratio": 3})
    print(table.assign(target_met=table.apply(target_met, axis=1)).to_string(index=False, na_rep="-"))
    if len(files) == len(select_clips(corpus.name)[1]):
        save(table)


def select_clips(name: str, n: int | None = None) -> tuple[corpora.Corpus, list[str]]:
    """Return a corpus and its recordings relative to its folder: all, or `n` at equal distances.

    Raises
    ------
    StudyError
        The corpus is missing, or has fewer than `n` recordings.
    """
    emovo = corpora.CORPORA["emovo"]
    corpus = corpora.get_corpus(name or ("emovo" if corpora.audio_files(emovo.root) else "demo"))
    files = [path.relative_to(corpus.root).as_posix() for path in corpora.audio_files(corpus.root)]
    if not files:
        raise StudyError(f"{corpus.title} is missing. {corpus.instructions}")
    if n is not None and not 1 <= n <= len(files):
        raise StudyError(f"--clips {n}: expected 1 to {len(files)}, the number of clips in the corpus.")
    return corpus, [files[i] for i in np.linspace(0, len(files) - 1, n or len(files)).round().astype(int)]


def warm_up_files(files: list[str]) -> list[str]:
    """Return clips for a warm-up, `WARM_UP_CLIPS` per core, repeated if the corpus has fewer."""
    return (files * WARM_UP_CLIPS * joblib.cpu_count())[: WARM_UP_CLIPS * joblib.cpu_count()]


def target_met(row: pd.Series) -> str:
    """Return whether a row meets its target: yes, no, or nothing without a target."""
    if not row.target:
        return ""
    value = row.seconds if row.target.endswith(" s") else row.ratio
    limit = float(row.target.split()[2])
    return "yes" if (value >= limit if row.target.startswith("at least") else value <= limit) else "no"


def save(table: pd.DataFrame) -> None:
    """Replace the rows of the same benchmark and corpus in ``results.csv``."""
    earlier = pd.read_csv(RESULTS, keep_default_na=False, dtype=str)
    same = (earlier.benchmark == table.benchmark[0]) & (earlier.corpus == table.corpus[0])
    rows = pd.concat([earlier[~same], table.astype(object).fillna("").astype(str)])
    rows.sort_values(["benchmark", "corpus"], kind="stable").to_csv(RESULTS, index=False)
