"""Training runs (fits): their rows, settings and results, and how features are prepared and validation is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

import joblib
import numpy as np
import pandas as pd

from ser_utils.evaluation.leakage import check_scaler
from ser_utils.evaluation.metrics import uar
from ser_utils.models.registry import Model

if TYPE_CHECKING:
    from sklearn.preprocessing import StandardScaler

NOT_TRAINED_ON = {"validation", "test", "keep_weights"}
"""Fields of `Fit` that do not change the weights without early stopping."""


@dataclass
class Fit:
    """One training run: row numbers of the feature table, and settings."""

    train: np.ndarray
    seed: int
    validation: np.ndarray | None = None
    """Rows that are predicted after each epoch."""
    epochs: int = 1
    """Number of epochs; with early stopping, the largest number."""
    stop_early: bool = False
    """Whether the loss of the validation rows stops the training; the weights of the best epoch are kept."""
    test: np.ndarray = field(default_factory=lambda: np.empty(0, int))
    settings: Mapping = field(default_factory=dict)
    """Keyword arguments of `Model.build`."""
    keep_weights: bool = True
    """Whether the result has the weights; few of hundreds of fits need them."""
    rows_per_epoch: int = 0
    """Number of training rows drawn at random for each epoch, for sequence networks only; 0 for all rows."""
    extra_rows: np.ndarray | None = None
    """Those of `train` from extra corpora; they are standardised already, and the scaler does not use or change them."""

    @property
    def measured_rows(self) -> np.ndarray:
        """The validation rows, empty if there are none."""
        return self.train[:0] if self.validation is None else self.validation

    def row_numbers(self) -> dict[str, np.ndarray]:
        """Return the arrays of row numbers that are set, by field."""
        return {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}

    def training_key(self) -> str:
        """Return a hash of all fields that change the weights; fits with the same hash can share one training."""
        unused = set() if self.stop_early else NOT_TRAINED_ON
        return joblib.hash({f.name: getattr(self, f.name) for f in fields(self) if f.name not in unused})


@dataclass
class FitResult:
    """Result of a `Fit`."""

    epochs: int
    """The epoch whose weights are kept, from 1."""
    probabilities: np.ndarray
    """Predictions for the test rows [shape=(n_test, n_classes)]."""
    history: pd.DataFrame
    """Columns epoch, loss, accuracy (during training, with dropout); with validation also val_loss, val_accuracy, val_uar."""
    weights: list[np.ndarray]
    """For `keras.Model.set_weights`; empty without `Fit.keep_weights`."""
    scaler: StandardScaler
    """Fitted on the training rows without those of extra corpora."""
    validation: np.ndarray | None = None
    """Predictions for the validation rows after each epoch [shape=(n_epochs, n_validation, n_classes)]."""
    seconds: float = 0.0
    """Training time without compilation; for fits that are trained together, the mean."""


@dataclass(frozen=True)
class TrainingJob:
    """Fits that one process trains together, and their data."""

    model: Model
    x: np.ndarray
    y: np.ndarray
    trainings: list[list[Fit]]
    """One list per training: the fits that share it and differ only in validation and test rows."""
    n_classes: int
    batch_size: int

    @property
    def build_settings(self) -> tuple:
        """Keyword arguments of `Model.build`, equal for all fits of the job."""
        return tuple(sorted(self.trainings[0][0].settings.items()))


def standardise(x: np.ndarray, fit: Fit) -> tuple[StandardScaler, np.ndarray | list[np.ndarray]]:
    """Return the scaler, and all rows or sequences standardised by it, except those of extra corpora, which do not change.

    The scaler is fitted on the training rows (on all frames of training sequences) without extra corpora, and checked.
    """
    from sklearn.preprocessing import StandardScaler

    rows = x[fit.train if fit.extra_rows is None else np.setdiff1d(fit.train, fit.extra_rows)]
    rows = np.concatenate(rows) if rows.dtype == object else rows
    scaler = StandardScaler().fit(rows)
    check_scaler(scaler, rows)
    extra_rows = set() if fit.extra_rows is None else set(fit.extra_rows.tolist())
    if x.dtype == object:
        return scaler, [(clip if i in extra_rows else scaler.transform(clip)).astype(np.float32) for i, clip in enumerate(x)]
    scaled = scaler.transform(x)
    if extra_rows:
        scaled[fit.extra_rows] = x[fit.extra_rows]
    return scaler, scaled


def loss_weights(entry: Model, y: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Compute the weight of each row in the loss [shape=(n_rows,)], with mean 1 over the training rows.

    In a balanced network, each class of the training rows has the same total weight; else all weights are 1.
    """
    if not entry.balanced:
        return np.ones(len(y), np.float32)
    counts = np.bincount(y[train], minlength=y.max() + 1)
    weight = np.divide(len(train), counts * np.count_nonzero(counts), out=np.ones(len(counts)), where=counts > 0)
    return weight[y].astype(np.float32)


