"""The original network, leave-one-speaker-out, 5 seeds: a loop of `model.fit` and the study's stacked training.

Also the study's network, on one core, compared with the matrix products alone that its training needs.

.venv/bin/python -m benchmarks.fits [corpus] [--clips N]
"""

import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import measure
from ser_utils import corpora
from ser_utils.core.parallel import Execution
from ser_utils.core.tables import ORIGINAL
from ser_utils.evaluation.metrics import uar
from ser_utils.features import extraction, original38
from ser_utils.features.augmentation import STRENGTHS
from ser_utils.features.registry import FEATURE_SETS
from ser_utils.models import training
from ser_utils.models.registry import MODELS

VARIANTS = ["noise", "stretch_pitch"]
N_SEEDS, EPOCHS, BATCH_SIZE = 5, 60, 32
N_FUNCTIONALS = len(FEATURE_SETS["functionals"].names)


@dataclass(frozen=True)
class Task:
    """Features, labels, and fits: seed, indices of training rows, indices of test rows."""

    x: np.ndarray
    y: np.ndarray
    fits: list[tuple[int, np.ndarray, np.ndarray]]
    epochs: int


def make_task(corpus: corpora.Corpus, files: list[str], n_seeds: int, epochs: int) -> Task:
    """Make the fits of leave-one-speaker-out: training rows include augmented variants, test rows are originals."""
    options = {"features": ["original38"], "variants": VARIANTS, "strengths": STRENGTHS}
    table = extraction.feature_tables(files, root=corpus.root, **options)["original38"]
    labels = [corpora.parse_name(Path(file).stem, corpus) for file in table.file]
    speaker, emotion = (np.array([label[key] for label in labels]) for key in ("speaker", "emotion"))
    y = np.unique(emotion, return_inverse=True)[1]
    original = (table.variant == ORIGINAL).to_numpy()
    fits = [
        (seed, np.flatnonzero(speaker != name), np.flatnonzero((speaker == name) & original))
        for seed in range(n_seeds)
        for name in np.unique(speaker)
    ]
    return Task(table[list(original38.NAMES)].to_numpy(), y, fits, epochs)


def plain_way(task: Task) -> list[np.ndarray]:
    """Train one fit after the other, as in the Keras guide; return the probabilities of the test rows."""
    import keras  # directly, as the study sets the number of threads
    from sklearn.preprocessing import StandardScaler

    probabilities, n_classes = [], int(task.y.max()) + 1
    for seed, train, test in task.fits:
        keras.utils.set_random_seed(seed)
        network = keras.Sequential(
            [
                keras.Input((task.x.shape[1],)),
                keras.layers.Dense(39, activation="relu"),
                keras.layers.Dense(64, activation="relu"),
                keras.layers.Dropout(0.6),
                keras.layers.Dense(n_classes, activation="softmax"),
            ]
        )
        network.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        scaler = StandardScaler().fit(task.x[train])
        network.fit(scaler.transform(task.x[train]), task.y[train], epochs=task.epochs, batch_size=BATCH_SIZE, verbose=0)
        probabilities.append(network.predict(scaler.transform(task.x[test]), verbose=0))
    return probabilities


def study_way(task: Task) -> list[np.ndarray]:
    """Train all fits as notebook 03 does, on all cores; return the probabilities of the test rows."""
    options = {"epochs": task.epochs, "keep_weights": False}
    fits = [training.Fit(train=train, seed=seed, test=test, **options) for seed, train, test in task.fits]
    n_classes = int(task.y.max()) + 1
    results = training.fit_all(
        "original_mlp", task.x, task.y, fits, n_classes=n_classes, batch_size=BATCH_SIZE, execution=Execution(-1)
    )
    return [result.probabilities for result in results]


def study_network(task: Task) -> int:
    """Train the study's network on one core, on random features of the original clips; return the number of steps."""
    x = np.random.default_rng(0).normal(size=(len(task.y), N_FUNCTIONALS)).astype(np.float32)
    fits = [training.Fit(train=train[::3], seed=seed, epochs=task.epochs) for seed, train, _ in task.fits]
    training.fit_all("mlp", x, task.y, fits, n_classes=int(task.y.max()) + 1)
    return sum(-(-len(fit.train) // MODELS["mlp"].batch_size) * fit.epochs for fit in fits)


def matrix_products(n_steps: int) -> None:
    """Compute the products of `n_steps` training steps: per layer its outputs, the gradients of its weights and inputs."""
    rng, n_rows = np.random.default_rng(0), MODELS["mlp"].batch_size
    sizes = (N_FUNCTIONALS, 256, 64, 7)
    inputs = [rng.normal(size=(n_rows, n)).astype(np.float32) for n in sizes]
    weights = [rng.normal(size=shape).astype(np.float32) for shape in itertools.pairwise(sizes)]
    with threadpool_limits(1):
        for _ in range(n_steps):
            for i, weight in enumerate(weights):
                inputs[i] @ weight, inputs[i].T @ inputs[i + 1]
                if i:  # the first layer needs no gradient of its inputs
                    inputs[i + 1] @ weight.T


def seed_scores(task: Task, probabilities: list[np.ndarray]) -> list[float]:
    """Return the UAR of each seed over the test clips of all speakers."""
    scores = []
    for seed in dict.fromkeys(seed for seed, _, _ in task.fits):
        fits = [i for i, fit in enumerate(task.fits) if fit[0] == seed]
        truth = np.concatenate([task.y[task.fits[i][2]] for i in fits])
        scores.append(uar(truth, np.concatenate([probabilities[i].argmax(axis=1) for i in fits])))
    return scores


def benchmark(corpus: corpora.Corpus, files: list[str]) -> list[dict]:
    """Measure both sides; print the UAR of both, and the time of compilation, which does not count."""
    settings = (N_SEEDS, EPOCHS)
    task = measure.measure_in_process(make_task, corpus, files, *settings, warm_up=(corpus, files[:1], *settings)).value
    network = measure.measure_in_process(study_network, task, warm_up=(replace(task, epochs=1),))
    limit = measure.measure_in_process(matrix_products, network.value, warm_up=(1,))
    slow = measure.measure_in_process(plain_way, task, warm_up=(replace(task, fits=task.fits[:1], epochs=1),))
    fast = measure.measure_in_process(study_way, task, warm_up=(replace(task, epochs=1),))
    for side, measured in (("plain", slow), ("study", fast)):
        scores = seed_scores(task, measured.value)
        print(f"{side}: UAR {np.mean(scores):.1%} (standard deviation over seeds {np.std(scores, ddof=1):.1%})", end="; ")
        print(f"warm-up, compilation included, {measured.warm_up_s:.0f} s.")
    return [
        slow.row("plain", ratio=1.0),
        fast.row("study", ratio=slow.seconds / fast.seconds, target="at least 5"),
        network.row("study's network, one core"),
        limit.row("limit: its matrix products alone"),
    ]


if __name__ == "__main__":
    measure.command("fits")
