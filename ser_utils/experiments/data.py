"""Features joined with the labels of their clips, and per-speaker normalisation."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ser_utils.core.errors import StudyError
from ser_utils.core.tables import FRAMES, ORIGINAL, SPEAKER_NORMS
from ser_utils.corpora.labels import class_order, relabel


@dataclass
class Data:
    """One feature table with its labels, as a system uses it."""

    rows: pd.DataFrame
    """Columns file, variant, speaker, gender, sentence, emotion, audio_sha256; also extra_corpus after
    `ser_utils.experiments.extra_corpora.join_extra_corpora`."""
    x: np.ndarray
    """Features [shape=(n_rows, n_features)], or sequences [shape=(n_rows,), dtype=object] of arrays [shape=(n_frames,
    n_features)]; normalised by speaker if the system requires it."""
    names: list[str]
    """Names of the features."""

    @functools.cached_property
    def classes(self) -> list[str]:
        """Emotions in their fixed order; a class number is an index into this list."""
        return class_order(self.rows.emotion)

    @functools.cached_property
    def y(self) -> np.ndarray:
        """Class number of each row [shape=(n_rows,)]."""
        return self.rows.emotion.map({name: i for i, name in enumerate(self.classes)}).to_numpy()

    @property
    def is_original(self) -> np.ndarray:
        """Whether each row is an original clip, not an augmented variant [shape=(n_rows,), dtype=bool]."""
        return (self.rows.variant == ORIGINAL).to_numpy()

    @property
    def n_clips(self) -> int:
        """Number of original clips."""
        return int(self.is_original.sum())


def load_data(
    features: pd.DataFrame, utterances: pd.DataFrame, *, drop: list[str], rename: Mapping[str, str], speaker_norm: str = "none"
) -> Data:
    """Join a feature table with the labels in ``utterances.csv``, drop and rename emotions, and normalise the features.

    See `ser_utils.corpora.labels.relabel` for `drop` and `rename`, and `normalise` for `speaker_norm`.

    Raises
    ------
    StudyError
        The two tables contain different clips, or an emotion cannot be dropped or renamed.
    """
    labels = utterances.set_index("file")[["speaker", "gender", "sentence", "emotion", "audio_sha256"]]
    unknown = set(features.file) ^ set(labels.index)
    if unknown:
        raise StudyError(
            f"The features and utterances.csv differ in {len(unknown)} clips, first {min(unknown)}: "
            "run 01_explore and 02_augment_features again."
        )
    emotion = relabel(labels.emotion, drop=drop, rename=rename)
    kept = features.file.isin(emotion.index)
    rows = features.loc[kept, ["file", "variant"]].reset_index(drop=True)
    rows = rows.join(labels.drop(columns="emotion"), on="file").join(emotion, on="file")
    if FRAMES in features:
        x = features.loc[kept, FRAMES].to_numpy()
        names = [f"band_{i:02d}" for i in range(x[0].shape[1])]
    else:
        names = [name for name in features if name not in ("file", "variant")]
        x = features.loc[kept, names].to_numpy(np.float32)
    return Data(rows, normalise(x, rows, speaker_norm), names)


def normalise(x: np.ndarray, rows: pd.DataFrame, speaker_norm: str) -> np.ndarray:
    """Return the features unchanged (``none``), or standardised per speaker (``speaker``).

    Per-speaker normalisation takes means and standard deviations from the speaker's original clips of all emotions and does
    not use their labels. A new speaker therefore needs several clips with a mixture of emotions; see
    `ser_utils.experiments.analysis.enrolment`.
    """
    if speaker_norm not in SPEAKER_NORMS:
        raise StudyError(f"Unknown speaker normalisation {speaker_norm!r}: expected one of {', '.join(SPEAKER_NORMS)}.")
    if speaker_norm == "none":
        return x
    return standardise_by_group(x, rows, rows.speaker)


def standardise_by_group(x: np.ndarray, rows: pd.DataFrame, groups: pd.Series) -> np.ndarray:
    """Standardise each group of rows by the statistics of its own original clips.

    Parameters
    ----------
    x : np.ndarray [shape=(n_rows, n_features)], or [shape=(n_rows,), dtype=object] of sequences
        A sequence [shape=(n_frames, n_bands)] is standardised per band, over all frames of the group's clips.
    rows : pd.DataFrame [columns=variant, ...]
    groups : pd.Series [shape=(n_rows,)]
        The group of each row, such as its speaker.
    """
    out, original = np.empty_like(x), (rows.variant == ORIGINAL).to_numpy()
    for index in groups.groupby(groups.to_numpy()).indices.values():
        clips = stack_frames(x[index[original[index]]])
        mean, scale = clips.mean(axis=0), safe_scale(clips.std(axis=0))
        for part in index if x.dtype == object else [index]:
            out[part] = (x[part] - mean) / scale
    return out


def stack_frames(x: np.ndarray) -> np.ndarray:
    """Return rows of features unchanged, and sequences as one array of all their frames [shape=(n_frames, n_features)]."""
    return np.concatenate(list(x)) if x.dtype == object else x


def safe_scale(std: np.ndarray) -> np.ndarray:
    """Return standard deviations to divide by, with 1 for features that do not vary."""
    return np.where(std < 1e-6, 1, std)
