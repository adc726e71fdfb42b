"""Training of sequence networks: clips of different lengths, padded and masked, with SpecAugment in every epoch.

Unlike the row networks of `ser_utils.models.stacked`, the networks are trained one after the other: a single step keeps a core
busy, and the jobs are spread over processes.
"""

import functools
import time
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from ser_utils.models.backend import build_with_seed, keras, tf
from ser_utils.models.fits import (
    EpochSelection,
    Fit,
    FitResult,
    TrainingJob,
    loss_weights,
    split_training,
    standardise,
    validation_losses,
)
from ser_utils.models.optimizers import reset_optimizer
from ser_utils.models.registry import Model

PAD_MULTIPLE = 24
"""Batches are padded to a multiple of this number of frames."""
MAX_TRAINING_FRAMES = 400
"""Longest excerpt of a clip in training, 8 s: longer clips are cropped at random. Predictions use whole clips."""
MASKS = {"bands": (2, 8), "time": (2, 0.15)}
"""SpecAugment: number of masks per clip and their largest width, in frequency bands and as share of the frames."""
PREDICTION_BATCH = 64


def train_sequences(job: TrainingJob) -> list[FitResult]:
    """Train the networks of a job one after the other and return the results of all their fits."""
    return [result for fits in job.trainings for result in _train_network(job, fits)]


def _train_network(job: TrainingJob, fits: list[Fit]) -> list[FitResult]:
    """Train one network and return the results of the fits that share this training."""
    fit = fits[0]
    trainer = _compiled_trainer(job.model, job.x[0].shape[1], job.n_classes, job.build_settings)
    scaler, clips = standardise(job.x, fit)
    measured_rows = np.concatenate([fit.measured_rows for fit in fits])
    trainer.start(fit.seed)
    start = time.perf_counter()
    best_epoch, weights, history, validation = _train_epochs(trainer, job, fit, clips, measured_rows)
    seconds = time.perf_counter() - start
    trainer.network.set_weights(weights)
    probabilities = np.concatenate([trainer.predict([clips[i] for i in fit.test]) for fit in fits])
    training = FitResult(best_epoch, probabilities, history, weights, scaler, validation, seconds)
    return split_training(training, fits, job.y)


def _train_epochs(
    trainer: "SequenceTrainer", job: TrainingJob, fit: Fit, clips: list[np.ndarray], measured_rows: np.ndarray
) -> tuple[int, list[np.ndarray], pd.DataFrame, np.ndarray]:
    """Train until the last epoch or until early stopping.

    Returns the best epoch, its weights, the history with epoch, loss and accuracy, and the probabilities of the measured rows
    after each epoch [shape=(n_epochs, n_measured, n_classes)].
    """
    targets, weights = np.eye(job.n_classes, dtype=np.float32)[job.y], loss_weights(job.model, job.y, fit.train)
    measured_clips, epochs = [clips[i] for i in measured_rows], EpochSelection([fit], job.model)
    best_weights, records, validation = trainer.network.get_weights(), [], []
    for epoch in range(1, fit.epochs + 1):
        rows = trainer.rng.choice(fit.train, fit.rows_per_epoch, replace=False) if fit.rows_per_epoch else fit.train
        records.append((epoch, *trainer.epoch(clips, targets, weights, rows, job.batch_size)))
        validation.append(trainer.predict(measured_clips))
        if epochs.update(epoch, validation_losses(validation[-1][None], [measured_rows], job.y)).any():
            best_weights = trainer.network.get_weights()
        if not epochs.running.any():
            break
    history = pd.DataFrame(records, columns=["epoch", "loss", "accuracy"])
    return int(epochs.best[0]), best_weights, history, np.stack(validation)


@functools.lru_cache(maxsize=4)
def _compiled_trainer(model: Model, n_features: int, n_classes: int, settings: tuple) -> "SequenceTrainer":
    return SequenceTrainer(model, n_features, n_classes, dict(settings))


