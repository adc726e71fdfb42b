"""Log-mel sequences: what the sequence networks listen to, one row of band levels every 20 ms of a clip."""

import numpy as np

from ser_utils.features import spectra
from ser_utils.features.f0 import HOP_S
from ser_utils.features.low_level_descriptors import activity, prepare

POOLED = 2
"""Analysis frames, 10 ms apart, that are averaged to one of the sequence: half as many steps tell as much."""
FRAME_S = POOLED * HOP_S
FLOOR_DB = -70.0
"""Band levels further below the clip's active level are cut here: room and microphone, not voice."""
NAMES = tuple(f"mel_{i:02d}" for i in range(spectra.N_MELS))


def log_mel(y: np.ndarray, sr: int) -> np.ndarray:
    """The log-mel sequence of one recording (Davis and Mermelstein, 1980; bands of Slaney, 1998).

    Parameters
    ----------
    y : np.ndarray [shape=(n,) or (n_channels, n)]
        The recording. Give channels as they are: their power is averaged, not their waveforms (see `ser_utils.features.low_level_descriptors`).
    sr : int
        Its sample rate in Hz; it is analysed at 16 kHz.

    Returns
    -------
    np.ndarray [shape=(n_frames, len(NAMES)), dtype=float32]
        Levels in dB relative to the clip's active level, which the recording level cannot fake; a frame every `FRAME_S`.
        At least one frame.
    """
    S = spectra.power_spectra(prepare(y, sr), n_fft=spectra.N_FFT, win_length=spectra.N_FFT) / spectra.N_FFT
    energy, active, span = activity(S)
    level = spectra.decibels(np.mean(10 ** (energy[active] / 10)))
    L = np.maximum(spectra.decibels(spectra.mel_filters() @ S[:, span]) - level, FLOOR_DB)
    L = np.pad(L, ((0, 0), (0, -L.shape[1] % POOLED)), mode="edge")
    return L.reshape(len(L), -1, POOLED).mean(axis=2).T.astype(np.float32)
