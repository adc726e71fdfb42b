"""The user's own corpora, folders and CSVs: reading, and messages for unusable input."""

import os
import re
import shutil
import unicodedata

import pytest
from recordings import EMODB, RAVDESS, SAVEE, put

from ser_utils import __main__, corpora
from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.core.tables import UNKNOWN
from ser_utils.corpora import download
from ser_utils.corpora.labels import ALIASES, plain
from ser_utils.corpora.lookup import get_corpus
from ser_utils.corpora.utterances import utterance_table
from ser_utils.study import runner

SPEAKERS, LABELS = ("anna", "bruno"), ("happy", "Sad", "NEUTRAL")
FOLDERS = [f"{label}/{who}-{i}.wav" for label in LABELS for who in SPEAKERS for i in range(2)]
SPEAKER_FOLDERS = [f"{who}/{label}/{i}.wav" for who in SPEAKERS for label in LABELS for i in range(2)]
PATTERNED = [f"{who}_{label}_{i}.wav" for who in SPEAKERS for label in LABELS for i in ("s1", "s2")]


@pytest.fixture
def mine(tmp_path):
    """A folder of the user's own."""
    (tmp_path / "My Voices").mkdir()
    return tmp_path / "My Voices"


def table(path, scheme="", **labels):
    return utterance_table(get_corpus(str(path), scheme), labels)


def sentence(path, scheme="", **labels):
    """Return the error message of a corpus that cannot be read: one sentence, which may contain an example."""
    with pytest.raises(StudyError) as error:
        table(path, scheme, **labels)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")
    return str(error.value)


# Which corpus, and the name of its runs


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("My Voices", "my_voices"),
        ("Città-2", "citta_2"),
        ("EmoDB", "emodb_own"),
        ("crema-d", "crema_d_own"),
        ("demo", "demo_own"),
        ("2024", "2024"),
        ("声", "corpus"),
    ],
)
def test_a_run_is_named_as_its_folder(tmp_path, folder, name):
    (tmp_path / folder).mkdir()
    corpus = get_corpus(str(tmp_path / folder))
    assert corpus.name == name and corpus.is_own and corpus.root == tmp_path / folder
    assert paths.run_name(corpus.name, "x") == f"{name}-x"
    assert not corpus.audio_is_free and corpus.title == folder and corpus.sentences == {} and corpus.notice == ""


def test_a_path_may_be_relative_to_where_one_stands_or_to_home(mine, monkeypatch):
    monkeypatch.chdir(mine)
    for path in (".", "./", "../My Voices"):
        assert get_corpus(path).root == mine
    monkeypatch.setenv("HOME", str(mine.parent))
    assert get_corpus("~/My Voices").root == mine


def test_a_known_name_is_the_known_corpus_even_where_a_folder_is_called_so(mine, monkeypatch):
    (mine / "demo").mkdir()
    monkeypatch.chdir(mine)
    assert get_corpus("demo") is corpora.CORPORA["demo"]
    assert get_corpus("./demo").name == "demo_own"


def test_a_path_that_is_not_there_or_no_corpus_is_said(mine):
    assert sentence(mine / "nothing").startswith(f"There is no folder or CSV {mine / 'nothing'}: expected the path of a fol")
    put(mine, "a.wav")
    assert sentence(mine / "a.wav").startswith(f"{mine / 'a.wav'} is neither a folder nor a CSV")


# Folders


def test_a_folder_per_emotion(mine):
    put(mine, *FOLDERS)
    utterances, skipped = table(mine)
    assert utterances.emotion.value_counts().to_dict() == {"joy": 4, "sadness": 4, "neutral": 4}
    assert set(utterances.speaker) == set(utterances.gender) == set(utterances.sentence) == {UNKNOWN}
    assert skipped.empty and (utterances.corpus == "my_voices").all()
    assert corpora.describe_reading(get_corpus(str(mine))).startswith("Read as one folder per emotion, without speakers")


