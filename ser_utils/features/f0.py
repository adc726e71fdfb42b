"""F0 of speech by pYIN: the same path as `librosa.pyin`, about twenty times as fast.

Two steps are faster: the candidates of all frames are weighted at once, and the Viterbi search considers only F0 values within
reach in 10 ms. Two things are added: multichannel input, and the exact period instead of the nearest tenth of a semitone.

`benchmarks/f0.py` on EMOVO: 31 ms of CPU time per clip against 139 ms of `librosa.pyin` in steps of 0.25 semitones (40 clips).
The functionals are 21 times as fast as the plain definitions with this module, 7 times with that one. On inner folds of 196
clips, the UAR of a logistic regression is 0.472 with this module and 0.474 with that one.
"""

import functools

import librosa
import numba
import numpy as np
import scipy.fft
from scipy.special import betainc

from ser_utils.core.audio import level_dbfs
from ser_utils.features import short_time

SR = 16_000
"""Sample rate in Hz to which every recording is resampled."""
HOP = 160
"""Samples between frames: 10 ms."""
HOP_S = HOP / SR
WIN_F0 = 1024
"""Frame length in samples, 64 ms: nearly four periods of the lowest F0."""
F0_MIN_HZ, F0_MAX_HZ = 60.0, 600.0
"""Range of F0: from a low male voice to a female scream."""
PER_SEMITONE = 10
"""F0 states per semitone."""
N_PITCH = int(12 * PER_SEMITONE * np.log2(F0_MAX_HZ / F0_MIN_HZ)) + 1
"""Number of F0 states."""

MIN_LAG, MAX_LAG = int(SR / F0_MAX_HZ), int(np.ceil(SR / F0_MIN_HZ))
"""Shortest and longest period in samples."""
# The following values are librosa's defaults, which follow the authors' implementation.
THRESHOLDS = np.linspace(0, 1, 101)[1:]
THRESHOLD_WEIGHTS = np.diff(betainc(2, 18, np.linspace(0, 1, 101)))
BOLTZMANN = 2.0
"""Decay of the prior probability from one trough of a frame to the next."""
NO_TROUGH = 0.01
"""Probability of the lowest trough, given a threshold that no trough is below."""
SWITCH = 0.01
"""Probability that voicing starts or ends from one frame to the next."""
REACH = 2 * PER_SEMITONE
"""Largest change of F0 between frames in states: 36 octaves per second, rounded to whole semitones as in librosa."""


