"""TensorFlow and Keras, imported without their start-up messages and set to deterministic computation."""

import contextlib
import os
import random
import threading
from collections.abc import Callable, Iterator


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


with _silent_stderr():
    import keras
    import tensorflow as tf
    from keras import layers, ops
    from keras.src.random import seed_generator

    tf.get_logger().setLevel("ERROR")

__all__ = ["build_with_seed", "keras", "layers", "ops", "tf"]

# Determinism must be enabled before the first computation. The number of threads is fixed, because it changes the order of
# sums and thereby the last bits of results. More threads do not make such small networks faster.
tf.config.experimental.enable_op_determinism()
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)


class _DefaultSeeds(threading.local):
    """Where Keras' layers and initializers draw the seeds that a network's function does not give, separate for each thread."""

    randint = staticmethod(random.randint)


# Keras takes default seeds from Python's `random`, whose state all threads share, and has no argument for another source.
# Seeds that are set afterwards would have to repeat the order in which Keras draws them. Therefore Keras, and only Keras, gets
# this source in place of the module `random`; tests/test_models.py fails if a version of Keras does not use it.
_default_seeds = _DefaultSeeds()
seed_generator.python_random = _default_seeds


def build_with_seed(seed: int, build: Callable[[], keras.Model]) -> keras.Model:
    """Return the network that `build` builds, with initial weights and dropout seeds that depend on `seed` alone."""
    _default_seeds.randint = random.Random(seed).randint
    try:
        return build()
    finally:
        del _default_seeds.randint
