"""Generate the embedded demo corpus: 168 clips of synthetic speech, with the file names and folders of EMOVO.

`espeak-ng` synthesises four Italian sentences with six voices; pitch, tempo, loudness, voice quality and pauses
follow the acoustic correlates of emotion in the literature (table and sources in data/demo/README.md). The
plan of all clips is a function of the seed; the bytes of the OGG files differ between runs, because each stream
gets a random serial number.

    python data/make_demo.py    # ten seconds; requires the program espeak-ng, which the study itself does not
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

# The vertical bar marks the position of a pause.
SENTENCES = {
    "b1": "Gli operai | si alzano presto.",
    "l4": "Vorrei il numero telefonico | del Signor Piatti.",
    "n3": "Il gatto sta scorrendo | nella pera.",
    "d2": "Porti con te | quella cosa?",
}

# Each cue: standard deviation of speakers around the rule, lowest and highest value.
CUES = {
    "f0_shift_st": (1.3, -7.0, 8.5),  # semitones from the speaker's resting pitch
    "f0_range": (0.22, 0.25, 2.4),  # factor on the voice's resting range
    "tempo": (0.09, 0.65, 1.5),  # factor on the speaker's resting tempo
    "level_db": (2.5, -9.0, 9.0),  # from the speaker's resting loudness
    "tilt_db_oct": (0.9, -5.0, 5.0),  # spectral slope above 500 Hz: negative is soft, positive is pressed
    "breath_db": (4.0, -50.0, -14.0),  # aspiration noise, relative to the voice's level
    "tremor_st": (0.10, 0.0, 0.9),  # depth of a pitch modulation at 5 to 7 Hz
    "roughness": (0.06, 0.0, 0.55),  # depth of an irregular amplitude modulation at 25 to 70 Hz
    "pause_s": (0.06, 0.0, 0.6),  # at the bar in the sentence
    "formants": (0.012, 0.92, 1.08),  # factor on the speaker's formants: a smile shortens the vocal tract
}

# Rule of each emotion at expressiveness 1, in the order of CUES; then the probabilities of the endings ".", "!", "?".
# Sources of each cue: data/demo/README.md.
RULES = {
    "neu": ((0.0, 1.00, 1.00, 0.0, 0.0, -38, 0.00, 0.02, 0.03, 1.000), (1.0, 0.0, 0.0)),
    "dis": ((-1.8, 1.10, 0.80, -1.5, -0.6, -34, 0.00, 0.26, 0.12, 0.970), (0.9, 0.1, 0.0)),
    "gio": ((3.8, 1.50, 1.10, 3.0, 1.0, -38, 0.00, 0.02, 0.00, 1.035), (0.3, 0.7, 0.0)),
    "pau": ((4.8, 0.70, 1.22, -0.5, 0.3, -25, 0.38, 0.02, 0.06, 1.000), (0.8, 0.2, 0.0)),
    "rab": ((3.4, 1.35, 1.14, 5.0, 2.6, -44, 0.00, 0.16, 0.00, 1.000), (0.3, 0.7, 0.0)),
    "sor": ((5.2, 1.80, 1.00, 2.0, 0.5, -30, 0.00, 0.02, 0.00, 1.000), (0.0, 0.3, 0.7)),
    "tri": ((-2.2, 0.55, 0.80, -5.0, -2.4, -27, 0.10, 0.02, 0.22, 1.000), (1.0, 0.0, 0.0)),
}

# espeak-ng voice, factor on its formants, resting pitch in semitones relative to the voice, words per minute,
# expressiveness (factor on the difference of each rule from neutral).
SPEAKERS = {
    "f1": ("it+f2", 1.00, 0.0, 168, 1.40),
    "f2": ("it+Annie", 1.03, -3.0, 190, 1.60),
    "f3": ("it+f5", 0.95, -1.0, 160, 1.00),
    "m1": ("it", 1.00, 0.5, 172, 1.45),
    "m2": ("it+Michael", 0.96, 2.0, 185, 1.15),
    "m3": ("it+m2", 1.05, -0.5, 158, 1.50),
}
# Variation of a speaker and emotion around the rule, and of a clip around its speaker and emotion, in the standard
# deviations of CUES. Clips of one speaker are similar, so a random split is easier than an unseen speaker.
SPEAKER_VARIATION, CLIP_VARIATION = 0.9, 0.25


def prosody_plan(seed: int = SEED) -> pd.DataFrame:
    """Draw the cues of every clip.

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
    # As in EMOVO, whose level was turned down by hand, the files have only half of the variation in loudness.
    gain_db = rng.normal(0, 2.5, len(plan))
    plan["level_dbfs"] = (-25 + plan["level_db"] / 2 + gain_db).clip(-34, -19).round(2)
    return plan


