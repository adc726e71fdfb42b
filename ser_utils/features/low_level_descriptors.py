"""Low-level descriptors (LLDs): values per frame of 10 ms, from the power spectra of one recording.

The channels of a recording are averaged as power, never as waveforms. Sound reaches two microphones some centimetres apart at
different times, and the sum of their waveforms is a comb filter (for 0.4 ms: first null near 1.2 kHz). All levels are relative
to the active level of the recording, so the recording gain has no effect.
"""

from dataclasses import dataclass

import librosa
import numpy as np
import scipy.fft

from ser_utils.features.f0 import F0_MAX_HZ, F0_MIN_HZ, SR, WIN_F0, track_f0
from ser_utils.features.spectra import HZ, LOWEST_HZ, N_FFT, decibels, power_spectra, spectral_llds

ACTIVE_DB = 25.0
"""A frame is active if its level is less than this below the 95th percentile of the recording."""
N_FFT_LONG = 2048
"""FFT length in samples for frames of `WIN_F0`, long enough to resolve harmonics."""
FLOOR_DB = -40.0
"""Lower bound of levels relative to the active level; digital silence and a quiet room become equal."""


@dataclass(frozen=True)
class LowLevelDescriptors:
    """LLDs of one recording from its first to its last active frame; all arrays have shape (n_frames,)."""

    energy_db: np.ndarray
    """Level in dB relative to the mean power of the active frames, at least `FLOOR_DB`."""
    active: np.ndarray
    voiced: np.ndarray
    """True if the frame is active and has an F0."""
    f0_st: np.ndarray
    """F0 in semitones relative to 100 Hz, 0 in unvoiced frames."""
    spectral: dict[str, np.ndarray]
    """LLDs of all frames: families tilt, shape, contrast, mfcc and mel (see ``glossary.csv``)."""
    voice_quality: dict[str, np.ndarray]
    """LLDs that are meaningful in voiced frames only: family quality."""


def prepare(y: np.ndarray, sr: int) -> np.ndarray:
    """Prepare a recording for `extract_llds`.

    Parameters
    ----------
    y : np.ndarray [shape=(n,) or (n_channels, n)]
    sr : int
        Sample rate in Hz.

    Returns
    -------
    np.ndarray [shape=(n_channels, m), dtype=float32]
        At `SR`, without DC offset, with a peak of 1 (unless silent), at least `N_FFT_LONG` samples long.
    """
    y = np.nan_to_num(np.atleast_2d(np.asarray(y, dtype=np.float32)), posinf=0, neginf=0)
    if y.shape[1]:
        y = y - y.mean(axis=1, keepdims=True)  # before resampling, as its filter rings at the start of an offset
        y = librosa.resample(y, orig_sr=sr, target_sr=SR)
    y = y / max(np.abs(y).max(initial=0.0), 1e-6)
    return np.pad(y, ((0, 0), (0, max(0, N_FFT_LONG - y.shape[1]))))


def extract_llds(y: np.ndarray) -> LowLevelDescriptors:
    """Extract the LLDs of a recording from `prepare` [shape=(n_channels, n)].

    Frames before the first and after the last active one are removed, as silence around an utterance is not speech.
    """
    S = power_spectra(y, n_fft=N_FFT, win_length=N_FFT) / N_FFT
    S_long = power_spectra(y, n_fft=N_FFT_LONG, win_length=WIN_F0)
    energy, active, span = activity(S)
    f0_hz, periodicity = (lld[span] for lld in track_f0(y))
    S, S_long, energy, active = S[:, span], S_long[:, span], energy[span], active[span]
    level = decibels(np.mean(10 ** (energy[active] / 10)))
    return LowLevelDescriptors(
        energy_db=np.maximum(energy - level, FLOOR_DB),
        active=active,
        voiced=active & ~np.isnan(f0_hz),
        f0_st=12 * np.log2(np.where(np.isnan(f0_hz), 100.0, f0_hz) / 100),
        spectral=spectral_llds(S, level_db=level),
        voice_quality=voice_quality_llds(S_long, f0_hz=f0_hz, periodicity=periodicity),
    )


