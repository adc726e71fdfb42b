"""Corpora of which little is known, through the notebooks: no speaker, no sentence, classes of unequal sizes."""

import nbformat
import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from ser_utils import corpora, paths, study

PARAMETERS = {
    "CORPUS": "demo",
    "N_SEEDS": 2,
    "N_FOLDS": 2,
    "AUGMENTATIONS": [],
    "FEATURES": "original38",
    "N_RESAMPLES": 50,
    "N_PERMUTATIONS": 20,
    "BASELINES": ["chance", "svm", "lda"],
    "N_JOBS": 1,
}
PROMISES = ("voice never heard", "voices never heard", "voice it has never heard", "speaker-independent")


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    """Two emotions, eight and five clips: high and low tones with some noise; nothing tells who speaks and what is said."""
    data, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    (data / "demo").mkdir()
    rows = []
    for emotion, f0, n in (("joy", 400, 8), ("sadness", 150, 5)):
        for i in range(n):
            t = np.arange(8000) / 16_000
            y = 0.3 * np.sin(2 * np.pi * f0 * (1 + 0.02 * i) * t) + 0.02 * rng.normal(size=t.size)
            sf.write(data / "demo" / f"{emotion}{i}.wav", y, 16_000)
            rows.append({"file": f"{emotion}{i}.wav", "emotion": emotion, "audio_sha256": f"{emotion}{i}", "level_dbfs": -13.5})
    unknown = dict.fromkeys(("speaker", "gender", "sentence"), corpora.UNKNOWN)
    table = pd.DataFrame(rows).assign(
        corpus="demo", **unknown, duration_s=0.5, sample_rate=16_000, channels=1, sha256="x", peak=0.4
    )
    return data, table[corpora.COLUMNS]


def text_of(book):
    """What an executed notebook says below its cells."""
    outputs = [out for cell in book.cells if cell.cell_type == "code" for out in cell.outputs]
    return " ".join(str(out.get("text") or out.get("data", {}).get("text/markdown", "")) for out in outputs)


def test_a_corpus_without_speakers_gives_all_reports_and_promises_nothing_of_new_voices(tones, tmp_path, monkeypatch):
    data, utterances = tones
    for name, folder in (
        ("DATA", data),
        ("OUT", tmp_path / "out"),
        ("REPORTS", tmp_path / "rep"),
        ("CACHE", tmp_path / "cache"),
    ):
        monkeypatch.setattr(paths, name, folder)
        monkeypatch.setenv(f"SER_{name}", str(folder))
    out = paths.out_dir("demo")
    utterances.to_csv(out / "utterances.csv", index=False)
    known = study.known_parameters()
    said = ""
    for book in study.notebooks()[1:4]:
        given = {name: value for name, value in PARAMETERS.items() if book.stem in known[name]["notebooks"]}
        executed = out / "executed" / book.name
        assert study.execute(book, executed, given, progress="off") is None, book.stem
        said += text_of(nbformat.read(executed, as_version=4))
    folds = pd.read_csv(out / "folds.csv")
    assert list(folds.protocol.unique()) == ["as_published", "clip"]
    metrics = pd.read_csv(out / "metrics.csv")
    assert set(metrics.protocol) == {"as_published", "clip"} and set(metrics.speaker_norm) == {"none"}
    assert metrics.ci_low.notna().all()
    assert "nothing tells the speaker of any clip" in said and "`speaker_norm=speaker` is left out" in said
    assert "In a clip it has never heard" in said and "interval over clips" in said
    index = study.write_index("demo", "demo", {}, {}).read_text()
    assert "In a clip it has never heard" in index and "interval over clips" in index
    for promise in PROMISES:
        assert promise not in index and promise not in said.replace("tests voices never heard. *Folds made: no", "")


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
    assert study.execute(paths.NOTEBOOKS / "04_evaluate.ipynb", out / "executed" / "04.ipynb", given, progress="off") is None
    compared = set(pd.read_csv(out / "comparisons.csv").comparison)
    assert {"cnn against the original network (none)", "cnn against svm (none)", "cnn against svm (speaker)"} <= compared
