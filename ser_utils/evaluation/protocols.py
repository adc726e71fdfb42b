"""Protocols: which rows train a model and which rows test it. To add one, add an entry to `PROTOCOLS`.

From the flawed one to the hardest: ``as_published`` (the original study's random split of rows, kept to show its cost),
``clip``, ``sentence``, ``speaker`` (leave-one-speaker-out, LOSO: the main protocol) and ``speaker_sentence``. The order of
`PROTOCOLS` is the order of all tables and figures. `ser_utils.evaluation.folds` makes folds of a corpus by these functions.
"""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ser_utils.core.errors import StudyError
from ser_utils.core.tables import ORIGINAL

TEST, VALIDATION, LEFT_OUT = ROLES = ("test", "validation", "left_out")
"""Roles in ``folds.csv``: scored, used for early stopping, or in neither training nor test."""
MAX_SINGLE, N_GROUPS = 15, 10
"""Up to `MAX_SINGLE` speakers (or sentences) are left out one by one; more are assigned to `N_GROUPS` groups."""
SENTENCE_GROUPS = 5
"""Largest number of groups of sentences in ``speaker_sentence``, which has a fold for each of them and each speaker."""


@dataclass(frozen=True)
class Wording:
    """Names of a main protocol's test data in texts, so that no text claims more than was tested."""

    one: str
    many: str
    figure: str
    """Label below a bar."""


@dataclass(frozen=True)
class Protocol:
    """One way to split a corpus into training and test rows."""

    make: Callable[[pd.DataFrame, int, int], pd.DataFrame]
    """``(rows, seed, n_folds) -> folds``: rows of a feature table to a table with columns file, variant, fold and role. A row
    that a fold does not name is a training row. `leave_groups_out` makes such a table from a group per row."""
    separates: tuple[str, ...]
    """Columns of `rows` whose values training and test rows do not share. Every fit is checked for it before it is trained."""
    tests: str
    """What the test rows have in common with the training rows, for tables."""
    label: str
    """Two short lines for the axes of figures."""
    is_random: bool = False
    """Whether folds depend on the seed."""
    is_checked: bool = True
    """Whether fits must pass the leakage check; False for the original study's split alone."""
    wording: Wording | None = None
    """Given where the protocol may be the main one, in which settings are chosen and which gives the headline."""


def as_published(rows: pd.DataFrame, seed: int, n_folds: int) -> pd.DataFrame:
    """Split all rows, augmented or not, at random: the original study's protocol.

    A tenth of the rows is the test set; the rest is cut into `n_folds`, each in turn the validation set for early stopping.
    The original keeps the last fold's model and tests that one. Augmented copies of a test clip are training rows. The
    original also standardises all rows together; here the scaler is fitted on training rows alone, in every protocol.
    """
    from sklearn.model_selection import KFold, train_test_split

    kept, test = train_test_split(np.arange(len(rows)), test_size=0.1, random_state=seed)
    cut = KFold(n_folds, shuffle=True, random_state=seed).split(kept)
    return pd.concat([_fold(rows, fold, {TEST: test, VALIDATION: kept[held]}) for fold, (_, held) in enumerate(cut, 1)])


def clip(rows: pd.DataFrame, seed: int, n_folds: int) -> pd.DataFrame:
    """Split clips at random into `n_folds` folds; all variants of a clip are on one side. Speakers and sentences are shared."""
    from sklearn.model_selection import GroupKFold

    cut = GroupKFold(n_folds, shuffle=True, random_state=seed).split(rows, groups=rows.file)
    return pd.concat([_grouped_fold(rows, fold, test) for fold, (_, test) in enumerate(cut, 1)])


def sentence(rows: pd.DataFrame, seed: int, n_folds: int) -> pd.DataFrame:
    """Leave one sentence out (of many sentences, one group of them); speakers are shared."""
    return leave_groups_out(rows, assign_groups(rows, "sentence"))


def speaker(rows: pd.DataFrame, seed: int, n_folds: int) -> pd.DataFrame:
    """Leave one speaker out (LOSO); of many speakers, one group of them."""
    return leave_groups_out(rows, assign_groups(rows, "speaker"))


def speaker_sentence(rows: pd.DataFrame, seed: int, n_folds: int) -> pd.DataFrame:
    """Test one speaker's clips of a group of sentences; all other clips of that speaker or these sentences are left out."""
    speakers = assign_groups(rows, "speaker")
    sentences = assign_groups(rows, "sentence", max_single=SENTENCE_GROUPS, n_groups=SENTENCE_GROUPS)
    cells = pd.DataFrame({"speaker": speakers, "sentence": sentences}).groupby(["speaker", "sentence"]).indices
    folds = []
    for fold, ((name, text), cell) in enumerate(cells.items(), 1):
        related = np.flatnonzero((speakers == name) | (sentences == text))
        folds.append(_grouped_fold(rows, fold, cell, left_out=np.setdiff1d(related, cell)))
    return pd.concat(folds)


