"""From feature tables to predictions of one system."""

import itertools
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ser_utils import models
from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.core.parallel import Execution
from ser_utils.core.tables import ORIGINAL, PREDICTION_COLUMNS, UNKNOWN
from ser_utils.evaluation import folds, protocols
from ser_utils.evaluation.leakage import LeakError
from ser_utils.experiments import baseline_runs, experiment
from ser_utils.experiments.baseline_runs import run_baseline
from ser_utils.experiments.data import load_data
from ser_utils.experiments.fits import as_input, final_model, fit_system, make_fits, network_of, predict_probabilities
from ser_utils.experiments.selection import inner_fits
from ser_utils.experiments.systems import RunSettings, System, study_limits, systems_by_norm, usable_norms
from ser_utils.models import baselines
from ser_utils.models.baselines import BASELINES

ORIGINAL_MLP, MLP = System("original_mlp", "f"), System("mlp", "f", "speaker")


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """Networks that train for a few epochs, and a temporary cache that is written but not read."""
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("SER_CACHE_READ", "off")
    for name, entry in models.MODELS.items():
        monkeypatch.setitem(models.MODELS, name, replace(entry, max_epochs=12, epochs=12, choices=entry.choices[:2]))


@pytest.fixture
def tables():
    """Features and utterances of 4 speakers x 3 emotions x 4 sentences; the features separate the emotions clearly.

    Each speaker has an offset, so that per-speaker normalisation matters.
    """
    rng = np.random.default_rng(0)
    plan = list(itertools.product("abcd", ("anger", "joy", "fear"), "1234"))
    utterances = pd.DataFrame(plan, columns=["speaker", "emotion", "sentence"])
    utterances.insert(0, "file", ["".join((who, feels, says)) for who, feels, says in plan])
    utterances = utterances.assign(gender="female", audio_sha256=utterances.file + " sum")
    features = pd.concat([utterances[["file"]].assign(variant=name) for name in (ORIGINAL, "noise")]).sort_index(kind="stable")
    features = features.reset_index(drop=True)
    labels = features.file.map(utterances.set_index("file").emotion).map({"anger": 0, "joy": 1, "fear": 2})
    offset = features.file.str[0].map({"a": 0, "b": 1, "c": -1, "d": 2}).to_numpy()[:, None]
    values = rng.normal(size=(len(features), 4)) + 4 * np.eye(3, 4)[labels] + offset
    return features.join(pd.DataFrame(values, columns=["x_1", "x_2", "y_1", "y_2"])), utterances


def load(tables, **changes):
    return load_data(*tables, **{"drop": [], "rename": {}, **changes})


def folds_of(data, protocol, seeds=(0,), n_folds=3):
    made = folds.make_folds(data.rows, protocol=protocol, seeds=list(seeds), n_folds=n_folds)
    return folds.folds_by_seed(made, protocol, list(seeds))


def run(system, data, protocol, **options):
    settings = RunSettings(batch_size=16, **options)
    return experiment.run_protocol(system, data, folds_of(data, protocol), protocol=protocol, settings=settings)


def run_clips(system, data, batch_size):
    """Run the protocol of a corpus without speakers with two seeds."""
    settings = RunSettings("clip", batch_size=batch_size)
    made = folds_of(data, "clip", seeds=(0, 1), n_folds=2)
    return experiment.run_protocol(system, data, made, protocol="clip", settings=settings)


def baseline(name, data, protocol="speaker", made=None, **options):
    made = made or folds_of(data, protocol, seeds=(0, 1))
    return run_baseline(name, data, made, protocol=protocol, features="f", speaker_norm="none", **options)


def test_rows_keep_their_labels_when_emotions_are_dropped_and_merged(tables):
    data = load(tables)
    assert list(data.rows) == ["file", "variant", "speaker", "gender", "sentence", "audio_sha256", "emotion"]
    assert all(e in f for e, f in zip(data.rows.emotion, data.rows.file, strict=True))
    np.testing.assert_allclose(data.x, tables[0][data.names], rtol=1e-6)
    assert data.classes == ["joy", "fear", "anger"] and [data.classes[i] for i in data.y] == list(data.rows.emotion)
    fewer = load(tables, drop=["joy"], rename={"anger": "upset"})
    assert set(fewer.rows.emotion) == {"upset", "fear"}
    np.testing.assert_array_equal(fewer.x, data.x[data.rows.emotion != "joy"])


def test_features_of_other_clips_are_refused(tables):
    with pytest.raises(StudyError, match=r"differ in 1 clips, first aanger1"):
        load((tables[0], tables[1][1:]))


