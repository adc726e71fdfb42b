"""Augmentation: signals with known answers, and dependence of random variants on clip and seed only."""

import re

import librosa
import numpy as np
import pytest
from scipy.stats import kurtosis

from ser_utils.core.errors import StudyError
from ser_utils.core.tables import ORIGINAL
from ser_utils.features import augmentation
from ser_utils.features.augmentation import AUGMENTATIONS, STRENGTHS, Augmentation, augment, check_strengths, check_variants
from ser_utils.features.f0 import f0_contour

pytestmark = pytest.mark.numeric

SR = 16_000
NAMES = [f"f1/joy-f1-{i}.wav" for i in range(200)]


def voice(f0_hz=200.0, duration_s=2.0, peak=0.5):
    t = np.arange(round(duration_s * SR)) / SR
    y = sum(np.sin(2 * np.pi * k * f0_hz * t) / k for k in range(1, 8))
    return (peak * y / y.max()).astype(np.float32)


def changed(variant, y=None, clip="a.wav", seed=0, **strengths):
    y = voice() if y is None else y
    return augment(y, sr=SR, variant=variant, strengths=STRENGTHS | strengths, clip=clip, seed=seed)


def f0_hz(y):
    return np.nanmedian(f0_contour(y, sr=SR)[1])


def test_default_strengths_are_the_original_studys():
    rolled_s = 5_000 / 48_000  # 5 x 1000 samples at 48 kHz
    expected = {
        "noise_amplitude": 0.035,
        "stretch_rate": 0.8,
        "pitch_steps": 0.7,
        "shift_max_s": pytest.approx(rolled_s, abs=0.005),
    }
    assert expected == STRENGTHS


@pytest.mark.parametrize("variant", AUGMENTATIONS)
def test_variant_is_finite_float32_and_does_not_modify_its_input(variant):
    y = voice()
    before = y.copy()
    made = changed(variant, y)
    assert made.dtype == np.float32 and made.ndim == 1
    assert np.isfinite(made).all()
    assert made.size != y.size or not np.array_equal(made, y)
    np.testing.assert_array_equal(y, before)


def test_noise_is_white_and_gaussian():
    noise = changed("noise", voice(duration_s=20)) - voice(duration_s=20)
    share = noise / noise.std()
    assert abs(share.mean()) < 0.01
    assert abs(kurtosis(share)) < 0.05
    for lag in (1, 2, 80):
        assert abs(np.mean(share[lag:] * share[:-lag])) < 0.01


def test_noise_amplitude_is_uniform_up_to_a_share_of_the_highest_sample():
    y = voice(duration_s=0.5)
    y = np.where(y > 0, 0.4 * y, y)  # highest sample 0.2, lowest below -0.4
    shares = np.array([np.std(changed("noise", y, clip=name) - y) for name in NAMES]) / (0.035 * y.max())
    assert shares.max() < 1.03 and shares.max() > 0.95
    assert shares.min() < 0.05
    assert shares.mean() == pytest.approx(0.5, abs=0.07)
    double = changed("noise", y, noise_amplitude=0.07) - y
    np.testing.assert_allclose(double, 2 * (changed("noise", y) - y), atol=1e-6)


@pytest.mark.parametrize(
    ("variant", "rate", "steps"),
    [
        ("stretch", 0.8, 0),
        ("stretch", 1.25, 0),
        ("pitch", 1, 0.7),
        ("pitch", 1, -3.0),
        ("pitch", 1, 12.0),
        ("stretch_pitch", 0.8, 0.7),
    ],
)
def test_tempo_and_pitch_change_by_the_strengths(variant, rate, steps):
    made = changed(variant, stretch_rate=rate, pitch_steps=steps)
    assert made.size / voice().size == pytest.approx(1 / rate, abs=1e-4)
    assert f0_hz(made) / f0_hz(voice()) == pytest.approx(2 ** (steps / 12), rel=0.006)


@pytest.mark.parametrize(
    ("variant", "rate", "steps"), [("stretch", 0.8, 0.0), ("pitch", 1.0, 0.7), ("stretch_pitch", 0.8, 0.7)]
)
def test_tempo_and_pitch_are_changed_as_librosa_does(variant, rate, steps):
    """In one pass of its phase vocoder, in float64, as its phases lose precision in float32."""
    y = voice() + 0.01 * np.random.default_rng(0).standard_normal(voice().size).astype(np.float32)
    slower = librosa.effects.time_stretch(y.astype(np.float64), rate=rate * 2 ** (-steps / 12))
    expected = librosa.resample(slower, orig_sr=SR * 2 ** (steps / 12), target_sr=SR)
    made = changed(variant, y)
    assert abs(made.size - expected.size) <= 1
    n = min(made.size, expected.size)
    assert np.abs(made[:n] - expected[:n]).max() < 1e-3 * np.abs(expected).max()


