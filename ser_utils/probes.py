"""Questions to trained networks: how sure they may be, which features they go by, how many clips of a person they need."""

import numpy as np
import pandas as pd

from ser_utils.augment import ORIGINAL
from ser_utils.calibration import fit_temperature
from ser_utils.experiment import Data, Result, System, probabilities, scale_of
from ser_utils.guard import check_fit
from ser_utils.metrics import uar


def temperatures(data: Data, result: Result) -> pd.DataFrame:
    """Temperature of each fold's probabilities, fitted on training speakers held out (Guo et al., ICML 2017).

    The probabilities are those of the inner folds that chose the settings, at the epoch that was chosen.

    Returns
    -------
    pd.DataFrame [columns=fold, temperature]
        Above 1 where the network is surer than it is right.
    """
    found = []
    for fold, inner in result.inner.items():
        test = next(fit.test for key, (fit, _) in result.fitted.items() if key[1] == fold)
        for fit, _ in inner:
            check_fit(data.rows, protocol="speaker", train=fit.train, test=test, seen={"calibration": fit.validation})
        epoch = next(fit.epochs for key, (fit, _) in result.fitted.items() if key[1] == fold)
        chances = np.concatenate([done.validation[epoch - 1] for _, done in inner])
        truth = np.concatenate([data.y[fit.validation] for fit, _ in inner])
        found.append({"fold": fold, "temperature": fit_temperature(chances, truth)})
    return pd.DataFrame(found)


def importance(system: System, data: Data, result: Result, *, n_repeats: int = 5, seed: int = 0) -> pd.DataFrame:
    """How much UAR falls when the values of one feature family are shuffled among a held-out speaker's clips.

    Permutation importance (Breiman, 2001) by family, on voices that the network has not heard.

    Returns
    -------
    pd.DataFrame [columns=family, speaker, drop]
        `drop` in UAR (0 to 1), mean over seeds and repeats; a family is what stands before the first underscore of a name.
    """
    families = pd.Series([name.split("_")[0] for name in data.names])
    rng, drops = np.random.default_rng(seed), []
    for fit, done in result.fitted.values():
        x = data.x[fit.test]
        shuffled = [x]
        for columns in families.groupby(families, sort=False).indices.values():
            for _ in range(n_repeats):
                one = x.copy()
                one[:, columns] = x[rng.permutation(len(x))][:, columns]
                shuffled.append(one)
        p = probabilities(system, data, fit, done, np.concatenate(shuffled)).reshape(len(shuffled), len(x), -1).argmax(axis=-1)
        found = uar(data.y[fit.test], p)
        found = found[0] - found[1:].reshape(-1, n_repeats).mean(axis=1)
        drops += [
            {"family": name, "speaker": data.rows.speaker.iloc[fit.test[0]], "drop": drop}
            for name, drop in zip(families.unique(), found, strict=True)
        ]
    return pd.DataFrame(drops).groupby(["family", "speaker"], sort=False)["drop"].mean().reset_index()


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
    counts = [len(fit.test) for fit, _ in result.fitted.values()]
    for fit, done in result.fitted.values():
        own = raw.x[fit.test]
        heard = fit.train[original[fit.train]]
        spread = np.mean(
            [
                raw.x[heard[raw.rows.speaker.to_numpy()[heard] == name]].var(axis=0)
                for name in raw.rows.speaker.iloc[heard].unique()
            ],
            axis=0,
        )
        for n in [*(size for size in sizes if size < min(counts)), len(own)]:
            drawn = [own[rng.choice(len(own), n, replace=False)] for _ in range(n_repeats if n < len(own) else 1)]
            weight = 0 if n == len(own) else 5
            x = np.concatenate(
                [
                    (own - part.mean(axis=0)) / scale_of(np.sqrt((n * part.var(axis=0) + weight * spread) / (n + weight)))
                    for part in drawn
                ]
            )
            p = probabilities(system, data, fit, done, x).reshape(len(drawn), len(own), -1).argmax(axis=-1)
            name = raw.rows.speaker.iloc[fit.test[0]]
            told = n if n < len(own) else int(np.median(counts))
            found += [{"n_clips": told, "speaker": name, "uar": one} for one in uar(data.y[fit.test], p)]
    return pd.DataFrame(found).groupby(["n_clips", "speaker"]).uar.mean().reset_index()
