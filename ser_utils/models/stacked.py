"""Stacked training of small row networks: the same computation as one network after the other, with less overhead.

A study fits hundreds of small networks (speakers x seeds x inner folds). The networks of a stack share one compiled training
step: `tf.vectorized_map` runs the Keras model and its loss over a leading axis of fits, and one optimizer with element-wise
updates changes all weights. Each fit has its own rows, weights, batches and stopping point.
"""

import functools
import time
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

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


def train_stack(job: TrainingJob) -> list[FitResult]:
    """Train up to `Model.stack` networks side by side and return the results of all their fits."""
    n_trainings = len(job.trainings)
    trainings = job.trainings + [job.trainings[-1]] * (job.model.stack - n_trainings)  # copies fill an incomplete stack
    fits = [shared_fits[0] for shared_fits in trainings]
    measured_rows = [np.concatenate([fit.measured_rows for fit in shared_fits]) for shared_fits in trainings]
    tests, _ = _pad_rows([np.concatenate([fit.test for fit in shared_fits]) for shared_fits in trainings], 1)
    stack = _compiled_stack(job.model, job.x.shape[1], job.n_classes, job.batch_size, job.build_settings)
    start = time.perf_counter()
    scalers, inputs = _prepare(job, fits)
    stack.start(fits[0].seed)
    best_epochs, histories, validation = _train_epochs(stack, inputs, job, fits, measured_rows)
    weights = stack.weights()
    probabilities = stack.predict(inputs.x, tests).numpy()
    seconds = (time.perf_counter() - start) / n_trainings
    results = []
    for i, shared_fits in enumerate(job.trainings):
        n_epochs = len(histories[i])
        training = FitResult(
            epochs=int(best_epochs[i]),
            probabilities=probabilities[i],
            history=histories[i],
            weights=weights[i],
            scaler=scalers[i],
            validation=validation[:n_epochs, i],
            seconds=seconds,
        )
        results += split_training(training, shared_fits, job.y)
    return results


class StackInputs(NamedTuple):
    """Tensors that a stack trains on."""

    x: tf.Tensor
    """Standardised features of each fit [shape=(n_fits, n_rows, n_features)]."""
    targets: tf.Tensor
    """One-hot classes [shape=(n_rows, n_classes)]."""
    weights: tf.Tensor
    """Weight of each row in the loss of each fit [shape=(n_fits, n_rows)]."""


def _prepare(job: TrainingJob, fits: list[Fit]) -> tuple[tuple[StandardScaler, ...], StackInputs]:
    """Return the scaler of each fit, and the tensors to train on."""
    scalers, scaled = zip(*[standardise(job.x, fit) for fit in fits], strict=True)
    weights = [loss_weights(job.model, job.y, fit.train) for fit in fits]
    x = tf.constant(np.stack(scaled).astype(np.float32))
    return scalers, StackInputs(x, tf.one_hot(job.y, job.n_classes), tf.constant(np.stack(weights)))


def _train_epochs(
    stack: "Stack", inputs: StackInputs, job: TrainingJob, fits: list[Fit], measured_rows: list[np.ndarray]
) -> tuple[np.ndarray, list[pd.DataFrame], np.ndarray]:
    """Train until all fits have ended, and restore the weights of their best epochs.

    Returns the best epoch and the history (epoch, loss, accuracy) of each fit, and the probabilities of the measured rows
    after each epoch [shape=(n_epochs, n_fits, n_measured, n_classes)].
    """
    epochs = EpochSelection(fits, job.model)
    shuffles = [np.random.default_rng(fit.seed) for fit in fits]
    padded_rows, _ = _pad_rows(measured_rows, 1)
    best_weights, records = stack.snapshot(), []
    for epoch in range(1, int(epochs.last.max()) + 1):
        batches = [shuffle.permutation(fit.train) for fit, shuffle in zip(fits, shuffles, strict=True)]
        outputs = stack.epoch(*inputs, *_pad_rows(batches, stack.batch_size), padded_rows)
        loss, accuracy, probabilities = (output.numpy() for output in outputs)
        records.append((loss, accuracy, probabilities, epochs.running))
        improved = epochs.update(epoch, validation_losses(probabilities, measured_rows, job.y))
        if improved.any():
            best_weights = stack.snapshot(best_weights, improved)
        if not epochs.running.any():
            break
    stack.restore(best_weights)
    loss, accuracy, validation, running = (np.stack(values) for values in zip(*records, strict=True))
    histories = []
    for i, n in enumerate(running.sum(axis=0)):
        histories.append(pd.DataFrame({"epoch": np.arange(1, n + 1), "loss": loss[:n, i], "accuracy": accuracy[:n, i]}))
    return epochs.best, histories, validation


