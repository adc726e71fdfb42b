"""UAR, accuracy and macro F1 of systems and speakers, with confidence intervals, and the levels to compare them with.

All functions take a table of predictions (see `ser_utils.evaluation.predictions`) or of metrics. Values are from 0 to 1.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from ser_utils.core.parallel import Execution, parallel_map
from ser_utils.core.tables import SYSTEM_COLUMNS
from ser_utils.evaluation.intervals import MAX_VALUES, UNITS, expanded_alpha, resampling_unit
from ser_utils.evaluation.predictions import iter_systems
from ser_utils.evaluation.protocols import PROTOCOLS, main_protocol

METRICS = ("uar", "accuracy", "macro_f1")
"""Unweighted average recall (the headline: Schuller et al., INTERSPEECH 2009 challenge), accuracy, macro F1.

They are scikit-learn's ``balanced_accuracy_score``, ``accuracy_score`` and ``f1_score(average="macro")``: a class that is
predicted but does not occur in the truth has no recall, and an F1 of 0. The mean over seeds is the result."""


def uar(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Compute the UAR of several sets of predictions for the same clips.

    Parameters
    ----------
    truth : np.ndarray [shape=(n_clips,), dtype=int]
        Class numbers.
    predicted : np.ndarray [shape=(..., n_clips), dtype=int]
        Class numbers.

    Returns
    -------
    np.ndarray [shape=(...)]
        The mean recall over the classes in `truth`.
    """
    return np.mean([(predicted[..., truth == number] == number).mean(axis=-1) for number in np.unique(truth)], axis=0)


