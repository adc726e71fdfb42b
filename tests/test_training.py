"""Training: stacked training gives the results of plain Keras, and the cache returns the same results."""

import functools
import itertools
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist
from sklearn.metrics import log_loss, recall_score
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from ser_utils.core import cache, paths
from ser_utils.core.parallel import Execution, parallel_map
from ser_utils.evaluation.leakage import LeakError
from ser_utils.models import training
from ser_utils.models.backend import build_with_seed, keras
from ser_utils.models.fits import Fit, FitResult
from ser_utils.models.registry import MODELS, Model

pytestmark = pytest.mark.numeric

MLP = MODELS["original_mlp"]
KERAS_OPTIMIZERS = {
    "original_mlp": lambda: keras.optimizers.Adam(),
    "mlp": lambda: keras.optimizers.AdamW(1e-3, weight_decay=1e-2),
}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    """A separate cache that is written but not read, so that equal fits are trained again."""
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("SER_CACHE_READ", "off")


@pytest.fixture(scope="module")
def blobs():
    """Three classes in five features, at scales that a network does not learn without standardisation."""
    rng = np.random.default_rng(0)
    y = np.resize([0, 1, 2, 0, 0], 150)
    x = rng.normal(size=(150, 5)) + 2 * np.eye(3, 5)[y]
    return (x * [1e4, 1, 1e-4, 1, 1] + [1e6, 0, 0, 5, 0]).astype(np.float32), y


def fit(x, y, fits, batch_size=0, model="original_mlp", n_jobs=1):
    return training.fit_all(model, x, y, fits, n_classes=3, batch_size=batch_size, execution=Execution(n_jobs))


# Stacked training against plain Keras


def batches(one, size, *arrays):
    """Yield the training rows of a fit in batches, in a new random order in each epoch."""
    rng = np.random.default_rng(one.seed)
    while True:
        order = rng.permutation(one.train)
        for start in range(0, len(order), size):
            yield tuple(array[order[start : start + size]] for array in arrays)


