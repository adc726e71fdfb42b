"""Functions that build Keras networks.

To add a network, write a function ``(n_features, n_classes, **settings) -> keras.Model`` here and an entry in
`ser_utils.models.registry.MODELS`. Use built-in layers only, so that a saved model loads without the study's code.

There are two kinds of networks. All outputs are class probabilities [shape=(batch, n_classes)].

- Row networks take one row of standardised features per clip [shape=(batch, n_features)].
- Sequence networks take the frames of each clip, padded to the longest clip of the batch
  [shape=(batch, n_frames, n_features + 1)]. The last column is the mask: 1 for frames of the clip, 0 for padding. The output
  must not depend on the amount of padding (see `masked_input`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ser_utils.models.backend import keras


def original_mlp(n_features: int, n_classes: int) -> keras.Sequential:
    """Build the network of the original study (github.com/fp1acm8/SER), a row network.

    Two hidden layers of 39 and 64 rectified linear units, dropout of 0.6, softmax.
    """
    from ser_utils.models.backend import keras, layers

    return keras.Sequential(
        [
            keras.Input((n_features,)),
            layers.Dense(39, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.6),
            layers.Dense(n_classes, activation="softmax"),
        ],
        name="original_mlp",
    )


def mlp(n_features: int, n_classes: int, *, units: tuple[int, ...] = (256, 64), dropout: float = 0.5) -> keras.Sequential:
    """Build a multilayer perceptron for hundreds of features and few clips, a row network.

    Dropout on the input (Srivastava et al., JMLR 2014) prevents reliance on single features. Each hidden layer has batch
    normalisation (Ioffe and Szegedy, ICML 2015) and dropout.
    """
    from ser_utils.models.backend import keras, layers

    hidden = []
    for n in units:
        hidden += [layers.Dense(n), layers.BatchNormalization(), layers.Activation("relu"), layers.Dropout(dropout)]
    return keras.Sequential(
        [keras.Input((n_features,)), layers.Dropout(0.2), *hidden, layers.Dense(n_classes, activation="softmax")], name="mlp"
    )


def masked_input(n_features: int) -> tuple[keras.KerasTensor, keras.KerasTensor, keras.KerasTensor]:
    """Return the input of a sequence network, and its frames and mask.

    Returns
    -------
    inputs : KerasTensor [shape=(batch, n_frames, n_features + 1)]
    frames : KerasTensor [shape=(batch, n_frames, n_features)]
        Features, 0 in the padding.
    mask : KerasTensor [shape=(batch, n_frames, 1)]
        1 for frames of the clip, 0 for padding.
    """
    from ser_utils.models.backend import keras

    inputs = keras.Input((None, n_features + 1))
    mask = inputs[..., -1:]
    return inputs, inputs[..., :-1] * mask, mask


def pooled_statistics(frames: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
    """Compute mean and standard deviation over the frames of each clip [shape=(batch, 2 * n)] (Snyder et al., ICASSP 2018)."""
    from ser_utils.models.backend import layers, ops

    n = ops.sum(mask, axis=1)
    mean = ops.sum(frames * mask, axis=1) / n
    variance = ops.sum(ops.square(frames - mean[:, None]) * mask, axis=1) / n
    return layers.Concatenate()([mean, ops.sqrt(variance + 1e-5)])


def pooled_by_attention(frames: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
    """Compute a mean over the frames of each clip with learned weights [shape=(batch, n)] (Mirsamadi et al., ICASSP 2017)."""
    from ser_utils.models.backend import layers, ops

    score = layers.Dense(1)(layers.Dense(32, activation="tanh")(frames))
    weight = ops.softmax(score - 1e9 * (1 - mask), axis=1)
    return ops.sum(weight * frames, axis=1)


def cnn(n_features: int, n_classes: int, *, filters: tuple[int, ...] = (16, 24, 32), dropout: float = 0.4) -> keras.Model:
    """Build a small convolutional network over time and frequency with statistics pooling over time, a sequence network.

    Each convolution has stride 2 in both directions, which takes a quarter of the time of a pooling layer after it.
    """
    from ser_utils.models.backend import keras, layers, ops

    inputs, x, mask = masked_input(n_features)
    x, mask = x[..., None], mask[..., None]
    for n in filters:
        # Explicit padding: padding="same" pads the start of a clip or not, depending on the padded length of the batch.
        x = layers.Conv2D(n, 3, strides=2, use_bias=False)(layers.ZeroPadding2D(1)(x))
        mask = mask[:, ::2]
        x = layers.BatchNormalization(momentum=0.9)(x, mask=ops.cast(mask[..., 0], "bool"))
        x = layers.SpatialDropout2D(0.1)(layers.Activation("relu")(x) * mask)
    x = layers.Reshape((-1, x.shape[2] * x.shape[3]))(x)
    x = layers.Dropout(dropout)(pooled_statistics(x, mask[..., 0]))
    return keras.Model(inputs, layers.Dense(n_classes, activation="softmax")(x), name="cnn")


def lstm(n_features: int, n_classes: int, *, units: int = 40, dropout: float = 0.4) -> keras.Model:
    """Build a bidirectional LSTM (Graves and Schmidhuber, 2005) with attention and statistics pooling, a sequence network.

    A convolution with stride 2 before the LSTM halves the number of recurrent steps and thereby the time.
    """
    from ser_utils.models.backend import keras, layers, ops

    inputs, x, mask = masked_input(n_features)
    x = layers.Conv1D(64, 3, strides=2, activation="relu")(layers.ZeroPadding1D(1)(x))
    mask = mask[:, ::2]
    x = layers.Dropout(0.2)(x * mask)
    x = layers.Bidirectional(layers.LSTM(units, return_sequences=True))(x, mask=ops.cast(mask[..., 0], "bool"))
    x = layers.Concatenate()([pooled_by_attention(x, mask), pooled_statistics(x, mask)])
    return keras.Model(inputs, layers.Dense(n_classes, activation="softmax")(layers.Dropout(dropout)(x)), name="lstm")
