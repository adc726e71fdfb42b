"""Training many small networks at once: the same computation as one after the other, without its overhead.

A study of this kind fits hundreds of tiny networks (speakers x seeds x inner folds). Here a stack of them shares one
compiled step: `tf.vectorized_map` runs the Keras model and its loss over a leading axis of fits, and one optimiser, which
works number by number, updates them all. Each fit has rows, weights, dropout, batches and a stopping point of its own.
Stacks are spread over processes.
"""

import functools
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import joblib
import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

from ser_utils.core import cache, code_version
from ser_utils.core.parallel import Execution, parallel_map
from ser_utils.core.progress import progress
from ser_utils.evaluation.leakage import check_scaler
from ser_utils.evaluation.metrics import uar
from ser_utils.models import sequences
from ser_utils.models.backend import build_with_seed, keras, tf
from ser_utils.models.optimizers import reset_optimizer
from ser_utils.models.registry import MODELS, Model

SCALER = ("mean_", "var_", "scale_", "n_samples_seen_", "n_features_in_")  # what a fitted StandardScaler consists of
STACK = 6  # fits that train together, always as many, so that a network is compiled once; more gains little
_TURN = threading.Lock()


@dataclass
class Fit:
    """One training run: row numbers of the feature table and a seed."""

    train: np.ndarray
    seed: int
    validation: np.ndarray | None = None
    """Rows that are measured after each epoch."""
    epochs: int = 1
    """How long to train; at most, where it stops early."""
    stop_early: bool = False
    """Whether the loss of the validation rows stops it; the best weights are kept."""
    test: np.ndarray = field(default_factory=lambda: np.empty(0, int))
    settings: Mapping = field(default_factory=dict)
    """Of the network's build function."""
    keep_weights: bool = True
    """Whether the weights are wanted; of hundreds of fits few are."""
    rows_per_epoch: int = 0
    """How many of the training rows an epoch shows, drawn at random; 0 for all. Networks of sequences alone look at it."""
    extra_rows: np.ndarray | None = None
    """Those of `train` that are of other corpora: standardised by their own statistics before, and kept from the scaler."""


@dataclass
class FitResult:
    """What a `Fit` gives."""

    epochs: int
    """The epoch whose weights are kept, from 1."""
    probabilities: np.ndarray
    """Of the test rows [shape=(n_test, n_classes)]."""
    history: pd.DataFrame
    """Columns epoch, loss, accuracy (running, under dropout) and val_loss, val_accuracy, val_uar where there is validation."""
    weights: list[np.ndarray]
    """For `keras.Model.set_weights`; none where they were not wanted."""
    scaler: StandardScaler
    """Fitted on the training rows alone, and of these on the corpus' own."""
    validation: np.ndarray | None = None
    """Probabilities of the validation rows after each epoch [shape=(n_epochs, n_validation, n_classes)]."""
    seconds: float = 0.0
    """How long the training took, without compiling; of those trained together, a share each."""


@dataclass(frozen=True)
class _Named:
    """A network under a name of its own: sent to another process it is another object each time, but compiled only once."""

    name: str
    entry: Model = field(compare=False)


@functools.cache
def _named(entry: Model) -> _Named:
    return _Named(uuid.uuid4().hex, entry)


