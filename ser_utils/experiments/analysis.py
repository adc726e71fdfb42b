"""Analysis of trained networks: calibration temperature, feature importance, and number of enrolment clips."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ser_utils.evaluation.calibration import fit_temperature
from ser_utils.evaluation.leakage import check_fit
from ser_utils.evaluation.metrics import uar
from ser_utils.experiments.data import Data, safe_scale, stack_frames
from ser_utils.experiments.experiment import Result
from ser_utils.experiments.fits import predict_probabilities
from ser_utils.experiments.selection import selection_key
from ser_utils.experiments.systems import System
from ser_utils.models.training import Fit, FitResult

PRIOR_CLIPS = 5
"""Weight, in clips, of the training speakers' variance when few clips of a new speaker are available."""
ENROLMENT_SIZES = (1, 2, 3, 5, 10, 20, 50)
"""Numbers of enrolment clips to compare."""
N_REPEATS = 5
"""Random permutations of each feature family, and random draws of enrolment clips."""


def temperatures(data: Data, result: Result, *, protocol: str = "speaker") -> pd.DataFrame:
    """Fit the temperature of each fold's probabilities (Guo et al., ICML 2017) on the validation rows of its inner folds.

    The probabilities are those of the inner fits that chose the settings, at the chosen epoch; `result` and `protocol` are
    those of the main protocol.

    Returns
    -------
    pd.DataFrame [columns=fold, temperature]
        A temperature above 1 means that the network is overconfident. First a column seed if each seed has folds of its own.

    Raises
    ------
    ser_utils.evaluation.leakage.LeakError
        A validation row shares with the test rows what the protocol separates.
    """
    rows = []
    for fold, inner in result.inner.items():
        key, outer = next((key, fit) for key, (fit, _) in result.fitted.items() if selection_key(key, protocol) == fold)
        for fit, _ in inner:
            check_fit(data.rows, protocol=protocol, train=fit.train, test=outer.test, fitted_on={"calibration": fit.validation})
        probabilities = np.concatenate([inner_result.validation[outer.epochs - 1] for _, inner_result in inner])
        truth = np.concatenate([data.y[fit.validation] for fit, _ in inner])
        columns = {"seed": key[0], "fold": key[1]} if fold == key else {"fold": key[1]}
        rows.append({**columns, "temperature": fit_temperature(probabilities, truth)})
    return pd.DataFrame(rows)


def importance(system: System, data: Data, result: Result) -> pd.DataFrame:
    """Compute permutation importance (Breiman, 2001) of each feature family on test clips.

    The values of a family are permuted among the test clips of one speaker, `N_REPEATS` times.

    Returns
    -------
    pd.DataFrame [columns=family, speaker, drop]
        `drop` is the decrease in UAR (0 to 1), mean over seeds and repeats. The family of a feature is its name up to the
        first underscore. Empty for sequences, which have no families.
    """
    if data.x.dtype == object:
        return pd.DataFrame(columns=["family", "speaker", "drop"])
    families = pd.Series([name.split("_")[0] for name in data.names])
    columns_by_family = families.groupby(families, sort=False).indices
    rng, rows = np.random.default_rng(0), []
    for fit, fit_result in result.fitted.values():
        for speaker, test in _test_rows_by_speaker(data, fit):
            x = data.x[test]
            variants = [x]
            for columns in columns_by_family.values():
                for _ in range(N_REPEATS):
                    permuted = x.copy()
                    permuted[:, columns] = x[rng.permutation(len(x))][:, columns]
                    variants.append(permuted)
            scores = _uar_of_variants(system, data, fit, fit_result, test, variants)
            drops = scores[0] - scores[1:].reshape(-1, N_REPEATS).mean(axis=1)
            rows += [
                {"family": family, "speaker": speaker, "drop": drop}
                for family, drop in zip(families.unique(), drops, strict=True)
            ]
    return pd.DataFrame(rows).groupby(["family", "speaker"], sort=False)["drop"].mean().reset_index()


