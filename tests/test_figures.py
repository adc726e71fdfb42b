"""What holds for every figure: not blank, reproducible, nothing cut off, titled and labelled; saving, and the palette."""

import struct

import matplotlib.pyplot as plt
import numpy as np
import pytest
from figure_examples import CHANCE, EXAMPLES, figure, texts, words
from IPython.display import Image, Markdown
from matplotlib.colors import to_rgb

from ser_utils import figures
from ser_utils.corpora.labels import EMOTIONS
from ser_utils.figures import style


@pytest.fixture
def shown(monkeypatch, tmp_path):
    """Show a figure; returns the file and what was displayed."""
    displayed = []
    monkeypatch.setattr(style, "display", lambda thing, metadata=None: displayed.append((thing, metadata)))

    def show(fig):
        displayed.clear()
        figures.show(fig, tmp_path / "figure.png", caption="Clips `of` each.", alt='A "table".')
        return tmp_path / "figure.png", list(displayed)

    return show


# Every figure


def test_every_figure_function_has_an_example():
    assert set(figures.__all__) - {"audio_players", "colour_of", "show"} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_figure_is_not_blank_has_no_warning_and_the_same_bytes_twice(name, shown, recwarn):
    path, _ = shown(EXAMPLES[name]())
    first = path.read_bytes()
    assert 0.005 < (plt.imread(path)[..., :3].min(axis=-1) < 0.9).mean() < 0.9  # both marks and background
    np.random.seed(99)
    path, _ = shown(EXAMPLES[name]())
    assert path.read_bytes() == first
    assert [str(warning.message) for warning in recwarn if issubclass(warning.category, UserWarning | RuntimeWarning)] == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_figure_has_a_title_and_labels_and_nothing_is_cut_off(name):
    fig = figure(name)
    assert fig.get_suptitle() or any(ax.get_title(loc="left") for ax in fig.axes)
    for ax in fig.axes:
        assert ax.get_ylabel() or ax.get_xlabel() or ax.get_title(loc="left") or ax.get_shared_y_axes().get_siblings(ax)
    for text in texts(fig):
        box = text.get_window_extent()
        is_inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= fig.bbox.x1 + 1 and box.y1 <= fig.bbox.y1 + 1
        assert is_inside or _is_outside_its_axis(text, fig), text


def _is_outside_its_axis(text, fig):
    """Whether a text is the label of a tick beyond the limits, which is not drawn."""
    for axis in (axis for ax in fig.axes for axis in (ax.xaxis, ax.yaxis)):
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
            if text in (tick.label1, tick.label2):
                low, high = sorted(axis.get_view_interval())
                return not low <= tick.get_loc() <= high
    return False


@pytest.mark.parametrize(
    "name",
    ["protocol_comparison", "headline", "published_results", "coverage", "enrolment", "paired_differences", "uar_by_speaker"],
)
def test_chance_is_drawn_and_labelled(name):
    fig = figure(name)
    dotted = [line for ax in fig.axes for line in ax.lines if line.get_linestyle() == ":"]
    assert any(100 * CHANCE in (*line.get_xdata(), *line.get_ydata()) for line in dotted)
    assert "chance 14.3 %" in words(fig)


def test_level_of_intervals_is_that_of_the_evaluation():
    from ser_utils.evaluation.intervals import CONFIDENCE

    for name in ("headline", "protocol_comparison", "importance", "cross_corpus_matrix"):
        assert f"{100 * CONFIDENCE:.0f} % interval" in words(figure(name)) + figure(name).get_suptitle(), name


# Saving


def test_show_writes_the_file_and_displays_it_with_alt_text_and_caption(shown):
    fig = EXAMPLES["counts"]()
    path, [(image, metadata), (caption, _)] = shown(fig)
    png = path.read_bytes()
    assert isinstance(image, Image) and image.data == png
    assert metadata == {"image/png": {"alt": 'A "table".'}}
    assert isinstance(caption, Markdown) and caption.data == "*Figure. Clips `of` each.*"
    assert not plt.fignum_exists(fig.number)
    position, chunks = 8, set()
    while position < len(png):
        size, kind = struct.unpack(">I4s", png[position : position + 8])
        chunks.add(kind)
        position += size + 12
    assert chunks <= {b"IHDR", b"pHYs", b"IDAT", b"IEND"}  # no date, no version


def test_show_that_fails_keeps_the_previous_file(shown, monkeypatch, tmp_path):
    (tmp_path / "figure.png").write_bytes(b"before")
    fig = EXAMPLES["counts"]()
    monkeypatch.setattr(fig, "savefig", lambda path, **options: path.write_bytes(b"half") / 0)
    with pytest.raises(ZeroDivisionError):
        shown(fig)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("figure.png", b"before")]


# Palette and labels


def test_each_emotion_has_its_own_colour():
    assert set(EMOTIONS) <= set(style.EMOTION_COLOURS)
    rgb = np.array([to_rgb(colour) for colour in style.EMOTION_COLOURS.values()])
    distances = np.linalg.norm(rgb[:, None] - rgb, axis=2) + 9 * np.eye(len(rgb))
    assert distances.min() > 0.15
    assert figures.colour_of("zeal") not in style.EMOTION_COLOURS.values()


def test_points_have_a_sign_and_no_minus_zero():
    assert [style.format_points(x) for x in (0.071, -0.0004, -0.02)] == ["+7.1", "+0.0", "\N{MINUS SIGN}2.0"]
