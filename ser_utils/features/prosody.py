"""Functionals of prosody: F0, energy, and the rhythm of voicing, pauses and syllables.

The public functions take the low-level descriptors of one recording; ``glossary.csv`` has units and sources.
"""

from itertools import pairwise

import numpy as np

from ser_utils.features.f0 import HOP_S
from ser_utils.features.low_level_descriptors import LowLevelDescriptors

MIN_VOICED = 6
"""Number of voiced frames below which F0 functionals are not computed."""
MIN_SEGMENT = 5
"""Number of frames below which a voiced segment has no slope."""
MIN_PAUSE_S = 0.15
"""Minimum duration of a pause; shorter gaps are stop closures."""
PEAK_DB = -15.0
"""Minimum level of the energy peak of a syllable, relative to the active level."""
MODULATION_HZ = (0.5, 2, 4, 6, 10, 20)
"""Band edges of the modulation spectrum."""


def f0_functionals(llds: LowLevelDescriptors) -> dict[str, float]:
    """Compute the family f0: level relative to 100 Hz, distribution and course relative to the clip's median, in semitones."""
    t, st = np.flatnonzero(llds.voiced), llds.f0_st[llds.voiced]
    if len(t) < MIN_VOICED:
        t, st = np.arange(MIN_VOICED), np.zeros(MIN_VOICED)
    median = np.median(st)
    row = {"f0_abs_p50": median, "f0_abs_mean": st.mean()}
    row |= {f"f0_abs_p{k}": np.percentile(st, k) for k in (10, 90)}
    row |= {f"f0_rel_p{k}": np.percentile(st, k) - median for k in (5, 10, 25, 75, 90, 95)}
    row |= {
        "f0_std": st.std(),
        "f0_range": np.ptp(np.percentile(st, (5, 95))),
        "f0_skew": ((st - st.mean()) ** 3).mean() / (st.std() ** 3 + 1e-3),
    }
    return row | f0_course(st, t) | f0_steps(st, t) | f0_segments(llds)


def f0_course(st: np.ndarray, t: np.ndarray) -> dict[str, float]:
    """Compute slope, quarters, end and peak position of F0 `st` in the voiced frames `t` [both shape=(n_voiced,)]."""
    time_s = (t - t.mean()) * HOP_S
    position = (t - t[0]) / max(t[-1] - t[0], 1)
    row = {"f0_slope": time_s @ st / (time_s @ time_s + 1e-6)}
    for quarter in range(4):
        within = (position >= quarter / 4) & (position <= (quarter + 1) / 4)
        row[f"f0_quarter{quarter}"] = mean(st[within] - st.mean())
    return row | {"f0_end": mean(st[position > 0.85] - st.mean()), "f0_peak_position": position[st.argmax()]}


def f0_steps(st: np.ndarray, t: np.ndarray) -> dict[str, float]:
    """Compute statistics of F0 steps between adjacent voiced frames; parameters are as in `f0_course`."""
    step = np.diff(st)[np.diff(t) == 1]
    row = {"f0_delta": mean(np.abs(step)), "f0_rising": mean(step > 0.05), "f0_delta_mean": mean(step)}
    row["f0_jitter"] = mean(np.abs(np.diff(step)))
    return row | {f"f0_delta_p{k}": np.percentile(step, k) if len(step) else 0.0 for k in (10, 90)}


def f0_segments(llds: LowLevelDescriptors) -> dict[str, float]:
    """Compute slope and range of F0 within voiced segments, which reflect accents rather than sentence intonation."""
    segments = [llds.f0_st[run] for run in runs(llds.voiced) if run.stop - run.start >= MIN_SEGMENT]
    slopes = [np.polyfit(np.arange(len(st)) * HOP_S, st, 1)[0] for st in segments]
    return {
        "f0_segment_slope": mean(slopes),
        "f0_segment_slope_std": std(slopes),
        "f0_segment_range": mean([np.ptp(st) for st in segments]),
    }


