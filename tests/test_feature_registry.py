"""Registry of feature sets, their tables as files, and the variance of a feature that a factor explains."""

import numpy as np
import pandas as pd
import pytest

from ser_utils.core.errors import StudyError
from ser_utils.core.tables import FRAMES, ORIGINAL
from ser_utils.features.original38 import NAMES
from ser_utils.features.registry import (
    FEATURE_SETS,
    check_feature_sets,
    get_feature_set,
    read_features,
    variance_by,
    variants_of,
    write_features,
    write_tables,
)

pytestmark = pytest.mark.numeric


@pytest.fixture
def table():
    """A table of three clips and their variants, with values of many magnitudes."""
    index = pd.MultiIndex.from_product([["f1/a.wav", "m1/b.wav", "f2/c.wav"], [ORIGINAL, "noise"]], names=["file", "variant"])
    rng = np.random.default_rng(0)
    values = rng.standard_normal((len(index), 38)) * 10.0 ** rng.integers(-4, 5, 38)
    return pd.DataFrame(values.astype(np.float32), index=index, columns=list(NAMES)).reset_index()


# The registry


def test_registry_names_match_the_values():
    y = 0.1 * np.random.default_rng(0).standard_normal(9_600).astype(np.float32)
    for feature_set in FEATURE_SETS.values():
        shape = feature_set.extract(y, feature_set.sr).shape
        assert shape[-1:] == (len(feature_set.names),) and len(shape) == 1 + feature_set.sequences
        assert len(set(feature_set.names)) == len(feature_set.names)


def test_unknown_set_is_named_with_the_known_ones():
    with pytest.raises(StudyError, match="^Unknown feature set 'egemaps': expected one of original38, functionals, log_mel.$"):
        get_feature_set("egemaps")


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["original38"], "FEATURE_SETS lacks 'functionals': expected original38, functionals and others if needed."),
        (["original38", "functionals", "egemaps"], "Unknown feature set 'egemaps'"),
        (["original38", "functionals", "original38"], "FEATURE_SETS lists 'original38' twice"),
    ],
)
def test_wrong_lists_of_feature_sets_are_refused(names, text):
    check_feature_sets(["log_mel", "functionals", "original38"])
    with pytest.raises(StudyError, match=text):
        check_feature_sets(names)


def test_variants_are_computed_where_networks_train_on_them():
    sets, variants = ["functionals", "log_mel"], ["noise", "stretch"]
    assert variants_of(sets, variants, ["clip", "speaker"]) == {"functionals": [], "log_mel": variants}
    assert variants_of(sets, variants, ["as_published", "speaker"]) == dict.fromkeys(sets, variants)


# Tables as files


def test_tables_of_an_earlier_run_are_removed_if_they_are_not_written_again(tmp_path, table):
    for name in ("features_log_mel.npz", "features_original38.csv", "features.txt"):
        (tmp_path / name).write_text("earlier")
    write_tables({"original38": table}, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["features.txt", "features_original38.csv"]
    assert len(read_features(tmp_path / "features_original38.csv", "original38")) == len(table)


def test_sequences_come_back_from_their_file(tmp_path):
    rng = np.random.default_rng(0)
    clips = [rng.normal(size=(n, 40)).astype(np.float32) for n in (1, 7, 300)]
    table = pd.DataFrame({"file": ["03/a.wav", "03/b.wav", "04/c.wav"], "variant": ORIGINAL, FRAMES: clips})
    write_features(table, tmp_path / "a.npz")
    read = read_features(tmp_path / "a.npz", "log_mel")
    assert list(read.columns) == ["file", "variant", FRAMES] and list(read.file) == list(table.file)
    for frames, expected in zip(read[FRAMES], clips, strict=True):
        np.testing.assert_array_equal(frames, expected)


@pytest.mark.parametrize("name, tolerance", [("a.npz", 0), ("a.csv", 1e-6)])
def test_table_comes_back_from_its_file(table, tmp_path, name, tolerance):
    write_features(table, tmp_path / name)
    read = read_features(tmp_path / name, "original38")
    pd.testing.assert_frame_equal(read[["file", "variant"]], table[["file", "variant"]])
    assert list(read.columns) == list(table.columns)
    assert (read[list(NAMES)].dtypes == np.float32).all()
    np.testing.assert_allclose(read[list(NAMES)], table[list(NAMES)], rtol=tolerance)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_compact_table_needs_no_pickle_and_is_the_same_file_each_time(table, tmp_path):
    for name in ("a.npz", "b.npz"):
        write_features(table, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert {key: arrays[key].dtype.kind for key in arrays} == {"files": "U", "variants": "U", "names": "U", "values": "f"}
        assert arrays["values"].shape == (len(table), 38)


@pytest.mark.parametrize("name", ["features.npz", "features.csv"])
def test_failed_write_keeps_the_earlier_table(table, tmp_path, monkeypatch, name):
    write_features(table, tmp_path / name)
    before = (tmp_path / name).read_bytes()

    def fail(path, *args, **kwargs):
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez_compressed", fail)
    monkeypatch.setattr(pd.DataFrame, "to_csv", lambda self, path, **how: fail(path))
    with pytest.raises(OSError, match="no space"):
        write_features(table.iloc[:2], tmp_path / name)
    assert (tmp_path / name).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("change", [lambda t: t.drop(columns="zcr"), lambda t: t[["file", "variant", *NAMES[::-1]]]])
@pytest.mark.parametrize("name", ["features.csv", "features.npz"])
def test_table_of_other_columns_is_refused(table, tmp_path, name, change):
    write_features(change(table), tmp_path / name)
    with pytest.raises(StudyError, match=f"^{name} has .* expected the 40 of original38: run 02"):
        read_features(tmp_path / name, "original38")


# Variance between groups


def test_variance_explained_completely_not_at_all_and_in_part():
    factor = pd.Series(["a", "a", "b", "b"], index=[9, 8, 7, 6])
    values = pd.DataFrame({"all": [1.0, 1, 3, 3], "none": [1.0, 3, 1, 3], "part": [0.0, 2, 4, 6]})
    shares = variance_by(values, factor)
    assert shares.to_dict() == pytest.approx({"all": 1, "none": 0, "part": 16 / 20})
