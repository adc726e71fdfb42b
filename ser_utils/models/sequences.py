"""Training a network of sequences: clips of all lengths, padded and masked, changed anew each time they are shown.

One network after the other, unlike `ser_utils.models.training`, whose place this takes where a model's entry says `sequences`: here
a step is work enough to keep a core busy, and the fits are spread over processes.
"""

import functools
from collections.abc import Iterator, Mapping

import numpy as np

from ser_utils.models.backend import build_with_seed, keras, tf
from ser_utils.models.optimizers import reset_optimizer
from ser_utils.models.registry import Model

MULTIPLE = 24
"""Batches are padded to a multiple of so many frames."""
LONGEST = 400
"""Frames of a clip that train at once, 8 s: of a longer one, a piece at random. It is heard whole when it is tested."""
MASKS = {"bands": (2, 8), "time": (2, 0.15)}
"""Of each clip shown, stripes that are masked and how wide they are at most: bands of frequency, share of its frames."""
AT_ONCE = 64


def pad_sequences(clips: list[np.ndarray], *, longest: int = 0) -> np.ndarray:
    """Clips of several lengths as one array, with the mask that tells clip from padding as last column.

    Parameters
    ----------
    clips : list of np.ndarray [shape=(n_frames, n_features)]
    longest : int
        How many frames to pad to; 0 for those of the longest clip, made a multiple of `MULTIPLE`.

    Returns
    -------
    np.ndarray [shape=(n_clips, longest, n_features + 1), dtype=float32]
    """
    longest = longest or -(-max(len(clip) for clip in clips) // MULTIPLE) * MULTIPLE
    batch = np.zeros((len(clips), longest, clips[0].shape[1] + 1), np.float32)
    for place, clip in zip(batch, clips, strict=True):
        place[: len(clip), :-1], place[: len(clip), -1] = clip, 1
    return batch


def spec_augment(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A copy of a clip with stripes of bands and of time set to 0, the mean: SpecAugment (Park et al., INTERSPEECH 2019).

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
    (n_low, widest), (n_gaps, share) = MASKS["bands"], MASKS["time"]
    for _ in range(n_low):
        first, width = _stripe(n_bands, min(widest, n_bands // 2), rng)
        clip[:, first : first + width] = 0
    for _ in range(n_gaps):
        first, width = _stripe(n_frames, int(share * n_frames), rng)
        clip[first : first + width] = 0
    return clip


def _stripe(n: int, widest: int, rng: np.random.Generator) -> tuple[int, int]:
    """Begin and width of a stripe at random among `n`."""
    width = int(rng.integers(0, widest + 1))
    return int(rng.integers(0, n - width + 1)), width


def _piece(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The clip, or `LONGEST` frames of it."""
    first = int(rng.integers(0, max(0, len(clip) - LONGEST) + 1))
    return clip[first : first + LONGEST]


def batches(rows: np.ndarray, lengths: np.ndarray, *, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The rows in random order, in batches; each four are sorted by length among themselves, so that little is padded.

    Parameters
    ----------
    rows : np.ndarray
        Row numbers.
    lengths : np.ndarray
        Frames of each row of the table.
    size : int
        Rows a batch.
    """
    order = rng.permutation(rows)
    for start in range(0, len(order), 4 * size):
        near = order[start : start + 4 * size]
        near = near[np.argsort(lengths[near], kind="stable")]
        yield from (near[i : i + size] for i in range(0, len(near), size))


class SequenceTrainer:
    """One network of an architecture with its compiled step, used for one fit after the other."""

    def __init__(self, entry: Model, n_features: int, n_classes: int, settings: Mapping):
        self.build = functools.partial(entry.build, n_features, n_classes, **settings)
        self.network = self.build()
        self.smoothing = entry.label_smoothing
        self.optimizer = entry.optimizer()
        self.optimizer.build(self.network.trainable_variables)
        self.rng = np.random.default_rng(0)
        x, y = tf.TensorSpec([None, None, n_features + 1]), tf.TensorSpec([None, n_classes])
        self.step = tf.function(self._step, input_signature=[x, y, tf.TensorSpec([None])])
        self.answer = tf.function(self._answer, input_signature=[x])

    def start(self, seed: int) -> None:
        """Begin anew, with the weights and the randomness of a seed."""
        fresh = build_with_seed(seed, self.build)
        for variable, value in zip(self.network.variables, fresh.variables, strict=True):
            variable.assign(value)
        reset_optimizer(self.optimizer)
        self.rng = np.random.default_rng(seed)

    def weights(self) -> list[np.ndarray]:
        """As `keras.Model.set_weights` takes them."""
        return self.network.get_weights()

    def epoch(self, clips: list[np.ndarray], targets: np.ndarray, weights: np.ndarray, rows: np.ndarray, size: int) -> tuple:
        """Show each of the rows once, masked anew; mean loss and accuracy (under dropout and masks)."""
        lengths = np.array([len(clip) for clip in clips])
        loss = right = 0.0
        for batch in batches(rows, lengths, size=size, rng=self.rng):
            x = pad_sequences([spec_augment(_piece(clips[i], self.rng), self.rng) for i in batch])
            batch_loss, batch_right = self.step(x, targets[batch], weights[batch])
            loss, right = loss + float(batch_loss), right + float(batch_right)
        return loss / len(rows), right / len(rows)

    def predict(self, clips: list[np.ndarray]) -> np.ndarray:
        """Probabilities of whole clips [shape=(n_clips, n_classes)]."""
        order = np.argsort([len(clip) for clip in clips], kind="stable")
        found = np.empty((len(clips), self.network.output_shape[-1]), np.float32)  # none, where there are no clips
        for start in range(0, len(order), AT_ONCE):
            part = order[start : start + AT_ONCE]
            found[part] = self.answer(pad_sequences([clips[i] for i in part]))
        return found

    def _step(self, x, y, weights):
        with tf.GradientTape() as tape:
            p = self.network(x, training=True)
            losses = weights * keras.losses.categorical_crossentropy(y, p, label_smoothing=self.smoothing)
            loss = tf.reduce_mean(losses)
        variables = self.network.trainable_variables
        self.optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        right = tf.reduce_sum(tf.cast(tf.equal(tf.argmax(y, -1), tf.argmax(p, -1)), tf.float32))
        return tf.reduce_sum(losses), right

    def _answer(self, x):
        return self.network(x, training=False)
