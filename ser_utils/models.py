"""Networks: each is one function that builds a Keras model, and a registry names them with their settings.

To add one, write a function ``(n_features, n_classes, **settings) -> keras.Sequential`` and enter it in `MODELS`. Only built-in
layers: a saved model must load without the study's code.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ser_utils.backend import keras
from ser_utils.errors import StudyError
from ser_utils.optimizers import Adam, AdamW
from ser_utils.paths import write_json

layers = keras.layers


@dataclass(frozen=True, eq=False)
class Model:
    """A registered network and how it is trained by default."""

    build: Callable[..., keras.Sequential]
    optimizer: Callable[[], keras.optimizers.Optimizer]
    batch_size: int
    max_epochs: int
    epochs: int
    """How long to train where neither validation rows nor inner folds decide."""
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


MODELS = {
    "original_mlp": Model(original_mlp, Adam, batch_size=32, max_epochs=100, epochs=60),
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
    ),
}


def get_model(name: str) -> Model:
    """The registered network of that name; `StudyError` where there is none."""
    if name not in MODELS:
        raise StudyError(f"Unknown model {name!r}: expected one of {', '.join(MODELS)}.")
    return MODELS[name]


def with_normalisation(network: keras.Sequential, mean: np.ndarray, scale: np.ndarray) -> keras.Sequential:
    """The network with its normalisation as first layer, so that a saved model takes features as they are extracted.

    Parameters
    ----------
    network : keras.Sequential
        Trained on standardised features.
    mean, scale : np.ndarray [shape=(n_features,)]
        Of the training rows.
    """
    normalise = layers.Normalization(mean=mean, variance=np.square(scale), name="normalise_by_training_rows")
    return keras.Sequential([keras.Input(network.input_shape[1:]), normalise, *network.layers], name=network.name)


def save_model(folder: Path, network: keras.Sequential, settings: Mapping) -> None:
    """Write a model directory: ``model.keras`` and ``settings.json``, all that prediction needs and nothing pickled.

    The directory is written aside and takes the place of an older one only when it is complete.

    Parameters
    ----------
    folder : Path
        The model directory.
    network : keras.Sequential
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


def load_model(folder: Path) -> tuple[keras.Sequential, dict]:
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
