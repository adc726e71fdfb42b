"""The registered corpora: their schemes, in all common folder layouts."""

import pytest
from recordings import CREMA_D, EMODB, EMOZIONALMENTE, RAVDESS, SAVEE, TESS, put, put_emozionalmente, tone

from ser_utils import corpora
from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.corpora.labels import EMOTIONS
from ser_utils.corpora.lookup import get_corpus
from ser_utils.corpora.registry import CORPORA
from ser_utils.corpora.utterances import utterance_table

SIX = set(EMOTIONS) - {"surprise"}


@pytest.fixture
def data(tmp_path, monkeypatch):
    """The folder that stands for ``data/``."""
    monkeypatch.setattr(paths, "DATA", tmp_path / "data")
    return tmp_path / "data"


def files(layout, stems):
    """The stems' paths in a layout: a format, or a function of the stem."""
    return [layout.format(stem=stem) if isinstance(layout, str) else layout(stem) for stem in stems]


# The published facts


@pytest.mark.parametrize(
    ("name", "n", "n_published", "speakers", "female", "sentences"),
    [
        ("emovo", 588, 588, 6, 3, 14),
        ("emodb", 454, 535, 10, 5, 10),
        ("ravdess", 1248, 1440, 24, 12, 2),
        ("crema-d", 7442, 7442, 91, 43, 12),
        ("savee", 480, 480, 4, 0, 30),
        ("tess", 2800, 2800, 2, 2, 200),
        ("emozionalmente", 6902, 6902, 431, 0, 18),
    ],
)
def test_published_numbers(name, n, n_published, speakers, female, sentences):
    corpus = CORPORA[name]
    assert corpus.n_utterances == n
    assert sum(corpus.counts.values()) in (0, n_published)
    assert (len(corpus.genders) or corpus.n_speakers) == speakers
    assert (len(corpus.sentences) or corpus.n_sentences) == sentences
    assert list(corpus.genders.values()).count("female") == female


def test_genders_of_single_speakers():
    genders = {name: CORPORA[name].genders for name in CORPORA}
    assert [genders["emodb"][who] for who in ["03", "08", "09", "10", "11", "12", "13", "14", "15", "16"]] == [
        {"m": "male", "f": "female"}[letter] for letter in "mffmmmffmf"
    ]
    assert genders["ravdess"]["11"] == "male" and genders["ravdess"]["12"] == "female"
    assert genders["crema-d"]["1001"] == "male" and genders["crema-d"]["1091"] == "female"


@pytest.mark.parametrize(
    ("corpus", "name", "speaker", "gender", "sentence", "emotion"),
    [
        ("emovo", "rab-m1-l1", "m1", "male", "l1", "anger"),
        ("emovo", "M1/RAB-M1-L1", "m1", "male", "l1", "anger"),
        ("emodb", "03a01Fa", "03", "male", "a01", "joy"),
        ("emodb", "wav/16B10Wb", "16", "female", "b10", "anger"),
        ("emodb", "14a05Lc", "14", "female", "a05", "boredom"),
        ("ravdess", "Actor_12/03-01-06-01-02-01-12", "12", "female", "02", "fear"),
        ("ravdess", "01-01-02-02-01-02-01", "01", "male", "01", "calm"),
        ("crema-d", "AudioWAV/1001_DFA_ANG_XX", "1001", "male", "DFA", "anger"),
        ("crema-d", "1040_ith_sad_x", "1040", "male", "ITH", "sadness"),
        ("savee", "DC_a01", "DC", "male", "01", "anger"),
        ("savee", "AudioData/kl/SU15", "KL", "male", "15", "surprise"),
        ("savee", "ALL/JK_sa03", "JK", "male", "03", "sadness"),
        ("tess", "OAF_Sad/OAF_back_sad", "OAF", "female", "back", "sadness"),
        ("tess", "YAF_pleasant_surprised/YAF_food_ps", "YAF", "female", "food", "surprise"),
        ("tess", "OAF_neutral/OA_bite_neutral", "OAF", "female", "bite", "neutral"),
    ],
)
def test_names_are_read_by_the_scheme(corpus, name, speaker, gender, sentence, emotion):
    expected = {"speaker": speaker, "gender": gender, "sentence": sentence, "emotion": emotion}
    assert corpora.parse_name(name, CORPORA[corpus]) == expected


# Layouts