def test_normalisation_by_speaker_uses_that_speakers_own_original_clips(tables):
    data = load(tables, speaker_norm="speaker")
    for _, index in data.rows.groupby("speaker").indices.items():
        own = data.x[index][(data.rows.variant == ORIGINAL).to_numpy()[index]]
        np.testing.assert_allclose(own.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(own.std(axis=0), 1, atol=1e-5)
    changed = tables[0].copy()
    changed.loc[changed.file.str.startswith("a"), data.names] *= 7
    again = load((changed, tables[1]), speaker_norm="speaker")
    np.testing.assert_allclose(again.x, data.x, atol=1e-4, err_msg="another speaker, or a unit, must not matter")
    with pytest.raises(StudyError, match="'gender': expected one of none, speaker"):
        load(tables, speaker_norm="gender")


@pytest.mark.parametrize("system", [ORIGINAL_MLP, MLP], ids=["original", "study"])
def test_clips_of_the_test_speaker_change_only_its_own_predictions(tables, system):
    """Its clips change neither the chosen settings and epochs nor the weights."""
    data = load(tables)
    spoiled = replace(data, x=np.where((data.rows.speaker == "a").to_numpy()[:, None], -30 * data.x, data.x))
    before, after = run(system, data, "speaker"), run(system, spoiled, "speaker")
    (fit, done), (other_fit, other) = before.fitted[0, 1], after.fitted[0, 1]
    assert set(data.rows.speaker.iloc[fit.test]) == {"a"}
    assert (fit.epochs, fit.settings) == (other_fit.epochs, other_fit.settings)
    pd.testing.assert_frame_equal(before.selection.query("fold == 1"), after.selection.query("fold == 1"))
    for one, two in zip(done.weights, other.weights, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-4)  # other folds may stack otherwise, and round otherwise
    assert not np.array_equal(done.probabilities, other.probabilities)


@pytest.mark.parametrize("search", [0, 3])
def test_selection_lists_inner_scores_and_takes_the_best_settings(tables, search):
    result = run(MLP, load(tables, speaker_norm="speaker"), "speaker", search=search)
    assert list(result.selection) == ["fold", "test_speaker", "settings", "epochs", "inner_score", "chosen"]
    n_choices = len(models.with_random_search(models.get_model("mlp"), search).choices)
    assert result.selection.settings.nunique() == n_choices > 1 + bool(search)
    for fold, tried in result.selection.groupby("fold"):
        assert len(tried) == n_choices and tried.chosen.sum() == 1
        best = tried[tried.chosen].iloc[0]
        assert best.inner_score == tried.inner_score.max()
        assert result.fitted[0, fold][0].epochs == best.epochs == result.fitted[0, fold][1].epochs


@pytest.fixture
def sequences(tables):
    """The same clips as sequences: each row of features repeated a random number of times, with some noise."""
    rng, (features, utterances) = np.random.default_rng(1), tables
    values = features.drop(columns=["file", "variant"]).to_numpy(np.float32)
    frames = [np.repeat(row[None], n, axis=0) for row, n in zip(values, rng.integers(8, 20, len(values)), strict=True)]
    frames = [clip + 0.1 * rng.normal(size=clip.shape).astype("f4") for clip in frames]
    return features[["file", "variant"]].assign(frames=pd.Series(frames, dtype=object)), utterances


@pytest.mark.parametrize("norm", ["none", "speaker"])
def test_sequences_are_trained_and_tested_like_rows(sequences, norm):
    data = load(sequences, speaker_norm=norm)
    assert data.x.shape == (96,) and len(data.names) == 4
    if norm == "speaker":
        for who in "abcd":
            own = np.concatenate(list(data.x[(data.rows.speaker == who) & (data.rows.variant == ORIGINAL)]))
            np.testing.assert_allclose(own.mean(axis=0), 0, atol=1e-4)
            np.testing.assert_allclose(own.std(axis=0), 1, atol=1e-4)
    system = System("cnn", "f", norm)
    result = run(system, data, "speaker")
    assert all(fit.rows_per_epoch == 36 for fit, _ in result.fitted.values()), (
        "an epoch shows each training clip in one variant"
    )
    table = experiment.prediction_table(result.fitted, data, system, "speaker")
    assert len(table) == 48 and (table.variant == ORIGINAL).all()
    (fit, done), *_ = result.fitted.values()
    np.testing.assert_allclose(predict_probabilities(system, data, fit, done, data.x[fit.test]), done.probabilities, atol=1e-4)
    network = network_of(system, data, fit, done)
    whole = network.predict(as_input(data.x[fit.test]), verbose=0)
    np.testing.assert_allclose(whole, done.probabilities, atol=1e-4)


def test_inner_folds_leave_out_each_training_speaker_and_exclude_test_rows(tables):
    data = load(tables)
    outer = make_fits(folds_of(data, "speaker"), data, augmented=True)[0, 2]
    inner = inner_fits(outer, data.rows, epochs=3, protocol="speaker")
    assert set(inner) == {"a", "c", "d"}
    for name, fit in inner.items():
        held_out = data.rows.iloc[fit.validation]
        assert set(held_out.speaker) == {name} and set(held_out.variant) == {ORIGINAL}
        assert set(data.rows.speaker.iloc[fit.train]) == {"a", "c", "d"} - {name} and len(fit.test) == 0


def test_a_leak_stops_the_run_before_anything_is_trained(tables, monkeypatch):
    data = load(tables)
    monkeypatch.setattr("ser_utils.experiments.fits.fit_all", lambda *_, **__: pytest.fail("it was trained"))
    for protocol, message in (("speaker", "speaker"), ("speaker_sentence", "speakers are in training")):
        with pytest.raises(LeakError, match=message):
            experiment.run_protocol(ORIGINAL_MLP, data, folds_of(data, "sentence"), protocol=protocol)


@pytest.mark.parametrize("protocol", protocols.PROTOCOLS)
def test_every_protocol_predicts_and_names_each_file_and_its_truth(tables, protocol):
    data = load(tables, speaker_norm="speaker")
    result = run(MLP, data, protocol)
    table = experiment.prediction_table(result.fitted, data, MLP, protocol)
    assert list(table) == [*PREDICTION_COLUMNS, "p_joy", "p_fear", "p_anger"]
    assert all(e in f for e, f in zip(table.emotion, table.file, strict=True))
    assert (table.emotion == table.predicted).mean() > 0.75, "the features separate the emotions clearly"
    if protocol != "as_published":
        assert sorted(table.file) == sorted(data.rows.file.unique()) and set(table.variant) == {ORIGINAL}
        assert set(data.rows.variant.iloc[result.fitted[0, 1][0].train]) == {ORIGINAL}, "this network trains on original clips"


def test_augmented_rows_are_training_rows_if_requested_and_add_no_training_steps(tables):
    data = load(tables)
    for augmented, variants, n_epochs in ((True, {ORIGINAL, "noise"}, 6), (False, {ORIGINAL}, 12)):
        result = run(MLP, data, "speaker", augmented=augmented)
        assert set(data.rows.variant.iloc[result.fitted[0, 1][0].train]) == variants
        assert result.curves.epoch.max() == n_epochs


def test_protocols_run_together_give_the_same_results_as_one_by_one(tables):
    data = load(tables)
    by_protocol = {name: folds_of(data, name) for name in ("clip", "speaker")}
    together = experiment.run_protocols(MLP, data, by_protocol, settings=RunSettings(batch_size=16))
    assert list(together) == ["clip", "speaker"]
    for name, result in together.items():
        alone = run(MLP, data, name)
        np.testing.assert_array_equal(result.fitted[0, 1][1].probabilities, alone.fitted[0, 1][1].probabilities)


def test_as_published_stops_each_fold_by_its_validation_rows(tables):
    data = load(tables)
    result = run(ORIGINAL_MLP, data, "as_published")
    assert all(done.weights == [] for _, done in result.fitted.values()), "the weights are not needed"
    fits = {key: replace(fit, keep_weights=True) for key, (fit, _) in result.fitted.items()}
    fit, done = fit_system(ORIGINAL_MLP, data, fits, batch_size=16, desc="again")[0, 1]
    network = network_of(ORIGINAL_MLP, data, fit, done)
    by_hand = (network.predict(data.x[fit.validation], verbose=0).argmax(axis=1) == data.y[fit.validation]).mean()
    assert experiment.cross_validation(result.fitted).accuracy[0] == pytest.approx(by_hand, abs=1e-6)
    columns = list(experiment.cross_validation(result.fitted))
    assert columns == list(experiment.cross_validation({})) == ["seed", "fold", "epochs", "loss", "accuracy"]


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_on_the_same_folds(tables, name):
    table = baseline(name, load(tables, speaker_norm="speaker"))
    right = (table.emotion == table.predicted).mean()
    if name in ("chance", "majority"):
        assert abs(right - 1 / 3) < 0.12 and (table.predicted.nunique() == 3) == (name == "chance")
    else:
        assert right > 0.9
    assert set(table.seed) == ({0, 1} if name == "chance" else {0})
    if name == "chance":
        one, other = (part.sort_values("file").predicted.to_list() for _, part in table.groupby("seed"))
        assert one != other
    assert (table.filter(like="p_").sum(axis=1) - 1).abs().max() < 1e-2


@pytest.mark.parametrize("name", ["chance", "svm"])
def test_baselines_fitted_before_are_not_fitted_again(tables, monkeypatch, name):
    data = load(tables)
    first = baseline(name, data)
    pd.testing.assert_frame_equal(baseline(name, data, execution=Execution(2)), first, check_exact=True)
    monkeypatch.delenv("SER_CACHE_READ")
    changed = replace(data, x=data.x + (np.arange(len(data.x)) == 0)[:, None])
    with monkeypatch.context() as patch:
        patch.setattr(baseline_runs, "fit_baseline", lambda *_: pytest.fail("it was fitted again"))
        pd.testing.assert_frame_equal(baseline(name, data), first, check_exact=True)
        with pytest.raises(pytest.fail.Exception):
            baseline(name, changed)
    assert len(baseline(name, changed)) == len(first)


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_of_two_classes(tables, name):
    table = baseline(name, load(tables, drop=["joy"]))
    assert set(table.predicted) <= {"fear", "anger"} and table.file.nunique() == 32
    assert (table.filter(like="p_").idxmax(axis=1).str[2:] == table.predicted).all()


def test_unknown_baseline_lists_what_there_is():
    with pytest.raises(
        StudyError, match="'forest' in BASELINES: expected some of chance, majority, logistic_regression, svm, lda"
    ):
        baselines.check_baselines(["svm", "forest"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "cnnn"}, "Unknown model 'cnnn': expected one of original_mlp, mlp, cnn, lstm"),
        ({"features": "mfcc"}, "Unknown feature set 'mfcc': expected one of original38, functionals, log_mel"),
        (
            {"model": "cnn"},
            "'cnn' takes sequences of frames, which the feature set 'functionals' does not provide: .* among log_mel",
        ),
        (
            {"features": "log_mel"},
            "'mlp' takes one row per clip, which the feature set 'log_mel' does not provide: .* among original38, functionals",
        ),
        ({"speaker_norms": []}, "SPEAKER_NORMS is .*: expected one or both of none, speaker"),
        ({"speaker_norms": ["none", "room"]}, "SPEAKER_NORMS is .*: expected one or both of none, speaker"),
        (
            {"model": "original_mlp", "features": "original38"},
            "is the original system, which every run tests: set another MODEL or FEATURES",
        ),
    ],
)
def test_wrong_names_of_a_system_are_refused(wrong, message):
    named = {"model": "mlp", "features": "functionals", "speaker_norms": ["none"]} | wrong
    with pytest.raises(StudyError, match=message):
        systems_by_norm(*named.values())


