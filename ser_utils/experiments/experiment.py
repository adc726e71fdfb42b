"""One system under one protocol: choose settings, check for leakage, train, and collect the predictions."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace

import pandas as pd

from ser_utils.core.parallel import Execution
from ser_utils.core.tables import PREDICTION_COLUMNS
from ser_utils.evaluation.leakage import check_fit
from ser_utils.experiments.data import Data
from ser_utils.experiments.fits import Key, TrainedFit, fit_system, make_fits, with_defaults
from ser_utils.experiments.selection import FoldKey, Selection, select_settings
from ser_utils.experiments.systems import RunSettings, System
from ser_utils.models.registry import build_network, get_model, with_random_search


@dataclass
class Result:
    """Result of a system under one protocol."""

    fitted: dict[Key, TrainedFit]
    """By (seed, fold)."""
    selection: pd.DataFrame
    """`Selection.table`; empty if nothing was chosen."""
    curves: pd.DataFrame
    """Learning curves: seed, fold, epoch, loss, accuracy, val_loss, val_accuracy, val_uar."""
    inner: dict[FoldKey, list[TrainedFit]]
    """`Selection.inner`: the inner fits with the chosen settings; empty if nothing was chosen."""


def run_protocol(
    system: System,
    data: Data,
    folds: Mapping[int, pd.DataFrame],
    *,
    protocol: str,
    settings: RunSettings = RunSettings(),
    execution: Execution = Execution(),
) -> Result:
    """Train and test one system under one protocol, after every fit has passed the leakage check.

    Under the main protocol, inner folds of the training rows choose settings and epochs (see
    `ser_utils.experiments.selection.select_settings`). Under ``as_published``, the loss of the validation rows stops each
    fold early, as in the original study. Other protocols use the network's defaults and choose nothing.

    Parameters
    ----------
    data : Data
        From `ser_utils.experiments.data.load_data`, with the system's features and normalisation.
    folds : mapping
        Seed to folds, from `ser_utils.evaluation.folds.folds_by_seed`.
    protocol : str
        A name in `ser_utils.evaluation.protocols.PROTOCOLS`.

    Raises
    ------
    ser_utils.evaluation.leakage.LeakError
        A fit violates the separation that the protocol declares.
    StudyError
        The model's function does not build a network for these features and emotions.
    """
    build_network(system.model, len(data.names), len(data.classes), **get_model(system.model).choices[0])
    entry = with_random_search(get_model(system.model), settings.search)
    augmented = protocol == "as_published" or (entry.augmented if settings.augmented is None else settings.augmented)
    if augmented and not entry.augmented:  # as many training steps as without augmentation
        entry = replace(entry, max_epochs=round(entry.max_epochs * data.is_original.mean()))
    fits = make_fits(folds, data, augmented=augmented)
    if protocol == settings.main:
        selection = select_settings(
            system, data, fits, entry, protocol=protocol, batch_size=settings.batch_size, execution=execution
        )
    else:
        selection = Selection(with_defaults(fits, entry, stop_early=protocol == "as_published"))
    for fit in selection.fits.values():
        seen = {"early stopping": fit.validation} if fit.validation is not None else None
        check_fit(data.rows, protocol=protocol, train=fit.train, test=fit.test, fitted_on=seen)
    desc = f"{protocol} {system.model} {system.speaker_norm}"
    fitted = fit_system(system, data, selection.fits, batch_size=settings.batch_size, execution=execution, desc=desc)
    curves = selection.curves
    if protocol == "as_published":
        curves = pd.concat([result.history.assign(seed=seed, fold=fold) for (seed, fold), (_, result) in fitted.items()])
    return Result(fitted, selection.table, curves, selection.inner)


def run_protocols(
    system: System,
    data: Data,
    folds: Mapping[str, Mapping[int, pd.DataFrame]],
    *,
    settings: RunSettings = RunSettings(),
    execution: Execution = Execution(),
) -> dict[str, Result]:
    """Call `run_protocol` for several protocols, two at a time, so that no process idles during a protocol's last fits.

    `folds` maps each protocol to its folds, as in `run_protocol`; the returned dict has the same order.
    """
    longest_first = sorted(folds, key=lambda name: (name == settings.main, len(folds[name][min(folds[name])])), reverse=True)
    with ThreadPoolExecutor(2) as pool:
        started = {
            name: pool.submit(run_protocol, system, data, folds[name], protocol=name, settings=settings, execution=execution)
            for name in longest_first
        }
        try:
            return {name: started[name].result() for name in folds}
        except BaseException:
            pool.shutdown(cancel_futures=True)  # after an error or an interruption, protocols that wait do not start
            raise


def prediction_table(fitted: Mapping[Key, TrainedFit], data: Data, system: System, protocol: str) -> pd.DataFrame:
    """Make the table of predictions, a row per test row.

    Under ``as_published`` only the last fold's model is kept and tested, as in the original study.

    Returns
    -------
    pd.DataFrame
        `PREDICTION_COLUMNS`, then the probabilities ``p_<emotion>``, from 0 to 1.
    """
    last = max(fold for _, fold in fitted)
    tables = []
    for (seed, fold), (fit, result) in fitted.items():
        if protocol == "as_published" and fold != last:
            continue
        table = data.rows.iloc[fit.test].assign(
            protocol=protocol,
            **asdict(system),
            seed=seed,
            fold=fold,
            predicted=[data.classes[i] for i in result.probabilities.argmax(axis=1)],
        )
        columns = [f"p_{name}" for name in data.classes]
        probabilities = pd.DataFrame(result.probabilities.round(4), index=table.index, columns=columns)
        tables.append(table[PREDICTION_COLUMNS].join(probabilities))
    return pd.concat(tables, ignore_index=True)


def cross_validation(fitted: Mapping[Key, TrainedFit]) -> pd.DataFrame:
    """Make ``cross_validation.csv``: the kept epoch of each fold with the loss and accuracy of its validation rows.

    Returns
    -------
    pd.DataFrame [columns=seed, fold, epochs, loss, accuracy]
    """
    rows = []
    for key, (_, result) in fitted.items():
        measured = result.history.set_index("epoch").loc[result.epochs]
        rows.append((*key, result.epochs, measured.val_loss, measured.val_accuracy))
    return pd.DataFrame(rows, columns=["seed", "fold", "epochs", "loss", "accuracy"])
