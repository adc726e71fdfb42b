"""Corpora: labels from file names, the table of utterances, and messages for unusable input."""

import dataclasses
import zlib

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from ser_utils import corpora
from ser_utils.core import paths
from ser_utils.core.audio import AudioError
from ser_utils.core.errors import StudyError
from ser_utils.core.tables import UTTERANCE_COLUMNS
from ser_utils.corpora.file_names import parse_name
from ser_utils.corpora.files import audio_files
from ser_utils.corpora.labels import EMOTIONS, class_order, relabel
from ser_utils.corpora.lookup import get_corpus
from ser_utils.corpora.registry import CORPORA
from ser_utils.corpora.utterances import utterance_table
from ser_utils.corpora.validation import data_warnings, missing_cells

EMOVO = CORPORA["emovo"]
WORDS = {"neu": "neutral", "dis": "disgust", "gio": "joy", "pau": "fear", "rab": "anger", "sor": "surprise", "tri": "sadness"}
"""EMOVO's codes, abbreviated Italian: neutralità, disgusto, gioia, paura, rabbia, sorpresa, tristezza."""


def hiss(seed=0, channels=1, peak=0.1, size=4_000):
    return np.random.default_rng(seed).uniform(-peak, peak, (size, channels))


def at(root, corpus=EMOVO):
    """Return the corpus with `root` as its folder."""
    return dataclasses.replace(corpus, folder=str(root))


def put(root, *names, sr=16_000, **how):
    """Write a different recording to each name."""
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        sf.write(root / name, hiss(seed=zlib.crc32(f"{i} {name}".encode()), **how), sr)


@pytest.fixture
def table_of(tmp_path):
    """Return the tables of utterances and of skipped files of a folder with these files."""

    def make(*names, **how):
        put(tmp_path, *names, **how)
        return utterance_table(at(tmp_path))

    return make


# The registry


@pytest.mark.parametrize("code", WORDS)
@pytest.mark.parametrize("name", ["emovo", "demo"])
def test_each_code_means_its_italian_word(name, code):
    assert parse_name(f"{code}-f2-b1", CORPORA[name])["emotion"] == WORDS[code]
    assert len(CORPORA[name].emotions) == len(WORDS)


@pytest.mark.parametrize("corpus", CORPORA.values(), ids=CORPORA)
def test_registered_corpus_is_complete(corpus):
    assert CORPORA[corpus.name] is corpus
    assert set(corpus.emotions.values()) <= {*EMOTIONS, *corpus.left_out}
    assert set(corpus.counts) in (set(), set(corpus.emotions.values()))
    assert set(corpus.genders.values()) <= {"female", "male"}
    if corpus.is_crossed:
        assert len(corpus.genders) * len(corpus.emotions) * len(corpus.sentences) == corpus.n_utterances
    assert corpus.how_to_get.endswith(".") and corpus.licence and corpus.citation and corpus.language


@pytest.mark.parametrize(
    ("name", "found"), [("EMOVO", "emovo"), ("Emo-DB", "emodb"), ("cremad", "crema-d"), ("CREMA_D", "crema-d")]
)
def test_corpus_is_found_in_either_case_and_with_or_without_punctuation(name, found):
    assert get_corpus(name) is CORPORA[found]


def test_unknown_corpus_names_those_there_are():
    with pytest.raises(StudyError) as error:
        get_corpus("emodeebee")
    assert str(error.value) == (
        "Unknown corpus 'emodeebee': expected one of demo, emovo, emodb, ravdess, crema-d, savee, tess, emozionalmente, or the "
        "path of your own folder or CSV."
    )


@pytest.mark.parametrize("folder", ["CREMA-D", "crema-d", "CremaD", "crema_d", "crema d", "CREMA"])
def test_folder_is_found_however_it_is_spelt(monkeypatch, tmp_path, folder):
    monkeypatch.setattr(paths, "DATA", tmp_path)
    (tmp_path / "cremad").mkdir()  # empty: another that has audio is meant
    put(tmp_path / folder, "AudioWAV/1001_DFA_ANG_XX.wav")
    assert CORPORA["crema-d"].root == tmp_path / folder


# File names


@pytest.mark.parametrize("stem", ["", "take 1", "rab-m1", "rab_m1_l1", "rab-m1-l1-2", "xrab-m1-l1 ", "rab-x1-l1", "-m1-l1"])
def test_name_outside_the_scheme_is_told_the_scheme(stem):
    with pytest.raises(AudioError) as error:
        parse_name(stem, EMOVO)
    assert str(error.value) == "its name does not fit the scheme of EMOVO ({emotion}-{speaker}-{sentence})"


