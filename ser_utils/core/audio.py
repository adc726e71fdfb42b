"""Reading and checking recordings."""

import hashlib
from pathlib import Path
from typing import BinaryIO

import librosa
import numpy as np
import soundfile as sf

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
MIN_DURATION_S = 0.1  # a shorter recording does not fill the longest analysis window (2048 samples at 22 kHz)
SILENCE_DBFS = -80.0  # a 16-bit recording at this level uses 3 bits


class AudioError(Exception):
    """A recording that cannot be used. Its text is the reason for ``skipped.csv``."""


def read_audio(path: Path | BinaryIO, *, sr: int | None = None, mono: bool = True) -> tuple[np.ndarray, int]:
    """Read a recording.

    Parameters
    ----------
    path : Path or file
        WAV, FLAC, OGG or MP3, as soundfile reads it.
    sr : int or None
        Sample rate to resample to, in Hz (soxr, high quality); None keeps the recording's own.
    mono : bool
        Whether the channels are averaged. The checks use their average in both cases.

    Returns
    -------
    y : np.ndarray [shape=(n,) if mono else (n_channels, n), dtype=float32]
        Samples in [-1, 1].
    sr : int
        Sample rate of `y` in Hz.

    Raises
    ------
    AudioError
        The file is unreadable, empty, shorter than `MIN_DURATION_S`, silent, or has samples that are not numbers.
    """
    try:
        frames, native_sr = sf.read(path, dtype="float32", always_2d=True)
    except (sf.SoundFileError, OSError) as error:
        raise AudioError(f"not readable as audio ({error.__class__.__name__})") from error
    check_signal(frames.mean(axis=1), native_sr)
    return resample_and_mix(frames.T, native_sr, sr=sr, mono=mono)


def resample_and_mix(y: np.ndarray, native_sr: int, *, sr: int | None, mono: bool) -> tuple[np.ndarray, int]:
    """Resample a recording [shape=(n_channels, n)] and average its channels, as `read_audio` does."""
    y = y.mean(axis=0) if mono else np.ascontiguousarray(y)
    if sr is not None and sr != native_sr:
        y = librosa.resample(y, orig_sr=native_sr, target_sr=sr)
    return y, sr or native_sr


def check_signal(y: np.ndarray, sr: int) -> None:
    """Raise `AudioError` with the reason if the mono signal `y` [shape=(n,)] cannot be used."""
    if y.size == 0:
        raise AudioError("empty: no samples")
    if y.size < MIN_DURATION_S * sr:
        raise AudioError(f"too short: {y.size / sr:.3f} s, at least {MIN_DURATION_S} s needed")
    if not np.isfinite(y).all():
        raise AudioError("has samples that are not finite numbers (NaN or infinity)")
    if level_dbfs(y) < SILENCE_DBFS:
        raise AudioError(f"silent: its level is below {SILENCE_DBFS:.0f} dBFS")


def level_dbfs(y: np.ndarray) -> float:
    """Return the level (root mean square) of `y` [shape=(n,)] in decibels relative to full scale."""
    return float(20 * np.log10(np.sqrt(np.mean(np.square(y, dtype=np.float64))) + 1e-12))


def describe(path: Path) -> dict:
    """Return the columns of ``utterances.csv`` that are measured: duration, sample rate, channels, level, peak and hashes.

    `sha256` is of the file; `audio_sha256` is of its samples (mono, 16 bit), independent of the container and its tags.

    Raises
    ------
    AudioError
        As `read_audio` does.
    """
    y, sr = read_audio(path)
    return {
        "duration_s": round(y.size / sr, 4),
        "sample_rate": sr,
        "channels": sf.info(path).channels,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "level_dbfs": round(level_dbfs(y), 2),
        "peak": round(float(np.abs(y).max()), 4),
        "audio_sha256": hashlib.sha256(np.round(y * 32767).astype("<i2").tobytes()).hexdigest(),
    }
