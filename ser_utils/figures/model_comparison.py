"""Comparison of models (notebook 06): UAR by speaker."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ser_utils.figures import style


def uar_by_speaker(table: pd.DataFrame, metrics: pd.DataFrame, chance: float) -> Figure:
    """Draw the UAR of each model by speaker and over all speakers with its interval, one panel per normalisation.

    Parameters
    ----------
    table : pd.DataFrame [columns=model, speaker_norm, speaker, value]
        UAR by speaker. With more than `MAX_LINES` speakers, only the row for all is drawn.
    metrics : pd.DataFrame [columns=model, speaker_norm, value, ci_low, ci_high]
        UAR over all speakers.
    chance : float
    """
    norms, models = metrics.speaker_norm.unique(), list(metrics.model.unique())
    speakers = sorted(table.speaker.unique()) if table.speaker.nunique() <= style.MAX_LINES else []
    right = min(103, 100 * max(metrics.ci_high.max(), table.value.max()) + 3)
    size = (5.2 * len(norms), 1.9 + 0.42 * (len(speakers) + 1))
    fig, axes = plt.subplots(1, len(norms), figsize=size, sharey=True, sharex=True, squeeze=False)
    for ax, norm in zip(axes[0], norms, strict=True):
        for number, (model, colour) in enumerate(zip(models, itertools.cycle(style.SYSTEM_COLOURS), strict=False)):
            offset = (number - (len(models) - 1) / 2) * 0.7 / len(models)
            marks = {"color": colour, "markersize": 7}
            by_speaker = table[(table.model == model) & (table.speaker_norm == norm)].set_index("speaker").value
            ax.plot(100 * by_speaker.reindex(speakers), np.arange(len(speakers)) + offset, "o", label=model, **marks)
            overall = metrics[(metrics.model == model) & (metrics.speaker_norm == norm)].head(1)
            errors = style.error_lengths(overall, "value", "ci_low", "ci_high")
            ax.errorbar(100 * overall.value, [len(speakers) + offset], xerr=errors, fmt="D", capsize=3, **marks)
        style.chance_line(ax, chance, vertical=True)
        ax.axhline(len(speakers) - 0.5, color="black", linewidth=0.8)
        style.label_rows(ax, [*speakers, "all"])
        ax.set(xlabel=style.UAR_LABEL, xlim=(0, right), title=style.norm_label(norm).capitalize())
    axes[0, 0].set_ylabel("speaker")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig
