"""The examples of docs/extending.md, run as they stand there, on tiny corpora made here."""

import contextlib
import re
from unittest import mock

import pytest
from recordings import tone

from ser_utils import corpora, features, models
from ser_utils.core import paths
from ser_utils.core.code_version import imported
from ser_utils.core.errors import StudyError
from ser_utils.experiments.trials import trial
from ser_utils.features import augmentation

PAGE = (paths.ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"## (Add [^\n]+)\n.*?```python\n(.*?)```", PAGE, re.DOTALL))
REGISTRIES = {
    "Add a corpus": (corpora.CORPORA, "robin"),
    "Add a feature set": (features.FEATURE_SETS, "loudness"),
    "Add an augmentation": (augmentation.AUGMENTATIONS, "telephone"),
    "Add a model": (models.MODELS, "gru"),
}


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A folder with two tiny corpora in ``data/``, and registries that forget what a test adds."""
    for who, text in ((who, text) for who in ("r1", "r2", "r3") for text in ("s1", "s2", "s3")):
        for code, emotion in (("glad", "joy"), ("cross", "anger")):
            tone(tmp_path / "data" / "Robin" / f"{who}-{text}-{code}.wav", duration_s=0.3)
            tone(tmp_path / "data" / "voices" / who / emotion / f"{text}.wav", duration_s=0.3)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(paths, "DATA", tmp_path / "data")
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    with contextlib.ExitStack() as forget:
        for registry, _ in REGISTRIES.values():
            forget.enter_context(mock.patch.dict(registry))
        yield


def test_each_registry_has_its_example():
    assert set(EXAMPLES) == set(REGISTRIES)


@pytest.mark.parametrize("title", REGISTRIES)
def test_example_is_short_and_names_the_file_where_it_belongs(title):
    assert 5 < len(EXAMPLES[title].splitlines()) <= 20
    text = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    (file,) = re.findall(r"\[`(ser_utils/\w+\.py)`\]\(\.\./\1\)", text)
    source = (paths.ROOT / file).read_text(encoding="utf-8")
    registry = re.search(r"(?:entry of|entered in) `([A-Z_]+)`", text)[1]
    assert re.search(rf"^{registry}\b.*= ", source, re.MULTILINE), f"{registry} is in {file}"
    assert all(len(line) <= 128 for line in EXAMPLES[title].splitlines())
    assert imported(EXAMPLES[title]), "it uses the study"


@pytest.mark.parametrize("title", REGISTRIES)
def test_example_runs_as_written(title, study, capsys):
    registry, name = REGISTRIES[title]
    assert name not in registry
    exec(compile(EXAMPLES[title], "docs/extending.md", "exec"), {"__name__": "__main__"})
    assert name in registry
    said = capsys.readouterr().out
    assert re.search(r"speaker\b.*\buar\b", said), "leave one speaker out, as its three speakers allow"
    assert re.search(r"\b18\b", said), "each clip is tested once"


def test_trial_without_speakers_is_of_clips(study, tmp_path):
    for number in range(6):
        for emotion in ("joy", "anger"):
            tone(tmp_path / "data" / "flat" / emotion / f"{number}.wav", duration_s=0.3)
    found = trial("data/flat", model="original_mlp")
    assert set(found.protocol) == {"clip"} and set(found.n_clips) == {12} and set(found.features) == {"original38"}
    with pytest.raises(StudyError, match="this corpus has no two speakers that are known"):
        trial("data/flat", speaker_norm="speaker")
