"""Dataclasses that describe a corpus, its download and one of its recordings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ser_utils.core import paths
from ser_utils.core.tables import UNKNOWN
from ser_utils.corpora.files import has_audio
from ser_utils.corpora.labels import bare


@dataclass(frozen=True)
class Download:
    """A zip archive of a corpus. It is verified by its MD5, or by the SHA-256 of each file where the archive's bytes vary."""

    url: str
    archive_bytes: int
    """Approximate size of the archive."""
    md5: str = ""
    """MD5 of the archive; empty where `file_checksums` is set."""
    file_checksums: Path | None = None
    """File of lines "SHA-256, two spaces, path below the corpus' folder"."""


@dataclass(frozen=True)
class Corpus:
    """A corpus: how its files are read, how to get it, and its published properties."""

    name: str
    """Name of its runs; lower case."""
    title: str
    folder: str
    """Folder below ``data/``, or the path of the user's own corpus."""
    scheme: str = ""
    """Regular expression for a file's path below the folder, without suffix. Its groups are emotion, speaker, sentence, and
    any others; all groups together identify one utterance."""
    emotions: Mapping[str, str] = field(default_factory=dict)
    """Code in the file name to label: one of `ser_utils.corpora.labels.EMOTIONS` or of `left_out`."""
    genders: Mapping[str, str] = field(default_factory=dict)
    """Speaker to ``female`` or ``male``."""
    sentences: Mapping[str, str] = field(default_factory=dict)
    """Sentence code to text; empty where any code is accepted."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Published number of utterances by label."""
    left_out: tuple[str, ...] = ()
    """Labels without a common name, left out unless the user's LABELS map them."""
    excluded_codes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Group of the scheme to the codes of recordings that are not speech, with the reason for each."""
    speaker_aliases: Mapping[str, str] = field(default_factory=dict)
    """Misspelt speaker in some file names to the correct speaker."""
    folder_aliases: tuple[str, ...] = ()
    """Other common names of the folder."""
    listing: str = ""
    """Name of the CSV that lists the recordings and their labels, for corpora without labels in file names."""
    listing_speakers: str = ""
    """Name of the CSV that lists the speakers' genders."""
    n_total: int = 0
    n_speakers: int = 0
    n_sentences: int = 0
    """Published numbers, for corpora without `counts`, `genders` or `sentences`."""
    is_crossed: bool = False
    """Whether every speaker says every sentence once in every emotion."""
    is_own: bool = False
    """Whether it is the user's own folder or CSV."""
    language: str = ""
    licence: str = ""
    audio_is_free: bool = False
    """Whether the licence lets reports embed the audio."""
    citation: str = ""
    how_to_get: str = ""
    """One sentence on how to get it by hand; ``{folder}`` stands for the path of its folder."""
    download: Download | None = None
    notice: str = ""
    """Warning that every report on this corpus shows."""
    known_issues: Mapping[str, str] = field(default_factory=dict)
    """Known problems of the data, by topic."""

    @property
    def root(self) -> Path:
        """Folder of the corpus; below ``data/`` its name may differ in case and punctuation."""
        default = paths.DATA / self.folder
        if Path(self.folder).is_absolute() or has_audio(default) or not paths.DATA.is_dir():
            return default
        names = {bare(name) for name in (self.folder, self.name, *self.folder_aliases)}
        candidates = [path for path in sorted(paths.DATA.iterdir()) if bare(path.name) in names and path.is_dir()]
        return next(filter(has_audio, candidates), default)

    @property
    def by_hand(self) -> str:
        """`how_to_get` with the path of the folder, as a clause."""
        text = self.how_to_get.replace("{folder}", paths.shown(paths.DATA / self.folder))
        return text[:1].lower() + text[1:].rstrip(".")

    @property
    def instructions(self) -> str:
        """One sentence on how to get the corpus: by its download, if it has one, or by hand."""
        text = f"get it with `python -m ser_utils fetch {self.name}`, or {self.by_hand}" if self.download else self.by_hand
        return f"{text[:1].upper()}{text[1:]}."

    @property
    def n_utterances(self) -> int:
        """Published number of utterances, without `left_out`; 0 if unpublished."""
        return sum(n for label, n in self.counts.items() if label not in self.left_out) or self.n_total


@dataclass(frozen=True)
class ListedFile:
    """One recording with the labels from its file name or from a CSV, or the reason why it is not used."""

    file: str
    """Path relative to the corpus' folder; absolute if it is elsewhere."""
    emotion: str = ""
    """The corpus' own label."""
    speaker: str = UNKNOWN
    gender: str = UNKNOWN
    sentence: str = UNKNOWN
    key: str = ""
    """Identifier of the utterance, shared by copies in other folders or formats."""
    reason: str = ""
    """Why the recording is not used; empty if it is."""
