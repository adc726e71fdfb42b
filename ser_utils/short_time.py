"""Short-time spectra: one FFT per frame, there and back, and the phase vocoder between them.

The numbers are those of `librosa.stft`, `librosa.istft` and `librosa.phase_vocoder`, in a third of the time: frames are rows,
so that each lies in one piece in memory; a few at a time are worked on, which stay in the processor's cache; and phases are
turned by multiplication.
"""

import functools
from collections.abc import Iterator

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import get_window

BLOCK = 64  # frames that are worked on at a time


@functools.cache
def hann(length: int, n_fft: int) -> np.ndarray:
    """A periodic Hann window of `length` samples in the middle of `n_fft` [shape=(n_fft,), dtype=float32]."""
    window = np.zeros(n_fft, np.float32)
    start = (n_fft - length) // 2
    window[start : start + length] = get_window("hann", length)
    return window


def frames(y: np.ndarray, *, n_fft: int, hop: int, pad_mode: str = "constant") -> np.ndarray:
    """Frames of a signal, centred on every `hop` samples from the first.

    Parameters
    ----------
    y : np.ndarray [shape=(n,)]
    n_fft, hop : int
        Length of a frame and distance between two, in samples.
    pad_mode : str
        What stands beyond the ends, as in `np.pad`: ``constant`` is zeros.

    Returns
    -------
    np.ndarray [shape=(1 + n // hop, n_fft)]
        A view, not to be written to.
    """
    return sliding_window_view(np.pad(y, n_fft // 2, mode=pad_mode), n_fft)[::hop]


def spectra(
    y: np.ndarray, *, n_fft: int = 2048, hop: int = 512, win_length: int | None = None, pad_mode: str = "constant"
) -> np.ndarray:
    """Short-time spectra under a Hann window, those of `librosa.stft` with a row per frame.

    Parameters
    ----------
    y : np.ndarray [shape=(n,)]
    n_fft, hop, win_length : int
        Lengths of the transform, of the step, and of the window (the transform's where None), in samples.
    pad_mode : str
        As in `frames`.

    Returns
    -------
    np.ndarray [shape=(1 + n // hop, 1 + n_fft // 2), dtype=complex64]
    """
    cut = frames(np.asarray(y, np.float32), n_fft=n_fft, hop=hop, pad_mode=pad_mode)
    return transformed(cut, hann(win_length or n_fft, n_fft))


def blocks(n_frames: int) -> Iterator[slice]:
    """Slices of some frames each that together are all."""
    return (slice(start, min(start + BLOCK, n_frames)) for start in range(0, n_frames, BLOCK))


def transformed(cut: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Spectra [shape=(n_frames, 1 + n_fft // 2), dtype=complex64] of frames [shape=(n_frames, n_fft)] under a window."""
    D = np.empty((len(cut), 1 + cut.shape[1] // 2), np.complex64)
    for block in blocks(len(cut)):
        D[block] = scipy.fft.rfft(cut[block] * window, axis=1)
    return D


def powers(cut: np.ndarray, window: np.ndarray, *, dtype: type = np.float32) -> np.ndarray:
    """Power spectra of windowed frames.

    Parameters
    ----------
    cut : np.ndarray [shape=(n_frames, n_fft)]
    window : np.ndarray [shape=(n_fft,)]
    dtype : np.float32 or np.float64
        Precision of the transform and of the result.

    Returns
    -------
    np.ndarray [shape=(n_frames, 1 + n_fft // 2), dtype=dtype]
    """
    S = np.empty((len(cut), 1 + cut.shape[1] // 2), dtype)
    for block in blocks(len(cut)):
        D = scipy.fft.rfft(np.multiply(cut[block], window, dtype=dtype), axis=1)
        np.add(D.real**2, D.imag**2, out=S[block])
    return S


def signal(D: np.ndarray, *, n: int, hop: int = 512) -> np.ndarray:
    """The signal whose spectra are nearest to `D` (Griffin and Lim, 1984), that of `librosa.istft`.

    Parameters
    ----------
    D : np.ndarray [shape=(n_frames, 1 + n_fft // 2)]
        As `spectra` gives them.
    n : int
        Samples wanted.
    hop : int
        A whole fraction of n_fft.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=float32]
    """
    n_fft = 2 * (D.shape[1] - 1)
    window = hann(n_fft, n_fft)
    y, weight = np.zeros((2, len(D) + n_fft // hop - 1, hop), np.float32)
    for block in blocks(len(D)):
        rows = scipy.fft.irfft(D[block], axis=1) * window
        for k in range(n_fft // hop):
            part = slice(k * hop, (k + 1) * hop)
            y[block.start + k : block.stop + k] += rows[:, part]
            weight[block.start + k : block.stop + k] += window[part] ** 2
    y, weight = y.ravel(), weight.ravel()
    y = np.divide(y, weight, out=y, where=weight > np.finfo(np.float32).tiny)[n_fft // 2 :][:n]
    return np.pad(y, (0, n - len(y)))


def phase_vocoder(D: np.ndarray, *, rate: float) -> np.ndarray:
    """Spectra at another tempo and the same pitch (Flanagan and Golden, 1966), those of `librosa.phase_vocoder`.

    Each bin's phase goes on by as much from frame to frame as it did in the original. Adding angles is multiplying numbers of
    length 1, which needs neither arc tangents nor the unwrapping of phases.

    Parameters
    ----------
    D : np.ndarray [shape=(n_frames, n_bins)]
        As `spectra` gives them.
    rate : float
        How much faster; under 1 is slower.

    Returns
    -------
    np.ndarray [shape=(ceil(n_frames / rate), n_bins), dtype=complex64]
    """
    at = np.arange(0, len(D), rate)
    before, share = at.astype(int), (at % 1).astype(np.float32)[:, None]
    D = np.concatenate([D, np.zeros_like(D[:2])])
    out = np.empty((len(at), D.shape[1]), np.complex64)
    phase = _turns(D[:1])[0]
    for block in blocks(len(at)):
        first, last = before[block][0], before[block][-1] + 2
        magnitude, turn, i = np.abs(D[first:last]), _turns(D[first:last]), before[block] - first
        steps = turn[i + 1] * turn[i].conj()
        for t, step in enumerate(steps, start=block.start):
            out[t] = phase
            phase = phase * step
        out[block] *= (1 - share[block]) * magnitude[i] + share[block] * magnitude[i + 1]
    return out


def _turns(D: np.ndarray) -> np.ndarray:
    """Numbers of length 1 with the phases of `D`; 1 where it is nothing."""
    magnitude = np.abs(D)
    return np.divide(D, magnitude, out=np.ones_like(D), where=magnitude > 0)
