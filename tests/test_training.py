"""Training: stacked training gives the results of separate training, and the cache returns the same results."""

import random
import threading
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist
from sklearn.metrics import log_loss, recall_score

from ser_utils.core import cache, paths
from ser_utils.core.parallel import Execution
from ser_utils.evaluation.leakage import LeakError
from ser_utils.models import stacked, training
from ser_utils.models.backend import keras
from ser_utils.models.fits import Fit, FitResult, loss_weights
from ser_utils.models.registry import MODELS, Model

pytestmark = pytest.mark.numeric

MLP = MODELS["original_mlp"]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    """A separate cache that is written but not read, so that equal fits are trained again."""
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("SER_CACHE_READ", "off")


@pytest.fixture(scope="module")
def blobs():
    """Three well separated classes in five features, at scales that a network does not learn without standardisation."""
    rng = np.random.default_rng(0)
    y = np.resize(np.arange(3), 150)
    x = rng.normal(size=(150, 5)) + 3 * np.eye(3, 5)[y]
    return (x * [1e4, 1, 1e-4, 1, 1] + [1e6, 0, 0, 5, 0]).astype(np.float32), y


def fit(x, y, fits, batch_size=0, model="original_mlp", n_jobs=1):
    return training.fit_all(model, x, y, fits, n_classes=3, batch_size=batch_size, execution=Execution(n_jobs))


def test_learns_what_can_be_learned_at_any_scale(blobs):
    x, y = blobs
    done = fit(x, y, [Fit(train=np.arange(100), test=np.arange(100, 150), seed=0, epochs=60)])[0]
    assert (done.probabilities.argmax(axis=1) == y[100:]).mean() > 0.9
    np.testing.assert_allclose(done.probabilities.sum(axis=1), 1, atol=1e-5)
    assert len(done.history) == 60 and list(done.history) == ["epoch", "loss", "accuracy"]


def test_a_fit_does_not_depend_on_the_others_in_its_stack(blobs):
    x, y = blobs
    fits = [Fit(train=np.arange(start, start + 90), test=np.arange(10), seed=1, epochs=5) for start in (0, 30, 60)]
    together, alone = fit(x, y, fits), [fit(x, y, [one])[0] for one in fits]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-4)


def test_results_are_identical_each_time(blobs):
    x, y = blobs
    first, second = (fit(x, y, [Fit(train=np.arange(70), test=np.arange(70, 150), seed=2, epochs=4)])[0] for _ in range(2))
    for one, other in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(first.probabilities, second.probabilities)


def test_seeds_differ(blobs):
    x, y = blobs
    one, other = fit(x, y, [Fit(train=np.arange(70), test=np.arange(70, 150), seed=s, epochs=3) for s in (0, 1)])
    assert np.abs(one.probabilities - other.probabilities).max() > 1e-3


def test_weights_are_those_of_a_keras_model(blobs):
    x, y = blobs
    done = fit(x, y, [Fit(train=np.arange(100), test=np.arange(100, 150), seed=0, epochs=5)])[0]
    network = MLP.build(5, 3)
    network.set_weights(done.weights)
    np.testing.assert_allclose(network.predict(done.scaler.transform(x[100:]), verbose=0), done.probabilities, atol=1e-5)


def test_test_and_validation_rows_do_not_reach_the_training(blobs):
    """Scaler, loss and batches use training rows only: changes of other rows do not change the weights."""
    x, y = blobs
    changed, relabelled = x.copy(), y.copy()
    changed[100:] *= -50
    relabelled[100:] = (relabelled[100:] + 1) % 3
    one = Fit(train=np.arange(100), validation=np.arange(100, 120), test=np.arange(120, 150), seed=0, epochs=4)
    for done, other in zip(fit(x, y, [one])[0].weights, fit(changed, relabelled, [one])[0].weights, strict=True):
        np.testing.assert_array_equal(done, other)


