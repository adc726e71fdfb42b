"""Tuning of a recording, estimated in the same way on every processor."""

from collections.abc import Callable

import numpy as np

MIN_HZ, MAX_HZ = 150.0, 4000.0
"""Range of the spectral peaks in Hz, the defaults of `librosa.piptrack`."""
THRESHOLD = 0.1
"""Smallest power of a peak, relative to the largest power of its frame."""
REFERENCE_HZ = 440 / 16
"""A0, from which `librosa.hz_to_octs` measures."""
N_BINS = 100
"""Bins of the histogram over one semitone: the estimate is a multiple of 0.01 semitone."""
MIN_CURVATURE = 1e-4
"""Smallest second difference of a peak, relative to its power.

The spectrum of a single click is flat: its local maxima are rounding errors, in any precision. They are left out.
"""
TOLERANCE = 1e-5
"""Bound on the relative rounding error of the power of a peak in float32.

A float32 FFT has errors of about 1e-7 of the largest amplitude of a frame. In the weakest peak, whose amplitude is a third of
the largest, four times that error changes the power by 2.5e-6; the rest is a safety margin.
"""


def estimate_tuning(power: np.ndarray, sr: int, exact_power: Callable[[], np.ndarray]) -> float:
    """Deviation from the tuning A4 = 440 Hz, as `librosa.estimate_tuning` defines it.

    The estimate is the lower edge of the fullest bin of a histogram of peak frequencies; of equally full bins, the lowest. In
    about a third of all clips several bins are equally full, and one peak on the edge of two bins then decides. Rounding
    errors in float32, which differ between processors, can move such a peak. Frequencies are therefore computed in float64,
    and if rounding errors of the float32 spectrum could change the fullest bin, the spectrum is computed in float64, too.

    Parameters
    ----------
    power : np.ndarray [shape=(n_frames, 1 + n_fft // 2), dtype=float32]
        Power spectra.
    sr : int
        Sample rate in Hz.
    exact_power : callable
        Computes the same power spectra in float64.

    Returns
    -------
    float
        Tuning in semitones, a multiple of 0.01 in [-0.5, 0.5); 0 if the spectra have no peaks.
    """
    counts, at_most = histograms(power, sr, TOLERANCE)
    if not _has_certain_maximum(counts, at_most):
        counts, _ = histograms(exact_power(), sr, 0.0)
    return float(np.linspace(-0.5, 0.5, N_BINS + 1)[counts.argmax()]) if counts.any() else 0.0


def histograms(power: np.ndarray, sr: int, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Number of spectral peaks by their distance from the nearest semitone.

    Peaks are local maxima along frequency, refined by parabolic interpolation. Only those whose power is at least the median
    of all peaks count. Unlike in librosa, maxima of a flat spectrum are no peaks (`MIN_CURVATURE`).

    Parameters
    ----------
    power : np.ndarray [shape=(n_frames, 1 + n_fft // 2)]
    sr : int
        Sample rate in Hz.
    tolerance : float
        Relative error of the power.

    Returns
    -------
    at_least, at_most : np.ndarray [shape=(N_BINS,)]
        Counts of the bins from -0.5 to 0.5 semitones, without and with the peaks that can lie in a neighbouring bin because of
        the error. The two are equal if `tolerance` is 0. If the error can change which peaks count at all, `at_most` is
        infinite.
    """
    frame, k, in_doubt = _peaks(power, sr, tolerance)
    below, centre, above = (power[frame, k + step].astype(np.float64) for step in (-1, 0, 1))
    slope, curvature = (above - below) / 2, 2 * centre - above - below
    sharp = curvature > MIN_CURVATURE * centre
    k, centre, slope, curvature = k[sharp], centre[sharp], slope[sharp], curvature[sharp]
    offset = np.where(np.abs(slope) < curvature, slope / curvature, 0.0)
    height = centre + slope * offset / 2
    median = np.median(height) if height.size else 0.0
    strong = height >= median
    in_doubt |= np.sum(np.abs(height - median) < tolerance * median) > 1  # one is the median itself
    position = (k + offset)[strong]
    semitones = 12 * np.log2(position * sr / (2 * (power.shape[1] - 1)) / REFERENCE_HZ)
    # A relative error of the power moves the vertex of the parabola by as much, divided by the relative curvature.
    error = tolerance * (centre / curvature)[strong] * 12 / np.log(2) / position
    low, high = (_bin_of(semitones + sign * error) for sign in (-1, 1))
    at_least, on_edge = np.bincount(low[low == high], minlength=N_BINS), low != high
    at_most = at_least + np.bincount(low[on_edge], minlength=N_BINS) + np.bincount(high[on_edge], minlength=N_BINS)
    return at_least, np.full(N_BINS, np.inf) if in_doubt else at_most


def _bin_of(semitones: np.ndarray) -> np.ndarray:
    """Histogram bin of each frequency in semitones above `REFERENCE_HZ`."""
    return np.floor(np.mod(semitones + 0.5, 1.0) * N_BINS).astype(int) % N_BINS


def _has_certain_maximum(at_least: np.ndarray, at_most: np.ndarray) -> bool:
    """Whether the first maximum of `at_least` is the first maximum of any counts between the two arrays."""
    best = at_least.argmax()
    return bool((at_most[:best] < at_least[best]).all() and (at_most[best + 1 :] <= at_least[best]).all())


def _peaks(power: np.ndarray, sr: int, tolerance: float) -> tuple[np.ndarray, np.ndarray, bool]:
    """Frame and frequency bin of each peak (both shape=(n_peaks,)), and whether an error can change how many there are."""
    hz = np.linspace(0, sr / 2, power.shape[1])
    first, last = np.searchsorted(hz, (MIN_HZ, min(MAX_HZ, sr / 2)))
    part = power[:, first - 1 : last + 1]
    centre, floor = part[:, 1:-1], power.dtype.type(THRESHOLD) * power.max(axis=1, keepdims=True)
    maximum = (centre > (1 - power.dtype.type(tolerance)) * floor) & (centre > part[:, :-2]) & (centre >= part[:, 2:])
    frame, k = np.nonzero(maximum)
    ratio = power[frame, k + first] / floor[frame, 0]
    return frame[ratio > 1], k[ratio > 1] + first, bool((ratio < 1 + tolerance).any())
