"""Protocols: which rows train and which rows test."""

import numpy as np
import pandas as pd
import pytest
from example_rows import EMOTIONS, make_many_rows, make_rows, rows_and_roles

from ser_utils.core.errors import StudyError
from ser_utils.core.tables import ORIGINAL, UNKNOWN
from ser_utils.evaluation import folds, protocols
from ser_utils.evaluation.leakage import check_fit


@pytest.mark.parametrize(
    ("protocol", "n_folds", "n_train", "shared"),
    [
        ("clip", 5, None, ["speaker", "sentence"]),
        ("sentence", 3, 72 * 2 / 3, ["speaker"]),
        ("speaker", 4, 72 * 3 / 4, ["sentence"]),
        ("speaker_sentence", 12, 72 * 3 / 4 * 2 / 3, []),
    ],
)
def test_each_original_clip_is_tested_once_and_shares_no_separated_value(protocol, n_folds, n_train, shared):
    rows, roles_of_folds = rows_and_roles(protocol)
    tested = rows.iloc[np.concatenate([roles["test"] for roles in roles_of_folds])]
    assert sorted(tested.file) == sorted(rows.file.unique()) and set(tested.variant) == {ORIGINAL}
    assert len(roles_of_folds) == n_folds
    for roles in roles_of_folds:
        train, test = rows.iloc[roles["train"]], rows.iloc[roles["test"]]
        assert all(set(test[column]) <= set(train[column]) for column in shared)
        assert not any(set(test[column]) & set(train[column]) for column in {"file", "speaker", "sentence"} - set(shared))
        assert set(train.variant) == {ORIGINAL, "noise"}, "augmented rows follow their clip into training"
        assert n_train is None or len(train) == n_train, "no row is left out without need"


def test_as_published_tests_a_tenth_of_all_rows():
    rows = make_rows(sentences=[f"s{i}" for i in range(10)])
    rows, roles_of_folds = rows_and_roles("as_published", rows, seeds=(0, 1))
    assert len(rows) == 240 and len(roles_of_folds) == 10
    assert all(len(roles["test"]) == 24 for roles in roles_of_folds)
    first, second = roles_of_folds[:5], roles_of_folds[5:]
    assert len({tuple(sorted(roles["test"])) for roles in first}) == 1, "all folds of a seed share one test set"
    assert set(first[0]["test"]) != set(second[0]["test"])
    assert sorted(np.concatenate([roles["validation"] for roles in first])) == sorted(set(range(240)) - set(first[0]["test"]))
    for roles in roles_of_folds:
        assert sorted(np.concatenate(list(roles.values()))) == list(range(240)), "each row has one role"


@pytest.mark.parametrize(
    ("changes", "possible"),
    [
        ({}, ["clip", "sentence", "speaker", "speaker_sentence"]),
        ({"speaker": UNKNOWN}, ["clip", "sentence"]),
        ({"sentence": UNKNOWN}, ["clip", "speaker"]),
        ({"speaker": UNKNOWN, "sentence": UNKNOWN}, ["clip"]),
        ({"speaker": "a", "sentence": "s1"}, ["clip"]),
    ],
)
def test_possible_protocols_and_the_main_one(changes, possible):
    rows = make_rows().assign(**changes)
    obstacles = folds.obstacles(rows)
    assert [name for name, reason in obstacles.items() if not reason] == ["as_published", *possible]
    assert protocols.main_protocol(possible) == ("speaker" if "speaker" in possible else "clip")
    for name, reason in obstacles.items():
        if reason:
            with pytest.raises(StudyError, match=f"The protocol '{name}' is not possible"):
                folds.make_folds(rows, protocol=name, seeds=[0], n_folds=2)


@pytest.mark.parametrize(("names", "problem"), [(["clips"], "Unknown 'clips' in PROTOCOLS"), ([], "PROTOCOLS is empty")])
def test_unknown_or_no_protocols_raise(names, problem):
    with pytest.raises(StudyError, match=f"{problem}: expected some of as_published, clip"):
        protocols.check_protocols(names)


@pytest.mark.parametrize(
    ("speakers", "sentences", "n_folds"),
    [
        (2, 3, {"speaker": 2, "sentence": 3, "speaker_sentence": 6}),
        (15, 2, {"speaker": 15, "sentence": 2, "speaker_sentence": 30}),
        (24, 2, {"speaker": 10, "sentence": 2, "speaker_sentence": 20}),
        (2, 200, {"speaker": 2, "sentence": 10, "speaker_sentence": 10}),
        (14, 15, {"speaker": 14, "sentence": 15, "speaker_sentence": 70}),
    ],
)
def test_many_speakers_or_sentences_are_left_out_in_groups(speakers, sentences, n_folds):
    rows = make_many_rows(speakers, sentences)
    for protocol, n in n_folds.items():
        _, roles_of_folds = rows_and_roles(protocol, rows)
        assert len(roles_of_folds) == n
        assert sorted(np.concatenate([roles["test"] for roles in roles_of_folds])) == list(range(len(rows)))
        sizes = [len(roles["test"]) for roles in roles_of_folds]
        assert max(sizes) <= 4 * min(sizes), "groups are of about the same size"
        for roles in roles_of_folds:
            check_fit(rows, protocol=protocol, train=roles["train"], test=roles["test"])
            assert rows.emotion.iloc[roles["train"]].nunique() == len(EMOTIONS)


def test_groups_do_not_depend_on_the_order_of_the_rows():
    rows = make_many_rows(24, 2)
    groups = [
        pd.Series(protocols.assign_groups(part, "speaker"), part.speaker).groupby(level=0).first()
        for part in (rows, rows.iloc[::-1].reset_index(drop=True))
    ]
    pd.testing.assert_series_equal(*groups)


def test_a_corpus_of_ones_own_has_the_protocols_that_may_be_the_main_one_by_default():
    assert protocols.default_protocols(is_own=False) == list(protocols.PROTOCOLS)
    assert protocols.default_protocols(is_own=True) == ["clip", "speaker"]


def test_only_the_main_protocol_has_all_seeds():
    assert protocols.seeds_by_protocol(["clip", "speaker"], n_seeds=3, n_seeds_other=2) == {
        "clip": [0, 1],
        "speaker": [0, 1, 2],
    }
    assert protocols.seeds_by_protocol(["as_published", "clip"], n_seeds=1, n_seeds_other=2) == {
        "as_published": [0],
        "clip": [0],
    }
