"""Tables of predictions and of mistakes, counted by hand."""

import numpy as np
import pandas as pd
import pytest
from example_rows import CLASSES, SYSTEM, make_predictions, predictions_from
from sklearn.metrics import recall_score

from ser_utils.core.errors import StudyError
from ser_utils.core.tables import SYSTEM_COLUMNS
from ser_utils.evaluation import breakdown, predictions, texts

pytestmark = pytest.mark.numeric

MISTAKES = predictions_from(
    [
        (0, "1", "s0", "joy", "fear"),
        (1, "1", "s0", "joy", "anger"),
        (2, "1", "s0", "joy", "fear"),
        (0, "2", "s0", "joy", "joy"),
        (1, "2", "s0", "joy", "fear"),
        (2, "2", "s0", "joy", "fear"),
        (0, "3", "s1", "fear", "joy"),
        (1, "3", "s1", "fear", "joy"),
        (2, "3", "s1", "fear", "joy"),
        (0, "4", "s1", "fear", "fear"),
        (1, "4", "s1", "fear", "fear"),
        (2, "4", "s1", "fear", "fear"),
        (0, "5", "s1", "joy", "fear"),  # two seeds do not test it
    ]
)


def test_select_system_finds_one_system_or_lists_them():
    both = pd.concat([MISTAKES, MISTAKES.assign(model="svm")])
    assert set(predictions.select_system(both, model="svm").model) == {"svm"}
    with pytest.raises(StudyError, match=r"2 systems match protocol=speaker, expected one; .*speaker, svm, f, none"):
        predictions.select_system(both, protocol="speaker")
    with pytest.raises(StudyError, match="0 systems match model=lda"):
        predictions.select_system(both, model="lda")


def test_system_name_includes_the_normalisation_only_where_there_is_one():
    assert texts.system_name(SYSTEM) == "m, f"
    assert texts.system_name(pd.Series(SYSTEM | {"speaker_norm": "speaker"})) == "m, f, per-speaker norm"


def test_confusion_matrix_is_normalised_by_true_label_in_the_given_order():
    shares = breakdown.confusion_table(MISTAKES, ["joy", "fear"]).set_index("emotion")
    assert list(shares.columns) == [*SYSTEM_COLUMNS, "joy", "fear"]
    assert shares.loc["joy", ["joy", "fear"]].tolist() == pytest.approx([1 / 6, 5 / 6])
    assert shares.loc["fear", ["joy", "fear"]].tolist() == [0.5, 0.5]


def test_report_averages_seeds_and_counts_the_clips_of_one():
    report = breakdown.report_table(MISTAKES[MISTAKES.file != "5"], ["joy", "fear", "anger"]).set_index("emotion")
    assert list(report.index) == ["joy", "fear", "anger", "macro avg"]
    assert report.precision.tolist()[:2] == pytest.approx([1 / 6, (1 / 2 + 1 / 2 + 1 / 3) / 3])
    assert report.recall.tolist()[:2] == pytest.approx([1 / 6, 1 / 2])
    assert report.f1.tolist()[2:] == pytest.approx([0, np.mean([0.5, 0.5 / 3, 0.4 / 2])])
    assert report.support.tolist() == [2, 2, 0, 4]


def test_misclassified_by_every_seed():
    wrong = breakdown.misclassified_by_every_seed(MISTAKES)
    assert wrong[["file", "emotion", "answer"]].to_numpy().tolist() == [["3", "fear", "joy"], ["1", "joy", "fear"]]
    assert wrong.answer_share.tolist() == pytest.approx([1, 2 / 3], abs=1e-6)
    assert {"speaker", "sentence", "variant"} <= set(wrong)
    none = breakdown.misclassified_by_every_seed(MISTAKES.assign(predicted=MISTAKES.emotion))
    assert len(none) == 0 and "answer" in none
    rows = [(0, "1", "s0", "joy", "neutral"), (1, "1", "s0", "joy", "anger")]
    for order in (rows, rows[::-1]):  # the first in alphabetical order
        assert breakdown.misclassified_by_every_seed(predictions_from(order)).answer.tolist() == ["anger"]


