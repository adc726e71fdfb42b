"""Tests of significance and intervals on data whose answer is known."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from example_rows import make_predictions, predictions_from, predictions_of
from sklearn.metrics import balanced_accuracy_score

from ser_utils.core.errors import StudyError
from ser_utils.evaluation import breakdown, intervals, metrics, statistics

pytestmark = pytest.mark.numeric


def mean_uar(table):
    """Mean over seeds, by scikit-learn."""
    return np.mean([balanced_accuracy_score(part.emotion, part.predicted) for _, part in table.groupby("seed")])


# Above chance?


def test_permutation_p_is_uniform_where_the_emotion_is_not_recognised():
    """Labels at random; predictions depend on the speaker, and seeds make nearly the same mistakes, as real networks do."""
    rng = np.random.default_rng(3)
    ps = []
    for _ in range(150):
        truth = rng.integers(0, 4, 60)
        preferences = np.repeat(rng.dirichlet(np.ones(4), 6), 10, axis=0)
        first = (preferences.cumsum(axis=1) > rng.uniform(size=(60, 1))).argmax(axis=1)
        answers = [np.where(rng.uniform(size=60) < 0.05, rng.integers(0, 4, 60), first) for _ in range(3)]
        ps.append(statistics.permutation_test(predictions_of(truth, answers), n_permutations=99)["p"])
    assert np.mean(ps) == pytest.approx(0.5, abs=0.08)
    assert 0.01 <= np.mean(np.array(ps) <= 0.05) <= 0.10 and 0.01 <= np.mean(np.array(ps) > 0.95) <= 0.10


def test_recognising_the_speaker_is_no_evidence():
    """Each speaker has one favourite emotion, which is always predicted: 70 % are correct."""
    truth = np.concatenate([np.r_[np.full(14, i % 4), np.resize(np.delete(np.arange(4), i % 4), 6)] for i in range(6)])
    table = predictions_of(truth, [np.repeat(np.arange(6) % 4, 20)])
    assert statistics.permutation_test(table, n_permutations=99)["p"] == 1


def test_recognising_the_emotion_gives_the_smallest_p():
    table = make_predictions([0.6] * 6)
    result = statistics.permutation_test(table, n_permutations=199)
    assert result["p"] == 1 / 200 and result["uar"] == pytest.approx(mean_uar(table))
    assert result["uar"] > result["null_95"] > result["chance"] == pytest.approx(1 / 4, abs=0.02)


def test_permutations_that_equal_the_uar_count():
    """Of four classes of 3 clips each and three seeds, the UAR is the number of hits / 36, whatever the hits of each class."""
    rng, truth = np.random.default_rng(0), np.resize(np.arange(4), 12)
    answers = rng.integers(0, 4, (3, 12))
    truths = rng.permuted(np.tile(truth, (50_000, 1)), axis=1)
    expected = np.mean((truths[:, None] == answers).sum(axis=(1, 2)) >= (truth == answers).sum())
    result = statistics.permutation_test(predictions_of(truth, answers, n_speakers=1), n_permutations=20_000)
    assert result["p"] == pytest.approx(expected, abs=0.012)


def test_permutation_test_is_that_of_all_permutations_within_speakers():
    rows = [("s0", "joy", "joy"), ("s0", "fear", "joy"), ("s0", "anger", "anger")]
    rows += [("s1", "joy", "joy"), ("s1", "joy", "fear"), ("s1", "fear", "joy"), ("s1", "anger", "fear")]
    table = predictions_from([(0, str(i), *row) for i, row in enumerate(rows)])
    labels = [part.emotion.tolist() for _, part in table.groupby("speaker")]
    truths = [[*a, *b] for a in itertools.permutations(labels[0]) for b in itertools.permutations(labels[1])]
    null = np.round([balanced_accuracy_score(truth, table.predicted) for truth in truths], 9)
    result = statistics.permutation_test(table, n_permutations=4000)
    assert result["p"] == pytest.approx(np.mean(null >= round(mean_uar(table), 9)), abs=0.03)
    assert result["chance"] == pytest.approx(null.mean(), abs=0.01)


def test_permutation_takes_any_rows_in_any_order():
    """Seeds that test other clips, a second variant, and a class that one seed does not test."""
    table = make_predictions([0.3, 0.6], n_clips=20, rng=np.random.default_rng(2))
    parts = [table[table.seed == 0].iloc[:25], table[table.seed == 1].iloc[10:], table.tail(5).assign(variant="noise")]
    rows = pd.concat(parts)
    rows = rows[(rows.seed == 0) | (rows.emotion != "fear")]
    result = statistics.permutation_test(rows, n_permutations=50)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class that is predicted only
        assert result["uar"] == pytest.approx(mean_uar(rows))
    assert result == statistics.permutation_test(rows.sample(frac=1, random_state=0), n_permutations=50)


def test_each_system_is_tested_on_its_own():
    table = make_predictions([0.3] * 6)
    both = pd.concat([table, table.assign(model="svm")])
    results = [statistics.above_chance(both, n_permutations=20, n_jobs=n) for n in (1, 2)]
    pd.testing.assert_frame_equal(*results)
    assert results[0].model.tolist() == ["m", "svm"] and results[0].p.nunique() == 1
    with pytest.raises(StudyError, match="2 systems"):
        statistics.permutation_test(both)


# Better than another?


def test_better_for_every_speaker_is_p_of_2_in_64():
    a, b = make_predictions([0.9] * 6), make_predictions([0.3] * 6, model="svm")
    result = statistics.paired_comparison(a, b)
    assert result["p"] == result["smallest_p"] == 2 / 64
    assert (result["n_better"], result["n_speakers"]) == (6, 6)
    assert 0 < result["ci_low"] < result["difference"] < result["ci_high"]
    table = result["speakers"]
    assert list(table) == ["speaker", "uar_a", "uar_b", "difference"]
    np.testing.assert_allclose(table.uar_a, metrics.metrics_by_speaker(a).query("metric == 'uar'").value)
    assert result["difference"] == pytest.approx(result["uar_a"] - result["uar_b"]) == pytest.approx(table.difference.mean())
    reverse = statistics.paired_comparison(b, a)
    assert reverse["difference"] == pytest.approx(-result["difference"])
    assert (reverse["n_better"], reverse["p"]) == (0, 2 / 64)


def test_a_system_is_not_better_than_itself():
    table = make_predictions([0.2, 0.5, 0.8, 0.4])
    result = statistics.paired_comparison(table, table)
    assert [result[name] for name in ("p", "difference", "ci_low", "ci_high", "n_better")] == [1, 0, 0, 0, 0]


def test_without_speakers_clips_are_compared_and_their_mean_is_the_uar():
    rng = np.random.default_rng(0)
    a, b = (make_predictions([share], n_clips=200, rng=rng).assign(speaker="unknown") for share in (0.9, 0.4))
    a, b = (table[(table.emotion != "joy") | (table.file < "s0/0040.wav")] for table in (a, b))  # a class that is small
    result = statistics.paired_comparison(a, b)
    assert result["uar_a"] == pytest.approx(mean_uar(a))
    assert result["difference"] == pytest.approx(result["uar_a"] - result["uar_b"])
    assert result["n_clips"] == a.file.nunique() and "n_speakers" not in result and len(result["speakers"]) == 1
    assert 0 < result["ci_low"] < result["difference"] < result["ci_high"] and result["p"] == result["smallest_p"] == 1 / 20_001


def test_comparison_needs_the_same_speakers_or_clips():
    table = make_predictions([0.5, 0.5, 0.5])
    with pytest.raises(StudyError, match="only one was tested on s2"):
        statistics.paired_comparison(table, table[table.speaker != "s2"])
    table = table.assign(speaker="unknown")
    with pytest.raises(StudyError, match="not tested on the same clips"):
        statistics.paired_comparison(table, table[table.file != table.file[0]])


def test_comparison_table_has_a_row_for_each_pair():
    rng = np.random.default_rng(0)
    table = pd.concat([make_predictions([share] * 6, rng=rng, model=name) for name, share in {"m": 0.9, "svm": 0.3}.items()])
    pairs = {"m and svm": ({"model": "m"}, {"model": "svm"}), "svm and m": ({"model": "svm"}, {"model": "m"})}
    compared = statistics.comparison_table(table, pairs).set_index("comparison")
    alone = statistics.paired_comparison(table[table.model == "m"], table[table.model == "svm"])
    assert compared.loc["m and svm"].to_dict() == {name: value for name, value in alone.items() if name != "speakers"}
    assert compared.difference["svm and m"] == -compared.difference["m and svm"]


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1, 1, 1], 2 / 8),
        ([3, 2, -1], 4 / 8),
        ([1, -1], 1),
        ([0, 0, 0, 0], 1),
        ([1, 1, 1, 1, 1, -0.5], 4 / 64),
        ([0.3, 0.1, -0.3, -0.1], 1),  # some sums are 0 only up to rounding
        ([1 / 7, 2 / 7, 3 / 7, -1 / 7], 6 / 16),
    ],
)
def test_sign_flips_counted_by_hand(differences, p):
    for values in (np.array(differences, float), -np.array(differences, float), np.array(differences, float)[::-1]):
        assert statistics.sign_flip_test(values) == (p, 2 / 2 ** len(differences))


def test_sign_flips_of_many_speakers_are_drawn(monkeypatch):
    differences = np.random.default_rng(0).normal(0.3, 1, 16)
    exact, _ = statistics.sign_flip_test(differences)
    monkeypatch.setattr(statistics, "MAX_EXACT", 10)
    drawn, smallest = statistics.sign_flip_test(differences)
    assert 0.02 < exact < 0.9
    assert drawn == pytest.approx(exact, abs=0.015) and drawn != exact
    assert smallest == 1 / (statistics.RANDOM_FLIPS + 1) == statistics.sign_flip_test(np.ones(40))[0]


# Intervals


@pytest.mark.parametrize("n_speakers", [6, 12])
def test_interval_covers_the_truth_at_its_level(n_speakers, monkeypatch):
    """A plain percentile interval of six speakers covers it in 86 %."""
    monkeypatch.setattr(intervals, "N_RESAMPLES", 1000)
    rng, covered = np.random.default_rng(1), []
    for _ in range(400):
        low, high = intervals.bootstrap_interval(rng.normal(0.05, 0.1, n_speakers))
        covered.append(low <= 0.05 <= high)
    assert 0.92 <= np.mean(covered) <= 0.98


def test_interval_of_many_is_the_normal_one():
    values = np.random.default_rng(0).normal(size=400)
    expected = values.mean() + np.array([-1.96, 1.96]) * values.std() / 20
    assert intervals.bootstrap_interval(values) == pytest.approx(expected, abs=0.01)


def test_draws_in_batches_are_the_draws_at_once(monkeypatch):
    values = np.random.default_rng(0).normal(0.3, 1, 40)
    whole = intervals.bootstrap_interval(values), statistics.sign_flip_test(values)
    for module in (intervals, statistics):
        monkeypatch.setattr(module, "MAX_VALUES", 40_000)
    assert (intervals.bootstrap_interval(values), statistics.sign_flip_test(values)) == whole


def test_mean_over_speakers_with_its_interval():
    values = {"a": [0.2, 0.4, 0.9], "b": [0.5, 0.5, 0.5], "c": [0.3]}
    table = pd.DataFrame([{"kind": kind, "uar": value} for kind, part in values.items() for value in part])
    means = intervals.over_speakers(table, "uar", ["kind"]).set_index("kind")
    assert means.uar.to_dict() == pytest.approx({"a": 0.5, "b": 0.5, "c": 0.3})
    assert (means.low["a"], means.high["a"]) == intervals.bootstrap_interval(np.array(values["a"]))
    assert means.low["b"] == means.high["b"] == 0.5
    assert means.loc["c", ["low", "high"]].isna().all(), "one speaker has no interval"
    joined = pd.concat([table, pd.DataFrame(columns=table.columns)])  # whose values are objects, as the empty table has no type
    pd.testing.assert_frame_equal(intervals.over_speakers(joined, "uar", ["kind"]).set_index("kind"), means, check_dtype=False)


def test_uar_by_speaker_is_that_of_the_metrics():
    table = make_predictions([0.2, 0.6, 0.9], n_clips=30, n_seeds=3)
    expected = metrics.metrics_by_speaker(table).query("metric == 'uar'").set_index("speaker").value
    pd.testing.assert_series_equal(breakdown.uar_by(table, ["speaker"]), expected, check_names=False)
