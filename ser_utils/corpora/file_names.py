"""Labels from file names: by the scheme of a registered corpus, or by the user's pattern."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from ser_utils.core.audio import SUFFIXES, AudioError
from ser_utils.core.errors import StudyError
from ser_utils.core.tables import UNKNOWN
from ser_utils.corpora.corpus import Corpus, ListedFile
from ser_utils.corpora.files import UNREAD_SUFFIXES, lossless_first, visible_files, without_suffix
from ser_utils.corpora.metadata import gender_of

FIELDS = ("speaker", "emotion", "sentence", "gender")
"""Fields of a pattern."""


def list_by_file_names(corpus: Corpus, root: Path) -> Iterator[ListedFile]:
    """Yield the recordings below `root` by a corpus' scheme, lossless formats first, so that these are preferred to copies."""
    for name in lossless_first(root):
        try:
            labels, key = _labels_and_key(name, corpus)
            yield ListedFile(name, **labels, key=key)
        except AudioError as error:
            yield ListedFile(name, reason=str(error))


def parse_name(name: str, corpus: Corpus) -> dict[str, str]:
    """Return speaker, gender, sentence and emotion of a file name, or of its path below the corpus' folder.

    Raises
    ------
    AudioError
        The name does not fit the scheme, belongs to a recording that is not speech, or has an emotion code, speaker or sentence
        that the corpus does not have.
    """
    return _labels_and_key(name, corpus)[0]


def _labels_and_key(name: str, corpus: Corpus) -> tuple[dict[str, str], str]:
    """Return the labels of a file name as `parse_name` does, and the key that copies of one utterance share."""
    match = full_match(corpus.scheme, name)
    if not match:
        raise AudioError(f"its name does not fit the scheme of {corpus.title} ({_readable_scheme(corpus.scheme)})")
    groups = match.groupdict()
    for group, codes in corpus.excluded_codes.items():
        if groups[group] in codes:
            raise AudioError(f"{codes[groups[group]]}: {group} {groups[group]}")
    speaker = corpus.speaker_aliases.get(groups["speaker"].upper(), groups["speaker"])
    codes = {
        "emotion": _registered_code("emotion code", groups["emotion"], corpus.emotions),
        "speaker": _registered_code("speaker", speaker, corpus.genders),
        "sentence": _registered_code("sentence", groups["sentence"], corpus.sentences),
    }
    key = sorted((groups | codes).items())
    labels = codes | {"emotion": corpus.emotions[codes["emotion"]], "gender": corpus.genders.get(codes["speaker"], UNKNOWN)}
    return labels, " ".join(f"{value}".lower() for group, value in key if group not in corpus.excluded_codes)


def full_match(expression: str, name: str) -> re.Match | None:
    """Match the end of a path, without suffix, from any of its folders on, with the expression of a scheme."""
    return re.fullmatch(r"(?:.*/)?" + expression, without_suffix(name), re.IGNORECASE)


def _registered_code(kind: str, code: str, registered: Mapping[str, str]) -> str:
    """Return a code as the registry spells it; in lower case if the registry lists none."""
    for spelling in registered:
        if spelling.casefold() == code.casefold():
            return spelling
    if registered:
        names = list(registered)
        shown = names if len(names) <= 16 else [*names[:3], "...", names[-1]]
        raise AudioError(f"its {kind} {code.lower()!r} is not one of {', '.join(shown)}")
    return code.lower()


def _readable_scheme(scheme: str) -> str:
    """Return a scheme as a pattern: ``{emotion}-{speaker}-{sentence}``."""
    return re.sub(r"\(\?P<(\w+)>(?:\[[^]]*\]|[^)])*\)", r"{\1}", scheme).replace("[/_]", "_")


def list_by_pattern(root: Path, pattern: str) -> Iterator[ListedFile]:
    """Yield the recordings below `root` by a pattern such as ``{speaker}/{emotion}_{_}.wav``."""
    expression = pattern_expression(pattern)
    for name in lossless_first(root):
        match = full_match(expression, name)
        labels = match.groupdict() if match else {}
        if "gender" in labels:
            labels["gender"] = gender_of(labels["gender"])
        reason = "" if match else f"its name does not fit the pattern {pattern}"
        yield ListedFile(name, **labels, key=without_suffix(name).casefold(), reason=reason)


def pattern_expression(pattern: str) -> str:
    """Return the regular expression of a pattern such as ``{speaker}/{emotion}_{_}.wav``, for a path without suffix.

    A field is text without ``/`` and without the character that follows the field; ``{_}`` and ``*`` are any text without
    ``/``.

    Raises
    ------
    StudyError
        A field is unknown, two fields are adjacent, or there is no ``{emotion}``.
    """
    parts = re.split(r"(\{[^}]*\}|\*)", without_suffix(pattern).strip("/"))  # literal text and fields, alternating
    expression, seen = re.escape(parts[0]), set()
    for field_text, literal, next_field in zip(parts[1::2], parts[2::2], [*parts[3::2], ""], strict=False):
        field = field_text.strip("{}*") or "_"
        if field not in (*FIELDS, "_"):
            raise StudyError(
                f"SCHEME {pattern!r} has the field {field_text}: expected {{{'}, {'.join(FIELDS)}}}, or {{_}} for any text."
            )
        if next_field and not literal:
            raise StudyError(
                f"SCHEME {pattern!r} has two adjacent fields, {field_text}{next_field}: add the text between them."
            )
        text = f"[^/{re.escape(literal[:1])}]+"
        expression += text if field == "_" else f"(?P={field})" if field in seen else f"(?P<{field}>{text})"
        expression += re.escape(literal)
        seen.add(field)
    if "emotion" not in seen:
        raise StudyError(f"SCHEME {pattern!r} has no field for the emotion: add {{emotion}}.")
    return expression


def list_unread_files(root: Path) -> list[ListedFile]:
    """Return the recordings below `root` in an audio format that is not supported."""
    names = sorted(name for name in visible_files(root) if name.lower().endswith(UNREAD_SUFFIXES))
    return [ListedFile(name, reason=f"format not supported: convert it to one of {', '.join(SUFFIXES)}") for name in names]