@pytest.mark.parametrize("above", ["", "wav/", "data/wav/"])
def test_a_folder_above_the_emotions_is_the_speaker(mine, above):
    put(mine, *(above + name for name in SPEAKER_FOLDERS))
    utterances, _ = table(mine)
    assert set(utterances.speaker) == set(SPEAKERS)
    assert (utterances.groupby("speaker").emotion.nunique() == 3).all()
    assert "within one folder per speaker" in corpora.describe_reading(get_corpus(str(mine)))
    put(mine, "happy/9.wav")  # not every file is in the folder of a speaker
    assert set(table(mine)[0].speaker) == {UNKNOWN}


def test_folders_that_are_no_speakers(mine):
    put(mine, *(f"{part}/{label}/{i}.wav" for part in ("train", "test") for label in LABELS for i in range(2)))
    assert set(table(mine)[0].speaker) == {UNKNOWN}
    shutil.rmtree(mine / "test")
    assert set(table(mine)[0].speaker) == {UNKNOWN}
    shutil.rmtree(mine)
    put(mine, *(f"{gender}/{name}" for gender in ("male", "Female") for name in FOLDERS))
    assert set(table(mine)[0].speaker) == {UNKNOWN}
    put(mine, *(f"anna/{name}" for name in FOLDERS))
    assert set(table(mine)[0].speaker) == {"male", "Female", "anna"}


@pytest.mark.parametrize(
    ("folders", "emotions"),
    [
        (["gioia", "TRISTEZZA", "neutro"], {"joy", "sadness", "neutral"}),
        (["Freude", "Wut", "Überraschung"], {"joy", "anger", "surprise"}),
        (["pleasant_surprise", "fearful", "disgusted"], {"surprise", "fear", "disgust"}),
        (["ps", "Pleasant surprised", "angry"], {"surprise", "anger"}),
        (["neutrality", "Neutralità", "joy"], {"neutral", "joy"}),
    ],
)
def test_emotions_have_many_names(mine, folders, emotions):
    put(mine, *(f"{folder}/{i}.wav" for folder in folders for i in range(2)))
    assert set(table(mine)[0].emotion) == emotions


def test_recordings_of_a_kind_that_is_not_read_are_said(mine):
    (mine / "happy").mkdir()
    for name in ("phone.m4a", "old.AIFF"):
        (mine / "happy" / name).write_bytes(b"x")
    assert sentence(mine).startswith(
        f"{mine} has no audio files (.wav, .flac, .ogg, .mp3), but 2 in other formats, which must be converted: "
        "expected one subfolder"
    )
    put(mine, *FOLDERS, "intro.wav")
    utterances, skipped = table(mine)
    unread = "format not supported: convert it to one of .wav, .flac, .ogg, .mp3"
    assert len(utterances) == len(FOLDERS)
    assert dict(skipped.to_numpy()) == {
        "happy/old.AIFF": unread,
        "happy/phone.m4a": unread,
        "intro.wav": "is not in the folder of an emotion",
    }


def test_unknown_folders_are_counted_and_mapped_with_labels(mine):
    put(mine, *FOLDERS, "excited/1.wav", "excited/2.wav", "noise/1.wav")
    message = sentence(mine)
    assert message.startswith(f"3 files in {mine} have unknown emotion labels: excited (2), noise (1); map each label")
    assert '--set LABELS=\'{"excited": "joy"}\'' in message
    utterances, skipped = table(mine, excited="joy", noise="")
    assert (utterances.emotion == "joy").sum() == 6
    assert skipped.to_dict("records") == [
        {
            "file": "noise/1.wav",
            "reason": 'labelled noise, which is left out: LABELS=\'{"noise": "noise"}\' keeps it as a separate class',
        }
    ]
    kept, _ = table(mine, excited="excited", noise="", happy="Excited", Sad="sad")  # "sad", not its common name
    assert kept.emotion.value_counts().to_dict() == {"excited": 2, "Excited": 4, "sad": 4, "neutral": 4}


def test_folders_all_of_whose_names_are_unknown_are_found_by_labels(mine):
    put(mine, "gut/1.wav", "gut/2.wav", "schlecht/1.wav", "schlecht/2.wav")
    message = sentence(mine)
    assert message.startswith(f"The 4 audio files in {mine} fit no scheme (first gut/1.wav; subfolders gut (2), schlecht (2));")
    assert "LABELS" in message
    assert set(table(mine, gut="joy", schlecht="schlecht")[0].emotion) == {"joy", "schlecht"}


