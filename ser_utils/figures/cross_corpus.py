"""Figures across corpora: tables in, figure out, in the style of `ser_utils.figures.plots`, whose `show` saves and shows them."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ser_utils.corpora.labels import class_order
from ser_utils.figures.plots import colour_of


def emotions_by_corpus(labelled: pd.DataFrame) -> Figure:
    """Which emotions corpora label: a row a corpus, a column an emotion, in each cell the corpus' own code.

    Parameters
    ----------
    labelled : pd.DataFrame
        From `ser_utils.experiments.cross_corpus.emotion_codes`.
    """
    corpora, emotions = list(labelled.corpus.unique()), class_order(labelled.emotion)
    fig, ax = plt.subplots(figsize=(2.4 + 0.95 * len(emotions), 1.3 + 0.45 * len(corpora)))
    for row in labelled.itertuples():
        place = emotions.index(row.emotion), corpora.index(row.corpus)
        ax.add_patch(plt.Rectangle((place[0] - 0.46, place[1] - 0.4), 0.92, 0.8, color=colour_of(row.emotion), alpha=0.28))
        ax.text(*place, row.code, ha="center", va="center", fontsize=8.5 if len(row.code) < 12 else 7)
    about = labelled.drop_duplicates("corpus")
    names = [f"{one.corpus}\n{one.language}, {one.n_utterances}" for one in about.itertuples()]
    _frame(ax, emotions, names)
    ax.set_title("Emotions that corpora label, and their codes for them", pad=26)
    return fig


def cross_corpus_matrix(table: pd.DataFrame, notice: str = "") -> Figure:
    """The matrix of corpora, a panel a model and normalisation: trained on the row's corpus, tested on the column's.

    Colour tells how far from chance to perfect a cell is, so that cells of unequal numbers of emotions compare.

    Parameters
    ----------
    table : pd.DataFrame
        From `ser_utils.experiments.cross_corpus.cross_corpus_table`.
    notice : str
        Said in the title, such as that a corpus is synthetic.
    """
    corpora = list(dict.fromkeys([*table.train, *table.test]))
    panels = list(table.groupby(["model", "speaker_norm"], sort=False))
    across = len(panels) if len(corpora) < 4 else 1  # panels side by side
    down = -(-len(panels) // across)
    width, height = 1.6 + 1.35 * max(2, len(corpora)), 1.3 + 0.72 * len(corpora)
    fig, axes = plt.subplots(down, across, figsize=(max(8, width * across), 0.5 + height * down), squeeze=False)
    colour = plt.get_cmap("Blues")
    for ax, ((model, norm), part) in zip(axes.flat, panels, strict=True):
        above = Normalize(0, 0.8, clip=True)((part.uar - part.chance) / (1 - part.chance))
        for row, share in zip(part.itertuples(), above, strict=True):
            place = corpora.index(row.test), corpora.index(row.train)
            edge = "black" if row.train == row.test else "none"
            ax.add_patch(plt.Rectangle((place[0] - 0.48, place[1] - 0.46), 0.96, 0.92, facecolor=colour(share), edgecolor=edge))
            ink = "white" if share > 0.6 else "black"
            why_not = "one speaker" if row.n_speakers else "speakers unknown"
            ends = why_not if np.isnan(row.ci_low) else f"{100 * row.ci_low:.0f} to {100 * row.ci_high:.0f}"
            words = f"{ends}\n{row.n_emotions} emotions"
            ax.text(place[0], place[1] - 0.2, f"{100 * row.uar:.1f} %", ha="center", va="center", color=ink, fontweight="bold")
            ax.text(place[0], place[1] + 0.19, words, ha="center", va="center", color=ink, fontsize=7.5, linespacing=1.15)
        _frame(ax, corpora, corpora)
        ax.xaxis.set_label_position("top")
        ax.set(ylabel="trained on", xlabel="tested on")
        ax.set_title(f"{model}, speaker_norm={norm}", pad=8)
    title = "Across corpora: UAR, 95 % interval over the test speakers, emotions told apart"
    fig.suptitle(title + (f"\n({notice})" if notice else ""), x=0.01, ha="left", fontweight="bold", fontsize=11)
    return fig


def _frame(ax: Axes, columns: list[str], rows: list[str]) -> None:
    """Names on top and at the left of cells, which stand at whole numbers."""
    ax.xaxis.tick_top()
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    ax.tick_params(length=0)
    ax.grid(False)
    ax.spines[:].set_visible(False)
