"""Does a model know what it does not know? Temperature scaling, reliability, and accuracy among the answers it is sure of.

Probabilities have a row a clip and a column a class; a clip's confidence is the largest of its row.
"""

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from ser_utils.core.errors import StudyError

TEMPERATURES = (0.05, 20.0)
"""The temperature is looked for between these."""
SMALLEST = 2e-5
"""Stands for probabilities below it: ``predictions.csv`` keeps four digits, so that its 0 is anything up to 5e-5.

It is the same for all input, so that a temperature fitted on unrounded probabilities suits rounded ones."""


def from_predictions(predictions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [shape=(n, n_classes)] and the number of the true class [shape=(n,)] of a table of predictions.

    Classes are in the order of the ``p_<emotion>`` columns, those without any value left out.

    Raises
    ------
    StudyError
        A true emotion has no column.
    """
    columns = [name for name in predictions if name.startswith("p_") and predictions[name].notna().any()]
    number = {name.removeprefix("p_"): i for i, name in enumerate(columns)}
    unknown = sorted(set(predictions.emotion) - set(number))
    if unknown:
        raise StudyError(f"The predictions have no probability of {unknown[0]!r}: expected a column p_{unknown[0]}.")
    return predictions[columns].to_numpy(float), predictions.emotion.map(number).to_numpy(int)


def fit_temperature(probabilities: np.ndarray, truth_index: np.ndarray) -> float:
    """The temperature that makes known truth most likely (Guo et al., "On calibration of modern neural networks", ICML 2017).

    Fit it on speakers that neither the network's training nor its test has. Above 1 the model was too sure, below 1 too timid.

    Parameters
    ----------
    probabilities : np.ndarray [shape=(n, n_classes)]
    truth_index : np.ndarray [shape=(n,), dtype=int]

    Returns
    -------
    float
        Within `TEMPERATURES`.

    Raises
    ------
    StudyError
        Shapes do not fit, rows are no probabilities, or a truth has no column.
    """
    logits, truth = _logits(probabilities), np.asarray(truth_index)
    if truth.shape != logits.shape[:1]:
        raise StudyError(f"Found {truth.size} truths for {len(logits)} rows of probabilities, expected one each.")
    if truth.min() < 0 or truth.max() >= logits.shape[1]:
        raise StudyError(f"Found a truth from {truth.min()} to {truth.max()}, expected from 0 to {logits.shape[1] - 1}.")
    rows = np.arange(len(truth))

    def loss(log_t: float) -> float:
        return -log_softmax(logits / np.exp(log_t), axis=1)[rows, truth].mean()

    return float(np.exp(minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-4}).x))


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities [shape=(n, n_classes)] at a temperature: the order of classes stays, above 1 the answer is less sure.

    Raises
    ------
    StudyError
        The temperature is not above 0, or rows are no probabilities.
    """
    if not (np.isfinite(temperature) and temperature > 0):
        raise StudyError(f"Found a temperature of {temperature}, expected a number above 0.")
    return softmax(_logits(probabilities) / temperature, axis=1)


def _logits(probabilities: np.ndarray) -> np.ndarray:
    """Their logarithms, with 0 made small; errors as in `fit_temperature`."""
    p = np.asarray(probabilities, dtype=float)
    if p.ndim != 2 or p.shape[0] == 0 or p.shape[1] < 2:
        raise StudyError(f"Found probabilities of shape {p.shape}, expected a row a clip and a column a class, two or more.")
    wrong = ~((p >= 0).all(axis=1) & (np.abs(p.sum(axis=1) - 1) < 0.01))  # true for NaN too
    if wrong.any():
        raise StudyError(f"Row {np.flatnonzero(wrong)[0]} of the probabilities has values below 0 or a sum that is not 1.")
    return np.log(np.maximum(p, SMALLEST))


def reliability_table(confidence: np.ndarray, correct: np.ndarray, *, n_bins: int = 10) -> pd.DataFrame:
    """Confidence against accuracy in bins of equal width.

    Returns
    -------
    pd.DataFrame [columns=low, high, confidence, accuracy, n]
        A row per bin that has clips: its edges, mean confidence, share of clips that are right, and clips.

    Raises
    ------
    StudyError
        There are no clips, not one of each for each, or a confidence outside 0 to 1.
    """
    confidence, correct = _checked(confidence, correct)
    number = np.minimum((confidence * n_bins).astype(int), n_bins - 1)  # 1.0 belongs to the last bin
    bins = pd.DataFrame({"confidence": confidence, "accuracy": correct}).groupby(number)
    table = bins.mean().assign(n=bins.size())
    table.insert(0, "low", table.index / n_bins)
    table.insert(1, "high", (table.index + 1) / n_bins)
    return table.reset_index(drop=True)


def ece(confidence: np.ndarray, correct: np.ndarray, n_bins: int = 10) -> float:
    """Expected calibration error, from 0 to 1: the mean gap of confidence and accuracy over bins, weighted by their clips."""
    return ece_of(reliability_table(confidence, correct, n_bins=n_bins))


def ece_of(table: pd.DataFrame) -> float:
    """The expected calibration error of a `reliability_table`."""
    return float(np.average((table.confidence - table.accuracy).abs(), weights=table.n))


def coverage_table(
    confidence: np.ndarray,
    correct: np.ndarray,
    coverages: tuple[float, ...] = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1),
) -> pd.DataFrame:
    """Accuracy of a model that answers only where it is most confident, and else says "I don't know".

    Clips of the same confidence are taken in at random, so that their accuracy counts and their order does not.

    Returns
    -------
    pd.DataFrame [columns=coverage, n, confidence, accuracy]
        `coverage` is the share of clips answered, `n` their number, `confidence` the least among them.

    Raises
    ------
    StudyError
        As in `reliability_table`, or a coverage is not above 0 and up to 1.
    """
    confidence, correct = _checked(confidence, correct)
    if not all(0 < share <= 1 for share in coverages):
        raise StudyError(f"Found coverages {tuple(coverages)}, expected each above 0 and at most 1.")
    expected = pd.Series(correct).groupby(confidence).transform("mean").to_numpy()
    order = np.argsort(-confidence, kind="stable")
    n = np.maximum(1, np.round(np.array(coverages) * len(order)).astype(int))
    right = np.cumsum(expected[order])
    return pd.DataFrame({"coverage": coverages, "n": n, "confidence": confidence[order][n - 1], "accuracy": right[n - 1] / n})


