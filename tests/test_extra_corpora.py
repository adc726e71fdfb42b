"""Extra training corpora: standardised by their own statistics, never tested."""

import itertools
from dataclasses import replace

import nbformat
import numpy as np
import pandas as pd
import pytest

from ser_utils import corpora, models
from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.core.tables import EXTRA_CORPUS, ORIGINAL
from ser_utils.corpora import download
from ser_utils.evaluation import folds, leakage, protocols
from ser_utils.evaluation.leakage import LeakError
from ser_utils.experiments import baseline_runs, experiment, extra_corpora
from ser_utils.experiments.data import Data, normalise
from ser_utils.experiments.fits import final_model, fit_system, make_fits
from ser_utils.experiments.selection import inner_fits, inner_groups_of_corpus
from ser_utils.experiments.systems import System
from ser_utils.features.registry import FEATURE_SETS, feature_file_name, write_features
from ser_utils.models import baselines
from ser_utils.models.corpus_scaler import CorpusScaler
from ser_utils.models.fits import standardise
from ser_utils.study import inputs, notebooks, runner, stages

MLP = System("mlp", "f")


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """Networks that train for a few epochs, and a temporary cache."""
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    entry = models.MODELS["mlp"]
    monkeypatch.setitem(models.MODELS, "mlp", replace(entry, max_epochs=10, epochs=10, choices=entry.choices[:2]))


def corpus(speakers="abcd", emotions=("joy", "fear", "anger"), *, gain=1.0, seed=0, name="", variants=(ORIGINAL, "noise")):
    """A table of speakers x emotions x two sentences x variants, with clear emotions; `gain` is the recording level."""
    plan = list(itertools.product(speakers, emotions, "12", variants))
    rows = pd.DataFrame(plan, columns=["speaker", "emotion", "sentence", "variant"])
    rows.insert(0, "file", rows.speaker + rows.emotion + rows.sentence)
    rows = rows.assign(gender="female", audio_sha256=name + " sum of " + rows.file)
    order = ["joy", "fear", "anger", "boredom", "calm"]
    x = np.random.default_rng(seed).normal(size=(len(rows), 5)) + 4 * np.eye(5)[rows.emotion.map(order.index)]
    return Data(rows, (gain * x + gain).astype(np.float32), ["x_1", "x_2", "x_3", "y_1", "y_2"])


@pytest.fixture
def main():
    return corpus()


@pytest.fixture
def extra():
    """A corpus with the same names of speakers and files, another level, one emotion more and one fewer."""
    return {"other": corpus("ab", ("joy", "fear", "boredom"), gain=50, seed=1, name="other")}


def joined(main, extra, speaker_norm="none"):
    kept, _ = extra_corpora.usable_extra_corpora(main, extra, drop=[], rename={})
    x = normalise(main.x, main.rows, speaker_norm)
    return extra_corpora.join_extra_corpora(replace(main, x=x), kept, speaker_norm=speaker_norm)


def of(data, protocol="speaker", seeds=(0,)):
    """Folds of the main corpus, as made in its own run."""
    rows = data.rows[~leakage.is_extra(data.rows)]
    return folds.folds_by_seed(folds.make_folds(rows, protocol=protocol, seeds=list(seeds), n_folds=3), protocol, list(seeds))


# Joining


def test_rows_of_an_extra_corpus_are_appended_with_prefixed_names(main, extra):
    data = joined(main, extra)
    own, other = data.rows[: len(main.rows)], data.rows[len(main.rows) :]
    pd.testing.assert_frame_equal(own.drop(columns=EXTRA_CORPUS), main.rows)
    np.testing.assert_array_equal(data.x[: len(own)], main.x)
    assert set(own[EXTRA_CORPUS]) == {""} and set(other[EXTRA_CORPUS]) == {"other"}
    assert set(other.speaker) == {"other:a", "other:b"} and set(other.sentence) == {"other:1", "other:2"}
    assert other.file.iloc[0] == "other/ajoy1" and set(other.variant) == {ORIGINAL, "noise"}
    assert data.classes == main.classes and not data.rows.duplicated(["file", "variant"]).any()


