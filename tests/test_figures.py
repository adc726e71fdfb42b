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


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def shown(monkeypatch, tmp_path):
    """Show a figure; returns the file and what was displayed."""
    displayed = []
    monkeypatch.setattr(style, "display", lambda thing, metadata=None: displayed.append((thing, metadata)))

    def show(fig, caption="Counts by speaker.", alt="A figure."):
        displayed.clear()
        figures.show(fig, tmp_path / "figure.png", caption=caption, alt=alt)
        return tmp_path / "figure.png", list(displayed)

    return show


def chunks(png):
    """Return the types of a PNG's chunks."""
    position, types = 8, []
    while position < len(png):
        size, kind = struct.unpack(">I4s", png[position : position + 8])
        types.append(kind.decode())
        position += size + 12
    return types


# Every figure


def test_every_figure_function_has_an_example():
    assert set(figures.__all__) - {"audio_players", "colour_of", "show"} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_figure_is_not_blank_and_its_bytes_are_the_same_twice(name, shown):
    path, _ = shown(EXAMPLES[name]())
    first = path.read_bytes()
    pixels = plt.imread(path)[..., :3]
    assert pixels.std() > 0.03
    assert 0.005 < (pixels.min(axis=-1) < 0.9).mean() < 0.9  # both marks and background
    np.random.seed(99)
    path, _ = shown(EXAMPLES[name]())
    assert path.read_bytes() == first


@pytest.mark.parametrize("name", EXAMPLES)
def test_figure_leaves_numpys_global_generator_unchanged(name):
    np.random.seed(5)
    expected = np.random.uniform()
    np.random.seed(5)
    EXAMPLES[name]()
    assert np.random.uniform() == expected


@pytest.mark.parametrize("name", EXAMPLES)
def test_nothing_is_cut_off(name):
    fig = figure(name)
    drawn = [text for text in texts(fig) if not _is_outside_its_axis(text, fig)]
    assert len(drawn) > 5
    for text in drawn:
        box = text.get_window_extent()
        assert box.x0 >= -1 and box.y0 >= -1, text
        assert box.x1 <= fig.bbox.x1 + 1 and box.y1 <= fig.bbox.y1 + 1, text


def _is_outside_its_axis(text, fig):
    """Whether a text is the label of a tick beyond the limits, which is not drawn."""
    for ax in fig.axes:
        for axis in (ax.xaxis, ax.yaxis):
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if text in (tick.label1, tick.label2):
                    low, high = sorted(axis.get_view_interval())
                    return not low <= tick.get_loc() <= high
    return False


@pytest.mark.parametrize("name", EXAMPLES)
def test_figure_has_the_common_layout_a_title_and_labels(name):
    fig = figure(name)
    assert fig.get_layout_engine() is not None
    assert fig.get_suptitle() or any(ax.get_title(loc="left") for ax in fig.axes)
    for ax in fig.axes:
        assert ax.get_ylabel() or ax.get_xlabel() or ax.get_title(loc="left") or ax.get_shared_y_axes().get_siblings(ax)
    assert any(ax.get_ylabel() for ax in fig.axes) or name in (
        "headline",
        "published_results",
        "importance",
        "emotions_by_corpus",
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_figure_draws_without_a_warning(name, recwarn):
    EXAMPLES[name]().canvas.draw()
    assert [str(warning.message) for warning in recwarn if issubclass(warning.category, UserWarning | RuntimeWarning)] == []


@pytest.mark.parametrize(
    "name",
    ["protocol_comparison", "headline", "published_results", "coverage", "enrolment", "paired_differences", "uar_by_speaker"],
)
def test_chance_is_drawn_and_labelled(name):
    fig = figure(name)
    dotted = [line for ax in fig.axes for line in ax.lines if line.get_linestyle() == ":"]
    assert any(100 * CHANCE in (*line.get_xdata(), *line.get_ydata()) for line in dotted)
    assert "chance 14.3 %" in words(fig)


# Saving


def test_show_writes_the_file_and_displays_it_with_alt_text_and_caption(shown):
    fig = EXAMPLES["counts"]()
    path, [(image, metadata), (caption, _)] = shown(fig, caption="Clips `of` each.", alt='A "table".')
    assert isinstance(image, Image) and image.data == path.read_bytes()
    assert metadata == {"image/png": {"alt": 'A "table".'}}
    assert isinstance(caption, Markdown) and caption.data == "*Figure. Clips `of` each.*"
    assert not plt.fignum_exists(fig.number)
    assert [file.name for file in path.parent.iterdir()] == ["figure.png"]


def test_show_keeps_dates_and_versions_out_of_the_file(shown):
    path, _ = shown(EXAMPLES["counts"]())
    png = path.read_bytes()
    assert set(chunks(png)) <= {"IHDR", "pHYs", "IDAT", "IEND"}
    assert b"atplotlib" not in png


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
