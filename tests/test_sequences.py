"""Sequence networks: outputs depend on the order of frames and not on padding, and training is deterministic."""

from dataclasses import replace

import librosa
import numpy as np
import pytest

from ser_utils import models
from ser_utils.features.log_mel import FLOOR_DB, FRAME_S, NAMES, log_mel
from ser_utils.models import sequences
from ser_utils.models.fits import Fit
from ser_utils.models.registry import MODELS
from ser_utils.models.training import fit_all

pytestmark = pytest.mark.numeric

SEQUENCES = [name for name, entry in MODELS.items() if entry.sequences]
RNG = np.random.default_rng(0)
N_BANDS = 10


def sweeps(n=24, n_bands=N_BANDS, seed=0):
    """Clips of two classes with the same frames in opposite order: upward and downward sweeps, of several lengths."""
    rng, clips, y = np.random.default_rng(seed), np.empty(n, object), np.arange(n) % 2
    for i in range(n):
        length = int(rng.integers(30, 60))
        place = np.linspace(0, n_bands - 1, length)[:: 1 - 2 * y[i]]
        ridge = np.exp(-((np.arange(n_bands) - place[:, None]) ** 2))
        clips[i] = (ridge + 0.1 * rng.normal(size=ridge.shape)).astype("f4")
    return clips, y


@pytest.fixture(scope="module", params=SEQUENCES)
def trainer(request):
    trainer = sequences.SequenceTrainer(MODELS[request.param], N_BANDS, 3, {})
    trainer.start(0)
    for weight in trainer.network.trainable_variables:  # some layers start with zeros
        weight.assign(weight.numpy() + 0.1 * RNG.normal(size=weight.shape).astype("f4"))
    return trainer


def padded(clip, longest):
    """A batch of one clip with its mask, padded to a number of frames."""
    return np.pad(np.c_[clip, np.ones(len(clip))], ((0, longest - len(clip)), (0, 0)))[None].astype("f4")


def test_frames_in_another_order_are_another_clip(trainer):
    clip = RNG.normal(size=(48, N_BANDS)).astype("f4")
    shuffled = RNG.permutation(clip)
    p, other = trainer.predict([clip]), trainer.predict([shuffled])
    assert np.abs(p - other).max() > 1e-3


@pytest.mark.parametrize("longest", [48, 49, 50, 51, 55, 80, 200])
def test_padding_and_its_values_change_nothing(trainer, longest):
    clip = RNG.normal(size=(47, N_BANDS)).astype("f4")
    batch = padded(clip, longest)
    batch[:, 47:, :-1] = 100
    np.testing.assert_allclose(trainer.forward(batch), trainer.forward(padded(clip, 47)), atol=1e-5)


def test_predictions_of_a_clip_do_not_depend_on_the_other_clips(trainer):
    clips = [RNG.normal(size=(n, N_BANDS)).astype("f4") for n in (20, 90, 33, 1)]
    together = trainer.predict(clips)
    for clip, p in zip(clips, together, strict=True):
        np.testing.assert_allclose(trainer.predict([clip])[0], p, atol=1e-5)
        np.testing.assert_allclose(p.sum(), 1, atol=1e-5)


def test_the_mask_marks_the_frames_of_the_clips():
    batch = sequences.pad_sequences([np.ones((3, 2)), 2 * np.ones((30, 2))])
    assert batch.shape == (2, 48, 3)
    assert batch[0, :, -1].sum() == 3 and batch[1, :, -1].sum() == 30
    assert batch[0, 3:].sum() == 0


def test_masks_are_within_bounds():
    clip, widths = np.ones((100, 40)), []
    for seed in range(50):
        masked = sequences.spec_augment(clip, np.random.default_rng(seed))
        bands, frames = (masked == 0).all(axis=0).sum(), (masked == 0).all(axis=1).sum()
        assert bands <= 2 * 8 and frames <= 2 * 15
        assert (masked == 0).sum() == bands * 100 + frames * 40 - bands * frames, "whole masks, nothing else"
        widths.append((bands, frames))
    assert (clip == 1).all(), "the clip itself does not change"
    assert np.max(widths, axis=0).min() > 8, "two masks, not one"


