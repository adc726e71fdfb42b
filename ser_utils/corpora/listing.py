"""List of a corpus' recordings with their labels, made without reading audio."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.corpora.corpus import Corpus, ListedFile
from ser_utils.corpora.file_names import list_by_file_names, list_by_pattern, list_unread_files
from ser_utils.corpora.files import audio_files, has_audio
from ser_utils.corpora.folders import detect_scheme, list_by_folders
from ser_utils.corpora.labels import check_labels, common_name, unknown_labels
from ser_utils.corpora.metadata import find_metadata_file, list_by_metadata, list_by_own_table
from ser_utils.corpora.registry import CORPORA


def list_recordings(corpus: Corpus, labels: Mapping[str, str]) -> list[ListedFile]:
    """Return the recordings of a corpus with common names of emotions, or the reasons why they are not used.

    Raises
    ------
    StudyError
        The folder is missing or has no audio, its layout is unclear, a label has no common name, or `labels` has a label that
        no recording has.
    """
    files = _list_files(corpus, labels)
    names = _common_names(corpus, files, labels)
    return [file if file.reason else _with_common_name(file, names[file.emotion]) for file in files]


def _list_files(corpus: Corpus, labels: Mapping[str, str]) -> list[ListedFile]:
    """Return the recordings of a corpus with its own labels."""
    root = corpus.root
    if corpus.is_own and corpus.listing:
        return [*list_by_own_table(root / corpus.listing)]
    if corpus.is_own:
        return [*_list_own_folder(corpus, labels), *list_unread_files(root)]
    if not has_audio(root):
        problem = "no audio files" if root.is_dir() else "no such folder"
        raise StudyError(f"{corpus.title} is not in {paths.shown(root)}: {problem}. {corpus.instructions}")
    return [*_list_registered(corpus, root), *list_unread_files(root)]


def _list_own_folder(corpus: Corpus, labels: Mapping[str, str]) -> Iterable[ListedFile]:
    scheme = detect_scheme(corpus, labels)
    if scheme == "folders":
        return list_by_folders(corpus.root, labels)
    if scheme in CORPORA:
        known = replace(CORPORA[scheme], how_to_get=corpus.how_to_get, download=None)
        return _list_registered(known, corpus.root)
    return list_by_pattern(corpus.root, scheme)


def _list_registered(corpus: Corpus, root: Path) -> Iterable[ListedFile]:
    return list_by_metadata(corpus, root) if corpus.listing else list_by_file_names(corpus, root)


def _common_names(corpus: Corpus, files: list[ListedFile], labels: Mapping[str, str]) -> dict[str, str]:
    """Return the common name of each label in use, ``""`` for those left out."""
    counts = Counter(file.emotion for file in files if not file.reason)
    check_labels(labels, counts)
    names = {label: common_name(label, labels) for label in counts}
    left_out = {label for known in CORPORA.values() for label in known.left_out}  # an own folder may use a known scheme
    unknown = {label: n for label, n in counts.items() if names[label] is None and label not in left_out}
    if unknown:
        raise unknown_labels(unknown, paths.shown(corpus.root / corpus.listing))
    return {label: name or "" for label, name in names.items()}


def _with_common_name(file: ListedFile, name: str) -> ListedFile:
    """Return a recording with the common name of its emotion, or with the reason if its label is left out."""
    if name:
        return replace(file, emotion=name)
    setting = json.dumps({file.emotion: file.emotion})
    reason = f"labelled {file.emotion}, which is left out: LABELS='{setting}' keeps it as a separate class"
    return ListedFile(file.file, reason=reason)


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
