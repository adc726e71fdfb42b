"""The user's own folders: detection of their layout, and one folder per emotion as labels."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from ser_utils.core import paths
from ser_utils.core.audio import SUFFIXES
from ser_utils.core.errors import StudyError
from ser_utils.core.tables import UNKNOWN
from ser_utils.corpora.corpus import Corpus, ListedFile
from ser_utils.corpora.file_names import full_match, list_unread_files
from ser_utils.corpora.files import lossless_first, without_suffix
from ser_utils.corpora.labels import ALIASES, counted, plain
from ser_utils.corpora.metadata import EXPECTED_COLUMNS, GENDERS, TABLE_SUFFIXES, find_metadata_file
from ser_utils.corpora.registry import CORPORA

SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval", "evaluation"}
"""Names of folders above the emotions that are not speakers."""
EXPECTED_FOLDER = (
    "one subfolder per emotion (joy/, anger/ ...), or file names that fit a pattern (--set "
    "SCHEME='{speaker}_{emotion}_{sentence}.wav')"
)
EXPECTED_TABLE = f"a CSV {EXPECTED_COLUMNS}"
EXPECTED_INPUT = f"{EXPECTED_FOLDER}, or {EXPECTED_TABLE}"


def describe_reading(corpus: Corpus, labels: Mapping[str, str] = {}) -> str:
    """Return the citation of a registered corpus, or a sentence in Markdown on how the user's own corpus is read."""
    if not corpus.is_own:
        return corpus.citation
    if corpus.listing:
        return f"Read from `{corpus.listing}`, which lists the files and their labels."
    scheme = detect_scheme(corpus, labels)
    if scheme in CORPORA:
        return f"Read by the scheme of {CORPORA[scheme].title}; SCHEME sets another."
    if scheme != "folders":
        return f"Read by the pattern `{scheme}`."
    _, speaker_level = _find_levels(lossless_first(corpus.root), labels)
    speakers = "without speakers" if speaker_level is None else "within one folder per speaker"
    return f"Read as one folder per emotion, {speakers}; SCHEME sets another layout."


def detect_scheme(corpus: Corpus, labels: Mapping[str, str]) -> str:
    """Return the scheme of the user's own folder: the given one, or else the only one that its file names fit.

    Raises
    ------
    StudyError
        The folder has no audio, or its names fit no scheme or several.
    """
    if corpus.scheme:
        return corpus.scheme
    names, place = lossless_first(corpus.root), paths.shown(corpus.root)
    if not names:
        n_unread = len(list_unread_files(corpus.root))
        note = f", but {n_unread} in other formats, which must be converted" if n_unread else ""
        raise StudyError(f"{place} has no audio files ({', '.join(SUFFIXES)}){note}: expected {EXPECTED_INPUT}.")
    schemes = _fitting_schemes(corpus.root, names, labels)
    if not schemes:
        raise StudyError(
            f"The {len(names)} audio files in {place} fit no scheme{_hint(corpus.root, names)}; expected {EXPECTED_INPUT}; "
            "folder names that are not known emotions are mapped with LABELS."
        )
    scheme = next(iter(schemes))
    if len(schemes) > 1:
        fits = " and ".join(f"{name} ({n} of {len(names)} files)" for name, n in schemes.items())
        raise StudyError(f"The names in {place} fit several schemes, {fits}: choose one, such as --set SCHEME={scheme}.")
    return scheme


def _fitting_schemes(root: Path, names: list[str], labels: Mapping[str, str]) -> dict[str, int]:
    """Return the schemes that at least half of the files fit, with the number of these files."""
    n_files = {
        scheme: sum(full_match(known.scheme, name) is not None for name in names)
        for scheme, known in CORPORA.items()
        if known.scheme and scheme != "demo"  # the scheme of EMOVO
    }
    if find_metadata_file(root, CORPORA["emozionalmente"].listing):
        n_files["emozionalmente"] = len(names)
    level, _ = _find_levels(names, labels)
    n_files["folders"] = 0 if level is None else sum(_is_emotion(name, level, labels) for name in names)
    return {scheme: n for scheme, n in n_files.items() if n and 2 * n >= len(names)}


def _hint(root: Path, names: list[str]) -> str:
    """Return a hint for a folder that fits no scheme: a CSV beside the files, or the subfolders."""
    tables = [path.name for path in sorted(root.glob("*")) if path.suffix.lower() in TABLE_SUFFIXES[:2]]
    if tables:
        return f" (to use the labels in {tables[0]}, run on that file: ./run_all.sh {paths.shown(root / tables[0])})"
    subfolders = Counter(name.rsplit("/", 2)[-2] for name in names if "/" in name)
    return f" (first {names[0]}{'; subfolders ' + counted(subfolders) if subfolders else ''})"


def list_by_folders(root: Path, labels: Mapping[str, str]) -> Iterator[ListedFile]:
    """Yield the recordings below `root` with the emotions, and the speakers if there are any, of the folders they are in."""
    names = lossless_first(root)
    level, speaker_level = _find_levels(names, labels)
    for name in names:
        folders = name.split("/")[:-1]
        if level is None or len(folders) <= level:
            yield ListedFile(name, reason="is not in the folder of an emotion")
            continue
        speaker = UNKNOWN if speaker_level is None else folders[speaker_level]
        yield ListedFile(name, folders[level], speaker, key=without_suffix(name).casefold())


def _is_emotion(name: str, level: int, labels: Mapping[str, str]) -> bool:
    """Return whether the folder at a level of a file's path is named after an emotion."""
    folders = name.split("/")[:-1]
    return len(folders) > level and plain(folders[level]) in {*ALIASES, *map(plain, labels)}


def _find_levels(names: list[str], labels: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Return the levels of the folders of emotions and of speakers in the files' paths, None where there are none.

    The folders above the emotions are speakers if there are several and every file is in one, unless one of them is named
    after a part of a split, or all after genders.
    """
    levels = range(max(name.count("/") for name in names)) if names else ()
    n_emotions = {level: sum(_is_emotion(name, level, labels) for name in names) for level in levels}
    level = max(n_emotions, key=lambda level: (n_emotions[level], level), default=None)
    if level is None or not n_emotions[level]:
        return None, None
    parents = {name.split("/")[level - 1] for name in names if name.count("/") > level} if level else set()
    plain_parents = {plain(parent) for parent in parents}
    are_speakers = len(parents) > 1 and not plain_parents & SPLITS and not plain_parents <= GENDERS.keys()
    is_complete = all(name.count("/") > level for name in names)
    return level, level - 1 if are_speakers and is_complete else None
