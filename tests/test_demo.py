"""The demo corpus: its plan is a function of the seed, and the committed clips follow that plan."""

import importlib.util
import shutil
import subprocess
import sys

import librosa
import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from ser_utils.core.errors import StudyError
from ser_utils.core.paths import ROOT

DEMO = ROOT / "data" / "demo"
SCRIPT = ROOT / "data" / "make_demo.py"
needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")


@pytest.fixture(scope="module")
def make_demo():
    spec = importlib.util.spec_from_file_location("make_demo", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def plan(make_demo):
    return make_demo.prosody_plan()


@pytest.fixture(scope="module")
def measured(plan):
    """The plan joined with measurements of the committed clips."""
    return plan.join(pd.DataFrame([_measure(*sf.read(DEMO / file)) for file in plan["file"]]))


def _measure(y, sr):
    """Measure a whole clip; brightness is the level above 1 kHz relative to the level below."""
    power = np.abs(np.fft.rfft(y)) ** 2
    above = np.fft.rfftfreq(len(y), 1 / sr) > 1000
    return {
        "duration_s": len(y) / sr,
        "finite": bool(np.isfinite(y).all()),
        "peak": np.abs(y).max(),
        "rms_dbfs": 10 * np.log10(np.mean(y**2)),
        "brightness_db": 10 * np.log10(power[above].sum() / power[~above].sum()),
    }


def _f0_hz(file):
    """Return the median F0 of the louder frames of a clip."""
    y, sr = sf.read(DEMO / file)
    f0 = librosa.yin(y, fmin=60, fmax=600, sr=sr, frame_length=1024)
    rms = librosa.feature.rms(y=y, frame_length=1024, hop_length=256)[0]
    return np.median(f0[rms > 0.2 * rms.max()])


def test_same_seed_same_plan(make_demo, plan):
    pd.testing.assert_frame_equal(make_demo.prosody_plan(make_demo.SEED), plan)


def test_another_seed_another_plan_of_the_same_files(make_demo, plan):
    other = make_demo.prosody_plan(make_demo.SEED + 1)
    assert (other["file"] == plan["file"]).all()
    for cue in ("f0_shift_st", "tempo", "level_dbfs", "noise_seed"):
        assert (other[cue] != plan[cue]).mean() > 0.9, cue


def test_plan_is_balanced_and_within_its_limits(make_demo, plan):
    assert len(plan) == plan["file"].nunique() == 6 * 7 * 4
    assert (plan.groupby(["speaker", "emotion"]).size() == 4).all()
    assert (plan.groupby(["emotion", "sentence"]).size() == 6).all()
    for cue, (_, lowest, highest) in make_demo.CUES.items():
        assert plan[cue].between(lowest, highest).all(), cue


def test_plan_follows_the_published_correlates(plan):
    mean = plan.groupby("emotion").mean(numeric_only=True)
    assert mean.loc["tri", "f0_shift_st"] < mean.loc["neu", "f0_shift_st"] < mean.loc["rab", "f0_shift_st"]
    assert mean["f0_range"].idxmax() == "sor"
    assert mean["f0_range"].idxmin() == "tri"
    assert mean.loc[["dis", "tri"], "tempo"].max() < mean.loc[["rab", "pau", "gio"], "tempo"].min()
    assert mean["level_db"].idxmax() == "rab"
    assert mean["tilt_db_oct"].idxmax() == "rab"
    assert mean["tremor_st"].idxmax() == "pau"
    assert mean["roughness"].idxmax() == "dis"
    assert mean["pause_s"].idxmax() == "tri"


def test_committed_files_are_the_plans(plan):
    found = sorted(path.relative_to(DEMO).as_posix() for path in DEMO.rglob("*.ogg"))
    assert found == sorted(plan["file"])


def test_committed_corpus_is_small():
    assert sum(path.stat().st_size for path in DEMO.rglob("*") if path.is_file()) < 3_000_000


def test_clips_are_16_khz_mono_vorbis(plan):
    for file in plan["file"]:
        info = sf.info(DEMO / file)
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "VORBIS"), file


def test_clips_are_finite_audible_and_not_clipped(measured):
    assert measured["finite"].all()
    assert measured["rms_dbfs"].between(-40, -15).all()
    assert measured["peak"].between(0.05, 0.99).all()
    assert measured["duration_s"].between(0.8, 6).all()


def test_clips_were_made_from_this_plan_and_no_other(make_demo, measured):
    other = make_demo.prosody_plan(make_demo.SEED + 1)
    assert np.corrcoef(measured["rms_dbfs"], measured["level_dbfs"])[0, 1] > 0.9
    assert np.corrcoef(measured["rms_dbfs"], other["level_dbfs"])[0, 1] < 0.6


def test_anger_and_joy_are_higher_than_sadness_in_every_speaker(plan):
    clips = plan[plan["emotion"].isin(["rab", "gio", "tri"]) & plan["sentence"].isin(["b1", "l4"])]
    clips = clips.assign(f0_hz=clips["file"].map(_f0_hz))
    f0_hz = clips.pivot_table(index="speaker", columns="emotion", values="f0_hz")
    assert (f0_hz["rab"] > 1.1 * f0_hz["tri"]).all(), f0_hz
    assert (f0_hz["gio"] > 1.1 * f0_hz["tri"]).all(), f0_hz


def test_sadness_is_slower_and_darker_than_anger(measured):
    mean = measured.groupby(["emotion", "speaker"])[["duration_s", "brightness_db"]].mean()
    assert (mean.loc["tri", "duration_s"] > 1.15 * mean.loc["rab", "duration_s"]).all()
    assert (mean.loc["tri", "brightness_db"] < mean.loc["rab", "brightness_db"]).all()


def test_level_alone_does_not_tell_the_emotion(measured):
    anger, sadness = (measured.loc[measured["emotion"] == code, "rms_dbfs"] for code in ("rab", "tri"))
    assert anger.mean() > sadness.mean()
    assert anger.min() < sadness.median()


def test_missing_espeak_is_one_sentence(tmp_path):
    command = [sys.executable, SCRIPT, "--out", tmp_path]
    done = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("The program espeak-ng, which synthesises the demo corpus, is not on the PATH")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.rglob("*.ogg"))


def test_missing_espeak_is_a_study_error(make_demo, plan, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(StudyError, match="apt-get install espeak-ng"):
        make_demo.synthesize(next(plan.itertuples()))


@needs_espeak
def test_synthesis_is_reproducible(make_demo, plan, monkeypatch):
    """With the same output of espeak-ng, which is outside the project and on rare occasions differs a little."""
    clip = next(plan.itertuples())
    spoken, sr = make_demo._speak(clip)
    monkeypatch.setattr(make_demo, "_speak", lambda clip: (spoken.copy(), sr))
    y = make_demo.synthesize(clip)
    assert np.isfinite(y).all()
    assert abs(len(y) / 16_000 - sf.info(DEMO / clip.file).duration) < 0.5
    np.testing.assert_array_equal(y, make_demo.synthesize(clip))
