"""Emotion labels: the common names, what other corpora and languages call them, and how a study changes them."""

import re
import unicodedata
from collections.abc import Mapping

import pandas as pd

from ser_utils.core.errors import StudyError

EMOTIONS = ("neutral", "disgust", "joy", "fear", "anger", "surprise", "sadness")
"""The names that every corpus' labels are mapped to, in the order in which tables and figures show them."""

_ORDERED = ("neutral", "disappointment", *EMOTIONS[1:])  # "disappointment": the merged class of the original thesis

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
"""What a label may be called, as `plain` writes it, to its common name."""


def plain(label: str) -> str:
    """A label as it is compared: lower case, no accents, ``_`` for what is neither letter nor digit."""
    letters = "".join(char for char in unicodedata.normalize("NFKD", label.casefold()) if not unicodedata.combining(char))
    return re.sub(r"[\W_]+", "_", letters).strip("_")


def common_name(label: str, labels: Mapping[str, str]) -> str | None:
    """The common name of a corpus' own label; None where it has none.

    Parameters
    ----------
    label : str
        As the corpus writes it.
    labels : mapping
        The user's map, which comes first: own label to common name, ``""`` to leave it out. A name to which a label of the same
        name is mapped stays as it is, a class of its own.
    """
    wanted = {plain(key): value for key, value in labels.items()}.get(plain(label))
    if wanted is None:
        return ALIASES.get(plain(label))
    return wanted if plain(wanted) == plain(label) else ALIASES.get(plain(wanted), wanted)


def check_labels(labels: Mapping[str, str], there: Mapping[str, int]) -> None:
    """Raise `StudyError` where the user's map names a label that is not among `there`, or maps one to no known name."""
    found, known = {plain(label) for label in there}, {*ALIASES, *_ORDERED}
    for label, name in labels.items():
        if plain(label) not in found:
            raise StudyError(f"LABELS names {label!r}, but no file is labelled so: there are {counted(there)}.")
        if name and plain(name) not in known | found:
            raise StudyError(
                f"LABELS maps {label!r} to {name!r}: expected one of {', '.join(EMOTIONS)}, or {label!r} itself to keep it as "
                'a class of its own, or "" to leave it out.'
            )


def unknown_labels(there: Mapping[str, int], where: str) -> StudyError:
    """The sentence for labels that have no common name: which, how many files, and how to say what they are."""
    first, n = next(iter(there)), sum(there.values())
    files = "1 file in {} is" if n == 1 else f"{n} files in {{}} are"
    return StudyError(
        f"{files.format(where)} labelled with no emotion that is known: {counted(there)}; say what each "
        f'is, such as --set LABELS=\'{{"{first}": "joy"}}\' (one of {", ".join(EMOTIONS)}; its own name, "{first}", keeps it '
        'as a class of its own, and "" leaves it out).'
    )


def counted(there: Mapping[str, int]) -> str:
    """``joy (3), fear (1)``: the most frequent first."""
    ordered = sorted(there.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{label} ({n})" for label, n in ordered[:12]) + (" ..." if len(ordered) > 12 else "")


def relabel(emotions: pd.Series, *, drop: list[str], rename: Mapping[str, str]) -> pd.Series:
    """Drop and rename (or merge) emotions: first the drops, then the renames.

    Parameters
    ----------
    emotions : pd.Series
        Labels of utterances.
    drop : list of str
        Emotions to leave out.
    rename : mapping
        Old name to new name; two old names with one new name are merged.

    Returns
    -------
    pd.Series
        The labels that remain, with their index.

    Raises
    ------
    StudyError
        An emotion to drop or rename is not there, or fewer than two classes remain.
    """
    there = set(emotions)
    for name in [*drop, *rename]:
        if name not in there:
            raise StudyError(f"No utterance is labelled {name!r}: there are {', '.join(sorted(there))}.")
    kept = emotions[~emotions.isin(drop)].replace(dict(rename))
    if kept.nunique() < 2:
        left = f"only {kept.iloc[0]!r} is" if len(kept) else "no emotion is"
        raise StudyError(f"After dropping and renaming, {left} left: a classifier needs two emotions or more.")
    return kept


def class_order(emotions: pd.Series) -> list[str]:
    """The classes among `emotions` in the order of `EMOTIONS`, others behind them by the alphabet."""
    there = set(emotions)
    return [name for name in _ORDERED if name in there] + sorted(there.difference(_ORDERED))
