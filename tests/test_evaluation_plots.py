"""Figures of the evaluation: none is blank, nothing is cut off, and the marks stand where the numbers say."""

import functools

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from ser_utils.core.errors import StudyError
from ser_utils.figures import evaluation as evaluation_figures

matplotlib.use("Agg")

CHANCE = 1 / 7


def metric_rows(model, features, norm, **values):
    return [
        {"protocol": name, "model": model, "features": features, "speaker_norm": norm, "metric": "uar", "value": value}
        | {"ci_low": value - 0.05, "ci_high": value + 0.06}
        for name, value in values.items()
    ]


METRICS = pd.DataFrame(
    metric_rows("original_mlp", "original38", "none", speaker=0.247, as_published=0.842, clip=0.62)
    + metric_rows("mlp", "functionals", "none", as_published=0.95, clip=0.7, sentence=0.66, speaker=0.41, speaker_sentence=0.4)
    + metric_rows(
        "mlp", "functionals", "speaker", as_published=0.96, clip=0.75, sentence=0.7, speaker=0.48, speaker_sentence=0.47
    )
    + metric_rows("logistic_regression", "functionals", "speaker", speaker=0.45)
    + [{**metric_rows("mlp", "functionals", "none", speaker=0.99)[0], "metric": "accuracy"}]
)
ANCHORS = pd.DataFrame(
    [
        ("eGeMAPS + SVM", 0.374, "Haider et al. 2021, as cited by Pentari et al. 2022", "hand-crafted", None, None),
        ("WavLM large, frozen", 0.488, "EmoBox 2024", "frozen encoder", None, None),
        ("mlp, functionals, per-speaker norm", 0.48, "this study", "ours", 0.41, 0.55),
        ("wav2vec 2.0 base, frozen", 0.311, "EmoBox 2024", "frozen encoder", None, None),
    ],
    columns=["system", "uar", "source", "kind", "ci_low", "ci_high"],
)
BEFORE = pd.DataFrame(
    {
        "low": [0.2, 0.8, 0.9],
        "high": [0.3, 0.9, 1],
        "confidence": [0.25, 0.85, 0.95],
        "accuracy": [0.4, 0.3, 0.45],
        "n": [10, 30, 60],
    }
)
AFTER = BEFORE.assign(low=[0.2, 0.3, 0.4], high=[0.3, 0.4, 0.5], confidence=[0.25, 0.35, 0.45], accuracy=[0.25, 0.35, 0.45])
COVERAGE = pd.DataFrame(
    [(s, c, 0.4 + gain * (1 - c)) for s, gain in (("mlp", 0.4), ("svm", 0.2)) for c in (1.0, 0.5, 0.1)],
    columns=["system", "coverage", "accuracy"],
)
FAMILIES = pd.DataFrame(
    [("energy shape", 0.02, -0.01, 0.05), ("F0 in semitones", 0.08, 0.03, 0.12), ("log-mel", -0.004, -0.03, 0.02)],
    columns=["family", "drop", "low", "high"],
)
ENROLMENT = pd.DataFrame(
    [(10, 0.45, 0.38, 0.51), (0, 0.41, 0.35, 0.47), (1, 0.31, 0.25, 0.37), (98, 0.48, 0.41, 0.54)],
    columns=["n_clips", "uar", "low", "high"],
)
PAIRED = pd.DataFrame({"speaker": ["f1", "f2", "m1"], "uar_a": [0.5, 0.45, 0.61], "uar_b": [0.44, 0.46, 0.5]})
GROUPS = pd.DataFrame(
    [(e, s, v, "recall", 14, 1) for e, v in (("neutral", 0.2), ("joy", 0.705)) for s in ("f1", "m1")],
    columns=["emotion", "speaker", "value", "metric", "n_clips", "n_speakers"],
).assign(protocol="speaker", model="mlp", features="functionals", speaker_norm="none")

FIGURES = {
    "ladder": lambda: evaluation_figures.protocol_comparison(METRICS, CHANCE, "synthetic demo voices"),
    "anchors": lambda: evaluation_figures.published_results(ANCHORS, CHANCE),
    "reliability": lambda: evaluation_figures.reliability(BEFORE, AFTER),
    "coverage": lambda: evaluation_figures.coverage(COVERAGE, CHANCE),
    "importance": lambda: evaluation_figures.importance(FAMILIES),
    "enrolment": lambda: evaluation_figures.enrolment(ENROLMENT, CHANCE),
    "paired": lambda: evaluation_figures.paired_differences(PAIRED, CHANCE, a="per-speaker norm", b="no norm"),
    "heat_by_group": lambda: evaluation_figures.heat_by_group(GROUPS),
}


