"""Features compared with the reference implementation in `benchmarks.plain`, and checks that the comparison can fail."""

import librosa
import numpy as np
import pytest
import soundfile as sf

from benchmarks import plain, plain_f0, plain_prosody
from ser_utils.core import paths
from ser_utils.core.audio import read_audio
from ser_utils.features import f0, low_level_descriptors
from ser_utils.features.f0 import HOP, HOP_S, SR, aperiodicity, track_f0
from ser_utils.features.functionals import describe_functionals, functionals, names
from ser_utils.features.registry import FEATURE_SETS

DEMO = paths.ROOT / "data" / "demo"
CLIPS = ("f1/gio-f1-b1.ogg", "f2/rab-f2-l4.ogg", "f3/neu-f3-n3.ogg", "m1/tri-m1-d2.ogg", "m3/tri-m3-l4.ogg")
ORIGINAL38 = FEATURE_SETS["original38"].names
SIGNALS = (*CLIPS, "two microphones", "hum and bursts", "with silence", "silence")

TOLERANCE = {"st": 1e-5, "dB": 3e-3, "dB/kHz": 3e-3, "Hz": 2e-2, "1": 3e-5, "1/s": 1e-6, "s": 1e-6, "ln": 1e-5}
"""By unit, without its "per". Spectra in float32 have 7 digits relative to the highest bin, so valleys 100 dB below it, at the
floor of decibels, are uncertain. This changes percentiles of tilt and contrast by up to 1e-3 dB here; all others agree to 1e-5.
Counts (frames, lags of F0, bins of roll-off) have to be equal: no frame of these clips is a tie."""
CPP_TOLERANCE = {"dB": 5e-3, "dB per 10 ms": 1e-3, "dB/s": 3e-3, "dB per 10 dB": 5e-3, "1": 1e-3}
"""For the cepstral peak prominence: its trend line depends on the logarithm of a cepstrum that crosses zero, where the last
digit of a float32 changes decibels. The worst frames differ by 1e-2 dB, and statistics by a quarter of that."""


def glide(low_hz=110.0, high_hz=220.0, duration_s=1.0, sr=SR):
    """Return a voice whose F0 glides by a constant interval per second, and its F0 at every sample."""
    f0_hz = low_hz * (high_hz / low_hz) ** (np.arange(round(duration_s * sr)) / (duration_s * sr))
    phase = 2 * np.pi * np.cumsum(f0_hz) / sr
    return sum(np.sin(k * phase) / k for k in range(1, 16)), f0_hz


