"""Folds of a corpus, as a table and as row numbers."""

import pandas as pd
import pytest
from example_rows import make_many_rows, make_rows, rows_and_roles

from ser_utils.core.errors import StudyError
from ser_utils.core.tables import ORIGINAL, UNKNOWN
from ser_utils.evaluation import folds, protocols
from ser_utils.evaluation.leakage import check_fit


def test_same_seed_same_folds():
    for protocol in protocols.PROTOCOLS:
        once, again = (folds.make_folds(make_rows(), protocol=protocol, seeds=[3], n_folds=3) for _ in range(2))
        pd.testing.assert_frame_equal(once, again)


def test_overlap_of_test_rows_with_training():
    rows = make_rows()
    table = pd.concat([folds.make_folds(rows, protocol=name, seeds=[0], n_folds=5) for name in protocols.PROTOCOLS])
    overlap = folds.train_test_overlap(table, rows).set_index("protocol")
    assert overlap.loc["clip", ["clip", "speaker", "sentence"]].tolist() == [0, 1, 1]
    assert overlap.loc["sentence", ["clip", "speaker", "sentence"]].tolist() == [0, 1, 0]
    assert overlap.loc["speaker", ["clip", "speaker", "sentence"]].tolist() == [0, 0, 1]
    assert overlap.loc["speaker_sentence", ["clip", "speaker", "sentence"]].tolist() == [0, 0, 0]


def test_folds_made_before_an_emotion_was_dropped_are_usable():
    rows = make_rows()
    table = folds.make_folds(rows, protocol="speaker", seeds=[0], n_folds=5)
    fewer = rows[rows.emotion != "joy"].reset_index(drop=True)
    roles_of_folds = [roles for _, roles in folds.iter_folds(table, fewer)]
    assert [(len(roles["test"]), len(roles["train"])) for roles in roles_of_folds] == [(6, 36)] * 4
    for roles in roles_of_folds:
        check_fit(fewer, protocol="speaker", train=roles["train"], test=roles["test"])


def test_one_speaker_raises():
    with pytest.raises(StudyError, match=r"needs two or more speakers; found 1 \(a\)"):
        folds.make_folds(make_rows(speakers=("a",)), protocol="speaker", seeds=[0], n_folds=5)


def test_one_sentence_raises():
    with pytest.raises(StudyError, match=r"needs two or more sentences; found 1 \(s1\)"):
        folds.make_folds(make_rows(sentences=("s1",)), protocol="sentence", seeds=[0], n_folds=5)


def test_an_emotion_with_one_clip_is_named():
    rows = make_rows()
    removed = rows[rows.emotion == "fear"].index[2:]
    with pytest.raises(StudyError, match=r"'fear' has 1 clip.*DROP_EMOTIONS='\[\"fear\"\]'"):
        folds.make_folds(rows.drop(removed), protocol="as_published", seeds=[0], n_folds=3)


def test_an_emotion_of_one_speaker_is_named():
    rows = make_rows()
    with pytest.raises(StudyError, match="'joy' is spoken by 1 of the speakers"):
        folds.make_folds(rows[(rows.emotion != "joy") | (rows.speaker == "a")], protocol="speaker", seeds=[0], n_folds=3)


@pytest.mark.parametrize("n_folds", [1, 0, 1000])
@pytest.mark.parametrize("protocol", [name for name, entry in protocols.PROTOCOLS.items() if entry.is_random])
def test_an_impossible_number_of_folds_raises(n_folds, protocol):
    with pytest.raises(StudyError, match=f"N_FOLDS is {n_folds}"):
        folds.make_folds(make_rows(), protocol=protocol, seeds=[0], n_folds=n_folds)


def test_missing_seeds_are_named():
    table = folds.make_folds(make_rows(), protocol="as_published", seeds=[0, 1], n_folds=3)
    assert set(folds.folds_by_seed(table, "as_published", [0, 1])) == {0, 1}
    with pytest.raises(StudyError, match="for seed 2: run 02_augment_features with N_SEEDS=3"):
        folds.folds_by_seed(table, "as_published", [0, 1, 2])


def test_why_a_protocol_is_not_possible():
    rows = make_rows()
    assert folds.obstacles(rows.assign(speaker=UNKNOWN))["speaker"] == "the speaker of every clip is unknown."
    some = rows.assign(speaker=rows.speaker.replace("a", UNKNOWN))
    assert folds.obstacles(some)["speaker"] == "the speaker of 9 of the 36 clips is unknown."
    assert folds.obstacles(rows.assign(sentence="s1"))["sentence"] == "it needs two or more sentences; found 1 (s1)."
    own = rows.assign(sentence=rows.emotion)
    assert "no clip of 'anger' is left to train on" in folds.obstacles(own)["sentence"]


def test_plan_gives_the_folds_made_and_the_obstacles():
    made = folds.protocol_plan(make_rows().assign(sentence=UNKNOWN), ["clip", "sentence", "speaker"]).made
    assert made["clip"] == "yes" and made["speaker"] == "yes: the main protocol, which gives the headline"
    assert made["sentence"] == "no: the sentence of every clip is unknown."
    assert made["as_published"] == "no: PROTOCOLS does not name it."
    with pytest.raises(StudyError, match="expected 'speaker' or 'clip' among them"):
        folds.protocol_plan(make_rows().assign(speaker=UNKNOWN), ["as_published", "speaker"])


def test_inner_folds_hold_out_speakers_where_two_remain_and_else_clips():
    assert folds.inner_groups(make_many_rows(3, 2), "speaker")[0] == "speaker"
    assert len(set(folds.inner_groups(make_many_rows(10, 2), "speaker")[1])) == 10
    assert len(set(folds.inner_groups(make_many_rows(22, 2), "speaker")[1])) == 5
    one = make_many_rows(1, 4)
    boundary, groups = folds.inner_groups(one, "speaker")
    assert boundary == "clip" and pd.Series(groups).value_counts().between(2, 4).all()
    assert folds.inner_groups(make_many_rows(3, 2), "clip")[0] == "clip"
    assert [folds.held_out(make_many_rows(n, 2), "speaker") for n in (2, 3)] == ["training clips", "training speakers"]


def test_an_emotion_of_some_speakers_is_allowed():
    rows = make_rows()
    some = rows[(rows.emotion != "joy") | rows.speaker.isin(["a", "b"])].reset_index(drop=True)
    _, roles_of_folds = rows_and_roles("speaker", some)
    assert len(roles_of_folds) == 4 and all("joy" in set(some.emotion.iloc[roles["train"]]) for roles in roles_of_folds)


def test_a_fold_that_trains_on_one_emotion_raises():
    """Of two clips each, half of the splits in two put the two of one emotion together."""
    rows = make_rows(("a",), ("joy", "anger"), ("s1", "s2"), (ORIGINAL,))
    with pytest.raises(StudyError, match="Fold 1 of 'clip' trains on fewer than two emotions: add recordings"):
        folds.make_folds(rows, protocol="clip", seeds=list(range(20)), n_folds=2)


def test_overlap_of_unknown_speakers_is_nan():
    rows = make_rows().assign(speaker=UNKNOWN)
    overlap = folds.train_test_overlap(folds.make_folds(rows, protocol="clip", seeds=[0], n_folds=3), rows)
    assert overlap.speaker.isna().all() and overlap.sentence.notna().all()


def test_description_of_what_is_left_out():
    text = folds.describe_left_out(make_many_rows(24, 2).assign(sentence=UNKNOWN))
    assert text == ("24 speakers: each of 10 groups is left out in turn. No known sentence: none can be left out.")