def test_a_folder_with_a_csv_beside_files_that_fit_nothing_names_the_csv(mine):
    put(mine, "1.wav", "2.wav")
    (mine / "labels.csv").write_text("file,emotion\n1.wav,joy\n")
    assert f"(to use the labels in labels.csv, run on that file: ./run_all.sh {mine / 'labels.csv'})" in sentence(mine)


# Patterns


@pytest.mark.parametrize(
    ("names", "scheme"),
    [
        (PATTERNED, "{speaker}_{emotion}_{sentence}.wav"),
        (PATTERNED, "{speaker}_{emotion}_{sentence}"),
        ([f"deep/er/{name}" for name in PATTERNED], "{speaker}_{emotion}_{sentence}.wav"),
        ([name.replace("_", "/") for name in PATTERNED], "{speaker}/{emotion}/{sentence}.wav"),
        ([f"{name[:-4]}_take-7.flac" for name in PATTERNED], "{speaker}_{emotion}_{sentence}_*.wav"),
        ([f"x.{name[:-4]}_7.wav" for name in PATTERNED], "{_}.{speaker}_{emotion}_{sentence}_{_}.wav"),
        ([f"{name.split('_')[0]}/{name}" for name in PATTERNED], "{speaker}/{speaker}_{emotion}_{sentence}.wav"),
        ([f"a.b+c_{name}" for name in PATTERNED], "a.b+c_{speaker}_{emotion}_{sentence}"),
    ],
)
def test_patterns(mine, names, scheme):
    put(mine, *names)
    utterances, skipped = table(mine, scheme)
    assert skipped.empty and len(utterances) == len(names)
    assert set(utterances.speaker) == set(SPEAKERS) and set(utterances.sentence) == {"s1", "s2"}
    assert set(utterances.emotion) == {"joy", "sadness", "neutral"}
    assert corpora.describe_reading(get_corpus(str(mine), scheme)) == f"Read by the pattern `{scheme}`."


def test_names_that_do_not_fit_the_pattern_are_skipped(mine):
    put(mine, *PATTERNED, "intro.wav", "anna_joy.wav")
    _, skipped = table(mine, "{speaker}_{emotion}_{sentence}.wav")
    assert set(skipped.reason) == {"its name does not fit the pattern {speaker}_{emotion}_{sentence}.wav"}
    assert len(skipped) == 2
    # a notebook shows it as Markdown, to which underscores between braces are emphasis
    assert corpora.skipped_by_reason(skipped).reason.tolist() == ["its name does not fit the pattern"]


@pytest.mark.parametrize(
    ("scheme", "message"),
    [
        ("{speaker}_{sentence}.wav", "has no field for the emotion: add {emotion}"),
        (
            "{who}_{emotion}.wav",
            "has the field {who}: expected {speaker}, {emotion}, {sentence}, {gender}, or {_} for any text",
        ),
        ("{speaker}{emotion}.wav", "has two adjacent fields, {speaker}{emotion}: add the text between them"),
        ("subfolders", "SCHEME is 'subfolders': expected folders (one subfolder per emotion), a pattern such as"),
    ],
)
def test_schemes_that_are_none(mine, scheme, message):
    put(mine, *PATTERNED)
    assert message in sentence(mine, scheme)


def test_a_scheme_goes_with_a_folder_of_ones_own_only(mine):
    with pytest.raises(
        StudyError, match="^SCHEME describes the user's own folder, and emodb is a registered corpus: leave SCHEME out.$"
    ):
        get_corpus("emodb", "folders")
    write_csv(mine, [("a.wav", "joy", "anna")])
    assert "labels.csv is a CSV, whose columns give the labels: leave SCHEME out" in sentence(mine / "labels.csv", "folders")


# Known schemes


@pytest.mark.parametrize(("stems", "scheme", "n"), [(EMODB, "emodb", 24), (RAVDESS, "ravdess", 28), (SAVEE, "savee", 56)])
def test_a_known_scheme_is_found_by_trying(mine, stems, scheme, n):
    put(mine, *(f"{stem}.wav" for stem in stems))
    utterances, _ = table(mine)
    assert len(utterances) == n and (utterances.corpus == "my_voices").all()
    assert corpora.describe_reading(get_corpus(str(mine))).startswith(f"Read by the scheme of {corpora.CORPORA[scheme].title}")
    assert utterances.equals(table(mine, scheme.upper())[0])