def test_what_is_left_out_is_counted(main, extra):
    kept, left_out = extra_corpora.usable_extra_corpora(main, extra, drop=[], rename={})
    assert left_out.to_numpy().tolist() == [["other", "boredom", 4, "the corpus has no such emotion"]]
    rows = kept["other"].rows
    assert rows.file.nunique() + left_out.clips.sum() == extra["other"].rows.file.nunique()
    pd.testing.assert_series_equal(rows.file.str[1:-1], rows.emotion, check_names=False)


def test_emotions_are_dropped_and_renamed_in_both(main, extra):
    main = extra_corpora.relabel_data(main, drop=["joy"], rename={"fear": "upset", "anger": "upset", "boredom": "tired"})
    assert set(main.rows.emotion) == {"upset"} and len(main.rows) == 32
    main = replace(main, rows=main.rows.assign(emotion=main.rows.emotion.where(main.rows.sentence == "1", "tired")))
    kept, left_out = extra_corpora.usable_extra_corpora(main, extra, drop=["joy"], rename={"fear": "upset", "boredom": "tired"})
    assert left_out.to_numpy().tolist() == [["other", "joy", 4, "dropped by DROP_EMOTIONS"]]
    assert set(kept["other"].rows.emotion) == {"upset", "tired"}


def test_each_extra_corpus_or_each_of_its_speakers_by_their_own_statistics(main, extra):
    for norm, groups in (("none", [["other:a", "other:b"]]), ("speaker", [["other:a"], ["other:b"]])):
        data = joined(main, extra, norm)
        for speakers in groups:
            x = data.x[(data.rows.speaker.isin(speakers) & (data.rows.variant == ORIGINAL)).to_numpy()]
            np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-5)
            np.testing.assert_allclose(x.std(axis=0), 1, atol=1e-4)


def test_sequences_of_unequal_length_are_standardised_by_band_over_all_frames(main, extra):
    def sequences(data):
        x = np.empty(len(data.x), object)
        for i, row in enumerate(data.x):
            x[i] = np.tile(row[:2], (3 + i % 4, 1)) + np.arange(3 + i % 4, dtype=np.float32)[:, None]
        return replace(data, x=x)

    data = joined(sequences(main), {name: sequences(one) for name, one in extra.items()}, "none")
    other = leakage.is_extra(data.rows) & (data.rows.variant == ORIGINAL)
    frames = np.concatenate(list(data.x[other]))
    assert frames.shape[1] == 2 and frames.dtype == np.float32
    np.testing.assert_allclose(frames.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(frames.std(axis=0), 1, atol=1e-4)
    assert data.x.shape == (len(data.rows),) and data.x[0].shape == (3, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"emotion": "calm"}, "other shares no emotion with the main corpus: it has calm, expected some of joy, fear, anger"),
        ({"audio_sha256": " sum of ajoy1"}, "other contains 1 of the main corpus' recordings, so it may contain test speakers"),
    ],
    ids=["no shared emotion", "a recording of the main corpus"],
)
def test_an_unsuitable_corpus_is_refused(main, extra, change, message):
    other = replace(extra["other"], rows=extra["other"].rows.assign(**change))
    with pytest.raises(StudyError, match=message):
        extra_corpora.usable_extra_corpora(main, {"other": other}, drop=[], rename={})


# Training


@pytest.mark.parametrize("protocol", [name for name in protocols.PROTOCOLS if name != "as_published"])
def test_extra_rows_train_in_every_fold_and_are_never_tested(main, extra, protocol):
    data = joined(main, extra)
    other = np.flatnonzero(leakage.is_extra(data.rows) & (data.rows.variant == ORIGINAL))
    fits = make_fits(of(data, protocol), data, augmented=False)
    for fit in fits.values():
        leakage.check_fit(data.rows, protocol=protocol, train=fit.train, test=fit.test)
        np.testing.assert_array_equal(fit.extra_rows, other)
        assert set(other) <= set(fit.train) and not set(other) & set(fit.test)
    alone = make_fits(of(data, protocol), main, augmented=False)
    for key, fit in alone.items():
        np.testing.assert_array_equal(np.setdiff1d(fits[key].train, other), fit.train)
        assert fit.extra_rows is None


