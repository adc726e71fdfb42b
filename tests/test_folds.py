"""Protocols: who trains and who tests."""

import itertools

import numpy as np
import pandas as pd
import pytest

from ser_utils.core.errors import StudyError
from ser_utils.core.tables import ORIGINAL, UNKNOWN
from ser_utils.evaluation import folds, protocols
from ser_utils.evaluation.leakage import check_fit

SPEAKERS, EMOTIONS, SENTENCES = ("a", "b", "c", "d"), ("joy", "anger", "fear"), ("s1", "s2", "s3")


def rows_of(speakers=SPEAKERS, emotions=EMOTIONS, sentences=SENTENCES, variants=(ORIGINAL, "noise")):
    made = [
        {
            "file": f"{who}-{feels}-{says}.wav",
            "variant": variant,
            "speaker": who,
            "sentence": says,
            "emotion": feels,
            "audio_sha256": f"sum of {who}-{feels}-{says}",
        }
        for who, feels, says, variant in itertools.product(speakers, emotions, sentences, variants)
    ]
    return pd.DataFrame(made)


def roles_of(protocol, rows=None, seeds=(0,), n_folds=5):
    rows = rows_of() if rows is None else rows
    made = folds.make_folds(rows, protocol=protocol, seeds=list(seeds), n_folds=n_folds)
    return rows, [
        roles for part in folds.folds_by_seed(made, protocol, list(seeds)).values() for _, roles in folds.iter_folds(part, rows)
    ]


@pytest.mark.parametrize("protocol", [name for name in protocols.PROTOCOLS if name != "as_published"])
def test_each_original_clip_is_tested_once_and_shares_nothing_declared(protocol):
    rows, found = roles_of(protocol)
    tested = np.concatenate([roles["test"] for roles in found])
    assert sorted(rows.file.iloc[tested]) == sorted(rows.file.unique())
    assert set(rows.variant.iloc[tested]) == {ORIGINAL}
    for roles in found:
        for column in protocols.PROTOCOLS[protocol].separates:
            assert not set(rows[column].iloc[roles["train"]]) & set(rows[column].iloc[roles["test"]])
        assert set(rows.variant.iloc[roles["train"]]) == {ORIGINAL, "noise"}, "augmented rows follow their clip into training"


@pytest.mark.parametrize(
    ("protocol", "n_folds", "train"),
    [("clip", 5, None), ("sentence", 3, 72 * 2 / 3), ("speaker", 4, 72 * 3 / 4), ("speaker_sentence", 12, 72 * 3 / 4 * 2 / 3)],
)
def test_number_of_folds_and_all_else_trains(protocol, n_folds, train):
    rows, found = roles_of(protocol)
    assert len(found) == n_folds
    for roles in found:
        assert train is None or len(roles["train"]) == train, "nothing may be left out without need"


def test_clip_shares_voices_and_sentences():
    rows, found = roles_of("clip")
    for roles in found:
        for column in ("speaker", "sentence"):
            assert set(rows[column].iloc[roles["test"]]) <= set(rows[column].iloc[roles["train"]])


def test_as_published_draws_a_tenth_of_the_rows_whatever_clip_they_come_from():
    rows = rows_of(sentences=[f"s{i}" for i in range(10)])
    rows, found = roles_of("as_published", rows, seeds=(0, 1))
    assert len(rows) == 240 and len(found) == 10
    assert all(len(roles["test"]) == 24 for roles in found)
    first, second = found[:5], found[5:]
    assert len({tuple(sorted(roles["test"])) for roles in first}) == 1, "all folds of a seed share one test set"
    assert set(first[0]["test"]) != set(second[0]["test"])
    assert sorted(np.concatenate([roles["validation"] for roles in first])) == sorted(set(range(240)) - set(first[0]["test"]))
    for roles in found:
        assert sorted(np.concatenate(list(roles.values()))) == list(range(240)), "each row has one role"
    made = folds.make_folds(rows, protocol="as_published", seeds=[0], n_folds=5)
    assert folds.train_test_overlap(made, rows)["clip"][0] > 0.5


def test_same_seed_same_folds():
    for protocol in protocols.PROTOCOLS:
        once, again = (folds.make_folds(rows_of(), protocol=protocol, seeds=[3], n_folds=3) for _ in range(2))
        pd.testing.assert_frame_equal(once, again)


def test_random_protocols_differ_by_seed_and_others_say_any():
    for protocol in protocols.PROTOCOLS:
        made = folds.make_folds(rows_of(), protocol=protocol, seeds=[0, 1], n_folds=3)
        assert set(made.seed) == ({"0", "1"} if protocols.PROTOCOLS[protocol].is_random else {folds.ANY_SEED})


