"""Size of the differences between two results, and whether another processor makes differences of that size."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd

from ser_utils.study.manifest import READ_ERRORS, read_weights, stage_of

SIZES = ["what", "largest_absolute", "absolute_in", "largest_relative", "relative_in", "n_texts"]
"""Columns of `compare_folders` with the size of the differences."""
PROCESSOR_BOUNDS = {
    "utterances and folds": 1e-3,
    "features": 1e-4,
    "probabilities": 0.25,
    "predicted labels": 0.02,
    "weights": 0.01,
    "metrics": 0.1,
}
"""Largest differences that another processor makes.

Utterances, folds and features: absolute difference as a share of the largest magnitude in the column. Probabilities, weights
and metrics with their confidence intervals: absolute difference. Labels: share of the predictions that differ.

Measured between a processor with AVX-512 and the same one restricted to AVX2 (variables ``ONEDNN_MAX_CPU_ISA=AVX2``,
``OPENBLAS_CORETYPE=Haswell``, ``NPY_DISABLE_CPU_FEATURES``), by the study on the demo corpus with one seed: features 4e-6 (the
38 features of EMOVO 3e-7), probabilities 0.084 (mean 0.0002), labels 0.1 %, weights 0.0008, metrics 0.044. Features differ in
the last digits of float32, and training amplifies these differences. The bounds are two to three times the measured
differences in probabilities and metrics; the margin is wider for features, weights and labels, as only one pair of processors
and one corpus were measured. A choice of settings or an early stop that another processor decides otherwise can exceed them.
For comparison, another seed changes probabilities by up to 0.76, and 19 % of the labels (EMOVO). Other tables and figures are
computed from fits and predictions. One label of a small group can change a value in them by any amount: they have no bounds.
"""


def size(a: Path, b: Path, name: str) -> dict[str, object]:
    """Size of the differences between the files of one result.

    Parameters
    ----------
    a, b : Path
        Folders of runs.
    name : str
        The file, relative to each folder.

    Returns
    -------
    dict
        The columns `SIZES`, and ``gaps``: a dict from quantity in `PROCESSOR_BOUNDS` to the difference, infinite if names or
        shapes differ. Empty if the file is neither a table nor a network.
    """
    pair = [folder / name for folder in (a, b)]
    readers = {".csv": _read_columns, ".npz": _read_columns, ".keras": read_weights}
    if pair[0].suffix not in readers:
        return {}
    try:
        here, there = (readers[path.suffix](path) for path in pair)
    except READ_ERRORS:
        return {"what": "cannot be read", "gaps": dict.fromkeys(_quantities(name), np.inf)}
    is_network = pair[0].suffix == ".keras"
    sizes = _sizes(here, there, "weights" if is_network else "columns")
    same = "layers or normalisation differ, weights are the same" if is_network else "the same values, written in another way"
    gaps = _gaps(name, here, there) if sizes["what"] or not is_network else {"weights": np.inf}
    return {**sizes, "what": sizes["what"] or same, "gaps": gaps}


def _read_columns(path: Path) -> dict[str, np.ndarray]:
    """Columns of a table, numbers as float64 and everything else as text."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            names, lengths = arrays["names"].tolist(), 1
            if "lengths" in arrays:  # sequences: one row per frame
                names, lengths = [f"band_{i:02d}" for i in range(arrays["values"].shape[1])], arrays["lengths"]
            values = dict(zip(names, arrays["values"].T, strict=True))
            labels = {name: np.repeat(arrays[f"{name}s"], lengths) for name in ("file", "variant")}
            table = pd.DataFrame({**labels, **values})
    else:
        table = pd.read_csv(path, float_precision="round_trip")
    return {
        name: column.to_numpy(float)
        if pd.api.types.is_numeric_dtype(column) and column.dtype != bool
        else np.array(list(map(str, column.fillna(""))), dtype=str)
        for name, column in table.items()
    }


def _sizes(here: Mapping[str, np.ndarray], there: Mapping[str, np.ndarray], kind: str) -> dict[str, object]:
    """Size of the differences between arrays of equal names, as the columns `SIZES`; `kind` is ``columns`` or ``weights``."""
    both = [name for name in here if name in there and here[name].shape == there[name].shape]
    texts, n_texts, gaps = _shape_differences(here, there), 0, {}
    for name in both:
        x, y = here[name], there[name]
        if _are_numbers(x, y):
            gaps[name] = _largest_gaps(x.astype(float), y.astype(float))
            if one_sided := int((np.isnan(x) != np.isnan(y)).sum()):
                texts.append(f"{name}: {one_sided} of {x.size} empty on one side")
        elif n := int((x.astype(str) != y.astype(str)).sum()):
            texts.append(f"{name}: {n} of {x.size} differ")
            n_texts += n
    size: dict[str, object] = {"n_texts": n_texts}
    if n_columns := sum(absolute > 0 for absolute, _ in gaps.values()):
        texts.append(f"numbers differ in {n_columns} of {len(gaps)} {kind}")
        for i, which in enumerate(("absolute", "relative")):
            worst = max(gaps, key=lambda name, i=i: gaps[name][i])
            size |= {f"largest_{which}": gaps[worst][i], f"{which}_in": worst}
    return {**size, "what": "; ".join(texts)}


