"""Figures of recordings over time (notebooks 01, 02 and 06): waveforms, log-mel spectrograms and F0."""

from collections.abc import Mapping, Sequence

import librosa
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from ser_utils.features.f0 import f0_contour
from ser_utils.features.log_mel import FRAME_S
from ser_utils.figures import style

MAX_HZ = 8000
N_BANDS = 64


def one_sentence(clips: Mapping[str, tuple[np.ndarray, int]], title: str) -> Figure:
    """Draw waveform, log-mel spectrogram and F0 of one sentence, one column per emotion.

    Parameters
    ----------
    clips : mapping
        Emotion to (samples [shape=(n,)], sample rate in Hz).
    title : str
        Speaker and sentence.
    """
    fig, axes = _panels(("amplitude", "mel band (Hz)", "F0 (Hz)"), len(clips), (1.9, 5.6), _longest_s(clips))
    for column, (emotion, (y, sr)) in zip(axes.T, clips.items(), strict=True):
        if sr < 2 * MAX_HZ:  # the spectrograms of all clips have the same frequency axis
            y, sr = librosa.resample(y, orig_sr=sr, target_sr=2 * MAX_HZ), 2 * MAX_HZ
        _draw_waveform_and_log_mel(column, y, sr, fmax=MAX_HZ, colour=style.colour_of(emotion))
        _draw_f0(column[2], y, sr, colour=style.colour_of(emotion))
        column[0].set_title(emotion)
    bands = librosa.mel_frequencies(n_mels=N_BANDS + 2, fmax=MAX_HZ)
    axes[1, 0].set_yticks([0, 21, 42, 63], [f"{bands[i + 1]:.0f}" for i in (0, 21, 42, 63)])
    style.set_title(fig, title)
    return fig


def variants(clips: Mapping[str, tuple[np.ndarray, int]], title: str) -> Figure:
    """Draw waveform and log-mel spectrogram of a recording and of its augmented variants, one column each.

    Parameters
    ----------
    clips : mapping
        Variant to (samples [shape=(n,)], sample rate in Hz).
    title : str
    """
    fig, axes = _panels(("amplitude", "mel band"), len(clips), (2.2, 4), _longest_s(clips))
    for column, (name, (y, sr)) in zip(axes.T, clips.items(), strict=True):
        _draw_waveform_and_log_mel(column, y, sr, fmax=sr / 2)
        column[0].set_title(name.replace("_", " + "))
    style.set_title(fig, title)
    return fig


def augmented_frames(clips: Mapping[str, np.ndarray], title: str) -> Figure:
    """Draw sequences of log-mel frames side by side: a clip, its augmented variants and its masked copies.

    Parameters
    ----------
    clips : mapping
        Label to a standardised sequence [shape=(n_frames, n_bands)].
    title : str
    """
    fig, axes = _panels(("mel band",), len(clips), (2.7, 3), max(map(len, clips.values())) * FRAME_S)
    for ax, (label, frames) in zip(axes[0], clips.items(), strict=True):
        image = _draw_log_mel(ax, frames.T, len(frames) * FRAME_S, vmin=-2, vmax=2)
        ax.set_title(label)
    fig.colorbar(image, ax=axes[0], label="standard deviations", shrink=0.9)
    style.set_title(fig, title)
    return fig


def _panels(labels: Sequence[str], n: int, size: tuple[float, float], longest_s: float) -> tuple[Figure, np.ndarray]:
    """Make panels with a row per label and `n` columns on one time axis; `size` is (width of a column, height) in inches."""
    fig, axes = plt.subplots(len(labels), n, figsize=(size[0] * n, size[1]), sharex=True, sharey="row", squeeze=False)
    for ax, label in zip(axes[:, 0], labels, strict=True):
        ax.set_ylabel(label)
    for ax in axes[-1]:
        ax.set(xlabel="time (s)", xlim=(0, longest_s))
    return fig, axes


def _longest_s(clips: Mapping[str, tuple[np.ndarray, int]]) -> float:
    return max(y.size / sr for y, sr in clips.values())


def _draw_waveform_and_log_mel(axes: np.ndarray, y: np.ndarray, sr: int, *, fmax: float, colour: str | None = None) -> None:
    axes[0].plot(np.arange(y.size) / sr, y, color=colour, linewidth=0.4)
    power = librosa.feature.melspectrogram(y=y, sr=sr, n_mels=N_BANDS, fmax=fmax)
    _draw_log_mel(axes[1], librosa.power_to_db(power, ref=np.max), y.size / sr, vmin=-70, vmax=0)


def _draw_log_mel(ax: Axes, log_mel: np.ndarray, duration_s: float, *, vmin: float, vmax: float) -> AxesImage:
    """Draw a log-mel spectrogram [shape=(n_bands, n_frames)] over time in s and band number."""
    ax.grid(False)
    extent = (0, duration_s, 0, len(log_mel))
    return ax.imshow(log_mel, origin="lower", aspect="auto", cmap="magma", vmin=vmin, vmax=vmax, extent=extent)


def _draw_f0(ax: Axes, y: np.ndarray, sr: int, *, colour: str) -> None:
    times, f0 = f0_contour(y, sr=sr)
    ax.plot(times, f0, ".", color=colour, markersize=2.5)
    ax.set(yscale="log", ylim=(65, 600))
    ax.set_yticks([75, 150, 300, 600], ["75", "150", "300", "600"], minor=False)
    ax.minorticks_off()
