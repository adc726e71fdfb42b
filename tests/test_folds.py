"""Folds of a corpus, as a table and as row numbers."""

import numpy as np
import pandas as pd
import pytest
from example_rows import make_many_rows, make_rows, rows_and_roles

from ser_utils.core.errors import StudyError
from ser_utils.core.tables import ORIGINAL, UNKNOWN
from ser_utils.evaluation import folds, protocols
from ser_utils.evaluation.leakage import check_fit


@pytest.mark.parametrize("protocol", protocols.PROTOCOLS)
def test_same_seed_same_folds_and_only_random_protocols_differ_by_seed(protocol):
    once, again = (folds.make_folds(make_rows(), protocol=protocol, seeds=[3, 4], n_folds=3) for _ in range(2))
    pd.testing.assert_frame_equal(once, again)
    assert set(once.seed) == ({"3", "4"} if protocols.PROTOCOLS[protocol].is_random else {folds.ANY_SEED})


def test_overlap_of_test_rows_with_training():
    rows = make_rows()
    table = pd.concat([folds.make_folds(rows, protocol=name, seeds=[0], n_folds=5) for name in protocols.PROTOCOLS])
    overlap = folds.train_test_overlap(table, rows).set_index("protocol")[["clip", "speaker", "sentence"]]
    expected = {"clip": [0, 1, 1], "sentence": [0, 1, 0], "speaker": [0, 0, 1], "speaker_sentence": [0, 0, 0]}
    assert overlap.drop("as_published").T.to_dict("list") == expected
    assert overlap.loc["as_published", "clip"] > 0.5
    unknown = folds.train_test_overlap(table, rows.assign(speaker=UNKNOWN))
    assert unknown.speaker.isna().all() and unknown.sentence.notna().all()


def test_folds_made_before_an_emotion_was_dropped_are_usable():
    rows = make_rows()
    table = folds.make_folds(rows, protocol="speaker", seeds=[0], n_folds=5)
    fewer = rows[rows.emotion != "joy"].reset_index(drop=True)
    roles_of_folds = [roles for _, roles in folds.iter_folds(table, fewer)]
    assert [(len(roles["test"]), len(roles["train"])) for roles in roles_of_folds] == [(6, 36)] * 4
    for roles in roles_of_folds:
        check_fit(fewer, protocol="speaker", train=roles["train"], test=roles["test"])


FEAR, JOY = make_rows().query("emotion == 'fear'").index, make_rows().query("emotion == 'joy' and speaker != 'a'").index


@pytest.mark.parametrize(
    ("protocol", "rows", "message"),
    [
        ("speaker", make_rows(speakers="a"), r"needs two or more speakers; found 1 \(a\)"),
        ("sentence", make_rows(sentences=["s1"]), r"needs two or more sentences; found 1 \(s1\)"),
        ("as_published", make_rows().drop(FEAR[2:]), r"'fear' has 1 clip.*DROP_EMOTIONS='\[\"fear\"\]'"),
        ("speaker", make_rows().drop(JOY), "'joy' is spoken by 1 of the speakers"),
        ("random", make_rows(), "expected one of as_published, clip, sentence, speaker, speaker_sentence"),
    ],
)
def test_impossible_folds_are_explained(protocol, rows, message):
    with pytest.raises(StudyError, match=message):
        folds.make_folds(rows, protocol=protocol, seeds=[0], n_folds=3)


@pytest.mark.parametrize("n_folds", [1, 0, 1000])
@pytest.mark.parametrize("protocol", ["as_published", "clip"])
def test_an_impossible_number_of_folds_raises(n_folds, protocol):
    with pytest.raises(StudyError, match=f"N_FOLDS is {n_folds}"):
        folds.make_folds(make_rows(), protocol=protocol, seeds=[0], n_folds=n_folds)


def test_a_fold_that_trains_on_one_emotion_raises():
    """Of two clips each, half of the splits in two put the two of one emotion together."""
    rows = make_rows(("a",), ("joy", "anger"), ("s1", "s2"), (ORIGINAL,))
    with pytest.raises(StudyError, match="Fold 1 of 'clip' trains on fewer than two emotions: add recordings"):
        folds.make_folds(rows, protocol="clip", seeds=list(range(20)), n_folds=2)


def test_an_emotion_of_some_speakers_is_allowed():
    rows = make_rows()
    some = rows[(rows.emotion != "joy") | rows.speaker.isin(["a", "b"])].reset_index(drop=True)
    _, roles_of_folds = rows_and_roles("speaker", some)
    assert len(roles_of_folds) == 4 and all("joy" in set(some.emotion.iloc[roles["train"]]) for roles in roles_of_folds)


def test_missing_seeds_are_named():
    table = folds.make_folds(make_rows(), protocol="as_published", seeds=[0, 1], n_folds=3)
    assert set(folds.folds_by_seed(table, "as_published", [0, 1])) == {0, 1}
    with pytest.raises(StudyError, match="for seed 2: run 02_augment_features with N_SEEDS=3"):
        folds.folds_by_seed(table, "as_published", [0, 1, 2])


@pytest.mark.parametrize(
    ("changes", "protocol", "reason"),
    [
        ({"speaker": UNKNOWN}, "speaker", "the speaker of every clip is unknown."),
        ({"speaker": [UNKNOWN] * 18 + ["b"] * 54}, "speaker", "the speaker of 9 of the 36 clips is unknown."),
        ({"sentence": "s1"}, "sentence", "it needs two or more sentences; found 1 (s1)."),
        ({"sentence": make_rows().emotion}, "sentence", "no clip of 'anger' is left to train on."),
    ],
)
def test_why_a_protocol_is_not_possible(changes, protocol, reason):
    assert folds.obstacles(make_rows().assign(**changes))[protocol].endswith(reason)


def test_plan_gives_the_folds_made_and_the_obstacles():
    made = folds.protocol_plan(make_rows().assign(sentence=UNKNOWN), ["clip", "sentence", "speaker"]).made
    assert made["clip"] == "yes" and made["speaker"] == "yes: the main protocol, which gives the headline"
    assert made["sentence"] == "no: the sentence of every clip is unknown."
    assert made["as_published"] == "no: PROTOCOLS does not name it."
    with pytest.raises(StudyError, match="expected 'speaker' or 'clip' among them"):
        folds.protocol_plan(make_rows().assign(speaker=UNKNOWN), ["as_published", "speaker"])


@pytest.mark.parametrize(
    ("protocol", "n_speakers", "inner", "n_groups"),
    [
        ("speaker", 3, "speaker", 3),
        ("speaker", 10, "speaker", 10),
        ("speaker", 22, "speaker", 5),
        ("speaker", 1, "clip", 4),
        ("speaker_sentence", 3, "speaker", 3),
        ("clip", 3, "clip", 5),
    ],
)
def test_inner_folds_hold_out_speakers_where_two_remain_and_else_clips(protocol, n_speakers, inner, n_groups):
    kind, groups = folds.inner_groups(make_many_rows(n_speakers, 4), protocol)
    assert kind == inner and len(set(groups)) == n_groups
    sizes = np.unique(groups, return_counts=True)[1]
    assert max(sizes) <= 2 * min(sizes)


def test_descriptions_of_what_is_held_out():
    assert [folds.held_out(make_many_rows(n, 2), "speaker") for n in (2, 3)] == ["training clips", "training speakers"]
    text = folds.describe_left_out(make_many_rows(24, 2).assign(sentence=UNKNOWN))
    assert text == "24 speakers: each of 10 groups is left out in turn. No known sentence: none can be left out."
