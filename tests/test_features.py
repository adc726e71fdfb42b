"""Features: the original study's published numbers, slow definitions beside the fast ones, and tones with known answers."""

import re

import numpy as np
import pandas as pd
import pytest
import scipy.fft
import soundfile as sf

from ser_utils import features, paths
from ser_utils.audio import AudioError, read_audio
from ser_utils.augment import AUGMENTATIONS, STRENGTHS, augment
from ser_utils.errors import StudyError
from ser_utils.features import (
    FEATURE_SETS,
    ORIGINAL38,
    FeatureSet,
    feature_table,
    original38,
    read_features,
    variance_by,
    write_table,
)
from ser_utils.functionals import functionals, names

DEMO = paths.ROOT / "data" / "demo"
EMOVO = paths.DATA / "EMOVO"
PUBLISHED = pd.read_csv(paths.ROOT / "tests" / "published_original38.csv", index_col="file")
"""Unaugmented rows of checkpoints/EMOVO_features.csv of github.com/fp1acm8/SER (commit bbf876b), to nine digits."""

SR = 48_000
NOTES = ("C", "Cs", "D", "Ds", "E", "F", "Fs", "G", "Gs", "A", "As", "B")


@pytest.fixture(autouse=True)
def no_bars(monkeypatch):
    monkeypatch.setenv("SER_PROGRESS", "off")


def named(y, sr=SR):
    return dict(zip(ORIGINAL38, original38(y, sr), strict=True))


def tone(f0_hz, peak=0.5, duration_s=4.0):
    return (peak * np.sin(2 * np.pi * f0_hz * np.arange(round(duration_s * SR)) / SR)).astype(np.float32)


def noise(duration_s=2.0, std=0.1):
    return (std * np.random.default_rng(0).standard_normal(round(duration_s * SR))).astype(np.float32)


# The original study's numbers


def test_names_and_their_order():
    assert len(ORIGINAL38) == len(set(ORIGINAL38)) == 38
    assert ORIGINAL38[:12] == tuple(f"chroma_{note}" for note in NOTES)
    assert ORIGINAL38[12:18] == ("rms", "centroid_hz", "flatness", "bandwidth_hz", "rolloff_hz", "zcr")
    assert ORIGINAL38[18:] == tuple(f"mfcc_{i}" for i in range(1, 21))
    assert FEATURE_SETS["original38"].sr == 48_000


@pytest.mark.skipif(not EMOVO.is_dir(), reason="needs the recordings of EMOVO in data/EMOVO")
@pytest.mark.parametrize("file", PUBLISHED.index)
def test_published_numbers_of_the_original_study(file):
    assert tuple(PUBLISHED.columns) == ORIGINAL38
    y, sr = read_audio(EMOVO / file, sr=48_000)
    np.testing.assert_allclose(original38(y, sr), PUBLISHED.loc[file], rtol=1e-4)


# The same by slow, plain definitions: numpy and double precision, frame by frame


