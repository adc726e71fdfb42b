"""Comparison of results: files that differ are reported by stage, with the size of the differences and a judgement of it."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from runs import FEATURES, NAMES, RECORDINGS, TEXTS, write_network

from ser_utils import __main__, corpora
from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.features.registry import write_features
from ser_utils.study import differences, manifest, verify


def replace(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def not_same(table):
    """Stage, file and status of the rows that are not the same."""
    return [tuple(row) for row in table.loc[table.status != "same", ["stage", "file", "status"]].to_numpy()]


def size_of(a, b, name):
    """The row of one file that differs, and nothing else may."""
    table = verify.compare_folders(a, b)
    assert list(table.file[table.status != "same"]) == [name]
    return table.set_index("file").loc[name]


@pytest.mark.parametrize("name", ["features_functionals.npz", "model/model.keras"])
def test_a_file_cut_off_differs_and_stops_nothing(written, tmp_path, name):
    whole = shutil.copytree(written, tmp_path / "whole")
    (written / name).write_bytes((written / name).read_bytes()[:200])
    assert not_same(verify.compare_with_manifest("demo", "demo")) == [(manifest.stage_of(name), name, "differs")]
    assert size_of(written, whole, name).what == "cannot be read"


# Against the manifest


def test_files_as_they_were_are_the_same(written):
    table = verify.compare_with_manifest("demo", "demo")
    assert list(table.columns) == ["stage", "file", "status"]
    assert set(table.status) == {"same"} and len(table) == len(NAMES) + 1


@pytest.mark.parametrize("name", TEXTS)
def test_an_altered_byte_names_its_file_and_stage_and_nothing_else(written, name):
    content = (written / name).read_bytes()
    (written / name).write_bytes(content[:-1] + b"~")
    assert not_same(verify.compare_with_manifest("demo", "demo")) == [(manifest.stage_of(name), name, "differs")]


def test_missing_and_new_tables_are_told_apart(written):
    (written / "metrics.csv").rename(written / "metrics_old.csv")
    actual = not_same(verify.compare_with_manifest("demo", "demo"))
    assert actual == [("tables", "metrics.csv", "missing"), ("tables", "metrics_old.csv", "new")]


def test_what_git_does_not_keep_may_be_away(written, capsys):
    shutil.rmtree(written / "model")
    shutil.rmtree(paths.DATA)
    (written / "features_functionals.npz").unlink()
    assert {status for _, _, status in not_same(verify.compare_with_manifest("demo", "demo"))} == {"not here"}
    assert __main__.main(["verify", "demo"]) == 0
    text = capsys.readouterr().out
    assert "inputs: not here (3 recordings)" in text
    assert "features: same (2 files), not here (features_functionals.npz)" in text


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda path: path.write_bytes(b"another sound"), "3 recordings"),
        (lambda path: path.rename(path.with_name("dis-f1-b1.ogg")), "3 recordings"),
        (lambda path: path.unlink(), "2 recordings, expected 3"),
    ],
)
def test_a_recording_altered_renamed_or_lost_is_seen(written, change, text):
    change(paths.DATA / "demo" / next(iter(RECORDINGS)))
    assert not_same(verify.compare_with_manifest("demo", "demo")) == [("inputs", text, "differs")]


def test_recordings_of_extra_corpora_count_and_are_named_without_their_place(out, monkeypatch):
    other = corpora.CORPORA["demo"]
    monkeypatch.setitem(corpora.CORPORA, "other", dataclasses.replace(other, name="other", folder="other"))
    shutil.copytree(paths.DATA / "demo", paths.DATA / "other")
    shutil.copytree(paths.DATA / "demo" / "f1", paths.DATA / "mine" / "joy")
    own = str(paths.DATA / "mine")
    corpora.run_folder(corpora.get_corpus(own))
    values = json.loads(manifest.write("demo", "demo", {"EXTRA_CORPORA": ["OTHER", own]}).read_text())
    assert values["parameters"]["EXTRA_CORPORA"] == list(values["extra_corpora"]) == ["other", "mine"]
    assert not_same(verify.compare_with_manifest("demo", "demo")) == []
    (paths.DATA / "other" / next(iter(RECORDINGS))).write_bytes(b"another sound")
    next((paths.DATA / "mine" / "joy").iterdir()).unlink()
    text = [("inputs", "3 recordings of other", "differs"), ("inputs", "2 recordings of mine, expected 3", "differs")]
    assert not_same(verify.compare_with_manifest("demo", "demo")) == text
    shutil.rmtree(paths.DATA / "other")
    assert not_same(verify.compare_with_manifest("demo", "demo"))[0] == ("inputs", "3 recordings of other", "not here")


def test_command_line_names_the_first_stage_that_differs(written, capsys):
    replace(written / "features_original38.csv", "0.25", "0.26")
    replace(written / "metrics.csv", "0.25", "0.26")
    assert __main__.main(["verify", "demo"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:4] == [
        "inputs: same (3 recordings)",
        "utterances: same (2 files)",
        "features: differs (features_original38.csv), same (2 files); the stages before it are the same",
    ]
    assert "tables: differs (metrics.csv)" in lines
    assert "Look at features first: later stages are computed from earlier ones." in lines


def test_a_stage_that_is_not_here_is_not_called_the_same(written, capsys):
    shutil.rmtree(paths.DATA)
    replace(written / "folds.csv", "speaker", "clip")
    assert __main__.main(["verify", "demo"]) == 1
    assert "folds: differs (folds.csv); no stage before it differs\n" in capsys.readouterr().out


def test_command_line_ends_with_0_where_nothing_differs(written, capsys):
    (written / "new.csv").write_text("a\n1\n")
    assert __main__.main(["verify", "demo"]) == 0
    text = capsys.readouterr().out
    assert "tables: same (1 file), new (new.csv)" in text and "Nothing differs." in text


def test_a_missing_table_fails(written):
    (written / "metrics.csv").unlink()
    assert __main__.main(["verify", "demo"]) == 1


def test_other_code_versions_and_platform_are_told_and_are_no_failure(written, capsys):
    values = manifest.read(paths.OUT / "demo")
    values["versions"]["numpy"] = "1.0"
    values["platform"]["machine"] = "abacus"
    values["code"] = {"sha256": "0", "git commit": "1234"}
    paths.write_json(written / "manifest.json", values)
    assert __main__.main(["verify", "demo"]) == 0
    text = capsys.readouterr().out
    assert f"The versions differ: numpy is {np.__version__} here, 1.0 in the manifest." in text
    assert "machine is" in text and "abacus in the manifest." in text
    assert re.search(r"The code differs: commit .* here, 1234 in the manifest\.", text)


def test_without_a_manifest_one_sentence(out, capsys):
    assert __main__.main(["verify", "demo"]) == 1
    assert capsys.readouterr().err.startswith("out/demo has no manifest.json to compare with: run the study first")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"stages": {"inputs": null}}'])
def test_a_broken_manifest_gets_one_sentence(written, text):
    (written / "manifest.json").write_text(text)
    with pytest.raises(StudyError, match="is no manifest of this version of the study"):
        verify.compare_with_manifest("demo", "demo")


def test_a_variant_has_its_own_manifest(written, capsys):
    shutil.copytree(written, written.with_name("demo-small"))
    replace(written.with_name("demo-small") / "metrics.csv", "uar", "war")
    assert (__main__.main(["verify", "demo"]), __main__.main(["verify", "demo", "--variant", "small"])) == (0, 1)


def test_emovo_is_compared_where_it_or_its_manifest_is_there(written):
    assert verify.corpus_to_verify(None) == "demo"
    (paths.DATA / "EMOVO").mkdir()
    (paths.DATA / "EMOVO" / "a.wav").write_bytes(b"")
    assert verify.corpus_to_verify(None) == "emovo"
    shutil.rmtree(paths.DATA / "EMOVO")
    shutil.copytree(written, paths.OUT / "emovo")
    assert (verify.corpus_to_verify(None), verify.corpus_to_verify("Demo")) == ("emovo", "demo")


# Against another folder


@pytest.fixture
def other(out, tmp_path):
    """The same results from elsewhere."""
    return shutil.copytree(out, tmp_path / "elsewhere")


def test_copies_are_the_same(out, other):
    assert set(verify.compare_folders(out, other).status) == {"same"}


def test_sizes_of_differences_in_a_table(out, other):
    replace(other / "predictions.csv", "joy,0.75", "fear,0.7")  # a difference of 0.05, of 0.75
    replace(other / "predictions.csv", "0.25", "0.24")  # one of 0.01, of 0.25
    row = size_of(out, other, "predictions.csv")
    assert row.stage == "training" and row.status == "differs"
    assert (row.largest_absolute, row.largest_relative) == (pytest.approx(0.05), pytest.approx(0.05 / 0.75))
    assert (row.absolute_in, row.relative_in, row.n_texts) == ("p_joy", "p_joy", 1)
    assert row.what == "predicted: 1 of 3 differ; numbers differ in 1 of 2 columns"


def test_largest_absolute_and_relative_difference_may_stand_in_different_columns(out, other):
    for folder, values in ((out, "1000,0.1"), (other, "1001,0.2")):
        (folder / "metrics.csv").write_text(f"big,small\n{values}\n")
    row = size_of(out, other, "metrics.csv")
    assert (row.largest_absolute, row.absolute_in) == (1.0, "big")
    assert (row.largest_relative, row.relative_in) == (pytest.approx(0.5), "small")


def test_sizes_of_differences_in_sequences(out, other):
    frames = [np.arange(6, dtype=np.float32).reshape(3, 2), np.ones((2, 2), np.float32)]
    for folder, more in ((out, 0), (other, 0.5)):
        table = pd.DataFrame({"file": ["a.ogg", "b.ogg"], "variant": "original", "frames": [frames[0], frames[1] + more]})
        write_features(table, folder / "features_log_mel.npz")
    row = size_of(out, other, "features_log_mel.npz")
    assert (row.largest_absolute, row.what) == (0.5, "numbers differ in 2 of 2 columns")


def test_sizes_of_differences_in_a_compact_table(out, other):
    write_features(FEATURES.assign(level=[1.0, 2.5]), other / "features_functionals.npz")
    row = size_of(out, other, "features_functionals.npz")
    assert (row.largest_absolute, row.absolute_in) == (0.5, "level")
    assert (row.largest_relative, row.n_texts, row.what) == (pytest.approx(0.2), 0, "numbers differ in 1 of 2 columns")


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("metric,value\nuar,0.5\n", "2 rows here, 1 there"),
        ("metric,value,n\nuar,0.5,1\naccuracy,0.25,1\n", "only there: n"),
        ("metric\nuar\naccuracy\n", "only here: value"),
        ("value,metric\n0.5,uar\n0.25,accuracy\n", "in another order"),
        ("metric,value\nuar,0.50\naccuracy,0.25\n", "the same values, written in another way"),
        ("metric,value\nuar,0.5\naccuracy,\n", "value: 1 of 2 empty on one side"),
        ("metric,value\nuar,0.5\naccuracy,low\n", "value: 1 of 2 differ"),
        ("", "cannot be read"),
    ],
)
def test_tables_of_another_shape_are_described(out, other, table, text):
    (other / "metrics.csv").write_text(table)
    assert size_of(out, other, "metrics.csv").what == text


def test_infinite_values_are_infinitely_far_from_others():
    assert differences._largest_gaps(np.array([1.0, np.inf]), np.array([1.0, np.inf])) == (0.0, 0.0)
    assert differences._largest_gaps(np.array([1.0]), np.array([np.inf])) == (np.inf, np.inf)


def test_size_of_the_difference_between_weights(out, other):
    write_network(other / "model" / "model.keras", weight=0.75)
    row = size_of(out, other, "model/model.keras")
    assert (row.largest_absolute, row.absolute_in) == (0.25, "layers/dense/vars/0")
    assert row.what == "numbers differ in 1 of 1 weights"


def test_a_network_whose_layers_alone_differ_is_described(out, other):
    write_network(other / "model" / "model.keras", layer="other")
    row = size_of(out, other, "model/model.keras")
    assert row.what == "layers or normalisation differ, weights are the same" and np.isnan(row.largest_absolute)


def altered(other, name, old, new):
    replace(other / name, old, new)
    return other


@pytest.mark.parametrize(
    ("name", "old", "new", "sizes"),
    [
        ("features_original38.csv", "0.25", "0.250001", "features within 2e-06"),
        ("predictions.csv", "0.75", "0.7", "probabilities within 0.05, predicted labels within 0"),
        ("metrics.csv", "0.25", "0.26", "metrics within 0.01"),
    ],
)
def test_small_differences_are_of_the_size_that_another_processor_makes(out, other, name, old, new, sizes):
    table = verify.compare_folders(out, altered(other, name, old, new))
    expected = f"All differences are of the size that another processor makes: {sizes}."
    assert differences.size_sentence(table) == expected


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
        ("metrics.csv", "0.25", "0.45"),
        ("metrics.csv", "uar", "war"),
    ],
)
def test_larger_differences_are_named(out, other, name, old, new):
    table = verify.compare_folders(out, altered(other, name, old, new))
    assert differences.size_sentence(table) == f"Differences in {name} are larger than another processor makes."


def test_weights_and_compact_features_have_bounds(out, other):
    write_network(other / "model" / "model.keras", weight=1.001)
    write_features(FEATURES.assign(level=[1.0, 2.0001]), other / "features_functionals.npz")
    sentence = differences.size_sentence(verify.compare_folders(out, other))
    assert sentence.endswith("another processor makes: features within 5e-05, weights within 0.001.")
    write_network(other / "model" / "model.keras", layer="other")
    assert "model/model.keras are larger" in differences.size_sentence(verify.compare_folders(out, other))


def test_tables_and_figures_are_judged_by_what_they_are_computed_from(out, other):
    (other / "headline.png").write_text("another picture")
    alone = differences.size_sentence(verify.compare_folders(out, other))
    assert alone.startswith("Another processor does not explain the differences in headline.png")
    table = verify.compare_folders(out, altered(other, "metrics.csv", "0.25", "0.26"))
    assert differences.size_sentence(table).endswith("metrics within 0.01. Other files that differ are computed from these.")


def test_command_line_prints_the_judgement_of_sizes(out, other, capsys):
    altered(other, "metrics.csv", "0.25", "0.26")
    assert __main__.main(["verify", "demo", "--against", str(other)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "All differences are of the size that another processor makes: metrics within 0.01."


def test_sizes_are_unknown_with_a_manifest_alone(written, capsys):
    replace(written / "metrics.csv", "0.25", "0.26")
    unknown = (
        "The manifest has only hashes, so the sizes of differences are unknown: compare with the other folder, --against DIR."
    )
    other_processor = " The manifest was written on another processor or system."
    assert __main__.main(["verify", "demo"]) == 1
    assert unknown in capsys.readouterr().out.splitlines()
    values = manifest.read(written)
    values["platform"]["simd"] = ["X86_V2"]
    paths.write_json(written / "manifest.json", values)
    __main__.main(["verify", "demo"])
    lines = capsys.readouterr().out.splitlines()
    assert unknown + other_processor in lines
    assert lines[-1].startswith("The platform differs: simd is")


def test_files_on_one_side_are_missing_new_or_not_here(out, other):
    (out / "metrics.csv").unlink()
    (out / "features_functionals.npz").unlink()
    (other / "folds.csv").unlink()
    assert not_same(verify.compare_folders(out, other)) == [
        ("features", "features_functionals.npz", "not here"),
        ("folds", "folds.csv", "new"),
        ("tables", "metrics.csv", "missing"),
    ]


def test_command_line_prints_the_sizes_below_their_stage(out, other, capsys):
    replace(other / "metrics.csv", "0.25", "0.24")
    (other / "headline.png").write_text("another picture")
    assert __main__.main(["verify", "demo", "--against", str(other)]) == 1
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("tables: differs (metrics.csv); the stages before it are the same")
    assert lines[at + 1].split()[2:] == ["largest_absolute", "absolute_in", "largest_relative", "relative_in"]
    assert " ".join(lines[at + 2].split()) == "metrics.csv numbers differ in 1 of 1 columns 0.01 value 0.04 value"
    assert lines[at + 3] == "figures: differs (headline.png)"


def test_two_manifests_tell_other_recordings_and_parameters(written, tmp_path, capsys):
    other = shutil.copytree(written, tmp_path / "elsewhere")
    (paths.DATA / "demo" / next(iter(RECORDINGS))).unlink()
    manifest.write("demo", "demo", {"N_SEEDS": 2})
    assert __main__.main(["verify", "demo", "--against", str(other)]) == 1
    text = capsys.readouterr().out
    assert "inputs: differs (2 recordings, expected 3)" in text
    assert "The parameters differ: N_SEEDS is 2 here, 5 there." in text and "versions differ" not in text


@pytest.mark.parametrize(("make", "text"), [(False, "is no folder"), (True, "holds no tables")])
def test_a_folder_without_results_gets_one_sentence(out, tmp_path, capsys, make, text):
    if make:
        (tmp_path / "elsewhere").mkdir()
    assert __main__.main(["verify", "demo", "--against", str(tmp_path / "elsewhere")]) == 1
    assert f"elsewhere {text}: expected the folder of a run" in capsys.readouterr().err
