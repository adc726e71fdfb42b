"""Leakage check: before a fit is trained, its training and test rows are compared as its protocol demands."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

from ser_utils.core.errors import StudyError
from ser_utils.core.tables import EXTRA_CORPUS, ORIGINAL
from ser_utils.evaluation.protocols import get_protocol

FITTED_PARTS = ("early stopping", "selection", "calibration")
"""Steps besides training that use rows, named as in `check_fit`."""
NOUNS = {"file": "clip", "audio_sha256": "recording"}
"""Words for columns in messages; other columns are named as they are."""
DUPLICATE_HINT = ": the corpus contains the same recording twice, remove one of the files"


class LeakError(StudyError):
    """Training and test rows share what the protocol separates, so the result would be invalid."""


def check_fit(
    rows: pd.DataFrame,
    *,
    protocol: str,
    train: np.ndarray,
    test: np.ndarray,
    fitted_on: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Check one fit before it is trained.

    Parameters
    ----------
    rows : pd.DataFrame [columns=file, variant, speaker, sentence, audio_sha256, ...]
        The rows of the feature table; `audio_sha256` is the checksum of the clip's samples, whatever the file format.
    protocol : str
        A name in `ser_utils.evaluation.protocols.PROTOCOLS`. Its `separates` lists the columns to compare. Only extra corpora
        are checked where the protocol is not `is_checked`.
    train, test : np.ndarray [shape=(n,), dtype=int]
        Row numbers.
    fitted_on : mapping, optional
        Rows that early stopping, selection or calibration use: name to row numbers. They may lie outside `train`.

    Raises
    ------
    LeakError
        A clip, a recording, a speaker or a sentence is in test and also in training or `fitted_on`; the test rows are none or
        include an augmented row; a row of an extra corpus is not in training.
    """
    parts = fitted_on or {}
    _check_extra_rows(rows, protocol, {"test": test, **parts})
    entry = get_protocol(protocol)
    if not entry.is_checked:
        return
    if not len(test):
        raise LeakError(f"{protocol}: the fold has no test rows.")
    if (rows.variant.to_numpy()[test] != ORIGINAL).any():
        raise LeakError(f"{protocol}: an augmented row is in test; expected original clips only.")
    for name, part in {"training": train, **parts}.items():
        for column in (*entry.separates, "audio_sha256"):
            values = rows[column].to_numpy()
            shared = np.intersect1d(values[part], values[test])
            if shared.size:
                counted = _count(shared.size, NOUNS.get(column, column))
                hint = DUPLICATE_HINT if column == "audio_sha256" else ""
                raise LeakError(f"{protocol}: {counted} in {name} and in test, first {shared[0]}{hint}.")


def _check_extra_rows(rows: pd.DataFrame, protocol: str, parts: Mapping[str, np.ndarray]) -> None:
    for name, part in parts.items():
        if n := np.count_nonzero(is_extra(rows)[part]):
            raise LeakError(f"{protocol}: {_count(n, 'extra-corpus row')} in {name}; expected in training only.")


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}s are" if n > 1 else f"{n} {noun} is"


def is_extra(rows: pd.DataFrame) -> np.ndarray:
    """Whether each row is of an extra corpus, which is allowed in training only [shape=(n_rows,), dtype=bool]."""
    return (rows[EXTRA_CORPUS] != "").to_numpy() if EXTRA_CORPUS in rows else np.zeros(len(rows), bool)


def check_scaler(scaler: StandardScaler, train: np.ndarray) -> None:
    """Raise `LeakError` unless a scaler was fitted on exactly the training rows [shape=(n_rows, n_features)]."""
    if scaler.n_samples_seen_ != len(train) or not np.allclose(scaler.mean_, np.mean(train, axis=0, dtype=float)):
        raise LeakError(f"The scaler was fitted on other rows than the {len(train)} training rows: fit it on those only.")


def plant_leaks(
    rows: pd.DataFrame, *, train: np.ndarray, test: np.ndarray, protocol: str = "speaker_sentence"
) -> dict[str, str]:
    """Plant each kind of leak that a protocol forbids in one of its folds, and check the fold.

    Returns
    -------
    dict of str
        Leak to the message of the `LeakError`. A leak that the rows do not allow, such as an augmented copy where there is
        none, is left out.

    Raises
    ------
    AssertionError
        A leak is not detected.
    """
    fold = {"rows": rows, "protocol": protocol, "train": train, "test": test}
    leaks = _planted(rows, train=train, test=test, separates=get_protocol(protocol).separates)
    messages = {name: _message(name, check_fit, **(fold | changes)) for name, changes in leaks.items()}
    name, scaler = "a scaler fitted on all rows", StandardScaler().fit(np.arange(len(rows))[:, None])
    return messages | {name: _message(name, check_scaler, scaler=scaler, train=np.asarray(train)[:, None])}


def _message(name: str, check: Callable[..., None], **arguments: object) -> str:
    """Message of the `LeakError` that a check raises; an `AssertionError` where it raises none."""
    try:
        check(**arguments)
    except LeakError as leak:
        return str(leak)
    raise AssertionError(f"not detected: {name}")


def _planted(rows: pd.DataFrame, *, train: np.ndarray, test: np.ndarray, separates: tuple[str, ...]) -> dict[str, dict]:
    """Leaks by name, each as the arguments of `check_fit` that it changes."""
    clip = rows.iloc[test[0]]
    leaks = {
        "the test clip in training": {"train": [*train, test[0]]},
        "the test recording in training, under another file name": {"rows": _with_recording(rows, train[0], clip)},
    }
    if "speaker" not in separates:
        leaks |= {f"the test clip in {part}": {"fitted_on": {part: test[:1]}} for part in FITTED_PARTS}
    elif len(other := _sharing(rows, clip, "speaker", separates)):
        leaks["another clip of the test speaker in training"] = {"train": [*train, *other]}
        leaks |= {f"another clip of the test speaker in {part}": {"fitted_on": {part: other}} for part in FITTED_PARTS}
    if "sentence" in separates and len(other := _sharing(rows, clip, "sentence", separates)):
        leaks["another clip of the test sentence in training"] = {"train": [*train, *other]}
    copies = np.flatnonzero((rows.file == clip.file) & (rows.variant != ORIGINAL))[:1]
    if len(copies):
        leaks["an augmented copy of the test clip in test"] = {"test": [*test, *copies]}
    extra = np.flatnonzero(is_extra(rows))[:1]
    if len(extra):
        leaks["a clip of an extra corpus in test"] = {"test": [*test, *extra]}
        leaks["a clip of an extra corpus in selection"] = {"fitted_on": {"selection": extra}}
        recording = _with_recording(rows, extra[0], clip)
        leaks["the test recording in an extra corpus"] = {"rows": recording, "train": [*train, *extra]}
    return leaks


def _sharing(rows: pd.DataFrame, clip: pd.Series, column: str, separates: tuple[str, ...]) -> np.ndarray:
    """Number of the first row that shares with the clip the value of this column and of no other separated one, if any."""
    differs = [rows[name] != clip[name] for name in separates if name != column]
    return np.flatnonzero(np.logical_and.reduce([rows[column] == clip[column], *differs]))[:1]


def _with_recording(rows: pd.DataFrame, number: int, clip: pd.Series) -> pd.DataFrame:
    """A copy of the rows in which one row has the audio checksum of the clip."""
    return rows.assign(audio_sha256=rows.audio_sha256.where(np.arange(len(rows)) != number, clip.audio_sha256))
