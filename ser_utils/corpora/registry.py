"""Registered corpora: one entry each, with scheme, labels, speakers, sentences, counts, licence, download and known issues.

To add a corpus, add one entry to `CORPORA`.
"""

from pathlib import Path

from ser_utils.corpora.corpus import Corpus, Download
from ser_utils.corpora.labels import EMOTIONS, bare


def _genders(*, female: str = "", male: str = "") -> dict[str, str]:
    """Return the gender of each speaker in two texts of speakers separated by spaces, sorted by speaker."""
    genders = dict.fromkeys(female.split(), "female") | dict.fromkeys(male.split(), "male")
    return dict(sorted(genders.items()))


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
_EMOVO = {
    "scheme": r"(?P<emotion>[a-z]+)-(?P<speaker>[fm]\d+)-(?P<sentence>[a-z]\d+)",
    "emotions": dict(zip(["neu", "dis", "gio", "pau", "rab", "sor", "tri"], EMOTIONS, strict=True)),
    "genders": _genders(female="f1 f2 f3", male="m1 m2 m3"),
    "is_crossed": True,
    "language": "Italian",
}
_EMOVO_URL = "https://github.com/fp1acm8/SER/archive/c13834136874dbf9404f077fd977890605ac90bd.zip"
DEMO_SENTENCES = ("b1", "l4", "n3", "d2")

DEMO = Corpus(
    name="demo",
    title="the embedded demo corpus (synthetic voices)",
    folder="demo",
    **_EMOVO,
    sentences={code: _EMOVO_SENTENCES[code] for code in DEMO_SENTENCES},
    counts=dict.fromkeys(EMOTIONS, 6 * len(DEMO_SENTENCES)),
    licence="Apache-2.0, as the study",
    audio_is_free=True,
    citation="data/make_demo.py of this study",
    how_to_get="It is part of the study, in data/demo.",
    notice="Synthetic demo voices: a program generated these clips, so that the study runs without a download. "
    "Results on them do not apply to human speech.",
)

EMOVO = Corpus(
    name="emovo",
    title="EMOVO",
    folder="EMOVO",
    **_EMOVO,
    sentences=_EMOVO_SENTENCES,
    counts=dict.fromkeys(EMOTIONS, 84),
    licence="unsettled: the paper states none; secondary sources say non-commercial research use",
    citation="G. Costantini, I. Iaderola, A. Paoloni, M. Todisco. EMOVO Corpus: an Italian Emotional Speech "
    "Database. LREC 2014.",
    how_to_get=f"Download {_EMOVO_URL} (clips in its folder data/EMOVO), emovo.zip from "
    "https://drive.google.com/file/d/1SUtaKeA-LYnKaD3qv87Y5wYgihJiNJAo, or "
    "https://www.kaggle.com/datasets/sourabhy/emovo-italian-ser-dataset, and put the six folders with the clips "
    "(f1, f2, f3, m1, m2, m3) into {folder}.",
    download=Download(  # GitHub generates the archive on request, so its bytes vary, and its length is not announced
        url=_EMOVO_URL,
        archive_bytes=250_000_000,
        file_checksums=Path(__file__).with_name("emovo.sha256"),
    ),
    known_issues={
        "level": "The recording level was turned down by hand for loud emotions, so absolute level is not a reliable cue to "
        "emotion.",
    },
)

