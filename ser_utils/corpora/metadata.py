"""Labels from CSVs: the user's own table, or the metadata of a corpus."""

import csv
import io
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from ser_utils.core.audio import SUFFIXES
from ser_utils.core.errors import StudyError
from ser_utils.core.tables import UNKNOWN
from ser_utils.corpora.corpus import Corpus, ListedFile
from ser_utils.corpora.files import lossless_first, visible_files, without_suffix
from ser_utils.corpora.labels import ALIASES, plain

HEADERS = {
    "file": "file filename file_name file_path filepath path wav wav_file wav_path audio audio_file audio_path clip recording",
    "emotion": "emotion emotion_expressed emotion_label label emotions class category",
    "speaker": "speaker speaker_id speakerid speaker_name spk actor actor_id talker subject subject_id voice user username "
    "participant",
    "sentence": "sentence sentence_id text transcript transcription statement utterance phrase word",
    "gender": "gender sex",
}
"""Accepted names of each column, in order of preference."""
_GENDERS = {
    "female": "f female woman w femmina donna femminile weiblich frau femme mujer",
    "male": "m male man maschio uomo maschile mannlich mann homme hombre",
}
GENDERS = {alias: gender for gender, aliases in _GENDERS.items() for alias in aliases.split()}
"""Accepted names of genders."""
TABLE_SUFFIXES = (".csv", ".tsv", ".txt")
EXPECTED_COLUMNS = "file,emotion,speaker[,sentence,gender]"
ADVICE = 'save it as CSV in UTF-8, with texts that contain the separator in quotes ("...")'


def read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV as text, with any common separator (``,`` ``;`` tab ``|``) and encoding (UTF-8, UTF-16, Windows-1252).

    Returns
    -------
    pd.DataFrame
        The columns by their `plain` names, and `line`, the line of each row in the file.

    Raises
    ------
    StudyError
        The file cannot be read, has no rows, or has a row with more fields than the header.
    """
    try:
        lines = _decode(path.read_bytes()).splitlines(keepends=True)
    except (OSError, UnicodeError) as error:
        raise StudyError(f"{path} cannot be read as a CSV ({type(error).__name__}): {ADVICE}.") from error
    n_before = int(bool(lines) and lines[0].strip().lower().startswith("sep="))  # a line that Excel writes
    header = lines[n_before] if len(lines) > n_before else ""
    separator = max(",;\t|", key=header.count)
    reader = csv.reader(io.StringIO("".join(lines[n_before:]), newline=""), delimiter=separator, skipinitialspace=True)
    try:
        names = [plain(name) for name in next(reader, [])]
        cells = [([cell.strip() for cell in row], n_before + reader.line_num) for row in reader]
    except csv.Error as error:
        raise StudyError(f"{path} cannot be read as a CSV ({error}): {ADVICE}.") from error
    rows = [_padded(path, row, line, len(names)) for row, line in cells if any(row)]
    if not rows:
        raise StudyError(f"{path} has no rows: expected a header and one row per recording, such as file,emotion,speaker.")
    return pd.DataFrame(rows, columns=[*names, "line"]).loc[:, lambda table: ~table.columns.duplicated()]


def _padded(path: Path, row: list[str], line: int, n_columns: int) -> list:
    """Return the cells of a row, as many as the header has, and its line."""
    if any(row[n_columns:]):
        raise StudyError(f"{path} has {len(row)} fields in line {line}, but its header has {n_columns}: {ADVICE}.")
    return [*row[:n_columns], *[""] * (n_columns - len(row)), line]


def _decode(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    if b"\0" in content[:200]:  # UTF-16 without a byte order mark
        return content.decode("utf-16-le" if content[1:2] == b"\0" else "utf-16-be")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252")


def gender_of(text: str) -> str:
    """Return ``female`` or ``male`` for words of several languages; another gender as `plain` text."""
    return GENDERS.get(plain(text), plain(text))


def read_table(path: Path, required: Sequence[str] = ("file", "emotion")) -> pd.DataFrame:
    """Read a CSV as `read_csv`, with the columns that it has of those in `HEADERS`, by these names, and `line`.

    Raises
    ------
    StudyError
        As `read_csv`, or a required column is missing.
    """
    table = read_csv(path)
    names = {meaning: next((name for name in names.split() if name in table), None) for meaning, names in HEADERS.items()}
    for meaning in required:
        if names[meaning] is None:
            raise StudyError(
                f"{path} has no column {meaning}: found {', '.join(table.columns.drop('line'))}; expected {EXPECTED_COLUMNS}."
            )
    columns = {meaning: name for meaning, name in names.items() if name}
    listing = table[[*columns.values(), "line"]].set_axis([*columns, "line"], axis=1)
    if "gender" in listing:
        listing["gender"] = listing.gender.map(gender_of)
    return listing


def list_by_own_table(path: Path) -> Iterator[ListedFile]:
    """Yield the recordings in the user's own CSV, whose paths are relative to its folder or absolute."""
    listing, folder = read_table(path), path.parent
    listing["file"] = [_relative_path(folder, name) for name in listing.file]
    for row in _with_duplicates(listing, [os.path.realpath(folder / file) for file in listing.file]):
        yield _listed_file(row, path.name, exists=(folder / row["file"]).is_file())


