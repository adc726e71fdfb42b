"""Networks, their registry, and the model directory."""

import dataclasses
import functools
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.svm import SVC

from ser_utils import models
from ser_utils.core.errors import StudyError
from ser_utils.models import optimizers
from ser_utils.models.backend import build_with_seed, keras, tf
from ser_utils.models.baselines import BASELINES
from ser_utils.models.sequences import pad_sequences

SETTINGS = [(name, choice) for name, entry in models.MODELS.items() for choice in entry.choices]
SETTINGS += [
    (name, {setting: value})
    for name, entry in models.MODELS.items()
    for setting, values in entry.search.items()
    for value in values
]


@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_every_registered_network_gives_probabilities(name, settings):
    network = models.build_network(name, 11, 4, **settings)
    clips = np.random.default_rng(0).normal(size=(6, 48, 11))
    p = network(pad_sequences(clips) if models.get_model(name).sequences else clips[:, 0]).numpy()
    assert p.shape == (6, 4)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)


def test_original_mlp_has_the_original_size():
    network = models.original_mlp(38, 7)
    assert network.count_params() == (38 * 39 + 39) + (39 * 64 + 64) + (64 * 7 + 7)
    assert network.layers[2].rate == 0.6
    entry = models.MODELS["original_mlp"]
    assert (entry.batch_size, entry.max_epochs, entry.patience, entry.min_delta) == (32, 100, 10, 0.001)
    assert entry.augmented and not entry.balanced and entry.label_smoothing == 0


# Seeds


def variables(name, seed):
    build = functools.partial(models.MODELS[name].build, 20, 3)
    return [variable.numpy() for variable in build_with_seed(seed, build).variables]


def equal(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("name", models.MODELS)
def test_a_seed_gives_the_weights_that_keras_draws_from_it(name):
    random.seed(3)
    expected = [variable.numpy() for variable in models.MODELS[name].build(20, 3).variables]
    assert equal(variables(name, 3), expected), "initial weights and dropout seeds"
    assert not equal(variables(name, 4), expected)


def test_threads_build_from_their_own_seeds_and_leave_random_numbers_alone():
    """Protocols run in two threads of one process, and workers of a cluster have threads that draw random numbers."""

    def build_and_draw():
        random.seed(5)
        return [(variables("mlp", 4), random.randint(1, 10**9)) for _ in range(10)]

    expected = {seed: variables("mlp", seed) for seed in (3, 4)}
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(build_and_draw)
        networks = [variables("mlp", 3) for _ in range(15)]
    assert all(equal(network, expected[3]) for network in networks)
    assert all(equal(network, expected[4]) for network, _ in other.result())
    alone = random.Random(5)
    assert [number for _, number in other.result()] == [alone.randint(1, 10**9) for _ in range(10)]


# Optimizers


@pytest.mark.parametrize(
    ("name", "settings"), [("Adam", {}), ("AdamW", {"weight_decay": 0.1}), ("AdamW", {})], ids=["Adam", "AdamW", "default"]
)
def test_steps_are_those_of_the_optimizers_of_keras(name, settings):
    rng = np.random.default_rng(0)
    start = [rng.normal(size=shape).astype(np.float32) for shape in ((3, 4), (4,))]
    gradients = [[rng.normal(size=weights.shape).astype(np.float32) for weights in start] for _ in range(8)]
    ends = []
    for module in (optimizers, keras.optimizers):
        optimizer, weights = getattr(module, name)(learning_rate=0.05, **settings), [keras.Variable(part) for part in start]
        optimizer.build(weights)
        for step in gradients:
            optimizer.apply([tf.constant(part) for part in step], weights)
        ends.append([part.numpy() for part in weights])
    for ours, theirs, first in zip(*ends, start, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
        assert np.abs(ours - first).mean() > 0.01, "no weight changed"


# The model directory

CLIPS = [np.random.default_rng(1).normal(size=(n, 5)) * 10 for n in (7, 30)]


def save(folder, network):
    """Save the network with normalisation; return the mean and standard deviation of the normalisation."""
    rng = np.random.default_rng(2)
    mean, scale = rng.normal(size=5) * 10, rng.uniform(0.1, 9, size=5)
    whole = models.with_normalisation(network, mean, scale)
    models.save_model(folder / "model", whole, {"classes": ["sadness", "joy", "anger"]})
    return mean, scale


@pytest.mark.parametrize(
    ("build", "as_input"),
    [(models.original_mlp, np.concatenate), (functools.partial(models.lstm, units=4), pad_sequences)],
    ids=["rows", "sequences"],
)
def test_the_saved_model_has_normalisation_and_label_order(tmp_path, build, as_input):
    network = build(5, 3)
    mean, scale = save(tmp_path, network)
    loaded, settings = models.load_model(tmp_path / "model")
    expected = network.predict(as_input([(clip - mean) / scale for clip in CLIPS]), verbose=0)
    np.testing.assert_allclose(loaded.predict(as_input(CLIPS), verbose=0), expected, rtol=1e-3, atol=1e-5)
    assert settings["classes"] == ["sadness", "joy", "anger"]


def test_an_older_model_is_replaced_as_a_whole_or_not_at_all(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old.h5").write_text("old")
    save(tmp_path, models.original_mlp(5, 3))
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["model.keras", "settings.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"], "no temporary directory remains"
    before = (tmp_path / "model" / "settings.json").read_text()
    with pytest.raises(TypeError):
        models.save_model(tmp_path / "model", models.original_mlp(5, 3), {"classes": {1, 2}})
    assert (tmp_path / "model" / "settings.json").read_text() == before


def test_a_missing_model_is_an_error(tmp_path):
    with pytest.raises(StudyError, match="model.keras is missing; run 03_train_mlp first"):
        models.load_model(tmp_path)


# The registry


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda n_features, n_classes: models.mlp(n_features, 3), r"output shape of .* is \(None, 3\), expected \(None, 7\)"),
        (lambda n_features, n_classes: models.mlp(38, n_classes), r"input shape of .* is \(None, 38\), expected \(None, 11\)"),
        (lambda n_features, n_classes: None, "'mine' returns a NoneType: expected a keras.Model"),
    ],
)
def test_a_function_that_builds_another_network_is_an_error(monkeypatch, build, message):
    monkeypatch.setitem(models.MODELS, "mine", dataclasses.replace(models.MODELS["mlp"], build=build))
    with pytest.raises(StudyError, match=message):
        models.build_network("mine", 11, 7)