def test_a_system_for_each_normalisation():
    assert systems_by_norm("mlp", "", ["none"]) == {"none": System("mlp", "functionals", "none")}
    twisted = systems_by_norm("mlp", "original38", ["speaker", "none", "none"])
    assert list(twisted) == ["none", "speaker"], "the order is the same however they are named"


def test_final_model_takes_features_as_extracted(tables):
    data = load(tables)
    final = final_model(ORIGINAL_MLP, data, epochs=30, settings={}, batch_size=16)
    assert (final.predict(data.x, verbose=0).argmax(axis=1) == data.y).mean() > 0.9


# Other corpora: no speakers, two, or very many


def unnamed(tables):
    """The same without speakers."""
    return tables[0], tables[1].assign(speaker=UNKNOWN)


def test_without_speakers_each_seed_and_fold_of_clips_chooses_for_itself(tables):
    data = load(unnamed(tables))
    result = run_clips(System("mlp", "f"), data, batch_size=16)
    assert list(result.selection)[:3] == ["seed", "fold", "test_speaker"]
    assert list(result.inner) == [(0, 1), (0, 2), (1, 1), (1, 2)]
    for place, inner in result.inner.items():
        fit = result.fitted[place][0]
        held = np.concatenate([one.validation for one, _ in inner])
        assert len(inner) == 5 and not set(data.rows.file.iloc[held]) & set(data.rows.file.iloc[fit.test])
        assert sorted(held) == sorted(fit.train), "this network trains on original clips, each held out once"
        chosen = result.selection.query("seed == @place[0] and fold == @place[1] and chosen").epochs.item()
        assert chosen == fit.epochs


