"""Figures: data in, figure out; one style, one colour per emotion. `show` saves a figure and puts it into the notebook."""

from collections.abc import Mapping
from pathlib import Path

import librosa
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import Image, Markdown, display
from matplotlib.figure import Figure

from ser_utils.core.paths import write_aside
from ser_utils.features.f0 import f0_contour

plt.style.use(Path(__file__).with_name("ser.mplstyle"))

COLOURS = {
    "neutral": "#7f7f7f",
    "disgust": "#7a5c00",
    "joy": "#e69f00",
    "fear": "#8e5bb5",
    "anger": "#d1352b",
    "surprise": "#2ca089",
    "sadness": "#3273b8",
    "disappointment": "#a05a2c",
}
"""One fixed colour per emotion, told apart also by colour-blind eyes and by lightness in print."""


MOST_SHOWN = 24
"""Of more speakers (or sentences) than these a figure shows a part, and says so; the tables hold all."""
MOST_LINES = 12
"""The same where each needs a line or a row of boxes of its own."""


def colour_of(emotion: str) -> str:
    """The emotion's colour; grey for a name that has none of its own."""
    return COLOURS.get(emotion, "#4d4d4d")


def show(fig: Figure, path: Path, *, caption: str, alt: str) -> None:
    """Save a figure as PNG and show it, with its caption and with a text for those who cannot see it.

    The file holds no date and no version, so that the same data gives the same bytes.
    """
    with write_aside(path) as aside:
        fig.savefig(aside, format="png", metadata={"Software": None})
    plt.close(fig)
    display(Image(path.read_bytes()), metadata={"image/png": {"alt": alt}})
    display(Markdown(f"*Figure. {caption}*"))


def counts(utterances: pd.DataFrame, classes: list[str]) -> Figure:
    """Clips per speaker and emotion, as a table of coloured cells; of many speakers the first `MOST_SHOWN`."""
    table = pd.crosstab(utterances.speaker, utterances.emotion).reindex(columns=classes, fill_value=0)
    told = part_shown(len(table), MOST_SHOWN)
    table = table.head(MOST_SHOWN)
    fig, ax = plt.subplots(figsize=(7.5, 0.45 * len(table) + 1.2))
    sns.heatmap(table, annot=True, fmt="d", cmap="Blues", vmin=0, cbar=False, ax=ax, linewidths=1)
    ax.set(xlabel="", ylabel="speaker", title=f"Clips by speaker and emotion{told}")
    ax.tick_params(axis="y", rotation=0)
    return fig


def durations_and_levels(utterances: pd.DataFrame, classes: list[str]) -> Figure:
    """Box plots by emotion: duration in s and level in dBFS, one point a clip."""
    fig, axes = plt.subplots(1, 2, figsize=(10, 3.8))
    for ax, column, label in zip(axes, ("duration_s", "level_dbfs"), ("duration (s)", "level (dBFS)"), strict=True):
        sns.boxplot(
            utterances,
            x="emotion",
            y=column,
            order=classes,
            hue="emotion",
            hue_order=classes,
            legend=False,
            palette=[colour_of(name) for name in classes],
            fliersize=0,
            ax=ax,
            saturation=0.6,
        )
        centre = utterances.emotion.map(classes.index)  # the points are spread sideways, the same way each time
        spread = np.random.default_rng(0).uniform(-0.25, 0.25, len(utterances))
        ax.scatter(centre + spread, utterances[column], s=3, color="black", alpha=0.5, linewidth=0, zorder=3)
        ax.set(xlabel="", ylabel=label, title=label.split(" (")[0].capitalize() + " by emotion")
        ax.tick_params(axis="x", rotation=35)
    return fig


def levels_by_speaker(utterances: pd.DataFrame, classes: list[str]) -> Figure:
    """Mean level in dBFS of each emotion, one line a speaker; many speakers are thin lines about their mean."""
    table = utterances.pivot_table(index="emotion", columns="speaker", values="level_dbfs").reindex(classes)
    fig, ax = plt.subplots(figsize=(7.5, 3.6))
    if few := table.shape[1] <= MOST_LINES:
        table.plot(ax=ax, marker="o", markersize=4)
    else:
        ax.plot(table.to_numpy(), color="#999999", linewidth=0.5, alpha=0.5)
        ax.plot(table.mean(axis=1).to_numpy(), color="#0072b2", marker="o", label=f"mean of {table.shape[1]} speakers")
    ax.set(
        xlabel="",
        ylabel="mean level (dBFS)",
        title="Level by emotion and speaker",
        xticks=range(len(classes)),
        xticklabels=classes,
    )
    ax.legend(title="speaker" if few else "", bbox_to_anchor=(1, 1), loc="upper left")
    return fig