# The table


def test_row_of_a_recording(table_of):
    utterances, skipped = table_of("m1/rab-m1-l1.wav", size=8_000)
    assert list(utterances.columns) == UTTERANCE_COLUMNS
    assert utterances.drop(columns=["sha256", "level_dbfs", "peak", "audio_sha256"]).to_dict("records") == [
        {
            "file": "m1/rab-m1-l1.wav",
            "corpus": "emovo",
            "speaker": "m1",
            "gender": "male",
            "sentence": "l1",
            "emotion": "anger",
            "duration_s": 0.5,
            "sample_rate": 16_000,
            "channels": 1,
        }
    ]
    assert skipped.empty and list(skipped.columns) == ["file", "reason"]


def test_rows_are_sorted_by_file_however_they_were_written(table_of):
    names = ["m2/joy/gio-m2-l1.flac", "f1/tri-f1-b2.wav", "f1/dis-f1-b1.ogg", "neu-f3-d1.wav"]
    assert list(table_of(*names)[0].file) == sorted(names)


def test_eight_khz_and_stereo_recordings_are_kept(table_of, tmp_path):
    put(tmp_path, "rab-m1-l1.wav", sr=8_000)
    utterances, skipped = table_of("rab-m1-l2.wav", channels=2)
    assert utterances[["sample_rate", "channels"]].to_numpy().tolist() == [[8_000, 1], [16_000, 2]]
    assert skipped.empty


def test_hidden_and_other_files_are_no_recordings(tmp_path):
    tmp_path /= ".data"  # a hidden folder above the corpus hides nothing
    put(tmp_path, "f1/dis-f1-b1.wav", "f1/._dis-f1-b1.wav", ".Trash/dis-f1-b2.wav", "f1/.cache/a/dis-f1-b3.wav")
    for name in (".DS_Store", "f1/.DS_Store", "readme.txt", "f1/dis-f1-b1.txt"):
        (tmp_path / name).write_bytes(b"\0\1")
    (tmp_path / "f1/a.wav").mkdir()
    assert audio_files(tmp_path) == [tmp_path / "f1/dis-f1-b1.wav"]


def test_each_unusable_file_is_skipped_with_its_reason(table_of, tmp_path):
    put(tmp_path, "dis-f1-b1.wav", "bor-f1-b1.wav", "take1.wav")
    (tmp_path / "dis-f1-b2.wav").write_bytes(b"")
    (tmp_path / "dis-f1-b3.wav").write_bytes(b"no audio")
    sf.write(tmp_path / "dis-f1-d1.wav", np.zeros(0), 16_000)
    sf.write(tmp_path / "dis-f1-d2.wav", np.zeros(16_000), 16_000)
    sf.write(tmp_path / "dis-f1-l1.wav", np.full(16_000, np.nan), 16_000, subtype="FLOAT")
    sf.write(tmp_path / "dis-f1-l2.wav", hiss(size=100), 16_000)
    utterances, skipped = table_of()
    assert list(utterances.file) == ["dis-f1-b1.wav"]
    expected = {
        "bor-f1-b1.wav": "its emotion code 'bor'",
        "dis-f1-b2.wav": "not readable as audio",
        "dis-f1-b3.wav": "not readable as audio",
        "dis-f1-d1.wav": "empty: no samples",
        "dis-f1-d2.wav": "silent",
        "dis-f1-l1.wav": "has samples that are not finite numbers",
        "dis-f1-l2.wav": "too short",
        "take1.wav": "its name does not fit the scheme",
    }
    assert list(skipped.file) == list(expected)
    for reason, start in zip(skipped.reason, expected.values(), strict=True):
        assert reason.startswith(start)


@pytest.mark.parametrize(
    ("first", "second"),
    [("dis-f1-b1.flac", "dis-f1-b1.wav"), ("a/dis-f1-b1.wav", "b/dis-f1-b1.wav"), ("a/DIS-f1-b1.wav", "b/dis-f1-B1.wav")],
)
def test_twin_of_an_utterance_is_skipped(table_of, tmp_path, first, second):
    utterances, skipped = table_of(first, second)
    assert list(utterances.file) == [first]
    assert skipped.to_dict("records") == [{"file": second, "reason": f"the same utterance as {first}"}]
    (tmp_path / first).write_bytes(b"")  # an unusable file does not exclude its copy
    assert list(utterance_table(at(tmp_path))[0].file) == [second]