def test_a_folder_that_fits_two_schemes_asks_which(mine):
    folders = {"W": "anger", "L": "boredom", "E": "disgust", "A": "fear", "F": "joy", "T": "sadness", "N": "neutral"}
    put(mine, *(f"{folders[stem[5]]}/{stem}.wav" for stem in EMODB))
    assert sentence(mine) == (
        f"The names in {mine} fit several schemes, emodb (28 of 28 files) and folders (24 of 28 files): choose one, "
        "such as --set SCHEME=emodb."
    )
    assert set(table(mine, "emodb")[0].speaker) == {"03", "08"}
    assert set(table(mine, "folders", boredom="")[0].speaker) == {UNKNOWN}


# CSVs


def write_csv(folder, rows, *, header="file,emotion,speaker", separator=",", encoding="utf-8", name="labels.csv"):
    text = "\n".join(separator.join(row) for row in [header.split(","), *rows]) + "\n"
    (folder / name).write_bytes(text.encode(encoding))
    return folder / name


ROWS = [(f"audio/{label}-{who}.wav", label, who) for label in LABELS for who in ("Zoë", "bruno")]


@pytest.fixture
def recorded(mine):
    """The recordings that `ROWS` name."""
    put(mine, *(file for file, *_ in ROWS))
    return mine


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be"])
def test_separators_and_encodings(recorded, separator, encoding):
    utterances, skipped = table(write_csv(recorded, ROWS, separator=separator, encoding=encoding))
    assert skipped.empty and list(utterances.file) == sorted(file for file, *_ in ROWS)
    assert set(utterances.speaker) == {"Zoë", "bruno"}


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("File,Emotion,SPEAKER", ROWS),
        ("path,label,actor", ROWS),
        ("filename,emotion_label,Speaker ID", ROWS),
        ("speaker,file,x,emotion", [(who, file, "?", label) for file, label, who in ROWS]),
    ],
)
def test_columns_are_found_by_many_names_in_any_order(recorded, header, rows):
    utterances, _ = table(write_csv(recorded, rows, header=header))
    assert set(utterances.speaker) == {"Zoë", "bruno"} and utterances.emotion.nunique() == 3


def test_quotes_empty_lines_and_cells_spaces_and_excels_separator_line(recorded):
    (recorded / "labels.csv").write_text(
        "sep=;\r\nfile; emotion ;speaker;sentence;gender;level\r\n"
        '"audio/happy-bruno.wav"; happy ;03;"Ciao;\n""Anna""";F;0,5;\r\n'
        "\r\naudio/Sad-bruno.wav;sad;NA\r\n;;;;;\r\naudio/gone.wav;sad;1\r\n"
    )
    utterances, skipped = table(recorded / "labels.csv")
    assert utterances[["speaker", "sentence", "gender"]].to_numpy().tolist() == [
        ["NA", UNKNOWN, UNKNOWN],
        ["03", 'Ciao;\n"Anna"', "female"],
    ]
    assert skipped.reason.tolist() == ["not found, but listed in labels.csv: line 8"]


def test_absolute_paths_and_those_of_windows(recorded, tmp_path):
    put(tmp_path / "elsewhere", "a.wav")
    rows = [
        (str(tmp_path / "elsewhere" / "a.wav"), "joy", "anna"),
        (str(recorded / "audio" / "happy-bruno.wav"), "joy", "anna"),
        ("audio\\Sad-bruno.wav", "sad", "anna"),
        ("./audio/../audio/Sad-Zoë.wav", "sad", "anna"),
        ("../elsewhere/a.wav", "joy", "anna"),
    ]
    corpus = get_corpus(str(write_csv(recorded, rows)))
    utterances, skipped = utterance_table(corpus)
    assert set(utterances.file) == {
        str(tmp_path / "elsewhere" / "a.wav"),
        "audio/happy-bruno.wav",
        "audio/Sad-bruno.wav",
        "audio/Sad-Zoë.wav",
    }
    assert skipped.reason.tolist() == ["listed twice in labels.csv: again in line 6"]
    assert all((corpus.root / file).is_file() for file in utterances.file)
    assert corpora.input_files(corpus) == sorted({"labels.csv", "../elsewhere/a.wav", *utterances.file})


