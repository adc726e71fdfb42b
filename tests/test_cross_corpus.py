"""Train on one corpus, test on another."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_extra_corpora import corpus, quick  # noqa: F401  networks that train for a few epochs

from ser_utils import corpora, models
from ser_utils.core.errors import StudyError
from ser_utils.core.tables import FOLD_COLUMNS, ORIGINAL, UNKNOWN
from ser_utils.evaluation import folds
from ser_utils.evaluation.leakage import LeakError
from ser_utils.experiments import cross_corpus
from ser_utils.experiments.extra_corpora import select_rows
from ser_utils.figures import cross_corpus as cross_corpus_figures


@pytest.fixture
def tables():
    """Two corpora that share two emotions, at unlike levels, and one that shares none with them."""
    return {
        "here": corpus("abcd", ("joy", "fear", "anger"), name="here"),
        "there": corpus("abc", ("joy", "fear", "boredom"), gain=50, seed=1, name="there", variants=(ORIGINAL,)),
        "dull": corpus("ab", ("calm",), seed=2, name="dull"),
    }


def speaker_folds(data):
    return folds.make_folds(data.rows, protocol="speaker", seeds=[0], n_folds=3)


@pytest.fixture
def cut(tables):
    none = pd.DataFrame(columns=FOLD_COLUMNS)
    return {"here": speaker_folds(tables["here"]), "there": speaker_folds(tables["there"]), "dull": none}


def matrix(tables, cut, norms=("speaker",), models=("svm",), seeds=(0,)):
    return cross_corpus.cross_corpus_predictions(
        tables, cut, models=list(models), features="f", speaker_norms=list(norms), seeds=list(seeds)
    )


def test_a_pair_has_the_shared_emotions_and_prefixed_names(tables):
    data = cross_corpus.pair_of_corpora(tables["here"], tables["there"], ("here", "there"))
    assert data.classes == ["joy", "fear"] == cross_corpus.shared_emotions(tables["here"], tables["there"])
    assert set(data.rows.speaker) == {"here:a", "here:b", "here:c", "here:d", "there:a", "there:b", "there:c"}
    assert len(data.rows) == len(data.x) == 4 * 2 * 2 * 2 + 3 * 2 * 2 and not data.rows.duplicated(["file", "variant"]).any()
    kept = tables["there"].rows.emotion.isin(["joy", "fear"]).to_numpy()
    np.testing.assert_array_equal(data.x[-12:], tables["there"].x[kept])


def test_one_corpus_is_training_data_and_the_other_is_test_data(tables):
    data = cross_corpus.pair_of_corpora(tables["here"], tables["there"], ("here", "there"))
    for augmented, variants in ((False, {ORIGINAL}), (True, {ORIGINAL, "noise"})):
        fits = cross_corpus.fits_across(data, "here", seeds=[0, 3], augmented=augmented)
        assert list(fits) == [(0, 1), (3, 1)]
        for fit in fits.values():
            assert data.rows.file.iloc[fit.train].str.startswith("here/").all()
            assert set(data.rows.variant.iloc[fit.train]) == variants
            assert data.rows.file.iloc[fit.test].str.startswith("there/").all() and len(fit.test) == 12
            assert fit.extra_rows is None, "the scaler is fitted on the whole training corpus"


def test_a_recording_in_both_corpora_is_refused(tables, cut):
    rows = tables["there"].rows
    rows.loc[rows.emotion == "joy", "audio_sha256"] = tables["here"].rows.audio_sha256[0]
    with pytest.raises(LeakError, match="1 recording is in training and in test"):
        matrix(tables, cut)


def test_every_pair_that_shares_two_emotions_is_tested_and_a_corpus_on_itself(tables, cut):
    found = matrix(tables, cut)
    cells = found.groupby(["train", "test"]).agg(
        rows=("file", "size"), files=("file", "nunique"), protocol=("protocol", "first")
    )
    assert cells.to_dict("index") == {
        ("here", "here"): {"rows": 24, "files": 24, "protocol": "speaker"},
        ("here", "there"): {"rows": 12, "files": 12, "protocol": "across"},
        ("there", "here"): {"rows": 16, "files": 16, "protocol": "across"},
        ("there", "there"): {"rows": 18, "files": 18, "protocol": "speaker"},
    }
    assert list(found)[:2] == cross_corpus.PAIR and set(found.variant) == {ORIGINAL}
    assert (found.emotion == found.predicted).mean() > 0.9, "with per-speaker normalisation, clear emotions transfer"


def test_a_corpus_of_unknown_speakers_is_in_no_cell_by_speaker_and_has_no_interval_over_them(tables, cut):
    unnamed = replace(tables["there"], rows=tables["there"].rows.assign(speaker=UNKNOWN))
    two, made = {"here": tables["here"], "there": unnamed}, {"here": cut["here"], "there": cut["dull"]}
    found = matrix(two, made, norms=["none", "speaker"])
    cells = found.groupby("speaker_norm")[cross_corpus.PAIR].apply(lambda part: sorted(set(map(tuple, part.to_numpy()))))
    assert cells["none"] == [("here", "here"), ("here", "there"), ("there", "here")]
    assert cells["speaker"] == [("here", "here")]
    table = cross_corpus.cross_corpus_table(found, n_resamples=20).query("speaker_norm == 'none'").set_index(cross_corpus.PAIR)
    assert table.n_speakers.to_dict() == {("here", "here"): 4, ("here", "there"): 0, ("there", "here"): 4}
    assert table.ci_low.isna().to_list() == [False, True, False]
    texts = [text.get_text() for text in cross_corpus_figures.cross_corpus_matrix(table.reset_index()).axes[0].texts]
    assert "speakers unknown\n2 emotions" in texts


def test_clips_and_speakers_have_the_names_of_their_own_run(tables, cut):
    found = matrix(tables, cut).query("test == 'there'")
    rows = tables["there"].rows.set_index("file")
    assert set(found.train) == {"here", "there"} and set(found.file) <= set(rows.index)
    assert (found.speaker.to_numpy() == rows.speaker.loc[found.file].to_numpy()).all()


def test_without_normalisation_only_the_training_corpus_determines_the_scale(tables, cut):
    """The prediction of a test clip does not depend on other clips of the test corpus."""
    there, here = tables["there"], {"here": tables["here"]}
    fewer = select_rows(there, (there.rows.speaker != "a").to_numpy())
    results = [matrix(here | {"there": one}, {**cut, "there": cut["dull"]}, norms=["none"]) for one in (there, fewer)]
    whole, part = (table.query("train == 'here' and test == 'there'").set_index("file") for table in results)
    assert 0 < len(part) < len(whole)
    pd.testing.assert_frame_equal(whole.loc[part.index].filter(like="p_"), part.filter(like="p_"))


def test_networks_run_for_each_seed_under_their_defaults(tables, cut, monkeypatch):
    seen, fit = [], cross_corpus.fit_system
    monkeypatch.setattr(cross_corpus, "fit_system", lambda *args, **how: seen.extend(args[2].values()) or fit(*args, **how))
    found = matrix(tables, cut, models=["mlp", "svm"], seeds=[0, 1])
    entry = models.get_model("mlp")
    assert {(one.epochs, one.stop_early, tuple(one.settings.items())) for one in seen} == {
        (entry.epochs, False, tuple(entry.choices[0].items()))
    }
    assert found.groupby("model").seed.nunique().to_dict() == {"mlp": 2, "svm": 1}


def test_corpora_of_which_nothing_can_be_tested_are_refused(tables, cut):
    with pytest.raises(StudyError, match="No two of the corpora there, dull share two or more emotions: set EXTRA_CORPORA"):
        matrix({name: tables[name] for name in ("there", "dull")}, {"there": cut["dull"], "dull": cut["dull"]})


def answered(right, n_speakers=3, emotions=("joy", "fear")):
    """Predictions of one cell: each speaker has ten clips an emotion, the first `right` of which are right."""
    rows = [
        {"file": f"{s}{e}{i}", "speaker": s, "emotion": e, "predicted": e if i < right else emotions[e == emotions[0]]}
        for s in range(n_speakers)
        for e in emotions
        for i in range(10)
    ]
    how = {"protocol": "across", "model": "svm", "features": "f", "speaker_norm": "none", "seed": 0}
    return pd.DataFrame(rows).assign(**how, variant=ORIGINAL)


def test_the_table_has_uar_interval_and_chance_of_each_cell():
    cells = {("a", "b"): answered(9), ("b", "a"): answered(7, emotions=("joy", "fear", "anger")), ("a", "c"): answered(5, 1)}
    predictions = pd.concat([part.assign(train=train, test=test) for (train, test), part in cells.items()])
    found = cross_corpus.cross_corpus_table(predictions, n_resamples=100).set_index(cross_corpus.PAIR)
    assert found.uar.to_list() == pytest.approx([0.9, 0.7, 0.5])
    assert found.chance.to_list() == pytest.approx([1 / 2, 1 / 3, 1 / 2]) and found.n_emotions.to_list() == [2, 3, 2]
    assert found.n_speakers.to_list() == [3, 3, 1] and found.n_clips.to_list() == [60, 90, 20]
    assert found.ci_low[("a", "b")] == pytest.approx(0.9) and found[["ci_low", "ci_high"]].loc[("a", "c")].isna().all()


# What corpora label


def test_labels_are_those_of_the_registry():
    demo = corpora.CORPORA["demo"]
    merged = replace(demo, name="mine", emotions={"h": "joy", "e": "joy", "b": "boredom", "x": ""})
    found = cross_corpus.emotion_codes({"demo": demo, "mine": merged})
    assert found[found.corpus == "demo"].set_index("emotion").code.to_dict() == {v: k for k, v in demo.emotions.items()}
    assert found[found.corpus == "mine"][["emotion", "code"]].to_numpy().tolist() == [["joy", "h, e"], ["boredom", "b"]]
    counts = cross_corpus.shared_counts(found)
    assert counts.loc["demo", "mine"] == counts.loc["mine", "demo"] == 1 and counts.loc["mine", "mine"] == 2
    ax = cross_corpus_figures.emotions_by_corpus(found).axes[0]
    assert len(ax.patches) == len(found) == len(ax.texts), "a cell for each"
    assert [text.get_text() for text in ax.get_xticklabels()] == corpora.class_order(found.emotion)


@pytest.mark.parametrize("names", [["a", "b"], list("abcdefg")], ids=len)
def test_the_figure_of_the_matrix_shows_value_interval_and_emotions(names):
    cells = pd.MultiIndex.from_product([["none", "speaker"], names, names], names=["speaker_norm", "train", "test"])
    values = {"uar": 0.512, "ci_low": 0.41, "ci_high": 0.6, "n_speakers": 1, "n_emotions": 6, "chance": 1 / 6, "model": "mlp"}
    table = cells.to_frame(index=False).assign(**values)
    table.loc[0, ["ci_low", "ci_high"]] = np.nan
    fig = cross_corpus_figures.cross_corpus_matrix(table, "synthetic")
    titles = [ax.get_title(loc="left") for ax in fig.axes]
    assert titles == ["mlp, no per-speaker normalisation", "mlp, per-speaker normalisation"]
    assert all(len(ax.patches) == len(names) ** 2 for ax in fig.axes)
    texts = [text.get_text() for text in fig.axes[0].texts]
    assert texts[:4] == ["51.2 %", "one speaker\n6 emotions", "51.2 %", "41 to 60\n6 emotions"]
    boxes = [text.get_window_extent() for text in fig.axes[0].texts[2:]]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
