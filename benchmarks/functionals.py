"""The study's functionals of every clip: the plain definitions with pYIN against the study, and how far their F0 agree.

.venv/bin/python -m benchmarks.functionals [corpus] [--clips N]
"""

from collections.abc import Sequence
from pathlib import Path

import joblib
import librosa
import numpy as np

from benchmarks import measure, plain
from ser_utils.features import extraction
from ser_utils.features.augmentation import STRENGTHS
from ser_utils.features.f0 import track_f0

TARGET = "at least 6"
F0_TARGET, VOICING_TARGET = 0.95, 0.90


def plain_way(root: Path, files: list[str]) -> list[np.ndarray]:
    """By the plain definitions, on all cores; returns the F0 that pYIN found of each clip."""
    return joblib.Parallel(n_jobs=-1)(joblib.delayed(plain_clip)(root / file) for file in files)


def plain_clip(path: Path) -> np.ndarray:
    """The functionals of a clip, and what they are made of: F0 in Hz, NaN where unvoiced [shape=(n_frames,)]."""
    y, sr = librosa.load(path, sr=None, mono=False)
    tracks = []

    def pyin(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        tracks.append(plain.pyin_f0(y))
        return tracks[0]

    plain.functionals(y, sr, f0=pyin)
    return tracks[0][0]


def study_way(root: Path, files: list[str]) -> int:
    """As notebook 02 does, on all cores, the original clips alone; returns how many features there are."""
    table = extraction.feature_tables(files, root=root, features=["functionals"], variants=[], strengths=STRENGTHS)[
        "functionals"
    ]
    return table.shape[1] - 2


def study_f0(y: np.ndarray) -> np.ndarray:
    """F0 in Hz by the study's tracker, NaN where unvoiced, of a recording as `plain.prepared` returns it."""
    return track_f0(y)[0]


def both_tracks(root: Path, files: list[str], pyin: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """F0 in Hz of all clips' frames from the first to the last active one, by the study's tracker and by pYIN."""
    pairs = joblib.Parallel(n_jobs=-1)(joblib.delayed(tracks_of)(root / f, f0) for f, f0 in zip(files, pyin, strict=True))
    ours, theirs = (np.concatenate(part) for part in zip(*pairs, strict=True))
    return ours, theirs


def tracks_of(path: Path, pyin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both tracks of one clip, of the same signal: pYIN takes one channel, so the study's tracker gets that, too."""
    y, sr = librosa.load(path, sr=None, mono=False)
    y = plain.prepared(y, sr).mean(axis=0, keepdims=True)
    span = plain.active_span(plain.active_frames(plain.levels(plain.short_spectra(y))))
    return study_f0(y)[span], pyin[span]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    given = measure.parser(__doc__.split("\n")[0]).parse_args(argv)
    corpus, files = measure.clips(given.corpus, given.clips)
    part = given.clips is not None
    title = "functionals: the plain definitions with librosa's pYIN against the study, both on all cores"
    measure.begin(title, corpus, len(files), part=part, warm=measure.WARM)
    warm_up = (corpus.root, measure.few(files))
    slow = measure.apart(plain_way, corpus.root, files, warm_up=warm_up)
    fast = measure.apart(study_way, corpus.root, files, warm_up=warm_up)
    within, voicing = plain.agreement(*measure.apart(both_tracks, corpus.root, files, slow.value).value)
    rows = [
        measure.Row.of("plain", slow, ratio=1.0),
        measure.Row.of("study", fast, ratio=slow.seconds / fast.seconds, target=TARGET),
        measure.Row("F0 within 1/2 semitone", ratio=within, target=f"at least {F0_TARGET}"),
        measure.Row("voicing as pYIN", ratio=voicing, target=f"at least {VOICING_TARGET}"),
    ]
    measure.report("functionals", corpus, len(files), rows, part=part)


if __name__ == "__main__":
    measure.command(main)
