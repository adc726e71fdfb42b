"""Training of all fits of a run: shared trainings, stacks, processes and the cache.

Fits that differ only in validation and test rows share one training. Row networks are trained in stacks
(`ser_utils.models.stacked`), sequence networks one after the other (`ser_utils.models.sequences`). Stacks are spread over
processes.
"""

import itertools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

import joblib
import numpy as np
import pandas as pd

from ser_utils.core import cache, code_version, profile
from ser_utils.core.parallel import Execution, parallel_map
from ser_utils.core.progress import progress
from ser_utils.models.fits import Fit, FitResult, TrainingJob
from ser_utils.models.registry import MODELS

SCALER_ATTRIBUTES = ("mean_", "var_", "scale_", "n_samples_seen_", "n_features_in_")
"""The state of a fitted StandardScaler."""
_TRAINING_LOCK = threading.Lock()


def fit_all(
    model: str,
    x: np.ndarray,
    y: np.ndarray,
    fits: list[Fit],
    *,
    n_classes: int,
    batch_size: int = 0,
    execution: Execution = Execution(),
    desc: str = "fits",
    groups: Sequence[str] = (),
) -> list[FitResult]:
    """Train a network for each fit. The fits must have passed `ser_utils.evaluation.leakage.check_fit`.

    Results with the same rows, settings and code are read from the cache (`ser_utils.core.cache`).

    Parameters
    ----------
    model : str
        A name in `ser_utils.models.registry.MODELS`.
    x : np.ndarray [shape=(n_rows, n_features); or (n_rows,), dtype=object, of arrays of shape (n_frames, n_features)]
        Features as extracted, rows or sequences depending on the network; each fit standardises them by its own training
        rows. Rows of extra corpora (`Fit.extra_rows`) must be standardised already and stay as they are.
    y : np.ndarray [shape=(n_rows,), dtype=int]
        Class numbers.
    fits : list of Fit
    n_classes : int
        Number of classes.
    batch_size : int
        Rows per training step; 0 for the network's default.
    execution : Execution
        Processes or cluster.
    desc : str
        Label of the progress bar.
    groups : sequence of str
        Group of each fit; one for all if empty. Fits of different groups are not in one stack, so that a run with fewer groups
        finds the same stacks in the cache.

    Returns
    -------
    list of FitResult
        In the order of `fits`.
    """
    entry = MODELS[model]
    batch_size = batch_size or entry.batch_size
    groups = groups or [""] * len(fits)
    stacks = _make_stacks(fits, groups, batch_size, size=1 if entry.sequences else entry.stack)
    results: dict[int, FitResult] = {}

    def make_job(stack: list[list[int]]) -> TrainingJob:
        trainings = [[fits[i] for i in shared_fits] for shared_fits in stack]
        return _select_rows(TrainingJob(entry, x, y, trainings, n_classes, batch_size))

    def add_results(stack: list[list[int]], stack_results: list[FitResult]) -> None:
        results.update(zip(itertools.chain(*stack), stack_results, strict=True))

    missing = []
    for stack in stacks:
        key = _cache_key(model, make_job(stack))
        if (arrays := cache.load("fits", key)) is not None:
            add_results(stack, _from_arrays(arrays))
        else:
            missing.append((stack, key))
    cached = set(results)
    tasks = ((make_job(stack),) for stack, _ in missing)
    trained = progress(
        parallel_map(_train_job, tasks, execution=execution),
        total=len(fits),
        done=len(cached),
        size=len,
        desc=desc,
        unit="fit",
        first="compiling the network, some seconds",
    )
    for (stack, key), stack_results in zip(missing, trained, strict=True):
        cache.save("fits", key, _to_arrays(stack_results))
        add_results(stack, stack_results)
    for group in dict.fromkeys(groups):
        own = [i for i, name in enumerate(groups) if name == group]
        trainings = [
            results[shared_fits[0]] for stack, _ in missing for shared_fits in stack if groups[shared_fits[0]] == group
        ]
        profile.record(
            "fits",
            name=f"{desc} {group}".strip(),
            fits=len(own),
            cached=len(cached.intersection(own)),
            trainings=len(trainings),
            epochs=sum(len(result.history) for result in trainings),
            core_seconds=round(sum(result.seconds for result in trainings), 3),
        )
    return [results[i] for i in range(len(fits))]


def _train_job(job: TrainingJob) -> list[FitResult]:
    """Train one stack; the threads of a process do this one at a time, because they share the compiled networks."""
    from ser_utils.models.sequences import train_sequences
    from ser_utils.models.stacked import train_stack

    with _TRAINING_LOCK:
        return train_sequences(job) if job.model.sequences else train_stack(job)