def activity(S: np.ndarray) -> tuple[np.ndarray, np.ndarray, slice]:
    """Detect speech activity in power spectra [shape=(1 + N_FFT // 2, n_frames)].

    Returns
    -------
    energy : np.ndarray [shape=(n_frames,)]
        Level in dB.
    active : np.ndarray [shape=(n_frames,), dtype=bool]
        Frames less than `ACTIVE_DB` below the 95th percentile.
    span : slice
        From the first active frame to the last.
    """
    energy = decibels(S[HZ >= LOWEST_HZ].sum(axis=0))
    active = energy > np.percentile(energy, 95) - ACTIVE_DB
    first, last = np.flatnonzero(active)[[0, -1]]
    return energy, active, slice(first, last + 1)


def voice_quality_llds(S: np.ndarray, *, f0_hz: np.ndarray, periodicity: np.ndarray) -> dict[str, np.ndarray]:
    """Compute cepstral peak prominence, periodicity, and levels of harmonics (Hanson, 1997).

    The level of a harmonic is the highest bin within 23 Hz of its frequency, without correction for formants.

    Parameters
    ----------
    S : np.ndarray [shape=(1 + N_FFT_LONG // 2, n_frames)]
        Power spectra of frames of `WIN_F0`.
    f0_hz, periodicity : np.ndarray [shape=(n_frames,)]
        From `ser_utils.features.f0.track_f0`.

    Returns
    -------
    dict of str to np.ndarray [shape=(n_frames,)]
        In dB, except ``quality_strength``: the periodicity, from 0 to 1. In unvoiced frames it is 0, and harmonics are of
        150 Hz.
    """
    L = decibels(S.T, 1e-7)
    bin_hz = SR / N_FFT_LONG
    f0_hz = np.where(np.isnan(f0_hz), 150.0, f0_hz)
    harmonic = {}
    for i in (1, 2, 4):
        bins = np.clip(np.rint(i * f0_hz / bin_hz).astype(int)[:, None] + np.arange(-3, 4), 0, L.shape[1] - 1)
        harmonic[i] = np.take_along_axis(L, bins, axis=1).max(axis=1)
    a3 = L[:, int(2000 / bin_hz) : int(3500 / bin_hz)].max(axis=1)
    return {
        "quality_cpp": cepstral_peak_prominence(L),
        "quality_strength": np.nan_to_num(periodicity),
        "quality_h1h2": harmonic[1] - harmonic[2],
        "quality_h1h4": harmonic[1] - harmonic[4],
        "quality_h1a3": harmonic[1] - a3,
    }


def cepstral_peak_prominence(L: np.ndarray) -> np.ndarray:
    """Compute the height of the cepstral peak above the trend line, in dB (Hillenbrand et al., 1994).

    Parameters
    ----------
    L : np.ndarray [shape=(n_frames, 1 + N_FFT_LONG // 2)]
        Spectra in dB.

    Returns
    -------
    np.ndarray [shape=(n_frames,)]
    """
    lags = np.arange(30, 540)  # in samples; shorter lags belong to the vocal tract, longer ones exceed any voice period
    cepstrum = decibels(scipy.fft.irfft(L, axis=1)[:, : lags[-1] + 1] ** 2, 1e-9)
    x = lags - lags.mean()
    slope, height = cepstrum[:, lags] @ x / (x @ x), cepstrum[:, lags].mean(axis=1)
    shortest, longest = int(SR / F0_MAX_HZ), int(SR / F0_MIN_HZ)
    peak = shortest + cepstrum[:, shortest : longest + 1].argmax(axis=1)
    return cepstrum[np.arange(len(L)), peak] - height - slope * (peak - lags.mean())
