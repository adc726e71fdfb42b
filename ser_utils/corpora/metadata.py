"""CSVs that say what each recording is: one of the user's own, or a corpus' metadata."""

import csv
import io
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping
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
"""What each column may be called, the first that is there counts."""
_GENDERS = {
    "female": "f female woman w femmina donna femminile weiblich frau femme mujer",
    "male": "m male man maschio uomo maschile mannlich mann homme hombre",
}
GENDERS = {alias: gender for gender, aliases in _GENDERS.items() for alias in aliases.split()}
"""What a gender may be called."""
TABLE_SUFFIXES = (".csv", ".tsv", ".txt")


def read_csv(path: Path) -> pd.DataFrame:
    """A CSV as texts, whatever its separator (``,`` ``;`` tab ``|``) and encoding (UTF-8, UTF-16, Windows-1252).

    Returns
    -------
    pd.DataFrame
        Its columns as `plain` writes their names, and `line`, where each row stands in the file.

    Raises
    ------
    StudyError
        It cannot be read, holds no rows, or a row has more fields than the header.
    """
    try:
        lines = _text(path.read_bytes()).splitlines(keepends=True)
    except (OSError, UnicodeError) as error:
        raise StudyError(f"{path} cannot be read as a CSV ({type(error).__name__}): save it as CSV in UTF-8.") from error
    first = 1 + (lines[0].strip().lower().startswith("sep=") if lines else 0)  # a line that Excel writes
    header = lines[first - 1] if len(lines) >= first else ""
    separator = max(",;\t|", key=header.count)
    reader = csv.reader(io.StringIO("".join(lines[first - 1 :]), newline=""), delimiter=separator, skipinitialspace=True)
    try:
        names, rows = [plain(name) for name in next(reader, [])], []
        for row in reader:
            cells = [cell.strip() for cell in row]
            if len(cells) > len(names) and any(cells[len(names) :]):
                raise StudyError(
                    f"{path} has {len(cells)} fields in line {first - 1 + reader.line_num}, and its header {len(names)}: put "
                    'texts that hold the separator in quotes ("...").'
                )
            if any(cells):
                rows.append([*cells[: len(names)], *[""] * (len(names) - len(cells)), first - 1 + reader.line_num])
    except csv.Error as error:
        raise StudyError(f"{path} is no CSV ({error}): save it as CSV in UTF-8.") from error
    if not rows:
        raise StudyError(f"{path} holds no rows: expected a header and a row per recording, such as file,emotion,speaker.")
    return pd.DataFrame(rows, columns=[*names, "line"]).loc[:, lambda table: ~table.columns.duplicated()]


