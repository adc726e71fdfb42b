"""Figures of one system's evaluation (notebook 04): errors, calibration, feature importance, enrolment.

Tables hold shares from 0 to 1; figures show per cent, and differences in points.
"""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ser_utils.core.tables import SYSTEM_COLUMNS
from ser_utils.evaluation.calibration import expected_calibration_error
from ser_utils.evaluation.texts import system_name
from ser_utils.figures import style


def confusion(table: pd.DataFrame) -> Figure:
    """Draw confusion matrices normalised by true label, one panel per system.

    Parameters
    ----------
    table : pd.DataFrame
        As ``confusion_matrix.csv``: shares by true emotion (rows) and predicted emotion (columns) of each system.
    """
    systems = list(table.groupby(SYSTEM_COLUMNS, sort=False))
    n_columns = min(2, len(systems))
    n_rows = -(-len(systems) // n_columns)
    fig, axes = plt.subplots(n_rows, n_columns, figsize=(5.8 * n_columns, 5 * n_rows), squeeze=False)
    for ax in axes.flat[len(systems) :]:
        ax.set_visible(False)
    for ax, ((protocol, model, _, norm), rows) in zip(axes.flat, systems, strict=False):
        shares = rows.set_index("emotion").drop(columns=SYSTEM_COLUMNS)
        style.percent_cells(ax, shares, square=True, cbar_kws={"label": "clips of the true emotion (%)", "shrink": 0.8})
        title = f"{model}, {protocol}" if norm == "none" else f"{model}, {protocol},\n{style.norm_label(norm)}"
        ax.set(title=title, xlabel="predicted", ylabel="true")
        ax.tick_params(axis="x", rotation=45)
        ax.tick_params(axis="y", rotation=0)
    style.set_title(fig, "Confusion matrices, normalised by true label (rows sum to 100 %)")
    return fig


def heat_by_group(table: pd.DataFrame) -> Figure:
    """Draw UAR or recall by group (rows) and system (columns) as coloured cells.

    Parameters
    ----------
    table : pd.DataFrame
        From `ser_utils.evaluation.breakdown.uar_by_group`, with one group column.
    """
    (group,) = set(table) - {*SYSTEM_COLUMNS, "metric", "value", "n_clips", "n_speakers"}
    systems = [f"{row['protocol']}:\n{system_name(row)}".replace(", ", ",\n") for _, row in table.iterrows()]
    shares = table.assign(system=systems).pivot(index=group, columns="system", values="value")
    shares = shares.loc[table[group].unique(), list(dict.fromkeys(systems))]
    shares, note = style.keep_extremes(shares, shares.mean(axis=1), f"{group}s")
    fig, ax = plt.subplots(figsize=(max(5, 1.8 + 1.3 * shares.shape[1]), 1.5 + 0.4 * len(shares)))
    style.percent_cells(ax, shares, cbar=False)
    metric = "Recall" if set(table.metric) == {"recall"} else "UAR"
    ax.set(title=f"{metric} (%) by {group} and system{note}", xlabel="", ylabel=group)
    ax.tick_params(rotation=0)
    return fig


def reliability(before: pd.DataFrame, after: pd.DataFrame) -> Figure:
    """Draw reliability diagrams before and after temperature scaling, each above the distribution of confidences.

    Parameters
    ----------
    before, after : pd.DataFrame
        From `ser_utils.evaluation.calibration.reliability_table`.
    """
    fig, axes = plt.subplots(2, 2, figsize=(9, 5.4), sharex=True, sharey="row", height_ratios=(3.4, 1))
    for (top, bottom), table, name in zip(axes.T, (before, after), ("Before", "After"), strict=True):
        middle, width = 50 * (table.low + table.high), 100 * (table.high - table.low)
        accuracy, gap = 100 * table.accuracy, 100 * (table.confidence - table.accuracy)
        marks = {"facecolor": "none", "edgecolor": style.ORANGE, "hatch": "//", "linewidth": 0.8}
        top.bar(middle, accuracy, width, color="#7fb7d8", edgecolor="white", label="accuracy")
        top.bar(middle, gap, width, bottom=accuracy, **marks, label="difference from confidence")
        top.plot([0, 100], [0, 100], color="black", linestyle=":", linewidth=1, label="perfect calibration")
        bottom.bar(middle, 100 * table.n / table.n.sum(), width, color=style.GREY, edgecolor="white")
        top.set_title(f"{name} temperature scaling: ECE {100 * expected_calibration_error(table):.1f} points")
        bottom.set(xlabel="confidence (%)", xlim=(0, 100))
    axes[0, 0].set(ylabel="accuracy (%)", ylim=(0, 100))
    axes[1, 0].set_ylabel("clips (%)")
    axes[0, 0].legend(loc="upper left")
    return fig


def coverage(table: pd.DataFrame, chance: float) -> Figure:
    """Draw the accuracy among the most confident clips by coverage, the share of clips that are answered.

    Parameters
    ----------
    table : pd.DataFrame [columns=system, coverage, accuracy]
        From `ser_utils.evaluation.calibration.coverage_table`; one line per system, of two at most.
    chance : float
    """
    fig, ax = plt.subplots(figsize=(7.5, 4.2))
    for (name, line), colour in zip(table.groupby("system", sort=False), style.SYSTEM_COLOURS, strict=False):
        x, y = 100 * line.coverage, 100 * line.accuracy
        ax.plot(x, y, marker="o", markersize=5, color=colour, label=name)
        offset = (0, -15 if line.accuracy.mean() < table.accuracy.mean() else 7)
        for i in (x.argmin(), x.argmax()):
            style.write_at(ax, f"{y.iloc[i]:.0f} %", (x.iloc[i], y.iloc[i]), offset, ha="center", color=colour)
    style.chance_line(ax, chance, vertical=False)
    ax.set(xlim=(0, 104), ylim=(0, 104))
    ax.set(xlabel="coverage: share of clips answered, most confident first (%)", ylabel="accuracy among answered clips (%)")
    ax.set_title("Accuracy by coverage")
    fig.legend(loc="outside lower center", ncols=3)
    return fig


def importance(table: pd.DataFrame) -> Figure:
    """Draw the permutation importance of feature families: the decrease in UAR when a family is shuffled, largest on top.

    Parameters
    ----------
    table : pd.DataFrame [columns=family, drop, low, high]
        Decrease and interval as differences of shares; the interval is NaN if there are fewer than two speakers.
    """
    table = table.sort_values("drop", ascending=False, kind="stable").reset_index(drop=True)
    fig, ax = plt.subplots(figsize=(8, 1.2 + 0.36 * len(table)))
    has_interval = table.low.notna().any()
    errors = style.error_lengths(table, "drop", "low", "high")
    table = table.fillna({"low": table["drop"], "high": table["drop"]})
    marks = {"height": 0.62, "color": style.BLUE, "capsize": 3, "error_kw": {"elinewidth": 1.1}}
    ax.barh(table.index, 100 * table["drop"], xerr=errors, **marks)
    left, right = min(0, 100 * table.low.min()), max(0, 100 * table.high.max())
    span = (right - left) or 1
    for row, (value, high) in enumerate(zip(table["drop"], table.high, strict=True)):
        style.write_at(ax, style.format_points(value), (max(100 * high, 0), row), (8, 0), va="center")
    ax.axvline(0, color="black", linewidth=1)
    style.label_rows(ax, table.family)
    interval = f"{style.INTERVAL} over speakers" if has_interval else "no interval: fewer than two speakers"
    ax.set(xlabel=f"decrease in UAR (points), {interval}", title="Permutation importance of feature families")
    ax.set_xlim(left - 0.03 * span, right + 0.13 * span)
    return fig


def enrolment(table: pd.DataFrame, chance: float) -> Figure:
    """Draw the UAR by the number of unlabelled clips from which the statistics of per-speaker normalisation are computed.

    Parameters
    ----------
    table : pd.DataFrame [columns=n_clips, uar, low, high]
        A row with `n_clips` 0 is the system without per-speaker normalisation, drawn as a horizontal line.
    chance : float
    """
    without, table = table[table.n_clips == 0], table[table.n_clips > 0].sort_values("n_clips")
    fig, ax = plt.subplots(figsize=(7.5, 4.2))
    for row in without.itertuples():
        label = f"no per-speaker normalisation: {100 * row.uar:.1f} %"
        ax.axhline(100 * row.uar, color=style.ORANGE, linestyle="--", linewidth=1.5, label=label)
        ax.axhspan(100 * row.low, 100 * row.high, color=style.ORANGE, alpha=0.10, linewidth=0)
    x, y, errors = table.n_clips, 100 * table.uar, style.error_lengths(table, "uar", "low", "high")
    ax.errorbar(x, y, yerr=errors, marker="o", color=style.BLUE, capsize=3, elinewidth=1.1, label="per-speaker normalisation")
    background = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
    for n, value, length in zip(x, y, errors[1], strict=True):
        style.write_at(ax, f"{value:.1f}", (n, value + length), (0, 5), ha="center", color=style.BLUE, bbox=background)
    style.chance_line(ax, chance, vertical=False)
    ax.set_xscale("log", base=2)
    ax.set_xticks(table.n_clips, table.n_clips)
    ax.minorticks_off()
    top = 100 * max(table.high.max(), without.high.max() if len(without) else 0)
    ax.set(ylim=(0, top * 1.15), ylabel=style.UAR_LABEL, xlabel="unlabelled clips of the speaker used for normalisation")
    style.title_and_legend(ax, "Per-speaker normalisation by number of clips")
    return fig
