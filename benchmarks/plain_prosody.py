"""Reference implementation of the functionals of prosody (see `benchmarks.plain`): families f0, rhythm and energy."""

from itertools import pairwise

import numpy as np

from ser_utils.features.f0 import HOP_S
from ser_utils.features.prosody import MIN_PAUSE_S, MIN_SEGMENT, MIN_VOICED, MODULATION_HZ, PEAK_DB


def mean(x: np.ndarray | list) -> float:
    """Return the mean; 0 for empty input."""
    return np.mean(x) if len(x) else 0.0


def std(x: np.ndarray | list) -> float:
    """Return the standard deviation; 0 for empty input."""
    return np.std(x) if len(x) else 0.0


def slope(x: np.ndarray, t: np.ndarray) -> float:
    """Return the slope of the regression line of `x` on `t` in s; 0 if all of `t` is equal."""
    return np.sum((t - t.mean()) * (x - x.mean())) / (np.sum((t - t.mean()) ** 2) + 1e-6)


def segments(mask: np.ndarray) -> list[range]:
    """Return the runs of True in `mask` [shape=(n_frames,)]."""
    runs, start = [], None
    for t, inside in enumerate([*mask, False]):
        if inside and start is None:
            start = t
        if not inside and start is not None:
            runs.append(range(start, t))
            start = None
    return runs


def smooth(e: np.ndarray) -> np.ndarray:
    """Return the moving mean over 5 frames, padded with zeros."""
    padded = np.pad(e, 2)
    return np.array([padded[t : t + 5].mean() for t in range(len(e))])


def f0_functionals(st: np.ndarray, voiced: np.ndarray) -> dict[str, float]:
    """Compute the family f0 from F0 in semitones [shape=(n_frames,)]."""
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
    """Compute the family rhythm from levels in dB and masks of active and voiced frames [all shape=(n_frames,)]."""
    duration = len(energy) * HOP_S
    voiced_s, unvoiced_s, gaps_s = ([len(run) * HOP_S for run in segments(mask)] for mask in (voiced, ~voiced, ~active))
    pauses = [gap for gap in gaps_s if gap >= MIN_PAUSE_S]
    e = smooth(energy)
    peaks = [e[t] for t in range(1, len(e) - 1) if e[t - 1] < e[t] >= e[t + 1] and e[t] > PEAK_DB]
    return {
        "rhythm_log_duration": np.log(duration),
        "rhythm_voiced_share": voiced.mean(),
        "rhythm_active_share": active.mean(),
        "rhythm_voiced_of_active": voiced.sum() / active.sum(),
        "rhythm_voiced_rate": len(voiced_s) / duration,
        "rhythm_voiced_mean": mean(voiced_s),
        "rhythm_voiced_std": std(voiced_s),
        "rhythm_voiced_max": max(voiced_s, default=0.0),
        "rhythm_unvoiced_mean": mean(unvoiced_s),
        "rhythm_unvoiced_std": std(unvoiced_s),
        "rhythm_pause_rate": len(pauses) / duration,
        "rhythm_pause_mean": mean(pauses),
        "rhythm_pause_max": max(gaps_s, default=0.0),
        "rhythm_pause_share": sum(pauses) / duration,
        "rhythm_peak_rate": len(peaks) / duration,
        "rhythm_peak_db": mean(peaks),
        "rhythm_peak_db_std": std(peaks),
    }


def energy_functionals(energy: np.ndarray, active: np.ndarray, voiced: np.ndarray) -> dict[str, float]:
    """Compute the family energy; parameters are as in `rhythm_functionals`."""
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
