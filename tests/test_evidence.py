"""The committed results on EMOVO: they agree with each other, with the published figures, and with the README."""

import json
import re

import pandas as pd
import pytest

from ser_utils import corpora, features, folds, metrics, paths

OUT = paths.ROOT / "out" / "emovo"
README = (paths.ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def table():
    return pd.read_csv(OUT / "metrics.csv")


@pytest.fixture(scope="module")
def predictions():
    return pd.read_csv(OUT / "predictions.csv")


def test_the_original_result_is_reproduced(table):
    """Published: accuracy 0.843 and macro F1 0.840, from one split."""
    assert 0.80 <= metrics.value_of(table, protocol="as_published", metric="accuracy") <= 0.90
    assert metrics.value_of(table, protocol="as_published", metric="macro_f1") == pytest.approx(0.840, abs=0.05)


def test_the_fault_is_visible(table):
    published, speaker = (
        table[(table.protocol == name) & (table.metric == "uar")].iloc[0] for name in ("as_published", "speaker")
    )
    assert speaker.ci_high < published.ci_low
    assert speaker.value < published.value - 0.3


def test_metrics_are_those_of_the_predictions(table, predictions):
    again = metrics.summary(predictions)
    pd.testing.assert_frame_equal(again.round(4), table.round(4), check_exact=False, atol=2e-4)


def test_every_clip_of_every_speaker_is_predicted(predictions):
    speaker = predictions[predictions.protocol == "speaker"]
    assert (speaker.groupby("seed").file.nunique() == 588).all() and speaker.seed.nunique() >= 5
    assert set(predictions.emotion) == set(corpora.EMOTIONS)
    codes = corpora.CORPORA["emovo"].emotions
    assert (speaker.file.str.extract(r"/(\w+)-")[0].map(codes) == speaker.emotion).all()
    probabilities = predictions[[f"p_{name}" for name in corpora.EMOTIONS]]
    assert (probabilities.sum(axis=1) - 1).abs().max() < 1e-3
    assert (probabilities.idxmax(axis=1).str[2:] == predictions.predicted).mean() > 0.999  # ties after rounding aside


def test_features_and_folds_are_of_the_whole_corpus():
    rows = features.read_features(OUT / "features_original38.csv", "original38")
    assert len(rows) == 588 * 3 and rows.file.nunique() == 588
    utterances = pd.read_csv(OUT / "utterances.csv")
    assert (utterances.emotion.value_counts() == 84).all() and (utterances.speaker.value_counts() == 98).all()
    made = pd.read_csv(OUT / "folds.csv", dtype={"seed": str})
    folds.check_folds(made, rows[["file", "variant"]].merge(utterances, on="file"))


def test_readme_tells_the_numbers_of_metrics_csv(table):
    assert metrics.headline(table) in " ".join(README.split())
    for name in ("as_published", "speaker"):
        cells = [metrics.percent(metrics.value_of(table, protocol=name, metric=metric)) for metric in metrics.METRICS]
        row = next(line for line in README.splitlines() if line.startswith(f"| `{name}`"))
        assert re.findall(r"\d+\.\d %", row) == cells


def test_readme_tells_the_numbers_of_the_thesis_variant():
    thesis = pd.read_csv(paths.ROOT / "out" / "emovo-thesis" / "metrics.csv")
    wanted = [
        metrics.percent(metrics.value_of(thesis, protocol=name, metric="accuracy")) for name in ("as_published", "speaker")
    ]
    line = next(line for line in README.splitlines() if line.startswith("| thesis"))
    assert re.findall(r"\d+\.\d %", line)[-2:] == wanted


def test_no_other_percentage_stands_in_the_readme(table):
    """A number typed by hand would not be one of the tables' or of the published ones."""
    thesis = pd.read_csv(paths.ROOT / "out" / "emovo-thesis" / "metrics.csv")
    known = {
        f"{100 * value:.1f}" for part in (table, thesis) for column in ("value", "ci_low", "ci_high") for value in part[column]
    }
    published = {"84.3", "84.0", "92.0", "14.3", "33.3"}
    assert set(re.findall(r"(\d+\.\d) %", README)) <= known | published


def test_augmentation_is_on_record():
    assert json.loads((OUT / "augmentation.json").read_text())["variants"] == ["noise", "stretch_pitch"]
