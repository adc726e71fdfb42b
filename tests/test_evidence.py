"""The committed results on EMOVO: they agree with each other, with the published figures, and with the README.

They are read from git's index, so results of the user's own runs in the working copy change nothing, and staged results are
tested together with the staged README.
"""

import json
import re
import shutil
import subprocess

import pandas as pd
import pytest

from ser_utils import corpora, features
from ser_utils.core import paths, tables
from ser_utils.evaluation import folds, metrics, protocols, texts
from ser_utils.evaluation.leakage import check_fit
from ser_utils.evaluation.predictions import read_predictions

EVIDENCE = ("README.md", "out/emovo", "out/emovo-thesis", "ser_utils/evaluation/published_results.csv")
ORIGINAL = {"model": "original_mlp", "speaker_norm": "none"}


def value_of(table, **conditions):
    """The one value in a table of metrics whose columns have the given values."""
    rows = table.loc[(table[list(conditions)] == pd.Series(conditions)).all(axis=1)]
    assert len(rows) == 1, f"{len(rows)} rows match {conditions}"
    return float(rows.value.iloc[0])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with the evidence as in git's index; the project's folder where it is no git checkout (an archive)."""
    if not (paths.ROOT / ".git").exists() or shutil.which("git") is None:
        return paths.ROOT
    folder = tmp_path_factory.mktemp("index")
    git = ["git", "-c", f"safe.directory={paths.ROOT}", "-C", paths.ROOT]
    files = subprocess.run([*git, "ls-files", "-z", *EVIDENCE], check=True, capture_output=True).stdout
    subprocess.run([*git, "checkout-index", "-z", "--stdin", f"--prefix={folder}/"], input=files, check=True)
    return folder


@pytest.fixture(scope="module")
def out(root):
    return root / "out" / "emovo"


@pytest.fixture(scope="module")
def readme(root):
    return (root / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def table(out):
    return pd.read_csv(out / "metrics.csv")


@pytest.fixture(scope="module")
def thesis(root):
    return pd.read_csv(root / "out" / "emovo-thesis" / "metrics.csv")


@pytest.fixture(scope="module")
def predictions(out):
    return read_predictions(out)


def test_the_original_result_is_reproduced(table):
    """Published: accuracy 0.843 and macro F1 0.840, from one split."""
    assert 0.80 <= value_of(table, protocol="as_published", metric="accuracy", **ORIGINAL) <= 0.90
    assert value_of(table, protocol="as_published", metric="macro_f1", **ORIGINAL) == pytest.approx(0.840, abs=0.05)


def test_the_fault_is_visible(table):
    uar = table[(table.metric == "uar") & (table.model == "original_mlp")].set_index("protocol")
    assert uar.ci_high["speaker"] < uar.ci_low["as_published"]
    assert uar.value["speaker"] < uar.value["as_published"] - 0.3


@pytest.mark.parametrize(("speaker_norm", "least"), [("none", 0.40), ("speaker", 0.47)])
def test_a_voice_never_heard_is_understood_better_than_published_with_hand_crafted_features(table, speaker_norm, least):
    assert value_of(table, protocol="speaker", metric="uar", model="mlp", speaker_norm=speaker_norm) >= least


def test_every_protocol_normalisation_and_baseline_is_there(table):
    for model, norms in {"original_mlp": ["none"], "mlp": ["none", "speaker"]}.items():
        for norm in norms:
            found = table[(table.model == model) & (table.speaker_norm == norm) & (table.metric == "uar")]
            assert list(found.protocol) == list(protocols.PROTOCOLS)
            assert list(found.n_seeds) == [5 if name == "speaker" else 2 for name in found.protocol]
    assert {"majority", "logistic_regression", "svm", "lda", "mlp+augmentation", "mlp_ensemble"} <= set(table.model)


def test_metrics_are_those_of_the_predictions(table, predictions):
    part = predictions[predictions.protocol.isin(["as_published", "speaker"])]
    again = metrics.metrics_with_intervals(part).set_index([*tables.SYSTEM_COLUMNS, "metric"])
    committed = table.set_index([*tables.SYSTEM_COLUMNS, "metric"]).loc[again.index]
    pd.testing.assert_frame_equal(again, committed, check_exact=False, atol=2e-4)


def test_every_clip_is_predicted_once_by_each_system_and_seed(predictions):
    honest = predictions[predictions.protocol != "as_published"]
    assert (honest.groupby([*tables.SYSTEM_COLUMNS, "seed"]).file.agg(["size", "nunique"]) == 588).all().all()
    assert set(predictions.emotion) == set(corpora.EMOTIONS)
    codes = corpora.CORPORA["emovo"].emotions
    assert (honest.file.str.extract(r"/(\w+)-")[0].map(codes) == honest.emotion).all()
    probabilities = predictions[[f"p_{name}" for name in corpora.EMOTIONS]]
    assert (probabilities.sum(axis=1) - 1).abs().max() < 5e-3
    assert (probabilities.idxmax(axis=1).str[2:] == predictions.predicted).mean() > 0.99  # ties after rounding aside


def test_features_and_folds_are_of_the_whole_corpus_and_pass_the_guard(out):
    table = features.read_features(out / "features_original38.csv", "original38")
    assert len(table) == 588 * 3 and table.file.nunique() == 588
    utterances = corpora.read_utterances(out / "utterances.csv")
    assert (utterances.emotion.value_counts() == 84).all() and (utterances.speaker.value_counts() == 98).all()
    rows = table[["file", "variant"]].merge(utterances, on="file")
    made = pd.read_csv(out / "folds.csv", dtype={"seed": str})
    for (protocol, _), part in made.groupby(["protocol", "seed"]):
        for _, roles in folds.iter_folds(part, rows):
            check_fit(rows, protocol=protocol, train=roles["train"], test=roles["test"])


def test_readme_tells_the_headline_and_the_ladder_of_the_tables(table, readme):
    assert texts.headline_text(table) in " ".join(readme.split())
    ladder = metrics.protocol_comparison(table)
    for start, where in {
        "the original's": ("original_mlp", "none"),
        "the study's": ("mlp", "none"),
        "the same": ("mlp", "speaker"),
    }.items():
        row = ladder[(ladder.model == where[0]) & (ladder.speaker_norm == where[1])].iloc[0]
        line = next(line for line in readme.splitlines() if line.startswith(f"| {start}"))
        assert re.findall(r"\d+\.\d %", line) == [texts.percent(row[name]) for name in protocols.PROTOCOLS]


def test_readme_tells_the_baselines_of_the_table(table, readme):
    uar = table[(table.metric == "uar") & (table.protocol == "speaker")]
    for (model, kind), part in uar.groupby(["model", "features"]):
        line = next(line for line in readme.splitlines() if line.startswith(f"| {model} | {kind}"))
        assert re.findall(r"\d+\.\d %", line) == [texts.percent(value) for value in part.sort_values("speaker_norm").value]


def test_networks_are_compared_on_the_same_clips_speaker_by_speaker(out):
    table = pd.read_csv(out / "predictions_networks.csv")
    assert list(table.model.unique()) == ["mlp", "cnn", "lstm"] and set(table.protocol) == {"speaker"}
    assert (table.groupby([*tables.SYSTEM_COLUMNS, "seed"]).file.agg(["size", "nunique"]) == 588).all().all()
    network, study = pd.read_csv(out / "network_metrics.csv"), pd.read_csv(out / "metrics.csv")
    for norm in ("none", "speaker"):
        where = {"protocol": "speaker", "model": "mlp", "features": "functionals", "speaker_norm": norm, "metric": "uar"}
        assert value_of(network, **where) == value_of(study, **where), "the study's network, as in 03"
    paired = pd.read_csv(out / "network_comparisons.csv")
    assert len(paired) == 6 and (paired.n_speakers == 6).all()
    assert (paired.difference - (paired.uar_a - paired.uar_b)).abs().max() < 2e-4
    times = pd.read_csv(out / "training_times.csv")
    assert (times.seconds_per_fit > 0).all() and (times.fits == 30).all()


def test_readme_tells_the_networks_of_the_table(out, readme):
    uar = pd.read_csv(out / "network_metrics.csv").query("metric == 'uar'")
    for model, part in uar.groupby("model"):
        line = next(line for line in readme.splitlines() if line.startswith(f"| network {model} |"))
        told = part.sort_values("speaker_norm")[["value", "ci_low", "ci_high"]].to_numpy().ravel()
        assert re.findall(r"\d+\.\d %", line) == [texts.percent(value) for value in told]


def test_readme_tells_the_numbers_of_the_thesis_variant(readme, thesis):
    wanted = [
        texts.percent(value_of(thesis, protocol=name, metric="accuracy", **ORIGINAL)) for name in ("as_published", "speaker")
    ]
    line = next(line for line in readme.splitlines() if line.startswith("| thesis"))
    assert re.findall(r"\d+\.\d %", line)[-2:] == wanted


def test_no_other_percentage_stands_in_the_readme(table, root, out, readme, thesis):
    """A number typed by hand would not be one of the tables' or of the published ones."""
    anchors = pd.read_csv(root / "ser_utils" / "evaluation" / "published_results.csv")
    networks = pd.read_csv(out / "network_metrics.csv")
    known = {
        f"{100 * value:.1f}"
        for part in (table, thesis, networks)
        for column in ("value", "ci_low", "ci_high")
        for value in part[column]
    }
    published = {"84.3", "92.0", "14.3", "33.3", "95"} | {f"{100 * value:.1f}" for value in anchors.uar}
    assert set(re.findall(r"(\d+(?:\.\d+)?)(?: %| points| to \d+\.\d %)", readme)) <= known | published


def test_augmentation_is_on_record(out):
    assert json.loads((out / "augmentation.json").read_text())["variants"] == ["noise", "stretch_pitch"]
