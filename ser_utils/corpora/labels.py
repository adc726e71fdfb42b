"""Emotion labels: common names, their aliases in other corpora and languages, and changes by the user."""

import re
import unicodedata
from collections.abc import Mapping

import pandas as pd

from ser_utils.core.errors import StudyError

EMOTIONS = ("neutral", "disgust", "joy", "fear", "anger", "surprise", "sadness")
"""Common names of the emotions, in the order of tables and figures."""

_ORDERED = ("neutral", "disappointment", *EMOTIONS[1:])  # "disappointment": a merged class of the original thesis

_ALIASES = {
    "neutral": "neutrality neutre neutrale neutro neutra neutralita neutralitat neutralidad neu",
    "disgust": "disgusted disgusto disgustato ekel degout asco dis",
    "joy": "joyful joyous happy happiness hap gioia gioioso felicita felice gio freude frohlich joie alegria felicidad",
    "fear": "fearful afraid scared fea paura impaurito pau angst furcht peur miedo",
    "anger": "angry ang rabbia arrabbiato rab wut arger aerger wutend colere ira enojo",
    "surprise": "surprised sur sorpresa sorpreso sor uberraschung ueberraschung uberrascht ps pleasant_surprise "
    "pleasant_surprised pleasantsurprise pleasantsurprised",
    "sadness": "sad tristezza triste tri trauer traurig traurigkeit tristesse tristeza",
}
ALIASES = {alias: name for name, aliases in _ALIASES.items() for alias in [name, *aliases.split()]}
"""Names of labels, as `plain` returns them, to their common name."""


def plain(label: str) -> str:
    """Return a label for comparison: lower case, no accents, ``_`` for all but letters and digits."""
    letters = "".join(char for char in unicodedata.normalize("NFKD", label.casefold()) if not unicodedata.combining(char))
    return re.sub(r"[\W_]+", "_", letters).strip("_")


def bare(name: str) -> str:
    """Return a name as `plain` without underscores, to compare names that differ in punctuation."""
    return plain(name).replace("_", "")


def common_name(label: str, labels: Mapping[str, str]) -> str | None:
    """Return the common name of a corpus' own label; None if it has none.

    Parameters
    ----------
    label : str
        As the corpus spells it.
    labels : mapping
        The user's map, which takes precedence: own label to common name, ``""`` to leave it out. A label that is mapped to its
        own name keeps it, as a separate class.
    """
    name = {plain(key): value for key, value in labels.items()}.get(plain(label))
    if name is None:
        return ALIASES.get(plain(label))
    return name if plain(name) == plain(label) else ALIASES.get(plain(name), name)


def check_labels(labels: Mapping[str, str], counts: Mapping[str, int]) -> None:
    """Raise `StudyError` if the user's map has a label that is not in `counts`, or maps one to an unknown name."""
    used, known = {plain(label) for label in counts}, {*ALIASES, *_ORDERED}
    for label, name in labels.items():
        if plain(label) not in used:
            raise StudyError(f"LABELS contains {label!r}, but no file has this label: the labels are {counted(counts)}.")
        if name and plain(name) not in known | used:
            raise StudyError(
                f"LABELS maps {label!r} to {name!r}: expected one of {', '.join(EMOTIONS)}, or {label!r} itself to keep it as "
                'a separate class, or "" to leave it out.'
            )


def unknown_labels(counts: Mapping[str, int], place: str) -> StudyError:
    """Return the error for labels without a common name: the labels, their numbers of files, and how to map them."""
    first, n_files = next(iter(counts)), sum(counts.values())
    problem = "has an unknown emotion label" if n_files == 1 else "have unknown emotion labels"
    return StudyError(
        f"{n_files} file{'s' * (n_files > 1)} in {place} {problem}: {counted(counts)}; map each label, such as --set "
        f'LABELS=\'{{"{first}": "joy"}}\' (to one of {", ".join(EMOTIONS)}; to its own name, "{first}", to keep it as a '
        'separate class; to "" to leave it out).'
    )


def counted(counts: Mapping[str, int]) -> str:
    """Return ``joy (3), fear (1)``, the largest counts first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{label} ({n})" for label, n in ordered[:12]) + (" ..." if len(ordered) > 12 else "")


def relabel(emotions: pd.Series, *, drop: list[str], rename: Mapping[str, str]) -> pd.Series:
    """Drop emotions, then rename (or merge) those that remain.

    Parameters
    ----------
    emotions : pd.Series
        Labels of utterances.
    drop : list of str
        Emotions to leave out.
    rename : mapping
        Old name to new name; two old names with the same new name are merged.

    Returns
    -------
    pd.Series
        The labels that remain, with their index.

    Raises
    ------
    StudyError
        There is no such emotion to drop or rename, or fewer than two classes remain.
    """
    names = set(emotions)
    for name in [*drop, *rename]:
        if name not in names:
            raise StudyError(f"No utterance has the label {name!r}: the labels are {', '.join(sorted(names))}.")
    kept = emotions[~emotions.isin(drop)].replace(dict(rename))
    if kept.nunique() < 2:
        remaining = f"only {kept.iloc[0]!r} is" if len(kept) else "no emotion is"
        raise StudyError(f"After dropping and renaming, {remaining} left: a classifier needs at least two emotions.")
    return kept


def class_order(emotions: pd.Series) -> list[str]:
    """Return the classes among `emotions` in the order of `EMOTIONS`, then all others in alphabetical order."""
    names = set(emotions)
    return [name for name in _ORDERED if name in names] + sorted(names.difference(_ORDERED))