@functools.cache
def figure(name):
    """A figure to look at, made once and drawn, so that everything has its place."""
    fig = FIGURES[name]()
    fig.canvas.draw()
    return fig


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def texts(fig):
    """Every text that is to be seen, but for ticks outside their axis."""
    for text in fig.findobj(matplotlib.text.Text):
        if text.get_visible() and text.get_text().strip() and text.get_window_extent().width:
            yield text


def words(fig):
    return " | ".join(text.get_text() for text in texts(fig))


def whiskers(container):
    """Ends of an error bar container's whiskers, low and high of each."""
    (lines,) = container.lines[2]
    return np.array([np.sort(segment.T[np.ptp(segment, axis=0).argmax()]) for segment in lines.get_segments()])


def test_every_figure_function_is_tested_here():
    there = {
        name
        for name, thing in vars(evaluation_figures).items()
        if getattr(thing, "__module__", "") == evaluation_figures.__name__
    }
    assert {name for name in there if not name.startswith("_")} == set(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_not_blank_and_the_same_twice(name):
    first, second = (
        np.asarray(fig.canvas.buffer_rgba()) for fig in (figure(name), FIGURES[name]()) if fig.canvas.draw() is None
    )
    np.testing.assert_array_equal(first, second)
    pixels = first[..., :3] / 255
    assert pixels.std() > 0.03
    assert 0.005 < (pixels.min(axis=-1) < 0.9).mean() < 0.9  # part ink, part paper


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_cut_off(name):
    fig = figure(name)
    inside = [text for text in texts(fig) if not _outside_its_axis(text, fig)]
    assert len(inside) > 5
    for text in inside:
        box = text.get_window_extent()
        assert box.x0 >= -1 and box.y0 >= -1, text
        assert box.x1 <= fig.bbox.x1 + 1 and box.y1 <= fig.bbox.y1 + 1, text


def _outside_its_axis(text, fig):
    """Whether it is the label of a tick beyond the limits, which is not drawn."""
    for ax in fig.axes:
        for axis in (ax.xaxis, ax.yaxis):
            for tick in axis.get_major_ticks():
                if text in (tick.label1, tick.label2):
                    low, high = sorted(axis.get_view_interval())
                    return not low <= tick.get_loc() <= high
    return False


@pytest.mark.parametrize("name", FIGURES)
def test_figure_has_the_style_of_the_others_and_a_title(name):
    fig = figure(name)
    assert fig.get_layout_engine() is not None
    assert fig.get_suptitle() or any(ax.get_title(loc="left") for ax in fig.axes)
    assert any(ax.get_ylabel() or ax.get_xlabel() for ax in fig.axes)


@pytest.mark.parametrize("name", FIGURES)
def test_figure_draws_without_a_warning(name, recwarn):
    FIGURES[name]().canvas.draw()
    assert [str(warning.message) for warning in recwarn if issubclass(warning.category, UserWarning | RuntimeWarning)] == []


@pytest.mark.parametrize("name", ["ladder", "anchors", "coverage", "enrolment", "paired"])
def test_chance_is_drawn_and_named(name):
    fig = figure(name)
    dotted = [line for ax in fig.axes for line in ax.lines if line.get_linestyle() == ":"]
    assert any(100 * CHANCE in (*line.get_xdata(), *line.get_ydata()) for line in dotted)
    assert "chance 14.3 %" in words(fig)


# The ladder


def test_ladder_steps_are_in_order_and_only_those_there():
    labels = [label.get_text().split(":")[0] for label in figure("ladder").axes[1].get_xticklabels()]
    assert labels == ["as published", "clip", "sentence", "speaker", "speaker_sentence", "cost of the leak"]
    two = METRICS[METRICS.protocol.isin(["clip", "speaker"])]
    labels = [
        label.get_text().split(":")[0]
        for label in evaluation_figures.protocol_comparison(two, CHANCE).axes[1].get_xticklabels()
    ]
    assert labels == ["clip", "speaker"]


def test_ladder_headings_do_not_touch():
    boxes = [label.get_window_extent() for label in figure("ladder").axes[1].get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in zip(boxes, boxes[1:], strict=False))


def test_ladder_has_a_line_with_whiskers_for_each_system():
    containers = figure("ladder").axes[0].containers
    assert len(containers) == 4
    first = containers[0].lines[0]
    np.testing.assert_allclose(np.array(first.get_ydata(), float), [84.2, 62, 24.7])
    assert first.get_xdata().round().tolist() == [0, 1, 3]
    np.testing.assert_allclose(whiskers(containers[0]), [[79.2, 90.2], [57, 68], [19.7, 30.7]])


def test_ladder_tells_systems_by_colour_and_normalisation_by_mark():
    plain, own = (container.lines[0] for container in figure("ladder").axes[0].containers[1:3])
    assert plain.get_color() == own.get_color() != figure("ladder").axes[0].containers[0].lines[0].get_color()
    assert (plain.get_marker(), own.get_marker()) == ("s", "o")
    assert [label.get_text() for label in figure("ladder").axes[1].get_yticklabels()] == [
        "original_mlp, original38",
        "mlp, functionals",
        "mlp, functionals, per-speaker norm",
        "logistic_regression, functionals, per-speaker norm",
    ]


def test_ladder_writes_values_and_the_cost_of_the_leak():
    values = figure("ladder").axes[1]
    written = {(round(text.get_position()[0]), text.get_position()[1]): text.get_text() for text in values.texts}
    assert [written[column, 0] for column in (0, 1, 3, 5)] == ["84.2", "62.0", "24.7", "+59.5"]
    assert [written[column, 1] for column in range(6)] == ["95.0", "70.0", "66.0", "41.0", "40.0", "+54.0"]
    assert {key for key in written if key[1] == 3} == {(3, 3)}  # no cost without the protocol as published
    bars = [
        line.get_ydata() for line in figure("ladder").axes[0].lines if line.get_marker() == "_" and line.get_linewidth() > 2
    ]
    np.testing.assert_allclose([sorted(bar) for bar in bars], [[24.7, 84.2], [41, 95], [48, 96]])


def test_ladder_says_its_notice():
    assert "(synthetic demo voices)" in figure("ladder").get_suptitle()
    assert "(" not in evaluation_figures.protocol_comparison(METRICS, CHANCE).get_suptitle()


# The others


def test_anchors_are_sorted_with_their_sources_and_ours_in_bold():
    ax = figure("anchors").axes[0]
    labels = ax.get_yticklabels()
    assert [label.get_text() for label in labels] == [
        "WavLM large, frozen",
        "mlp, functionals, per-speaker norm",
        "eGeMAPS + SVM",
        "wav2vec 2.0 base, frozen",
    ]
    assert [label.get_fontweight() for label in labels] == ["normal", "bold", "normal", "normal"]
    (sources,) = ax.child_axes
    assert [label.get_text() for label in sources.get_yticklabels()][1:3] == ["this study", ANCHORS.source[0]]
    dots = {c.get_label(): list(zip(c.lines[0].get_xdata(), c.lines[0].get_ydata(), strict=True)) for c in ax.containers}
    assert dots["ours"] == [(48, 1)] and dots["hand-crafted"] == [(pytest.approx(37.4), 2)]
    assert [text.get_text() for text in ax.texts][:4] == ["48.8", "48.0", "37.4", "31.1"]
    np.testing.assert_allclose(whiskers(next(c for c in ax.containers if c.get_label() == "ours")), [[41, 55]])


def test_anchors_of_an_unknown_kind_are_refused_and_intervals_are_optional():
    with pytest.raises(StudyError, match="Unknown kind 'giant'"):
        evaluation_figures.published_results(ANCHORS.assign(kind="giant"), CHANCE)
    assert (
        len(evaluation_figures.published_results(ANCHORS.drop(columns=["ci_low", "ci_high"]), CHANCE).axes[0].containers) == 3
    )


def test_reliability_shows_accuracy_gap_and_counts():
    fig = figure("reliability")
    left, right = fig.axes[0], fig.axes[1]
    accuracy, gap = left.containers[:2]
    assert [bar.get_height() for bar in accuracy] == pytest.approx([40, 30, 45])
    assert [bar.get_x() for bar in accuracy] == pytest.approx([20, 80, 90])
    assert [bar.get_y() + bar.get_height() for bar in gap] == pytest.approx([25, 85, 95])
    assert [bar.get_height() for bar in fig.axes[2].containers[0]] == pytest.approx([10, 30, 60])
    assert left.get_title(loc="left") == "As trained: ECE 48.0 points"
    assert right.get_title(loc="left") == "With temperature: ECE 0.0 points"


def test_coverage_has_a_line_for_each_system():
    ax = figure("coverage").axes[0]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [40, 60, 76])
    np.testing.assert_allclose(ax.lines[1].get_xdata(), [100, 50, 10])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["mlp", "svm"]
    assert [text.get_text() for text in ax.texts][:4] == ["76 %", "40 %", "58 %", "40 %"]
    alone = evaluation_figures.coverage(COVERAGE[COVERAGE.system == "mlp"].drop(columns="system"), CHANCE)
    assert alone.axes[0].get_legend() is None


