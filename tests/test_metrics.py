"""Metrics on predictions whose score is known, and intervals whose coverage is known."""

import warnings

import numpy as np
import pandas as pd
import pytest
from example_rows import CLASSES, make_predictions, predictions_from
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from ser_utils.core.tables import UNKNOWN
from ser_utils.evaluation import breakdown, intervals, metrics, texts
from ser_utils.figures import style

pytestmark = pytest.mark.numeric

SIX = np.full(6, 0.5)
SCORES = {"uar": balanced_accuracy_score, "accuracy": accuracy_score, "macro_f1": lambda t, p: f1_score(t, p, average="macro")}
SWAPPED = {"joy": "anger", "anger": "joy"}


@pytest.mark.parametrize(
    ("truth", "answer", "expected"),
    [
        (CLASSES * 5, lambda emotion: emotion, {"uar": 1, "accuracy": 1, "macro_f1": 1}),
        (CLASSES * 5, lambda emotion: SWAPPED.get(emotion, emotion), {"uar": 0.5, "accuracy": 0.5, "macro_f1": 0.5}),
        (CLASSES * 5, lambda _: "joy", {"uar": 1 / 4, "accuracy": 1 / 4, "macro_f1": 2 * 5 / (5 + 20) / 4}),
        (["joy"] * 9 + ["fear"], lambda _: "joy", {"uar": 1 / 2, "accuracy": 0.9, "macro_f1": 2 * 9 / (9 + 10) / 2}),
        (["joy", "fear"], lambda emotion: "joy" if emotion == "joy" else "anger", {"uar": 1 / 2, "macro_f1": 1 / 3}),
    ],
)
def test_known_scores(truth, answer, expected):
    table = predictions_from([(0, str(i), "s0", emotion, answer(emotion)) for i, emotion in enumerate(truth)])
    for scores in (metrics.metrics_with_intervals(table, n_resamples=2), metrics.metrics_by_speaker(table)):
        assert scores.set_index("metric").value[list(expected)].to_dict() == pytest.approx(expected)


def test_scores_are_those_of_scikit_learn_averaged_over_seeds():
    """Also where a class of a speaker is predicted and does not occur in the truth: macro F1 counts it, UAR does not."""
    table = make_predictions(SIX, n_clips=12, n_seeds=3)
    table = table[(table.emotion != "fear") | (table.speaker != "s1")]
    assert "fear" in set(table[table.speaker == "s1"].predicted)
    by_speaker = metrics.metrics_by_speaker(table).set_index(["speaker", "metric"]).value
    overall = metrics.metrics_with_intervals(table, n_resamples=50).set_index("metric")
    report = breakdown.report_table(table, CLASSES).set_index("emotion")
    for name, score in SCORES.items():
        for speaker, part in [*table.groupby("speaker"), ("all", table)]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # balanced_accuracy_score names the class
                expected = np.mean([score(one.emotion, one.predicted) for _, one in part.groupby("seed")])
            assert (overall.value[name] if speaker == "all" else by_speaker[speaker, name]) == pytest.approx(expected)
    assert (overall.n_clips == 69).all() and (overall.n_seeds == 3).all()
    assert overall.value.between(overall.ci_low, overall.ci_high).all()
    assert report.loc["macro avg", ["recall", "f1"]].tolist() == pytest.approx(overall.value[["uar", "macro_f1"]].tolist())
    assert report.support.tolist() == [18, 18, 18, 15, 69]


def width(table, metric="accuracy", **options):
    row = metrics.metrics_with_intervals(table, **options).set_index("metric").loc[metric]
    return row.ci_high - row.ci_low


def test_interval_resamples_speakers_and_not_clips():
    assert width(make_predictions([0.1, 0.9, 0.2, 0.8, 0.3, 0.7])) > 3 * width(make_predictions(SIX))


def test_seeds_are_averaged_in_the_interval_too():
    twelve = np.full(12, 0.5)
    assert width(make_predictions(twelve, n_seeds=20)) < 0.6 * width(make_predictions(twelve, n_seeds=1))


def test_interval_covers_the_truth_at_its_level():
    """Each of six speakers has a true rate around 0.5. Plain percentiles cover 0.5 in some 86 % only, here in 83 %."""
    rng, covered = np.random.default_rng(3), []
    for _ in range(120):
        shares = np.clip(rng.normal(0.5, 0.15, 6), 0, 1)
        table = make_predictions(shares, n_clips=20, n_seeds=5, rng=rng)
        row = metrics.metrics_with_intervals(table, n_resamples=300).query("metric == 'accuracy'").iloc[0]
        covered.append(row.ci_low <= 0.5 <= row.ci_high)
    assert 0.88 <= np.mean(covered) <= 0.99


def test_without_speakers_the_interval_is_of_clips():
    """Of n clips that are right or wrong, accuracy has the standard error sqrt(p (1 - p) / n)."""
    table = make_predictions([0.6], n_clips=400, n_seeds=1).assign(speaker=UNKNOWN)
    share = (table.emotion == table.predicted).mean()
    assert width(table) == pytest.approx(2 * 1.96 * np.sqrt(share * (1 - share) / 400), rel=0.1)


