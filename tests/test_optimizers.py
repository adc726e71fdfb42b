"""The fused optimizers give the same updates as Keras'."""

import numpy as np
import pytest

from ser_utils.models import optimizers
from ser_utils.models.backend import keras, tf


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_steps_are_those_of_keras(name):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(3, 4)).astype(np.float32), rng.normal(size=(5, 3, 4)).astype(np.float32)
    ends = []
    for module in (optimizers, keras.optimizers):
        options = {"learning_rate": 0.05, "weight_decay": 0.1} if name == "AdamW" else {"learning_rate": 0.05}
        optimizer, weights = getattr(module, name)(**options), keras.Variable(start)
        optimizer.build([weights])
        for gradient in gradients:
            optimizer.apply([tf.constant(gradient)], [weights])
        ends.append(weights.numpy())
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-5, atol=1e-6)
    assert np.abs(ends[0] - start).min() > 0.01, "no weight changed"