def test_batches_hold_each_row_once_and_little_padding():
    lengths = RNG.integers(10, 300, size=200)
    rows = np.arange(0, 200, 2)
    batches = list(sequences.make_batches(rows, lengths, size=8, rng=np.random.default_rng(1)))
    assert sorted(np.concatenate(batches)) == list(rows)
    assert max(map(len, batches)) == 8
    padding = sum(len(b) * lengths[b].max() for b in batches) / lengths[rows].sum()
    straight = sum(8 * lengths[rows][i : i + 8].max() for i in range(0, 100, 8)) / lengths[rows].sum()
    assert padding < straight


@pytest.mark.parametrize("name", SEQUENCES)
def test_learns_the_order_of_frames(name, monkeypatch, tmp_path):
    """Means over frames are equal in both classes: only a network that uses the order of frames can separate them."""
    monkeypatch.setattr("ser_utils.core.paths.CACHE", tmp_path)
    clips, y = sweeps(60)
    fit = Fit(train=np.arange(40), test=np.arange(40, 60), seed=0, epochs=20)
    (done,) = fit_all(name, clips, y, [fit], n_classes=2)
    assert (done.probabilities.argmax(axis=1) == y[40:]).mean() > 0.9
    assert done.history.loss.iloc[-1] < done.history.loss.iloc[0]
    assert done.seconds > 0 and len(done.history) == done.epochs == 20