def test_inner_folds_hold_out_speakers_of_the_corpus_itself_and_train_on_the_rest(main, extra):
    data = joined(main, extra)
    outer = make_fits(of(data), data, augmented=True)[0, 1]
    inner = inner_fits(outer, data.rows, epochs=3, protocol="speaker")
    assert set(inner) == {"b", "c", "d"}
    for name, fit in inner.items():
        assert set(data.rows.speaker.iloc[fit.validation]) == {name}
        assert {"other:a", "other:b"} == set(data.rows.speaker.iloc[fit.train]) - set("bcd")
        np.testing.assert_array_equal(fit.extra_rows, outer.extra_rows)


def test_extra_rows_train_as_they_are_and_the_scaler_is_fitted_on_the_main_corpus(main, extra):
    data = joined(main, extra)
    fit = replace(make_fits(of(data), data, augmented=False)[0, 1], epochs=2)
    louder = replace(data, x=np.where(leakage.is_extra(data.rows)[:, None], 9 * data.x, data.x))
    done, other = (fit_system(MLP, one, {0: fit}, batch_size=0, desc="")[0][1] for one in (data, louder))
    own = np.setdiff1d(fit.train, fit.extra_rows)
    for one in (done, other):
        np.testing.assert_allclose(one.scaler.mean_, data.x[own].mean(axis=0), rtol=1e-5)
        assert one.scaler.n_samples_seen_ == len(own)
    assert not np.array_equal(done.probabilities, other.probabilities), "the extra rows are training rows"
    scaler, scaled = standardise(data.x, fit)
    np.testing.assert_array_equal(scaled[fit.extra_rows], data.x[fit.extra_rows])
    np.testing.assert_array_equal(scaled[fit.test], scaler.transform(data.x[fit.test]))


def test_an_extra_corpus_improves_training_on_few_clips():
    """Few and noisy training clips; the extra corpus has fifty times the level."""
    small = corpus("abcd", seed=3, variants=(ORIGINAL,))
    rng = np.random.default_rng(5)
    small = replace(small, x=(small.x + rng.normal(scale=2.0, size=small.x.shape)).astype(np.float32))
    large = {"other": corpus("abcdefghijkl", gain=50, seed=4, name="other", variants=(ORIGINAL,))}
    data, right = joined(small, large), {}
    for name, one in (("alone", small), ("with", data)):
        fits = {key: replace(fit, epochs=10) for key, fit in make_fits(of(small), one, augmented=False).items()}
        table = experiment.prediction_table(fit_system(MLP, one, fits, batch_size=8, desc=""), one, MLP, "speaker")
        right[name] = (table.emotion == table.predicted).mean()
        assert sorted(table.file) == sorted(small.rows.file)
    assert right["with"] > right["alone"] and right["with"] > 0.6


def test_extra_corpora_under_the_main_protocol(main, extra):
    data = joined(main, extra)
    result = experiment.run_protocol(MLP, data, of(data), protocol="speaker")
    table = experiment.prediction_table(result.fitted, data, MLP, "speaker")
    assert sorted(table.file) == sorted(main.rows.file.unique())
    assert set(result.selection.test_speaker) == set("abcd")
    assert list(table.filter(like="p_")) == ["p_joy", "p_fear", "p_anger"]
    final = final_model(MLP, data, epochs=10, settings={})
    normalise = final.get_layer("normalise_by_training_rows")
    np.testing.assert_allclose(normalise.mean, main.x[main.rows.variant == ORIGINAL].mean(axis=0)[None], rtol=1e-4)


# The guard


