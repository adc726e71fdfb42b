"""The original study's 38 features: published numbers, and tones with known answers."""

import numpy as np
import pandas as pd
import pytest

from ser_utils.core import paths
from ser_utils.core.audio import read_audio
from ser_utils.features import original38
from ser_utils.features.original38 import NAMES

pytestmark = pytest.mark.numeric

EMOVO = paths.DATA / "EMOVO"
PUBLISHED = pd.read_csv(paths.ROOT / "tests" / "published_original38.csv", index_col="file")
"""Unaugmented rows of checkpoints/EMOVO_features.csv of github.com/fp1acm8/SER (commit bbf876b), to nine digits."""

SR = 48_000
NOTES = ("C", "Cs", "D", "Ds", "E", "F", "Fs", "G", "Gs", "A", "As", "B")


def named(y, sr=SR):
    return dict(zip(NAMES, original38.original38(y, sr), strict=True))


def tone(f0_hz, peak=0.5, duration_s=4.0):
    return (peak * np.sin(2 * np.pi * f0_hz * np.arange(round(duration_s * SR)) / SR)).astype(np.float32)


def noise(duration_s=2.0, std=0.1):
    return (std * np.random.default_rng(0).standard_normal(round(duration_s * SR))).astype(np.float32)


# The original study's numbers


def test_names_and_their_order():
    assert len(NAMES) == len(set(NAMES)) == 38
    assert NAMES[:12] == tuple(f"chroma_{note}" for note in NOTES)
    assert NAMES[12:18] == ("rms", "centroid_hz", "flatness", "bandwidth_hz", "rolloff_hz", "zcr")
    assert NAMES[18:] == tuple(f"mfcc_{i}" for i in range(1, 21))
    assert original38.SR == SR


@pytest.mark.skipif(not EMOVO.is_dir(), reason="needs the recordings of EMOVO in data/EMOVO")
@pytest.mark.parametrize("file", PUBLISHED.index)
def test_published_numbers_of_the_original_study(file):
    assert tuple(PUBLISHED.columns) == NAMES
    y, sr = read_audio(EMOVO / file, sr=48_000)
    np.testing.assert_allclose(original38.original38(y, sr), PUBLISHED.loc[file], rtol=1e-4)


def test_the_tuning_is_estimated_in_float64(monkeypatch):
    """In float32 the logarithm of a frequency on the edge of two bins differs between processors."""
    dtypes, estimate = [], original38.librosa.estimate_tuning
    monkeypatch.setattr(
        original38.librosa, "estimate_tuning", lambda *, S, **options: dtypes.append(S.dtype) or estimate(S=S, **options)
    )
    assert original38.original38(tone(440 * 2 ** (0.2 / 12)), SR)[:12].argmax() == 9, "the pitch class A"
    assert dtypes == [np.float64]


# Signals with known answers


@pytest.mark.parametrize("i", range(12))
def test_chroma_of_each_note(i):
    found = named(tone(440 * 2 ** ((i - 9) / 12)))
    chroma = [found[f"chroma_{note}"] for note in NOTES]
    assert np.argmax(chroma) == i
    assert chroma[i] == pytest.approx(1, abs=0.01)


@pytest.mark.filterwarnings("ignore:Trying to estimate tuning from empty frequency set")  # of a high tone
@pytest.mark.parametrize("k", [40, 100, 400])
def test_shape_of_a_tone(k):
    hz = k * SR / 2_048  # energy in one bin
    found = named(tone(hz))
    assert found["rms"] == pytest.approx(0.5 / np.sqrt(2), rel=0.01)
    assert found["centroid_hz"] == pytest.approx(hz, rel=0.005)
    assert found["rolloff_hz"] == pytest.approx(hz, abs=1.5 * SR / 2_048)
    assert found["zcr"] == pytest.approx(2 * hz / SR, rel=0.02)
    assert found["bandwidth_hz"] < 100
    assert found["flatness"] < 0.001


def test_shape_of_white_noise():
    found = named(noise())
    assert found["rms"] == pytest.approx(0.1, rel=0.02)
    assert found["centroid_hz"] == pytest.approx(12_000, rel=0.01)
    assert found["rolloff_hz"] == pytest.approx(0.85 * 24_000, rel=0.01)
    assert found["bandwidth_hz"] == pytest.approx(24_000 / np.sqrt(12), rel=0.01)
    assert found["flatness"] == pytest.approx(np.exp(-np.euler_gamma), abs=0.01)  # of exponentially distributed power
    assert found["zcr"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.filterwarnings("ignore:Trying to estimate tuning from empty frequency set")  # of a constant, or of nothing
@pytest.mark.parametrize(
    "y",
    [noise(0.1), noise(0.01), noise(0.01)[:1], 1e-4 * noise(0.5), np.ones(9_600, np.float32), np.zeros(9_600, np.float32)],
    ids=["short", "under a frame", "one sample", "soft", "constant", "silence"],
)
def test_limits_are_finite(y):
    assert np.isfinite(original38.original38(y, SR)).all()
