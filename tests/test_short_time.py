"""Short-time Fourier transform, its inverse, and the phase vocoder: librosa's values at all lengths and in digital silence.

librosa keeps the precision of its input. Its phase vocoder accumulates angles of up to 1600 radians per frame, of which float32
keeps seven digits: after one minute (28 x the clip), bins differ by three quarters of the highest. So librosa computes in
float64 here. Both vocoders start from the same spectra: the phase of an almost silent bin depends on the last digit of the FFT
and persists, which is inaudible and does not affect means over frames.
"""

import librosa
import numpy as np
import pytest

from ser_utils.core import paths
from ser_utils.core.audio import read_audio
from ser_utils.features import short_time

SPEECH, _ = read_audio(paths.ROOT / "data" / "demo" / "f1" / "gio-f1-b1.ogg", sr=48_000)
HISS = np.random.default_rng(0).standard_normal(60_000).astype(np.float32)
PAUSE = np.zeros(12_345, np.float32)
SIGNALS = {
    "speech": SPEECH,
    "odd": SPEECH[:33_333],
    "whole frames": SPEECH[: 64 * 512],
    "hiss": HISS[:20_001],
    "with digital silence": np.concatenate([PAUSE, SPEECH[:30_001], PAUSE, SPEECH[30_001:60_000], PAUSE]),
    "digital silence": PAUSE,
    "a click": np.eye(1, 9_001, 4_000, dtype=np.float32)[0],
    "under two frames": HISS[:2_500],
    "under half a frame": HISS[:511],
    "one sample": HISS[:1],
}
RATES = (0.5, 0.8 * 2 ** (-0.7 / 12), 1.0, 3.3)

pytestmark = [pytest.mark.numeric, pytest.mark.filterwarnings("ignore:n_fft=.* is too large for input signal")]


@pytest.fixture(params=SIGNALS)
def y(request):
    return SIGNALS[request.param]


def off(found, expected):
    """Return the largest difference relative to the highest value."""
    assert found.shape == expected.shape
    return np.abs(found - expected).max(initial=0) / max(np.abs(expected).max(initial=0), 1e-30)


def test_spectra_are_librosas(y):
    D = short_time.stft(y)
    assert D.dtype == np.complex64
    assert off(D.T, librosa.stft(y.astype(np.float64))) < 5e-7


def magnitude(y, n_fft=2048, hop=512, win_length=2048, pad_mode="constant"):
    """Return the magnitude spectra of other frames than those of `stft` [shape=(1 + n_fft // 2, n_frames)]."""
    y_frames = short_time.frames(y, n_fft=n_fft, hop=hop, pad_mode=pad_mode)
    return np.sqrt(short_time.power_spectrogram(y_frames, short_time.hann(win_length, n_fft)).T)


@pytest.mark.parametrize(("n_fft", "hop", "win_length"), [(512, 160, 512), (2048, 160, 1024)])
def test_spectra_of_other_frames_are_librosas(y, n_fft, hop, win_length):
    expected = librosa.stft(y.astype(np.float64), n_fft=n_fft, hop_length=hop, win_length=win_length)
    assert off(magnitude(y, n_fft, hop, win_length), np.abs(expected)) < 5e-7


@pytest.mark.parametrize("name", ["odd", "hiss", "under two frames"])
def test_reflected_ends_are_librosas(name):
    y = SIGNALS[name]
    expected = np.abs(librosa.stft(y.astype(np.float64), pad_mode="reflect"))
    assert off(magnitude(y, pad_mode="reflect"), expected) < 5e-7
    assert off(magnitude(y), expected) > 1e-3


def test_blocks_cover_all_frames_once():
    for n in (0, 1, short_time.BLOCK - 1, short_time.BLOCK, short_time.BLOCK + 1, 1_000):
        assert np.array_equal(np.concatenate([[], *(np.arange(n)[block] for block in short_time.blocks(n))]), np.arange(n))


# Inverse


def test_inverse_returns_the_signal(y):
    back = short_time.istft(short_time.stft(y), n=len(y))
    assert back.dtype == np.float32
    assert off(back, y) < 1e-6


@pytest.mark.parametrize("n", [100, 20_001, 33_333, 33_332, 50_000])
def test_signal_of_any_spectra_is_librosas_at_any_length(n):
    D = short_time.stft(SIGNALS["odd"])
    D = D * np.exp(2j * np.pi * np.random.default_rng(1).uniform(size=D.shape))  # inconsistent frames: the spectra of no signal
    D[:, [0, -1]] = D[:, [0, -1]].real  # real for a real signal
    expected = librosa.istft(D.T.astype(np.complex128), length=n)
    found = short_time.istft(D.astype(np.complex64), n=n)
    assert found.shape == (n,)
    # Near the ends, the division by a small window weight loses digits.
    inner = slice(256, min(n, len(SIGNALS["odd"]) - 256))
    np.testing.assert_allclose(found[inner], expected[inner], atol=2e-6 * np.abs(expected).max())
    assert (found[len(SIGNALS["odd"]) + 2_048 :] == 0).all()


# The phase vocoder


@pytest.mark.parametrize("rate", RATES)
def test_phase_vocoder_is_librosas(y, rate):
    D = short_time.stft(y)
    found = short_time.phase_vocoder(D, rate=rate)
    assert found.dtype == np.complex64
    assert off(found.T, librosa.phase_vocoder(D.T.astype(np.complex128), rate=rate)) < 1e-5


def test_phases_stay_exact_for_a_minute_unlike_librosas_in_float32():
    D = short_time.stft(np.tile(SPEECH, 28))
    assert len(D) * 512 / 48_000 > 59
    expected = librosa.phase_vocoder(D.T.astype(np.complex128), rate=0.8).T
    found = short_time.phase_vocoder(D, rate=0.8)
    assert off(found, expected) < 5e-5
    assert off(np.abs(found), np.abs(expected)) < 5e-5  # phasors keep magnitude 1
    assert off(librosa.phase_vocoder(D.T, rate=0.8).T, expected) > 0.1  # if this fails, float64 is not needed any more