def _test_rows_by_speaker(data: Data, fit: Fit) -> Iterator[tuple[str, np.ndarray]]:
    """Return each test speaker of a fit with the test rows of this speaker."""
    speakers = data.rows.speaker.to_numpy()[fit.test]
    for name in dict.fromkeys(speakers):
        yield name, fit.test[speakers == name]


def _uar_of_variants(
    system: System, data: Data, fit: Fit, result: FitResult, test: np.ndarray, variants: list[np.ndarray]
) -> np.ndarray:
    """Compute the UAR of a fitted network for several versions of the features of the same test rows."""
    probabilities = predict_probabilities(system, data, fit, result, np.concatenate(variants))
    return uar(data.y[test], probabilities.reshape(len(variants), len(test), -1).argmax(axis=-1))


def enrolment(system: System, raw: Data, data: Data, result: Result) -> pd.DataFrame:
    """Compute UAR as a function of the number of unlabelled clips that normalise a new speaker.

    Clips are drawn at random from the speaker's own, `N_REPEATS` times for each of the `ENROLMENT_SIZES` below the smallest
    number of clips of a speaker. The last point uses all clips of each speaker. With few clips, the variance is a weighted
    mean of the speaker's own and of that within training speakers (`PRIOR_CLIPS`).

    Parameters
    ----------
    system : System
        With ``speaker_norm="speaker"``.
    raw, data : Data
        The same table before and after per-speaker normalisation.
    result : Result
        Of the protocol ``speaker``.

    Returns
    -------
    pd.DataFrame [columns=n_clips, speaker, uar]
        Mean over seeds and draws. `n_clips` of the last point is the median number of clips of a speaker.
    """
    rng, rows = np.random.default_rng(0), []
    counts = [len(test) for fit, _ in result.fitted.values() for _, test in _test_rows_by_speaker(data, fit)]
    for fit, fit_result in result.fitted.values():
        prior = _variance_within_speakers(raw, fit.train[raw.is_original[fit.train]])
        for speaker, test in _test_rows_by_speaker(data, fit):
            clips = raw.x[test]
            for n in [*(size for size in ENROLMENT_SIZES if size < min(counts)), len(clips)]:
                is_all = n == len(clips)
                draws = [clips[rng.choice(len(clips), n, replace=False)] for _ in range(1 if is_all else N_REPEATS)]
                variants = [_normalise_by(drawn, clips, prior, 0 if is_all else PRIOR_CLIPS) for drawn in draws]
                n_clips = int(np.median(counts)) if is_all else n
                scores = _uar_of_variants(system, data, fit, fit_result, test, variants)
                rows += [{"n_clips": n_clips, "speaker": speaker, "uar": score} for score in scores]
    return pd.DataFrame(rows).groupby(["n_clips", "speaker"]).uar.mean().reset_index()


def _variance_within_speakers(raw: Data, rows: np.ndarray) -> np.ndarray:
    """Compute the variance of each feature within a speaker, mean over the speakers of the rows."""
    speakers = raw.rows.speaker.iloc[rows]
    by_speaker = [raw.x[rows[(speakers == name).to_numpy()]] for name in speakers.unique()]
    return np.mean([stack_frames(x).var(axis=0) for x in by_speaker], axis=0)


def _normalise_by(drawn: np.ndarray, clips: np.ndarray, prior: np.ndarray, weight: int) -> np.ndarray:
    """Normalise a speaker's clips by the statistics of the drawn ones; the variance `prior` counts as `weight` clips."""
    n, drawn = len(drawn), stack_frames(drawn)
    mean, scale = drawn.mean(axis=0), safe_scale(np.sqrt((n * drawn.var(axis=0) + weight * prior) / (n + weight)))
    if clips.dtype != object:
        return (clips - mean) / scale
    normalised = np.empty_like(clips)
    for i, clip in enumerate(clips):
        normalised[i] = (clip - mean) / scale
    return normalised
