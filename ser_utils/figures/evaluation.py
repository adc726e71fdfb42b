"""Figures of the evaluation: tables in, figure out, in the style of `ser_utils.figures.plots`, whose `show` saves and shows them.

Tables hold shares from 0 to 1; figures show per cent, and differences in points.
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ser_utils.core.errors import StudyError
from ser_utils.core.tables import SYSTEM_COLUMNS
from ser_utils.evaluation.calibration import ece_of
from ser_utils.evaluation.protocols import PROTOCOLS, main_protocol
from ser_utils.evaluation.statistics import system_name
from ser_utils.figures import plots

BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#8c8c8c"
SYSTEM_COLOURS = [BLUE, ORANGE, GREEN, "#cc79a7", "#e69f00", "#56b4e9", "#7a5c00", "#5b4a9e", "#8c8c8c", "#000000"]
"""A colour each for model and features, in order of appearance; per-speaker normalisation is told by the marker."""
COST = "leakage gap:\nas published minus\n{main}, points"
"""The leakage gap is what ``as_published`` adds to the main protocol."""
KINDS = {"ours": BLUE, "ours, normalised by speaker": GREEN, "hand-crafted": ORANGE, "frozen encoder": GREY}
ABOVE = {"loc": "lower left", "bbox_to_anchor": (-0.01, 1.0), "ncols": 4, "borderaxespad": 0}
"""A legend between title and axes, where it covers no mark."""
UAR = "unweighted average recall (%)"


def _errors(table: pd.DataFrame, value: str, low: str, high: str) -> np.ndarray:
    """Lengths of the whiskers to both sides, in per cent [shape=(2, n)]; a bootstrap interval may lie beside its value."""
    return 100 * np.clip(np.array([table[value] - table[low], table[high] - table[value]], dtype=float), 0, None)


def _chance(ax: Axes, chance: float, *, upright: bool) -> None:
    """A dotted line at chance level, named inside the axes."""
    at = 100 * chance
    style = {"color": "black", "linestyle": ":", "linewidth": 1, "zorder": 1}
    if upright:
        ax.axvline(at, **style)
        place, turn, across, along = {"xy": (at, 0.5), "xycoords": ax.get_xaxis_transform()}, 90, "right", "center"
    else:
        ax.axhline(at, **style)
        place, turn, across, along = {"xy": (0, at), "xycoords": ax.get_yaxis_transform()}, 0, "left", "top"
    offset = (-2, 0) if upright else (4, -2)
    words = f"chance {at:.1f} %"
    ax.annotate(words, xytext=offset, textcoords="offset points", rotation=turn, ha=across, va=along, fontsize=8.5, **place)


def _points(difference: float) -> str:
    """A difference of shares in points, signed: "+7.1"."""
    return f"{round(100 * difference, 1) + 0.0:+.1f}".replace("-", "\N{MINUS SIGN}")  # adding 0.0 makes -0.0 a plain zero


def protocol_comparison(metrics: pd.DataFrame, chance: float, notice: str = "", over: str = "speakers") -> Figure:
    """The protocol ladder: the UAR of each system under each protocol with its interval, and what the leak adds.

    Parameters
    ----------
    metrics : pd.DataFrame
        As ``metrics.csv``: any systems; protocols that are not there are left out.
    chance : float
    notice : str
        Said in the title, such as that the voices are synthetic.
    over : str
        What the intervals resample, from `ser_utils.evaluation.metrics.unit_label`.
    """
    uar = metrics[metrics.metric == "uar"]
    protocols = [name for name in PROTOCOLS if name in set(uar.protocol)]
    systems = [(keys, table.set_index("protocol")) for keys, table in uar.groupby(SYSTEM_COLUMNS[1:], sort=False)]
    ends = ["as_published", main_protocol([*protocols, "clip"])]
    leak = set(ends) <= set(protocols)
    columns = [f"{name}:\n{PROTOCOLS[name].label}" for name in protocols] + [COST.format(main=ends[1])] * leak
    heights = (4.2, 0.27 * len(systems))
    fig, (ax, values) = plt.subplots(2, 1, sharex=True, figsize=(12, 1.7 + sum(heights)), height_ratios=heights)
    colours = dict(zip(dict.fromkeys(keys[:2] for keys, _ in systems), itertools.cycle(SYSTEM_COLOURS), strict=False))
    for row, (keys, table) in enumerate(systems):
        steps = {i: table.loc[name] for i, name in enumerate(protocols) if name in table.index}
        cost = table.value[ends[0]] - table.value[ends[1]] if leak and set(ends) <= set(table.index) else None
        look = _system_look(keys, colours)
        beside = (row - (len(systems) - 1) / 2) * min(0.12, 0.6 / len(systems))
        _climb(ax, steps, look, beside)
        _write(values, row, {i: f"{100 * step.value:.1f}" for i, step in steps.items()})
        values.plot(-0.46, row, **look, markersize=6, clip_on=False)
        if cost is not None:
            ax.plot([len(protocols) + beside] * 2, 100 * table.value[ends], color=look["color"], marker="_", linewidth=2.5)
            _write(values, row, {len(protocols): _points(cost)}, fontweight="bold")
    _chance(ax, chance, upright=False)
    ax.set(ylim=(0, 102), ylabel=UAR, xlim=(-0.5, len(columns) - 0.5))
    ax.tick_params(axis="x", length=0, labelbottom=False)
    ax.grid(False, axis="x")
    values.xaxis.tick_top()
    values.set_xticks(range(len(columns)), columns, fontsize=9)
    values.set_yticks(range(len(systems)), [_name(keys) for keys, _ in systems], va="center")
    values.set_ylim(len(systems) - 0.5, -0.5)
    values.tick_params(length=0)
    values.grid(False)
    values.spines[:].set_visible(False)
    title = "The protocol ladder, from the wrong way to test to the hardest"
    fig.suptitle(title + (f" ({notice})" if notice else ""), x=0.01, ha="left", fontweight="bold", fontsize=11)
    note = f"UAR in %, whiskers are 95 % intervals over {over}; full circles: each speaker normalised by own unlabelled clips"
    fig.supxlabel(note, fontsize=9)
    return fig


def _climb(ax: Axes, steps: dict[int, pd.Series], look: dict, beside: float) -> None:
    """One system's line over its protocols, with whiskers."""
    table = pd.DataFrame(steps).T
    whiskers = _errors(table, "value", "ci_low", "ci_high")
    x = np.array(list(steps)) + beside
    ax.errorbar(x, 100 * table.value.astype(float), yerr=whiskers, capsize=2.5, elinewidth=1.1, markersize=6, **look)


