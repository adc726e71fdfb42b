"""All feature sets of 1, 4 and 20 times the corpus: time per clip and memory.

    .venv/bin/python -m benchmarks.scale [corpus] [--clips N]

The default is the demo corpus, as 20 times EMOVO needs 7 GB of temporary files.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import joblib
import numpy as np
import soundfile as sf

from benchmarks import measure
from ser_utils.features import extraction
from ser_utils.features.augmentation import STRENGTHS
from ser_utils.features.registry import FEATURE_SETS

TIMES = (1, 4, 20)
NOISE = 0.001
"""Standard deviation of the noise of a copy, relative to the highest sample."""
FLAT, MEMORY = "at most 1.15", "at most 1"


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


def study_way(root: Path, files: list[str]) -> int:
    """Compute the original clips as notebook 02 does, on all cores; return the size of the tables in bytes."""
    options = {"features": list(FEATURE_SETS), "variants": [], "strengths": STRENGTHS}
    tables = extraction.feature_tables(files, root=root, **options)
    return int(sum(table.memory_usage(deep=True).sum() for table in tables.values()))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark and print its results."""
    arguments = measure.parser(__doc__.split("\n")[0], default="demo").parse_args(argv)
    corpus, files = measure.clips(arguments.corpus, arguments.clips)
    part = arguments.clips is not None
    title = f"scale: {' and '.join(FEATURE_SETS)} of {', '.join(map(str, TIMES))} times the corpus, on all cores"
    measure.print_header(title, corpus, len(files), part=part, warm=measure.WARM)
    with tempfile.TemporaryDirectory(prefix="ser-benchmark-") as folder:
        copies = write_copies(corpus.root, files, Path(folder), max(TIMES))
        warm_up = (Path(folder), copies[: len(files)])  # the whole corpus, as the longest clips determine a worker's memory
        runs = {
            n: measure.measure_in_subprocess(study_way, Path(folder), copies[: n * len(files)], warm_up=warm_up) for n in TIMES
        }
    first, rows = runs[1], []
    for n, run in runs.items():
        rows.append(measure.Row.of(f"{n} x", run, times=n, ratio=run.seconds / n / first.seconds, target=FLAT if n > 1 else ""))
    for n, run in list(runs.items())[1:]:
        table_mb = run.value / 2**20
        parent, worker = run.parent_mb - first.parent_mb, run.worker_mb - first.worker_mb
        rows.append(measure.Row(f"{n} x, parent's growth", parent_mb=parent, ratio=parent / table_mb, times=n, target=MEMORY))
        rows.append(measure.Row(f"{n} x, worker's growth", worker_mb=worker, ratio=worker / table_mb, times=n, target=MEMORY))
    measure.report("scale", corpus, len(files), rows, part=part)
    tables = ", ".join(f"{n} x {run.value / 2**20:.1f} MB" for n, run in runs.items())
    print(f"Ratios: time per clip relative to 1 x, and growth relative to the feature tables ({tables}).")


if __name__ == "__main__":
    measure.command(main)
