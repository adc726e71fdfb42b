"""Figures of corpora, recordings, features and training: marks and labels show the values of the tables."""

import numpy as np
import pandas as pd
import pytest
from figure_examples import CLASSES, CLIPS, CURVES, SHARES, SOUNDS, SPEAKERS, figure, harmonic_tone, tick_labels

from ser_utils import figures


def test_counts_are_written_into_their_cells():
    ax = figures.counts(CLIPS.iloc[1:], CLASSES).axes[0]
    assert [text.get_text() for text in ax.texts] == ["3", "4", "4", "4", "4", "4"]
    assert (tick_labels(ax.xaxis), tick_labels(ax.yaxis)) == (CLASSES, SPEAKERS)


def test_durations_and_levels_has_a_point_for_each_clip_above_its_emotion():
    for ax, column in zip(figure("durations_and_levels").axes, ("duration_s", "level_dbfs"), strict=True):
        assert tick_labels(ax.xaxis) == CLASSES
        (points,) = ax.collections
        x, y = points.get_offsets().T
        np.testing.assert_allclose(y, CLIPS[column])
        assert [CLASSES[round(value)] for value in x] == CLIPS.emotion.tolist()
        assert np.unique(x).size == len(CLIPS)


def test_levels_by_speaker_are_means():
    ax = figure("levels_by_speaker").axes[0]
    for line, speaker in zip(ax.lines, SPEAKERS, strict=True):
        means = CLIPS[CLIPS.speaker == speaker].groupby("emotion").level_dbfs.mean()
        np.testing.assert_allclose(line.get_ydata(), means[CLASSES])
    assert tick_labels(ax.xaxis) == CLASSES


def test_with_many_speakers_a_figure_shows_the_first_or_their_mean():
    many = pd.concat([CLIPS[CLIPS.speaker == "f1"].assign(speaker=f"{i:02d}") for i in range(30)], ignore_index=True)
    ax = figures.feature_spread(many, "zcr", CLASSES).axes[0]
    assert len(ax.get_xticklabels()) == 12 and ax.get_title(loc="left").endswith(", the first 12 of 30 speakers")
    ax = figures.levels_by_speaker(many, CLASSES).axes[0]
    assert len(ax.lines) == 31 and [text.get_text() for text in ax.get_legend().get_texts()] == ["mean of 30 speakers"]


def test_one_sentence_shows_f0_on_a_shared_time_axis():
    axes = np.array(figure("one_sentence").axes).reshape(3, 3)
    assert [ax.get_title(loc="left") for ax in axes[0]] == list(SOUNDS)
    for ax, f0_hz in zip(axes[2], (200, 300, 120), strict=True):
        assert np.nanmedian(ax.lines[0].get_ydata()) == pytest.approx(f0_hz, rel=0.01)
    assert {ax.get_xlim() for ax in axes.flat} == {(0, 0.9)}


def test_one_sentence_puts_a_tone_at_its_frequency():
    t = np.arange(16_000) / 16_000
    ax = figures.one_sentence({"joy": (np.sin(2 * np.pi * 1_000 * t).astype(np.float32), 16_000)}, "").axes[1]
    brightest = ax.images[0].get_array().mean(axis=1).argmax()
    hz = [float(label.get_text()) for label in ax.get_yticklabels()]
    assert np.interp(brightest, ax.get_yticks(), hz) == pytest.approx(1_000, abs=450)  # the scale is not linear between ticks
    assert hz[0] < 100 and 7_000 < hz[-1] < 8_000


def test_variants_have_their_own_duration_on_a_shared_time_axis():
    axes = np.array(figure("variants").axes).reshape(2, 2)
    assert [ax.get_title(loc="left") for ax in axes[0]] == ["original", "stretch + pitch"]
    assert [axes[0, i].lines[0].get_xdata()[-1] for i in (0, 1)] == pytest.approx([0.6, 0.8], abs=0.001)
    assert [axes[1, i].images[0].get_extent()[1] for i in (0, 1)] == pytest.approx([0.6, 0.8])
    assert {ax.get_xlim() for ax in axes.flat} == {(0, 0.8)}
    assert len(figures.variants({"original": harmonic_tone()}, "").axes) == 2  # one column is enough


@pytest.mark.parametrize(
    ("groups", "heights"), [(["emotion", "speaker"], [0.1, 0.2, 0.5, 0.05]), (["emotion"], [0.1, 0.2])], ids=str
)
def test_variance_shares_are_the_bars(groups, heights):
    ax = figures.variance_shares(SHARES[groups]).axes[0]
    assert [bar.get_height() for bar in ax.patches] == heights
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"between {name}s" for name in groups]
    assert tick_labels(ax.xaxis) == ["rms", "zcr"] and ("speakers" in ax.get_title(loc="left")) == ("speaker" in groups)


def test_learning_curves_thick_lines_are_means_of_all_folds_and_seeds():
    for ax, name in zip(figure("learning_curves").axes, ("loss", "accuracy"), strict=True):
        thick = [line for line in ax.lines if line.get_linewidth() == 2]
        for line, column in zip(thick, (name, f"val_{name}"), strict=True):
            np.testing.assert_allclose(line.get_ydata(), CURVES.groupby("epoch")[column].mean())
        assert len(ax.lines) - len(thick) == 4  # two folds of the first seed, training and validation
        assert ax.get_ylim()[0] == 0
