"""Reading and checking recordings."""

import base64
import hashlib
import html
import io
from pathlib import Path
from typing import BinaryIO

import librosa
import numpy as np
import soundfile as sf
from IPython.display import HTML

from ser_utils.f0 import HOP_S, SR, track_f0

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
MIN_DURATION_S = 0.1  # under this, not even the longest analysis window (2048 samples at 22 kHz) holds real signal
SILENCE_DBFS = -80.0  # a 16-bit recording this low has 3 bits left


class AudioError(Exception):
    """A recording that cannot be used: its text is the reason, as it stands in ``skipped.csv``."""


def read_audio(path: Path | BinaryIO, *, sr: int | None = None, mono: bool = True) -> tuple[np.ndarray, int]:
    """Read a recording.

    Parameters
    ----------
    path : Path or file
        WAV, FLAC, OGG or MP3, whatever soundfile reads.
    sr : int or None
        Sample rate to resample to, in Hz (soxr, high quality); None keeps the recording's own.
    mono : bool
        Whether the channels are averaged. Either way it is their average that is checked.

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
    return heard_as(frames.T, native_sr, sr=sr, mono=mono)


def heard_as(y: np.ndarray, native_sr: int, *, sr: int | None, mono: bool) -> tuple[np.ndarray, int]:
    """A recording [shape=(n_channels, n)] and its sample rate, as `read_audio` gives them for other settings."""
    y = y.mean(axis=0) if mono else np.ascontiguousarray(y)
    if sr is not None and sr != native_sr:
        y = librosa.resample(y, orig_sr=native_sr, target_sr=sr)
    return y, sr or native_sr


def check_signal(y: np.ndarray, sr: int) -> None:
    """Raise `AudioError` with the reason where the mono signal `y` [shape=(n,)] cannot be used."""
    if y.size == 0:
        raise AudioError("empty: no samples")
    if y.size < MIN_DURATION_S * sr:
        raise AudioError(f"too short: {y.size / sr:.3f} s, at least {MIN_DURATION_S} s needed")
    if not np.isfinite(y).all():
        raise AudioError("has samples that are not finite numbers (NaN or infinity)")
    if level_dbfs(y) < SILENCE_DBFS:
        raise AudioError(f"silent: its level is below {SILENCE_DBFS:.0f} dBFS")


def level_dbfs(y: np.ndarray) -> float:
    """The level (root mean square) of `y` [shape=(n,)] in decibels relative to full scale."""
    return float(20 * np.log10(np.sqrt(np.mean(np.square(y, dtype=np.float64))) + 1e-12))


def describe(path: Path) -> dict:
    """What a recording is: duration_s, sample_rate, channels, sha256, level_dbfs, peak, audio_sha256.

    `sha256` is of the file; `audio_sha256` of its samples (mono, 16 bit), the same in another container or with other tags.


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


def f0_contour(y: np.ndarray, *, sr: int) -> tuple[np.ndarray, np.ndarray]:
    """Time in s and F0 in Hz, NaN where unvoiced (both shape=(n_frames,)), by pYIN (see `ser_utils.f0`)."""
    f0_hz, _ = track_f0(librosa.resample(y, orig_sr=sr, target_sr=SR)[None])
    return np.arange(len(f0_hz)) * HOP_S, f0_hz


def measures(y: np.ndarray, sr: int) -> dict[str, float]:
    """A signal in numbers: duration_s, level_dbfs, median F0 (f0_hz; NaN where nothing is voiced), and the
    level under which its softest tenth of frames lies (softest_dbfs)."""
    frames = librosa.feature.rms(y=y)[0]
    f0 = f0_contour(y, sr=sr)[1]
    voiced = f0[np.isfinite(f0)]
    return {
        "duration_s": y.size / sr,
        "level_dbfs": level_dbfs(y),
        "f0_hz": float(np.median(voiced)) if voiced.size else np.nan,
        "softest_dbfs": float(20 * np.log10(np.quantile(frames, 0.1) + 1e-12)),
    }


def players(clips: dict[str, tuple[np.ndarray, int]], *, allowed: bool) -> HTML:
    """Audio players side by side, one per labelled clip, or the sentence that says why there are none.

    Parameters
    ----------
    clips : dict
        Label to (samples [shape=(n,)], sample rate in Hz). Played at 16 kHz, as MP3, to keep the page small.
    allowed : bool
        Whether the corpus' licence lets its audio be embedded, or the user has asked for it.
    """
    if not allowed:
        return HTML(
            "<p><em>No players here: the licence of this corpus does not let its audio be published. "
            "Set <code>EMBED_AUDIO = True</code> to listen on your own machine.</em></p>"
        )
    figures = []
    for label, (y, sr) in clips.items():
        mp3 = io.BytesIO()
        quiet = librosa.resample(y, orig_sr=sr, target_sr=16_000)
        sf.write(mp3, 0.9 * quiet / max(np.abs(quiet).max(), 1e-6), 16_000, format="MP3")
        data = base64.b64encode(mp3.getvalue()).decode("ascii")
        figures.append(
            f'<figure style="display:inline-block;margin:4px"><figcaption>{html.escape(label)}</figcaption>'
            f'<audio controls preload="none" src="data:audio/mpeg;base64,{data}"></audio></figure>'
        )
    return HTML("".join(figures))


def warm_up() -> None:
    """Let kernels be compiled (the first time on a machine: about 20 s) or loaded before workers need them.

    Two processes that compile at once can leave a cache that crashes every later process (numba issue 10128), so one
    process does it, and does it first.
    """
    y = librosa.tone(220, sr=16_000, duration=1).astype(np.float32)
    spectrum = np.abs(librosa.stft(y))
    librosa.feature.chroma_stft(S=spectrum**2, sr=16_000)
    librosa.feature.zero_crossing_rate(y)
    librosa.effects.pitch_shift(librosa.effects.time_stretch(y, rate=0.9), sr=16_000, n_steps=1)
    f0_contour(y, sr=16_000)