def test_missing_files_are_skipped_and_said(recorded):
    corpus = get_corpus(str(write_csv(recorded, [*ROWS, ("audio/gone.wav", "joy", "anna"), ("labels.csv", "joy", "anna")])))
    utterances, skipped = utterance_table(corpus)
    assert skipped.reason.tolist() == [
        "not found, but listed in labels.csv: line 8",
        "not a supported audio file (.wav, .flac, .ogg, .mp3): line 9",
    ]
    warnings = corpora.data_warnings(utterances, corpus, skipped=skipped)
    assert "2 files are skipped: not a supported audio file (1), not found (1)." in warnings
    assert "audio/gone.wav" not in corpora.input_files(corpus)


@pytest.mark.parametrize(("on_disk", "in_csv"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_with_accents_is_found_however_a_mac_wrote_it(mine, on_disk, in_csv):
    names = ["clé.wav", "perché/è.wav"]
    put(mine, *(unicodedata.normalize(on_disk, name) for name in names))
    path = write_csv(mine, [(unicodedata.normalize(in_csv, name), "joy", "anna") for name in names])
    utterances, skipped = table(path)
    assert len(utterances) == 2 and skipped.empty
    assert all((mine / file).is_file() for file in utterances.file)


def test_duplicate_rows(recorded):
    again = (ROWS[0][0], "joy", "Zoë")  # "happy", by another name
    other = (f"./{ROWS[2][0]}", "joy", "Zoë")  # "Sad" before
    utterances, skipped = table(write_csv(recorded, [*ROWS, again, other, ("", "joy", "anna")]))
    assert ROWS[0][0] in set(utterances.file) and ROWS[2][0] not in set(utterances.file)
    assert skipped.to_dict("records") == [
        {"file": "", "reason": "has no file name: line 10 of labels.csv"},
        {"file": ROWS[2][0], "reason": "has two labels in labels.csv: Sad in line 4"},
        {"file": ROWS[2][0], "reason": "has two labels in labels.csv: joy in line 9"},
        {"file": ROWS[0][0], "reason": "listed twice in labels.csv: again in line 8"},
    ]


@pytest.mark.parametrize("rows", [[(ROWS[0][0], "", "Zoë"), *ROWS], [*ROWS, (ROWS[0][0], "", "Zoë")]])
def test_a_row_without_an_emotion_is_no_second_label(recorded, rows):
    utterances, skipped = table(write_csv(recorded, rows))
    assert len(utterances) == len(ROWS)
    assert skipped.file.tolist() == [ROWS[0][0]] and skipped.reason.str.startswith("has no emotion in labels.csv").all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no rows: expected a header"),
        (b"file,emotion\n", "has no rows: expected a header and one row per recording, such as file,emotion,speaker"),
        (b"file,speaker\na.wav,anna\n", "has no column emotion: found file, speaker; expected file,emotion,speaker"),
        (b"sound,emotion\na.wav,joy\n", "has no column file: found sound, emotion"),
        (
            b"file,emotion\na.wav,joy,anna\n",
            "has 3 fields in line 2, but its header has 2: save it as CSV in UTF-8, with texts that contain the separator",
        ),
        (b"\xff\xfe\x00", "cannot be read as a CSV (UnicodeDecodeError): save it as CSV in UTF-8"),
    ],
)
def test_csvs_that_are_none(mine, content, message):
    (mine / "labels.csv").write_bytes(content)
    assert message in sentence(mine / "labels.csv")


# Speakers, classes, sizes


def warnings_of(path):
    corpus = get_corpus(str(path))
    utterances, skipped = utterance_table(corpus)
    return corpora.data_warnings(utterances, corpus, skipped=skipped)


