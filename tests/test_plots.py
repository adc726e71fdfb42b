"""Figures: none is blank or without words, the same data gives the same bytes, and the marks stand where the numbers say."""

import functools
import struct

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from IPython.display import Image, Markdown
from matplotlib.colors import to_rgb

from ser_utils.corpora.labels import EMOTIONS
from ser_utils.figures import plots

matplotlib.use("Agg")

CLASSES = ["neutral", "joy", "sadness"]
SPEAKERS = ["f1", "m1"]
RNG = np.random.default_rng(0)
CLIPS = pd.DataFrame([(s, e) for s in SPEAKERS for e in CLASSES for _ in range(4)], columns=["speaker", "emotion"]).assign(
    duration_s=RNG.uniform(1, 3, 24), level_dbfs=RNG.uniform(-40, -20, 24), zcr=RNG.uniform(0, 0.2, 24)
)
CURVES = pd.DataFrame(
    [(seed, fold, epoch, 2 / epoch, 1 - 1 / epoch) for seed in (0, 1) for fold in (1, 2) for epoch in range(1, 6 - seed)],
    columns=["seed", "fold", "epoch", "loss", "accuracy"],
).assign(val_loss=lambda t: t.loss + 0.5, val_accuracy=lambda t: t.accuracy - 0.1 * t.fold)
SHARES = pd.DataFrame({"emotion": [0.1, 0.2], "speaker": [0.5, 0.05]}, index=["rms", "zcr"])
CONFUSION = pd.concat(
    [
        pd.DataFrame(matrix, columns=CLASSES).assign(
            protocol=protocol, model="mlp", features="f", speaker_norm="none", emotion=CLASSES
        )
        for protocol, matrix in (("as_published", np.eye(3)), ("speaker", [[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0, 0.5, 0.5]]))
    ]
)
BARS = pd.DataFrame(
    {
        "name": ["as published", "a voice never heard"],
        "value": [0.8, 0.25],
        "ci_low": [0.7, 0.2],
        "ci_high": [0.85, 0.4],
        "leaks": [True, False],
    }
)


def voice(sr=16_000, f0_hz=200, duration_s=0.6):
    t = np.arange(round(duration_s * sr)) / sr
    return sum(np.sin(2 * np.pi * k * f0_hz * t) / k for k in range(1, 6)).astype(np.float32) / 4, sr


SOUNDS = {"neutral": voice(), "joy": voice(48_000, 300, 0.9), "sadness": voice(8_000, 120)}

FIGURES = {
    "counts": lambda: plots.counts(CLIPS, CLASSES),
    "durations_and_levels": lambda: plots.durations_and_levels(CLIPS, CLASSES),
    "levels_by_speaker": lambda: plots.levels_by_speaker(CLIPS, CLASSES),
    "one_sentence": lambda: plots.one_sentence(SOUNDS, "Speaker f1, sentence b1"),
    "variants": lambda: plots.variants({"original": voice(), "stretch_pitch": voice(duration_s=0.8)}, "a.wav and its variants"),
    "variance_shares": lambda: plots.variance_shares(SHARES),
    "feature_spread": lambda: plots.feature_spread(CLIPS, "zcr", CLASSES),
    "learning_curves": lambda: plots.learning_curves(CURVES, "Learning curves", "speaker left out"),
    "confusion": lambda: plots.confusion(CONFUSION),
    "headline": lambda: plots.headline(BARS, 1 / 7, "synthetic demo voices"),
}


@functools.cache
def figure(name):
    """A figure to look at, made once."""
    return FIGURES[name]()


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def shown(monkeypatch, tmp_path):
    """Show a figure; gives the file and what was displayed."""
    displayed = []
    monkeypatch.setattr(plots, "display", lambda thing, metadata=None: displayed.append((thing, metadata)))

    def show(fig, caption="What it shows.", alt="A figure."):
        displayed.clear()
        plots.show(fig, tmp_path / "figure.png", caption=caption, alt=alt)
        return tmp_path / "figure.png", list(displayed)

    return show


def chunks(png):
    """The types of a PNG's chunks."""
    at, found = 8, []
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        found.append(kind.decode())
        at += size + 12
    return found


def words(fig):
    axes_words = [text for ax in fig.axes for text in (ax.get_title(loc="left"), ax.get_xlabel(), ax.get_ylabel())]
    return " ".join([*axes_words, fig.get_suptitle(), *(text.get_text() for ax in fig.axes for text in ax.texts)])


# Every figure


