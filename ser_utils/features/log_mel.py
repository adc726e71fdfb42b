"""Log-mel sequences, the input features of the sequence networks: one row of band levels per 20 ms."""

import numpy as np

from ser_utils.features import spectra
from ser_utils.features.f0 import HOP_S
from ser_utils.features.low_level_descriptors import activity, prepare

POOLED = 2
"""Number of analysis frames of 10 ms that are averaged to one frame of the sequence."""
FRAME_S = POOLED * HOP_S
FLOOR_DB = -70.0
"""Lower bound of band levels relative to the active level; levels below it belong to room and microphone."""
NAMES = tuple(f"mel_{i:02d}" for i in range(spectra.N_MELS))


def log_mel(y: np.ndarray, sr: int) -> np.ndarray:
    """Compute the log-mel sequence of one recording (Davis and Mermelstein, 1980; mel bands of Slaney, 1998).

    Parameters
    ----------
    y : np.ndarray [shape=(n,) or (n_channels, n)]
        The recording. The power of the channels is averaged, so pass all of them (see
        `ser_utils.features.low_level_descriptors`).
    sr : int
        Sample rate in Hz; the analysis runs at 16 kHz.

    Returns
    -------
    np.ndarray [shape=(n_frames, len(NAMES)), dtype=float32]
        Levels in dB relative to the active level of the recording, one frame per `FRAME_S`, at least one frame.
    """
    S = spectra.power_spectra(prepare(y, sr), n_fft=spectra.N_FFT, win_length=spectra.N_FFT) / spectra.N_FFT
    energy, active, span = activity(S)
    level = spectra.decibels(np.mean(10 ** (energy[active] / 10)))
    L = np.maximum(spectra.decibels(spectra.mel_filters() @ S[:, span]) - level, FLOOR_DB)
    L = np.pad(L, ((0, 0), (0, -L.shape[1] % POOLED)), mode="edge")
    return L.reshape(len(L), -1, POOLED).mean(axis=2).T.astype(np.float32)