class EpochSelection:
    """The epoch whose weights each of several fits keeps, and whether the fit still trains.

    With early stopping, it is the epoch with the lowest validation loss; else it is the last epoch.
    """

    def __init__(self, fits: list[Fit], entry: Model):
        self.stop_early = np.array([fit.stop_early for fit in fits])
        self.last = np.array([fit.epochs for fit in fits])
        self.patience, self.min_delta = entry.patience, entry.min_delta
        self.best_loss = np.full(len(fits), np.inf)
        self.best = np.ones(len(fits), int)
        self.running = np.full(len(fits), True)

    def update(self, epoch: int, loss: np.ndarray) -> np.ndarray:
        """Take the validation losses after an epoch; return for which fits it is the best so far [shape=(n_fits,)]."""
        improved = self.running & np.where(self.stop_early, loss < self.best_loss - self.min_delta, epoch == self.last)
        self.best_loss = np.where(improved, loss, self.best_loss)
        self.best = np.where(improved, epoch, self.best)
        patient = ~self.stop_early | (epoch - self.best < self.patience)
        self.running = self.running & patient & (epoch < self.last)
        return improved


def validation_losses(probabilities: np.ndarray, measured_rows: list[np.ndarray], y: np.ndarray) -> np.ndarray:
    """Compute the mean loss over the measured rows of each fit [shape=(n_fits,)], 0 if it has none.

    The rows of `probabilities` [shape=(n_fits, n_rows, n_classes)] after the measured ones are padding.
    """
    losses = [cross_entropy(part[: len(rows)], y[rows]) for part, rows in zip(probabilities, measured_rows, strict=True)]
    return np.array([loss.sum() / max(len(loss), 1) for loss in losses])


def cross_entropy(probabilities: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Compute the categorical cross-entropy of each row from probabilities [shape=(..., n_rows, n_classes)]."""
    return -np.log(np.maximum(probabilities[..., np.arange(len(y)), y], 1e-7))


def split_training(training: FitResult, fits: list[Fit], y: np.ndarray) -> list[FitResult]:
    """Return one result per fit from the result of the training that the fits share.

    Parameters
    ----------
    training : FitResult
        `probabilities` and `validation` have the test and validation rows of all fits, one fit after the other.
    fits : list of Fit
    y : np.ndarray [shape=(n_rows,), dtype=int]
        Class numbers.
    """
    tests = _split_rows(training.probabilities, [fit.test for fit in fits])
    validations = _split_rows(training.validation, [fit.measured_rows for fit in fits])
    results = []
    for fit, test, validation in zip(fits, tests, validations, strict=True):
        result = replace(training, probabilities=test, validation=None, weights=training.weights if fit.keep_weights else [])
        if fit.validation is not None:
            result.validation = validation
            result.history = training.history.assign(**_validation_curves(validation, y[fit.validation]))
        results.append(result)
    return results


def _split_rows(probabilities: np.ndarray, rows: list[np.ndarray]) -> list[np.ndarray]:
    """Split probabilities [shape=(..., n_rows, n_classes)] into the parts of several fits; the last rows may be padding."""
    ends = np.cumsum([len(part) for part in rows])
    return [probabilities[..., end - len(part) : end, :] for part, end in zip(rows, ends, strict=True)]


def _validation_curves(probabilities: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the validation columns of the history from probabilities [shape=(n_epochs, n_rows, n_classes)]."""
    predicted = probabilities.argmax(axis=-1)
    return {
        "val_loss": cross_entropy(probabilities, y).mean(axis=1),
        "val_accuracy": (predicted == y).mean(axis=1),
        "val_uar": uar(y, predicted),
    }