def _draw_cues(rng: np.random.Generator) -> np.ndarray:
    """Draw the cues of every clip [shape=(speakers, emotions, sentences, cues)]: rule, variation of speakers and of clips."""
    spread, lowest, highest = np.array(list(CUES.values())).T
    rules = np.array([rule for rule, _ in RULES.values()])
    neutral = rules[list(RULES).index("neu")]
    expressiveness = np.array([voice[-1] for voice in SPEAKERS.values()])
    shape = (len(SPEAKERS), len(RULES), len(SENTENCES), len(CUES))
    target = neutral + expressiveness[:, None, None] * (rules - neutral)
    speaker = rng.normal(0, 0.5 * spread, (shape[0], 1, shape[3]))
    speaker_emotion = rng.normal(0, SPEAKER_VARIATION * spread, (shape[0], shape[1], shape[3]))
    clip = rng.normal(0, CLIP_VARIATION * spread, shape)
    return np.clip((target + speaker + speaker_emotion)[:, :, None, :] + clip, lowest, highest)


def _draw_ending(rng: np.random.Generator, emotion: str, sentence: str) -> str:
    """Draw the punctuation mark of a sentence; questions (d1 and d2 of EMOVO) stay questions for every emotion."""
    drawn = str(rng.choice([".", "!", "?"], p=RULES[emotion][1]))
    return "?" if SENTENCES[sentence].endswith("?") else drawn


def synthesize(clip) -> np.ndarray:
    """Synthesise one row of the plan.

    Parameters
    ----------
    clip : named tuple
        A row of `prosody_plan`, from ``plan.itertuples()``.

    Returns
    -------
    np.ndarray [shape=(n,)]
        Samples in [-1, 1] at 16 kHz.

    Raises
    ------
    StudyError
        ``espeak-ng`` is missing or fails.
    """
    rng = np.random.default_rng(clip.noise_seed)
    y, sr = _speak(clip)
    y = _modulate(y, sr, SPEAKERS[clip.speaker][1] * clip.formants, clip.tremor_st, rng)
    y = resample_poly(y, SAMPLE_RATE, sr)
    y = _roughen(_trim(y), clip.roughness, rng)
    y = _tilt(_add_breath(y, clip.breath_db, rng), clip.tilt_db_oct, clip.speaker)
    return _record(y, clip.level_dbfs, rng)


def _speak(clip) -> tuple[np.ndarray, int]:
    """Synthesise the sentence by espeak-ng with the planned pitch, range, tempo, pause and ending; return samples and rate."""
    if shutil.which("espeak-ng") is None:
        raise StudyError(
            "The program espeak-ng, which synthesises the demo corpus, is not on the PATH: install it "
            "(for example: apt-get install espeak-ng); the study itself uses the clips in data/demo."
        )
    voice, formants, rest_st, words_per_minute, _ = SPEAKERS[clip.speaker]
    # `_modulate` shifts the formants by faster playback; pitch and tempo compensate for it here.
    faster = formants * clip.formants
    shift_st = rest_st + clip.f0_shift_st - 12 * np.log2(faster)
    pitch = np.clip(round(50 + 5.4 * shift_st), 0, 99)  # measured: 5.4 steps of espeak-ng are one semitone
    # espeak-ng keeps the range constant in Hz when the pitch changes; perception needs semitones.
    spread = round(100 * clip.f0_range * 2 ** (shift_st / 12))
    words = SENTENCES[clip.sentence].rstrip(".?") + clip.ending
    pause = f'<break time="{round(1000 * clip.pause_s)}ms"/>' if clip.pause_s > 0.05 else ""
    text = f'<speak><prosody range="{spread}%">{words.replace("| ", pause)}</prosody></speak>'
    speed = round(words_per_minute * clip.tempo / faster)
    command = ["espeak-ng", "-m", "-v", voice, "-p", str(pitch), "-s", str(speed), "--stdout", text]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise StudyError(f"espeak-ng failed with the voice {voice}: {done.stderr.decode().strip()}.")
    return sf.read(io.BytesIO(done.stdout))