def two_microphones(sr=48_000):
    """Return a voice that rises, pauses and falls, recorded by two microphones with an offset and independent noise."""
    y = np.concatenate([glide(sr=sr)[0], np.zeros(sr // 4), 0.5 * glide(300.0, 180.0, sr=sr)[0]])
    two = np.stack([np.pad(y, (0, 20)), np.pad(0.6 * y, (20, 0))])
    return 0.2 * two + 0.01 * np.random.default_rng(1).standard_normal(two.shape) + 0.1, sr


def hum_and_bursts(sr=SR):
    """Return noise with a hum at 80 Hz, which is no high voice, and bursts of voice, 0.02 s to 0.08 s long."""
    parts = [np.sin(2 * np.pi * 80 * np.arange(sr // 2) / sr)]
    for i in range(7):
        parts += [np.zeros(sr // 10), glide(300.0, 300.0 + 40 * i, duration_s=0.02 + 0.01 * i)[0]]
    y = np.concatenate(parts)
    return y + 0.003 * np.random.default_rng(0).standard_normal(y.size), sr


def original38(y):
    """Compute the 38 features of a mono recording at 48 kHz by `ser_utils`."""
    return FEATURE_SETS["original38"].extract(y, 48_000)


def signal(name):
    if name == "two microphones":
        return two_microphones()
    if name == "hum and bursts":
        return hum_and_bursts()
    if name == "silence":
        return np.zeros(SR), SR
    if name != "with silence":
        return read_audio(DEMO / name, sr=SR, mono=False)
    y, sr = read_audio(DEMO / CLIPS[0], sr=SR)
    half = y.size // 2
    return np.concatenate([np.zeros(4_000), y[:half], np.zeros(8_000), y[half:], np.zeros(3_000)]), sr


@pytest.fixture(scope="module")
def cases():
    """The recording, sample rate, functionals of `ser_utils`, and their F0 and periodicity, for each signal."""
    results, f0_results = {}, []
    track_f0 = low_level_descriptors.track_f0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(low_level_descriptors, "track_f0", lambda y: f0_results.append(track_f0(y)) or f0_results[-1])
        for name in SIGNALS:
            y, sr = signal(name)
            results[name] = (y, sr, functionals(y, sr).astype(float), f0_results[-1])
    assert len(f0_results) == len(SIGNALS)
    return results


def tolerance(name, unit):
    return CPP_TOLERANCE[unit] if "quality_cpp" in name else TOLERANCE[unit.split(" ")[0].removesuffix("/s") or unit]


@pytest.fixture(scope="module")
def bounds():
    """Tolerance of every functional [shape=(n_features,)]."""
    table = describe_functionals()
    return np.array([tolerance(name, unit) for name, unit in zip(table.name, table.unit, strict=True)])


def off(case, bounds):
    """Return the functionals that differ from the reference, with the difference in units of the tolerance."""
    y, sr, values, f0_and_periodicity = case
    expected = plain.functionals(y, sr, f0=lambda _: f0_and_periodicity)
    assert tuple(expected) == names()
    ratio = np.abs(values - np.array(list(expected.values()))) / (bounds + 1e-6 * np.abs(values))  # float32: seven digits
    return {name: round(float(x), 1) for name, x in zip(names(), ratio, strict=True) if not x <= 1}


# Functionals


@pytest.mark.parametrize("name", SIGNALS)
def test_functionals_equal_the_reference(cases, bounds, name):
    assert off(cases[name], bounds) == {}


def test_tolerances_are_small_compared_with_the_variation_between_clips(cases, bounds):
    values = [functionals(read_audio(path, sr=SR)[0], SR) for path in sorted(DEMO.rglob("*.ogg"))[::17]]
    spread = np.std([*values, *(cases[name][2] for name in CLIPS)], axis=0)
    too_wide = bounds > 0.02 * spread
    assert [name for name, wide in zip(names(), too_wide, strict=True) if wide] == []


@pytest.mark.parametrize(
    ("module", "definition", "other", "families"),
    [
        (plain, "ACTIVE_DB", 24.5, "rhythm energy tilt shape contrast mfcc mel"),
        (plain, "LOWEST_HZ", 65, "energy shape link"),
        (plain, "SLOPE_HZ", ((65, 500), (520, 1500), (1520, 5000)), "tilt link"),
        (plain, "CONTRAST_HZ", (100, 300, 600, 1200, 2400, 4000, 7570), "contrast"),
        (plain, "MEL_HZ", (60, 7590), "mfcc mel link"),
        (plain_prosody, "MODULATION_HZ", (0.6, 2, 4, 6, 10, 20), "energy"),
        (plain_prosody, "PEAK_DB", -1.0, "rhythm"),
        (plain_prosody, "MIN_SEGMENT", 20, "f0"),
        (plain, "F0_MIN_HZ", 250.0, "quality"),
        (plain_prosody, "std", lambda x: np.std(x, ddof=1) if len(x) else 0.0, "rhythm energy f0"),
        (plain_prosody, "smooth", lambda e: np.convolve(np.pad(e, 2, mode="edge"), np.ones(5) / 5, mode="valid"), "energy"),
        (plain_prosody, "slope", lambda x, t: np.polyfit(t, x, 1)[0] * 1.001, "f0 energy tilt shape mel quality"),
    ],
)
def test_a_slightly_different_definition_is_detected(cases, bounds, monkeypatch, module, definition, other, families):
    monkeypatch.setattr(module, definition, other)
    detected = {name.split("_")[0] for name in off(cases[CLIPS[1]], bounds)}
    assert detected >= set(families.split())


# F0


@pytest.mark.parametrize("name", [*CLIPS, "with silence"])
def test_f0_equals_that_of_pyin(name):
    """The path is the same; F0 is exact, and that of pYIN rounded to a tenth of a semitone."""
    y, sr = signal(name)
    y = plain.prepared(y, sr).mean(axis=0, keepdims=True).astype(np.float32)
    (f0_hz, periodicity), (expected_hz, _) = track_f0(y), plain_f0.pyin_f0(y)
    voiced = ~np.isnan(f0_hz)
    assert voiced.sum() >= 50
    np.testing.assert_array_equal(voiced, ~np.isnan(expected_hz))
    assert 12 * np.abs(np.log2(f0_hz[voiced] / expected_hz[voiced])).max() <= 0.05 + 1e-6
    assert (periodicity[voiced] >= 0).all() and (periodicity[voiced] <= 1).all()


@pytest.mark.parametrize(
    ("definition", "other"),
    [("SWITCH", 0.02), ("BOLTZMANN", 1.5), ("NO_TROUGH", 0.1), ("THRESHOLDS", np.linspace(0, 1, 101)[1:] + 0.01)],
)
def test_a_slightly_different_f0_constant_is_detected(monkeypatch, definition, other):
    before = [track_f0(signal(name)[0])[0] for name in CLIPS]
    monkeypatch.setattr(f0, definition, other)
    f0._priors.cache_clear()
    after = [track_f0(signal(name)[0])[0] for name in CLIPS]
    f0._priors.cache_clear()
    assert any(not np.array_equal(a, b, equal_nan=True) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("name", [CLIPS[0], "two microphones"])
def test_aperiodicity_equals_the_reference(name):
    y = plain.prepared(*signal(name))[:, : 2 * SR]
    found, expected = aperiodicity(y), plain_f0.aperiodicity(y)
    defined = expected.max(axis=1) > 0  # undefined in digital silence
    np.testing.assert_allclose(found[defined], expected[defined], atol=2e-3)
    assert defined.sum() > 50


def test_silence_has_no_f0():
    assert all(np.isnan(values).all() for values in track_f0(np.zeros((1, SR))))


@pytest.mark.parametrize("f0", [plain_f0.pyin_f0, track_f0])
def test_frames_of_both_f0_estimates_are_centred_on_every_hop(f0):
    y, f0_hz = glide(duration_s=0.5)  # 0.24 semitones a frame
    found, periodicity = f0(plain.prepared(y, SR))
    assert found.shape == periodicity.shape == (1 + y.size // HOP,)
    semitones = 12 * np.log2(found[5:-5] / f0_hz[::HOP][5 : found.size - 5])
    assert np.abs(semitones).max() < 0.2
    assert abs(semitones.mean()) < 0.08
    assert (periodicity[5:-5] > 0.1).all()


def test_reference_functionals_use_pyin_by_default():
    y, _ = glide(duration_s=0.5)
    found = plain.functionals(y, SR)
    assert tuple(found) == names() and np.isfinite(list(found.values())).all()
    assert found["f0_slope"] == pytest.approx(12 / 0.5, rel=0.05)
    probability = plain_f0.pyin_f0(plain.prepared(y, SR))[1]
    assert found["quality_strength_voiced_p90"] == pytest.approx(np.nanpercentile(probability, 90), rel=0.05)


def test_agreement_counts_half_semitones_where_both_are_voiced_and_voicing_everywhere():
    a = np.array([100.0, 100.0, 100.0, 100.0, np.nan, np.nan, 100.0, np.nan])
    b = np.array([100.0, 102.8, 97.3, 200.0, np.nan, 100.0, np.nan, np.nan])
    assert plain_f0.agreement(a, b) == (0.75, 0.75)
    assert plain_f0.agreement(b, a) == (0.75, 0.75)
    assert plain_f0.agreement(a, 1.03 * a) == (0.0, 1.0)
    within, voicing = plain_f0.agreement(np.full(3, np.nan), a[:3])
    assert np.isnan(within) and voicing == 0


def test_active_span_excludes_silence_around_but_not_within():
    tone = np.sin(2 * np.pi * 300 * np.arange(SR // 2) / SR)
    y = np.concatenate([np.zeros(SR), tone, np.zeros(SR), tone, np.zeros(SR)])[None]
    span = plain.active_span(plain.active_frames(plain.levels(plain.short_spectra(y))))
    assert (span.start * HOP_S, span.stop * HOP_S) == pytest.approx((1, 3), abs=0.03)


# The original study's 38


@pytest.mark.parametrize("name", SIGNALS[:-1])
def test_original38_equals_one_library_call_per_feature(name):
    y, sr = signal(name)
    y = librosa.resample(np.atleast_2d(y).mean(axis=0), orig_sr=sr, target_sr=48_000).astype(np.float32)
    found, expected = original38(y), plain.original38(y, 48_000)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert len(set(np.round(expected, 6))) == len(ORIGINAL38)


@pytest.mark.parametrize("keywords", [{"pad_mode": "constant"}, {"n_fft": 1_024}])
def test_different_frames_of_the_38_are_detected(monkeypatch, keywords):
    y, _ = read_audio(DEMO / CLIPS[0], sr=48_000)
    y = y[14_400:43_200]  # starts and ends amid speech, where the padding matters
    spectral_centroid = librosa.feature.spectral_centroid
    monkeypatch.setattr(librosa.feature, "spectral_centroid", lambda **how: spectral_centroid(**how | keywords))
    expected = plain.original38(y, 48_000)
    monkeypatch.undo()
    other = np.abs(original38(y) / expected - 1) > 1e-4
    assert [name for name, is_other in zip(ORIGINAL38, other, strict=True) if is_other] == ["centroid_hz"]


def test_rows_of_a_clip_are_original_noise_and_stretch_pitch(tmp_path):
    y = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000).astype(np.float32)
    sf.write(tmp_path / "a.wav", np.stack([y, y], axis=1), 48_000, subtype="FLOAT")
    rows = plain.original38_clip(tmp_path / "a.wav", rng=np.random.default_rng(0))
    own, noisy, higher = (dict(zip(ORIGINAL38, row, strict=True)) for row in rows)
    np.testing.assert_allclose(rows[0], plain.original38(y, 48_000))
    amplitude = 0.035 * 0.5 * np.random.default_rng(0).uniform()
    assert noisy["rms"] == pytest.approx(np.hypot(own["rms"], amplitude), rel=1e-3)
    assert noisy["flatness"] > 20 * own["flatness"]
    assert higher["zcr"] == pytest.approx(own["zcr"] * 2 ** (0.7 / 12), rel=0.02)