def _write(ax: Axes, row: int, words: dict[int, str], **how: str) -> None:
    """One row of the table of values below the ladder, from column to text."""
    for column, text in words.items():
        ax.text(column, row, text, ha="center", va="center", fontsize=9.5, **how)


def _name(keys: tuple) -> str:
    return system_name(dict(zip(SYSTEM_COLUMNS[1:], keys, strict=True)))


def _system_look(keys: tuple, colours: dict) -> dict:
    """Colour by model and features; round and solid with per-speaker normalisation, square and dashed without."""
    own = keys[2] == "speaker"
    marker, line = ("o", "-") if own else ("s", "--")
    colour = colours[keys[:2]]
    return {
        "color": colour,
        "marker": marker,
        "linestyle": line,
        "markerfacecolor": colour if own else "white",
        "linewidth": 1.3,
    }


def published_results(table: pd.DataFrame, chance: float) -> Figure:
    """Published results beside ours, best on top.

    Parameters
    ----------
    table : pd.DataFrame [columns=system, uar, source, kind]
        `kind` is one of `KINDS`. Where there are columns `ci_low` and `ci_high`, rows that have them get whiskers.
    chance : float
    """
    unknown = sorted(set(table.kind) - set(KINDS))
    if unknown:
        raise StudyError(f"Unknown kind {unknown[0]!r}: expected one of {', '.join(KINDS)}.")
    table = table.sort_values("uar", ascending=False, kind="stable").reset_index(drop=True)
    fig, ax = plt.subplots(figsize=(10, 1.5 + 0.29 * len(table)))
    for kind, colour in KINDS.items():
        part = table[table.kind == kind]
        if len(part):
            whiskers = _errors(part, "uar", "ci_low", "ci_high") if "ci_low" in table else None
            ax.errorbar(
                100 * part.uar,
                part.index,
                xerr=whiskers,
                fmt="o",
                markersize=7,
                color=colour,
                capsize=3,
                elinewidth=1.2,
                label=kind,
            )
    ends = table[["uar", "ci_high"]].max(axis=1) if "ci_high" in table else table.uar
    for row, (end, uar) in enumerate(zip(ends, table.uar, strict=True)):
        ax.annotate(f"{100 * uar:.1f}", (100 * end, row), (8, 0), textcoords="offset points", va="center", fontweight="bold")
    _chance(ax, chance, upright=True)
    ax.set_yticks(table.index, table.system)
    for label, kind in zip(ax.get_yticklabels(), table.kind, strict=True):
        label.set_fontweight("bold" if kind.startswith("ours") else "normal")
    ax.set(xlim=(0, 100 * ends.max() + 12), ylim=(len(table) - 0.4, -0.6), xlabel=UAR)
    sources = ax.secondary_yaxis("right")
    sources.set_yticks(table.index, table.source, fontsize=9, color="#555555")
    sources.tick_params(length=0)
    sources.spines[:].set_visible(False)
    ax.set_title("Beside what is published for voices never heard", pad=26)
    ax.legend(**ABOVE)
    ax.grid(False, axis="y")
    return fig


