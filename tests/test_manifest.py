"""The manifest: repeated runs write the same bytes, and its hashes are those of the content."""

import json
import re
import shutil
import subprocess

import nbformat
import numpy as np
import pytest
from runs import NAMES, write_network

from ser_utils.core import paths
from ser_utils.study import manifest, parameters

# Contents


def test_a_repeated_run_writes_the_same_bytes_without_facts_of_the_machine(out):
    execution = {"N_JOBS": 97531, "SCHEDULER": "tcp://somewhere:8786"}
    first = manifest.write("demo", "demo", {"N_SEEDS": 2}).read_bytes()
    write_network(out / "model" / "model.keras", date="2027-01-01@00:00:00")
    again = manifest.write("demo", "demo", {"N_SEEDS": 2, **execution}, {"host": "anthill"})
    assert again == out / "manifest.json" and again.read_bytes() == first
    assert json.loads((out / "executed" / "run.json").read_text()) == {**execution, "host": "anthill"}


def test_every_result_belongs_to_one_stage_in_their_order(written):
    for name in (".metrics.17-17.csv", "training_times.csv", "executed/01_explore.ipynb"):
        (written / name).write_text("{}")
    stages = json.loads(manifest.write("demo", "demo", {}).read_text())["stages"]
    inputs = stages.pop("inputs")
    assert list(stages) == ["utterances", "features", "folds", "training", "weights", "tables", "figures"]
    assert inputs["recordings"] == 3 and re.fullmatch("[0-9a-f]{64}", inputs["sha256"])
    assert sorted(name for files in stages.values() for name in files) == sorted(NAMES)


def test_the_committed_manifest_is_readable():
    values = manifest.read(paths.ROOT / "out" / "emovo")
    assert values["stages"]["inputs"]["recordings"] == 588
    assert {"corpus", "variant", "parameters", "threads", "versions", "platform", "code"} < set(values)


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("features_new.npz", "features"),
        ("feature_spread.png", "figures"),
        ("predictions_compared.csv", "training"),
        ("learning_curves_study.png", "figures"),
        ("own_predictions.csv", "tables"),
        ("model/parts/network.keras", "weights"),
        ("model/drawing.png", "weights"),
    ],
)
def test_stage_of_a_name(name, stage):
    assert manifest.stage_of(name) == stage


def test_parameters_are_those_used(out):
    out.rename(out.with_name("demo-small"))
    values = json.loads(manifest.write("demo-small", "demo", {"N_SEEDS": 2, "DROP_EMOTIONS": ["joy"]}).read_text())
    assert (values["corpus"], values["variant"]) == ("demo", "small")
    used = values["parameters"]
    assert set(used) == set(parameters.known_parameters()) - set(manifest.EXECUTION)
    given = {"N_SEEDS": 2, "DROP_EMOTIONS": ["joy"], "VARIANT": "small", "AUGMENT_SEED": 0, "EMBED_AUDIO": False}
    assert {name: used[name] for name in given} == given


def test_threads_are_those_that_networks_are_computed_with():
    from ser_utils.models.backend import tf

    threading = tf.config.threading
    assert {
        "intra_op": threading.get_intra_op_parallelism_threads(),
        "inter_op": threading.get_inter_op_parallelism_threads(),
    } == manifest.THREADS


# Version of the code


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
    assert manifest.git_commit() == commit


def test_uncommitted_code_is_reported(repository):
    (paths.ROOT / "ser_utils" / "code.py").write_text("2\n")
    assert manifest.git_commit() == f"{repository('rev-parse', 'HEAD')} and uncommitted changes"


def test_without_a_repository_or_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    assert manifest.git_commit() is None
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert manifest.git_commit() is None


def test_code_of_a_notebook_counts_and_its_prose_and_outputs_do_not(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path)

    def code_hash(source, printed, prose):
        cell = nbformat.v4.new_code_cell(source, outputs=[nbformat.v4.new_output("stream", text=printed)])
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(prose), cell])
        nbformat.write(book, tmp_path / "01_first.ipynb")
        return manifest.code_hash()

    assert code_hash("N = 1", "one", "A story") == code_hash("N = 1", "two", "A tale")
    assert code_hash("N = 1", "one", "A story") != code_hash("N = 2", "one", "A story")


# Hashes of files


def test_weights_and_layers_count_and_date_address_and_running_numbers_do_not(tmp_path):
    versions = [
        {},
        {"date": "2027-01-01@00:00:00", "layer": "dense_81", "address": 1},
        {"weight": 1.0000001},
        {"layer": "other"},
    ]
    hashes = []
    for version in versions:
        write_network(tmp_path / "model.keras", **version)
        hashes.append(manifest.content_hash(tmp_path / "model.keras"))
    assert hashes[0] == hashes[1] and len(set(hashes)) == 3


def test_a_network_of_keras_has_the_same_hash_after_others_were_made(tmp_path):
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