def _are_numbers(x: np.ndarray, y: np.ndarray) -> bool:
    return x.dtype.kind in "fiu" and y.dtype.kind in "fiu"


def _shape_differences(here: Mapping[str, np.ndarray], there: Mapping[str, np.ndarray]) -> list[str]:
    """Descriptions of differences in names, order and shape, which prevent a comparison value by value."""
    texts = [f"only here: {name}" for name in here if name not in there]
    texts += [f"only there: {name}" for name in there if name not in here]
    if not texts and list(here) != list(there):
        texts.append("in another order")
    for name in here:
        x, y = here[name].shape, there[name].shape if name in there else here[name].shape
        if x != y and len(x) == len(y) == 1:  # all columns of a table have the same number of rows
            return [*texts, f"{x[0]} rows here, {y[0]} there"]
        if x != y:
            texts.append(f"{name}: shape {x} here, {y} there")
    return texts


def _largest_gaps(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Largest absolute difference, and largest relative difference (of the larger magnitude); 0 if there is none."""
    unequal = (x != y) & ~np.isnan(x) & ~np.isnan(y)
    if not unequal.any():
        return 0.0, 0.0
    x, y = x[unequal], y[unequal]
    absolute = np.abs(x - y)
    with np.errstate(invalid="ignore"):  # infinity divided by infinity
        relative = absolute / np.maximum(np.abs(x), np.abs(y))
    return float(absolute.max()), float(np.where(np.isnan(relative), np.inf, relative).max())


# Bounds


def _quantities(name: str) -> tuple[str, ...]:
    """Quantities in `PROCESSOR_BOUNDS` that a file holds, by its name."""
    stage = stage_of(name)
    if stage in ("utterances", "folds"):
        return ("utterances and folds",)
    if fnmatchcase(name, "predictions*.csv"):
        return ("probabilities", "predicted labels")
    if stage in ("features", "weights"):
        return (stage,)
    return ("metrics",) if name == "metrics.csv" else ()


def _gaps(name: str, here: Mapping[str, np.ndarray], there: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Difference of each quantity of a file, in the unit of `PROCESSOR_BOUNDS`; infinite if names or shapes differ."""
    quantities = _quantities(name)
    if quantities and _shape_differences(here, there):
        return dict.fromkeys(quantities, np.inf)
    gaps = dict.fromkeys(quantities, 0.0)
    for column in here if quantities else ():
        quantity, gap = _column_gap(quantities, column, here[column], there[column])
        gaps[quantity] = max(gaps[quantity], gap)
    return gaps


def _column_gap(quantities: tuple[str, ...], column: str, x: np.ndarray, y: np.ndarray) -> tuple[str, float]:
    """The quantity of a column or weight, and its difference."""
    if "probabilities" in quantities and column == "predicted":
        return "predicted labels", float(np.mean(x.astype(str) != y.astype(str))) if x.size else 0.0
    quantity = quantities[0]
    if not _are_numbers(x, y):
        return quantity, 0.0 if np.array_equal(x.astype(str), y.astype(str)) else np.inf
    x, y = x.astype(float), y.astype(float)
    absolute, _ = _largest_gaps(x, y)
    measured = column.startswith("p_") if quantity == "probabilities" else column in ("value", "ci_low", "ci_high")
    if np.any(np.isnan(x) != np.isnan(y)) or (quantity in ("probabilities", "metrics") and absolute > 0 and not measured):
        return quantity, np.inf
    if quantity in ("utterances and folds", "features") and 0 < absolute < np.inf:
        return quantity, absolute / float(np.nanmax(np.abs([x, y])))
    return quantity, absolute


def size_sentence(table: pd.DataFrame) -> str:
    """One sentence on whether differences are of the size that another processor makes; empty if nothing differs.

    Parameters
    ----------
    table : pd.DataFrame
        From `compare_folders`.
    """
    differing = table[table.status == "differs"]
    if not len(differing):
        return ""
    largest: dict[str, float] = {}
    larger, unknown = list(differing.file[differing.stage == "inputs"]), []
    for _, row in differing[differing.stage != "inputs"].iterrows():
        gaps = row.gaps if isinstance(row.gaps, dict) else {}
        largest |= {name: max(gap, largest.get(name, 0.0)) for name, gap in gaps.items()}
        if any(gap > PROCESSOR_BOUNDS[name] for name, gap in gaps.items()):
            larger.append(row.file)
        elif not gaps:
            unknown.append(row.file)
    if larger:
        return f"Differences in {', '.join(larger)} are larger than another processor makes."
    if not largest:
        files = ", ".join(unknown)
        return f"Another processor does not explain the differences in {files}: features and predictions are the same."
    sizes = ", ".join(f"{name} within {largest[name]:.2g}" for name in PROCESSOR_BOUNDS if name in largest)
    rest = " Other files that differ are computed from these." if unknown else ""
    return f"All differences are of the size that another processor makes: {sizes}.{rest}"
