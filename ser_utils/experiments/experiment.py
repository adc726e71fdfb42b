"""One system under several protocols: choose settings, check for leakage, train, and collect the predictions."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from operator import itemgetter

import pandas as pd

from ser_utils.core.parallel import Execution
from ser_utils.core.tables import PREDICTION_COLUMNS
from ser_utils.evaluation.leakage import check_fit
from ser_utils.experiments.data import Data
from ser_utils.experiments.fits import Key, TrainedFit, fit_system, make_fits, with_defaults
from ser_utils.experiments.selection import FoldKey, choose_settings, selection_fits
from ser_utils.experiments.systems import RunSettings, System
from ser_utils.models.registry import Model, build_network, get_model, scaled, with_random_search
from ser_utils.models.training import Fit


@dataclass
class Result:
    """Result of a system under one protocol."""

    fitted: dict[Key, TrainedFit]
    """By (seed, fold)."""
    selection: pd.DataFrame = field(default_factory=pd.DataFrame)
    """`ser_utils.experiments.selection.Selection.table`; empty if nothing was chosen."""
    curves: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Learning curves: seed, fold, epoch, loss, accuracy, val_loss, val_accuracy, val_uar; empty without validation rows."""
    inner: dict[FoldKey, list[TrainedFit]] = field(default_factory=dict)
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
    """Call `run_protocols` for one protocol with the given folds by seed."""
    return run_protocols(system, data, {protocol: folds}, settings=settings, execution=execution)[protocol]


def run_protocols(
    system: System,
    data: Data,
    folds: Mapping[str, Mapping[int, pd.DataFrame]],
    *,
    settings: RunSettings = RunSettings(),
    execution: Execution = Execution(),
) -> dict[str, Result]:
    """Train and test one system under each protocol, after every fit has passed the leakage check.

    Under the main protocol, inner folds of the training rows choose settings and epochs (see
    `ser_utils.experiments.selection`). Under ``as_published``, the loss of the validation rows stops each fold early, as in
    the original study. Other protocols use the network's defaults and choose nothing.

    Parameters
    ----------
    data : Data
        From `ser_utils.experiments.data.load_data`, with the system's features and normalisation.
    folds : mapping
        Name of each protocol, in `ser_utils.evaluation.protocols.PROTOCOLS`, to its folds by seed, from
        `ser_utils.evaluation.folds.folds_by_seed`.

    Returns
    -------
    dict
        Name of each protocol to its result.

    Raises
    ------
    ser_utils.evaluation.leakage.LeakError
        A fit violates the separation that the protocol declares.
    StudyError
        The model's function does not build a network for these features and emotions.
    """
    build_network(system.model, len(data.names), len(data.classes), **get_model(system.model).choices[0])
    entries = {name: _entry(system, data, name, settings) for name in folds}
    fits = {name: _checked_fits(data, folds[name], name, augmented=entry.augmented) for name, entry in entries.items()}
    main, how = settings.main, {"batch_size": settings.batch_size, "execution": execution}
    label = f"{system.model} {system.speaker_norm}"
    # All fits that wait for no choice are trained together, so that no core is idle during the last fits of a protocol.
    first = {
        (name, key): fit
        for name in folds
        if name != main
        for key, fit in with_defaults(fits[name], entries[name], stop_early=name == "as_published").items()
    }
    if main in folds:
        inner = selection_fits(fits[main], data, entries[main], protocol=main)
        first |= {("inner folds", key): fit for key, fit in inner.items()}
    trained: dict[str, dict] = {}
    for (name, key), pair in fit_system(system, data, first, desc=label, group=itemgetter(0), **how).items():
        trained.setdefault(name, {})[key] = pair
    results = {name: Result(trained[name]) for name in folds if name != main}
    if "as_published" in results:
        fitted = results["as_published"].fitted
        histories = [done.history.assign(seed=seed, fold=fold) for (seed, fold), (_, done) in fitted.items()]
        results["as_published"].curves = pd.concat(histories)
    if main in folds:
        chosen = choose_settings(fits[main], trained["inner folds"], data, entries[main], protocol=main)
        fitted = fit_system(system, data, chosen.fits, desc=f"{label} {main}", group=lambda _: main, **how)
        results[main] = Result(fitted, chosen.table, chosen.curves, chosen.inner)
    return {name: results[name] for name in folds}


def _entry(system: System, data: Data, protocol: str, settings: RunSettings) -> Model:
    """Return the registry entry of the network, with the settings of a run under one protocol."""
    entry = scaled(with_random_search(get_model(system.model), settings.search), data.n_clips)
    augmented = entry.augmented if settings.augmented is None else settings.augmented
    augmented = augmented or protocol == "as_published"
    if augmented and not entry.augmented:  # as many training steps as without augmentation
        entry = replace(entry, max_epochs=round(entry.max_epochs * data.is_original.mean()))
    return replace(entry, augmented=augmented)


def _checked_fits(data: Data, folds: Mapping[int, pd.DataFrame], protocol: str, *, augmented: bool) -> dict[Key, Fit]:
    """Make the fits of a protocol, and check each for leakage."""
    fits = make_fits(folds, data, augmented=augmented)
    for fit in fits.values():
        seen = {"early stopping": fit.validation} if fit.validation is not None else None
        check_fit(data.rows, protocol=protocol, train=fit.train, test=fit.test, fitted_on=seen)
    return fits


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
