"""The plain definitions with librosa's pYIN and the study, both on all cores; and the agreement of their F0.

.venv/bin/python -m benchmarks.functionals [corpus] [--clips N]
"""

from pathlib import Path

import joblib
import librosa
import numpy as np

from benchmarks import measure, plain, plain_f0
from ser_utils import corpora
from ser_utils.features import extraction
from ser_utils.features.augmentation import STRENGTHS
from ser_utils.features.f0 import track_f0


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


def study_way(root: Path, files: list[str]) -> None:
    """Compute the functionals of the original clips as notebook 02 does, on all cores."""
    extraction.feature_tables(files, root=root, features=["functionals"], variants=[], strengths=STRENGTHS)


def study_f0(path: Path) -> tuple[np.ndarray, slice]:
    """Return F0 in Hz of the mono mix of a clip, as pYIN takes one channel, and the span of its active frames."""
    y, sr = librosa.load(path, sr=None, mono=False)
    y = plain.prepared(y, sr).mean(axis=0, keepdims=True)
    return track_f0(y)[0], plain.active_span(plain.active_frames(plain.levels(plain.short_spectra(y))))


def benchmark(corpus: corpora.Corpus, files: list[str]) -> list[dict]:
    """Measure both sides; compare their F0 from the first to the last active frame of each clip."""
    warm_up = (corpus.root, measure.warm_up_files(files))
    slow = measure.measure_in_process(plain_way, corpus.root, files, warm_up=warm_up)
    fast = measure.measure_in_process(study_way, corpus.root, files, warm_up=warm_up)
    tracks = joblib.Parallel(n_jobs=-1)(joblib.delayed(study_f0)(corpus.root / file) for file in files)
    study_hz = np.concatenate([f0_hz[span] for f0_hz, span in tracks])
    pyin_hz = np.concatenate([f0_hz[span] for f0_hz, (_, span) in zip(slow.value, tracks, strict=True)])
    within, voicing = plain_f0.agreement(study_hz, pyin_hz)
    return [
        slow.row("plain", ratio=1.0),
        fast.row("study", ratio=slow.seconds / fast.seconds, target="at least 6"),
        {"side": "F0 within 1/2 semitone", "ratio": within, "target": "at least 0.95"},
        {"side": "voicing as pYIN", "ratio": voicing, "target": "at least 0.9"},
    ]


if __name__ == "__main__":
    measure.command("functionals")
