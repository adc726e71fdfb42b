"""Contours: what is measured frame by frame, every 10 ms, out of the power spectra of one recording.

The channels of a recording are averaged as power, never as waveforms: two microphones some centimetres apart hear the voice
at different times, and the sum of their waveforms is a comb filter (0.4 ms apart: first null near 1.2 kHz). Every level is
relative to the recording's own, so how loud it was recorded changes nothing.
"""

from dataclasses import dataclass

import librosa
import numpy as np
import scipy.fft

from ser_utils.features.f0 import F0_MAX_HZ, F0_MIN_HZ, SR, WIN_F0, track_f0
from ser_utils.features.spectra import HZ, LOWEST_HZ, N_FFT, decibels, power_spectra, spectral_llds

ACTIVE_DB = 25.0
"""A frame is active when it is within this of the clip's loud frames (95th percentile)."""
N_FFT_LONG = 2048
"""Length in samples of the spectra that tell harmonics apart, of frames of `WIN_F0`."""
FLOOR_DB = -40.0
"""Levels further below the active one are cut here, and digital silence becomes like a silent room."""


@dataclass(frozen=True)
class LowLevelDescriptors:
    """One recording from its first to its last active frame; every array has ``n_frames`` entries, 10 ms apart."""

    energy_db: np.ndarray
    """Level in dB relative to the mean of the active frames, `FLOOR_DB` or more."""
    active: np.ndarray
    voiced: np.ndarray
    """Active and with an F0."""
    f0_st: np.ndarray
    """F0 in semitones relative to 100 Hz, 0 where there is none."""
    spectral: dict[str, np.ndarray]
    """Tracks that every frame has: families tilt, shape, contrast, mfcc and mel (see `ser_utils.features.glossary`)."""
    voice: dict[str, np.ndarray]
    """Tracks that only voiced frames have in earnest: family quality."""


def prepare(y: np.ndarray, sr: int) -> np.ndarray:
    """A recording made ready for `contours`.

    Parameters
    ----------
    y : np.ndarray [shape=(n,) or (n_channels, n)]
    sr : int
        Its sample rate in Hz.

    Returns
    -------
    np.ndarray [shape=(n_channels, m), dtype=float32]
        At `SR`, without offset, its highest peak 1 unless it is silence, at least `N_FFT_LONG` samples long.
    """
    y = np.nan_to_num(np.atleast_2d(np.asarray(y, dtype=np.float32)), posinf=0, neginf=0)
    if y.shape[1]:
        y = y - y.mean(axis=1, keepdims=True)  # before resampling, whose filter rings where an offset begins
        y = librosa.resample(y, orig_sr=sr, target_sr=SR)
    y = y / max(np.abs(y).max(initial=0.0), 1e-6)
    return np.pad(y, ((0, 0), (0, max(0, N_FFT_LONG - y.shape[1]))))


def extract_llds(y: np.ndarray) -> LowLevelDescriptors:
    """The contours of a recording that `prepare` has made ready [shape=(n_channels, n)].

    Silence before the first and after the last active frame is cut off: how tightly a clip was cut is not speech.
    """
    S = power_spectra(y, n_fft=N_FFT, win_length=N_FFT) / N_FFT
    long = power_spectra(y, n_fft=N_FFT_LONG, win_length=WIN_F0)
    energy, active, span = activity(S)
    f0_hz, strength = track_f0(y)
    S, long, energy, active = S[:, span], long[:, span], energy[span], active[span]
    f0_hz, strength = f0_hz[span], strength[span]
    level = decibels(np.mean(10 ** (energy[active] / 10)))
    return LowLevelDescriptors(
        energy_db=np.maximum(energy - level, FLOOR_DB),
        active=active,
        voiced=active & ~np.isnan(f0_hz),
        f0_st=12 * np.log2(np.where(np.isnan(f0_hz), 100.0, f0_hz) / 100),
        spectral=spectral_llds(S, level_db=level),
        voice=voice_llds(long, f0_hz=f0_hz, strength=strength),
    )


def activity(S: np.ndarray) -> tuple[np.ndarray, np.ndarray, slice]:
    """Where somebody speaks, from power spectra [shape=(1 + N_FFT // 2, n_frames)].

    Returns
    -------
    energy : np.ndarray [shape=(n_frames,)]
        In dB.
    active : np.ndarray [shape=(n_frames,), dtype=bool]
        Frames within `ACTIVE_DB` of the loud ones.
    span : slice
        From the first active frame to the last.
    """
    energy = decibels(S[HZ >= LOWEST_HZ].sum(axis=0))
    active = energy > np.percentile(energy, 95) - ACTIVE_DB
    first, last = np.flatnonzero(active)[[0, -1]]
    return energy, active, slice(first, last + 1)


def voice_llds(S: np.ndarray, *, f0_hz: np.ndarray, strength: np.ndarray) -> dict[str, np.ndarray]:
    """Voice quality: cepstral peak prominence, strength of the periodicity, and levels of harmonics (Hanson, 1997).

    Harmonics are the highest bin within 23 Hz of where they should be, and are not corrected for formants.

    Parameters
    ----------
    S : np.ndarray [shape=(1 + N_FFT_LONG // 2, n_frames)]
        Power spectra of frames of `WIN_F0`.
    f0_hz, strength : np.ndarray [shape=(n_frames,)]
        From `ser_utils.features.f0.track_f0`.

    Returns
    -------
    dict of str to np.ndarray [shape=(n_frames,)]
        In dB; the strength is a number from 0 to 1. Where unvoiced it is 0, and the harmonics are those of 150 Hz.
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
        "quality_strength": np.nan_to_num(strength),
        "quality_h1h2": harmonic[1] - harmonic[2],
        "quality_h1h4": harmonic[1] - harmonic[4],
        "quality_h1a3": harmonic[1] - a3,
    }


def cepstral_peak_prominence(L: np.ndarray) -> np.ndarray:
    """How far the cepstrum's peak stands above its trend line, in dB (Hillenbrand et al., 1994).

    Parameters
    ----------
    L : np.ndarray [shape=(n_frames, 1 + N_FFT_LONG // 2)]
        Spectra in dB.

    Returns
    -------
    np.ndarray [shape=(n_frames,)]
    """
    lags = np.arange(30, 540)  # samples; shorter ones are the vocal tract, longer ones hold no period of a voice
    cepstrum = decibels(scipy.fft.irfft(L, axis=1)[:, : lags[-1] + 1] ** 2, 1e-9)
    x = lags - lags.mean()
    slope, height = cepstrum[:, lags] @ x / (x @ x), cepstrum[:, lags].mean(axis=1)
    shortest, longest = int(SR / F0_MAX_HZ), int(SR / F0_MIN_HZ)
    peak = shortest + cepstrum[:, shortest : longest + 1].argmax(axis=1)
    return cepstrum[np.arange(len(L)), peak] - height - slope * (peak - lags.mean())
