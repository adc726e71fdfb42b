"""One corpus, and what the names of its files say."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ser_utils import paths
from ser_utils.audio import SUFFIXES, AudioError
from ser_utils.labels import plain

UNKNOWN = "unknown"
"""What stands for a speaker, a gender or a sentence that nothing tells."""

LOSSLESS = (".wav", ".flac")
UNREAD = (".m4a", ".aac", ".wma", ".opus", ".amr", ".3gp", ".aif", ".aiff", ".au", ".caf")
"""Endings of recordings that are not read; people have them, so they are said to be left out."""


@dataclass(frozen=True)
class Corpus:
    """One corpus: how its files are read and what is known about it."""

    name: str
    """Name of its runs; lower case."""
    title: str
    folder: str
    """Folder below ``data/``, or the path of a corpus of the user's own."""
    scheme: str = ""
    """Regular expression on a file's path below the folder, without its ending: the groups emotion, speaker, sentence, and any
    others, which together name one utterance."""
    emotions: Mapping[str, str] = field(default_factory=dict)
    """Code in the file name to a label, which is a name in `ser_utils.labels.EMOTIONS` or one of `left_out`."""
    genders: Mapping[str, str] = field(default_factory=dict)
    """Speaker to ``female`` or ``male``."""
    sentences: Mapping[str, str] = field(default_factory=dict)
    """Sentence code to what is said; empty where any will do."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Published number of utterances by label."""
    left_out: tuple[str, ...] = ()
    """Labels without a common name, left out unless the user's LABELS say otherwise."""
    other_kinds: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Group of the scheme to the codes of what is no speech recording, and what it is."""
    misspelt: Mapping[str, str] = field(default_factory=dict)
    """Speakers as some file names have them, to their names."""
    also_named: tuple[str, ...] = ()
    """Other names that its folder is known to have."""
    listing: str = ""
    """Name of the CSV that says what each file is, where names do not."""
    listing_speakers: str = ""
    """Name of the CSV with the speakers' genders."""
    n_total: int = 0
    n_speakers: int = 0
    n_sentences: int = 0
    """Published numbers, where `counts`, `genders` and `sentences` do not say them."""
    is_crossed: bool = False
    """Whether its plan is every speaker x every sentence x every emotion, once."""
    is_own: bool = False
    """Whether it is a folder or a CSV of the user's own."""
    language: str = ""
    licence: str = ""
    audio_is_free: bool = False
    """Whether the licence lets reports embed the audio."""
    citation: str = ""
    where: str = ""
    """One sentence on how to get it."""
    notice: str = ""
    """What a reader of any result on this corpus must not miss."""
    known: Mapping[str, str] = field(default_factory=dict)
    """What is unreliable in the data, by topic."""

    @property
    def root(self) -> Path:
        """Its folder: below ``data/`` found in upper or lower case, with or without punctuation."""
        wanted = paths.DATA / self.folder
        if Path(self.folder).is_absolute() or has_audio(wanted) or not paths.DATA.is_dir():
            return wanted
        names = {_bare(name) for name in (self.folder, self.name, *self.also_named)}
        there = [path for path in sorted(paths.DATA.iterdir()) if _bare(path.name) in names and path.is_dir()]
        return next(filter(has_audio, there), wanted)

    @property
    def expected(self) -> dict[str, int]:
        """Utterances by emotion without those left out; empty where it is not published."""
        return {label: n for label, n in self.counts.items() if label not in self.left_out}

    @property
    def n_utterances(self) -> int:
        """Utterances without those left out; 0 where it is not known."""
        return sum(self.expected.values()) or self.n_total


def visible_files(root: Path) -> Iterator[str]:
    """Paths of the files at any depth below `root`, also behind links, without hidden ones and what a Mac adds to archives."""
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        place = os.path.realpath(folder)
        folders[:] = [] if place in seen else [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        if place not in seen:  # a link that leads back up would never end
            yield from (Path(folder, name).relative_to(root).as_posix() for name in names if not name.startswith("."))
        seen.add(place)


def audio_files(root: Path) -> list[Path]:
    """Audio files at any depth below `root`, sorted; hidden ones (also macOS' ``._x.wav``) are not audio."""
    return [root / name for name in sorted(visible_files(root)) if _is_audio(root, name)]


def has_audio(root: Path) -> bool:
    """Whether there is any audio below `root`."""
    return any(_is_audio(root, name) for name in visible_files(root))


def _is_audio(root: Path, name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and (root / name).is_file()


def _bare(name: str) -> str:
    return plain(name).replace("_", "")


@dataclass(frozen=True)
class Listed:
    """One recording as its name or a table lists it: what it is, or why it cannot be used."""

    file: str
    """Relative to the corpus' folder; absolute where it lies elsewhere."""
    emotion: str = ""
    """The corpus' own label."""
    speaker: str = UNKNOWN
    gender: str = UNKNOWN
    sentence: str = UNKNOWN
    key: str = ""
    """The same for two files of one utterance, such as copies in two folders or formats."""
    reason: str = ""
    """Why it cannot be used; empty where it can."""


def unread(root: Path) -> list[Listed]:
    """The recordings below `root` of a kind that is not read."""
    names = sorted(name for name in visible_files(root) if name.lower().endswith(UNREAD))
    return [Listed(name, reason=f"of a kind that is not read: make it one of {', '.join(SUFFIXES)}") for name in names]


def by_scheme(corpus: Corpus, root: Path) -> Iterator[Listed]:
    """The recordings below `root` by a corpus' scheme; lossless ones first, so that they are preferred to their twins."""
    for name in in_order(root):
        try:
            labels, key = read_name(name, corpus)
            yield Listed(name, **labels, key=key)
        except AudioError as error:
            yield Listed(name, reason=str(error))


def in_order(root: Path) -> list[str]:
    """Names of the audio files below `root`, lossless formats first, each sorted."""
    names = [path.relative_to(root).as_posix() for path in audio_files(root)]
    return sorted(names, key=lambda name: not name.lower().endswith(LOSSLESS))


def without_suffix(name: str) -> str:
    """A path without the ending of an audio file."""
    return name[: -len(Path(name).suffix)] if name.lower().endswith(SUFFIXES) else name


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
        raise AudioError(f"its name does not fit the scheme of {corpus.title} ({readable(corpus.scheme)})")
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


def readable(scheme: str) -> str:
    """A scheme's regular expression as a pattern for people: ``{emotion}-{speaker}-{sentence}``."""
    return re.sub(r"\(\?P<(\w+)>(?:\[[^]]*\]|[^)])*\)", r"{\1}", scheme).replace("[/_]", "_")
