"""F0 of speech from power spectra: autocorrelation, and the best path through it.

It works on power spectra because the channels of a recording can be averaged there (see `ser_utils.contours`), and takes
about 2 % of the time that the sound lasts, less than a tenth of what pYIN takes.
"""

import functools

import numpy as np

SR = 16_000
"""Hz; every recording is brought to this rate."""
HOP = 160
"""Samples from frame to frame: 10 ms."""
HOP_S = HOP / SR
N_FFT_F0 = 2048
"""Length in samples of the spectra that F0 is tracked in: twice `WIN_F0`, or the autocorrelation would wrap around."""
WIN_F0 = 1024
"""64 ms: nearly four periods of the lowest F0."""
F0_MIN_HZ, F0_MAX_HZ = 60.0, 600.0
"""From a low man's voice to a woman who screams."""
N_PITCH = 81
"""Cells of the pitch grid: about half a semitone each."""
OVERSAMPLING = 4
"""The autocorrelation is interpolated this many times: at 600 Hz, a lag of 1 / 16 000 s is already 0.6 semitones."""

COMPRESSION = 0.67
"""Exponent of the power spectrum: under 1 the formants weigh less, and F1 is not taken for F0."""
VOICING = 0.45
"""Strength of the autocorrelation from which a frame is rather voiced than not."""
OCTAVE_JUMP, VOICING_JUMP, OCTAVE_COST = 0.35, 0.14, 0.02
"""Costs of a path, as Praat has them: per octave of movement, per start or end of voicing; and what a cell gains per
octave, or half of the true F0 would be as good."""


@functools.cache
def pitch_grid() -> tuple[np.ndarray, list[np.ndarray]]:
    """The pitch grid in Hz [shape=(N_PITCH,)], and for each of its cells the lags at `OVERSAMPLING` x `SR` within it."""
    grid = F0_MIN_HZ * (F0_MAX_HZ / F0_MIN_HZ) ** (np.arange(N_PITCH) / (N_PITCH - 1))
    edge = 2 ** (0.25 / 12)
    periods = OVERSAMPLING * SR / grid
    return grid, [np.arange(int(np.ceil(period / edge)), int(period * edge) + 1) for period in periods]


def autocorrelation(S: np.ndarray, *, n_lags: int) -> np.ndarray:
    """Autocorrelation of the sound below about 1 kHz, out of compressed power spectra.

    Parameters
    ----------
    S : np.ndarray [shape=(1 + N_FFT_F0 // 2, n_frames)]
        Power spectra.
    n_lags : int
        Lags wanted, in samples at `OVERSAMPLING` x `SR`.

    Returns
    -------
    np.ndarray [shape=(n_lags, n_frames)]
        Entry ``[k, t]`` is that of lag ``k`` in frame ``t``; lag 0 has the highest.
    """
    hz = np.fft.rfftfreq(N_FFT_F0, 1 / SR)
    # The harmonics that tell F0 lie below 1 kHz; a soft edge, because a hard one would ring in the lags.
    weight = np.exp(-0.5 * (np.maximum(hz - 1000, 0) / 500) ** 2) * (hz > 50)
    compressed = np.maximum(S, 1e-12) ** COMPRESSION * weight[:, None]
    return np.fft.irfft(compressed, n=OVERSAMPLING * N_FFT_F0, axis=0)[:n_lags]


def track_f0(S: np.ndarray, *, quiet: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """F0 by autocorrelation of compressed power spectra (Tolonen and Karjalainen, 2000) and a Viterbi path (Boersma, 1993).

    Parameters
    ----------
    S : np.ndarray [shape=(1 + N_FFT_F0 // 2, n_frames)]
        Power spectra of frames of `WIN_F0` samples, Hann window, one every `HOP`. Their scale does not matter as long as
        sound lies well above 1e-12.
    quiet : np.ndarray [shape=(n_frames,), dtype=bool]
        Frames that cannot be voiced.

    Returns
    -------
    f0_hz : np.ndarray [shape=(n_frames,)]
        F0 in Hz, NaN where unvoiced.
    strength : np.ndarray [shape=(n_frames,)]
        Normalised autocorrelation at the period, from near 0 for noise to 1. NaN where unvoiced. A perfectly periodic
        sound has less the lower it is (0.97 at 300 Hz, 0.81 at 100 Hz): the lines of its spectrum are as broad as the
        window makes them, and fewer periods fit.
    """
    grid, cells = pitch_grid()
    correlation = autocorrelation(S, n_lags=cells[0][-1] + 1)
    lag = np.array([cell[0] + correlation[cell].argmax(axis=0) for cell in cells])
    frames = np.arange(S.shape[1])
    taper = np.exp(-0.3 * (1 / grid / 0.04) ** 2)  # what the window takes from long lags: Boersma divides by it too
    r = np.minimum(correlation[lag, frames] / (correlation[0] + 1e-12) / taper[:, None], 1.0)
    dip = (np.diff(correlation, axis=0) > 0).argmax(axis=0)
    r = np.where(lag < dip, 0, r)  # shorter lags than the first dip's lie on the flank of lag 0: a low hum would be a high F0
    path = best_path(r, grid=grid, quiet=quiet)
    voiced = path < N_PITCH
    f0_hz, strength = np.full((2, len(frames)), np.nan)
    f0_hz[voiced] = OVERSAMPLING * SR / lag[path[voiced], frames[voiced]]
    strength[voiced] = r[path[voiced], frames[voiced]]
    return f0_hz, strength


def best_path(r: np.ndarray, *, grid: np.ndarray, quiet: np.ndarray) -> np.ndarray:
    """The path of highest strength less costs through pitch cells and one unvoiced state (Viterbi, 1967; Boersma, 1993).

    Parameters
    ----------
    r : np.ndarray [shape=(n_cells, n_frames)]
        Strength of each cell in each frame, at most 1.
    grid : np.ndarray [shape=(n_cells,)]
        F0 of the cells in Hz.
    quiet : np.ndarray [shape=(n_frames,), dtype=bool]
        Frames that cannot be voiced.

    Returns
    -------
    np.ndarray [shape=(n_frames,), dtype=int]
        The cell of each frame; ``n_cells`` means unvoiced.
    """
    octave = np.log2(grid / grid[0])
    local = np.vstack([r + OCTAVE_COST * octave[:, None], VOICING + 2.0 * quiet])  # 2 is more than any cell can have
    cost = np.full((len(grid) + 1,) * 2, VOICING_JUMP)
    cost[:-1, :-1] = OCTAVE_JUMP * np.abs(octave[:, None] - octave)
    cost[-1, -1] = 0
    back = np.zeros(local.T.shape, dtype=np.int16)
    score, states = local[:, 0], np.arange(len(cost))
    for t in range(1, local.shape[1]):
        step = score - cost
        back[t] = step.argmax(axis=1)
        score = step[states, back[t]] + local[:, t]
    path = np.empty(local.shape[1], dtype=int)
    path[-1] = score.argmax()
    for t in range(len(path) - 1, 0, -1):
        path[t - 1] = back[t, path[t]]
    return path
