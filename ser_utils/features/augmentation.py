"""Data augmentation: functions that change one recording, mono or multichannel, and their registry.

To add an augmentation, write a function ``(y, sr, rng, strengths) -> y`` and add an `Augmentation` to `AUGMENTATIONS`.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import librosa
import numpy as np

from ser_utils.core.errors import StudyError
from ser_utils.core.tables import ORIGINAL
from ser_utils.features import short_time

STRENGTHS = {"noise_amplitude": 0.035, "stretch_rate": 0.8, "pitch_steps": 0.7, "shift_max_s": 0.1}
"""Strengths of the original study: share of the highest sample, tempo factor (below 1 is slower), semitones, seconds."""


def noise(y: np.ndarray, sr: int, rng: np.random.Generator, strengths: Mapping) -> np.ndarray:
    """Add white Gaussian noise with a standard deviation of U(0, 1) * `noise_amplitude` * ``y.max()``.

    As in the original study, the reference is the highest sample, not the absolute peak: it depends on the polarity of the
    recording. The rule is kept for this variant of the original study only. The channels get independent noise of one level.
    """
    amplitude = np.float32(strengths["noise_amplitude"] * rng.uniform() * y.max())
    return y + amplitude * rng.standard_normal(y.shape, dtype=np.float32)


def stretch(y: np.ndarray, sr: int, rng: np.random.Generator, strengths: Mapping) -> np.ndarray:
    """Change the tempo and keep the pitch (phase vocoder): a `stretch_rate` of 0.8 makes a clip 1 / 0.8 times as long."""
    return _vocoded(y, sr, rate=strengths["stretch_rate"])


def pitch(y: np.ndarray, sr: int, rng: np.random.Generator, strengths: Mapping) -> np.ndarray:
    """Raise the pitch by `pitch_steps` semitones and keep the tempo; formants are shifted by the same factor."""
    return _vocoded(y, sr, steps=strengths["pitch_steps"])


def stretch_pitch(y: np.ndarray, sr: int, rng: np.random.Generator, strengths: Mapping) -> np.ndarray:
    """Apply `stretch` and `pitch` at once, as the original study does."""
    return _vocoded(y, sr, rate=strengths["stretch_rate"], steps=strengths["pitch_steps"])


def _vocoded(y: np.ndarray, sr: int, *, rate: float = 1.0, steps: float = 0.0) -> np.ndarray:
    """Compute `librosa.effects.time_stretch` followed by `librosa.effects.pitch_shift` with one phase vocoder.

    A pitch shift is a time stretch and a resampling that restores the tempo. Two time stretches in a row equal one by the
    product of their rates, so one vocoder is enough: it takes half the time and smears transients half as much.

    `y` has at most one axis in front of the samples [shape=(n,) or (n_channels, n)]; the result has round(n / rate) samples.
    """
    vocoder_rate = rate * 2 ** (-steps / 12)
    n, n_out = round(y.shape[-1] / vocoder_rate), round(y.shape[-1] / rate)
    spectra = (short_time.phase_vocoder(short_time.stft(channel), rate=vocoder_rate) for channel in np.atleast_2d(y))
    out = np.stack([short_time.istft(D, n=n) for D in spectra]).reshape(*y.shape[:-1], n)
    if steps:
        out = librosa.resample(out, orig_sr=sr * 2 ** (steps / 12), target_sr=sr)
    return librosa.util.fix_length(out, size=n_out)


def shift(y: np.ndarray, sr: int, rng: np.random.Generator, strengths: Mapping) -> np.ndarray:
    """Roll the recording in time by U(-1, 1) * `shift_max_s` seconds; samples that leave at one end enter at the other."""
    return np.roll(y, round(rng.uniform(-1, 1) * strengths["shift_max_s"] * sr), axis=-1)


@dataclass(frozen=True)
class Augmentation:
    """A registered augmentation."""

    change: Callable[[np.ndarray, int, np.random.Generator, Mapping], np.ndarray]
    """``(y, sr, rng, strengths) -> y``: from a recording [shape=(n,) or (n_channels, n)] and its sample rate in Hz to the
    changed recording [shape=(m,) or (n_channels, m)]."""
    strengths: tuple[str, ...] = tuple(STRENGTHS)
    """Keys of `STRENGTHS` that `change` uses and gets. A change of another strength does not recompute its features."""
    is_random: bool = True
    """Whether `change` draws from `rng`."""


AUGMENTATIONS: dict[str, Augmentation] = {
    "noise": Augmentation(noise, strengths=("noise_amplitude",)),
    "stretch": Augmentation(stretch, strengths=("stretch_rate",), is_random=False),
    "pitch": Augmentation(pitch, strengths=("pitch_steps",), is_random=False),
    "stretch_pitch": Augmentation(stretch_pitch, strengths=("stretch_rate", "pitch_steps"), is_random=False),
    "shift": Augmentation(shift, strengths=("shift_max_s",)),
}


def augment(
    y: np.ndarray, *, sr: int, variant: str, strengths: Mapping, clip: str, seed: int, entry: Augmentation | None = None
) -> np.ndarray:
    """Return one variant of a recording.

    Parameters
    ----------
    y : np.ndarray [shape=(n,) or (n_channels, n), dtype=float32]
        The recording.
    sr : int
        Sample rate in Hz.
    variant : str
        ``original`` (no change) or a name in `AUGMENTATIONS`.
    strengths : mapping of str to float
        Values for the keys of `STRENGTHS`.
    clip : str
        Name of the recording in its corpus. The random numbers depend on `seed`, `clip` and `variant` only, not on the order
        or the process in which clips are computed.
    seed : int
        Seed of the augmentation.
    entry : Augmentation, optional
        The augmentation, if it may not be registered in this process.

    Returns
    -------
    np.ndarray [shape=(m,) or (n_channels, m), dtype=float32]

    Raises
    ------
    StudyError
        `variant` is not registered.
    """
    if variant == ORIGINAL:
        return y
    if entry is None:
        check_variants([variant])
        entry = AUGMENTATIONS[variant]
    digest = hashlib.sha256(f"{seed}/{clip}/{variant}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    used = {name: strengths[name] for name in entry.strengths}  # an undeclared strength is a KeyError, not a stale cache entry
    return entry.change(y, sr, rng, used).astype(np.float32, copy=False)


def depends_on(entry: Augmentation | None, *, strengths: Mapping, clip: str, seed: int) -> dict:
    """Return the settings that a variant depends on besides the recording, for its cache key; empty for the original."""
    if entry is None:
        return {}
    random_state = {"clip": clip, "seed": seed} if entry.is_random else {}
    return {name: strengths[name] for name in entry.strengths} | random_state


def check_variants(variants: list[str]) -> None:
    """Raise `StudyError` if a variant is not a registered augmentation or is listed twice."""
    for i, name in enumerate(variants):
        if name == ORIGINAL:
            raise StudyError(
                f"{ORIGINAL!r} is not an augmentation: every clip's original is always included, so remove it from the list."
            )
        if name not in AUGMENTATIONS:
            raise StudyError(f"Unknown augmentation {name!r}: expected one of {', '.join(AUGMENTATIONS)}.")
        if name in variants[:i]:
            raise StudyError(f"The augmentation {name!r} is listed twice: list each augmentation once.")


def check_strengths(strengths: Mapping) -> None:
    """Raise `StudyError` if a strength is not finite or out of range."""
    for name, value in strengths.items():
        if not np.isfinite(value):
            raise StudyError(f"{name.upper()} is {value}: expected a finite number.")
    if strengths["noise_amplitude"] < 0:
        raise StudyError(f"NOISE_AMPLITUDE is {strengths['noise_amplitude']}: expected 0 or more.")
    if strengths["stretch_rate"] <= 0:
        raise StudyError(f"STRETCH_RATE is {strengths['stretch_rate']}: expected more than 0 (0.8 is slower, 1.25 faster).")
    if strengths["shift_max_s"] < 0:
        raise StudyError(f"SHIFT_MAX_S is {strengths['shift_max_s']}: expected 0 or more seconds.")