def test_what_training_has_heard_of_a_test_row():
    rows = rows_of()
    made = pd.concat([folds.make_folds(rows, protocol=name, seeds=[0], n_folds=5) for name in protocols.PROTOCOLS])
    heard = folds.train_test_overlap(made, rows).set_index("protocol")
    assert heard.loc["clip", ["clip", "speaker", "sentence"]].tolist() == [0, 1, 1]
    assert heard.loc["sentence", ["clip", "speaker", "sentence"]].tolist() == [0, 1, 0]
    assert heard.loc["speaker", ["clip", "speaker", "sentence"]].tolist() == [0, 0, 1]
    assert heard.loc["speaker_sentence", ["clip", "speaker", "sentence"]].tolist() == [0, 0, 0]


def test_folds_made_before_an_emotion_was_dropped_still_serve():
    rows = rows_of()
    made = folds.make_folds(rows, protocol="speaker", seeds=[0], n_folds=5)
    fewer = rows[rows.emotion != "joy"].reset_index(drop=True)
    found = [roles for _, roles in folds.iter_folds(made, fewer)]
    assert [len(roles["test"]) for roles in found] == [6] * 4 and [len(roles["train"]) for roles in found] == [36] * 4
    for roles in found:
        check_fit(fewer, protocol="speaker", train=roles["train"], test=roles["test"])


def test_one_speaker_is_refused_with_what_to_do():
    with pytest.raises(StudyError, match=r"needs two or more speakers; found 1 \(a\)"):
        folds.make_folds(rows_of(speakers=("a",)), protocol="speaker", seeds=[0], n_folds=5)


def test_one_sentence_is_refused():
    with pytest.raises(StudyError, match=r"needs two or more sentences; found 1 \(s1\)"):
        folds.make_folds(rows_of(sentences=("s1",)), protocol="sentence", seeds=[0], n_folds=5)


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
@pytest.mark.parametrize("protocol", [name for name, entry in protocols.PROTOCOLS.items() if entry.is_random])
def test_a_number_of_folds_that_cannot_be(n_folds, protocol):
    with pytest.raises(StudyError, match=f"N_FOLDS is {n_folds}"):
        folds.make_folds(rows_of(), protocol=protocol, seeds=[0], n_folds=n_folds)


def test_unknown_protocol_lists_what_there_is():
    with pytest.raises(StudyError, match="as_published, clip, sentence, speaker, speaker_sentence"):
        folds.make_folds(rows_of(), protocol="random", seeds=[0], n_folds=5)


def test_seeds_that_folds_lack_are_named():
    made = folds.make_folds(rows_of(), protocol="as_published", seeds=[0, 1], n_folds=3)
    assert set(folds.folds_by_seed(made, "as_published", [0, 1])) == {0, 1}
    with pytest.raises(StudyError, match="for seed 2: run 02_augment_features with N_SEEDS=3"):
        folds.folds_by_seed(made, "as_published", [0, 1, 2])


# Other corpora: unknown or few speakers, or very many


def labelled(n_speakers, n_sentences, emotions=EMOTIONS):
    return rows_of([f"{i:03d}" for i in range(n_speakers)], emotions, [f"s{i:02d}" for i in range(n_sentences)], (ORIGINAL,))


@pytest.mark.parametrize(
    ("changes", "made"),
    [
        ({}, ["clip", "sentence", "speaker", "speaker_sentence"]),
        ({"speaker": UNKNOWN}, ["clip", "sentence"]),
        ({"sentence": UNKNOWN}, ["clip", "speaker"]),
        ({"speaker": UNKNOWN, "sentence": UNKNOWN}, ["clip"]),
        ({"speaker": "a", "sentence": "s1"}, ["clip"]),
    ],
)
def test_possible_protocols_and_the_main_one(changes, made):
    rows = rows_of().assign(**changes)
    why = folds.obstacles(rows)
    assert [name for name, said in why.items() if not said] == ["as_published", *made]
    assert protocols.main_protocol(made) == ("speaker" if "speaker" in made else "clip")
    for name, said in why.items():
        if said:
            with pytest.raises(StudyError, match=f"The protocol '{name}' is not possible"):
                folds.make_folds(rows, protocol=name, seeds=[0], n_folds=2)


def test_why_a_protocol_is_not_possible():
    rows = rows_of()
    assert folds.obstacles(rows.assign(speaker=UNKNOWN))["speaker"] == "the speaker of any clip is unknown."
    some = rows.assign(speaker=rows.speaker.replace("a", UNKNOWN))
    assert folds.obstacles(some)["speaker"] == "the speaker of 9 of the 36 clips is unknown."
    assert folds.obstacles(rows.assign(sentence="s1"))["sentence"] == "it needs two or more sentences; found 1 (s1)."
    own = rows.assign(sentence=rows.emotion)
    assert "no clip of 'anger' is left to train on" in folds.obstacles(own)["sentence"]


