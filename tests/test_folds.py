"""Protocols: who trains and who tests."""

import itertools

import pandas as pd
import pytest

from ser_utils import folds
from ser_utils.augment import ORIGINAL
from ser_utils.errors import StudyError

SPEAKERS, EMOTIONS = ("a", "b", "c", "d"), ("joy", "anger", "fear")


def rows_of(speakers=SPEAKERS, emotions=EMOTIONS, sentences=("s1", "s2", "s3"), variants=(ORIGINAL, "noise")):
    made = [
        {"file": f"{who}-{feels}-{says}.wav", "variant": variant, "speaker": who, "sentence": says, "emotion": feels}
        for who, feels, says, variant in itertools.product(speakers, emotions, sentences, variants)
    ]
    return pd.DataFrame(made)


def test_speaker_tests_each_original_clip_once_and_never_hears_its_speaker():
    rows = rows_of()
    made = folds.make_folds(rows, protocol="speaker", seeds=[0, 1], n_folds=5)
    assert made.fold.nunique() == len(SPEAKERS)
    assert set(made.seed) == {folds.ANY_SEED}
    test = made[made.role == "test"]
    assert sorted(test.file) == sorted(rows.file.unique())
    assert set(test.variant) == {ORIGINAL}
    speaker = rows.drop_duplicates("file").set_index("file").speaker
    for _, fold in made.groupby("fold"):
        heard, tested = (set(speaker[fold.file[fold.role == role]]) for role in ("train", "test"))
        assert len(tested) == 1
        assert heard == set(SPEAKERS) - tested
        assert (fold.role == "train").sum() == len(rows) * 3 / 4, "augmented rows of training speakers must train"


def test_as_published_draws_a_tenth_of_the_rows_whatever_clip_they_come_from():
    rows = rows_of(sentences=[f"s{i}" for i in range(10)])
    made = folds.make_folds(rows, protocol="as_published", seeds=[0, 1], n_folds=5)
    assert len(rows) == 240
    for _, split in made.groupby("seed"):
        tests = [
            tuple(sorted(zip(fold.file[fold.role == "test"], fold.variant[fold.role == "test"], strict=True)))
            for _, fold in split.groupby("fold")
        ]
        assert len(tests[0]) == 24
        assert len(set(tests)) == 1, "all folds of a seed share one test set"
        validated = split[split.role == "validation"]
        assert len(validated) == 216 and not validated.duplicated(["file", "variant"]).any()
    assert folds.siblings(made).with_a_copy_in_training[0] > 0.5
    first, second = (set(part.file[part.role == "test"]) for _, part in made.groupby("seed"))
    assert first != second


def test_same_seed_same_folds():
    once, again = (folds.make_folds(rows_of(), protocol="as_published", seeds=[3], n_folds=3) for _ in range(2))
    pd.testing.assert_frame_equal(once, again)


def test_no_copy_in_training_when_the_speaker_is_left_out():
    made = folds.make_folds(rows_of(), protocol="speaker", seeds=[0], n_folds=5)
    assert folds.siblings(made).with_a_copy_in_training[0] == 0


def planted(change) -> pd.DataFrame:
    """Good folds of the protocol speaker, with one fault planted in fold 1."""
    made = folds.make_folds(rows_of(), protocol="speaker", seeds=[0], n_folds=5)
    first = made[made.fold == 1]
    test, train = first[first.role == "test"].iloc[[0]], first[first.role == "train"].iloc[[0]]
    return pd.concat([made, change(test, train)], ignore_index=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda test, train: test.assign(role="train"), "two roles"),
        (lambda test, train: test.assign(role="train", variant="noise"), "are in training too"),
        (lambda test, train: test.assign(variant="noise"), "augmented row is tested"),
        (lambda test, train: test.assign(file="a-joy-new.wav", role="train"), "speaker a is both"),
    ],
)
def test_planted_leaks_are_caught(change, said):
    rows = pd.concat([rows_of(), rows_of(speakers=("a",), emotions=("joy",), sentences=("new",))])
    with pytest.raises(StudyError, match=said):
        folds.check_folds(planted(change), rows)


def test_every_made_protocol_passes_its_own_check():
    for protocol in folds.PROTOCOLS:
        folds.check_folds(folds.make_folds(rows_of(), protocol=protocol, seeds=[0], n_folds=3), rows_of())


def test_one_speaker_is_refused_with_what_to_do():
    with pytest.raises(StudyError, match=r"needs three speakers or more.*found 1 \(a\)"):
        folds.make_folds(rows_of(speakers=("a",)), protocol="speaker", seeds=[0], n_folds=5)


def test_an_emotion_with_one_clip_is_named():
    rows = rows_of()
    lonely = rows[rows.emotion == "fear"].index[2:]
    with pytest.raises(StudyError, match=r"'fear' has 1 clip.*DROP_EMOTIONS='\[\"fear\"\]'"):
        folds.make_folds(rows.drop(lonely), protocol="as_published", seeds=[0], n_folds=3)


def test_an_emotion_that_one_speaker_has_is_named():
    rows = rows_of()
    with pytest.raises(StudyError, match="'joy' is spoken by 1 of the speakers"):
        folds.make_folds(rows[(rows.emotion != "joy") | (rows.speaker == "a")], protocol="speaker", seeds=[0], n_folds=3)


@pytest.mark.parametrize("n_folds", [1, 0, 1000])
def test_a_number_of_folds_that_cannot_be(n_folds):
    with pytest.raises(StudyError, match=f"N_FOLDS is {n_folds}"):
        folds.make_folds(rows_of(), protocol="as_published", seeds=[0], n_folds=n_folds)


def test_unknown_protocol_lists_what_there_is():
    with pytest.raises(StudyError, match="as_published, speaker"):
        folds.make_folds(rows_of(), protocol="random", seeds=[0], n_folds=5)


def test_seeds_that_folds_lack_are_named():
    made = folds.make_folds(rows_of(), protocol="as_published", seeds=[0, 1], n_folds=3)
    assert set(folds.of_seeds(made, "as_published", [0, 1])) == {0, 1}
    with pytest.raises(StudyError, match="for seed 2: run 02_augment_features with N_SEEDS=3"):
        folds.of_seeds(made, "as_published", [0, 1, 2])
