"""Corpora of the user's own: a folder whose names say what is in it, or a CSV that does."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ser_utils.core import paths
from ser_utils.core.audio import SUFFIXES
from ser_utils.core.errors import StudyError
from ser_utils.core.tables import UNKNOWN
from ser_utils.corpora.corpus import Corpus, ListedFile, unread_files
from ser_utils.corpora.file_names import list_by_file_names
from ser_utils.corpora.files import lossless_first, without_suffix
from ser_utils.corpora.labels import ALIASES, counted, plain
from ser_utils.corpora.metadata import (
    GENDERS,
    TABLE_SUFFIXES,
    find_metadata_file,
    gender_of,
    list_by_metadata,
    list_by_own_table,
)
from ser_utils.corpora.registry import CORPORA

FIELDS = ("speaker", "emotion", "sentence", "gender")
SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval", "evaluation"}
"""Folders above the emotions that are no speakers."""
FOLDER = (
    "one subfolder per emotion (joy/, anger/ ...), or names that a pattern describes (--set "
    "SCHEME='{speaker}_{emotion}_{sentence}.wav')"
)
TABLE = "a CSV file,emotion,speaker[,sentence,gender]"
EXPECTED = f"{FOLDER}, or {TABLE}"
PATH = f"the path of a folder ({FOLDER}) or of {TABLE}"


def own_corpus(path: Path, scheme: str) -> Corpus:
    """The corpus that a folder or a CSV holds; `scheme` says how a folder is read (``""`` to find out).

    Raises
    ------
    StudyError
        There is no such folder or CSV, or `scheme` is nothing that is known.
    """
    path = Path(os.path.abspath(path))  # links keep the names that the user gave them
    if not path.exists():
        raise StudyError(f"There is no folder or CSV {path}: expected {PATH}, or one of {', '.join(CORPORA)}.")
    if path.is_file() and path.suffix.lower() not in TABLE_SUFFIXES:
        raise StudyError(f"{path} is neither a folder nor a CSV: expected {PATH}.")
    if path.is_file() and scheme:
        raise StudyError(f"SCHEME is {scheme!r}, but {path.name} is a CSV, whose columns say what each file is: leave it out.")
    check_scheme(scheme)
    named = path.stem if path.is_file() else path.name
    return Corpus(
        name=run_slug(named),
        title=named,
        folder=str(path.parent if path.is_file() else path),
        scheme=scheme,
        listing=path.name if path.is_file() else "",
        is_own=True,
        licence="not known to this study",
        citation="Recordings of the user's own: cite where they come from.",
        how_to_get=f"Expected {EXPECTED}.",
    )


def run_slug(named: str) -> str:
    """The name of a run on a folder or CSV: letters, digits and underscores, and no registered corpus' name."""
    slug = re.sub(r"[^a-z0-9]+", "_", plain(named)).strip("_") or "corpus"
    return f"{slug}_own" if slug.replace("_", "") in {name.replace("-", "") for name in CORPORA} else slug


def check_scheme(scheme: str) -> None:
    """Raise `StudyError` unless `scheme` is empty, ``folders``, a pattern with ``{emotion}``, or a registered corpus."""
    if scheme in ("", "folders") or scheme in CORPORA:
        return
    if "{" not in scheme:
        raise StudyError(
            f"SCHEME is {scheme!r}: expected folders (one subfolder per emotion), a pattern such as "
            f"{{speaker}}_{{emotion}}_{{sentence}}.wav, or one of {', '.join(CORPORA)}."
        )
    pattern(scheme)


def pattern(scheme: str) -> str:
    """The regular expression of a pattern such as ``{speaker}/{emotion}_{_}.wav``, on a path without its ending.

    A field is text without ``/`` and without the character that follows the field; ``{_}`` and ``*`` are anything but ``/``.

    Raises
    ------
    StudyError
        A field is unknown, two stand side by side, or there is no ``{emotion}``.
    """
    parts, expression, seen = re.split(r"(\{[^}]*\}|\*)", without_suffix(scheme).strip("/")), "", set()
    for i, part in enumerate(parts):
        if i % 2 == 0:
            expression += re.escape(part)
            continue
        after, field = parts[i + 1][:1], part.strip("{}*") or "_"
        if field not in (*FIELDS, "_"):
            raise StudyError(
                f"SCHEME {scheme!r} has the field {part}: expected {{{'}, {'.join(FIELDS)}}}, or {{_}} for anything."
            )
        if not after and i + 2 < len(parts):
            raise StudyError(
                f"SCHEME {scheme!r} has two fields side by side, {part}{parts[i + 2]}: put what stands between them."
            )
        text = f"[^/{re.escape(after)}]+"
        expression += text if field == "_" else f"(?P={field})" if field in seen else f"(?P<{field}>{text})"
        seen.add(field)
    if "emotion" not in seen:
        raise StudyError(f"SCHEME {scheme!r} does not say where the emotion stands: expected {{emotion}} in it.")
    return "(?:.*/)?" + expression


def list_files(corpus: Corpus, labels: Mapping[str, str]) -> Iterable[ListedFile]:
    """The recordings of a corpus of the user's own, with what names or the CSV say of them.

    Raises
    ------
    StudyError
        A folder's names fit no scheme, or more than one.
    """
    if corpus.listing:
        return list_by_own_table(corpus.root / corpus.listing)
    return _reader(detect_scheme(corpus, labels), labels)(corpus)


