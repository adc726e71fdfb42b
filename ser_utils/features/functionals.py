"""Functionals: one row of named numbers that says how a clip was spoken, not what was said or how loud it was recorded.

A name reads ``family_measure[_frames]_statistic``. Families: f0, rhythm, energy, tilt, shape, contrast, quality, mfcc, mel
and link. Frames: ``active`` (within 25 dB of the clip's loud frames) or ``voiced``. `describe` has a row for each name.
"""

import functools

import librosa
import numpy as np
import pandas as pd

from ser_utils.features import glossary
from ser_utils.features.f0 import HOP_S
from ser_utils.features.low_level_descriptors import LowLevelDescriptors, extract_llds, prepare
from ser_utils.features.prosody import MIN_VOICED, energy_functionals, f0_functionals, rhythm_functionals

ENVELOPE = ("contrast", "mfcc", "mel")
"""Families of many tracks that tell one thing, the envelope: over active frames only, or they outvote all others."""
TERSE = ("mfcc",)
"""For the same reason these have mean and standard deviation only."""


def functionals(y: np.ndarray, sr: int) -> np.ndarray:
    """All functionals of one recording.

    Parameters
    ----------
    y : np.ndarray [shape=(n,) or (n_channels, n)]
        The recording. Give channels as they are: their power is averaged, not their waveforms (see `ser_utils.features.low_level_descriptors`).
    sr : int
        Its sample rate in Hz; it is analysed at 16 kHz.

    Returns
    -------
    np.ndarray [shape=(n_features,), dtype=float32]
        In the order of `names`. Finite for any signal, silence and a single sample too; where nothing is voiced, F0 is
        100 Hz throughout.
    """
    return np.array(list(measure(y, sr).values()), dtype=np.float32)


@functools.cache
def names() -> tuple[str, ...]:
    """The names of the functionals, in their order: the same for every recording."""
    return tuple(measure(np.zeros(1), 16_000))


def describe_functionals() -> pd.DataFrame:
    """What each functional is.

    Returns
    -------
    pd.DataFrame [columns=name, family, unit, meaning, source]
        One row a functional, in the order of `names`. `source` are keys of `ser_utils.features.glossary.REFERENCES`, joined by
        ``; `` (st is semitones, dB is relative to the clip's own active level unless it is a difference).
    """
    terms = glossary.terms()
    rows = [(name, name.split("_")[0], *terms[name]) for name in names()]
    return pd.DataFrame(rows, columns=["name", "family", "unit", "meaning", "source"])


def measure(y: np.ndarray, sr: int) -> dict[str, float]:
    """The functionals of a recording by name; see `functionals`."""
    c = extract_llds(prepare(y, sr))
    voiced = c.voiced if c.voiced.sum() >= MIN_VOICED else c.active
    narrow = {name: track for name, track in c.spectral.items() if not name.startswith(ENVELOPE)}
    return (
        f0_functionals(c)
        | rhythm_functionals(c)
        | energy_functionals(c)
        | link_functionals(c, frames=voiced)
        | statistics(c.spectral, mask=c.active, frames="active")
        | statistics(narrow | c.voice_quality, mask=voiced, frames="voiced")
    )


def statistics(tracks: dict[str, np.ndarray], *, mask: np.ndarray, frames: str) -> dict[str, float]:
    """Statistics of tracks over some of their frames: those of `ser_utils.features.glossary.STATISTICS`.

    Parameters
    ----------
    tracks : dict of str to np.ndarray [shape=(n_frames,)]
    mask : np.ndarray [shape=(n_frames,), dtype=bool]
        The frames that count, at least one.
    frames : str
        What they are, for the names.

    Returns
    -------
    dict of str to float
        ``{track}_{frames}_{statistic}``.
    """
    all_frames = np.array(list(tracks.values()))
    x = all_frames[:, mask]
    # Slopes are measured before frames are taken out, or they would lead across the gaps.
    delta = librosa.feature.delta(all_frames, width=5, mode="nearest")[:, mask]
    t = np.flatnonzero(mask) * HOP_S
    t = t - t.mean()
    p10, p90 = np.percentile(x, (10, 90), axis=1)
    columns = {"mean": x.mean(1), "std": x.std(1), "p10": p10, "p90": p90}
    columns |= {"delta": np.abs(delta).mean(1), "slope": x @ t / (t @ t + 1e-6)}
    return {
        f"{name}_{frames}_{statistic}": values[i]
        for i, name in enumerate(tracks)
        for statistic, values in columns.items()
        if statistic in ("mean", "std") or not name.startswith(TERSE)
    }


def link_functionals(c: LowLevelDescriptors, *, frames: np.ndarray) -> dict[str, float]:
    """How F0, tilt, shape, envelope and voice quality follow loudness within the clip (Traunmüller and Eriksson, 2000).

    A louder voice is higher and brighter. How strongly it is so does not depend on what the voice is like on average.

    Parameters
    ----------
    c : Contours
    frames : np.ndarray [shape=(n_frames,), dtype=bool]
        The frames that count: the voiced ones, if there are enough.

    Returns
    -------
    dict of str to float
        For each track the slope of its regression on the level, per 10 dB, and the correlation of the two.
    """
    mfcc = tuple(f"mfcc_{i}" for i in range(1, 9))
    tracks = {"f0": c.f0_st}
    tracks |= {name: track for name, track in c.spectral.items() if name.startswith(("tilt", "shape")) or name in mfcc}
    tracks |= c.voice_quality
    x = np.array(list(tracks.values()))[:, frames]
    x = x - x.mean(axis=1, keepdims=True)
    e = (c.energy_db[frames] - c.energy_db[frames].mean()) / 10
    slopes = x @ e / (e @ e + 1e-3)
    correlations = x @ e / (np.sqrt((x**2).sum(1) * (e @ e)) + 1e-3)
    row = {}
    for name, slope, correlation in zip(tracks, slopes, correlations, strict=True):
        row |= {f"link_{name}_per_10db": slope, f"link_{name}_corr": correlation}
    return row
