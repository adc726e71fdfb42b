"""Cross-corpus tests: train on one corpus and test on another, with the emotions that both label.

Nothing is chosen: networks and classical models have their default settings. With ``speaker_norm="none"`` the test corpus is
standardised by the statistics of the training corpus. With ``speaker`` each speaker is standardised by its own unlabelled
clips. The test of a corpus on itself leaves one speaker out (LOSO).
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from ser_utils.core.errors import StudyError
from ser_utils.core.parallel import Execution
from ser_utils.core.tables import UNKNOWN
from ser_utils.corpora.corpus import Corpus
from ser_utils.corpora.labels import class_order
from ser_utils.evaluation.folds import folds_by_seed
from ser_utils.evaluation.intervals import resampling_unit
from ser_utils.evaluation.leakage import check_fit
from ser_utils.evaluation.metrics import chance_level, metrics_with_intervals
from ser_utils.experiments.baseline_runs import fit_baselines
from ser_utils.experiments.data import Data, normalise
from ser_utils.experiments.experiment import prediction_table
from ser_utils.experiments.extra_corpora import corpus_prefixes, prefixed_columns, select_rows
from ser_utils.experiments.fits import Key, fit_system, make_fits, with_defaults
from ser_utils.experiments.systems import System
from ser_utils.models.baselines import BASELINES
from ser_utils.models.registry import MODELS, get_model
from ser_utils.models.training import Fit

ACROSS = "across"
"""Value of the column protocol for predictions on another corpus."""
PAIR = ["train", "test"]


class Cell(NamedTuple):
    """A training corpus and a test corpus, with their rows and fits."""

    train: str
    test: str
    data: Data
    fits: dict[Key, Fit]


def shared_emotions(first: Data, second: Data) -> list[str]:
    """Return the emotions that both corpora label, in their fixed order."""
    return [emotion for emotion in first.classes if emotion in second.classes]


def pair_of_corpora(train: Data, test: Data, names: tuple[str, str]) -> Data:
    """Join the rows of two corpora that have shared emotions; the corpora's names become prefixes of files and speakers."""
    emotions = shared_emotions(train, test)
    parts = [
        select_rows(data, data.rows.emotion.isin(emotions).to_numpy(), **prefixed_columns(name, data.rows))
        for name, data in zip(names, (train, test), strict=True)
    ]
    rows = pd.concat([part.rows for part in parts], ignore_index=True)
    return replace(train, rows=rows, x=np.concatenate([part.x for part in parts]))


def fits_across(data: Data, train: str, *, seeds: list[int], augmented: bool) -> dict[Key, Fit]:
    """Make a fit per seed that trains on all rows of the corpus `train` of a pair and tests all clips of the other corpus.

    Raises
    ------
    ser_utils.evaluation.leakage.LeakError
        A recording is in both corpora.
    """
    is_train = data.rows.file.str.startswith(f"{train}/").to_numpy()
    train_rows = np.flatnonzero(is_train if augmented else is_train & data.is_original)
    test_rows = np.flatnonzero(~is_train & data.is_original)
    check_fit(data.rows, protocol="speaker", train=train_rows, test=test_rows)
    return {(seed, 1): Fit(train=train_rows, test=test_rows, seed=seed) for seed in seeds}


def fits_within(data: Data, folds: pd.DataFrame, *, seeds: list[int], augmented: bool) -> dict[Key, Fit]:
    """Make the fits of the protocol ``speaker`` from a corpus' ``folds.csv``."""
    fits = make_fits(folds_by_seed(folds, "speaker", seeds), data, augmented=augmented)
    for fit in fits.values():
        check_fit(data.rows, protocol="speaker", train=fit.train, test=fit.test)
    return fits


