"""Selection of settings and epochs by inner folds, which use nothing but the training rows of a fold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from ser_utils.core.tables import ORIGINAL
from ser_utils.evaluation.folds import inner_groups
from ser_utils.evaluation.leakage import check_fit, is_extra
from ser_utils.evaluation.protocols import PROTOCOLS
from ser_utils.experiments.data import Data
from ser_utils.experiments.fits import Key, TrainedFit
from ser_utils.models.registry import Model
from ser_utils.models.training import Fit, chosen_epochs

FoldKey = int | Key
"""A fold; (seed, fold) if each seed has folds of its own."""


@dataclass
class Selection:
    """Fits with their settings and epochs, and the inner folds that chose them."""

    fits: dict[Key, Fit]
    table: pd.DataFrame
    """Columns fold, test_speaker, settings, epochs, inner_score, chosen; first a column seed if each seed has folds of its
    own."""
    curves: pd.DataFrame
    """Learning curves of the inner fits with the chosen settings."""
    inner: dict[FoldKey, list[TrainedFit]]
    """These inner fits, by `selection_key`."""


class InnerFit(NamedTuple):
    """Name of an inner fit."""

    fold: FoldKey
    choice: int
    """Index into `Model.choices`."""
    seed: int
    held_out: str


def selection_key(key: Key, protocol: str) -> FoldKey:
    """Return which fits share one selection: those of a fold, or of (seed, fold) if each seed has folds of its own."""
    return key if PROTOCOLS[protocol].is_random else key[1]


def selection_fits(fits: Mapping[Key, Fit], data: Data, entry: Model, *, protocol: str) -> dict[InnerFit, Fit]:
    """Make the inner fits that choose settings and epochs for each fold of the main protocol.

    Each inner fold leaves out one training speaker, or another group (see `ser_utils.evaluation.folds.inner_groups`). Each
    choice of settings is trained on the rest and scored after each epoch on the original clips that are left out, with
    `Model.selection_seeds` seeds.
    """
    deciding = {key for keys in _keys_by_fold(fits, protocol).values() for key in keys[: entry.selection_seeds]}
    return {
        InnerFit(selection_key(key, protocol), choice, key[0], held_out): replace(fit, settings=settings)
        for key, outer in fits.items()
        if key in deciding
        for choice, settings in enumerate(entry.choices)
        for held_out, fit in inner_fits(outer, data.rows, entry.max_epochs, protocol=protocol).items()
    }


def _keys_by_fold(fits: Mapping[Key, Fit], protocol: str) -> dict[FoldKey, list[Key]]:
    """Return the fits that share each selection."""
    keys_by_fold: dict[FoldKey, list[Key]] = {}
    for key in sorted(fits):
        keys_by_fold.setdefault(selection_key(key, protocol), []).append(key)
    return keys_by_fold


def choose_settings(
    fits: Mapping[Key, Fit], trained: Mapping[InnerFit, TrainedFit], data: Data, entry: Model, *, protocol: str
) -> Selection:
    """Choose settings and epochs for each fold by the trained fits of `selection_fits`.

    The choice and the epoch with the highest score are taken: the mean UAR over inner folds and seeds, smoothed over five
    epochs.
    """
    chosen, rows, curves, kept = dict(fits), [], [], {}
    for fold, keys in sorted(_keys_by_fold(fits, protocol).items()):
        scores = [
            chosen_epochs([result for name, (_, result) in trained.items() if name[:2] == (fold, choice)])
            for choice in range(len(entry.choices))
        ]
        best = int(np.argmax([score for _, score in scores]))
        seed, number = keys[0]
        columns = {"seed": seed} if PROTOCOLS[protocol].is_random else {}
        columns |= {"fold": number, "test_speaker": " ".join(data.rows.speaker.iloc[fits[keys[0]].test].unique())}
        rows += [columns | row for row in _rows_of_choices(entry.choices, scores, best)]
        best_fits = {name: pair for name, pair in trained.items() if name[:2] == (fold, best)}
        for name, (_, result) in best_fits.items():
            curves.append(result.history.assign(seed=name.seed, fold=number, held_out=name.held_out))
        kept[fold] = list(best_fits.values())
        chosen |= {key: replace(fits[key], epochs=scores[best][0], settings=entry.choices[best]) for key in keys}
    return Selection(chosen, pd.DataFrame(rows), pd.concat(curves), kept)


def _rows_of_choices(choices: Sequence[Mapping], scores: list[tuple[int, float]], best: int) -> list[dict]:
    """Make the rows of `Selection.table` for one fold: each choice with its epochs and its score."""
    return [
        {
            "settings": ", ".join(f"{name} {value}" for name, value in settings.items()) or "as built",
            "epochs": epochs,
            "inner_score": score,
            "chosen": choice == best,
        }
        for choice, (settings, (epochs, score)) in enumerate(zip(choices, scores, strict=True))
    ]


def inner_groups_of_corpus(rows: pd.DataFrame, protocol: str) -> tuple[str, np.ndarray]:
    """Return `ser_utils.evaluation.folds.inner_groups` of training rows, with an empty group for rows of extra corpora."""
    extra, groups = is_extra(rows), np.full(len(rows), "", object)
    boundary, groups[~extra] = inner_groups(rows[~extra], protocol)
    return boundary, groups.astype(str)


def inner_fits(fit: Fit, rows: pd.DataFrame, epochs: int, *, protocol: str) -> dict[str, Fit]:
    """Make the inner folds of a fit, and check them: each holds out one group of training rows and trains on the rest.

    Only original clips are validation rows, as in a test. Rows of extra corpora are training rows in every inner fold. The
    test rows of `fit` take no part.

    Returns
    -------
    dict
        Name of the group (see `ser_utils.evaluation.folds.inner_groups`) to its fit.
    """
    boundary, groups = inner_groups_of_corpus(rows.iloc[fit.train], protocol)
    original = (rows.variant == ORIGINAL).to_numpy()[fit.train]
    inner = {
        str(name): Fit(
            train=fit.train[groups != name],
            validation=fit.train[(groups == name) & original],
            seed=fit.seed,
            epochs=epochs,
            keep_weights=False,
            extra_rows=fit.extra_rows,
        )
        for name in np.unique(groups[groups != ""])
    }
    for part in inner.values():
        check_fit(rows, protocol=protocol, train=part.train, test=fit.test, fitted_on={"selection": part.validation})
        check_fit(rows, protocol=boundary, train=part.train, test=part.validation)
    return inner
