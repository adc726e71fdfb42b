"""TensorFlow and Keras, imported without their start-up messages and set to deterministic computation."""

import contextlib
import os
import random
import threading
from collections.abc import Callable, Iterator
from unittest import mock

import librosa


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Redirect file descriptor 2 to the null device, as TensorFlow's C++ code writes there before its log level is set."""
    stderr = os.dup(2)
    with open(os.devnull, "w") as null:
        os.dup2(null.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


# On first use, librosa looks up its caller among all loaded modules. After TensorFlow has loaded thousands of them, this takes
# 20 s in a notebook. Therefore librosa is used once before TensorFlow is imported.
librosa.resample  # noqa: B018

with _silent_stderr():
    import keras
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")

__all__ = ["BUILD_LOCK", "build_with_seed", "keras", "tf"]

BUILD_LOCK = threading.Lock()
"""Held while a network is built: a second build in another thread would draw its seeds from the same generator."""

# Determinism must be enabled before the first computation. The number of threads is fixed, because it changes the order of
# sums and thereby the last bits of results. More threads do not make such small networks faster.
tf.config.experimental.enable_op_determinism()
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)


def build_with_seed(seed: int, build: Callable[[], keras.Model]) -> keras.Model:
    """Return the network that `build` builds, with initial weights and dropout seeds that depend on `seed` alone."""
    # Keras draws the seeds of layers from random.randint. This patch replaces that function in the whole process while `build`
    # runs, so other builds wait for it; only code outside the study that calls random.randint could interfere. The
    # alternatives are worse:
    # keras.utils.set_random_seed discards all compiled functions, and random.seed shares its state with every other thread.
    with BUILD_LOCK, mock.patch.object(random, "randint", random.Random(seed).randint):
        return build()
