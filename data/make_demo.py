"""Make the embedded demo corpus: 168 clips of synthetic voices, named and laid out like EMOVO.

`espeak-ng` speaks four Italian sentences in six voices; pitch, tempo, loudness, voice quality and pauses
follow the acoustic correlates of emotion in the literature (table and sources in data/demo/README.md). The
plan of every clip is a pure function of the seed; the OGG files are not byte-identical between makings,
because each stream gets a random serial number.

    python data/make_demo.py    # ten seconds; needs the program espeak-ng, which the study itself does not
"""

import argparse
import io
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile as sf
from scipy.interpolate import CubicSpline
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, resample_poly, sosfiltfilt

from ser_utils.core.errors import StudyError
from ser_utils.core.paths import DATA, write_aside

SEED = 2014
SAMPLE_RATE = 16_000

# The vertical bar marks where a hesitant speaker pauses.
SENTENCES = {
    "b1": "Gli operai | si alzano presto.",
    "l4": "Vorrei il numero telefonico | del Signor Piatti.",
    "n3": "Il gatto sta scorrendo | nella pera.",
    "d2": "Porti con te | quella cosa?",
}

# Each cue: how far speakers stray from the rule (one standard deviation), lowest and highest value.
CUES = {
    "f0_shift_st": (1.3, -7.0, 8.5),  # semitones from the speaker's resting pitch
    "f0_range": (0.22, 0.25, 2.4),  # times the voice's resting range
    "tempo": (0.09, 0.65, 1.5),  # times the speaker's resting tempo
    "level_db": (2.5, -9.0, 9.0),  # from the speaker's resting loudness
    "tilt_db_oct": (0.9, -5.0, 5.0),  # slope above 500 Hz: negative soft and dark, positive pressed
    "breath_db": (4.0, -50.0, -14.0),  # aspiration noise, from the voice's level
    "tremor_st": (0.10, 0.0, 0.9),  # depth of a 5 to 7 Hz wavering of pitch
    "roughness": (0.06, 0.0, 0.55),  # depth of an irregular 25 to 70 Hz beating, as in creak and harsh voice
    "pause_s": (0.06, 0.0, 0.6),  # at the sentence's bar
    "formants": (0.012, 0.92, 1.08),  # times the speaker's formants: a smile shortens the vocal tract
}

# Each emotion's rule at expressiveness 1, in the order of CUES; then the chances of ending in ".", "!", "?".
# Sources, cue by cue: data/demo/README.md.
RULES = {
    "neu": ((0.0, 1.00, 1.00, 0.0, 0.0, -38, 0.00, 0.02, 0.03, 1.000), (1.0, 0.0, 0.0)),
    "dis": ((-1.8, 1.10, 0.80, -1.5, -0.6, -34, 0.00, 0.26, 0.12, 0.970), (0.9, 0.1, 0.0)),
    "gio": ((3.8, 1.50, 1.10, 3.0, 1.0, -38, 0.00, 0.02, 0.00, 1.035), (0.3, 0.7, 0.0)),
    "pau": ((4.8, 0.70, 1.22, -0.5, 0.3, -25, 0.38, 0.02, 0.06, 1.000), (0.8, 0.2, 0.0)),
    "rab": ((3.4, 1.35, 1.14, 5.0, 2.6, -44, 0.00, 0.16, 0.00, 1.000), (0.3, 0.7, 0.0)),
    "sor": ((5.2, 1.80, 1.00, 2.0, 0.5, -30, 0.00, 0.02, 0.00, 1.000), (0.0, 0.3, 0.7)),
    "tri": ((-2.2, 0.55, 0.80, -5.0, -2.4, -27, 0.10, 0.02, 0.22, 1.000), (1.0, 0.0, 0.0)),
}

# espeak-ng voice, factor on its formants, resting pitch in semitones from the voice's own, words a minute,
# expressiveness (how far from neutral the speaker takes each rule).
SPEAKERS = {
    "f1": ("it+f2", 1.00, 0.0, 168, 1.40),
    "f2": ("it+Annie", 1.03, -3.0, 190, 1.60),
    "f3": ("it+f5", 0.95, -1.0, 160, 1.00),
    "m1": ("it", 1.00, 0.5, 172, 1.45),
    "m2": ("it+Michael", 0.96, 2.0, 185, 1.15),
    "m3": ("it+m2", 1.05, -0.5, 158, 1.50),
}
# How far a speaker's way with one emotion strays from the rule, and a single clip from that way, in the
# standard deviations of CUES. Speakers repeat themselves: a random split is easier than an unheard speaker.
OWN_WAY, EACH_TIME = 0.9, 0.25