def chosen_epochs(inner: list[FitResult]) -> tuple[int, float]:
    """Choose the number of epochs for the refit: where the mean validation UAR of the inner fits is highest.

    The mean curve is smoothed over five epochs, because it is based on few speakers. The criterion is UAR and not the loss:
    for unseen speakers, the loss soon increases with the confidence of wrong predictions, while accuracy still improves.

    Returns
    -------
    epochs : int
    score : float
        The highest value of the smoothed mean UAR.
    """
    curve = pd.concat([result.history for result in inner]).groupby("epoch").val_uar.mean()
    smooth = curve.rolling(5, center=True, min_periods=1).mean()
    return int(smooth.idxmax()), float(smooth.max())


# Sharing and stacking


def _share_trainings(fits: list[Fit], groups: Sequence[str]) -> list[list[int]]:
    """Group the numbers of fits that differ only in validation and test rows, which one training serves.

    For example, the inner fit that leaves out speaker b within the fold of speaker a has the same training rows as the
    inner fit that leaves out a within the fold of b.
    """
    shared: dict[tuple, list[int]] = {}
    for i, (fit, group) in enumerate(zip(fits, groups, strict=True)):
        shared.setdefault((group, fit.training_key()), []).append(i)
    return list(shared.values())


def _make_stacks(fits: list[Fit], groups: Sequence[str], batch_size: int, *, size: int) -> list[list[list[int]]]:
    """Divide the shared trainings of each group into stacks of up to `size` with equal settings, steps per epoch and seed.

    The seed is equal because the stack draws one dropout mask for all its networks, as each would draw with this seed alone.
    The number of steps is equal so that no network gets an empty step. A stack trains until its last network has ended, so
    networks with similar numbers of epochs are together. The longest stacks come first, so that all cores end at about the
    same time.
    """
    alike: dict[tuple, list[list[int]]] = {}
    for shared_fits in sorted(
        _share_trainings(fits, groups), key=lambda shared_fits: fits[shared_fits[0]].epochs, reverse=True
    ):
        fit = fits[shared_fits[0]]
        key = (groups[shared_fits[0]], fit.seed, -(-len(fit.train) // batch_size), tuple(sorted(fit.settings.items())))
        alike.setdefault(key, []).append(shared_fits)
    stacks = [part[start : start + size] for part in alike.values() for start in range(0, len(part), size)]
    return sorted(stacks, key=lambda stack: fits[stack[0][0]].epochs * len(fits[stack[0][0]].train), reverse=True)


def _select_rows(job: TrainingJob) -> TrainingJob:
    """Return the job with only the rows that its fits use, and the row numbers of the fits changed accordingly."""
    used = np.unique(np.concatenate([rows for fit in itertools.chain(*job.trainings) for rows in fit.row_numbers().values()]))

    def renumber(fit: Fit) -> Fit:
        return replace(fit, **{name: np.searchsorted(used, rows) for name, rows in fit.row_numbers().items()})

    trainings = [[renumber(fit) for fit in shared_fits] for shared_fits in job.trainings]
    return replace(job, x=job.x[used], y=job.y[used], trainings=trainings)


# The cache entry of a stack


def _cache_key(model: str, job: TrainingJob) -> str:
    """Return a hash of everything that the results of a job depend on: all fields of the job and its fits, and the code."""
    entry = job.model
    code = code_version.version(entry.build, entry.optimizer, __name__)
    # Each fit is hashed by itself, as joblib's hash depends on which objects are the same.
    fits = [[joblib.hash(fit) for fit in shared_fits] for shared_fits in job.trainings]
    return cache.key(code=code, model=model, job=joblib.hash(replace(job, model=entry.fit_settings(), trainings=fits)))


def _to_arrays(results: list[FitResult]) -> dict[str, np.ndarray]:
    """Return results as named arrays."""
    arrays = {}
    for i, result in enumerate(results):
        parts = dict(vars(result))
        parts |= {f"history.{name}": column.to_numpy() for name, column in parts.pop("history").items()}
        parts |= {f"weights.{k:03d}": array for k, array in enumerate(parts.pop("weights"))}
        scaler = parts.pop("scaler")
        parts |= {f"scaler.{name}": getattr(scaler, name) for name in SCALER_ATTRIBUTES}
        arrays |= {f"{i}.{name}": np.asarray(part) for name, part in parts.items() if part is not None}
    return arrays


def _from_arrays(arrays: Mapping[str, np.ndarray]) -> list[FitResult]:
    """Return the results that `_to_arrays` converted."""
    from sklearn.preprocessing import StandardScaler

    results: dict[str, dict] = {}
    for name, array in arrays.items():
        number, _, field = name.partition(".")
        parts = results.setdefault(number, {"history": pd.DataFrame(), "weights": [], "scaler": StandardScaler()})
        field, _, part = field.partition(".")
        if field == "history":
            parts[field][part] = array
        elif field == "weights":
            parts[field].append(array)
        elif field == "scaler":
            setattr(parts[field], part, array[()])
        else:
            parts[field] = array if array.ndim else array.item()
    return [FitResult(**parts) for parts in results.values()]
