"""Leakage check: each kind of leak is detected before the fit."""

import numpy as np
import pytest
from example_rows import make_rows, rows_and_roles
from sklearn.preprocessing import StandardScaler

from ser_utils.core.errors import StudyError
from ser_utils.evaluation import protocols
from ser_utils.evaluation.leakage import LeakError, check_fit, check_scaler

CHECKED = ["clip", "sentence", "speaker", "speaker_sentence"]


@pytest.fixture
def fold():
    rows, roles_of_folds = rows_and_roles("speaker_sentence")
    return rows, roles_of_folds[0]["train"], roles_of_folds[0]["test"]


@pytest.mark.parametrize("protocol", CHECKED)
def test_sound_folds_pass(protocol):
    rows, roles_of_folds = rows_and_roles(protocol)
    for roles in roles_of_folds:
        check_fit(rows, protocol=protocol, train=roles["train"], test=roles["test"], fitted_on={"scaler": roles["train"]})


@pytest.mark.parametrize("part", ["training", "early stopping", "selection", "calibration"])
@pytest.mark.parametrize(
    ("protocol", "column", "noun"),
    [
        (name, column, {"file": "clip"}.get(column, column))
        for name in CHECKED
        for column in protocols.PROTOCOLS[name].separates
    ],
)
def test_a_row_that_shares_what_the_protocol_separates_is_detected(protocol, column, noun, part):
    """Rows of the test clip, augmented or not; of its speaker, with other sentences; or of its sentence, by other speakers."""
    rows, (roles, *_) = rows_and_roles(protocol)
    train, test = roles["train"], roles["test"][:1]
    clip, others = rows.iloc[test[0]], {"speaker", "sentence"} - {column} if column != "file" else ()
    leaks = np.flatnonzero(
        np.logical_and.reduce([rows[column] == clip[column], *(rows[name] != clip[name] for name in others)])
    )
    for leak in leaks:
        leaky = np.append(train, leak)
        changes = {"train": leaky} if part == "training" else {"train": train, "fitted_on": {part: leaky}}
        with pytest.raises(LeakError, match=f"1 {noun} is in {part} and in test, first {clip[column]}"):
            check_fit(rows, protocol=protocol, test=test, **changes)
    assert set(rows.variant[leaks]) == {"original", "noise"}


def test_the_same_recording_under_another_name_is_detected(fold):
    rows, train, test = fold
    rows.loc[train[3], "audio_sha256"] = rows.audio_sha256[test[0]]
    with pytest.raises(LeakError, match="1 recording is in training and in test"):
        check_fit(rows, protocol="clip", train=train, test=test)


def test_test_rows_are_original_clips_and_at_least_one(fold):
    rows, train, test = fold
    augmented = np.flatnonzero((rows.file == rows.file[test[0]]) & (rows.variant == "noise"))
    with pytest.raises(LeakError, match="an augmented row is in test; expected original clips only"):
        check_fit(rows, protocol="speaker", train=train, test=augmented)
    with pytest.raises(LeakError, match="the fold has no test rows"):
        check_fit(rows, protocol="clip", train=train, test=np.array([], int))


def test_only_as_published_is_not_checked():
    assert [name for name, entry in protocols.PROTOCOLS.items() if entry.is_checked] == CHECKED
    rows = make_rows()
    every_row = np.arange(len(rows))
    check_fit(rows, protocol="as_published", train=every_row, test=every_row)
    with pytest.raises(StudyError, match="Unknown protocol 'as_we_like'"):
        check_fit(rows, protocol="as_we_like", train=every_row, test=every_row)


def test_a_scaler_of_other_rows_is_detected():
    x = np.random.default_rng(0).normal(size=(12, 3))
    check_scaler(StandardScaler().fit(x[:10]), x[:10])
    for rows in (x, x[2:]):
        with pytest.raises(LeakError, match="was fitted on other rows than the 10 training rows"):
            check_scaler(StandardScaler().fit(rows), x[:10])