def test_missing_and_empty_folder_say_where_and_how_to_get_it(tmp_path):
    for root, problem in ((tmp_path / "EMOVO", "no such folder"), (tmp_path, "no audio files")):
        with pytest.raises(StudyError) as error:
            utterance_table(at(root))
        assert str(error.value) == f"EMOVO is not in {root}: {problem}. {at(root).instructions}"


def test_folder_where_nothing_fits_says_why_not(table_of):
    with pytest.raises(StudyError) as error:
        table_of("take1.wav", "take2.wav")
    text = str(error.value)
    assert text.startswith("None of the 2 audio files in ") and "can be used as EMOVO; the first, take1.wav: its name" in text


def test_demo_corpus_is_complete():
    utterances, skipped = utterance_table(CORPORA["demo"])
    assert len(utterances) == 168 and skipped.empty
    assert (utterances.groupby(["speaker", "emotion"]).size() == 4).all()
    assert (utterances.groupby("gender").speaker.nunique() == 3).all()
    assert missing_cells(utterances, CORPORA["demo"]).empty
    assert data_warnings(utterances, CORPORA["demo"]) == []


@pytest.mark.skipif(not EMOVO.root.is_dir(), reason="needs the recordings of EMOVO in data/EMOVO")
def test_emovo_names_are_all_read():
    names = pd.DataFrame([parse_name(path.stem, EMOVO) for path in audio_files(EMOVO.root)])
    assert len(names) == 588 and not names.duplicated().any()
    assert (names.emotion.value_counts() == 84).all()
    assert (names.groupby(["speaker", "emotion"]).size() == 14).all()
    assert set(names.sentence) == set(EMOVO.sentences)


# Missing utterances, and warnings

TINY = dataclasses.replace(
    EMOVO,
    genders={"f1": "female"},
    sentences={"b1": "", "b2": ""},
    emotions={"neu": "neutral", "gio": "joy"},
    counts={"neutral": 2, "joy": 2},
)
FULL = ("gio-f1-b1.wav", "gio-f1-b2.wav", "neu-f1-b1.wav", "neu-f1-b2.wav")


def warnings(root, corpus=TINY):
    """Return the warnings except those about few clips and speakers."""
    table, skipped = utterance_table(at(root, corpus))
    return [
        text
        for text in data_warnings(table, corpus, skipped=skipped)
        if not text.startswith(("Emotions with fewer than 10", "There is only one"))
    ]


def test_missing_cells_are_those_of_the_plan_without_a_recording(tmp_path):
    put(tmp_path, *FULL[:3])
    missing = missing_cells(utterance_table(at(tmp_path, TINY))[0], TINY)
    assert missing.to_dict("records") == [{"speaker": "f1", "sentence": "b2", "emotion": "neutral"}]
    put(tmp_path, *FULL)
    missing = missing_cells(utterance_table(at(tmp_path, TINY))[0], TINY)
    assert missing.empty and list(missing.columns) == ["speaker", "sentence", "emotion"]


def test_part_of_a_corpus_is_remarked(tmp_path):
    put(tmp_path, *FULL)
    assert warnings(tmp_path) == []
    (tmp_path / FULL[3]).unlink()
    assert warnings(tmp_path) == ["Found 3 utterances, expected 4: results are not comparable to published ones."]


@pytest.mark.parametrize(
    ("odd", "rest", "expected"),
    [
        (1, 2, "1 file is mono, unlike the others: gio-f1-b1.wav."),
        (2, 1, "1 file is stereo, unlike the others: gio-f1-b1.wav."),
        (4, 2, "1 file is of 4 channels, unlike the others: gio-f1-b1.wav."),
    ],
)
def test_odd_number_of_channels_is_remarked(tmp_path, odd, rest, expected):
    put(tmp_path, *FULL[1:], channels=rest)
    put(tmp_path, FULL[0], channels=odd)
    assert warnings(tmp_path) == [expected]


def test_low_and_mixed_sample_rates_are_remarked(tmp_path):
    put(tmp_path, *FULL[:3])
    put(tmp_path, FULL[3], sr=8_000)
    assert warnings(tmp_path) == [
        "The sample rates differ: 1 at 8000 Hz, 3 at 16000 Hz. If the rate depends on the speaker or the emotion, "
        "a model can use it as a cue.",
        "1 file is sampled below 16 kHz (neu-f1-b2.wav): frequencies above 4000 Hz are missing, and "
        "resampling does not restore them.",
    ]