def test_confused_pairs_are_shares_of_the_true_emotion(monkeypatch):
    pairs = breakdown.confused_pairs(MISTAKES)
    assert [(*row[:3], round(row[3], 4)) for row in pairs.itertuples(index=False)] == [
        ("all", "joy", "fear", 0.7143),
        ("all", "fear", "joy", 0.5),
        ("all", "joy", "anger", 0.1429),
        ("s0", "joy", "fear", 0.6667),
        ("s0", "joy", "anger", 0.1667),
        ("s1", "joy", "fear", 1.0),
        ("s1", "fear", "joy", 0.5),
    ]
    monkeypatch.setattr(breakdown, "MAX_PAIRS", 1)
    assert breakdown.confused_pairs(MISTAKES).speaker.tolist() == ["all", "s0", "s1"]


def test_groups_have_a_uar_and_emotions_a_recall():
    table = make_predictions([0.3, 0.8, 0.5], n_clips=36)
    table = table.assign(sentence=np.resize(["a", "b", "c"], len(table)))
    groups = breakdown.uar_by_group(table, "sentence").set_index("sentence")
    parts = [part for _, part in table[table.sentence == "b"].groupby("seed")]
    by_hand = np.mean([recall_score(part.emotion, part.predicted, average="macro") for part in parts])
    assert groups.value["b"] == pytest.approx(by_hand)
    assert set(groups.metric) == {"uar"} and set(groups.n_clips) == {36} and set(groups.n_speakers) == {3}
    groups = breakdown.uar_by_group(MISTAKES[MISTAKES.file != "5"], "emotion")
    assert groups.emotion.tolist() == ["joy", "fear"] and groups.value.tolist() == pytest.approx([1 / 6, 1 / 2])
    assert set(groups.metric) == {"recall"} and groups.n_clips.tolist() == [2, 2]


def test_groups_by_two_columns_follow_the_order_of_classes():
    table = make_predictions([1, 0, 1, 0])
    gender = {"s0": "female", "s1": "male", "s2": "female", "s3": "male"}
    groups = breakdown.uar_by_group(table.assign(gender=table.speaker.map(gender)), ["emotion", "gender"])
    assert groups.value.tolist() == [1, 0] * 4
    assert groups.emotion.tolist() == np.repeat([*CLASSES[:2], "fear", "anger"], 2).tolist()


def test_groups_are_of_one_system_each():
    both = pd.concat([make_predictions([1, 1]), make_predictions([0, 0], model="svm")])
    assert breakdown.uar_by_group(both, "speaker").groupby("model").value.unique().map(list).to_dict() == {"m": [1], "svm": [0]}


def with_probabilities(rows, joy, **system):
    table = predictions_from([(*row, "joy", "") for row in rows], **system)
    return table.assign(p_joy=joy, p_fear=1 - np.array(joy), p_other=np.nan)


def test_ensemble_averages_the_probabilities_of_each_system():
    rows = [(seed, file, "s0") for seed in (3, 4, 5) for file in ("b", "a")]
    table = with_probabilities(rows, [0.4, 0.1, 0.4, 0.2, 0.9, 0.3])
    other = with_probabilities(rows[:2], [0.9, 0.8], model="svm")
    ensemble = predictions.seed_ensemble(pd.concat([table, other]))
    assert ensemble.file.tolist() == ["b", "a"] * 2 and ensemble.p_joy.tolist() == pytest.approx([0.5667, 0.2, 0.9, 0.8])
    assert ensemble.predicted.tolist() == ["joy", "fear", "joy", "joy"]  # for b, two of three seeds are nearer to fear
    assert ensemble.model.tolist() == ["m_ensemble"] * 2 + ["svm_ensemble"] * 2 and set(ensemble.seed) == {0}
    assert list(ensemble) == list(table)


def test_ensemble_needs_the_same_clips_for_every_seed():
    table = with_probabilities([(0, "a", "s0"), (1, "a", "s0"), (1, "b", "s0")], [0.9, 0.8, 0.7])
    with pytest.raises(StudyError, match="were tested on different clips, first b"):
        predictions.seed_ensemble(table)
