"""Comparison of results: files that differ are named by stage, with the largest differences and a judgement of their size."""

import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from runs import FEATURES, NAMES, RECORDINGS, TEXTS, replace, write_network

from ser_utils import __main__, corpora
from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.features.registry import write_features
from ser_utils.study import differences, manifest, verify


def against_manifest():
    """Stage, file and status of what is not as in the manifest."""
    table = verify.compare(manifest.contents("demo", "demo", {}), manifest.read(paths.OUT / "demo"))
    assert len(table) >= len(NAMES) + 1
    return [tuple(row) for row in table[table.status != "same"].to_numpy()]


@pytest.fixture
def command(capsys):
    """Run ``verify`` with options; return the exit status and the lines printed."""

    def run(*options):
        status = __main__.main(["verify", "demo", *map(str, options)])
        return status, capsys.readouterr().out.splitlines()

    return run


# Against the manifest


def test_unchanged_files_are_the_same(written, command):
    assert against_manifest() == []
    status, lines = command()
    assert status == 0 and lines[1:3] == ["inputs: same (3 recordings of demo)", "utterances: same (2 files)"]
    assert lines[-1] == "Nothing differs."


@pytest.mark.parametrize("name", [*TEXTS, "features_functionals.npz", "model/model.keras"])
def test_a_changed_or_truncated_file_differs_in_its_stage(written, name):
    path = written / name
    path.write_bytes(path.read_bytes()[:200][:-1] + b"~")
    assert against_manifest() == [(manifest.stage_of(name), name, "differs")]


def test_missing_and_new_tables_are_told_apart(written, command):
    (written / "metrics.csv").rename(written / "metrics_old.csv")
    assert against_manifest() == [("tables", "metrics.csv", "missing"), ("tables", "metrics_old.csv", "new")]
    assert command()[0] == 1


def test_what_git_does_not_keep_may_be_absent(written, command):
    shutil.rmtree(written / "model")
    shutil.rmtree(paths.DATA)
    (written / "features_functionals.npz").unlink()
    (written / "new.csv").write_text("a\n1\n")
    status, lines = command()
    assert status == 0 and lines[-1] == "Nothing differs."
    assert lines[1] == "inputs: not here (3 recordings of demo)"
    assert lines[3] == "features: not here (features_functionals.npz), same (2 files)"


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"another sound"),
        lambda path: path.rename(path.with_name("dis-f1-b1.ogg")),
        lambda path: path.unlink(),
    ],
    ids=["changed", "renamed", "removed"],
)
def test_another_recording_is_noticed(written, change):
    change(paths.DATA / "demo" / next(iter(RECORDINGS)))
    assert against_manifest() == [("inputs", "3 recordings of demo", "differs")]


def test_recordings_of_extra_corpora_count_and_are_named_without_their_path(out, monkeypatch, command):
    other = dataclasses.replace(corpora.CORPORA["demo"], name="other", folder="other")
    monkeypatch.setitem(corpora.CORPORA, "other", other)
    shutil.copytree(paths.DATA / "demo", paths.DATA / "other")
    shutil.copytree(paths.DATA / "demo" / "f1", paths.DATA / "mine" / "joy")
    own = str(paths.DATA / "mine")
    corpora.run_folder(corpora.get_corpus(own))
    values = json.loads(manifest.write("demo", "demo", {"EXTRA_CORPORA": ["OTHER", own]}).read_text())
    assert values["parameters"]["EXTRA_CORPORA"] == list(values["extra_corpora"]) == ["other", "mine"]
    assert command()[1][-1] == "Nothing differs."
    shutil.rmtree(paths.DATA / "other")
    next((paths.DATA / "mine" / "joy").iterdir()).unlink()
    inputs = "inputs: differs (3 recordings of mine), not here (3 recordings of other), same (3 recordings of demo)"
    assert command()[1][1] == inputs
    shutil.rmtree(paths.DATA / "mine")
    inputs = "inputs: not here (3 recordings of other, 3 recordings of mine), same (3 recordings of demo)"
    assert command()[1][1] == inputs


