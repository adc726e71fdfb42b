"""Functionals: F0 of tones and glides, levels, pauses and tilts with known answers, and degenerate signals."""

import re
import warnings
from itertools import pairwise

import librosa
import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter

from ser_utils.core import paths
from ser_utils.core.audio import read_audio
from ser_utils.features.f0 import N_PITCH, WIN_F0, best_path
from ser_utils.features.functionals import describe_functionals, functionals, names, statistics
from ser_utils.features.low_level_descriptors import N_FFT_LONG, cepstral_peak_prominence, extract_llds, prepare
from ser_utils.features.prosody import MODULATION_HZ, f0_steps
from ser_utils.features.spectra import CONTRAST_HZ, HZ, SLOPE_HZ, mel_llds, shape_llds

pytestmark = pytest.mark.numeric

SR = 16_000
DEMO = paths.ROOT / "data" / "demo"
CLIPS = [DEMO / file for file in ("f1/dis-f1-b1.ogg", "f3/pau-f3-l4.ogg", "m1/dis-m1-b1.ogg", "m2/pau-m2-l4.ogg")]


def voice(f0_hz=200.0, duration_s=1.0, sr=SR, harmonics=20):
    """Return harmonics that fall by 6 dB per octave; `f0_hz` is a number or an array with one value per sample."""
    phase = 2 * np.pi * np.cumsum(np.full(round(duration_s * sr), f0_hz)) / sr
    return sum(np.sin(k * phase) / k for k in range(1, harmonics + 1) if k * np.max(f0_hz) < sr / 2)


def glide(semitones, duration_s=1.0, f0_hz=200.0):
    return f0_hz * 2 ** (np.linspace(-0.5, 0.5, round(duration_s * SR)) * semitones / 12)


def hiss(duration_s=1.0, channels=None):
    size = round(duration_s * SR)
    return np.random.default_rng(0).standard_normal(size if channels is None else (channels, size))


def named(y, sr=SR):
    return dict(zip(names(), functionals(y, sr).tolist(), strict=True))


def llds_of(y, sr=SR):
    return extract_llds(prepare(y, sr))


@pytest.fixture(scope="module")
def clips():
    return [read_audio(path, sr=SR)[0] for path in CLIPS]


@pytest.fixture(scope="module")
def spread():
    """Standard deviation of each functional between clips [shape=(n_features,)], the scale of differences."""
    values = np.array([functionals(read_audio(path, sr=SR)[0], SR) for path in sorted(DEMO.rglob("*.ogg"))[::6]])
    return np.maximum(values.std(axis=0), 1e-6 * np.abs(values).max(axis=0))


# F0


@pytest.mark.parametrize("f0_hz", [65.0, 110.0, 220.0, 580.0])
@pytest.mark.parametrize("harmonics", [1, 5, 20])
def test_f0_of_a_tone(f0_hz, harmonics):
    llds = llds_of(voice(f0_hz, harmonics=harmonics))
    low_hum = harmonics == 1 and f0_hz < 150
    assert low_hum or llds.voiced.mean() > 0.95
    np.testing.assert_allclose(100 * 2 ** (llds.f0_st[llds.voiced][3:-3] / 12), f0_hz, rtol=0.05 if low_hum else 0.01)


def test_f0_of_a_voice_without_its_fundamental():
    y = voice(150.0) - voice(150.0, harmonics=1)
    assert named(y)["f0_abs_p50"] == pytest.approx(12 * np.log2(1.5), abs=0.17)


def test_level_of_f0_is_in_semitones_above_100_hz_and_its_shape_is_not():
    low, high = (named(voice(glide(6, f0_hz=f0_hz))) for f0_hz in (120.0, 240.0))
    for name in ("f0_abs_p50", "f0_abs_mean", "f0_abs_p10", "f0_abs_p90"):
        assert high[name] - low[name] == pytest.approx(12, abs=0.2)
    assert low["f0_abs_p50"] == pytest.approx(12 * np.log2(1.2), abs=0.2)
    for name in (name for name in names() if name.startswith(("f0_rel", "f0_std", "f0_range", "f0_quarter", "f0_end"))):
        assert high[name] == pytest.approx(low[name], abs=0.2)


