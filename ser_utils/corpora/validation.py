"""What a corpus holds beside what it should hold, and what in its recordings could fool a model or a reader."""

import re
from collections.abc import Mapping

import pandas as pd

from ser_utils.core.errors import StudyError
from ser_utils.core.tables import UNKNOWN
from ser_utils.corpora.corpus import Corpus
from ser_utils.corpora.labels import class_order, common_name, counted

SMALL_CLASS = 10
"""Under this number of clips, neither learning nor scoring a class says much."""
UNEVEN = 3
"""How many times larger than the smallest the largest class may be without a remark."""


def expected_counts(corpus: Corpus, labels: Mapping[str, str] = {}) -> dict[str, int]:
    """Published number of utterances by class, as `labels` map the corpus' own; empty where it is not published."""
    expected: dict[str, int] = {}
    for label, n in corpus.counts.items():
        if name := common_name(label, labels):
            expected[name] = expected.get(name, 0) + n
    return expected


def validation_table(utterances: pd.DataFrame, corpus: Corpus, labels: Mapping[str, str] = {}) -> pd.DataFrame:
    """How many utterances, speakers, emotions and sentences there are, beside how many there should be.

    Parameters
    ----------
    utterances : pd.DataFrame
        From `ser_utils.corpora.utterances.utterance_table`.
    corpus : Corpus
    labels : mapping
        As the table was made with.

    Returns
    -------
    pd.DataFrame [index=what, columns=found, expected]
        Empty texts where nothing is published.
    """
    counts = expected_counts(corpus, labels)
    found = {
        "utterances": len(utterances),
        "speakers": _n_known(utterances.speaker),
        "emotions": utterances.emotion.nunique(),
        "sentences": _n_known(utterances.sentence),
        "minutes": round(utterances.duration_s.sum() / 60, 1),
    }
    expected = {
        "utterances": sum(counts.values()) or corpus.n_total,
        "speakers": len(corpus.genders) or corpus.n_speakers,
        "emotions": len(counts) or len(set(corpus.emotions.values())),
        "sentences": len(corpus.sentences) or corpus.n_sentences,
    }
    columns = {"found": pd.Series(found, dtype=object), "expected": pd.Series(expected, dtype=object).replace(0, "")}
    return pd.DataFrame(columns).fillna("").loc[list(found)]


def _n_known(names: pd.Series) -> int | str:
    return names[names != UNKNOWN].nunique() or UNKNOWN


def counts_by_class(utterances: pd.DataFrame, corpus: Corpus, labels: Mapping[str, str] = {}) -> pd.DataFrame:
    """Clips, their share and how many there should be, minutes and speakers of each emotion.

    Returns
    -------
    pd.DataFrame [index=emotion, columns=clips, share, expected, minutes, speakers]
        share: per cent of all clips. A class that is expected and has no clip is there with 0.
    """
    expected = pd.Series(expected_counts(corpus, labels), dtype=object)
    groups = utterances.groupby("emotion")
    table = pd.DataFrame(
        {"clips": groups.size(), "minutes": groups.duration_s.sum() / 60, "speakers": groups.speaker.nunique()}
    )
    table = table.reindex(class_order(pd.Series([*table.index, *expected.index]))).fillna(0)
    table.insert(1, "share", (100 * table.clips / len(utterances)).round(1))
    table.insert(2, "expected", expected.reindex(table.index).fillna(""))
    return table.astype({"clips": int, "speakers": int}).round({"minutes": 1}).rename_axis("emotion")


def missing_cells(utterances: pd.DataFrame, corpus: Corpus, labels: Mapping[str, str] = {}) -> pd.DataFrame:
    """What a complete corpus has and this one lacks.

    Returns
    -------
    pd.DataFrame [columns=speaker, sentence, emotion, or speaker, emotion]
        Where the plan is every speaker x sentence x emotion, the utterances that are not there. Elsewhere, and for the user's
        own corpora, the speakers who have no clip of an emotion at all.
    """
    emotions = class_order(pd.Series([*expected_counts(corpus, labels), *utterances.emotion]))
    speakers = list(corpus.genders) or sorted(utterances.speaker.unique())
    plan = {"speaker": speakers, "sentence": list(corpus.sentences), "emotion": emotions}
    if not corpus.is_crossed:
        del plan["sentence"]
    expected = pd.MultiIndex.from_product(plan.values(), names=plan)
    found = pd.MultiIndex.from_frame(utterances[expected.names])
    return expected.difference(found, sort=None).to_frame(index=False)


def skipped_by_reason(skipped: pd.DataFrame) -> pd.DataFrame:
    """How many files are left out for which reason, and the first of each; the whole list is in ``skipped.csv``."""
    kinds = skipped.reason.map(_kind).rename("reason")
    table = skipped.groupby(kinds, sort=False).agg(files=("file", "size"), first=("file", "first"), why=("reason", "first"))
    return table.sort_values("files", ascending=False, kind="stable").reset_index()


def _kind(reason: str) -> str:
    """A reason without what is particular to one file."""
    return re.sub(
        r"(: | \(|, | is not one of |(?<=not fit the pattern) |(?<=^the same recording) as |(?<=^the same utterance) as ).*",
        "",
        reason,
    )


def check_utterances(utterances: pd.DataFrame, corpus: Corpus) -> None:
    """Raise `StudyError` where there is nothing to learn: one emotion only, or next to no clips."""
    sizes = utterances.emotion.value_counts()
    if len(sizes) < 2:
        raise StudyError(
            f"All {len(utterances)} usable recordings of {corpus.title} are of one emotion, {sizes.index[0]}: a classifier "
            "needs two or more, so add recordings of another."
        )
    if (sizes >= 2).sum() < 2:
        raise StudyError(
            f"{corpus.title} has {len(utterances)} usable recordings, {counted(sizes.to_dict())}: a study needs two emotions "
            "or more with at least 2 recordings each, to learn from one and test on another, so add recordings."
        )