def test_importance_is_sorted_and_in_points():
    ax = figure("importance").axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["F0 in semitones", "energy shape", "log-mel"]
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([8, 2, -0.4])
    assert [text.get_text() for text in ax.texts] == ["+8.0", "+2.0", "\N{MINUS SIGN}0.4"]
    low, high = ax.get_xlim()
    assert low < -3 and high > 12


def test_points_have_a_sign_and_no_minus_zero():
    assert [evaluation_figures._points(x) for x in (0.071, -0.0004, -0.02)] == ["+7.1", "+0.0", "\N{MINUS SIGN}2.0"]


def test_enrolment_has_the_system_without_normalisation_as_a_line():
    ax = figure("enrolment").axes[0]
    (curve,) = ax.containers
    assert curve.lines[0].get_xdata().tolist() == [1, 10, 98]
    np.testing.assert_allclose(np.array(curve.lines[0].get_ydata(), float), [31, 45, 48])
    np.testing.assert_allclose(whiskers(curve), [[25, 37], [38, 51], [41, 54]])
    assert [line.get_ydata()[0] for line in ax.lines if line.get_linestyle() == "--"] == [41]
    assert "without normalisation: 41.0 %" in words(figure("enrolment"))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "10", "98"]


def test_paired_joins_the_systems_of_each_speaker_and_shows_the_mean():
    ax = figure("paired").axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["f1", "f2", "m1", "mean"]
    dots = {line.get_label(): line.get_xdata() for line in ax.lines}
    np.testing.assert_allclose(dots["per-speaker norm"], [50, 45, 61, 52])
    np.testing.assert_allclose(dots["no norm"], [44, 46, 50, 140 / 3])
    assert [text.get_text() for text in ax.texts][:4] == ["+6.0", "\N{MINUS SIGN}1.0", "+11.0", "+5.3"]
    colours = ax.collections[0].get_colors()
    assert (colours[0] == colours[2]).all() and (colours[0] != colours[1]).any()  # worse has another colour than better


