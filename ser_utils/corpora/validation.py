"""Comparison of a corpus with its published numbers, and warnings about its data."""

from collections.abc import Mapping

import pandas as pd

from ser_utils.core.errors import StudyError
from ser_utils.core.tables import UNKNOWN
from ser_utils.corpora.corpus import Corpus
from ser_utils.corpora.labels import class_order, common_name, counted

SMALL_CLASS = 10
"""Classes with fewer clips cause a warning."""
UNEVEN = 3
"""Largest ratio of two class sizes without a warning."""


def expected_counts(corpus: Corpus, labels: Mapping[str, str] = {}) -> dict[str, int]:
    """Return the published number of utterances by class, after mapping by `labels`; empty if unpublished."""
    expected: dict[str, int] = {}
    for label, n in corpus.counts.items():
        if name := common_name(label, labels):
            expected[name] = expected.get(name, 0) + n
    return expected


def validation_table(utterances: pd.DataFrame, corpus: Corpus, labels: Mapping[str, str] = {}) -> pd.DataFrame:
    """Compare the numbers of utterances, speakers, emotions and sentences with the published ones.

    Parameters
    ----------
    utterances : pd.DataFrame
        From `ser_utils.corpora.utterances.utterance_table`.
    corpus : Corpus
    labels : mapping
        The labels that the table was made with.

    Returns
    -------
    pd.DataFrame [index=quantity, columns=found, expected]
        `expected` is an empty text if unpublished.
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
    """Count clips, minutes and speakers of each emotion, with the published number of clips.

    Returns
    -------
    pd.DataFrame [index=emotion, columns=clips, share, expected, minutes, speakers]
        share: per cent of all clips. An expected class without clips has a row of zeros.
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
    """List what the complete corpus has and this copy lacks.

    Returns
    -------
    pd.DataFrame [columns=speaker, sentence, emotion, or speaker, emotion]
        For a crossed corpus, the missing utterances. For any other, the speakers without any clip of an emotion.
    """
    emotions = class_order(pd.Series([*expected_counts(corpus, labels), *utterances.emotion]))
    speakers = list(corpus.genders) or sorted(utterances.speaker.unique())
    design = {"speaker": speakers, "sentence": list(corpus.sentences), "emotion": emotions}
    if not corpus.is_crossed:
        del design["sentence"]
    expected = pd.MultiIndex.from_product(design.values(), names=design)
    found = pd.MultiIndex.from_frame(utterances[expected.names])
    return expected.difference(found, sort=None).to_frame(index=False)


def skipped_by_reason(skipped: pd.DataFrame) -> pd.DataFrame:
    """Count the skipped files by reason, with the first file of each; the complete list is in ``skipped.csv``."""
    details = r"(: | \(|, | is not one of |(?<=not fit the pattern) |(?<=^the same (?:recording|utterance)) as ).*"
    reasons = skipped.reason.str.replace(details, "", regex=True)
    table = skipped.groupby(reasons, sort=False).agg(files=("file", "size"), first=("file", "first"), why=("reason", "first"))
    return table.sort_values("files", ascending=False, kind="stable").reset_index()


def check_utterances(utterances: pd.DataFrame, corpus: Corpus) -> None:
    """Raise `StudyError` unless at least two emotions have two clips or more."""
    sizes = utterances.emotion.value_counts()
    if len(sizes) < 2:
        raise StudyError(
            f"All {len(utterances)} usable recordings of {corpus.title} have the emotion {sizes.index[0]}: a classifier needs "
            "at least two emotions, so add recordings of another."
        )
    if (sizes >= 2).sum() < 2:
        raise StudyError(
            f"{corpus.title} has {len(utterances)} usable recordings, {counted(sizes.to_dict())}: training and test need "
            "at least two emotions with 2 recordings each, so add recordings."
        )


def data_warnings(
    utterances: pd.DataFrame, corpus: Corpus, labels: Mapping[str, str] = {}, skipped: pd.DataFrame | None = None
) -> list[str]:
    """Return sentences, in Markdown, on properties of the data that bias training or results."""
    warnings = []
    expected = sum(expected_counts(corpus, labels).values()) or (0 if labels else corpus.n_total)
    if expected and len(utterances) != expected:
        warnings.append(
            f"Found {len(utterances)} utterances, expected {expected}: results are not comparable to published ones."
        )
    warnings += [*_speaker_warnings(utterances, corpus), *_class_warnings(utterances)]
    if skipped is not None and len(skipped):
        n_by_reason = skipped_by_reason(skipped).set_index("reason").files.to_dict()
        warnings.append(f"{'1 file is' if len(skipped) == 1 else f'{len(skipped)} files are'} skipped: {counted(n_by_reason)}.")
    return warnings + _audio_warnings(utterances)


