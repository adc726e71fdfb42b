"""Folds of a corpus: made by a protocol, saved as ``folds.csv``, and read back as row numbers."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ser_utils.core.errors import StudyError
from ser_utils.core.tables import FOLD_COLUMNS, ORIGINAL, UNKNOWN
from ser_utils.evaluation.protocols import (
    MAX_SINGLE,
    N_GROUPS,
    PROTOCOLS,
    ROLES,
    TEST,
    assign_groups,
    check_protocols,
    get_protocol,
    main_protocol,
)

ANY_SEED = "any"
"""Seed in ``folds.csv`` of folds that are the same for every seed."""
INNER_MAX_SINGLE, INNER_N_GROUPS = 10, 5
"""As `ser_utils.evaluation.protocols.MAX_SINGLE` and `N_GROUPS`, for the training speakers of inner folds."""


def make_folds(rows: pd.DataFrame, *, protocol: str, seeds: list[int], n_folds: int) -> pd.DataFrame:
    """Make the folds of one protocol for several seeds.

    Parameters
    ----------
    rows : pd.DataFrame [columns=file, variant, speaker, emotion, ...]
        The rows of a feature table, with the labels of their clips.
    protocol : str
        A name in `ser_utils.evaluation.protocols.PROTOCOLS`.
    seeds : list of int
        A random protocol has one split per seed; others have one split, whose seed is `ANY_SEED`.
    n_folds : int
        Folds of the cross-validation, for random protocols.

    Returns
    -------
    pd.DataFrame [columns=FOLD_COLUMNS]

    Raises
    ------
    StudyError
        The corpus cannot be split that way: a single speaker, or an emotion with too few clips or speakers.
    """
    entry = get_protocol(protocol)
    check_rows(rows, protocol=protocol, n_folds=n_folds)
    names = [str(seed) for seed in seeds] if entry.is_random else [ANY_SEED]
    tables = [
        entry.make(rows, seed, n_folds).assign(protocol=protocol, seed=name) for seed, name in zip(seeds, names, strict=False)
    ]
    for table in tables:
        for fold, roles in iter_folds(table, rows):
            if rows.emotion.iloc[roles["train"]].nunique() < 2:
                raise StudyError(f"Fold {fold} of {protocol!r} trains on fewer than two emotions: add recordings.")
    return pd.concat(tables)[FOLD_COLUMNS].reset_index(drop=True)


def iter_folds(folds: pd.DataFrame, rows: pd.DataFrame) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Iterate over the folds of one protocol and seed: number of the fold, and role to row numbers, ``train`` included.

    Rows of `folds` that are not in `rows`, because their emotion was dropped, are ignored.
    """
    number = pd.Series(np.arange(len(rows)), index=pd.MultiIndex.from_frame(rows[["file", "variant"]]))
    for fold, part in folds.groupby("fold"):
        index = number.reindex(pd.MultiIndex.from_frame(part[["file", "variant"]])).to_numpy()
        exists = ~np.isnan(index)
        roles = {role: index[exists & (part.role == role).to_numpy()].astype(int) for role in ROLES}
        roles["train"] = np.setdiff1d(np.arange(len(rows)), index[exists].astype(int))
        yield int(fold), roles


def folds_by_seed(folds: pd.DataFrame, protocol: str, seeds: list[int]) -> dict[int, pd.DataFrame]:
    """Return the folds of one protocol for each seed.

    Raises
    ------
    StudyError
        ``folds.csv`` lacks the protocol or a seed.
    """
    table = folds[folds.protocol == protocol]
    by_seed = {seed: table[table.seed.isin([str(seed), ANY_SEED])] for seed in seeds}
    if missing := [str(seed) for seed, part in by_seed.items() if part.empty]:
        raise StudyError(
            f"folds.csv has no folds of protocol {protocol!r} for seed {', '.join(missing)}: run "
            f"02_augment_features with N_SEEDS={max(seeds) + 1} first."
        )
    return by_seed


def inner_groups(rows: pd.DataFrame, protocol: str) -> tuple[str, np.ndarray]:
    """Return the groups of training rows that inner folds hold out, one at a time.

    These are speakers where the protocol separates speakers and training has at least two, else clips.

    Returns
    -------
    inner : str
        The protocol, ``speaker`` or ``clip``, whose separation holds between the groups.
    groups : np.ndarray [shape=(n_rows,), dtype=str]
    """
    if "speaker" in get_protocol(protocol).separates and rows.speaker.nunique() > 1:
        groups = assign_groups(rows, "speaker", max_single=INNER_MAX_SINGLE, n_groups=INNER_N_GROUPS)
        return "speaker", groups.astype(str)
    return "clip", assign_groups(rows, "file", max_single=1, n_groups=INNER_N_GROUPS).astype(str)


def held_out(rows: pd.DataFrame, protocol: str) -> str:
    """Return what the inner folds of a protocol hold out, for captions: "training speakers" or "training clips"."""
    return "training speakers" if protocol == "speaker" and rows.speaker.nunique() > 2 else "training clips"