def rhythm_functionals(llds: LowLevelDescriptors) -> dict[str, float]:
    """Compute the family rhythm: duration, voicing, pauses (Goldman-Eisler, 1968), syllable peaks (Mermelstein, 1975)."""
    from scipy.signal import find_peaks

    duration = len(llds.voiced) * HOP_S
    voiced, unvoiced, gaps = (
        np.array([run.stop - run.start for run in runs(mask)]) * HOP_S for mask in (llds.voiced, ~llds.voiced, ~llds.active)
    )
    pauses = gaps[gaps >= MIN_PAUSE_S]
    e = smooth(llds.energy_db)
    peaks, _ = find_peaks(e, height=PEAK_DB)
    return {
        "rhythm_log_duration": np.log(duration),
        "rhythm_voiced_share": llds.voiced.mean(),
        "rhythm_active_share": llds.active.mean(),
        "rhythm_voiced_of_active": llds.voiced.sum() / llds.active.sum(),
        "rhythm_voiced_rate": len(voiced) / duration,
        "rhythm_voiced_mean": mean(voiced),
        "rhythm_voiced_std": std(voiced),
        "rhythm_voiced_max": voiced.max(initial=0.0),
        "rhythm_unvoiced_mean": mean(unvoiced),
        "rhythm_unvoiced_std": std(unvoiced),
        "rhythm_pause_rate": len(pauses) / duration,
        "rhythm_pause_mean": mean(pauses),
        "rhythm_pause_max": gaps.max(initial=0.0),
        "rhythm_pause_share": pauses.sum() / duration,
        "rhythm_peak_rate": len(peaks) / duration,
        "rhythm_peak_db": mean(e[peaks]),
        "rhythm_peak_db_std": std(e[peaks]),
    }


def energy_functionals(llds: LowLevelDescriptors) -> dict[str, float]:
    """Compute the family energy: distribution, course and modulation of the level in dB relative to the active level."""
    e = llds.energy_db
    z = (e - e.mean()) / (e.std() + 0.1)
    step = np.diff(smooth(e)) if len(e) > 1 else np.zeros(1)
    time_s = (np.arange(len(e)) - (len(e) - 1) / 2) * HOP_S
    row = {f"energy_p{k}": np.percentile(e, k) for k in (5, 10, 25, 50, 75, 90, 95)}
    row |= {
        "energy_std": e.std(),
        "energy_active_std": e[llds.active].std(),
        "energy_voiced_std": std(e[llds.voiced]),
        "energy_skew": (z**3).mean(),
        "energy_kurtosis": (z**4).mean(),
        "energy_delta": np.abs(step).mean(),
        "energy_delta_p10": np.percentile(step, 10),
        "energy_delta_p90": np.percentile(step, 90),
        "energy_slope": time_s @ e / (time_s @ time_s + 1e-6),
    }
    row |= {f"energy_quarter{i}": mean(part - e.mean()) for i, part in enumerate(np.array_split(e, 4))}
    return row | modulation(llds)


def modulation(llds: LowLevelDescriptors) -> dict[str, float]:
    """Compute the modulation spectrum of the amplitude envelope in bands of `MODULATION_HZ` (Houtgast and Steeneken, 1985).

    ``energy_modulation_4hz`` is the natural logarithm of the share (plus 0.001) of the band that ends at 4 Hz, about the
    syllable rate.
    """
    amplitude = np.where(llds.active, 10 ** (llds.energy_db / 20), 0)
    n_fft = max(1024, len(amplitude))
    spectrum = np.abs(np.fft.rfft((amplitude - amplitude.mean()) * np.hanning(len(amplitude)), n_fft)) ** 2
    hz = np.fft.rfftfreq(n_fft, HOP_S)
    bands = {high: spectrum[(hz >= low) & (hz < high)].sum() for low, high in pairwise(MODULATION_HZ)}
    total = sum(bands.values()) + 1e-9
    return {f"energy_modulation_{high}hz": np.log(power / total + 1e-3) for high, power in bands.items()}


def runs(mask: np.ndarray) -> list[slice]:
    """Return every run of True in `mask` [shape=(n,)]."""
    from scipy.ndimage import find_objects, label

    return [run for (run,) in find_objects(label(mask)[0])]


def mean(x: np.ndarray | list) -> float:
    """Return the mean; 0 for empty input."""
    return float(np.mean(x)) if len(x) else 0.0


def std(x: np.ndarray | list) -> float:
    """Return the standard deviation; 0 for empty input."""
    return float(np.std(x)) if len(x) else 0.0


def smooth(x: np.ndarray) -> np.ndarray:
    """Return the moving mean over 5 frames (50 ms): longer than a period, shorter than a syllable."""
    return np.convolve(x, np.ones(5) / 5, mode="same")