LAYOUTS = [
    ("EmoDB", "emodb", EMODB, "{stem}.wav", SIX),
    ("emo-db", "emodb", EMODB, "download/wav/{stem}.wav", SIX),
    ("EMODB", "emodb", EMODB, lambda stem: f"WAV/{stem.upper()}.WAV", SIX),
    ("emodb", "emodb", EMODB, "{stem}.flac", SIX),
    ("berlin-database-of-emotional-speech-emodb", "emodb", EMODB, "wav/{stem}.wav", SIX),
    ("RAVDESS", "ravdess", RAVDESS, lambda stem: f"Actor_{stem[-2:]}/{stem}.wav", set(EMOTIONS)),
    ("ravdess", "ravdess", RAVDESS, lambda stem: f"audio_speech_actors_01-24/actor_{stem[-2:]}/{stem}.wav", set(EMOTIONS)),
    ("Audio_Speech_Actors_01-24", "ravdess", RAVDESS, "{stem}.wav", set(EMOTIONS)),
    ("CREMA-D", "crema-d", CREMA_D, "AudioWAV/{stem}.wav", SIX),
    ("cremad", "crema-d", CREMA_D, "{stem}.mp3", SIX),
    ("CREMA-D-master", "crema-d", CREMA_D, "AudioWAV/{stem}.wav", SIX),
    ("SAVEE", "savee", SAVEE, lambda stem: f"AudioData/{stem.replace('_', '/')}.wav", set(EMOTIONS)),
    ("savee", "savee", SAVEE, "ALL/{stem}.wav", set(EMOTIONS)),
    ("Savee", "savee", SAVEE, lambda stem: f"{stem[:2]}/{stem.lower()}.wav", set(EMOTIONS)),
    ("TESS", "tess", TESS, "YAF_pleasant_surprised/{stem}.wav", set(EMOTIONS)),
    ("tess", "tess", TESS, "{stem}.wav", set(EMOTIONS)),
    ("TESS Toronto emotional speech set data", "tess", TESS, "Tess/OAF_Fear/{stem}.WAV", set(EMOTIONS)),
]


@pytest.mark.parametrize(
    ("folder", "name", "stems", "layout", "emotions"), LAYOUTS, ids=[f"{row[0]} {i}" for i, row in enumerate(LAYOUTS)]
)
def test_each_layout_is_read_wholly(data, folder, name, stems, layout, emotions):
    put(data / folder, *files(layout, stems))
    for stray in (".DS_Store", "README.txt", "Thumbs.db"):
        (data / folder / stray).write_bytes(b"\0")
    put(data / folder, "._stray.wav", "__MACOSX/stray.wav")
    corpus = get_corpus(name)
    utterances, skipped = utterance_table(corpus)
    assert len(utterances) + len(skipped) == len(stems)
    assert skipped.reason.str.match("labelled (boredom|calm), which is left out").all()
    assert set(utterances.emotion) == emotions
    assert utterances.groupby("emotion").size().nunique() == 1
    assert set(utterances.speaker) <= set(corpus.genders) and utterances.gender.isin(["female", "male"]).all()
    assert (utterances.corpus == corpus.name).all()


@pytest.mark.parametrize(
    ("name", "stems", "one", "other"),
    [
        ("ravdess", RAVDESS, "Actor_01/{stem}.wav", "audio_speech_actors_01-24/Actor_01/{stem}.wav"),
        ("tess", TESS, "OAF_angry/{stem}.wav", "TESS Toronto emotional speech set data/OAF_angry/{stem}.wav"),
        ("crema-d", CREMA_D, "AudioWAV/{stem}.wav", "AudioMP3/{stem}.mp3"),
        ("savee", SAVEE, "ALL/{stem}.wav", lambda stem: f"AudioData/{stem.replace('_', '/')}.wav"),
        ("emodb", EMODB, "wav/{stem}.wav", "wav_laryng/{stem}.wav"),
    ],
)
def test_copies_are_read_once_and_said(data, name, stems, one, other):
    put(data / name, *files(one, stems), *files(other, stems))
    utterances, skipped = utterance_table(get_corpus(name))
    twins = skipped[skipped.reason.str.startswith("the same utterance as ")]
    assert len(twins) == len(utterances)
    assert utterances.file.str.startswith(one.split("/")[0]).all()


def test_two_versions_of_an_utterance_are_two(data):
    put(data / "EmoDB", "03a01Fa.wav", "03a01Fb.wav", "03a01Wa.wav", "03a01Wc.wav")
    put(data / "CREMA-D", "1001_IEO_ANG_LO.wav", "1001_IEO_ANG_HI.wav")
    put(data / "RAVDESS", "03-01-03-01-01-01-01.wav", "03-01-03-01-01-02-01.wav", "03-01-03-02-01-01-01.wav")
    for name, n in (("emodb", 4), ("crema-d", 2), ("ravdess", 3)):
        utterances, skipped = utterance_table(get_corpus(name))
        assert len(utterances) == n and skipped.empty
    assert corpora.one_per_emotion(utterance_table(get_corpus("emodb"))[0]).file.tolist() == ["03a01Fa.wav", "03a01Wa.wav"]


