"""Tables of predictions: read them, select one system, and average the seeds of a system.

A table has the columns `ser_utils.core.tables.PREDICTION_COLUMNS`, then one probability column ``p_<emotion>`` per class.
"""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from ser_utils.core.errors import StudyError
from ser_utils.core.tables import SYSTEM_COLUMNS

PREDICTIONS = ("predictions.csv", "predictions_compared.csv")
"""Files of predictions: of the study's network, and of the systems it is compared with (the original network, baselines)."""
TEST_ROW = ["file", "variant"]
"""Columns that identify a test row of one system and seed."""


def read_predictions(folder: Path) -> pd.DataFrame:
    """Read all predictions of a run, from the files `PREDICTIONS`, as one table."""
    text = dict.fromkeys(("file", "speaker", "sentence", "variant", "emotion", "predicted"), str)
    return pd.concat([pd.read_csv(folder / name, dtype=text, keep_default_na=False) for name in PREDICTIONS], ignore_index=True)


def select_system(predictions: pd.DataFrame, **values: str) -> pd.DataFrame:
    """Select the predictions of one system by values of `ser_utils.core.tables.SYSTEM_COLUMNS`, such as ``model="mlp"``.

    Raises
    ------
    StudyError
        No system or more than one has these values; the message lists the systems of the table.
    """
    selected = predictions
    for column, value in values.items():
        selected = selected[selected[column] == value]
    n = len(selected[SYSTEM_COLUMNS].drop_duplicates())
    if n != 1:
        systems = predictions[SYSTEM_COLUMNS].drop_duplicates().astype(str).to_numpy()
        listed = "; ".join(", ".join(keys) for keys in systems) or "none"
        wanted = ", ".join(f"{column}={value}" for column, value in values.items()) or "no condition"
        raise StudyError(
            f"{n} systems match {wanted}, expected one; the predictions contain ({', '.join(SYSTEM_COLUMNS)}): {listed}."
        )
    return selected


def iter_systems(predictions: pd.DataFrame) -> Iterator[tuple[dict[str, str], pd.DataFrame]]:
    """Iterate over the systems of a table: the values of `SYSTEM_COLUMNS`, and the predictions."""
    for keys, table in predictions.groupby(SYSTEM_COLUMNS, sort=False):
        yield dict(zip(SYSTEM_COLUMNS, keys, strict=True)), table


def probability_columns(predictions: pd.DataFrame) -> list[str]:
    """Return the columns ``p_<emotion>`` that have a value."""
    return [name for name in predictions if name.startswith("p_") and predictions[name].notna().any()]


def seed_ensemble(predictions: pd.DataFrame) -> pd.DataFrame:
    """Average the probabilities of each system over its seeds.

    Returns
    -------
    pd.DataFrame [columns as in `predictions`]
        One row per test row, in the order of first occurrence, with model ``<model>_ensemble`` and seed 0. Probabilities are
        rounded as in ``predictions.csv``.

    Raises
    ------
    StudyError
        The seeds of a system were not tested on the same rows.
    """
    ensembles = []
    for system, table in iter_systems(predictions):
        rows = table.groupby(TEST_ROW, sort=False)
        if (rows.size() != table.seed.nunique()).any():
            raise StudyError(
                f"The seeds of {', '.join(system.values())} were tested on different clips, first {rows.size().idxmin()[0]}: "
                "an ensemble needs the same test clips for every seed."
            )
        columns = probability_columns(table)
        means = rows[columns].mean()
        ensemble = table.drop_duplicates(TEST_ROW).assign(seed=0, model=f"{system['model']}_ensemble")
        ensemble[columns] = means.round(4).to_numpy()
        ensemble["predicted"] = means.idxmax(axis=1).str.removeprefix("p_").to_numpy()
        ensembles.append(ensemble)
    return pd.concat(ensembles, ignore_index=True)
