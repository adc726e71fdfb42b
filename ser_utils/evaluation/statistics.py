"""Tests of significance: is a result above chance, and is one system better than another?

All functions take tables of predictions (see `ser_utils.evaluation.predictions`). The unit of evidence is the speaker: the
clips of one speaker are correlated, and so are the seeds of one network.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ser_utils.core.errors import StudyError
from ser_utils.core.parallel import Execution, parallel_map
from ser_utils.evaluation.breakdown import uar_by
from ser_utils.evaluation.intervals import MAX_VALUES, bootstrap_interval, resampling_unit
from ser_utils.evaluation.predictions import iter_systems, select_system

MAX_EXACT, RANDOM_FLIPS = 16, 20_000
"""Up to `MAX_EXACT` speakers, `sign_flip_test` tries all sign flips (65 536 for 16); for more, it draws `RANDOM_FLIPS`."""
DIGITS = 12
"""Statistics that agree to that many digits are equal, whatever the order of summation."""


def above_chance(predictions: pd.DataFrame, *, n_permutations: int = 1000, n_jobs: int = 1) -> pd.DataFrame:
    """Apply `permutation_test` to every system of a table.

    The result does not depend on `n_jobs`, the number of threads (-1 for one per core).

    Returns
    -------
    pd.DataFrame [columns=SYSTEM_COLUMNS, uar, chance, null_95, p, n_permutations]
    """
    systems, tables = zip(*iter_systems(predictions), strict=True)
    tasks = ((table, n_permutations) for table in tables)
    results = parallel_map(permutation_test, tasks, execution=Execution(n_jobs), threads=True)
    return pd.DataFrame([system | result for system, result in zip(systems, results, strict=True)])


def permutation_test(predictions: pd.DataFrame, n_permutations: int = 1000) -> dict[str, float]:
    """Test whether the UAR of one system, mean over seeds, is above chance (Ojala & Garriga, JMLR 2010).

    Permutations exchange the true emotions of the clips within each speaker, in the same way for every seed and variant.
    Recognising the speaker, or agreement between seeds, is therefore no evidence.

    Returns
    -------
    dict
        ``uar``; ``chance``, the mean UAR of the permutations; ``null_95``, their 95th percentile; ``p``, which is (1 + number
        of permutations that reach the UAR) / (1 + number of permutations); ``n_permutations``.

    Raises
    ------
    StudyError
        The table holds more than one system.
    """
    table = select_system(predictions)
    clips = table.drop_duplicates("file").sort_values("file")
    classes, truth = np.unique(clips.emotion, return_inverse=True)
    truths = np.tile(truth.astype(np.uint8), (n_permutations + 1, 1))  # the first row is not permuted
    rng = np.random.default_rng(0)
    for index in clips.groupby("speaker").indices.values():
        truths[1:, index] = rng.permuted(truths[1:, index], axis=1)
    scores = [
        _uar_of_truths(truths[:, np.searchsorted(clips.file, rows.file)], pd.Categorical(rows.predicted, classes).codes)
        for _, rows in table.groupby("seed")
    ]
    uar, *null = np.mean(scores, axis=0).round(DIGITS).tolist()
    return {
        "uar": uar,
        "chance": float(np.mean(null)),
        "null_95": float(np.quantile(null, 0.95)),
        "p": (1 + sum(value >= uar for value in null)) / (1 + n_permutations),
        "n_permutations": n_permutations,
    }


def _uar_of_truths(truths: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """UAR [shape=(n,)] of the same predictions [shape=(n_rows,)] for each row of `truths` [shape=(n, n_rows)]."""
    numbers = np.arange(truths.max() + 1)[:, None, None]
    is_class = truths == numbers
    hits, total = (is_class & (predicted == numbers)).sum(axis=-1), is_class.sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return np.nanmean(hits / total, axis=0)  # over the classes in the truth


def comparison_table(
    predictions: pd.DataFrame, pairs: Mapping[str, tuple[Mapping[str, str], Mapping[str, str]]]
) -> pd.DataFrame:
    """Apply `paired_comparison` to several pairs of systems.

    Parameters
    ----------
    pairs : mapping
        Name of the comparison to the columns and values that select A and B (see `select_system`).

    Returns
    -------
    pd.DataFrame [columns=comparison, uar_a, uar_b, difference, ci_low, ci_high, n_better, n_speakers, p, smallest_p]
        ``n_clips`` instead of ``n_speakers`` where clips are compared.
    """
    rows = []
    for name, (a, b) in pairs.items():
        result = paired_comparison(select_system(predictions, **a), select_system(predictions, **b))
        result.pop("speakers")
        rows.append({"comparison": name, **result})
    return pd.DataFrame(rows)


def paired_comparison(predictions_a: pd.DataFrame, predictions_b: pd.DataFrame) -> dict:
    """Compare two systems, A and B, speaker by speaker.

    The UAR of each speaker has the same weight. The mean over speakers therefore differs a little from the UAR in
    ``metrics.csv``, which pools the clips, where speakers have unequal numbers of clips or lack an emotion.

    Returns
    -------
    dict
        ``speakers``, a table (speaker, uar_a, uar_b, difference = A - B; each UAR is a mean over seeds);
        ``uar_a``, ``uar_b`` and ``difference``, means over speakers; ``ci_low`` and ``ci_high`` of the mean difference
        (`bootstrap_interval`); ``n_better``, the number of speakers for whom A is better; ``n_speakers``; ``p`` and
        ``smallest_p`` (`sign_flip_test`). Without two known speakers (`resampling_unit`) clips are compared, each by its
        contribution to the UAR, and ``n_clips`` replaces ``n_speakers``.

    Raises
    ------
    StudyError
        A table holds more than one system, or the systems were not tested on the same speakers (or clips).
    """
    speakers = _by_speaker(predictions_a, predictions_b)
    unit = resampling_unit(predictions_a.speaker)
    table = speakers if unit == "speakers" else _by_clip(predictions_a, predictions_b)
    low, high = bootstrap_interval(table.difference.to_numpy())
    p, smallest_p = sign_flip_test(table.difference.to_numpy())
    return {
        "speakers": speakers,
        **table[["uar_a", "uar_b", "difference"]].mean().to_dict(),
        "ci_low": low,
        "ci_high": high,
        "n_better": int((table.difference > 0).sum()),
        f"n_{unit}": len(table),
        "p": p,
        "smallest_p": smallest_p,
    }


def _by_speaker(predictions_a: pd.DataFrame, predictions_b: pd.DataFrame) -> pd.DataFrame:
    a, b = (uar_by(select_system(table), ["speaker"]) for table in (predictions_a, predictions_b))
    if different := sorted(set(a.index) ^ set(b.index)):
        names = ", ".join(map(str, different))
        raise StudyError(f"The two systems were not tested on the same speakers: only one was tested on {names}.")
    speakers = pd.DataFrame({"uar_a": a, "uar_b": b}).sort_index().rename_axis("speaker").reset_index()
    return speakers.assign(difference=speakers.uar_a - speakers.uar_b)


def _by_clip(predictions_a: pd.DataFrame, predictions_b: pd.DataFrame) -> pd.DataFrame:
    """The contribution of each clip to the UAR of two systems, whose mean over clips is the UAR.

    It is the share of seeds that are correct times the weight of the clip's emotion, which is inverse to its number of clips.
    """
    a, b = ((table.emotion == table.predicted).groupby(table.file).mean() for table in (predictions_a, predictions_b))
    if not a.index.equals(b.index):
        raise StudyError("The two systems were not tested on the same clips.")
    emotion = predictions_a.drop_duplicates("file").set_index("file").emotion
    weight = len(emotion) / (emotion.nunique() * emotion.map(emotion.value_counts()))
    table = pd.DataFrame({"uar_a": a * weight, "uar_b": b * weight})
    return table.assign(difference=table.uar_a - table.uar_b)


def sign_flip_test(differences: np.ndarray) -> tuple[float, float]:
    """Compute the two-sided p of a mean difference by sign flips (Fisher's randomisation test), and the smallest possible p.

    If two systems are equally good, each speaker's difference is as likely to have the other sign. The test is exact: it
    tries all 2^n flips, so the smallest p of six speakers is 2 / 64 = 0.031. With more than `MAX_EXACT` speakers it draws
    `RANDOM_FLIPS` flips.
    """
    from scipy import stats

    def size_of_mean(values: np.ndarray, axis: int) -> np.ndarray:
        return np.abs(np.mean(values, axis=axis).round(DIGITS))

    n = len(differences)
    if n <= MAX_EXACT:
        result = stats.permutation_test(
            (differences,), size_of_mean, permutation_type="samples", n_resamples=2**n, alternative="greater"
        )
        return float(result.pvalue), 2 / 2**n
    rng, batch = np.random.default_rng(0), max(1, MAX_VALUES // n)
    result = stats.monte_carlo_test(
        differences,
        lambda size: differences * rng.choice([1, -1], size=size),
        size_of_mean,
        n_resamples=RANDOM_FLIPS,
        batch=batch,
        alternative="greater",
    )
    return float(result.pvalue), 1 / (1 + RANDOM_FLIPS)
