"""Corpora as people bring them: each known scheme to a result, and a network of sequences to its evaluation."""

import pandas as pd
import pytest
import recordings

from ser_utils.core import paths
from ser_utils.experiments.trials import trial
from ser_utils.study import notebooks


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Folders of the test's own, for kernels too."""
    for name in ("DATA", "OUT", "REPORTS", "CACHE"):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
        monkeypatch.setenv(f"SER_{name}", str(tmp_path / name.lower()))
    return tmp_path


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
