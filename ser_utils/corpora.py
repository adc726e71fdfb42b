"""Corpora: what their file names say, what they should hold, and the table of utterances that everything starts from.

To add a corpus, add one entry to `CORPORA`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ser_utils import paths
from ser_utils.audio import SUFFIXES, AudioError, describe
from ser_utils.errors import StudyError

EMOTIONS = ("neutral", "disgust", "joy", "fear", "anger", "surprise", "sadness")
"""The names that every corpus' labels are mapped to, in the order in which tables and figures show them."""

UNKNOWN = "unknown"
"""What stands for a speaker, a gender or a sentence that nothing tells."""

COLUMNS = [
    "file",
    "corpus",
    "speaker",
    "gender",
    "sentence",
    "emotion",
    "duration_s",
    "sample_rate",
    "channels",
    "sha256",
    "level_dbfs",
    "peak",
    "audio_sha256",
]
"""Columns of ``utterances.csv``; `file` is relative to the corpus' folder."""

_ORDERED = ("neutral", "disappointment", *EMOTIONS[1:])  # "disappointment": the merged class of the original thesis


@dataclass(frozen=True)
class Corpus:
    """One corpus: how its file names are read and what is known about it."""

    name: str
    title: str
    folder: str
    """Folder below ``data/``."""
    scheme: str
    """Regular expression on the file name without its ending, with the groups emotion, speaker and sentence."""
    emotions: Mapping[str, str]
    """Code in the file name to a name in `EMOTIONS`."""
    genders: Mapping[str, str]
    """Speaker to ``female`` or ``male``."""
    sentences: Mapping[str, str]
    """Sentence code to what is said."""
    n_utterances: int
    language: str
    licence: str
    audio_is_free: bool
    """Whether the licence lets reports embed the audio."""
    citation: str
    where: str
    """One sentence on how to get it."""
    notice: str = ""
    """What a reader of any result on this corpus must not miss."""
    known: Mapping[str, str] = field(default_factory=dict)
    """What is unreliable in the data, by topic."""

    @property
    def root(self) -> Path:
        return paths.DATA / self.folder


_EMOVO_EMOTIONS = {
    "neu": "neutral",
    "dis": "disgust",
    "gio": "joy",
    "pau": "fear",
    "rab": "anger",
    "sor": "surprise",
    "tri": "sadness",
}
_EMOVO_SENTENCES = {
    "b1": "Gli operai si alzano presto.",
    "b2": "I vigili sono muniti di pistola.",
    "b3": "La cascata fa molto rumore.",
    "l1": "L'autunno prossimo Tony partirà per la Spagna nella prima metà di ottobre.",
    "l2": "Ora prendo la felpa di là ed esco per fare una passeggiata.",
    "l3": "Un attimo dopo s'è incamminato ... ed è inciampato.",
    "l4": "Vorrei il numero telefonico del Signor Piatti.",
    "n1": "La casa forte vuole col pane.",
    "n2": "La forza trova il passo e l'aglio rosso.",
    "n3": "Il gatto sta scorrendo nella pera.",
    "n4": "Insalata pastasciutta coscia d'agnello limoncello.",
    "n5": "Uno quarantatré dieci mille cinquantasette venti.",
    "d1": "Sabato sera cosa farà?",
    "d2": "Porti con te quella cosa?",
}
_EMOVO_SCHEME = r"(?P<emotion>[a-z]+)-(?P<speaker>[fm]\d+)-(?P<sentence>[a-z]\d+)"
_EMOVO_GENDERS = {"f1": "female", "f2": "female", "f3": "female", "m1": "male", "m2": "male", "m3": "male"}

DEMO_SENTENCES = ("b1", "l4", "n3", "d2")

CORPORA = {
    "demo": Corpus(
        name="demo",
        title="the embedded demo corpus (synthetic voices)",
        folder="demo",
        scheme=_EMOVO_SCHEME,
        emotions=_EMOVO_EMOTIONS,
        genders=_EMOVO_GENDERS,
        sentences={code: _EMOVO_SENTENCES[code] for code in DEMO_SENTENCES},
        n_utterances=6 * 7 * len(DEMO_SENTENCES),
        language="Italian",
        licence="Apache-2.0, as the study",
        audio_is_free=True,
        citation="data/make_demo.py of this study",
        where="It comes with the study, in data/demo.",
        notice="Synthetic demo voices: these clips are made by a program, not recorded from people, so that the study "
        "runs without a download. Nothing here says how well emotion is heard in real voices.",
    ),
    "emovo": Corpus(
        name="emovo",
        title="EMOVO",
        folder="EMOVO",
        scheme=_EMOVO_SCHEME,
        emotions=_EMOVO_EMOTIONS,
        genders=_EMOVO_GENDERS,
        sentences=_EMOVO_SENTENCES,
        n_utterances=588,
        language="Italian",
        licence="unsettled: the paper states none; secondary sources say non-commercial research use",
        audio_is_free=False,
        citation="G. Costantini, I. Iaderola, A. Paoloni, M. Todisco. EMOVO Corpus: an Italian Emotional Speech "
        "Database. LREC 2014.",
        where="Get it with `python -m ser_utils fetch emovo`, or put its folders f1 f2 f3 m1 m2 m3 into data/EMOVO.",
        known={
            "level": "The recording level was turned down by hand for loud emotions, so absolute level is no clean "
            "cue to emotion."
        },
    ),
}


