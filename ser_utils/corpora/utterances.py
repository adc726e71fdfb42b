"""The table of utterances: reading a corpus into it, and selections from it."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from ser_utils.core import paths
from ser_utils.core.audio import AudioError, describe
from ser_utils.core.errors import StudyError
from ser_utils.core.tables import UTTERANCE_COLUMNS
from ser_utils.corpora.corpus import Corpus
from ser_utils.corpora.labels import class_order
from ser_utils.corpora.listing import list_recordings
from ser_utils.corpora.validation import check_utterances


def utterance_table(corpus: Corpus, labels: Mapping[str, str] = {}) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a corpus into the table of utterances and the table of skipped files.

    Parameters
    ----------
    corpus : Corpus
        From `ser_utils.corpora.lookup.get_corpus`.
    labels : mapping
        The corpus' own label to a common name; its own name keeps a label as a separate class, ``""`` leaves it out.

    Returns
    -------
    utterances : pd.DataFrame [columns=UTTERANCE_COLUMNS]
        One row per usable recording, sorted by file.
    skipped : pd.DataFrame [columns=file, reason]
        Recordings that are not used.

    Raises
    ------
    StudyError
        The folder is missing, has no audio or no usable audio, or a label has no common name.
    """
    root, recordings = corpus.root, list_recordings(corpus, labels)
    usable = [recording for recording in recordings if not recording.reason]
    reasons = [(recording.file, recording.reason) for recording in recordings if recording.reason]
    rows, first_copies = [], {}
    with ThreadPoolExecutor() as pool:
        described = pool.map(lambda recording: _describe(root / recording.file), usable)
        for recording, (properties, reason) in zip(usable, described, strict=True):
            if not reason and recording.key in first_copies:
                reason = f"the same utterance as {first_copies[recording.key]}"
            if reason:
                reasons.append((recording.file, reason))
                continue
            first_copies[recording.key] = recording.file  # set only here: an unusable file does not exclude its copies
            rows.append({"corpus": corpus.name, **vars(recording), **properties})
    table = pd.DataFrame(rows, columns=UTTERANCE_COLUMNS).sort_values("file", ignore_index=True)
    table, duplicates = _drop_duplicates(table)
    skipped = _skipped_table([*reasons, *duplicates])
    if table.empty:
        raise StudyError(_unusable(corpus, skipped))
    return table, skipped


def check_corpus(corpus: Corpus, labels: Mapping[str, str] = {}) -> None:
    """Check file names, CSVs and labels without reading audio.

    Raises
    ------
    StudyError
        As `utterance_table` and `ser_utils.corpora.validation.check_utterances`.
    """
    recordings = list_recordings(corpus, labels)
    if all(recording.reason for recording in recordings):
        raise StudyError(_unusable(corpus, _skipped_table((recording.file, recording.reason) for recording in recordings)))
    emotions = {recording.key: recording.emotion for recording in recordings if not recording.reason}  # copies count once
    check_utterances(pd.DataFrame({"emotion": emotions.values()}), corpus)


def _describe(path: Path) -> tuple[dict, str]:
    """Return the properties of a recording, and the reason why it cannot be used (empty if it can)."""
    try:
        return describe(path), ""
    except AudioError as error:
        with path.open("rb") as file:
            is_pointer = file.read(24) == b"version https://git-lfs."
        return {}, "a Git LFS pointer: run `git lfs pull` to get the audio" if is_pointer else str(error)


def _drop_duplicates(table: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """Keep each recording (by audio content) once, and none of a recording with two labels; return the dropped ones, too."""
    groups = table.groupby("audio_sha256")
    first, last = groups.file.transform("first"), groups.file.transform("last")
    has_two_labels = groups.emotion.transform("nunique") > 1
    is_dropped = has_two_labels | (first != table.file)
    reasons = [
        (file, f"the same recording {'under another label: ' if two_labels else 'as '}{other}")
        for file, other, two_labels in zip(
            table.file[is_dropped],
            first.where(first != table.file, last)[is_dropped],
            has_two_labels[is_dropped],
            strict=True,
        )
    ]
    return table[~is_dropped].reset_index(drop=True), reasons


def _skipped_table(reasons: Iterable[tuple[str, str]]) -> pd.DataFrame:
    return pd.DataFrame(sorted(reasons), columns=["file", "reason"])


def _unusable(corpus: Corpus, skipped: pd.DataFrame) -> str:
    """Return the message for a corpus without any usable recording."""
    place = paths.shown(corpus.root / corpus.listing)
    if skipped.empty:
        return f"{place} lists no recordings: {corpus.instructions}"
    file, reason = skipped.iloc[0]
    recordings = "recordings listed in" if corpus.listing else "audio files in"
    title = "" if corpus.is_own else f" as {corpus.title}"
    hint = "; expected paths relative to the CSV's folder, or absolute ones" if corpus.is_own and "not found" in reason else ""
    return f"None of the {len(skipped)} {recordings} {place} can be used{title}; the first, {file}: {reason}{hint}."


def read_utterances(path: Path) -> pd.DataFrame:
    """Read ``utterances.csv``; names such as ``03`` or ``NA`` stay text."""
    text = dict.fromkeys(("file", "corpus", "speaker", "gender", "sentence", "emotion", "sha256", "audio_sha256"), str)
    return pd.read_csv(path, dtype=text, keep_default_na=False, na_values={})


def one_per_emotion(utterances: pd.DataFrame, *, speaker: str = "", sentence: str = "") -> pd.DataFrame:
    """Return one clip per emotion of one sentence by one speaker, the first of several takes.

    An empty name stands for the first speaker or sentence with the most emotions. If sentences are unknown, the clips may have
    any.

    Raises
    ------
    StudyError
        The corpus has no such speaker or sentence, or the speaker does not say the sentence.
    """
    clips = utterances
    for column, name in (("speaker", speaker), ("sentence", sentence)):
        names = sorted(clips[column].unique())
        if name and name not in names:
            shown = ", ".join(names[:12]) + (f" ... ({len(names)} in all)" if len(names) > 12 else "")
            raise StudyError(f"No clip has the {column} {name!r}: expected one of {shown}.")
        clips = clips[clips[column] == name] if name else clips
    n_emotions = clips.groupby(["speaker", "sentence"]).emotion.nunique()
    speaker, sentence = n_emotions.idxmax()  # the first maximum
    clips = clips[(clips.speaker == speaker) & (clips.sentence == sentence)].drop_duplicates("emotion")
    return clips.set_index("emotion").loc[class_order(clips.emotion)].reset_index()


def speakers_with_most_clips(utterances: pd.DataFrame, n_speakers: int = 24) -> pd.DataFrame:
    """Return the utterances of the `n_speakers` speakers with the most clips, for figures with one row or line per speaker."""
    n_clips = utterances.speaker.value_counts(sort=False).sort_index().sort_values(ascending=False, kind="stable")
    return utterances[utterances.speaker.isin(n_clips.index[:n_speakers])]
