"""Protocols: which rows train a model and which test it. Each is one function; folds are data, saved and checked.

From the wrong way to the hardest: ``as_published`` (the original study's split, kept to show what it costs), ``clip``,
``sentence``, ``speaker`` (the headline: a voice never heard) and ``speaker_sentence`` (neither voice nor words heard). To add
a protocol, write a function ``(rows, seed, n_folds) -> table`` and enter it in `PROTOCOLS`. Which of them a corpus allows,
`possible` says; which of those gives the headline, `main_protocol`.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, KFold, LeaveOneGroupOut, StratifiedGroupKFold, train_test_split

from ser_utils.core.errors import StudyError
from ser_utils.core.tables import FOLD_COLUMNS, ORIGINAL, UNKNOWN

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
TESTS = {
    "as_published": "rows at random, augmented copies too: a test row's own clip, in another variant, is usually in training",
    "clip": "clips never heard; voices and sentences are known",
    "sentence": "sentences never heard; voices are known",
    "speaker": "voices never heard",
    "speaker_sentence": "neither the voice nor the words were in training",
}
"""What each protocol tests."""
MANY, GROUPS, MOST_CELLS = 15, 10, 100
"""Up to `MANY` speakers (or sentences) are left out one by one; more are dealt into `GROUPS` groups that are. Speaker by
sentence may be `MOST_CELLS` folds; where they were more, both are dealt into `GROUPS`."""
INNER_MANY, INNER_GROUPS = 10, 5
"""The same for the training speakers of the inner folds, in which settings are chosen."""


@dataclass(frozen=True)
class Words:
    """How results of the main protocol are named, so that no text promises more than was tested."""

    one: str
    many: str
    sentence: str
    """Where a sentence begins with it."""
    figure: str
    """Below a bar."""


WORDS = {
    "speaker": Words("a voice never heard", "voices never heard", "In a voice it has never heard", "a voice never heard"),
    "clip": Words(
        "a clip never heard, of voices that training may know",
        "clips never heard, of voices that training may know",
        "In a clip it has never heard, of a voice that it may know",
        "a clip never heard",
    ),
}
"""By main protocol, the one that gives the headline: `main_protocol`."""


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
    """Leave one sentence out (of many, a group): the words of a test clip are new to the model, its voice is not."""
    cut = LeaveOneGroupOut().split(rows, groups=assign_groups(rows, "sentence"))
    return pd.concat([_grouped(rows, fold, test) for fold, (_, test) in enumerate(cut, 1)])


def speaker(rows: pd.DataFrame, seed: int, n_folds: int) -> pd.DataFrame:
    """Leave one speaker out (of many, a group): each in turn is the test set, heard in no other role."""
    cut = LeaveOneGroupOut().split(rows, groups=assign_groups(rows, "speaker"))
    return pd.concat([_grouped(rows, fold, test) for fold, (_, test) in enumerate(cut, 1)])


def speaker_sentence(rows: pd.DataFrame, seed: int, n_folds: int) -> pd.DataFrame:
    """Leave out a speaker and a sentence: the test is that speaker's clips of that sentence, all else of either is left out."""
    voices, words = (assign_groups(rows, name) for name in ("speaker", "sentence"))
    if len(np.unique(voices)) * len(np.unique(words)) > MOST_CELLS:
        voices, words = (assign_groups(rows, name, most=GROUPS) for name in ("speaker", "sentence"))
    made, cells = [], pd.DataFrame({"voice": voices, "words": words})
    for fold, ((voice, said), cell) in enumerate(cells.groupby(["voice", "words"]).indices.items(), 1):
        near = np.flatnonzero((voices == voice) | (words == said))
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


def assign_groups(rows: pd.DataFrame, column: str, *, most: int = MANY, n: int = GROUPS) -> np.ndarray:
    """The group of each row [shape=(n_rows,)]: its own speaker (or what `column` says) where these are at most `most`.

    More are dealt into `n` groups of about as many rows and the like shares of emotions, always the same; the groups are
    named ``group 01`` and so on. Where no emotion has as many speakers (sentences, clips) as that, there are fewer groups.
    """
    names = rows[column].astype(str)
    if names.nunique() <= most:
        return names.to_numpy()
    groups = np.empty(len(rows), object)
    largest = names.groupby(rows.emotion).nunique().max()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a class with fewer clips than groups: it is in some of them
        cut = StratifiedGroupKFold(min(n, largest)) if largest > 1 else GroupKFold(min(n, names.nunique()))
        for number, (_, index) in enumerate(cut.split(rows, rows.emotion, names), 1):
            groups[index] = f"group {number:02d}"
    return groups


