"""Corpora, registered (`ser_utils.corpora.registry`) or the user's own, and the table of utterances they are read into."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from ser_utils.core import paths
from ser_utils.core.audio import AudioError, describe
from ser_utils.core.errors import StudyError
from ser_utils.core.tables import UTTERANCE_COLUMNS
from ser_utils.corpora import folders
from ser_utils.corpora.corpus import Corpus, ListedFile, unread_files
from ser_utils.corpora.file_names import list_by_file_names
from ser_utils.corpora.files import audio_files, has_audio
from ser_utils.corpora.folders import own_corpus
from ser_utils.corpora.labels import check_labels, class_order, common_name, plain, unknown_labels
from ser_utils.corpora.metadata import find_metadata_file, list_by_metadata
from ser_utils.corpora.registry import CORPORA
from ser_utils.corpora.validation import check_utterances


def get_corpus(name: str, scheme: str = "") -> Corpus:
    """The registered corpus of that name (in upper or lower case, with or without punctuation), or one of the user's own.

    Parameters
    ----------
    name : str
        A name in `CORPORA`, or the path of a folder or of a CSV.
    scheme : str
        How a folder of the user's own is read: ``""`` to find out, ``folders`` (one subfolder per emotion), a pattern such as
        ``{speaker}_{emotion}_{sentence}.wav``, or a registered corpus' name.

    Raises
    ------
    StudyError
        There is no such corpus, folder or CSV, or `scheme` does not go with it.
    """
    bare = plain(name).replace("_", "")
    known = next((corpus for corpus in CORPORA.values() if corpus.name.replace("-", "") == bare), None)
    scheme = next((key for key in CORPORA if key.replace("-", "") == plain(scheme).replace("_", "")), scheme.strip())
    if known and not re.search(r"[/\\]", name):
        if scheme:
            raise StudyError(f"SCHEME says how a folder of your own is read, and {known.name} is known: leave SCHEME out.")
        return known
    place = Path(name).expanduser()
    found = [top / place for top in (Path.cwd(), paths.ROOT) if (top / place).exists()]
    if not found and not re.search(r"[/\\]|\.\w+$", name):
        raise StudyError(
            f"Unknown corpus {name!r}: expected one of {', '.join(CORPORA)}, or the path of a folder or of a CSV of your own."
        )
    return own_corpus(found[0] if found else place, scheme)


def describe_reading(corpus: Corpus, labels: Mapping[str, str] = {}) -> str:
    """One sentence on how the corpus is read: its citation, or what was found out about a folder of the user's own."""
    return folders.describe_detected_layout(corpus, labels) if corpus.is_own else corpus.citation


def run_folder(corpus: Corpus, variant: str = "") -> Path:
    """``out/<run>/`` of a corpus, made where it is not there; of one of the user's own, ``source.json`` in it names the path.

    Raises
    ------
    StudyError
        It holds the results of another folder or CSV of the same name.
    """
    run = paths.run_name(corpus.name, variant)
    if not corpus.is_own:
        return paths.out_dir(run)
    path, note = str(corpus.root / corpus.listing), paths.OUT / run / "source.json"
    before = source_of_run(run)
    if before not in (None, path):
        raise StudyError(
            f"out/{run} holds the results on {before}, not on {path}: keep this run apart with --set VARIANT='\"other\"', or "
            f"remove out/{run}."
        )
    paths.out_dir(run)
    paths.write_json(note, {"path": path})
    return note.parent


