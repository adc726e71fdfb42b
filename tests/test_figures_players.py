"""Audio players embed every clip, or state why there are none."""

import base64
import io
import re

import numpy as np
import pytest
import soundfile as sf
from figure_examples import harmonic_tone

from ser_utils.figures import audio_players


def test_players_embed_each_clip_at_16_khz():
    y, sr = harmonic_tone(f0_hz=220, duration_s=1)
    page = audio_players({"joy": harmonic_tone(48_000, 220, 1), "<b>": (0.001 * y, sr)}, allowed=True).data
    assert re.findall("<figcaption>(.*?)</figcaption>", page) == ["joy", "&lt;b&gt;"]
    for data in re.findall(r'src="data:audio/mpeg;base64,([^"]+)"', page):
        y, sr = sf.read(io.BytesIO(base64.b64decode(data)))
        assert sr == 16_000
        assert y.size / sr == pytest.approx(1, abs=0.15)
        assert 0.8 < np.abs(y).max() < 1  # scaled up if soft, not clipped
    assert page.count("<audio ") == 2


def test_players_are_replaced_by_a_sentence_if_the_licence_forbids_embedding():
    page = audio_players({"joy": harmonic_tone()}, allowed=False).data
    assert "audio/mpeg" not in page and "<audio" not in page
    assert "licence" in page and "EMBED_AUDIO = True" in page
