"""Figures across corpora (notebook 07): emotions by corpus, and the cross-corpus matrix of UAR."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ser_utils.corpora.labels import class_order
from ser_utils.figures import style


def emotions_by_corpus(labelled: pd.DataFrame) -> Figure:
    """Draw the emotions that each corpus labels: a row per corpus, a column per emotion, the corpus' code in the cell.

    Parameters
    ----------
    labelled : pd.DataFrame
        From `ser_utils.experiments.cross_corpus.emotion_codes`.
    """
    corpora, emotions = list(labelled.corpus.unique()), class_order(labelled.emotion)
    fig, ax = plt.subplots(figsize=(2.4 + 0.95 * len(emotions), 1.3 + 0.45 * len(corpora)))
    for cell in labelled.itertuples():
        x, y = emotions.index(cell.emotion), corpora.index(cell.corpus)
        ax.add_patch(plt.Rectangle((x - 0.46, y - 0.4), 0.92, 0.8, color=style.colour_of(cell.emotion), alpha=0.28))
        ax.text(x, y, cell.code, ha="center", va="center", fontsize=8.5 if len(cell.code) < 12 else 7)
    names = [
        f"{row.corpus}\n{row.language}, {row.n_utterances} clips" for row in labelled.drop_duplicates("corpus").itertuples()
    ]
    style.label_cells(ax, emotions, names)
    ax.set_title("Emotions and their codes in each corpus", pad=26)
    return fig


def cross_corpus_matrix(table: pd.DataFrame, notice: str = "") -> Figure:
    """Draw the UAR by training corpus (rows) and test corpus (columns), one panel per model and normalisation.

    The colour shows the position of the UAR between chance and 100 %, so that cells with different numbers of emotions
    compare.

    Parameters
    ----------
    table : pd.DataFrame
        From `ser_utils.experiments.cross_corpus.cross_corpus_table`.
    notice : str
        Appended to the title.
    """
    corpora = list(dict.fromkeys([*table.train, *table.test]))
    panels = list(table.groupby(["model", "speaker_norm"], sort=False))
    n_columns = len(panels) if len(corpora) < 4 else 1
    n_rows = -(-len(panels) // n_columns)
    width, height = 1.6 + 1.35 * max(2, len(corpora)), 1.3 + 0.72 * len(corpora)
    size = (max(8, width * n_columns), 0.5 + height * n_rows)
    fig, axes = plt.subplots(n_rows, n_columns, figsize=size, squeeze=False)
    for ax, ((model, norm), cells) in zip(axes.flat, panels, strict=True):
        for cell in cells.itertuples():
            _draw_cell(ax, cell, corpora.index(cell.test), corpora.index(cell.train))
        style.label_cells(ax, corpora, corpora)
        ax.xaxis.set_label_position("top")
        ax.set(ylabel="trained on", xlabel="tested on")
        ax.set_title(f"{model}, {style.norm_label(norm)}", pad=8)
    title = f"Cross-corpus UAR, {style.INTERVAL} over test speakers, and number of emotions"
    style.set_title(fig, f"{title}\n({notice})" if notice else title)
    return fig


def _draw_cell(ax: Axes, cell: tuple, x: int, y: int) -> None:
    """Draw one row of the table; a cell of a corpus tested on itself has a black frame."""
    share = Normalize(0, 0.8, clip=True)((cell.uar - cell.chance) / (1 - cell.chance))
    edge = "black" if cell.train == cell.test else "none"
    ax.add_patch(plt.Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, facecolor=plt.get_cmap("Blues")(share), edgecolor=edge))
    if np.isnan(cell.ci_low):
        interval = "one speaker" if cell.n_speakers else "speakers unknown"
    else:
        interval = f"{100 * cell.ci_low:.0f} to {100 * cell.ci_high:.0f}"
    marks = {"ha": "center", "va": "center", "color": "white" if share > 0.6 else "black"}
    ax.text(x, y - 0.2, f"{100 * cell.uar:.1f} %", fontweight="bold", **marks)
    ax.text(x, y + 0.19, f"{interval}\n{cell.n_emotions} emotions", fontsize=7.5, linespacing=1.15, **marks)
