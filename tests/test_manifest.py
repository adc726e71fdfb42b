"""The manifest: the same run gives the same bytes, and what differs is found, in its stage and with its size."""

import dataclasses
import io
import json
import re
import shutil
import subprocess
import zipfile

import h5py
import nbformat
import numpy as np
import pandas as pd
import pytest

from ser_utils import __main__, corpora
from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.features.registry import write_features
from ser_utils.study import manifest, parameters

RECORDINGS = {f"f1/{code}-f1-b1.ogg": f"sound of {code}".encode() for code in ("gio", "neu", "tri")}
TEXTS = {
    "utterances.csv": "file,duration_s\na.ogg,1.5\nb.ogg,2.5\n",
    "skipped.csv": "file,reason\n",
    "augmentation.json": "{}\n",
    "features_original38.csv": "file,variant,rms\na.ogg,original,0.25\nb.ogg,original,0.5\n",
    "folds.csv": "protocol,fold,file\nspeaker,1,a.ogg\n",
    "predictions.csv": "file,fold,predicted,p_joy\na.ogg,1,joy,0.75\nb.ogg,1,fear,0.25\nc.ogg,2,joy,0.5\n",
    "metrics.csv": "metric,value\nuar,0.5\naccuracy,0.25\n",
    "headline.png": "a picture",
    "model/settings.json": "{}\n",
}
FEATURES = pd.DataFrame({"file": ["a.ogg", "b.ogg"], "variant": "original", "f0": [100.0, 200.0], "level": [1.0, 2.0]})
NAMES = [*TEXTS, "features_functionals.npz", "model/model.keras"]


