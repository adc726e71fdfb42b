"""Across corpora: train on one, test on another, on the emotions that both label.

Nothing is chosen: networks have their default settings and epochs, classical models theirs. With ``speaker_norm="none"`` the
test corpus is standardised by the training corpus' statistics, so that nothing of it is used; with ``speaker`` each voice is by
its own unlabelled clips. Where a corpus is tested on itself, one speaker after the other is left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from ser_utils.core.errors import StudyError
from ser_utils.core.parallel import Execution
from ser_utils.core.tables import ORIGINAL, UNKNOWN
from ser_utils.corpora.corpus import Corpus
from ser_utils.corpora.labels import class_order
from ser_utils.evaluation.folds import folds_by_seed
from ser_utils.evaluation.leakage import check_fit
from ser_utils.evaluation.metrics import chance_level, metrics_with_intervals, resampling_unit
from ser_utils.experiments import baseline_runs
from ser_utils.experiments.experiment import Data, Key, System, fit_system, make_fits, normalise, prediction_table
from ser_utils.experiments.extra_corpora import corpus_prefixes, prefixed_columns, select_rows
from ser_utils.models import baselines
from ser_utils.models.registry import MODELS, get_model
from ser_utils.models.training import Fit

ACROSS = "across"
"""What stands as the protocol where one corpus trains and another tests."""
PAIR = ["train", "test"]


def shared_emotions(one: Data, other: Data) -> list[str]:
    """The emotions that two corpora label, in their order."""
    return class_order(pd.Series(sorted(set(one.classes) & set(other.classes)), dtype=str))


def pair_of_corpora(train: Data, test: Data, names: tuple[str, str]) -> Data:
    """The rows of two corpora, those of shared emotions alone, with the corpora's names before files and voices."""
    emotions = shared_emotions(train, test)
    parts = [
        select_rows(data, data.rows.emotion.isin(emotions).to_numpy(), **prefixed_columns(name, data.rows))
        for name, data in zip(names, (train, test), strict=True)
    ]
    rows = pd.concat([part.rows for part in parts], ignore_index=True)
    return replace(train, rows=rows, x=np.concatenate([part.x for part in parts]))


def fits_across(data: Data, train: str, *, seeds: list[int], augmented: bool) -> dict[Key, Fit]:
    """For each seed a fit that trains on all rows of the corpus `train` of a `pair`, and tests all clips of the other.

    Raises
    ------
    ser_utils.evaluation.leakage.LeakError
        A recording is in both corpora.
    """
    trains, original = data.rows.file.str.startswith(f"{train}/").to_numpy(), (data.rows.variant == ORIGINAL).to_numpy()
    rows = np.flatnonzero(trains if augmented else trains & original), np.flatnonzero(~trains & original)
    check_fit(data.rows, protocol="speaker", train=rows[0], test=rows[1])
    return {(seed, 1): Fit(train=rows[0], test=rows[1], seed=seed) for seed in seeds}


def fits_within(data: Data, made: pd.DataFrame, *, seeds: list[int], augmented: bool) -> dict[Key, Fit]:
    """The fits of the protocol ``speaker`` of one corpus, from its ``folds.csv``; none where it has no such folds."""
    if not (made.protocol == "speaker").any():
        return {}
    fits = make_fits(folds_by_seed(made, "speaker", seeds), data, augmented=augmented)
    for fit in fits.values():
        check_fit(data.rows, protocol="speaker", train=fit.train, test=fit.test)
    return fits


def cross_corpus_cells(
    tables: Mapping[str, Data], folds: Mapping[str, pd.DataFrame], *, seeds: list[int], augmented: bool
) -> Iterator[tuple[str, str, Data, dict[Key, Fit]]]:
    """Each ordered pair of corpora that can be tested, with its rows and its fits."""
    for train, one in tables.items():
        for test, other in tables.items():
            if (
                train == test
                and len(one.classes) > 1
                and (fits := fits_within(one, folds[train], seeds=seeds, augmented=augmented))
            ):
                yield train, test, one, fits
            elif train != test and len(shared_emotions(one, other)) > 1:
                data = pair_of_corpora(one, other, (train, test))
                yield train, test, data, fits_across(data, train, seeds=seeds, augmented=augmented)


