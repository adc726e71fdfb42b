"""30 fits of the original network, leave-one-speaker-out: a loop of `model.fit` against the study's stacked training.

.venv/bin/python -m benchmarks.fits [corpus] [--clips N]
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks import measure
from ser_utils import corpora
from ser_utils.core.parallel import Execution
from ser_utils.core.tables import ORIGINAL
from ser_utils.evaluation.metrics import uar
from ser_utils.features import extraction, original38
from ser_utils.features.augmentation import STRENGTHS
from ser_utils.models import training

VARIANTS = ["noise", "stretch_pitch"]
SEEDS = range(5)
EPOCHS, BATCH_SIZE = 60, 32
TARGET = "at least 5"


@dataclass(frozen=True)
class Task:
    """Features, labels, and fits: seed, indices of training rows, indices of test rows."""

    x: np.ndarray
    y: np.ndarray
    fits: list[tuple[int, np.ndarray, np.ndarray]]
    epochs: int


def make_task(corpus: corpora.Corpus, files: list[str], seeds: Sequence[int], epochs: int) -> Task:
    """Make the fits of leave-one-speaker-out: training rows include augmented variants, test rows are originals."""
    options = {"features": ["original38"], "variants": VARIANTS, "strengths": STRENGTHS}
    table = extraction.feature_tables(files, root=corpus.root, **options)["original38"]
    labels = [corpora.parse_name(Path(file).stem, corpus) for file in table.file]
    speaker, emotion = (np.array([label[key] for label in labels]) for key in ("speaker", "emotion"))
    y = np.unique(emotion, return_inverse=True)[1]
    original = (table.variant == ORIGINAL).to_numpy()
    fits = [
        (seed, np.flatnonzero(speaker != name), np.flatnonzero((speaker == name) & original))
        for seed in seeds
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


def scores(task: Task, probabilities: list[np.ndarray]) -> np.ndarray:
    """Return the UAR of each seed over the test clips of all speakers [shape=(n_seeds,)]."""
    seeds, _, tests = zip(*task.fits, strict=True)
    uars = []
    for seed in dict.fromkeys(seeds):
        fits = [i for i, seed_of_fit in enumerate(seeds) if seed_of_fit == seed]
        truth = np.concatenate([task.y[tests[i]] for i in fits])
        uars.append(uar(truth, np.concatenate([probabilities[i].argmax(axis=1) for i in fits])))
    return np.array(uars)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark and print its results."""
    arguments = measure.parser(__doc__.split("\n")[0]).parse_args(argv)
    corpus, files = measure.clips(arguments.corpus, arguments.clips)
    part = arguments.clips is not None
    title = f"fits: the original network for {EPOCHS} epochs, a loop of model.fit against the study on all cores"
    measure.print_header(title, corpus, len(files), part=part, warm=measure.WARM)
    task = measure.measure_in_subprocess(make_task, corpus, files, SEEDS, EPOCHS).value
    slow = measure.measure_in_subprocess(plain_way, task, warm_up=(replace(task, fits=task.fits[:1], epochs=1),))
    fast = measure.measure_in_subprocess(study_way, task, warm_up=(replace(task, epochs=1),))
    rows = [
        measure.Row.of("plain", slow, ratio=1.0),
        measure.Row.of("study", fast, ratio=slow.seconds / fast.seconds, target=TARGET),
    ]
    measure.report("fits", corpus, len(files), rows, part=part)
    speakers = len(task.fits) // len(SEEDS)
    print(f"{len(task.fits)} fits: {speakers} speakers x {len(SEEDS)} seeds, {len(task.x)} rows, batches of {BATCH_SIZE}.")
    uar_study, uar_plain = scores(task, fast.value), scores(task, slow.value)
    for side, uars in (("plain", uar_plain), ("study", uar_study)):
        print(f"UAR, {side}: {uars.mean():.1%} ({uars.min():.1%} to {uars.max():.1%} over seeds)")
    noise = 2 * np.sqrt((uar_study.var(ddof=1) + uar_plain.var(ddof=1)) / len(SEEDS))  # 2 standard errors of the difference
    difference = abs(uar_study.mean() - uar_plain.mean())
    verdict = "within seed noise" if difference <= noise else "MORE than seed noise"
    print(
        f"The means differ by {100 * difference:.1f} points; two standard errors over seeds are {100 * noise:.1f}: {verdict}."
    )
    print(f"Warm-up, compilation included: plain {slow.warm_up_s:.0f} s, study {fast.warm_up_s:.0f} s.")


if __name__ == "__main__":
    measure.command(main)