def test_the_plan_says_what_is_made_and_why_not():
    made = folds.protocol_plan(rows_of().assign(sentence=UNKNOWN), ["clip", "sentence", "speaker"]).made
    assert made["clip"] == "yes" and made["speaker"] == "yes: the main protocol, which gives the headline"
    assert made["sentence"] == "no: the sentence of any clip is unknown."
    assert made["as_published"] == "no: PROTOCOLS does not name it."
    with pytest.raises(StudyError, match="expected 'speaker' or 'clip' among them"):
        folds.protocol_plan(rows_of().assign(speaker=UNKNOWN), ["as_published", "speaker"])


@pytest.mark.parametrize(("names", "said"), [(["clips"], "Unknown 'clips' in PROTOCOLS"), ([], "PROTOCOLS is empty")])
def test_wrong_protocols_list_what_there_is(names, said):
    with pytest.raises(StudyError, match=f"{said}: expected some of as_published, clip"):
        protocols.check_protocols(names)


@pytest.mark.parametrize(
    ("speakers", "sentences", "n_folds"),
    [
        (2, 3, {"speaker": 2, "sentence": 3, "speaker_sentence": 6}),
        (15, 2, {"speaker": 15, "sentence": 2, "speaker_sentence": 30}),
        (24, 2, {"speaker": 10, "sentence": 2, "speaker_sentence": 20}),
        (2, 200, {"speaker": 2, "sentence": 10, "speaker_sentence": 20}),
        (14, 15, {"speaker": 14, "sentence": 15, "speaker_sentence": 100}),
    ],
)
def test_many_speakers_or_sentences_are_left_out_in_groups(speakers, sentences, n_folds):
    rows = labelled(speakers, sentences)
    for protocol, n in n_folds.items():
        _, found = roles_of(protocol, rows)
        assert len(found) == n
        assert sorted(np.concatenate([roles["test"] for roles in found])) == list(range(len(rows)))
        sizes = [len(roles["test"]) for roles in found]
        assert max(sizes) <= 4 * min(sizes), "groups are of about the same size"
        for roles in found:
            check_fit(rows, protocol=protocol, train=roles["train"], test=roles["test"])
            assert rows.emotion.iloc[roles["train"]].nunique() == len(EMOTIONS)


def test_groups_do_not_depend_on_the_order_of_the_rows():
    rows = labelled(24, 2)
    turned = rows.iloc[::-1].reset_index(drop=True)
    groups = [
        pd.Series(protocols.assign_groups(part, "speaker"), part.speaker).groupby(level=0).first() for part in (rows, turned)
    ]
    pd.testing.assert_series_equal(*groups)


def test_inner_folds_hold_out_speakers_while_there_are_two_and_else_clips():
    assert folds.inner_groups(labelled(3, 2), "speaker")[0] == "speaker"
    assert len(set(folds.inner_groups(labelled(10, 2), "speaker")[1])) == 10
    assert len(set(folds.inner_groups(labelled(22, 2), "speaker")[1])) == 5
    one = labelled(1, 4)
    boundary, groups = folds.inner_groups(one, "speaker")
    assert boundary == "clip" and pd.Series(groups).value_counts().between(2, 4).all()
    assert folds.inner_groups(labelled(3, 2), "clip")[0] == "clip"
    assert [folds.held_out(labelled(n, 2), "speaker") for n in (2, 3)] == ["training clips", "training speakers"]


def test_an_emotion_of_some_speakers_stops_nothing():
    rows = rows_of()
    some = rows[(rows.emotion != "joy") | rows.speaker.isin(["a", "b"])].reset_index(drop=True)
    _, found = roles_of("speaker", some)
    assert len(found) == 4 and all("joy" in set(some.emotion.iloc[roles["train"]]) for roles in found)


def test_a_fold_that_trains_on_one_emotion_is_refused():
    """Of two clips each, half of the splits in two put the two of one emotion together."""
    rows = rows_of(("a",), ("joy", "anger"), ("s1", "s2"), (ORIGINAL,))
    with pytest.raises(StudyError, match="Fold 1 of 'clip' trains on fewer than two emotions: add recordings"):
        folds.make_folds(rows, protocol="clip", seeds=list(range(20)), n_folds=2)


def test_nothing_is_said_of_what_training_heard_where_nobody_knows():
    rows = rows_of().assign(speaker=UNKNOWN)
    heard = folds.train_test_overlap(folds.make_folds(rows, protocol="clip", seeds=[0], n_folds=3), rows)
    assert heard.speaker.isna().all() and heard.sentence.notna().all()


def test_how_speakers_and_sentences_are_left_out_is_told():
    said = folds.describe_left_out(labelled(24, 2).assign(sentence=UNKNOWN))
    assert said == ("24 speakers: in 10 groups, each of which is left out in turn. No known sentence: none can be left out.")