def test_a_test_recording_in_an_extra_corpus_is_a_leak(main, extra):
    data = joined(main, extra)
    fit = make_fits(of(data), data, augmented=True)[0, 1]
    rows = data.rows.copy()
    rows.loc[len(rows) - 1, "audio_sha256"] = rows.audio_sha256[fit.test[0]]
    leakage.check_fit(data.rows, protocol="speaker", train=fit.train, test=fit.test)
    with pytest.raises(LeakError, match="recording is in training and in test"):
        leakage.check_fit(rows, protocol="speaker", train=fit.train, test=fit.test)


@pytest.mark.parametrize("protocol", ["as_published", "speaker"])
@pytest.mark.parametrize("part", ["test", "early stopping", "calibration"])
def test_rows_of_an_extra_corpus_may_only_train(main, extra, protocol, part):
    data = joined(main, extra)
    train, test = np.arange(12, len(data.rows)), np.arange(0, 12, 2)
    seen = np.append(test if part == "test" else [12], [-2, -4])
    how = {"test": seen} if part == "test" else {"test": test, "fitted_on": {part: seen}}
    with pytest.raises(LeakError, match=f"{protocol}: 2 extra-corpus rows are in {part}"):
        leakage.check_fit(data.rows, protocol=protocol, train=train, **how)


# Baselines


@pytest.mark.parametrize("name", ["svm", "lda", "majority"])
def test_baselines_learn_from_an_extra_corpus_whatever_its_level(main, extra, name):
    louder = {"other": replace(extra["other"], x=1000 * extra["other"].x)}
    how = {"protocol": "speaker", "features": "f", "speaker_norm": "none"}
    table, again = (baseline_runs.run_baseline(name, joined(main, one), of(main), **how) for one in (extra, louder))
    assert sorted(table.file) == sorted(main.rows.file.unique())
    assert (table.predicted == again.predicted).all()
    assert name == "majority" or (table.emotion == table.predicted).mean() > 0.9


def test_baselines_choose_on_speakers_of_the_corpus_itself(main, extra):
    data = joined(main, extra)
    rows = data.rows.iloc[make_fits(of(data), data, augmented=False)[0, 1].train]
    inner = baselines.inner_folds(inner_groups_of_corpus(rows, "speaker")[1])
    assert [set(rows.speaker.iloc[held]) for _, held in inner] == [{"b"}, {"c"}, {"d"}]
    assert all(len(train) + len(held) == len(rows) for train, held in inner)


def test_the_scaler_of_a_baseline_leaves_marked_rows_alone():
    x = np.array([[1.0, 10.0, 0], [3.0, 30.0, 0], [0.5, -0.5, 1]])
    scaled = CorpusScaler().fit(x).transform(x)
    np.testing.assert_allclose(scaled, [[-1, -1], [1, 1], [0.5, -0.5]])