def metrics_by_speaker(predictions: pd.DataFrame) -> pd.DataFrame:
    """Compute ``by_speaker.csv``: the metrics of each system and speaker, mean over seeds.

    Returns
    -------
    pd.DataFrame [columns=SYSTEM_COLUMNS, speaker, metric, value, n_clips]
    """
    rows = []
    for system, table in iter_systems(predictions):
        matrices, speakers = _confusion_matrices(table, "speaker")
        values, n_rows = np.nanmean(_scores(matrices), axis=1), matrices.sum(axis=(2, 3))
        for speaker, scores, counts in zip(speakers, values, n_rows, strict=True):
            row = {**system, "speaker": speaker, "n_clips": counts.sum() // np.count_nonzero(counts)}
            rows += [{**row, "metric": name, "value": value} for name, value in zip(METRICS, scores, strict=True)]
    return pd.DataFrame(rows)[[*SYSTEM_COLUMNS, "speaker", "metric", "value", "n_clips"]]


def metrics_with_intervals(predictions: pd.DataFrame, *, n_resamples: int = 2000, n_jobs: int = 1) -> pd.DataFrame:
    """Compute ``metrics.csv``: the metrics of each system, mean over seeds, with confidence intervals.

    An interval is the expanded percentile bootstrap (`ser_utils.evaluation.intervals.expanded_alpha`) over speakers, and over
    seeds within speakers. Where fewer than two speakers are known it resamples clips (`resampling_unit`); such an interval
    holds for the speakers of the corpus only.

    Parameters
    ----------
    n_resamples : int
        Number of bootstrap resamples.
    n_jobs : int
        Number of threads; -1 for one per core. The intervals do not depend on it.

    Returns
    -------
    pd.DataFrame [columns=SYSTEM_COLUMNS, metric, value, ci_low, ci_high, n_clips, n_seeds]
        `n_clips` is the number of test rows of one seed.
    """
    column = UNITS[resampling_unit(predictions.speaker)]
    tasks = ((system, table, column, n_resamples) for system, table in iter_systems(predictions))
    parts = parallel_map(_system_metrics, tasks, execution=Execution(n_jobs), threads=True)
    return pd.concat(parts, ignore_index=True)


def _system_metrics(system: dict[str, str], table: pd.DataFrame, column: str, n_resamples: int) -> pd.DataFrame:
    """The rows of one system in ``metrics.csv``; `column` identifies the units to resample."""
    matrices, _ = _confusion_matrices(table, column)
    n_units, n_seeds = matrices.shape[:2]
    values = _scores(matrices.sum(axis=0)).mean(axis=0)
    resampled = _resampled_scores(matrices, n_resamples, np.random.default_rng(0))
    low = high = np.full(len(METRICS), np.nan)
    if len(resampled):
        low, high = np.quantile(resampled, [expanded_alpha(n_units), 1 - expanded_alpha(n_units)], axis=0)
    scores = {"metric": METRICS, "value": values, "ci_low": low, "ci_high": high}
    return pd.DataFrame({**system, **scores, "n_clips": len(table) // n_seeds, "n_seeds": n_seeds})


def _resampled_scores(matrices: np.ndarray, n_resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Scores of bootstrap resamples of units, mean over as many draws of seeds as there are seeds [shape=(n, 3)].

    Resamples without any row are left out: in a random split, some units have no test row.
    """
    n_units, n_seeds = matrices.shape[:2]
    units = rng.integers(n_units, size=(n_resamples, n_units))
    scores = [_scores(_resampled_sums(matrices, units, rng.integers(n_seeds, size=units.shape))) for _ in range(n_seeds)]
    scores = np.mean(scores, axis=0)
    return scores[~np.isnan(scores).any(axis=1)]


def _resampled_sums(matrices: np.ndarray, units: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Sums of the matrices [shape=(n_units, n_seeds, n, n)] drawn in each resample [shape=(n_resamples, n_units)].

    Counting how often each matrix is drawn, for a batch of resamples at a time, needs less memory than adding matrices up.
    """
    flat = matrices.reshape(-1, matrices[0, 0].size).astype(float)
    drawn, sums = units * matrices.shape[1] + seeds, np.empty((len(units), flat.shape[1]))
    cells = flat.argmax(axis=1) if (flat.sum(axis=1) == 1).all() else None  # matrices of one clip: count their cells
    width = flat.shape[1] if cells is not None else len(flat)
    batch = max(1, MAX_VALUES // max(width, drawn.shape[1]))
    for start in range(0, len(drawn), batch):
        part = drawn[start : start + batch]
        bins = (part if cells is None else cells[part]) + width * np.arange(len(part))[:, None]
        counts = np.bincount(bins.ravel(), minlength=len(part) * width).reshape(len(part), width)
        sums[start : start + batch] = counts if cells is not None else counts @ flat
    return sums.reshape(-1, *matrices.shape[2:])


def _confusion_matrices(table: pd.DataFrame, column: str) -> tuple[np.ndarray, list]:
    """Confusion matrices of one system [shape=(n_units, n_seeds, n_classes, n_classes)], truth in rows, and the units.

    All metrics follow from a confusion matrix, and the matrices of units add up.
    """
    classes = sorted(set(table.emotion) | set(table.predicted))
    truth, predicted = (pd.Categorical(table[name], classes).codes for name in ("emotion", "predicted"))
    (unit, units), (seed, seeds) = (pd.factorize(table[name], sort=True) for name in (column, "seed"))
    matrices = np.zeros((len(units), len(seeds), len(classes), len(classes)), int)
    np.add.at(matrices, (unit, seed, truth, predicted), 1)
    return matrices, list(units)


def _scores(matrices: np.ndarray) -> np.ndarray:
    """`METRICS` [shape=(..., 3)] of confusion matrices [shape=(..., n, n)], truth in rows; NaN for an empty matrix."""
    correct = np.diagonal(matrices, axis1=-2, axis2=-1)
    truth, predicted = matrices.sum(axis=-1), matrices.sum(axis=-2)
    right, total = correct.sum(axis=-1, keepdims=True), truth.sum(axis=-1, keepdims=True)
    ratios = [(correct, truth), (right, total), (2 * correct, truth + predicted)]
    return np.stack([_mean_ratio(part, whole) for part, whole in ratios], axis=-1)


def _mean_ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Mean of part / whole over the last axis, without entries where the whole is 0; NaN where it is 0 everywhere."""
    ratio = np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)
    with np.errstate(invalid="ignore"):
        return ratio.sum(axis=-1) / (whole > 0).sum(axis=-1)


def protocol_comparison(metrics: pd.DataFrame) -> pd.DataFrame:
    """Compute ``protocol_ladder.csv``: the UAR of each system under each protocol, and the leakage gap.

    Returns
    -------
    pd.DataFrame [columns=model, features, speaker_norm, one per protocol, leakage_gap]
        `leakage_gap` is the UAR under ``as_published`` minus that under the main protocol, in points (0 to 100); each protocol
        trains by its own rule. It is NaN without ``as_published``. Systems that lack a protocol are left out.
    """
    uar = metrics[metrics.metric == "uar"]
    table = uar.pivot_table(index=SYSTEM_COLUMNS[1:], columns="protocol", values="value", sort=False)
    table = table[[name for name in PROTOCOLS if name in table]]
    table = table[table.notna().all(axis=1)].copy()
    as_published = table.get("as_published", np.nan)
    table["leakage_gap"] = 100 * (as_published - table[main_protocol(table.columns)])
    return table.reset_index().rename_axis(columns=None)


def chance_level(predictions: pd.DataFrame) -> float:
    """Return the UAR of guessing: one over the number of emotions."""
    return 1 / predictions.emotion.nunique()


def published_results(corpus: str) -> pd.DataFrame:
    """Return published results on a corpus.

    Returns
    -------
    pd.DataFrame [columns=system, uar, kind, source, protocol, comparable]
        `comparable` is ``yes`` where the protocol is leave-one-speaker-out, as ours.
    """
    table = pd.read_csv(Path(__file__).with_name("published_results.csv"))
    return table[table.corpus == corpus].drop(columns="corpus")
