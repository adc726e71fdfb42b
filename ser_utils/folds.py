"""Protocols: which rows train a model and which test it. Each is one function; folds are data, saved and checked.

From the wrong way to the hardest: ``as_published`` (the original study's split, kept to show what it costs), ``clip``,
``sentence``, ``speaker`` (the headline: a voice never heard) and ``speaker_sentence`` (neither voice nor words heard). To add
a protocol, write a function ``(rows, seed, n_folds) -> table`` and enter it in `PROTOCOLS`.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, KFold, LeaveOneGroupOut, train_test_split

from ser_utils.augment import ORIGINAL
from ser_utils.errors import StudyError

COLUMNS = ["protocol", "seed", "fold", "role", "file", "variant"]
"""Columns of ``folds.csv``. A row of features (file, variant) that a fold does not name trains in it."""
TEST, VALIDATION, LEFT_OUT = ROLES = ("test", "validation", "left_out")
"""Roles in ``folds.csv``: scored, used to stop the training, or in neither training nor test."""
SEPARATED = {
    "as_published": (),
    "clip": ("file",),
    "sentence": ("file", "sentence"),
    "speaker": ("file", "speaker"),
    "speaker_sentence": ("file", "speaker", "sentence"),
}
"""What each protocol declares that training and test do not share."""


def as_published(rows: pd.DataFrame, seed: int, n_folds: int) -> pd.DataFrame:
    """The original study's split: every row, augmented or not, at random.

    A tenth of the rows is the test set; the rest is cut into `n_folds`, each in turn the validation set on which its
    model is stopped. The original keeps the last fold's model and tests that one. Copies of a test clip are in training. The
    original also standardises all rows together; here the scaler sees training rows alone, in every protocol.
    """
    kept, test = train_test_split(np.arange(len(rows)), test_size=0.1, random_state=seed)
    cut = KFold(n_folds, shuffle=True, random_state=seed).split(kept)
    return pd.concat([_fold(rows, fold, {TEST: test, VALIDATION: kept[held]}) for fold, (_, held) in enumerate(cut, 1)])


def clip(rows: pd.DataFrame, seed: int, n_folds: int) -> pd.DataFrame:
    """Clips at random in `n_folds` folds, each clip with all its variants on one side; voices and sentences are shared."""
    cut = GroupKFold(n_folds, shuffle=True, random_state=seed).split(rows, groups=rows.file)
    return pd.concat([_grouped(rows, fold, test) for fold, (_, test) in enumerate(cut, 1)])


def sentence(rows: pd.DataFrame, seed: int, n_folds: int) -> pd.DataFrame:
    """Leave one sentence out: the words of a test clip are new to the model, its voice is not."""
    cut = LeaveOneGroupOut().split(rows, groups=rows.sentence)
    return pd.concat([_grouped(rows, fold, test) for fold, (_, test) in enumerate(cut, 1)])


def speaker(rows: pd.DataFrame, seed: int, n_folds: int) -> pd.DataFrame:
    """Leave one speaker out: each speaker in turn is the test set, heard in no other role."""
    cut = LeaveOneGroupOut().split(rows, groups=rows.speaker)
    return pd.concat([_grouped(rows, fold, test) for fold, (_, test) in enumerate(cut, 1)])


def speaker_sentence(rows: pd.DataFrame, seed: int, n_folds: int) -> pd.DataFrame:
    """Leave out a speaker and a sentence: the test is that speaker's clips of that sentence, all else of either is left out."""
    made = []
    for fold, ((voice, words), cell) in enumerate(rows.groupby(["speaker", "sentence"]).indices.items(), 1):
        near = np.flatnonzero((rows.speaker == voice) | (rows.sentence == words))
        made.append(_grouped(rows, fold, cell, left_out=np.setdiff1d(near, cell)))
    return pd.concat(made)


PROTOCOLS: dict[str, Callable] = {
    "as_published": as_published,
    "clip": clip,
    "sentence": sentence,
    "speaker": speaker,
    "speaker_sentence": speaker_sentence,
}
RANDOM = {"as_published", "clip"}
"""Protocols whose folds depend on the seed."""
ANY_SEED = "any"
"""What the seed column says of folds that are the same for every seed."""


def _grouped(rows: pd.DataFrame, fold: int, test: np.ndarray, left_out: np.ndarray | None = None) -> pd.DataFrame:
    """A fold that tests the original clips among the `test` rows; their augmented variants are left out."""
    original = (rows.variant == ORIGINAL).to_numpy()[test]
    rest = test[~original] if left_out is None else np.concatenate([test[~original], left_out])
    return _fold(rows, fold, {TEST: test[original], LEFT_OUT: np.sort(rest)})


def _fold(rows: pd.DataFrame, fold: int, roles: dict[str, np.ndarray]) -> pd.DataFrame:
    return pd.concat([rows.iloc[index][["file", "variant"]].assign(fold=fold, role=role) for role, index in roles.items()])


