"""The 38 features of the original study (github.com/fp1acm8/SER), computed from one short-time spectrum."""

import functools

import librosa
import numpy as np

from ser_utils.features import short_time

NAMES = (
    *(f"chroma_{note}" for note in ("C", "Cs", "D", "Ds", "E", "F", "Fs", "G", "Gs", "A", "As", "B")),
    "rms",
    "centroid_hz",
    "flatness",
    "bandwidth_hz",
    "rolloff_hz",
    "zcr",
    *(f"mfcc_{i}" for i in range(1, 21)),
)
"""Names of the features in their order; each feature is the mean over the frames of a recording."""
SR = 48_000
"""Sample rate of the original study in Hz."""
N_FFT, HOP = 2048, 512
"""Frame length and step in samples, librosa's own."""
TUNING_HZ = 4000
"""librosa estimates the tuning of chroma from peaks up to here."""


def original38(y: np.ndarray, sr: int) -> np.ndarray:
    """Compute the 38 features of the original study, as means over frames.

    The definitions are librosa's; `benchmarks/plain.py` calls them one by one. The original study used librosa 0.8.1, which
    padded centred frames by reflection. librosa pads with zeros since 0.10, so the padding is explicit here.

    Parameters
    ----------
    y : np.ndarray [shape=(n,)]
        Mono recording.
    sr : int
        Sample rate in Hz; 48 000 in the original study.

    Returns
    -------
    np.ndarray [shape=(38,)]
        12 chroma (1 for the strongest pitch class of a frame), root mean square amplitude, spectral centroid in Hz, flatness
        (0 for a tone, 1 for a flat spectrum), bandwidth in Hz, roll-off at 85 % in Hz, zero-crossing rate, 20 MFCC
        (Davis and Mermelstein, 1980).
    """
    cut = short_time.frames(np.asarray(y, np.float32), n_fft=N_FFT, hop=HOP, pad_mode="reflect")
    power = short_time.power_spectrogram(cut, short_time.hann(N_FFT, N_FFT))  # [shape=(n_frames, 1 + N_FFT // 2)]
    log_mel = librosa.power_to_db(mel_filters(sr) @ power.T)
    contours = (
        chroma(power, sr),
        np.sqrt(np.einsum("ij,ij->i", cut, cut) / N_FFT),
        *np.concatenate([shape(power[block], sr) for block in short_time.blocks(len(power))], axis=1),
        zero_crossings(y),
        librosa.feature.mfcc(S=log_mel, n_mfcc=20),
    )
    return np.concatenate([np.atleast_2d(contour).mean(axis=1) for contour in contours])


@functools.cache
def mel_filters(sr: int) -> np.ndarray:
    """Return librosa's filters of 128 mel bands [shape=(128, 1 + N_FFT // 2)]."""
    return librosa.filters.mel(sr=sr, n_fft=N_FFT)


@functools.lru_cache(maxsize=256)
def chroma_filters(sr: int, tuning: float) -> np.ndarray:
    """Return librosa's filters of 12 pitch classes [shape=(12, 1 + N_FFT // 2)]; tunings are multiples of 0.01 semitones."""
    return librosa.filters.chroma(sr=sr, n_fft=N_FFT, tuning=tuning, n_chroma=12)


def chroma(power: np.ndarray, sr: int) -> np.ndarray:
    """Compute chroma as `librosa.feature.chroma_stft` does.

    Parameters
    ----------
    power : np.ndarray [shape=(n_frames, 1 + N_FFT // 2)]
        Power spectra.
    sr : int
        Sample rate in Hz.

    Returns
    -------
    np.ndarray [shape=(12, n_frames)]
        Power of each pitch class, 1 for the strongest in a frame.
    """
    return librosa.util.normalize(chroma_filters(sr, tuning(power, sr)) @ power.T, norm=np.inf, axis=0)


def tuning(power: np.ndarray, sr: int) -> float:
    """Estimate the deviation from A4 = 440 Hz in semitones by `librosa.estimate_tuning`.

    The estimate is the fullest bin of a histogram of peak frequencies with bins of 0.01 semitones. In a third of all clips
    several bins are equally full, and one peak on the edge of two bins decides. librosa computes its frequency in the
    precision of the spectrum; in float32 the logarithm differs between processors, so the spectrum is passed in float64.
    Only bins up to `TUNING_HZ` are searched for peaks.

    Parameters
    ----------
    power : np.ndarray [shape=(n_frames, 1 + N_FFT // 2)]
        Power spectra.
    sr : int
        Sample rate in Hz.
    """
    n = min(power.shape[1], int(TUNING_HZ * N_FFT / sr) + 3)
    return librosa.estimate_tuning(
        S=power[:, :n].T.astype(np.float64),
        sr=sr * 2 * (n - 1) / N_FFT,  # so that librosa assigns the first n bins their true frequencies
        fmax=TUNING_HZ,
        ref=lambda S, axis: power.max(axis=1),
        bins_per_octave=12,
    )


def shape(power: np.ndarray, sr: int) -> np.ndarray:
    """Compute librosa's spectral centroid, flatness, bandwidth and roll-off of power spectra [shape=(n_frames, n_bins)].

    Returns
    -------
    np.ndarray [shape=(4, n_frames)]
        Centroid in Hz, flatness, bandwidth in Hz, roll-off at 85 % in Hz.
    """
    magnitude, hz = np.sqrt(power), np.fft.rfftfreq(N_FFT, 1 / sr)
    # Bandwidth is sqrt(second moment - centroid**2), which needs float64: in float32 the difference loses its digits.
    total, first, second = (magnitude.astype(np.float64) @ np.stack([np.ones_like(hz), hz, hz**2], axis=1)).T
    total = np.where(total > np.finfo(np.float32).tiny, total, 1)  # digital silence has a total of 0
    centroid = first / total
    cumulative = np.cumsum(magnitude, axis=1)
    floored = np.maximum(power, 1e-10)
    return np.stack(
        [
            centroid,
            np.exp(np.log(floored).mean(axis=1)) / floored.mean(axis=1),
            np.sqrt(np.maximum(second / total - centroid**2, 0)),
            hz[(cumulative >= 0.85 * cumulative[:, -1:]).argmax(axis=1)],
        ]
    )


def zero_crossings(y: np.ndarray) -> np.ndarray:
    """Compute `librosa.feature.zero_crossing_rate` of a signal [shape=(n,)] per frame [shape=(n_frames,)].

    Crossings are counted once by a cumulative sum, although frames overlap.
    """
    negative = np.pad(y < -1e-10, N_FFT // 2, mode="edge")
    n_crossings = np.concatenate([[0], np.cumsum(negative[1:] != negative[:-1])])
    starts = np.arange(0, len(y) + 1, HOP)
    return (n_crossings[starts + N_FFT - 1] - n_crossings[starts]) / N_FFT
