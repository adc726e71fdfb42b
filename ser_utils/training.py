"""Training many small networks at once: the same computation as one after the other, without its overhead.

A study of this kind fits hundreds of tiny networks (speakers x seeds x inner folds). Here a stack of them shares one
compiled step: `tf.vectorized_map` runs the Keras model and its loss over a leading axis of fits, and one optimiser, which works
number by number, updates them all. Each fit has rows, weights, dropout, batches and a stopping point of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

from ser_utils.backend import keras, tf
from ser_utils.models import Model
from ser_utils.progress import progress

STACK = 32  # fits that train together: more gains little and takes memory


@dataclass
class Fit:
    """One training run: row numbers of the feature table and a seed."""

    train: np.ndarray
    seed: int
    validation: np.ndarray | None = None
    """Rows that are measured after each epoch."""
    epochs: int | None = None
    """How long to train; None to stop early, by the loss of the validation rows, and keep the best weights."""
    test: np.ndarray = field(default_factory=lambda: np.empty(0, int))


@dataclass
class Fitted:
    """What a `Fit` gives."""

    epochs: int
    """The epoch whose weights are kept, from 1."""
    probabilities: np.ndarray
    """Of the test rows [shape=(n_test, n_classes)]."""
    history: pd.DataFrame
    """Columns epoch, loss, accuracy (running, under dropout) and val_loss, val_accuracy where there is validation."""
    weights: list[np.ndarray]
    """For `keras.Model.set_weights`."""
    scaler: StandardScaler
    """Fitted on the training rows alone."""


def fit_all(
    model: Model, x: np.ndarray, y: np.ndarray, fits: list[Fit], *, n_classes: int, batch_size: int, desc: str = "fits"
) -> list[Fitted]:
    """Train a network for each fit.

    Parameters
    ----------
    model : Model
        From `ser_utils.models.MODELS`.
    x : np.ndarray [shape=(n_rows, n_features)]
        Features as extracted; each fit standardises them by its own training rows.
    y : np.ndarray [shape=(n_rows,), dtype=int]
        Class numbers.
    fits : list of Fit
        What to train on, to stop by and to predict.
    n_classes : int
        Number of classes.
    batch_size : int
        Rows a step.
    desc : str
        What the progress bar calls it.

    Returns
    -------
    list of Fitted
        In the order of `fits`.
    """
    groups = _groups(fits, batch_size)
    compiled: dict[int, _Stack] = {}
    done: dict[int, Fitted] = {}
    for group in progress(groups, total=len(groups), desc=desc, unit="stack"):
        if len(group) not in compiled:
            compiled[len(group)] = _Stack(model.build, x.shape[1], n_classes, len(group))
        fitted = _fit_stack(compiled[len(group)], model, x, y, [fits[i] for i in group], batch_size)
        done |= zip(group, fitted, strict=True)
    return [done[i] for i in range(len(fits))]


def _groups(fits: list[Fit], batch_size: int) -> list[np.ndarray]:
    """Numbers of the fits that train together.

    They have one seed, since dropout draws one mask for all of them, as it would for one network after the other started
    from that seed; and as many steps an epoch, so that none takes an empty step.
    """
    alike: dict[tuple, list[int]] = {}
    for i, fit in enumerate(fits):
        alike.setdefault((fit.seed, -(-len(fit.train) // batch_size)), []).append(i)
    return [part for group in alike.values() for part in np.array_split(group, -(-len(group) // STACK))]


def chosen_epochs(inner: list[Fitted]) -> int:
    """The stated rule of the refit: the epoch at which the inner fits' mean validation accuracy is highest.

    The mean curve is smoothed over five epochs, since it rests on few speakers. Accuracy and not loss decides: for
    a voice never heard, the loss soon rises with the confidence of wrong answers while right answers still increase.
    """
    curve = pd.concat([fitted.history for fitted in inner]).groupby("epoch").val_accuracy.mean()
    return int(curve.rolling(5, center=True, min_periods=1).mean().idxmax())


def _fit_stack(stack: "_Stack", model: Model, x: np.ndarray, y: np.ndarray, fits: list[Fit], batch_size: int) -> list[Fitted]:
    """Train one stack of fits side by side."""
    scalers = [StandardScaler().fit(x[fit.train]) for fit in fits]
    scaled = tf.constant(np.stack([scaler.transform(x) for scaler in scalers]).astype(np.float32))
    stack.start(fits[0].seed)
    targets = tf.one_hot(y, stack.n_classes)
    shuffles = [np.random.default_rng(fit.seed) for fit in fits]
    validation = _pad([fit.validation if fit.validation is not None else fit.train[:0] for fit in fits], 1)
    by_loss = np.array([fit.epochs is None for fit in fits])
    wanted = np.array([fit.epochs or model.max_epochs for fit in fits])

    best_loss, best_epoch = np.full(len(fits), np.inf), np.ones(len(fits), int)
    running, kept, history = np.full(len(fits), True), stack.snapshot(), []
    for epoch in range(1, int(wanted.max()) + 1):
        order = _pad([shuffle.permutation(fit.train) for fit, shuffle in zip(fits, shuffles, strict=True)], batch_size)
        measured = [part.numpy() for part in stack.epoch(scaled, targets, *order, *validation, tf.constant(batch_size))]
        better = running & np.where(by_loss, measured[2] < best_loss - model.min_delta, epoch == wanted)
        best_loss, best_epoch = np.where(better, measured[2], best_loss), np.where(better, epoch, best_epoch)
        kept = stack.snapshot(kept, better)
        history.append(np.where(running, measured, np.nan))
        running &= np.where(by_loss, epoch - best_epoch < model.patience, True) & (epoch < wanted)
        if not running.any():
            break
    stack.restore(kept)
    test = _pad([fit.test for fit in fits], 1)
    probabilities = stack.predict(scaled, test[0]).numpy()
    curves = np.stack(history)
    return [
        Fitted(
            epochs=int(best_epoch[i]),
            probabilities=probabilities[i, : len(fit.test)],
            scaler=scalers[i],
            weights=stack.weights_of(i),
            history=_history(curves[:, :, i], fit.validation is not None),
        )
        for i, fit in enumerate(fits)
    ]


def _pad(rows: list[np.ndarray], multiple: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Row numbers of several fits as one table [shape=(n_fits, n)], padded to a multiple, and 1.0 where a row is real."""
    longest = max(1, *(len(part) for part in rows))
    width = -(-longest // multiple) * multiple
    index, real = np.zeros((len(rows), width), np.int32), np.zeros((len(rows), width), np.float32)
    for i, part in enumerate(rows):
        index[i, : len(part)], real[i, : len(part)] = part, 1
    return tf.constant(index), tf.constant(real)


def _history(curves: np.ndarray, validated: bool) -> pd.DataFrame:
    """Learning curves of one fit, from [shape=(n_epochs, 4)]; epochs after it stopped are left out."""
    table = pd.DataFrame(curves, columns=["loss", "accuracy", "val_loss", "val_accuracy"])
    table = table[table.loss.notna()]
    table.insert(0, "epoch", np.arange(1, len(table) + 1))
    return table if validated else table.drop(columns=["val_loss", "val_accuracy"])


class _Stack:
    """Weights of several networks of one architecture, along a leading axis, and the compiled steps over them."""

    def __init__(self, build: Callable[[int, int], keras.Sequential], n_features: int, n_classes: int, n_fits: int):
        self.build, self.n_features, self.n_classes = build, n_features, n_classes
        self.network = build(n_features, n_classes)
        self.trainable = [keras.Variable(np.stack([v] * n_fits)) for v in self.network.trainable_variables]
        self.state = [tf.Variable(np.stack([v] * n_fits)) for v in self.network.non_trainable_variables]
        self.optimizer = keras.optimizers.Adam()
        self.optimizer.build(self.trainable)

    def start(self, seed: int) -> None:
        """Give each fit what a network starts from under a seed: weights, the state of dropout, a fresh optimiser."""
        keras.utils.set_random_seed(seed)
        network = self.build(self.n_features, self.n_classes)
        for stacked, one in zip(
            [*self.trainable, *self.state],
            [*network.trainable_variables, *network.non_trainable_variables],
            strict=True,
        ):
            stacked.assign(np.stack([one] * stacked.shape[0]))
        for variable in self.optimizer.variables:
            if variable is not self.optimizer.learning_rate:
                variable.assign(keras.ops.zeros_like(variable))

    def _values(self) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        return [tf.convert_to_tensor(v) for v in self.trainable], [tf.convert_to_tensor(v) for v in self.state]

    def snapshot(self, old: list[tf.Tensor] | None = None, take: np.ndarray | None = None) -> list[tf.Tensor]:
        """A copy of all weights; with `old`, only the fits marked in `take` are new and the rest is kept."""
        now = [tf.identity(tf.convert_to_tensor(v)) for v in [*self.trainable, *self.state]]
        if old is None:
            return now
        return [tf.where(tf.reshape(take, [-1] + [1] * (new.ndim - 1)), new, was) for new, was in zip(now, old, strict=True)]

    def restore(self, kept: list[tf.Tensor]) -> None:
        """Put a snapshot's weights back."""
        for variable, value in zip([*self.trainable, *self.state], kept, strict=True):
            variable.assign(value)

    def weights_of(self, i: int) -> list[np.ndarray]:
        """The weights of fit `i`, in the order of `keras.Model.weights`."""
        by_path = {
            v.path: s[i].numpy()
            for v, s in zip(
                [*self.network.trainable_variables, *self.network.non_trainable_variables],
                [*self.trainable, *self.state],
                strict=True,
            )
        }
        return [by_path[v.path] for v in self.network.weights]

    @tf.function(reduce_retracing=True)
    def epoch(self, x, y, order, real, validation, validation_real, batch_size):
        """One epoch of every fit; returns loss, accuracy, val_loss, val_accuracy, each [shape=(n_fits,)]."""
        loss, right = tf.zeros(tf.shape(order)[0]), tf.zeros(tf.shape(order)[0])
        for start in tf.range(0, tf.shape(order)[1], batch_size):
            rows, weight = order[:, start : start + batch_size], real[:, start : start + batch_size]
            with tf.GradientTape() as tape:
                trainable, state = self._values()
                tape.watch(trainable)
                batch_loss, batch_right, new_state = tf.vectorized_map(
                    self._forward, (tf.gather(x, rows, batch_dims=1), tf.gather(y, rows), weight, trainable, state)
                )
                mean_loss = batch_loss / tf.reduce_sum(weight, axis=1)
            self.optimizer.apply(tape.gradient(mean_loss, trainable), self.trainable)
            for variable, value in zip(self.state, new_state, strict=True):
                variable.assign(value)
            loss, right = loss + batch_loss, right + batch_right
        n = tf.reduce_sum(real, axis=1)
        probabilities = self.predict(x, validation)
        val_loss, val_right = _measure(tf.gather(y, validation), probabilities, validation_real)
        n_validation = tf.maximum(tf.reduce_sum(validation_real, axis=1), 1)
        return loss / n, right / n, val_loss / n_validation, val_right / n_validation

    def _forward(self, args):
        """One batch of one fit: its summed loss, how many are right, and the state that dropout leaves."""
        x, y, weight, trainable, state = args
        # dropout's seed (the integers) is taken from outside the map: random numbers are then drawn once, not in a loop
        state = [tf.convert_to_tensor(v)[0] if v.dtype.is_integer else part for v, part in zip(self.state, state, strict=True)]
        probabilities, new_state = self.network.stateless_call(trainable, state, x, training=True)
        return *_measure(y, probabilities, weight), new_state

    @tf.function(reduce_retracing=True)
    def predict(self, x, rows):
        """Probabilities of the given rows of each fit [shape=(n_fits, n, n_classes)]."""

        def one(args):
            return self.network.stateless_call(args[1], args[2], args[0], training=False)[0]

        return tf.vectorized_map(one, (tf.gather(x, rows, batch_dims=1), *self._values()))


def _measure(y, probabilities, weight):
    """Sums over real rows of the categorical cross-entropy and of the rows that are right."""
    loss = keras.losses.categorical_crossentropy(y, probabilities) * weight
    right = tf.cast(tf.equal(tf.argmax(y, -1), tf.argmax(probabilities, -1)), tf.float32) * weight
    return tf.reduce_sum(loss, axis=-1), tf.reduce_sum(right, axis=-1)
