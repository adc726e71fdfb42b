"""Shared parts of the benchmarks: time and memory of a function in a warmed-up subprocess, printed table, results file."""

import argparse
import importlib
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from joblib.externals.loky import get_reusable_executor, reusable_executor

from ser_utils import corpora
from ser_utils.core import paths
from ser_utils.core.errors import StudyError

RESULTS = Path(__file__).with_name("results.csv")
COLUMNS = ["benchmark", "corpus", "clips", "side", "seconds", "peak_mb", "ratio", "target"]
"""Columns of ``results.csv``: `seconds`, `peak_mb` of the largest process, `ratio` as defined by each benchmark."""
WARM_UP_CLIPS = 4
"""Clips per core for the warm-up, so that every worker gets some."""
QUIET = {"SER_PROGRESS": "off", "SER_CACHE_READ": "off", "TF_CPP_MIN_LOG_LEVEL": "3"}


@dataclass(frozen=True)
class Measured:
    """Result of one side: return value, time, and peak memory of its processes."""

    value: object
    seconds: float
    parent_mb: float
    worker_mb: float
    """Memory of the largest worker; 0 without workers."""
    warm_up_s: float


@dataclass(frozen=True)
class Row:
    """A row of the printed table and of ``results.csv``."""

    side: str
    seconds: float = np.nan
    parent_mb: float = np.nan
    worker_mb: float = np.nan
    ratio: float = np.nan
    target: str = ""
    """``at least 8`` or ``at most 480 s``: for the ratio, or for the seconds if it ends in s."""
    times: int = 1
    """Number of copies of the corpus."""

    @classmethod
    def of(cls, side: str, measured: Measured, **fields: object) -> "Row":
        return cls(side, measured.seconds, measured.parent_mb, measured.worker_mb, **fields)

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        limit = float(self.target.split()[2])
        value = self.seconds if self.target.endswith(" s") else self.ratio
        return bool(value >= limit if self.target.startswith("at least") else value <= limit)