def prosody_plan(seed: int = SEED) -> pd.DataFrame:
    """Decide how every clip is to be spoken.

    Parameters
    ----------
    seed : int
        The same seed gives the same plan.

    Returns
    -------
    pd.DataFrame [168 rows]
        One row per clip: ``file`` (below data/demo), ``speaker``, ``emotion`` (EMOVO's code), ``sentence``,
        ``ending`` (``.``, ``!`` or ``?``), the cues of `CUES` in their units,
        ``noise_seed`` and ``level_dbfs``.
    """
    rng = np.random.default_rng(seed)
    cues = _draw_cues(rng)
    rows = []
    for s, speaker in enumerate(SPEAKERS):
        for e, emotion in enumerate(RULES):
            for k, sentence in enumerate(SENTENCES):
                rows.append(
                    {
                        "file": f"{speaker}/{emotion}-{speaker}-{sentence}.ogg",
                        "speaker": speaker,
                        "emotion": emotion,
                        "sentence": sentence,
                        "ending": _draw_ending(rng, emotion, sentence),
                        **dict(zip(CUES, cues[s, e, k].round(4).tolist(), strict=True)),
                        "noise_seed": int(rng.integers(2**31)),
                    }
                )
    plan = pd.DataFrame(rows)
    # As in EMOVO, whose level was turned down by hand, half of the loudness never reaches the file.
    hand = rng.normal(0, 2.5, len(plan))
    plan["level_dbfs"] = (-25 + plan["level_db"] / 2 + hand).clip(-34, -19).round(2)
    return plan


def _draw_cues(rng: np.random.Generator) -> np.ndarray:
    """The cues of every clip, shape=(speakers, emotions, sentences, cues): rule, speaker's way, chance."""
    spread, lowest, highest = np.array(list(CUES.values())).T
    rules = np.array([rule for rule, _ in RULES.values()])
    neutral = rules[list(RULES).index("neu")]
    expressiveness = np.array([voice[-1] for voice in SPEAKERS.values()])
    shape = (len(SPEAKERS), len(RULES), len(SENTENCES), len(CUES))
    told = neutral + expressiveness[:, None, None] * (rules - neutral)
    habit = rng.normal(0, 0.5 * spread, (shape[0], 1, shape[3]))
    own = rng.normal(0, OWN_WAY * spread, (shape[0], shape[1], shape[3]))
    each = rng.normal(0, EACH_TIME * spread, shape)
    return np.clip((told + habit + own)[:, :, None, :] + each, lowest, highest)


def _draw_ending(rng: np.random.Generator, emotion: str, sentence: str) -> str:
    """How the sentence ends; a question (EMOVO's d1 and d2) stays one, whatever the emotion."""
    drawn = str(rng.choice([".", "!", "?"], p=RULES[emotion][1]))
    return "?" if SENTENCES[sentence].endswith("?") else drawn


def synthesize(clip) -> np.ndarray:
    """Speak one row of the plan.

    Parameters
    ----------
    clip : named tuple
        A row of `prosody_plan`, from ``plan.itertuples()``.

    Returns
    -------
    np.ndarray [shape=(n,)]
        The clip at 16 kHz, between -1 and 1.

    Raises
    ------
    StudyError
        When ``espeak-ng`` is missing or fails.
    """
    rng = np.random.default_rng(clip.noise_seed)
    y, sr = _speak(clip)
    y = _waver(y, sr, SPEAKERS[clip.speaker][1] * clip.formants, clip.tremor_st, rng)
    y = resample_poly(y, SAMPLE_RATE, sr)
    y = _roughen(_trim(y), clip.roughness, rng)
    y = _color(_breathe(y, clip.breath_db, rng), clip.tilt_db_oct, clip.speaker)
    return _record(y, clip.level_dbfs, rng)


def _speak(clip) -> tuple[np.ndarray, int]:
    """The sentence from espeak-ng, its pitch, range, tempo, pause and ending set; samples and sample rate."""
    if shutil.which("espeak-ng") is None:
        raise StudyError(
            "The program espeak-ng is not on the PATH and the demo corpus is spoken by it: install it "
            "(for example: apt-get install espeak-ng); the study itself uses the clips already in data/demo."
        )
    voice, formants, rest_st, words_per_minute, _ = SPEAKERS[clip.speaker]
    # Formants are moved by playing faster, later; pitch and tempo are taken back here.
    faster = formants * clip.formants
    shift_st = rest_st + clip.f0_shift_st - 12 * np.log2(faster)
    pitch = np.clip(round(50 + 5.4 * shift_st), 0, 99)  # measured: espeak-ng gives a semitone for 5.4 steps
    # espeak-ng keeps the range in Hz when the pitch moves; the ear wants it in semitones.
    spread = round(100 * clip.f0_range * 2 ** (shift_st / 12))
    words = SENTENCES[clip.sentence].rstrip(".?") + clip.ending
    pause = f'<break time="{round(1000 * clip.pause_s)}ms"/>' if clip.pause_s > 0.05 else ""
    text = f'<speak><prosody range="{spread}%">{words.replace("| ", pause)}</prosody></speak>'
    speed = round(words_per_minute * clip.tempo / faster)
    command = ["espeak-ng", "-m", "-v", voice, "-p", str(pitch), "-s", str(speed), "--stdout", text]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise StudyError(f"espeak-ng could not speak with the voice {voice}: {done.stderr.decode().strip()}.")
    return sf.read(io.BytesIO(done.stdout))


