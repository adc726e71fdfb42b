"""What the study knows about a corpus, and one of its recordings as a name or a table lists it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ser_utils.core import paths
from ser_utils.core.audio import SUFFIXES
from ser_utils.core.tables import UNKNOWN
from ser_utils.corpora.files import UNREAD_SUFFIXES, has_audio, visible_files
from ser_utils.corpora.labels import plain


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
    """Code in the file name to a label, which is a name in `ser_utils.corpora.labels.EMOTIONS` or one of `left_out`."""
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
    how_to_get: str = ""
    """One sentence on how to get it."""
    notice: str = ""
    """What a reader of any result on this corpus must not miss."""
    known_issues: Mapping[str, str] = field(default_factory=dict)
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


def _bare(name: str) -> str:
    return plain(name).replace("_", "")


@dataclass(frozen=True)
class ListedFile:
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


def unread_files(root: Path) -> list[ListedFile]:
    """The recordings below `root` of a kind that is not read."""
    names = sorted(name for name in visible_files(root) if name.lower().endswith(UNREAD_SUFFIXES))
    return [ListedFile(name, reason=f"of a kind that is not read: make it one of {', '.join(SUFFIXES)}") for name in names]
