"""Figures of a corpus (notebook 01): counts, durations and levels of its utterances."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ser_utils.figures import style


def counts(utterances: pd.DataFrame, classes: list[str]) -> Figure:
    """Draw the number of clips by speaker and emotion as a table of coloured cells."""
    table = pd.crosstab(utterances.speaker, utterances.emotion).reindex(columns=classes, fill_value=0)
    fig, ax = plt.subplots(figsize=(7.5, 0.45 * len(table) + 1.2))
    import seaborn as sns

    sns.heatmap(table, annot=True, fmt="d", cmap="Blues", vmin=0, cbar=False, ax=ax, linewidths=1)
    ax.set(xlabel="", ylabel="speaker", title="Clips by speaker and emotion")
    ax.tick_params(axis="y", rotation=0)
    return fig


def durations_and_levels(utterances: pd.DataFrame, classes: list[str]) -> Figure:
    """Draw box plots by emotion of the duration in s and of the level in dBFS, with one point per clip."""
    fig, axes = plt.subplots(1, 2, figsize=(10, 3.8))
    jitter = np.random.default_rng(0).uniform(-0.25, 0.25, len(utterances))  # the same in every run
    x = utterances.emotion.map(classes.index) + jitter
    for ax, column, label in zip(axes, ("duration_s", "level_dbfs"), ("duration (s)", "level (dBFS)"), strict=True):
        style.emotion_boxes(ax, utterances, classes, x="emotion", y=column, order=classes, legend=False, fliersize=0)
        ax.scatter(x, utterances[column], s=3, color="black", alpha=0.5, linewidth=0, zorder=3)
        ax.set(xlabel="", ylabel=label, title=f"{label.partition(' ')[0].capitalize()} by emotion")
        ax.tick_params(axis="x", rotation=35)
    return fig


def levels_by_speaker(utterances: pd.DataFrame, classes: list[str]) -> Figure:
    """Draw the mean level in dBFS by emotion, one line per speaker; more than `MAX_LINES` speakers in grey with their mean."""
    table = utterances.pivot_table(index="emotion", columns="speaker", values="level_dbfs").reindex(classes)
    fig, ax = plt.subplots(figsize=(7.5, 3.6))
    n_speakers = table.shape[1]
    if n_speakers <= style.MAX_LINES:
        table.plot(ax=ax, marker="o", markersize=4)
    else:
        ax.plot(table.to_numpy(), color=style.GREY, linewidth=0.5, alpha=0.5)
        ax.plot(table.mean(axis=1).to_numpy(), color=style.BLUE, marker="o", label=f"mean of {n_speakers} speakers")
    ax.set(xlabel="", ylabel="mean level (dBFS)", title="Level by emotion and speaker")
    ax.set_xticks(range(len(classes)), classes)
    ax.legend(title="speaker" if n_speakers <= style.MAX_LINES else "", bbox_to_anchor=(1, 1), loc="upper left")
    return fig
