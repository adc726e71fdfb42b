"""Corpora as people bring them, through the study: a folder of which little is known, and each known scheme."""

import re

import nbformat
import pandas as pd
import pytest
import recordings

from ser_utils.core import paths
from ser_utils.experiments.trials import trial
from ser_utils.study import notebooks

PROMISES = ("unseen speaker", "new speaker", "never heard", "speaker-independent")
DENIALS = (
    r"tests unseen speakers[^.]*\. \*Folds made: no",
    r"[^.]*\b(?:do|does) not apply to unseen speakers",
    r"[^.]*\bsay nothing about unseen speakers",
)
"""Sentences that name unseen speakers to say that there is no result for them."""
PAGES = ("index", *(book.stem for book in notebooks.list_notebooks()))


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Folders of the test's own, for kernels too."""
    for name in ("DATA", "OUT", "REPORTS", "CACHE"):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
        monkeypatch.setenv(f"SER_{name}", str(tmp_path / name.lower()))
    return tmp_path


def text_of(book):
    """What an executed notebook says below its cells."""
    outputs = [out for cell in book.cells if cell.cell_type == "code" for out in cell.outputs]
    return " ".join(str(out.get("text") or out.get("data", {}).get("text/markdown", "")) for out in outputs)


def test_a_folder_without_speakers_gives_all_reports_and_promises_nothing_of_new_voices(finished_run):
    out, pages = finished_run.folder / "out" / "my_voices", finished_run.folder / "reports" / "my_voices"
    assert sorted(page.stem for page in pages.glob("*.html")) == sorted(PAGES)
    assert list(pd.read_csv(out / "folds.csv").protocol.unique()) == ["as_published", "clip"]
    metrics = pd.read_csv(out / "metrics.csv")
    assert set(metrics.protocol) == {"as_published", "clip"} and set(metrics.speaker_norm) == {"none"}
    assert metrics.ci_low.notna().all()
    assert set(pd.read_csv(out / "utterances.csv").emotion) == {"joy", "sadness"}
    said = " ".join(text_of(nbformat.read(book, as_version=4)) for book in sorted((out / "executed").glob("*.ipynb")))
    assert "the speaker of every clip is unknown" in said and "`speaker_norm=speaker` is left out" in said
    assert "For unseen clips of speakers who may be in training" in said and "interval over clips" in said
    index = re.sub(r"data:image/[^\"]+", "", (pages / "index.html").read_text(encoding="utf-8"))  # no pictures: slow
    assert "For unseen clips of speakers who may be in training" in index and "interval over clips" in index
    for denial in DENIALS:
        assert re.search(denial, said), denial
        said, index = (re.sub(denial, "", text) for text in (said, index))
    for promise in PROMISES:
        assert promise not in index and promise not in said


def test_a_network_of_sequences_under_one_protocol_is_evaluated_beside_classical_models(tmp_path, monkeypatch):
    """It has no families of features to shuffle, and the classical models listen to others."""
    for name in ("OUT", "REPORTS"):
        monkeypatch.setattr(paths, name, tmp_path / name)
        monkeypatch.setenv(f"SER_{name}", str(tmp_path / name))
    kept, out = paths.ROOT / "out" / "emovo", paths.out_dir("emovo")
    for name in ("utterances.csv", "temperatures.csv", "enrolment.csv"):
        (out / name).write_bytes((kept / name).read_bytes())
    for name in ("predictions.csv", "predictions_compared.csv"):
        table = pd.read_csv(kept / name).query("protocol == 'speaker' and seed == 0")
        table.replace({"model": {"mlp": "cnn"}}).assign(features=table.features.mask(table.model == "mlp", "log_mel")).to_csv(
            out / name, index=False
        )
    (out / "importance.csv").write_text("family,speaker,drop,speaker_norm\n")
    given = {"CORPUS": "emovo", "N_RESAMPLES": 20, "N_PERMUTATIONS": 20, "N_JOBS": 1}
    assert notebooks.execute_notebook(paths.NOTEBOOKS / "04_evaluate.ipynb", out / "executed" / "04.ipynb", given) is None
    compared = set(pd.read_csv(out / "comparisons.csv").comparison)
    assert {"cnn against the original network (none)", "cnn against svm (none)", "cnn against svm (speaker)"} <= compared


CODES = {
    "ravdess": {f"{stem}.wav": stem[6:8] for stem in recordings.RAVDESS},
    "savee": {f"{stem}.wav": stem[3:-2] for stem in recordings.SAVEE},
    "emozionalmente": {f"audio/{stem}.wav": emotion for stem, _, _, emotion in recordings.EMOZIONALMENTE},
}
"""Emotion of each file, taken from its name without the registry."""


@pytest.mark.parametrize("name", CODES)
def test_a_known_scheme_goes_through_to_a_result(name, elsewhere):
    """Tones whose pitch is the emotion are recognised of unseen speakers, where labels and features belong to the same file."""
    root, codes = paths.DATA / name.upper(), list(dict.fromkeys(CODES[name].values()))
    if name == "emozionalmente":
        recordings.put_emozionalmente(root)
    for file, code in CODES[name].items():
        recordings.tone(root / file, f0=150 * 1.25 ** codes.index(code))
    uar = trial(name, model="original_mlp", features="functionals").query("metric == 'uar'")
    assert uar.protocol.tolist() == ["speaker"]
    n_left_out = list(CODES[name].values()).count("02") if name == "ravdess" else 0  # calm
    assert uar.n_clips.tolist() == [len(CODES[name]) - n_left_out]
    assert uar.value.item() > 0.9
