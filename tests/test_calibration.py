"""Temperatures that are known, simulated probabilities that are calibrated, and limits."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.calibration import calibration_curve

from ser_utils.evaluation import calibration

pytestmark = pytest.mark.numeric

CLASSES = list("abcdefg")


def ece(confidence, correct):
    return calibration.expected_calibration_error(calibration.reliability_table(confidence, correct))


@pytest.fixture(scope="module")
def simulation():
    """Logits [shape=(20000, 7)], and true classes drawn with exactly their probabilities."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.3, (20_000, 7))
    drawn = softmax(logits, axis=1).cumsum(axis=1) > rng.uniform(size=(20_000, 1))
    return logits, drawn.argmax(axis=1)


@pytest.mark.parametrize("factor", [0.5, 1, 3])
def test_temperature_is_the_factor_of_the_logits(simulation, factor):
    logits, truth = simulation
    as_saved = softmax(factor * logits, axis=1).round(4)  # predictions.csv has zeros where the network had none
    temperature = calibration.fit_temperature(as_saved, truth)
    assert temperature == pytest.approx(factor, rel=0.04)
    calibrated = calibration.apply_temperature(as_saved, temperature)
    assert ece(calibrated.max(axis=1), calibrated.argmax(axis=1) == truth) < 0.015


def test_a_temperature_keeps_order_and_sum():
    p = np.array([[0.7, 0.2, 0.1], [0.0, 0.0, 1.0], [0.5, 0.5, 0.0]])
    for t in (0.5, 1, 4):
        changed = calibration.apply_temperature(p, t)
        np.testing.assert_allclose(changed.sum(axis=1), 1)
        assert (changed.argsort(kind="stable") == p.argsort(kind="stable")).all()
    np.testing.assert_allclose(calibration.apply_temperature(p, 1), p, atol=1e-4)
    assert calibration.apply_temperature(p, 4).max() < 0.95 < calibration.apply_temperature(p, 0.5).max()


def test_temperature_of_certain_predictions_stays_within_its_bounds():
    certain, truth = np.eye(3), np.arange(3)
    low, high = calibration.TEMPERATURES
    assert calibration.fit_temperature(certain, (truth + 1) % 3) == pytest.approx(high, rel=0.01)
    assert calibration.fit_temperature(np.array([[0.6, 0.4]] * 4), np.zeros(4, int)) == pytest.approx(low, rel=0.01)


@pytest.mark.parametrize("gap", [0, 0.3, -0.2])
def test_ece_of_a_constant_gap_is_the_gap(gap):
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.35, 0.75, 50_000)
    assert ece(confidence, rng.uniform(size=50_000) < confidence - gap) == pytest.approx(abs(gap), abs=0.015)


@pytest.mark.parametrize(("confidence", "correct", "error"), [(1, True, 0), (1, False, 1), (0, False, 0), (0.25, False, 0.25)])
def test_ece_of_constants(confidence, correct, error):
    assert ece(np.full(5, confidence), np.full(5, correct)) == pytest.approx(error)


def test_reliability_table_has_a_row_for_each_bin_with_clips():
    table = calibration.reliability_table(np.array([0.0, 0.09, 0.5, 0.6, 1.0]), np.array([0, 1, 1, 0, 0]))
    assert table.low.tolist() == pytest.approx([0, 0.5, 0.6, 0.9]) and table.high.tolist() == pytest.approx([0.1, 0.6, 0.7, 1])
    assert table.confidence.tolist() == pytest.approx([0.045, 0.5, 0.6, 1]) and table.accuracy.tolist() == [0.5, 1, 0, 0]
    assert table.n.tolist() == [2, 1, 1, 1]
    assert calibration.expected_calibration_error(table) == pytest.approx((2 * 0.455 + 0.5 + 0.6 + 1) / 5)


def test_reliability_is_that_of_scikit_learn(simulation):
    """Off the edges of bins: there scikit-learn takes the lower bin."""
    logits, truth = simulation
    p = softmax(logits, axis=1)
    confidence, correct = p.max(axis=1), p.argmax(axis=1) == truth
    table = calibration.reliability_table(confidence, correct)
    accuracy, mean = calibration_curve(correct, confidence, n_bins=calibration.N_BINS)
    np.testing.assert_allclose(table[["accuracy", "confidence"]].to_numpy(), np.column_stack([accuracy, mean]))


def test_coverage_of_confidences_that_rank_all_correct_clips_first():
    correct = np.array([True] * 30 + [False] * 70)
    confidence = np.linspace(1, 0, 100)
    order = np.random.default_rng(0).permutation(100)
    table = calibration.coverage_table(confidence[order], correct[order]).set_index("coverage").loc[[1, 0.6, 0.3, 0.1]]
    assert table.accuracy.to_dict() == pytest.approx({1: 0.3, 0.6: 0.5, 0.3: 1, 0.1: 1})
    assert table.n.tolist() == [100, 60, 30, 10]
    assert table.confidence[0.3] == pytest.approx(confidence[29])


def test_coverage_of_equal_confidences_does_not_depend_on_the_order():
    for correct in ([1, 1, 0, 0], [0, 0, 1, 1]):
        assert calibration.coverage_table(np.full(4, 0.8), np.array(correct)).accuracy.tolist() == pytest.approx([0.5] * 10)


@pytest.fixture
def predictions(simulation):
    """Predictions of two folds, the first with a temperature of 2; `p_other` belongs to another system."""
    logits, truth = (part[:4000] for part in simulation)
    fold = np.arange(4000) % 2 + 1
    p = softmax(logits * np.where(fold == 1, 2, 1)[:, None], axis=1)
    table = pd.DataFrame(p, columns=[f"p_{name}" for name in CLASSES], index=range(9, 4009))
    return table.assign(p_other=np.nan, fold=fold, emotion=np.take(CLASSES, truth))


@pytest.fixture
def temperatures():
    table = pd.DataFrame({"fold": [1, 2, 1], "temperature": [2.0, 1.0, 9.0], "speaker_norm": ["none", "none", "speaker"]})
    return calibration.fold_temperatures(table, "none")


def test_tables_of_predictions_use_the_temperature_of_each_fold(predictions, temperatures, simulation):
    logits, truth = (part[:4000] for part in simulation)
    expected = softmax(logits, axis=1)
    np.testing.assert_allclose(calibration.calibrated_probabilities(predictions, temperatures), expected, atol=0.01)
    tables = calibration.calibration_tables(predictions, temperatures)
    errors = tables["table"].groupby("temperature").ece.first()
    assert errors["fitted"] < 0.03 < 0.06 < errors["none"]
    assert errors["none"] == calibration.expected_calibration_error(tables["before"])
    assert errors["fitted"] == calibration.expected_calibration_error(tables["after"])
    by_hand = calibration.coverage_table(expected.max(axis=1), expected.argmax(axis=1) == truth)
    pd.testing.assert_frame_equal(calibration.accuracy_by_coverage(predictions, temperatures), by_hand, atol=1e-6)
