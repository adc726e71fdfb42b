"""Leakage check: each kind of leak is detected before the fit."""

import numpy as np
import pandas as pd
import pytest
from example_rows import make_rows, rows_and_roles
from sklearn.preprocessing import StandardScaler

from ser_utils.core.errors import StudyError
from ser_utils.evaluation import protocols
from ser_utils.evaluation.leakage import LeakError, check_fit, check_scaler, plant_leaks

CHECKED = [name for name in protocols.PROTOCOLS if name != "as_published"]


@pytest.fixture
def fold():
    rows, roles_of_folds = rows_and_roles("speaker_sentence")
    return rows, roles_of_folds[0]["train"], roles_of_folds[0]["test"]


@pytest.mark.parametrize("protocol", CHECKED)
def test_sound_folds_pass(protocol):
    rows, roles_of_folds = rows_and_roles(protocol)
    for roles in roles_of_folds:
        check_fit(rows, protocol=protocol, train=roles["train"], test=roles["test"])


def row(rows, **values):
    """Number of the row with these values."""
    return rows.index[np.logical_and.reduce([rows[key] == value for key, value in values.items()])].to_numpy()


@pytest.mark.parametrize("protocol", CHECKED)
def test_a_test_row_in_training_is_detected(protocol):
    rows, (roles, *_) = rows_and_roles(protocol)
    with pytest.raises(LeakError, match="1 clip is in training and in test"):
        check_fit(rows, protocol=protocol, train=np.append(roles["train"], roles["test"][0]), test=roles["test"])


@pytest.mark.parametrize("protocol", CHECKED)
def test_an_augmented_copy_of_a_test_clip_in_training_is_detected(protocol):
    rows, (roles, *_) = rows_and_roles(protocol)
    copy = row(rows, file=rows.file[roles["test"][0]], variant="noise")
    with pytest.raises(LeakError, match="clip is in training and in test"):
        check_fit(rows, protocol=protocol, train=np.append(roles["train"], copy), test=roles["test"])


def test_the_same_recording_under_another_name_is_detected(fold):
    rows, train, test = fold
    rows.loc[train[3], "audio_sha256"] = rows.audio_sha256[test[0]]
    with pytest.raises(LeakError, match="1 recording is in training and in test"):
        check_fit(rows, protocol="clip", train=train, test=test)


@pytest.mark.parametrize("protocol", ["speaker", "speaker_sentence"])
def test_a_test_speaker_in_training_is_detected(fold, protocol):
    rows, train, test = fold
    other = row(rows, speaker=rows.speaker[test[0]], sentence="s3", emotion="joy", variant="original")
    with pytest.raises(LeakError, match="1 speaker is in training and in test, first a"):
        check_fit(rows, protocol=protocol, train=np.append(train, other), test=test)


@pytest.mark.parametrize("protocol", ["sentence", "speaker_sentence"])
def test_a_test_sentence_in_training_is_detected(fold, protocol):
    rows, train, test = fold
    other = row(rows, speaker="b", sentence=rows.sentence[test[0]], emotion="joy", variant="original")
    with pytest.raises(LeakError, match="1 sentence is in training and in test, first s1"):
        check_fit(rows, protocol=protocol, train=np.append(train, other), test=test)


@pytest.mark.parametrize("part", ["scaler", "selection", "calibration", "early stopping"])
def test_a_test_speaker_in_another_part_is_detected(fold, part):
    rows, train, test = fold
    leaky = np.append(train, row(rows, speaker=rows.speaker[test[0]], sentence="s3", emotion="joy", variant="original"))
    with pytest.raises(LeakError, match=f"speaker is in {part} and in test"):
        check_fit(rows, protocol="speaker", train=train, test=test, fitted_on={part: leaky})
    check_fit(rows, protocol="speaker", train=train, test=test, fitted_on={part: train})


def test_an_augmented_row_in_test_is_detected(fold):
    rows, train, test = fold
    with pytest.raises(LeakError, match="an augmented row is in test; expected original clips only"):
        check_fit(rows, protocol="speaker", train=train, test=row(rows, file=rows.file[test[0]], variant="noise"))


def test_a_scaler_of_other_rows_is_detected():
    x = np.random.default_rng(0).normal(size=(12, 3))
    check_scaler(StandardScaler().fit(x[:10]), x[:10])
    for rows in (x, x[2:]):
        with pytest.raises(LeakError, match="was fitted on other rows than the 10 training rows"):
            check_scaler(StandardScaler().fit(rows), x[:10])


def test_each_planted_leak_is_detected(fold):
    rows, train, test = fold
    messages = plant_leaks(rows, train=train, test=test)
    words = [
        "clip",
        "recording",
        "speaker",
        "early stopping",
        "selection",
        "calibration",
        "sentence",
        "augmented row",
        "scaler",
    ]
    assert all(word in message for word, message in zip(words, messages.values(), strict=True))
    untouched = make_rows()
    pd.testing.assert_frame_equal(rows, untouched)


def test_leaks_that_the_rows_do_not_allow_are_not_planted():
    rows = make_rows(sentences=["s1"], variants=["original"])
    messages = plant_leaks(rows, train=np.arange(3, 12), test=np.arange(3))
    assert "another clip of the test speaker in training" not in messages
    assert "another clip of the test sentence in training" in messages
    assert "an augmented copy of the test clip in test" not in messages and len(messages) == 4


def test_a_fold_without_test_rows_raises(fold):
    rows, train, _ = fold
    with pytest.raises(LeakError, match="the fold has no test rows"):
        check_fit(rows, protocol="clip", train=train, test=np.array([], int))


def test_only_as_published_is_not_checked():
    rows = make_rows()
    every_row = np.arange(len(rows))
    check_fit(rows, protocol="as_published", train=every_row, test=every_row)
    with pytest.raises(StudyError, match="Unknown protocol 'as_we_like'"):
        check_fit(rows, protocol="as_we_like", train=every_row, test=every_row)


def test_every_other_protocol_is_checked():
    assert [name for name, entry in protocols.PROTOCOLS.items() if not entry.is_checked] == ["as_published"]


@pytest.mark.parametrize(
    ("protocol", "planted", "not_planted"),
    [
        ("clip", "the test clip in calibration", "another clip of the test speaker in training"),
        ("sentence", "another clip of the test sentence in training", "another clip of the test speaker in training"),
        ("speaker", "another clip of the test speaker in selection", "another clip of the test sentence in training"),
    ],
)
def test_only_leaks_that_the_protocol_forbids_are_planted(protocol, planted, not_planted):
    """Also where the column that the protocol does not separate is unknown for all rows."""
    rows, roles_of_folds = rows_and_roles(
        protocol, make_rows().assign(**{"clip": {}, "sentence": {"speaker": "unknown"}}.get(protocol, {"sentence": "unknown"}))
    )
    messages = plant_leaks(rows, train=roles_of_folds[0]["train"], test=roles_of_folds[0]["test"], protocol=protocol)
    assert planted in messages and not_planted not in messages
    assert all(f"{protocol}: " in message for name, message in messages.items() if "scaler" not in name)
