"""The features the plain way: one library call or one loop per definition, in double precision, sharing nothing.

Tests compare the fast code in `ser_utils` with this, and benchmarks time it as what a user would write first. Only numbers
(frame lengths, bands, thresholds) come from `ser_utils`; no code does, or a mistake would stand on both sides.
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

from ser_utils.features.augmentation import STRENGTHS
from ser_utils.features.f0 import F0_MAX_HZ, F0_MIN_HZ, HOP, HOP_S, MAX_LAG, MIN_LAG, SR, WIN_F0
from ser_utils.features.low_level_descriptors import ACTIVE_DB, FLOOR_DB, N_FFT_LONG
from ser_utils.features.prosody import MIN_PAUSE_S, MIN_SEGMENT, MIN_VOICED, MODULATION_HZ, PEAK_DB
from ser_utils.features.spectra import CONTRAST_HZ, LOWEST_HZ, MEL_FLOOR_DB, MEL_HZ, N_FFT, N_MELS, N_MFCC, SLOPE_HZ

HZ = np.arange(1 + N_FFT // 2) * SR / N_FFT
"""Frequencies in Hz of the bins of a spectrum of `N_FFT` samples."""

# The original study's 38 features


def original38(y: np.ndarray, sr: int) -> np.ndarray:
    """The original study's features, one call of librosa each, as it wrote them; see `ser_utils.features.original38`.

    Parameters
    ----------
    y : np.ndarray [shape=(n,)]
        Mono recording.
    sr : int
        Its sample rate in Hz.

    Returns
    -------
    np.ndarray [shape=(38,)]
    """
    how = {"y": y, "pad_mode": "reflect"}  # as librosa 0.8.1 padded, which the original ran
    return np.hstack(
        [
            librosa.feature.chroma_stft(sr=sr, **how).mean(axis=1),
            librosa.feature.rms(**how).mean(axis=1),
            librosa.feature.spectral_centroid(sr=sr, **how).mean(axis=1),
            librosa.feature.spectral_flatness(**how).mean(axis=1),
            librosa.feature.spectral_bandwidth(sr=sr, **how).mean(axis=1),
            librosa.feature.spectral_rolloff(sr=sr, **how).mean(axis=1),
            librosa.feature.zero_crossing_rate(y).mean(axis=1),  # repeats the edge, then as now
            librosa.feature.mfcc(sr=sr, n_mfcc=20, **how).mean(axis=1),
        ]
    )


def original38_clip(path: Path, *, rng: np.random.Generator) -> np.ndarray:
    """The original study's three rows of one clip: itself, with noise, and slower and higher [shape=(3, 38)]."""
    y, sr = librosa.load(path, sr=48_000, mono=True)
    amplitude = STRENGTHS["noise_amplitude"] * rng.uniform() * y.max()
    noisy = y + amplitude * rng.standard_normal(y.shape)
    slower = librosa.effects.time_stretch(y, rate=STRENGTHS["stretch_rate"])
    higher = librosa.effects.pitch_shift(slower, sr=sr, n_steps=STRENGTHS["pitch_steps"])
    return np.array([original38(variant, sr) for variant in (y, noisy, higher)])


# Functionals


def functionals(y: np.ndarray, sr: int, f0: Callable | None = None) -> dict[str, float]:
    """All functionals by their plain definitions; see `ser_utils.features.functionals.functionals` and `ser_utils.features.glossary`.

    Parameters
    ----------
    y : np.ndarray [shape=(n,) or (n_channels, n)]
        The recording, finite, of at least one sample.
    sr : int
        Its sample rate in Hz.
    f0 : callable or None
        From the recording as `prepared` returns it to F0 in Hz and the strength of voicing, both NaN where unvoiced and
        [shape=(1 + n // HOP,)]: `pyin_f0` (None), or any other track.

    Returns
    -------
    dict of str to float
        In the order of `ser_utils.features.functionals.names`.
    """
    y = prepared(y, sr)
    f0_hz, strength = (f0 or pyin_f0)(y)
    S, long = short_spectra(y), long_spectra(y)
    energy = levels(S)
    active = active_frames(energy)
    span = active_span(active)
    S, long, energy, active, f0_hz, strength = (x[span] for x in (S, long, energy, active, f0_hz, strength))
    level = db(np.mean(10 ** (energy[active] / 10)))
    energy = np.maximum(energy - level, FLOOR_DB)
    voiced = active & ~np.isnan(f0_hz)
    st = np.array([0.0 if np.isnan(hz) else 12 * np.log2(hz / 100) for hz in f0_hz])
    bands = librosa.filters.mel(sr=SR, n_fft=N_FFT, n_mels=N_MELS, fmin=MEL_HZ[0], fmax=MEL_HZ[1], dtype=np.float64)
    spectral = pd.DataFrame(
        tilt(S[t]) | shape(S[t], S[max(t - 1, 0)]) | contrast(S[t]) | envelope(S[t], bands, level) for t in range(len(S))
    )
    voice = pd.DataFrame(quality(long[t], f0_hz[t], strength[t]) for t in range(len(long)))
    narrow = spectral.filter(regex="^(tilt|shape)").join(voice)
    linked = pd.DataFrame({"f0": st}).join(spectral.filter(regex="^(tilt|shape|mfcc_[1-8]$)")).join(voice)
    frames = voiced if voiced.sum() >= MIN_VOICED else active
    return (
        f0_functionals(st, voiced)
        | rhythm_functionals(energy, active, voiced)
        | energy_functionals(energy, active, voiced)
        | link_functionals(linked[frames], energy[frames])
        | statistics(spectral, active, "active")
        | statistics(narrow, frames, "voiced")
    )