def test_test_clips_of_a_seed_do_not_affect_its_settings_through_another_seed(tables):
    """The test rows of a fold are training rows of another seed, whose inner folds must not decide for this one."""
    data = load(unnamed(tables))
    made = folds_of(data, "clip", seeds=(0, 1), n_folds=2)
    test = next(roles["test"] for _, roles in folds.iter_folds(made[0], data.rows))
    x = data.x.copy()
    x[test] *= -30
    first, second = (run_clips(ORIGINAL_MLP, replace(data, x=values), batch_size=48) for values in (data.x, x))
    for column in ("epochs", "inner_score"):
        where = "seed == 0 and fold == 1"
        assert first.selection.query(where)[column].item() == pytest.approx(second.selection.query(where)[column].item())
    elsewhere = [one.selection.query("fold == 2 or seed == 1").inner_score.tolist() for one in (first, second)]
    assert elsewhere[0] != elsewhere[1]


def test_with_two_speakers_one_is_tested_and_clips_of_the_other_choose(tables):
    features, utterances = tables
    utterances = utterances[utterances.speaker.isin(["a", "b"])]
    data = load((features[features.file.isin(utterances.file)], utterances))
    result = run(System("mlp", "f"), data, "speaker")
    for fit, _ in result.fitted.values():
        inner = inner_fits(fit, data.rows, 3, protocol="speaker")
        assert len(inner) == 4 and len({data.rows.speaker.iloc[fit.test[0]], *data.rows.speaker.iloc[fit.train]}) == 2
        for one in inner.values():
            assert not set(data.rows.file.iloc[one.train]) & set(data.rows.file.iloc[one.validation])


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_without_speakers_and_with_a_class_that_a_fold_does_not_train(tables, name):
    features, utterances = tables
    few = utterances[(utterances.emotion != "joy") | (utterances.file == "ajoy1") | (utterances.file == "ajoy2")]
    data = load(unnamed((features[features.file.isin(few.file)], few)))
    lonely = data.rows.file.isin(["ajoy1", "ajoy2"])
    made = folds_of(data, "clip", n_folds=2)[0]
    roles = np.where(data.rows[lonely].variant == ORIGINAL, "test", "left_out")
    tested = data.rows.loc[lonely, ["file", "variant"]].assign(protocol="clip", seed="0", fold=1, role=roles)
    made = pd.concat([made[~made.file.isin(tested.file)], tested])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = baseline(name, data, "clip", {0: made})
    assert (table.filter(like="p_").sum(axis=1) - 1).abs().max() < 1e-2
    if name != "chance":
        assert (table.p_joy[table.fold == 1] == 0).all(), "training has no clip of this class"
    if name not in ("chance", "majority"):
        rest = table[table.emotion != "joy"]
        assert (rest.emotion == rest.predicted).mean() > 0.75


