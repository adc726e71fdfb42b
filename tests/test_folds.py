"""Protocols: who trains and who tests."""

import itertools

import numpy as np
import pandas as pd
import pytest

from ser_utils import folds
from ser_utils.augment import ORIGINAL
from ser_utils.errors import StudyError
from ser_utils.guard import check_fit

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
        roles for part in folds.of_seeds(made, protocol, list(seeds)).values() for _, roles in folds.of_fold(part, rows)
    ]


@pytest.mark.parametrize("protocol", [name for name in folds.PROTOCOLS if name != "as_published"])
def test_each_original_clip_is_tested_once_and_shares_nothing_declared(protocol):
    rows, found = roles_of(protocol)
    tested = np.concatenate([roles["test"] for roles in found])
    assert sorted(rows.file.iloc[tested]) == sorted(rows.file.unique())
    assert set(rows.variant.iloc[tested]) == {ORIGINAL}
    for roles in found:
        for column in folds.SEPARATED[protocol]:
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
    assert folds.siblings(made, rows)["clip"][0] > 0.5


def test_same_seed_same_folds():
    for protocol in folds.PROTOCOLS:
        once, again = (folds.make_folds(rows_of(), protocol=protocol, seeds=[3], n_folds=3) for _ in range(2))
        pd.testing.assert_frame_equal(once, again)


def test_random_protocols_differ_by_seed_and_others_say_any():
    for protocol in folds.PROTOCOLS:
        made = folds.make_folds(rows_of(), protocol=protocol, seeds=[0, 1], n_folds=3)
        assert set(made.seed) == ({"0", "1"} if protocol in folds.RANDOM else {folds.ANY_SEED})


def test_what_training_has_heard_of_a_test_row():
    rows = rows_of()
    made = pd.concat([folds.make_folds(rows, protocol=name, seeds=[0], n_folds=5) for name in folds.PROTOCOLS])
    heard = folds.siblings(made, rows).set_index("protocol")
    assert heard.loc["clip", ["clip", "speaker", "sentence"]].tolist() == [0, 1, 1]
    assert heard.loc["sentence", ["clip", "speaker", "sentence"]].tolist() == [0, 1, 0]
    assert heard.loc["speaker", ["clip", "speaker", "sentence"]].tolist() == [0, 0, 1]
    assert heard.loc["speaker_sentence", ["clip", "speaker", "sentence"]].tolist() == [0, 0, 0]


def test_folds_made_before_an_emotion_was_dropped_still_serve():
    rows = rows_of()
    made = folds.make_folds(rows, protocol="speaker", seeds=[0], n_folds=5)
    fewer = rows[rows.emotion != "joy"].reset_index(drop=True)
    found = [roles for _, roles in folds.of_fold(made, fewer)]
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
@pytest.mark.parametrize("protocol", sorted(folds.RANDOM))
def test_a_number_of_folds_that_cannot_be(n_folds, protocol):
    with pytest.raises(StudyError, match=f"N_FOLDS is {n_folds}"):
        folds.make_folds(rows_of(), protocol=protocol, seeds=[0], n_folds=n_folds)


def test_unknown_protocol_lists_what_there_is():
    with pytest.raises(StudyError, match="as_published, clip, sentence, speaker, speaker_sentence"):
        folds.make_folds(rows_of(), protocol="random", seeds=[0], n_folds=5)


def test_seeds_that_folds_lack_are_named():
    made = folds.make_folds(rows_of(), protocol="as_published", seeds=[0, 1], n_folds=3)
    assert set(folds.of_seeds(made, "as_published", [0, 1])) == {0, 1}
    with pytest.raises(StudyError, match="for seed 2: run 02_augment_features with N_SEEDS=3"):
        folds.of_seeds(made, "as_published", [0, 1, 2])
