"""The tuning: librosa's estimate in float64, and the same whatever the rounding errors of the spectrum are."""

import librosa
import numpy as np
import pytest

from ser_utils import original38, paths, short_time, tuning
from ser_utils.audio import read_audio

SR, N_FFT = 48_000, 2_048
FILES = sorted((paths.ROOT / "data" / "demo").rglob("*.ogg"))[::20]


def power_of(y, dtype=np.float32):
    frames = short_time.frames(y, n_fft=N_FFT, hop=512, pad_mode="reflect")
    return short_time.powers(frames, short_time.hann(N_FFT, N_FFT), dtype=dtype)


def librosas(power):
    return librosa.estimate_tuning(S=power.T, sr=SR, bins_per_octave=12, ref=lambda S, axis: S.max(axis=axis))


def perturbed(power, seed):
    """The spectrum with other rounding errors in float32."""
    noise = 1 + 1e-7 * np.random.default_rng(seed).standard_normal(power.shape)
    return (power * noise**2).astype(np.float32)


def spectra_of_a_peak(semitones, n_frames=40):
    """Power spectra of one peak, `semitones` above A4."""
    position = 440 * 2 ** (semitones / 12) * N_FFT / SR
    k = round(position)
    power = np.zeros((n_frames, 1 + N_FFT // 2))
    power[:, k - 1 : k + 2] = 1 - 0.4 * (np.arange(-1, 2) - (position - k)) ** 2
    return power


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_estimate_is_librosas_in_float64(file):
    y, _ = read_audio(file, sr=SR)
    exact = power_of(y, np.float64)
    assert tuning.estimate_tuning(power_of(y), SR, lambda: exact) == pytest.approx(librosas(exact), abs=1e-12)


@pytest.mark.parametrize("cents", [-38.5, -0.5, 12.5, 40.5])
def test_tuning_of_a_tone(cents):
    y = np.sin(2 * np.pi * 880 * 2 ** (cents / 1200) * np.arange(SR) / SR).astype(np.float32)
    found = tuning.estimate_tuning(power_of(y), SR, lambda: power_of(y, np.float64))
    assert found == pytest.approx(cents / 100, abs=0.05)  # of parabolic interpolation


@pytest.mark.parametrize("semitones", [-12.3, -11.85, -5.15, 0.15, 12.15])  # multiples of 0.01 are the edges of bins
def test_rounding_errors_do_not_change_the_estimate_on_an_edge(semitones):
    exact = spectra_of_a_peak(semitones)
    spectra = [perturbed(exact, seed) for seed in range(20)]
    assert len({float(librosas(power)) for power in spectra}) > 1
    assert len({tuning.estimate_tuning(power, SR, lambda: exact) for power in spectra}) == 1


def test_few_clips_need_a_second_spectrum():
    repeated = []
    for file in FILES:
        y, _ = read_audio(file, sr=SR)
        tuning.estimate_tuning(power_of(y), SR, lambda y=y: repeated.append(1) or power_of(y, np.float64))
    assert len(repeated) <= len(FILES) / 4


def test_maxima_of_the_flat_spectrum_of_a_click_are_no_peaks():
    click = np.zeros(4 * N_FFT, np.float32)
    click[3_000] = 1e-5
    counts, _ = tuning.histograms(power_of(click), SR, tuning.TOLERANCE)
    assert counts.sum() == 0


def test_no_peaks_have_no_tuning():
    assert tuning.estimate_tuning(np.zeros((5, 1 + N_FFT // 2), np.float32), SR, lambda: None) == 0.0


def test_chroma_does_not_depend_on_rounding_errors(monkeypatch):
    y, _ = read_audio(FILES[0], sr=SR)
    expected = original38.original38(y, SR)
    powers = short_time.powers

    def noisy(frames, window, *, dtype=np.float32):
        power = powers(frames, window, dtype=dtype)
        return perturbed(power, 1) if dtype == np.float32 else power

    monkeypatch.setattr(short_time, "powers", noisy)
    np.testing.assert_allclose(original38.original38(y, SR)[:12], expected[:12], rtol=1e-5)