PROTOCOLS: dict[str, Protocol] = {
    "as_published": Protocol(
        as_published,
        separates=(),
        tests="random rows, augmented copies included: another variant of a test row's clip is usually a training row",
        label="random rows\n(as published)",
        is_random=True,
        is_checked=False,
    ),
    "clip": Protocol(
        clip,
        separates=("file",),
        tests="unseen utterances of known speakers and sentences",
        label="unseen clips",
        is_random=True,
        wording=Wording(
            one="an unseen clip of a speaker who may be in training",
            many="unseen clips of speakers who may be in training",
            figure="unseen clips",
        ),
    ),
    "sentence": Protocol(
        sentence,
        separates=("file", "sentence"),
        tests="unseen sentences of known speakers",
        label="unseen\nsentences",
    ),
    "speaker": Protocol(
        speaker,
        separates=("file", "speaker"),
        tests="unseen speakers (leave one speaker out, LOSO)",
        label="unseen\nspeakers",
        wording=Wording(one="an unseen speaker", many="unseen speakers", figure="unseen speakers"),
    ),
    "speaker_sentence": Protocol(
        speaker_sentence,
        separates=("file", "speaker", "sentence"),
        tests="unseen speakers and unseen sentences",
        label="unseen speakers\nand sentences",
    ),
}
MAIN_PROTOCOLS = ("speaker", "clip")
"""The protocols that may give the headline, the preferred one first."""


def assign_groups(rows: pd.DataFrame, column: str, *, max_single: int = MAX_SINGLE, n_groups: int = N_GROUPS) -> np.ndarray:
    """Assign each row to a group that is left out together.

    Parameters
    ----------
    rows : pd.DataFrame [columns=emotion, `column`, ...]
    column : str
        Such as ``speaker``.
    max_single : int
        Up to that many different values, each value is a group of its own.
    n_groups : int
        More values are assigned to that many groups of similar size and similar shares of emotions, named ``group 01`` and so
        on; to fewer groups where no emotion has as many values. The order of the rows has no effect.

    Returns
    -------
    np.ndarray [shape=(n_rows,)]
    """
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    names = rows[column].astype(str)
    if names.nunique() <= max_single:
        return names.to_numpy()
    groups = np.empty(len(rows), object)
    largest = names.groupby(rows.emotion).nunique().max()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an emotion with fewer clips than groups is in some groups only
        cut = StratifiedGroupKFold(min(n_groups, largest)) if largest > 1 else GroupKFold(min(n_groups, names.nunique()))
        for number, (_, index) in enumerate(cut.split(rows, rows.emotion, names), 1):
            groups[index] = f"group {number:02d}"
    return groups


def leave_groups_out(rows: pd.DataFrame, groups: np.ndarray) -> pd.DataFrame:
    """Make folds that leave out one group each, in the order of the groups' names.

    Parameters
    ----------
    rows : pd.DataFrame [columns=file, variant, ...]
    groups : np.ndarray [shape=(n_rows,)]
        The group of each row, such as its speaker.

    Returns
    -------
    pd.DataFrame [columns=file, variant, fold, role]
        The original clips of the group are the test rows; their augmented variants are left out.
    """
    from sklearn.model_selection import LeaveOneGroupOut

    cut = LeaveOneGroupOut().split(rows, groups=groups)
    return pd.concat([_grouped_fold(rows, fold, test) for fold, (_, test) in enumerate(cut, 1)])


def _grouped_fold(rows: pd.DataFrame, fold: int, test: np.ndarray, left_out: np.ndarray | None = None) -> pd.DataFrame:
    """Make a fold that tests the original clips among the `test` rows and leaves out their augmented variants."""
    original = (rows.variant == ORIGINAL).to_numpy()[test]
    rest = test[~original] if left_out is None else np.concatenate([test[~original], left_out])
    return _fold(rows, fold, {TEST: test[original], LEFT_OUT: np.sort(rest)})


def _fold(rows: pd.DataFrame, fold: int, roles: dict[str, np.ndarray]) -> pd.DataFrame:
    return pd.concat([rows.iloc[index][["file", "variant"]].assign(fold=fold, role=role) for role, index in roles.items()])


def get_protocol(name: str) -> Protocol:
    """Return the registered protocol of that name; raise `StudyError` where there is none."""
    if name not in PROTOCOLS:
        raise StudyError(f"Unknown protocol {name!r}: expected one of {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]


def check_protocols(names: list[str]) -> None:
    """Raise `StudyError` where a name is not registered, or where there is no name."""
    unknown = [name for name in names if name not in PROTOCOLS]
    if unknown or not names:
        found = f"Unknown {unknown[0]!r} in PROTOCOLS" if unknown else "PROTOCOLS is empty"
        raise StudyError(f"{found}: expected some of {', '.join(PROTOCOLS)}.")


def default_protocols(*, is_own: bool) -> list[str]:
    """Return the protocols of a run that names none: all; for a corpus of the user's own, those that may be the main one.

    The other protocols show what a flawed or an easier test costs, which is a question about a known corpus.
    """
    return [name for name in PROTOCOLS if name in MAIN_PROTOCOLS or not is_own]


def seeds_by_protocol(protocols: Iterable[str], *, n_seeds: int, n_seeds_other: int) -> dict[str, list[int]]:
    """Return the seeds of each protocol: `n_seeds` for the main one, which gives the headline, and fewer for the others.

    Intervals come from the speakers, so a few seeds are enough where a protocol is there for comparison.
    """
    names = list(protocols)
    main = main_protocol(names)
    return {name: list(range(n_seeds if name == main else min(n_seeds, n_seeds_other))) for name in names}


def main_protocol(protocols: Iterable[str]) -> str:
    """Return the protocol of the headline, under which settings are chosen: ``speaker`` if available, else ``clip``.

    Raises
    ------
    StudyError
        Neither is available.
    """
    names = set(protocols)
    for name in MAIN_PROTOCOLS:
        if name in names:
            return name
    raise StudyError(
        f"Found folds of {', '.join(sorted(names)) or 'no protocol'}, expected 'speaker' or 'clip' among them, one of which "
        "gives the main result: add 'clip' to PROTOCOLS, which every corpus allows."
    )


def wording(main: str) -> Wording:
    """Return how texts name the test data of a main protocol, from `main_protocol`."""
    return PROTOCOLS[main].wording
