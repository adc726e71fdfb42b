"""Reference implementation of F0 (see `benchmarks.plain`), and a comparison of two F0 estimates."""

import librosa
import numpy as np

from ser_utils.features.f0 import F0_MAX_HZ, F0_MIN_HZ, HOP, MAX_LAG, MIN_LAG, SR, WIN_F0


def pyin_f0(y: np.ndarray, *, resolution: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Estimate F0 by librosa's pYIN (Mauch and Dixon, 2014) from the mean of the channels' waveforms, in frames of `WIN_F0`.

    Parameters
    ----------
    y : np.ndarray [shape=(n_channels, n)]
        As `benchmarks.plain.prepared` returns it.
    resolution : float
        Step of F0 in semitones.

    Returns
    -------
    f0_hz, probability : np.ndarray [shape=(1 + n // HOP,)]
        F0 in Hz and probability of voicing, NaN in unvoiced frames.
    """
    f0_hz, voiced, probability = librosa.pyin(
        y.mean(axis=0), fmin=F0_MIN_HZ, fmax=F0_MAX_HZ, sr=SR, frame_length=WIN_F0, hop_length=HOP, resolution=resolution
    )
    return f0_hz, np.where(voiced, probability, np.nan)


def aperiodicity(y: np.ndarray) -> np.ndarray:
    """Compute YIN's normalised difference function (de Cheveigné and Kawahara, 2002) as librosa does, summed over channels.

    Parameters
    ----------
    y : np.ndarray [shape=(n_channels, n)]
        As `benchmarks.plain.prepared` returns it.

    Returns
    -------
    np.ndarray [shape=(1 + n // HOP, 1 + MAX_LAG - MIN_LAG)]
        Values per frame and period in samples.
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
    """Compare two F0 estimates of one recording.

    Parameters
    ----------
    f0_a, f0_b : np.ndarray [shape=(n_frames,)]
        F0 in Hz of the same frames, NaN in unvoiced ones. Pass the frames of `benchmarks.plain.active_span`, as any two
        estimates agree on the silence before and after an utterance.

    Returns
    -------
    within : float
        Share of the frames voiced in both whose F0 differs by at most half a semitone; NaN without such frames.
    voicing : float
        Share of frames with equal voicing.
    """
    both = ~np.isnan(f0_a) & ~np.isnan(f0_b)
    semitones = 12 * np.abs(np.log2(f0_a[both] / f0_b[both]))
    within = float(np.mean(semitones <= 0.5)) if both.any() else np.nan
    return within, float(np.mean(np.isnan(f0_a) == np.isnan(f0_b)))
