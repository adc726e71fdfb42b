"""From recordings to tables of features: one pass over the audio, on all cores, keeping what was computed before."""

import hashlib
import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ser_utils.core import cache, code_version
from ser_utils.core.audio import AudioError, read_audio, resample_and_mix
from ser_utils.core.errors import StudyError
from ser_utils.core.parallel import Execution, parallel_map, run_on_workers
from ser_utils.core.paths import file_hash, file_hashes
from ser_utils.core.progress import progress, waiting
from ser_utils.core.tables import FRAMES, ORIGINAL
from ser_utils.features.augmentation import AUGMENTATIONS, Augmentation, augment, check_strengths, check_variants, depends_on
from ser_utils.features.f0 import f0_contour
from ser_utils.features.registry import FeatureSet, get_feature_set


@dataclass(frozen=True)
class Cell:
    """One feature set of one variant; with the functions themselves, as another process may not have registered them."""

    features: str
    variant: str
    feature_set: FeatureSet
    augmentation: Augmentation | None

    def code(self) -> str | None:
        """The version of the code that computes it."""
        change = [self.augmentation.change] if self.augmentation else []
        return code_version.version(
            self.feature_set.extract, *change, "ser_utils.features.augmentation", "ser_utils.core.audio", alone=__name__
        )


def clip_features(
    path: Path, audio: bytes | None, sha256: str, cells: list[Cell], strengths: Mapping, clip: str, seed: int
) -> list[np.ndarray]:
    """Features of one recording, which is read once, and each of its variants made once.

    Parameters
    ----------
    path : Path
        The recording.
    audio : bytes or None
        What is in it, where this process cannot read it there.
    sha256 : str
        Checksum of its bytes.
    cells : list of Cell
        Those of a feature set one after the other.
    strengths, clip, seed
        See `ser_utils.features.augmentation.augment`.

    Returns
    -------
    list of np.ndarray [shape=(n_features,) or (n_frames, n_features)]
        In the order of `cells`.
    """
    try:
        audio = path.read_bytes() if audio is None else audio
    except OSError as error:
        raise StudyError(f"{clip} is not there any more: run 01_explore again.") from error
    if hashlib.sha256(audio).hexdigest() != sha256:
        raise StudyError(f"{clip} was changed while the study ran: run it again.")
    try:
        y, native_sr = read_audio(io.BytesIO(audio), mono=False)
    except AudioError as error:
        raise StudyError(f"{clip} cannot be used any more, {error}: run 01_explore again.") from error
    rows = []
    with threadpool_limits(1):  # a matrix product's last digit depends on how many threads share it
        for entry, group in itertools.groupby(cells, key=lambda cell: cell.feature_set):
            own, sr = resample_and_mix(y, native_sr, sr=entry.sr, mono=entry.mono)
            for cell in group:
                made = augment(
                    own, sr=sr, variant=cell.variant, strengths=strengths, clip=clip, seed=seed, entry=cell.augmentation
                )
                rows.append(np.asarray(entry.extract(made, sr), np.float32))
    return rows


