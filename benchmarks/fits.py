"""30 fits of the original network, a speaker left out at a time: a plain loop of `model.fit` against the study's stacks.

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
    """Features, labels, and the fits: seed, and numbers of the rows of training and test."""

    x: np.ndarray
    y: np.ndarray
    fits: list[tuple[int, np.ndarray, np.ndarray]]
    epochs: int


def task_of(corpus: corpora.Corpus, files: list[str], seeds: Sequence[int], epochs: int) -> Task:
    """Leave-one-speaker-out on a corpus: variants of training speakers train, too, and original clips are tested."""
    how = {"features": ["original38"], "variants": VARIANTS, "strengths": STRENGTHS}
    table = extraction.feature_tables(files, root=corpus.root, **how)["original38"]
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
    """One fit after the other, as Keras' guide has it; returns probabilities of the test rows."""
    import keras  # not by way of the study, which sets its threads
    from sklearn.preprocessing import StandardScaler

    chances, n_classes = [], int(task.y.max()) + 1
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
        chances.append(network.predict(scaler.transform(task.x[test]), verbose=0))
    return chances


def study_way(task: Task) -> list[np.ndarray]:
    """As notebook 03 does, on all cores."""

    how = {"epochs": task.epochs, "keep_weights": False}
    fits = [training.Fit(train=train, seed=seed, test=test, **how) for seed, train, test in task.fits]
    n_classes = int(task.y.max()) + 1
    done = training.fit_all(
        "original_mlp", task.x, task.y, fits, n_classes=n_classes, batch_size=BATCH_SIZE, execution=Execution(-1)
    )
    return [one.probabilities for one in done]


def scores(task: Task, chances: list[np.ndarray]) -> np.ndarray:
    """The UAR of each seed, over all speakers' test clips [shape=(n_seeds,)]."""
    found = []
    for seed in dict.fromkeys(of for of, _, _ in task.fits):
        own = [i for i, (of, _, _) in enumerate(task.fits) if of == seed]
        truth = np.concatenate([task.y[task.fits[i][2]] for i in own])
        found.append(uar(truth, np.concatenate([chances[i].argmax(axis=1) for i in own])))
    return np.array(found)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    given = measure.parser(__doc__.split("\n")[0]).parse_args(argv)
    corpus, files = measure.clips(given.corpus, given.clips)
    part = given.clips is not None
    title = f"fits: the original network for {EPOCHS} epochs, a plain loop of model.fit against the study on all cores"
    measure.begin(title, corpus, len(files), part=part, warm=measure.WARM)
    task = measure.apart(task_of, corpus, files, SEEDS, EPOCHS).value
    slow = measure.apart(plain_way, task, warm_up=(replace(task, fits=task.fits[:1], epochs=1),))
    fast = measure.apart(study_way, task, warm_up=(replace(task, epochs=1),))
    rows = [
        measure.Row.of("plain", slow, ratio=1.0),
        measure.Row.of("study", fast, ratio=slow.seconds / fast.seconds, target=TARGET),
    ]
    measure.report("fits", corpus, len(files), rows, part=part)
    speakers = len(task.fits) // len(SEEDS)
    print(f"{len(task.fits)} fits: {speakers} speakers x {len(SEEDS)} seeds, {len(task.x)} rows, batches of {BATCH_SIZE}.")
    ours, theirs = scores(task, fast.value), scores(task, slow.value)
    for side, found in (("plain", theirs), ("study", ours)):
        print(f"UAR, {side}: {found.mean():.1%} ({found.min():.1%} to {found.max():.1%} over seeds)")
    noise = 2 * np.sqrt((ours.var(ddof=1) + theirs.var(ddof=1)) / len(SEEDS))  # two standard errors of the difference
    apart = abs(ours.mean() - theirs.mean())
    says = "the same within seed noise" if apart <= noise else "MORE than seed noise"
    print(f"The means differ by {100 * apart:.1f} points; seeds alone make up to {100 * noise:.1f}: {says}.")
    print(f"Warming up, with all that is compiled: plain {slow.warm_up_s:.0f} s, study {fast.warm_up_s:.0f} s.")


if __name__ == "__main__":
    measure.command(main)
