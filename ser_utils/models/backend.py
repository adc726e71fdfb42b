"""TensorFlow and Keras without their start-up notices, and made to give the same bits each time."""

import contextlib
import os
import random
from collections.abc import Callable, Iterator
from unittest import mock

import librosa


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Send file descriptor 2 to nowhere: TensorFlow's C++ writes there before its log level is read."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


# librosa asks for its caller's module by looking through all that are loaded: from a notebook's cell, and with TensorFlow's
# thousands there, that takes 20 s. So it comes first.
librosa.resample  # noqa: B018

with _silent_stderr():
    import keras
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")

__all__ = ["build_with_seed", "keras", "tf"]

# The same bits each time on one platform, which has to be asked for before anything is computed. The number of threads
# changes the order of sums and is therefore fixed; tiny networks gain nothing from more.
tf.config.experimental.enable_op_determinism()
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)


def build_with_seed(seed: int, build: Callable[[], keras.Model]) -> keras.Model:
    """What `build` builds, with the weights and the randomness of a seed."""
    # Keras draws the seeds of layers from here; its set_random_seed would throw away what TensorFlow has compiled, too, and
    # random.seed would share the generator with other threads, of which a cluster's worker has some
    with mock.patch.object(random, "randint", random.Random(seed).randint):
        return build()
