"""Comparisons of systems (notebooks 04 and 07): headline, published results, and differences by speaker."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ser_utils.evaluation.texts import percent
from ser_utils.figures import style

KINDS = {
    "ours": style.BLUE,
    "ours, normalised by speaker": style.GREEN,
    "hand-crafted": style.ORANGE,
    "frozen encoder": style.GREY,
}
"""Kinds of systems among the published results, and their colours."""


def headline(bars: pd.DataFrame, chance: float, notice: str, unit: str = "speakers") -> Figure:
    """Draw the key figure: the UAR of a few systems with its interval, and chance.

    Parameters
    ----------
    bars : pd.DataFrame [columns=name, value, ci_low, ci_high, leaks]
        From top to bottom. Systems tested on clips that are also in training (`leaks`) are grey.
    chance : float
    notice : str
        Appended to the title.
    unit : str
        Unit that the intervals resample.
    """
    fig, ax = plt.subplots(figsize=(9, 1.2 + 0.75 * len(bars)))
    errors = style.error_lengths(bars, "value", "ci_low", "ci_high")
    ax.barh(bars.name, 100 * bars.value, color=np.where(bars.leaks, style.GREY, style.BLUE), height=0.6, xerr=errors, capsize=4)
    for row, (value, high) in enumerate(zip(bars.value, bars.ci_high, strict=True)):
        ax.text(100 * high + 1.5, row, percent(value), va="center", fontweight="bold")
    ax.axvline(100 * chance, color="black", linestyle=":", linewidth=1)
    ax.text(100 * chance + 0.7, 0.5, f"chance {percent(chance)}", va="center", fontsize=9)
    ax.set(xlim=(0, 104), xlabel=f"{style.UAR_LABEL}, {style.INTERVAL} over {unit}")
    ax.set_title(style.with_notice("Unweighted average recall by network and test data", notice))
    ax.invert_yaxis()
    ax.grid(False, axis="y")
    return fig


def published_results(table: pd.DataFrame, chance: float) -> Figure:
    """Draw published results and results of this study in descending order of UAR.

    Parameters
    ----------
    table : pd.DataFrame [columns=system, uar, source, kind, ci_low, ci_high]
        `kind` is one of `KINDS`; intervals may be NaN.
    chance : float
    """
    table = table.sort_values("uar", ascending=False, kind="stable").reset_index(drop=True)
    fig, ax = plt.subplots(figsize=(10, 1.5 + 0.29 * len(table)))
    marks = {"fmt": "o", "markersize": 7, "capsize": 3, "elinewidth": 1.2}
    for kind in sorted(table.kind.unique(), key=list(KINDS).index):
        rows = table[table.kind == kind]
        errors = style.error_lengths(rows, "uar", "ci_low", "ci_high")
        ax.errorbar(100 * rows.uar, rows.index, xerr=errors, color=KINDS[kind], label=kind, **marks)
    ends = table[["uar", "ci_high"]].max(axis=1)
    for row, (end, uar) in enumerate(zip(ends, table.uar, strict=True)):
        style.write_at(ax, f"{100 * uar:.1f}", (100 * end, row), (8, 0), va="center")
    style.chance_line(ax, chance, vertical=True)
    style.label_rows(ax, table.system)
    for label, kind in zip(ax.get_yticklabels(), table.kind, strict=True):
        label.set_fontweight("bold" if kind.startswith("ours") else "normal")
    ax.set(xlim=(0, 100 * ends.max() + 12), xlabel=style.UAR_LABEL)
    sources = ax.secondary_yaxis("right")
    sources.set_yticks(table.index, table.source, fontsize=9, color="#555555")
    sources.tick_params(length=0)
    sources.spines[:].set_visible(False)
    style.title_and_legend(ax, "Comparison with published results for unseen speakers")
    return fig


def paired_differences(table: pd.DataFrame, chance: float, *, a: str, b: str) -> Figure:
    """Draw the UAR of two systems for each speaker, their difference in points, and the mean over speakers in the last row.

    Parameters
    ----------
    table : pd.DataFrame [columns=speaker, uar_a, uar_b]
        As ``speakers`` from `ser_utils.evaluation.statistics.paired_comparison`.
    chance : float
    a, b : str
        Names of the systems; differences are A minus B.
    """
    mean = table[["uar_a", "uar_b"]].mean().to_frame().T.assign(speaker="mean")
    table, note = style.keep_extremes(table, table.uar_a - table.uar_b, "speakers")
    table = pd.concat([table[["speaker", "uar_a", "uar_b"]], mean], ignore_index=True)
    rows, uar_a, uar_b = table.index, 100 * table.uar_a, 100 * table.uar_b
    fig, ax = plt.subplots(figsize=(8, 1.7 + 0.36 * len(table)))
    ax.hlines(rows, uar_b, uar_a, color=np.where(uar_a >= uar_b, style.BLUE, style.ORANGE), linewidth=3, alpha=0.45)
    ax.plot(uar_b, rows, "o", markersize=8, markerfacecolor="white", color=style.GREY, markeredgewidth=1.8, label=b)
    ax.plot(uar_a, rows, "o", markersize=8, color=style.BLUE, label=a)
    for row in table.itertuples():
        difference = style.format_points(row.uar_a - row.uar_b)
        style.write_at(ax, difference, (100 * max(row.uar_a, row.uar_b), row.Index), (9, 0), va="center")
    ax.axhline(len(table) - 1.5, color="black", linewidth=0.8)
    style.chance_line(ax, chance, vertical=True)
    right = min(104, 100 * table[["uar_a", "uar_b"]].max(axis=None) + 10)
    style.label_rows(ax, table.speaker)
    ax.set(xlim=(0, right), xlabel=style.UAR_LABEL, ylabel="speaker")
    style.title_and_legend(ax, f"UAR by speaker, and difference in points{note}")
    return fig
