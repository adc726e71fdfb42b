"""What a network must beat: guessing, the largest class, and classical models from scikit-learn, on the same folds."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ser_utils.core import cache, code_version
from ser_utils.core.parallel import Execution, parallel_map
from ser_utils.core.progress import progress
from ser_utils.evaluation.leakage import check_fit, is_extra
from ser_utils.experiments.experiment import Data, Key, System, inner_groups_of_corpus, make_fits, prediction_table
from ser_utils.models.baselines import BASELINES, fit_baseline, inner_folds
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
    """Predictions of one baseline under one protocol, as `ser_utils.experiments.experiment.prediction_table` gives them.

    A classifier without randomness runs for the first seed alone. Probabilities are those of the classifier, or a
    softmax of its decision values where it has none. What was fitted before is taken from the cache (`ser_utils.core.cache`).
    """
    seeds = list(folds) if BASELINES[name].random else list(folds)[:1]
    fits = make_fits({seed: folds[seed] for seed in seeds}, data, augmented=False)
    for fit in fits.values():
        check_fit(data.rows, protocol=protocol, train=fit.train, test=fit.test)
        if BASELINES[name].grid:
            _check_inner(data, fit, protocol)
    how = {"execution": execution, "desc": f"{protocol} {name} {speaker_norm}"}
    return prediction_table(
        fit_baselines(name, data, fits, protocol=protocol, **how), data, System(name, features, speaker_norm), protocol
    )


def fit_baselines(
    name: str, data: Data, fits: Mapping[Key, Fit], *, desc: str, protocol: str = "", execution: Execution = Execution()
) -> dict[Key, tuple[Fit, FitResult]]:
    """Train one baseline for each fit, which has passed the guard; with a protocol, its inner folds choose settings."""
    chances: dict[Key, np.ndarray] = {}
    tasks = {}
    for key, fit in fits.items():
        # randomness of its own in each fold
        seed = int(np.random.SeedSequence([fit.seed, int(fit.test[0])]).generate_state(1)[0]) if BASELINES[name].random else 0
        search = BASELINES[name].grid and protocol
        _, groups = inner_groups_of_corpus(data.rows.iloc[fit.train], protocol) if search else ("", np.empty(0, str))
        arrays = {"x": data.x[fit.train], "y": data.y[fit.train], "test": data.x[fit.test]}
        extra = is_extra(data.rows)[fit.train]
        how = {"name": name, "seed": seed, "groups": groups.tolist(), "n": len(data.classes)}
        entry = cache.key(code=code_version.version("ser_utils.models.baselines"), **how, extra=extra, **arrays)
        if (kept := cache.load("fits", entry)) is not None:
            chances[key] = kept["probabilities"]
        else:
            tasks[key] = (entry, (name, *arrays.values(), groups, extra, len(data.classes), seed))
    jobs = parallel_map(fit_baseline, (task for _, task in tasks.values()), execution=execution)
    jobs = progress(jobs, total=len(fits), done=len(chances), desc=desc, unit="fit")
    for (key, (entry, _)), found in zip(tasks.items(), jobs, strict=True):
        cache.save("fits", entry, {"probabilities": found})
        chances[key] = found
    return {key: (fit, FitResult(0, chances[key], pd.DataFrame(), [], None)) for key, fit in fits.items()}


def _check_inner(data: Data, fit: Fit, protocol: str) -> None:
    """The leak guard over the inner folds in which a setting is chosen."""
    rows = data.rows.iloc[fit.train]
    boundary, groups = inner_groups_of_corpus(rows, protocol)
    for train, held_out in inner_folds(groups):
        check_fit(rows, protocol=boundary, train=train, test=held_out)
