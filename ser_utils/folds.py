"""Protocols: which rows train a model and which test it. Each protocol is one function; folds are data, saved and checked.

``as_published`` is the original study's split, kept to show what it costs; ``speaker`` (leave one speaker out) is the
headline. To add a protocol, write a function ``(rows, seed, n_folds) -> table`` and enter it in `PROTOCOLS`.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, LeaveOneGroupOut, train_test_split

from ser_utils.augment import ORIGINAL
from ser_utils.errors import StudyError

COLUMNS = ["protocol", "seed", "fold", "role", "file", "variant"]
"""Columns of ``folds.csv``: a row of features (file, variant) has one role in each fold of each protocol and seed."""


def as_published(rows: pd.DataFrame, seed: int, n_folds: int) -> pd.DataFrame:
    """The original study's split: every row, augmented or not, at random.

    A tenth of the rows is the test set; the rest is cut into `n_folds`, each in turn the validation set on which its
    model is stopped. The original keeps the last fold's model and tests that one. Copies of a test clip are in training. The
    original also standardises all rows together; here the scaler sees training rows alone, in every protocol.
    """
    kept, test = train_test_split(np.arange(len(rows)), test_size=0.1, random_state=seed)
    cut = KFold(n_folds, shuffle=True, random_state=seed).split(kept)
    return pd.concat(
        [
            _fold(rows, fold, train=kept[train], validation=kept[validation], test=test)
            for fold, (train, validation) in enumerate(cut, 1)
        ]
    )


def speaker(rows: pd.DataFrame, seed: int, n_folds: int) -> pd.DataFrame:
    """Leave one speaker out: each speaker in turn is the test set, heard in no other role. Only original clips test."""
    original = (rows.variant == ORIGINAL).to_numpy()
    cut = LeaveOneGroupOut().split(rows, groups=rows.speaker)
    return pd.concat([_fold(rows, fold, train=train, test=test[original[test]]) for fold, (train, test) in enumerate(cut, 1)])


PROTOCOLS: dict[str, Callable] = {"as_published": as_published, "speaker": speaker}
RANDOM = {"as_published"}
"""Protocols whose folds depend on the seed."""
ANY_SEED = "any"
"""What the seed column says of folds that are the same for every seed."""


def _fold(rows: pd.DataFrame, fold: int, **roles: np.ndarray) -> pd.DataFrame:
    parts = [rows.iloc[index][["file", "variant"]].assign(fold=fold, role=role) for role, index in roles.items()]
    return pd.concat(parts)


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
    folds = pd.concat(made)[COLUMNS].reset_index(drop=True)
    check_folds(folds, rows)
    return folds


def check_rows(rows: pd.DataFrame, *, protocol: str, n_folds: int) -> None:
    """Raise `StudyError` with what to do, where the rows cannot be split by the protocol."""
    clips = rows[rows.variant == ORIGINAL]
    speakers = clips.groupby("emotion").speaker.nunique()
    if protocol == "speaker" and clips.speaker.nunique() < 3:
        raise StudyError(
            f"Leaving one speaker out needs three speakers or more (one to test, two to choose the epochs by); "
            f"found {clips.speaker.nunique()} ({', '.join(sorted(clips.speaker.unique()))})."
        )
    if protocol == "speaker" and (speakers < 3).any():
        _too_few(speakers.idxmin(), f"is spoken by {speakers.min()} of the speakers; leaving one out needs three or more")
    counts = clips.emotion.value_counts()
    if counts.min() < 2:
        _too_few(counts.idxmin(), "has 1 clip; to train and to test takes two or more")
    if protocol == "as_published" and not 2 <= n_folds <= len(clips) // 2:
        raise StudyError(f"N_FOLDS is {n_folds}: expected between 2 and half the number of clips ({len(clips) // 2}).")


def _too_few(emotion: str, found: str) -> None:
    raise StudyError(
        f"The emotion {emotion!r} {found}: add recordings, or leave it out with --set DROP_EMOTIONS='[\"{emotion}\"]'."
    )


def check_folds(folds: pd.DataFrame, rows: pd.DataFrame) -> None:
    """Raise `StudyError` where folds break what their protocol declares.

    In every protocol no row has two roles in a fold. In all but ``as_published`` only original clips are tested and no
    clip is on both sides; in ``speaker`` no speaker is. Clips that are not among the rows, since their emotion was dropped,
    take no part.
    """
    speakers = rows.drop_duplicates("file").set_index("file").speaker
    folds = folds[folds.file.isin(speakers.index)]
    for (protocol, seed, fold), rows_of_fold in folds.groupby(["protocol", "seed", "fold"]):
        where = f"fold {fold} of protocol {protocol}, seed {seed}"
        test = rows_of_fold.role == "test"
        if rows_of_fold.duplicated(["file", "variant"]).any():
            raise StudyError(f"In {where} a row has two roles: make the folds again with 02_augment_features.")
        if protocol == "as_published":
            continue
        if (rows_of_fold.variant[test] != ORIGINAL).any():
            raise StudyError(f"In {where} an augmented row is tested: only original clips may be.")
        shared = set(rows_of_fold.file[test]) & set(rows_of_fold.file[~test])
        if shared:
            raise StudyError(f"In {where} {len(shared)} test clips are in training too, first {min(shared)}.")
        voices = set(speakers[rows_of_fold.file[test]]) & set(speakers[rows_of_fold.file[~test]])
        if protocol == "speaker" and voices:
            raise StudyError(f"In {where} the speaker {min(voices)} is both in training and in test.")


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


def siblings(folds: pd.DataFrame) -> pd.DataFrame:
    """For each protocol, how many of its test rows have a copy, the same clip in another variant, in training.

    Returns
    -------
    pd.DataFrame [columns=protocol, test_rows, with_a_copy_in_training]
        `test_rows` counts a row once a fold it is tested in; `with_a_copy_in_training` is a share from 0 to 1.
    """
    found = []
    for protocol, table in folds.groupby("protocol", sort=False):
        test = table[table.role == "test"].drop_duplicates(["seed", "fold", "file", "variant"])
        heard = table[table.role != "test"][["seed", "fold", "file"]].drop_duplicates().assign(heard=True)
        merged = test.merge(heard, how="left", on=["seed", "fold", "file"])
        found.append({"protocol": protocol, "test_rows": len(test), "with_a_copy_in_training": merged.heard.notna().mean()})
    return pd.DataFrame(found)