EMODB = Corpus(
    name="emodb",
    title="EmoDB",
    folder="EmoDB",
    folder_aliases=(
        "berlin",
        "berlin emodb",
        "berlin database of emotional speech",
        "berlin database of emotional speech emodb",
    ),
    scheme=r"(?P<speaker>\d\d)(?P<sentence>[ab]\d\d)(?P<emotion>[a-z])(?P<version>[a-z]?)",
    emotions=dict(zip("WLEAFTN", ["anger", "boredom", "disgust", "fear", "joy", "sadness", "neutral"], strict=True)),
    left_out=("boredom",),
    genders=_genders(female="08 09 13 14 16", male="03 10 11 12 15"),
    sentences={
        "a01": "Der Lappen liegt auf dem Eisschrank.",
        "a02": "Das will sie am Mittwoch abgeben.",
        "a04": "Heute abend könnte ich es ihm sagen.",
        "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
        "a07": "In sieben Stunden wird es soweit sein.",
        "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
        "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
        "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
        "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
        "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
    },
    counts={"anger": 127, "boredom": 81, "disgust": 46, "fear": 69, "joy": 71, "sadness": 62, "neutral": 79},
    language="German",
    licence="CC BY 4.0, as its authors' Zenodo record states",
    audio_is_free=True,
    citation="F. Burkhardt, A. Paeschke, M. Rolfes, W. F. Sendlmeier, B. Weiss. A Database of German Emotional Speech. "
    "Interspeech 2005, pp. 1517-1520. doi:10.5281/zenodo.7447302",
    how_to_get="Download emodb.zip from https://zenodo.org/records/7447302, or the 535 files from http://emodb.bilderbar.info, "
    "and put the folder wav into {folder}.",
    download=Download(
        url="https://zenodo.org/records/7447302/files/emodb.zip",
        archive_bytes=39_981_818,
        md5="9d21362dbc5676ef3ab4745d83ced0db",
    ),
    known_issues={
        "selection": "It contains only recordings that listeners recognised and rated natural, so speakers and sentences are "
        "unevenly distributed over the emotions, and some speakers have almost no disgust.",
        "later version": "Version 2.0 adds takes that listeners did not recognise: its results are not comparable to those on "
        "the 535 files.",
        "versions": "A speaker may say one sentence in one emotion several times (versions a to f): these takes belong on the "
        "same side of a split.",
    },
)

RAVDESS = Corpus(
    name="ravdess",
    title="RAVDESS (speech)",
    folder="RAVDESS",
    folder_aliases=("Audio_Speech_Actors_01-24", "ravdess emotional speech audio", "ravdess speech"),
    scheme=r"(?P<modality>0[1-3])-(?P<channel>0[12])-(?P<emotion>0\d)-(?P<intensity>0[12])-(?P<sentence>\d\d)"
    r"-(?P<repetition>0[12])-(?P<speaker>\d\d)",
    emotions={"01": "neutral", "02": "calm", "03": "joy", "04": "sadness"}
    | {"05": "anger", "06": "fear", "07": "disgust", "08": "surprise"},
    left_out=("calm",),
    excluded_codes={"modality": {"02": "video without sound"}, "channel": {"02": "song, not speech"}},
    genders={f"{actor:02}": "male" if actor % 2 else "female" for actor in range(1, 25)},
    sentences={"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."},
    counts={"neutral": 96} | dict.fromkeys(["calm", "joy", "sadness", "anger", "fear", "disgust", "surprise"], 192),
    language="English",
    licence="CC BY-NC-SA 4.0",
    citation="S. R. Livingstone, F. A. Russo. The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS). "
    "PLoS ONE 13(5): e0196391, 2018. doi:10.5281/zenodo.1188976",
    how_to_get="Download Audio_Speech_Actors_01-24.zip from https://zenodo.org/records/1188976 and put its folders Actor_01 to "
    "Actor_24 into {folder}.",
    download=Download(
        url="https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip",
        archive_bytes=208_468_073,
        md5="bc696df654c87fed845eb13823edef8a",
    ),
    known_issues={
        "copies": "A common copy contains every file twice, in Actor_01 and in audio_speech_actors_01-24/Actor_01; one of the "
        "two is used.",
        "neutral": "Neutral has no strong intensity, so it has half as many clips as the other emotions.",
        "formats": "A few files are stereo, and one recording exists under two names.",
    },
)

