"""Functionals of every clip: the reference with pYIN against the study, and the agreement of their F0.

.venv/bin/python -m benchmarks.functionals [corpus] [--clips N]
"""

from collections.abc import Sequence
from pathlib import Path

import joblib
import librosa
import numpy as np

from benchmarks import measure, plain, plain_f0
from ser_utils.features import extraction
from ser_utils.features.augmentation import STRENGTHS
from ser_utils.features.f0 import track_f0

TARGET = "at least 6"
F0_TARGET, VOICING_TARGET = 0.95, 0.90


def plain_way(root: Path, files: list[str]) -> list[np.ndarray]:
    """Compute the reference functionals on all cores; return the F0 of each clip by pYIN."""
    return joblib.Parallel(n_jobs=-1)(joblib.delayed(plain_clip)(root / file) for file in files)


def plain_clip(path: Path) -> np.ndarray:
    """Compute the functionals of a clip; return their F0 in Hz, NaN in unvoiced frames [shape=(n_frames,)]."""
    y, sr = librosa.load(path, sr=None, mono=False)
    f0_results = []

    def pyin(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        f0_results.append(plain_f0.pyin_f0(y))
        return f0_results[0]

    plain.functionals(y, sr, f0=pyin)
    return f0_results[0][0]


def study_way(root: Path, files: list[str]) -> int:
    """Compute the functionals of the original clips as notebook 02 does, on all cores; return their number."""
    tables = extraction.feature_tables(files, root=root, features=["functionals"], variants=[], strengths=STRENGTHS)
    return tables["functionals"].shape[1] - 2


def both_f0(root: Path, files: list[str], pyin: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return F0 in Hz of all clips from their first to their last active frame, by the study and by librosa's pYIN."""
    pairs = joblib.Parallel(n_jobs=-1)(joblib.delayed(both_f0_of)(root / f, f0) for f, f0 in zip(files, pyin, strict=True))
    study_hz, pyin_hz = (np.concatenate(part) for part in zip(*pairs, strict=True))
    return study_hz, pyin_hz


def both_f0_of(path: Path, pyin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both F0 estimates of the mono mix of one clip, as librosa's pYIN takes one channel."""
    y, sr = librosa.load(path, sr=None, mono=False)
    y = plain.prepared(y, sr).mean(axis=0, keepdims=True)
    span = plain.active_span(plain.active_frames(plain.levels(plain.short_spectra(y))))
    return track_f0(y)[0][span], pyin[span]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark and print its results."""
    arguments = measure.parser(__doc__.split("\n")[0]).parse_args(argv)
    corpus, files = measure.clips(arguments.corpus, arguments.clips)
    part = arguments.clips is not None
    title = "functionals: the plain definitions with librosa's pYIN against the study, both on all cores"
    measure.print_header(title, corpus, len(files), part=part, warm=measure.WARM)
    warm_up = (corpus.root, measure.warm_up_files(files))
    slow = measure.measure_in_subprocess(plain_way, corpus.root, files, warm_up=warm_up)
    fast = measure.measure_in_subprocess(study_way, corpus.root, files, warm_up=warm_up)
    within, voicing = plain_f0.agreement(*measure.measure_in_subprocess(both_f0, corpus.root, files, slow.value).value)
    rows = [
        measure.Row.of("plain", slow, ratio=1.0),
        measure.Row.of("study", fast, ratio=slow.seconds / fast.seconds, target=TARGET),
        measure.Row("F0 within 1/2 semitone", ratio=within, target=f"at least {F0_TARGET}"),
        measure.Row("voicing as pYIN", ratio=voicing, target=f"at least {VOICING_TARGET}"),
    ]
    measure.report("functionals", corpus, len(files), rows, part=part)


if __name__ == "__main__":
    measure.command(main)
