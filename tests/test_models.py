"""Networks and what is saved of them."""

import numpy as np
import pytest

from ser_utils import models
from ser_utils.errors import StudyError


@pytest.mark.parametrize(
    ("name", "settings"), [(name, choice) for name, entry in models.MODELS.items() for choice in entry.choices]
)
def test_every_registered_network_gives_probabilities(name, settings):
    network = models.get_model(name).build(11, 4, **settings)
    p = network.predict(np.random.default_rng(0).normal(size=(6, 11)), verbose=0)
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


def test_normalisation_and_label_order_travel_with_the_model(tmp_path):
    network, mean, scale = saved(tmp_path)
    loaded, settings = models.load_model(tmp_path / "model")
    raw = np.random.default_rng(2).normal(size=(9, 5)) * 80
    np.testing.assert_allclose(
        loaded.predict(raw, verbose=0), network.predict((raw - mean) / scale, verbose=0), rtol=1e-3, atol=1e-5
    )
    assert settings["classes"] == ["sadness", "joy", "anger"]


def test_nothing_is_pickled_and_an_older_model_is_replaced_whole(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old.h5").write_text("old")
    saved(tmp_path)
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["model.keras", "settings.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"], "nothing is left aside"


def test_a_failed_save_leaves_the_older_model(tmp_path):
    saved(tmp_path)
    before = (tmp_path / "model" / "settings.json").read_text()
    with pytest.raises(TypeError):
        models.save_model(tmp_path / "model", models.original_mlp(5, 3), {"classes": {1, 2}})
    assert (tmp_path / "model" / "settings.json").read_text() == before


def test_no_model_is_a_sentence(tmp_path):
    with pytest.raises(StudyError, match="model.keras is missing; run 03_train_mlp first"):
        models.load_model(tmp_path)


def test_unknown_model_lists_what_there_is():
    with pytest.raises(StudyError, match="'cnnn': expected one of original_mlp, mlp"):
        models.get_model("cnnn")
