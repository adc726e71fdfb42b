"""Spectral low-level descriptors: tilt, shape, contrast and envelope of the power spectra of 10 ms frames."""

import functools
from itertools import pairwise

import librosa
import numpy as np
import scipy.fft

from ser_utils.features import short_time
from ser_utils.features.f0 import HOP, SR

N_FFT = 512
"""Frame length of the spectra in samples: 32 ms."""
HZ = np.fft.rfftfreq(N_FFT, 1 / SR)
"""Bin frequencies in Hz [shape=(1 + N_FFT // 2,)]."""
LOWEST_HZ = 60
"""Lower limit of the analysis: below are rumble and mains hum."""
MEL_FLOOR_DB = -85.0
"""Lower bound of log-mel levels relative to the active level."""
N_MFCC, N_MELS = 16, 40
MEL_HZ = (60, 7600)
CONTRAST_HZ = (100, 300, 600, 1200, 2400, 4000, 7600)
SLOPE_HZ = ((50, 500), (500, 1500), (1500, 5000))


def power_spectra(y: np.ndarray, *, n_fft: int, win_length: int) -> np.ndarray:
    """Compute the power spectra of a recording [shape=(n_channels, n)], averaged over its channels.

    Returns
    -------
    np.ndarray [shape=(1 + n_fft // 2, n_frames)]
    """
    window = short_time.hann(win_length, n_fft)
    S = sum(short_time.power_spectrogram(short_time.frames(channel, n_fft=n_fft, hop=HOP), window) for channel in y)
    return (S / len(y)).T


def decibels(power: np.ndarray, floor: float = 1e-10) -> np.ndarray:
    """Convert power to dB relative to 1; values below `floor` are raised to it."""
    return 10 * np.log10(np.maximum(power, floor))


def spectral_llds(S: np.ndarray, *, level_db: float) -> dict[str, np.ndarray]:
    """Compute all spectral LLDs: families tilt, shape, contrast, mfcc and mel (see ``glossary.csv``).

    Parameters
    ----------
    S : np.ndarray [shape=(1 + N_FFT // 2, n_frames)]
        Power spectra.
    level_db : float
        Active level of the recording in dB.

    Returns
    -------
    dict of str to np.ndarray [shape=(n_frames,)]
    """
    return tilt_llds(S) | shape_llds(S) | contrast_llds(S) | mel_llds(S, level_db=level_db)


def band(S: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """Return the bins of spectra [shape=(1 + N_FFT // 2, n_frames)] from `low_hz` to below `high_hz`."""
    return S[(low_hz <= HZ) & (high_hz > HZ)]


def tilt_llds(S: np.ndarray) -> dict[str, np.ndarray]:
    """Compute alpha ratio and Hammarberg index in dB, and spectral slopes in dB/kHz (Eyben et al., 2016).

    Parameters
    ----------
    S : np.ndarray [shape=(1 + N_FFT // 2, n_frames)]
        Power spectra.

    Returns
    -------
    dict of str to np.ndarray [shape=(n_frames,)]
    """
    llds = {
        "tilt_alpha": decibels(band(S, 1000, 5000).sum(0)) - decibels(band(S, 50, 1000).sum(0)),
        "tilt_hammarberg": decibels(band(S, 50, 2000).max(0)) - decibels(band(S, 2000, 5000).max(0)),
    }
    L = decibels(S)
    for low, high in SLOPE_HZ:
        within = (low <= HZ) & (high >= HZ)
        khz = HZ[within] / 1000 - HZ[within].mean() / 1000
        llds[f"tilt_slope{high}"] = khz @ L[within] / (khz @ khz)
    return llds


def shape_llds(S: np.ndarray) -> dict[str, np.ndarray]:
    """Compute centroid, bandwidth and roll-off in Hz (Peeters, 2004), flatness in dB, and flux.

    Flatness follows Dubnov (2004), flux Scheirer and Slaney (1997). Parameters and return value are as in `tilt_llds`.
    """
    P, hz = S[HZ >= LOWEST_HZ], HZ[HZ >= LOWEST_HZ]
    total = P.sum(axis=0) + 1e-12
    centroid = hz @ P / total
    llds = {
        "shape_centroid": centroid,
        "shape_bandwidth": np.sqrt(((hz[:, None] - centroid) ** 2 * P).sum(0) / total),
    }
    cumulative = np.cumsum(P, axis=0) / total
    for percent in (25, 50, 85):
        llds[f"shape_rolloff{percent}"] = hz[(cumulative >= percent / 100).argmax(axis=0)]
    speech = (HZ >= 100) & (HZ <= 5000)
    llds["shape_flatness"] = decibels(S)[speech].mean(0) - decibels(S[speech].mean(0))
    normalised = np.sqrt(P / total)  # every frame has norm 1, so the flux does not depend on the level
    llds["shape_flux"] = np.r_[0, np.sqrt((np.diff(normalised, axis=1) ** 2).sum(0))]
    return llds


def contrast_llds(S: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the spectral contrast in dB: level of the peaks above the valleys of each band (Jiang et al., 2002).

    Peaks and valleys are the strongest and the weakest fifth of a band's bins. Parameters and return value: see `tilt_llds`.
    """
    llds = {}
    for i, (low, high) in enumerate(pairwise(CONTRAST_HZ)):
        bins = np.sort(band(S, low, high), axis=0)
        fifth = max(1, round(0.2 * len(bins)))
        llds[f"contrast_{i}"] = decibels(bins[-fifth:].mean(0)) - decibels(bins[:fifth].mean(0))
    return llds


def mel_llds(S: np.ndarray, *, level_db: float) -> dict[str, np.ndarray]:
    """Compute MFCC (Davis and Mermelstein, 1980) except the first, which is the level, and log-mel levels (Slaney, 1998).

    Parameters
    ----------
    S : np.ndarray [shape=(1 + N_FFT // 2, n_frames)]
        Power spectra.
    level_db : float
        Active level of the recording in dB. Log-mel levels are relative to it, and at least `MEL_FLOOR_DB`.

    Returns
    -------
    dict of str to np.ndarray [shape=(n_frames,)]
        ``mfcc_1`` to ``mfcc_{N_MFCC}``, and ``mel_0`` on, each the mean of two adjacent bands of `N_MELS`. Bands have equal
        area, so a level is per Hz. All in dB.
    """
    log_mel = decibels(mel_filters() @ S)
    cepstrum = scipy.fft.dct(log_mel.astype(np.float64), axis=0, norm="ortho")
    mfcc = {f"mfcc_{i}": cepstrum[i] for i in range(1, N_MFCC + 1)}
    pairs = np.maximum(log_mel - level_db, MEL_FLOOR_DB).reshape(N_MELS // 2, 2, -1).mean(1)
    return mfcc | {f"mel_{i}": lld for i, lld in enumerate(pairs)}


@functools.cache
def mel_filters() -> np.ndarray:
    """Return triangular mel filters of equal area [shape=(N_MELS, 1 + N_FFT // 2)]."""
    return librosa.filters.mel(sr=SR, n_fft=N_FFT, n_mels=N_MELS, fmin=MEL_HZ[0], fmax=MEL_HZ[1])
