"""The registered baselines: trivial and classical scikit-learn classifiers, with the settings that inner folds choose among."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ser_utils.core.errors import StudyError
from ser_utils.evaluation.leakage import check_scaler
from ser_utils.evaluation.metrics import uar

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class Baseline:
    """A scikit-learn classifier and its settings."""

    make: Callable[[int], object]
    """Function that returns an unfitted classifier for a seed."""
    grid: Mapping[str, list]
    """Values of each parameter among which inner folds choose; empty for none."""
    random: bool = False
    """Whether predictions depend on the seed."""


def _chance(seed: int) -> object:
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy="uniform", random_state=seed)


def _majority(seed: int) -> object:
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy="most_frequent")


def _logistic_regression(seed: int) -> object:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(class_weight="balanced", max_iter=300)


def _svm(seed: int) -> object:
    from sklearn.svm import SVC

    return SVC(kernel=_rbf_kernel, class_weight="balanced")


def _rbf_kernel(x: np.ndarray, training: np.ndarray) -> np.ndarray:
    """Compute scikit-learn's default kernel by matrix products, which takes a third of the time of libsvm's loops."""
    from sklearn.metrics.pairwise import rbf_kernel

    return rbf_kernel(x, training, gamma=1 / (training.shape[1] * (training.var() or 1)))


def _lda(seed: int) -> object:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")


BASELINES = {
    "chance": Baseline(_chance, {}, random=True),
    "majority": Baseline(_majority, {}),
    "logistic_regression": Baseline(_logistic_regression, {"C": [0.001, 0.01, 0.1]}),
    "svm": Baseline(_svm, {"C": [0.3, 1, 3, 10]}),
    "lda": Baseline(_lda, {}),
}
"""Random guessing, the most frequent class of the training rows, and three classical classifiers."""


def check_baselines(names: list[str]) -> None:
    """Raise `StudyError` if a name is not in `BASELINES`."""
    if unknown := [name for name in names if name not in BASELINES]:
        raise StudyError(f"Unknown {unknown[0]!r} in BASELINES: expected some of {', '.join(BASELINES)}.")


def inner_folds(groups: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return training and held-out row numbers for each group; rows with an empty group are always training rows."""
    return [(np.flatnonzero(groups != name), np.flatnonzero(groups == name)) for name in np.unique(groups) if name]


@dataclass(frozen=True)
class BaselineFit:
    """Training and test rows of a baseline, with features as extracted."""

    name: str
    """A name in `BASELINES`."""
    x: np.ndarray
    """Training rows [shape=(n_rows, n_features)]."""
    y: np.ndarray
    """Their class numbers [shape=(n_rows,)]."""
    test: np.ndarray
    """Test rows [shape=(n_test, n_features)]."""
    groups: np.ndarray
    """Group of each training row for the inner folds (see `inner_folds`); empty for no choice of settings."""
    extra: np.ndarray
    """Whether each training row is from an extra corpus and thereby standardised already [shape=(n_rows,), dtype=bool]."""
    n_classes: int
    seed: int


def fit_baseline(fit: BaselineFit) -> np.ndarray:
    """Fit a baseline, with settings chosen by inner folds, and predict the test rows.

    Returns
    -------
    np.ndarray [shape=(n_test, n_classes)]
        Probabilities; 0 for a class without training rows.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from ser_utils.models.corpus_scaler import CorpusScaler

    entry, has_extra, x, test = BASELINES[fit.name], fit.extra.any(), fit.x, fit.test
    if has_extra:
        x, test = np.c_[x, fit.extra.astype(x.dtype)], np.c_[test, np.zeros(len(test), x.dtype)]
    pipeline = make_pipeline(CorpusScaler() if has_extra else StandardScaler(), entry.make(fit.seed))
    pipeline = _fit_pipeline(pipeline, entry.grid, x, fit.y, fit.groups)
    check_scaler(pipeline[0].scaler_ if has_extra else pipeline[0], fit.x[~fit.extra])
    if entry.random:  # the probabilities of all classes are equal, but the predicted class is random
        return np.eye(fit.n_classes)[pipeline.predict(test)]
    of_trained_classes = _class_probabilities(pipeline, test)
    probabilities = np.zeros((len(test), fit.n_classes), of_trained_classes.dtype)
    probabilities[:, pipeline.classes_] = of_trained_classes
    return probabilities


def _fit_pipeline(pipeline: Pipeline, grid: Mapping[str, list], x: np.ndarray, y: np.ndarray, groups: np.ndarray) -> Pipeline:
    """Fit with the settings that have the highest mean UAR on the inner folds, or with the defaults without inner folds."""
    from sklearn.metrics import make_scorer
    from sklearn.model_selection import GridSearchCV

    folds = [(train, held_out) for train, held_out in inner_folds(groups) if len(np.unique(y[train])) > 1]
    if not folds:
        return pipeline.fit(x, y)
    grid = {f"{pipeline.steps[-1][0]}__{parameter}": values for parameter, values in grid.items()}
    return GridSearchCV(pipeline, grid, scoring=make_scorer(uar), cv=folds).fit(x, y).best_estimator_


def _class_probabilities(pipeline: Pipeline, x: np.ndarray) -> np.ndarray:
    """Return probabilities, or a softmax of the decision values if the classifier has no probabilities."""
    from scipy.special import softmax

    if hasattr(pipeline, "predict_proba"):
        return pipeline.predict_proba(x)
    values = pipeline.decision_function(x)
    return softmax(np.c_[-values, values] if values.ndim == 1 else values, axis=1)  # two classes have a single value
