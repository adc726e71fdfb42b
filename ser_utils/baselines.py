"""What a network must beat: guessing, the largest class, and classical models from scikit-learn, on the same folds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from ser_utils import cache, code
from ser_utils.errors import StudyError
from ser_utils.experiment import Data, Key, System, fits_of, own_groups, prediction_table
from ser_utils.guard import check_fit, check_scaler, is_extra
from ser_utils.metrics import uar
from ser_utils.parallel import each
from ser_utils.progress import progress
from ser_utils.training import Fit, Fitted


@dataclass(frozen=True)
class Baseline:
    """A classifier, and the settings among which inner folds choose."""

    make: Callable[[int], object]
    """From a seed to a scikit-learn classifier."""
    grid: Mapping[str, list]
    random: bool = False


BASELINES = {
    "chance": Baseline(lambda seed: DummyClassifier(strategy="uniform", random_state=seed), {}, random=True),
    "majority": Baseline(lambda seed: DummyClassifier(strategy="most_frequent"), {}),
    "logistic_regression": Baseline(
        lambda seed: LogisticRegression(class_weight="balanced", max_iter=300), {"C": [0.001, 0.01, 0.1]}
    ),
    "svm": Baseline(lambda seed: SVC(class_weight="balanced"), {"C": [0.3, 1, 3, 10]}),
    "lda": Baseline(lambda seed: LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"), {}),
}
"""Guessing, the largest class of training, and three that learn: the last choose their C by inner folds."""


def check(names: list[str]) -> None:
    """Raise `StudyError` where a name is not among the baselines."""
    if unknown := [name for name in names if name not in BASELINES]:
        raise StudyError(f"Unknown {unknown[0]!r} in BASELINES: expected some of {', '.join(BASELINES)}.")


def run_baseline(
    name: str,
    data: Data,
    folds: Mapping[int, pd.DataFrame],
    *,
    protocol: str,
    features: str,
    speaker_norm: str,
    n_jobs: int = 1,
    scheduler: str = "",
) -> pd.DataFrame:
    """Predictions of one baseline under one protocol, as `ser_utils.experiment.prediction_table` gives them.

    A classifier without randomness runs for the first seed alone. Probabilities are those of the classifier, or a
    softmax of its decision values where it has none. What was fitted before is taken from the cache (`ser_utils.cache`).
    """
    seeds = list(folds) if BASELINES[name].random else list(folds)[:1]
    fits = fits_of({seed: folds[seed] for seed in seeds}, data, augmented=False)
    for fit in fits.values():
        check_fit(data.rows, protocol=protocol, train=fit.train, test=fit.test)
        if BASELINES[name].grid:
            _check_inner(data, fit, protocol)
    how = {"n_jobs": n_jobs, "scheduler": scheduler, "desc": f"{protocol} {name} {speaker_norm}"}
    return prediction_table(
        fit_each(name, data, fits, protocol=protocol, **how), data, System(name, features, speaker_norm), protocol
    )


def fit_each(
    name: str, data: Data, fits: Mapping[Key, Fit], *, desc: str, protocol: str = "", n_jobs: int = 1, scheduler: str = ""
) -> dict[Key, tuple[Fit, Fitted]]:
    """Train one baseline for each fit, which has passed the guard; with a protocol, its inner folds choose settings."""
    chances: dict[Key, np.ndarray] = {}
    tasks = {}
    for key, fit in fits.items():
        # randomness of its own in each fold
        seed = int(np.random.SeedSequence([fit.seed, int(fit.test[0])]).generate_state(1)[0]) if BASELINES[name].random else 0
        search = BASELINES[name].grid and protocol
        _, groups = own_groups(data.rows.iloc[fit.train], protocol) if search else ("", np.empty(0, str))
        arrays = {"x": data.x[fit.train], "y": data.y[fit.train], "test": data.x[fit.test]}
        extra = is_extra(data.rows)[fit.train]
        how = {"name": name, "seed": seed, "groups": groups.tolist(), "n": len(data.classes)}
        entry = cache.key(code=code.version(__name__), **how, extra=extra, **arrays)
        if (kept := cache.load("fits", entry)) is not None:
            chances[key] = kept["probabilities"]
        else:
            tasks[key] = (entry, (name, *arrays.values(), groups, extra, len(data.classes), seed))
    jobs = each(_fit, (task for _, task in tasks.values()), n_jobs=n_jobs, scheduler=scheduler)
    jobs = progress(jobs, total=len(fits), done=len(chances), desc=desc, unit="fit")
    for (key, (entry, _)), found in zip(tasks.items(), jobs, strict=True):
        cache.save("fits", entry, {"probabilities": found})
        chances[key] = found
    return {key: (fit, Fitted(0, chances[key], pd.DataFrame(), [], None)) for key, fit in fits.items()}


class OwnScaler(TransformerMixin, BaseEstimator):
    """Standardises by the rows of the corpus itself; those of extra corpora, marked 1 in the last column, stay as they are."""

    def fit(self, x: np.ndarray, y: np.ndarray | None = None) -> "OwnScaler":
        self.scaler_ = StandardScaler().fit(x[x[:, -1] == 0, :-1])
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        return np.where(x[:, -1:] == 0, self.scaler_.transform(x[:, :-1]), x[:, :-1])


def _inner(groups: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Inner folds: rows of training and of the group held out, for each group but the empty one, which always trains."""
    return [(np.flatnonzero(groups != name), np.flatnonzero(groups == name)) for name in np.unique(groups) if name]


def _check_inner(data: Data, fit: Fit, protocol: str) -> None:
    """The leak guard over the inner folds in which a setting is chosen."""
    rows = data.rows.iloc[fit.train]
    boundary, groups = own_groups(rows, protocol)
    for train, held_out in _inner(groups):
        check_fit(rows, protocol=boundary, train=train, test=held_out)


def _fit(
    name: str,
    x: np.ndarray,
    y: np.ndarray,
    test: np.ndarray,
    groups: np.ndarray,
    extra: np.ndarray,
    n_classes: int,
    seed: int,
) -> np.ndarray:
    """Fit one classifier, its settings chosen by leaving out each of the groups of training rows in turn.

    Returns
    -------
    np.ndarray [shape=(n_test, n_classes)]
        Probabilities of the test rows; 0 for a class that training lacks.
    """
    entry, own = BASELINES[name], x[~extra]
    if extra.any():
        x, test = np.c_[x, extra.astype(x.dtype)], np.c_[test, np.zeros(len(test), x.dtype)]
    pipe = make_pipeline(OwnScaler() if extra.any() else StandardScaler(), entry.make(seed))
    inner = [(train, held) for train, held in _inner(groups) if len(np.unique(y[train])) > 1]  # of one class nothing is learned
    if inner:
        grid = {f"{pipe.steps[-1][0]}__{key}": values for key, values in entry.grid.items()}
        pipe = GridSearchCV(pipe, grid, scoring=make_scorer(uar), cv=inner).fit(x, y).best_estimator_
    else:
        pipe.fit(x, y)
    check_scaler(pipe[0].scaler_ if extra.any() else pipe[0], own)
    if entry.random:  # its probabilities are all alike: what it says is drawn
        return np.eye(n_classes)[pipe.predict(test)]
    if hasattr(pipe, "predict_proba"):
        heard = pipe.predict_proba(test)
    else:
        decided = pipe.decision_function(test)
        heard = softmax(np.c_[-decided, decided] if decided.ndim == 1 else decided, axis=1)  # two classes have one value
    found = np.zeros((len(test), n_classes), heard.dtype)
    found[:, pipe.classes_] = heard
    return found
