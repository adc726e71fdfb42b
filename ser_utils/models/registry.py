"""Networks: each is one function that builds a Keras model, and a registry names them with their settings.

To add one, write a function ``(n_features, n_classes, **settings) -> keras.Model`` and enter it in `MODELS`. Only built-in
layers: a saved model must load without the study's code.

A network of rows takes features [shape=(batch, n_features)]. A network of sequences takes them frame by frame, as many as the
longest clip of a batch has [shape=(batch, n_frames, n_features + 1)]: the last column is 1 in a clip's frames and 0 in what
was added to make it as long. What a network says of a clip must not depend on how much was added (see `masked`).
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from sklearn.model_selection import ParameterSampler

from ser_utils.core.errors import StudyError
from ser_utils.core.paths import write_json
from ser_utils.models.backend import keras
from ser_utils.models.optimizers import Adam, AdamW

layers, ops = keras.layers, keras.ops


@dataclass(frozen=True, eq=False)
class Model:
    """A registered network and how it is trained by default."""

    build: Callable[..., keras.Model]
    optimizer: Callable[[], keras.optimizers.Optimizer]
    batch_size: int
    max_epochs: int
    epochs: int
    """How long to train where neither validation rows nor inner folds decide."""
    features: str = "functionals"
    """The feature set that it listens to by default."""
    sequences: bool = False
    """Whether it takes sequences of frames instead of one row a clip."""
    patience: int = 10
    """Epochs without a better validation loss after which training stops early, where it may."""
    min_delta: float = 0.001
    """By how much a validation loss must be lower to count as better."""
    label_smoothing: float = 0.0
    balanced: bool = False
    """Whether each class weighs the same in the loss, however many clips it has."""
    augmented: bool = True
    """Whether augmented variants of training clips train too."""
    choices: tuple[Mapping, ...] = ({},)
    """Settings of `build` among which inner folds choose; the first are the default."""
    search: Mapping[str, list] = field(default_factory=dict)
    """Values of each setting that a search draws from; see `searched`."""
    selection_seeds: int = 2
    """Seeds of the inner folds: their mean decides, more change little."""


def original_mlp(n_features: int, n_classes: int) -> keras.Sequential:
    """The original study's network (github.com/fp1acm8/SER): 39 and 64 rectified units, dropout 0.6, softmax.

    Input [shape=(batch, n_features)] is standardised features; output [shape=(batch, n_classes)] is probabilities.
    """
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
    """A multi-layer perceptron for hundreds of features and few clips.

    Features are dropped at random (Srivastava et al., JMLR 2014) so that no answer hangs on one of them; batch normalisation
    (Ioffe and Szegedy, ICML 2015) and dropout in each hidden layer. Input and output as in `original_mlp`.
    """
    hidden = []
    for n in units:
        hidden += [layers.Dense(n), layers.BatchNormalization(), layers.Activation("relu"), layers.Dropout(dropout)]
    return keras.Sequential(
        [keras.Input((n_features,)), layers.Dropout(0.2), *hidden, layers.Dense(n_classes, activation="softmax")], name="mlp"
    )


def masked_input(n_features: int) -> tuple[keras.KerasTensor, keras.KerasTensor, keras.KerasTensor]:
    """The input of a network of sequences, its frames with zeros where there is no clip, and the mask that says where.

    Returns
    -------
    inputs : KerasTensor [shape=(batch, n_frames, n_features + 1)]
    frames : KerasTensor [shape=(batch, n_frames, n_features)]
    mask : KerasTensor [shape=(batch, n_frames, 1)]
        1 in a clip's frames, else 0.
    """
    inputs = keras.Input((None, n_features + 1))
    mask = inputs[..., -1:]
    return inputs, inputs[..., :-1] * mask, mask


def pooled_statistics(frames: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
    """Mean and standard deviation over a clip's frames [shape=(batch, 2 * n)] (Snyder et al., ICASSP 2018)."""
    n = ops.sum(mask, axis=1)
    mean = ops.sum(frames * mask, axis=1) / n
    variance = ops.sum(ops.square(frames - mean[:, None]) * mask, axis=1) / n
    return layers.Concatenate()([mean, ops.sqrt(variance + 1e-5)])


