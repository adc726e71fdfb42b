"""What the benchmarks share: each side in a process of its own, warmed up, with its time and memory; a printout; a table."""

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
"""Columns of ``results.csv``: `seconds` as measured, `peak_mb` of the largest process, `ratio` as each benchmark says."""
WARM_UP_CLIPS = 4  # a core: all workers get some before time counts
QUIET = {"SER_PROGRESS": "off", "SER_CACHE_READ": "off", "TF_CPP_MIN_LOG_LEVEL": "3"}


@dataclass(frozen=True)
class Measured:
    """One side: what it gave, how long it took, and the highest memory of its processes."""

    value: object
    seconds: float
    parent_mb: float
    worker_mb: float
    """The largest worker's; 0 where there was none."""
    warm_up_s: float


@dataclass(frozen=True)
class Row:
    """A line of the printout and of ``results.csv``."""

    side: str
    seconds: float = np.nan
    parent_mb: float = np.nan
    worker_mb: float = np.nan
    ratio: float = np.nan
    target: str = ""
    """``at least 8`` or ``at most 480 s``; what is compared is the ratio, or the seconds where it ends in s."""
    times: int = 1
    """How many times the corpus it was."""

    @classmethod
    def of(cls, side: str, measured: Measured, **more: object) -> "Row":
        return cls(side, measured.seconds, measured.parent_mb, measured.worker_mb, **more)

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        limit = float(self.target.split()[2])
        value = self.seconds if self.target.endswith(" s") else self.ratio
        return bool(value >= limit if self.target.startswith("at least") else value <= limit)


