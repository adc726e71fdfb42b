"""Registry of feature sets, and the files of their tables.

A feature set maps a recording to one row of named numbers, or to a sequence of such rows. To add one, write a function
``(y, sr) -> values`` and add a `FeatureSet` to `FEATURE_SETS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ser_utils.core.errors import StudyError
from ser_utils.core.paths import write_aside
from ser_utils.core.tables import FRAMES
from ser_utils.features import functionals, log_mel, original38


@dataclass(frozen=True)
class FeatureSet:
    """A registered feature set."""

    named: tuple[str, ...] | Callable[[], tuple[str, ...]]
    """Names of the features, or a function that returns them, if computing the names is slow."""
    sr: int
    """Sample rate in Hz to which recordings are resampled."""
    extract: Callable[[np.ndarray, int], np.ndarray]
    """``(y, sr) -> values``: from a recording [shape=(n,) if mono else (n_channels, n)] and its sample rate to values
    [shape=(len(names),)], or [shape=(n_frames, len(names))] if `sequences`."""
    mono: bool = True
    """Whether the channels' waveforms are averaged first. False if `extract` averages their power: sound reaches two
    microphones some centimetres apart at different times, and the average of their waveforms is a comb filter."""
    sequences: bool = False
    """Whether a recording gives a sequence of rows, whose number depends on its duration."""
    file_type: str = "npz"
    """Type of the file of the table: ``npz`` (compact and exact) or ``csv``."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features in their order."""
        return self.named() if callable(self.named) else self.named


FEATURE_SETS = {
    "original38": FeatureSet(original38.NAMES, original38.SR, original38.original38, file_type="csv"),
    "functionals": FeatureSet(functionals.names, 16_000, functionals.functionals, mono=False),
    "log_mel": FeatureSet(log_mel.NAMES, 16_000, log_mel.log_mel, mono=False, sequences=True),
}


STANDARD_SETS = ("original38", "functionals")
"""The feature sets of every run; others are computed on request."""


def feature_file_name(features: str) -> str:
    """Return the name of the file in ``out/<corpus>/`` with the table of a feature set."""
    return f"features_{features}.{get_feature_set(features).file_type}"


def get_feature_set(name: str) -> FeatureSet:
    """Return a registered feature set; raise `StudyError` if the name is unknown."""
    if name not in FEATURE_SETS:
        raise StudyError(f"Unknown feature set {name!r}: expected one of {', '.join(FEATURE_SETS)}.")
    return FEATURE_SETS[name]


def check_feature_sets(names: Sequence[str]) -> None:
    """Raise `StudyError` if a name is unknown or listed twice, or one of `STANDARD_SETS` is not listed."""
    for name in names:
        get_feature_set(name)
        if list(names).count(name) > 1:
            raise StudyError(f"FEATURE_SETS lists {name!r} twice: list each feature set once.")
    if missing := [name for name in STANDARD_SETS if name not in names]:
        raise StudyError(f"FEATURE_SETS lacks {missing[0]!r}: expected {', '.join(STANDARD_SETS)} and others if needed.")


def variants_of(features: Sequence[str], variants: list[str], protocols: Sequence[str]) -> dict[str, list[str]]:
    """Return for each feature set the augmented variants that a run with these protocols trains on: all of them or none.

    Sequence networks train on augmented variants under each protocol. Networks with one row per clip do so under
    ``as_published``, as in the original study, and where a run that has this protocol compares training with and without
    augmentation.
    """
    is_published = "as_published" in protocols
    return {name: list(variants) if is_published or get_feature_set(name).sequences else [] for name in features}


def write_tables(tables: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Write the tables of a run by feature set, and remove those of other sets that an earlier run has left there."""
    for name in FEATURE_SETS:
        if name not in tables:
            (folder / feature_file_name(name)).unlink(missing_ok=True)
    for name, table in tables.items():
        write_features(table, folder / feature_file_name(name))


def write_features(table: pd.DataFrame, path: Path) -> None:
    """Write a table of features to a temporary file, then rename it.

    Parameters
    ----------
    table : pd.DataFrame [columns=file, variant, then the features' names; or file, variant, frames]
        As `ser_utils.features.extraction.feature_tables` returns it.
    path : Path
        ``.npz`` is compact and exact: arrays ``files``, ``variants``, ``names`` and ``values`` [shape=(n_rows, n_features),
        dtype=float32]. For sequences, ``values`` has the frames of all rows [shape=(n_frames, n_features)] and ``lengths``
        [shape=(n_rows,)] the number of frames per row. Any other suffix is CSV with seven digits.
    """
    names = table.columns.drop(["file", "variant"])
    with write_aside(path) as aside:
        if path.suffix != ".npz":
            table.to_csv(aside, index=False, float_format="%.7g")
            return
        text = {"files": table.file, "variants": table.variant, "names": names}
        if FRAMES in table:
            values = np.concatenate(list(table[FRAMES]))
            numbers = {"values": values, "lengths": np.array([len(frames) for frames in table[FRAMES]])}
        else:
            numbers = {"values": table[names].to_numpy(np.float32)}
        text = {key: np.array(list(column), dtype=str) for key, column in text.items()}  # arrays of objects would need pickle
        np.savez_compressed(aside, **text, **numbers)


def read_features(path: Path, features: str) -> pd.DataFrame:
    """Read a table from `write_features`.

    Raises
    ------
    StudyError
        The columns are not those of the feature set.
    """
    entry = get_feature_set(features)
    names = (FRAMES,) if entry.sequences else entry.names
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            if "lengths" in arrays:
                table = pd.DataFrame({FRAMES: np.split(arrays["values"], np.cumsum(arrays["lengths"])[:-1])})
            else:
                table = pd.DataFrame(arrays["values"], columns=arrays["names"].tolist())
            table.insert(0, "file", arrays["files"].tolist())
            table.insert(1, "variant", arrays["variants"].tolist())
    else:
        table = pd.read_csv(path, dtype={name: np.float32 for name in names})
    expected = ["file", "variant", *names]
    if list(table.columns) != expected:
        raise StudyError(
            f"{path.name} has {len(table.columns)} columns, expected the {len(expected)} of {features}: "
            "run 02_augment_features again."
        )
    return table


def variance_by(table: pd.DataFrame, factor: pd.Series) -> pd.Series:
    """Compute the share of each feature's variance that a factor explains (eta squared, 0 to 1).

    Parameters
    ----------
    table : pd.DataFrame [shape=(n_clips, n_features)]
        Feature values.
    factor : pd.Series [shape=(n_clips,)]
        Group of each clip, such as its emotion or speaker, in the order of `table`.

    Returns
    -------
    pd.Series [shape=(n_features,)]
    """
    means = table.groupby(factor.to_numpy()).transform("mean")
    return ((means - table.mean()) ** 2).sum() / ((table - table.mean()) ** 2).sum()
