"""Reading and checking recordings: tones with known answers, and every way in which a file can be unusable."""

import hashlib
import re
import warnings

import numpy as np
import pytest
import soundfile as sf

from ser_utils.core import audio
from ser_utils.core.audio import AudioError, check_signal, describe, level_dbfs, read_audio
from ser_utils.features.f0 import f0_contour, signal_measures

pytestmark = pytest.mark.numeric


def tone(f0_hz=220.0, sr=16_000, duration_s=1.0, peak=0.5):
    return (peak * np.sin(2 * np.pi * f0_hz * np.arange(round(duration_s * sr)) / sr)).astype(np.float32)


def voice(f0_hz=220.0, sr=16_000, duration_s=1.0):
    """A tone with overtones, as a voice has."""
    return sum(tone(k * f0_hz, sr, duration_s, 0.3 / k) for k in range(1, 6))


def dbfs(level, size=16_000):
    """A square wave whose level is exactly that."""
    return np.where(np.arange(size) % 100 < 50, 1, -1).astype(np.float32) * np.float32(10 ** (level / 20))


@pytest.fixture
def wav(tmp_path):
    def write(y, sr=16_000, name="a.wav", subtype=None):
        subtype = subtype or ("PCM_16" if y.dtype == np.int16 else "FLOAT")
        sf.write(tmp_path / name, y, sr, subtype=subtype)
        return tmp_path / name

    return write


def test_reads_samples_as_they_are_and_averages_channels(wav):
    path = wav(np.stack([tone(220), tone(330)], axis=1))
    y, sr = read_audio(path, mono=False)
    assert (sr, y.dtype) == (16_000, np.float32)
    np.testing.assert_array_equal(y, [tone(220), tone(330)])
    np.testing.assert_allclose(read_audio(path)[0], y.mean(axis=0), atol=1e-7)


@pytest.mark.parametrize(("native", "wanted"), [(8_000, 48_000), (44_100, 48_000), (48_000, 16_000)])
def test_resampling_keeps_the_tone(wav, native, wanted):
    y, sr = read_audio(wav(tone(1_000, native), native), sr=wanted)
    assert (sr, y.dtype) == (wanted, np.float32)
    assert y.size in (wanted, wanted + 1)
    inner = slice(wanted // 10, wanted * 9 // 10)  # the filter rings at the ends
    np.testing.assert_allclose(y[inner], tone(1_000, wanted)[inner], atol=1e-3)


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [("a.flac", "PCM_16", 1e-4), ("a.ogg", "VORBIS", 0.05), ("a.mp3", "MPEG_LAYER_III", 0.05), ("A.WAV", "PCM_24", 1e-6)],
)
def test_reads_every_promised_format(wav, name, subtype, tolerance):
    path = wav(voice(), name=name, subtype=subtype)
    assert path.suffix.lower() in audio.SUFFIXES
    y, sr = read_audio(path)
    assert sr == 16_000
    assert abs(level_dbfs(y) - level_dbfs(voice())) < 20 * np.log10(1 + tolerance)


SECOND = np.zeros(16_000, np.float32)
UNUSABLE = {
    "no samples": (SECOND[:0], "empty: no samples"),
    "short": (tone()[:1_599], "too short: 0.100 s, at least 0.1 s needed"),
    "silent": (SECOND, "silent: its level is below -80 dBFS"),
    "hiss of the lowest bits": (dbfs(-80.1), "silent"),
    "opposite channels": (np.stack([tone(), -tone()], axis=1), "silent"),
    "one NaN": (np.where(np.arange(16_000) == 7, np.nan, tone()), "not finite"),
    "NaN in one channel": (np.stack([tone(), np.full(16_000, np.nan)], axis=1), "not finite"),
    "infinite": (np.where(np.arange(16_000) == 7, -np.inf, tone()), "not finite"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable_signal_is_refused_with_its_reason(wav, case):
    y, reason = UNUSABLE[case]
    path = wav(y)
    for function in (read_audio, describe):
        with pytest.raises(AudioError, match=re.escape(reason)):
            function(path)


@pytest.mark.parametrize("content", [None, b"", b"not audio at all", b"RIFF\x24\x00\x00\x00WAVEfmt "])
def test_unreadable_file_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(AudioError, match="^not readable as audio"):
        read_audio(tmp_path / "a.wav")


def test_limits_belong_to_the_usable_side():
    check_signal(tone()[:1_600], 16_000)
    check_signal(dbfs(-79.9), 16_000)


@pytest.mark.parametrize(
    ("y", "expected"),
    [(tone(peak=1), -3.0103), (tone(peak=0.1), -23.0103), (dbfs(0), 0), (dbfs(-40), -40), (SECOND, -240)],
)
def test_level(y, expected):
    assert level_dbfs(y) == pytest.approx(expected, abs=0.001)


def test_description_of_a_stereo_file(wav):
    path = wav(np.stack([tone(sr=8_000, duration_s=0.5)] * 2, axis=1), sr=8_000, subtype="PCM_16")
    assert describe(path) == {
        "duration_s": 0.5,
        "sample_rate": 8_000,
        "channels": 2,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "level_dbfs": pytest.approx(-9.03, abs=0.011),
        "peak": pytest.approx(0.5, abs=1e-4),
        "audio_sha256": describe(path)["audio_sha256"],
    }


def test_hash_of_the_samples_does_not_depend_on_the_container(wav):
    y = np.round(tone() * 32767).astype(np.int16)
    louder = y.copy()
    louder[7] += 1
    first, again, other = (describe(wav(*file)) for file in ((y,), (y, 16_000, "b.flac"), (louder, 16_000, "c.wav")))
    assert first["audio_sha256"] == again["audio_sha256"] != other["audio_sha256"]
    assert first["sha256"] != again["sha256"]


@pytest.mark.parametrize(("f0_hz", "sr"), [(100, 16_000), (220, 48_000), (440, 8_000)])
def test_f0_of_a_voice(f0_hz, sr):
    times, f0 = f0_contour(voice(f0_hz, sr), sr=sr)
    assert times.shape == f0.shape
    np.testing.assert_allclose(np.diff(times), 0.01)
    assert np.nanmedian(f0) == pytest.approx(f0_hz, rel=0.01)
    assert np.isfinite(f0).mean() > 0.9


def test_f0_is_not_a_number_where_nothing_is_voiced():
    noise = 0.1 * np.random.default_rng(0).standard_normal(16_000)
    times, f0 = f0_contour(np.concatenate([voice(), noise]).astype(np.float32), sr=16_000)
    assert np.isfinite(f0[times < 0.9]).mean() > 0.9
    assert np.isfinite(f0[times > 1.1]).mean() < 0.2


def test_measures_of_a_tone_with_a_soft_fifth():
    y = np.concatenate([voice(duration_s=1.6), 0.001 * voice(duration_s=0.4)])
    found = signal_measures(y, 16_000)
    assert found["duration_s"] == 2.0
    assert found["f0_hz"] == pytest.approx(220, rel=0.01)
    assert found["level_dbfs"] == pytest.approx(level_dbfs(voice()) + 10 * np.log10(0.8), abs=0.01)
    assert found["softest_dbfs"] == pytest.approx(level_dbfs(voice()) - 60, abs=0.5)


def test_measures_of_noise_have_no_f0_and_no_warning():
    noise = 0.1 * np.random.default_rng(0).standard_normal(4_000).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(signal_measures(noise, 16_000)["f0_hz"])
