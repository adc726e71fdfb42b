"""From tables to predictions."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ser_utils import experiment, folds
from ser_utils.augment import ORIGINAL
from ser_utils.backend import prepare
from ser_utils.errors import StudyError
from ser_utils.models import get_model

prepare()
QUICK = replace(get_model("original_mlp"), max_epochs=12)


@pytest.fixture
def tables():
    """Features and utterances of 4 speakers x 3 emotions x 4 sentences; the emotion is plain in the features."""
    rng = np.random.default_rng(0)
    plan = list(itertools.product("abcd", ("anger", "joy", "fear"), "1234"))
    utterances = pd.DataFrame(plan, columns=["speaker", "emotion", "sentence"])
    utterances.insert(0, "file", ["".join((who, feels, says)) for who, feels, says in plan])
    features = pd.concat([utterances[["file"]].assign(variant=name) for name in (ORIGINAL, "noise")], ignore_index=True)
    number = features.file.map(utterances.set_index("file").emotion).map({"anger": 0, "joy": 1, "fear": 2})
    values = rng.normal(size=(len(features), 4)) + 4 * np.eye(3, 4)[number]
    return features.join(pd.DataFrame(values, columns=["f1", "f2", "f3", "f4"])), utterances


def test_labelled_rows_keep_each_row_with_its_label(tables):
    features, utterances = tables
    rows, x = experiment.labelled_rows(features, utterances, drop=[], rename={})
    assert list(rows) == ["file", "variant", "speaker", "sentence", "emotion"]
    assert (rows.file == features.file).all() and all(e in f for e, f in zip(rows.emotion, rows.file, strict=True))
    np.testing.assert_allclose(x, features[["f1", "f2", "f3", "f4"]], rtol=1e-6)


def test_dropping_and_merging_take_their_rows_along(tables):
    features, utterances = tables
    rows, x = experiment.labelled_rows(features, utterances, drop=["joy"], rename={"anger": "upset"})
    assert set(rows.emotion) == {"upset", "fear"} and len(rows) == len(x) == 64
    kept = features[~features.file.str.contains("joy")]
    np.testing.assert_allclose(x, kept[["f1", "f2", "f3", "f4"]], rtol=1e-6)


def test_folds_made_before_an_emotion_was_dropped_still_serve(tables):
    features, utterances = tables
    everything, _ = experiment.labelled_rows(features, utterances, drop=[], rename={})
    made = pd.concat([folds.make_folds(everything, protocol=name, seeds=[0], n_folds=3) for name in folds.PROTOCOLS])
    rows, _ = experiment.labelled_rows(features, utterances, drop=["joy"], rename={})
    folds.check_folds(made, rows)
    fits = experiment.fits_of(folds.of_seeds(made, "speaker", [0]), rows)
    assert [len(fit.test) for fit in fits.values()] == [8] * 4 and [len(fit.train) for fit in fits.values()] == [48] * 4
    assert sorted(np.concatenate([rows.file.iloc[fit.test] for fit in fits.values()])) == sorted(rows.file.unique())


def test_features_of_other_clips_are_refused(tables):
    features, utterances = tables
    with pytest.raises(StudyError, match=r"differ in 1 clips, first aanger1"):
        experiment.labelled_rows(features, utterances[1:], drop=[], rename={})


def speaker_run(rows, x):
    made = folds.make_folds(rows, protocol="speaker", seeds=[0], n_folds=3)
    return experiment.run_speaker(QUICK, rows, x, folds.of_seeds(made, "speaker", [0]), batch_size=16)


def test_test_speaker_changes_nothing_in_its_own_fold_but_its_answers(tables):
    """The clips of the speaker left out, whatever they are, change neither the epochs chosen nor the weights."""
    rows, x = experiment.labelled_rows(*tables, drop=[], rename={})
    spoiled = x.copy()
    spoiled[rows.speaker == "a"] *= -30
    before, after = speaker_run(rows, x)[0][0, 1], speaker_run(rows, spoiled)[0][0, 1]
    assert set(rows.speaker.iloc[before[0].test]) == {"a"}
    assert before[0].epochs == after[0].epochs
    for one, other in zip(before[1].weights, after[1].weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(before[1].probabilities, after[1].probabilities)


def test_inner_fits_leave_out_each_training_speaker_and_never_meet_the_test(tables):
    rows, x = experiment.labelled_rows(*tables, drop=[], rename={})
    made = folds.of_seeds(folds.make_folds(rows, protocol="speaker", seeds=[0], n_folds=3), "speaker", [0])
    outer = experiment.fits_of(made, rows)[0, 2]
    inner = experiment.inner_fits(outer, rows, epochs=3)
    assert set(inner) == {"a", "c", "d"}
    for name, fit in inner.items():
        assert set(rows.speaker.iloc[fit.validation]) == {name} and set(rows.variant.iloc[fit.validation]) == {ORIGINAL}
        assert set(rows.speaker.iloc[fit.train]) == {"a", "c", "d"} - {name} and len(fit.test) == 0


def test_predictions_name_each_file_and_its_truth(tables):
    rows, x = experiment.labelled_rows(*tables, drop=[], rename={})
    fitted, inner = speaker_run(rows, x)
    table = experiment.prediction_table(
        fitted, rows, protocol="speaker", model="original_mlp", features="f", speaker_norm="none"
    )
    assert list(table) == [*experiment.PREDICTION_COLUMNS, "p_joy", "p_fear", "p_anger"]
    assert sorted(table.file) == sorted(rows.file.unique()) and set(table.variant) == {ORIGINAL}
    assert all(e in f for e, f in zip(table.emotion, table.file, strict=True))
    chances = table[["p_joy", "p_fear", "p_anger"]]
    assert (chances.idxmax(axis=1).str[2:] == table.predicted).all()
    assert (table.emotion == table.predicted).mean() > 0.8, "what is plain in the features must be found"
    assert list(inner) == ["fold", "seed", "held_out", "epoch", "loss", "accuracy", "val_loss", "val_accuracy"]


def test_as_published_stops_each_fold_by_its_validation_rows(tables):
    rows, x = experiment.labelled_rows(*tables, drop=[], rename={})
    made = folds.make_folds(rows, protocol="as_published", seeds=[0, 1], n_folds=3)
    fitted = experiment.run_as_published(QUICK, rows, x, folds.of_seeds(made, "as_published", [0, 1]), batch_size=16)
    assert set(fitted) == {(seed, fold) for seed in (0, 1) for fold in (1, 2, 3)}
    validated = experiment.cross_validation(fitted)
    fit, done = fitted[0, 1]
    network = QUICK.build(x.shape[1], 3)
    network.set_weights(done.weights)
    y = experiment.class_numbers(rows)[0][fit.validation]
    by_hand = (network.predict(done.scaler.transform(x[fit.validation]), verbose=0).argmax(axis=1) == y).mean()
    assert validated.accuracy[0] == pytest.approx(by_hand, abs=1e-6)


def test_final_model_takes_features_as_extracted(tables):
    rows, x = experiment.labelled_rows(*tables, drop=[], rename={})
    final = experiment.final_model("original_mlp", rows, x, epochs=30, batch_size=16, seed=0)
    classes, y = ["joy", "fear", "anger"], experiment.class_numbers(rows)[0]
    assert (final.predict(x, verbose=0).argmax(axis=1) == y).mean() > 0.9
    assert rows.emotion[0] == classes[y[0]]