def test_stops_early_by_validation_loss_and_keeps_the_best_epoch(blobs):
    x, y = blobs
    wrong = (y + 1) % 3
    hopeless = np.concatenate([y[:100], wrong[100:]])  # training increases the validation loss
    done = fit(x, hopeless, [Fit(train=np.arange(100), validation=np.arange(100, 150), seed=0, epochs=100, stop_early=True)])[0]
    assert done.epochs < 10
    assert len(done.history) == done.epochs + MLP.patience, "it stops exactly `patience` epochs after the best"
    best = done.history.val_loss[: done.epochs].min()
    assert done.history.val_loss.min() > best - MLP.min_delta
    network = MLP.build(5, 3)
    network.set_weights(done.weights)
    p = network.predict(done.scaler.transform(x[100:]), verbose=0)
    loss = keras.losses.sparse_categorical_crossentropy(hopeless[100:], p).numpy().mean()
    assert loss == pytest.approx(done.history.val_loss.iloc[done.epochs - 1], rel=1e-4)


def test_padding_of_the_last_batch_does_not_train(blobs):
    """33 rows in batches of 32 leave one row for the second step; row 0 must not train as its padding."""
    x, y = blobs
    spoiled, relabelled = x.copy(), y.copy()
    spoiled[0] *= -50
    relabelled[0] = (relabelled[0] + 1) % 3
    one = Fit(train=np.arange(5, 38), seed=0, epochs=3)
    for done, other in zip(fit(x, y, [one])[0].weights, fit(spoiled, relabelled, [one])[0].weights, strict=True):
        np.testing.assert_array_equal(done, other)


def test_results_of_fits_of_unequal_length_are_in_order(blobs):
    x, y = blobs
    sizes = (40, 100, 41, 100, 64)
    done = fit(x, y, [Fit(train=np.arange(n), test=np.arange(n, n + 3), seed=0, epochs=i + 1) for i, n in enumerate(sizes)])
    assert [one.epochs for one in done] == [1, 2, 3, 4, 5]
    assert [one.scaler.n_samples_seen_ for one in done] == list(sizes)


def test_epochs_are_chosen_at_the_top_of_the_smoothed_mean_curve():
    def curve(peak):
        epochs = np.arange(1, 41)
        return FitResult(1, np.empty(0), pd.DataFrame({"epoch": epochs, "val_uar": -np.abs(epochs - peak) / 40}), [], None)

    assert training.chosen_epochs([curve(20)])[0] == 20
    assert training.chosen_epochs([curve(10), curve(30), curve(21)])[0] == 21
    spike = curve(20)
    spike.history.loc[spike.history.epoch == 3, "val_uar"] = 0.3
    assert training.chosen_epochs([spike])[0] == 20, "one lucky epoch must not decide"


@pytest.mark.parametrize("model", MODELS)
def test_every_network_learns_the_same_for_one_process_or_two(blobs, model):
    x, y = blobs
    if MODELS[model].sequences:  # each row is repeated as the frames of a clip
        x = np.array([None, *(np.repeat(row[None], 8, axis=0) for row in x)], dtype=object)[1:]
    fits = [Fit(train=np.arange(100), test=np.arange(100, 150), seed=seed, epochs=30) for seed in (0, 1)]
    one, two = fit(x, y, fits, model=model), fit(x, y, fits, model=model, n_jobs=2)
    for alone, spread in zip(one, two, strict=True):
        np.testing.assert_array_equal(alone.probabilities, spread.probabilities)
        assert (alone.probabilities.argmax(axis=1) == y[100:]).mean() > 0.85


def test_batch_normalisation_uses_training_rows_only(blobs):
    """Padding of the last batch repeats training rows, so other rows do not change the statistics."""
    x, y = blobs
    spoiled = x.copy()
    spoiled[70:] *= 1000
    one = Fit(train=np.arange(5, 70), seed=0, epochs=3)
    for done, other in zip(
        fit(x, y, [one], model="mlp")[0].weights, fit(spoiled, y, [one], model="mlp")[0].weights, strict=True
    ):
        np.testing.assert_array_equal(done, other)