def test_an_unknown_model_is_an_error_that_lists_the_models():
    with pytest.raises(StudyError, match="'cnnn': expected one of original_mlp, mlp, cnn, lstm"):
        models.get_model("cnnn")


def test_random_search_keeps_the_choices_and_adds_settings():
    entry = models.get_model("mlp")
    assert models.with_random_search(entry, 0) is entry
    searched = models.with_random_search(entry, 5)
    assert searched.choices[:2] == entry.choices and 3 < len(searched.choices) <= 7
    assert searched.choices == models.with_random_search(entry, 5).choices
    for settings in searched.choices[2:]:
        assert all(value in entry.search[name] for name, value in settings.items())
    assert len(models.with_random_search(entry, 1000).choices) == 2 + 4 * 6, "all combinations and no more"
    with pytest.raises(StudyError, match="SEARCH is 3, but this MODEL has no settings"):
        models.with_random_search(models.get_model("original_mlp"), 3)


def test_the_svm_decides_as_that_of_scikit_learn_with_its_default_kernel():
    rng = np.random.default_rng(0)
    y, x = rng.integers(0, 3, 90), rng.normal(size=(90, 5))
    x[:, 0] += y
    ours, default = BASELINES["svm"].make(0).fit(x[:60], y[:60]), SVC(class_weight="balanced").fit(x[:60], y[:60])
    np.testing.assert_allclose(ours.decision_function(x[60:]), default.decision_function(x[60:]), atol=1e-6)


def test_larger_corpora_get_larger_batches_and_as_many_steps():
    entry = models.MODELS["mlp"]
    assert models.registry.scaled(entry, 600).fit_settings() == entry.fit_settings()
    small, large = (models.registry.scaled(entry, n) for n in (100, 2400))
    assert (small.batch_size, small.epochs, small.max_epochs) == (entry.batch_size, entry.epochs, entry.max_epochs)
    assert (large.batch_size, large.epochs, large.max_epochs) == (2 * entry.batch_size, entry.epochs / 2, entry.max_epochs / 2)