def apart(function: Callable, *args: object, warm_up: Sequence | None = None) -> Measured:
    """Call a function in a process of its own, twice: to warm up with other arguments, and to be measured.

    Memory is what the system says of the process and its children (`resource.getrusage`); a child starts with the peak that
    its parent had by then, which is why workers are started while warming up.

    Parameters
    ----------
    function : callable
        Of a module; what it returns is pickled.
    args
        Its arguments.
    warm_up : sequence, optional
        Its arguments the first time: little work that imports, compiles and starts all that time should not count.
    """
    with tempfile.TemporaryDirectory(prefix="ser-benchmark-") as scratch:
        task = Path(scratch, "task.pickle")
        module = sys.modules[function.__module__].__spec__.name  # of a script, too
        task.write_bytes(pickle.dumps((module, function.__name__, args, warm_up)))
        environment = os.environ | QUIET | {"SER_CACHE": str(Path(scratch, "cache"))}
        command = [sys.executable, "-m", "benchmarks.measure", str(task)]
        done = subprocess.run(command, cwd=paths.ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise StudyError(f"{done.stderr}{module}.{function.__name__} failed; what it said stands above.")
        return Measured(*pickle.loads(task.read_bytes()))


def _run(task: Path) -> None:
    """The process that `apart` starts."""
    module, name, args, warm_up = pickle.loads(task.read_bytes())
    function = getattr(importlib.import_module(module), name)
    began = time.perf_counter()
    if warm_up is not None:
        function(*warm_up)
    warm = time.perf_counter()
    value = function(*args)
    ended = time.perf_counter()
    parent_mb, worker_mb = peak_mb(resource.RUSAGE_SELF), 0.0
    if reusable_executor._executor is not None:  # libraries have children, too, that look for a compiler and the like
        get_reusable_executor().shutdown(wait=True)  # only those that have ended are counted
        worker_mb = peak_mb(resource.RUSAGE_CHILDREN)
    task.write_bytes(pickle.dumps((value, ended - warm, parent_mb, worker_mb, warm - began)))


def peak_mb(who: int) -> float:
    """The highest memory of this process (`resource.RUSAGE_SELF`), or of the largest of its children that have ended."""
    peak = resource.getrusage(who).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def parser(description: str, *, default: str = "") -> argparse.ArgumentParser:
    """The arguments that the benchmarks have in common."""
    made = argparse.ArgumentParser(description=description)
    otherwise = default or "emovo where data/EMOVO is there, else demo"
    made.add_argument("corpus", nargs="?", default=default, help=f"demo or emovo (default: {otherwise})")
    made.add_argument("--clips", type=int, metavar="N", help="only so many clips, for a quick try; not kept in results.csv")
    return made


def clips(name: str, n: int | None = None) -> tuple[corpora.Corpus, list[str]]:
    """A corpus and its recordings, relative to its folder; of all of them `n`, evenly spread.

    Raises
    ------
    StudyError
        There are none, or not so many.
    """
    emovo = corpora.CORPORA["emovo"]
    corpus = corpora.get_corpus(name or ("emovo" if corpora.audio_files(emovo.root) else "demo"))
    files = [path.relative_to(corpus.root).as_posix() for path in corpora.audio_files(corpus.root)]
    if not files:
        raise StudyError(f"{corpus.title} is not there. {corpus.instructions}")
    if n is None:
        return corpus, files
    if not 1 <= n <= len(files):
        raise StudyError(f"--clips {n}: expected 1 to {len(files)}, as many as the corpus has.")
    return corpus, [files[i] for i in np.linspace(0, len(files) - 1, n).round().astype(int)]


def few(files: list[str]) -> list[str]:
    """Clips to warm up with: some for every core, the same again where there are not as many."""
    return (files * WARM_UP_CLIPS * joblib.cpu_count())[: WARM_UP_CLIPS * joblib.cpu_count()]


def begin(title: str, corpus: corpora.Corpus, n_clips: int, *, part: bool, warm: str) -> None:
    """Say what is measured, of what, and what is not counted."""
    print(f"{title}\n{n_clips} clips of {corpus.name}{', only a part of it' if part else ''}; {joblib.cpu_count()} cores.")
    print(warm, flush=True)


WARM = (
    "Before time counts, each side has its imports, compiled kernels and worker processes warmed up, in a process of its own; "
    "nothing is taken from a cache."
)


def report(benchmark: str, corpus: corpora.Corpus, n_clips: int, rows: list[Row], *, part: bool) -> None:
    """Print the rows and whether targets are met, and keep them in ``results.csv`` where all of the corpus was measured."""
    print(f"\n{'side':<24}{'seconds':>9}{'per clip':>11}{'peak MB':>9}{'in a worker':>13}{'ratio':>8}")
    for row in rows:
        numbers = [
            _said(row.seconds, "9.2f"),
            _said(1000 * row.seconds / (row.times * n_clips), "8.1f", " ms"),
            _said(row.parent_mb, "9.0f"),
            _said(row.worker_mb or np.nan, "13.0f"),
            _said(row.ratio, "8.2f"),
        ]
        print(f"{row.side:<24}{''.join(numbers)}".rstrip())
    for row in rows:
        if row.target:
            value = f"{row.seconds:.1f} s" if row.target.endswith(" s") else f"{row.ratio:.4g}"
            print(f"{benchmark}, {row.side}: {value}; target: {row.target}: {'met' if row.met else 'MISSED'}")
    if part:
        print("This is a part of the corpus: results.csv stays as it is.")
        return
    record(pd.DataFrame([_kept(benchmark, corpus.name, n_clips, row) for row in rows], columns=COLUMNS))
    print(f"Kept in {RESULTS.parent.name}/{RESULTS.name}.")


def _said(value: float, form: str, unit: str = "") -> str:
    return format("-", f">{int(form.split('.')[0]) + len(unit)}") if np.isnan(value) else format(value, form) + unit


def _kept(benchmark: str, corpus: str, n_clips: int, row: Row) -> list:
    peak_mb = np.fmax(row.parent_mb, row.worker_mb)
    numbers = [round(float(number), digits) for number, digits in ((row.seconds, 2), (peak_mb, 0), (row.ratio, 3))]
    return [benchmark, corpus, row.times * n_clips, row.side, *numbers, row.target]


def record(rows: pd.DataFrame) -> None:
    """Put rows into ``results.csv`` in the place of earlier ones of the same benchmark and corpus."""
    if RESULTS.exists():
        earlier = pd.read_csv(RESULTS, keep_default_na=False, dtype=str)
        same = (earlier.benchmark == rows.benchmark.iloc[0]) & (earlier.corpus == rows.corpus.iloc[0])
        rows = pd.concat([earlier[~same], rows.astype(object).fillna("").astype(str)])
    rows = rows.sort_values(["benchmark", "corpus"], kind="stable")
    with paths.write_aside(RESULTS) as aside:
        rows.to_csv(aside, index=False)


def command(main: Callable[[Sequence[str] | None], None]) -> None:
    """Run a script; what a user can mend is one sentence."""
    try:
        main(None)
    except StudyError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    _run(Path(sys.argv[1]))
