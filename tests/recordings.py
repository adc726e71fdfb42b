"""Short recordings, and small corpora in the schemes and layouts of the registered ones."""

import zlib

import numpy as np
import soundfile as sf


def tone(path, *, sr=16_000, duration_s=0.2, f0=None):
    """Write a tone whose frequency, if it is not given, depends on the path; noise makes all recordings differ."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = zlib.crc32(str(path).encode())
    times = np.arange(int(duration_s * sr)) / sr
    noise = np.random.default_rng(seed).normal(size=times.size)
    sf.write(path, 0.1 * np.sin(2 * np.pi * (f0 or 100 + seed % 40_000 / 100) * times) + 1e-3 * noise, sr)


def put(root, *names, **settings):
    """Write a tone to each name below `root`."""
    for name in names:
        tone(root / name, **settings)


EMODB = [f"{who}{text}{letter}a" for who in ("03", "08") for text in ("a01", "b10") for letter in "WLEAFTN"]
RAVDESS = [f"03-01-{code:02}-01-{text:02}-01-{who:02}" for who in (1, 2) for text in (1, 2) for code in range(1, 9)]
_CREMA_D = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
CREMA_D = [f"{who}_{text}_{code}_XX" for who in (1001, 1002) for text in ("DFA", "WSI") for code in _CREMA_D]
_SAVEE = ("a", "d", "f", "h", "n", "sa", "su")
SAVEE = [f"{who}_{code}{number}" for who in ("DC", "JE", "JK", "KL") for code in _SAVEE for number in ("01", "15")]
TESS = [
    f"{who}_{word}_{code}"
    for who in ("OAF", "YAF")
    for word in ("back", "bite")
    for code in ["angry", "disgust", "fear", "happy", "neutral", "ps", "sad"]
]
EMOZIONALMENTE = [
    (f"16128728{i:05}", who, sentence, emotion)
    for i, (who, sentence, emotion) in enumerate(
        (who, sentence, emotion)
        for who in ("anna", "bruno")
        for sentence in ("Ciao, come stai?", "Oggi piove.")
        for emotion in ["anger", "disgust", "fear", "joy", "neutrality", "sadness", "surprise"]
    )
]


def put_emozionalmente(root):
    """Write audio and metadata with the layout of the published archive."""
    put(root / "audio", *(f"{name}.wav" for name, *_ in EMOZIONALMENTE))
    (root / "metadata").mkdir()
    rows = [f'{i},{name}.wav,{who},"{text}",{emotion}' for i, (name, who, text, emotion) in enumerate(EMOZIONALMENTE)]
    header = "id,file_name,actor,sentence,emotion_expressed\n"
    (root / "metadata" / "samples.csv").write_text(header + "\n".join(rows), encoding="utf-8")
    users = "username,gender,age,mother_tongue\nanna,F,30,italian\nbruno,male,41,italian\n"
    (root / "metadata" / "users.csv").write_text(users)
    (root / "metadata" / "evaluations.csv").write_text("file_name,evaluator,emotion_recognized\n")
