"""The corpora that the study knows by name, each one entry: scheme, labels, speakers, sentences, counts, licence, pitfalls.

To add a corpus, add one entry to `CORPORA`.
"""

from ser_utils.corpora.corpus import Corpus
from ser_utils.corpora.labels import EMOTIONS

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
    "emotions": {
        "neu": "neutral",
        "dis": "disgust",
        "gio": "joy",
        "pau": "fear",
        "rab": "anger",
        "sor": "surprise",
        "tri": "sadness",
    },
    "genders": {"f1": "female", "f2": "female", "f3": "female", "m1": "male", "m2": "male", "m3": "male"},
    "is_crossed": True,
    "language": "Italian",
}
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
    how_to_get="It comes with the study, in data/demo.",
    notice="Synthetic demo voices: these clips are made by a program, not recorded from people, so that the study "
    "runs without a download. Nothing here says how well emotion is heard in real voices.",
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
    how_to_get="Get it with `python -m ser_utils fetch emovo`, or put its folders f1 f2 f3 m1 m2 m3 into data/EMOVO.",
    known_issues={
        "level": "The recording level was turned down by hand for loud emotions, so absolute level is no clean cue to emotion."
    },
)

EMODB = Corpus(
    name="emodb",
    title="EmoDB",
    folder="EmoDB",
    also_named=(
        "berlin",
        "berlin emodb",
        "berlin database of emotional speech",
        "berlin database of emotional speech emodb",
    ),
    scheme=r"(?P<speaker>\d\d)(?P<sentence>[ab]\d\d)(?P<emotion>[a-z])(?P<version>[a-z]?)",
    emotions={  # the letters stand for the German words
        "W": "anger",
        "L": "boredom",
        "E": "disgust",
        "A": "fear",
        "F": "joy",
        "T": "sadness",
        "N": "neutral",
    },
    left_out=("boredom",),
    genders={
        "03": "male",
        "08": "female",
        "09": "female",
        "10": "male",
        "11": "male",
        "12": "male",
        "13": "female",
        "14": "female",
        "15": "male",
        "16": "female",
    },
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
    how_to_get="Get it with `python -m ser_utils fetch emodb`, or put the 535 files of https://zenodo.org/records/7447302 "
    "(emodb.zip) or of http://emodb.bilderbar.info into data/EmoDB.",
    known_issues={
        "selection": "Only recordings that listeners recognised and found natural are in it, so speakers and sentences are "
        "unevenly spread over the emotions, and some speakers have next to no disgust.",
        "later version": "Version 2.0 adds takes that listeners did not recognise: its results do not compare with those on "
        "the 535 files.",
        "versions": "A speaker may say one sentence in one emotion several times (versions a to f): these takes belong on the "
        "same side of a split.",
    },
)

RAVDESS = Corpus(
    name="ravdess",
    title="RAVDESS (speech)",
    folder="RAVDESS",
    also_named=("Audio_Speech_Actors_01-24", "ravdess emotional speech audio", "ravdess speech"),
    scheme=r"(?P<modality>0[1-3])-(?P<channel>0[12])-(?P<emotion>0\d)-(?P<intensity>0[12])-(?P<sentence>\d\d)"
    r"-(?P<repetition>0[12])-(?P<speaker>\d\d)",
    emotions={
        "01": "neutral",
        "02": "calm",
        "03": "joy",
        "04": "sadness",
        "05": "anger",
        "06": "fear",
        "07": "disgust",
        "08": "surprise",
    },
    left_out=("calm",),
    other_kinds={"modality": {"02": "video without sound"}, "channel": {"02": "song, not speech"}},
    genders={f"{actor:02}": "male" if actor % 2 else "female" for actor in range(1, 25)},
    sentences={"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."},
    counts={"neutral": 96} | dict.fromkeys(["calm", "joy", "sadness", "anger", "fear", "disgust", "surprise"], 192),
    language="English",
    licence="CC BY-NC-SA 4.0",
    citation="S. R. Livingstone, F. A. Russo. The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS). "
    "PLoS ONE 13(5): e0196391, 2018. doi:10.5281/zenodo.1188976",
    how_to_get="Get it with `python -m ser_utils fetch ravdess`, or put the folders Actor_01 to Actor_24 of "
    "Audio_Speech_Actors_01-24.zip (https://zenodo.org/records/1188976) into data/RAVDESS.",
    known_issues={
        "copies": "A common copy holds every file twice, in Actor_01 and in audio_speech_actors_01-24/Actor_01; one of the two "
        "is used.",
        "neutral": "Neutral has no strong intensity, so it has half as many clips as the other emotions.",
        "formats": "A few files are stereo, and one recording is there under two names.",
    },
)

_CREMA_D_FEMALE = """
    1002 1003 1004 1006 1007 1008 1009 1010 1012 1013 1018 1020 1021 1024 1025 1028 1029 1030 1037 1043 1046 1047 1049 1052
    1053 1054 1055 1056 1058 1060 1061 1063 1072 1073 1074 1075 1076 1078 1079 1082 1084 1089 1091
"""

