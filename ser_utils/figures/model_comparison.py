"""Figures of networks side by side, and of what networks of sequences are shown."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ser_utils.features.log_mel import FRAME_S
from ser_utils.figures.evaluation import ABOVE, SYSTEM_COLOURS, UAR

MOST_SPEAKERS = 12
"""With more speakers, the figure has a row for the mean alone."""


def augmented_frames(clips: Mapping[str, np.ndarray], title: str) -> Figure:
    """Log-mel sequences side by side: one clip as it is, and as training shows it.

    Parameters
    ----------
    clips : mapping
        Label to a sequence [shape=(n_frames, n_bands)], standardised.
    title : str
    """
    fig, axes = plt.subplots(1, len(clips), figsize=(2.7 * len(clips), 3), sharey=True, sharex=True, squeeze=False)
    for ax, (label, clip) in zip(axes[0], clips.items(), strict=True):
        image = ax.imshow(
            clip.T,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=-2,
            vmax=2,
            extent=(0, len(clip) * FRAME_S, 0, clip.shape[1]),
        )
        ax.set(title=label, xlabel="time (s)", xlim=(0, max(map(len, clips.values())) * FRAME_S))
        ax.grid(False)
    axes[0, 0].set_ylabel("mel band")
    fig.colorbar(image, ax=axes[0], label="standard deviations", shrink=0.9)
    fig.suptitle(title, x=0.01, ha="left")
    return fig


def uar_by_speaker(table: pd.DataFrame, metrics: pd.DataFrame, chance: float) -> Figure:
    """Networks speaker by speaker, and their results with intervals, a panel a normalisation.

    Parameters
    ----------
    table : pd.DataFrame [columns=model, speaker_norm, speaker, value]
        UAR of each speaker.
    metrics : pd.DataFrame [columns=model, speaker_norm, value, ci_low, ci_high]
        UAR of all.
    chance : float
    """
    norms, models = metrics.speaker_norm.unique(), list(metrics.model.unique())
    names = sorted(table.speaker.unique()) if table.speaker.nunique() <= MOST_SPEAKERS else []
    right = min(103, 100 * max(metrics.ci_high.max(), table.value.max()) + 3)
    size = (5.2 * len(norms), 1.9 + 0.42 * (len(names) + 1))
    fig, axes = plt.subplots(1, len(norms), figsize=size, sharey=True, sharex=True, squeeze=False)
    for ax, norm in zip(axes[0], norms, strict=True):
        for number, model in enumerate(models):
            place = (number - (len(models) - 1) / 2) * 0.7 / len(models)
            style = {"color": SYSTEM_COLOURS[number % len(SYSTEM_COLOURS)], "markersize": 7}
            own = table[(table.model == model) & (table.speaker_norm == norm)].set_index("speaker").value
            ax.plot(100 * own.reindex(names), np.arange(len(names)) + place, "o", label=model, **style)
            row = metrics[(metrics.model == model) & (metrics.speaker_norm == norm)].iloc[0]
            error = 100 * np.array([[row.value - row.ci_low], [row.ci_high - row.value]])
            ax.errorbar(100 * row.value, len(names) + place, xerr=error, fmt="D", capsize=3, **style)
        ax.axvline(100 * chance, color="black", linestyle=":", linewidth=1)
        ax.axhline(len(names) - 0.5, color="black", linewidth=0.8)
        ax.set(xlabel=UAR, xlim=(0, right), ylim=(len(names) + 0.6, -0.6))
        ax.set_title(f"speaker_norm={norm}", pad=26)
        ax.set_yticks(range(len(names) + 1), [*names, "all"])
        ax.grid(False, axis="y")
    axes[0, 0].set_ylabel("speaker")
    axes[0, 0].legend(**ABOVE)
    return fig
