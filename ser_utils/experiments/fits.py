"""Fits of one system: made from folds, trained, and applied to other features."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np
import pandas as pd

from ser_utils.core.parallel import Execution
from ser_utils.evaluation.folds import iter_folds
from ser_utils.evaluation.leakage import is_extra
from ser_utils.evaluation.protocols import TEST, VALIDATION
from ser_utils.experiments.data import Data
from ser_utils.experiments.systems import System
from ser_utils.models.registry import Model, build_network, get_model, scaled
from ser_utils.models.training import Fit, FitResult, fit_all

Key = tuple[int, int]
"""Seed and fold of a fit."""
TrainedFit = tuple[Fit, FitResult]
Name = TypeVar("Name")


def make_fits(folds: Mapping[int, pd.DataFrame], data: Data, *, augmented: bool) -> dict[Key, Fit]:
    """Make a fit of each fold that tests any row of `data`; with `augmented`, augmented variants are training rows.

    Parameters
    ----------
    folds : mapping
        Seed to folds, from `ser_utils.evaluation.folds.folds_by_seed`.

    Returns
    -------
    dict
        (seed, fold) to its fit.
    """
    fits = {}
    for seed, table in folds.items():
        for fold, roles in iter_folds(table, data.rows):
            train = roles["train"] if augmented else roles["train"][data.is_original[roles["train"]]]
            if len(roles[TEST]):
                fits[seed, fold] = Fit(
                    train=train,
                    test=roles[TEST],
                    seed=seed,
                    validation=roles[VALIDATION] if len(roles[VALIDATION]) else None,
                    extra_rows=_extra_rows(train, data),
                )
    return fits


def _extra_rows(train: np.ndarray, data: Data) -> np.ndarray | None:
    """Return the training rows that belong to extra corpora; None if there are none."""
    extra = train[is_extra(data.rows)[train]]
    return extra if len(extra) else None


def with_defaults(fits: Mapping[Key, Fit], entry: Model, *, stop_early: bool = False) -> dict[Key, Fit]:
    """Set a network's default settings and epochs; with early stopping, its largest number of epochs."""
    epochs = entry.max_epochs if stop_early else entry.epochs
    return {
        key: replace(fit, epochs=epochs, stop_early=stop_early, settings=entry.choices[0], keep_weights=False)
        for key, fit in fits.items()
    }


def fit_system(
    system: System,
    data: Data,
    fits: Mapping[Name, Fit],
    *,
    batch_size: int,
    desc: str,
    group: Callable[[Name], str] = lambda name: "",
    execution: Execution = Execution(),
) -> dict[Name, TrainedFit]:
    """Train a system's network once per fit; the fits have passed `ser_utils.evaluation.leakage.check_fit`.

    Parameters
    ----------
    batch_size : int
        Rows per training step; 0 for the network's default on a corpus of this size.
    group : callable
        Name of a fit to its group, see `ser_utils.models.training.fit_all`.

    Returns
    -------
    dict
        Name of each fit to the fit and its result.
    """
    if get_model(system.model).sequences:  # an epoch contains each training clip once, in one of its variants
        fits = {name: replace(fit, rows_per_epoch=int(data.is_original[fit.train].sum())) for name, fit in fits.items()}
    results = fit_all(
        system.model,
        data.x,
        data.y,
        list(fits.values()),
        n_classes=len(data.classes),
        batch_size=batch_size or scaled(get_model(system.model), data.n_clips).batch_size,
        execution=execution,
        desc=desc,
        groups=[group(name) for name in fits],
    )
    return {name: (fit, result) for (name, fit), result in zip(fits.items(), results, strict=True)}


def predict_probabilities(system: System, data: Data, fit: Fit, result: FitResult, x: np.ndarray) -> np.ndarray:
    """Predict class probabilities [shape=(n, n_classes)] of features [shape=(n, ...)] of the same kind as `data.x`."""
    network = _reused_network(system.model, len(data.names), len(data.classes), tuple(sorted(fit.settings.items())))
    network.set_weights(result.weights)
    x = [result.scaler.transform(clip) for clip in x] if x.dtype == object else result.scaler.transform(x)
    return np.asarray(network(as_input(x)))


@functools.lru_cache(maxsize=4)
def _reused_network(model: str, n_features: int, n_classes: int, settings: tuple):
    """Build a network whose weights are replaced for each fit, as building takes longer than predicting."""
    return build_network(model, n_features, n_classes, **dict(settings))


def as_input(x: np.ndarray | list[np.ndarray]) -> np.ndarray:
    """Return features as a network's input: rows unchanged, sequences padded and with a mask (see `ser_utils.models`)."""
    from ser_utils.models.sequences import pad_sequences

    return pad_sequences(list(x)) if isinstance(x, list) or x.dtype == object else x


def network_of(system: System, data: Data, fit: Fit, result: FitResult):
    """Return the fitted network as a `keras.Model` that takes features as in `data.x` and normalises them itself."""
    from ser_utils.models.saved_model import with_normalisation

    network = build_network(system.model, len(data.names), len(data.classes), **fit.settings)
    network.set_weights(result.weights)
    return with_normalisation(network, result.scaler.mean_, result.scaler.scale_)


def final_model(system: System, data: Data, *, epochs: int, settings: Mapping, batch_size: int = 0):
    """Train the network that is saved: on every row, for the given number of epochs.

    Returns
    -------
    keras.Model
        Takes features as in `data.x` [shape=(n, n_features)], or padded sequences (see `ser_utils.models`), normalises them,
        and returns probabilities [shape=(n, n_classes)].
    """
    train = np.arange(len(data.rows)) if get_model(system.model).augmented else np.flatnonzero(data.is_original)
    fit = Fit(train=train, seed=0, epochs=epochs, settings=settings, extra_rows=_extra_rows(train, data))
    fit, result = fit_system(system, data, {"all": fit}, batch_size=batch_size, desc="final model")["all"]
    return network_of(system, data, fit, result)
