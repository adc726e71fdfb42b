"""Several networks on the same folds: each with its own features, its size, its time, and its results speaker by speaker."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median

import pandas as pd

from ser_utils.core.errors import StudyError
from ser_utils.core.parallel import Execution
from ser_utils.core.tables import SYSTEM_COLUMNS
from ser_utils.evaluation import statistics
from ser_utils.experiments import extra_corpora
from ser_utils.experiments.experiment import (
    Data,
    Result,
    RunSettings,
    System,
    load_data,
    prediction_table,
    resolve_feature_set,
    run_protocol,
)
from ser_utils.features.registry import get_feature_set
from ser_utils.models.registry import MODELS, build_network, get_model


def check_models(names: list[str], search: int = 0) -> None:
    """Raise `StudyError` where a name is not a model's, is there twice, or is of one that has nothing to search."""
    for name in names:
        entry = get_model(name)
        if search and not entry.search:
            raise StudyError(
                f"SEARCH is {search}, but {name!r} in MODELS names no settings to search: set SEARCH to 0 or leave it out."
            )
        if names.count(name) > 1:
            raise StudyError(f"MODELS names {name!r} twice: name each model once.")


def registered_models(n_classes: int) -> pd.DataFrame:
    """Every registered network as its entry has it.

    Returns
    -------
    pd.DataFrame [columns=model, features, input, parameters, batch_size, augmented, most_epochs]
        `input` is what stands for one clip; `parameters` how many numbers are trained.
    """
    rows = []
    for name, entry in MODELS.items():
        features = get_feature_set(entry.features)
        n = len(features.names)
        network = build_network(name, n, n_classes, **entry.choices[0])
        rows.append(
            {
                "model": name,
                "features": entry.features,
                "input": f"frames x {n}" if entry.sequences else str(n),
                "parameters": count_parameters(network),
                "batch_size": entry.batch_size,
                "augmented": entry.augmented,
                "most_epochs": entry.max_epochs,
            }
        )
    return pd.DataFrame(rows)


def count_parameters(network) -> int:
    """How many numbers of a `keras.Model` are trained."""
    return int(sum(variable.value.numpy().size for variable in network.trainable_variables))


@dataclass
class Comparison:
    """What several networks did on the same folds."""

    predictions: pd.DataFrame
    """As `ser_utils.experiments.experiment.prediction_table`, of all of them."""
    costs: pd.DataFrame
    """A row a system: model, features, speaker_norm, parameters, epochs, fits, inner_fits, seconds_per_fit (see `cost`)."""
    selection: pd.DataFrame
    """Settings searched by inner folds, with their inner scores."""


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
    """Train and test each of the networks under each normalisation, and once more with extra corpora in training.

    Parameters
    ----------
    names : list of str
        Models, each on its own features.
    tables : mapping
        Feature set to its table.
    utterances : pd.DataFrame
        As in ``utterances.csv``.
    folds : mapping
        Seed to folds, from `ser_utils.evaluation.protocols.folds_by_seed`.
    protocol : str
        Whose folds these are; its inner folds choose settings and epochs.
    speaker_norms, drop, rename
        As `ser_utils.experiments.experiment.load_data` takes them.
    extra : mapping, optional
        Feature set to extra corpora, from `ser_utils.experiments.extra_corpora.read_extra_corpora`.
    search : int
        How many settings to draw for each network's inner folds to choose among.
    execution : Execution
        Processes or cluster.
    """
    check_models(names, search)
    predictions, costs, selection = [], [], []
    how = {"protocol": protocol, "settings": RunSettings(main=protocol, search=search), "execution": execution}
    for name, norm in itertools.product(names, speaker_norms):
        system = System(name, resolve_feature_set(name), norm)
        own = load_data(tables[system.features], utterances, drop=drop, rename=rename, speaker_norm=norm)
        heard = {name: own}
        if others := (extra or {}).get(system.features):
            fitting = extra_corpora.usable_extra_corpora(own, others, drop=drop, rename=rename)[0]
            heard["+".join([name, *others])] = extra_corpora.join_extra_corpora(own, fitting, speaker_norm=norm)
        for told, data in heard.items():
            result, called = run_protocol(system, data, folds, **how), replace(system, model=told)
            predictions.append(prediction_table(result.fitted, data, called, protocol))
            costs.append({**training_cost(system, data, result), "model": told})
            selection.append(result.selection.assign(**vars(called)))
    return Comparison(pd.concat(predictions, ignore_index=True), pd.DataFrame(costs), pd.concat(selection, ignore_index=True))


def training_cost(system: System, data: Data, result: Result) -> dict:
    """What a network takes: numbers trained, epochs, fits, and seconds for a fit of a whole training side on one core.

    The inner fits are those of all settings that were tried.
    """
    fits = [pair for _, pair in sorted(result.fitted.items())]
    sizes = [
        count_parameters(build_network(system.model, len(data.names), len(data.classes), **fit.settings)) for fit, _ in fits
    ]
    return {
        **vars(system),
        "parameters": int(median(sizes)),
        "epochs": median([done.epochs for _, done in fits]),
        "fits": len(fits),
        "inner_fits": sum(len(pairs) for pairs in result.inner.values()) * result.selection.settings.nunique(),
        "seconds_per_fit": round(median([done.seconds for _, done in fits]), 2),
    }


def pairwise_comparisons(predictions: pd.DataFrame) -> pd.DataFrame:
    """Every two of the networks under one normalisation, speaker by speaker (see `ser_utils.evaluation.statistics.comparison_table`)."""
    found = predictions.drop_duplicates(SYSTEM_COLUMNS)[SYSTEM_COLUMNS].to_dict("records")
    pairs = {
        f"{a['model']} against {b['model']} ({a['speaker_norm']})": (a, b)
        for a, b in itertools.combinations(found, 2)
        if a["speaker_norm"] == b["speaker_norm"]
    }
    return statistics.comparison_table(predictions, pairs)