def test_heat_by_group_of_two_columns_and_of_systems():
    ax = figure("heat_by_group").axes[0]
    assert [text.get_text() for text in ax.texts] == ["20", "20", "70", "70"]
    assert ax.get_title(loc="left") == "Recall in % by emotion and speaker"
    one = GROUPS[GROUPS.speaker == "f1"].drop(columns="speaker").assign(metric="uar")
    ax = evaluation_figures.heat_by_group(pd.concat([one, one.assign(model="svm", value=0.5)])).axes[0]
    assert [text.get_text() for text in ax.texts] == ["20", "50", "70", "50"]
    assert ax.get_title(loc="left").startswith("UAR in %")
    assert ax.get_xticklabels()[1].get_text() == "speaker:\nsvm,\nfunctionals"


def test_heat_by_group_refuses_what_has_no_cell_of_its_own():
    with pytest.raises(StudyError, match="Found groups emotion, speaker"):
        evaluation_figures.heat_by_group(pd.concat([GROUPS, GROUPS.assign(model="svm")]))


def test_of_many_rows_the_lowest_and_the_highest_are_shown_and_that_is_said():
    names = [f"{i:02d}" for i in range(40)]
    values = np.linspace(0, 1, 40)
    table = pd.DataFrame({"sentence": names, "value": values, "metric": "uar", "n_clips": 1, "n_speakers": 1}).assign(
        protocol="speaker", model="mlp", features="functionals", speaker_norm="none"
    )
    ax = evaluation_figures.heat_by_group(table).axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == names[:12] + names[-12:]
    assert ax.get_title(loc="left").endswith("the 12 lowest and the 12 highest of 40 sentences")
    pairs = pd.DataFrame({"speaker": names, "uar_a": values, "uar_b": 0.5})
    ax = evaluation_figures.paired_differences(pairs, CHANCE, a="a", b="b").axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == [*names[:12], *names[-12:], "mean"]
    dots = {line.get_label(): line.get_xdata() for line in ax.lines}
    assert dots["a"][-1] == pytest.approx(50), "the mean is of all"


def test_importance_of_one_speaker_has_no_whiskers_and_says_why():
    table = pd.DataFrame({"family": ["f0", "mel"], "drop": [0.1, 0.02], "low": np.nan, "high": np.nan})
    ax = evaluation_figures.importance(table).axes[0]
    assert ax.get_xlabel().endswith("no interval: no two speakers")
    assert [text.get_text() for text in ax.texts] == ["+10.0", "+2.0"] and np.isfinite(ax.get_xlim()).all()


def test_a_ladder_without_speakers_has_its_cost_against_clip():
    table = METRICS[METRICS.protocol.isin(["as_published", "clip"])]
    fig = evaluation_figures.protocol_comparison(table, CHANCE, "", "clips")
    labels = [label.get_text() for label in fig.axes[1].get_xticklabels()]
    assert labels[-1] == "cost of the leak:\nas published minus\nclip, points" and len(labels) == 3
    assert "intervals over clips" in fig.get_supxlabel()
