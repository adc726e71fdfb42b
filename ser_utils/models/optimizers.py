"""Adam and AdamW with a fused update step: the updates of Keras' optimizers in less time.

Keras writes an update as a dozen operations, each of which reads and writes all weights. For small networks, this takes longer
than the gradients. The classes here override only what Keras documents for own optimizers: `build` and `update_step`.
"""

from ser_utils.models.backend import keras, tf

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7
"""Decay rates of the moments and the smallest divisor, as in Keras."""


class AdamW(keras.optimizers.Optimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019), as `keras.optimizers.AdamW`."""

    def __init__(self, learning_rate: float = 0.001, *, weight_decay: float = 0.004):
        super().__init__(learning_rate)
        self.decay = weight_decay  # not Keras' own `weight_decay`, which takes a separate pass over the weights

    def build(self, variables: list[keras.Variable]) -> None:
        """Create the first and second moments of all variables."""
        super().build(variables)
        self.moments = {
            variable.value.ref(): [self.add_variable_from_reference(variable, name) for name in ("momentum", "velocity")]
            for variable in variables
        }

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Multiply a variable by ``1 - learning_rate * weight_decay``, then update it with TensorFlow's Adam kernel."""
        if self.decay:
            rate = tf.cast(learning_rate * self.decay, tf.float32)
            tf.raw_ops.ResourceApplyGradientDescent(var=variable.handle, alpha=rate, delta=variable)
        (m, v), step = self.moments[variable.ref()], tf.cast(self.iterations + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=m.value.handle,
            v=v.value.handle,
            beta1_power=BETA_1**step,
            beta2_power=BETA_2**step,
            lr=tf.cast(learning_rate, tf.float32),
            beta1=BETA_1,
            beta2=BETA_2,
            epsilon=EPSILON,
            grad=gradient,
        )


class Adam(AdamW):
    """Adam (Kingma and Ba, ICLR 2015), as `keras.optimizers.Adam`."""

    def __init__(self, learning_rate: float = 0.001):
        super().__init__(learning_rate, weight_decay=0)


def reset_optimizer(optimizer: keras.optimizers.Optimizer) -> None:
    """Set the step count and the moments of an optimizer to 0; the learning rate stays."""
    for variable in optimizer.variables:
        if variable is not optimizer.learning_rate:
            variable.assign(keras.ops.zeros_like(variable))
