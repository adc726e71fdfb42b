"""Figures of the evaluation: marks and labels show the values of the tables."""

import itertools

import numpy as np
import pandas as pd
import pytest
from figure_examples import CHANCE, CONFUSION, METRICS, MODEL_UAR, PUBLISHED, SPEAKER_UAR, figure, tick_labels, whiskers, words

from ser_utils import figures


def written(ax):
    return [text.get_text() for text in ax.texts]


# Comparison of protocols


def test_protocol_comparison_has_a_line_with_whiskers_for_each_system():
    fig = figure("protocol_comparison")
    assert "(synthetic demo voices)" in fig.get_suptitle()
    assert tick_labels(fig.axes[1].yaxis) == [
        "original_mlp, original38",
        "mlp, functionals",
        "mlp, functionals, per-speaker norm",
        "logistic_regression, functionals, per-speaker norm",
    ]
    containers = fig.axes[0].containers
    original, plain, own, _ = (container.lines[0] for container in containers)
    np.testing.assert_allclose(np.array(original.get_ydata(), float), [84.2, 62, 24.7])
    assert original.get_xdata().round().tolist() == [0, 1, 3]
    np.testing.assert_allclose(whiskers(containers[0]), [[79.2, 90.2], [57, 68], [19.7, 30.7]])
    assert plain.get_color() == own.get_color() != original.get_color()
    assert (plain.get_marker(), own.get_marker()) == ("s", "o")


def test_protocols_are_in_the_order_of_the_registry_and_absent_ones_left_out():
    labels = figure("protocol_comparison").axes[1].get_xticklabels()
    columns = ["as_published", "clip", "sentence", "speaker", "speaker_sentence", "leakage gap"]
    assert [label.get_text().split(":")[0] for label in labels] == columns
    boxes = [label.get_window_extent() for label in labels]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    two = figures.protocol_comparison(METRICS[METRICS.protocol.isin(["clip", "speaker"])], CHANCE)
    assert [label.split(":")[0] for label in tick_labels(two.axes[1].xaxis)] == ["clip", "speaker"]


def test_values_and_leakage_gap_are_written_in_the_table():
    chart, values = figure("protocol_comparison").axes
    cells = {(round(text.get_position()[0]), text.get_position()[1]): text.get_text() for text in values.texts}
    assert [cells[column, 0] for column in (0, 1, 3, 5)] == ["84.2", "62.0", "24.7", "+59.5"]
    assert [cells[column, 1] for column in range(6)] == ["95.0", "70.0", "66.0", "41.0", "40.0", "+54.0"]
    assert {key for key in cells if key[1] == 3} == {(3, 3)}  # no gap without the protocol as published
    bars = [line.get_ydata() for line in chart.lines if line.get_marker() == "_" and line.get_linewidth() > 2]
    np.testing.assert_allclose([sorted(bar) for bar in bars], [[24.7, 84.2], [41, 95], [48, 96]])


def test_leakage_gap_without_known_speakers_is_relative_to_clip():
    fig = figures.protocol_comparison(METRICS[METRICS.protocol.isin(["as_published", "clip"])], CHANCE, "", "clips")
    labels = tick_labels(fig.axes[1].xaxis)
    assert labels[-1] == "leakage gap:\nas_published minus\nclip, points" and len(labels) == 3
    assert "intervals over clips" in fig.get_supxlabel()


# Comparison of systems


def test_headline_shows_uar_interval_and_chance():
    ax = figure("headline").axes[0]
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([80, 25])
    ends = [segment[:, 0].tolist() for segment in ax.collections[0].get_segments()]
    assert ends == [pytest.approx([70, 85]), pytest.approx([20, 40])]
    for text in ("80.0 %", "25.0 %", "(synthetic demo voices)", "interval over speakers"):
        assert text in words(figure("headline"))


def test_published_results_are_sorted_with_their_sources_and_ours_in_bold():
    ax = figure("published_results").axes[0]
    systems = ["WavLM large, frozen", "mlp, functionals, per-speaker norm", "eGeMAPS + SVM", "wav2vec 2.0 base, frozen"]
    assert tick_labels(ax.yaxis) == systems
    assert [label.get_fontweight() for label in ax.get_yticklabels()] == ["normal", "bold", "normal", "normal"]
    (sources,) = ax.child_axes
    assert tick_labels(sources.yaxis)[1:3] == ["this study", PUBLISHED.source[0]]
    dots = {c.get_label(): list(zip(c.lines[0].get_xdata(), c.lines[0].get_ydata(), strict=True)) for c in ax.containers}
    assert dots["ours"] == [(48, 1)] and dots["hand-crafted"] == [(pytest.approx(37.4), 2)]
    assert written(ax)[:4] == ["48.8", "48.0", "37.4", "31.1"]
    np.testing.assert_allclose(whiskers(next(c for c in ax.containers if c.get_label() == "ours")), [[41, 55]])


def test_paired_differences_joins_the_systems_of_each_speaker_and_shows_the_mean():
    ax = figure("paired_differences").axes[0]
    assert tick_labels(ax.yaxis) == ["f1", "f2", "m1", "mean"]
    dots = {line.get_label(): line.get_xdata() for line in ax.lines}
    np.testing.assert_allclose(dots["per-speaker norm"], [50, 45, 61, 52])
    np.testing.assert_allclose(dots["no norm"], [44, 46, 50, 140 / 3])
    assert written(ax)[:4] == ["+6.0", "\N{MINUS SIGN}1.0", "+11.0", "+5.3"]
    colours = ax.collections[0].get_colors()
    assert (colours[0] == colours[2]).all() and (colours[0] != colours[1]).any()  # worse has another colour than better