def part_shown(n: int, most: int, which: str = "the first") -> str:
    """What a title says where only a part of `n` is shown: ", the first 24 of 91"; nothing where all are."""
    return f", {which} {most} of {n}" if n > most else ""


def one_sentence(clips: Mapping[str, tuple[np.ndarray, int]], title: str) -> Figure:
    """Waveform, log-mel spectrogram and F0 of one sentence, a column per emotion.

    Parameters
    ----------
    clips : mapping
        Emotion to (samples [shape=(n,)], sample rate in Hz).
    title : str
        Speaker and sentence.
    """
    longest = max(y.size / sr for y, sr in clips.values())
    fig, axes = plt.subplots(3, len(clips), figsize=(1.9 * len(clips), 5.6), sharex=True, sharey="row", squeeze=False)
    for column, (emotion, (y, sr)) in zip(axes.T, clips.items(), strict=True):
        if sr < 16_000:  # the axis goes up to 8 kHz for every clip
            y, sr = librosa.resample(y, orig_sr=sr, target_sr=16_000), 16_000
        log_mel = librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=sr, n_mels=64, fmax=8000), ref=np.max)
        times, f0 = f0_contour(y, sr=sr)
        column[0].plot(np.arange(y.size) / sr, y, color=colour_of(emotion), linewidth=0.4)
        column[0].set_title(emotion)
        column[1].imshow(log_mel, origin="lower", aspect="auto", cmap="magma", vmin=-70, vmax=0, extent=(0, y.size / sr, 0, 64))
        column[2].plot(times, f0, ".", color=colour_of(emotion), markersize=2.5)
        column[2].set(xlabel="time (s)", xlim=(0, longest), yscale="log", ylim=(65, 600))
        column[2].set_yticks([75, 150, 300, 600], ["75", "150", "300", "600"], minor=False)
        column[2].minorticks_off()
    bands = librosa.mel_frequencies(n_mels=66, fmax=8000)
    axes[1, 0].set_yticks([0, 21, 42, 63], [f"{bands[i + 1]:.0f}" for i in (0, 21, 42, 63)])
    for ax, label in zip(axes[:, 0], ("amplitude", "log-mel: Hz", "F0: Hz"), strict=True):
        ax.set_ylabel(label)
    for ax in axes[1]:
        ax.grid(False)
    fig.suptitle(title, x=0.01, ha="left")
    return fig


def variants(clips: Mapping[str, tuple[np.ndarray, int]], title: str) -> Figure:
    """Waveform and log-mel spectrogram of a recording and its augmented variants, a column each."""
    longest = max(y.size / sr for y, sr in clips.values())
    fig, axes = plt.subplots(2, len(clips), figsize=(2.2 * len(clips), 4), sharex=True, sharey="row", squeeze=False)
    for column, (name, (y, sr)) in zip(axes.T, clips.items(), strict=True):
        log_mel = librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=sr, n_mels=64, fmax=sr / 2), ref=np.max)
        column[0].plot(np.arange(y.size) / sr, y, linewidth=0.4)
        column[0].set(title=name.replace("_", " + "), xlim=(0, longest))
        column[1].imshow(log_mel, origin="lower", aspect="auto", cmap="magma", vmin=-70, vmax=0, extent=(0, y.size / sr, 0, 64))
        column[1].set(xlabel="time (s)")
        column[1].grid(False)
    axes[0, 0].set_ylabel("amplitude")
    axes[1, 0].set_ylabel("mel band")
    fig.suptitle(title, x=0.01, ha="left")
    return fig


def variance_shares(shares: pd.DataFrame) -> Figure:
    """Eta squared of each feature by emotion and, where there is that column, by speaker; features in the index."""
    fig, ax = plt.subplots(figsize=(10, 4))
    shares.plot.bar(ax=ax, width=0.8, color=["#0072b2", "#d55e00"])
    more = ", and how much the speaker" if "speaker" in shares else ""
    ax.set(ylabel="share of variance", title=f"How much of each feature tells the emotion{more}")
    ax.tick_params(axis="x", rotation=90, labelsize=8)
    ax.legend([f"between {name}s" for name in shares])
    ax.grid(False, axis="x")
    return fig


def feature_spread(table: pd.DataFrame, name: str, classes: list[str]) -> Figure:
    """One feature by emotion within each speaker (of many the first `MOST_LINES`); `table` has speaker, emotion, feature."""
    speakers = sorted(table.speaker.unique())
    fig, ax = plt.subplots(figsize=(10, 3.8))
    sns.boxplot(
        table,
        x="speaker",
        y=name,
        hue="emotion",
        hue_order=classes,
        order=speakers[:MOST_LINES],
        palette=[colour_of(emotion) for emotion in classes],
        fliersize=1,
        linewidth=0.7,
        ax=ax,
        saturation=0.7,
    )
    ax.set(title=f"{name} by speaker and emotion{part_shown(len(speakers), MOST_LINES)}")
    ax.legend(title="", bbox_to_anchor=(1, 1), loc="upper left")
    return fig


