"""Confidence intervals by the bootstrap, which resamples speakers.

The clips of one speaker are correlated, so resampling clips would give intervals that are too short. With few speakers the
plain percentile interval is too short as well; `expanded_alpha` corrects it.
"""

import numpy as np
import pandas as pd
from scipy.stats import norm, t

from ser_utils.core.errors import StudyError
from ser_utils.core.tables import UNKNOWN

CONFIDENCE = 0.95
"""Level of all intervals, and of the critical value of `ser_utils.evaluation.statistics.permutation_test`."""
TAIL = round((1 - CONFIDENCE) / 2, 6)  # rounded, because 1 - 0.95 is not exactly 0.05
MAX_VALUES = 5_000_000
"""Largest number of values to draw at once; limits the memory that thousands of units need."""
UNITS = {"speakers": "speaker", "clips": "file"}
"""The units that intervals may resample, and the column of predictions that identifies each."""


def resampling_unit(speakers: pd.Series) -> str:
    """Return the unit that intervals resample: ``speakers`` where two or more are known and none is unknown, else ``clips``.

    An interval over clips holds for the speakers of the corpus only.
    """
    return "speakers" if speakers.nunique() > 1 and not (speakers == UNKNOWN).any() else "clips"


def expanded_alpha(n_units: int) -> float:
    """Return the share of resamples to cut off at each end of a bootstrap interval at the level `CONFIDENCE`.

    Percentiles at 2.5 and 97.5 % give an interval that is too short for few units: with six speakers it covers the true value
    in about 86 % of cases. The expanded percentile interval (Hesterberg, The American Statistician, 2015) takes percentiles
    further out.
    """
    if n_units < 2:
        return TAIL
    return float(norm.cdf(-t.ppf(1 - TAIL, n_units - 1) * np.sqrt(n_units / (n_units - 1))))


def bootstrap_interval(values: np.ndarray, *, n_resamples: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """Compute the expanded percentile interval of the mean of one value per speaker [shape=(n_speakers,)].

    Raises
    ------
    StudyError
        There are fewer than two speakers.
    """
    n = len(values)
    if n < 2:
        raise StudyError(f"Found {n} speaker, expected two or more: an interval over speakers resamples them.")
    values, rng = np.asarray(values), np.random.default_rng(seed)
    means = [values[rng.integers(n, size=(size, n))].mean(axis=1) for size in batch_sizes(n_resamples, n)]
    low, high = np.quantile(np.concatenate(means), [expanded_alpha(n), 1 - expanded_alpha(n)])
    return float(low), float(high)


def batch_sizes(n_draws: int, n_values: int) -> list[int]:
    """Split a number of draws into batches, so that no batch has more than `MAX_VALUES` values at `n_values` per draw."""
    largest = max(1, MAX_VALUES // n_values)
    return [min(largest, n_draws - start) for start in range(0, n_draws, largest)]


def over_speakers(table: pd.DataFrame, value: str, by: list[str]) -> pd.DataFrame:
    """Compute the mean over speakers and its `bootstrap_interval`, for each group of rows.

    The table has one row per speaker and group; the columns `by` define the groups, and `value` is the column to average.

    Returns
    -------
    pd.DataFrame [columns=`by`, `value`, low, high]
        low and high are NaN for a single speaker.
    """
    rows = []
    for keys, part in table.groupby(by, sort=False):
        low, high = bootstrap_interval(part[value].to_numpy()) if len(part) > 1 else (np.nan, np.nan)
        rows.append({**dict(zip(by, keys, strict=True)), value: part[value].mean(), "low": low, "high": high})
    return pd.DataFrame(rows)
