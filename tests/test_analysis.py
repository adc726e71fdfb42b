"""Calibration, importance and enrolment of trained networks."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_experiment import MLP, ORIGINAL_MLP, load, quick, run, tables  # noqa: F401  (fixtures)

from ser_utils.core.tables import UNKNOWN
from ser_utils.evaluation import folds, protocols
from ser_utils.evaluation.calibration import apply_temperature, calibrated_probabilities, fit_temperature, fold_temperatures
from ser_utils.evaluation.leakage import LeakError
from ser_utils.evaluation.predictions import probability_columns
from ser_utils.experiments import analysis, experiment
from ser_utils.experiments.systems import RunSettings


@pytest.fixture(autouse=True)
def sizes(monkeypatch):
    monkeypatch.setattr(analysis, "ENROLMENT_SIZES", (1, 5, 11))


def test_importance_of_families_and_enrolment_up_to_the_result(tables):  # noqa: F811
    features, utterances = tables
    features = features.assign(z_1=np.random.default_rng(1).normal(size=len(features)))  # without information
    raw, data = load((features, utterances)), load((features, utterances), speaker_norm="speaker")
    result = run(MLP, data, "speaker")
    drops = analysis.importance(MLP, data, result).groupby("family")["drop"].mean()
    assert drops["x"] > 0.15 and abs(drops["z"]) < 0.1 and list(drops.index) == ["x", "y", "z"]
    curve = analysis.enrolment(MLP, raw, data, result)
    assert list(curve.n_clips.unique()) == [1, 5, 11, 12]
    table = experiment.prediction_table(result.fitted, data, MLP, "speaker")
    by_hand = (table.emotion == table.predicted).groupby(table.speaker).mean()
    last = curve[curve.n_clips == 12].set_index("speaker").uar
    pd.testing.assert_series_equal(last, by_hand, check_names=False, check_dtype=False)
    assert curve[curve.n_clips == 1].uar.mean() < last.mean()


def test_temperatures_are_fitted_on_training_speakers_alone(tables):  # noqa: F811
    data = load(tables)
    changed = replace(data, x=np.where((data.rows.speaker == "a").to_numpy()[:, None], -30 * data.x, data.x))
    before, after = (analysis.temperatures(one, run(ORIGINAL_MLP, one, "speaker")) for one in (data, changed))
    assert before.temperature[0] == after.temperature[0] and before.temperature[1] != after.temperature[1]
    assert (before.temperature > 0).all() and list(before.fold) == [1, 2, 3, 4]


def test_temperatures_are_those_of_the_inner_folds_at_the_chosen_epoch(tables):  # noqa: F811
    data = load(tables)
    result = run(ORIGINAL_MLP, data, "speaker")
    epoch = result.fitted[0, 2][0].epochs
    probabilities = np.concatenate([inner.validation[epoch - 1] for _, inner in result.inner[2]])
    truth = np.concatenate([data.y[fit.validation] for fit, _ in result.inner[2]])
    assert len(truth) == 36, "three training speakers, each held out in turn"
    assert analysis.temperatures(data, result).temperature[1] == fit_temperature(probabilities, truth)
    fit, inner = result.inner[1][0]
    result.inner[1][0] = (replace(fit, validation=result.fitted[0, 1][0].test), inner)
    with pytest.raises(LeakError, match="in calibration and in test"):
        analysis.temperatures(data, result)


def test_temperatures_of_clips_are_by_seed_and_fold(tables):  # noqa: F811
    data = load((tables[0], tables[1].assign(speaker=UNKNOWN)))
    made = folds.folds_by_seed(folds.make_folds(data.rows, protocol="clip", seeds=[0, 1], n_folds=2), "clip", [0, 1])
    result = experiment.run_protocol(ORIGINAL_MLP, data, made, protocol="clip", settings=RunSettings("clip", batch_size=16))
    table = analysis.temperatures(data, result, protocol="clip")
    assert list(table) == ["seed", "fold", "temperature"] and len(table) == 4
    predicted = experiment.prediction_table(result.fitted, data, ORIGINAL_MLP, "clip")
    temperatures = fold_temperatures(table.assign(speaker_norm="none"), "none")
    chosen = ((predicted.seed == 1) & (predicted.fold == 2)).to_numpy()
    p = predicted[probability_columns(predicted)].to_numpy()[chosen]
    scaled = calibrated_probabilities(predicted, temperatures)[chosen]
    np.testing.assert_array_equal(scaled, apply_temperature(p, temperatures[1, 2]))
    drops = analysis.importance(ORIGINAL_MLP, data, result)
    assert list(drops.speaker.unique()) == [UNKNOWN] and drops["drop"].notna().all()


def test_folds_of_several_speakers_with_unequal_numbers_of_clips_are_analysed_by_speaker(tables, monkeypatch):  # noqa: F811
    monkeypatch.setattr(protocols.assign_groups, "__kwdefaults__", {"max_single": 3, "n_groups": 2})
    fewer = [table[table.file != "aanger1"].reset_index(drop=True) for table in tables]
    raw, data = load(fewer), load(fewer, speaker_norm="speaker")
    result = run(MLP, data, "speaker")
    assert len(result.fitted) == 2 and set(result.selection.test_speaker.str.len()) == {3}
    assert sorted(analysis.importance(MLP, data, result).speaker.unique()) == list("abcd")
    curve = analysis.enrolment(MLP, raw, data, result)
    assert curve.groupby("n_clips").speaker.nunique().to_dict() == {1: 4, 5: 4, 12: 4}, "every point is of all speakers"