def list_by_metadata(corpus: Corpus, root: Path) -> Iterator[ListedFile]:
    """Yield the recordings of a corpus whose labels are in a metadata file (`Corpus.listing`), in any folder below `root`.

    Raises
    ------
    StudyError
        The metadata file is missing or cannot be read.
    """
    path = find_metadata_file(root, corpus.listing)
    if path is None:
        raise StudyError(f"{corpus.title} in {root} lacks {corpus.listing}, which has its labels. {corpus.instructions}")
    listing = read_table(path)
    stems = [_stem(file) for file in listing.file]
    files = {}
    for file in lossless_first(root):
        files.setdefault(_stem(file), []).append(file)
    speakers = find_metadata_file(root, corpus.listing_speakers)
    about = read_table(speakers, required=()) if speakers else pd.DataFrame()
    genders = dict(about[["speaker", "gender"]].to_numpy()) if {"speaker", "gender"} <= set(about) else {}
    for row in _with_duplicates(listing, stems):
        row = {"gender": genders.get(row.get("speaker")), **row}
        copies = files.get(row["key"], [])
        listed = copies if row["first_line"] == row["line"] else copies[:1]  # all copies of a recording are listed once
        for file in listed or [row["file"]]:
            yield _listed_file({**row, "file": file}, corpus.listing, exists=bool(copies))
    unlisted = [file for stem in files.keys() - set(stems) for file in files[stem]]
    yield from (ListedFile(file, reason=f"not listed in {corpus.listing}") for file in sorted(unlisted))


def _with_duplicates(listing: pd.DataFrame, keys: list[str]) -> list[dict]:
    """Return the rows with `key`, which identifies the recording, its number of labels, and the first line that labels it."""
    listing = listing.assign(key=keys)
    labelled = listing[listing.emotion != ""]
    names = labelled.emotion.map(plain).map(lambda label: ALIASES.get(label, label))
    listing["n_labels"] = listing.key.map(names.groupby(labelled.key).nunique())
    listing["first_line"] = listing.key.map(labelled.groupby("key").line.min())
    return listing.to_dict("records")


def _listed_file(row: Mapping, table: str, *, exists: bool) -> ListedFile:
    """Return the recording in a row of the CSV `table`, or the reason why it cannot be used."""
    line = f"line {row['line']}"
    problems = {
        f"has no file name: {line} of {table}": not row["file"],
        f"has no emotion in {table}: {line}": not row["emotion"],
        f"has two labels in {table}: {row['emotion']} in {line}": row["n_labels"] > 1,
        f"listed twice in {table}: again in {line}": row["first_line"] != row["line"],
        f"not found, but listed in {table}: {line}": not exists,
        f"not a supported audio file ({', '.join(SUFFIXES)}): {line}": not row["file"].lower().endswith(SUFFIXES),
    }
    reason = next((text for text, applies in problems.items() if applies), "")
    labels = {name: row.get(name) or UNKNOWN for name in ("speaker", "gender", "sentence")}
    return ListedFile(row["file"], row["emotion"], **labels, key=row["key"], reason=reason)


def _relative_path(folder: Path, name: str) -> str:
    """Return a path of a CSV relative to the CSV's folder, or absolute if it is elsewhere."""
    if not name:
        return ""
    posix = name.replace("\\", "/")  # from Windows
    spellings = [name, posix, *(unicodedata.normalize(form, posix) for form in ("NFC", "NFD"))]  # macOS decomposes accents
    existing = next((spelling for spelling in spellings if (folder / spelling).is_file()), posix)
    path = Path(os.path.normpath(existing))
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


def _stem(file: str) -> str:
    """Return the file name of a path without folders and suffix, in lower case."""
    return without_suffix(re.split(r"[/\\]", file)[-1]).lower()


def find_metadata_file(root: Path, name: str) -> Path | None:
    """Return the file of that name, in any case, in the highest folder below `root`; None if there is none."""
    paths = [root / file for file in visible_files(root) if file.lower().rsplit("/")[-1] == name.lower()]
    return min(paths, key=lambda path: (len(path.parts), path), default=None)