def test_emozionalmente_is_read_from_its_metadata(data):
    put_emozionalmente(data / "emozionalmente_dataset" / "emozionalmente")
    put(data / "emozionalmente_dataset", "emozionalmente/audio/1.wav")
    (data / "emozionalmente_dataset" / "emozionalmente" / "audio" / f"{EMOZIONALMENTE[0][0]}.wav").unlink()
    utterances, skipped = utterance_table(get_corpus("emozionalmente"))
    assert len(utterances) == len(EMOZIONALMENTE) - 1
    assert skipped.reason.tolist() == ["not found, but listed in samples.csv: line 2", "not listed in samples.csv"]
    assert set(utterances.emotion) == set(EMOTIONS)
    by_speaker = utterances.groupby("speaker").gender.unique().map(list).to_dict()
    assert by_speaker == {"anna": ["female"], "bruno": ["male"]}
    assert set(utterances.sentence) == {"Ciao, come stai?", "Oggi piove."}
    assert {"samples.csv", "users.csv"} <= {name.rsplit("/")[-1] for name in corpora.input_files(get_corpus("emozionalmente"))}


def test_no_file_and_no_row_of_emozionalmente_is_lost(data):
    root, (first, second, *others) = data / "Emozionalmente", [row[0] for row in EMOZIONALMENTE]
    put_emozionalmente(root)
    put(root, *(f"old/{name}.wav" for name in (first, second, *others)), f"mp3/{first}.mp3", "audio/spare.wav", "old/spare.wav")
    with (root / "metadata" / "samples.csv").open("a") as file:
        for name, emotion in ((first, "anger"), (second, "joy"), ("gone", "joy"), ("gone", "joy")):
            file.write(f"\n90,{name}.wav,anna,x,{emotion}")
    utterances, skipped = utterance_table(get_corpus("emozionalmente"))
    assert utterances.file.tolist() == [f"audio/{name}.wav" for name in (first, *others)]
    reasons = skipped.groupby("file").reason.apply(list).to_dict()
    labels = [f"has two labels in samples.csv: {label}" for label in ("disgust in line 3", "joy in line 31")]
    assert reasons == {
        f"audio/{first}.wav": ["listed twice in samples.csv: again in line 30"],
        f"mp3/{first}.mp3": [f"the same utterance as audio/{first}.wav"],
        f"audio/{second}.wav": labels,
        f"old/{second}.wav": labels[:1],
        "gone.wav": ["listed twice in samples.csv: again in line 33", "not found, but listed in samples.csv: line 32"],
        "audio/spare.wav": ["not listed in samples.csv"],
        "old/spare.wav": ["not listed in samples.csv"],
        **{f"old/{name}.wav": [f"the same utterance as audio/{name}.wav"] for name in (first, *others)},
    }


def test_emozionalmente_without_its_metadata_says_what_is_missing(data):
    put(data / "Emozionalmente", "audio/1.wav")
    with pytest.raises(StudyError, match="lacks samples.csv, which has its labels. Get it with"):
        utterance_table(get_corpus("emozionalmente"))


# What is left out, and why


def test_what_is_no_speech_recording_is_skipped_with_its_reason(data):
    put(
        data / "ravdess",
        "03-01-03-01-01-01-01.wav",
        "03-02-03-01-01-01-01.wav",
        "02-01-03-01-01-01-01.wav",
        "03-01-09-01-01-01-01.wav",
    )
    skipped = utterance_table(get_corpus("ravdess"))[1].set_index("file").reason
    assert skipped["03-02-03-01-01-01-01.wav"] == "song, not speech: channel 02"
    assert skipped["02-01-03-01-01-01-01.wav"] == "video without sound: modality 02"
    assert skipped["03-01-09-01-01-01-01.wav"] == "its emotion code '09' is not one of 01, 02, 03, 04, 05, 06, 07, 08"


@pytest.mark.parametrize(
    ("name", "file", "reason"),
    [
        ("emodb", "04a01Fa.wav", "its speaker '04' is not one of 03, 08, 09"),
        ("emodb", "03a03Fa.wav", "its sentence 'a03' is not one of a01, a02"),
        ("emodb", "03a01Xa.wav", "its emotion code 'x' is not one of W, L, E"),
        ("emodb", "03a01F12.wav", "its name does not fit the scheme of EmoDB ({speaker}{sentence}{emotion}{version})"),
        ("crema-d", "1092_DFA_ANG_XX.wav", "its speaker '1092' is not one of 1001, 1002, 1003, ..., 1091"),
        ("tess", "OAF_back_calm.wav", "its emotion code 'calm' is not one of angry, disgust"),
    ],
)
def test_a_name_outside_the_plan_is_skipped_with_its_reason(data, name, file, reason):
    put(data / name, *files("{stem}.wav", {"emodb": EMODB, "crema-d": CREMA_D, "tess": TESS}[name]), file)
    skipped = utterance_table(get_corpus(name))[1].set_index("file").reason
    assert skipped[file].startswith(reason)