def reliability(before: pd.DataFrame, after: pd.DataFrame) -> Figure:
    """Confidence against accuracy as trained and after temperature scaling, above how many clips have that confidence.

    `before` and `after` are as from `ser_utils.evaluation.calibration.reliability_table`.
    """
    fig, axes = plt.subplots(2, 2, figsize=(9, 5.4), sharex=True, sharey="row", height_ratios=(3.4, 1))
    for (top, bottom), table, name in zip(axes.T, (before, after), ("As trained", "With temperature"), strict=True):
        middle, width = 50 * (table.low + table.high), 100 * (table.high - table.low)
        top.bar(middle, 100 * table.accuracy, width, color="#7fb7d8", edgecolor="white", label="share that is right")
        gap = {"height": 100 * (table.confidence - table.accuracy), "bottom": 100 * table.accuracy, "width": width}
        top.bar(middle, **gap, facecolor="none", edgecolor=ORANGE, hatch="//", linewidth=0.8, label="gap to the confidence")
        top.plot([0, 100], [0, 100], color="black", linestyle=":", linewidth=1, label="as sure as right")
        bottom.bar(middle, 100 * table.n / table.n.sum(), width, color=GREY, edgecolor="white")
        top.set_title(f"{name}: ECE {100 * ece_of(table):.1f} points")
        bottom.set(xlabel="confidence (%)", xlim=(0, 100))
    axes[0, 0].set(ylabel="right answers (%)", ylim=(0, 100))
    axes[1, 0].set_ylabel("clips (%)")
    axes[0, 0].legend(loc="upper left")
    return fig


def coverage(table: pd.DataFrame, chance: float) -> Figure:
    """Accuracy among the clips that a model is surest of, over the share it answers.

    Parameters
    ----------
    table : pd.DataFrame [columns=coverage, accuracy]
        As from `ser_utils.evaluation.calibration.coverage_table`; a column `system`, where there is one, tells lines apart.
    chance : float
    """
    fig, ax = plt.subplots(figsize=(7.5, 4.2))
    groups = list(table.groupby("system", sort=False)) if "system" in table else [("", table)]
    lower = int(np.argmin([part.accuracy.mean() for _, part in groups[:2]])) if len(groups) > 1 else None
    for number, ((name, part), colour) in enumerate(zip(groups, SYSTEM_COLOURS, strict=False)):
        x, y = 100 * part.coverage, 100 * part.accuracy
        ax.plot(x, y, marker="o", markersize=5, color=colour, label=name)
        for i in (x.argmin(), x.argmax()) if number < 2 else ():  # more than two would lie on each other
            place = {"xy": (x.iloc[i], y.iloc[i]), "xytext": (0, -15 if number == lower else 7), "textcoords": "offset points"}
            ax.annotate(f"{y.iloc[i]:.0f} %", **place, ha="center", color=colour, fontweight="bold", fontsize=9)
    _chance(ax, chance, upright=False)
    ax.set(xlim=(0, 104), ylim=(0, 104), xlabel="clips answered, the surest first (%)", ylabel="right among them (%)")
    ax.set_title('A model that may say "I don\'t know"', pad=24 if "system" in table else 6)
    if "system" in table:
        ax.legend(**ABOVE)
    return fig


