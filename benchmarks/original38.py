"""The original clips and two variants; librosa on one core, the study on all, and the FFT alone as the limit.

.venv/bin/python -m benchmarks.original38 [corpus] [--clips N]
"""

from pathlib import Path

import joblib
import numpy as np
import scipy.fft
import soundfile as sf

from benchmarks import measure, plain
from ser_utils import corpora
from ser_utils.features import extraction, original38
from ser_utils.features.augmentation import STRENGTHS
from ser_utils.features.short_time import BLOCK

VARIANTS = ["noise", "stretch_pitch"]


def plain_way(root: Path, files: list[str]) -> np.ndarray:
    """Compute one clip after the other, by one call of librosa per feature [shape=(n_clips, 3, 38)]."""
    rng = np.random.default_rng(0)
    return np.array([plain.original38_clip(root / file, rng=rng) for file in files])


def study_way(root: Path, files: list[str]) -> np.ndarray:
    """Compute all clips as notebook 02 does, on all cores [shape=(n_clips, 3, 38)]."""
    options = {"features": ["original38"], "variants": VARIANTS, "strengths": STRENGTHS}
    table = extraction.feature_tables(files, root=root, **options)["original38"]
    return table[list(original38.NAMES)].to_numpy().reshape(len(files), 1 + len(VARIANTS), -1)


def limit(n_frames: int) -> None:
    """Compute only the FFT of the same number of frames, on all cores."""
    cores = joblib.cpu_count()
    joblib.Parallel(n_jobs=cores)(joblib.delayed(transform)(n_frames // cores) for _ in range(cores))


def transform(n_frames: int) -> None:
    """Compute the FFT of frames of noise, in blocks that fit into the processor's cache."""
    block = np.random.default_rng(0).standard_normal((BLOCK, original38.N_FFT), dtype=np.float32)
    for _ in range(0, n_frames, BLOCK):
        scipy.fft.rfft(block, axis=1)


def count_frames(root: Path, files: list[str]) -> int:
    """Count the frames of all clips and their variants: two of the clip's length, one stretched."""
    infos = [sf.info(root / file) for file in files]
    n = np.array([info.frames * original38.SR / info.samplerate for info in infos])
    lengths = np.stack([n, n, n / STRENGTHS["stretch_rate"]])
    return int(np.sum(1 + lengths // original38.HOP))


def benchmark(corpus: corpora.Corpus, files: list[str]) -> list[dict]:
    """Measure both sides and the limit; print how well the features of the original clips agree."""
    slow = measure.measure_in_process(plain_way, corpus.root, files, warm_up=(corpus.root, files[:1]))
    fast = measure.measure_in_process(study_way, corpus.root, files, warm_up=(corpus.root, measure.warm_up_files(files)))
    n_frames = count_frames(corpus.root, files)
    fft = measure.measure_in_process(limit, n_frames, warm_up=(BLOCK * joblib.cpu_count(),))
    error = np.nanmax(np.abs(fast.value[:, 0] / slow.value[:, 0] - 1))
    print(f"Features of the original clips agree to {error:.0e}. The limit is one FFT for each of {n_frames} frames.")
    return [
        slow.row("plain", ratio=1.0),
        fast.row("study", ratio=slow.seconds / fast.seconds, target="at least 8"),
        fft.row("limit: FFT alone", ratio=slow.seconds / fft.seconds),
    ]


if __name__ == "__main__":
    measure.command("original38")
