"""The leak guard: each kind of leak, planted, is caught before the fit."""

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import StandardScaler
from test_folds import roles_of, rows_of

from ser_utils.core.errors import StudyError
from ser_utils.evaluation import protocols
from ser_utils.evaluation.leakage import LeakError, check_fit, check_scaler, plant_leaks

HONEST = [name for name in protocols.PROTOCOLS if name != "as_published"]


@pytest.fixture
def fold():
    rows, found = roles_of("speaker_sentence")
    return rows, found[0]["train"], found[0]["test"]


@pytest.mark.parametrize("protocol", HONEST)
def test_honest_folds_pass(protocol):
    rows, found = roles_of(protocol)
    for roles in found:
        check_fit(rows, protocol=protocol, train=roles["train"], test=roles["test"])


def row(rows, **where):
    """Number of the one row at the given columns."""
    return rows.index[np.logical_and.reduce([rows[key] == value for key, value in where.items()])].to_numpy()


@pytest.mark.parametrize("protocol", HONEST)
def test_a_test_row_in_training_is_caught(protocol):
    rows, found = roles_of(protocol)
    with pytest.raises(LeakError, match="1 clip is in training and in test"):
        check_fit(rows, protocol=protocol, train=np.append(found[0]["train"], found[0]["test"][0]), test=found[0]["test"])


@pytest.mark.parametrize("protocol", HONEST)
def test_an_augmented_copy_of_a_test_clip_in_training_is_caught(protocol):
    rows, found = roles_of(protocol)
    copy = row(rows, file=rows.file[found[0]["test"][0]], variant="noise")
    with pytest.raises(LeakError, match="clip is in training and in test"):
        check_fit(rows, protocol=protocol, train=np.append(found[0]["train"], copy), test=found[0]["test"])


def test_the_same_recording_under_another_name_is_caught(fold):
    rows, train, test = fold
    rows.loc[train[3], "audio_sha256"] = rows.audio_sha256[test[0]]
    with pytest.raises(LeakError, match="1 recording is in training and in test"):
        check_fit(rows, protocol="clip", train=train, test=test)


@pytest.mark.parametrize("protocol", ["speaker", "speaker_sentence"])
def test_a_test_speaker_in_training_is_caught(fold, protocol):
    rows, train, test = fold
    other = row(rows, speaker=rows.speaker[test[0]], sentence="s3", emotion="joy", variant="original")
    with pytest.raises(LeakError, match="1 speaker is in training and in test, first a"):
        check_fit(rows, protocol=protocol, train=np.append(train, other), test=test)


@pytest.mark.parametrize("protocol", ["sentence", "speaker_sentence"])
def test_a_test_sentence_in_training_is_caught(fold, protocol):
    rows, train, test = fold
    other = row(rows, speaker="b", sentence=rows.sentence[test[0]], emotion="joy", variant="original")
    with pytest.raises(LeakError, match="1 sentence is in training and in test, first s1"):
        check_fit(rows, protocol=protocol, train=np.append(train, other), test=test)


@pytest.mark.parametrize("part", ["scaler", "selection", "calibration", "early stopping"])
def test_a_part_that_has_seen_the_test_speaker_is_caught_by_name(fold, part):
    rows, train, test = fold
    seen = np.append(train, row(rows, speaker=rows.speaker[test[0]], sentence="s3", emotion="joy", variant="original"))
    with pytest.raises(LeakError, match=f"speaker is in {part} and in test"):
        check_fit(rows, protocol="speaker", train=train, test=test, seen={part: seen})
    check_fit(rows, protocol="speaker", train=train, test=test, seen={part: train})


def test_an_augmented_row_is_not_scored(fold):
    rows, train, test = fold
    with pytest.raises(LeakError, match="augmented row is scored"):
        check_fit(rows, protocol="speaker", train=train, test=row(rows, file=rows.file[test[0]], variant="noise"))


def test_a_scaler_that_saw_other_rows_is_caught():
    x = np.random.default_rng(0).normal(size=(12, 3))
    check_scaler(StandardScaler().fit(x[:10]), x[:10])
    for seen in (x, x[2:]):
        with pytest.raises(LeakError, match="has seen other rows than the 10 of training"):
            check_scaler(StandardScaler().fit(seen), x[:10])


def test_each_kind_of_leak_planted_for_the_notebook_is_caught(fold):
    rows, train, test = fold
    caught = plant_leaks(rows, train=train, test=test)
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
    assert all(word in message for word, message in zip(words, caught.values(), strict=True))
    untouched = rows_of()
    pd.testing.assert_frame_equal(rows, untouched)


def test_what_a_small_corpus_lacks_is_not_planted():
    rows = rows_of(sentences=["s1"], variants=["original"])
    caught = plant_leaks(rows, train=np.arange(3, 12), test=np.arange(3))
    assert "the test voice with other words" not in caught and "the test sentence in another voice" in caught
    assert "an augmented copy, scored" not in caught and len(caught) == 4


def test_a_fold_that_tests_nothing_is_refused(fold):
    rows, train, _ = fold
    with pytest.raises(LeakError, match="tests nothing"):
        check_fit(rows, protocol="clip", train=train, test=np.array([], int))


def test_as_published_is_let_through_by_name_alone():
    rows = rows_of()
    everything = np.arange(len(rows))
    check_fit(rows, protocol="as_published", train=everything, test=everything)
    with pytest.raises(StudyError, match="Unknown protocol 'as_we_like'"):
        check_fit(rows, protocol="as_we_like", train=everything, test=everything)


def test_every_protocol_declares_its_boundary():
    assert [name for name, entry in protocols.PROTOCOLS.items() if not entry.is_checked] == ["as_published"]


@pytest.mark.parametrize(
    ("protocol", "some", "no"),
    [
        ("clip", "the test clip in calibration", "the test voice with other words"),
        ("sentence", "the test sentence in another voice", "the test voice with other words"),
        ("speaker", "the test voice in selection", "the test sentence in another voice"),
    ],
)
def test_what_a_protocol_forbids_is_planted_and_no_more(protocol, some, no):
    """Also where the other of voice and words is the same for all, since nobody knows it."""
    rows, found = roles_of(
        protocol, rows_of().assign(**{"clip": {}, "sentence": {"speaker": "unknown"}}.get(protocol, {"sentence": "unknown"}))
    )
    caught = plant_leaks(rows, train=found[0]["train"], test=found[0]["test"], protocol=protocol)
    assert (
        some in caught
        and no not in caught
        and all(f"{protocol}: " in said for name, said in caught.items() if "scaler" not in name)
    )
