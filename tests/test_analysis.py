"""Calibration, importance and enrolment of trained networks."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_experiment import MLP, ORIGINAL_MLP, load, quick, run, tables  # noqa: F401  (fixtures)

from ser_utils.core.tables import UNKNOWN
from ser_utils.evaluation import folds, protocols
from ser_utils.evaluation.calibration import (
    apply_temperature,
    calibrated_probabilities,
    fit_temperature,
    fold_temperatures,
)
from ser_utils.evaluation.leakage import LeakError
from ser_utils.evaluation.predictions import probability_columns
from ser_utils.experiments import analysis, experiment
from ser_utils.experiments.systems import RunSettings


def test_importance_is_high_for_the_informative_family(tables):  # noqa: F811
    features, utterances = tables
    features = features.assign(z_1=np.random.default_rng(1).normal(size=len(features)))
    data = load((features, utterances), speaker_norm="speaker")
    drops = analysis.importance(MLP, data, run(MLP, data, "speaker")).groupby("family")["drop"].mean()
    assert drops["x"] > 0.15 and abs(drops["z"]) < 0.1
    assert list(drops.index) == ["x", "y", "z"]


def test_enrolment_with_all_clips_equals_the_result(tables, monkeypatch):  # noqa: F811
    monkeypatch.setattr(analysis, "ENROLMENT_SIZES", (1, 5))
    raw, data = load(tables), load(tables, speaker_norm="speaker")
    result = run(MLP, data, "speaker")
    curve = analysis.enrolment(MLP, raw, data, result)
    assert list(curve.n_clips.unique()) == [1, 5, 12]
    table = experiment.prediction_table(result.fitted, data, MLP, "speaker")
    by_hand = table.groupby("speaker")[["emotion", "predicted"]].apply(lambda part: (part.emotion == part.predicted).mean())
    last = curve[curve.n_clips == 12].set_index("speaker").uar
    pd.testing.assert_series_equal(last, by_hand, check_names=False, check_dtype=False)
    assert curve[curve.n_clips == 1].uar.mean() < last.mean()


def test_enrolment_of_speakers_with_unequal_numbers_of_clips(tables, monkeypatch):  # noqa: F811
    monkeypatch.setattr(analysis, "ENROLMENT_SIZES", (1, 11))
    features, utterances = tables
    fewer = [table[table.file != "aanger1"].reset_index(drop=True) for table in (features, utterances)]
    raw, data = load(fewer), load(fewer, speaker_norm="speaker")
    curve = analysis.enrolment(MLP, raw, data, run(MLP, data, "speaker"))
    assert curve.groupby("n_clips").speaker.nunique().to_dict() == {1: 4, 12: 4}, "every point is of all speakers"


def test_temperatures_are_fitted_on_training_speakers_alone(tables):  # noqa: F811
    data = load(tables)
    spoiled = replace(data, x=np.where((data.rows.speaker == "a").to_numpy()[:, None], -30 * data.x, data.x))
    before, after = (analysis.temperatures(one, run(ORIGINAL_MLP, one, "speaker")) for one in (data, spoiled))
    assert before.temperature[0] == after.temperature[0] and before.temperature[1] != after.temperature[1]
    assert (before.temperature > 0).all() and list(before.fold) == [1, 2, 3, 4]


def test_temperatures_are_those_of_the_inner_folds_at_the_chosen_epoch(tables):  # noqa: F811
    data = load(tables)
    result = run(ORIGINAL_MLP, data, "speaker")
    epoch = result.fitted[0, 2][0].epochs
    chances = np.concatenate([done.validation[epoch - 1] for _, done in result.inner[2]])
    truth = np.concatenate([data.y[fit.validation] for fit, _ in result.inner[2]])
    assert len(truth) == 36, "three training speakers, each held out in turn"
    assert analysis.temperatures(data, result).temperature[1] == fit_temperature(chances, truth)


def test_calibration_on_the_test_speaker_is_a_leak(tables):  # noqa: F811
    data = load(tables)
    result = run(ORIGINAL_MLP, data, "speaker")
    fit, done = result.inner[1][0]
    result.inner[1][0] = (replace(fit, validation=result.fitted[0, 1][0].test), done)
    with pytest.raises(LeakError, match="in calibration and in test"):
        analysis.temperatures(data, result)


def test_temperatures_of_clips_are_by_seed_and_fold(tables):  # noqa: F811
    data = load((tables[0], tables[1].assign(speaker=UNKNOWN)))
    made = folds.folds_by_seed(folds.make_folds(data.rows, protocol="clip", seeds=[0, 1], n_folds=2), "clip", [0, 1])
    result = experiment.run_protocol(ORIGINAL_MLP, data, made, protocol="clip", settings=RunSettings("clip", batch_size=16))
    found = analysis.temperatures(data, result, protocol="clip")
    assert list(found) == ["seed", "fold", "temperature"] and len(found) == 4
    predicted = experiment.prediction_table(result.fitted, data, ORIGINAL_MLP, "clip")
    warmth = fold_temperatures(found.assign(speaker_norm="none"), "none")
    scaled = calibrated_probabilities(predicted, warmth)
    where = ((predicted.seed == 1) & (predicted.fold == 2)).to_numpy()
    p = predicted[probability_columns(predicted)].to_numpy()
    np.testing.assert_array_equal(scaled[where], apply_temperature(p[where], warmth[1, 2]))
    drops = analysis.importance(ORIGINAL_MLP, data, result)
    assert list(drops.speaker.unique()) == [UNKNOWN] and drops["drop"].notna().all()


def test_folds_of_several_speakers_are_analysed_by_speaker(tables, monkeypatch):  # noqa: F811
    monkeypatch.setattr(analysis, "ENROLMENT_SIZES", (1,))
    monkeypatch.setattr(protocols, "MAX_SINGLE", 3)
    monkeypatch.setattr(protocols.assign_groups, "__kwdefaults__", {"max_single": 3, "n_groups": 2})
    raw, data = load(tables), load(tables, speaker_norm="speaker")
    result = run(MLP, data, "speaker")
    assert len(result.fitted) == 2 and set(result.selection.test_speaker.str.len()) == {3}
    assert sorted(analysis.importance(MLP, data, result).speaker.unique()) == list("abcd")
    curve = analysis.enrolment(MLP, raw, data, result)
    assert curve.groupby("n_clips").speaker.nunique().to_dict() == {1: 4, 12: 4}