# Preparing, and what a stage follows from


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two runs with tables, and no notebook that could make any."""
    for name in ("OUT", "NOTEBOOKS"):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
    paths.NOTEBOOKS.mkdir()
    for name in ("demo", "emovo"):
        for file in notebooks.expand_names(runner.PREPARED):
            (paths.out_dir(name) / file).write_text(f"{file} of {name}")


def test_extra_corpora_are_named_by_their_runs(runs):
    assert inputs.ensure_extra_corpora("demo", ["EMOVO"], *runner.PREPARED) == ["emovo"]
    assert inputs.ensure_extra_corpora("demo", []) == []


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["demo"], "EXTRA_CORPORA names demo, which is CORPUS itself"),
        (["emovo", "EMOVO"], "EXTRA_CORPORA names emovo 2 times"),
        (["emo"], "Unknown corpus 'emo': expected one of demo, emovo"),
    ],
)
def test_wrong_extra_corpora_are_refused(runs, extra, message):
    with pytest.raises(StudyError, match=message):
        inputs.ensure_extra_corpora("demo", extra, "utterances.csv")
    with pytest.raises(StudyError, match=message):
        inputs.ensure_extra_corpora("DEMO", extra, "utterances.csv")


def test_a_missing_extra_corpus_is_refused_with_its_source(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "OUT", tmp_path / "out")
    monkeypatch.setattr(paths, "DATA", tmp_path / "data")

    def execute(book, executed, parameters):
        try:
            corpora.utterance_table(corpora.get_corpus(parameters["CORPUS"]))
        except StudyError as error:
            return str(error)

    monkeypatch.setattr(inputs, "execute_notebook", execute)
    with pytest.raises(
        StudyError, match=r"01_explore, which writes it, failed: EMOVO is not in .*: no such folder. Get it with"
    ):
        inputs.ensure_extra_corpora("demo", ["emovo"], "utterances.csv")


def test_extra_corpora_are_downloaded_or_asked_for_before_anything_runs(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(paths, "OUT", tmp_path / "out")
    monkeypatch.setattr(paths, "DATA", tmp_path / "data")
    monkeypatch.setattr(runner, "execute_notebook", lambda *_, **__: pytest.fail("something ran"))
    monkeypatch.setattr(download, "fetch", asked.append)
    with pytest.raises(StudyError, match=r"TESS is not in .*Download it from"):
        runner._prepare_extra_corpora("demo", ["tess"])
    with pytest.raises(StudyError, match="EmoDB is not in"):  # as the download did nothing here
        runner._prepare_extra_corpora("demo", ["emodb"])
    assert asked == ["emodb"]


@pytest.mark.parametrize(("feature_sets", "computed"), [([], None), (["functionals"], None), (["log_mel"], "log_mel")])
def test_extra_corpora_get_the_feature_sets_of_the_networks(tmp_path, monkeypatch, feature_sets, computed):
    monkeypatch.setattr(paths, "OUT", tmp_path / "out")
    monkeypatch.setattr(runner, "_ensure_corpus", lambda entry: None)
    monkeypatch.setattr(corpora, "check_corpus", lambda *_: None)
    ran = []
    monkeypatch.setattr(runner, "_run_notebooks", lambda stages, **_: ran.extend(stages))
    runner._prepare_extra_corpora("demo", ["emovo"], feature_sets)
    explored = {"CORPUS": "emovo"}
    sets = {"FEATURE_SETS": ["original38", "functionals", computed]} if computed else {}
    assert [stage.parameters for stage in ran] == [explored, explored | sets]


def test_a_stage_depends_on_its_extra_corpora(runs):
    book = paths.NOTEBOOKS / "03_train.ipynb"
    nbformat.write(nbformat.v4.new_notebook(), book)

    def state(extra):
        return stages.Stage(book, "demo", "demo", {"EXTRA_CORPORA": extra} if extra else {}).current_inputs()

    alone, before = state([]), state(["emovo"])
    assert before == state(["emovo"]) != alone
    for file in ("utterances.csv", "features_functionals.npz"):
        (paths.OUT / "emovo" / file).write_text("another")
        assert state(["emovo"]) != before and state([]) == alone
        before = state(["emovo"])
    for file in ("metrics.csv", "features_log_mel.npz"):
        (paths.OUT / "emovo" / file).write_text("another")
        assert state(["emovo"]) == before
    with_cnn = stages.Stage(book, "demo", "demo", {"MODEL": "cnn", "EXTRA_CORPORA": ["emovo"]})
    assert "features_log_mel.npz" in with_cnn.current_inputs()["extra"]["emovo"]


def test_prepared_corpora_are_read_as_extracted(tmp_path, monkeypatch, main):
    monkeypatch.setattr(paths, "OUT", tmp_path)
    rows = main.rows.assign(corpus="mine", duration_s=1.0)
    rows.drop_duplicates("file").drop(columns="variant").to_csv(paths.out_dir("mine") / "utterances.csv", index=False)
    names = list(FEATURE_SETS["original38"].names)
    values = np.random.default_rng(0).normal(size=(len(rows), len(names)))
    table = main.rows[["file", "variant"]].join(pd.DataFrame(values, columns=names))
    write_features(table, tmp_path / "mine" / feature_file_name("original38"))
    data = extra_corpora.read_extra_corpora(["mine"], "original38")["mine"]
    np.testing.assert_allclose(data.x, values, rtol=1e-5)
    assert list(data.rows.emotion) == list(main.rows.emotion)
