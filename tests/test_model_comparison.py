"""Several networks on the same folds."""

from dataclasses import replace

import pytest
from test_experiment import tables, unnamed  # noqa: F401
from test_extra_corpora import corpus

from ser_utils import models
from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.core.tables import ORIGINAL
from ser_utils.evaluation import folds
from ser_utils.experiments import model_comparison

TWO = ["original_mlp", "mlp"]


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """Networks that train for a few epochs, and a temporary cache."""
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    for name in TWO:
        entry = replace(models.MODELS[name], max_epochs=3, epochs=3, selection_seeds=1, batch_size=16)
        monkeypatch.setitem(models.MODELS, name, entry)


def compared(tables, names=TWO, protocol="speaker", norms=("none",), **how):  # noqa: F811
    features, utterances = tables
    rows = features.merge(utterances, on="file")
    made = folds.make_folds(rows, protocol=protocol, seeds=[0], n_folds=2)
    both = {"original38": features, "functionals": features}
    how = {"protocol": protocol, "speaker_norms": list(norms), "drop": [], "rename": {}, **how}
    return model_comparison.compare_models(names, both, utterances, folds.folds_by_seed(made, protocol, [0]), **how)


def test_each_network_on_its_own_features_and_the_same_clips(tables):  # noqa: F811
    found = compared(tables)
    summary = found.predictions.groupby("model").agg(
        features=("features", "first"), clips=("file", "nunique"), rows=("file", "size")
    )
    assert summary.features.to_dict() == {"mlp": "functionals", "original_mlp": "original38"}
    assert set(summary.clips) == set(summary.rows) == {48}
    costs = found.costs.set_index("model")
    assert costs.parameters["original_mlp"] == models.original_mlp(4, 3).count_params()
    assert costs.fits.to_dict() == dict.fromkeys(TWO, 4), "a fold a speaker"
    assert costs.inner_fits.to_dict() == {"original_mlp": 4 * 3, "mlp": 4 * 3 * 2}, "of both settings of the one that has two"
    assert (found.selection.groupby(["model", "fold"]).chosen.sum() == 1).all()
    (pair,) = model_comparison.pairwise_comparisons(found.predictions).to_dict("records")
    assert pair["comparison"] == "original_mlp against mlp (none)" and pair["n_speakers"] == 4


def test_without_speakers_settings_are_chosen_all_the_same_and_clips_are_compared(tables):  # noqa: F811
    found = compared(unnamed(tables), protocol="clip")
    assert (found.selection.groupby(["model", "fold"]).chosen.sum() == 1).all()
    assert (found.costs.inner_fits > 0).all()
    (pair,) = model_comparison.pairwise_comparisons(found.predictions).to_dict("records")
    assert pair["n_clips"] == 48


def test_each_network_once_more_with_extra_corpora(tables):  # noqa: F811
    extra = corpus("ab", ("joy", "fear"), name="other", variants=(ORIGINAL,))
    extra = replace(extra, x=extra.x[:, :4], names=extra.names[:4])
    found = compared(tables, ["mlp"], extra={"functionals": {"other": extra}})
    assert list(found.costs.model) == ["mlp", "mlp+other"]
    files = found.predictions.groupby("model").file.agg(set)
    assert files["mlp"] == files["mlp+other"] == set(tables[1].file), "the extra corpus is never tested"


@pytest.mark.parametrize(
    ("names", "search", "message"),
    [
        (["mlp", "cnnn"], 0, "Unknown model 'cnnn': expected one of original_mlp, mlp, cnn, lstm"),
        (["mlp", "mlp"], 0, "MODELS contains 'mlp' twice"),
        (
            ["mlp", "original_mlp"],
            3,
            "SEARCH is 3, but 'original_mlp' in MODELS has no settings to search: set SEARCH to 0, or remove 'original_mlp'",
        ),
    ],
)
def test_models_that_cannot_be_compared_are_refused_before_training(names, search, message, monkeypatch):
    monkeypatch.setattr(model_comparison, "run_protocol", None)
    with pytest.raises(StudyError, match=message):
        model_comparison.compare_models(
            names, {}, None, {}, protocol="speaker", speaker_norms=["none"], drop=[], rename={}, search=search
        )