@pytest.mark.parametrize("semitones", [-9.0, -3.0, 3.0, 9.0])
def test_slope_and_range_of_a_glide(semitones):
    found = named(voice(glide(semitones, duration_s=1.5), duration_s=1.5))
    per_second = semitones / 1.5
    for name in ("f0_slope", "f0_segment_slope"):
        assert found[name] == pytest.approx(per_second, rel=0.03)
    assert found["f0_delta_mean"] == pytest.approx(per_second / 100, rel=0.05)
    assert found["f0_delta"] == pytest.approx(abs(per_second) / 100, rel=0.15)
    assert found["f0_range"] == pytest.approx(0.9 * abs(semitones), rel=0.05)
    assert found["f0_std"] == pytest.approx(abs(semitones) / np.sqrt(12), rel=0.05)
    quarters = [found[f"f0_quarter{i}"] for i in range(4)]
    np.testing.assert_allclose(quarters, semitones * np.array([-3, -1, 1, 3]) / 8, atol=0.15)
    assert found["f0_end"] == pytest.approx(0.425 * semitones, abs=0.2)
    assert found["f0_peak_position"] == pytest.approx(float(semitones > 0), abs=0.1)


def test_rising_and_falling_steps():
    up, down = (named(voice(glide(st))) for st in (12, -12))
    assert up["f0_rising"] > 0.9 and down["f0_rising"] < 0.05
    assert up["f0_delta_p90"] == pytest.approx(-down["f0_delta_p10"], abs=0.02)


def test_leap_over_a_gap_is_no_step():
    found = f0_steps(np.array([1.0, 1.1, 1.2, 9.0, 9.1]), np.array([10, 11, 12, 40, 41]))
    assert found["f0_delta"] == found["f0_delta_mean"] == pytest.approx(0.1)


def test_tremor_shakes_f0():
    t = np.arange(SR) / SR
    still, shaken = (named(voice(200 * 2 ** (depth * np.sin(2 * np.pi * 6 * t) / 12))) for depth in (0, 0.5))
    smoothed = np.sinc(6 * WIN_F0 / SR)  # a frame of 64 ms averages over a third of the tremor's period
    assert shaken["f0_std"] == pytest.approx(smoothed * 0.5 / np.sqrt(2), rel=0.15)
    assert still["f0_std"] < 0.02
    assert shaken["f0_jitter"] > 5 * still["f0_jitter"]


def test_periodicity_of_a_voice_grows_with_f0_to_nearly_one_and_noise_reduces_it():
    periodicity = [np.median(llds_of(voice(f0_hz)).voice_quality["quality_strength"]) for f0_hz in (65, 100, 300)]
    np.testing.assert_allclose(periodicity, [0.87, 0.92, 0.965], atol=0.01)
    c = llds_of(voice(150.0) + 0.3 * hiss())
    assert 0.5 < np.median(c.voice_quality["quality_strength"][c.voiced]) < 0.95


def test_best_path_bridges_a_short_octave_error_and_a_long_gap_is_unvoiced():
    probabilities = np.zeros((60, N_PITCH))
    probabilities[:30, 100] = 0.8
    probabilities[10:12, 100], probabilities[10:12, 220] = 0.3, 0.6
    path = best_path(probabilities)
    assert (path[:30] == 100).all()
    assert (path[31:] >= N_PITCH).all()


# Invariance


@pytest.mark.parametrize("gain", [0.01, 0.1, 1 / 3, 10.0])
def test_recording_level_changes_nothing(clips, spread, gain):
    for y in clips:
        assert np.abs((functionals(np.float32(gain) * y, SR) - functionals(y, SR)) / spread).max() < 0.02