def _modulate(y: np.ndarray, sr: int, faster: float, tremor_st: float, rng: np.random.Generator) -> np.ndarray:
    """Play `y` at `faster` times its speed, and add a slow drift, tremor and jitter to its pitch."""
    n = int(len(y) / faster)
    t = np.arange(n) / sr
    tremor = np.sin(2 * np.pi * (rng.uniform(5, 7) * t + rng.random()))
    drift = np.sin(2 * np.pi * (rng.uniform(0.3, 0.8) * t + rng.random()))
    jitter = uniform_filter1d(rng.normal(size=n), sr // 100)
    shift_st = tremor_st * tremor + 0.35 * drift + (0.10 + tremor_st / 2) * jitter / jitter.std()
    position = np.cumsum(faster * 2 ** (shift_st / 12))
    return CubicSpline(np.arange(len(y)), y)(position[position < len(y) - 1])


def _trim(y: np.ndarray) -> np.ndarray:
    """Return `y` without leading and trailing silence."""
    loud = np.flatnonzero(np.abs(y) > 0.01 * np.abs(y).max())
    return y[loud[0] : loud[-1] + 1]


def _band_noise(n: int, low_hz: float, high_hz: float, rng: np.random.Generator) -> np.ndarray:
    """Return `n` samples of noise between two frequencies, with standard deviation 1."""
    sos = butter(2, [low_hz, high_hz], btype="bandpass", fs=SAMPLE_RATE, output="sos")
    noise = sosfiltfilt(sos, rng.normal(size=n))
    return noise / noise.std()


def _roughen(y: np.ndarray, depth: float, rng: np.random.Generator) -> np.ndarray:
    """Modulate the amplitude of `y` irregularly at 25 to 70 Hz."""
    return y * np.clip(1 + depth * _band_noise(len(y), 25, 70, rng), 0, None)


def _add_breath(y: np.ndarray, breath_db: float, rng: np.random.Generator) -> np.ndarray:
    """Add aspiration noise that follows the envelope of the voice, `breath_db` relative to it."""
    envelope = uniform_filter1d(np.abs(y), SAMPLE_RATE // 40)
    return y + 10 ** (breath_db / 20) * envelope * _band_noise(len(y), 1200, 6500, rng)


def _tilt(y: np.ndarray, tilt_db_oct: float, speaker: str) -> np.ndarray:
    """Tilt the spectrum above 500 Hz, and add the spectral colouring of the speaker (mouth, distance, microphone)."""
    octaves = np.log2(np.maximum(np.fft.rfftfreq(len(y), 1 / SAMPLE_RATE), 500) / 500)
    bumps = np.random.default_rng(list(SPEAKERS).index(speaker)).normal(0, 1.5, 3)
    speaker_db = sum(bump * np.cos(np.pi * (i + 1) * octaves / 4) for i, bump in enumerate(bumps))
    return np.fft.irfft(np.fft.rfft(y) * 10 ** ((tilt_db_oct * octaves + speaker_db) / 20), len(y))


def _record(y: np.ndarray, level_dbfs: float, rng: np.random.Generator) -> np.ndarray:
    """Set the level, add a short silence before and after, and the noise of a quiet room."""
    y = y * 10 ** (level_dbfs / 20) / np.sqrt(np.mean(y**2))
    y = y * min(1, 0.85 / np.abs(y).max())
    fade = np.minimum(1, np.minimum(np.arange(len(y)), np.arange(len(y))[::-1]) / (0.005 * SAMPLE_RATE))
    before, after = (rng.uniform(0.08, 0.25, 2) * SAMPLE_RATE).astype(int)
    y = np.pad(y * fade, (before, after))
    return y + 10 ** (rng.normal(-66, 2) / 20) * _band_noise(len(y), 60, 3000, rng)


def write_corpus(folder: Path, seed: int = SEED) -> pd.DataFrame:
    """Write every clip of the plan to `folder` as OGG Vorbis, 16 kHz, mono; return the plan."""
    plan = prosody_plan(seed)
    for clip in plan.itertuples():
        path = folder / clip.file
        path.parent.mkdir(parents=True, exist_ok=True)
        y = synthesize(clip)
        with write_aside(path) as aside:
            sf.write(aside, y, SAMPLE_RATE, format="OGG", subtype="VORBIS", compression_level=0.85)
    return plan


def main() -> None:
    """Generate the corpus and print its size; exit with one sentence on stderr and status 1 for a `StudyError`."""
    parser = argparse.ArgumentParser(description="Generate the demo corpus of synthetic voices.")
    parser.add_argument("--seed", type=int, default=SEED, help="seed of the plan (default: %(default)s)")
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
