"""Tables of features of recordings and their variants: one pass over the audio, on all cores, with a cache."""

import functools
import hashlib
import io
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import ThreadpoolController

from ser_utils.core import cache, code_version
from ser_utils.core.audio import AudioError, read_audio, resample_and_mix
from ser_utils.core.errors import StudyError
from ser_utils.core.parallel import Execution, parallel_map
from ser_utils.core.paths import file_hashes
from ser_utils.core.progress import progress, waiting
from ser_utils.core.tables import FRAMES, ORIGINAL
from ser_utils.features.augmentation import AUGMENTATIONS, Augmentation, augment, check_strengths, check_variants, depends_on
from ser_utils.features.registry import STANDARD_SETS, FeatureSet, get_feature_set


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording: its path relative to the folder of the corpus, and the checksum of the file."""

    root: Path
    file: str
    sha256: str

    @property
    def path(self) -> Path:
        return self.root / self.file


@dataclass(frozen=True)
class Cell:
    """A feature set of a variant. It holds both registry entries, which another process may not have registered."""

    features: str
    variant: str
    feature_set: FeatureSet
    augmentation: Augmentation | None

    @property
    def audio(self) -> tuple[int, bool, str]:
        """Which samples the features are computed from: sample rate, whether channels are averaged, and variant."""
        return self.feature_set.sr, self.feature_set.mono, self.variant

    def cache_key(self, recording: Recording, strengths: Mapping, seed: int) -> str:
        """Return the key of the values in the cache: a hash of the audio, the settings and the code that they depend on."""
        functions = [self.feature_set.extract] + ([self.augmentation.change] if self.augmentation else [])
        code = code_version.version(*functions, "ser_utils.features.augmentation", "ser_utils.core.audio", alone=__name__)
        settings = depends_on(self.augmentation, strengths=strengths, clip=recording.file, seed=seed)
        settings |= {"sr": self.feature_set.sr, "mono": self.feature_set.mono}
        return cache.key(code=code, audio=recording.sha256, features=self.features, variant=self.variant, **settings)


def clip_features(
    recording: Recording, audio: bytes | None, cells: list[Cell], strengths: Mapping, seed: int
) -> list[np.ndarray]:
    """Compute features of one recording, which is read once.

    Parameters
    ----------
    recording : Recording
    audio : bytes or None
        Content of the file; None to read it from its path.
    cells : list of Cell
        Sorted by `Cell.audio`.
    strengths, seed
        See `ser_utils.features.augmentation.augment`.

    Returns
    -------
    list of np.ndarray [shape=(n_features,) or (n_frames, n_features), dtype=float32]
        In the order of `cells`.

    Raises
    ------
    StudyError
        The file is missing, not usable as audio, or differs from its checksum.
    """
    y, native_sr = _read(recording, audio)
    rows, settings = [], {"strengths": strengths, "clip": recording.file, "seed": seed}
    with _thread_pools(len(sys.modules)).limit(limits=1):  # the last digit of a matrix product depends on the number of threads
        for (sr, mono), of_rate in itertools.groupby(cells, key=lambda cell: cell.audio[:2]):
            original, sr = resample_and_mix(y, native_sr, sr=sr, mono=mono)
            for _, of_variant in itertools.groupby(of_rate, key=lambda cell: cell.audio):
                first, *others = of_variant
                changed = augment(original, sr=sr, variant=first.variant, entry=first.augmentation, **settings)
                rows += [np.asarray(cell.feature_set.extract(changed, sr), np.float32) for cell in (first, *others)]
    return rows


@functools.lru_cache(maxsize=1)
def _thread_pools(n_modules: int) -> ThreadpoolController:
    """Find the libraries with threads, which takes 3 ms, so it is done again only after other modules were imported."""
    return ThreadpoolController()


def _read(recording: Recording, audio: bytes | None) -> tuple[np.ndarray, int]:
    """Read all channels of a recording, and check that the file has not changed."""
    try:
        audio = recording.path.read_bytes() if audio is None else audio
    except OSError as error:
        raise StudyError(f"{recording.file} is not there any more: run 01_explore again.") from error
    if hashlib.sha256(audio).hexdigest() != recording.sha256:
        raise StudyError(f"{recording.file} was changed while the study ran: run it again.")
    try:
        return read_audio(io.BytesIO(audio), mono=False)
    except AudioError as error:
        raise StudyError(f"{recording.file} cannot be used any more, {error}: run 01_explore again.") from error


def feature_tables(
    files: list[str],
    *,
    root: Path,
    features: Sequence[str],
    variants: list[str] | Mapping[str, list[str]],
    strengths: Mapping,
    seed: int = 0,
    execution: Execution = Execution(-1),
) -> dict[str, pd.DataFrame]:
    """Compute several feature sets of recordings and their variants in one pass over the audio.

    Values that were computed before from the same audio, settings and code are read from the cache (`ser_utils.core.cache`).

    Parameters
    ----------
    files : list of str
        Recordings, relative to `root`.
    root : Path
        Folder of the corpus.
    features : sequence of str
        Names in `ser_utils.features.registry.FEATURE_SETS`.
    variants : list of str, or mapping of str to list of str
        Names in `ser_utils.features.augmentation.AUGMENTATIONS`, for all feature sets or by feature set. The original is
        always added as the first variant.
    strengths : mapping of str to float
        See `ser_utils.features.augmentation.STRENGTHS`.
    seed : int
        Seed of the augmentation.
    execution : Execution
        Processes or cluster. Audio is sent to the workers of a cluster, where `root` may not exist.

    Returns
    -------
    dict of str to pd.DataFrame [columns=file, variant, then the names of the features]
        By feature set; one row per file and variant, in the order of `files`, then `variants`. A set of sequences has the
        single column `ser_utils.core.tables.FRAMES` instead of the names.

    Raises
    ------
    StudyError
        A feature set or an augmentation is unknown, a strength is out of range, or a recording is missing or not usable.
    """
    feature_sets = {name: get_feature_set(name) for name in features}
    by_set = variants if isinstance(variants, Mapping) else dict.fromkeys(features, variants)
    for names in by_set.values():
        check_variants(names)
    check_strengths(strengths)
    by_set = {name: [ORIGINAL, *names] for name, names in by_set.items()}
    cells = [Cell(name, v, entry, AUGMENTATIONS.get(v)) for name, entry in feature_sets.items() for v in by_set[name]]
    cells.sort(key=lambda cell: cell.audio)  # so that sets of one sample rate share resampled and augmented recordings
    recordings = [Recording(root, *pair) for pair in zip(files, file_hashes(root, files), strict=True)]
    values = {name: _empty(entry, len(files), len(by_set[name])) for name, entry in feature_sets.items()}
    rows = {cell: values[cell.features][:, by_set[cell.features].index(cell.variant)] for cell in cells}  # views into `values`
    missing: dict[int, list[Cell]] = {}
    for (i, recording), cell in itertools.product(enumerate(recordings), cells):
        cached = cache.load("features", cell.cache_key(recording, strengths, seed))
        if cached is None:
            missing.setdefault(i, []).append(cell)
        else:
            rows[cell][i] = cached["row"]
    for i, computed in _compute(recordings, missing, strengths, seed, execution):
        for cell, row in zip(missing[i], computed, strict=True):
            cache.save("features", cell.cache_key(recordings[i], strengths, seed), {"row": row})
            rows[cell][i] = row
    return {name: _table(files, by_set[name], entry, values[name]) for name, entry in feature_sets.items()}


def _empty(entry: FeatureSet, n_files: int, n_variants: int) -> np.ndarray:
    """Allocate the values of a feature set; for sequences, which differ in length, one object per file and variant."""
    if entry.sequences:
        return np.empty((n_files, n_variants), object)
    return np.empty((n_files, n_variants, len(entry.names)), np.float32)


def _table(files: list[str], variants: list[str], entry: FeatureSet, values: np.ndarray) -> pd.DataFrame:
    """Make a table of values from `_empty` without copying them."""
    n_rows = len(files) * len(variants)
    if entry.sequences:
        table = pd.DataFrame({FRAMES: values.reshape(n_rows)})
    else:
        table = pd.DataFrame(values.reshape(n_rows, len(entry.names)), columns=list(entry.names), copy=False)
    table.insert(0, "file", [file for file in files for _ in variants])
    table.insert(1, "variant", variants * len(files))
    return table


def _compute(
    recordings: list[Recording], missing: Mapping[int, list[Cell]], strengths: Mapping, seed: int, execution: Execution
) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Yield index and rows of each recording with missing cells, as soon as they are computed."""
    if not missing:
        return
    with waiting("loading librosa's kernels (compiling them, the first time on a machine, takes 20 s)"):
        warm_up()
    tasks = (
        (recordings[i], recordings[i].path.read_bytes() if execution.scheduler else None, cells, strengths, seed)
        for i, cells in missing.items()
    )
    rows = parallel_map(clip_features, tasks, execution=execution)
    n_cached = len(recordings) - len(missing)
    yield from zip(missing, progress(rows, total=len(recordings), done=n_cached, desc="features", unit="clip"), strict=True)


def warm_up() -> None:
    """Compile numba kernels (about 20 s, the first time on a machine) or load them, before workers need them.

    Two processes that compile at the same time can leave a cache that crashes every later process (numba issue 10128), so one
    process compiles first.
    """
    y = np.sin(2 * np.pi * 220 / 16_000 * np.arange(16_000, dtype=np.float32))
    for name in STANDARD_SETS:
        get_feature_set(name).extract(y, 16_000)
