"""Spectral tracks: what the power spectrum of each frame tells of tilt, shape, contrast and envelope, 10 ms apart."""

import functools
from itertools import pairwise

import librosa
import numpy as np

from ser_utils.features import short_time
from ser_utils.features.f0 import HOP, SR

N_FFT = 512
"""Length in samples of the frames that spectra are taken of: 32 ms."""
HZ = np.fft.rfftfreq(N_FFT, 1 / SR)
"""Frequencies in Hz of the bins of a spectrum [shape=(1 + N_FFT // 2,)]."""
LOWEST_HZ = 60
"""What lies below is rumble and mains, not speech."""
MEL_FLOOR_DB = -85.0
"""Mel levels further below the clip's active one are cut here."""
N_MFCC, N_MELS = 16, 40
MEL_HZ = (60, 7600)
CONTRAST_HZ = (100, 300, 600, 1200, 2400, 4000, 7600)
SLOPE_HZ = ((50, 500), (500, 1500), (1500, 5000))


def power_spectra(y: np.ndarray, *, n_fft: int, win_length: int) -> np.ndarray:
    """Power spectra of `y` [shape=(n_channels, n)], the mean over its channels [shape=(1 + n_fft // 2, n_frames)]."""
    window = short_time.hann(win_length, n_fft)
    S = sum(short_time.power_spectrogram(short_time.frames(channel, n_fft=n_fft, hop=HOP), window) for channel in y)
    return (S / len(y)).T


def decibels(power: np.ndarray, floor: float = 1e-10) -> np.ndarray:
    """Power in dB relative to 1; what is less than `floor` counts as `floor`."""
    return 10 * np.log10(np.maximum(power, floor))


def spectral_llds(S: np.ndarray, *, level_db: float) -> dict[str, np.ndarray]:
    """All spectral tracks: families tilt, shape, contrast, mfcc and mel (see `ser_utils.features.glossary`).

    Parameters
    ----------
    S : np.ndarray [shape=(1 + N_FFT // 2, n_frames)]
        Power spectra.
    level_db : float
        The clip's active level in dB.

    Returns
    -------
    dict of str to np.ndarray [shape=(n_frames,)]
    """
    return tilt_llds(S) | shape_llds(S) | contrast_llds(S) | mel_llds(S, level_db=level_db)


def band(S: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """The bins of spectra [shape=(1 + N_FFT // 2, n_frames)] from `low_hz` to below `high_hz`."""
    return S[(low_hz <= HZ) & (high_hz > HZ)]


def tilt_llds(S: np.ndarray) -> dict[str, np.ndarray]:
    """Alpha ratio, Hammarberg index in dB, and spectral slopes in dB/kHz (Eyben et al., 2016).

    Parameters
    ----------
    S : np.ndarray [shape=(1 + N_FFT // 2, n_frames)]
        Power spectra.

    Returns
    -------
    dict of str to np.ndarray [shape=(n_frames,)]
    """
    tracks = {
        "tilt_alpha": decibels(band(S, 1000, 5000).sum(0)) - decibels(band(S, 50, 1000).sum(0)),
        "tilt_hammarberg": decibels(band(S, 50, 2000).max(0)) - decibels(band(S, 2000, 5000).max(0)),
    }
    L = decibels(S)
    for low, high in SLOPE_HZ:
        within = (low <= HZ) & (high >= HZ)
        khz = HZ[within] / 1000 - HZ[within].mean() / 1000
        tracks[f"tilt_slope{high}"] = khz @ L[within] / (khz @ khz)
    return tracks


def shape_llds(S: np.ndarray) -> dict[str, np.ndarray]:
    """Centroid, bandwidth and roll-offs in Hz (Peeters, 2004), flatness in dB (Dubnov, 2004), flux (Scheirer and Slaney, 1997).

    Parameters and return value are as in `tilt_tracks`.
    """
    P, hz = S[HZ >= LOWEST_HZ], HZ[HZ >= LOWEST_HZ]
    total = P.sum(axis=0) + 1e-12
    centroid = hz @ P / total
    tracks = {
        "shape_centroid": centroid,
        "shape_bandwidth": np.sqrt(((hz[:, None] - centroid) ** 2 * P).sum(0) / total),
    }
    cumulated = np.cumsum(P, axis=0) / total
    for percent in (25, 50, 85):
        tracks[f"shape_rolloff{percent}"] = hz[(cumulated >= percent / 100).argmax(axis=0)]
    speech = (HZ >= 100) & (HZ <= 5000)
    tracks["shape_flatness"] = decibels(S)[speech].mean(0) - decibels(S[speech].mean(0))
    shares = np.sqrt(P / total)  # each frame's has length 1: flux is of the shape and not of the level
    tracks["shape_flux"] = np.r_[0, np.sqrt((np.diff(shares, axis=1) ** 2).sum(0))]
    return tracks


def contrast_llds(S: np.ndarray) -> dict[str, np.ndarray]:
    """Spectral contrast in dB (Jiang et al., 2002): how far a band's peaks stand above its valleys.

    Parameters and return value are as in `tilt_tracks`. Peaks and valleys are the strongest and the weakest fifth of a
    band's bins.
    """
    tracks = {}
    for i, (low, high) in enumerate(pairwise(CONTRAST_HZ)):
        bins = np.sort(band(S, low, high), axis=0)
        fifth = max(1, round(0.2 * len(bins)))
        tracks[f"contrast_{i}"] = decibels(bins[-fifth:].mean(0)) - decibels(bins[:fifth].mean(0))
    return tracks


def mel_llds(S: np.ndarray, *, level_db: float) -> dict[str, np.ndarray]:
    """MFCC (Davis and Mermelstein, 1980) without the first, which is the level, and log-mel levels (Slaney, 1998).

    Parameters
    ----------
    S : np.ndarray [shape=(1 + N_FFT // 2, n_frames)]
        Power spectra.
    level_db : float
        The clip's active level: log-mel levels are relative to it, and at least `MEL_FLOOR_DB`.

    Returns
    -------
    dict of str to np.ndarray [shape=(n_frames,)]
        ``mfcc_1`` and on; ``mel_0`` and on, each the mean of two neighbouring bands of `N_MELS`; the bands have
        equal area, so this is a level per Hz. All in dB.
    """
    log_mel = decibels(mel_filters() @ S)
    tracks = {f"mfcc_{i}": track for i, track in enumerate(cosines()[1:] @ log_mel, start=1)}
    pairs = np.maximum(log_mel - level_db, MEL_FLOOR_DB).reshape(N_MELS // 2, 2, -1).mean(1)
    return tracks | {f"mel_{i}": track for i, track in enumerate(pairs)}


@functools.cache
def mel_filters() -> np.ndarray:
    """Triangular bands of equal area [shape=(N_MELS, 1 + N_FFT // 2)]."""
    return librosa.filters.mel(sr=SR, n_fft=N_FFT, n_mels=N_MELS, fmin=MEL_HZ[0], fmax=MEL_HZ[1])


@functools.cache
def cosines() -> np.ndarray:
    """The first rows of the orthonormal DCT-II [shape=(N_MFCC + 1, N_MELS)]."""
    k = np.arange(N_MFCC + 1)[:, None]
    rows = np.cos(np.pi * k * (2 * np.arange(N_MELS) + 1) / (2 * N_MELS)) * np.sqrt(2 / N_MELS)
    rows[0] /= np.sqrt(2)
    return rows