def prepared(y: np.ndarray, sr: int) -> np.ndarray:
    """The recording at `SR`, without offset, its peak 1, at least `N_FFT_LONG` samples long [shape=(n_channels, m)]."""
    y = np.atleast_2d(np.asarray(y, dtype=float))
    y = librosa.resample(y - y.mean(axis=1, keepdims=True), orig_sr=sr, target_sr=SR)
    y = y / max(np.abs(y).max(), 1e-6)
    return np.pad(y, ((0, 0), (0, max(0, N_FFT_LONG - y.shape[1]))))


def power_spectra(y: np.ndarray, *, n_fft: int, win_length: int) -> np.ndarray:
    """Power spectra, one every `HOP`, the mean over the channels [shape=(n_frames, 1 + n_fft // 2)]."""
    hann = scipy.signal.get_window("hann", win_length)
    padded = np.pad(y, ((0, 0), (win_length // 2, win_length // 2)))
    spectra = []
    for start in range(0, y.shape[1] + 1, HOP):
        frames = padded[:, start : start + win_length]
        spectra.append(np.mean([np.abs(np.fft.rfft(frame * hann, n_fft)) ** 2 for frame in frames], axis=0))
    return np.array(spectra)


def short_spectra(y: np.ndarray) -> np.ndarray:
    """Power spectra for everything but pitch and voice quality [shape=(n_frames, 1 + N_FFT // 2)]."""
    return power_spectra(y, n_fft=N_FFT, win_length=N_FFT) / N_FFT


def long_spectra(y: np.ndarray) -> np.ndarray:
    """Power spectra for pitch and voice quality [shape=(n_frames, 1 + N_FFT_LONG // 2)]."""
    return power_spectra(y, n_fft=N_FFT_LONG, win_length=WIN_F0)


def db(power: float | np.ndarray, floor: float = 1e-10) -> float | np.ndarray:
    """Decibels of power, at least those of `floor`."""
    return 10 * np.log10(np.maximum(power, floor))


def levels(S: np.ndarray) -> np.ndarray:
    """The level in dB of every frame of `short_spectra` [shape=(n_frames,)]."""
    return np.array([db(frame[HZ >= LOWEST_HZ].sum()) for frame in S])


def active_frames(energy: np.ndarray) -> np.ndarray:
    """Which frames are active, by their levels in dB [both shape=(n_frames,)]."""
    return energy > np.percentile(energy, 95) - ACTIVE_DB


def active_span(active: np.ndarray) -> slice:
    """The frames from the first to the last active one."""
    frames = np.flatnonzero(active)
    return slice(frames[0], frames[-1] + 1)


# What is measured of one frame


def band(S: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """The bins of one power spectrum from `low_hz` to below `high_hz`."""
    return S[(low_hz <= HZ) & (high_hz > HZ)]


def tilt(S: np.ndarray) -> dict[str, float]:
    """Alpha ratio and Hammarberg index in dB, slopes in dB/kHz, of one power spectrum [shape=(1 + N_FFT // 2,)]."""
    row = {
        "tilt_alpha": db(band(S, 1000, 5000).sum()) - db(band(S, 50, 1000).sum()),
        "tilt_hammarberg": db(band(S, 50, 2000).max()) - db(band(S, 2000, 5000).max()),
    }
    for low, high in SLOPE_HZ:
        within = (low <= HZ) & (high >= HZ)
        row[f"tilt_slope{high}"] = np.polyfit(HZ[within] / 1000, db(S[within]), 1)[0]
    return row


def shape(S: np.ndarray, previous: np.ndarray) -> dict[str, float]:
    """Centroid, bandwidth and roll-offs in Hz, flatness in dB, and flux from the `previous` power spectrum."""
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
    """The strongest fifth of the bins of each band above the weakest, in dB."""
    row = {}
    for i, (low, high) in enumerate(pairwise(CONTRAST_HZ)):
        bins = sorted(band(S, low, high))
        fifth = max(1, round(len(bins) / 5))
        row[f"contrast_{i}"] = db(np.mean(bins[-fifth:])) - db(np.mean(bins[:fifth]))
    return row


def envelope(S: np.ndarray, bands: np.ndarray, level_db: float) -> dict[str, float]:
    """MFCC, and levels of pairs of mel `bands` [shape=(N_MELS, 1 + N_FFT // 2)] above the clip's, in dB."""
    log_mel = db(bands @ S)
    mfcc = scipy.fft.dct(log_mel, norm="ortho")
    row = {f"mfcc_{i}": mfcc[i] for i in range(1, N_MFCC + 1)}
    relative = np.maximum(log_mel - level_db, MEL_FLOOR_DB)
    return row | {f"mel_{i}": (relative[2 * i] + relative[2 * i + 1]) / 2 for i in range(N_MELS // 2)}


def quality(S: np.ndarray, f0_hz: float, strength: float) -> dict[str, float]:
    """Cepstral peak prominence and harmonics in dB, of one power spectrum [shape=(1 + N_FFT_LONG // 2,)]."""
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
        "quality_strength": 0.0 if np.isnan(strength) else strength,
        "quality_h1h2": harmonic[1] - harmonic[2],
        "quality_h1h4": harmonic[1] - harmonic[4],
        "quality_h1a3": harmonic[1] - L[round(2000 / bin_hz) : round(3500 / bin_hz)].max(),
    }


# What is measured of a clip


def mean(x: np.ndarray | list) -> float:
    """The mean; 0 of nothing."""
    return np.mean(x) if len(x) else 0.0


def std(x: np.ndarray | list) -> float:
    """The standard deviation; 0 of nothing."""
    return np.std(x) if len(x) else 0.0


def slope(x: np.ndarray, t: np.ndarray) -> float:
    """The slope of the straight line through `x` over `t` in s; flat where there is hardly any time."""
    return np.sum((t - t.mean()) * (x - x.mean())) / (np.sum((t - t.mean()) ** 2) + 1e-6)


def segments(mask: np.ndarray) -> list[range]:
    """The runs of frames that are True in `mask` [shape=(n_frames,)]."""
    found, start = [], None
    for t, inside in enumerate([*mask, False]):
        if inside and start is None:
            start = t
        if not inside and start is not None:
            found.append(range(start, t))
            start = None
    return found


def smooth(e: np.ndarray) -> np.ndarray:
    """The mean over 5 frames, with zeros beyond the ends."""
    padded = np.pad(e, 2)
    return np.array([padded[t : t + 5].mean() for t in range(len(e))])


def f0_functionals(st: np.ndarray, voiced: np.ndarray) -> dict[str, float]:
    """The family f0, of F0 in semitones [shape=(n_frames,)]."""
    frames = segments(voiced)
    t, x = np.flatnonzero(voiced), st[voiced]
    if len(t) < MIN_VOICED:
        t, x = np.arange(MIN_VOICED), np.zeros(MIN_VOICED)
    position = (t - t[0]) / (t[-1] - t[0])
    steps = np.array([x[i] - x[i - 1] for i in range(1, len(x)) if t[i] == t[i - 1] + 1])
    accents = [run for run in frames if len(run) >= MIN_SEGMENT]
    slopes = [np.polyfit(np.array(run) * HOP_S, st[run], 1)[0] for run in accents]
    row = {"f0_abs_p50": np.median(x), "f0_abs_mean": x.mean()}
    row |= {f"f0_abs_p{k}": np.percentile(x, k) for k in (10, 90)}
    row |= {f"f0_rel_p{k}": np.percentile(x, k) - np.median(x) for k in (5, 10, 25, 75, 90, 95)}
    row["f0_std"] = x.std()
    row["f0_range"] = np.percentile(x, 95) - np.percentile(x, 5)
    row["f0_skew"] = np.mean((x - x.mean()) ** 3) / (x.std() ** 3 + 1e-3)
    row["f0_slope"] = slope(x, t * HOP_S)
    for i in range(4):
        row[f"f0_quarter{i}"] = mean(x[(position >= i / 4) & (position <= (i + 1) / 4)] - x.mean())
    row["f0_end"] = mean(x[position > 0.85] - x.mean())
    row["f0_peak_position"] = position[np.argmax(x)]
    row["f0_delta"] = mean(np.abs(steps))
    row["f0_rising"] = mean(steps > 0.05)
    row["f0_delta_mean"] = mean(steps)
    row["f0_jitter"] = mean([abs(steps[i] - steps[i - 1]) for i in range(1, len(steps))])
    row |= {f"f0_delta_p{k}": np.percentile(steps, k) if len(steps) else 0.0 for k in (10, 90)}
    row["f0_segment_slope"] = mean(slopes)
    row["f0_segment_slope_std"] = std(slopes)
    row["f0_segment_range"] = mean([st[run].max() - st[run].min() for run in accents])
    return row


def rhythm_functionals(energy: np.ndarray, active: np.ndarray, voiced: np.ndarray) -> dict[str, float]:
    """The family rhythm, of levels in dB and of which frames are active and voiced [all shape=(n_frames,)]."""
    duration = len(energy) * HOP_S
    spoken, silent, gaps = ([len(run) * HOP_S for run in segments(mask)] for mask in (voiced, ~voiced, ~active))
    pauses = [gap for gap in gaps if gap >= MIN_PAUSE_S]
    e = smooth(energy)
    peaks = [e[t] for t in range(1, len(e) - 1) if e[t - 1] < e[t] >= e[t + 1] and e[t] > PEAK_DB]
    return {
        "rhythm_log_duration": np.log(duration),
        "rhythm_voiced_share": voiced.mean(),
        "rhythm_active_share": active.mean(),
        "rhythm_voiced_of_active": voiced.sum() / active.sum(),
        "rhythm_voiced_rate": len(spoken) / duration,
        "rhythm_voiced_mean": mean(spoken),
        "rhythm_voiced_std": std(spoken),
        "rhythm_voiced_max": max(spoken, default=0.0),
        "rhythm_unvoiced_mean": mean(silent),
        "rhythm_unvoiced_std": std(silent),
        "rhythm_pause_rate": len(pauses) / duration,
        "rhythm_pause_mean": mean(pauses),
        "rhythm_pause_max": max(gaps, default=0.0),
        "rhythm_pause_share": sum(pauses) / duration,
        "rhythm_peak_rate": len(peaks) / duration,
        "rhythm_peak_db": mean(peaks),
        "rhythm_peak_db_std": std(peaks),
    }


def energy_functionals(energy: np.ndarray, active: np.ndarray, voiced: np.ndarray) -> dict[str, float]:
    """The family energy; parameters are as in `rhythm_functionals`."""
    z = (energy - energy.mean()) / (energy.std() + 0.1)
    steps = np.diff(smooth(energy)) if len(energy) > 1 else np.zeros(1)
    row = {f"energy_p{k}": np.percentile(energy, k) for k in (5, 10, 25, 50, 75, 90, 95)}
    row["energy_std"] = energy.std()
    row["energy_active_std"] = energy[active].std()
    row["energy_voiced_std"] = std(energy[voiced])
    row["energy_skew"] = np.mean(z**3)
    row["energy_kurtosis"] = np.mean(z**4)
    row["energy_delta"] = np.abs(steps).mean()
    row |= {f"energy_delta_p{k}": np.percentile(steps, k) for k in (10, 90)}
    row["energy_slope"] = slope(energy, np.arange(len(energy)) * HOP_S)
    row |= {f"energy_quarter{i}": mean(part - energy.mean()) for i, part in enumerate(np.array_split(energy, 4))}
    amplitude = np.where(active, 10 ** (energy / 20), 0)
    n_fft = max(1024, len(energy))
    modulation = np.abs(np.fft.rfft((amplitude - amplitude.mean()) * np.hanning(len(energy)), n_fft)) ** 2
    hz = np.arange(len(modulation)) / (n_fft * HOP_S)
    power = {high: modulation[(hz >= low) & (hz < high)].sum() for low, high in pairwise(MODULATION_HZ)}
    total = sum(power.values()) + 1e-9
    return row | {f"energy_modulation_{high}hz": np.log(power[high] / total + 1e-3) for high in power}


def link_functionals(tracks: pd.DataFrame, energy: np.ndarray) -> dict[str, float]:
    """The family link: slope per 10 dB and correlation of each column with the level in dB, frame by frame."""
    row = {}
    e = (energy - energy.mean()) / 10
    for name in tracks:
        x = (tracks[name] - tracks[name].mean()).to_numpy()
        row[f"link_{name}_per_10db"] = np.sum(x * e) / (np.sum(e**2) + 1e-3)
        row[f"link_{name}_corr"] = np.sum(x * e) / (np.sqrt(np.sum(x**2) * np.sum(e**2)) + 1e-3)
    return row


def statistics(tracks: pd.DataFrame, mask: np.ndarray, frames: str) -> dict[str, float]:
    """Statistics of each column over the frames in `mask`; `frames` says in their names what they are."""
    row = {}
    padded = np.pad(tracks.to_numpy(), ((2, 2), (0, 0)), mode="edge")
    steepness = np.array([np.abs(np.polyfit(np.arange(5), padded[t : t + 5], 1)[0]) for t in np.flatnonzero(mask)])
    for i, name in enumerate(tracks):
        x, key = tracks[name].to_numpy()[mask], f"{name}_{frames}"
        row[f"{key}_mean"] = x.mean()
        row[f"{key}_std"] = x.std()
        if name.startswith("mfcc"):
            continue
        row[f"{key}_p10"] = np.percentile(x, 10)
        row[f"{key}_p90"] = np.percentile(x, 90)
        row[f"{key}_delta"] = steepness[:, i].mean()
        row[f"{key}_slope"] = slope(x, np.flatnonzero(mask) * HOP_S)
    return row


# F0


def pyin_f0(y: np.ndarray, *, frame_length: int = WIN_F0) -> tuple[np.ndarray, np.ndarray]:
    """F0 by librosa's pYIN (Mauch and Dixon, 2014) of the mean of the channels' waveforms.

    Parameters
    ----------
    y : np.ndarray [shape=(n_channels, n)]
        As `prepared` returns it.
    frame_length : int
        In samples; its frames are centred where the study's are, one every `HOP`.

    Returns
    -------
    f0_hz, strength : np.ndarray [shape=(1 + n // HOP,)]
        F0 in Hz and the probability of voicing, NaN in frames that pYIN flags as unvoiced.
    """
    f0_hz, voiced, probability = librosa.pyin(
        y.mean(axis=0), fmin=F0_MIN_HZ, fmax=F0_MAX_HZ, sr=SR, frame_length=frame_length, hop_length=HOP
    )
    return f0_hz, np.where(voiced, probability, np.nan)


def aperiodicity(y: np.ndarray) -> np.ndarray:
    """YIN's normalised difference function (de Cheveigné and Kawahara, 2002), as librosa has it, with channels added.

    Parameters
    ----------
    y : np.ndarray [shape=(n_channels, n)]
        As `prepared` returns it.

    Returns
    -------
    np.ndarray [shape=(1 + n // HOP, 1 + MAX_LAG - MIN_LAG)]
        Of each frame at each period in samples.
    """
    padded = np.pad(y, ((0, 0), (WIN_F0 // 2, WIN_F0 // 2)))
    rows = []
    for start in range(0, y.shape[1] + 1, HOP):
        difference = np.zeros(MAX_LAG)
        for frame in padded[:, start : start + WIN_F0]:
            for lag in range(1, MAX_LAG + 1):
                product = 2 * (frame @ frame - frame[lag:] @ frame[:-lag])
                difference[lag - 1] += product - frame[:lag] @ frame[:lag]
        mean = np.cumsum(difference) / np.arange(1, MAX_LAG + 1)
        rows.append((difference / np.maximum(mean, 1e-12))[MIN_LAG - 1 :])
    return np.array(rows)


def agreement(f0_a: np.ndarray, f0_b: np.ndarray) -> tuple[float, float]:
    """How far two F0 tracks of one recording agree.

    Parameters
    ----------
    f0_a, f0_b : np.ndarray [shape=(n_frames,)]
        F0 in Hz, NaN where unvoiced, of the same frames. Give those of `active_span`, from the first to the last active
        frame, pauses between included: silence around a recording would make any two tracks agree on voicing.

    Returns
    -------
    within : float
        Of the frames that both call voiced, the share whose F0 differ by at most half a semitone; NaN if there are none.
    voicing : float
        Of all frames, the share that both call voiced or both unvoiced.
    """
    both = ~np.isnan(f0_a) & ~np.isnan(f0_b)
    semitones = 12 * np.abs(np.log2(f0_a[both] / f0_b[both]))
    within = float(np.mean(semitones <= 0.5)) if both.any() else np.nan
    return within, float(np.mean(np.isnan(f0_a) == np.isnan(f0_b)))
