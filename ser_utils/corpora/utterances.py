"""The table of utterances: reading a corpus into it, and selections from it."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pandas as pd

from ser_utils.core import paths
from ser_utils.core.audio import AudioError, describe
from ser_utils.core.errors import StudyError
from ser_utils.core.tables import UTTERANCE_COLUMNS
from ser_utils.corpora.corpus import Corpus, ListedFile
from ser_utils.corpora.file_names import list_by_file_names, list_by_pattern, list_unread_files
from ser_utils.corpora.files import audio_files, has_audio
from ser_utils.corpora.folders import detect_scheme, list_by_folders
from ser_utils.corpora.labels import check_labels, class_order, common_name, unknown_labels
from ser_utils.corpora.metadata import find_metadata_file, list_by_metadata, list_by_own_table
from ser_utils.corpora.registry import CORPORA
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
    root, recordings = corpus.root, _list_recordings(corpus, labels)
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
    recordings = _list_recordings(corpus, labels)
    if all(recording.reason for recording in recordings):
        raise StudyError(_unusable(corpus, _skipped_table((recording.file, recording.reason) for recording in recordings)))
    emotions = {recording.key: recording.emotion for recording in recordings if not recording.reason}  # copies count once
    check_utterances(pd.DataFrame({"emotion": emotions.values()}), corpus)


def input_files(corpus: Corpus) -> list[str]:
    """Return the files that a corpus is read from, recordings and CSVs, as in the column file of its utterances; sorted."""
    root = corpus.root
    if corpus.is_own and corpus.listing:
        names = {file.file for file in list_by_own_table(root / corpus.listing) if file.file}
        return sorted({corpus.listing, *(name for name in names if (root / name).is_file())})
    tables = []
    if corpus.is_own or corpus.listing:
        names = [name for known in CORPORA.values() for name in (known.listing, known.listing_speakers) if name]
        tables = [path for name in names if (path := find_metadata_file(root, name))]
    return sorted(path.relative_to(root).as_posix() for path in [*audio_files(root), *tables])


def _list_recordings(corpus: Corpus, labels: Mapping[str, str]) -> list[ListedFile]:
    """Return the recordings of a corpus with common names of emotions, or the reasons why they are not used."""
    files = _list_files(corpus, labels)
    counts = Counter(file.emotion for file in files if not file.reason)
    check_labels(labels, counts)
    names = {label: common_name(label, labels) for label in counts}
    left_out = {label for known in CORPORA.values() for label in known.left_out}  # an own folder may use a known scheme
    unknown = {label: n for label, n in counts.items() if names[label] is None and label not in left_out}
    if unknown:
        raise unknown_labels(unknown, paths.shown(corpus.root / corpus.listing))
    return [file if file.reason else _with_common_name(file, names[file.emotion]) for file in files]


def _list_files(corpus: Corpus, labels: Mapping[str, str]) -> list[ListedFile]:
    """Return the recordings of a corpus with its own labels."""
    root = corpus.root
    if corpus.is_own and corpus.listing:
        return [*list_by_own_table(root / corpus.listing)]
    if not corpus.is_own and not has_audio(root):
        problem = "no audio files" if root.is_dir() else "no such folder"
        raise StudyError(f"{corpus.title} is not in {paths.shown(root)}: {problem}. {corpus.instructions}")
    scheme = detect_scheme(corpus, labels) if corpus.is_own else corpus.name
    if scheme == "folders":
        files = list_by_folders(root, labels)
    elif scheme in CORPORA:
        known = replace(CORPORA[scheme], how_to_get=corpus.how_to_get, download=None) if corpus.is_own else corpus
        files = list_by_metadata(known, root) if known.listing else list_by_file_names(known, root)
    else:
        files = list_by_pattern(root, scheme)
    return [*files, *list_unread_files(root)]


def _with_common_name(file: ListedFile, name: str | None) -> ListedFile:
    """Return a recording with the common name of its emotion, or with the reason if its label is left out."""
    if name:
        return replace(file, emotion=name)
    setting = json.dumps({file.emotion: file.emotion})
    reason = f"labelled {file.emotion}, which is left out: LABELS='{setting}' keeps it as a separate class"
    return ListedFile(file.file, reason=reason)


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
    problem = has_two_labels.map({True: "under another label: ", False: "as "})
    reasons = "the same recording " + problem + first.where(first != table.file, last)
    dropped = zip(table.file[is_dropped], reasons[is_dropped], strict=True)
    return table[~is_dropped].reset_index(drop=True), [*dropped]


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


def speakers_with_most_clips(utterances: pd.DataFrame) -> pd.DataFrame:
    """Return the utterances of the 24 speakers with the most clips, for figures with one row or line per speaker."""
    n_clips = utterances.speaker.value_counts(sort=False).sort_index().sort_values(ascending=False, kind="stable")
    return utterances[utterances.speaker.isin(n_clips.index[:24])]