def inner_groups(rows: pd.DataFrame, protocol: str) -> tuple[str, np.ndarray]:
    """How the rows of a training side are cut into inner folds, each group held out in turn.

    By speakers, where the protocol separates speakers and there are two or more of them in training, else by clips.

    Returns
    -------
    inner : str
        The protocol, ``speaker`` or ``clip``, whose boundary holds between the groups.
    groups : np.ndarray [shape=(n_rows,), dtype=str]
    """
    if "speaker" in SEPARATED[protocol] and rows.speaker.nunique() > 1:
        return "speaker", assign_groups(rows, "speaker", most=INNER_MANY, n=INNER_GROUPS).astype(str)
    return "clip", assign_groups(rows, "file", most=1, n=INNER_GROUPS).astype(str)


def held_out(rows: pd.DataFrame, protocol: str) -> str:
    """What the inner folds of a protocol hold out, for captions: "training speakers" or "training clips"."""
    return "training speakers" if protocol == "speaker" and rows.speaker.nunique() > 2 else "training clips"


def _grouped(rows: pd.DataFrame, fold: int, test: np.ndarray, left_out: np.ndarray | None = None) -> pd.DataFrame:
    """A fold that tests the original clips among the `test` rows; their augmented variants are left out."""
    original = (rows.variant == ORIGINAL).to_numpy()[test]
    rest = test[~original] if left_out is None else np.concatenate([test[~original], left_out])
    return _fold(rows, fold, {TEST: test[original], LEFT_OUT: np.sort(rest)})


def _fold(rows: pd.DataFrame, fold: int, roles: dict[str, np.ndarray]) -> pd.DataFrame:
    return pd.concat([rows.iloc[index][["file", "variant"]].assign(fold=fold, role=role) for role, index in roles.items()])


def iter_folds(folds: pd.DataFrame, rows: pd.DataFrame) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
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
    for table in made:
        for fold, roles in iter_folds(table, rows):
            if rows.emotion.iloc[roles["train"]].nunique() < 2:
                raise StudyError(f"Fold {fold} of {protocol!r} trains on fewer than two emotions: add recordings.")
    return pd.concat(made)[FOLD_COLUMNS].reset_index(drop=True)


def check_rows(rows: pd.DataFrame, *, protocol: str, n_folds: int) -> None:
    """Raise `StudyError` with what to do, where the rows cannot be split by the protocol."""
    clips = rows[rows.variant == ORIGINAL]
    counts = clips.emotion.value_counts()
    if counts.min() < 2:
        _too_few(counts.idxmin(), "has 1 clip; to train and to test takes two or more")
    if said := _why_not(clips, protocol):
        raise StudyError(f"The protocol {protocol!r} is not possible: {said}")
    found = clips.groupby("emotion").speaker.nunique()
    if "speaker" in SEPARATED[protocol] and found.min() < 2:
        _too_few(found.idxmin(), "is spoken by 1 of the speakers; leaving one out needs two or more")
    if protocol in RANDOM and not 2 <= n_folds <= len(clips) // 2:
        raise StudyError(f"N_FOLDS is {n_folds}: expected between 2 and half the number of clips ({len(clips) // 2}).")


def _too_few(emotion: str, found: str) -> None:
    raise StudyError(
        f"The emotion {emotion!r} {found}: add recordings, or leave it out with --set DROP_EMOTIONS='[\"{emotion}\"]'."
    )


def check_protocols(names: list[str]) -> None:
    """Raise `StudyError` where a name is not among the protocols, or there is none."""
    unknown = [name for name in names if name not in PROTOCOLS]
    if unknown or not names:
        found = f"Unknown {unknown[0]!r} in PROTOCOLS" if unknown else "PROTOCOLS is empty"
        raise StudyError(f"{found}: expected some of {', '.join(PROTOCOLS)}.")