def _speaker_warnings(utterances: pd.DataFrame, corpus: Corpus) -> list[str]:
    """Warn about unknown speakers, a single speaker, and speakers with two genders."""
    unknown, speakers = utterances[utterances.speaker == UNKNOWN], utterances.speaker.unique()
    warnings = []
    if len(unknown) == len(utterances):
        warnings.append(
            "No speaker is known, so the same speakers may be in training and test: only the protocols clip and as_published "
            "are available, and their results do not apply to unseen speakers; for the protocol speaker, "
            f"{_how_to_add_speakers(corpus)}."
        )
    elif len(unknown):
        warnings.append(
            f"{_n_files(unknown, 'has', 'have')} no known speaker and count as one speaker: {_first_files(unknown)}."
        )
    elif len(speakers) == 1:
        warnings.append(
            f"There is only one speaker, {speakers[0]}: results apply to this speaker, and a test on unseen speakers is not "
            "possible."
        )
    n_genders = utterances.groupby("speaker").gender.nunique()
    if (ambiguous := n_genders[(n_genders > 1) & (n_genders.index != UNKNOWN)]).size:
        warnings.append(f"Speakers with two genders: {', '.join(ambiguous.index[:4])}.")
    return warnings


def _how_to_add_speakers(corpus: Corpus) -> str:
    if corpus.listing:
        return "add a column speaker to the CSV"
    return (
        "put the emotions' folders into one folder per speaker, or set SCHEME if the file names contain the speaker, such as "
        "`SCHEME='{speaker}_{emotion}_{_}.wav'`"
    )


def _class_warnings(utterances: pd.DataFrame) -> list[str]:
    """Warn about small classes, uneven classes, and speakers with one emotion each."""
    sizes, warnings = utterances.emotion.value_counts(), []
    small = sizes[sizes < SMALL_CLASS]
    if len(small):
        warnings.append(
            f"Emotions with fewer than {SMALL_CLASS} clips have unreliable results: {counted(small.to_dict())}; leave them out "
            "with DROP_EMOTIONS, or merge them with RENAME_EMOTIONS."
        )
    if sizes.max() > UNEVEN * sizes.min():
        warnings.append(
            f"The classes are uneven, from {sizes.min()} clips ({sizes.idxmin()}) to {sizes.max()} ({sizes.idxmax()}): "
            "training weights them, and UAR is the metric to use, not accuracy."
        )
    n_emotions = utterances.groupby("speaker").emotion.nunique()
    if len(n_emotions) > 1 and (n_emotions == 1).all():
        warnings.append(
            "Each speaker has only one emotion, so a model can infer the emotion from the speaker, and no protocol detects it."
        )
    return warnings


def _audio_warnings(utterances: pd.DataFrame) -> list[str]:
    """Warn about unusual numbers of channels, mixed or low sample rates, and clipping."""
    warnings = []
    for n_channels, clips in utterances.groupby("channels"):
        if n_channels != utterances.channels.mode()[0]:
            kind = {1: "mono", 2: "stereo"}.get(n_channels, f"of {n_channels} channels")
            warnings.append(f"{_n_files(clips, 'is', 'are')} {kind}, unlike the others: {_first_files(clips)}.")
    counts = utterances.sample_rate.value_counts().sort_index()
    if len(counts) > 1:
        warnings.append(
            f"The sample rates differ: {', '.join(f'{n} at {rate} Hz' for rate, n in counts.items())}. If the rate depends on "
            "the speaker or the emotion, a model can use it as a cue."
        )
    low = utterances[utterances.sample_rate < 16_000]
    if len(low):
        warnings.append(
            f"{_n_files(low, 'is', 'are')} sampled below 16 kHz ({_first_files(low)}): frequencies above "
            f"{low.sample_rate.min() // 2} Hz are missing, and resampling does not restore them."
        )
    clipped = utterances[utterances.peak >= 0.999]
    if len(clipped):
        warnings.append(f"{_n_files(clipped, 'reaches', 'reach')} full scale and may be clipped: {_first_files(clipped)}.")
    return warnings


def _n_files(clips: pd.DataFrame, singular: str, plural: str) -> str:
    """Return ``1 file`` or ``7 files`` with its verb."""
    return f"1 file {singular}" if len(clips) == 1 else f"{len(clips)} files {plural}"


def _first_files(clips: pd.DataFrame) -> str:
    return ", ".join(clips.file[:4]) + (" ..." if len(clips) > 4 else "")
