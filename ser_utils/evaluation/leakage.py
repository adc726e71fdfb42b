"""Leakage check: before a fit is trained, its training and test rows are compared as its protocol demands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ser_utils.core.errors import StudyError
from ser_utils.core.tables import EXTRA_CORPUS, ORIGINAL
from ser_utils.evaluation.protocols import get_protocol

if TYPE_CHECKING:
    from sklearn.preprocessing import StandardScaler

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