def test_every_model_has_a_colour_and_a_legend_entry():
    models = [f"model_{i}" for i in range(12)]
    by_speaker, overall = (pd.concat([t[t.model == "mlp"].assign(model=m) for m in models]) for t in (SPEAKER_UAR, MODEL_UAR))
    fig = figures.uar_by_speaker(by_speaker, overall, CHANCE)
    assert [text.get_text() for text in fig.legends[0].get_texts()] == models


# One system


def test_confusion_writes_the_shares_of_each_system():
    fig = figure("confusion")
    left, right = fig.axes[:2]
    assert (left.get_xlabel(), left.get_ylabel()) == ("predicted", "true")
    assert written(right) == ["70", "20", "10", "30", "40", "30", "0", "50", "50"]
    assert [ax.get_title(loc="left") for ax in (left, right)] == ["mlp, as_published", "mlp, speaker"]
    alone = figures.confusion(CONFUSION[CONFUSION.protocol == "speaker"])
    assert written(alone.axes[0])[:3] == ["70", "20", "10"]


def test_heat_by_group_has_a_column_for_each_system():
    ax = figure("heat_by_group").axes[0]
    assert written(ax) == ["20", "20", "70", "60"]
    assert (tick_labels(ax.yaxis), ax.get_title(loc="left")) == (["neutral", "joy"], "Recall (%) by emotion and system")
    assert tick_labels(ax.xaxis) == ["speaker:\nsvm,\nfunctionals", "speaker:\nmlp,\nfunctionals"]


def test_with_many_rows_the_lowest_and_the_highest_are_shown_and_the_title_says_so():
    names, values = [f"{i:02d}" for i in range(40)], np.linspace(0, 1, 40)
    table = pd.DataFrame({"sentence": names, "value": values, "metric": "uar", "n_clips": 1, "n_speakers": 1}).assign(
        protocol="speaker", model="mlp", features="functionals", speaker_norm="none"
    )
    ax = figures.heat_by_group(table).axes[0]
    assert tick_labels(ax.yaxis) == names[:12] + names[-12:]
    assert ax.get_title(loc="left").endswith("the 12 lowest and the 12 highest of 40 sentences")
    pairs = pd.DataFrame({"speaker": names, "uar_a": values, "uar_b": 0.5})
    ax = figures.paired_differences(pairs, CHANCE, a="a", b="b").axes[0]
    assert tick_labels(ax.yaxis) == [*names[:12], *names[-12:], "mean"]
    dots = {line.get_label(): line.get_xdata() for line in ax.lines}
    assert dots["a"][-1] == pytest.approx(50), "the mean is over all speakers"


def test_reliability_shows_accuracy_gap_and_counts():
    fig = figure("reliability")
    accuracy, gap = fig.axes[0].containers[:2]
    assert [bar.get_height() for bar in accuracy] == pytest.approx([40, 30, 45])
    assert [bar.get_x() for bar in accuracy] == pytest.approx([20, 80, 90])
    assert [bar.get_y() + bar.get_height() for bar in gap] == pytest.approx([25, 85, 95])
    assert [bar.get_height() for bar in fig.axes[2].containers[0]] == pytest.approx([10, 30, 60])
    assert [ax.get_title(loc="left").split(": ")[1] for ax in fig.axes[:2]] == ["ECE 48.0 points", "ECE 0.0 points"]


def test_coverage_has_a_line_for_each_system():
    ax = figure("coverage").axes[0]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [40, 60, 76])
    assert written(ax)[:4] == ["76 %", "40 %", "58 %", "40 %"]


def test_importance_is_sorted_and_in_points():
    ax = figure("importance").axes[0]
    assert tick_labels(ax.yaxis) == ["F0 in semitones", "energy shape", "log-mel"]
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([8, 2, -0.4])
    assert written(ax) == ["+8.0", "+2.0", "\N{MINUS SIGN}0.4"]
    low, high = ax.get_xlim()
    assert low < -3 and high > 12


def test_importance_of_one_speaker_has_no_whiskers_and_states_the_reason():
    table = pd.DataFrame({"family": ["f0", "mel"], "drop": [0.1, 0.02], "low": np.nan, "high": np.nan})
    ax = figures.importance(table).axes[0]
    assert ax.get_xlabel().endswith("no interval: fewer than two speakers")
    assert written(ax) == ["+10.0", "+2.0"] and np.isfinite(ax.get_xlim()).all()


def test_enrolment_has_the_system_without_normalisation_as_a_line():
    ax = figure("enrolment").axes[0]
    (curve,) = ax.containers
    assert curve.lines[0].get_xdata().tolist() == [1, 10, 98]
    np.testing.assert_allclose(np.array(curve.lines[0].get_ydata(), float), [31, 45, 48])
    np.testing.assert_allclose(whiskers(curve), [[25, 37], [38, 51], [41, 54]])
    assert [line.get_ydata()[0] for line in ax.lines if line.get_linestyle() == "--"] == [41]
    assert tick_labels(ax.xaxis) == ["1", "10", "98"]