def _pad_rows(rows: list[np.ndarray], multiple: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the row numbers of several fits, padded to a multiple [shape=(n_fits, n)], and 1.0 for rows, 0.0 for padding.

    The padding repeats the first rows of the same fit: batch normalisation uses them, the loss does not.
    """
    longest = max(1, *(len(part) for part in rows))
    width = -(-longest // multiple) * multiple
    index, real = np.zeros((len(rows), width), np.int32), np.zeros((len(rows), width), np.float32)
    for i, part in enumerate(rows):
        if len(part):
            index[i], real[i, : len(part)] = np.resize(part, width), 1
    return tf.constant(index), tf.constant(real)


@functools.lru_cache(maxsize=8)
def _compiled_stack(model: Model, n_features: int, n_classes: int, batch_size: int, settings: tuple) -> "Stack":
    return Stack(model, n_features, n_classes, batch_size, dict(settings))


class Stack:
    """Weights of `Model.stack` networks with the same architecture along a leading axis, and the compiled functions on them."""

    def __init__(self, entry: Model, n_features: int, n_classes: int, batch_size: int, settings: Mapping):
        self.size, self.batch_size = entry.stack, batch_size
        self.build = functools.partial(entry.build, n_features, n_classes, **settings)
        self.smoothing = entry.label_smoothing
        self.network = self.build()
        self.trainable = [keras.Variable(np.stack([v] * self.size)) for v in self.network.trainable_variables]
        self.state = [tf.Variable(np.stack([v] * self.size)) for v in self.network.non_trainable_variables]
        self.optimizer = entry.optimizer()
        self.optimizer.build(self.trainable)
        # One trace for any number of rows: tracing takes seconds, more than the training of such a network.
        x, y = tf.TensorSpec([self.size, None, n_features]), tf.TensorSpec([None, n_classes])
        rows, weights = tf.TensorSpec([self.size, None], tf.int32), tf.TensorSpec([self.size, None])
        signature = [x, y, weights, rows, weights, rows]
        self.epoch = tf.function(self._epoch, input_signature=signature)
        self.predict = tf.function(self._predict, input_signature=[x, rows])

    @functools.cache  # noqa: B019  (there are few seeds, and the cache lives as long as the stack)
    def _initial_values(self, seed: int) -> list[np.ndarray]:
        """Return the initial weights and state of a network with this seed."""
        network = build_with_seed(seed, self.build)
        return [v.numpy() for v in (*network.trainable_variables, *network.non_trainable_variables)]

    def start(self, seed: int) -> None:
        """Reset all networks to the initial values of a seed, and the optimizer."""
        for variable, value in zip([*self.trainable, *self.state], self._initial_values(seed), strict=True):
            variable.assign(np.broadcast_to(value, variable.shape))
        reset_optimizer(self.optimizer)

    def _values(self) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        return [tf.convert_to_tensor(v) for v in self.trainable], [tf.convert_to_tensor(v) for v in self.state]

    def snapshot(self, old: list[tf.Tensor] | None = None, take: np.ndarray | None = None) -> list[tf.Tensor]:
        """Return a copy of all weights; with `old`, the current weights only for the fits in the mask `take`."""
        current = [tf.identity(tf.convert_to_tensor(v)) for v in [*self.trainable, *self.state]]
        if old is None:
            return current
        pairs = zip(current, old, strict=True)
        return [tf.where(tf.reshape(take, [-1] + [1] * (new.ndim - 1)), new, previous) for new, previous in pairs]

    def restore(self, snapshot: list[tf.Tensor]) -> None:
        """Set all weights to those of a snapshot."""
        for variable, value in zip([*self.trainable, *self.state], snapshot, strict=True):
            variable.assign(value)

    def weights(self) -> list[list[np.ndarray]]:
        """Return the weights of each fit, in the order of `keras.Model.weights`."""
        variables = [*self.network.trainable_variables, *self.network.non_trainable_variables]
        by_path = {v.path: s.numpy() for v, s in zip(variables, [*self.trainable, *self.state], strict=True)}
        return [[by_path[v.path][i] for v in self.network.weights] for i in range(self.size)]

    def _epoch(self, x, y, class_weights, order, real, validation):
        """Train one epoch of each fit.

        Returns its mean loss and accuracy [shape=(n_fits,)], and the probabilities of its validation rows after the epoch
        [shape=(n_fits, n_rows, n_classes)].
        """
        loss, correct = tf.zeros(self.size), tf.zeros(self.size)
        for start in tf.range(0, tf.shape(order)[1], self.batch_size):
            rows, counts = order[:, start : start + self.batch_size], real[:, start : start + self.batch_size]
            weight = counts * tf.gather(class_weights, rows, batch_dims=1)
            with tf.GradientTape() as tape:
                trainable, state = self._values()
                tape.watch(trainable)
                batch_loss, batch_correct, new_state = tf.vectorized_map(
                    self._forward, (tf.gather(x, rows, batch_dims=1), tf.gather(y, rows), weight, counts, trainable, state)
                )
                mean_loss = batch_loss / tf.reduce_sum(counts, axis=1)
            self.optimizer.apply(tape.gradient(mean_loss, trainable), self.trainable)
            for variable, value in zip(self.state, new_state, strict=True):
                variable.assign(value)
            loss, correct = loss + batch_loss, correct + batch_correct
        n = tf.reduce_sum(real, axis=1)
        return loss / n, correct / n, self._predict(x, validation)

    def _forward(self, args):
        """Compute one batch of one fit: its summed loss, its number of correct predictions, and the new state."""
        x, y, weight, counts, trainable, state = args
        # The seed of dropout (integer state) comes from outside the map, so that random numbers are drawn once, not in a loop.
        state = [tf.convert_to_tensor(v)[0] if v.dtype.is_integer else part for v, part in zip(self.state, state, strict=True)]
        probabilities, new_state = self.network.stateless_call(trainable, state, x, training=True)
        loss = keras.losses.categorical_crossentropy(y, probabilities, label_smoothing=self.smoothing)
        correct = tf.cast(tf.equal(tf.argmax(y, -1), tf.argmax(probabilities, -1)), tf.float32)
        return tf.reduce_sum(loss * weight), tf.reduce_sum(correct * counts), new_state

    def _predict(self, x, rows):
        """Compute the probabilities of the given rows of each fit [shape=(n_fits, n, n_classes)]."""

        def predict_fit(args):
            return self.network.stateless_call(args[1], args[2], args[0], training=False)[0]

        return tf.vectorized_map(predict_fit, (tf.gather(x, rows, batch_dims=1), *self._values()))
