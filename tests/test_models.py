"""Networks, their registry, and the model directory."""

import dataclasses
import threading

import numpy as np
import pytest

from ser_utils import models
from ser_utils.core.errors import StudyError
from ser_utils.models.backend import build_with_seed
from ser_utils.models.sequences import pad_sequences


@pytest.mark.parametrize(
    ("name", "settings"), [(name, choice) for name, entry in models.MODELS.items() for choice in entry.choices]
)
def test_every_registered_network_gives_probabilities(name, settings):
    network = models.build_network(name, 11, 4, **settings)
    clips = np.random.default_rng(0).normal(size=(6, 48, 11))
    p = network.predict(pad_sequences(clips) if models.get_model(name).sequences else clips[:, 0], verbose=0)
    assert p.shape == (6, 4)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)


def test_original_mlp_has_the_original_size():
    network = models.original_mlp(38, 7)
    assert network.count_params() == (38 * 39 + 39) + (39 * 64 + 64) + (64 * 7 + 7)
    assert network.layers[2].rate == 0.6
    entry = models.MODELS["original_mlp"]
    assert (entry.batch_size, entry.max_epochs, entry.patience, entry.min_delta) == (32, 100, 10, 0.001)
    assert entry.augmented and not entry.balanced and entry.label_smoothing == 0


def saved(folder):
    rng = np.random.default_rng(1)
    network, mean, scale = models.original_mlp(5, 3), rng.normal(size=5) * 100, rng.uniform(0.1, 50, size=5)
    whole = models.with_normalisation(network, mean, scale)
    models.save_model(folder / "model", whole, {"classes": ["sadness", "joy", "anger"], "features": "original38"})
    return network, mean, scale


def test_the_saved_model_has_normalisation_and_label_order(tmp_path):
    network, mean, scale = saved(tmp_path)
    loaded, settings = models.load_model(tmp_path / "model")
    raw = np.random.default_rng(2).normal(size=(9, 5)) * 80
    np.testing.assert_allclose(
        loaded.predict(raw, verbose=0), network.predict((raw - mean) / scale, verbose=0), rtol=1e-3, atol=1e-5
    )
    assert settings["classes"] == ["sadness", "joy", "anger"]


def test_nothing_is_pickled_and_an_older_model_is_replaced(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old.h5").write_text("old")
    saved(tmp_path)
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["model.keras", "settings.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"], "no temporary directory remains"


def test_a_failed_save_leaves_the_older_model(tmp_path):
    saved(tmp_path)
    before = (tmp_path / "model" / "settings.json").read_text()
    with pytest.raises(TypeError):
        models.save_model(tmp_path / "model", models.original_mlp(5, 3), {"classes": {1, 2}})
    assert (tmp_path / "model" / "settings.json").read_text() == before


def test_a_missing_model_is_an_error(tmp_path):
    with pytest.raises(StudyError, match="model.keras is missing; run 03_train_mlp first"):
        models.load_model(tmp_path)


def test_an_unknown_model_is_an_error_that_lists_the_models():
    with pytest.raises(StudyError, match="'cnnn': expected one of original_mlp, mlp, cnn, lstm"):
        models.get_model("cnnn")


def with_build(build, monkeypatch):
    monkeypatch.setitem(models.MODELS, "mine", dataclasses.replace(models.MODELS["mlp"], build=build))


def test_a_network_with_another_output_shape_is_an_error(monkeypatch):
    with_build(lambda n_features, n_classes: models.mlp(n_features, 3), monkeypatch)
    with pytest.raises(
        StudyError, match=r"output shape of the network 'mine' is \(None, 3\), expected \(None, 7\): build it with"
    ):
        models.build_network("mine", 11, 7)


def test_a_network_with_another_input_shape_is_an_error(monkeypatch):
    with_build(lambda n_features, n_classes: models.mlp(38, n_classes), monkeypatch)
    with pytest.raises(StudyError, match=r"input shape of the network 'mine' is \(None, 38\), expected \(None, 11\)"):
        models.build_network("mine", 11, 7)


def test_a_function_that_returns_nothing_is_an_error(monkeypatch):
    with_build(lambda n_features, n_classes: None, monkeypatch)
    with pytest.raises(StudyError, match="'mine' returns a NoneType: expected a keras.Model"):
        models.build_network("mine", 11, 7)


def test_random_search_keeps_the_choices_and_adds_settings():
    entry = models.get_model("mlp")
    assert models.with_random_search(entry, 0) is entry
    searched = models.with_random_search(entry, 5)
    assert searched.choices[:2] == entry.choices and 3 < len(searched.choices) <= 7
    assert searched.choices == models.with_random_search(entry, 5).choices
    assert searched.choices != models.with_random_search(entry, 5, seed=1).choices
    for settings in searched.choices[2:]:
        assert all(value in entry.search[name] for name, value in settings.items())
        models.build_network("mlp", 11, 7, **settings)
    assert len(models.with_random_search(entry, 1000).choices) == 2 + 4 * 6, "all combinations and no more"


@pytest.mark.parametrize("name", [name for name, entry in models.MODELS.items() if entry.search])
def test_every_setting_of_random_search_builds(name):
    for setting, values in models.MODELS[name].search.items():
        for value in values:
            models.build_network(name, 11, 4, **{setting: value})


def test_random_search_without_values_is_an_error():
    with pytest.raises(StudyError, match="SEARCH is 3, but this MODEL has no settings"):
        models.with_random_search(models.get_model("original_mlp"), 3)


def test_the_saved_model_of_a_sequence_network_has_its_normalisation(tmp_path):
    rng = np.random.default_rng(1)
    network, mean, scale = models.lstm(5, 3, units=4), rng.normal(size=5) * 10, rng.uniform(0.1, 9, size=5)
    whole = models.with_normalisation(network, mean, scale)
    models.save_model(tmp_path / "model", whole, {"classes": ["sadness", "joy", "anger"], "features": "log_mel"})
    loaded, _ = models.load_model(tmp_path / "model")
    clips = [rng.normal(size=(n, 5)) * 10 for n in (7, 30)]
    expected = network.predict(pad_sequences([(clip - mean) / scale for clip in clips]), verbose=0)
    np.testing.assert_allclose(loaded.predict(pad_sequences(clips), verbose=0), expected, rtol=1e-3, atol=1e-5)


def test_a_seed_gives_the_same_network_while_another_thread_builds_networks():
    """Protocols run in two threads of one process; Keras draws all seeds from one generator."""

    def build():
        return models.mlp(20, 3, units=(8,))

    def kernels():
        return [weights for weights in build_with_seed(3, build).get_weights() if weights.ndim == 2]

    expected, stop = kernels(), threading.Event()

    def build_others():
        while not stop.is_set():
            models.build_network("original_mlp", 20, 3)

    thread = threading.Thread(target=build_others)
    thread.start()
    try:
        networks = [kernels() for _ in range(20)]
    finally:
        stop.set()
        thread.join()
    assert all(np.array_equal(a, b) for weights in networks for a, b in zip(weights, expected, strict=True))