def fit_plainly(model, x, y, one, batch_size):
    """Train one network with `keras.Model.fit`, Keras' optimizer and Keras' early stopping; return it and the best epoch."""
    entry = MODELS[model]
    weights = np.ones(len(y))
    if entry.balanced:
        weights[one.train] = compute_sample_weight("balanced", y[one.train])
    x, targets = StandardScaler().fit(x[one.train]).transform(x), np.eye(3)[y]
    network = build_with_seed(one.seed, functools.partial(entry.build, x.shape[1], 3, **one.settings))
    network.compile(KERAS_OPTIMIZERS[model](), keras.losses.CategoricalCrossentropy(label_smoothing=entry.label_smoothing))
    stopping = keras.callbacks.EarlyStopping("val_loss", entry.min_delta, entry.patience, restore_best_weights=True)
    how = {"validation_data": (x[one.validation], targets[one.validation]), "callbacks": [stopping]} if one.stop_early else {}
    data, steps = batches(one, batch_size, x, targets, weights), -(-len(one.train) // batch_size)
    network.fit(data, steps_per_epoch=steps, epochs=one.epochs, shuffle=False, verbose=0, **how)
    return network, network.predict(x[one.test], verbose=0), (stopping.best_epoch + 1 if one.stop_early else one.epochs)


@pytest.mark.parametrize(
    ("model", "settings", "n_train"),
    [("original_mlp", {}, 70), ("mlp", {"units": (16, 8)}, 64)],  # the last batch of 70 rows is padded
)
def test_stacked_training_equals_plain_keras(blobs, model, settings, n_train):
    """Each fit of a stack, with its dropout, batches, class weights and weight decay."""
    x, y = blobs
    how = {"test": np.arange(130, 150), "settings": settings, "seed": 1}
    fits = [Fit(train=np.arange(start, start + n_train), epochs=epochs, **how) for start, epochs in ((0, 3), (20, 4), (40, 3))]
    for one, done in zip(fits, fit(x, y, fits, batch_size=32, model=model), strict=True):
        network, probabilities, _ = fit_plainly(model, x, y, one, batch_size=32)
        start = build_with_seed(1, functools.partial(MODELS[model].build, 5, 3, **settings)).get_weights()
        assert np.abs(done.weights[0] - start[0]).max() > 5e-3, "the weights have changed by more than the tolerance"
        # A bias before batch normalisation has no effect; Adam scales the rounding error of its gradient to the learning rate.
        following = itertools.pairwise(network.layers)
        idle = {layer.bias.path for layer, after in following if isinstance(after, keras.layers.BatchNormalization)}
        for variable, ours, theirs in zip(network.weights, done.weights, network.get_weights(), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=0.02 if variable.path in idle else 1e-4)
        np.testing.assert_allclose(done.probabilities, probabilities, atol=1e-4)


def test_early_stopping_equals_that_of_keras(blobs):
    x, y = blobs
    y = np.where(np.arange(150) < 100, y, (y + np.arange(150) % 2) % 3)  # half of the validation labels are wrong
    how = {"train": np.arange(96), "validation": np.arange(100, 150), "test": np.arange(100, 150)}
    one, short = Fit(seed=0, epochs=100, stop_early=True, **how), Fit(seed=0, epochs=5, **how)
    done, other = fit(x, y, [one, short])
    _, probabilities, best_epoch = fit_plainly("original_mlp", x, y, one, MLP.batch_size)
    assert 3 < done.epochs == best_epoch and len(done.history) == best_epoch + MLP.patience
    np.testing.assert_allclose(done.probabilities, probabilities, atol=1e-4)
    assert done.history.val_loss[done.epochs - 1] == pytest.approx(log_loss(y[100:], probabilities), abs=1e-4)
    assert other.epochs == len(other.history) == 5, "the end of one fit does not end the others"


# Rows and results of fits


@pytest.mark.parametrize(
    ("model", "one"),
    [
        ("original_mlp", Fit(train=np.arange(100), validation=np.arange(100, 120), test=np.arange(120, 150), seed=0, epochs=3)),
        ("original_mlp", Fit(train=np.arange(5, 38), seed=0, epochs=3)),  # one row in the second batch, the rest is padding
        ("mlp", Fit(train=np.arange(5, 70), seed=0, epochs=3)),  # batch normalisation sees the padding
    ],
    ids=["held-out rows", "padding", "padding under batch normalisation"],
)
def test_only_training_rows_change_the_weights(blobs, model, one):
    x, y = blobs
    others = np.setdiff1d(np.arange(150), one.train)
    changed, relabelled = x.copy(), y.copy()
    changed[others] *= -50
    relabelled[others] = (relabelled[others] + 1) % 3
    (done,), (other,) = fit(x, y, [one], model=model), fit(changed, relabelled, [one], model=model)
    for ours, theirs in zip(done.weights, other.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_results_of_fits_of_unequal_length_are_in_order(blobs):
    x, y = blobs
    sizes = (40, 100, 41, 100, 64)
    done = fit(x, y, [Fit(train=np.arange(n), test=np.arange(n, n + 3), seed=0, epochs=i + 1) for i, n in enumerate(sizes)])
    assert [one.epochs for one in done] == [1, 2, 3, 4, 5]
    assert [one.scaler.n_samples_seen_ for one in done] == list(sizes)


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_results_are_the_same_for_one_process_or_two(blobs, model):
    x, y = blobs
    if MODELS[model].sequences:  # each row is repeated as the frames of a clip
        x = np.array([None, *(np.repeat(row[None], 8, axis=0) for row in x)], dtype=object)[1:]
    fits = [Fit(train=np.arange(100), test=np.arange(100, 150), seed=seed, epochs=3) for seed in (0, 1)]
    one, two = fit(x, y, fits, model=model), fit(x, y, fits, model=model, n_jobs=2)
    for alone, spread in zip(one, two, strict=True):
        np.testing.assert_array_equal(alone.probabilities, spread.probabilities)
    assert np.abs(one[0].probabilities - one[1].probabilities).max() > 1e-3, "another seed"


def test_fewer_stacks_than_processes_use_the_processes_that_are_there(blobs, monkeypatch):
    used = []
    monkeypatch.setattr(training, "parallel_map", lambda *tasks, execution: used.append(execution) or parallel_map(*tasks))
    fit(*blobs, [Fit(train=np.arange(100), seed=0, epochs=1)], n_jobs=3)
    assert used == [Execution(3)]  # another number would stop processes or start new ones


def test_stacks_have_one_group_and_similar_numbers_of_epochs(blobs):
    fits = [Fit(train=np.arange(i, 60 + i), seed=0, epochs=epochs) for i, epochs in enumerate((5, 30, 6, 29, 28, 7))]
    assert training._make_stacks(fits, [""] * 6, 32, size=3) == [[[1], [3], [4]], [[5], [2], [0]]]
    assert training._make_stacks(fits, [*"abbbba"], 32, size=3) == [[[1], [3], [4]], [[5], [0]], [[2]]]


def test_a_run_with_fewer_groups_finds_its_fits_in_the_cache(blobs, trained):
    x, y = blobs
    fits = [Fit(train=np.arange(i, 60 + i), seed=0, epochs=2) for i in range(4)]
    training.fit_all("original_mlp", x, y, fits, n_classes=3, groups=["speaker", "clip", "speaker", "clip"])
    training.fit_all("original_mlp", x, y, fits[::2], n_classes=3, groups=["speaker"] * 2)
    assert trained == [2, 2]


def test_a_scaler_fitted_on_other_rows_is_an_error(blobs, monkeypatch):
    x, y = blobs
    original_fit = StandardScaler.fit
    monkeypatch.setattr(StandardScaler, "fit", lambda self, rows: original_fit(self, x[-len(rows) :]))
    with pytest.raises(LeakError, match="scaler was fitted on other rows than the 100 training rows"):
        fit(x, y, [Fit(train=np.arange(100), seed=0, epochs=1)])


def test_fits_with_the_same_training_rows_share_a_training(blobs):
    x, y = blobs
    one = Fit(train=np.arange(90), validation=np.arange(90, 110), seed=0, epochs=4)
    other = replace(one, validation=np.arange(110, 150), test=np.arange(110, 120))
    unlike = [replace(one, **change) for change in ({"epochs": 5}, {"stop_early": True}, {"rows_per_epoch": 9}, {"seed": 1})]
    assert training._share_trainings([one, other, *unlike], [""] * 6) == [[0, 1], [2], [3], [4], [5]]
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


def test_epochs_are_chosen_at_the_top_of_the_smoothed_mean_curve():
    def curve(peak):
        epochs = np.arange(1, 41)
        return FitResult(1, np.empty(0), pd.DataFrame({"epoch": epochs, "val_uar": -np.abs(epochs - peak) / 40}), [], None)

    assert training.chosen_epochs([curve(20)])[0] == 20
    assert training.chosen_epochs([curve(10), curve(30), curve(21)])[0] == 21
    spike = curve(20)
    spike.history.loc[spike.history.epoch == 3, "val_uar"] = 0.3
    assert training.chosen_epochs([spike])[0] == 20, "one lucky epoch must not decide"


# The cache


@dataclass(frozen=True, eq=False)
class ExtendedModel(Model):
    clip_norm: float = 0.0


@dataclass
class ExtendedFit(Fit):
    noise: float = 0.0


EXTENDED = {name: value for name, value in vars(MLP).items() if name != "identifier"}


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


def two_seeds(make=Fit, **changes):
    """Two fits with one seed and different rows, and one with another seed: two stacks."""
    cuts = ((0, 0), (3, 0), (0, 1))
    settings = {"validation": np.arange(110, 130), "test": np.arange(130, 150), "epochs": 3} | changes
    return [make(train=np.arange(start, 100), seed=seed, **settings) for start, seed in cuts]


def test_cached_fits_are_not_trained_again(blobs, trained):
    x, y = blobs
    first = fit(x, y, two_seeds())
    assert trained == [2, 1]
    for n_jobs in (1, 2):
        for one, other in zip(first, fit(x, y, two_seeds(), n_jobs=n_jobs), strict=True):
            assert (one.epochs, type(one.epochs), one.seconds) == (other.epochs, type(other.epochs), other.seconds)
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
        {"make": ExtendedFit, "noise": 0.5},
        {"model": replace(MLP, label_smoothing=0.2)},
        {"model": replace(MLP, balanced=True)},
        {"model": replace(MLP, patience=3)},
        {"model": replace(MLP, min_delta=0.1)},
        {"model": ExtendedModel(**EXTENDED, clip_norm=1.0)},
    ],
)
def test_changed_fits_and_training_settings_are_trained_again(blobs, trained, monkeypatch, change):
    """A field that is added to `Fit` or `Model` counts without further changes."""
    x, y = blobs
    model = change.get("model", MLP)
    monkeypatch.setitem(MODELS, "original_mlp", ExtendedModel(**EXTENDED) if isinstance(model, ExtendedModel) else MLP)
    fit(x, y, two_seeds(change.get("make", Fit)))
    trained.clear()
    monkeypatch.setitem(MODELS, "original_mlp", model)
    fit(x, y, two_seeds(**{name: value for name, value in change.items() if name != "model"}))
    assert trained == [2, 1]


def test_a_setting_that_does_not_influence_fits_does_not_retrain(blobs, trained, monkeypatch):
    x, y = blobs
    fit(x, y, two_seeds())
    monkeypatch.setitem(MODELS, "original_mlp", replace(MLP, max_epochs=7, selection_seeds=1, choices=({}, {})))
    fit(x, y, two_seeds())
    assert trained == [2, 1]


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
    assert len(trained) == 1 and cache.load("fits", kept[0].name) is not None
