"""Questions to trained networks: how sure they may be, which features they go by, how many clips of a person they need."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ser_utils.core.tables import ORIGINAL
from ser_utils.evaluation.calibration import fit_temperature
from ser_utils.evaluation.leakage import check_fit
from ser_utils.evaluation.metrics import uar
from ser_utils.experiments.experiment import Data, Result, System, predict_probabilities, safe_scale, selection_key
from ser_utils.models.training import Fit


def temperatures(data: Data, result: Result, *, protocol: str = "speaker") -> pd.DataFrame:
    """Temperature of each fold's probabilities, fitted on what inner folds held out of training (Guo et al., ICML 2017).

    The probabilities are those of the inner folds that chose the settings, at the epoch that was chosen.

    Returns
    -------
    pd.DataFrame [columns=fold, temperature]
        Above 1 where the network is surer than it is right. With a column seed in front, where each seed has folds of
        its own.
    """
    found = []
    for place, inner in result.inner.items():
        key, outer = next((key, fit) for key, (fit, _) in result.fitted.items() if selection_key(key, protocol) == place)
        for fit, _ in inner:
            check_fit(data.rows, protocol=protocol, train=fit.train, test=outer.test, fitted_on={"calibration": fit.validation})
        chances = np.concatenate([done.validation[outer.epochs - 1] for _, done in inner])
        truth = np.concatenate([data.y[fit.validation] for fit, _ in inner])
        where = {"seed": key[0], "fold": key[1]} if place == key else {"fold": key[1]}
        found.append({**where, "temperature": fit_temperature(chances, truth)})
    return pd.DataFrame(found)


def importance(system: System, data: Data, result: Result, *, n_repeats: int = 5, seed: int = 0) -> pd.DataFrame:
    """How much UAR falls when the values of one feature family are shuffled among a speaker's test clips.

    Permutation importance (Breiman, 2001) by family, on clips (under ``speaker``: voices) that the network has not heard.

    Returns
    -------
    pd.DataFrame [columns=family, speaker, drop]
        `drop` in UAR (0 to 1), mean over seeds and repeats; a family is what stands before the first underscore of a name.
        Empty for sequences, which have no families.
    """
    if data.x.dtype == object:
        return pd.DataFrame(columns=["family", "speaker", "drop"])
    families = pd.Series([name.split("_")[0] for name in data.names])
    rng, drops = np.random.default_rng(seed), []
    for fit, done, name, test in ((*one, *voice) for one in result.fitted.values() for voice in _voices(data, one[0])):
        x = data.x[test]
        shuffled = [x]
        for columns in families.groupby(families, sort=False).indices.values():
            for _ in range(n_repeats):
                one = x.copy()
                one[:, columns] = x[rng.permutation(len(x))][:, columns]
                shuffled.append(one)
        p = (
            predict_probabilities(system, data, fit, done, np.concatenate(shuffled))
            .reshape(len(shuffled), len(x), -1)
            .argmax(axis=-1)
        )
        found = uar(data.y[test], p)
        found = found[0] - found[1:].reshape(-1, n_repeats).mean(axis=1)
        drops += [
            {"family": family, "speaker": name, "drop": drop} for family, drop in zip(families.unique(), found, strict=True)
        ]
    return pd.DataFrame(drops).groupby(["family", "speaker"], sort=False)["drop"].mean().reset_index()


def _voices(data: Data, fit: Fit) -> Iterator[tuple[str, np.ndarray]]:
    """Each speaker that a fit is tested on, with the test rows."""
    speakers = data.rows.speaker.to_numpy()[fit.test]
    for name in dict.fromkeys(speakers):
        yield name, fit.test[speakers == name]


def enrolment(
    system: System,
    raw: Data,
    data: Data,
    result: Result,
    *,
    sizes: tuple[int, ...] = (1, 2, 3, 5, 10, 20, 50),
    n_repeats: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    """UAR by how many unlabelled clips of a new speaker its normalisation is made from.

    Parameters
    ----------
    system : System
        With ``speaker_norm="speaker"``.
    raw, data : Data
        The same table before and after normalisation by speaker.
    result : Result
        Of the protocol ``speaker``.
    sizes : tuple of int
        Numbers of clips, drawn at random from the speaker's own; those that a speaker does not have are left out. The last
        point is of all clips a speaker has, told as the median of their numbers.
    n_repeats : int
        Draws for each.

    Returns
    -------
    pd.DataFrame [columns=n_clips, speaker, uar]
        Mean over seeds and draws. With few clips the spread of training speakers stands in for the speaker's own, by as much
        as five clips weigh.
    """
    rng, found, original = np.random.default_rng(seed), [], (raw.rows.variant == ORIGINAL).to_numpy()
    counts = [len(test) for fit, _ in result.fitted.values() for _, test in _voices(data, fit)]
    for fit, done in result.fitted.values():
        spread = _spread(raw, fit.train[original[fit.train]])
        for name, test in _voices(data, fit):
            own = raw.x[test]
            for n in [*(size for size in sizes if size < min(counts)), len(own)]:
                drawn = [own[rng.choice(len(own), n, replace=False)] for _ in range(n_repeats if n < len(own) else 1)]
                weight = 0 if n == len(own) else 5
                x = np.concatenate([_normalised(own, part, spread, weight) for part in drawn])
                p = predict_probabilities(system, data, fit, done, x).reshape(len(drawn), len(own), -1).argmax(axis=-1)
                told = n if n < len(own) else int(np.median(counts))
                found += [{"n_clips": told, "speaker": name, "uar": one} for one in uar(data.y[test], p)]
    return pd.DataFrame(found).groupby(["n_clips", "speaker"]).uar.mean().reset_index()


def _spread(raw: Data, rows: np.ndarray) -> np.ndarray:
    """The variance of each feature within a speaker, mean over the speakers of the rows."""
    speakers = raw.rows.speaker.iloc[rows]
    return np.mean([_frames(raw.x[rows[(speakers == name).to_numpy()]]).var(axis=0) for name in speakers.unique()], axis=0)


def _frames(x: np.ndarray) -> np.ndarray:
    """Rows as they are; of sequences all frames [shape=(n, n_features)]."""
    return np.concatenate(list(x)) if x.dtype == object else x


def _normalised(own: np.ndarray, part: np.ndarray, spread: np.ndarray, weight: int) -> np.ndarray:
    """A speaker's clips by the mean and spread of a part of them; `spread` weighs as much as so many clips."""
    n, part = len(part), _frames(part)
    scale = safe_scale(np.sqrt((n * part.var(axis=0) + weight * spread) / (n + weight)))
    if own.dtype != object:
        return (own - part.mean(axis=0)) / scale
    normalised = np.empty_like(own)
    for i, clip in enumerate(own):
        normalised[i] = (clip - part.mean(axis=0)) / scale
    return normalised