def of_fold(folds: pd.DataFrame, rows: pd.DataFrame) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Each fold of one protocol and seed with its roles, ``train`` among them, as row numbers of `rows`.

    Clips that are not among the rows, since their emotion was dropped, have a fold but no number, and take no part.
    """
    number = pd.Series(np.arange(len(rows)), index=pd.MultiIndex.from_frame(rows[["file", "variant"]]))
    for fold, part in folds.groupby("fold"):
        index = number.reindex(pd.MultiIndex.from_frame(part[["file", "variant"]])).to_numpy()
        there = ~np.isnan(index)
        roles = {role: index[there & (part.role == role).to_numpy()].astype(int) for role in ROLES}
        roles["train"] = np.setdiff1d(np.arange(len(rows)), index[there].astype(int))
        yield int(fold), roles


def make_folds(rows: pd.DataFrame, *, protocol: str, seeds: list[int], n_folds: int) -> pd.DataFrame:
    """The folds of one protocol for several seeds.

    Parameters
    ----------
    rows : pd.DataFrame [columns=file, variant, speaker, emotion, ...]
        The rows of a feature table, with the labels of their clips.
    protocol : str
        A name in `PROTOCOLS`.
    seeds : list of int
        One split each, where the protocol is random; others have one split, whose seed is `ANY_SEED`.
    n_folds : int
        Folds of the cross-validation, for the protocols that have one.

    Returns
    -------
    pd.DataFrame [columns=COLUMNS]

    Raises
    ------
    StudyError
        The corpus cannot be split that way: a single speaker, an emotion with too few clips or speakers.
    """
    if protocol not in PROTOCOLS:
        raise StudyError(f"Unknown protocol {protocol!r}: expected one of {', '.join(PROTOCOLS)}.")
    check_rows(rows, protocol=protocol, n_folds=n_folds)
    names = [str(seed) for seed in seeds] if protocol in RANDOM else [ANY_SEED]
    made = [
        PROTOCOLS[protocol](rows, seed, n_folds).assign(protocol=protocol, seed=name)
        for seed, name in zip(seeds, names, strict=False)
    ]
    return pd.concat(made)[COLUMNS].reset_index(drop=True)


def check_rows(rows: pd.DataFrame, *, protocol: str, n_folds: int) -> None:
    """Raise `StudyError` with what to do, where the rows cannot be split by the protocol."""
    clips = rows[rows.variant == ORIGINAL]
    for group in ("speaker", "sentence"):
        if group in SEPARATED[protocol]:
            _check_groups(clips, group, protocol)
    counts = clips.emotion.value_counts()
    if counts.min() < 2:
        _too_few(counts.idxmin(), "has 1 clip; to train and to test takes two or more")
    if protocol in RANDOM and not 2 <= n_folds <= len(clips) // 2:
        raise StudyError(f"N_FOLDS is {n_folds}: expected between 2 and half the number of clips ({len(clips) // 2}).")


def _check_groups(clips: pd.DataFrame, group: str, protocol: str) -> None:
    """Leaving one out takes three: one to test, two to choose the settings by."""
    needed = 3 if group == "speaker" else 2
    names = sorted(clips[group].unique())
    if len(names) < needed:
        raise StudyError(
            f"The protocol {protocol!r} leaves one {group} out and needs {_WORDS[needed]} or more {group}s; found {len(names)} "
            f"({', '.join(map(str, names))})."
        )
    found = clips.groupby("emotion")[group].nunique()
    if group == "speaker" and found.min() < needed:
        _too_few(found.idxmin(), f"is spoken by {found.min()} of the speakers; leaving one out needs {_WORDS[needed]} or more")


_WORDS = {2: "two", 3: "three"}


def _too_few(emotion: str, found: str) -> None:
    raise StudyError(
        f"The emotion {emotion!r} {found}: add recordings, or leave it out with --set DROP_EMOTIONS='[\"{emotion}\"]'."
    )


def of_seeds(folds: pd.DataFrame, protocol: str, seeds: list[int]) -> dict[int, pd.DataFrame]:
    """The folds of one protocol for each seed.

    Raises
    ------
    StudyError
        ``folds.csv`` lacks the protocol or a seed.
    """
    table = folds[folds.protocol == protocol]
    found = {seed: table[table.seed.isin([str(seed), ANY_SEED])] for seed in seeds}
    lacking = [str(seed) for seed, part in found.items() if part.empty]
    if lacking:
        raise StudyError(
            f"folds.csv has no folds of protocol {protocol!r} for seed {', '.join(lacking)}: run "
            f"02_augment_features with N_SEEDS={max(seeds) + 1} first."
        )
    return found


def siblings(folds: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """For each protocol, how much of a test row training has heard before: its own clip, its voice, its sentence.

    Returns
    -------
    pd.DataFrame [columns=protocol, test_rows, clip, speaker, sentence]
        `test_rows` counts a row once a fold it is tested in; the others are shares of them, from 0 to 1.
    """
    found = []
    for protocol, table in folds.groupby("protocol", sort=False):
        heard = [
            {
                "rows": len(roles[TEST]),
                **{
                    column: rows[column].iloc[roles[TEST]].isin(set(rows[column].iloc[roles["train"]])).sum()
                    for column in ("file", "speaker", "sentence")
                },
            }
            for _, part in table.groupby("seed")
            for _, roles in of_fold(part, rows)
        ]
        total = pd.DataFrame(heard).sum()
        found.append(
            {
                "protocol": protocol,
                "test_rows": int(total["rows"]),
                "clip": total["file"] / total["rows"],
                "speaker": total["speaker"] / total["rows"],
                "sentence": total["sentence"] / total["rows"],
            }
        )
    return pd.DataFrame(found)
