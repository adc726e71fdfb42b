"""Feature sets: each turns one recording into one row of named numbers, or into a sequence of such rows.

To add one, write a function ``(y, sr) -> values`` and enter it in `FEATURE_SETS` with its names and sample rate.
"""

from collections.abc import Callable
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
    """The names of its features, or a function that returns them, where they take work to find out."""
    sr: int
    """Sample rate in Hz that recordings are brought to."""
    extract: Callable[[np.ndarray, int], np.ndarray]
    """From a recording [shape=(n,), or (n_channels, n) unless mono] and its rate to values [shape=(len(names),)], or
    [shape=(n_frames, len(names))] where the set is of sequences."""
    mono: bool = True
    """Whether channels are averaged first. Not where their power is averaged later: two microphones some centimetres apart
    hear the voice at different times, and the average of their waveforms is a comb filter."""
    sequences: bool = False
    """Whether a recording gives a sequence of rows, as many as it is long."""
    file_type: str = "npz"
    """Type of the file that the table is saved in: ``npz``, compact and exact, or ``csv``."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features, in their order."""
        return self.named() if callable(self.named) else self.named


FEATURE_SETS = {
    "original38": FeatureSet(original38.NAMES, original38.SR, original38.original38, file_type="csv"),
    "functionals": FeatureSet(functionals.names, 16_000, functionals.functionals, mono=False),
    "log_mel": FeatureSet(log_mel.NAMES, 16_000, log_mel.log_mel, mono=False, sequences=True),
}


def feature_file_name(features: str) -> str:
    """Name of the file in ``out/<corpus>/`` that the table of a feature set is saved in."""
    return f"features_{features}.{get_feature_set(features).file_type}"


def get_feature_set(name: str) -> FeatureSet:
    """The registered feature set of that name; `StudyError` where there is none."""
    if name not in FEATURE_SETS:
        raise StudyError(f"Unknown feature set {name!r}: expected one of {', '.join(FEATURE_SETS)}.")
    return FEATURE_SETS[name]


def write_features(table: pd.DataFrame, path: Path) -> None:
    """Write a table of features, aside and renamed.

    Parameters
    ----------
    table : pd.DataFrame [columns=file, variant, then the features' names; or file, variant, frames]
        As `ser_utils.features.extraction.feature_tables` returns it.
    path : Path
        ``.npz`` is compact and exact: arrays ``files``, ``variants``, ``names`` and ``values`` [shape=(n_rows, n_features),
        dtype=float32]; of sequences, ``values`` has those of all clips one after the other and ``lengths`` [shape=(n_rows,)]
        how many frames each has. Anything else is CSV, to seven digits.
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
        text = {key: np.array(list(column), dtype=str) for key, column in text.items()}  # objects would have to be pickled
        np.savez_compressed(aside, **text, **numbers)


def read_features(path: Path, features: str) -> pd.DataFrame:
    """Read a table that `write_table` wrote, and check that its columns are those of the feature set."""
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
    """The share of each feature's variance that lies between the groups of a factor (eta squared, 0 to 1).

    Parameters
    ----------
    table : pd.DataFrame [shape=(n_clips, n_features)]
        Feature values.
    factor : pd.Series [shape=(n_clips,)]
        A grouping, such as the emotion or the speaker of each clip, in the same order.

    Returns
    -------
    pd.Series [shape=(n_features,)]
    """
    means = table.groupby(factor.to_numpy()).transform("mean")
    return ((means - table.mean()) ** 2).sum() / ((table - table.mean()) ** 2).sum()
