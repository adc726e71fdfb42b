"""Classical models from scikit-learn and trivial baselines, with the settings that inner folds choose among."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
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

from ser_utils.core.errors import StudyError
from ser_utils.evaluation.leakage import check_scaler
from ser_utils.evaluation.metrics import uar


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


def check_baselines(names: list[str]) -> None:
    """Raise `StudyError` where a name is not among the baselines."""
    if unknown := [name for name in names if name not in BASELINES]:
        raise StudyError(f"Unknown {unknown[0]!r} in BASELINES: expected some of {', '.join(BASELINES)}.")


class CorpusScaler(TransformerMixin, BaseEstimator):
    """Standardises by the rows of the corpus itself; those of extra corpora, marked 1 in the last column, stay as they are."""

    def fit(self, x: np.ndarray, y: np.ndarray | None = None) -> "CorpusScaler":
        self.scaler_ = StandardScaler().fit(x[x[:, -1] == 0, :-1])
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        return np.where(x[:, -1:] == 0, self.scaler_.transform(x[:, :-1]), x[:, :-1])


def inner_folds(groups: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Inner folds: rows of training and of the group held out, for each group but the empty one, which always trains."""
    return [(np.flatnonzero(groups != name), np.flatnonzero(groups == name)) for name in np.unique(groups) if name]


def fit_baseline(
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
    pipe = make_pipeline(CorpusScaler() if extra.any() else StandardScaler(), entry.make(seed))
    inner = [
        (train, held) for train, held in inner_folds(groups) if len(np.unique(y[train])) > 1
    ]  # of one class nothing is learned
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
