"""Comparison of several networks on the same folds: predictions, selected settings, size and training time."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median

import pandas as pd

from ser_utils.core.errors import StudyError
from ser_utils.core.parallel import Execution
from ser_utils.core.tables import SYSTEM_COLUMNS
from ser_utils.evaluation.statistics import comparison_table
from ser_utils.experiments.data import Data, load_data
from ser_utils.experiments.experiment import Result, prediction_table, run_protocol
from ser_utils.experiments.extra_corpora import join_extra_corpora, usable_extra_corpora
from ser_utils.experiments.systems import RunSettings, System, resolve_feature_set
from ser_utils.features.registry import get_feature_set
from ser_utils.models.registry import MODELS, build_network, get_model


def check_models(names: list[str], search: int = 0) -> None:
    """Raise `StudyError` if a name is unknown or repeated, or if a network has no settings to search."""
    for name in names:
        entry = get_model(name)
        if search and not entry.search:
            raise StudyError(
                f"SEARCH is {search}, but {name!r} in MODELS has no settings to search: set SEARCH to 0, or remove {name!r}."
            )
        if names.count(name) > 1:
            raise StudyError(f"MODELS contains {name!r} twice: name each model once.")


def registered_models(n_classes: int) -> pd.DataFrame:
    """Describe each registered network with its default settings.

    Returns
    -------
    pd.DataFrame [columns=model, features, input, parameters, batch_size, augmented, most_epochs]
        `input` is the size of the input for one clip; `parameters` is the number of trainable parameters.
    """
    rows = []
    for name, entry in MODELS.items():
        n_features = len(get_feature_set(entry.features).names)
        network = build_network(name, n_features, n_classes, **entry.choices[0])
        rows.append(
            {
                "model": name,
                "features": entry.features,
                "input": f"frames x {n_features}" if entry.sequences else str(n_features),
                "parameters": count_parameters(network),
                "batch_size": entry.batch_size,
                "augmented": entry.augmented,
                "most_epochs": entry.max_epochs,
            }
        )
    return pd.DataFrame(rows)


def count_parameters(network) -> int:
    """Count the trainable parameters of a `keras.Model`."""
    return sum(math.prod(variable.shape) for variable in network.trainable_variables)


@dataclass
class Comparison:
    """Results of several networks on the same folds."""

    predictions: pd.DataFrame
    """As from `ser_utils.experiments.experiment.prediction_table`, for all networks."""
    costs: pd.DataFrame
    """`training_cost` of each system, a row each."""
    selection: pd.DataFrame
    """Settings that inner folds chose among, with their inner scores."""


def compare_models(
    names: list[str],
    tables: Mapping[str, pd.DataFrame],
    utterances: pd.DataFrame,
    folds: Mapping[int, pd.DataFrame],
    *,
    protocol: str,
    speaker_norms: list[str],
    drop: list[str],
    rename: Mapping[str, str],
    extra: Mapping[str, Mapping[str, Data]] | None = None,
    search: int = 0,
    execution: Execution = Execution(),
) -> Comparison:
    """Train and test each network with each normalisation, and a second time with extra training corpora.

    Parameters
    ----------
    names : list of str
        Networks, each with its default feature set.
    tables : mapping
        Feature set to its table.
    utterances : pd.DataFrame
        The table ``utterances.csv``.
    folds : mapping
        Seed to folds, from `ser_utils.evaluation.folds.folds_by_seed`.
    protocol : str
        The protocol of the folds; its inner folds choose settings and epochs.
    speaker_norms, drop, rename
        As in `ser_utils.experiments.data.load_data`.
    extra : mapping, optional
        Feature set to extra corpora, from `ser_utils.experiments.extra_corpora.read_extra_corpora`.
    search : int
        Number of settings drawn at random for the inner folds of each network to choose among.
    """
    check_models(names, search)
    settings = RunSettings(main=protocol, search=search)
    predictions, costs, selection = [], [], []
    for name, norm in itertools.product(names, speaker_norms):
        system = System(name, resolve_feature_set(name), norm)
        main = load_data(tables[system.features], utterances, drop=drop, rename=rename, speaker_norm=norm)
        training_sets = {name: main}
        if extra_corpora := (extra or {}).get(system.features):
            usable, _ = usable_extra_corpora(main, extra_corpora, drop=drop, rename=rename)
            training_sets["+".join([name, *extra_corpora])] = join_extra_corpora(main, usable, speaker_norm=norm)
        for label, data in training_sets.items():
            result = run_protocol(system, data, folds, protocol=protocol, settings=settings, execution=execution)
            labelled = replace(system, model=label)
            predictions.append(prediction_table(result.fitted, data, labelled, protocol))
            costs.append({**training_cost(system, data, result), "model": label})
            selection.append(result.selection.assign(**vars(labelled)))
    return Comparison(pd.concat(predictions, ignore_index=True), pd.DataFrame(costs), pd.concat(selection, ignore_index=True))


def training_cost(system: System, data: Data, result: Result) -> dict:
    """Return size and training time of a network.

    Returns
    -------
    dict
        model, features, speaker_norm, parameters, epochs, fits, inner_fits (over all choices of settings) and seconds_per_fit
        (on one core, for all training rows of a fold); parameters, epochs and seconds are medians over fits.
    """
    pairs = [pair for _, pair in sorted(result.fitted.items())]
    sizes = [
        count_parameters(build_network(system.model, len(data.names), len(data.classes), **fit.settings)) for fit, _ in pairs
    ]
    return {
        **vars(system),
        "parameters": int(median(sizes)),
        "epochs": median([fit_result.epochs for _, fit_result in pairs]),
        "fits": len(pairs),
        "inner_fits": sum(len(inner) for inner in result.inner.values()) * result.selection.settings.nunique(),
        "seconds_per_fit": round(median([fit_result.seconds for _, fit_result in pairs]), 2),
    }


def pairwise_comparisons(predictions: pd.DataFrame) -> pd.DataFrame:
    """Compare each two networks with the same normalisation by `ser_utils.evaluation.statistics.comparison_table`."""
    systems = predictions.drop_duplicates(SYSTEM_COLUMNS)[SYSTEM_COLUMNS].to_dict("records")
    pairs = {
        f"{first['model']} against {second['model']} ({first['speaker_norm']})": (first, second)
        for first, second in itertools.combinations(systems, 2)
        if first["speaker_norm"] == second["speaker_norm"]
    }
    return comparison_table(predictions, pairs)
