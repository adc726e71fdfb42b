"""Confidence intervals by the bootstrap, which resamples speakers.

The clips of one speaker are correlated, so resampling clips would give intervals that are too short. With few speakers the
plain percentile interval is too short as well; `expanded_alpha` corrects it.
"""

import numpy as np
import pandas as pd

from ser_utils.core.tables import UNKNOWN

CONFIDENCE = 0.95
"""Level of all intervals. Texts and labels derive from it."""
N_RESAMPLES = 10_000
"""Number of bootstrap resamples of `bootstrap_interval`."""
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

    Plain percentiles give an interval that is too short for few units: at a level of 95 %, with six speakers, it covers the
    true value in about 86 % of cases. The expanded percentile interval (Hesterberg, The American Statistician, 2015) takes
    percentiles further out.
    """
    from scipy.stats import norm, t

    upper = (1 + CONFIDENCE) / 2
    if n_units < 2:
        return 1 - upper
    return float(norm.cdf(-t.ppf(upper, n_units - 1) * np.sqrt(n_units / (n_units - 1))))


def bootstrap_interval(values: np.ndarray) -> tuple[float, float]:
    """Compute the expanded percentile interval of the mean of one value per speaker [shape=(n_speakers,), at least two]."""
    from scipy.stats import bootstrap

    level, batch = 1 - 2 * expanded_alpha(len(values)), max(1, MAX_VALUES // len(values))
    result = bootstrap(
        (values,), np.mean, n_resamples=N_RESAMPLES, batch=batch, confidence_level=level, method="percentile", rng=0
    )
    return tuple(map(float, result.confidence_interval))


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
        low, high = bootstrap_interval(part[value].to_numpy(float)) if len(part) > 1 else (np.nan, np.nan)
        rows.append({**dict(zip(by, keys, strict=True)), value: part[value].mean(), "low": low, "high": high})
    return pd.DataFrame(rows)