def test_per_speaker_normalisation_needs_known_speakers():
    known, unknown = pd.Series(["a", "b"]), pd.Series([UNKNOWN, UNKNOWN])
    assert usable_norms(["none", "speaker"], known) == ["none", "speaker"]
    assert usable_norms(["none", "speaker"], unknown) == ["none"]
    assert usable_norms(["speaker", "none", "none"], known) == ["none", "speaker"], "each once, in their order"
    with pytest.raises(StudyError, match="SPEAKER_NORMS is .*'room'.*: expected one or both of none, speaker"):
        usable_norms(["none", "room"], known)
    with pytest.raises(StudyError, match="needs two or more known speakers, and this corpus does not have them: add 'none'"):
        usable_norms(["speaker"], unknown)


def test_limits_of_a_corpus_are_described(tables):
    rows, norms = load(tables).rows, ["none", "speaker"]
    main, inner = study_limits(rows, ["clip", "speaker"], wanted=["clip", "speaker"], speaker_norms=norms)
    assert "is `speaker`: each fold tests unseen speakers" in main and "hold out training speakers" in inner
    text = "\n".join(study_limits(rows.assign(speaker=UNKNOWN), ["clip"], wanted=["clip", "speaker"], speaker_norms=norms))
    assert "do not apply to unseen speakers" in text and "hold out training clips" in text
    assert "`speaker_norm=speaker` is left out" in text and text.count("Protocols without folds in `folds.csv`") == 1
    two = rows[rows.speaker.isin(["a", "b"])]
    assert "With two speakers" in "".join(study_limits(two, ["speaker"], wanted=["speaker"], speaker_norms=norms))