def cross_corpus_cells(
    tables: Mapping[str, Data], folds: Mapping[str, pd.DataFrame], *, seeds: list[int], augmented: bool
) -> Iterator[Cell]:
    """Yield each ordered pair of corpora that can be tested."""
    for train, train_data in tables.items():
        for test, test_data in tables.items():
            if train != test and len(shared_emotions(train_data, test_data)) > 1:
                data = pair_of_corpora(train_data, test_data, (train, test))
                yield Cell(train, test, data, fits_across(data, train, seeds=seeds, augmented=augmented))
            elif train == test and len(train_data.classes) > 1 and (folds[train].protocol == "speaker").any():
                yield Cell(train, test, train_data, fits_within(train_data, folds[train], seeds=seeds, augmented=augmented))


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
    """Predict each ordered pair of corpora that share two or more emotions, and each corpus by leaving speakers out.

    Per-speaker normalisation omits corpora with unknown speakers.

    Parameters
    ----------
    tables : mapping
        Corpus to its rows, with features as extracted.
    folds : mapping
        Corpus to its ``folds.csv``.
    models : list of str
        Names of networks or baselines.
    features : str
        The feature set of the tables.
    seeds : list of int
        A baseline without randomness runs for the first one only.

    Returns
    -------
    pd.DataFrame
        Columns train and test, then those of `ser_utils.experiments.experiment.prediction_table`. The protocol is `ACROSS`,
        or ``speaker`` for a corpus that is tested on itself.

    Raises
    ------
    StudyError
        No two corpora share two emotions, and no corpus can be tested on itself.
    ser_utils.evaluation.leakage.LeakError
        A recording is in two of the corpora.
    """
    parts = []
    for norm in speaker_norms:
        normalised = {
            name: replace(data, x=normalise(data.x, data.rows, norm))
            for name, data in tables.items()
            if norm == "none" or (data.rows.speaker != UNKNOWN).all()
        }
        for model in models:
            is_network = model in MODELS
            model_seeds = seeds if is_network or BASELINES[model].random else seeds[:1]
            augmented = is_network and get_model(model).augmented
            for cell in cross_corpus_cells(normalised, folds, seeds=model_seeds, augmented=augmented):
                parts.append(_predict_cell(cell, System(model, features, norm), execution))
    if not parts:
        raise StudyError(
            f"No two of the corpora {', '.join(tables)} share two or more emotions: set EXTRA_CORPORA to other corpora."
        )
    table = pd.concat(parts, ignore_index=True)
    return table[[*PAIR, *table.columns.drop(PAIR)]]


def _predict_cell(cell: Cell, system: System, execution: Execution) -> pd.DataFrame:
    """Train a network or a baseline with its default settings on one cell, and predict its test rows."""
    desc = f"{cell.train} to {cell.test} {system.model} {system.speaker_norm}"
    if system.model in MODELS:
        fits = with_defaults(cell.fits, get_model(system.model))
        fitted = fit_system(system, cell.data, fits, batch_size=0, execution=execution, desc=desc)
    else:
        fitted = fit_baselines(system.model, cell.data, cell.fits, execution=execution, desc=desc)
    if cell.train == cell.test:
        table = prediction_table(fitted, cell.data, system, "speaker")
    else:
        table = prediction_table(fitted, cell.data, system, ACROSS)
        for column, prefix in corpus_prefixes(cell.test).items():
            table[column] = table[column].str.removeprefix(prefix)
    return table.assign(train=cell.train, test=cell.test)


def cross_corpus_table(predictions: pd.DataFrame, *, n_resamples: int = 2000, n_jobs: int = 1) -> pd.DataFrame:
    """Make ``across_corpora.csv``: the UAR of each cell with its 95 % interval over the speakers of the test corpus.

    Returns
    -------
    pd.DataFrame [columns=train, test, model, features, speaker_norm, n_emotions, chance, uar, ci_low, ci_high, n_clips,
    n_speakers, n_seeds]
        `chance` is one over the number of emotions of the cell. `n_speakers` counts known speakers. The interval is NaN for
        a single speaker and for clips of unknown speakers.
    """
    cells = []
    for (train, test), part in predictions.groupby(PAIR, sort=False):
        scores = metrics_with_intervals(part, n_resamples=n_resamples, n_jobs=n_jobs)
        scores = scores[scores.metric == "uar"].rename(columns={"value": "uar"}).drop(columns=["metric", "protocol"])
        if resampling_unit(part.speaker) != "speakers":
            scores[["ci_low", "ci_high"]] = np.nan
        n_speakers = part.speaker[part.speaker != UNKNOWN].nunique()
        counts = {"n_emotions": part.emotion.nunique(), "chance": chance_level(part), "n_speakers": n_speakers}
        cells.append(scores.assign(train=train, test=test, **counts))
    setup, values = ["model", "features", "speaker_norm"], ["uar", "ci_low", "ci_high", "n_clips", "n_speakers", "n_seeds"]
    return pd.concat(cells, ignore_index=True)[[*PAIR, *setup, "n_emotions", "chance", *values]]


def emotion_codes(corpora: Mapping[str, Corpus]) -> pd.DataFrame:
    """Make ``emotions_by_corpus.csv``: the emotions that registered corpora label, with their codes in file names.

    Returns
    -------
    pd.DataFrame [columns=corpus, title, language, n_utterances, emotion, code]
        A row per corpus and emotion; several codes of one emotion are joined with commas.
    """
    rows = [
        {
            "corpus": name,
            "title": corpus.title,
            "language": corpus.language,
            "n_utterances": corpus.n_utterances,
            "emotion": emotion,
            "code": ", ".join(code for code, label in corpus.emotions.items() if label == emotion),
        }
        for name, corpus in corpora.items()
        for emotion in class_order(pd.Series([label for label in corpus.emotions.values() if label], dtype=str))
    ]
    return pd.DataFrame(rows)


def shared_counts(codes: pd.DataFrame) -> pd.DataFrame:
    """Count the emotions that each two corpora share, from `emotion_codes`: a square table."""
    table = pd.crosstab(codes.corpus, codes.emotion).loc[codes.corpus.unique()]
    return (table @ table.T).rename_axis(index="corpus", columns="shares with")