def _text(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    if b"\0" in content[:200]:  # UTF-16 without a byte order mark
        return content.decode("utf-16-le" if content[1:2] == b"\0" else "utf-16-be")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252")


def gender_of(text: str) -> str:
    """``female`` or ``male`` in the words of several languages; another gender as it is written."""
    return GENDERS.get(plain(text), plain(text))


def find_column(table: pd.DataFrame, meaning: str) -> str | None:
    """The column of `table` that is called what `meaning` may be called (see `HEADERS`)."""
    return next((name for name in HEADERS[meaning].split() if name in table), None)


def read_table(path: Path) -> pd.DataFrame:
    """A CSV of recordings with the columns file, emotion, line, and speaker, sentence, gender where it has them.

    Raises
    ------
    StudyError
        As `read_csv`, and where it says nothing of the files or of the emotions.
    """
    table = read_csv(path)
    columns = {meaning: name for meaning in HEADERS if (name := find_column(table, meaning))}
    for meaning in ("file", "emotion"):
        if meaning not in columns:
            raise StudyError(
                f"{path} has no column {meaning}: found {', '.join(name for name in table if name != 'line')}; expected "
                "file,emotion,speaker[,sentence,gender]."
            )
    listing = table[[*columns.values(), "line"]].set_axis([*columns, "line"], axis=1)
    if "gender" in listing:
        listing["gender"] = listing.gender.map(gender_of)
    return listing


def list_by_own_table(path: Path) -> Iterator[ListedFile]:
    """The recordings that a CSV of the user's own names: relative to its folder, or by absolute paths."""
    listing = read_table(path)
    listing["file"] = [_place(path.parent, named) for named in listing.file]
    for row in _with_repeats(listing, [os.path.realpath(path.parent / file) for file in listing.file]):
        yield _listed(row, _fault(row, path.name, is_there=(path.parent / row["file"]).is_file()))


def _with_repeats(listing: pd.DataFrame, where: list[str]) -> list[dict]:
    """The rows with `where`, the same for all rows of one file, how many labels these give it, and the `first` to label it."""
    listing = listing.assign(where=where)
    labelled = listing[listing.emotion != ""]
    common = labelled.emotion.map(plain).map(lambda label: ALIASES.get(label, label))
    listing["n_labels"] = listing["where"].map(common.groupby(labelled["where"]).nunique())
    listing["first"] = listing["where"].map(labelled.groupby("where").line.min())
    return listing.to_dict("records")


def _fault(row: Mapping, named_in: str, *, is_there: bool) -> str:
    """Why a row cannot be used; empty where it can."""
    if not row["file"]:
        return f"names no file: line {row['line']} of {named_in}"
    if not row["emotion"]:
        return f"has no emotion in {named_in}: line {row['line']}"
    if row["n_labels"] > 1:
        return f"named under two labels in {named_in}: {row['emotion']} in line {row['line']}"
    if row["first"] != row["line"]:
        return f"named twice in {named_in}: again in line {row['line']}"
    if not is_there:
        return f"not found, but named in {named_in}: line {row['line']}"
    if not row["file"].lower().endswith(SUFFIXES):
        return f"no recording of a kind that is read ({', '.join(SUFFIXES)}): line {row['line']}"
    return ""


def _place(folder: Path, named: str) -> str:
    """A file of a CSV as a path below the CSV's folder, or absolute where it lies elsewhere."""
    if not named:
        return ""
    slashed = named.replace("\\", "/")  # written on Windows
    spelt = [named, slashed, *(unicodedata.normalize(form, slashed) for form in ("NFC", "NFD"))]  # a Mac's é is two characters
    path = Path(os.path.normpath(next((one for one in spelt if (folder / one).is_file()), slashed)))
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


def _listed(row: Mapping, reason: str) -> ListedFile:
    said = {what: row.get(what) or UNKNOWN for what in ("speaker", "gender", "sentence")}
    return ListedFile(row["file"], row["emotion"], **said, key=row["where"], reason=reason)


def list_by_metadata(corpus: Corpus, root: Path) -> Iterator[ListedFile]:
    """The recordings of a corpus whose metadata say what they are (`Corpus.listing`), wherever these lie below its folder."""
    path = find_metadata_file(root, corpus.listing)
    if path is None:
        raise StudyError(
            f"{corpus.title} in {root} lacks {corpus.listing}, which says what its recordings are. {corpus.how_to_get}"
        )
    listing, files = read_table(path), {}
    for file in lossless_first(root):
        files.setdefault(_stem(file), []).append(file)
    genders, stems = _genders(find_metadata_file(root, corpus.listing_speakers)), [_stem(file) for file in listing.file]
    for row in _with_repeats(listing, stems):
        there = files.get(row["where"], [])
        copies = there if row["first"] == row["line"] else there[:1]  # all of them once
        said = {"gender": genders.get(row.get("speaker")), **row}
        for one in ({**said, "file": file} for file in copies or [row["file"]]):
            yield _listed(one, _fault(one, corpus.listing, is_there=bool(there)))
    unnamed = [file for stem in files.keys() - set(stems) for file in files[stem]]
    yield from (ListedFile(file, reason=f"not named in {corpus.listing}") for file in sorted(unnamed))


def _stem(file: str) -> str:
    return without_suffix(re.split(r"[/\\]", file)[-1]).lower()


def find_metadata_file(root: Path, name: str) -> Path | None:
    """The file of that name below `root` in upper or lower case, the one that lies highest."""
    found = [root / file for file in visible_files(root) if file.lower().rsplit("/")[-1] == name.lower()]
    return min(found, key=lambda path: (len(path.parts), path), default=None)


def _genders(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    table = read_csv(path)
    speaker, gender = find_column(table, "speaker"), find_column(table, "gender")
    if not speaker or not gender:
        return {}
    return dict(zip(table[speaker], table[gender].map(gender_of), strict=True))
