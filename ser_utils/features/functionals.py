"""Functionals: statistics of low-level descriptors (LLDs), F0 and rhythm, one row of named numbers per recording.

A name has the form ``family_measure[_frames]_statistic``. Families: f0, rhythm, energy, tilt, shape, contrast, quality, mfcc,
mel and link. Frames: ``active`` (less than 25 dB below the 95th percentile of the level) or ``voiced``.
"""

import functools
from pathlib import Path

import librosa
import numpy as np
import pandas as pd

from ser_utils.features.f0 import HOP_S
from ser_utils.features.low_level_descriptors import LowLevelDescriptors, extract_llds, prepare
from ser_utils.features.prosody import MIN_VOICED, energy_functionals, f0_functionals, rhythm_functionals

ENVELOPE = ("contrast", "mfcc", "mel")
"""Families that describe the spectral envelope by many LLDs: statistics over active frames only, to limit their number."""
TERSE = ("mfcc",)
"""Families with mean and standard deviation only, for the same reason."""


def functionals(y: np.ndarray, sr: int) -> np.ndarray:
    """Compute all functionals of one recording.

    Parameters
    ----------
    y : np.ndarray [shape=(n,) or (n_channels, n)]
        The recording. The power of the channels is averaged, so pass all of them (see
        `ser_utils.features.low_level_descriptors`).
    sr : int
        Sample rate in Hz; the analysis runs at 16 kHz.

    Returns
    -------
    np.ndarray [shape=(n_features,), dtype=float32]
        In the order of `names`. Finite for any signal, including silence and a single sample; without voiced frames, F0 counts
        as a constant 100 Hz.
    """
    return np.array(list(measure(y, sr).values()), dtype=np.float32)


@functools.cache
def names() -> tuple[str, ...]:
    """Return the names of the functionals in their order, which is the same for every recording."""
    return tuple(measure(np.zeros(1), 16_000))


def describe_functionals() -> pd.DataFrame:
    """Describe each functional, from ``glossary.csv`` beside this module; ``references.csv`` lists the papers.

    Returns
    -------
    pd.DataFrame [columns=name, family, unit, meaning, source]
        One row per functional, in the order of `names`. `source`: short names of papers in ``references.csv``, joined by
        ``; ``. Units: st is semitones; 1 is dimensionless; dB is relative to the clip's active level unless it is a difference;
        "per 10 ms" is per frame.
    """
    return pd.read_csv(Path(__file__).with_name("glossary.csv"), dtype=str)


def measure(y: np.ndarray, sr: int) -> dict[str, float]:
    """Compute the functionals of a recording by name; see `functionals`."""
    llds = extract_llds(prepare(y, sr))
    voiced = llds.voiced if llds.voiced.sum() >= MIN_VOICED else llds.active
    not_envelope = {name: lld for name, lld in llds.spectral.items() if not name.startswith(ENVELOPE)}
    return (
        f0_functionals(llds)
        | rhythm_functionals(llds)
        | energy_functionals(llds)
        | link_functionals(llds, mask=voiced)
        | statistics(llds.spectral, mask=llds.active, frames="active")
        | statistics(not_envelope | llds.voice_quality, mask=voiced, frames="voiced")
    )


def statistics(llds: dict[str, np.ndarray], *, mask: np.ndarray, frames: str) -> dict[str, float]:
    """Compute mean, standard deviation, percentiles, mean steepness (Furui, 1986) and slope of LLDs over selected frames.

    Parameters
    ----------
    llds : dict of str to np.ndarray [shape=(n_frames,)]
    mask : np.ndarray [shape=(n_frames,), dtype=bool]
        The selected frames, at least one.
    frames : str
        Name of the selection: ``active`` or ``voiced``.

    Returns
    -------
    dict of str to float
        ``{lld}_{frames}_{statistic}``.
    """
    all_frames = np.array(list(llds.values()))
    x = all_frames[:, mask]
    # Slopes are computed before frames are removed, so that they do not span gaps.
    delta = librosa.feature.delta(all_frames, width=5, mode="nearest")[:, mask]
    t = np.flatnonzero(mask) * HOP_S
    t = t - t.mean()
    p10, p90 = np.percentile(x, (10, 90), axis=1)
    columns = {"mean": x.mean(1), "std": x.std(1), "p10": p10, "p90": p90}
    columns |= {"delta": np.abs(delta).mean(1), "slope": x @ t / (t @ t + 1e-6)}
    return {
        f"{name}_{frames}_{statistic}": values[i]
        for i, name in enumerate(llds)
        for statistic, values in columns.items()
        if statistic in ("mean", "std") or not name.startswith(TERSE)
    }


def link_functionals(llds: LowLevelDescriptors, *, mask: np.ndarray) -> dict[str, float]:
    """Compute how F0, tilt, shape, envelope and voice quality follow the level (Traunmüller and Eriksson, 2000).

    Louder speech has a higher F0 and a flatter spectrum. The strength of this link does not depend on the speaker's mean F0 and
    spectrum.

    Parameters
    ----------
    llds : LowLevelDescriptors
    mask : np.ndarray [shape=(n_frames,), dtype=bool]
        The selected frames.

    Returns
    -------
    dict of str to float
        For each LLD, the slope of its regression on the level, per 10 dB, and its correlation with the level.
    """
    mfcc = tuple(f"mfcc_{i}" for i in range(1, 9))
    linked = {"f0": llds.f0_st}
    linked |= {name: lld for name, lld in llds.spectral.items() if name.startswith(("tilt", "shape")) or name in mfcc}
    linked |= llds.voice_quality
    x = np.array(list(linked.values()))[:, mask]
    x = x - x.mean(axis=1, keepdims=True)
    e = (llds.energy_db[mask] - llds.energy_db[mask].mean()) / 10
    slopes = x @ e / (e @ e + 1e-3)
    correlations = x @ e / (np.sqrt((x**2).sum(1) * (e @ e)) + 1e-3)
    row = {}
    for name, slope, correlation in zip(linked, slopes, correlations, strict=True):
        row |= {f"link_{name}_per_10db": slope, f"link_{name}_corr": correlation}
    return row