def _waver(y: np.ndarray, sr: int, faster: float, tremor_st: float, rng: np.random.Generator) -> np.ndarray:
    """Play `y` at `faster` times its speed, its pitch with a slow drift, tremor and jitter."""
    n = int(len(y) / faster)
    t = np.arange(n) / sr
    tremor = np.sin(2 * np.pi * (rng.uniform(5, 7) * t + rng.random()))
    drift = np.sin(2 * np.pi * (rng.uniform(0.3, 0.8) * t + rng.random()))
    jitter = uniform_filter1d(rng.normal(size=n), sr // 100)
    shift_st = tremor_st * tremor + 0.35 * drift + (0.10 + tremor_st / 2) * jitter / jitter.std()
    position = np.cumsum(faster * 2 ** (shift_st / 12))
    return CubicSpline(np.arange(len(y)), y)(position[position < len(y) - 1])


def _trim(y: np.ndarray) -> np.ndarray:
    """`y` without the silence around it."""
    loud = np.flatnonzero(np.abs(y) > 0.01 * np.abs(y).max())
    return y[loud[0] : loud[-1] + 1]


def _band_noise(n: int, low_hz: float, high_hz: float, rng: np.random.Generator) -> np.ndarray:
    """`n` samples of noise between two frequencies, of standard deviation 1."""
    sos = butter(2, [low_hz, high_hz], btype="bandpass", fs=SAMPLE_RATE, output="sos")
    noise = sosfiltfilt(sos, rng.normal(size=n))
    return noise / noise.std()


def _roughen(y: np.ndarray, depth: float, rng: np.random.Generator) -> np.ndarray:
    """Beat the level of `y` irregularly at 25 to 70 Hz."""
    return y * np.clip(1 + depth * _band_noise(len(y), 25, 70, rng), 0, None)


def _breathe(y: np.ndarray, breath_db: float, rng: np.random.Generator) -> np.ndarray:
    """Add aspiration noise that follows the voice's envelope, `breath_db` below it."""
    envelope = uniform_filter1d(np.abs(y), SAMPLE_RATE // 40)
    return y + 10 ** (breath_db / 20) * envelope * _band_noise(len(y), 1200, 6500, rng)


def _color(y: np.ndarray, tilt_db_oct: float, speaker: str) -> np.ndarray:
    """Tilt the spectrum above 500 Hz, and give the speaker's own colouring (mouth, distance, microphone)."""
    octaves = np.log2(np.maximum(np.fft.rfftfreq(len(y), 1 / SAMPLE_RATE), 500) / 500)
    bumps = np.random.default_rng(list(SPEAKERS).index(speaker)).normal(0, 1.5, 3)
    own_db = sum(bump * np.cos(np.pi * (i + 1) * octaves / 4) for i, bump in enumerate(bumps))
    return np.fft.irfft(np.fft.rfft(y) * 10 ** ((tilt_db_oct * octaves + own_db) / 20), len(y))


def _record(y: np.ndarray, level_dbfs: float, rng: np.random.Generator) -> np.ndarray:
    """Set the level, put a short rest before and after, and add the noise of a quiet room."""
    y = y * 10 ** (level_dbfs / 20) / np.sqrt(np.mean(y**2))
    y = y * min(1, 0.85 / np.abs(y).max())
    fade = np.minimum(1, np.minimum(np.arange(len(y)), np.arange(len(y))[::-1]) / (0.005 * SAMPLE_RATE))
    before, after = (rng.uniform(0.08, 0.25, 2) * SAMPLE_RATE).astype(int)
    y = np.pad(y * fade, (before, after))
    return y + 10 ** (rng.normal(-66, 2) / 20) * _band_noise(len(y), 60, 3000, rng)


def write_corpus(folder: Path, seed: int = SEED) -> pd.DataFrame:
    """Speak every clip of the plan into `folder` as OGG Vorbis, 16 kHz, mono; return the plan."""
    plan = prosody_plan(seed)
    for clip in plan.itertuples():
        path = folder / clip.file
        path.parent.mkdir(parents=True, exist_ok=True)
        y = synthesize(clip)
        with write_aside(path) as aside:
            sf.write(aside, y, SAMPLE_RATE, format="OGG", subtype="VORBIS", compression_level=0.85)
    return plan


def main() -> None:
    """Make the corpus and say how large it is; a user's mistake is one sentence on stderr and status 1."""
    parser = argparse.ArgumentParser(description="Make the demo corpus of synthetic voices.")
    parser.add_argument("--seed", type=int, default=SEED, help="of the plan (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=DATA / "demo", help="folder (default: data/demo)")
    options = parser.parse_args()
    try:
        plan = write_corpus(options.out, options.seed)
    except StudyError as error:
        sys.exit(str(error))
    size = sum((options.out / file).stat().st_size for file in plan["file"])
    print(f"{len(plan)} clips, {size / 1e6:.2f} MB, in {options.out}")


if __name__ == "__main__":
    main()
