"""Figures of features (notebook 02): variance between emotions and speakers, and the distribution of one feature."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ser_utils.figures import style


def variance_shares(shares: pd.DataFrame) -> Figure:
    """Draw the share of each feature's variance between emotions and, if known, between speakers (eta squared).

    Parameters
    ----------
    shares : pd.DataFrame [index=feature, columns=emotion and optionally speaker]
    """
    fig, ax = plt.subplots(figsize=(10, 4))
    shares.plot.bar(ax=ax, width=0.8, color=[style.BLUE, style.ORANGE])
    groups = [f"between {name}s" for name in shares]
    ax.set(ylabel="share of variance (eta squared)", title=f"Variance of each feature {' and '.join(groups)}")
    ax.tick_params(axis="x", rotation=90, labelsize=8)
    ax.legend(groups)
    ax.grid(False, axis="x")
    return fig


def feature_spread(table: pd.DataFrame, name: str, classes: list[str]) -> Figure:
    """Draw box plots of one feature by speaker and emotion, for the first `MAX_LINES` speakers.

    Parameters
    ----------
    table : pd.DataFrame [columns=speaker, emotion, `name`]
    name : str
    classes : list of str
    """
    speakers = sorted(table.speaker.unique())
    shown = speakers[: style.MAX_LINES]
    fig, ax = plt.subplots(figsize=(10, 3.8))
    style.emotion_boxes(ax, table, classes, x="speaker", y=name, order=shown, fliersize=1)
    note = f", the first {len(shown)} of {len(speakers)} speakers" if shown != speakers else ""
    ax.set_title(f"{name} by speaker and emotion{note}")
    ax.legend(title="", bbox_to_anchor=(1, 1), loc="upper left")
    return fig