def source_of_run(run: str) -> str | None:
    """The folder or CSV of the user's own that a run was made on; None where it was on a registered corpus, or never."""
    try:
        return json.loads((paths.OUT / run / "source.json").read_text(encoding="utf-8"))["path"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def input_files(corpus: Corpus) -> list[str]:
    """All files that a corpus is read from, recordings and CSVs, relative to its folder as in `COLUMNS`; sorted."""
    if corpus.is_own and corpus.listing:
        named = [entry.file for entry in folders.list_files(corpus, {}) if entry.file]
        return sorted({corpus.listing, *(file for file in named if (corpus.root / file).is_file())})
    root, names = corpus.root, [name for known in CORPORA.values() for name in (known.listing, known.listing_speakers) if name]
    tables = [find_metadata_file(root, name) for name in (names if corpus.is_own or corpus.listing else ())]
    return sorted(path.relative_to(root).as_posix() for path in [*audio_files(root), *filter(None, tables)])


def utterance_table(corpus: Corpus, labels: Mapping[str, str] = {}) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a corpus into the table of utterances and the table of what was left out.

    Parameters
    ----------
    corpus : Corpus
        From `get_corpus`.
    labels : mapping
        The corpus' own label to a common name; the label's own name keeps it as a class of its own, ``""`` leaves it out.

    Returns
    -------
    utterances : pd.DataFrame [columns=COLUMNS]
        One row a usable recording, sorted by file.
    skipped : pd.DataFrame [columns=file, reason]
        Recordings that are not used, and why.

    Raises
    ------
    StudyError
        The folder is not there, holds no audio, or none of its audio can be used; a label has no common name.
    """
    root, entries = corpus.root, _listed(corpus, labels)
    names = _common_names(corpus, entries, labels)
    entries = [_with_name(corpus, entry, names) for entry in entries]
    usable = [entry for entry in entries if not entry.reason]
    reasons = [(entry.file, entry.reason) for entry in entries if entry.reason]
    rows, seen = [], {}
    with ThreadPoolExecutor() as pool:
        for entry, found in zip(usable, pool.map(lambda entry: _described(root / entry.file), usable), strict=True):
            twin = seen.get(entry.key) if isinstance(found, dict) else None
            if twin or isinstance(found, str):
                reasons.append((entry.file, f"the same utterance as {twin}" if twin else found))
                continue
            seen[entry.key] = entry.file  # only now: an unusable file does not keep its twin out
            rows.append({"corpus": corpus.name, **vars(entry), "emotion": names[entry.emotion], **found})
    table, twice = _once(pd.DataFrame(rows, columns=UTTERANCE_COLUMNS).sort_values("file", ignore_index=True))
    skipped = _skipped([*reasons, *twice])
    if table.empty:
        raise StudyError(_unusable(corpus, skipped))
    return table, skipped


def check_corpus(corpus: Corpus, labels: Mapping[str, str] = {}) -> None:
    """Raise the `StudyError` that `utterance_table` or `check` would raise for names, CSVs or labels, without reading audio."""
    entries = _listed(corpus, labels)
    names = _common_names(corpus, entries, labels)
    entries = [_with_name(corpus, entry, names) for entry in entries]
    if all(entry.reason for entry in entries):
        raise StudyError(_unusable(corpus, _skipped((entry.file, entry.reason) for entry in entries)))
    emotions = {entry.key: names[entry.emotion] for entry in entries if not entry.reason}  # copies count once
    check_utterances(pd.DataFrame({"emotion": emotions.values()}), corpus)


def _listed(corpus: Corpus, labels: Mapping[str, str]) -> list[ListedFile]:
    """What names or tables say of a corpus' recordings; `StudyError` where there are none."""
    if corpus.is_own:
        return [*folders.list_files(corpus, labels), *(() if corpus.listing else unread_files(corpus.root))]
    if not has_audio(corpus.root):
        found = "no audio files" if corpus.root.is_dir() else "no such folder"
        raise StudyError(f"{corpus.title} is not in {paths.shown(corpus.root)}: {found}. {corpus.how_to_get}")
    return [*(list_by_metadata if corpus.listing else list_by_file_names)(corpus, corpus.root), *unread_files(corpus.root)]


def _common_names(corpus: Corpus, entries: list[ListedFile], labels: Mapping[str, str]) -> dict[str, str]:
    """The common name of each label there is, ``""`` for those left out.

    Raises
    ------
    StudyError
        A label has none, or `labels` names one that is not there.
    """
    there = Counter(entry.emotion for entry in entries if not entry.reason)
    check_labels(labels, there)
    names = {label: common_name(label, labels) for label in there}
    left_out = {label for known in CORPORA.values() for label in known.left_out}  # a folder may be read by a known scheme
    unknown = {label: n for label, n in there.items() if names[label] is None and label not in left_out}
    if unknown:
        raise unknown_labels(unknown, paths.shown(corpus.root / corpus.listing))
    return {label: name or "" for label, name in names.items()}


def _with_name(corpus: Corpus, entry: ListedFile, names: Mapping[str, str]) -> ListedFile:
    """An entry with the reason why it is left out, where its label is."""
    if entry.reason or names[entry.emotion]:
        return entry
    how = json.dumps({entry.emotion: entry.emotion})
    reason = f"labelled {entry.emotion}, which is left out: LABELS='{how}' keeps it as a class of its own"
    return ListedFile(entry.file, reason=reason)


def _described(path: Path) -> dict | str:
    """What a recording is, or why it cannot be used."""
    try:
        return describe(path)
    except AudioError as error:
        with path.open("rb") as file:
            is_pointer = file.read(24) == b"version https://git-lfs."
        return "stands for a file in Git LFS: `git lfs pull` gets the audio" if is_pointer else str(error)


def _once(table: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """The table with each recording (by content) once, and what is left out: one under two labels is left out wholly."""
    groups = table.groupby("audio_sha256")
    first, n_labels = groups.file.transform("first"), groups.emotion.transform("nunique")
    last = groups.file.transform("last")
    others = [one if one != file else other for file, one, other in zip(table.file, first, last, strict=True)]
    reasons = pd.Series(
        [
            f"the same recording under another label: {other}" if n > 1 else f"the same recording as {other}"
            for other, n in zip(others, n_labels, strict=True)
        ],
        index=table.index,
        dtype=object,
    )
    out = (n_labels > 1) | (first != table.file)
    return table[~out].reset_index(drop=True), list(zip(table.file[out], reasons[out], strict=True))


def _skipped(reasons: Iterable[tuple[str, str]]) -> pd.DataFrame:
    return pd.DataFrame(sorted(reasons), columns=["file", "reason"])


def _unusable(corpus: Corpus, skipped: pd.DataFrame) -> str:
    place = paths.shown(corpus.root / corpus.listing)
    if skipped.empty:
        return f"{place} names no recordings: {corpus.how_to_get}"
    first = skipped.iloc[0]
    what = "recordings named in" if corpus.listing else "audio files in"
    as_what = "" if corpus.is_own else f" as {corpus.title}"
    hint = "; expected are paths from the CSV's folder, or whole ones" if corpus.is_own and "not found" in first.reason else ""
    return f"None of the {len(skipped)} {what} {place} can be used{as_what}; the first, {first.file}: {first.reason}{hint}."


def read_utterances(path: Path) -> pd.DataFrame:
    """Read ``utterances.csv``: names such as ``03`` or ``NA`` stay the texts they are."""
    text = dict.fromkeys(("file", "corpus", "speaker", "gender", "sentence", "emotion", "sha256", "audio_sha256"), str)
    return pd.read_csv(path, dtype=text, keep_default_na=False, na_values={})


def one_per_emotion(utterances: pd.DataFrame, *, speaker: str = "", sentence: str = "") -> pd.DataFrame:
    """The clips of one sentence by one speaker, one row an emotion; of several takes the first.

    Empty names stand for the first speaker and sentence with the most emotions. Where sentences are not known, the clips may
    be of any.

    Raises
    ------
    StudyError
        The speaker or the sentence is not in the corpus, or the speaker does not say it.
    """
    clips = utterances
    for name, wanted in (("speaker", speaker), ("sentence", sentence)):
        there = sorted(clips[name].unique())
        if wanted and wanted not in there:
            raise StudyError(f"No clip has the {name} {wanted!r}: expected one of {_some(there)}.")
        clips = clips[clips[name] == wanted] if wanted else clips
    n_emotions = clips.groupby(["speaker", "sentence"]).emotion.nunique()
    speaker, sentence = n_emotions.idxmax()  # the first of the most
    clips = clips[(clips.speaker == speaker) & (clips.sentence == sentence)].drop_duplicates("emotion")
    return clips.set_index("emotion").loc[class_order(clips.emotion)].reset_index()


def speakers_with_most_clips(utterances: pd.DataFrame, n_speakers: int = 24) -> pd.DataFrame:
    """The utterances of the `n_speakers` speakers with the most clips: figures with a row or line a speaker hold no more."""
    chosen = utterances.speaker.value_counts(sort=False).sort_index().sort_values(ascending=False, kind="stable")
    return utterances[utterances.speaker.isin(chosen.index[:n_speakers])]


def _some(names: list[str]) -> str:
    return ", ".join(names[:12]) + (f" ... ({len(names)} in all)" if len(names) > 12 else "")