def possible(rows: pd.DataFrame) -> dict[str, str]:
    """For each protocol, nothing where the corpus allows it, else one sentence why not.

    Parameters
    ----------
    rows : pd.DataFrame [columns=file, variant, speaker, sentence, emotion, ...]
        A speaker or a sentence that nobody knows is `ser_utils.core.tables.UNKNOWN`.
    """
    clips = rows[rows.variant == ORIGINAL]
    return {name: _why_not(clips, name) for name in PROTOCOLS}


def _why_not(clips: pd.DataFrame, protocol: str) -> str:
    """Why the clips cannot be split by a protocol; nothing where they can."""
    for group in ("speaker", "sentence"):
        if group in SEPARATED[protocol]:
            unknown, names = int((clips[group] == UNKNOWN).sum()), clips[group].unique()
            if unknown:
                whose = "any clip" if unknown == len(clips) else f"{unknown} of the {len(clips)} clips"
                return f"nothing tells the {group} of {whose}."
            if len(names) < 2:
                return f"it needs two or more {group}s; found 1 ({names[0]})."
    if "sentence" in SEPARATED[protocol]:
        for fold, roles in iter_folds(PROTOCOLS[protocol](clips, 0, 0), clips):
            emotion = clips.emotion.to_numpy()
            if new := sorted(set(emotion[roles[TEST]]) - set(emotion[roles["train"]])):
                return f"without what fold {fold} tests, no clip of {new[0]!r} is left to train on."
    return ""


def main_protocol(protocols: Iterable[str]) -> str:
    """The protocol of the headline, where settings are chosen too: ``speaker`` where it is there, else ``clip``.

    Raises
    ------
    StudyError
        Neither is there.
    """
    there = set(protocols)
    for name in WORDS:
        if name in there:
            return name
    raise StudyError(
        f"The folds are of {', '.join(sorted(there)) or 'no protocol'}: expected 'speaker' or 'clip' among them, which give "
        "the main result; add 'clip' to PROTOCOLS, which every corpus allows."
    )


def protocol_plan(rows: pd.DataFrame, protocols: list[str]) -> pd.DataFrame:
    """What becomes of each protocol: what it tests, whether its folds are made, and if not, why.

    Returns
    -------
    pd.DataFrame [index=protocol, columns=tests, made]
    """
    check_protocols(protocols)
    said = {name: why and f"no: {why}" or "yes" for name, why in possible(rows).items()}
    said |= {name: "no: PROTOCOLS does not name it." for name in PROTOCOLS if name not in protocols}
    main = main_protocol(name for name, made in said.items() if made == "yes")
    said[main] = "yes: the main one, of the headline"
    return pd.DataFrame({"tests": TESTS, "made": said}).rename_axis("protocol")


def describe_left_out(rows: pd.DataFrame) -> str:
    """In sentences, how many speakers and sentences there are and how they are left out."""
    said = []
    for name in ("speaker", "sentence"):
        known = rows[name][rows[name] != UNKNOWN].nunique()
        how = "each is left out in turn" if known <= MANY else f"dealt into {GROUPS} groups, each of which is left out in turn"
        said.append(f"{known} {name}s: {how}." if known > 1 else f"{known or 'No'} known {name}: none can be left out.")
    return " ".join(said)


def folds_by_seed(folds: pd.DataFrame, protocol: str, seeds: list[int]) -> dict[int, pd.DataFrame]:
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


def train_test_overlap(folds: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """For each protocol, how much of a test row training has heard before: its own clip, its voice, its sentence.

    Returns
    -------
    pd.DataFrame [columns=protocol, test_rows, clip, speaker, sentence]
        `test_rows` counts a row once a fold it is tested in; the others are shares of them, from 0 to 1, and NaN where
        nothing tells the speaker or the sentence of some.
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
            for _, roles in iter_folds(part, rows)
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
    unknown = [name for name in ("speaker", "sentence") if (rows[name] == UNKNOWN).any()]
    return pd.DataFrame(found).assign(**dict.fromkeys(unknown, np.nan))