def _checked(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as numbers, one for each clip."""
    confidence, correct = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=float)
    if confidence.ndim != 1 or confidence.shape != correct.shape or not confidence.size:
        raise StudyError(
            f"Found {confidence.size} confidences and {correct.size} answers, expected one of each for one clip or more."
        )
    if not ((confidence >= 0) & (confidence <= 1 + 1e-9)).all():
        raise StudyError(f"Found confidences from {confidence.min()} to {confidence.max()}, expected from 0 to 1.")
    return confidence, correct


def of_norm(temperatures: pd.DataFrame, speaker_norm: str) -> pd.Series:
    """The temperatures of one system by fold, or by (seed, fold) where each seed has folds of its own."""
    own = temperatures[temperatures.speaker_norm == speaker_norm]
    return own.set_index([name for name in ("seed", "fold") if name in own]).temperature


def tempered(predictions: pd.DataFrame, temperature: pd.Series) -> np.ndarray:
    """Probabilities [shape=(n, n_classes)] of a table of predictions, each row at the temperature of its fold.

    The index of `temperature` is the fold, or (seed, fold): see `of_norm`.
    """
    probabilities, _ = from_predictions(predictions)
    told = np.empty_like(probabilities)
    by = ["seed", "fold"] if temperature.index.nlevels == 2 else "fold"
    for fold, index in predictions.groupby(by).indices.items():
        told[index] = apply_temperature(probabilities[index], temperature[fold])
    return told


def before_and_after(predictions: pd.DataFrame, temperature: pd.Series) -> dict[str, pd.DataFrame]:
    """How well confidence tells accuracy, as trained and at each fold's temperature.

    Returns
    -------
    dict
        ``before`` and ``after``: as from `reliability_table`; ``table``: both, told apart by the column `temperature`
        (``none`` or ``fitted``), with the column `ece`.
    """
    probabilities, truth = from_predictions(predictions)
    found = {}
    for name, p in (("before", probabilities), ("after", tempered(predictions, temperature))):
        found[name] = reliability_table(p.max(axis=1), p.argmax(axis=1) == truth)
    parts = [
        found[name].assign(temperature=kind, ece=ece_of(found[name]))
        for name, kind in (("before", "none"), ("after", "fitted"))
    ]
    return {**found, "table": pd.concat(parts, ignore_index=True)}


def coverage_of(predictions: pd.DataFrame, temperature: pd.Series) -> pd.DataFrame:
    """`coverage_table` of a table of predictions, each row at the temperature of its fold."""
    p, (_, truth) = tempered(predictions, temperature), from_predictions(predictions)
    return coverage_table(p.max(axis=1), p.argmax(axis=1) == truth)