def track_f0(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Estimate F0 by pYIN (Mauch and Dixon, ICASSP 2014).

    For several channels, the difference functions are added, not the waveforms (see
    `ser_utils.features.low_level_descriptors`). For one channel, voicing equals that of `librosa.pyin` with frames of `WIN_F0`,
    and F0 differs by at most half of a tenth of a semitone.

    Parameters
    ----------
    y : np.ndarray [shape=(n_channels, n)]
        A recording at `SR`.

    Returns
    -------
    f0_hz : np.ndarray [shape=(1 + n // HOP,)]
        F0 in Hz, NaN in unvoiced frames.
    periodicity : np.ndarray [shape=(1 + n // HOP,)]
        1 minus YIN's aperiodicity (de Cheveigné and Kawahara, JASA 2002) at the period, from 0 to 1; NaN in unvoiced frames.
        The aperiodicity of a finite frame is above 0: it is 0.13 for a perfectly periodic voice at 65 Hz.
    """
    cmndf = aperiodicity(y)
    probabilities, candidates_hz = candidate_probabilities(cmndf)
    path = best_path(probabilities)
    voiced = path < N_PITCH
    f0_hz, periodicity = np.full((2, len(path)), np.nan)
    f0_hz[voiced] = candidates_hz[voiced, path[voiced]]
    lag = np.clip(np.rint(SR / f0_hz[voiced]).astype(int), MIN_LAG, MAX_LAG)
    periodicity[voiced] = 1 - np.minimum(cmndf[np.flatnonzero(voiced), lag - MIN_LAG], 1)
    return f0_hz, periodicity


def aperiodicity(y: np.ndarray) -> np.ndarray:
    """Compute YIN's cumulative mean normalised difference function (CMNDF), summed over channels.

    Parameters
    ----------
    y : np.ndarray [shape=(n_channels, n)]

    Returns
    -------
    np.ndarray [shape=(1 + n // HOP, 1 + MAX_LAG - MIN_LAG)]
        Entry ``[t, k]`` is the value of frame ``t`` at a period of ``MIN_LAG + k`` samples: near 0 for a periodic signal.
    """
    difference = 0
    for channel in y:
        cut = short_time.frames(np.asarray(channel, np.float32), n_fft=WIN_F0, hop=HOP)
        correlation = np.empty((len(cut), MAX_LAG + 1), np.float32)
        for block in short_time.blocks(len(cut)):
            D = scipy.fft.rfft(cut[block], 2 * WIN_F0, axis=1)
            correlation[block] = scipy.fft.irfft(D.real**2 + D.imag**2, axis=1)[:, : MAX_LAG + 1]
        energy = np.cumsum(cut[:, :MAX_LAG] ** 2, axis=1, dtype=np.float32)
        difference = difference + 2 * (correlation[:, :1] - correlation[:, 1:]) - energy
    mean = np.cumsum(difference, axis=1) / np.arange(1, MAX_LAG + 1)
    return difference[:, MIN_LAG - 1 :] / (mean[:, MIN_LAG - 1 :] + np.finfo(np.float32).tiny)


def candidate_probabilities(cmndf: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the probability of each F0 state in each frame; the rest of 1 is the probability of an unvoiced frame.

    Parameters
    ----------
    cmndf : np.ndarray [shape=(n_frames, 1 + MAX_LAG - MIN_LAG)]
        From `aperiodicity`.

    Returns
    -------
    probabilities : np.ndarray [shape=(n_frames, N_PITCH)]
    candidates_hz : np.ndarray [shape=(n_frames, N_PITCH)]
        F0 of the candidate in each state; the state's own F0 if it has no candidate.
    """
    frame, lag = _troughs(cmndf)
    probability = _trough_probabilities(frame, cmndf[frame, lag], n_frames=len(cmndf))
    period = MIN_LAG + lag + _parabolic_shift(cmndf, frame, lag)
    state = np.clip(np.rint(12 * PER_SEMITONE * np.log2(SR / period / F0_MIN_HZ)), 0, N_PITCH).astype(int)
    probabilities = np.zeros((len(cmndf), N_PITCH + 1))
    candidates_hz = np.tile(F0_MIN_HZ * 2 ** (np.arange(N_PITCH + 1) / (12 * PER_SEMITONE)), (len(cmndf), 1))
    possible = probability > 0
    index = frame[possible], state[possible]
    probabilities[index] = probability[possible]
    candidates_hz[index] = np.clip(SR / period[possible], F0_MIN_HZ, F0_MAX_HZ)
    return probabilities[:, :N_PITCH], candidates_hz[:, :N_PITCH]


def _troughs(cmndf: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return frame and column of every local minimum, sorted by frame, then by lag [both shape=(n_troughs,)]."""
    trough = librosa.util.localmin(cmndf, axis=1)
    trough[:, 0] = cmndf[:, 0] < cmndf[:, 1]
    return np.nonzero(trough)


def _trough_probabilities(frame: np.ndarray, height: np.ndarray, *, n_frames: int) -> np.ndarray:
    """Return the probability of each trough [all shape=(n_troughs,)].

    It depends on the share of thresholds that the trough is below, and on the number of shorter periods below them.
    """
    starts = np.searchsorted(frame, np.arange(n_frames + 1))  # index of each frame's first trough
    lowest = _lowest(height, starts[:-1][starts[:-1] < starts[1:]])  # only frames that have a trough
    probability = np.zeros(len(height))
    probability[lowest] = NO_TROUGH * np.where(height[lowest, None] < THRESHOLDS, 0, THRESHOLD_WEIGHTS).sum(axis=1)
    (deep,) = np.nonzero(height < THRESHOLDS[-1])
    starts = np.searchsorted(frame[deep], np.arange(n_frames + 1))
    probability[deep] += _priors_by_threshold(height[deep], starts, THRESHOLDS, _priors()) @ THRESHOLD_WEIGHTS
    return probability


def _lowest(height: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return the index of the lowest trough, of equal ones the first, of each frame; `starts` has each frame's first trough."""
    is_lowest = height == np.repeat(np.minimum.reduceat(height, starts), np.diff(starts, append=len(height)))
    (candidates,) = np.nonzero(is_lowest)
    return candidates[np.searchsorted(candidates, starts)]


@numba.njit(cache=True)
def _priors_by_threshold(height: np.ndarray, starts: np.ndarray, thresholds: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """Return the prior of each trough at each threshold, 0 where the trough is above it [shape=(n_troughs, n_thresholds)].

    The troughs of frame ``t`` are those from ``starts[t]`` to before ``starts[t + 1]``. Compiled: a tenth of the time.
    """
    by_threshold = np.zeros((len(height), len(thresholds)))
    count, rank = np.zeros((2, len(thresholds)), np.int64)
    first = np.searchsorted(thresholds, height, side="right")  # the lowest threshold above each trough
    for t in range(len(starts) - 1):
        count[:], rank[:] = 0, 0
        for trough in range(starts[t], starts[t + 1]):
            count[first[trough] :] += 1
        for trough in range(starts[t], starts[t + 1]):
            for k in range(first[trough], len(thresholds)):
                by_threshold[trough, k] = priors[rank[k], count[k]]
                rank[k] += 1
    return by_threshold


@functools.cache
def _priors() -> np.ndarray:
    """Return the prior of a trough by its rank and the number of troughs below a threshold [shape=(MAX_LAG, 1 + MAX_LAG)]."""
    from scipy.stats import boltzmann

    rank, count = np.ogrid[:MAX_LAG, 1 : MAX_LAG + 1]
    return np.pad(boltzmann.pmf(rank, BOLTZMANN, count), ((0, 0), (1, 0)))


def _parabolic_shift(cmndf: np.ndarray, frame: np.ndarray, lag: np.ndarray) -> np.ndarray:
    """Return the offset in samples of the minimum of the parabola through each trough and its neighbours; 0 at the ends."""
    inner = (lag > 0) & (lag < cmndf.shape[1] - 1)
    left, middle, right = (cmndf[frame, np.clip(lag + k, 0, cmndf.shape[1] - 1)] for k in (-1, 0, 1))
    curvature, slope = left + right - 2 * middle, (right - left) / 2
    inner &= np.abs(slope) < np.abs(curvature)
    return np.divide(-slope, curvature, out=np.zeros_like(curvature), where=inner)


@functools.cache
def _transitions() -> np.ndarray:
    """Return the log probability of transitions to each state, from the lowest first [shape=(2 * REACH + 1, N_PITCH)]."""
    probabilities = librosa.sequence.transition_local(N_PITCH, 2 * REACH + 1, window="triangle", wrap=False)
    padded = np.pad(probabilities, ((REACH, REACH), (0, 0)))
    with np.errstate(divide="ignore"):
        return np.log(np.stack([padded[k + np.arange(N_PITCH), np.arange(N_PITCH)] for k in range(2 * REACH + 1)]))


@numba.njit(cache=True)
def _forward(score: np.ndarray, observed: np.ndarray, transitions: np.ndarray, stay: float, switch: float) -> None:
    """Fill in the score of the best path to each state, frame by frame; compiled, which takes a tenth of the time."""
    n_transitions, n_states = transitions.shape
    start = n_transitions // 2
    best_from = np.empty((2, n_states))
    for t in range(1, len(score)):
        best_from[:] = -np.inf
        for voicing in range(2):
            for k in range(n_transitions):
                for state in range(n_states):
                    candidate = score[t - 1, voicing, state + k] + transitions[k, state]
                    best_from[voicing, state] = max(best_from[voicing, state], candidate)
        for voicing in range(2):
            for state in range(n_states):
                best = max(best_from[voicing, state] + stay, best_from[1 - voicing, state] + switch)
                score[t, voicing, start + state] = best + observed[t, voicing, state]


def best_path(probabilities: np.ndarray) -> np.ndarray:
    """Find the most probable sequence of F0 and voicing (Viterbi, 1967).

    Parameters
    ----------
    probabilities : np.ndarray [shape=(n_frames, N_PITCH)]
        From `candidate_probabilities`.

    Returns
    -------
    np.ndarray [shape=(n_frames,), dtype=int]
        F0 state of each frame; ``N_PITCH`` or more in unvoiced frames.
    """
    tiny, stay, switch = np.finfo(float).tiny, np.log(1 - SWITCH), np.log(SWITCH)
    unvoiced = (1 - np.clip(probabilities.sum(axis=1, keepdims=True), 0, 1)) / N_PITCH
    observed = np.log(np.stack([probabilities, np.broadcast_to(unvoiced, probabilities.shape)], axis=1) + tiny)
    score = np.full((len(probabilities), 2, N_PITCH + 2 * REACH), -np.inf)  # padded by the reach at both ends
    score[0, :, REACH:-REACH] = observed[0]
    transitions = _transitions()
    _forward(score, observed, transitions, stay, switch)
    path = np.empty(len(probabilities), int)
    path[-1] = score[-1, :, REACH:-REACH].argmax()
    _trace_back(path, score, transitions, stay, switch)
    return path


@numba.njit(cache=True)
def _trace_back(path: np.ndarray, score: np.ndarray, transitions: np.ndarray, stay: float, switch: float) -> None:
    """Fill in the best path before its last frame; of equal predecessors the first counts."""
    n_transitions, n_states = transitions.shape
    for t in range(len(path) - 1, 0, -1):
        voicing, state = divmod(path[t], n_states)
        best = -np.inf
        for before in range(2):
            change = stay if before == voicing else switch
            for k in range(n_transitions):
                candidate = score[t - 1, before, state + k] + transitions[k, state] + change
                if candidate > best:
                    best = candidate
                    path[t - 1] = before * n_states + state + k - n_transitions // 2


def f0_contour(y: np.ndarray, *, sr: int) -> tuple[np.ndarray, np.ndarray]:
    """Return time in s and F0 in Hz (NaN in unvoiced frames) of a mono recording [both shape=(n_frames,)]."""
    f0_hz, _ = track_f0(librosa.resample(y, orig_sr=sr, target_sr=SR)[None])
    return np.arange(len(f0_hz)) * HOP_S, f0_hz


def signal_measures(y: np.ndarray, sr: int) -> dict[str, float]:
    """Return numbers that describe a mono signal [shape=(n,)].

    duration_s, level_dbfs, f0_hz (median, NaN if no frame is voiced), softest_dbfs (10th percentile of the frame levels).
    """
    rms = librosa.feature.rms(y=y)[0]
    f0_hz = f0_contour(y, sr=sr)[1]
    voiced = f0_hz[np.isfinite(f0_hz)]
    return {
        "duration_s": y.size / sr,
        "level_dbfs": level_dbfs(y),
        "f0_hz": float(np.median(voiced)) if voiced.size else np.nan,
        "softest_dbfs": float(20 * np.log10(np.quantile(rms, 0.1) + 1e-12)),
    }
