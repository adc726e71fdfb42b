"""Temperatures that are known, simulations that are calibrated by making, and limits."""

import numpy as np
import pandas as pd
import pytest
from scipy import special

from ser_utils.core.errors import StudyError
from ser_utils.evaluation import calibration

pytestmark = pytest.mark.numeric


def ece(confidence, correct):
    return calibration.expected_calibration_error(calibration.reliability_table(confidence, correct))


def softmax(logits):
    return special.softmax(logits, axis=1)


@pytest.fixture(scope="module")
def simulation():
    """Logits [shape=(20000, 7)], and truths drawn with exactly the probabilities that the logits mean."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.3, (20_000, 7))
    drawn = softmax(logits).cumsum(axis=1) > rng.uniform(size=(20_000, 1))
    return logits, drawn.argmax(axis=1)


def confidence_and_correct(probabilities, truth):
    return probabilities.max(axis=1), probabilities.argmax(axis=1) == truth


@pytest.mark.parametrize("factor", [0.5, 1, 2, 3])
def test_temperature_is_the_factor_that_the_logits_were_multiplied_by(simulation, factor):
    logits, truth = simulation
    as_saved = softmax(factor * logits).round(4)  # predictions.csv has zeros where the network had none
    assert calibration.fit_temperature(as_saved, truth) == pytest.approx(factor, rel=0.04)


def test_applying_the_temperature_mends_the_probabilities(simulation):
    logits, truth = simulation
    np.testing.assert_allclose(calibration.apply_temperature(softmax(1.4 * logits), 1.4), softmax(logits), atol=0.01)
    mended = calibration.apply_temperature(softmax(2.5 * logits).round(4), 2.5)
    before, after = (ece(*confidence_and_correct(p, truth)) for p in (softmax(2.5 * logits), mended))
    assert before > 0.15 and after < 0.015


def test_a_temperature_keeps_order_and_sum():
    p = np.array([[0.7, 0.2, 0.1], [0.0, 0.0, 1.0], [0.5, 0.5, 0.0]])
    for t in (0.5, 1, 4):
        changed = calibration.apply_temperature(p, t)
        np.testing.assert_allclose(changed.sum(axis=1), 1)
        assert (changed.argsort(kind="stable") == p.argsort(kind="stable")).all()
    np.testing.assert_allclose(calibration.apply_temperature(p, 1), p, atol=1e-4)
    assert calibration.apply_temperature(p, 4).max() < 0.95 < calibration.apply_temperature(p, 0.5).max()


def test_temperature_of_sure_answers_stays_within_its_bounds():
    sure, truth = np.eye(3), np.arange(3)
    low, high = calibration.TEMPERATURES
    assert calibration.fit_temperature(sure, truth) < 1
    assert calibration.fit_temperature(sure, (truth + 1) % 3) == pytest.approx(high, rel=0.01)
    assert calibration.fit_temperature(np.array([[0.6, 0.4]] * 4), np.zeros(4, int)) == pytest.approx(low, rel=0.01)


@pytest.mark.parametrize(
    ("probabilities", "truth", "words"),
    [
        ([[0.5, 0.5]], [0, 1], "Found 2 true classes for 1 rows"),
        ([[0.5, 0.5]], [2], "Found true classes from 2 to 2, expected numbers from 0 to 1"),
        ([[0.5, 0.5]], [-1], "Found true classes from -1"),
        ([[0.5, 0.5], [0.9, 0.9]], [0, 0], "Row 1"),
        ([[1.5, -0.5]], [0], "Row 0"),
        ([[np.nan, 0.5]], [0], "Row 0"),
        ([0.5, 0.5], [0, 1], r"shape \(2,\)"),
        (np.empty((0, 3)), [], r"shape \(0, 3\)"),
        ([[1.0]], [0], r"shape \(1, 1\)"),
    ],
)
def test_wrong_probabilities_are_named(probabilities, truth, words):
    with pytest.raises(StudyError, match=words):
        calibration.fit_temperature(np.array(probabilities), np.array(truth, dtype=int))


@pytest.mark.parametrize("temperature", [0, -1, np.nan, np.inf])
def test_wrong_temperatures_are_named(temperature):
    with pytest.raises(StudyError, match="expected a number above 0"):
        calibration.apply_temperature(np.array([[0.5, 0.5]]), temperature)


def test_from_predictions_gives_columns_and_their_numbers():
    table = pd.DataFrame({"emotion": ["joy", "fear"], "p_fear": [0.2, 0.9], "p_joy": [0.8, 0.1], "p_other": [np.nan] * 2})
    probabilities, truth = calibration.probabilities_and_truth(table)
    assert probabilities.tolist() == [[0.2, 0.8], [0.9, 0.1]] and truth.tolist() == [1, 0]
    with pytest.raises(StudyError, match="column p_joy"):
        calibration.probabilities_and_truth(table.drop(columns="p_joy"))


# Calibration error


def test_ece_of_a_calibrated_simulation_is_near_0():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(size=50_000)
    assert ece(confidence, rng.uniform(size=50_000) < confidence) < 0.01


@pytest.mark.parametrize("gap", [0.1, 0.3, -0.2])
def test_ece_of_a_model_that_is_off_by_a_gap_is_the_gap(gap):
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.35, 0.75, 50_000)
    assert ece(confidence, rng.uniform(size=50_000) < confidence - gap) == pytest.approx(abs(gap), abs=0.015)


def test_ece_by_hand_weighs_bins_by_their_clips():
    confidence, correct = np.array([0.95, 0.95, 0.95, 0.55]), np.array([True, True, False, True])
    assert ece(confidence, correct) == pytest.approx(0.75 * (0.95 - 2 / 3) + 0.25 * 0.45)


@pytest.mark.parametrize(("confidence", "correct", "error"), [(1, True, 0), (1, False, 1), (0, False, 0), (0.25, False, 0.25)])
def test_ece_of_constants(confidence, correct, error):
    assert ece(np.full(5, confidence), np.full(5, correct)) == pytest.approx(error)


def test_reliability_table_has_a_row_for_each_bin_with_clips(monkeypatch):
    monkeypatch.setattr(calibration, "N_BINS", 5)
    table = calibration.reliability_table(np.array([0.0, 0.19, 0.5, 1.0]), np.array([0, 1, 1, 0]))
    assert table.low.tolist() == pytest.approx([0, 0.4, 0.8]) and table.high.tolist() == pytest.approx([0.2, 0.6, 1])
    assert table.confidence.tolist() == pytest.approx([0.095, 0.5, 1]) and table.accuracy.tolist() == [0.5, 1, 0]
    assert table.n.tolist() == [2, 1, 1]
    assert calibration.expected_calibration_error(table) == pytest.approx((2 * 0.405 + 0.5 + 1) / 4)


# I don't know


def test_coverage_of_a_model_that_knows_what_it_knows():
    correct = np.array([True] * 30 + [False] * 70)
    confidence = np.linspace(1, 0, 100)
    order = np.random.default_rng(0).permutation(100)
    table = calibration.coverage_table(confidence[order], correct[order]).set_index("coverage").loc[[1, 0.6, 0.3, 0.1]]
    assert table.accuracy.to_dict() == pytest.approx({1: 0.3, 0.6: 0.5, 0.3: 1, 0.1: 1})
    assert table.n.tolist() == [100, 60, 30, 10]
    assert table.confidence[0.3] == pytest.approx(confidence[29])


def test_coverage_of_a_model_that_is_always_as_sure_is_flat_whatever_the_order():
    for correct in ([1, 1, 0, 0], [0, 0, 1, 1]):
        assert calibration.coverage_table(np.full(4, 0.8), np.array(correct)).accuracy.tolist() == pytest.approx([0.5] * 10)


# Tables of predictions


@pytest.fixture
def folds(simulation):
    """Predictions of two folds, the first of a network that is twice as sure as it may be; and their temperatures."""
    logits, truth = (part[:4000] for part in simulation)
    fold = np.arange(4000) % 2 + 1
    names = list("abcdefg")
    p = softmax(logits * np.where(fold == 1, 2, 1)[:, None])
    table = pd.DataFrame(p, columns=[f"p_{name}" for name in names], index=range(9, 4009))
    return table.assign(fold=fold, emotion=np.take(names, truth)), pd.Series({1: 2.0, 2: 1.0}), softmax(logits)


def test_each_row_gets_the_temperature_of_its_fold(folds):
    table, temperature, calibrated = folds
    np.testing.assert_allclose(
        calibration.calibrated_probabilities(table, temperature), calibrated, atol=0.01
    )  # zeros are made small


def test_temperature_brings_confidence_in_line_before_and_after(folds):
    found = calibration.calibration_tables(*folds[:2])
    ece = found["table"].groupby("temperature").ece.first()
    assert ece["fitted"] < 0.03 < 0.06 < ece["none"]
    assert ece["none"] == calibration.expected_calibration_error(found["before"]) and ece[
        "fitted"
    ] == calibration.expected_calibration_error(found["after"])


def test_coverage_goes_by_the_tempered_confidence(folds):
    table, temperature, calibrated = folds
    truth = table.emotion.map({name: i for i, name in enumerate("abcdefg")}).to_numpy()
    by_hand = calibration.coverage_table(*confidence_and_correct(calibrated, truth))
    pd.testing.assert_frame_equal(calibration.accuracy_by_coverage(table, temperature), by_hand, atol=1e-6)
