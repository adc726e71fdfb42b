"""Style and common elements of all figures: style file, palette, chance line, error bars, labels, and `show`."""

from collections.abc import Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Image, Markdown, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ser_utils.core.paths import write_aside
from ser_utils.evaluation.texts import interval_label, percent

plt.style.use(Path(__file__).with_name("ser.mplstyle"))

EMOTION_COLOURS = {
    "neutral": "#7f7f7f",
    "disgust": "#7a5c00",
    "joy": "#e69f00",
    "fear": "#8e5bb5",
    "anger": "#d1352b",
    "surprise": "#2ca089",
    "sadness": "#3273b8",
    "disappointment": "#a05a2c",
}
"""One fixed colour per emotion. Hue and lightness both differ, for colour-blind readers and for print without colour."""
SYSTEM_COLOURS = plt.rcParams["axes.prop_cycle"].by_key()["color"]
"""Colours of systems in order of appearance, from the style file."""
BLUE, ORANGE, GREEN = SYSTEM_COLOURS[:3]
GREY = "#8c8c8c"
MAX_ROWS, MAX_LINES = 24, 12
"""Largest number of speakers or sentences in one figure, as rows of cells and as lines or groups of boxes. Tables hold all."""
UAR_LABEL = "unweighted average recall, UAR (%)"
INTERVAL = interval_label()


def colour_of(emotion: str) -> str:
    """Return the colour of an emotion; dark grey for an emotion outside the palette."""
    return EMOTION_COLOURS.get(emotion, "#4d4d4d")


def show(fig: Figure, path: Path, *, caption: str, alt: str) -> None:
    """Save a figure as PNG and display it with its caption and its alternative text.

    The file contains no date and no version, so that the same data gives the same bytes.
    """
    with write_aside(path) as aside:
        fig.savefig(aside, format="png", metadata={"Software": None})
    plt.close(fig)
    display(Image(path.read_bytes()), metadata={"image/png": {"alt": alt}})
    display(Markdown(f"*Figure. {caption}*"))


def set_title(fig: Figure, title: str) -> None:
    """Set the title of a figure with several panels."""
    fig.suptitle(title, x=0.01, ha="left")


def title_and_legend(ax: Axes, title: str) -> None:
    """Set the title with the legend below it, above the axes, where it covers no mark."""
    ax.set_title(title, pad=26)
    ax.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=4, borderaxespad=0)


def with_notice(title: str, notice: str) -> str:
    """Append a notice, such as "synthetic demo voices", in brackets."""
    return f"{title} ({notice})" if notice else title


def norm_label(speaker_norm: str) -> str:
    """Return the label of a value of the column ``speaker_norm``."""
    labels = {"none": "no per-speaker normalisation", "speaker": "per-speaker normalisation"}
    return labels.get(speaker_norm, speaker_norm)


def format_points(difference: float) -> str:
    """Format a difference of shares in points, with its sign: "+7.1"."""
    return f"{round(100 * difference, 1) + 0.0:+.1f}".replace("-", "\N{MINUS SIGN}")  # adding 0.0 turns -0.0 into 0.0


def error_lengths(table: pd.DataFrame, value: str, low: str, high: str) -> np.ndarray:
    """Compute the lengths of error bars in per cent [shape=(2, n)]; 0 where a bootstrap interval excludes its value."""
    return 100 * np.clip(np.array([table[value] - table[low], table[high] - table[value]], dtype=float), 0, None)


def chance_line(ax: Axes, chance: float, *, vertical: bool) -> None:
    """Draw a dotted line at chance level, labelled inside the axes."""
    line = {"color": "black", "linestyle": ":", "linewidth": 1, "zorder": 1}
    text = {"text": f"chance {percent(chance)}", "textcoords": "offset points", "fontsize": 8.5}
    if vertical:
        ax.axvline(100 * chance, **line)
        place = {"xy": (100 * chance, 0.5), "xycoords": ax.get_xaxis_transform(), "xytext": (-2, 0)}
        ax.annotate(**text, **place, rotation=90, ha="right", va="center")
    else:
        ax.axhline(100 * chance, **line)
        ax.annotate(**text, xy=(0, 100 * chance), xycoords=ax.get_yaxis_transform(), xytext=(4, -2), ha="left", va="top")


def emotion_boxes(ax: Axes, table: pd.DataFrame, classes: list[str], **options: object) -> None:
    """Draw seaborn's box plots in the colours of the emotions."""
    palette = [colour_of(name) for name in classes]
    import seaborn as sns  # takes half a second, and most notebooks draw without it

    sns.boxplot(table, hue="emotion", hue_order=classes, palette=palette, saturation=0.7, linewidth=0.8, ax=ax, **options)


def percent_cells(ax: Axes, shares: pd.DataFrame, **options: object) -> None:
    """Draw a table of shares as coloured cells in per cent."""
    import seaborn as sns

    sns.heatmap(100 * shares, annot=True, fmt=".0f", cmap="Blues", vmin=0, vmax=100, linewidths=0.5, ax=ax, **options)
    ax.tick_params(length=0)


def write_at(ax: Axes, text: str, xy: tuple[float, float], offset: tuple[float, float], **options: object) -> None:
    """Write a bold text at an offset in points from a point of the axes."""
    ax.annotate(text, xy, offset, textcoords="offset points", fontweight="bold", fontsize=9, **options)


def label_rows(ax: Axes, labels: Iterable[str]) -> None:
    """Label rows of marks, the first on top, without grid lines between them."""
    labels = list(labels)
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.grid(False, axis="y")


def label_cells(ax: Axes, columns: list[str], rows: list[str]) -> None:
    """Label cells, which are centred at whole numbers, on top and at the left."""
    ax.xaxis.tick_top()
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    ax.tick_params(length=0)
    ax.grid(False)
    ax.spines[:].set_visible(False)


def keep_extremes(table: pd.DataFrame, values: pd.Series, what: str) -> tuple[pd.DataFrame, str]:
    """Keep the rows with the lowest and the highest values if there are more than `MAX_ROWS`; return them and a note."""
    if len(table) <= MAX_ROWS:
        return table, ""
    order, half = np.argsort(values.to_numpy(), kind="stable"), MAX_ROWS // 2
    kept = np.sort(np.r_[order[:half], order[-half:]])
    return table.iloc[kept], f"\nthe {half} lowest and the {half} highest of {len(table)} {what}"
