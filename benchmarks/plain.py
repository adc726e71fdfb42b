"""Reference implementation of the features: one library call or one loop per definition, in double precision.

Tests compare `ser_utils` with it, and benchmarks time it. It shares constants (frame lengths, bands, thresholds) with
`ser_utils` but no code, as a shared mistake would not be detected. F0 is in `plain_f0`, prosody in `plain_prosody`.
"""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import scipy.fft
import scipy.signal
import scipy.stats

from benchmarks import plain_prosody as prosody
from benchmarks.plain_f0 import pyin_f0
from ser_utils.features.augmentation import STRENGTHS
from ser_utils.features.f0 import F0_MAX_HZ, F0_MIN_HZ, HOP, HOP_S, SR, WIN_F0
from ser_utils.features.low_level_descriptors import ACTIVE_DB, FLOOR_DB, N_FFT_LONG
from ser_utils.features.prosody import MIN_VOICED
from ser_utils.features.spectra import CONTRAST_HZ, LOWEST_HZ, MEL_FLOOR_DB, MEL_HZ, N_FFT, N_MELS, N_MFCC, SLOPE_HZ

HZ = np.arange(1 + N_FFT // 2) * SR / N_FFT
"""Frequencies in Hz of the bins of a spectrum of `N_FFT` samples."""

# The original study's 38 features


def original38(y: np.ndarray, sr: int) -> np.ndarray:
    """Compute the features of the original study by one call of librosa each, as it did; see `ser_utils.features.original38`.

    Parameters
    ----------
    y : np.ndarray [shape=(n,)]
        Mono recording.
    sr : int
        Sample rate in Hz.

    Returns
    -------
    np.ndarray [shape=(38,)]
    """
    options = {"y": y, "pad_mode": "reflect"}  # the padding of librosa 0.8.1, which the original study used
    return np.hstack(
        [
            librosa.feature.chroma_stft(sr=sr, **options).mean(axis=1),
            librosa.feature.rms(**options).mean(axis=1),
            librosa.feature.spectral_centroid(sr=sr, **options).mean(axis=1),
            librosa.feature.spectral_flatness(**options).mean(axis=1),
            librosa.feature.spectral_bandwidth(sr=sr, **options).mean(axis=1),
            librosa.feature.spectral_rolloff(sr=sr, **options).mean(axis=1),
            librosa.feature.zero_crossing_rate(y).mean(axis=1),  # pads by the edge value in all versions
            librosa.feature.mfcc(sr=sr, n_mfcc=20, **options).mean(axis=1),
        ]
    )


def original38_clip(path: Path, *, rng: np.random.Generator) -> np.ndarray:
    """Compute the original study's three rows of one clip: original, noise, and stretch with pitch shift [shape=(3, 38)]."""
    y, sr = librosa.load(path, sr=48_000, mono=True)
    amplitude = STRENGTHS["noise_amplitude"] * rng.uniform() * y.max()
    noisy = y + amplitude * rng.standard_normal(y.shape)
    slower = librosa.effects.time_stretch(y, rate=STRENGTHS["stretch_rate"])
    higher = librosa.effects.pitch_shift(slower, sr=sr, n_steps=STRENGTHS["pitch_steps"])
    return np.array([original38(variant, sr) for variant in (y, noisy, higher)])


# Functionals


def functionals(y: np.ndarray, sr: int, f0: Callable | None = None) -> dict[str, float]:
    """Compute all functionals by their definitions; see `ser_utils.features.functionals` and its ``glossary.csv``.

    Parameters
    ----------
    y : np.ndarray [shape=(n,) or (n_channels, n)]
        The recording: finite, at least one sample.
    sr : int
        Sample rate in Hz.
    f0 : callable or None
        From a recording as `prepared` returns it to F0 in Hz and periodicity, both NaN in unvoiced frames
        [shape=(1 + n // HOP,)]. None for `benchmarks.plain_f0.pyin_f0`.

    Returns
    -------
    dict of str to float
        In the order of `ser_utils.features.functionals.names`.
    """
    y = prepared(y, sr)
    f0_hz, periodicity = (f0 or pyin_f0)(y)
    S, S_long = short_spectra(y), long_spectra(y)
    energy = levels(S)
    active = active_frames(energy)
    span = active_span(active)
    S, S_long, energy, active, f0_hz, periodicity = (x[span] for x in (S, S_long, energy, active, f0_hz, periodicity))
    level = db(np.mean(10 ** (energy[active] / 10)))
    energy = np.maximum(energy - level, FLOOR_DB)
    voiced = active & ~np.isnan(f0_hz)
    st = np.array([0.0 if np.isnan(hz) else 12 * np.log2(hz / 100) for hz in f0_hz])
    bands = librosa.filters.mel(sr=SR, n_fft=N_FFT, n_mels=N_MELS, fmin=MEL_HZ[0], fmax=MEL_HZ[1], dtype=np.float64)
    spectral = pd.DataFrame(
        tilt(S[t]) | shape(S[t], S[max(t - 1, 0)]) | contrast(S[t]) | envelope(S[t], bands, level) for t in range(len(S))
    )
    voice_quality = pd.DataFrame(quality(S_long[t], f0_hz[t], periodicity[t]) for t in range(len(S_long)))
    not_envelope = spectral.filter(regex="^(tilt|shape)").join(voice_quality)
    linked = pd.DataFrame({"f0": st}).join(spectral.filter(regex="^(tilt|shape|mfcc_[1-8]$)")).join(voice_quality)
    frames = voiced if voiced.sum() >= MIN_VOICED else active
    return (
        prosody.f0_functionals(st, voiced)
        | prosody.rhythm_functionals(energy, active, voiced)
        | prosody.energy_functionals(energy, active, voiced)
        | link_functionals(linked[frames], energy[frames])
        | statistics(spectral, active, "active")
        | statistics(not_envelope, frames, "voiced")
    )


def prepared(y: np.ndarray, sr: int) -> np.ndarray:
    """Return the recording at `SR`, without offset, with peak 1, at least `N_FFT_LONG` samples long [shape=(n_channels, m)]."""
    y = np.atleast_2d(np.asarray(y, dtype=float))
    y = librosa.resample(y - y.mean(axis=1, keepdims=True), orig_sr=sr, target_sr=SR)
    y = y / max(np.abs(y).max(), 1e-6)
    return np.pad(y, ((0, 0), (0, max(0, N_FFT_LONG - y.shape[1]))))


def power_spectra(y: np.ndarray, *, n_fft: int, win_length: int) -> np.ndarray:
    """Compute power spectra, one per `HOP`, averaged over the channels [shape=(n_frames, 1 + n_fft // 2)]."""
    hann = scipy.signal.get_window("hann", win_length)
    padded = np.pad(y, ((0, 0), (win_length // 2, win_length // 2)))
    spectra = []
    for start in range(0, y.shape[1] + 1, HOP):
        frames = padded[:, start : start + win_length]
        spectra.append(np.mean([np.abs(np.fft.rfft(frame * hann, n_fft)) ** 2 for frame in frames], axis=0))
    return np.array(spectra)


def short_spectra(y: np.ndarray) -> np.ndarray:
    """Compute the power spectra of spectral LLDs [shape=(n_frames, 1 + N_FFT // 2)]."""
    return power_spectra(y, n_fft=N_FFT, win_length=N_FFT) / N_FFT


def long_spectra(y: np.ndarray) -> np.ndarray:
    """Compute the power spectra of voice quality [shape=(n_frames, 1 + N_FFT_LONG // 2)]."""
    return power_spectra(y, n_fft=N_FFT_LONG, win_length=WIN_F0)


def db(power: float | np.ndarray, floor: float = 1e-10) -> float | np.ndarray:
    """Convert power to dB; values below `floor` are raised to it."""
    return 10 * np.log10(np.maximum(power, floor))


def levels(S: np.ndarray) -> np.ndarray:
    """Return the level in dB of every frame of `short_spectra` [shape=(n_frames,)]."""
    return np.array([db(frame[HZ >= LOWEST_HZ].sum()) for frame in S])


def active_frames(energy: np.ndarray) -> np.ndarray:
    """Return which frames are active, given their levels in dB [both shape=(n_frames,)]."""
    return energy > np.percentile(energy, 95) - ACTIVE_DB


def active_span(active: np.ndarray) -> slice:
    """Return the slice from the first to the last active frame."""
    frames = np.flatnonzero(active)
    return slice(frames[0], frames[-1] + 1)


# LLDs of one frame


def band(S: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """Return the bins of one power spectrum from `low_hz` to below `high_hz`."""
    return S[(low_hz <= HZ) & (high_hz > HZ)]


def tilt(S: np.ndarray) -> dict[str, float]:
    """Compute alpha ratio and Hammarberg index in dB, slopes in dB/kHz, of one power spectrum [shape=(1 + N_FFT // 2,)]."""
    row = {
        "tilt_alpha": db(band(S, 1000, 5000).sum()) - db(band(S, 50, 1000).sum()),
        "tilt_hammarberg": db(band(S, 50, 2000).max()) - db(band(S, 2000, 5000).max()),
    }
    for low, high in SLOPE_HZ:
        within = (low <= HZ) & (high >= HZ)
        row[f"tilt_slope{high}"] = np.polyfit(HZ[within] / 1000, db(S[within]), 1)[0]
    return row


def shape(S: np.ndarray, previous: np.ndarray) -> dict[str, float]:
    """Compute centroid, bandwidth and roll-offs in Hz, flatness in dB, and flux from the `previous` power spectrum."""
    hz, speech = HZ[HZ >= LOWEST_HZ], S[(HZ >= 100) & (HZ <= 5000)]
    share, before = (P[HZ >= LOWEST_HZ] / (P[HZ >= LOWEST_HZ].sum() + 1e-12) for P in (S, previous))
    centroid = np.sum(hz * share)
    row = {"shape_centroid": centroid, "shape_bandwidth": np.sqrt(np.sum((hz - centroid) ** 2 * share))}
    for percent in (25, 50, 85):
        row[f"shape_rolloff{percent}"] = hz[np.argmax(np.cumsum(share) >= percent / 100)]
    row["shape_flatness"] = db(scipy.stats.gmean(np.maximum(speech, 1e-10))) - db(speech.mean())
    row["shape_flux"] = np.linalg.norm(np.sqrt(share) - np.sqrt(before))
    return row


def contrast(S: np.ndarray) -> dict[str, float]:
    """Compute the level of the strongest fifth of the bins of each band above the weakest fifth, in dB."""
    row = {}
    for i, (low, high) in enumerate(pairwise(CONTRAST_HZ)):
        bins = sorted(band(S, low, high))
        fifth = max(1, round(len(bins) / 5))
        row[f"contrast_{i}"] = db(np.mean(bins[-fifth:])) - db(np.mean(bins[:fifth]))
    return row


def envelope(S: np.ndarray, bands: np.ndarray, level_db: float) -> dict[str, float]:
    """Compute MFCC, and levels of pairs of mel `bands` [shape=(N_MELS, 1 + N_FFT // 2)] relative to the clip's, in dB."""
    log_mel = db(bands @ S)
    mfcc = scipy.fft.dct(log_mel, norm="ortho")
    row = {f"mfcc_{i}": mfcc[i] for i in range(1, N_MFCC + 1)}
    relative = np.maximum(log_mel - level_db, MEL_FLOOR_DB)
    return row | {f"mel_{i}": (relative[2 * i] + relative[2 * i + 1]) / 2 for i in range(N_MELS // 2)}


def quality(S: np.ndarray, f0_hz: float, periodicity: float) -> dict[str, float]:
    """Compute cepstral peak prominence and harmonics in dB of one power spectrum [shape=(1 + N_FFT_LONG // 2,)]."""
    L, bin_hz = db(S, 1e-7), SR / N_FFT_LONG
    cepstrum = db(np.fft.irfft(L) ** 2, 1e-9)
    trend = np.polyfit(np.arange(30, 540), cepstrum[30:540], 1)
    shortest, longest = int(SR / F0_MAX_HZ), int(SR / F0_MIN_HZ)
    peak = shortest + np.argmax(cepstrum[shortest : longest + 1])
    harmonic = {}
    for i in (1, 2, 4):
        k = round(i * (150.0 if np.isnan(f0_hz) else f0_hz) / bin_hz)
        harmonic[i] = L[max(k - 3, 0) : k + 4].max()
    return {
        "quality_cpp": cepstrum[peak] - np.polyval(trend, peak),
        "quality_strength": 0.0 if np.isnan(periodicity) else periodicity,
        "quality_h1h2": harmonic[1] - harmonic[2],
        "quality_h1h4": harmonic[1] - harmonic[4],
        "quality_h1a3": harmonic[1] - L[round(2000 / bin_hz) : round(3500 / bin_hz)].max(),
    }


def link_functionals(llds: pd.DataFrame, energy: np.ndarray) -> dict[str, float]:
    """Compute the family link: slope per 10 dB and correlation of each column with the level in dB."""
    row = {}
    e = (energy - energy.mean()) / 10
    for name in llds:
        x = (llds[name] - llds[name].mean()).to_numpy()
        row[f"link_{name}_per_10db"] = np.sum(x * e) / (np.sum(e**2) + 1e-3)
        row[f"link_{name}_corr"] = np.sum(x * e) / (np.sqrt(np.sum(x**2) * np.sum(e**2)) + 1e-3)
    return row


def statistics(llds: pd.DataFrame, mask: np.ndarray, frames: str) -> dict[str, float]:
    """Compute statistics of each column over the frames in `mask`, which `frames` names."""
    row = {}
    padded = np.pad(llds.to_numpy(), ((2, 2), (0, 0)), mode="edge")
    steepness = np.array([np.abs(np.polyfit(np.arange(5), padded[t : t + 5], 1)[0]) for t in np.flatnonzero(mask)])
    for i, name in enumerate(llds):
        x, key = llds[name].to_numpy()[mask], f"{name}_{frames}"
        row[f"{key}_mean"] = x.mean()
        row[f"{key}_std"] = x.std()
        if name.startswith("mfcc"):
            continue
        row[f"{key}_p10"] = np.percentile(x, 10)
        row[f"{key}_p90"] = np.percentile(x, 90)
        row[f"{key}_delta"] = steepness[:, i].mean()
        row[f"{key}_slope"] = prosody.slope(x, np.flatnonzero(mask) * HOP_S)
    return row