def small_cnn(n_features, n_classes):
    return models.cnn(n_features, n_classes, filters=(4,))


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A sequence network that trains fast, and an empty cache."""
    entry = replace(MODELS["cnn"], build=small_cnn, batch_size=8, patience=2)
    monkeypatch.setitem(MODELS, "small", entry)
    monkeypatch.setattr("ser_utils.core.paths.CACHE", tmp_path)
    return "small"


def test_results_are_identical_whatever_was_trained_before(small, monkeypatch):
    monkeypatch.setenv("SER_CACHE_READ", "off")
    clips, y = sweeps()
    fits = [Fit(train=np.arange(16), test=np.arange(16, 24), seed=seed, epochs=2, rows_per_epoch=8) for seed in (0, 1)]
    first = fit_all(small, clips, y, fits, n_classes=2)
    again = fit_all(small, clips, y, fits[::-1], n_classes=2)[::-1]
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.probabilities, b.probabilities)
    assert np.abs(first[0].probabilities - first[1].probabilities).max() > 0, "another seed"


def test_validation_rows_are_predicted_after_each_epoch_and_do_not_train(small):
    clips, y = sweeps()
    fit = Fit(train=np.arange(12), validation=np.arange(12, 18), test=np.arange(18, 24), seed=0, epochs=3)
    (done,) = fit_all(small, clips, y, [fit], n_classes=2)
    assert done.validation.shape == (3, 6, 2)
    assert list(done.history.columns) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "val_uar"]
    scaled = clips.copy()
    for i in range(12, 24):
        scaled[i] = clips[i] * 50
    (other,) = fit_all(small, scaled, y, [fit], n_classes=2)
    np.testing.assert_array_equal(other.scaler.mean_, done.scaler.mean_)
    for one, two in zip(done.weights, other.weights, strict=True):
        np.testing.assert_array_equal(one, two, "held-out rows do not train")


def test_stops_early_and_keeps_the_best_epoch(small):
    clips, y = sweeps()
    y[16:] = 1 - y[16:]  # training increases their loss
    fit = Fit(train=np.arange(16), validation=np.arange(16, 24), seed=0, epochs=60, stop_early=True)
    (done,) = fit_all(small, clips, y, [fit], n_classes=2)
    assert len(done.history) < 60 and len(done.history) == done.epochs + 2


def test_an_epoch_trains_on_the_number_of_rows_per_epoch(small, monkeypatch):
    shown = []
    epoch = sequences.SequenceTrainer.epoch
    monkeypatch.setattr(sequences.SequenceTrainer, "epoch", lambda self, *a: shown.append(a[3]) or epoch(self, *a))
    clips, y = sweeps()
    fit_all(small, clips, y, [Fit(train=np.arange(24), seed=0, epochs=3, rows_per_epoch=5)], n_classes=2)
    assert [len(rows) for rows in shown] == [5, 5, 5]
    assert len({tuple(rows) for rows in shown}) == 3, "drawn again in each epoch"
    assert all(len(set(rows)) == 5 for rows in shown)


@pytest.mark.parametrize("balanced", [True, False])
def test_classes_have_equal_weight_in_a_balanced_network(small, monkeypatch, balanced):
    monkeypatch.setitem(MODELS, "small", replace(MODELS["small"], balanced=balanced))
    shown = []
    epoch = sequences.SequenceTrainer.epoch
    monkeypatch.setattr(sequences.SequenceTrainer, "epoch", lambda self, *a: shown.append((a[2], a[3])) or epoch(self, *a))
    clips, y = sweeps()
    y[:18], y[18:] = 0, 1
    fit_all(small, clips, y, [Fit(train=np.arange(2, 24), seed=0, epochs=1)], n_classes=2)
    ((weights, rows),) = shown
    totals = [weights[rows][y[2:][rows] == number].sum() for number in (0, 1)]
    assert totals == pytest.approx([11, 11] if balanced else [16, 6])


def test_clips_of_extra_corpora_train_unchanged_and_without_the_scaler(small, monkeypatch):
    batches = []
    step = sequences.pad_sequences
    monkeypatch.setattr(sequences, "pad_sequences", lambda clips, **how: batches.append(clips) or step(clips, **how))
    monkeypatch.setattr(sequences, "spec_augment", lambda clip, rng: clip)
    clips, y = sweeps()
    for i in range(8, 16):
        clips[i] = np.full_like(clips[i], 5 + i)
    own = np.concatenate(list(clips[:8]))
    fit = Fit(train=np.arange(16), test=np.arange(16, 24), seed=0, epochs=1, extra_rows=np.arange(8, 16))
    (done,) = fit_all(small, clips, y, [fit], n_classes=2)
    np.testing.assert_allclose(done.scaler.mean_, own.mean(axis=0), rtol=1e-4)
    shown = [clip for batch in batches[:2] for clip in batch]
    assert sorted(clip[0, 0] for clip in shown if np.ptp(clip) == 0) == list(range(13, 21)), "unchanged"
    np.testing.assert_allclose(
        np.concatenate([clip for clip in shown if np.ptp(clip) > 0]).mean(axis=0), np.zeros(N_BANDS), atol=1e-4
    )


def test_changed_clips_and_fits_are_trained_again(small, monkeypatch):
    clips, y = sweeps()
    fit, trained = Fit(train=np.arange(16), test=np.arange(16, 24), seed=0, epochs=1, rows_per_epoch=8), []
    monkeypatch.setattr(sequences.SequenceTrainer, "start", lambda self, seed: trained.append(seed))
    for one in (fit, replace(fit), replace(fit, rows_per_epoch=6), replace(fit, extra_rows=np.arange(4))):
        fit_all(small, sweeps()[0], y, [one], n_classes=2)
    assert len(trained) == 3, "the second is read from the cache"
    clips[3][0, 0] += 1
    fit_all(small, clips, y, [fit], n_classes=2)
    clips[20] = clips[20][:-1]
    fit_all(small, clips, y, [fit], n_classes=2)
    assert len(trained) == 5


def test_log_mel_peaks_at_the_tone_and_does_not_depend_on_the_level():
    sr = 16_000
    t = np.arange(sr) / sr
    y = np.sin(2 * np.pi * 1000 * t).astype("f4") * 0.3
    found = log_mel(y, sr)
    assert found.shape[1] == len(NAMES) == 40 and abs(len(found) - 1 / FRAME_S) <= 2
    loudest = found[5:-5].mean(axis=0).argmax()
    centres = librosa.mel_frequencies(n_mels=42, fmin=60, fmax=7600)[1:-1]
    assert abs(centres[loudest] - 1000) < 80
    np.testing.assert_allclose(log_mel(y * 0.01, sr), found, atol=0.05)
    assert found.min() >= FLOOR_DB


@pytest.mark.parametrize("y", [np.zeros(16_000, "f4"), np.ones(1, "f4"), np.zeros((2, 400), "f4")])
def test_log_mel_of_silence_and_very_short_clips_is_finite(y):
    found = log_mel(y, 16_000)
    assert len(found) >= 1 and np.isfinite(found).all()