def test_every_figure_function_is_tested_here():
    there = {name for name, thing in vars(plots).items() if getattr(thing, "__module__", "") == plots.__name__}
    assert there - {"colour_of", "show", "part_shown"} == set(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_not_blank_and_its_bytes_are_the_same_twice(name, shown):
    path, _ = shown(FIGURES[name]())
    first = path.read_bytes()
    pixels = plt.imread(path)[..., :3]
    assert pixels.std() > 0.03
    assert 0.005 < (pixels.min(axis=-1) < 0.9).mean() < 0.9  # part ink, part paper
    np.random.seed(99)
    path, _ = shown(FIGURES[name]())
    assert path.read_bytes() == first


@pytest.mark.parametrize("name", FIGURES)
def test_figure_leaves_numpys_global_generator_alone(name):
    np.random.seed(5)
    expected = np.random.uniform()
    np.random.seed(5)
    FIGURES[name]()
    assert np.random.uniform() == expected


@pytest.mark.parametrize("name", FIGURES)
def test_figure_has_a_title_and_names_its_axes(name):
    fig = figure(name)
    assert fig.get_suptitle() or any(ax.get_title(loc="left") for ax in fig.axes)
    for ax in fig.axes:
        assert ax.get_ylabel() or ax.get_xlabel() or ax.get_title(loc="left") or ax.get_shared_y_axes().get_siblings(ax)
    assert any(ax.get_ylabel() for ax in fig.axes) or name == "headline"


@pytest.mark.parametrize("name", FIGURES)
def test_figure_draws_without_a_warning(name, recwarn):
    FIGURES[name]().canvas.draw()
    assert [str(warning.message) for warning in recwarn if issubclass(warning.category, UserWarning | RuntimeWarning)] == []


# Showing


def test_show_writes_the_file_and_displays_it_with_alt_text_and_caption(shown):
    fig = FIGURES["counts"]()
    path, [(image, metadata), (caption, _)] = shown(fig, caption="Clips `of` each.", alt='A "table".')
    assert isinstance(image, Image) and image.data == path.read_bytes()
    assert metadata == {"image/png": {"alt": 'A "table".'}}
    assert isinstance(caption, Markdown) and caption.data == "*Figure. Clips `of` each.*"
    assert not plt.fignum_exists(fig.number)
    assert [one.name for one in path.parent.iterdir()] == ["figure.png"]


def test_show_keeps_dates_and_versions_out_of_the_file(shown):
    path, _ = shown(FIGURES["counts"]())
    png = path.read_bytes()
    assert set(chunks(png)) <= {"IHDR", "pHYs", "IDAT", "IEND"}
    assert b"atplotlib" not in png


def test_show_that_fails_leaves_what_was_there(shown, monkeypatch, tmp_path):
    (tmp_path / "figure.png").write_bytes(b"before")
    fig = FIGURES["counts"]()
    monkeypatch.setattr(fig, "savefig", lambda aside, **how: aside.write_bytes(b"half") / 0)
    with pytest.raises(ZeroDivisionError):
        shown(fig)
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("figure.png", b"before")]


# Colours


def test_each_emotion_has_a_colour_of_its_own():
    assert set(EMOTIONS) <= set(plots.COLOURS)
    rgb = np.array([to_rgb(colour) for colour in plots.COLOURS.values()])
    apart = np.linalg.norm(rgb[:, None] - rgb, axis=2) + 9 * np.eye(len(rgb))
    assert apart.min() > 0.15
    assert plots.colour_of("zeal") not in plots.COLOURS.values()


# What the marks say


def test_counts_are_written_into_their_cells():
    ax = plots.counts(CLIPS.iloc[1:], CLASSES).axes[0]
    assert [text.get_text() for text in ax.texts] == ["3", "4", "4", "4", "4", "4"]
    assert [label.get_text() for label in ax.get_xticklabels()] == CLASSES
    assert [label.get_text() for label in ax.get_yticklabels()] == SPEAKERS


def test_durations_and_levels_has_a_point_for_each_clip_above_its_emotion():
    for ax, column in zip(plots.durations_and_levels(CLIPS, CLASSES).axes, ("duration_s", "level_dbfs"), strict=True):
        assert [label.get_text() for label in ax.get_xticklabels()] == CLASSES
        (points,) = ax.collections
        x, y = points.get_offsets().T
        np.testing.assert_allclose(y, CLIPS[column])
        assert [CLASSES[round(one)] for one in x] == CLIPS.emotion.tolist()
        assert np.unique(x).size == len(CLIPS)


def test_levels_by_speaker_are_means():
    ax = plots.levels_by_speaker(CLIPS, CLASSES).axes[0]
    for line, speaker in zip(ax.lines, SPEAKERS, strict=True):
        means = CLIPS[CLIPS.speaker == speaker].groupby("emotion").level_dbfs.mean()
        np.testing.assert_allclose(line.get_ydata(), means[CLASSES])
    assert [label.get_text() for label in ax.get_xticklabels()] == CLASSES


def test_one_sentence_shows_f0_on_a_shared_time_axis():
    axes = np.array(figure("one_sentence").axes).reshape(3, 3)
    assert [ax.get_title() or ax.get_title(loc="left") for ax in axes[0]] == list(SOUNDS)
    for ax, f0_hz in zip(axes[2], (200, 300, 120), strict=True):
        assert np.nanmedian(ax.lines[0].get_ydata()) == pytest.approx(f0_hz, rel=0.01)
    for ax in axes.flat:
        assert ax.get_xlim() == (0, 0.9)


