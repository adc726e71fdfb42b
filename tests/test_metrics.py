"""Metrics on predictions whose score is known, and intervals whose coverage is."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, recall_score

from ser_utils.core import tables
from ser_utils.core.tables import UNKNOWN
from ser_utils.evaluation import breakdown, intervals, metrics, texts
from ser_utils.figures import style

pytestmark = pytest.mark.numeric

CLASSES = ["neutral", "joy", "anger", "fear"]


def predictions_of(right_share, *, n_speakers=6, n_clips=40, seeds=2, rng=None, protocol="speaker"):
    """Predictions that are right with a probability of each speaker's own; wrong ones are spread evenly."""
    rng = rng or np.random.default_rng(0)
    shares = np.broadcast_to(right_share, n_speakers)
    parts = []
    for speaker, seed in itertools.product(range(n_speakers), range(seeds)):
        truth = np.resize(np.arange(len(CLASSES)), n_clips)
        wrong = (truth + rng.integers(1, len(CLASSES), n_clips)) % len(CLASSES)
        predicted = np.where(rng.uniform(size=n_clips) < shares[speaker], truth, wrong)
        parts.append(
            pd.DataFrame(
                {
                    "speaker": f"s{speaker}",
                    "seed": seed,
                    "emotion": np.take(CLASSES, truth),
                    "predicted": np.take(CLASSES, predicted),
                    "protocol": protocol,
                    "model": "m",
                    "features": "f",
                    "speaker_norm": "none",
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def scored(truth, predicted):
    """The values in ``metrics.csv`` of one speaker and seed."""
    setup = {"protocol": "speaker", "model": "m", "features": "f", "speaker_norm": "none", "speaker": "s0", "seed": 0}
    table = pd.DataFrame({"emotion": truth, "predicted": predicted, "file": np.arange(len(truth)).astype(str), **setup})
    both = [
        found.set_index("metric").value
        for found in (metrics.metrics_with_intervals(table, n_resamples=2), metrics.metrics_by_speaker(table))
    ]
    pd.testing.assert_series_equal(*both)
    return both[0].to_dict()


def test_perfect_and_constant_and_permuted_predictions():
    truth = pd.Series(CLASSES * 5)
    assert scored(truth, truth) == {"uar": 1, "accuracy": 1, "macro_f1": 1}
    constant = scored(truth, pd.Series(["joy"] * 20))
    assert constant["uar"] == pytest.approx(1 / 4) and constant["accuracy"] == pytest.approx(1 / 4)
    assert constant["macro_f1"] == pytest.approx(0.4 / 4)  # F1 of joy is 2 * 5 / (5 + 20), of the others 0
    swapped = truth.replace({"joy": "anger", "anger": "joy"})
    assert scored(truth, swapped)["uar"] == pytest.approx(0.5)


def test_uar_is_not_accuracy_where_classes_differ_in_size():
    truth, guess = pd.Series(["joy"] * 9 + ["fear"]), pd.Series(["joy"] * 10)
    assert scored(truth, guess)["accuracy"] == pytest.approx(0.9)
    assert scored(truth, guess)["uar"] == pytest.approx(0.5)


def test_a_predicted_class_that_is_not_in_the_truth_counts_as_in_scikit_learn():
    table = predictions_of(0.5, n_clips=10, seeds=3)
    table = table[(table.emotion != "fear") | (table.speaker != "s1")]  # of speaker s1, fear is predicted only
    part = table[table.speaker == "s1"]
    assert "fear" in set(part.predicted) - set(part.emotion)
    scores = {
        "macro_f1": lambda t, p: f1_score(t, p, average="macro"),
        "uar": balanced_accuracy_score,
        "accuracy": accuracy_score,
    }
    by_speaker = metrics.metrics_by_speaker(table).query("speaker == 's1'").set_index("metric").value
    alone = metrics.metrics_with_intervals(part.assign(file="a"), n_resamples=5).set_index("metric").value
    report = breakdown.report_table(part, CLASSES).set_index("emotion").f1["macro avg"]
    for name, score in scores.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # balanced_accuracy_score names the class
            expected = np.mean([score(one.emotion, one.predicted) for _, one in part.groupby("seed")])
        assert by_speaker[name] == pytest.approx(expected) and alone[name] == pytest.approx(expected)
        assert name != "macro_f1" or report == pytest.approx(expected)


def test_summary_is_the_mean_over_seeds():
    table = predictions_of(0.6)
    summary = metrics.metrics_with_intervals(table, n_resamples=50).set_index("metric")
    by_hand = [recall_score(part.emotion, part.predicted, average="macro") for _, part in table.groupby("seed")]
    assert summary.value["uar"] == pytest.approx(np.mean(by_hand))
    by_hand = [f1_score(part.emotion, part.predicted, average="macro") for _, part in table.groupby("seed")]
    assert summary.value["macro_f1"] == pytest.approx(np.mean(by_hand))
    assert (summary.n_clips == 240).all() and (summary.n_seeds == 2).all()
    assert (summary.ci_low <= summary.value).all() and (summary.value <= summary.ci_high).all()


def test_interval_is_of_speakers_and_not_of_clips():
    alike, unlike = predictions_of(0.5), predictions_of([0.1, 0.9, 0.2, 0.8, 0.3, 0.7])
    widths = [
        row.ci_high - row.ci_low
        for table in (alike, unlike)
        for row in metrics.metrics_with_intervals(table).query("metric == 'uar'").itertuples()
    ]
    assert widths[1] > 3 * widths[0], "speakers that differ must widen the interval"


@pytest.mark.parametrize(("n_speakers", "seeds", "least", "most"), [(20, 1, 0.85, 0.99), (6, 5, 0.88, 0.98)])
def test_interval_covers_the_truth_about_as_often_as_it_says(n_speakers, seeds, least, most):
    """Each speaker has a true rate around 0.5; plain percentiles of six speakers cover 0.5 in some 86 % only."""
    rng = np.random.default_rng(3)
    covered = []
    for _ in range(200):
        shares = np.clip(rng.normal(0.5, 0.15, n_speakers), 0, 1)
        table = predictions_of(shares, n_speakers=n_speakers, n_clips=20, seeds=seeds, rng=rng)
        row = metrics.metrics_with_intervals(table, n_resamples=300).query("metric == 'accuracy'").iloc[0]
        covered.append(row.ci_low <= 0.5 <= row.ci_high)
    assert least <= np.mean(covered) <= most


def test_seeds_are_averaged_in_the_interval_too():
    """Speakers alike, seeds that differ: five seeds tell more than one, and the interval must say so."""
    rng = np.random.default_rng(0)
    tables = {n: predictions_of(0.5, seeds=n, n_clips=40, rng=rng) for n in (1, 20)}
    widths = {
        n: np.ptp(metrics.metrics_with_intervals(table)[["ci_low", "ci_high"]].to_numpy()[1]) for n, table in tables.items()
    }
    assert widths[20] < 0.6 * widths[1]


def test_same_bootstrap_each_time():
    first, second = (metrics.metrics_with_intervals(predictions_of(0.4), n_resamples=100) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


def test_by_speaker_tells_good_voices_from_bad():
    table = metrics.metrics_by_speaker(predictions_of([1, 0, 1, 0, 1, 0]))
    uar = table[table.metric == "uar"].set_index("speaker").value
    assert list(uar[["s0", "s1"]]) == [1, 0]
    assert set(table.n_clips) == {40}


def test_confusion_is_normalised_by_true_label_and_in_the_given_order():
    table = pd.DataFrame(
        {
            "protocol": "speaker",
            "model": "mlp",
            "features": "functionals",
            "speaker_norm": "none",
            "seed": 0,
            "emotion": ["joy", "joy", "joy", "fear"],
            "predicted": ["joy", "fear", "fear", "fear"],
        }
    )
    shares = breakdown.confusion_table(table, ["joy", "fear"]).set_index("emotion")
    assert list(shares.columns[:4]) == tables.SYSTEM_COLUMNS
    assert shares.loc["joy", ["joy", "fear"]].tolist() == pytest.approx([1 / 3, 2 / 3])
    assert shares.loc["fear", ["joy", "fear"]].tolist() == [0, 1]


def test_report_counts_the_clips_of_one_seed():
    report = breakdown.report_table(predictions_of(1.0), CLASSES).set_index("emotion")
    assert report.loc["joy", ["precision", "recall", "f1", "support"]].tolist() == [1, 1, 1, 60]
    assert list(report.index) == [*CLASSES, "macro avg"]


def test_headline_says_the_numbers_of_the_table():
    original = {"model": "original_mlp", "features": "original38"}
    tables = [
        predictions_of(1.0, protocol="as_published").assign(**original),
        predictions_of(0.0).assign(**original),
        predictions_of(0.0).assign(speaker_norm="speaker"),
        predictions_of(1.0),
    ]
    said = texts.headline_text(metrics.metrics_with_intervals(pd.concat(tables), n_resamples=20))
    assert said.startswith("For unseen speakers, the study's network reaches a UAR of 100.0 %")
    assert "With per-speaker normalisation (the speaker's unlabelled clips) it reaches 0.0 %" in said
    assert said.endswith("network reaches 100.0 % under the published protocol and 0.0 % for unseen speakers.")
    alone = texts.headline_text(metrics.metrics_with_intervals(pd.concat(tables[:2]), n_resamples=20))
    assert alone.startswith("The original network reaches 100.0 %")


def test_intervals_and_their_texts_follow_the_confidence_level(monkeypatch):
    wide = metrics.metrics_with_intervals(predictions_of(0.5), n_resamples=200)
    values = np.random.default_rng(0).normal(size=12)
    low, high = intervals.bootstrap_interval(values)
    assert style.INTERVAL == texts.interval_label() == "95 % interval"
    monkeypatch.setattr(intervals, "CONFIDENCE", 0.8)
    narrow = metrics.metrics_with_intervals(predictions_of(0.5), n_resamples=200)
    assert (narrow.ci_high - narrow.ci_low < 0.8 * (wide.ci_high - wide.ci_low)).all()
    assert low < intervals.bootstrap_interval(values)[0] < intervals.bootstrap_interval(values)[1] < high
    assert "; 80 % interval over speakers" in texts.headline_text(narrow) and texts.interval_label() == "80 % interval"


def test_percent():
    assert texts.percent(0.24489) == "24.5 %" and texts.percent(1, 0) == "100 %"


def one_voice(share, **how):
    """Predictions of clips whose speaker nobody knows."""
    table = predictions_of(share, n_speakers=1, protocol="clip", **how).assign(speaker=UNKNOWN)
    return table.assign(file=table.groupby("seed").cumcount().map("{:04d}".format))


@pytest.mark.parametrize(
    ("speakers", "unit", "words"),
    [
        (["a", "b", "c", "d"], "speakers", "speakers"),
        (["a", "b", "b"], "speakers", "2 speakers"),
        (["a", "a"], "clips", "clips"),
        ([UNKNOWN], "clips", "clips"),
        (["a", "b", UNKNOWN], "clips", "clips"),
    ],
)
def test_what_is_resampled(speakers, unit, words):
    assert intervals.resampling_unit(pd.Series(speakers)) == unit and texts.unit_label(pd.Series(speakers)) == words


def test_without_speakers_the_interval_is_of_clips():
    """Of n clips that are right or wrong, accuracy has the standard error sqrt(p (1 - p) / n)."""
    row = metrics.metrics_with_intervals(one_voice(0.6, n_clips=400, seeds=1)).query("metric == 'accuracy'").iloc[0]
    expected = 2 * 1.96 * np.sqrt(row.value * (1 - row.value) / 400)
    assert row.ci_high - row.ci_low == pytest.approx(expected, rel=0.1)
    assert list(metrics.metrics_by_speaker(one_voice(0.6)).speaker.unique()) == [UNKNOWN]


@pytest.mark.parametrize("one_clip_each", [False, True])
def test_sums_of_resamples_are_those_of_adding_the_matrices_up(one_clip_each):
    rng = np.random.default_rng(0)
    matrices = rng.integers(0, 9, size=(5, 2, 3, 3))
    if one_clip_each:
        matrices = np.eye(9, dtype=int)[rng.integers(9, size=(5, 2))].reshape(5, 2, 3, 3)
    units, seeds = rng.integers(5, size=(40, 5)), rng.integers(2, size=(40, 5))
    np.testing.assert_array_equal(metrics._resampled_sums(matrices, units, seeds), matrices[units, seeds].sum(axis=1))


def test_a_headline_of_known_voices_promises_nothing_of_new_ones():
    tables = [
        one_voice(1.0),
        one_voice(0.0).assign(model="original_mlp", features="original38"),
        one_voice(1.0).assign(model="original_mlp", features="original38", protocol="as_published"),
    ]
    table = metrics.metrics_with_intervals(pd.concat(tables), n_resamples=20)
    said = texts.headline_text(table, "clips")
    assert said.startswith("For unseen clips of speakers who may be in training, the study's network")
    assert "95 % interval over clips" in said and "0.0 % for unseen clips of speakers who may be in training." in said
    assert said.endswith("No speaker was left out, so these results say nothing about unseen speakers.")
    assert "For unseen speakers" not in said
    steps = metrics.protocol_comparison(table)
    assert list(steps.columns[3:]) == ["as_published", "clip", "leakage_gap"] and steps.leakage_gap[0] == 100


def test_a_ladder_without_the_published_protocol_has_no_cost():
    steps = metrics.protocol_comparison(metrics.metrics_with_intervals(predictions_of(0.5), n_resamples=5))
    assert list(steps.columns[3:]) == ["speaker", "leakage_gap"] and steps.leakage_gap.isna().all()
