"""All feature sets of 1, 4 and 20 times the corpus, on all cores; time per clip and growth of memory.

    .venv/bin/python -m benchmarks.scale [corpus] [--clips N]

The default is the demo corpus, as 20 times EMOVO needs 7 GB of temporary files.
"""

import tempfile
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import soundfile as sf

from benchmarks import measure
from ser_utils import corpora
from ser_utils.core.tables import FRAMES
from ser_utils.features import extraction
from ser_utils.features.augmentation import STRENGTHS
from ser_utils.features.registry import FEATURE_SETS

TIMES = (1, 4, 20)
NOISE = 0.001
"""Standard deviation of the noise of a copy, relative to the highest sample."""


def write_copies(root: Path, files: list[str], folder: Path, n_copies: int) -> list[str]:
    """Write copies of recordings as WAV with independent noise; return their names, sorted by copy."""
    names = [(f"{copy:02d}/{Path(file).with_suffix('.wav')}", copy, file) for copy in range(n_copies) for file in files]
    joblib.Parallel(n_jobs=-1)(joblib.delayed(write_copy)(root / file, folder / name, copy) for name, copy, file in names)
    return [name for name, _, _ in names]


def write_copy(source: Path, target: Path, copy: int) -> None:
    """Write one recording with the noise of one copy."""
    y, sr = sf.read(source, dtype="float32", always_2d=True)
    rng = np.random.default_rng([copy, *source.as_posix().encode()])
    target.parent.mkdir(parents=True, exist_ok=True)
    sf.write(target, y + np.float32(NOISE * y.max()) * rng.standard_normal(y.shape, np.float32), sr, subtype="PCM_16")


def study_way(root: Path, files: list[str]) -> float:
    """Compute the original clips as notebook 02 does, on all cores; return the size of the tables in MB."""
    options = {"features": list(FEATURE_SETS), "variants": [], "strengths": STRENGTHS}
    tables = extraction.feature_tables(files, root=root, **options)
    return sum(map(table_bytes, tables.values())) / 2**20


def table_bytes(table: pd.DataFrame) -> int:
    """Return the size of the columns and of the sequences, whose values pandas does not count where they are views."""
    views = sum(frames.nbytes for frames in table.get(FRAMES, ()) if frames.base is not None)
    return int(table.memory_usage(deep=True).sum()) + views


def benchmark(corpus: corpora.Corpus, files: list[str]) -> list[dict]:
    """Measure copies of the corpus; growth of memory is relative to 1 x, its ratio to the size of the feature tables."""
    with tempfile.TemporaryDirectory(prefix="ser-benchmark-") as folder:
        root = Path(folder)
        copies = write_copies(corpus.root, files, root, max(TIMES))
        warm_up = (root, copies[: len(files)])  # the whole corpus, as the longest clips determine a worker's memory
        runs = {n: measure.measure_in_process(study_way, root, copies[: n * len(files)], warm_up=warm_up) for n in TIMES}
    first, rows = runs[1], []
    for n, run in runs.items():
        flat = {"target": "at most 1.15"} if n > 1 else {}
        rows.append(run.row(f"{n} x", ratio=run.seconds / n / first.seconds, **flat) | {"clips": n * len(files)})
    for n in TIMES[1:]:
        for process, mb, mb_once in (
            ("parent", runs[n].parent_mb, first.parent_mb),
            ("worker", runs[n].worker_mb, first.worker_mb),
        ):
            growth = {"peak_mb": mb - mb_once, "ratio": (mb - mb_once) / runs[n].value, "target": "at most 1"}
            rows.append({"side": f"{n} x, {process}'s growth", "clips": n * len(files)} | growth)
    return rows


if __name__ == "__main__":
    measure.command("scale", default="demo")