def test_classes_have_equal_weight_in_a_balanced_network():
    y = np.array([0] * 90 + [1] * 10)
    balanced = MODELS["mlp"]
    weights = loss_weights(balanced, y, np.arange(100))
    assert weights[:90].sum() == pytest.approx(50) and weights[90:].sum() == pytest.approx(50)
    assert loss_weights(balanced, y, np.arange(90))[0] == pytest.approx(1), "a class without training rows has no weight"


def test_a_scaler_fitted_on_other_rows_is_an_error(blobs, monkeypatch):
    x, y = blobs
    original_fit = training.StandardScaler.fit
    monkeypatch.setattr(training.StandardScaler, "fit", lambda self, rows: original_fit(self, x[-len(rows) :]))
    with pytest.raises(LeakError, match="scaler was fitted on other rows than the 100 training rows"):
        fit(x, y, [Fit(train=np.arange(100), seed=0, epochs=1)])


def test_fits_with_the_same_training_rows_share_a_training(blobs):
    x, y = blobs
    one = Fit(train=np.arange(90), validation=np.arange(90, 110), seed=0, epochs=4)
    other = Fit(train=np.arange(90), validation=np.arange(110, 150), seed=0, epochs=4, test=np.arange(110, 120))
    longer = Fit(train=np.arange(90), validation=np.arange(90, 110), seed=0, epochs=5)
    assert training._share_trainings([one, other, longer]) == [[0, 1], [2]]
    together, alone = fit(x, y, [one, other]), [fit(x, y, [separate])[0] for separate in (one, other)]
    # On some processors, the last bits of probabilities depend on the number of rows that are computed together.
    for a, b in zip(together, alone, strict=True):
        pd.testing.assert_frame_equal(a.history, b.history, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(a.validation, b.validation, rtol=0, atol=1e-5)
        np.testing.assert_allclose(a.probabilities, b.probabilities, rtol=0, atol=1e-5)
        for epoch in b.validation:
            assert pdist(epoch, "chebyshev").min() > 2e-5, "no two rows are within the tolerance"
    assert together[0].validation.shape == (4, 20, 3) and together[1].validation.shape == (4, 40, 3)


def test_validation_curves_match_the_probabilities(blobs):
    x, y = blobs
    rows = np.arange(95, 150)
    done = fit(x, y, [Fit(train=np.arange(95), validation=rows, seed=0, epochs=3)])[0]
    for epoch, chances in enumerate(done.validation):
        curve = done.history.iloc[epoch]
        assert curve.val_accuracy == pytest.approx((chances.argmax(axis=1) == y[rows]).mean())
        assert curve.val_uar == pytest.approx(recall_score(y[rows], chances.argmax(axis=1), average="macro"))
        assert curve.val_loss == pytest.approx(log_loss(y[rows], chances), rel=1e-4)


# The cache


@pytest.fixture
def trained(monkeypatch):
    """The number of trainings of each stack that is trained, with the cache in use."""
    monkeypatch.delenv("SER_CACHE_READ")
    counts, train_job = [], training._train_job

    def record(job):
        counts.append(len(job.trainings))
        return train_job(job)

    monkeypatch.setattr(training, "_train_job", record)
    return counts


def two_seeds(**changes):
    """Two fits with one seed and different rows, and one with another seed: two stacks."""
    cuts = ((0, 0), (3, 0), (0, 1))
    settings = {"validation": np.arange(110, 130), "test": np.arange(130, 150), "epochs": 3} | changes
    return [Fit(train=np.arange(start, 100), seed=seed, **settings) for start, seed in cuts]


def test_cached_fits_are_not_trained_again(blobs, trained):
    x, y = blobs
    first = fit(x, y, two_seeds())
    assert trained == [2, 1]
    for n_jobs in (1, 2):
        for one, other in zip(first, fit(x, y, two_seeds(), n_jobs=n_jobs), strict=True):
            assert (one.epochs, type(one.epochs)) == (other.epochs, type(other.epochs))
            pd.testing.assert_frame_equal(one.history, other.history)
            np.testing.assert_array_equal(one.probabilities, other.probabilities)
            np.testing.assert_array_equal(one.validation, other.validation)
            assert [a.tobytes() for a in one.weights] == [a.tobytes() for a in other.weights] and len(one.weights) == 6
            np.testing.assert_array_equal(one.scaler.transform(x), other.scaler.transform(x))
    assert trained == [2, 1]


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 4},
        {"stop_early": True},
        {"keep_weights": False},
        {"test": np.arange(131, 150)},
        {"validation": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_fits_are_trained(blobs, trained, change):
    x, y = blobs
    fit(x, y, two_seeds())
    trained.clear()
    fit(x, y, two_seeds(**change))
    assert sum(trained) == 3


def test_a_changed_row_retrains_only_the_stack_that_uses_it(blobs, trained):
    x, y = blobs
    fits = [Fit(train=np.arange(start, start + 60), seed=seed, epochs=2) for seed, start in enumerate((0, 80))]
    fit(x, y, fits)
    trained.clear()
    changed = x.copy()
    changed[0] += 1
    fit(changed, y, fits)
    assert trained == [1]
    fit(x, (y + (np.arange(len(y)) == 100)) % 3, fits)
    assert trained == [1, 1]
    fit(x, y, fits, batch_size=16)
    assert trained == [1, 1, 1, 1]


@pytest.mark.parametrize("change", [{"label_smoothing": 0.2}, {"balanced": True}, {"patience": 3}, {"min_delta": 0.1}])
def test_a_changed_training_setting_retrains(blobs, trained, monkeypatch, change):
    x, y = blobs
    fit(x, y, two_seeds())
    trained.clear()
    monkeypatch.setitem(MODELS, "original_mlp", replace(MLP, **change))
    fit(x, y, two_seeds())
    assert trained == [2, 1]


def test_a_setting_that_does_not_influence_fits_does_not_retrain(blobs, trained, monkeypatch):
    x, y = blobs
    fit(x, y, two_seeds())
    monkeypatch.setitem(MODELS, "original_mlp", replace(MLP, max_epochs=7, selection_seeds=1, choices=({}, {})))
    fit(x, y, two_seeds())
    assert trained == [2, 1]


def test_a_new_field_of_model_is_in_the_cache_key(blobs, trained, monkeypatch):
    @dataclass(frozen=True, eq=False)
    class Extended(Model):
        clip_norm: float = 0.0

    x, y = blobs
    for count, clip_norm in enumerate((0.0, 1.0, 1.0), start=1):
        entry = Extended(MLP.build, MLP.optimizer, MLP.batch_size, MLP.max_epochs, MLP.epochs, clip_norm=clip_norm)
        monkeypatch.setitem(MODELS, "original_mlp", entry)
        fit(x, y, two_seeds())
        assert trained == [2, 1] * min(count, 2)


def test_only_a_damaged_cache_entry_is_trained_again(blobs, trained):
    x, y = blobs
    first = fit(x, y, two_seeds())
    trained.clear()
    kept = sorted(path for path in (paths.CACHE / "fits").rglob("*") if path.is_file())
    assert len(kept) == 2
    whole = kept[0].read_bytes()
    kept[0].write_bytes(whole[:-1])
    for one, other in zip(first, fit(x, y, two_seeds()), strict=True):
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
    written = kept[0].read_bytes()
    assert len(trained) == 1 and len(written) == len(whole), "the same content except the training time"
    assert cache.load("fits", kept[0].name) is not None


def test_threads_that_draw_random_numbers_change_nothing(blobs):
    """Cluster workers have such threads; the network must start from its seed."""
    x, y = blobs
    one = Fit(train=np.arange(70), test=np.arange(70, 150), seed=3, epochs=2)
    alone = fit(x, y, [one])[0].probabilities
    stop = threading.Event()

    def draw():
        while not stop.wait(1e-4):
            random.random()

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        for _ in range(3):
            stacked._compiled_stack.cache_clear()
            np.testing.assert_array_equal(fit(x, y, [one])[0].probabilities, alone)
    finally:
        stop.set()
        thread.join()