@pytest.mark.parametrize(
    ("speakers", "warning"),
    [
        (", , , , ,", "No speaker is known, .* for the protocol speaker, add a column speaker to the CSV."),
        (", ,anna,bob,anna,bob", "2 files have no known speaker and count as one speaker: audio/happy-Zoë.wav, "),
        ("a,a,a,a,a,a", "There is only one speaker, a: results apply to this speaker"),
        ("a,a,b,b,c,c", "Each speaker has only one emotion, so a model can infer the emotion"),
        ("a f,b f,a m,b m,a m,b m", "Speakers with two genders: a, b."),
    ],
)
def test_warnings_about_speakers(recorded, speakers, warning):
    rows = [(*row[:2], *f"{who} ".split(" ")[:2]) for row, who in zip(ROWS, speakers.split(","), strict=True)]
    warnings = warnings_of(write_csv(recorded, rows, header="file,emotion,speaker,gender"))
    others = [text.split(":")[0] for text in warnings if not re.match(warning, text)]
    assert others == ["Emotions with fewer than 10 clips have unreliable results"] and len(warnings) == 2


def test_unknown_speakers_of_a_folder(mine):
    put(mine, *FOLDERS)
    assert "put the emotions' folders into one folder per speaker, or set SCHEME" in warnings_of(mine)[0]


def test_uneven_emotions_are_said_and_shown(mine):
    put(mine, *(f"joy/{i}.wav" for i in range(12)), *(f"sad/{i}.wav" for i in range(3)))
    assert (
        "The classes are uneven, from 3 clips (sadness) to 12 (joy): training weights them, and UAR is the metric to use, not "
        "accuracy." in warnings_of(mine)
    )
    utterances, _ = table(mine)
    shown = corpora.counts_by_class(utterances, get_corpus(str(mine)))
    assert shown[["clips", "share", "expected"]].to_numpy().tolist() == [[12, 80.0, ""], [3, 20.0, ""]]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["joy/1.wav", "joy/2.wav"],
            "All 2 usable recordings of My Voices have the emotion joy: a classifier needs at least two emotions, so "
            "add recordings of another.",
        ),
        (
            ["joy/1.wav", "joy/1.flac", "sad/1.wav", "sad/1.flac"],  # copies count once
            "My Voices has 2 usable recordings, joy (1), sadness (1): training and test need at least two emotions with 2 "
            "recordings each, so add recordings.",
        ),
    ],
)
def test_one_emotion_or_two_clips_are_no_study(mine, names, message):
    put(mine, *names)
    utterances, _ = table(mine)
    with pytest.raises(StudyError) as error:
        corpora.check_utterances(utterances, get_corpus(str(mine)))
    assert str(error.value) == message
    with pytest.raises(StudyError) as error:  # without reading any audio
        corpora.check_corpus(get_corpus(str(mine)))
    assert str(error.value) == message


def test_files_left_out_for_one_reason_are_counted_together_whatever_their_names(mine):
    names = [f"my {label}/take {i} (a, b).{kind}" for label in ("joy", "sad") for i in range(2) for kind in ("wav", "flac")]
    put(mine, *names)
    skipped = table(mine, "my {emotion}/take {_}.wav")[1]
    assert corpora.skipped_by_reason(skipped)[["reason", "files"]].to_numpy().tolist() == [["the same utterance", 4]]


def test_links_are_followed_and_not_for_ever(mine):
    put(mine.parent / "elsewhere", *FOLDERS)
    for label in LABELS:
        os.symlink(mine.parent / "elsewhere" / label, mine / label)
    os.symlink(mine, mine / "happy" / "loop")
    assert len(table(mine)[0]) == len(FOLDERS)


# Runs


@pytest.fixture
def only_01(tmp_path, monkeypatch):
    """A study of the first notebook alone, with its own folders."""
    monkeypatch.setattr(runner, "list_notebooks", lambda: sorted(paths.NOTEBOOKS.glob("01_*.ipynb")))
    for name in ("OUT", "REPORTS"):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
        monkeypatch.setenv(f"SER_{name}", str(tmp_path / name.lower()))


