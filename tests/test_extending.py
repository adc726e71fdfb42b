"""The examples of docs/extending.md, run as written, on tiny corpora."""

import contextlib
import re
from typing import NamedTuple
from unittest import mock

import pandas as pd
import pytest
from recordings import tone

from ser_utils.core import paths
from ser_utils.core.code_version import imported
from ser_utils.core.errors import StudyError
from ser_utils.corpora import CORPORA
from ser_utils.evaluation import PROTOCOLS
from ser_utils.experiments.trials import trial
from ser_utils.features import AUGMENTATIONS, FEATURE_SETS
from ser_utils.models import BASELINES, MODELS

PAGE = (paths.ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
SECTIONS = dict(section.split("\n", 1) for section in PAGE.split("\n## ")[1:])
EXAMPLES = {title: re.findall(r"```python\n(.*?)```", text, re.DOTALL) for title, text in SECTIONS.items()}


class Extension(NamedTuple):
    """What the example of a section registers, and the protocol, model and features of the result that it prints."""

    registry: dict
    name: str
    result: tuple[str, str, str]


EXTENSIONS = {
    "Corpus": Extension(CORPORA, "robin", ("speaker", "mlp", "functionals")),
    "Feature set": Extension(FEATURE_SETS, "loudness", ("speaker", "mlp", "loudness")),
    "Augmentation": Extension(AUGMENTATIONS, "telephone", ("speaker", "mlp", "functionals")),
    "Protocol": Extension(PROTOCOLS, "gender", ("gender", "mlp", "functionals")),
    "Model": Extension(MODELS, "gru", ("speaker", "gru", "log_mel")),
    "Baseline": Extension(BASELINES, "knn", ("speaker", "knn", "functionals")),
}


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Two tiny corpora in ``data/``, one of them also with a table; registries lose what a test adds."""
    rows = []
    for speaker, sentence in ((speaker, sentence) for speaker in ("r1", "r2", "r3") for sentence in ("s1", "s2", "s3")):
        for code, emotion in (("glad", "joy"), ("cross", "anger")):
            file = f"voices/{speaker}/{emotion}/{sentence}.wav"
            tone(tmp_path / "data" / "Robin" / f"{speaker}-{sentence}-{code}.wav", duration_s=0.3)
            tone(tmp_path / "data" / file, duration_s=0.3)
            rows.append((file, emotion, speaker, "male" if speaker == "r2" else "female"))
    table = pd.DataFrame(rows, columns=["file", "emotion", "speaker", "gender"])
    table.to_csv(tmp_path / "data" / "voices.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(paths, "DATA", tmp_path / "data")
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    with contextlib.ExitStack() as restore:
        for extension in EXTENSIONS.values():
            restore.enter_context(mock.patch.dict(extension.registry))
        yield


def run_example(title):
    exec(compile(EXAMPLES[title][0], "docs/extending.md", "exec"), {"__name__": "__main__"})


def test_each_extension_point_has_one_example():
    assert {title: len(found) for title, found in EXAMPLES.items() if found} == dict.fromkeys(EXTENSIONS, 1)


@pytest.mark.parametrize("title", EXTENSIONS)
def test_example_is_short_and_names_the_file_where_it_belongs(title):
    (example,) = EXAMPLES[title]
    assert 5 < len(example.splitlines()) <= 20
    ((registry, file),) = re.findall(r"`([A-Z_]+)`\s+in\s+\[`(ser_utils/[\w/]+\.py)`\]\(\.\./\2\)", SECTIONS[title])
    source = (paths.ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"^{registry}\b.*= ", source, re.MULTILINE), f"{registry} is in {file}"
    assert f'{registry}["{EXTENSIONS[title].name}"] = ' in example
    assert all(len(line) <= 128 for line in example.splitlines())
    assert imported(example), "it imports the study"


@pytest.mark.parametrize("title", EXTENSIONS)
def test_example_runs_as_written(title, study, capsys):
    extension = EXTENSIONS[title]
    assert extension.name not in extension.registry
    run_example(title)
    assert extension.name in extension.registry
    (uar,) = re.findall(r"^.*\buar\b.*$", capsys.readouterr().out, re.MULTILINE)
    assert tuple(uar.split()[1:4]) == extension.result
    assert re.search(r"\b18\b", uar), "each clip is tested once"


def test_trial_without_speakers_tests_unseen_clips(study, tmp_path):
    for number in range(6):
        for emotion in ("joy", "anger"):
            tone(tmp_path / "data" / "flat" / emotion / f"{number}.wav", duration_s=0.3)
    table = trial("data/flat", model="original_mlp")
    assert set(table.protocol) == {"clip"} and set(table.n_clips) == {12} and set(table.features) == {"original38"}
    with pytest.raises(StudyError, match="needs two or more known speakers"):
        trial("data/flat", speaker_norm="speaker")
    with pytest.raises(StudyError, match="protocol 'speaker' is not possible: the speaker of every clip is unknown"):
        trial("data/flat", protocol="speaker")


def test_trial_of_another_protocol_than_the_main_one_uses_default_settings(study, monkeypatch):
    choosing = "ser_utils.experiments.experiment.choose_settings"
    monkeypatch.setattr(choosing, lambda *_, **__: pytest.fail("settings were chosen"))
    table = trial("data/voices", protocol="clip", features="original38")
    assert set(table.protocol) == {"clip"} and set(table.n_clips) == {18}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"protocol": "room"}, "Unknown protocol 'room': expected one of as_published, clip"),
        ({"model": "forest"}, "Unknown model 'forest': expected one of original_mlp, mlp"),
        ({"model": "svm", "features": "log_mel"}, "'svm' takes one row per clip, which the feature set 'log_mel'"),
    ],
)
def test_trial_of_an_unknown_name_is_refused(study, wrong, message):
    with pytest.raises(StudyError, match=message):
        trial("data/voices", **{"features": "original38", **wrong})


def test_fits_of_a_baseline_from_a_notebook_are_not_kept(study):
    """Its function can change under the same name."""
    run_example("Baseline")
    assert (paths.CACHE / "features").exists() and not (paths.CACHE / "fits").exists()
