"""Lists of registered names in texts that people read are those of the registries."""

import ast
import re
import subprocess
import sys

import pytest

from ser_utils import corpora, evaluation, features, models
from ser_utils.core import paths
from ser_utils.study.notebooks import FEATURE_FILES, can_write, list_notebooks, written_files
from ser_utils.study.parameters import known_parameters

KNOWN = known_parameters()


def test_notebooks_use_all_baselines_and_on_a_known_corpus_all_protocols_by_default():
    assert ast.literal_eval(KNOWN["BASELINES"]["default"]) == list(models.BASELINES)
    assert evaluation.default_protocols(is_own=False) == list(evaluation.PROTOCOLS)


@pytest.mark.parametrize(
    ("parameter", "registry"),
    [("AUGMENTATIONS", features.AUGMENTATIONS), ("FEATURES", features.FEATURE_SETS), ("MODEL", models.MODELS)],
    ids=["augmentations", "feature sets", "models"],
)
def test_the_comment_of_a_parameter_names_all_registered_values(parameter, registry):
    assert set(registry) <= set(re.findall(r"\w+", KNOWN[parameter]["help"]))


def test_notebook_02_computes_the_standard_feature_sets_and_on_request_the_others():
    assert ast.literal_eval(KNOWN["FEATURE_SETS"]["default"]) == list(features.STANDARD_SETS)
    assert [features.feature_file_name(name) for name in features.STANDARD_SETS] == list(FEATURE_FILES)
    assert KNOWN["FEATURE_SETS"]["notebooks"] == ["02_augment_features"]
    book = next(book for book in list_notebooks() if book.stem == "02_augment_features")
    assert set(FEATURE_FILES) < set(written_files(book))
    assert all(can_write(book, features.feature_file_name(name)) for name in features.FEATURE_SETS)


def test_the_command_line_names_all_corpora_and_all_downloads():
    texts = [
        subprocess.run(
            [sys.executable, "-m", "ser_utils", command, "--help"], capture_output=True, text=True, check=True
        ).stdout
        for command in ("run", "fetch")
    ]
    run, fetch = (" ".join(text.split()).replace("- ", "-") for text in texts)
    assert ", ".join(corpora.CORPORA) in run
    assert ", ".join(name for name, corpus in corpora.CORPORA.items() if corpus.download) in fetch


def test_data_readme_and_contributing_name_what_is_registered():
    data = (paths.ROOT / "data" / "README.md").read_text(encoding="utf-8")
    assert all(corpus.folder in data for corpus in corpora.CORPORA.values())
    contributing = (paths.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for registry, path in re.findall(r"`([A-Z_]+)` in `(ser_utils/\w+/\w+\.py)`", contributing):
        assert re.search(rf"^{registry}\b", (paths.ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), path