def pooled_by_attention(frames: keras.KerasTensor, mask: keras.KerasTensor) -> keras.KerasTensor:
    """A mean over a clip's frames [shape=(batch, n)], weighted by how much each matters (Mirsamadi et al., ICASSP 2017)."""
    score = layers.Dense(1)(layers.Dense(32, activation="tanh")(frames))
    weight = ops.softmax(score - 1e9 * (1 - mask), axis=1)
    return ops.sum(weight * frames, axis=1)


def cnn(n_features: int, n_classes: int, *, filters: tuple[int, ...] = (16, 24, 32), dropout: float = 0.4) -> keras.Model:
    """A small convolutional network over time and frequency, with statistics pooling over time.

    Each layer halves both by its stride, which costs a quarter of what pooling behind it would. Input as in `masked`; output
    [shape=(batch, n_classes)] is probabilities.
    """
    inputs, x, mask = masked_input(n_features)
    x, mask = x[..., None], mask[..., None]
    for n in filters:
        # padded by hand: padding="same" would pad the clip's begin or not, as the padded length is even or odd
        x = layers.Conv2D(n, 3, strides=2, use_bias=False)(layers.ZeroPadding2D(1)(x))
        mask = mask[:, ::2]
        x = layers.BatchNormalization(momentum=0.9)(x, mask=ops.cast(mask[..., 0], "bool"))
        x = layers.SpatialDropout2D(0.1)(layers.Activation("relu")(x) * mask)
    x = layers.Reshape((-1, x.shape[2] * x.shape[3]))(x)
    x = layers.Dropout(dropout)(pooled_statistics(x, mask[..., 0]))
    return keras.Model(inputs, layers.Dense(n_classes, activation="softmax")(x), name="cnn")


def lstm(n_features: int, n_classes: int, *, units: int = 40, dropout: float = 0.4) -> keras.Model:
    """A bidirectional LSTM (Graves and Schmidhuber, 2005) over every other frame, with pooling by attention and by statistics.

    A convolution first brings two frames together, since every step of the recurrence costs time. Input as in `masked`; output
    [shape=(batch, n_classes)] is probabilities.
    """
    inputs, x, mask = masked_input(n_features)
    x = layers.Conv1D(64, 3, strides=2, activation="relu")(layers.ZeroPadding1D(1)(x))
    mask = mask[:, ::2]
    x = layers.Dropout(0.2)(x * mask)
    x = layers.Bidirectional(layers.LSTM(units, return_sequences=True))(x, mask=ops.cast(mask[..., 0], "bool"))
    x = layers.Concatenate()([pooled_by_attention(x, mask), pooled_statistics(x, mask)])
    return keras.Model(inputs, layers.Dense(n_classes, activation="softmax")(layers.Dropout(dropout)(x)), name="lstm")


MODELS = {
    "original_mlp": Model(original_mlp, Adam, batch_size=32, max_epochs=100, epochs=60, features="original38"),
    "mlp": Model(
        mlp,
        lambda: AdamW(1e-3, weight_decay=1e-2),
        batch_size=64,
        max_epochs=60,
        epochs=40,
        label_smoothing=0.1,
        balanced=True,
        augmented=False,
        choices=({"dropout": 0.5}, {"dropout": 0.3}),
        search={"units": [(64,), (128, 32), (256, 64), (512, 128)], "dropout": [0.2, 0.3, 0.4, 0.5, 0.6, 0.7]},
    ),
    "cnn": Model(
        cnn,
        lambda: AdamW(2e-3, weight_decay=1e-2),
        batch_size=16,
        max_epochs=25,
        epochs=20,
        features="log_mel",
        sequences=True,
        label_smoothing=0.1,
        balanced=True,
        search={"filters": [(16, 24, 32), (24, 48, 64), (8, 16, 32)], "dropout": [0.2, 0.3, 0.4, 0.5, 0.6]},
        selection_seeds=1,
    ),
    "lstm": Model(
        lstm,
        lambda: AdamW(1e-3, weight_decay=1e-2),
        batch_size=32,
        max_epochs=20,
        epochs=12,
        features="log_mel",
        sequences=True,
        label_smoothing=0.1,
        balanced=True,
        search={"units": [24, 40, 80], "dropout": [0.2, 0.3, 0.4, 0.5, 0.6]},
        selection_seeds=1,
    ),
}