def importance(table: pd.DataFrame) -> Figure:
    """What the UAR loses when a family of features is shuffled, the most needed on top.

    Parameters
    ----------
    table : pd.DataFrame [columns=family, drop, low, high]
        `drop` and its interval as differences of shares; without an interval (NaN) where there is one speaker only.
    """
    table = table.sort_values("drop", ascending=False, kind="stable").reset_index(drop=True)
    fig, ax = plt.subplots(figsize=(8, 1.2 + 0.36 * len(table)))
    alone = table.low.isna().all()
    whiskers, table = _errors(table, "drop", "low", "high"), table.fillna({"low": table["drop"], "high": table["drop"]})
    ax.barh(table.index, 100 * table["drop"], height=0.62, color=BLUE, xerr=whiskers, capsize=3, error_kw={"elinewidth": 1.1})
    left, right = min(0, 100 * table.low.min()), max(0, 100 * table.high.max())
    room = (right - left) or 1
    for row, (value, high) in enumerate(zip(table["drop"], table.high, strict=True)):
        ax.text(max(100 * high, 0) + 0.02 * room, row, _points(value), va="center", fontsize=9, fontweight="bold")
    ax.axvline(0, color="black", linewidth=1)
    ax.set_yticks(table.index, table.family)
    ax.set(xlim=(left - 0.03 * room, right + 0.13 * room), ylim=(len(table) - 0.4, -0.6))
    interval = "no interval: no two speakers" if alone else "95 % interval over speakers"
    ax.set(xlabel=f"loss of UAR when shuffled (points), {interval}", title="What the network listens to")
    ax.grid(False, axis="y")
    return fig


def enrolment(table: pd.DataFrame, chance: float) -> Figure:
    """How many unlabelled clips of a voice it takes to normalise it.

    Parameters
    ----------
    table : pd.DataFrame [columns=n_clips, uar, low, high]
        The row whose `n_clips` is 0 is the system without per-speaker normalisation, drawn as a line.
    chance : float
    """
    without, table = table[table.n_clips == 0], table[table.n_clips > 0].sort_values("n_clips")
    fig, ax = plt.subplots(figsize=(7.5, 4.2))
    for row in without.itertuples():
        name = f"without normalisation: {100 * row.uar:.1f} %"
        ax.axhline(100 * row.uar, color=ORANGE, linestyle="--", linewidth=1.5, label=name)
        ax.axhspan(100 * row.low, 100 * row.high, color=ORANGE, alpha=0.10, linewidth=0)
    x, y, whiskers = table.n_clips, 100 * table.uar, _errors(table, "uar", "low", "high")
    ax.errorbar(x, y, yerr=whiskers, marker="o", color=BLUE, capsize=3, elinewidth=1.1, label="normalised")
    behind = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
    for n, value, up in zip(x, y, whiskers[1], strict=True):
        where = {"xy": (n, value + up), "xytext": (0, 5), "textcoords": "offset points", "ha": "center"}
        ax.annotate(f"{value:.1f}", **where, color=BLUE, fontsize=9, bbox=behind)
    _chance(ax, chance, upright=False)
    ax.set_xscale("log", base=2)
    ax.set_xticks(table.n_clips, table.n_clips)
    ax.minorticks_off()
    top = 100 * max(table.high.max(), without.high.max() if len(without) else 0)
    ax.set(ylim=(0, top * 1.15), ylabel=UAR, xlabel="unlabelled clips of the speaker used to normalise")
    ax.set_title("How much of a voice must be known to normalise it", pad=26)
    ax.legend(**ABOVE)
    return fig


def _ends(table: pd.DataFrame, values: pd.Series, what: str) -> tuple[pd.DataFrame, str]:
    """Of more rows than a figure holds those of the lowest and the highest values, and words that say so."""
    if len(table) <= plots.MOST_SHOWN:
        return table, ""
    order, half = np.argsort(values.to_numpy(), kind="stable"), plots.MOST_SHOWN // 2
    chosen = np.sort(np.r_[order[:half], order[-half:]])
    return table.iloc[chosen], f"\nthe {half} lowest and the {half} highest of {len(table)} {what}"


