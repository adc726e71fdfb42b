"""The original study's 38 features: published numbers, slow definitions beside the fast ones, and tones with known answers."""

import numpy as np
import pandas as pd
import pytest
import scipy.fft

from ser_utils.core import paths
from ser_utils.core.audio import read_audio
from ser_utils.features import original38, short_time
from ser_utils.features.original38 import NAMES

pytestmark = pytest.mark.numeric

DEMO = paths.ROOT / "data" / "demo"
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


# The same by slow, plain definitions: numpy and double precision, frame by frame


def frames_of(y, mode):
    """Frames of 2048 samples, one every 512, centred: 1024 samples are padded at either end."""
    padded = np.pad(y.astype(np.float64), 1_024, mode=mode)
    return np.array([padded[512 * i : 512 * i + 2_048] for i in range(1 + len(y) // 512)])


def mel_of_hz(hz):
    """Slaney's mel scale: linear up to 1 kHz, then logarithmic."""
    hz = np.asarray(hz, dtype=float)
    return np.where(hz < 1_000, 3 * hz / 200, 15 + 27 * np.log(np.maximum(hz, 1_000) / 1_000) / np.log(6.4))


def hz_of_mel(mel):
    mel = np.asarray(mel, dtype=float)
    return np.where(mel < 15, 200 * mel / 3, 1_000 * np.exp((mel - 15) * np.log(6.4) / 27))


def mfcc(power, hz):
    """128 triangular bands of equal area up to half the sample rate; decibels, at most 80 below the peak; cosine transform."""
    corners = hz_of_mel(np.linspace(0, mel_of_hz(hz[-1]), 130))
    bands = np.zeros((128, hz.size))
    for band, (low, centre, high) in enumerate(zip(corners[:-2], corners[1:-1], corners[2:], strict=True)):
        up, down = (hz - low) / (centre - low), (high - hz) / (high - centre)
        bands[band] = np.maximum(0, np.minimum(up, down)) * 2 / (high - low)
    log_mel = 10 * np.log10(np.maximum(power @ bands.T, 1e-10))
    return scipy.fft.dct(np.maximum(log_mel, log_mel.max() - 80), type=2, norm="ortho", axis=1)[:, :20]


def by_definition(y, sr):
    """All but the chroma."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2_048) / 2_048)
    hz = np.arange(1_025) * sr / 2_048
    reflected = frames_of(y, "reflect")
    magnitude = np.abs(np.fft.rfft(reflected * hann, axis=1))
    share = magnitude / magnitude.sum(axis=1, keepdims=True)
    centroid = (share * hz).sum(axis=1)
    floored = np.maximum(magnitude**2, 1e-10)
    above = np.cumsum(share, axis=1) >= 0.85
    negative = frames_of(y, "edge") < 0
    per_frame = {
        "rms": np.sqrt((reflected**2).mean(axis=1)),
        "centroid_hz": centroid,
        "flatness": np.exp(np.log(floored).mean(axis=1)) / floored.mean(axis=1),
        "bandwidth_hz": np.sqrt((share * (hz - centroid[:, None]) ** 2).sum(axis=1)),
        "rolloff_hz": hz[above.argmax(axis=1)],
        "zcr": (negative[:, 1:] != negative[:, :-1]).sum(axis=1) / 2_048,
    }
    return {name: values.mean() for name, values in per_frame.items()} | {
        f"mfcc_{i}": value for i, value in enumerate(mfcc(magnitude**2, hz).mean(axis=0), 1)
    }


@pytest.mark.parametrize("file", ["f2/gio-f2-b1.ogg", "m3/rab-m3-n3.ogg"])
def test_values_are_those_of_the_definitions(file):
    y, sr = read_audio(DEMO / file, sr=SR)
    y = y[int(0.3 * sr) : int(0.9 * sr)]  # starts and ends amid speech, where the padding tells
    found, expected = named(y, sr), by_definition(y, sr)
    assert list(expected) == list(NAMES[12:])
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=2e-4, abs=2e-4 if name.startswith("mfcc") else 0), name


# Signals with known answers


@pytest.mark.parametrize("i", range(12))
def test_chroma_of_each_note(i):
    found = named(tone(440 * 2 ** ((i - 9) / 12)))
    chroma = [found[f"chroma_{note}"] for note in NOTES]
    assert np.argmax(chroma) == i
    assert chroma[i] == pytest.approx(1, abs=0.01)


def test_chroma_is_power_relative_to_the_strongest_note():
    soft, softer = (named(tone(440) + tone(440 * 2 ** (6 / 12), peak)) for peak in (0.2, 0.1))
    assert soft["chroma_A"] == pytest.approx(1, abs=0.01)
    assert soft["chroma_Ds"] / softer["chroma_Ds"] == pytest.approx(4, rel=0.05)


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


def test_level_moves_rms_and_the_first_mfcc_alone():
    loud, soft = named(noise(std=0.2)), named(noise(std=0.02))
    assert loud["rms"] / soft["rms"] == pytest.approx(10, rel=1e-4)
    assert loud["mfcc_1"] - soft["mfcc_1"] == pytest.approx(20 * np.sqrt(128), rel=1e-3)
    for name in set(NAMES) - {"rms", "mfcc_1"}:
        assert loud[name] == pytest.approx(soft[name], rel=1e-3, abs=1e-3), name


@pytest.mark.filterwarnings("ignore:Trying to estimate tuning from empty frequency set")  # of a constant, or of nothing
@pytest.mark.parametrize(
    "y",
    [noise(0.1), noise(0.01), noise(0.01)[:1], 1e-4 * noise(0.5), np.ones(9_600, np.float32), np.zeros(9_600, np.float32)],
    ids=["short", "under a frame", "one sample", "soft", "constant", "silence"],
)
def test_limits_are_finite(y):
    assert np.isfinite(original38.original38(y, SR)).all()


def test_every_frame_is_transformed_once(monkeypatch):
    transformed, rfft = [], short_time.scipy.fft.rfft
    monkeypatch.setattr(short_time.scipy.fft, "rfft", lambda x, **how: transformed.append(len(x)) or rfft(x, **how))
    y = noise(0.5)
    original38.original38(y, SR)
    assert sum(transformed) == 1 + y.size // 512
