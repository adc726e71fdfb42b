"""F0 by the study against `librosa.pyin` with coarser steps of F0: speed, agreement, and UAR on inner folds (no test speaker).

.venv/bin/python -m benchmarks.f0 [corpus [clips]]        writes benchmarks/f0.csv if all clips of a corpus are measured
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest import mock

import joblib
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from threadpoolctl import threadpool_limits

from benchmarks import measure, plain, plain_f0
from ser_utils.core.audio import read_audio
from ser_utils.features import f0, functionals

METHODS = {"study": f0.track_f0} | {f"pyin {r:g}": partial(plain_f0.pyin_f0, resolution=r) for r in (0.1, 0.2, 0.25, 0.5)}
"""The number is the step of F0 in semitones. All methods are timed on every fifth clip."""
CLASSIFIED = ("study", "pyin 0.25")
"""Methods with functionals of all clips."""


def cpu_seconds(function: Callable, *arguments) -> tuple[float, object]:
    """Return the CPU time of a call, which other processes do not affect, and its result."""
    start = time.process_time()
    value = function(*arguments)
    return time.process_time() - start, value


def logged_f0(calls: list, method: str, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the F0 by a method, and append CPU seconds and F0 to `calls`."""
    calls.append(cpu_seconds(METHODS[method], y))
    return calls[-1][1]


def clip_rows(path: Path, *, timed: bool) -> list[dict]:
    """Return F0, functionals and CPU seconds of one clip by each method, and the seconds of the reference if `timed`."""
    (y, sr), rows = read_audio(path, sr=f0.SR, mono=False), []
    with threadpool_limits(1):
        span = plain.active_span(plain.active_frames(plain.levels(plain.short_spectra(plain.prepared(y, sr)))))
        for method in METHODS if timed else CLASSIFIED:
            calls = []
            with mock.patch("ser_utils.features.low_level_descriptors.track_f0", partial(logged_f0, calls, method)):
                seconds, values = cpu_seconds(functionals.functionals, y, sr)
            f0_s, (f0_hz, _) = calls[0]
            rows.append({"f0": method, "f0_s": f0_s, "s": seconds, "hz": f0_hz[span], "values": values})
        if timed:
            rows.append({"f0": "plain", "s": cpu_seconds(plain.functionals, y, sr)[0]})
    return [row | {"emotion": path.stem[:3], "speaker": path.parent.name, "timed": timed} for row in rows]


def inner_uar(rows: pd.DataFrame) -> dict[str, float]:
    """Return the UAR of a logistic regression, leaving out one speaker at a time of those that are not held out.

    Every other speaker is held out in turn and is part of no inner fold. Features are normalised per speaker.
    """
    X = pd.DataFrame(np.stack(rows["values"]), index=rows.index).groupby(rows.speaker)
    X = X.transform(lambda x: (x - x.mean()) / (x.std() + 1e-9)).to_numpy()
    emotion, speaker, uar = rows.emotion.to_numpy(), rows.speaker.to_numpy(), {}
    for held_out in sorted(set(speaker))[::2]:
        inner = speaker != held_out
        model, folds = LogisticRegression(C=0.01, max_iter=1000), LeaveOneGroupOut()
        predicted = cross_val_predict(model, X[inner], emotion[inner], groups=speaker[inner], cv=folds)
        for name in sorted(set(speaker[inner])):
            fold = speaker[inner] == name
            uar[f"uar_{name}_without_{held_out}"] = balanced_accuracy_score(emotion[inner][fold], predicted[fold])
    return {"uar": np.mean(list(uar.values()))} | uar


def main(name: str = "", n_clips: str | None = None) -> None:
    """Measure and print the table."""
    corpus, files = measure.select_clips(name, n_clips and int(n_clips))
    clip_rows(corpus.root / files[0], timed=True)  # compile
    tasks = (joblib.delayed(clip_rows)(corpus.root / file, timed=i % 5 == 0) for i, file in enumerate(files))
    rows = pd.DataFrame(sum(joblib.Parallel(n_jobs=-1)(tasks), []))
    by_method = {name: part for name, part in rows[rows.timed].groupby("f0")}
    table, hz = [], {name: np.concatenate(list(by_method[name].hz)) for name in METHODS}
    for name in METHODS:
        seconds = by_method[name].s.mean()
        row = {"f0": name, "f0_ms": 1000 * by_method[name].f0_s.mean(), "functionals_ms": 1000 * seconds}
        row["times_as_fast_as_plain"] = by_method["plain"].s.mean() / seconds
        row["within_half_semitone"], row["voicing"] = plain_f0.agreement(hz[name], hz["pyin 0.1"])
        table.append(row | (inner_uar(rows[rows.f0 == name]) if name in CLASSIFIED else {}))
    table = pd.DataFrame(table).round(3)
    if n_clips is None:
        table.to_csv(Path(__file__).with_suffix(".csv"), index=False)
    print(table.T.to_string(header=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