def test_boredom_and_calm_are_left_out_unless_labels_say_otherwise(data):
    put(data / "emodb", *files("{stem}.wav", EMODB))
    corpus = get_corpus("emodb")
    utterances, skipped = utterance_table(corpus)
    assert len(skipped) == 4 and "boredom" not in set(utterances.emotion)
    how = 'LABELS=\'{"boredom": "boredom"}\' keeps it as a separate class'
    assert set(skipped.reason) == {f"labelled boredom, which is left out: {how}"}
    kept, skipped = utterance_table(corpus, {"boredom": "boredom"})
    assert len(kept) == len(EMODB) and skipped.empty and (kept.emotion == "boredom").sum() == 4
    merged, _ = utterance_table(corpus, {"boredom": "neutral", "anger": ""})
    assert (merged.emotion == "neutral").sum() == 8 and "anger" not in set(merged.emotion)
    with pytest.raises(StudyError, match="^LABELS maps 'boredom' to 'sleepy': expected one of neutral, disgust"):
        utterance_table(corpus, {"boredom": "sleepy"})


def test_expected_numbers_follow_the_labels(data):
    put(data / "emodb", *files("{stem}.wav", EMODB))
    corpus = get_corpus("emodb")
    for labels, expected in (({}, 454), ({"boredom": "boredom"}, 535), ({"boredom": "neutral", "joy": ""}, 464)):
        table, _ = utterance_table(corpus, labels)
        assert corpora.validation_table(table, corpus, labels).expected["utterances"] == expected
    assert corpora.counts_by_class(table, corpus, labels).expected["neutral"] == 79 + 81


def test_git_lfs_pointers_say_how_to_get_the_audio(data):
    put(data / "CREMA-D", "AudioWAV/1001_DFA_ANG_XX.wav")
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    (data / "CREMA-D/AudioWAV/1002_DFA_ANG_XX.wav").write_bytes(pointer)
    skipped = utterance_table(get_corpus("crema-d"))[1]
    assert skipped.reason.tolist() == ["a Git LFS pointer: run `git lfs pull` to get the audio"]


# Validation


def test_found_beside_expected(data):
    put(data / "ravdess", *files("{stem}.wav", RAVDESS))
    corpus = get_corpus("ravdess")
    table, skipped = utterance_table(corpus)
    shown = corpora.validation_table(table, corpus)
    assert shown.found.to_dict() == {"utterances": 28, "speakers": 2, "emotions": 7, "sentences": 2, "minutes": 0.1}
    assert shown.expected.to_dict() == {"utterances": 1248, "speakers": 24, "emotions": 7, "sentences": 2, "minutes": ""}
    classes = corpora.counts_by_class(table, corpus)
    assert classes.loc["neutral"].to_dict() == {"clips": 4, "share": 14.3, "expected": 96, "minutes": 0.0, "speakers": 2}
    assert len(corpora.missing_cells(table, corpus)) == 22 * 7
    assert list(corpora.missing_cells(table, corpus)) == ["speaker", "emotion"]
    assert corpora.skipped_by_reason(skipped)[["reason", "files"]].to_numpy().tolist() == [["labelled calm", 4]]
    warnings = corpora.data_warnings(table, corpus, skipped=skipped)
    assert warnings[0].startswith("Found 28 utterances, expected 1248: results are not comparable to published ones")
    assert "4 files are skipped: labelled calm (4)." in warnings


def test_an_emotion_that_is_wholly_missing_is_shown(data):
    put(data / "tess", *(f"{stem}.wav" for stem in TESS if "_ps" not in stem))
    corpus = get_corpus("tess")
    table, _ = utterance_table(corpus)
    assert corpora.counts_by_class(table, corpus).loc["surprise", ["clips", "expected"]].tolist() == [0, 400]
    assert corpora.missing_cells(table, corpus).to_dict("list") == {
        "speaker": ["OAF", "YAF"],
        "emotion": ["surprise", "surprise"],
    }


def test_many_speakers_are_cut_to_those_with_the_most_clips(data):
    put(data / "crema-d", *(f"{who}_DFA_{code}_XX.wav" for who in range(1001, 1031) for code in ("ANG", "SAD")))
    tone(data / "crema-d" / "1030_DFA_HAP_XX.wav")
    table, _ = utterance_table(get_corpus("crema-d"))
    shown = corpora.speakers_with_most_clips(table)
    assert sorted(shown.speaker.unique(), key=int) == [*map(str, range(1001, 1024)), "1030"]