@pytest.mark.parametrize("sr", [SR, 48_000])
def test_offset_changes_nothing(clips, spread, sr):
    y = librosa.resample(clips[1], orig_sr=SR, target_sr=sr)
    assert np.abs((functionals(y + np.float32(0.2), sr) - functionals(y, sr)) / spread).max() < 0.05


def test_silence_before_and_after_changes_nothing(clips, spread):
    y = clips[1]
    padded = np.pad(y, (3_200, 4_800))
    assert np.median(np.abs((functionals(padded, SR) - functionals(y, SR)) / spread)) < 0.03
    assert named(padded)["rhythm_log_duration"] == pytest.approx(named(y)["rhythm_log_duration"], abs=0.03)


def test_second_microphone_changes_little_and_its_mix_with_the_first_much(clips, spread):
    """The reason to average power instead of waveforms: 0.4 ms of delay between two microphones."""
    for y in clips:
        two = np.stack([np.pad(y, (0, 6)), np.pad(y, (6, 0))])
        one, power, mix = functionals(y, SR), functionals(two, SR), functionals(two.mean(axis=0), SR)
        assert np.abs((power - one) / spread).mean() < 0.05
        assert np.abs((mix - one) / spread).mean() > 0.25


def test_equal_channels_equal_one_channel(clips, spread):
    y = clips[0]
    for other in (y[None], np.stack([y, y]), np.stack([y, -y])):
        assert np.abs((functionals(other, SR) - functionals(y, SR)) / spread).max() < 0.01


def test_sample_rate_changes_little(clips, spread):
    wide = [librosa.resample(y, orig_sr=SR, target_sr=48_000) for y in clips]
    changes = [functionals(w, 48_000) - functionals(y, SR) for w, y in zip(wide, clips, strict=True)]
    assert np.abs(changes / spread).mean() < 0.03


# Level, rhythm, spectrum


