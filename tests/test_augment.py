"""Augmentation: what each variant does to signals with known answers, and that it depends on clip and seed alone."""

import re

import numpy as np
import pytest
from scipy.stats import kurtosis

from ser_utils import augment as module
from ser_utils.audio import f0_contour
from ser_utils.augment import AUGMENTATIONS, ORIGINAL, STRENGTHS, augment, check_strengths, check_variants
from ser_utils.errors import StudyError

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
    assert {name: value for name, value in STRENGTHS.items() if name != "shift_max_s"} == {
        "noise_amplitude": 0.035,
        "stretch_rate": 0.8,
        "pitch_steps": 0.7,
    }
    assert STRENGTHS["shift_max_s"] == pytest.approx(5_000 / 48_000, abs=0.005)  # rolled by 5 x 1000 samples at 48 kHz


def test_original_is_the_recording_itself():
    y = voice()
    np.testing.assert_array_equal(changed(ORIGINAL, y), y)


@pytest.mark.parametrize("variant", AUGMENTATIONS)
def test_variant_is_finite_float32_and_leaves_the_recording_alone(variant):
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


def test_noise_grows_with_the_recording_and_with_its_strength():
    y = voice()
    noise = changed("noise", y) - y
    np.testing.assert_allclose(changed("noise", 2 * y) - 2 * y, 2 * noise, atol=1e-6)
    np.testing.assert_allclose(changed("noise", y, noise_amplitude=0.07) - y, 2 * noise, atol=1e-6)
    np.testing.assert_array_equal(changed("noise", y, noise_amplitude=0.0), y)


@pytest.mark.parametrize("rate", [0.8, 1.25])
def test_stretch_changes_tempo_and_keeps_pitch(rate):
    made = changed("stretch", stretch_rate=rate)
    assert made.size / voice().size == pytest.approx(1 / rate, abs=1e-4)
    assert f0_hz(made) == pytest.approx(f0_hz(voice()), rel=0.003)


@pytest.mark.parametrize("steps", [0.7, -3.0, 12.0])
def test_pitch_changes_pitch_and_keeps_tempo(steps):
    made = changed("pitch", pitch_steps=steps)
    assert made.size == voice().size
    assert f0_hz(made) / f0_hz(voice()) == pytest.approx(2 ** (steps / 12), rel=0.006)


def test_stretch_pitch_does_both():
    made = changed("stretch_pitch")
    assert made.size / voice().size == pytest.approx(1.25, abs=1e-4)
    assert f0_hz(made) / f0_hz(voice()) == pytest.approx(2 ** (0.7 / 12), rel=0.006)
    np.testing.assert_array_equal(made, changed("pitch", changed("stretch")))


def test_shift_is_a_roll_by_up_to_its_strength_either_way():
    y = np.arange(SR, dtype=np.float32)
    made = [changed("shift", y, clip=name) for name in NAMES]
    rolls = np.array([int(np.argmin(one)) for one in made])  # where the first sample went
    rolls = np.where(rolls > SR // 2, rolls - SR, rolls)
    for one, roll in zip(made, rolls, strict=True):
        np.testing.assert_array_equal(one, np.roll(y, roll))
    assert -1_600 <= rolls.min() < -1_500 and 1_500 < rolls.max() <= 1_600
    assert abs(rolls.mean()) < 200


def test_shift_of_nothing_is_nothing():
    np.testing.assert_array_equal(changed("shift", shift_max_s=0), voice())


@pytest.mark.parametrize("variant", ["noise", "shift"])
def test_randomness_depends_on_clip_and_seed_alone(variant):
    first = {name: changed(variant, clip=name) for name in NAMES[:3]}
    np.random.seed(1)  # what other code does with numpy's global generator is of no account
    for name in reversed(NAMES[:3]):
        np.testing.assert_array_equal(changed(variant, clip=name), first[name])
    assert not np.array_equal(changed(variant, clip=NAMES[0]), changed(variant, clip=NAMES[1]))
    assert not np.array_equal(changed(variant, seed=0), changed(variant, seed=1))


def test_variants_of_a_clip_draw_apart(monkeypatch):
    monkeypatch.setitem(AUGMENTATIONS, "noise_again", module.noise)
    assert not np.array_equal(changed("noise"), changed("noise_again"))


def test_randomness_leaves_numpys_global_generator_alone():
    np.random.seed(3)
    expected = np.random.uniform()
    np.random.seed(3)
    for variant in AUGMENTATIONS:
        changed(variant, voice(duration_s=0.3))
    assert np.random.uniform() == expected


def test_an_entry_in_the_registry_is_all_that_a_new_one_needs(monkeypatch):
    monkeypatch.setitem(AUGMENTATIONS, "backwards", lambda y, sr, rng, strengths: y[::-1])
    np.testing.assert_array_equal(changed("backwards"), voice()[::-1])
    check_variants(["backwards"])


@pytest.mark.parametrize("call", [lambda: changed("echo"), lambda: check_variants(["noise", "echo"])])
def test_unknown_augmentation_is_named_with_those_there_are(call):
    with pytest.raises(StudyError, match="Unknown augmentation 'echo': there are noise, stretch, pitch, stretch_pitch, shift."):
        call()


def test_an_augmentation_named_twice_or_the_original_is_refused():
    with pytest.raises(StudyError, match="'noise' is named twice"):
        check_variants(["noise", "shift", "noise"])
    with pytest.raises(StudyError, match="'original' is not an augmentation"):
        check_variants(["original", "noise"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("noise_amplitude", -0.1),
        ("noise_amplitude", float("nan")),
        ("stretch_rate", 0),
        ("stretch_rate", -1),
        ("stretch_rate", float("inf")),
        ("pitch_steps", float("nan")),
        ("shift_max_s", -0.01),
        ("shift_max_s", float("inf")),
    ],
)
def test_bad_strength_is_named_with_what_was_expected(name, value):
    with pytest.raises(StudyError, match=f"^{name.upper()} is {re.escape(str(value))}: expected .+\\.$"):
        check_strengths(STRENGTHS | {name: value})


def test_good_strengths_pass():
    check_variants([])
    check_variants(list(AUGMENTATIONS))
    check_strengths(STRENGTHS)
    check_strengths({"noise_amplitude": 0, "stretch_rate": 0.01, "pitch_steps": -12, "shift_max_s": 0})
