"""Calibration of probabilities: temperature scaling, reliability, and accuracy by coverage.

Probabilities have the shape (n_clips, n_classes). The confidence of a clip is the largest probability of its row.
"""

import numpy as np
import pandas as pd

from ser_utils.evaluation.predictions import probability_columns

TEMPERATURES = (0.05, 20.0)
"""Bounds of fitted temperatures."""
MIN_PROBABILITY = 2e-5
"""Replaces smaller probabilities: ``predictions.csv`` has four digits, so its 0 stands for up to 5e-5. It also applies to
unrounded probabilities, so that a temperature that is fitted on them suits rounded ones."""
N_BINS = 10
"""Number of bins of equal width in `reliability_table`."""
COVERAGES = np.arange(10, 0, -1) / 10
"""Shares of clips in `coverage_table`."""


def fit_temperature(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Fit the temperature that minimises the negative log-likelihood (Guo et al., ICML 2017).

    Clips for the fit must be neither training nor test clips of the network. A temperature above 1 means that the network is
    overconfident.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(n_clips, n_classes)]
    truth : np.ndarray [shape=(n_clips,), dtype=int]
        Number of the true class of each clip.

    Returns
    -------
    float
        Within `TEMPERATURES`.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    logits, rows = _logits(probabilities), np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        return -log_softmax(logits / np.exp(log_temperature), axis=1)[rows, truth].mean()

    return float(np.exp(minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-4}).x))


def apply_temperature(probabilities: np.ndarray, temperature: float | np.ndarray) -> np.ndarray:
    """Scale probabilities [shape=(n_clips, n_classes)] by a temperature, or by one per clip [shape=(n_clips, 1)].

    The ranking of classes does not change; a temperature above 1 lowers the confidence.
    """
    from scipy.special import softmax

    return softmax(_logits(probabilities) / temperature, axis=1)


def _logits(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities, MIN_PROBABILITY))


def reliability_table(confidence: np.ndarray, correct: np.ndarray) -> pd.DataFrame:
    """Compare confidence (from 0 to 1) with accuracy in `N_BINS` bins of equal width.

    Returns
    -------
    pd.DataFrame [columns=low, high, confidence, accuracy, n]
        One row per bin that contains clips: its edges, mean confidence, share of correct clips, and number of clips.
    """
    number = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)  # 1.0 belongs to the last bin
    bins = pd.DataFrame({"confidence": confidence, "accuracy": correct}).groupby(number)
    table = bins.mean().assign(n=bins.size())
    table.insert(0, "low", table.index / N_BINS)
    table.insert(1, "high", (table.index + 1) / N_BINS)
    return table.reset_index(drop=True)


def expected_calibration_error(table: pd.DataFrame) -> float:
    """Compute the expected calibration error (ECE) of a `reliability_table`.

    It is the mean difference between confidence and accuracy over bins, weighted by their clips, from 0 to 1.
    """
    return float(np.average((table.confidence - table.accuracy).abs(), weights=table.n))


def coverage_table(confidence: np.ndarray, correct: np.ndarray) -> pd.DataFrame:
    """Compute the accuracy of the most confident clips, as of a model that rejects the others, for each of `COVERAGES`.

    The order of clips of equal confidence has no effect: their mean accuracy counts.

    Returns
    -------
    pd.DataFrame [columns=coverage, n, confidence, accuracy]
        `coverage` is the share of accepted clips, `n` their number (one or more), `confidence` the smallest among them.
    """
    expected = pd.Series(correct).groupby(confidence).transform("mean").to_numpy()
    order = np.argsort(-confidence, kind="stable")
    n = np.maximum(1, np.round(COVERAGES * len(order)).astype(int))
    accuracy = np.cumsum(expected[order])[n - 1] / n
    return pd.DataFrame({"coverage": COVERAGES, "n": n, "confidence": confidence[order][n - 1], "accuracy": accuracy})


def fold_temperatures(temperatures: pd.DataFrame, speaker_norm: str) -> pd.Series:
    """Return the temperatures of one normalisation in ``temperatures.csv`` [index=fold, or (seed, fold) where seeds differ]."""
    rows = temperatures[temperatures.speaker_norm == speaker_norm]
    return rows.set_index([name for name in ("seed", "fold") if name in rows]).temperature


def calibrated_probabilities(predictions: pd.DataFrame, temperatures: pd.Series) -> np.ndarray:
    """Scale the probabilities of a table of predictions [shape=(n_clips, n_classes)], each row by the temperature of its fold.

    `temperatures` is from `fold_temperatures`. Classes are in the order of the columns ``p_<emotion>``.
    """
    temperature = predictions.join(temperatures, on=temperatures.index.names).temperature
    return apply_temperature(predictions[probability_columns(predictions)].to_numpy(), temperature.to_numpy()[:, None])


def calibration_tables(predictions: pd.DataFrame, temperatures: pd.Series) -> dict[str, pd.DataFrame]:
    """Compute the reliability of a table of predictions before and after temperature scaling.

    `temperatures` is from `fold_temperatures`.

    Returns
    -------
    dict of pd.DataFrame
        ``before`` and ``after``: from `reliability_table`. ``table``: both, with the columns `temperature` (``none`` or
        ``fitted``) and `ece`.
    """
    original = predictions[probability_columns(predictions)].to_numpy()
    before, after = (
        reliability_table(*_confidence_and_correct(predictions, probabilities))
        for probabilities in (original, calibrated_probabilities(predictions, temperatures))
    )
    parts = [
        table.assign(temperature=kind, ece=expected_calibration_error(table))
        for kind, table in {"none": before, "fitted": after}.items()
    ]
    return {"before": before, "after": after, "table": pd.concat(parts, ignore_index=True)}


def accuracy_by_coverage(predictions: pd.DataFrame, temperatures: pd.Series) -> pd.DataFrame:
    """Compute the `coverage_table` of a table of predictions after temperature scaling, as in `calibration_tables`."""
    return coverage_table(*_confidence_and_correct(predictions, calibrated_probabilities(predictions, temperatures)))


def _confidence_and_correct(predictions: pd.DataFrame, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    answers = np.array(probability_columns(predictions))[probabilities.argmax(axis=1)]
    return probabilities.max(axis=1), answers == "p_" + predictions.emotion.to_numpy()