def paired_differences(table: pd.DataFrame, chance: float, *, a: str, b: str) -> Figure:
    """Two systems speaker by speaker, from B to A, with their mean at the bottom.

    Parameters
    ----------
    table : pd.DataFrame [columns=speaker, uar_a, uar_b]
        As ``speakers`` from `ser_utils.evaluation.statistics.paired_comparison`.
    chance : float
    a, b : str
        What the systems are called.
    """
    mean = table[["uar_a", "uar_b"]].mean().to_frame().T.assign(speaker="mean")
    table, told = _ends(table, table.uar_a - table.uar_b, "speakers")
    table = pd.concat([table[["speaker", "uar_a", "uar_b"]], mean], ignore_index=True)
    fig, ax = plt.subplots(figsize=(8, 1.7 + 0.36 * len(table)))
    better = table.uar_a >= table.uar_b
    ax.hlines(table.index, 100 * table.uar_b, 100 * table.uar_a, color=np.where(better, BLUE, ORANGE), linewidth=3, alpha=0.45)
    ax.plot(
        100 * table.uar_b, table.index, "o", markersize=8, markerfacecolor="white", color=GREY, markeredgewidth=1.8, label=b
    )
    ax.plot(100 * table.uar_a, table.index, "o", markersize=8, color=BLUE, label=a)
    for row, (one, other) in enumerate(zip(table.uar_a, table.uar_b, strict=True)):
        end = 100 * max(one, other)
        ax.annotate(_points(one - other), (end, row), (9, 0), textcoords="offset points", va="center", fontweight="bold")
    ax.axhline(len(table) - 1.5, color="black", linewidth=0.8)
    _chance(ax, chance, upright=True)
    right = min(104, 100 * table[["uar_a", "uar_b"]].max(axis=None) + 10)
    ax.set_yticks(table.index, table.speaker)
    ax.set(xlim=(0, right), ylim=(len(table) - 0.4, -0.6), xlabel=UAR, ylabel="speaker")
    ax.set_title(f"Speaker by speaker (difference in points){told}", pad=26)
    ax.legend(**ABOVE)
    ax.grid(False, axis="y")
    return fig


def heat_by_group(table: pd.DataFrame) -> Figure:
    """UAR or recall by group, as coloured cells.

    Parameters
    ----------
    table : pd.DataFrame
        From `ser_utils.evaluation.statistics.uar_by_group`: of several systems and one column (systems side by side), or of one system and two
        columns (the first downwards, the second across).
    """
    groups = [name for name in table if name not in (*SYSTEM_COLUMNS, "metric", "value", "n_clips", "n_speakers")]
    if len(groups) == 1:
        names = [f"{row['protocol']}:\n{system_name(row)}".replace(", ", ",\n") for _, row in table.iterrows()]
        table, groups = table.assign(system=names), [*groups, "system"]
    elif len(groups) != 2 or len(table[SYSTEM_COLUMNS].drop_duplicates()) != 1:
        raise StudyError(f"Found groups {', '.join(groups)}: expected one, or two of a single system.")
    down, across = (list(dict.fromkeys(table[name])) for name in groups)
    shares = 100 * table.pivot(index=groups[0], columns=groups[1], values="value").loc[down, across]
    shares, told = _ends(shares, shares.mean(axis=1), f"{groups[0]}s")
    width = 1.3 if groups[1] == "system" else 0.65
    fig, ax = plt.subplots(figsize=(max(5, 1.8 + width * len(across)), 1.5 + 0.4 * len(shares)))
    sns.heatmap(shares, annot=True, fmt=".0f", cmap="Blues", vmin=0, vmax=100, linewidths=0.5, ax=ax, cbar=False)
    what = "Recall" if set(table.metric) == {"recall"} else "UAR"
    ax.set(title=f"{what} in % by {groups[0]} and {groups[1]}{told}", xlabel="", ylabel=groups[0])
    ax.tick_params(axis="y", rotation=0, length=0)
    ax.tick_params(axis="x", rotation=0, length=0)
    return fig
