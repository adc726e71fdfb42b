"""Baselines on the same folds as the networks: chance, the largest class, and classical models from scikit-learn."""

from collections.abc import Mapping

import joblib
import numpy as np
import pandas as pd

from ser_utils.core import cache, code_version
from ser_utils.core.parallel import Execution, parallel_map
from ser_utils.core.progress import progress
from ser_utils.evaluation.leakage import check_fit, is_extra
from ser_utils.experiments.data import Data
from ser_utils.experiments.experiment import prediction_table
from ser_utils.experiments.fits import Key, TrainedFit, make_fits
from ser_utils.experiments.selection import inner_groups_of_corpus
from ser_utils.experiments.systems import System
from ser_utils.models.baselines import BASELINES, BaselineFit, fit_baseline, inner_folds
from ser_utils.models.training import Fit, FitResult


def run_baseline(
    name: str,
    data: Data,
    folds: Mapping[int, pd.DataFrame],
    *,
    protocol: str,
    features: str,
    speaker_norm: str,
    execution: Execution = Execution(),
) -> pd.DataFrame:
    """Train and test one baseline under one protocol; `features` and `speaker_norm` describe `data`.

    A baseline without randomness runs for the first seed only. Probabilities are those of the classifier, or the softmax of
    its decision values if it has none. Earlier fits come from the cache (`ser_utils.core.cache`).

    Returns
    -------
    pd.DataFrame
        As from `ser_utils.experiments.experiment.prediction_table`.
    """
    seeds = list(folds) if BASELINES[name].random else list(folds)[:1]
    fits = make_fits({seed: folds[seed] for seed in seeds}, data, augmented=False)
    for fit in fits.values():
        check_fit(data.rows, protocol=protocol, train=fit.train, test=fit.test)
        if BASELINES[name].grid:
            _check_inner_folds(data, fit, protocol)
    desc = f"{protocol} {name} {speaker_norm}"
    fitted = fit_baselines(name, data, fits, protocol=protocol, execution=execution, desc=desc)
    return prediction_table(fitted, data, System(name, features, speaker_norm), protocol)


def _check_inner_folds(data: Data, fit: Fit, protocol: str) -> None:
    """Check the inner folds that choose settings for leakage."""
    rows = data.rows.iloc[fit.train]
    boundary, groups = inner_groups_of_corpus(rows, protocol)
    for train, held_out in inner_folds(groups):
        check_fit(rows, protocol=boundary, train=train, test=held_out)


def fit_baselines(
    name: str, data: Data, fits: Mapping[Key, Fit], *, desc: str, protocol: str = "", execution: Execution = Execution()
) -> dict[Key, TrainedFit]:
    """Train one baseline once per fit, with settings chosen by inner folds of `protocol`; an empty one means no choice."""
    code = code_version.version(BASELINES[name].make, "ser_utils.models.baselines")
    names = {key: cache.key(code=code, fit=joblib.hash(_baseline_fit(name, data, fit, protocol))) for key, fit in fits.items()}
    results = {key: cache.load("fits", entry) for key, entry in names.items()}
    missing = [key for key, arrays in results.items() if arrays is None]
    tasks = ((_baseline_fit(name, data, fits[key], protocol),) for key in missing)
    jobs = parallel_map(fit_baseline, tasks, execution=execution)
    jobs = progress(jobs, total=len(fits), done=len(fits) - len(missing), desc=desc, unit="fit")
    for key, probabilities in zip(missing, jobs, strict=True):
        results[key] = {"probabilities": probabilities}
        cache.save("fits", names[key], results[key])
    return {key: (fit, FitResult(0, results[key]["probabilities"], pd.DataFrame(), [], None)) for key, fit in fits.items()}


def _baseline_fit(name: str, data: Data, fit: Fit, protocol: str) -> BaselineFit:
    """Return the rows of a fit for a baseline."""
    entry, rows = BASELINES[name], data.rows.iloc[fit.train]
    # a fold's random numbers are independent of other folds
    seed = int(np.random.SeedSequence([fit.seed, int(fit.test[0])]).generate_state(1)[0]) if entry.random else 0
    return BaselineFit(
        name=name,
        x=data.x[fit.train],
        y=data.y[fit.train],
        test=data.x[fit.test],
        groups=inner_groups_of_corpus(rows, protocol)[1] if entry.grid and protocol else np.empty(0, str),
        extra=is_extra(rows),
        n_classes=len(data.classes),
        seed=seed,
    )