CREMA_D = Corpus(
    name="crema-d",
    title="CREMA-D",
    folder="CREMA-D",
    also_named=("crema", "CREMA-D-master"),
    scheme=r"(?P<speaker>1\d\d\d)_(?P<sentence>[a-z]{3})_(?P<emotion>[a-z]{3})_(?P<level>lo|md|hi|xx?)",
    emotions={"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "joy", "NEU": "neutral", "SAD": "sadness"},
    genders={str(actor): "female" if str(actor) in _CREMA_D_FEMALE else "male" for actor in range(1001, 1092)},
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
    how_to_get="Get it from https://github.com/CheyneyComputerScience/CREMA-D (the audio needs Git LFS), or ask its authors there, "
    "and put the folder AudioWAV into data/CREMA-D.",
    known_issues={
        "broken files": "1076_MTI_SAD_XX is silent; 1076_MTI_NEU_XX and 1064_TIE_SAD_XX are cut off; 1064_IEO_DIS_MD is a "
        "minute long and holds every emotion; a few recordings are there under two labels.",
        "levels": "Only the sentence IEO was spoken at low, medium and high level; the others have none (XX).",
        "labels": "The label is what the actor meant to express; listeners who only hear often choose another.",
    },
)

SAVEE = Corpus(
    name="savee",
    title="SAVEE",
    folder="SAVEE",
    also_named=("savee database", "surrey audiovisual expressed emotion savee", "surrey audio-visual expressed emotion"),
    scheme=r"(?P<speaker>dc|je|jk|kl)[/_](?P<emotion>[a-z]{1,2})(?P<sentence>\d\d)",
    emotions={
        "a": "anger",
        "d": "disgust",
        "f": "fear",
        "h": "joy",
        "n": "neutral",
        "sa": "sadness",
        "su": "surprise",
    },
    genders={"DC": "male", "JE": "male", "JK": "male", "KL": "male"},
    counts={"neutral": 120} | dict.fromkeys(EMOTIONS[1:], 60),
    n_sentences=30,
    language="English",
    licence="free of charge for research, on registration",
    citation="S. Haq, P. J. B. Jackson. Multimodal Emotion Recognition. In: W. Wang (ed.), Machine Audition: Principles, "
    "Algorithms and Systems, pp. 398-423. IGI Global, 2010.",
    how_to_get="Ask for it at http://kahlan.eps.surrey.ac.uk/savee (it is free on registration), and put its folder AudioData (or "
    "the files DC_a01.wav ...) into data/SAVEE.",
    known_issues={
        "sentences": "Only three sentences are the same words in every emotion; the others' numbers stand for other words in "
        "each, so a model can hear the words where it should hear the emotion.",
        "speakers": "Four men, all of them researchers or students of one university.",
    },
)

TESS = Corpus(
    name="tess",
    title="TESS",
    folder="TESS",
    also_named=("tess toronto emotional speech set data", "toronto emotional speech set", "toronto emotional speech set tess"),
    scheme=r"(?P<speaker>oaf?|yaf)_(?P<sentence>[^/_]+)_(?P<emotion>[a-z]+)",
    emotions={
        "angry": "anger",
        "disgust": "disgust",
        "fear": "fear",
        "happy": "joy",
        "neutral": "neutral",
        "ps": "surprise",  # pleasant surprise
        "sad": "sadness",
    },
    misspelt={"OA": "OAF"},
    genders={"OAF": "female", "YAF": "female"},
    counts=dict.fromkeys(EMOTIONS, 400),
    n_sentences=200,
    language="English",
    licence="CC BY-NC-ND 4.0",
    citation="M. K. Pichora-Fuller, K. Dupuis. Toronto emotional speech set (TESS). University of Toronto, Psychology "
    "Department, 2010. doi:10.5683/SP2/E8H2MF",
    how_to_get="Download it from https://doi.org/10.5683/SP2/E8H2MF (or ask its authors there), and put the files, in their folders "
    "OAF_angry to YAF_sad or without them, into data/TESS.",
    known_issues={
        "names": "One file is misnamed OA_bite_neutral.wav; it is read as OAF's.",
        "copies": "A common copy holds the whole set twice, one inside the other; one of the two is used.",
        "speakers": "Two speakers, who say one carrier phrase (“Say the word ...”) very clearly: nearly any system scores high "
        "on voices that it knows, and two voices say little of strangers.",
    },
)

EMOZIONALMENTE = Corpus(
    name="emozionalmente",
    title="Emozionalmente",
    folder="Emozionalmente",
    also_named=("emozionalmente dataset",),
    listing="samples.csv",
    listing_speakers="users.csv",
    emotions={
        "neutrality": "neutral",
        "disgust": "disgust",
        "joy": "joy",
        "fear": "fear",
        "anger": "anger",
        "surprise": "surprise",
        "sadness": "sadness",
    },
    n_total=6902,
    n_speakers=431,
    n_sentences=18,
    language="Italian",
    licence="CC BY 4.0",
    audio_is_free=True,
    citation="F. Catania, J. W. Wilke, F. Garzotto. Emozionalmente: A Crowdsourced Corpus of Simulated Emotional Speech in "
    "Italian. IEEE Transactions on Audio, Speech and Language Processing 33, pp. 1142-1155, 2025. "
    "doi:10.1109/TASLPRO.2025.3540662. Data: doi:10.5281/zenodo.6569824",
    how_to_get="Get it with `python -m ser_utils fetch emozionalmente`, or put the folders audio and metadata of emozionalmente.zip "
    "(https://zenodo.org/records/12616095) into data/Emozionalmente.",
    known_issues={
        "recordings": "Amateurs recorded themselves, with whatever microphone and in whatever room they had.",
        "labels": "The label is what the speaker meant to express; listeners agree in about two of three clips.",
    },
)

CORPORA = {corpus.name: corpus for corpus in (DEMO, EMOVO, EMODB, RAVDESS, CREMA_D, SAVEE, TESS, EMOZIONALMENTE)}
