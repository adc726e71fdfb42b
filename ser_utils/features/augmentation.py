"""Data augmentation: each function changes one recording, mono or of several channels, and a registry names them.

To add one, write a function ``(y, sr, rng, strengths) -> y`` and add an `Augmentation` to `AUGMENTATIONS`.
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
"""The original study's strengths: share of the peak, speed-up (under 1 is slower), semitones, seconds."""


def noise(y: np.ndarray, sr: int, rng: np.random.Generator, strengths: Mapping) -> np.ndarray:
    """White Gaussian noise whose standard deviation is U(0, 1) x `noise_amplitude` x the recording's highest sample.

    Each channel has noise of its own, at one level, as microphones in one room have.
    """
    amplitude = np.float32(strengths["noise_amplitude"] * rng.uniform() * y.max())
    return y + amplitude * rng.standard_normal(y.shape, dtype=np.float32)


def stretch(y: np.ndarray, sr: int, rng: np.random.Generator, strengths: Mapping) -> np.ndarray:
    """Another tempo at the same pitch: `stretch_rate` 0.8 makes a clip 1 / 0.8 times as long (phase vocoder)."""
    return _vocoded(y, sr, rate=strengths["stretch_rate"])


def pitch(y: np.ndarray, sr: int, rng: np.random.Generator, strengths: Mapping) -> np.ndarray:
    """Another pitch at the same tempo, `pitch_steps` semitones up; formants move with it."""
    return _vocoded(y, sr, steps=strengths["pitch_steps"])


def stretch_pitch(y: np.ndarray, sr: int, rng: np.random.Generator, strengths: Mapping) -> np.ndarray:
    """`stretch` and `pitch` at once, the original study's combination."""
    return _vocoded(y, sr, rate=strengths["stretch_rate"], steps=strengths["pitch_steps"])


def _vocoded(y: np.ndarray, sr: int, *, rate: float = 1.0, steps: float = 0.0) -> np.ndarray:
    """`librosa.effects.time_stretch`, then `librosa.effects.pitch_shift`, through one phase vocoder.

    A pitch shift is a change of tempo and a resampling that takes the tempo back. Two changes of tempo in a row are one by
    their product; one vocoder instead of two takes half the time and smears half as much.
    """
    faster = rate * 2 ** (-steps / 12)
    n, n_out = round(y.shape[-1] / faster), round(y.shape[-1] / rate)
    channels = [short_time.istft(short_time.phase_vocoder(short_time.stft(one), rate=faster), n=n) for one in np.atleast_2d(y)]
    out = np.stack(channels).reshape(*y.shape[:-1], n)
    if steps:
        out = librosa.resample(out, orig_sr=sr * 2 ** (steps / 12), target_sr=sr)
    return librosa.util.fix_length(out, size=n_out)


def shift(y: np.ndarray, sr: int, rng: np.random.Generator, strengths: Mapping) -> np.ndarray:
    """The recording rolled in time by up to `shift_max_s` either way; what leaves at one end comes in at the other."""
    return np.roll(y, round(rng.uniform(-1, 1) * strengths["shift_max_s"] * sr), axis=-1)


@dataclass(frozen=True)
class Augmentation:
    """A registered augmentation."""

    change: Callable[[np.ndarray, int, np.random.Generator, Mapping], np.ndarray]
    """``(y, sr, rng, strengths) -> y``: a recording [shape=(..., n)] and its rate in Hz to a changed one [shape=(..., m)]."""
    strengths: tuple[str, ...] = tuple(STRENGTHS)
    """Keys of `STRENGTHS` that it uses: others can change without its features being computed again."""
    is_random: bool = True
    """Whether it draws from `rng`."""


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
    """One variant of a recording.

    Parameters
    ----------
    y : np.ndarray [shape=(..., n), dtype=float32]
        The recording.
    sr : int
        Its sample rate in Hz.
    variant : str
        ``original`` (nothing is done) or a name in `AUGMENTATIONS`.
    strengths : mapping
        The keys of `STRENGTHS`.
    clip : str
        What names the recording in its corpus; with `seed` it seeds the randomness, so that a variant does not depend
        on which clips were done before it, or where.
    seed : int
        Seed of the study.
    entry : Augmentation, optional
        The augmentation itself, where it is not registered in this process.

    Returns
    -------
    np.ndarray [shape=(..., m), dtype=float32]

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
    return entry.change(y, sr, rng, strengths).astype(np.float32, copy=False)


def depends_on(entry: Augmentation | None, *, strengths: Mapping, clip: str, seed: int) -> dict:
    """What `augment` makes a variant from besides the recording; settings that have no effect on it are left out."""
    if entry is None:
        return {}
    random = {"clip": clip, "seed": seed} if entry.is_random else {}
    return {name: value for name, value in strengths.items() if name in entry.strengths} | random


def check_variants(variants: list[str]) -> None:
    """Raise `StudyError` where a variant to add to the original is not registered, or is named twice."""
    for i, name in enumerate(variants):
        if name == ORIGINAL:
            raise StudyError(f"{ORIGINAL!r} is not an augmentation: every clip's original is always there, leave it out.")
        if name not in AUGMENTATIONS:
            raise StudyError(f"Unknown augmentation {name!r}: there are {', '.join(AUGMENTATIONS)}.")
        if name in variants[:i]:
            raise StudyError(f"The augmentation {name!r} is named twice: name each once.")


def check_strengths(strengths: Mapping) -> None:
    """Raise `StudyError` where a strength cannot work."""
    for name, value in strengths.items():
        if not np.isfinite(value):
            raise StudyError(f"{name.upper()} is {value}: expected a finite number.")
    if strengths["noise_amplitude"] < 0:
        raise StudyError(f"NOISE_AMPLITUDE is {strengths['noise_amplitude']}: expected 0 or more.")
    if strengths["stretch_rate"] <= 0:
        raise StudyError(f"STRETCH_RATE is {strengths['stretch_rate']}: expected more than 0 (0.8 is slower, 1.25 faster).")
    if strengths["shift_max_s"] < 0:
        raise StudyError(f"SHIFT_MAX_S is {strengths['shift_max_s']}: expected 0 or more seconds.")