def test_one_sentence_puts_a_tone_at_its_frequency():
    t = np.arange(16_000) / 16_000
    fig = plots.one_sentence({"joy": (np.sin(2 * np.pi * 1_000 * t).astype(np.float32), 16_000)}, "")
    ax = fig.axes[1]
    brightest = ax.images[0].get_array().mean(axis=1).argmax()
    hz = [float(label.get_text()) for label in ax.get_yticklabels()]
    assert np.interp(brightest, ax.get_yticks(), hz) == pytest.approx(1_000, abs=450)  # the scale is not linear between ticks
    assert hz[0] < 100 and 7_000 < hz[-1] < 8_000


def test_one_clip_is_enough_for_a_column():
    assert len(plots.one_sentence({"joy": voice()}, "").axes) == 3
    assert len(plots.variants({"original": voice()}, "").axes) == 2


def test_variants_are_as_long_as_they_are():
    axes = np.array(figure("variants").axes).reshape(2, 2)
    assert [ax.get_title(loc="left") for ax in axes[0]] == ["original", "stretch + pitch"]
    assert [axes[0, i].lines[0].get_xdata()[-1] for i in (0, 1)] == pytest.approx([0.6, 0.8], abs=0.001)
    assert [axes[1, i].images[0].get_extent()[1] for i in (0, 1)] == pytest.approx([0.6, 0.8])
    assert {ax.get_xlim() for ax in axes.flat} == {(0, 0.8)}


def test_variance_shares_are_the_bars():
    ax = plots.variance_shares(SHARES).axes[0]
    assert [bar.get_height() for bar in ax.patches] == [0.1, 0.2, 0.5, 0.05]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["between emotions", "between speakers"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["rms", "zcr"]


def test_learning_curves_thick_lines_are_means_of_all_folds_and_seeds():
    for ax, name in zip(figure("learning_curves").axes, ("loss", "accuracy"), strict=True):
        thick = [line for line in ax.lines if line.get_linewidth() == 2]
        for line, column in zip(thick, (name, f"val_{name}"), strict=True):
            np.testing.assert_allclose(line.get_ydata(), CURVES.groupby("epoch")[column].mean())
        assert len(ax.lines) - len(thick) == 4  # two folds of the first seed, training and validation
        assert ax.get_ylim()[0] == 0


def test_confusion_says_that_rows_are_normalised_and_writes_their_shares():
    fig = figure("confusion")
    assert "normalised by true label" in fig.get_suptitle()
    left, right = fig.axes[:2]
    assert (left.get_xlabel(), left.get_ylabel()) == ("predicted", "true")
    assert [text.get_text() for text in right.texts] == ["70", "20", "10", "30", "40", "30", "0", "50", "50"]
    assert "as_published" in left.get_title(loc="left") and "speaker" in right.get_title(loc="left")


def test_confusion_of_one_protocol():
    fig = plots.confusion(CONFUSION[CONFUSION.protocol == "speaker"])
    assert [text.get_text() for text in fig.axes[0].texts][:3] == ["70", "20", "10"]


def test_headline_shows_uar_interval_and_chance():
    fig = figure("headline")
    ax = fig.axes[0]
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([80, 25])
    ends = [segment[:, 0].tolist() for segment in ax.collections[0].get_segments()]
    assert ends == [pytest.approx([70, 85]), pytest.approx([20, 40])]
    chance = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"]
    assert chance == [pytest.approx(100 / 7)]
    for text in ("80.0 %", "25.0 %", "chance 14.3 %", "(synthetic demo voices)", "95 % interval over speakers"):
        assert text in words(fig)


def test_headline_of_real_voices_has_no_notice():
    assert plots.headline(BARS, 1 / 7, "").axes[0].get_title(loc="left") == "How well is emotion heard?"


MANY = pd.concat([CLIPS[CLIPS.speaker == "f1"].assign(speaker=f"{i:02d}") for i in range(30)], ignore_index=True)


def test_of_many_speakers_a_figure_shows_a_part_and_says_so():
    ax = plots.counts(MANY, CLASSES).axes[0]
    assert len(ax.get_yticklabels()) == 24 and ax.get_title(loc="left").endswith(", the first 24 of 30")
    ax = plots.feature_spread(MANY, "zcr", CLASSES).axes[0]
    assert len(ax.get_xticklabels()) == 12 and ax.get_title(loc="left").endswith(", the first 12 of 30")
    ax = plots.levels_by_speaker(MANY, CLASSES).axes[0]
    assert len(ax.lines) == 31 and [text.get_text() for text in ax.get_legend().get_texts()] == ["mean of 30 speakers"]


def test_shares_without_speakers_speak_of_emotions_alone():
    ax = plots.variance_shares(SHARES[["emotion"]]).axes[0]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["between emotions"]
    assert "speaker" not in ax.get_title(loc="left")


def test_a_headline_says_what_its_intervals_resample():
    assert plots.headline(BARS, 1 / 7, "", "clips").axes[0].get_xlabel().endswith("95 % interval over clips")