def describe_detected_layout(corpus: Corpus, labels: Mapping[str, str]) -> str:
    """One sentence in Markdown on how a corpus of the user's own is read."""
    if corpus.listing:
        return f"Read from `{corpus.listing}`, which says what each file is."
    scheme = detect_scheme(corpus, labels)
    if scheme in CORPORA:
        return f"Read by the scheme of {CORPORA[scheme].title}; SCHEME names another."
    if scheme != "folders":
        return f"Read by the pattern `{scheme}`."
    _, speaker = _levels(lossless_first(corpus.root), labels)
    above = "the folder above it the speaker" if speaker is not None else "and no folder that is a speaker"
    return f"Read as one folder per emotion, {above}; SCHEME names another way."


def detect_scheme(corpus: Corpus, labels: Mapping[str, str]) -> str:
    """The scheme that a folder is read by: the one given, else the only one that its names fit."""
    if corpus.scheme:
        return corpus.scheme
    names = lossless_first(corpus.root)
    if not names:
        others = len(unread_files(corpus.root))
        but = f" but {others} of other kinds, to be converted" if others else ""
        raise StudyError(f"{paths.shown(corpus.root)} holds no audio ({', '.join(SUFFIXES)}){but}: expected {EXPECTED}.")
    fits = _fits(corpus, names, labels)
    if not fits:
        raise StudyError(
            f"The {len(names)} audio files in {paths.shown(corpus.root)} fit no scheme{_hint(corpus, names)}; {_needs()}"
        )
    if len(fits) > 1:
        ways = " and ".join(f"{scheme} ({n} of {len(names)} files)" for scheme, n in fits.items())
        raise StudyError(
            f"The names in {paths.shown(corpus.root)} fit more than one scheme, {ways}: say which it is, such as --set "
            f"SCHEME={next(iter(fits))}."
        )
    return next(iter(fits))


def _fits(corpus: Corpus, names: list[str], labels: Mapping[str, str]) -> dict[str, int]:
    """Schemes that at least half of the files fit, with how many do."""
    found = {
        scheme: sum(bool(re.fullmatch(r"(?:.*/)?" + known.scheme, without_suffix(name), re.IGNORECASE)) for name in names)
        for scheme, known in CORPORA.items()
        if known.scheme and scheme != "demo"  # EMOVO's
    }
    if find_metadata_file(corpus.root, CORPORA["emozionalmente"].listing):
        found["emozionalmente"] = len(names)
    level, _ = _levels(names, labels)
    found["folders"] = 0 if level is None else sum(_emotion_at(name, level, labels) for name in names)
    return {scheme: n for scheme, n in found.items() if n and 2 * n >= len(names)}


def _hint(corpus: Corpus, names: list[str]) -> str:
    """What may help: the subfolders there are, or a CSV that lies beside the files."""
    tables = [path.name for path in sorted(corpus.root.glob("*")) if path.suffix.lower() in TABLE_SUFFIXES[:2]]
    if tables:
        return f" (for what {tables[0]} in it says, name that file: ./run_all.sh {paths.shown(corpus.root / tables[0])})"
    above = Counter(name.rsplit("/", 2)[-2] for name in names if "/" in name)
    return f" (first {names[0]}{'; subfolders ' + counted(above) if above else ''})"


def _needs() -> str:
    return f"expected {EXPECTED}; folders whose names are no known emotions are mapped with LABELS."


def _reader(scheme: str, labels: Mapping[str, str]) -> Callable[[Corpus], Iterator[ListedFile]]:
    if scheme == "folders":
        return lambda corpus: _by_folders(corpus, labels)
    if scheme in CORPORA:
        known = CORPORA[scheme]
        return lambda corpus: (list_by_metadata if known.listing else list_by_file_names)(
            replace(known, how_to_get=corpus.how_to_get), corpus.root
        )
    return lambda corpus: _by_pattern(corpus, scheme)


def _by_pattern(corpus: Corpus, scheme: str) -> Iterator[ListedFile]:
    expression = pattern(scheme)
    for name in lossless_first(corpus.root):
        match = re.fullmatch(expression, without_suffix(name), re.IGNORECASE)
        said = match.groupdict() if match else {}
        if "gender" in said:
            said["gender"] = gender_of(said["gender"])
        reason = "" if match else f"its name does not fit the pattern {scheme}"
        yield ListedFile(name, **said, key=without_suffix(name).casefold(), reason=reason)


def _by_folders(corpus: Corpus, labels: Mapping[str, str]) -> Iterator[ListedFile]:
    names = lossless_first(corpus.root)
    level, speaker_level = _levels(names, labels)
    for name in names:
        folders = name.split("/")[:-1]
        if level is None or len(folders) <= level:
            yield ListedFile(name, reason="lies in no folder of an emotion")
            continue
        speaker = UNKNOWN if speaker_level is None else folders[speaker_level]
        yield ListedFile(name, folders[level], speaker, key=without_suffix(name).casefold())


def _emotion_at(name: str, level: int, labels: Mapping[str, str]) -> bool:
    """Whether the folder at that depth of a file's path has an emotion's name."""
    folders = name.split("/")[:-1]
    return len(folders) > level and plain(folders[level]) in {*ALIASES, *map(plain, labels)}


def _levels(names: list[str], labels: Mapping[str, str]) -> tuple[int | None, int | None]:
    """At which depth the emotions' folders lie, and the speakers' (None where there are none).

    The folders above the emotions are speakers where every file has one there and they are several, unless they are
    named like the parts of a split, or all of them like genders.
    """
    depths = range(max(name.count("/") for name in names)) if names else ()
    counts = {level: sum(_emotion_at(name, level, labels) for name in names) for level in depths}
    level = max(counts, key=lambda at: (counts[at], at), default=None)
    if level is None or not counts[level]:
        return None, None
    above = {name.split("/")[level - 1] for name in names if name.count("/") > level} if level else set()
    called = {plain(folder) for folder in above}
    is_speaker = len(above) > 1 and not called & SPLITS and not called <= GENDERS.keys()
    return level, level - 1 if is_speaker and all(name.count("/") > level for name in names) else None
