"""The model directory: a trained network with its input normalisation, and the settings that prediction needs."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ser_utils.core.errors import StudyError
from ser_utils.core.paths import write_json
from ser_utils.models.backend import keras


def with_normalisation(network: keras.Model, mean: np.ndarray, scale: np.ndarray) -> keras.Model:
    """Return the network with normalisation as its first layer, so that it takes features as extracted.

    Parameters
    ----------
    network : keras.Model
        Trained on standardised features.
    mean, scale : np.ndarray [shape=(n_features,)]
        Mean and standard deviation of the training rows, or of all their frames for a sequence network.
    """
    n_mask = network.input_shape[-1] - len(mean)  # 1 for a sequence network, whose mask column must not change
    mean, variance = np.append(mean, np.zeros(n_mask)), np.append(np.square(scale), np.ones(n_mask))
    inputs = keras.Input(network.input_shape[1:])
    x = keras.layers.Normalization(mean=mean, variance=variance, name="normalise_by_training_rows")(inputs)
    return keras.Model(inputs, network(x), name=network.name)


def save_model(folder: Path, network: keras.Model, settings: Mapping) -> None:
    """Write a model directory with the files ``model.keras`` and ``settings.json``; nothing is pickled.

    The files are written to a temporary directory, which replaces an older model directory only when it is complete.

    Parameters
    ----------
    folder : Path
        The model directory.
    network : keras.Model
        From `with_normalisation`.
    settings : mapping
        JSON values; ``classes`` is the order of the output.
    """
    temporary = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    network.save(temporary / "model.keras")
    write_json(temporary / "settings.json", settings)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def load_model(folder: Path) -> tuple[keras.Model, dict]:
    """Return the network and the settings of a model directory.

    Raises
    ------
    StudyError
        If one of the two files does not exist.
    """
    if missing := [name for name in ("model.keras", "settings.json") if not (folder / name).is_file()]:
        raise StudyError(f"No model in {folder}: {missing[0]} is missing; run 03_train_mlp first.")
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    return keras.models.load_model(folder / "model.keras"), settings