def fit_all(
    model: str,
    x: np.ndarray,
    y: np.ndarray,
    fits: list[Fit],
    *,
    n_classes: int,
    batch_size: int = 0,
    execution: Execution = Execution(),
    desc: str = "fits",
) -> list[FitResult]:
    """Train a network for each fit; the fits have passed `ser_utils.evaluation.leakage.check_fit` before.

    What was trained before, on the same rows with the same settings and code, is taken from the cache (`ser_utils.core.cache`).

    Parameters
    ----------
    model : str
        A name in `ser_utils.models.registry.MODELS`.
    x : np.ndarray [shape=(n_rows, n_features); or (n_rows,), dtype=object, of arrays of shape (n_frames, n_features)]
        Features as extracted, rows or sequences as the model takes them; each fit standardises them by its own training rows.
        Rows of other corpora (`Fit.extra_rows`) come standardised and stay as they are.
    y : np.ndarray [shape=(n_rows,), dtype=int]
        Class numbers.
    fits : list of Fit
        What to train on, to stop by and to predict.
    n_classes : int
        Number of classes.
    batch_size : int
        Rows a step; 0 for the network's default.
    execution : Execution
        Processes or cluster.
    desc : str
        What the progress bar calls it.

    Returns
    -------
    list of Fitted
        In the order of `fits`.
    """
    size = batch_size or MODELS[model].batch_size
    shared = _shared(fits)
    stacks = _stacks(fits, shared, size, most=1 if MODELS[model].sequences else STACK)
    names = [_entry(model, x, y, [[fits[i] for i in twins] for twins in stack], n_classes, size) for stack in stacks]
    done: dict[int, FitResult] = {}

    def place(stack: list[list[int]], fitted: list[FitResult]) -> None:
        done.update(zip([i for twins in stack for i in twins], fitted, strict=True))

    missing = []
    for stack, name in zip(stacks, names, strict=True):
        if (kept := cache.load("fits", name)) is not None:
            place(stack, _unpacked(kept))
        else:
            missing.append((stack, name))
    tasks = (
        (_named(MODELS[model]), *_used(x, y, [[fits[i] for i in twins] for twins in stack]), n_classes, size)
        for stack, _ in missing
    )
    n_jobs = min(joblib.effective_n_jobs(execution.n_jobs), max(1, len(missing)))
    jobs = parallel_map(_fit_stack, tasks, execution=replace(execution, n_jobs=n_jobs))
    jobs = progress(
        jobs, total=len(fits), done=len(done), size=len, desc=desc, unit="fit", first="compiling the network, some seconds"
    )
    for (stack, name), fitted in zip(missing, jobs, strict=True):
        cache.save("fits", name, _packed(fitted))
        place(stack, fitted)
    return [done[i] for i in range(len(fits))]


def _entry(model: str, x: np.ndarray, y: np.ndarray, trainings: list[list[Fit]], n_classes: int, batch_size: int) -> str:
    """The name under which a stack's results are kept."""
    entry = MODELS[model]
    x, y, trainings = _used(x, y, trainings)
    rows = {
        f"{i}.{j}.{name}": part for i, twins in enumerate(trainings) for j, fit in enumerate(twins) for name, part in _rows(fit)
    }
    how = [
        [(fit.seed, fit.epochs, fit.stop_early, fit.keep_weights, sorted(fit.settings.items())) for fit in twins]
        for twins in trainings
    ]
    if entry.sequences:
        rows |= {
            "lengths": np.array([len(clip) for clip in x]),
            "rows_per_epoch": [fit.rows_per_epoch for fit, *_ in trainings],
        }
        x = np.concatenate(x)
    learns = [entry.label_smoothing, entry.balanced, entry.patience, entry.min_delta]
    computed_by = code_version.version(entry.build, entry.optimizer, __name__)
    return cache.key(
        code=computed_by,
        model=model,
        x=x,
        y=y,
        how=how,
        learns=learns,
        n_classes=n_classes,
        batch_size=batch_size,
        **rows,
    )


def _rows(fit: Fit) -> list[tuple[str, np.ndarray]]:
    """The row numbers that a fit has, by name."""
    return [
        (name, getattr(fit, name)) for name in ("train", "test", "validation", "extra_rows") if getattr(fit, name) is not None
    ]


def _packed(fitted: list[FitResult]) -> dict[str, np.ndarray]:
    """Results as arrays alone."""
    arrays = {"n": np.array(len(fitted))}
    for i, one in enumerate(fitted):
        arrays |= {f"{i}.epochs": np.array(one.epochs), f"{i}.probabilities": one.probabilities}
        arrays[f"{i}.seconds"] = np.array(one.seconds)
        arrays |= {f"{i}.history.{name}": column.to_numpy() for name, column in one.history.items()}
        arrays |= {f"{i}.weights.{k:03d}": array for k, array in enumerate(one.weights)}
        arrays |= {f"{i}.scaler.{name}": np.asarray(getattr(one.scaler, name)) for name in SCALER}
        if one.validation is not None:
            arrays[f"{i}.validation"] = one.validation
    return arrays


def _unpacked(arrays: Mapping[str, np.ndarray]) -> list[FitResult]:
    """What `_packed` packed."""
    fitted = []
    for i in range(int(arrays["n"])):
        own = {name.removeprefix(f"{i}."): array for name, array in arrays.items() if name.startswith(f"{i}.")}
        scaler = StandardScaler()
        for name in SCALER:
            setattr(scaler, name, own[f"scaler.{name}"][()])
        fitted.append(
            FitResult(
                epochs=int(own["epochs"]),
                probabilities=own["probabilities"],
                history=pd.DataFrame({n.removeprefix("history."): a for n, a in own.items() if n.startswith("history.")}),
                weights=[own[name] for name in sorted(own) if name.startswith("weights.")],
                scaler=scaler,
                validation=own.get("validation"),
                seconds=float(own["seconds"]),
            )
        )
    return fitted