def test_clipping_is_remarked(tmp_path):
    put(tmp_path, *FULL[:2])
    for name in FULL[2:]:
        sf.write(tmp_path / name, np.clip(hiss(seed=len(name), peak=3, size=4_000 + ord(name[-5])), -1, 1), 16_000)
    assert warnings(tmp_path) == ["2 files reach full scale and may be clipped: neu-f1-b1.wav, neu-f1-b2.wav."]


def test_one_recording_under_two_labels_is_left_out_wholly(tmp_path):
    put(tmp_path, *FULL)
    (tmp_path / FULL[3]).write_bytes((tmp_path / FULL[0]).read_bytes())
    table, skipped = utterance_table(at(tmp_path, TINY))
    assert list(table.file) == [FULL[1], FULL[2]]
    assert skipped.to_dict("records") == [
        {"file": FULL[0], "reason": f"the same recording under another label: {FULL[3]}"},
        {"file": FULL[3], "reason": f"the same recording under another label: {FULL[0]}"},
    ]
    assert warnings(tmp_path)[-1] == "2 files are skipped: the same recording under another label (2)."


def test_one_recording_under_two_names_is_kept_once(tmp_path):
    put(tmp_path, *FULL)
    sf.write(tmp_path / FULL[1], sf.read(tmp_path / FULL[0])[0], 16_000, subtype="PCM_24")  # the same samples, other bytes
    table, skipped = utterance_table(at(tmp_path, TINY))
    assert list(table.file) == [FULL[0], FULL[2], FULL[3]]
    assert skipped.to_dict("records") == [{"file": FULL[1], "reason": f"the same recording as {FULL[0]}"}]


# Labels


def test_relabel_as_the_original_thesis():
    emotions = pd.Series(EMOTIONS, index=range(10, 17))
    kept = relabel(emotions, drop=["joy"], rename={"disgust": "disappointment", "anger": "disappointment"})
    assert kept.to_dict() == {
        10: "neutral",
        11: "disappointment",
        13: "fear",
        14: "disappointment",
        15: "surprise",
        16: "sadness",
    }
    assert class_order(kept) == ["neutral", "disappointment", "fear", "surprise", "sadness"]


@pytest.mark.parametrize(
    ("drop", "rename", "message"),
    [
        (["boredom"], {}, "No utterance has the label 'boredom': the labels are fear, joy."),
        ([], {"boredom": "joy"}, "No utterance has the label 'boredom': the labels are fear, joy."),
        ([], {"joy": "fear"}, "After dropping and renaming, only 'fear' is left"),
        (["joy", "fear"], {}, "After dropping and renaming, no emotion is left"),
    ],
)
def test_relabel_to_unknown_or_too_few_emotions(drop, rename, message):
    with pytest.raises(StudyError, match=f"^{message}"):
        relabel(pd.Series(["joy", "fear"]), drop=drop, rename=rename)


def test_relabel_renames_all_at_once():
    emotions = pd.Series(["joy", "fear", "anger"])
    assert relabel(emotions, drop=[], rename={"joy": "fear", "fear": "joy"}).tolist() == ["fear", "joy", "anger"]
    assert relabel(emotions, drop=[], rename={}).tolist() == emotions.tolist()


def test_class_order_is_fixed_with_new_names_behind():
    assert class_order(pd.Series(["sadness", "zeal", "joy", "awe", "joy", "neutral"])) == [
        "neutral",
        "joy",
        "sadness",
        "awe",
        "zeal",
    ]
    assert tuple(class_order(pd.Series(sorted(EMOTIONS)))) == EMOTIONS


def test_one_sentence_by_one_speaker_in_every_emotion():
    table = pd.DataFrame(
        [(f"{e}-{s}-{t}", s, t, e) for e in ("anger", "joy") for s in ("m1", "f1") for t in ("b2", "b1")],
        columns=["file", "speaker", "sentence", "emotion"],
    )
    assert corpora.one_per_emotion(table).file.tolist() == ["joy-f1-b1", "anger-f1-b1"]
    assert corpora.one_per_emotion(table, speaker="m1", sentence="b2").file.tolist() == ["joy-m1-b2", "anger-m1-b2"]
    with pytest.raises(StudyError, match="No clip has the speaker 'm9': expected one of f1, m1"):
        corpora.one_per_emotion(table, speaker="m9")
    with pytest.raises(StudyError, match="No clip has the sentence 'x1': expected one of b1, b2"):
        corpora.one_per_emotion(table, sentence="x1")
