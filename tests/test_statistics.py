"""Tests of significance on data whose answer is known, and tables of mistakes counted by hand."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score

from ser_utils.core.errors import StudyError
from ser_utils.evaluation import breakdown, intervals, metrics, predictions, statistics, texts

pytestmark = pytest.mark.numeric

CLASSES = ["neutral", "joy", "anger", "fear"]
SETUP = {"protocol": "speaker", "model": "m", "features": "f", "speaker_norm": "none"}


def plain_uar(part):
    """Over the classes that are true somewhere, by scikit-learn."""
    return recall_score(part.emotion, part.predicted, labels=sorted(part.emotion.unique()), average="macro")


def system(truth, answers, *, n_speakers=6, **setup):
    """Predictions of one system: truth [shape=(n,)] over all speakers' clips, answers [shape=(n_seeds, n)], class numbers."""
    n = len(truth)
    speaker = np.repeat([f"s{i}" for i in range(n_speakers)], n // n_speakers)
    clips = pd.DataFrame(
        {
            "file": [f"{name}/{i:04d}.wav" for i, name in enumerate(speaker)],
            "speaker": speaker,
            "sentence": np.resize(["a", "b", "c"], n),
            "variant": "original",
            "fold": 1,
            "emotion": np.take(CLASSES, truth),
            **SETUP,
            **setup,
        }
    )
    seeds = [clips.assign(seed=seed, predicted=np.take(CLASSES, guess)) for seed, guess in enumerate(answers)]
    return pd.concat(seeds, ignore_index=True)


def right_with(rng, shares, *, n_clips=40, n_seeds=2, **setup):
    """A system that is right with a probability of each speaker's own, else wrong at random."""
    truth = np.resize(np.arange(4), n_clips * len(shares))
    answers = [
        np.where(rng.uniform(size=truth.size) < np.repeat(shares, n_clips), truth, (truth + rng.integers(1, 4, truth.size)) % 4)
        for _ in range(n_seeds)
    ]
    return system(truth, answers, n_speakers=len(shares), **setup)


def table_of(rows, **setup):
    """Predictions from (seed, file, speaker, emotion, predicted)."""
    table = pd.DataFrame(rows, columns=["seed", "file", "speaker", "emotion", "predicted"])
    return table.assign(sentence="a", variant="original", fold=1, **SETUP | setup)


# One system


def test_select_finds_one_system_or_says_which_there_are():
    rng = np.random.default_rng(0)
    both = pd.concat([right_with(rng, [0.5, 0.5]), right_with(rng, [0.5, 0.5], model="svm")])
    assert set(predictions.select_system(both, model="svm").model) == {"svm"}
    with pytest.raises(StudyError, match=r"2 systems match protocol=speaker, expected one; .*speaker, svm, f, none"):
        predictions.select_system(both, protocol="speaker")
    with pytest.raises(StudyError, match="0 systems match model=lda"):
        predictions.select_system(both, model="lda")


def test_system_name_tells_the_normalisation_only_where_there_is_one():
    assert texts.system_name(SETUP) == "m, f"
    assert texts.system_name(pd.Series(SETUP | {"speaker_norm": "speaker"})) == "m, f, per-speaker norm"


def test_uar_by_is_what_metrics_says():
    table = right_with(np.random.default_rng(1), [0.2, 0.6, 0.9], n_clips=30, n_seeds=3)
    expected = metrics.metrics_by_speaker(table).query("metric == 'uar'").set_index("speaker").value
    pd.testing.assert_series_equal(breakdown.uar_by(table, ["speaker"]), expected, check_names=False)


# Above chance?


def test_p_is_uniform_where_nothing_is_heard():
    """Labels at random; answers lean on the speaker, and the seeds make nearly the same mistakes, as real networks do."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(200):
        truth = rng.integers(0, 4, 120)
        likes = np.repeat(rng.dirichlet(np.ones(4), 6), 20, axis=0)
        first = (likes.cumsum(axis=1) > rng.uniform(size=(120, 1))).argmax(axis=1)
        answers = [np.where(rng.uniform(size=120) < 0.05, rng.integers(0, 4, 120), first) for _ in range(5)]
        found.append(statistics.permutation_test(system(truth, answers), n_permutations=99)["p"])
    assert np.mean(found) == pytest.approx(0.5, abs=0.08)
    assert 0.01 <= np.mean(np.array(found) <= 0.05) <= 0.10
    assert 0.01 <= np.mean(np.array(found) > 0.95) <= 0.10


def test_null_of_one_speaker_is_known():
    """Two clips, one right half of the shuffles: UAR is 1 or 0, each with probability one half."""
    rows = [(0, "a", "s", "joy", "joy"), (0, "b", "s", "fear", "fear")]
    found = statistics.permutation_test(table_of(rows), n_permutations=2000)
    assert found["uar"] == 1 and found["null_95"] == 1
    assert found["chance"] == pytest.approx(0.5, abs=0.05)
    assert found["p"] == pytest.approx(0.5, abs=0.05)


def test_knowing_the_voice_is_no_evidence_of_hearing_emotion():
    """Each speaker has one favourite emotion, and it is always answered: 70 % right, and nothing heard."""
    truth = np.concatenate([np.r_[np.full(14, i % 4), np.resize(np.delete(np.arange(4), i % 4), 6)] for i in range(6)])
    answers = [np.repeat(np.arange(6) % 4, 20)]
    assert statistics.permutation_test(system(truth, answers), n_permutations=99)["p"] == 1


def test_a_system_that_hears_gets_the_smallest_p():
    found = statistics.permutation_test(right_with(np.random.default_rng(0), [0.6] * 6), n_permutations=199)
    assert found["p"] == 1 / 200
    assert found["uar"] > found["null_95"] > found["chance"] == pytest.approx(1 / 4, abs=0.02)


def test_permutation_uar_is_the_uar_also_where_seeds_tested_other_rows():
    table = right_with(np.random.default_rng(2), [0.3, 0.6], n_clips=20)
    rows = pd.concat(
        [table[table.seed == 0].iloc[:25], table[table.seed == 1].iloc[10:], table.tail(5).assign(variant="noise")]
    )
    rows = rows[(rows.seed == 0) | (rows.emotion != "fear")]  # a class that one seed did not test is none of its classes
    by_hand = np.mean([plain_uar(part) for _, part in rows.groupby("seed")])
    assert statistics.permutation_test(rows, n_permutations=9)["uar"] == pytest.approx(by_hand)


def test_permutation_does_not_depend_on_the_order_of_rows():
    table = right_with(np.random.default_rng(2), [0.3, 0.4, 0.3])
    shuffled = table.sample(frac=1, random_state=0)
    assert statistics.permutation_test(table, n_permutations=50) == statistics.permutation_test(shuffled, n_permutations=50)


def test_permutation_is_of_one_system():
    table = right_with(np.random.default_rng(0), [0.3] * 6)
    with pytest.raises(StudyError, match="2 systems"):
        statistics.permutation_test(pd.concat([table, table.assign(model="svm")]))


# Better than another?


def test_better_for_every_speaker_is_p_of_2_in_64():
    rng = np.random.default_rng(0)
    a, b = right_with(rng, [0.9] * 6), right_with(rng, [0.3] * 6, model="svm")
    found = statistics.paired_comparison(a, b)
    assert found["p"] == found["smallest_p"] == 2 / 64
    assert (found["n_better"], found["n_speakers"]) == (6, 6)
    assert 0 < found["ci_low"] < found["difference"] < found["ci_high"]
    table = found["speakers"]
    assert list(table) == ["speaker", "uar_a", "uar_b", "difference"]
    expected = metrics.metrics_by_speaker(a).query("metric == 'uar'").value.to_numpy()
    np.testing.assert_allclose(table.uar_a, expected)
    assert found["difference"] == pytest.approx(found["uar_a"] - found["uar_b"]) == pytest.approx(table.difference.mean())
    other_way = statistics.paired_comparison(b, a)
    assert other_way["difference"] == pytest.approx(-found["difference"])
    assert (other_way["n_better"], other_way["p"]) == (0, 2 / 64)


def test_a_system_is_not_better_than_itself():
    table = right_with(np.random.default_rng(0), [0.2, 0.5, 0.8, 0.4])
    found = statistics.paired_comparison(table, table)
    assert (found["p"], found["difference"], found["ci_low"], found["ci_high"], found["n_better"]) == (1, 0, 0, 0, 0)


def test_comparing_needs_the_same_speakers():
    table = right_with(np.random.default_rng(0), [0.5, 0.5, 0.5])
    with pytest.raises(StudyError, match="only one was tested on s2"):
        statistics.paired_comparison(table, table[table.speaker != "s2"])


@pytest.mark.parametrize(
    ("differences", "p"),
    [([1, 1, 1], 2 / 8), ([3, 2, -1], 4 / 8), ([1, -1], 1), ([0, 0, 0, 0], 1), ([1, 1, 1, 1, 1, -0.5], 4 / 64)],
)
def test_sign_flips_counted_by_hand(differences, p):
    found, smallest = statistics.sign_flip_test(np.array(differences, dtype=float))
    assert (found, smallest) == (p, 2 / 2 ** len(differences))
    assert statistics.sign_flip_test(-np.array(differences, dtype=float))[0] == p


def test_sign_flips_of_many_speakers_are_drawn(monkeypatch):
    differences = np.random.default_rng(0).normal(0.3, 1, 16)
    exact, _ = statistics.sign_flip_test(differences)
    monkeypatch.setattr(statistics, "MAX_EXACT", 10)
    drawn, smallest = statistics.sign_flip_test(differences)
    assert 0.02 < exact < 0.9
    assert drawn == pytest.approx(exact, abs=0.015) and drawn != exact
    assert smallest == 1 / (statistics.RANDOM_FLIPS + 1)
    assert statistics.sign_flip_test(np.ones(40))[0] == smallest


def test_sign_flip_p_is_uniform_under_the_null():
    rng = np.random.default_rng(0)
    found = np.array([statistics.sign_flip_test(rng.normal(size=6))[0] for _ in range(2000)])
    for share in (2 / 64, 8 / 64, 0.5):
        assert np.mean(found <= share) == pytest.approx(share, abs=0.025 if share > 0.1 else 0.012)


@pytest.mark.parametrize("n_speakers", [6, 12])
def test_interval_covers_the_truth_about_as_often_as_it_says(n_speakers, monkeypatch):
    """A plain percentile interval covers it in 86 % with six speakers."""
    monkeypatch.setattr(intervals, "N_RESAMPLES", 1500)
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(800):
        low, high = intervals.bootstrap_interval(rng.normal(0.05, 0.1, n_speakers))
        covered.append(low <= 0.05 <= high)
    assert 0.905 <= np.mean(covered) <= 0.975


def test_interval_of_many_is_the_normal_one():
    values = np.random.default_rng(0).normal(size=400)
    low, high = intervals.bootstrap_interval(values)
    assert [low, high] == pytest.approx(values.mean() + np.array([-1.96, 1.96]) * values.std() / 20, abs=0.01)


def test_comparison_table_has_a_row_for_each_question():
    rng = np.random.default_rng(0)
    table = pd.concat(
        [right_with(rng, [0.9] * 6), right_with(rng, [0.3] * 6, model="svm"), right_with(rng, [0.3] * 6, model="lda")]
    )
    found = statistics.comparison_table(
        table, {"beats svm": ({"model": "m"}, {"model": "svm"}), "lda and svm": ({"model": "lda"}, {"model": "svm"})}
    ).set_index("comparison")
    assert list(found.index) == ["beats svm", "lda and svm"]
    alone = statistics.paired_comparison(table[table.model == "m"], table[table.model == "svm"])
    for name in ("uar_a", "uar_b", "difference", "ci_low", "ci_high", "n_better", "n_speakers", "p", "smallest_p"):
        assert found.loc["beats svm", name] == alone[name]
    assert abs(found.difference["lda and svm"]) < 0.1 < found.difference["beats svm"]
    with pytest.raises(StudyError, match="0 systems"):
        statistics.comparison_table(table, {"?": ({"model": "m"}, {"model": "cnn"})})


# Where does it fail?

MISTAKES = table_of(
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
        (0, "5", "s1", "joy", "fear"),  # two seeds never tested it
    ]
)


def test_always_wrong_is_wrong_under_every_seed():
    found = breakdown.misclassified_by_every_seed(MISTAKES)
    assert found[["file", "emotion", "answer"]].to_numpy().tolist() == [["3", "fear", "joy"], ["1", "joy", "fear"]]
    assert found.answer_share.tolist() == pytest.approx([1, 2 / 3], abs=1e-6)
    assert {"speaker", "sentence", "variant"} <= set(found)


def test_always_wrong_of_a_perfect_system_is_an_empty_table():
    found = breakdown.misclassified_by_every_seed(MISTAKES.assign(predicted=MISTAKES.emotion))
    assert len(found) == 0 and "answer" in found


def test_always_wrong_ties_are_broken_by_the_alphabet():
    rows = [(0, "1", "s0", "joy", "neutral"), (1, "1", "s0", "joy", "anger")]
    for order in (rows, rows[::-1]):
        assert breakdown.misclassified_by_every_seed(table_of(order)).answer.tolist() == ["anger"]


def test_confused_pairs_are_shares_of_the_true_emotion():
    found = breakdown.confused_pairs(MISTAKES)
    rows = [(s, e, p, round(share, 4)) for s, e, p, share in found.itertuples(index=False)]
    assert rows == [
        ("all", "joy", "fear", 0.7143),
        ("all", "fear", "joy", 0.5),
        ("all", "joy", "anger", 0.1429),
        ("s0", "joy", "fear", 0.6667),
        ("s0", "joy", "anger", 0.1667),
        ("s1", "joy", "fear", 1.0),
        ("s1", "fear", "joy", 0.5),
    ]
    assert breakdown.confused_pairs(MISTAKES, top=1).speaker.tolist() == ["all", "s0", "s1"]


def test_by_group_of_sentences_is_their_uar():
    table = right_with(np.random.default_rng(0), [0.3, 0.8, 0.5], n_clips=36)
    found = breakdown.uar_by_group(table, "sentence").set_index("sentence")
    part = table[table.sentence == "b"]
    by_hand = np.mean([plain_uar(one) for _, one in part.groupby("seed")])
    assert found.value["b"] == pytest.approx(by_hand)
    assert set(found.metric) == {"uar"} and set(found.n_clips) == {36} and set(found.n_speakers) == {3}


def test_by_group_of_emotions_is_recall_in_the_order_of_classes():
    found = breakdown.uar_by_group(MISTAKES[MISTAKES.file != "5"], "emotion")
    assert found.emotion.tolist() == ["joy", "fear"]
    assert found.value.tolist() == pytest.approx([1 / 6, 1 / 2])
    assert set(found.metric) == {"recall"} and found.n_clips.tolist() == [2, 2]


def test_by_group_of_gender_and_of_two_columns():
    table = right_with(np.random.default_rng(0), [1, 0, 1, 0])
    gender = {"s0": "female", "s1": "male", "s2": "female", "s3": "male"}
    table = table.assign(gender=table.speaker.map(gender))
    found = breakdown.uar_by_group(table, "gender").set_index("gender")
    assert found.value.to_dict() == {"female": 1, "male": 0}
    assert found.n_clips.to_dict() == {"female": 80, "male": 80}
    both = breakdown.uar_by_group(table, ["emotion", "gender"])
    assert (
        both.value.tolist() == [1, 0] * 4
        and both.emotion.tolist() == np.repeat(CLASSES[:2] + CLASSES[3:] + CLASSES[2:3], 2).tolist()
    )


def test_by_group_keeps_systems_apart():
    rng = np.random.default_rng(0)
    found = breakdown.uar_by_group(pd.concat([right_with(rng, [1, 1]), right_with(rng, [0, 0], model="svm")]), "speaker")
    assert found.groupby("model").value.unique().map(list).to_dict() == {"m": [1], "svm": [0]}


# All seeds as one


def with_probabilities(table, joy):
    return table.assign(
        p_joy=joy, p_fear=[round(1 - one, 4) for one in joy], predicted=["joy" if one > 0.5 else "fear" for one in joy]
    )


def test_ensemble_averages_probabilities_and_not_votes():
    rows = [(seed, file, "s0", "joy", "") for seed in (0, 1, 2) for file in ("b", "a")]
    table = with_probabilities(table_of(rows), [0.4, 0.1, 0.4, 0.2, 0.9, 0.3])
    found = predictions.seed_ensemble(table.assign(seed=table.seed + 3))
    assert found.file.tolist() == ["b", "a"] and found.p_joy.tolist() == pytest.approx([0.5667, 0.2])
    assert found.predicted.tolist() == ["joy", "fear"]  # two of three seeds say fear of b
    assert set(found.model) == {"m_ensemble"} and set(found.seed) == {0}
    assert list(found) == list(table)


def test_ensemble_beats_seeds_whose_mistakes_are_their_own():
    rng = np.random.default_rng(0)
    rows = [(seed, f"{i}", f"s{i % 3}", "joy", "") for seed in range(9) for i in range(60)]
    table = with_probabilities(table_of(rows), np.clip(rng.normal(0.6, 0.3, 540), 0, 1).round(4))
    assert (predictions.seed_ensemble(table).predicted == "joy").mean() > (table.predicted == "joy").mean() + 0.1


def test_ensemble_of_each_system():
    rows = [(seed, "a", "s0", "joy", "") for seed in (0, 1)]
    both = pd.concat(
        [with_probabilities(table_of(rows), [0.9, 0.8]), with_probabilities(table_of(rows, model="svm"), [0.2, 0.1])]
    )
    assert predictions.seed_ensemble(both)[["model", "predicted"]].to_numpy().tolist() == [
        ["m_ensemble", "joy"],
        ["svm_ensemble", "fear"],
    ]


def test_ensemble_refuses_other_clips_and_missing_probabilities():
    table = with_probabilities(
        table_of([(0, "a", "s0", "joy", ""), (1, "a", "s0", "joy", ""), (1, "b", "s0", "joy", "")]), [0.9, 0.8, 0.7]
    )
    with pytest.raises(StudyError, match="were tested on different clips, first b"):
        predictions.seed_ensemble(table)
    with pytest.raises(StudyError, match="without probabilities"):
        predictions.seed_ensemble(table.iloc[:2].assign(p_joy=[0.9, None]))
    with pytest.raises(StudyError, match="without probabilities"):
        predictions.seed_ensemble(table.iloc[:2].drop(columns=["p_joy", "p_fear"]))


def test_mean_over_speakers_with_its_interval():
    values = {"a": [0.2, 0.4, 0.9], "b": [0.5, 0.5, 0.5]}
    table = pd.DataFrame([{"kind": kind, "uar": value} for kind, part in values.items() for value in part])
    found = intervals.over_speakers(table, "uar", ["kind"]).set_index("kind")
    assert found.uar.to_dict() == pytest.approx({"a": 0.5, "b": 0.5})
    assert (found.low["a"], found.high["a"]) == intervals.bootstrap_interval(np.array(values["a"]))
    assert found.low["b"] == found.high["b"] == 0.5


def test_without_speakers_clips_are_compared_and_their_mean_is_the_uar():
    rng = np.random.default_rng(0)
    a, b = (right_with(rng, [share], n_clips=200).assign(speaker="unknown") for share in (0.9, 0.4))
    a, b = (table[(table.emotion != "joy") | (table.file < "s0/0040.wav")] for table in (a, b))  # a class that is small
    found = statistics.paired_comparison(a, b)
    assert found["uar_a"] == pytest.approx(breakdown.uar_by(a, ["speaker"]).item())
    assert found["difference"] == pytest.approx(found["uar_a"] - found["uar_b"])
    assert found["n_clips"] == a.file.nunique() and "n_speakers" not in found and len(found["speakers"]) == 1
    assert 0 < found["ci_low"] < found["difference"] < found["ci_high"] and found["p"] == found["smallest_p"] == 1 / 20_001
    same = statistics.paired_comparison(a, a)
    assert same["p"] == 1 and same["ci_low"] == same["ci_high"] == 0


def test_draws_in_batches_are_the_draws_at_once(monkeypatch):
    values = np.random.default_rng(0).normal(0.3, 1, 40)
    whole = intervals.bootstrap_interval(values), statistics.sign_flip_test(values)
    for module in (intervals, statistics):
        monkeypatch.setattr(module, "MAX_VALUES", 1000)
    assert (intervals.bootstrap_interval(values), statistics.sign_flip_test(values)) == whole


def test_one_speaker_has_a_mean_and_no_interval():
    found = intervals.over_speakers(pd.DataFrame({"family": ["f0"], "drop": [0.2]}), "drop", ["family"])
    assert found["drop"].item() == 0.2 and found[["low", "high"]].isna().all(axis=None)