def check_rows(rows: pd.DataFrame, *, protocol: str, n_folds: int) -> None:
    """Raise `StudyError` where the protocol cannot split the rows."""
    entry = get_protocol(protocol)
    clips = rows[rows.variant == ORIGINAL]
    counts = clips.emotion.value_counts()
    if counts.min() < 2:
        _raise_too_few(counts.idxmin(), "has 1 clip; training and test need two or more")
    if reason := _obstacle(clips, protocol):
        raise StudyError(f"The protocol {protocol!r} is not possible: {reason}")
    n_speakers = clips.groupby("emotion").speaker.nunique()
    if "speaker" in entry.separates and n_speakers.min() < 2:
        _raise_too_few(n_speakers.idxmin(), "is spoken by 1 of the speakers; leaving one out needs two or more")
    if entry.is_random and not 2 <= n_folds <= len(clips) // 2:
        raise StudyError(f"N_FOLDS is {n_folds}: expected between 2 and half the number of clips ({len(clips) // 2}).")


def _raise_too_few(emotion: str, problem: str) -> None:
    raise StudyError(
        f"The emotion {emotion!r} {problem}: add recordings, or leave it out with --set DROP_EMOTIONS='[\"{emotion}\"]'."
    )


def obstacles(rows: pd.DataFrame) -> dict[str, str]:
    """Return for each protocol the reason why the corpus does not allow it; an empty string where it does.

    Parameters
    ----------
    rows : pd.DataFrame [columns=file, variant, speaker, sentence, emotion, ...]
        An unknown speaker or sentence is `ser_utils.core.tables.UNKNOWN`.
    """
    clips = rows[rows.variant == ORIGINAL]
    return {name: _obstacle(clips, name) for name in PROTOCOLS}


def _obstacle(clips: pd.DataFrame, protocol: str) -> str:
    entry = PROTOCOLS[protocol]
    groups = [column for column in entry.separates if column != "file"]
    for column in groups:
        n_unknown, names = int((clips[column] == UNKNOWN).sum()), clips[column].unique()
        if n_unknown:
            which = "every clip" if n_unknown == len(clips) else f"{n_unknown} of the {len(clips)} clips"
            return f"the {column} of {which} is unknown."
        if len(names) < 2:
            return f"it needs two or more {column}s; found 1 ({names[0]})."
    if set(groups) - {"speaker"}:
        for fold, roles in iter_folds(entry.make(clips, 0, 2), clips):
            emotion = clips.emotion.to_numpy()
            if missing := sorted(set(emotion[roles[TEST]]) - set(emotion[roles["train"]])):
                return f"without the test clips of fold {fold}, no clip of {missing[0]!r} is left to train on."
    return ""


def protocol_plan(rows: pd.DataFrame, protocols: list[str]) -> pd.DataFrame:
    """Return for each protocol what it tests, whether its folds are made, and if not, why.

    Returns
    -------
    pd.DataFrame [index=protocol, columns=tests, made]
    """
    check_protocols(protocols)
    made = {name: f"no: {reason}" if reason else "yes" for name, reason in obstacles(rows).items()}
    made |= {name: "no: PROTOCOLS does not name it." for name in PROTOCOLS if name not in protocols}
    main = main_protocol(name for name, text in made.items() if text == "yes")
    made[main] = "yes: the main protocol, which gives the headline"
    tests = {name: entry.tests for name, entry in PROTOCOLS.items()}
    return pd.DataFrame({"tests": tests, "made": made}).rename_axis("protocol")


def describe_left_out(rows: pd.DataFrame) -> str:
    """Describe the number of speakers and of sentences, and how they are left out."""
    texts = []
    for name in ("speaker", "sentence"):
        known = rows[name][rows[name] != UNKNOWN].nunique()
        unit = "each" if known <= MAX_SINGLE else f"each of {N_GROUPS} groups"
        possible = f"{known} {name}s: {unit} is left out in turn."
        texts.append(possible if known > 1 else f"{known or 'No'} known {name}: none can be left out.")
    return " ".join(texts)


def train_test_overlap(folds: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Compute for each protocol the share of test rows whose clip, speaker or sentence is also in training.

    Returns
    -------
    pd.DataFrame [columns=protocol, test_rows, clip, speaker, sentence]
        `test_rows` counts a row once per fold that tests it. The shares are from 0 to 1, and NaN where the speaker or the
        sentence of some rows is unknown.
    """
    columns = {"clip": "file", "speaker": "speaker", "sentence": "sentence"}
    unknown = [name for name in ("speaker", "sentence") if (rows[name] == UNKNOWN).any()]
    overlaps = []
    for protocol, table in folds.groupby("protocol", sort=False):
        roles_of_folds = [roles for _, part in table.groupby("seed") for _, roles in iter_folds(part, rows)]
        overlap = {"protocol": protocol, "test_rows": sum(len(roles[TEST]) for roles in roles_of_folds)}
        for name, column in columns.items():
            values = rows[column]
            n_shared = sum(values.iloc[roles[TEST]].isin(values.iloc[roles["train"]]).sum() for roles in roles_of_folds)
            overlap[name] = n_shared / overlap["test_rows"]
        overlaps.append(overlap)
    return pd.DataFrame(overlaps).assign(**dict.fromkeys(unknown, np.nan))