def _shared(fits: list[Fit]) -> list[list[int]]:
    """Numbers of the fits by training: those that differ only in what they are measured on are trained once.

    Leaving out speaker a, and b of the others, trains on the same rows as leaving out b, and a of the others.
    """
    alike: dict[tuple, list[int]] = {}
    for i, fit in enumerate(fits):
        extra_rows = b"" if fit.extra_rows is None else fit.extra_rows.tobytes()
        same = (fit.seed, fit.epochs, tuple(sorted(fit.settings.items())), fit.train.tobytes(), extra_rows)
        alike.setdefault((i,) if fit.stop_early else same, []).append(i)
    return list(alike.values())


def _stacks(fits: list[Fit], shared: list[list[int]], batch_size: int, *, most: int = STACK) -> list[list[list[int]]]:
    """The trainings of each stack: alike in settings, in steps an epoch, and in seed.

    One seed, since dropout draws one mask for all of them, as it would for one network after the other started from
    that seed; as many steps, so that none takes an empty one.
    """
    alike: dict[tuple, list[list[int]]] = {}
    for twins in shared:
        fit = fits[twins[0]]
        key = (fit.seed, -(-len(fit.train) // batch_size), tuple(sorted(fit.settings.items())))
        alike.setdefault(key, []).append(twins)
    return [group[start : start + most] for group in alike.values() for start in range(0, len(group), most)]


def chosen_epochs(inner: list[FitResult]) -> tuple[int, float]:
    """The stated rule of the refit: the epoch at which the inner fits' mean validation UAR is highest, and its height.

    The mean curve is smoothed over five epochs, since it rests on few speakers. UAR and not the loss decides: for
    a voice never heard, the loss soon rises with the confidence of wrong answers while right answers still increase.
    """
    curve = pd.concat([fitted.history for fitted in inner]).groupby("epoch").val_uar.mean()
    smooth = curve.rolling(5, center=True, min_periods=1).mean()
    return int(smooth.idxmax()), float(smooth.max())


def _fit_stack(
    named: _Named, x: np.ndarray, y: np.ndarray, trainings: list[list[Fit]], n_classes: int, batch_size: int
) -> list[FitResult]:
    """Train one stack; threads of one process take turns, since they share the compiled networks."""
    train = _train_sequences if named.entry.sequences else _train
    with _TURN:
        return train(named, x, y, trainings, n_classes, batch_size)


def _train(
    named: _Named, x: np.ndarray, y: np.ndarray, trainings: list[list[Fit]], n_classes: int, batch_size: int
) -> list[FitResult]:
    """Train one stack side by side; one that is not full is filled up with copies of its last training."""
    entry, n_trainings = named.entry, len(trainings)
    trainings = trainings + [trainings[-1]] * (STACK - n_trainings)
    fits = [twins[0] for twins in trainings]
    stack = _compiled(named, x.shape[1], n_classes, batch_size, tuple(sorted(fits[0].settings.items())))
    began = time.perf_counter()
    scalers = [_scaler(x, fit) for fit in fits]
    scaled = [_scaled(scaler, x, fit) for scaler, fit in zip(scalers, fits, strict=True)]
    scaled = tf.constant(np.stack(scaled).astype(np.float32))
    weights = np.stack([_class_weights(y, fit.train) if entry.balanced else np.ones(len(y), np.float32) for fit in fits])
    weights, targets = tf.constant(weights), tf.one_hot(y, n_classes)
    stack.start(fits[0].seed)
    shuffles = [np.random.default_rng(fit.seed) for fit in fits]
    measured = [[fit.train[:0] if fit.validation is None else fit.validation for fit in twins] for twins in trainings]
    heard = [np.concatenate(parts) for parts in measured]
    validation, _ = _pad(heard, 1)
    by_loss = np.array([fit.stop_early for fit in fits])
    wanted = np.array([fit.epochs for fit in fits])

    best_loss, best_epoch = np.full(STACK, np.inf), np.ones(STACK, int)
    running, kept, history = np.full(STACK, True), stack.snapshot(), []
    for epoch in range(1, int(wanted.max()) + 1):
        order = _pad([shuffle.permutation(fit.train) for fit, shuffle in zip(fits, shuffles, strict=True)], batch_size)
        loss, accuracy, chances = (part.numpy() for part in stack.epoch(scaled, targets, weights, *order, validation))
        val_loss = np.array(
            [_losses(p[: len(rows)], y[rows]).sum() / max(len(rows), 1) for p, rows in zip(chances, heard, strict=True)]
        )
        better = running & np.where(by_loss, val_loss < best_loss - entry.min_delta, epoch == wanted)
        best_loss, best_epoch = np.where(better, val_loss, best_loss), np.where(better, epoch, best_epoch)
        if better.any():
            kept = stack.snapshot(kept, better)
        history.append((loss, accuracy, chances, running))
        running = running & np.where(by_loss, epoch - best_epoch < entry.patience, True) & (epoch < wanted)
        if not running.any():
            break
    stack.restore(kept)
    kept_weights = stack.weights()
    tests = [[fit.test for fit in twins] for twins in trainings]
    probabilities = stack.predict(scaled, _pad([np.concatenate(parts) for parts in tests], 1)[0]).numpy()
    loss, accuracy, chances, ran = (np.stack(part) for part in zip(*history, strict=True))
    done, seconds = [], (time.perf_counter() - began) / n_trainings
    for i, twins in enumerate(trainings[:n_trainings]):
        last = ran[:, i].sum()
        curve = pd.DataFrame({"epoch": np.arange(1, last + 1), "loss": loss[:last, i], "accuracy": accuracy[:last, i]})
        ends = np.cumsum([[len(rows) for rows in measured[i]], [len(rows) for rows in tests[i]]], axis=1)
        for fit, end, test_end in zip(twins, *ends, strict=True):
            one = FitResult(
                epochs=int(best_epoch[i]),
                probabilities=probabilities[i, test_end - len(fit.test) : test_end],
                history=curve,
                weights=kept_weights[i] if fit.keep_weights else [],
                scaler=scalers[i],
                seconds=seconds,
            )
            if fit.validation is not None:
                one.validation = chances[:last, i, end - len(fit.validation) : end]
                one.history = curve.assign(**_validated(one.validation, y, fit.validation))
            done.append(one)
    return done


def _scaler(x: np.ndarray, fit: Fit) -> StandardScaler:
    """Fitted on the training rows of the corpus itself, of sequences on all their frames, and checked."""
    own = x[fit.train if fit.extra_rows is None else np.setdiff1d(fit.train, fit.extra_rows)]
    own = np.concatenate(own) if own.dtype == object else own
    scaler = StandardScaler().fit(own)
    check_scaler(scaler, own)
    return scaler


def _scaled(scaler: StandardScaler, x: np.ndarray, fit: Fit) -> np.ndarray | list[np.ndarray]:
    """All rows as the network sees them [shape=(n_rows, n_features)], or all sequences."""
    extra_rows = set() if fit.extra_rows is None else set(fit.extra_rows.tolist())
    if x.dtype == object:
        return [(clip if i in extra_rows else scaler.transform(clip)).astype(np.float32) for i, clip in enumerate(x)]
    scaled = scaler.transform(x)
    if extra_rows:
        scaled[fit.extra_rows] = x[fit.extra_rows]
    return scaled


def _train_sequences(
    named: _Named, x: np.ndarray, y: np.ndarray, trainings: list[list[Fit]], n_classes: int, batch_size: int
) -> list[FitResult]:
    """Train networks of sequences, one after the other."""
    return [one for twins in trainings for one in _train_one(named, x, y, twins, n_classes, batch_size)]


def _train_one(
    named: _Named, x: np.ndarray, y: np.ndarray, twins: list[Fit], n_classes: int, batch_size: int
) -> list[FitResult]:
    """Train one network of sequences and measure it for each of the twins, as `_train` does."""
    entry, fit = named.entry, twins[0]
    learner = _learner(named, x[0].shape[1], n_classes, tuple(sorted(fit.settings.items())))
    scaler = _scaler(x, fit)
    clips = _scaled(scaler, x, fit)
    weights = _class_weights(y, fit.train) if entry.balanced else np.ones(len(y), np.float32)
    targets = np.eye(n_classes, dtype=np.float32)[y]
    heard = [fit.train[:0] if one.validation is None else one.validation for one in twins]
    measured = [clips[i] for rows in heard for i in rows]
    truth = y[np.concatenate(heard)]
    learner.start(fit.seed)
    began, best, history, chances = time.perf_counter(), (np.inf, 1, learner.weights()), [], []
    for epoch in range(1, fit.epochs + 1):
        rows = learner.rng.choice(fit.train, fit.rows_per_epoch, replace=False) if fit.rows_per_epoch else fit.train
        history.append((epoch, *learner.epoch(clips, targets, weights, rows, batch_size)))
        chances.append(learner.predict(measured))
        loss = _losses(chances[-1], truth).mean() if fit.stop_early else np.inf
        if loss < best[0] - entry.min_delta if fit.stop_early else epoch == fit.epochs:
            best = (loss, epoch, learner.weights())
        if fit.stop_early and epoch - best[1] >= entry.patience:
            break
    seconds = time.perf_counter() - began
    learner.network.set_weights(best[2])
    curve = pd.DataFrame(history, columns=["epoch", "loss", "accuracy"])
    ends, done = np.cumsum([len(rows) for rows in heard]), []
    for one, end in zip(twins, ends, strict=True):
        tested = learner.predict([clips[i] for i in one.test])
        result = FitResult(best[1], tested, curve, best[2] if one.keep_weights else [], scaler, seconds=seconds)
        if one.validation is not None:
            result.validation = np.stack(chances)[:, end - len(one.validation) : end]
            result.history = curve.assign(**_validated(result.validation, y, one.validation))
        done.append(result)
    return done


@functools.lru_cache(maxsize=4)
def _learner(named: _Named, n_features: int, n_classes: int, settings: tuple) -> sequences.SequenceTrainer:
    return sequences.SequenceTrainer(named.entry, n_features, n_classes, dict(settings))


def _used(x: np.ndarray, y: np.ndarray, trainings: list[list[Fit]]) -> tuple[np.ndarray, np.ndarray, list[list[Fit]]]:
    """The rows that a stack needs, and its fits with the numbers that these rows have there."""
    parts = [dict(_rows(fit)) for twins in trainings for fit in twins]
    rows = np.unique(np.concatenate([index for part in parts for index in part.values()]))
    fits = iter([{name: np.searchsorted(rows, index) for name, index in part.items()} for part in parts])
    renumbered = [[replace(fit, **next(fits)) for fit in twins] for twins in trainings]
    return x[rows], y[rows], renumbered


def _losses(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Categorical cross-entropy of each row, from probabilities [shape=(..., n_rows, n_classes)]."""
    return -np.log(np.maximum(probabilities[..., np.arange(len(truth)), truth], 1e-7))


def _validated(probabilities: np.ndarray, y: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Curves of validation, from the probabilities after each epoch [shape=(n_epochs, n_rows, n_classes)]."""
    predicted = probabilities.argmax(axis=-1)
    return {
        "val_loss": _losses(probabilities, y[rows]).mean(axis=1),
        "val_accuracy": (predicted == y[rows]).mean(axis=1),
        "val_uar": uar(y[rows], predicted),
    }


def _class_weights(y: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """A weight for each row [shape=(n_rows,)] under which the classes among `rows` weigh the same, 1 on average."""
    counts = np.bincount(y[rows], minlength=y.max() + 1)
    weight = np.divide(len(rows), counts * np.count_nonzero(counts), out=np.ones(len(counts)), where=counts > 0)
    return weight[y].astype(np.float32)


def _pad(rows: list[np.ndarray], multiple: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Row numbers of several fits as one table [shape=(n_fits, n)], padded to a multiple, and 1.0 where a row is real.

    Padding repeats a fit's own first rows: batch normalisation sees them, the loss does not.
    """
    longest = max(1, *(len(part) for part in rows))
    width = -(-longest // multiple) * multiple
    index, real = np.zeros((len(rows), width), np.int32), np.zeros((len(rows), width), np.float32)
    for i, part in enumerate(rows):
        if len(part):
            index[i], real[i, : len(part)] = np.resize(part, width), 1
    return tf.constant(index), tf.constant(real)


@functools.lru_cache(maxsize=8)
def _compiled(named: _Named, n_features: int, n_classes: int, batch_size: int, settings: tuple) -> "_Stack":
    return _Stack(named.entry, n_features, n_classes, batch_size, dict(settings))


class _Stack:
    """Weights of several networks of one architecture, along a leading axis, and the compiled steps over them."""

    def __init__(self, entry: Model, n_features: int, n_classes: int, batch_size: int, settings: Mapping):
        self.batch_size = batch_size
        self.build = functools.partial(entry.build, n_features, n_classes, **settings)
        self.smoothing = entry.label_smoothing
        self.network = self.build()
        self.trainable = [keras.Variable(np.stack([v] * STACK)) for v in self.network.trainable_variables]
        self.state = [tf.Variable(np.stack([v] * STACK)) for v in self.network.non_trainable_variables]
        self.optimizer = entry.optimizer()
        self.optimizer.build(self.trainable)
        # one trace for any number of rows: tracing costs seconds, a network of this size trains in less
        x, y = tf.TensorSpec([STACK, None, n_features]), tf.TensorSpec([None, n_classes])
        rows, weights = tf.TensorSpec([STACK, None], tf.int32), tf.TensorSpec([STACK, None])
        signature = [x, y, weights, rows, weights, rows]
        self.epoch = tf.function(self._epoch, input_signature=signature)
        self.predict = tf.function(self._predict, input_signature=[x, rows])

    @functools.cache  # noqa: B019  (few seeds, and as long-lived as the stack)
    def _fresh(self, seed: int) -> list[np.ndarray]:
        """What a network starts from under a seed: weights and the state of dropout."""
        network = build_with_seed(seed, self.build)
        return [v.numpy() for v in (*network.trainable_variables, *network.non_trainable_variables)]

    def start(self, seed: int) -> None:
        """Let every fit start anew, with a fresh optimiser."""
        for stacked, one in zip([*self.trainable, *self.state], self._fresh(seed), strict=True):
            stacked.assign(np.broadcast_to(one, stacked.shape))
        reset_optimizer(self.optimizer)

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

    def weights(self) -> list[list[np.ndarray]]:
        """The weights of each fit, in the order of `keras.Model.weights`."""
        variables = [*self.network.trainable_variables, *self.network.non_trainable_variables]
        by_path = {v.path: s.numpy() for v, s in zip(variables, [*self.trainable, *self.state], strict=True)}
        return [[by_path[v.path][i] for v in self.network.weights] for i in range(STACK)]

    def _epoch(self, x, y, class_weights, order, real, validation):
        """One epoch of every fit: its mean loss and accuracy [shape=(n_fits,)], and the probabilities of its validation rows
        after it [shape=(n_fits, n_rows, n_classes)]."""
        loss, right = tf.zeros(STACK), tf.zeros(STACK)
        for start in tf.range(0, tf.shape(order)[1], self.batch_size):
            rows, counts = order[:, start : start + self.batch_size], real[:, start : start + self.batch_size]
            weight = counts * tf.gather(class_weights, rows, batch_dims=1)
            with tf.GradientTape() as tape:
                trainable, state = self._values()
                tape.watch(trainable)
                batch_loss, batch_right, new_state = tf.vectorized_map(
                    self._forward, (tf.gather(x, rows, batch_dims=1), tf.gather(y, rows), weight, counts, trainable, state)
                )
                mean_loss = batch_loss / tf.reduce_sum(counts, axis=1)
            self.optimizer.apply(tape.gradient(mean_loss, trainable), self.trainable)
            for variable, value in zip(self.state, new_state, strict=True):
                variable.assign(value)
            loss, right = loss + batch_loss, right + batch_right
        n = tf.reduce_sum(real, axis=1)
        return loss / n, right / n, self._predict(x, validation)

    def _forward(self, args):
        """One batch of one fit: its summed loss, how many are right, and the state that it leaves."""
        x, y, weight, counts, trainable, state = args
        # dropout's seed (the integers) is taken from outside the map: random numbers are then drawn once, not in a loop
        state = [tf.convert_to_tensor(v)[0] if v.dtype.is_integer else part for v, part in zip(self.state, state, strict=True)]
        probabilities, new_state = self.network.stateless_call(trainable, state, x, training=True)
        loss = keras.losses.categorical_crossentropy(y, probabilities, label_smoothing=self.smoothing)
        right = tf.cast(tf.equal(tf.argmax(y, -1), tf.argmax(probabilities, -1)), tf.float32)
        return tf.reduce_sum(loss * weight), tf.reduce_sum(right * counts), new_state

    def _predict(self, x, rows):
        """Probabilities of the given rows of each fit [shape=(n_fits, n, n_classes)]."""

        def one(args):
            return self.network.stateless_call(args[1], args[2], args[0], training=False)[0]

        return tf.vectorized_map(one, (tf.gather(x, rows, batch_dims=1), *self._values()))
