"""The original study's 38 features of every clip and of two variants: the plain way, the study's, and the limit of both.

.venv/bin/python -m benchmarks.original38 [corpus] [--clips N]
"""

from collections.abc import Sequence
from pathlib import Path

import joblib
import numpy as np
import scipy.fft
import soundfile as sf

from benchmarks import measure, plain
from ser_utils.core.tables import ORIGINAL
from ser_utils.features import extraction, original38
from ser_utils.features.augmentation import STRENGTHS
from ser_utils.features.short_time import BLOCK

VARIANTS = ["noise", "stretch_pitch"]
TARGET = "at least 8"


def plain_way(root: Path, files: list[str]) -> np.ndarray:
    """One clip after the other, one call of librosa per feature [shape=(n_clips, 3, 38)]."""
    rng = np.random.default_rng(0)
    return np.array([plain.original38_clip(root / file, rng=rng) for file in files])


def study_way(root: Path, files: list[str]) -> np.ndarray:
    """As notebook 02 does, on all cores [shape=(n_clips, 3, 38)]."""
    how = {"features": ["original38"], "variants": VARIANTS, "strengths": STRENGTHS}
    table = extraction.feature_tables(files, root=root, **how)["original38"]
    return table[list(original38.NAMES)].to_numpy().reshape(len(files), 1 + len(VARIANTS), -1)


def limit(n_frames: int) -> None:
    """Nothing but the FFT of as many frames, on all cores."""
    cores = joblib.cpu_count()
    joblib.Parallel(n_jobs=cores)(joblib.delayed(transform)(n_frames // cores) for _ in range(cores))


def transform(n_frames: int) -> None:
    """The FFT of frames of noise, a few at a time, which stay in the processor's cache."""
    block = np.random.default_rng(0).standard_normal((BLOCK, original38.N_FFT), dtype=np.float32)
    for _ in range(0, n_frames, BLOCK):
        scipy.fft.rfft(block, axis=1)


def frames_of(root: Path, files: list[str]) -> int:
    """Frames of all clips and their variants: two as long as the clip, one slower."""
    about = [sf.info(root / file) for file in files]
    n = np.array([one.frames * original38.SR / one.samplerate for one in about])
    lengths = np.stack([n, n, n / STRENGTHS["stretch_rate"]])
    return int(np.sum(1 + lengths // original38.HOP))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    given = measure.parser(__doc__.split("\n")[0]).parse_args(argv)
    corpus, files = measure.clips(given.corpus, given.clips)
    part = given.clips is not None
    title = f"original38: the original and {' and '.join(VARIANTS)}, plain on one core (librosa) against the study on all"
    measure.begin(title, corpus, len(files), part=part, warm=measure.WARM)
    slow = measure.apart(plain_way, corpus.root, files, warm_up=(corpus.root, files[:1]))
    fast = measure.apart(study_way, corpus.root, files, warm_up=(corpus.root, measure.few(files)))
    n_frames = frames_of(corpus.root, files)
    floor = measure.apart(limit, n_frames, warm_up=(BLOCK * joblib.cpu_count(),))
    rows = [
        measure.Row.of("plain", slow, ratio=1.0),
        measure.Row.of("study", fast, ratio=slow.seconds / fast.seconds, target=TARGET),
        measure.Row.of("limit: FFT alone", floor, ratio=slow.seconds / floor.seconds),
    ]
    measure.report("original38", corpus, len(files), rows, part=part)
    print(
        f"The limit is one FFT per frame: {n_frames} frames; the study takes {fast.seconds / floor.seconds:.1f} times as long."
    )
    off = np.abs(fast.value[:, 0] / slow.value[:, 0] - 1)
    print(f"Rows of {ORIGINAL} clips agree to {np.nanmax(off):.0e}; the variants' noise is drawn otherwise.")


if __name__ == "__main__":
    measure.command(main)
