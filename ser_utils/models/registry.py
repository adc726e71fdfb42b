"""The registered networks, each with its training settings.

To add one, write a function in `ser_utils.models.networks` and an entry in `MODELS`.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

from ser_utils.core.errors import StudyError
from ser_utils.models.networks import cnn, lstm, mlp, original_mlp

if TYPE_CHECKING:
    from ser_utils.models.backend import keras

NOT_IN_FIT_KEY = {
    *("build", "optimizer", "identifier"),  # the key has the version of their code
    *("batch_size", "max_epochs", "epochs", "features", "augmented"),  # the key has the batch size, `Fit.epochs` and the rows
    *("choices", "search", "selection_seeds"),  # the key has `Fit.settings` and `Fit.seed`
}
"""Fields of `Model` that are not in the cache key of a fit. A new field is in the key unless it is added here."""


REFERENCE_CLIPS = 600
"""Largest corpus for which the numbers of epochs and the batch sizes of the entries hold; see `scaled`."""


@dataclass(frozen=True, eq=False)
class Model:
    """A network and its default training settings."""

    build: Callable[..., keras.Model]
    """Function ``(n_features, n_classes, **settings) -> keras.Model``; see `ser_utils.models.networks`."""
    optimizer: Callable[[], keras.optimizers.Optimizer]
    batch_size: int
    max_epochs: int
    """Largest number of epochs where validation rows or inner folds choose it."""
    epochs: int
    """Number of epochs where neither validation rows nor inner folds choose it."""
    features: str = "functionals"
    """Default feature set."""
    sequences: bool = False
    """Whether it is a sequence network (one row per frame) instead of a row network (one row per clip)."""
    patience: int = 10
    """Epochs without a lower validation loss after which early stopping ends the training."""
    min_delta: float = 0.001
    """Smallest decrease of the validation loss that counts as an improvement."""
    label_smoothing: float = 0.0
    balanced: bool = False
    """Whether all classes have the same total weight in the loss."""
    augmented: bool = True
    """Whether augmented variants of the training clips are training rows, too."""
    choices: tuple[Mapping, ...] = ({},)
    """Settings of `build` among which inner folds choose; the first is the default."""
    search: Mapping[str, list] = field(default_factory=dict)
    """Values of each setting for random search; see `with_random_search`."""
    selection_seeds: int = 2
    """Number of seeds per inner fold; their mean score decides, and more seeds change little."""
    stack: int = 6
    """Number of row networks that are trained side by side (see `ser_utils.models.stacked`). It is constant, so that a network
    is compiled once. More take less time each if the network is small, but more places of incomplete stacks are wasted."""
    identifier: str = field(default_factory=lambda: uuid.uuid4().hex, init=False, repr=False)
    """Equal for the copies of the entry in other processes, so that each process compiles a network once."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and self.identifier == other.identifier

    def __hash__(self) -> int:
        return hash(self.identifier)

    def fit_settings(self) -> dict:
        """Return the fields that are in the cache key of a fit."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in NOT_IN_FIT_KEY}


def _adam() -> keras.optimizers.Optimizer:
    from ser_utils.models.optimizers import Adam

    return Adam()


def _adamw(learning_rate: float) -> keras.optimizers.Optimizer:
    from ser_utils.models.optimizers import AdamW

    return AdamW(learning_rate, weight_decay=1e-2)


MODELS = {
    "original_mlp": Model(original_mlp, _adam, batch_size=32, max_epochs=100, epochs=60, features="original38"),
    "mlp": Model(
        mlp,
        lambda: _adamw(1e-3),
        batch_size=64,
        max_epochs=60,
        epochs=40,
        label_smoothing=0.1,
        balanced=True,
        augmented=False,
        choices=({"dropout": 0.5}, {"dropout": 0.3}),
        search={"units": [(64,), (128, 32), (256, 64), (512, 128)], "dropout": [0.2, 0.3, 0.4, 0.5, 0.6, 0.7]},
        stack=3,
    ),
    "cnn": Model(
        cnn,
        lambda: _adamw(2e-3),
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
        lambda: _adamw(1e-3),
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
    """Return the registered network with this name; raise `StudyError` if there is none."""
    if name not in MODELS:
        raise StudyError(f"Unknown model {name!r}: expected one of {', '.join(MODELS)}.")
    return MODELS[name]


def scaled(entry: Model, n_clips: int) -> Model:
    """Return the entry for a corpus of `n_clips` recordings: larger batches and fewer epochs beyond `REFERENCE_CLIPS`.

    Both change by the square root of the size, so a fit has as many steps, and its time grows slower than the corpus.
    """
    factor = max(1.0, math.sqrt(n_clips / REFERENCE_CLIPS))
    return replace(
        entry,
        batch_size=round(entry.batch_size * factor),
        max_epochs=round(entry.max_epochs / factor),
        epochs=round(entry.epochs / factor),
    )


def build_network(name: str, n_features: int, n_classes: int, **settings) -> keras.Model:
    """Build a registered network.

    Raises
    ------
    StudyError
        If its function returns no Keras model, or one with another input or output shape.
    """
    from ser_utils.models.backend import keras

    entry = get_model(name)
    network = entry.build(n_features, n_classes, **settings)
    if not isinstance(network, keras.Model):
        raise StudyError(f"The function of model {name!r} returns a {type(network).__name__}: expected a keras.Model.")
    input_shape = (None, None, n_features + 1) if entry.sequences else (None, n_features)
    for side, shape, expected in (
        ("input", network.input_shape, input_shape),
        ("output", network.output_shape, (None, n_classes)),
    ):
        if shape != expected:
            raise StudyError(
                f"The {side} shape of the network {name!r} is {shape}, expected {expected}: build it with the arguments "
                f"n_features = {n_features} and n_classes = {n_classes}."
            )
    return network


def with_random_search(entry: Model, n_draws: int) -> Model:
    """Return the entry with randomly drawn settings in addition to its choices.

    Random search (Bergstra and Bengio, JMLR 2012) with scikit-learn's `ParameterSampler`.

    Parameters
    ----------
    entry : Model
    n_draws : int
        Number of settings to draw from `Model.search`, at most all combinations; 0 for none.

    Raises
    ------
    StudyError
        If the entry has no values for random search.
    """
    if not n_draws:
        return entry
    if not entry.search:
        raise StudyError(
            f"SEARCH is {n_draws}, but this MODEL has no settings to search: set SEARCH to 0, or add `search` to its entry."
        )
    from sklearn.model_selection import ParameterGrid, ParameterSampler

    draws = ParameterSampler(entry.search, n_iter=min(n_draws, len(ParameterGrid(entry.search))), random_state=0)
    return replace(entry, choices=(*entry.choices, *(settings for settings in draws if settings not in entry.choices)))