def feature_tables(
    files: list[str],
    *,
    root: Path,
    features: Sequence[str],
    variants: list[str],
    strengths: Mapping,
    seed: int = 0,
    execution: Execution = Execution(-1),
) -> dict[str, pd.DataFrame]:
    """The features of recordings and their variants, of several feature sets in one pass over the audio.

    What was computed before, from the same audio, settings and code, is taken from the cache (`ser_utils.core.cache`).

    Parameters
    ----------
    files : list of str
        Recordings, relative to `root`.
    root : Path
        Folder of the corpus.
    features : sequence of str
        Names in `FEATURE_SETS`.
    variants : list of str
        Names in `ser_utils.features.augmentation.AUGMENTATIONS`; the original always comes first.
    strengths : mapping
        See `ser_utils.features.augmentation.STRENGTHS`.
    seed : int
        Seed of the augmentation.
    execution : Execution
        Processes or cluster. Cluster workers that find `root` at the same path read the audio there; else it is sent.

    Returns
    -------
    dict of str to pd.DataFrame [columns=file, variant, then the features' names]
        By feature set; sorted as `files`, then as `variants`; one row a clip and variant. A set of sequences has one column
        instead of the names, `ser_utils.core.tables.FRAMES`.
    """
    sets = {name: get_feature_set(name) for name in features}
    check_variants(variants)
    check_strengths(strengths)
    variants = [ORIGINAL, *variants]
    cells = [Cell(name, v, entry, AUGMENTATIONS.get(v)) for name, entry in sets.items() for v in variants]
    values = {name: _empty(entry, len(files), len(variants)) for name, entry in sets.items()}
    rows = {cell: values[cell.features][:, variants.index(cell.variant)] for cell in cells}  # views: filled in place
    made_from = {"strengths": strengths, "seed": seed}
    missing = {}
    for i, (file, sha256) in enumerate(zip(files, file_hashes(root, files), strict=True)):
        kept = [cache.load("features", _entry(cell, sha256, clip=file, **made_from)) for cell in cells]
        left = [cell for cell, entry in zip(cells, kept, strict=True) if entry is None]
        for cell, entry in zip(cells, kept, strict=True):
            if entry is not None:
                rows[cell][i] = entry["row"]
        if left:
            missing[i] = (sha256, cells if left == cells else left)
    for i, computed in _computed(files, missing, root, strengths, seed, execution):
        sha256, left = missing[i]
        for cell, row in zip(left, computed, strict=True):
            cache.save("features", _entry(cell, sha256, clip=files[i], **made_from), {"row": row})
            rows[cell][i] = row
    return {name: _table(files, variants, entry, values[name]) for name, entry in sets.items()}


def _empty(entry: FeatureSet, n_files: int, n_variants: int) -> np.ndarray:
    """Room for the values of a feature set; of sequences, which differ in length, for one array a cell."""
    if entry.sequences:
        return np.empty((n_files, n_variants), object)
    return np.empty((n_files, n_variants, len(entry.names)), np.float32)


def _table(files: list[str], variants: list[str], entry: FeatureSet, values: np.ndarray) -> pd.DataFrame:
    """Values, as `_empty` has room for them, as a table, without a copy of them."""
    n = len(files) * len(variants)
    if entry.sequences:
        table = pd.DataFrame({FRAMES: values.reshape(n)})
    else:
        table = pd.DataFrame(values.reshape(n, len(entry.names)), columns=list(entry.names), copy=False)
    table.insert(0, "file", [file for file in files for _ in variants])
    table.insert(1, "variant", variants * len(files))
    return table


def _computed(
    files: list[str], missing: Mapping, root: Path, strengths: Mapping, seed: int, execution: Execution
) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Number and rows of each recording that has something missing, as they come."""
    if not missing:
        return
    with waiting("loading librosa's kernels (compiling them, the first time on a machine, takes 20 s)"):
        warm_up()
    scheduler = execution.scheduler
    send = bool(scheduler) and set(run_on_workers(scheduler, file_hash, root / files[0])) != {file_hash(root / files[0])}
    tasks = (
        (root / files[i], (root / files[i]).read_bytes() if send else None, sha256, left, strengths, files[i], seed)
        for i, (sha256, left) in missing.items()
    )
    done = parallel_map(clip_features, tasks, execution=execution)
    done = progress(done, total=len(files), done=len(files) - len(missing), desc="features", unit="clip")
    yield from zip(missing, done, strict=True)


def _entry(cell: Cell, sha256: str, *, strengths: Mapping, clip: str, seed: int) -> str:
    """The name under which a row is kept."""
    made = depends_on(cell.augmentation, strengths=strengths, clip=clip, seed=seed)
    entry = {"sr": cell.feature_set.sr, "mono": cell.feature_set.mono}
    return cache.key(code=cell.code(), audio=sha256, features=cell.features, variant=cell.variant, **entry, **made)


def warm_up() -> None:
    """Let kernels be compiled (the first time on a machine: about 20 s) or loaded before workers need them.

    Two processes that compile at once can leave a cache that crashes every later process (numba issue 10128), so one
    process does it, and does it first.
    """
    y = librosa.tone(220, sr=16_000, duration=1).astype(np.float32)
    spectrum = np.abs(librosa.stft(y))
    librosa.feature.chroma_stft(S=spectrum**2, sr=16_000)
    librosa.feature.zero_crossing_rate(y)
    librosa.effects.pitch_shift(librosa.effects.time_stretch(y, rate=0.9), sr=16_000, n_steps=1)
    f0_contour(y, sr=16_000)