CREMA_D = Corpus(
    name="crema-d",
    title="CREMA-D",
    folder="CREMA-D",
    folder_aliases=("crema", "CREMA-D-master"),
    scheme=r"(?P<speaker>1\d\d\d)_(?P<sentence>[a-z]{3})_(?P<emotion>[a-z]{3})_(?P<level>lo|md|hi|xx?)",
    emotions={"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "joy", "NEU": "neutral", "SAD": "sadness"},
    genders=_genders(
        female="1002 1003 1004 1006 1007 1008 1009 1010 1012 1013 1018 1020 1021 1024 1025 1028 1029 1030 1037 1043 1046 1047 "
        "1049 1052 1053 1054 1055 1056 1058 1060 1061 1063 1072 1073 1074 1075 1076 1078 1079 1082 1084 1089 1091",
        male="1001 1005 1011 1014 1015 1016 1017 1019 1022 1023 1026 1027 1031 1032 1033 1034 1035 1036 1038 1039 1040 1041 "
        "1042 1044 1045 1048 1050 1051 1057 1059 1062 1064 1065 1066 1067 1068 1069 1070 1071 1077 1080 1081 1083 1085 "
        "1086 1087 1088 1090",
    ),
    sentences={
        "IEO": "It's eleven o'clock.",
        "TIE": "That is exactly what happened.",
        "IOM": "I'm on my way to the meeting.",
        "IWW": "I wonder what this is about.",
        "TAI": "The airplane is almost full.",
        "MTI": "Maybe tomorrow it will be cold.",
        "IWL": "I would like a new alarm clock.",
        "ITH": "I think I have a doctor's appointment.",
        "DFA": "Don't forget a jacket.",
        "ITS": "I think I've seen this before.",
        "TSI": "The surface is slick.",
        "WSI": "We'll stop in a couple of minutes.",
    },
    counts={"anger": 1271, "disgust": 1271, "fear": 1271, "joy": 1271, "neutral": 1087, "sadness": 1271},
    language="English",
    licence="Open Database License 1.0, its contents Database Contents License 1.0",
    audio_is_free=True,
    citation="H. Cao, D. G. Cooper, M. K. Keutmann, R. C. Gur, A. Nenkova, R. Verma. CREMA-D: Crowd-sourced Emotional "
    "Multimodal Actors Dataset. IEEE Transactions on Affective Computing 5(4), pp. 377-390, 2014. "
    "doi:10.1109/TAFFC.2014.2336244",
    how_to_get="Get it from https://github.com/CheyneyComputerScience/CREMA-D (the audio needs Git LFS), or ask its authors "
    "there, and put the folder AudioWAV into {folder}.",
    known_issues={
        "broken files": "1076_MTI_SAD_XX is silent; 1076_MTI_NEU_XX and 1064_TIE_SAD_XX are cut off; 1064_IEO_DIS_MD is a "
        "minute long and contains every emotion; a few recordings exist under two labels.",
        "levels": "Only the sentence IEO was spoken at low, medium and high level; the others have no level (XX).",
        "labels": "The label is the emotion that the actor intended; listeners without video often choose another.",
    },
)

SAVEE = Corpus(
    name="savee",
    title="SAVEE",
    folder="SAVEE",
    folder_aliases=("savee database", "surrey audiovisual expressed emotion savee", "surrey audio-visual expressed emotion"),
    scheme=r"(?P<speaker>dc|je|jk|kl)[/_](?P<emotion>[a-z]{1,2})(?P<sentence>\d\d)",
    emotions={"a": "anger", "d": "disgust", "f": "fear", "h": "joy", "n": "neutral", "sa": "sadness", "su": "surprise"},
    genders=_genders(male="DC JE JK KL"),
    counts={"neutral": 120} | dict.fromkeys(EMOTIONS[1:], 60),
    n_sentences=30,
    language="English",
    licence="free of charge for research, on registration",
    citation="S. Haq, P. J. B. Jackson. Multimodal Emotion Recognition. In: W. Wang (ed.), Machine Audition: Principles, "
    "Algorithms and Systems, pp. 398-423. IGI Global, 2010.",
    how_to_get="Ask for it at http://kahlan.eps.surrey.ac.uk/savee (it is free on registration), and put its folder AudioData "
    "(or the files DC_a01.wav ...) into {folder}.",
    known_issues={
        "sentences": "Only three sentences have the same text in every emotion; the other numbers stand for a different text "
        "in each emotion, so a model can learn the text instead of the emotion.",
        "speakers": "Four men, all researchers or students of one university.",
    },
)

TESS = Corpus(
    name="tess",
    title="TESS",
    folder="TESS",
    folder_aliases=(
        "tess toronto emotional speech set data",
        "toronto emotional speech set",
        "toronto emotional speech set tess",
    ),
    scheme=r"(?P<speaker>oaf?|yaf)_(?P<sentence>[^/_]+)_(?P<emotion>[a-z]+)",
    emotions={"angry": "anger", "disgust": "disgust", "fear": "fear", "happy": "joy", "neutral": "neutral"}
    | {"ps": "surprise", "sad": "sadness"},  # ps: pleasant surprise
    speaker_aliases={"OA": "OAF"},
    genders=_genders(female="OAF YAF"),
    counts=dict.fromkeys(EMOTIONS, 400),
    n_sentences=200,
    language="English",
    licence="CC BY-NC-ND 4.0",
    citation="M. K. Pichora-Fuller, K. Dupuis. Toronto emotional speech set (TESS). University of Toronto, Psychology "
    "Department, 2010. doi:10.5683/SP2/E8H2MF",
    how_to_get="Download it from https://doi.org/10.5683/SP2/E8H2MF (or ask its authors there), and put the files, in their "
    "folders OAF_angry to YAF_sad or without them, into {folder}.",
    known_issues={
        "names": "One file is misnamed OA_bite_neutral.wav; it is read as a recording of OAF.",
        "copies": "A common copy contains the whole set twice, one inside the other; one of the two is used.",
        "speakers": "Two speakers say one carrier phrase (“Say the word ...”) very clearly: most systems score high on these "
        "speakers, and two speakers allow no conclusion about unseen speakers.",
    },
)

EMOZIONALMENTE = Corpus(
    name="emozionalmente",
    title="Emozionalmente",
    folder="Emozionalmente",
    folder_aliases=("emozionalmente dataset",),
    listing="samples.csv",
    listing_speakers="users.csv",
    emotions={"neutrality": "neutral"} | {name: name for name in EMOTIONS[1:]},
    n_total=6902,
    n_speakers=431,
    n_sentences=18,
    language="Italian",
    licence="CC BY 4.0",
    audio_is_free=True,
    citation="F. Catania, J. W. Wilke, F. Garzotto. Emozionalmente: A Crowdsourced Corpus of Simulated Emotional Speech in "
    "Italian. IEEE Transactions on Audio, Speech and Language Processing 33, pp. 1142-1155, 2025. "
    "doi:10.1109/TASLPRO.2025.3540662. Data: doi:10.5281/zenodo.6569824",
    how_to_get="Download emozionalmente.zip from https://doi.org/10.5281/zenodo.6569824 and put its folders audio and metadata "
    "into {folder}.",
    download=Download(
        url="https://zenodo.org/records/12616095/files/emozionalmente.zip",  # version 1.1 of record 6569824
        archive_bytes=558_900_000,
        md5="398c6502dd2b0e1e810f927c12897547",
    ),
    known_issues={
        "recordings": "Amateurs recorded themselves, with different microphones and in different rooms.",
        "labels": "The label is the emotion that the speaker intended; listeners agree in about two of three clips.",
    },
)

CORPORA = {corpus.name: corpus for corpus in (DEMO, EMOVO, EMODB, RAVDESS, CREMA_D, SAVEE, TESS, EMOZIONALMENTE)}


def find_corpus(name: str) -> Corpus | None:
    """Return the registered corpus of that name, in any case and with or without punctuation; None if there is none."""
    return next((corpus for key, corpus in CORPORA.items() if bare(key) == bare(name)), None)
