"""Comparison of protocols (notebook 04): the UAR of each system under each protocol, and the leakage gap."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ser_utils.core.tables import SYSTEM_COLUMNS
from ser_utils.evaluation.protocols import PROTOCOLS, main_protocol
from ser_utils.evaluation.texts import system_name
from ser_utils.figures import style


def protocol_comparison(metrics: pd.DataFrame, chance: float, notice: str = "", unit: str = "speakers") -> Figure:
    """Draw the UAR of each system under each protocol with its interval, and the leakage gap; values in a table below.

    The leakage gap is the UAR under ``as_published`` minus the UAR under the main protocol.

    Parameters
    ----------
    metrics : pd.DataFrame
        As ``metrics.csv``. Protocols are drawn in the order of `PROTOCOLS`.
    chance : float
    notice : str
        Appended to the title.
    unit : str
        Unit that the intervals resample, from `ser_utils.evaluation.texts.unit_label`.
    """
    uar = metrics[metrics.metric == "uar"]
    present = set(uar.protocol)
    protocols = [name for name in PROTOCOLS if name in present]
    systems = [(keys, table.set_index("protocol")) for keys, table in uar.groupby(SYSTEM_COLUMNS[1:], sort=False)]
    gap_ends = ["as_published", main_protocol([*protocols, "clip"])]
    columns = [f"{name}:\n{PROTOCOLS[name].label}" for name in protocols]
    if present.issuperset(gap_ends):
        columns.append(f"leakage gap:\nas_published minus\n{gap_ends[1]}, points")
    heights = (4.2, 0.27 * len(systems))
    size = (max(12, 3.5 + 1.5 * len(columns)), 1.7 + sum(heights))
    fig, (ax, values) = plt.subplots(2, 1, sharex=True, figsize=size, height_ratios=heights)
    colours = dict(zip(dict.fromkeys(keys[:2] for keys, _ in systems), itertools.cycle(style.SYSTEM_COLOURS), strict=False))
    for row, ((*system, norm), table) in enumerate(systems):
        marks = _marks(colours[tuple(system)], norm)
        offset = (row - (len(systems) - 1) / 2) * min(0.12, 0.6 / len(systems))
        table = table.loc[[name for name in protocols if name in table.index]]
        x = np.array([protocols.index(name) for name in table.index])
        errors = style.error_lengths(table, "value", "ci_low", "ci_high")
        ax.errorbar(x + offset, 100 * table.value, yerr=errors, capsize=2.5, elinewidth=1.1, markersize=6, **marks)
        values.plot(-0.46, row, **marks, markersize=6, clip_on=False)
        for column, value in zip(x, table.value, strict=True):
            _write(values, column, row, f"{100 * value:.1f}")
        if set(gap_ends) <= set(table.index):
            ends, column = table.value[gap_ends], len(protocols)
            ax.plot([column + offset] * 2, 100 * ends, color=marks["color"], marker="_", linewidth=2.5)
            _write(values, column, row, style.format_points(ends.iloc[0] - ends.iloc[1]), fontweight="bold")
    style.label_cells(values, columns, [system_name(dict(zip(SYSTEM_COLUMNS[1:], keys, strict=True))) for keys, _ in systems])
    values.tick_params(axis="x", labelsize=9)
    style.chance_line(ax, chance, vertical=False)
    ax.set(ylim=(0, 102), ylabel=style.UAR_LABEL)
    ax.tick_params(axis="x", length=0, labelbottom=False)
    ax.grid(False, axis="x")
    style.set_title(fig, style.with_notice("Comparison of protocols", notice))
    note = "filled circles, solid lines: per-speaker normalisation; open squares, dashed lines: none"
    fig.supxlabel(f"UAR in %, {style.INTERVAL}s over {unit}; {note}", fontsize=9)
    return fig


def _marks(colour: str, speaker_norm: str) -> dict:
    """Choose how a system is drawn: filled marks and solid lines with per-speaker normalisation."""
    if speaker_norm == "speaker":
        return {"color": colour, "linewidth": 1.3, "marker": "o", "linestyle": "-"}
    return {"color": colour, "linewidth": 1.3, "marker": "s", "linestyle": "--", "markerfacecolor": "white"}


def _write(values: Axes, column: int, row: int, text: str, **font: str) -> None:
    values.text(column, row, text, ha="center", va="center", fontsize=9.5, **font)
