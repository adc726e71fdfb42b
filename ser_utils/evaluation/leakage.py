"""The leak guard: raises before a fit whose training side and test side share what their protocol says they do not."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

from ser_utils.core.errors import StudyError
from ser_utils.core.tables import EXTRA_CORPUS, ORIGINAL
from ser_utils.evaluation.protocols import PROTOCOLS, get_protocol

DUPLICATE_HINT = ": the same recording is there twice, take one of the files out of the folder"


class LeakError(StudyError):
    """Something crosses a boundary that the protocol declares: the result would be worth nothing."""


def check_fit(
    rows: pd.DataFrame, *, protocol: str, train: np.ndarray, test: np.ndarray, seen: Mapping[str, np.ndarray] | None = None
) -> None:
    """Check one fit before it is trained.

    Parameters
    ----------
    rows : pd.DataFrame [columns=file, variant, speaker, sentence, audio_sha256, ...]
        The rows of the feature table; `audio_sha256` is of the clip's samples, whatever file they came in.
    protocol : str
        A name in `ser_utils.evaluation.protocols.PROTOCOLS`, whose `separates` must not be shared. ``as_published`` is let through by this
        name alone: it exists to show what its leak costs.
    train, test : np.ndarray
        Row numbers.
    seen : mapping, optional
        What each fitted part (early stopping, selection, calibration) has seen: name to row numbers. They may be of rows
        left out of this fit's training, but share nothing declared with the test side.

    Raises
    ------
    LeakError
        A clip, its audio content, a speaker or a sentence is on both sides; a part has seen the test side; an
        augmented row is scored, or nothing is; a row of an extra corpus does anything but train.
    """
    for name, part in {"test": test, **(seen or {})}.items():
        if n := np.count_nonzero(is_extra(rows)[part]):
            what = "row of another corpus is" if n == 1 else "rows of other corpora are"
            raise LeakError(f"{protocol}: {n} {what} in {name}; extra corpora may train and nothing else.")
    entry = get_protocol(protocol)
    if not entry.is_checked:
        return
    if not len(test):
        raise LeakError(f"{protocol}: a fold tests nothing.")
    if (rows.variant.to_numpy()[test] != ORIGINAL).any():
        raise LeakError(f"{protocol}: an augmented row is scored; only original clips may be.")
    for name, part in {"training": train, **(seen or {})}.items():
        for column in (*entry.separates, "audio_sha256"):
            values = rows[column].to_numpy()
            shared = np.intersect1d(values[part], values[test])
            if shared.size:
                what = {"file": "clip", "audio_sha256": "recording"}.get(column, column)
                raise LeakError(
                    f"{protocol}: {shared.size} {what}{'s are' if shared.size > 1 else ' is'} in {name} and "
                    f"in test, first {shared[0]}{DUPLICATE_HINT if column == 'audio_sha256' else ''}."
                )


def is_extra(rows: pd.DataFrame) -> np.ndarray:
    """Whether each row is of an extra corpus, which trains and does nothing else [shape=(n_rows,), dtype=bool]."""
    return (rows[EXTRA_CORPUS] != "").to_numpy() if EXTRA_CORPUS in rows else np.zeros(len(rows), bool)


def check_scaler(scaler: StandardScaler, train: np.ndarray) -> None:
    """Raise `LeakError` where a fitted scaler has seen other rows than those of training [shape=(n_rows, n_features)]."""
    if scaler.n_samples_seen_ != len(train) or not np.allclose(scaler.mean_, np.mean(train, axis=0, dtype=float)):
        raise LeakError(f"The scaler has seen other rows than the {len(train)} of training: fit it on those alone.")


def plant_leaks(
    rows: pd.DataFrame, *, train: np.ndarray, test: np.ndarray, protocol: str = "speaker_sentence"
) -> dict[str, str]:
    """Plant leaks of each kind that a protocol forbids in a sound fold of it, and tell what the guard says of them.

    Raises
    ------
    AssertionError
        A leak gets through.
    """
    first = rows.iloc[test[0]]
    number, same = (
        np.arange(len(rows)),
        {name: (rows[name] == first[name]).to_numpy() for name in ("file", "speaker", "sentence")},
    )
    apart = {name: name if name in PROTOCOLS[protocol].separates else "file" for name in ("speaker", "sentence")}
    voice = number[same["speaker"] & ~same[apart["sentence"]]][:1]
    words = number[same["sentence"] & ~same[apart["speaker"]]][:1]
    copy = number[same["file"] & (rows.variant != ORIGINAL).to_numpy()][:1]
    plants = {
        "the test clip itself": {"train": [*train, test[0]]},
        "the test recording under another name": {
            "rows": rows.assign(audio_sha256=rows.audio_sha256.where(number != train[0], first.audio_sha256))
        },
    }
    if "speaker" not in PROTOCOLS[protocol].separates:
        plants |= {
            f"the test clip in {part}": {"seen": {part: test[:1]}} for part in ("early stopping", "selection", "calibration")
        }
    elif len(voice):
        plants["the test voice with other words"] = {"train": [*train, *voice]}
        plants |= {
            f"the test voice in {part}": {"seen": {part: voice}} for part in ("early stopping", "selection", "calibration")
        }
    if "sentence" in PROTOCOLS[protocol].separates and len(words):
        plants["the test sentence in another voice"] = {"train": [*train, *words]}
    if len(copy):
        plants["an augmented copy, scored"] = {"test": [*test, *copy]}
    extra = number[is_extra(rows)][:1]
    if len(extra):
        plants["a clip of an extra corpus, scored"] = {"test": [*test, *extra]}
        plants["settings chosen on an extra corpus"] = {"seen": {"selection": extra}}
        plants["the test recording in an extra corpus"] = {
            "rows": rows.assign(audio_sha256=rows.audio_sha256.where(number != extra[0], first.audio_sha256)),
            "train": [*train, *extra],
        }
    caught = {}
    for name, plant in plants.items():
        case = {"train": train, "test": test, "seen": None, **plant}
        try:
            check_fit(case.pop("rows", rows), protocol=protocol, **case)
        except LeakError as leak:
            caught[name] = str(leak)
    try:
        check_scaler(StandardScaler().fit(np.arange(len(rows))[:, None]), np.asarray(train)[:, None])
    except LeakError as leak:
        caught["a scaler fitted on all rows"] = str(leak)
    assert set(plants) < set(caught), f"not caught: {set(plants) - set(caught) or 'the scaler'}"
    return caught
