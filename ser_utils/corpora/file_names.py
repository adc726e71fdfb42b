"""One corpus, and what the names of its files say."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from ser_utils.core.audio import AudioError
from ser_utils.core.tables import UNKNOWN
from ser_utils.corpora.corpus import Corpus, ListedFile
from ser_utils.corpora.files import lossless_first, without_suffix


def list_by_file_names(corpus: Corpus, root: Path) -> Iterator[ListedFile]:
    """The recordings below `root` by a corpus' scheme; lossless ones first, so that they are preferred to their twins."""
    for name in lossless_first(root):
        try:
            labels, key = read_name(name, corpus)
            yield ListedFile(name, **labels, key=key)
        except AudioError as error:
            yield ListedFile(name, reason=str(error))


def parse_name(name: str, corpus: Corpus) -> dict[str, str]:
    """What a file name, or its path below the corpus' folder, says: speaker, gender, sentence, emotion.

    Raises
    ------
    AudioError
        The name does not fit the scheme, is of another kind of recording, or its emotion code, speaker or sentence is not among
        the corpus'.
    """
    return read_name(name, corpus)[0]


def read_name(name: str, corpus: Corpus) -> tuple[dict[str, str], str]:
    """What a file name says, as `parse_name`, and the key that two files of one utterance share."""
    match = re.fullmatch(r"(?:.*/)?" + corpus.scheme, without_suffix(name), re.IGNORECASE)
    if not match:
        raise AudioError(f"its name does not fit the scheme of {corpus.title} ({readable_pattern(corpus.scheme)})")
    groups = match.groupdict()
    for group, kinds in corpus.other_kinds.items():
        if groups[group] in kinds:
            raise AudioError(f"{kinds[groups[group]]}: {group} {groups[group]}")
    said = {
        "emotion": _known("emotion code", groups["emotion"], corpus.emotions),
        "speaker": _known("speaker", corpus.misspelt.get(groups["speaker"].upper(), groups["speaker"]), corpus.genders),
        "sentence": _known("sentence", groups["sentence"], corpus.sentences),
    }
    key = {**groups, **said}
    labels = {**said, "emotion": corpus.emotions[said["emotion"]], "gender": corpus.genders.get(said["speaker"], UNKNOWN)}
    return labels, " ".join(f"{v}".lower() for group, v in sorted(key.items()) if group not in corpus.other_kinds)


def _known(what: str, found: str, known: Mapping[str, str]) -> str:
    """A code as the registry writes it; where it lists none, in lower case."""
    for code in known:
        if code.casefold() == found.casefold():
            return code
    if known:
        listed = list(known)
        some = listed if len(listed) <= 16 else [*listed[:3], "...", listed[-1]]
        raise AudioError(f"its {what} {found.lower()!r} is not one of {', '.join(some)}")
    return found.lower()


def readable_pattern(scheme: str) -> str:
    """A scheme's regular expression as a pattern for people: ``{emotion}-{speaker}-{sentence}``."""
    return re.sub(r"\(\?P<(\w+)>(?:\[[^]]*\]|[^)])*\)", r"{\1}", scheme).replace("[/_]", "_")