def learning_curves(curves: pd.DataFrame, title: str, measured: str) -> Figure:
    """Loss and accuracy over epochs: thin lines a fold (first seed), thick lines the mean of all folds and seeds.

    Parameters
    ----------
    curves : pd.DataFrame [columns=seed, fold, epoch, loss, accuracy, val_loss, val_accuracy]
    title : str
    measured : str
        What the validation rows are.
    """
    fig, axes = plt.subplots(1, 2, figsize=(10, 3.6))
    for ax, name in zip(axes, ("loss", "accuracy"), strict=True):
        for column, colour, label in (
            (name, "#0072b2", "training (under dropout)"),
            (f"val_{name}", "#d55e00", measured),
        ):
            for _, fold in curves[curves.seed == curves.seed.min()].groupby("fold"):
                mean = fold.groupby("epoch")[column].mean()
                ax.plot(mean.index, mean, color=colour, linewidth=0.7, alpha=0.5)
            mean = curves.groupby("epoch")[column].mean()
            ax.plot(mean.index, mean, color=colour, linewidth=2, label=label)
        ax.set(xlabel="epoch", ylabel=name)
    axes[0].set_ylim(0, min(axes[0].get_ylim()[1], 5))
    axes[1].set_ylim(0, 1)
    axes[0].legend()
    fig.suptitle(title, x=0.01, ha="left")
    return fig


def confusion(table: pd.DataFrame) -> Figure:
    """Confusion matrices, a panel per system, normalised by true label; `table` as in ``confusion_matrix.csv``."""
    setup = ["protocol", "model", "features", "speaker_norm"]
    systems = list(table.groupby(setup, sort=False))
    n_columns = min(2, len(systems))
    n_rows = -(-len(systems) // n_columns)
    fig, axes = plt.subplots(n_rows, n_columns, figsize=(5.8 * n_columns, 5 * n_rows), squeeze=False)
    for ax in axes.flat[len(systems) :]:
        ax.set_visible(False)
    for ax, ((protocol, model, _, norm), part) in zip(axes.flat, systems, strict=False):
        shares = part.set_index("emotion").drop(columns=setup)
        sns.heatmap(
            100 * shares,
            annot=True,
            fmt=".0f",
            cmap="Blues",
            vmin=0,
            vmax=100,
            square=True,
            linewidths=0.5,
            ax=ax,
            cbar_kws={"label": "% of the true emotion's clips", "shrink": 0.8},
        )
        ax.set(
            title=f"{model}, {protocol}" + (", normalised by speaker" if norm == "speaker" else ""),
            xlabel="predicted",
            ylabel="true",
        )
        ax.tick_params(axis="x", rotation=45)
        ax.tick_params(axis="y", rotation=0)
    fig.suptitle("Confusion, normalised by true label (rows sum to 100 %)", x=0.01, ha="left")
    return fig


def headline(bars: pd.DataFrame, chance: float, notice: str, over: str = "speakers") -> Figure:
    """The key figure: UAR of a few systems with its interval, and chance.

    Parameters
    ----------
    bars : pd.DataFrame [columns=name, value, ci_low, ci_high, leaks]
        From top to bottom; `leaks` marks what is tested on clips that training has heard, drawn in grey.
    chance : float
    notice : str
        Said in the title, such as that the voices are synthetic.
    over : str
        What the intervals resample.
    """
    fig, ax = plt.subplots(figsize=(9, 1.2 + 0.75 * len(bars)))
    whiskers = 100 * np.clip([bars.value - bars.ci_low, bars.ci_high - bars.value], 0, None)
    ax.barh(bars.name, 100 * bars.value, color=np.where(bars.leaks, "#999999", "#0072b2"), height=0.6, xerr=whiskers, capsize=4)
    for i, (value, high) in enumerate(zip(bars.value, bars.ci_high, strict=True)):
        ax.text(100 * high + 1.5, i, f"{100 * value:.1f} %", va="center", fontweight="bold")
    ax.axvline(100 * chance, color="black", linestyle=":", linewidth=1)
    ax.text(100 * chance + 0.7, 0.5, f"chance {100 * chance:.1f} %", va="center", fontsize=9)
    ax.set(xlim=(0, 104), xlabel=f"unweighted average recall (%), 95 % interval over {over}")
    ax.set_title("How well is emotion heard?" + (f" ({notice})" if notice else ""))
    ax.invert_yaxis()
    ax.grid(False, axis="y")
    return fig