class SequenceTrainer:
    """A sequence network with its compiled training step, which is used for one fit after the other."""

    def __init__(self, entry: Model, n_features: int, n_classes: int, settings: Mapping):
        self.build = functools.partial(entry.build, n_features, n_classes, **settings)
        self.network = self.build()
        self.smoothing = entry.label_smoothing
        self.optimizer = entry.optimizer()
        self.optimizer.build(self.network.trainable_variables)
        self.rng = np.random.default_rng(0)
        x, y = tf.TensorSpec([None, None, n_features + 1]), tf.TensorSpec([None, n_classes])
        self.step = tf.function(self._step, input_signature=[x, y, tf.TensorSpec([None])])
        self.forward = tf.function(self._forward, input_signature=[x])

    def start(self, seed: int) -> None:
        """Reset the weights and the random generators to a seed, and the optimizer."""
        initial = build_with_seed(seed, self.build)
        for variable, value in zip(self.network.variables, initial.variables, strict=True):
            variable.assign(value)
        reset_optimizer(self.optimizer)
        self.rng = np.random.default_rng(seed)

    def epoch(
        self, clips: list[np.ndarray], targets: np.ndarray, weights: np.ndarray, rows: np.ndarray, size: int
    ) -> tuple[float, float]:
        """Train one epoch on the rows, in batches of `size`, with new masks; return mean loss and accuracy with dropout."""
        lengths = np.array([len(clip) for clip in clips])
        loss = correct = 0.0
        for batch in make_batches(rows, lengths, size=size, rng=self.rng):
            x = pad_sequences([spec_augment(_crop(clips[i], self.rng), self.rng) for i in batch])
            batch_loss, batch_correct = self.step(x, targets[batch], weights[batch])
            loss, correct = loss + float(batch_loss), correct + float(batch_correct)
        return loss / len(rows), correct / len(rows)

    def predict(self, clips: list[np.ndarray]) -> np.ndarray:
        """Return the probabilities of whole clips [shape=(n_clips, n_classes)]."""
        order = np.argsort([len(clip) for clip in clips], kind="stable")
        probabilities = np.empty((len(clips), self.network.output_shape[-1]), np.float32)
        for start in range(0, len(order), PREDICTION_BATCH):
            batch = order[start : start + PREDICTION_BATCH]
            probabilities[batch] = self.forward(pad_sequences([clips[i] for i in batch]))
        return probabilities

    def _step(self, x, y, weights):
        with tf.GradientTape() as tape:
            p = self.network(x, training=True)
            losses = weights * keras.losses.categorical_crossentropy(y, p, label_smoothing=self.smoothing)
            loss = tf.reduce_mean(losses)
        variables = self.network.trainable_variables
        self.optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        correct = tf.reduce_sum(tf.cast(tf.equal(tf.argmax(y, -1), tf.argmax(p, -1)), tf.float32))
        return tf.reduce_sum(losses), correct

    def _forward(self, x):
        return self.network(x, training=False)


def make_batches(rows: np.ndarray, lengths: np.ndarray, *, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the rows in random order, in batches; every four batches are sorted by length to reduce padding.

    Parameters
    ----------
    rows : np.ndarray
        Row numbers.
    lengths : np.ndarray
        Number of frames of each row of the table.
    size : int
        Rows per batch.
    rng : np.random.Generator
    """
    order = rng.permutation(rows)
    for start in range(0, len(order), 4 * size):
        group = order[start : start + 4 * size]
        group = group[np.argsort(lengths[group], kind="stable")]
        yield from (group[i : i + size] for i in range(0, len(group), size))


def pad_sequences(clips: list[np.ndarray]) -> np.ndarray:
    """Return clips of different lengths as one array, with the mask (1 for frames, 0 for padding) as last column.

    Parameters
    ----------
    clips : list of np.ndarray [shape=(n_frames, n_features)]

    Returns
    -------
    np.ndarray [shape=(n_clips, longest, n_features + 1), dtype=float32]
        `longest` is the number of frames of the longest clip, rounded up to a multiple of `PAD_MULTIPLE`.
    """
    longest = -(-max(len(clip) for clip in clips) // PAD_MULTIPLE) * PAD_MULTIPLE
    padded = np.zeros((len(clips), longest, clips[0].shape[1] + 1), np.float32)
    for row, clip in zip(padded, clips, strict=True):
        row[: len(clip), :-1], row[: len(clip), -1] = clip, 1
    return padded


def spec_augment(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a copy of a clip with random bands and time spans set to 0, the mean: SpecAugment (Park et al., INTERSPEECH 2019).

    Parameters
    ----------
    clip : np.ndarray [shape=(n_frames, n_bands)]
        Standardised.
    rng : np.random.Generator

    Returns
    -------
    np.ndarray [shape=(n_frames, n_bands)]
    """
    clip, (n_frames, n_bands) = clip.copy(), clip.shape
    (n_band_masks, max_bands), (n_time_masks, max_share) = MASKS["bands"], MASKS["time"]
    for _ in range(n_band_masks):
        clip[:, _random_span(n_bands, min(max_bands, n_bands // 2), rng)] = 0
    for _ in range(n_time_masks):
        clip[_random_span(n_frames, int(max_share * n_frames), rng)] = 0
    return clip


def _random_span(n: int, max_width: int, rng: np.random.Generator) -> slice:
    """Return a random span of at most `max_width` of `n` positions."""
    width = int(rng.integers(0, max_width + 1))
    first = int(rng.integers(0, n - width + 1))
    return slice(first, first + width)


def _crop(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a random excerpt of `MAX_TRAINING_FRAMES` frames, or the whole clip if it is not longer."""
    first = int(rng.integers(0, max(0, len(clip) - MAX_TRAINING_FRAMES) + 1))
    return clip[first : first + MAX_TRAINING_FRAMES]