def test_the_first_stage_that_differs_is_named_and_sizes_are_unknown(written, command):
    replace(written / "features_original38.csv", "0.25", "0.26")
    replace(written / "metrics.csv", "0.25", "0.26")
    status, lines = command()
    assert status == 1 and "tables: differs (metrics.csv)" in lines
    assert lines[-2].startswith("The first stage that differs is features") and lines[-1] == verify.SIZES_UNKNOWN


def test_another_environment_is_listed_and_is_no_failure(written, command):
    values = manifest.read(written)
    values["versions"]["numpy"] = "1.0"
    values["code"] = {"sha256": "0", "git commit": "1234"}
    values["parameters"]["N_SEEDS"] = 2
    paths.write_json(written / "manifest.json", values)
    status, lines = command()
    assert status == 0
    assert f"versions: numpy is {np.__version__} here, 1.0 there" in lines
    assert any(line.startswith("code: sha256 is") and line.endswith("0 there") for line in lines)


def test_the_same_code_in_another_commit_is_no_difference(written, command):
    values = manifest.read(written)
    values["code"]["git commit"] = "1234"
    paths.write_json(written / "manifest.json", values)
    assert not any("1234" in line for line in command()[1])


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"stages": {"inputs": null}}'])
def test_a_damaged_manifest_gets_one_sentence(written, text):
    (written / "manifest.json").write_text(text)
    with pytest.raises(StudyError, match="is no manifest of this version of the study"):
        manifest.read(written)


def test_without_a_manifest_one_sentence(out, capsys):
    assert __main__.main(["verify", "demo"]) == 1
    assert "manifest.json does not exist: run the study first" in capsys.readouterr().err


def test_a_variant_has_its_own_manifest(written, command):
    shutil.copytree(written, written.with_name("demo-small"))
    replace(written.with_name("demo-small") / "metrics.csv", "uar", "war")
    assert command()[0] == 0 and command("--variant", "small")[0] == 1


def test_the_default_is_emovo_if_it_or_its_manifest_exists(written, capsys):
    def compared():
        __main__.main(["verify"])
        return "".join(capsys.readouterr())

    assert "out/demo " in compared()
    (paths.DATA / "EMOVO").mkdir()
    (paths.DATA / "EMOVO" / "a.wav").write_bytes(b"")
    assert "out/emovo/manifest.json does not exist" in compared()
    shutil.rmtree(paths.DATA / "EMOVO")
    shutil.copytree(written, paths.OUT / "emovo")
    assert "out/emovo " in compared()


# Against another folder


@pytest.fixture
def other(out, tmp_path):
    """The same results in another folder."""
    return shutil.copytree(out, tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("a,b\n1,0.1\n2,0.2\n", {}),
        ("a,b\n1,0.1\n2,0.25\n", {"b": 0.05}),
        ("a,b\n1,0.1\n2,\n", {"b": np.inf}),
        ("a,b\n1,0.1\n2,low\n", {"b": 0.5}),  # one of two cells is another text
        ("a,b\n1,0.1\n", {"a": np.inf, "b": np.inf}),
        ("a\n1\n2\n", {"b": np.inf}),
        ("a,b,c\n1,0.1,1\n2,0.2,1\n", {"c": np.inf}),
        ("a,b\n1,0.1\n2,inf\n", {"b": np.inf}),
        ("b,a\n0.10,1\n0.20,2\n", {}),
        ("", {"a": np.inf, "b": np.inf}),
    ],
)
def test_largest_difference_of_each_column(out, other, table, expected):
    (out / "table.csv").write_text("a,b\n1,0.1\n2,0.2\n")
    (other / "table.csv").write_text(table)
    columns = differences.by_column(out, other, ["table.csv"]).set_index("column").difference
    assert columns[columns > 0].to_dict() == pytest.approx(expected)


def test_equal_infinite_or_missing_values_are_no_difference(out, other):
    for folder in (out, other):
        (folder / "features_x.csv").write_text("a,b,c\ninf,,1\n1,2,0\n")
    assert list(differences.by_column(out, other, ["features_x.csv"]).difference) == [0, 0, 0]


