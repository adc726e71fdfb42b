"""Size of the differences between two results, and whether another processor makes differences of that size."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd

from ser_utils.study.manifest import READ_ERRORS, read_network, stage_of

PROCESSOR_BOUNDS = {
    "utterances and folds": 1e-3,
    "features": 1e-4,
    "probabilities": 0.25,
    "predicted labels": 0.02,
    "weights": 0.01,
    "metrics": 0.1,
    "keys": 0.0,
}
"""Largest differences that another processor makes.

Utterances, folds and features: absolute difference as a share of the largest magnitude in the column. Probabilities, weights
and metrics with their confidence intervals: absolute difference. Labels: share of the predictions that differ. Keys, such as
the protocol of a metric, have no difference. Other tables and figures are computed from these: one label of a small group can
change a value in them by any amount, so they have no bounds.

Measured between a processor with AVX-512 and the same one restricted to AVX2 (variables ``ONEDNN_MAX_CPU_ISA=AVX2``,
``OPENBLAS_CORETYPE=Haswell``, ``NPY_DISABLE_CPU_FEATURES``), by the study on the demo corpus with one seed: features 4e-6 (the
38 features of EMOVO 3e-7), probabilities 0.084 (mean 0.0002), labels 0.1 %, weights 0.0008, metrics 0.044. The bounds are two
to three times as large for probabilities and metrics, and more for the others, as only one pair of processors and one corpus
were measured. A choice of settings or an early stop that another processor decides otherwise can exceed them. For comparison,
another seed changes probabilities by up to 0.76, and 19 % of the labels (EMOVO).
"""


def by_column(a: Path, b: Path, files: Iterable[str]) -> pd.DataFrame:
    """Largest difference in each column of tables, and in each weight of networks, between two folders.

    Parameters
    ----------
    a, b : Path
        Folders of runs.
    files : iterable of str
        Files relative to each folder. Rows are compared in file order.

    Returns
    -------
    pd.DataFrame [columns=file, column, quantity, difference]
        quantity: a name in `PROCESSOR_BOUNDS`, or empty if there are no bounds. difference: in the unit of `PROCESSOR_BOUNDS`;
        of text, the share of the cells; infinite if shapes or keys differ, if a number is missing on one side, or if a column
        or file is missing or cannot be read. A file that is neither a table nor a network has no rows.
    """
    rows = []
    for name in files:
        here, there = (_read_arrays(folder / name) for folder in (a, b))
        for column in {**here, **there}:
            quantity = _quantity(name, column)
            rows.append((name, column, quantity, _difference(here.get(column), there.get(column), quantity)))
    return pd.DataFrame(rows, columns=["file", "column", "quantity", "difference"])


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Columns of a table or weights of a network, by name; empty if the file cannot be read or is neither."""
    try:
        if path.suffix == ".keras":
            return read_network(path)
        if path.suffix == ".csv":
            return {name: column.to_numpy() for name, column in pd.read_csv(path, float_precision="round_trip").items()}
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                arrays = dict(archive)
            if "lengths" in arrays:  # sequences of frames
                return arrays
            names, values = arrays.pop("names"), arrays.pop("values")
            return arrays | dict(zip(names.tolist(), values.T, strict=True))
    except READ_ERRORS:
        pass
    return {}


def _quantity(file: str, column: str) -> str:
    """Quantity in `PROCESSOR_BOUNDS` to which a column of a result belongs; empty if there is none."""
    if fnmatchcase(file, "predictions*.csv"):
        return "probabilities" if column.startswith("p_") else "predicted labels" if column == "predicted" else "keys"
    if file == "metrics.csv":
        return "metrics" if column in ("value", "ci_low", "ci_high") else "keys"
    stage = stage_of(file)
    return "utterances and folds" if stage in ("utterances", "folds") else stage if stage in PROCESSOR_BOUNDS else ""


def _difference(x: np.ndarray | None, y: np.ndarray | None, quantity: str) -> float:
    """Largest difference between two arrays, as `by_column` defines it."""
    if x is None or y is None or x.shape != y.shape:
        return np.inf
    if x.dtype.kind not in "fiu" or y.dtype.kind not in "fiu":
        share = float(np.mean(x.astype(str) != y.astype(str))) if x.size else 0.0
        return share if quantity in ("predicted labels", "") or not share else np.inf
    x, y = x.astype(float), y.astype(float)
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    scale = 1.0
    if quantity in ("utterances and folds", "features"):
        scale = np.nan_to_num(np.fmax(np.abs(x), np.abs(y))).max(axis=0, initial=0.0)  # of each column, also of sequences
    with np.errstate(invalid="ignore", divide="ignore"):
        gaps = np.where(same, 0.0, np.abs(x - y) / scale)
    return float(np.nan_to_num(gaps, nan=np.inf, posinf=np.inf).max(initial=0.0))


def largest(columns: pd.DataFrame) -> str:
    """A table with the largest difference in each file and its column, from the table of `by_column`."""
    worst = columns.sort_values("difference", kind="stable").drop_duplicates("file", keep="last").sort_index()
    return worst[["file", "difference", "column"]].to_string(index=False, float_format="{:.2g}".format)


def judgement(differing: pd.DataFrame, columns: pd.DataFrame) -> str:
    """One sentence on whether differences are of the size that another processor makes.

    Parameters
    ----------
    differing : pd.DataFrame [columns=stage, file]
        Files that differ, or recordings (stage ``inputs``).
    columns : pd.DataFrame
        From `by_column`, of all these files.
    """
    bounded = columns[columns.quantity != ""]
    exceeding = bounded.file[bounded.difference > bounded.quantity.map(PROCESSOR_BOUNDS)]
    larger = [*differing.file[differing.stage == "inputs"], *exceeding.unique()]
    if larger or bounded.empty:  # without a difference in features or predictions, nothing explains others
        return f"Differences in {', '.join(larger or differing.file)} are larger than another processor makes."
    gaps = bounded[bounded.quantity != "keys"].groupby("quantity").difference.max()
    sizes = ", ".join(f"{name} within {gaps[name]:.2g}" for name in PROCESSOR_BOUNDS if name in gaps)
    return f"All differences are of the size that another processor makes: {sizes}; other files are computed from these."
