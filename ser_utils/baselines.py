"""What a network must beat: guessing, the largest class, and classical models from scikit-learn, on the same folds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from scipy.special import softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from ser_utils.errors import StudyError
from ser_utils.experiment import Data, Key, System, fits_of, prediction_table
from ser_utils.guard import check_fit, check_scaler
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
"""Guessing, the largest class of training, and three that learn: the last choose their C by inner leave-one-speaker-out."""


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
) -> pd.DataFrame:
    """Predictions of one baseline under one protocol, as `ser_utils.experiment.prediction_table` gives them.

    A classifier without randomness runs for the first seed alone. Probabilities are those of the classifier, or a
    softmax of its decision values where it has none.
    """
    seeds = list(folds) if BASELINES[name].random else list(folds)[:1]
    fits = fits_of({seed: folds[seed] for seed in seeds}, data, augmented=False)
    for fit in fits.values():
        check_fit(data.rows, protocol=protocol, train=fit.train, test=fit.test)
    jobs = Parallel(n_jobs=n_jobs, return_as="generator")(delayed(_fit)(name, data, fit) for fit in fits.values())
    done = progress(jobs, total=len(fits), desc=f"{protocol} {name} {speaker_norm}", unit="fit")
    fitted: dict[Key, tuple[Fit, Fitted]] = {key: (fit, one) for (key, fit), one in zip(fits.items(), done, strict=True)}
    return prediction_table(fitted, data, System(name, features, speaker_norm), protocol)


def _fit(name: str, data: Data, fit: Fit) -> Fitted:
    """Fit one classifier, its settings chosen by inner leave-one-speaker-out among the training speakers."""
    drawn = int(np.random.SeedSequence([fit.seed, int(fit.test[0])]).generate_state(1)[0])  # of its own in each fold
    entry, pipe = BASELINES[name], make_pipeline(StandardScaler(), BASELINES[name].make(drawn))
    x, y, rows = data.x[fit.train], data.y[fit.train], data.rows.iloc[fit.train]
    if entry.grid:
        inner = list(LeaveOneGroupOut().split(x, y, rows.speaker))
        for train, held_out in inner:
            check_fit(rows, protocol="speaker", train=train, test=held_out)
        grid = {f"{pipe.steps[-1][0]}__{key}": values for key, values in entry.grid.items()}
        pipe = GridSearchCV(pipe, grid, scoring="balanced_accuracy", cv=inner).fit(x, y).best_estimator_
    else:
        pipe.fit(x, y)
    check_scaler(pipe[0], x)
    if entry.random:  # its probabilities are all alike: what it says is drawn
        chances = np.eye(len(data.classes))[pipe.predict(data.x[fit.test])]
    elif hasattr(pipe, "predict_proba"):
        chances = pipe.predict_proba(data.x[fit.test])
    else:
        decided = pipe.decision_function(data.x[fit.test])
        chances = softmax(np.c_[-decided, decided] if decided.ndim == 1 else decided, axis=1)  # two classes have one value
    return Fitted(0, chances, pd.DataFrame(), [], pipe[0])