def test_features_are_compared_by_column_in_compact_tables_and_sequences(out, other):
    write_features(FEATURES.assign(level=[1.0, 2.5]), other / "features_functionals.npz")
    frames = [np.arange(6, dtype=np.float32).reshape(3, 2), np.ones((2, 2), np.float32)]
    for folder, more in ((out, 0), (other, 0.5)):
        table = pd.DataFrame({"file": ["a.ogg", "b.ogg"], "variant": "original", "frames": [frames[0], frames[1] + more]})
        write_features(table, folder / "features_log_mel.npz")
    columns = differences.by_column(out, other, ["features_functionals.npz", "features_log_mel.npz"])
    differing = columns[columns.difference > 0].set_index("column").difference
    assert differing.to_dict() == pytest.approx({"level": 0.5 / 2.5, "values": 0.5 / 4})


SIZES = {  # name: old, new, part of the sentence
    "features_original38.csv": ("0.25", "0.250001", "features within 2e-06"),
    "predictions.csv": ("0.75", "0.7", "probabilities within 0.05, predicted labels within 0"),
    "metrics.csv": ("0.25", "0.26", "metrics within 0.01"),
}


@pytest.mark.parametrize("name", SIZES)
def test_small_differences_are_of_the_size_that_another_processor_makes(out, other, command, name):
    old, new, size = SIZES[name]
    replace(other / name, old, new)
    (other / "headline.png").write_text("computed from it")
    status, lines = command("--against", other)
    assert status == 1 and lines[-1].startswith("All differences are of the size that another processor makes: " + size)
    assert lines[-2].split()[0] == name  # the table of largest differences


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("utterances.csv", "1.5", "1.4"),
        ("folds.csv", "speaker", "clip"),
        ("features_original38.csv", "0.25", "0.2502"),
        ("features_original38.csv", "0.25", ""),
        ("features_original38.csv", "rms", "level"),
        ("predictions.csv", "0.75", "0.4"),
        ("predictions.csv", "joy,0.75", "fear,0.75"),  # a third of the labels
        ("predictions.csv", "a.ogg,1", "a.ogg,2"),
        ("predictions.csv", "p_joy", "p_fear"),
        ("metrics.csv", "0.25", "0.45"),
        ("metrics.csv", "uar", "war"),
        ("headline.png", "a picture", "another"),  # alone: from the same tables
    ],
)
def test_larger_differences_are_named(out, other, command, name, old, new):
    replace(other / name, old, new)
    assert command("--against", other)[1][-1] == f"Differences in {name} are larger than another processor makes."


def test_weights_have_a_bound_and_other_layers_have_none(out, other, command):
    write_network(other / "model" / "model.keras", weight=1.001)
    assert command("--against", other)[1][-1].startswith(
        "All differences are of the size that another processor makes: weights"
    )
    for change in ({"weight": 1.1}, {"layer": "other"}):
        write_network(other / "model" / "model.keras", **change)
        assert command("--against", other)[1][-1].startswith("Differences in model/model.keras are larger")


def test_files_on_one_side_are_missing_new_or_not_here(out, other, command):
    (out / "metrics.csv").unlink()
    (out / "features_functionals.npz").unlink()
    (other / "folds.csv").unlink()
    status, lines = command("--against", other)
    assert status == 1 and lines[3].startswith("features: not here (features_functionals.npz)")
    assert lines[4] == "folds: new (folds.csv)" and lines[7] == "tables: missing (metrics.csv)"


def test_recordings_and_parameters_are_compared_by_two_manifests(written, tmp_path, command):
    other = shutil.copytree(written, tmp_path / "elsewhere")
    (paths.DATA / "demo" / next(iter(RECORDINGS))).unlink()
    manifest.write("demo", "demo", {"N_SEEDS": 2})
    status, lines = command("--against", other)
    assert status == 1 and lines[1] == "inputs: differs (3 recordings of demo)"
    assert "parameters: N_SEEDS is 2 here, 5 there" in lines
    assert lines[-1] == "Differences in 3 recordings of demo are larger than another processor makes."


@pytest.mark.parametrize(("make", "text"), [(False, "is no folder"), (True, "holds no tables")])
def test_a_folder_without_results_gets_one_sentence(out, tmp_path, capsys, make, text):
    if make:
        (tmp_path / "elsewhere").mkdir()
    assert __main__.main(["verify", "demo", "--against", str(tmp_path / "elsewhere")]) == 1
    assert f"elsewhere {text}: expected the folder of a run" in capsys.readouterr().err
