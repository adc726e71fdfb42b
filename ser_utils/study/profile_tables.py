"""The tables of ``./run_all.sh --profile``: where the seconds of a run went."""

from pathlib import Path

import pandas as pd

from ser_utils.core import profile

MIN_S = 0.5
"""Cells that took less are left out."""


def cell_table(path: Path) -> pd.DataFrame:
    """Return the seconds of each notebook's cells, and of the rest: the start and end of its kernel, and its page.

    Parameters
    ----------
    path : Path
        What `ser_utils.core.profile.record` has written during a run.

    Returns
    -------
    pd.DataFrame [columns=notebook, cell, seconds, code]
        `code` is the start of the cell's first line.
    """
    notebooks, cells = profile.read(path, "notebook"), profile.read(path, "cell")
    cells = cells[cells.notebook.isin(notebooks.notebook)]  # not those that a notebook has run, within one of its own cells
    rest = notebooks.set_index("notebook").seconds - cells.groupby("notebook").seconds.sum()
    rest = rest.reset_index().assign(cell="", code="kernel start, page")
    table = pd.concat([cells[cells.seconds >= MIN_S], rest]).sort_values("notebook", kind="stable", ignore_index=True)
    return table.assign(code=table.code.str[:60])[["notebook", "cell", "seconds", "code"]].round({"seconds": 1})


def fit_table(path: Path) -> pd.DataFrame:
    """Return a row per group of fits: their number, those from the cache, trainings (which fits share), and seconds of a core.

    Returns
    -------
    pd.DataFrame [columns=name, fits, cached, trainings, epochs, core_seconds, core_s_per_training]
    """
    table = profile.read(path, "fits")
    table["core_s_per_training"] = table.core_seconds / table.trainings.where(table.trainings > 0)
    columns = ["name", "fits", "cached", "trainings", "epochs", "core_seconds", "core_s_per_training"]
    return table[columns].round({"core_seconds": 1, "core_s_per_training": 2})


def print_tables(path: Path) -> None:
    """Print both tables; a run in which nothing had to be computed has none."""
    for kind, table in (("cell", cell_table), ("fits", fit_table)):
        if path.exists() and len(profile.read(path, kind)):
            texts = table(path).fillna("").map(str)
            widths = {name: max(len(name), texts[name].str.len().max()) for name in texts}
            rows = [texts.columns, *texts.itertuples(index=False)]
            lines = [" ".join(map(str.ljust, row, widths.values())).rstrip() for row in rows]
            print("", *lines, sep="\n", flush=True)