def get_corpus(name: str) -> Corpus:
    """The registered corpus of that name (upper or lower case).

    Raises
    ------
    StudyError
        There is none of that name.
    """
    if name.lower() not in CORPORA:
        raise StudyError(f"Unknown corpus {name!r}: expected one of {', '.join(CORPORA)}.")
    return CORPORA[name.lower()]


def utterance_table(corpus: Corpus, root: Path | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a corpus' folder into the table of utterances and the table of what was left out.

    Parameters
    ----------
    corpus : Corpus
        The registry's entry.
    root : Path, optional
        Its folder; the default is below ``data/``.

    Returns
    -------
    utterances : pd.DataFrame [columns=COLUMNS]
        One row a usable recording, sorted by file.
    skipped : pd.DataFrame [columns=file, reason]
        Audio files that cannot be used, and why.

    Raises
    ------
    StudyError
        The folder is not there, holds no audio, or none of its audio can be used.
    """
    root = root or corpus.root
    files = audio_files(root)
    if not files:
        found = "no audio files" if root.is_dir() else "no such folder"
        raise StudyError(f"{corpus.title} is not in {_shown(root)}: {found}. {corpus.where}")
    rows, skipped, seen = [], [], {}
    for path in files:
        name = path.relative_to(root).as_posix()
        try:
            labels = parse_name(path.stem, corpus)
            if path.stem.lower() in seen:
                raise AudioError(f"the same utterance as {seen[path.stem.lower()]}")
            rows.append({"file": name, "corpus": corpus.name, **labels, **describe(path)})
            seen[path.stem.lower()] = name  # only now: an unusable file does not keep its twin out
        except AudioError as error:
            skipped.append({"file": name, "reason": str(error)})
    if not rows:
        raise StudyError(
            f"None of the {len(files)} audio files in {_shown(root)} can be used as {corpus.title}; "
            f"the first, {skipped[0]['file']}: {skipped[0]['reason']}."
        )
    return pd.DataFrame(rows, columns=COLUMNS), pd.DataFrame(skipped, columns=["file", "reason"])


def read_utterances(path: Path) -> pd.DataFrame:
    """Read ``utterances.csv``: names such as ``03`` or ``NA`` stay the texts they are."""
    text = dict.fromkeys(("file", "corpus", "speaker", "gender", "sentence", "emotion", "sha256", "audio_sha256"), str)
    return pd.read_csv(path, dtype=text, keep_default_na=False, na_values={})


def audio_files(root: Path) -> list[Path]:
    """Audio files at any depth below `root`, sorted; hidden ones (also macOS' ``._x.wav``) are not audio."""
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.suffix.lower() in SUFFIXES)
    return [root / name for name in names if not re.search(r"(^|/)\.", name) and (root / name).is_file()]


def parse_name(stem: str, corpus: Corpus) -> dict[str, str]:
    """What a file name says: speaker, gender, sentence, emotion.

    Raises
    ------
    AudioError
        The name does not fit the scheme, or its emotion code, speaker or sentence is not among the corpus'.
    """
    match = re.fullmatch(corpus.scheme, stem, re.IGNORECASE)
    if not match:
        raise AudioError(f"its name does not fit the scheme of {corpus.title} ({_readable(corpus.scheme)})")
    code, speaker, sentence = (match[group].lower() for group in ("emotion", "speaker", "sentence"))
    for what, found, known in (
        ("emotion code", code, corpus.emotions),
        ("speaker", speaker, corpus.genders),
        ("sentence", sentence, corpus.sentences),
    ):
        if found not in known:
            raise AudioError(f"its {what} {found!r} is not one of {', '.join(known)}")
    return {
        "speaker": speaker,
        "gender": corpus.genders[speaker],
        "sentence": sentence,
        "emotion": corpus.emotions[code],
    }


def one_per_emotion(utterances: pd.DataFrame, *, speaker: str = "", sentence: str = "") -> pd.DataFrame:
    """The clips of one sentence by one speaker, one row an emotion; empty names stand for the first there is.

    Raises
    ------
    StudyError
        The speaker or the sentence is not in the corpus, or the speaker does not say it.
    """
    clips = utterances
    for name, wanted in (("speaker", speaker), ("sentence", sentence)):
        there = sorted(clips[name].unique())
        if wanted and wanted not in there:
            raise StudyError(f"No clip has the {name} {wanted!r}: expected one of {', '.join(there)}.")
        clips = clips[clips[name] == (wanted or there[0])]
    order = class_order(clips.emotion)
    return clips.set_index("emotion").loc[order].reset_index()


def missing_cells(utterances: pd.DataFrame, corpus: Corpus) -> pd.DataFrame:
    """The utterances that a complete corpus has and this one lacks: speaker, sentence, emotion."""
    expected = pd.MultiIndex.from_product(
        [corpus.genders, corpus.sentences, corpus.emotions.values()], names=["speaker", "sentence", "emotion"]
    )
    found = pd.MultiIndex.from_frame(utterances[expected.names])
    return expected.difference(found, sort=None).to_frame(index=False)


def remarks(utterances: pd.DataFrame, corpus: Corpus) -> list[str]:
    """Sentences on what in the recordings could fool a model or a reader."""
    said = []
    if len(utterances) != corpus.n_utterances:
        said.append(
            f"Found {len(utterances)} utterances, expected {corpus.n_utterances}: results on a part of "
            "a corpus do not compare with published ones."
        )
    for channels, clips in utterances.groupby("channels"):
        if channels != utterances.channels.mode()[0]:
            kind = {1: "mono", 2: "stereo"}.get(channels, f"of {channels} channels")
            said.append(f"{_counted(clips, 'is', 'are')} {kind}, unlike the rest: {_some(clips)}.")
    if utterances.sample_rate.nunique() > 1:
        said.append(
            "The sample rates differ: "
            + ", ".join(f"{count} at {rate} Hz" for rate, count in utterances.sample_rate.value_counts().sort_index().items())
            + ". Where that goes with the speaker or the emotion, a model can hear it."
        )
    low, clipped = utterances[utterances.sample_rate < 16_000], utterances[utterances.peak >= 0.999]
    twice = utterances[utterances.audio_sha256.duplicated(keep=False)]
    if len(low):
        said.append(
            f"{_counted(low, 'is', 'are')} sampled below 16 kHz ({_some(low)}): what lay above "
            f"{low.sample_rate.min() // 2} Hz is lost, and no resampling brings it back."
        )
    if len(clipped):
        said.append(f"{_counted(clipped, 'reaches', 'reach')} full scale and may be clipped: {_some(clipped)}.")
    if len(twice):
        said.append(f"{len(twice)} files hold the same recording as another file: {_some(twice)}.")
    return said


def _counted(clips: pd.DataFrame, one: str, more: str) -> str:
    """``1 file`` or ``7 files``, with the verb that goes with it."""
    return f"1 file {one}" if len(clips) == 1 else f"{len(clips)} files {more}"


def _some(clips: pd.DataFrame) -> str:
    """The first few files' names."""
    return ", ".join(clips.file[:4]) + (" ..." if len(clips) > 4 else "")


def relabel(emotions: pd.Series, *, drop: list[str], rename: Mapping[str, str]) -> pd.Series:
    """Drop and rename (or merge) emotions: first the drops, then the renames.

    Parameters
    ----------
    emotions : pd.Series
        Labels of utterances.
    drop : list of str
        Emotions to leave out.
    rename : mapping
        Old name to new name; two old names with one new name are merged.

    Returns
    -------
    pd.Series
        The labels that remain, with their index.

    Raises
    ------
    StudyError
        An emotion to drop or rename is not there, or fewer than two classes remain.
    """
    there = set(emotions)
    for name in [*drop, *rename]:
        if name not in there:
            raise StudyError(f"No utterance is labelled {name!r}: there are {', '.join(sorted(there))}.")
    kept = emotions[~emotions.isin(drop)].replace(dict(rename))
    if kept.nunique() < 2:
        left = f"only {kept.iloc[0]!r} is" if len(kept) else "no emotion is"
        raise StudyError(f"After dropping and renaming, {left} left: a classifier needs two emotions or more.")
    return kept


def class_order(emotions: pd.Series) -> list[str]:
    """The classes among `emotions` in the order of `EMOTIONS`, others behind them by the alphabet."""
    there = set(emotions)
    return [name for name in _ORDERED if name in there] + sorted(there.difference(_ORDERED))


def _shown(path: Path) -> str:
    """A path as a user would type it from the study's folder."""
    return path.relative_to(paths.ROOT).as_posix() if path.is_relative_to(paths.ROOT) else str(path)


def _readable(scheme: str) -> str:
    """A scheme's regular expression as a pattern for people: ``{emotion}-{speaker}-{sentence}``."""
    return re.sub(r"\(\?P<(\w+)>(?:\[[^]]*\]|[^)])*\)", r"{\1}", scheme)
