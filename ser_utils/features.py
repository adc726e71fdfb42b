"""Feature sets: each turns one recording into one row of named numbers, and a registry names them.

To add one, write a function ``(y, sr) -> values`` and enter it in `FEATURE_SETS` with its names and sample rate.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import joblib
import librosa
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ser_utils.audio import AudioError, read_audio, warm_up
from ser_utils.augment import ORIGINAL, augment, check_strengths, check_variants
from ser_utils.errors import StudyError
from ser_utils.functionals import functionals
from ser_utils.functionals import names as functional_names
from ser_utils.paths import write_aside
from ser_utils.progress import progress

ORIGINAL38 = (
    *(f"chroma_{note}" for note in ("C", "Cs", "D", "Ds", "E", "F", "Fs", "G", "Gs", "A", "As", "B")),
    "rms",
    "centroid_hz",
    "flatness",
    "bandwidth_hz",
    "rolloff_hz",
    "zcr",
    *(f"mfcc_{i}" for i in range(1, 21)),
)
"""The original study's features in its order, each the mean over the frames of a clip."""


def original38(y: np.ndarray, sr: int) -> np.ndarray:
    """The 38 features of the original study (github.com/fp1acm8/SER), means over frames.

    The original ran librosa 0.8.1, whose centred frames were padded by reflection; librosa pads with zeros since 0.10, so
    the padding is asked for here. Frames of 2048 samples, hop 512, Hann window.

    Parameters
    ----------
    y : np.ndarray [shape=(n,)]
        Mono recording.
    sr : int
        Its sample rate in Hz; the original's is 48 000.

    Returns
    -------
    np.ndarray [shape=(38,)]
        12 chroma (1 is the strongest note of a frame), root mean square amplitude, spectral centroid in Hz, flatness
        (0 a tone, 1 white noise), bandwidth in Hz, roll-off at 85 % in Hz, share of zero crossings, 20 MFCC
        (Davis and Mermelstein, 1980).
    """
    magnitude = np.abs(librosa.stft(y, pad_mode="reflect"))
    power = magnitude**2
    log_mel = librosa.power_to_db(librosa.feature.melspectrogram(S=power, sr=sr))
    contours = (
        librosa.feature.chroma_stft(S=power, sr=sr),
        librosa.feature.rms(y=y, pad_mode="reflect"),
        librosa.feature.spectral_centroid(S=magnitude, sr=sr),
        librosa.feature.spectral_flatness(S=magnitude),
        librosa.feature.spectral_bandwidth(S=magnitude, sr=sr),
        librosa.feature.spectral_rolloff(S=magnitude, sr=sr),
        librosa.feature.zero_crossing_rate(y),
        librosa.feature.mfcc(S=log_mel, n_mfcc=20),
    )
    return np.concatenate([contour.mean(axis=1) for contour in contours])


@dataclass(frozen=True)
class FeatureSet:
    """A registered feature set."""

    named: tuple[str, ...] | Callable[[], tuple[str, ...]]
    """The names of its features, or a function that returns them, where they take work to find out."""
    sr: int
    """Sample rate in Hz that recordings are brought to."""
    extract: Callable[[np.ndarray, int], np.ndarray]
    """From a recording [shape=(n,), or (n_channels, n) unless mono] and its rate to values [shape=(len(names),)]."""
    mono: bool = True
    """Whether channels are averaged first. Not where their power is averaged later: two microphones some centimetres apart
    hear the voice at different times, and the average of their waveforms is a comb filter."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features, in their order."""
        return self.named() if callable(self.named) else self.named


FEATURE_SETS = {
    "original38": FeatureSet(ORIGINAL38, 48_000, original38),
    "functionals": FeatureSet(functional_names, 16_000, functionals, mono=False),
}


FILES = {name: f"features_{name}.{'csv' if name == 'original38' else 'npz'}" for name in FEATURE_SETS}
"""Where each set's table stands in ``out/<corpus>/``: the original's small one as CSV, larger ones as compact binary."""


def get_feature_set(name: str) -> FeatureSet:
    """The registered feature set of that name; `StudyError` where there is none."""
    if name not in FEATURE_SETS:
        raise StudyError(f"Unknown feature set {name!r}: expected one of {', '.join(FEATURE_SETS)}.")
    return FEATURE_SETS[name]


def clip_features(root: Path, file: str, features: str, variants: list[str], strengths: Mapping, seed: int) -> np.ndarray:
    """The features of one recording in all its variants [shape=(1 + len(variants), n_features)]; it is read once."""
    feature_set = get_feature_set(features)
    try:
        y, sr = read_audio(root / file, sr=feature_set.sr, mono=feature_set.mono)
    except AudioError as error:
        raise StudyError(f"{file} cannot be used any more, {error}: run 01_explore again.") from error
    with threadpool_limits(1):  # a matrix product's last digit depends on how many threads share it
        return np.stack(
            [
                feature_set.extract(augment(y, sr=sr, variant=variant, strengths=strengths, clip=file, seed=seed), sr)
                for variant in (ORIGINAL, *variants)
            ]
        )


def feature_table(
    files: list[str],
    *,
    root: Path,
    features: str,
    variants: list[str],
    strengths: Mapping,
    seed: int = 0,
    n_jobs: int = -1,
) -> pd.DataFrame:
    """The features of recordings and their variants.

    Parameters
    ----------
    files : list of str
        Recordings, relative to `root`.
    root : Path
        Folder of the corpus.
    features : str
        A name in `FEATURE_SETS`.
    variants : list of str
        Names in `ser_utils.augment.AUGMENTATIONS`; the original always comes first.
    strengths : mapping
        See `ser_utils.augment.STRENGTHS`.
    seed : int
        Seed of the augmentation.
    n_jobs : int
        Processes; -1 for one a core. The table does not depend on it.

    Returns
    -------
    pd.DataFrame [columns=file, variant, then the features' names]
        Sorted as `files`, then as `variants`; one row a clip and variant.
    """
    names = list(get_feature_set(features).names)
    check_variants(variants)
    check_strengths(strengths)
    warm_up()
    jobs = joblib.Parallel(n_jobs=n_jobs, return_as="generator")(
        joblib.delayed(clip_features)(root, file, features, variants, strengths, seed) for file in files
    )
    values = np.concatenate(list(progress(jobs, total=len(files), desc=f"features {features}", unit="clip")))
    index = pd.MultiIndex.from_product([files, [ORIGINAL, *variants]], names=["file", "variant"])
    return pd.DataFrame(values.astype(np.float32), index=index, columns=names).reset_index()


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table of features, aside and renamed.

    Parameters
    ----------
    table : pd.DataFrame [columns=file, variant, then the features' names]
        As `feature_table` returns it.
    path : Path
        ``.npz`` is compact and exact: arrays ``files``, ``variants``, ``names`` and ``values`` [shape=(n_rows, n_features),
        dtype=float32]. Anything else is CSV, to seven digits.
    """
    names = table.columns.drop(["file", "variant"])
    with write_aside(path) as aside:
        if path.suffix != ".npz":
            table.to_csv(aside, index=False, float_format="%.7g")
            return
        text = {"files": table.file, "variants": table.variant, "names": names}
        text = {key: np.array(list(column), dtype=str) for key, column in text.items()}  # objects would have to be pickled
        np.savez_compressed(aside, **text, values=table[names].to_numpy(np.float32))


def read_features(path: Path, features: str) -> pd.DataFrame:
    """Read a table that `write_table` wrote, and check that its columns are those of the feature set."""
    names = get_feature_set(features).names
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
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