def test_pause_of_half_a_second_and_a_gap_of_a_tenth():
    found = named(np.concatenate([voice(150.0), np.zeros(SR // 2), voice(150.0)]))
    assert np.exp(found["rhythm_log_duration"]) == pytest.approx(2.5, abs=0.05)
    for name in ("rhythm_pause_max", "rhythm_pause_mean"):
        assert found[name] == pytest.approx(0.5, abs=0.04)  # a frame extends 16 ms to either side
    assert found["rhythm_pause_share"] == pytest.approx(0.2, abs=0.02)
    assert found["rhythm_active_share"] == pytest.approx(0.8, abs=0.02)
    assert found["rhythm_pause_rate"] == pytest.approx(1 / 2.5, abs=0.01)
    assert found["rhythm_voiced_rate"] == pytest.approx(2 / 2.5, abs=0.02)
    assert found["rhythm_voiced_mean"] == found["rhythm_voiced_max"] == pytest.approx(1.0, abs=0.05)
    found = named(np.concatenate([voice(150.0, 0.5), np.zeros(SR // 10), voice(150.0, 0.5)]))
    assert found["rhythm_pause_share"] == found["rhythm_pause_rate"] == 0
    assert found["rhythm_pause_max"] == pytest.approx(0.07, abs=0.03)


def test_syllables_at_four_a_second():
    t = np.arange(3 * SR) / SR
    found = named(voice(150.0, 3.0) * (0.55 - 0.45 * np.cos(2 * np.pi * 4 * t)))
    assert found["rhythm_peak_rate"] == pytest.approx(4, abs=0.4)
    bands = {name: value for name, value in found.items() if name.startswith("energy_modulation")}
    assert max(bands, key=bands.get) == "energy_modulation_6hz"  # from 4 to below 6 Hz
    assert found["energy_std"] > 3


def test_modulation_stays_in_its_band():
    t = np.arange(round(3.13 * SR)) / SR
    for hz, own, far in ((3, "4hz", "2hz"), (5, "6hz", "2hz"), (5, "6hz", "4hz")):
        found = named(voice(150.0, 3.13) * 10 ** (0.3 * np.sin(2 * np.pi * hz * t)))
        assert found[f"energy_modulation_{own}"] > -0.1
        assert found[f"energy_modulation_{far}"] < -6  # although the clip is no whole number of periods


def test_level_that_falls_by_ten_decibels_a_second():
    t = np.arange(2 * SR) / SR
    found = named(voice(150.0, 2.0) * 10 ** (-10 * t / 20))
    assert found["energy_slope"] == pytest.approx(-10, rel=0.05)
    assert found["energy_delta"] == pytest.approx(0.1, rel=0.5)
    np.testing.assert_allclose([found[f"energy_quarter{i}"] for i in range(4)], [7.5, 2.5, -2.5, -7.5], atol=0.5)
    assert found["energy_p90"] - found["energy_p10"] == pytest.approx(16, abs=0.5)


def test_tilt_of_low_passed_noise():
    white, red = named(hiss()), named(lfilter([1], [1, -0.95], hiss()))
    assert white["tilt_alpha_active_mean"] == pytest.approx(10 * np.log10(4000 / 950), abs=0.4)
    for name in ("alpha", "slope500", "slope1500", "slope5000"):
        assert red[f"tilt_{name}_active_mean"] < white[f"tilt_{name}_active_mean"] - 1
    assert abs(white["tilt_slope5000_active_mean"]) < 0.5
    assert red["tilt_hammarberg_active_mean"] > white["tilt_hammarberg_active_mean"] + 5
    assert red["shape_centroid_active_mean"] < 0.6 * white["shape_centroid_active_mean"]


def test_shape_of_white_noise_and_of_a_tone():
    noise, tone = named(hiss()), named(np.sin(2 * np.pi * 1_000 * np.arange(SR) / SR))
    middle = (60 + 8_000) / 2
    assert noise["shape_centroid_active_mean"] == pytest.approx(middle, rel=0.02)
    for percent in (25, 50, 85):
        assert noise[f"shape_rolloff{percent}_active_mean"] == pytest.approx(60 + percent / 100 * 7_940, rel=0.03)
        assert tone[f"shape_rolloff{percent}_active_mean"] == pytest.approx(1_000, abs=32)
    assert noise["shape_bandwidth_active_mean"] == pytest.approx(7_940 / np.sqrt(12), rel=0.03)
    assert tone["shape_centroid_active_mean"] == pytest.approx(1_000, abs=10)
    assert noise["shape_flatness_active_mean"] == pytest.approx(-2.5, abs=0.2)  # an exponential's geometric mean
    assert tone["shape_flatness_active_mean"] < -30
    assert tone["shape_flux_active_mean"] < 0.1 < noise["shape_flux_active_mean"]


@pytest.mark.parametrize("hz", [300, 1_000, 3_000, 6_000])
def test_mel_band_of_a_tone(hz):
    found = named(np.sin(2 * np.pi * hz * np.arange(SR) / SR))
    loudest = max(range(20), key=lambda i: found[f"mel_{i}_active_mean"])
    meaning = describe_functionals().set_index("name").meaning[f"mel_{loudest}_active_mean"]
    low, high = map(int, re.search(r"(\d+)-(\d+) Hz", meaning).groups())
    assert low < hz < high


def test_mel_levels_are_relative_to_the_given_level():
    S = np.random.default_rng(0).exponential(size=(HZ.size, 9))
    loud, soft = mel_llds(100 * S, level_db=50), mel_llds(S, level_db=30)
    for name in soft:
        np.testing.assert_allclose(loud[name], soft[name], atol=1e-9)
    assert mel_llds(S, level_db=300)["mel_3"].tolist() == [-85] * 9


def test_flux_depends_on_the_shape_and_not_on_the_level():
    S = np.random.default_rng(0).exponential(size=(HZ.size, 1)) * 10.0 ** np.arange(-2, 3)
    assert shape_llds(S)["shape_flux"].max() < 1e-6
    low, high = (np.where((low <= HZ) & (high > HZ), 1.0, 0.0) for low, high in ((100, 200), (300, 400)))
    assert shape_llds(np.stack([low, high], axis=1))["shape_flux"].tolist() == pytest.approx([0, np.sqrt(2)])


def test_voice_quality_separates_voice_from_noise_and_breathy_from_clear():
    clear, noise, breathy = named(voice(150.0)), named(hiss()), named(voice(150.0) + 0.5 * hiss())
    for name in ("quality_cpp_voiced_mean", "quality_strength_voiced_mean"):
        assert clear[name] > breathy[name] > noise[name]
    assert clear["quality_h1h2_voiced_mean"] == pytest.approx(20 * np.log10(2), abs=0.7)
    assert clear["quality_h1h4_voiced_mean"] == pytest.approx(20 * np.log10(4), abs=0.7)
    assert named(voice(150.0, harmonics=1) * 3 + voice(150.0))["quality_h1h2_voiced_mean"] > 15


def test_cepstral_peak_stands_above_the_trend():
    """A cepstrum that falls by 0.05 dB a sample, and a peak of 20 dB at the period of 160 Hz."""
    lag = np.arange(N_FFT_LONG)
    lag = np.minimum(lag, N_FFT_LONG - lag)
    cepstrum = 10 ** ((-20 - 0.05 * lag + 20 * (lag == 100)) / 20)
    assert cepstral_peak_prominence(np.fft.rfft(cepstrum).real[None])[0] == pytest.approx(20, abs=0.2)


def test_link_of_f0_to_level():
    """F0 rises by 6 st while the level rises by 20 dB: 3 st per 10 dB, and a correlation of 1."""
    found = named(voice(glide(6)) * 10 ** np.linspace(-1, 0, SR))
    assert found["link_f0_per_10db"] == pytest.approx(3, rel=0.05)
    assert found["link_f0_corr"] == pytest.approx(1, abs=0.02)
    assert named(voice(glide(-6)) * 10 ** np.linspace(-1, 0, SR))["link_f0_corr"] == pytest.approx(-1, abs=0.02)


def test_statistics_of_a_ramp():
    mask = np.ones(101, dtype=bool)
    mask[40:60] = False  # a gap neither bends the slope nor counts as a step
    llds = {"ramp": np.linspace(0, 1, 101), "fall": np.linspace(1, 0, 101), "mfcc_1": np.ones(101)}
    found = statistics(llds, mask=mask, frames="active")
    assert found["ramp_active_slope"] == pytest.approx(1, rel=1e-4)
    assert found["fall_active_slope"] == pytest.approx(-1, rel=1e-4)
    for name in ("ramp_active_delta", "fall_active_delta"):
        assert found[name] == pytest.approx(0.01, rel=0.03)  # per frame of 10 ms
    assert found["ramp_active_mean"] == pytest.approx(np.linspace(0, 1, 101)[mask].mean())
    assert found["ramp_active_p10"] == pytest.approx(np.percentile(np.linspace(0, 1, 101)[mask], 10))
    assert [name for name in found if "mfcc" in name] == ["mfcc_1_active_mean", "mfcc_1_active_std"]


# Degenerate signals

CLICK = np.eye(1, SR, SR // 2)[0]
ODD = {
    "nothing": (np.zeros(0), SR),
    "one sample": (np.ones(1), SR),
    "one sample at 48 kHz, stereo": (np.ones((2, 1)), 48_000),
    "fifty samples": (voice()[:50], SR),
    "digital silence": (np.zeros(SR), SR),
    "offset alone": (np.full(SR, 0.3), SR),
    "a click in digital silence": (CLICK, SR),
    "a click at the very start": (np.roll(CLICK, -SR // 2), SR),
    "two clicks": (CLICK + np.roll(CLICK, 5_000), SR),
    "white noise": (hiss(), SR),
    "noise below every level": (1e-9 * hiss(), SR),
    "clipped": (np.clip(50 * voice(), -1, 1), SR),
    "mains hum below F0": (np.sin(2 * np.pi * 50 * np.arange(SR) / SR), SR),
    "tone above F0": (np.sin(2 * np.pi * 5_000 * np.arange(SR) / SR), SR),
    "a burst of 30 ms": (np.pad(voice(200.0, 0.03), (4_000, 4_000)), SR),
    "a voiced burst and noise": (np.concatenate([voice(200.0, 0.05), 0.3 * hiss(0.5)]), SR),
    "not a number": (np.concatenate([[np.nan, np.inf, -np.inf], voice()]), SR),
    "16-bit integers": ((20_000 * voice()).astype(np.int16), SR),
    "8 kHz": (voice(sr=8_000), 8_000),
    "11.025 kHz": (voice(sr=11_025), 11_025),
    "48 kHz, stereo": (np.stack([voice(sr=48_000), voice(150.0, sr=48_000)]), 48_000),
    "six channels": (hiss(0.3, channels=6), SR),
}


@pytest.mark.parametrize("y, sr", ODD.values(), ids=ODD)
def test_any_signal_has_all_functionals_and_they_are_finite(y, sr):
    before = y.copy()
    with warnings.catch_warnings(), np.errstate(divide="raise", invalid="raise", over="raise"):
        warnings.simplefilter("error")
        found = functionals(y, sr)
    assert found.shape == (len(names()),) and found.dtype == np.float32
    assert np.isfinite(found).all()
    assert np.abs(found).max() < 1e5  # no division by almost zero
    np.testing.assert_array_equal(y, before)
    if not y.any():
        assert all(value == 0 for name, value in zip(names(), found, strict=True) if name.startswith("f0_"))


# Names and descriptions


def test_no_functional_is_constant(spread, clips):
    values = np.array([functionals(y, SR) for y in [*clips, voice(), hiss()]])
    assert [name for name, value in zip(names(), np.ptp(values, axis=0), strict=True) if value == 0] == []


def test_every_name_has_one_description_with_unit_and_source():
    table = describe_functionals()
    assert list(table.columns) == ["name", "family", "unit", "meaning", "source"]
    assert tuple(table.name) == names() and len(set(names())) == 485
    assert table.family.tolist() == [name.split("_")[0] for name in names()]
    assert table.notna().all().all() and not table.meaning.duplicated().any()
    references = pd.read_csv(paths.ROOT / "ser_utils" / "features" / "references.csv")
    assert set("; ".join(table.source).split("; ")) == set(references.source)


def test_descriptions_give_the_limits_of_bands():
    meaning = describe_functionals().set_index("name").meaning
    for low, high in pairwise(MODULATION_HZ):
        assert f"{low}-{high} Hz" in meaning[f"energy_modulation_{high}hz"]
    for i, (low, high) in enumerate(pairwise(CONTRAST_HZ)):
        assert f"{low}-{high} Hz" in meaning[f"contrast_{i}_active_mean"]
    for low, high in SLOPE_HZ:
        assert f"{low}-{high} Hz" in meaning[f"tilt_slope{high}_active_mean"]


def test_units():
    units = {
        "f0_abs_p50": "st re 100 Hz",
        "f0_delta": "st per 10 ms",
        "rhythm_pause_rate": "1/s",
        "tilt_slope500_active_slope": "dB/kHz/s",
        "shape_centroid_voiced_delta": "Hz per 10 ms",
        "shape_flux_active_p90": "1",
        "link_shape_centroid_per_10db": "Hz per 10 dB",
        "link_shape_centroid_corr": "1",
    }
    assert describe_functionals().set_index("name").unit[list(units)].to_dict() == units