def frames_of(y, mode):
    """Frames of 2048 samples, one every 512, centred: 1024 samples are padded at either end."""
    padded = np.pad(y.astype(np.float64), 1_024, mode=mode)
    return np.array([padded[512 * i : 512 * i + 2_048] for i in range(1 + len(y) // 512)])


def mel_of_hz(hz):
    """Slaney's mel scale: linear up to 1 kHz, then logarithmic."""
    hz = np.asarray(hz, dtype=float)
    return np.where(hz < 1_000, 3 * hz / 200, 15 + 27 * np.log(np.maximum(hz, 1_000) / 1_000) / np.log(6.4))


def hz_of_mel(mel):
    mel = np.asarray(mel, dtype=float)
    return np.where(mel < 15, 200 * mel / 3, 1_000 * np.exp((mel - 15) * np.log(6.4) / 27))


def mfcc(power, hz):
    """128 triangular bands of equal area up to half the sample rate; decibels, at most 80 below the peak; cosine transform."""
    corners = hz_of_mel(np.linspace(0, mel_of_hz(hz[-1]), 130))
    bands = np.zeros((128, hz.size))
    for band, (low, centre, high) in enumerate(zip(corners[:-2], corners[1:-1], corners[2:], strict=True)):
        up, down = (hz - low) / (centre - low), (high - hz) / (high - centre)
        bands[band] = np.maximum(0, np.minimum(up, down)) * 2 / (high - low)
    log_mel = 10 * np.log10(np.maximum(power @ bands.T, 1e-10))
    return scipy.fft.dct(np.maximum(log_mel, log_mel.max() - 80), type=2, norm="ortho", axis=1)[:, :20]


def by_definition(y, sr):
    """All but the chroma."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2_048) / 2_048)
    hz = np.arange(1_025) * sr / 2_048
    reflected = frames_of(y, "reflect")
    magnitude = np.abs(np.fft.rfft(reflected * hann, axis=1))
    share = magnitude / magnitude.sum(axis=1, keepdims=True)
    centroid = (share * hz).sum(axis=1)
    floored = np.maximum(magnitude**2, 1e-10)
    above = np.cumsum(share, axis=1) >= 0.85
    negative = frames_of(y, "edge") < 0
    per_frame = {
        "rms": np.sqrt((reflected**2).mean(axis=1)),
        "centroid_hz": centroid,
        "flatness": np.exp(np.log(floored).mean(axis=1)) / floored.mean(axis=1),
        "bandwidth_hz": np.sqrt((share * (hz - centroid[:, None]) ** 2).sum(axis=1)),
        "rolloff_hz": hz[above.argmax(axis=1)],
        "zcr": (negative[:, 1:] != negative[:, :-1]).sum(axis=1) / 2_048,
    }
    return {name: values.mean() for name, values in per_frame.items()} | {
        f"mfcc_{i}": value for i, value in enumerate(mfcc(magnitude**2, hz).mean(axis=0), 1)
    }


@pytest.mark.parametrize("file", ["f2/gio-f2-b1.ogg", "m3/rab-m3-n3.ogg"])
def test_values_are_those_of_the_definitions(file):
    y, sr = read_audio(DEMO / file, sr=SR)
    y = y[int(0.3 * sr) : int(0.9 * sr)]  # starts and ends amid speech, where the padding tells
    found, expected = named(y, sr), by_definition(y, sr)
    assert list(expected) == list(ORIGINAL38[12:])
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=2e-4, abs=2e-4 if name.startswith("mfcc") else 0), name


# Signals with known answers


@pytest.mark.parametrize("i", range(12))
def test_chroma_of_each_note(i):
    found = named(tone(440 * 2 ** ((i - 9) / 12)))
    chroma = [found[f"chroma_{note}"] for note in NOTES]
    assert np.argmax(chroma) == i
    assert chroma[i] == pytest.approx(1, abs=0.01)


def test_chroma_is_power_relative_to_the_strongest_note():
    soft, softer = (named(tone(440) + tone(440 * 2 ** (6 / 12), peak)) for peak in (0.2, 0.1))
    assert soft["chroma_A"] == pytest.approx(1, abs=0.01)
    assert soft["chroma_Ds"] / softer["chroma_Ds"] == pytest.approx(4, rel=0.05)


@pytest.mark.filterwarnings("ignore:Trying to estimate tuning from empty frequency set")  # of a high tone
@pytest.mark.parametrize("k", [40, 100, 400])
def test_shape_of_a_tone(k):
    hz = k * SR / 2_048  # energy in one bin
    found = named(tone(hz))
    assert found["rms"] == pytest.approx(0.5 / np.sqrt(2), rel=0.01)
    assert found["centroid_hz"] == pytest.approx(hz, rel=0.005)
    assert found["rolloff_hz"] == pytest.approx(hz, abs=1.5 * SR / 2_048)
    assert found["zcr"] == pytest.approx(2 * hz / SR, rel=0.02)
    assert found["bandwidth_hz"] < 100
    assert found["flatness"] < 0.001


def test_shape_of_white_noise():
    found = named(noise())
    assert found["rms"] == pytest.approx(0.1, rel=0.02)
    assert found["centroid_hz"] == pytest.approx(12_000, rel=0.01)
    assert found["rolloff_hz"] == pytest.approx(0.85 * 24_000, rel=0.01)
    assert found["bandwidth_hz"] == pytest.approx(24_000 / np.sqrt(12), rel=0.01)
    assert found["flatness"] == pytest.approx(np.exp(-np.euler_gamma), abs=0.01)  # of exponentially distributed power
    assert found["zcr"] == pytest.approx(0.5, abs=0.01)


def test_level_moves_rms_and_the_first_mfcc_alone():
    loud, soft = named(noise(std=0.2)), named(noise(std=0.02))
    assert loud["rms"] / soft["rms"] == pytest.approx(10, rel=1e-4)
    assert loud["mfcc_1"] - soft["mfcc_1"] == pytest.approx(20 * np.sqrt(128), rel=1e-3)
    for name in set(ORIGINAL38) - {"rms", "mfcc_1"}:
        assert loud[name] == pytest.approx(soft[name], rel=1e-3, abs=1e-3), name


@pytest.mark.filterwarnings("ignore:Trying to estimate tuning from empty frequency set")  # of a constant
@pytest.mark.parametrize("y", [noise(0.1), 1e-4 * noise(0.5), np.ones(9_600, np.float32)], ids=["short", "soft", "constant"])
def test_limits_are_finite(y):
    assert np.isfinite(original38(y, SR)).all()


# The table

FILES = ["f1/neu-f1-b1.ogg", "m1/rab-m1-b1.ogg", "f2/tri-f2-d2.ogg"]


def table_of(files=FILES, variants=("noise", "shift"), n_jobs=1, **how):
    how = {"root": DEMO, "features": "original38", "strengths": STRENGTHS, "seed": 0} | how
    return feature_table(list(files), variants=list(variants), n_jobs=n_jobs, **how)


@pytest.fixture(scope="module")
def table():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SER_PROGRESS", "off")
        return table_of()


def test_table_has_a_row_for_each_clip_and_variant(table):
    assert list(table.columns) == ["file", "variant", *ORIGINAL38]
    assert list(zip(table.file, table.variant, strict=True)) == [
        (file, variant) for file in FILES for variant in ("original", "noise", "shift")
    ]
    assert np.isfinite(table[list(ORIGINAL38)]).all().all()
    assert not table.duplicated(list(ORIGINAL38)).any()


@pytest.mark.parametrize("variant", ["original", "noise", "shift"])
def test_rows_are_the_features_of_the_clips_variants(table, variant):
    y, sr = read_audio(DEMO / FILES[1], sr=48_000)
    y = augment(y, sr=sr, variant=variant, strengths=STRENGTHS, clip=FILES[1], seed=0)
    found = table.query("file == @FILES[1] and variant == @variant")[list(ORIGINAL38)].to_numpy()[0]
    np.testing.assert_allclose(found, original38(y, sr), rtol=1e-5)


def test_table_depends_on_neither_order_nor_company_nor_processes(table):
    keys = ["file", "variant"]
    expected = table.set_index(keys)
    backwards = table_of(FILES[::-1], variants=["shift", "noise"], n_jobs=2).set_index(keys)
    pd.testing.assert_frame_equal(backwards.loc[expected.index], expected, check_exact=True)
    alone = table_of(FILES[2:], variants=["noise"]).set_index(keys)
    pd.testing.assert_frame_equal(alone, expected.loc[alone.index], check_exact=True)


def test_another_seed_changes_the_variants_alone(table):
    other = table_of(FILES[:1], variants=["noise"], seed=1)
    values, others = (one.query("file == @FILES[0]").set_index("variant")[list(ORIGINAL38)] for one in (table, other))
    assert (values.loc["original"] == others.loc["original"]).all()
    assert (values.loc["noise"] != others.loc["noise"]).mean() > 0.9


def test_table_survives_being_written(table, tmp_path):
    table.to_csv(tmp_path / "a.csv", index=False, float_format="%.9g")
    read = read_features(tmp_path / "a.csv", "original38")
    assert (read[list(ORIGINAL38)].dtypes == np.float32).all()
    np.testing.assert_array_equal(read[list(ORIGINAL38)], table[list(ORIGINAL38)])
    assert read.file.tolist() == table.file.tolist()


@pytest.mark.parametrize("change", [lambda t: t.drop(columns="zcr"), lambda t: t[["variant", "file", *ORIGINAL38]]])
def test_table_of_other_columns_is_refused(table, tmp_path, change):
    change(table).to_csv(tmp_path / "features_original38.csv", index=False)
    with pytest.raises(StudyError, match="features_original38.csv has .* expected the 40 of original38: run 02"):
        read_features(tmp_path / "features_original38.csv", "original38")


def test_an_entry_in_the_registry_is_all_that_a_new_set_needs(monkeypatch):
    monkeypatch.setitem(FEATURE_SETS, "peak", FeatureSet(("peak",), 16_000, lambda y, sr: np.array([np.abs(y).max()])))
    made = table_of(FILES[:1], variants=[], features="peak")
    assert made.columns.tolist() == ["file", "variant", "peak"]
    assert made.peak[0] == np.abs(read_audio(DEMO / FILES[0])[0]).max()


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ({"features": "egemaps"}, "Unknown feature set 'egemaps': expected one of original38, functionals."),
        ({"variants": ["echo"]}, "Unknown augmentation 'echo': there are"),
        ({"variants": ["original"]}, "'original' is not an augmentation"),
        ({"strengths": STRENGTHS | {"stretch_rate": 0}}, "STRETCH_RATE is 0: expected more than 0"),
        ({"files": ["f1/nowhere.ogg"]}, "f1/nowhere.ogg cannot be used any more, not readable as audio"),
    ],
)
def test_bad_request_is_refused_in_one_sentence(how, text):
    with pytest.raises(StudyError, match=re.escape(text)):
        table_of(**how)


def test_recording_that_went_silent_is_named(tmp_path):
    sf.write(tmp_path / "a.wav", np.zeros(16_000), 16_000)
    with pytest.raises(StudyError, match="^a.wav cannot be used any more, silent.*: run 01_explore again.$"):
        table_of(["a.wav"], root=tmp_path)


@pytest.mark.parametrize(("sr", "channels"), [(8_000, 1), (44_100, 2)])
def test_eight_khz_and_stereo_recordings_have_features(tmp_path, sr, channels):
    hiss = np.random.default_rng(0).uniform(-0.5, 0.5, (sr, channels))
    sf.write(tmp_path / "a.wav", hiss, sr)
    made = table_of(["a.wav"], root=tmp_path, variants=[])
    assert np.isfinite(made[list(ORIGINAL38)]).all().all()
    assert made.centroid_hz[0] < sr / 2


# Tables as files


@pytest.mark.parametrize("name, tolerance", [("a.npz", 0), ("a.csv", 1e-6)])
def test_table_comes_back_from_its_file(table, tmp_path, name, tolerance):
    write_table(table, tmp_path / name)
    read = read_features(tmp_path / name, "original38")
    pd.testing.assert_frame_equal(read[["file", "variant"]], table[["file", "variant"]])
    assert list(read.columns) == list(table.columns)
    assert (read[list(ORIGINAL38)].dtypes == np.float32).all()
    np.testing.assert_allclose(read[list(ORIGINAL38)], table[list(ORIGINAL38)], rtol=tolerance)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_compact_table_needs_no_pickle_and_is_the_same_file_each_time(table, tmp_path):
    for name in ("a.npz", "b.npz"):
        write_table(table, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert {key: arrays[key].dtype.kind for key in arrays} == {"files": "U", "variants": "U", "names": "U", "values": "f"}
        assert arrays["values"].shape == (len(table), 38)


@pytest.mark.parametrize("name", ["features.npz", "features.csv"])
def test_failed_write_leaves_the_table_that_was_there(table, tmp_path, monkeypatch, name):
    write_table(table, tmp_path / name)
    before = (tmp_path / name).read_bytes()

    def fail(path, *args, **kwargs):
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez_compressed", fail)
    monkeypatch.setattr(pd.DataFrame, "to_csv", lambda self, path, **how: fail(path))
    with pytest.raises(OSError, match="no space"):
        write_table(table.iloc[:2], tmp_path / name)
    assert (tmp_path / name).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_compact_table_of_another_set_is_refused(table, tmp_path):
    write_table(table, tmp_path / "features.npz")
    with pytest.raises(StudyError, match="^features.npz has 40 columns, expected the 487 of functionals: run 02"):
        read_features(tmp_path / "features.npz", "functionals")


# Recordings of several channels


def stereo(path, delay=6):
    y = noise(0.5)
    two = np.stack([np.pad(y, (0, delay)), np.pad(0.5 * y, (delay, 0))])
    sf.write(path, two.T, SR, subtype="FLOAT")
    return two


def test_channels_are_kept_on_demand(tmp_path):
    two = stereo(tmp_path / "a.wav")
    y, sr = read_audio(tmp_path / "a.wav", mono=False)
    assert (sr, y.dtype) == (SR, np.float32)
    np.testing.assert_array_equal(y, two)
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav")[0], two.mean(axis=0))
    kept, mixed = (read_audio(tmp_path / "a.wav", sr=16_000, mono=mono)[0] for mono in (False, True))
    assert kept.shape == (2, mixed.size)
    np.testing.assert_allclose(kept.mean(axis=0), mixed, atol=1e-5)


def test_one_channel_is_kept_as_one(tmp_path):
    sf.write(tmp_path / "a.wav", noise(0.5), SR)
    y, _ = read_audio(tmp_path / "a.wav", mono=False)
    assert y.shape == (1, SR // 2)


def test_it_is_the_mix_that_is_checked(tmp_path):
    y = noise(0.5)
    sf.write(tmp_path / "a.wav", np.stack([y, -y], axis=1), SR, subtype="FLOAT")
    with pytest.raises(AudioError, match="silent"):
        read_audio(tmp_path / "a.wav", mono=False)


def varied(y, variant):
    return augment(y, sr=SR, variant=variant, strengths=STRENGTHS, clip="a.wav", seed=0)


@pytest.mark.parametrize("variant", AUGMENTATIONS)
def test_variant_of_one_channel_is_that_of_the_mono_recording_to_the_bit(variant):
    y = noise(0.5)
    made = varied(y[None], variant)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, varied(y, variant)[None])


@pytest.mark.parametrize("variant", [name for name in AUGMENTATIONS if name != "noise"])
def test_variant_of_two_channels_changes_each_alike(variant):
    y = noise(0.5)
    two = np.stack([y, 0.5 * y[::-1]])
    made = varied(two, variant)
    for channel, expected in zip(made, two, strict=True):
        np.testing.assert_allclose(channel, varied(expected, variant), atol=1e-6)


def test_noise_is_each_channels_own_at_one_level():
    two = np.stack([noise(2), 0.1 * noise(2)])
    first, second = varied(two, "noise") - two
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02
    assert first.std() == pytest.approx(second.std(), rel=0.02)
    alone = varied(two[0], "noise") - two[0]
    assert first.std() == pytest.approx(alone.std(), rel=0.02)


def test_set_hears_the_channels_that_it_asks_for(tmp_path, monkeypatch):
    stereo(tmp_path / "a.wav")
    for mono in (False, True):
        monkeypatch.setitem(FEATURE_SETS, "ndim", FeatureSet(("ndim",), SR, lambda y, sr: np.array([y.ndim]), mono))
        made = table_of(["a.wav"], root=tmp_path, features="ndim", variants=list(AUGMENTATIONS))
        assert (made["ndim"] == (1 if mono else 2)).all()


def test_functionals_are_a_registered_set_that_keeps_channels(tmp_path):
    stereo(tmp_path / "a.wav")
    made = table_of(["a.wav"], root=tmp_path, features="functionals", variants=["noise"])
    assert list(made.columns) == ["file", "variant", *names()]
    y, sr = read_audio(tmp_path / "a.wav", sr=16_000, mono=False)
    np.testing.assert_allclose(made[list(names())].to_numpy()[0], functionals(y, sr), rtol=1e-4, atol=1e-4)
    assert (made.iloc[0, 2:] != made.iloc[1, 2:]).mean() > 0.5


def test_names_that_take_work_are_asked_for_only_when_needed():
    asked = []
    feature_set = FeatureSet(lambda: asked.append(1) or ("a", "b"), SR, original38)
    assert not asked
    assert feature_set.names == ("a", "b") and asked


# Variance between groups


def test_variance_that_a_factor_explains_wholly_not_at_all_and_in_part():
    factor = pd.Series(["a", "a", "b", "b"], index=[9, 8, 7, 6])
    values = pd.DataFrame({"all": [1.0, 1, 3, 3], "none": [1.0, 3, 1, 3], "part": [0.0, 2, 4, 6]})
    shares = variance_by(values, factor)
    assert shares.to_dict() == pytest.approx({"all": 1, "none": 0, "part": 16 / 20})


def test_variance_of_permuted_labels_is_small():
    rng = np.random.default_rng(0)
    values = pd.DataFrame(rng.standard_normal((700, 5)))
    assert variance_by(values, pd.Series(rng.permutation(np.arange(700) % 7))).max() < 0.03


def test_registry_names_match_the_values():
    for feature_set in features.FEATURE_SETS.values():
        assert feature_set.extract(noise(0.2), feature_set.sr).shape == (len(feature_set.names),)