def test_shift_is_a_roll_by_up_to_its_strength_either_way():
    y = np.arange(SR, dtype=np.float32)
    made = [changed("shift", y, clip=name) for name in NAMES]
    rolls = np.array([int(np.argmin(y)) for y in made])  # index of the first sample
    rolls = np.where(rolls > SR // 2, rolls - SR, rolls)
    for shifted, roll in zip(made, rolls, strict=True):
        np.testing.assert_array_equal(shifted, np.roll(y, roll))
    assert -1_600 <= rolls.min() < -1_500 and 1_500 < rolls.max() <= 1_600
    assert abs(rolls.mean()) < 200


@pytest.mark.parametrize("variant", ["noise", "shift"])
def test_randomness_depends_on_clip_variant_and_seed_alone(variant, monkeypatch):
    first = {name: changed(variant, clip=name) for name in NAMES[:3]}
    np.random.seed(1)  # the state of numpy's global generator has no effect
    for name in reversed(NAMES[:3]):
        np.testing.assert_array_equal(changed(variant, clip=name), first[name])
    monkeypatch.setitem(AUGMENTATIONS, "again", AUGMENTATIONS[variant])
    for other in (changed(variant, clip=NAMES[1]), changed("again", clip=NAMES[0]), changed(variant, clip=NAMES[0], seed=1)):
        assert not np.array_equal(other, first[NAMES[0]])


@pytest.mark.parametrize(
    ("variants", "text"),
    [
        (["noise", "echo"], "Unknown augmentation 'echo': expected one of noise, stretch, pitch, stretch_pitch, shift."),
        (["noise", "shift", "noise"], "'noise' is listed twice"),
        ([ORIGINAL, "noise"], "'original' is not an augmentation"),
    ],
)
def test_bad_variants_are_refused(variants, text):
    check_variants(list(AUGMENTATIONS))
    with pytest.raises(StudyError, match=text):
        check_variants(variants)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("noise_amplitude", -0.1),
        ("stretch_rate", 0),
        ("stretch_rate", float("inf")),
        ("pitch_steps", float("nan")),
        ("shift_max_s", -1),
    ],
)
def test_bad_strength_is_named_with_what_was_expected(name, value):
    check_strengths({"noise_amplitude": 0, "stretch_rate": 0.01, "pitch_steps": -12, "shift_max_s": 0})
    with pytest.raises(StudyError, match=f"^{name.upper()} is {re.escape(str(value))}: expected .+\\.$"):
        check_strengths(STRENGTHS | {name: value})


# Multichannel recordings


def hiss(duration_s=0.5):
    return (0.1 * np.random.default_rng(0).standard_normal(round(duration_s * SR))).astype(np.float32)


@pytest.mark.parametrize("variant", AUGMENTATIONS)
def test_variant_of_one_channel_equals_that_of_the_mono_recording(variant):
    made = changed(variant, hiss()[None])
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, changed(variant, hiss())[None])


@pytest.mark.parametrize("variant", [name for name in AUGMENTATIONS if name != "noise"])
def test_variant_of_two_channels_changes_both_in_the_same_way(variant):
    two = np.stack([hiss(), 0.5 * hiss()[::-1]])
    made = changed(variant, two)
    for channel, expected in zip(made, two, strict=True):
        np.testing.assert_allclose(channel, changed(variant, expected), atol=1e-6)


def test_noise_of_channels_is_independent_and_of_the_same_level():
    two = np.stack([hiss(2), 0.1 * hiss(2)])
    first, second = changed("noise", two) - two
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02
    assert first.std() == pytest.approx(second.std(), rel=0.02)
    alone = changed("noise", two[0]) - two[0]
    assert first.std() == pytest.approx(alone.std(), rel=0.02)


# Dependence on settings


@pytest.mark.parametrize("variant", AUGMENTATIONS)
def test_a_variant_depends_on_its_declared_settings_only(variant):
    """`depends_on` is part of the cache key: without a setting that matters, a stale row would be read."""
    entry = AUGMENTATIONS[variant]
    settings = {"strengths": STRENGTHS, "clip": "a.wav", "seed": 0}
    changes = [settings | {"strengths": STRENGTHS | {name: 1.1 * value}} for name, value in STRENGTHS.items()]
    for change in (*changes, settings | {"clip": "b.wav"}, settings | {"seed": 1}):
        declared = augmentation.depends_on(entry, **change) != augmentation.depends_on(entry, **settings)
        matters = not np.array_equal(*(augment(voice(), sr=SR, variant=variant, **case) for case in (settings, change)))
        assert declared == matters, change


def test_an_entry_depends_on_all_strengths_and_is_random_by_default_and_the_original_on_nothing():
    settings = {"strengths": STRENGTHS, "clip": "a.wav", "seed": 3}
    entry = Augmentation(lambda y, sr, rng, strengths: y)
    assert augmentation.depends_on(entry, **settings) == STRENGTHS | {"clip": "a.wav", "seed": 3}
    assert augmentation.depends_on(None, **settings) == {}


def test_a_strength_that_is_used_and_not_declared_fails():
    entry = Augmentation(augmentation.stretch_pitch, strengths=("stretch_rate",), is_random=False)
    with pytest.raises(KeyError, match="pitch_steps"):
        augment(voice(), sr=SR, variant="forgotten", strengths=STRENGTHS, clip="a.wav", seed=0, entry=entry)