def measure_in_subprocess(function: Callable, *args: object, warm_up: Sequence | None = None) -> Measured:
    """Call a function in a subprocess twice: with other arguments as a warm-up, then measured.

    Memory is the peak of the process and its children from `resource.getrusage`. A child inherits the peak of its parent at the
    time of the fork, so workers start during the warm-up.

    Parameters
    ----------
    function : callable
        A function of a module; its return value is pickled.
    args
        Its arguments.
    warm_up : sequence, optional
        Its arguments in the warm-up: a small task that imports modules, compiles kernels and starts workers.

    Raises
    ------
    StudyError
        The function fails.
    """
    with tempfile.TemporaryDirectory(prefix="ser-benchmark-") as scratch:
        task = Path(scratch, "task.pickle")
        module = sys.modules[function.__module__].__spec__.name  # also correct for a script
        task.write_bytes(pickle.dumps((module, function.__name__, args, warm_up)))
        environment = os.environ | QUIET | {"SER_CACHE": str(Path(scratch, "cache"))}
        command = [sys.executable, "-m", "benchmarks.measure", str(task)]
        done = subprocess.run(command, cwd=paths.ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise StudyError(f"{done.stderr}{module}.{function.__name__} failed with the error above.")
        return Measured(*pickle.loads(task.read_bytes()))


def _run(task: Path) -> None:
    """Run the task of `measure_in_subprocess`, in the subprocess."""
    module, name, args, warm_up = pickle.loads(task.read_bytes())
    function = getattr(importlib.import_module(module), name)
    began = time.perf_counter()
    if warm_up is not None:
        function(*warm_up)
    warm = time.perf_counter()
    value = function(*args)
    ended = time.perf_counter()
    parent_mb, worker_mb = peak_mb(resource.RUSAGE_SELF), 0.0
    if reusable_executor._executor is not None:  # else the only children are helpers of libraries
        get_reusable_executor().shutdown(wait=True)  # only terminated children are counted
        worker_mb = peak_mb(resource.RUSAGE_CHILDREN)
    task.write_bytes(pickle.dumps((value, ended - warm, parent_mb, worker_mb, warm - began)))


def peak_mb(who: int) -> float:
    """Return the peak memory of this process (`resource.RUSAGE_SELF`), or of its largest terminated child."""
    peak = resource.getrusage(who).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def parser(description: str, *, default: str = "") -> argparse.ArgumentParser:
    """Return a parser of the arguments that all benchmarks share."""
    arguments = argparse.ArgumentParser(description=description)
    default_text = default or "emovo if data/EMOVO exists, else demo"
    arguments.add_argument("corpus", nargs="?", default=default, help=f"demo or emovo (default: {default_text})")
    arguments.add_argument("--clips", type=int, metavar="N", help="number of clips for a trial; not saved in results.csv")
    return arguments


def clips(name: str, n: int | None = None) -> tuple[corpora.Corpus, list[str]]:
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
    if n is None:
        return corpus, files
    if not 1 <= n <= len(files):
        raise StudyError(f"--clips {n}: expected 1 to {len(files)}, the number of clips in the corpus.")
    return corpus, [files[i] for i in np.linspace(0, len(files) - 1, n).round().astype(int)]


def warm_up_files(files: list[str]) -> list[str]:
    """Return clips for a warm-up, `WARM_UP_CLIPS` per core, repeated if the corpus has fewer."""
    return (files * WARM_UP_CLIPS * joblib.cpu_count())[: WARM_UP_CLIPS * joblib.cpu_count()]


def print_header(title: str, corpus: corpora.Corpus, n_clips: int, *, part: bool, warm: str) -> None:
    """Print the title, the clips, and the conditions of the measurement."""
    print(f"{title}\n{n_clips} clips of {corpus.name}{', a part of the corpus' if part else ''}; {joblib.cpu_count()} cores.")
    print(warm, flush=True)


WARM = (
    "Each side runs in a subprocess, after a warm-up of imports, compiled kernels and workers that does not count; "
    "no cache is read."
)


def report(benchmark: str, corpus: corpora.Corpus, n_clips: int, rows: list[Row], *, part: bool) -> None:
    """Print the rows and their targets, and save them in ``results.csv`` if the whole corpus was measured."""
    print(f"\n{'side':<24}{'seconds':>9}{'per clip':>11}{'peak MB':>9}{'in a worker':>13}{'ratio':>8}")
    for row in rows:
        numbers = [
            _cell(row.seconds, "9.2f"),
            _cell(1000 * row.seconds / (row.times * n_clips), "8.1f", " ms"),
            _cell(row.parent_mb, "9.0f"),
            _cell(row.worker_mb or np.nan, "13.0f"),
            _cell(row.ratio, "8.2f"),
        ]
        print(f"{row.side:<24}{''.join(numbers)}".rstrip())
    for row in rows:
        if row.target:
            value = f"{row.seconds:.1f} s" if row.target.endswith(" s") else f"{row.ratio:.4g}"
            print(f"{benchmark}, {row.side}: {value}; target: {row.target}: {'met' if row.met else 'MISSED'}")
    if part:
        print("Only a part of the corpus was measured: results.csv is not changed.")
        return
    record(pd.DataFrame([_record(benchmark, corpus.name, n_clips, row) for row in rows], columns=COLUMNS))
    print(f"Saved in {RESULTS.parent.name}/{RESULTS.name}.")


def _cell(value: float, form: str, unit: str = "") -> str:
    return format("-", f">{int(form.split('.')[0]) + len(unit)}") if np.isnan(value) else format(value, form) + unit


def _record(benchmark: str, corpus: str, n_clips: int, row: Row) -> list:
    peak_mb = np.fmax(row.parent_mb, row.worker_mb)
    numbers = [round(float(number), digits) for number, digits in ((row.seconds, 2), (peak_mb, 0), (row.ratio, 3))]
    return [benchmark, corpus, row.times * n_clips, row.side, *numbers, row.target]


def record(rows: pd.DataFrame) -> None:
    """Replace the rows of the same benchmark and corpus in ``results.csv``."""
    if RESULTS.exists():
        earlier = pd.read_csv(RESULTS, keep_default_na=False, dtype=str)
        same = (earlier.benchmark == rows.benchmark.iloc[0]) & (earlier.corpus == rows.corpus.iloc[0])
        rows = pd.concat([earlier[~same], rows.astype(object).fillna("").astype(str)])
    rows = rows.sort_values(["benchmark", "corpus"], kind="stable")
    with paths.write_aside(RESULTS) as aside:
        rows.to_csv(aside, index=False)


def command(main: Callable[[Sequence[str] | None], None]) -> None:
    """Run the main function of a script; exit with the message of a `StudyError`."""
    try:
        main(None)
    except StudyError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    _run(Path(sys.argv[1]))