def get_model(name: str) -> Model:
    """The registered network of that name; `StudyError` where there is none."""
    if name not in MODELS:
        raise StudyError(f"Unknown model {name!r}: expected one of {', '.join(MODELS)}.")
    return MODELS[name]


def build_network(name: str, n_features: int, n_classes: int, **settings) -> keras.Model:
    """A registered network for so many features and classes.

    Raises
    ------
    StudyError
        Its function builds something else.
    """
    network = get_model(name).build(n_features, n_classes, **settings)
    if not isinstance(network, keras.Model):
        raise StudyError(f"The function of model {name!r} gives a {type(network).__name__}: expected a keras.Model.")
    wanted = (None, None, n_features + 1) if get_model(name).sequences else (None, n_features)
    for what, found, expected in (("takes", network.input_shape, wanted), ("gives", network.output_shape, (None, n_classes))):
        if found != expected:
            raise StudyError(
                f"The network {name!r} {what} numbers of shape {found}, expected {expected}: build it for the n_features = "
                f"{n_features} and n_classes = {n_classes} that its function is given."
            )
    return network


def with_random_search(entry: Model, n_draws: int, *, seed: int = 0) -> Model:
    """The network with settings drawn at random from what its `search` names, among which inner folds then choose.

    Random search (Bergstra and Bengio, JMLR 2012) by scikit-learn's `ParameterSampler`; the network's own choices stay.

    Parameters
    ----------
    entry : Model
    n_draws : int
        How many settings to draw; 0 for none.
    seed : int
        Seed of the draws.

    Raises
    ------
    StudyError
        The network names nothing to search.
    """
    if not n_draws:
        return entry
    if not entry.search:
        raise StudyError(
            f"SEARCH is {n_draws}, but this MODEL names no settings to search: leave SEARCH at 0, or fill its entry's `search`."
        )
    n_there = int(np.prod([len(values) for values in entry.search.values()]))
    drawn = ParameterSampler(entry.search, n_iter=min(n_draws, n_there), random_state=seed)
    return replace(entry, choices=(*entry.choices, *(one for one in drawn if one not in entry.choices)))


def with_normalisation(network: keras.Model, mean: np.ndarray, scale: np.ndarray) -> keras.Model:
    """The network with its normalisation as first layer, so that a saved model takes features as they are extracted.

    Parameters
    ----------
    network : keras.Model
        Trained on standardised features.
    mean, scale : np.ndarray [shape=(n_features,)]
        Of the training rows; of a network of sequences, of their frames.
    """
    mask = network.input_shape[-1] - len(mean)  # its column, where there is one, stays as it is
    mean, variance = np.append(mean, np.zeros(mask)), np.append(np.square(scale), np.ones(mask))
    inputs = keras.Input(network.input_shape[1:])
    x = layers.Normalization(mean=mean, variance=variance, name="normalise_by_training_rows")(inputs)
    return keras.Model(inputs, network(x), name=network.name)


def save_model(folder: Path, network: keras.Model, settings: Mapping) -> None:
    """Write a model directory: ``model.keras`` and ``settings.json``, all that prediction needs and nothing pickled.

    The directory is written aside and takes the place of an older one only when it is complete.

    Parameters
    ----------
    folder : Path
        The model directory.
    network : keras.Model
        From `with_normalisation`.
    settings : mapping
        JSON values; ``classes`` is the order of the output.
    """
    aside = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    network.save(aside / "model.keras")
    write_json(aside / "settings.json", settings)
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)


def load_model(folder: Path) -> tuple[keras.Model, dict]:
    """Read a model directory: the network and its settings.

    Raises
    ------
    StudyError
        The directory or one of its two files is not there.
    """
    if missing := [name for name in ("model.keras", "settings.json") if not (folder / name).is_file()]:
        raise StudyError(f"No model in {folder}: {missing[0]} is missing; run 03_train_mlp first.")
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    return keras.models.load_model(folder / "model.keras"), settings