def test_a_run_on_a_folder_leaves_its_tables_and_is_known_again(mine, only_01, capsys):
    put(mine, *SPEAKER_FOLDERS)
    assert runner.run_study(str(mine), settings=["SCHEME=folders"]) == 0, capsys.readouterr().out
    out = paths.OUT / "my_voices"
    assert len(corpora.read_utterances(out / "utterances.csv")) == len(SPEAKER_FOLDERS)
    page = (paths.REPORTS / "my_voices" / "01_explore.html").read_text()
    assert "Read as one folder per emotion, within one folder per speaker" in page and "data:audio" not in page
    assert runner.run_study(str(mine), settings=["SCHEME=folders"]) == 0
    assert "01_explore ... unchanged" in capsys.readouterr().out
    assert __main__.main(["verify", "my_voices"]) == 0 and "12 recordings" in capsys.readouterr().out


def test_a_run_on_a_csv_without_speakers(recorded, only_01):
    path = write_csv(recorded, [row[:2] for row in ROWS] + [("gone.wav", "joy")], header="path,label")
    assert runner.run_study(str(path), settings=['LABELS={"happy": "happy"}', "VARIANT=own"]) == 0
    page = (paths.REPORTS / "labels-own" / "01_explore.html").read_text()
    assert "No speaker is known" in page and "not found" in page
    out = paths.OUT / "labels-own"
    assert (out / "skipped.csv").read_text().count("gone.wav") == 1
    assert set(corpora.read_utterances(out / "utterances.csv").emotion) == {"happy", "sadness", "neutral"}


def test_two_folders_of_one_name_keep_their_results_apart(mine, tmp_path, only_01):
    other = tmp_path / "other" / mine.name
    put(mine, *FOLDERS)
    put(other, *FOLDERS)
    for path, variant in ((mine, ""), (other, "x")):
        corpora.run_folder(get_corpus(str(path)), variant)
    (paths.OUT / "my_voices" / "utterances.csv").write_text("kept")
    for fresh in (False, True):
        with pytest.raises(StudyError) as error:
            runner.run_study(str(other), fresh=fresh)
        assert str(error.value) == (
            f"out/my_voices holds the results on {mine}, not on {other}: keep this run separate with --set "
            "VARIANT='\"other\"', or remove out/my_voices."
        )
    assert (paths.OUT / "my_voices" / "utterances.csv").read_text() == "kept"


def test_a_folder_that_cannot_be_read_is_said_before_anything_runs(mine, only_01, monkeypatch, capsys):
    monkeypatch.setattr(runner, "execute_notebook", lambda *_, **__: pytest.fail("something ran"))
    put(mine, *FOLDERS, "excited/1.wav")
    assert __main__.main(["run", str(mine)]) == 1
    assert "1 files" not in (message := capsys.readouterr().err)
    assert message.startswith(f"1 file in {mine} has an unknown emotion label: excited (1); map each label")
    assert __main__.main(["run", "demo", "--set", 'LABELS={"calm": "neutral"}']) == 1
    assert capsys.readouterr().err.startswith("LABELS contains 'calm', but no file has this label: the labels are anger (24)")
    assert not (paths.OUT / "my_voices").exists()
    path = write_csv(mine, [("a.wav", "joy", "anna"), ("b.wav", "sad", "anna")])
    assert __main__.main(["run", str(path)]) == 1
    assert capsys.readouterr().err.startswith(
        f"None of the 2 recordings listed in {path} can be used; the first, a.wav: not found, but listed in labels.csv: "
        "line 2; expected paths relative to the CSV's folder, or absolute ones."
    )
    monkeypatch.setattr(paths, "DATA", mine)
    assert __main__.main(["run", "crema-d"]) == 1
    assert capsys.readouterr().err == f"CREMA-D is not in {mine / 'CREMA-D'}. {corpora.CORPORA['crema-d'].instructions}\n"


def test_an_open_corpus_that_is_not_there_is_downloaded(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(paths, "DATA", tmp_path)
    monkeypatch.setattr(download, "fetch", asked.append)
    for name in ("emozionalmente", "emovo", "emodb"):
        runner._ensure_corpus(get_corpus(name))
    assert asked == ["emozionalmente", "emovo", "emodb"]


def test_every_alias_is_written_as_it_is_compared():
    assert all(plain(alias) == alias for alias in ALIASES)
    assert set(ALIASES.values()) == set(corpora.EMOTIONS)