def test_intervals_do_not_depend_on_the_number_of_threads():
    table = pd.concat([make_predictions(SIX), make_predictions(SIX, model="svm")])
    first, second = (metrics.metrics_with_intervals(table, n_resamples=100, n_jobs=n) for n in (1, 2))
    pd.testing.assert_frame_equal(first, second)


@pytest.mark.parametrize("one_clip_each", [False, True])
def test_sums_of_resamples_are_those_of_adding_the_matrices_up(one_clip_each):
    rng = np.random.default_rng(0)
    matrices = rng.integers(0, 9, size=(5, 2, 3, 3))
    if one_clip_each:
        matrices = np.eye(9, dtype=int)[rng.integers(9, size=(5, 2))].reshape(5, 2, 3, 3)
    units, seeds = rng.integers(5, size=(40, 5)), rng.integers(2, size=(40, 5))
    np.testing.assert_array_equal(metrics._resampled_sums(matrices, units, seeds), matrices[units, seeds].sum(axis=1))


@pytest.mark.parametrize(
    ("speakers", "unit", "label"),
    [
        (["a", "b", "c", "d"], "speakers", "speakers"),
        (["a", "b", "b"], "speakers", "2 speakers"),
        (["a", "a"], "clips", "clips"),
        ([UNKNOWN], "clips", "clips"),
        (["a", "b", UNKNOWN], "clips", "clips"),
    ],
)
def test_what_is_resampled(speakers, unit, label):
    assert intervals.resampling_unit(pd.Series(speakers)) == unit and texts.unit_label(pd.Series(speakers)) == label


def test_intervals_and_their_texts_follow_the_confidence_level(monkeypatch):
    table, values = make_predictions(SIX), np.random.default_rng(0).normal(size=12)
    wide, (low, high) = width(table), intervals.bootstrap_interval(values)
    assert style.INTERVAL == texts.interval_label() == "95 % interval"
    monkeypatch.setattr(intervals, "CONFIDENCE", 0.8)
    assert width(table) < 0.8 * wide
    assert low < intervals.bootstrap_interval(values)[0] < intervals.bootstrap_interval(values)[1] < high
    assert "; 80 % interval over speakers" in texts.headline_text(metrics.metrics_with_intervals(table, n_resamples=5))
    assert texts.interval_label() == "80 % interval"


def headline(tables, over="speakers"):
    return texts.headline_text(metrics.metrics_with_intervals(pd.concat(tables), n_resamples=20), over)


def test_headline_states_the_numbers_of_the_table():
    original = {"model": "original_mlp", "features": "original38"}
    perfect, wrong = np.ones(6), np.zeros(6)
    tables = [
        make_predictions(perfect, protocol="as_published", **original),
        make_predictions(wrong, **original),
        make_predictions(wrong, speaker_norm="speaker"),
        make_predictions(perfect),
    ]
    text = headline(tables)
    assert text.startswith("For unseen speakers, the study's network reaches a UAR of 100.0 %")
    assert "With per-speaker normalisation (the speaker's unlabelled clips) it reaches 0.0 %" in text
    assert text.endswith("network reaches 100.0 % under the published protocol and 0.0 % for unseen speakers.")
    assert headline(tables[:2]).startswith("The original network reaches 100.0 %")


def test_headline_without_known_speakers_says_nothing_about_unseen_speakers():
    original = {"model": "original_mlp", "features": "original38"}
    tables = [
        make_predictions([1], protocol="clip"),
        make_predictions([0], protocol="clip", **original),
        make_predictions([1], protocol="as_published", **original),
    ]
    tables = [table.assign(speaker=UNKNOWN) for table in tables]
    text = headline(tables, "clips")
    assert text.startswith("For unseen clips of speakers who may be in training, the study's network")
    assert "95 % interval over clips" in text and "0.0 % for unseen clips of speakers who may be in training." in text
    assert text.endswith("No speaker was left out, so these results say nothing about unseen speakers.")
    assert "For unseen speakers" not in text


def test_leakage_gap_is_the_difference_from_as_published_and_nan_without():
    steps = metrics.protocol_comparison(
        metrics.metrics_with_intervals(
            pd.concat([make_predictions([1], protocol="as_published"), make_predictions([0], protocol="clip")]), n_resamples=5
        )
    )
    assert list(steps.columns[3:]) == ["as_published", "clip", "leakage_gap"] and steps.leakage_gap[0] == 100
    steps = metrics.protocol_comparison(metrics.metrics_with_intervals(make_predictions(SIX), n_resamples=5))
    assert list(steps.columns[3:]) == ["speaker", "leakage_gap"] and steps.leakage_gap.isna().all()


def test_percent():
    assert texts.percent(0.24489) == "24.5 %" and texts.percent(1, 0) == "100 %"