def cross_corpus_predictions(
    tables: Mapping[str, Data],
    folds: Mapping[str, pd.DataFrame],
    *,
    models: list[str],
    features: str,
    speaker_norms: list[str],
    seeds: list[int],
    execution: Execution = Execution(),
) -> pd.DataFrame:
    """Predictions for each ordered pair of corpora that share two emotions or more, and for each corpus on itself.

    A corpus with clips of unknown speakers is left out where each speaker is to be normalised by their own clips.

    Parameters
    ----------
    tables : mapping
        Corpus to its rows, with features as extracted.
    folds : mapping
        Corpus to its ``folds.csv``.
    models : list of str
        Names of networks or baselines.
    features : str
        What the tables hold.
    speaker_norms : list of str
        Normalisations.
    seeds : list of int
        Of the networks; what has no randomness runs for the first alone.

    Returns
    -------
    pd.DataFrame
        Columns train and test, then those of `ser_utils.experiments.experiment.prediction_table`. The protocol is `ACROSS`, or ``speaker``
        where a corpus is tested on itself.

    Raises
    ------
    StudyError
        No two corpora share two emotions, and none can be tested on itself.
    ser_utils.evaluation.leakage.LeakError
        A recording is in two of the corpora.
    """
    how, found = {"execution": execution}, []
    for norm in speaker_norms:
        heard = {
            name: replace(data, x=normalise(data.x, data.rows, norm))
            for name, data in tables.items()
            if norm == "none" or (data.rows.speaker != UNKNOWN).all()
        }
        for model in models:
            is_network = model in MODELS
            drawn = seeds if is_network or baselines.BASELINES[model].random else seeds[:1]
            for train, test, data, fits in cross_corpus_cells(
                heard, folds, seeds=drawn, augmented=is_network and get_model(model).augmented
            ):
                done = _answers(model, data, fits, desc=f"{train} to {test} {model} {norm}", **how)
                protocol = "speaker" if train == test else ACROSS
                table = prediction_table(done, data, System(model, features, norm), protocol)
                own = (
                    {}
                    if train == test
                    else {name: table[name].str.removeprefix(mark) for name, mark in corpus_prefixes(test).items()}
                )
                found.append(table.assign(train=train, test=test, **own))
    if not found:
        raise StudyError(f"Of {', '.join(tables)} no two share two emotions or more: name other corpora in EXTRA_CORPORA.")
    table = pd.concat(found, ignore_index=True)
    return table[[*PAIR, *table.columns.drop(PAIR)]]


def _answers(model: str, data: Data, fits: dict[Key, Fit], **how):
    """The fits of one cell with what they gave, under the defaults of a network or a baseline."""
    if model not in MODELS:
        return baseline_runs.fit_baselines(model, data, fits, **how)
    entry = get_model(model)
    default = {"epochs": entry.epochs, "settings": entry.choices[0], "keep_weights": False}
    fits = {key: replace(fit, **default) for key, fit in fits.items()}
    return fit_system(System(model, ""), data, fits, batch_size=0, **how)


def cross_corpus_table(predictions: pd.DataFrame, *, n_resamples: int = 2000, n_jobs: int = 1) -> pd.DataFrame:
    """``across_corpora.csv``: the UAR of each cell with its 95 % interval over the speakers of the test corpus.

    Returns
    -------
    pd.DataFrame [columns=train, test, model, features, speaker_norm, n_emotions, chance, uar, ci_low, ci_high, n_clips,
    n_speakers, n_seeds]
        `chance` is one over the number of emotions of the cell, `n_speakers` counts those known. One speaker alone, and clips
        of unknown speakers, have no interval.
    """
    found = []
    for (train, test), part in predictions.groupby(PAIR, sort=False):
        told = metrics_with_intervals(part, n_resamples=n_resamples, n_jobs=n_jobs)
        told = told[told.metric == "uar"].rename(columns={"value": "uar"}).drop(columns=["metric", "protocol"])
        n_speakers = part.speaker[part.speaker != UNKNOWN].nunique()
        if resampling_unit(part.speaker) != "speakers":
            told[["ci_low", "ci_high"]] = np.nan
        counts = {"n_emotions": part.emotion.nunique(), "chance": chance_level(part), "n_speakers": n_speakers}
        found.append(told.assign(train=train, test=test, **counts))
    setup, rest = ["model", "features", "speaker_norm"], ["uar", "ci_low", "ci_high", "n_clips", "n_speakers", "n_seeds"]
    return pd.concat(found, ignore_index=True)[[*PAIR, *setup, "n_emotions", "chance", *rest]]


def emotion_codes(corpora: Mapping[str, Corpus]) -> pd.DataFrame:
    """``emotions_by_corpus.csv``: which emotions registered corpora label, and how they call them in their file names.

    Returns
    -------
    pd.DataFrame [columns=corpus, title, language, n_utterances, emotion, code]
        A row a corpus and emotion; `code` joins with a comma where several codes are of one emotion.
    """
    rows = [
        {
            "corpus": name,
            "title": one.title,
            "language": one.language,
            "n_utterances": one.n_utterances,
            "emotion": emotion,
            "code": ", ".join(code for code, meant in one.emotions.items() if meant == emotion),
        }
        for name, one in corpora.items()
        for emotion in class_order(pd.Series([meant for meant in one.emotions.values() if meant], dtype=str))
    ]
    return pd.DataFrame(rows)


def shared_counts(labelled: pd.DataFrame) -> pd.DataFrame:
    """How many emotions each two corpora share, from `labels`: a square table."""
    table = pd.crosstab(labelled.corpus, labelled.emotion).loc[labelled.corpus.unique()]
    return (table @ table.T).rename_axis(index="corpus", columns="shares with")