def data_warnings(
    utterances: pd.DataFrame, corpus: Corpus, labels: Mapping[str, str] = {}, skipped: pd.DataFrame | None = None
) -> list[str]:
    """Sentences, in Markdown, on what in the recordings could fool a model or a reader."""
    said = [*_counts(utterances, corpus, labels), *_speakers(utterances, corpus), *_classes(utterances, corpus)]
    if skipped is not None and len(skipped):
        kinds = skipped_by_reason(skipped).set_index("reason").files.to_dict()
        said.append(f"{'1 file is' if len(skipped) == 1 else f'{len(skipped)} files are'} skipped: {counted(kinds)}.")
    return [*said, *_formats(utterances)]


def _counts(utterances: pd.DataFrame, corpus: Corpus, labels: Mapping[str, str]) -> list[str]:
    """Whether the corpus is there as published."""
    expected = sum(expected_counts(corpus, labels).values()) or (0 if labels else corpus.n_total)
    if not expected or len(utterances) == expected:
        return []
    return [
        f"Found {len(utterances)} utterances, expected {expected}: results on "
        f"{'a part of' if len(utterances) < expected else 'more than'} a corpus do not compare with published ones."
    ]


def _speakers(utterances: pd.DataFrame, corpus: Corpus) -> list[str]:
    """What not to know the speakers, or to have one only, costs."""
    unknown, speakers = utterances[utterances.speaker == UNKNOWN], utterances.speaker.unique()
    add = (
        "add a column speaker to the CSV" if corpus.listing else "give each speaker a folder above the emotions', or say with "
    )
    add += "" if corpus.listing else "SCHEME where the name says it, such as `SCHEME='{speaker}_{emotion}_{_}.wav'`"
    said = []
    if len(unknown) == len(utterances):
        said.append(
            "No speaker is known, so training and test share voices: only the protocols clip and as_published are left, which "
            f"are not speaker-independent and say nothing of voices never heard; to test on those, {add}."
        )
    elif len(unknown):
        said.append(f"{_counted(unknown, 'has', 'have')} no speaker and count as one: {_some(unknown)}.")
    elif len(speakers) == 1:
        said.append(
            f"There is one speaker only, {speakers[0]}: no test on voices never heard is possible, and results hold for this "
            "voice."
        )
    genders = utterances.groupby("speaker").gender.nunique()
    if (two := genders[(genders > 1) & (genders.index != UNKNOWN)]).size:
        said.append(f"Two genders are named for one speaker: {', '.join(two.index[:4])}.")
    return said


def _classes(utterances: pd.DataFrame, corpus: Corpus) -> list[str]:
    """Classes that are small, or much smaller than others, and speakers that say one emotion only."""
    sizes = utterances.emotion.value_counts()
    said, small = [], sizes[sizes < SMALL_CLASS]
    if len(small):
        said.append(
            f"Fewer than {SMALL_CLASS} clips are too few to learn or to score an emotion: {counted(small.to_dict())}; leave "
            "such emotions out with DROP_EMOTIONS, or merge them with RENAME_EMOTIONS."
        )
    if sizes.max() > UNEVEN * sizes.min():
        said.append(
            f"The emotions are uneven, from {sizes.min()} clips ({sizes.idxmin()}) to {sizes.max()} ({sizes.idxmax()}): "
            "training weights them, and UAR, not accuracy, is the figure to read."
        )
    spread = utterances.groupby("speaker").emotion.nunique()
    if len(spread) > 1 and (spread == 1).all():
        said.append("Each speaker has one emotion only, so a model can tell emotions by voices, and no test would show it.")
    return said


def _formats(utterances: pd.DataFrame) -> list[str]:
    """Channels, sample rates and clipping."""
    said = []
    for channels, clips in utterances.groupby("channels"):
        if channels != utterances.channels.mode()[0]:
            kind = {1: "mono", 2: "stereo"}.get(channels, f"of {channels} channels")
            said.append(f"{_counted(clips, 'is', 'are')} {kind}, unlike the rest: {_some(clips)}.")
    if utterances.sample_rate.nunique() > 1:
        said.append(
            "The sample rates differ: "
            + ", ".join(f"{count} at {rate} Hz" for rate, count in utterances.sample_rate.value_counts().sort_index().items())
            + ". Where that goes with the speaker or the emotion, a model can hear it."
        )
    low, clipped = utterances[utterances.sample_rate < 16_000], utterances[utterances.peak >= 0.999]
    if len(low):
        said.append(
            f"{_counted(low, 'is', 'are')} sampled below 16 kHz ({_some(low)}): what lay above "
            f"{low.sample_rate.min() // 2} Hz is lost, and no resampling brings it back."
        )
    if len(clipped):
        said.append(f"{_counted(clipped, 'reaches', 'reach')} full scale and may be clipped: {_some(clipped)}.")
    return said


def _counted(clips: pd.DataFrame, one: str, more: str) -> str:
    """``1 file`` or ``7 files``, with the verb that goes with it."""
    return f"1 file {one}" if len(clips) == 1 else f"{len(clips)} files {more}"


def _some(clips: pd.DataFrame) -> str:
    """The first few files' names."""
    return ", ".join(clips.file[:4]) + (" ..." if len(clips) > 4 else "")