def write_network(path, *, weight=1.0, date="2026-11-22@21:14:06", layer="dense_15", address=140_064_868_160_208):
    """A file as Keras writes it, with one layer of two weights."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as tree:
        tree["layers/dense/vars/0"] = np.array([weight, 2.0], np.float32)
        tree["layers/dense/vars"].attrs["name"] = layer
    config = {"layers": [{"config": {"name": layer, "units": 2}, "shared_object_id": address}]}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"date_saved": date}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", buffer.getvalue())


def write_results(folder):
    (folder / "model").mkdir(parents=True)
    for name, text in TEXTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    write_features(FEATURES, folder / "features_functionals.npz")
    write_network(folder / "model" / "model.keras")
    return folder


@pytest.fixture
def out(tmp_path, monkeypatch):
    """The results of a run on a corpus of three recordings, in folders of their own."""
    for name in ("DATA", "OUT"):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
    for name, content in RECORDINGS.items():
        (paths.DATA / "demo" / name).parent.mkdir(parents=True, exist_ok=True)
        (paths.DATA / "demo" / name).write_bytes(content)
    return write_results(paths.OUT / "demo")


@pytest.fixture
def written(out):
    """The same with its manifest."""
    manifest.write("demo", "demo", {})
    return out


def replace(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def not_same(table):
    """Stage, file and status of the rows that are not the same."""
    return [tuple(row) for row in table.loc[table.status != "same", ["stage", "file", "status"]].to_numpy()]


def size_of(a, b, name):
    """The row of one file that differs, and nothing else may."""
    table = manifest.differences(a, b)
    assert list(table.file[table.status != "same"]) == [name]
    return table.set_index("file").loc[name]


# What the manifest says


def test_two_writes_give_the_same_bytes(out):
    first = manifest.write("demo", "demo", {"N_SEEDS": 2}).read_bytes()
    (out / "model" / "model.keras").unlink()
    write_network(out / "model" / "model.keras", date="2027-01-01@00:00:00")
    again = manifest.write("demo", "demo", {"N_SEEDS": 2}, facts={"hours": 3})
    assert again == out / "manifest.json" and again.read_bytes() == first


def test_every_file_belongs_to_one_stage_in_their_order(written):
    (written / "executed").mkdir()
    for name in (".metrics.17.csv", "run.json", "executed/01_explore.ipynb"):
        (written / name).write_text("{}")
    stages = json.loads(manifest.write("demo", "demo", {}).read_text())["stages"]
    inputs = stages.pop("inputs")
    assert list(stages) == ["utterances", "features", "folds", "training", "weights", "tables", "figures"]
    assert inputs["recordings"] == 3 and re.fullmatch("[0-9a-f]{64}", inputs["sha256"])
    assert sorted(name for files in stages.values() for name in files) == sorted(NAMES)


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("features_new.npz", "features"),
        ("feature_spread.png", "figures"),
        ("predictions_compared.csv", "training"),
        ("learning_curves_study.png", "figures"),
        ("own_predictions.csv", "tables"),
        ("never_seen.csv", "tables"),
        ("never_seen.png", "figures"),
        ("model/parts/network.keras", "weights"),
        ("model/drawing.png", "weights"),
    ],
)
def test_a_name_tells_the_stage(name, stage):
    assert manifest.stage_of(name) == stage


def test_parameters_are_those_used(out):
    values = json.loads(manifest.write("demo", "demo", {"N_SEEDS": 2, "DROP_EMOTIONS": ["joy"]}).read_text())
    assert set(values["parameters"]) == set(parameters.known_parameters()) - set(manifest.EXECUTION)
    assert (values["parameters"]["N_SEEDS"], values["parameters"]["DROP_EMOTIONS"]) == (2, ["joy"])
    assert values["parameters"]["AUGMENT_SEED"] == 0 and values["parameters"]["EMBED_AUDIO"] is False
    assert values["versions"] == parameters.versions()


def test_a_variant_is_named(out):
    out.rename(out.with_name("demo-small"))
    values = json.loads(manifest.write("demo-small", "demo", {}).read_text())
    assert (values["corpus"], values["variant"], values["parameters"]["VARIANT"]) == ("demo", "small", "small")


def test_how_a_run_was_executed_stays_out_of_the_manifest(out):
    execution = {"N_JOBS": 97531, "SCHEDULER": "tcp://somewhere:8786"}
    text = manifest.write("demo", "demo", execution, facts={"host": "anthill", "hours": 24680}).read_text()
    for volatile in ("N_JOBS", "97531", "SCHEDULER", "somewhere", "anthill", "24680"):
        assert volatile not in text
    assert json.loads((out / "executed" / "run.json").read_text()) == {**execution, "host": "anthill", "hours": 24680}


def test_without_facts_no_facts_are_written(written):
    assert not (written / "executed").exists()


def test_threads_are_those_that_networks_are_computed_with():
    from ser_utils.models.backend import tf

    threading = tf.config.threading
    found = {"intra_op": threading.get_intra_op_parallelism_threads(), "inter_op": threading.get_inter_op_parallelism_threads()}
    assert found == manifest.THREADS


# What the code is


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A git repository with code and results; `git(*arguments)` runs git in it."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    root = tmp_path / "repository"
    for name in ("ser_utils/core/code_version.py", "out/metrics.csv"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text("1\n")
    monkeypatch.setattr(paths, "ROOT", root)

    def git(*arguments):
        who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "core.hooksPath=/dev/null"]
        return subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    git("add", ".")
    git("commit", "-m", "Code")
    return git


def test_committing_results_leaves_the_commit_of_the_code(repository):
    commit = repository("rev-parse", "HEAD")
    (paths.ROOT / "out" / "metrics.csv").write_text("2\n")
    repository("commit", "-a", "-m", "Results")
    assert repository("rev-parse", "HEAD") != commit
    assert manifest._git_commit() == commit


def test_uncommitted_code_is_said(repository):
    (paths.ROOT / "ser_utils" / "code.py").write_text("2\n")
    assert manifest._git_commit() == f"{repository('rev-parse', 'HEAD')} and uncommitted changes"


def test_without_a_repository_or_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    assert manifest._git_commit() is None
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert manifest._git_commit() is None


def test_code_of_a_notebook_counts_and_its_prose_and_outputs_do_not(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path)

    def code_hash(source, printed, prose):
        cell = nbformat.v4.new_code_cell(source, outputs=[nbformat.v4.new_output("stream", text=printed)])
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(prose), cell])
        nbformat.write(book, tmp_path / "01_first.ipynb")
        return manifest._code_hash()

    assert code_hash("N = 1", "one", "A story") == code_hash("N = 1", "two", "A tale")
    assert code_hash("N = 1", "one", "A story") != code_hash("N = 2", "one", "A story")


# What a file holds


def test_a_network_is_the_same_whenever_and_wherever_it_is_saved(tmp_path):
    write_network(tmp_path / "a.keras")
    write_network(tmp_path / "b.keras", date="2027-01-01@00:00:00", layer="dense_81", address=1)
    assert (tmp_path / "a.keras").read_bytes() != (tmp_path / "b.keras").read_bytes()
    assert manifest.content_hash(tmp_path / "a.keras") == manifest.content_hash(tmp_path / "b.keras")


def test_another_weight_or_layer_is_another_network(tmp_path):
    write_network(tmp_path / "a.keras")
    write_network(tmp_path / "b.keras", weight=1.0000001)
    write_network(tmp_path / "c.keras", layer="other")
    assert len({manifest.content_hash(tmp_path / f"{name}.keras") for name in "abc"}) == 3


def test_a_network_of_keras_is_known_again_after_others_were_made(tmp_path):
    from ser_utils.models.backend import keras

    def save(name, weight):
        network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1), keras.layers.BatchNormalization()])
        network.layers[0].set_weights([np.full((2, 1), weight), np.zeros(1)])
        network.save(tmp_path / name)
        return manifest.content_hash(tmp_path / name)

    assert save("a.keras", 0.5) == save("b.keras", 0.5)
    assert save("c.keras", 0.25) != save("d.keras", 0.5)


def test_compression_of_a_table_does_not_count(tmp_path):
    arrays = {"names": np.array(["a", "b"]), "values": np.arange(4.0)}
    np.savez(tmp_path / "plain.npz", **arrays)
    np.savez_compressed(tmp_path / "small.npz", **arrays)
    np.savez(tmp_path / "other.npz", **{**arrays, "values": np.arange(1.0, 5.0)})
    plain, small, other = (manifest.content_hash(tmp_path / f"{name}.npz") for name in ("plain", "small", "other"))
    assert plain == small != other


@pytest.mark.parametrize("name", ["features_functionals.npz", "model/model.keras"])
def test_a_file_cut_off_differs_and_stops_nothing(written, tmp_path, name):
    whole = shutil.copytree(written, tmp_path / "whole")
    (written / name).write_bytes((written / name).read_bytes()[:200])
    assert not_same(manifest.verify("demo", "demo")) == [(manifest.stage_of(name), name, "differs")]
    assert size_of(written, whole, name).what == "cannot be read"


# Against the manifest


def test_files_as_they_were_are_the_same(written):
    table = manifest.verify("demo", "demo")
    assert list(table.columns) == ["stage", "file", "status"]
    assert set(table.status) == {"same"} and len(table) == len(NAMES) + 1


@pytest.mark.parametrize("name", TEXTS)
def test_an_altered_byte_names_its_file_and_stage_and_nothing_else(written, name):
    content = (written / name).read_bytes()
    (written / name).write_bytes(content[:-1] + b"~")
    assert not_same(manifest.verify("demo", "demo")) == [(manifest.stage_of(name), name, "differs")]


def test_missing_and_new_tables_are_told_apart(written):
    (written / "metrics.csv").rename(written / "metrics_old.csv")
    found = not_same(manifest.verify("demo", "demo"))
    assert found == [("tables", "metrics.csv", "missing"), ("tables", "metrics_old.csv", "new")]


def test_what_git_does_not_keep_may_be_away(written, capsys):
    shutil.rmtree(written / "model")
    shutil.rmtree(paths.DATA)
    (written / "features_functionals.npz").unlink()
    assert {status for _, _, status in not_same(manifest.verify("demo", "demo"))} == {"not here"}
    assert __main__.main(["verify", "demo"]) == 0
    said = capsys.readouterr().out
    assert "inputs: not here (3 recordings)" in said
    assert "features: same (2 files), not here (features_functionals.npz)" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: path.write_bytes(b"another sound"), "3 recordings"),
        (lambda path: path.rename(path.with_name("dis-f1-b1.ogg")), "3 recordings"),
        (lambda path: path.unlink(), "2 recordings, expected 3"),
    ],
)
def test_a_recording_altered_renamed_or_lost_is_seen(written, change, said):
    change(paths.DATA / "demo" / next(iter(RECORDINGS)))
    assert not_same(manifest.verify("demo", "demo")) == [("inputs", said, "differs")]


def test_recordings_of_extra_corpora_count_and_are_named_without_their_place(out, monkeypatch):
    other = corpora.CORPORA["demo"]
    monkeypatch.setitem(corpora.CORPORA, "other", dataclasses.replace(other, name="other", folder="other"))
    shutil.copytree(paths.DATA / "demo", paths.DATA / "other")
    shutil.copytree(paths.DATA / "demo" / "f1", paths.DATA / "mine" / "joy")
    own = str(paths.DATA / "mine")
    corpora.run_folder(corpora.get_corpus(own))
    values = json.loads(manifest.write("demo", "demo", {"EXTRA_CORPORA": ["OTHER", own]}).read_text())
    assert values["parameters"]["EXTRA_CORPORA"] == list(values["extra_corpora"]) == ["other", "mine"]
    assert not_same(manifest.verify("demo", "demo")) == []
    (paths.DATA / "other" / next(iter(RECORDINGS))).write_bytes(b"another sound")
    next((paths.DATA / "mine" / "joy").iterdir()).unlink()
    said = [("inputs", "3 recordings of other", "differs"), ("inputs", "2 recordings of mine, expected 3", "differs")]
    assert not_same(manifest.verify("demo", "demo")) == said
    shutil.rmtree(paths.DATA / "other")
    assert not_same(manifest.verify("demo", "demo"))[0] == ("inputs", "3 recordings of other", "not here")


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
    said = capsys.readouterr().out
    assert "tables: same (1 file), new (new.csv)" in said and "Nothing differs." in said


def test_a_missing_table_fails(written):
    (written / "metrics.csv").unlink()
    assert __main__.main(["verify", "demo"]) == 1


def test_other_code_versions_and_platform_are_told_and_are_no_failure(written, capsys):
    values = manifest.read("demo")
    values["versions"]["numpy"] = "1.0"
    values["platform"]["machine"] = "abacus"
    values["code"] = {"sha256": "0", "git commit": "1234"}
    paths.write_json(written / "manifest.json", values)
    assert __main__.main(["verify", "demo"]) == 0
    said = capsys.readouterr().out
    assert f"The versions differ: numpy is {np.__version__} here, 1.0 in the manifest." in said
    assert "machine is" in said and "abacus in the manifest." in said
    assert re.search(r"The code differs: commit .* here, 1234 in the manifest\.", said)


def test_without_a_manifest_one_sentence(out, capsys):
    assert __main__.main(["verify", "demo"]) == 1
    assert capsys.readouterr().err.startswith("out/demo has no manifest.json to compare with: run the study first")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"stages": {"inputs": null}}'])
def test_a_broken_manifest_gets_one_sentence(written, text):
    (written / "manifest.json").write_text(text)
    with pytest.raises(StudyError, match="is no manifest of this version of the study"):
        manifest.verify("demo", "demo")


def test_a_variant_has_its_own_manifest(written, capsys):
    shutil.copytree(written, written.with_name("demo-small"))
    replace(written.with_name("demo-small") / "metrics.csv", "uar", "war")
    assert (__main__.main(["verify", "demo"]), __main__.main(["verify", "demo", "--variant", "small"])) == (0, 1)


def test_emovo_is_compared_where_it_or_its_manifest_is_there(written):
    assert manifest.choose_corpus(None) == "demo"
    (paths.DATA / "EMOVO").mkdir()
    (paths.DATA / "EMOVO" / "a.wav").write_bytes(b"")
    assert manifest.choose_corpus(None) == "emovo"
    shutil.rmtree(paths.DATA / "EMOVO")
    shutil.copytree(written, paths.OUT / "emovo")
    assert (manifest.choose_corpus(None), manifest.choose_corpus("Demo")) == ("emovo", "demo")


# Against another folder


@pytest.fixture
def other(out, tmp_path):
    """The same results from elsewhere."""
    return shutil.copytree(out, tmp_path / "elsewhere")


def test_copies_are_the_same(out, other):
    assert set(manifest.differences(out, other).status) == {"same"}


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
    ("table", "said"),
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
def test_tables_of_another_shape_are_described(out, other, table, said):
    (other / "metrics.csv").write_text(table)
    assert size_of(out, other, "metrics.csv").what == said


def test_infinite_values_are_infinitely_far_from_others():
    assert manifest._largest_gaps(np.array([1.0, np.inf]), np.array([1.0, np.inf])) == (0.0, 0.0)
    assert manifest._largest_gaps(np.array([1.0]), np.array([np.inf])) == (np.inf, np.inf)


def test_size_of_the_difference_between_weights(out, other):
    write_network(other / "model" / "model.keras", weight=0.75)
    row = size_of(out, other, "model/model.keras")
    assert (row.largest_absolute, row.absolute_in) == (0.25, "layers/dense/vars/0")
    assert row.what == "numbers differ in 1 of 1 weights"


def test_a_network_whose_layers_alone_differ_is_described(out, other):
    write_network(other / "model" / "model.keras", layer="other")
    row = size_of(out, other, "model/model.keras")
    assert row.what == "layers or normalisation differ, weights are the same" and np.isnan(row.largest_absolute)


def test_files_on_one_side_are_missing_new_or_not_here(out, other):
    (out / "metrics.csv").unlink()
    (out / "features_functionals.npz").unlink()
    (other / "folds.csv").unlink()
    assert not_same(manifest.differences(out, other)) == [
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
    said = capsys.readouterr().out
    assert "inputs: differs (2 recordings, expected 3)" in said
    assert "The parameters differ: N_SEEDS is 2 here, 5 there." in said and "versions differ" not in said


@pytest.mark.parametrize(("make", "said"), [(False, "is no folder"), (True, "holds no tables")])
def test_a_folder_without_results_gets_one_sentence(out, tmp_path, capsys, make, said):
    if make:
        (tmp_path / "elsewhere").mkdir()
    assert __main__.main(["verify", "demo", "--against", str(tmp_path / "elsewhere")]) == 1
    assert f"elsewhere {said}: expected the folder of a run" in capsys.readouterr().err
