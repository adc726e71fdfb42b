"""Tables of features: rows, one pass over the audio, the cache, and equal bytes for any number of processes."""

import functools
import itertools
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from ser_utils.core import cache, code_version, paths
from ser_utils.core.audio import AudioError, read_audio
from ser_utils.core.errors import StudyError
from ser_utils.core.parallel import Execution
from ser_utils.core.tables import ORIGINAL
from ser_utils.features import extraction, f0, short_time
from ser_utils.features.augmentation import AUGMENTATIONS, STRENGTHS, Augmentation, augment
from ser_utils.features.original38 import NAMES, original38
from ser_utils.features.registry import FEATURE_SETS, FeatureSet, write_features

DEMO = paths.ROOT / "data" / "demo"
FILES = ["f1/neu-f1-b1.ogg", "m1/rab-m1-b1.ogg", "f2/tri-f2-d2.ogg"]
SETS = ("original38", "functionals")
SR = 48_000


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    """A separate cache, which is written but not read, so that every call computes."""
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("SER_CACHE_READ", "off")
    monkeypatch.setenv("SER_PROGRESS", "off")


@pytest.fixture
def computed(monkeypatch):
    """Set, variant and file of each row that is computed, with the cache read."""
    monkeypatch.delenv("SER_CACHE_READ")
    log, clip_features = [], extraction.clip_features

    def logged(recording, audio, cells, strengths, seed):
        log.extend((cell.features, cell.variant, recording.file) for cell in cells)
        return clip_features(recording, audio, cells, strengths, seed)

    monkeypatch.setattr(extraction, "clip_features", logged)
    return log


@pytest.fixture
def corpus(tmp_path):
    """A folder with three clips that a test may modify."""
    for file in FILES:
        (tmp_path / "corpus" / file).parent.mkdir(parents=True)
        shutil.copy(DEMO / file, tmp_path / "corpus" / file)
    return tmp_path / "corpus"


def tables_of(files=FILES, variants=("noise", "shift"), n_jobs=1, features=("original38",), **how):
    how = {"root": DEMO, "strengths": STRENGTHS, "seed": 0} | how
    return extraction.feature_tables(
        list(files), features=list(features), variants=variants, execution=Execution(n_jobs), **how
    )


def table_of(*args, features="original38", **how):
    return tables_of(*args, features=[features], **how)[features]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "CACHE", tmp_path_factory.mktemp("cache"))
        patch.setenv("SER_PROGRESS", "off")
        return table_of()


# Rows


def test_sequences_are_as_long_as_their_clips():
    made = tables_of(FILES[:2], features=["log_mel"], variants=["stretch"])["log_mel"]
    lengths = made.frames.map(len).to_numpy().reshape(2, 2)
    assert list(made.columns) == ["file", "variant", "frames"] and made.frames[0].dtype == np.float32
    np.testing.assert_allclose(lengths[:, 1] / lengths[:, 0], 1 / STRENGTHS["stretch_rate"], rtol=0.1)
    again = tables_of(FILES[:2], features=["log_mel"], variants=["stretch"], n_jobs=2)["log_mel"]
    for frames, expected in zip(made.frames, again.frames, strict=True):
        np.testing.assert_array_equal(frames, expected)


def test_table_has_a_row_for_each_clip_and_variant(table):
    assert list(table.columns) == ["file", "variant", *NAMES]
    assert list(zip(table.file, table.variant, strict=True)) == [
        (file, variant) for file in FILES for variant in (ORIGINAL, "noise", "shift")
    ]
    assert (table[list(NAMES)].dtypes == np.float32).all()
    assert np.isfinite(table[list(NAMES)]).all().all()
    assert not table.duplicated(list(NAMES)).any()


@pytest.mark.parametrize("variant", [ORIGINAL, "noise", "shift"])
def test_rows_are_the_features_of_the_clips_variants(table, variant):
    y, sr = read_audio(DEMO / FILES[1], sr=SR)
    y = augment(y, sr=sr, variant=variant, strengths=STRENGTHS, clip=FILES[1], seed=0)
    found = table.query("file == @FILES[1] and variant == @variant")[list(NAMES)].to_numpy()[0]
    np.testing.assert_allclose(found, original38(y, sr), rtol=1e-5)


def test_rows_do_not_depend_on_order_other_rows_or_processes(table):
    keys = ["file", "variant"]
    expected = table.set_index(keys)
    backwards = table_of(FILES[::-1], variants=["shift", "noise"], n_jobs=2).set_index(keys)
    pd.testing.assert_frame_equal(backwards.loc[expected.index], expected, check_exact=True)
    alone = table_of(FILES[2:], variants=["noise"]).set_index(keys)
    pd.testing.assert_frame_equal(alone, expected.loc[alone.index], check_exact=True)


def test_several_sets_at_once_equal_one_at_a_time():
    together = tables_of(FILES[:2], features=SETS, variants=["noise"])
    assert list(together) == list(SETS)
    for name in SETS:
        alone = table_of(FILES[:2], features=name, variants=["noise"])
        pd.testing.assert_frame_equal(together[name], alone, check_exact=True)


def test_each_set_has_its_variants():
    by_set = {"original38": [], "functionals": ["shift", "noise"]}
    made = tables_of(FILES[:2], features=["original38", "functionals"], variants=by_set)
    assert {name: table.variant.tolist() for name, table in made.items()} == {
        "original38": [ORIGINAL] * 2,
        "functionals": [ORIGINAL, "shift", "noise"] * 2,
    }
    alone = table_of(FILES[:2], features="functionals", variants=["noise"])
    noisy = made["functionals"].query("variant == 'noise'").reset_index(drop=True)
    pd.testing.assert_frame_equal(noisy, alone.query("variant == 'noise'").reset_index(drop=True), check_exact=True)


def test_same_bytes_for_one_process_and_two(tmp_path):
    for n_jobs in (1, 2):
        for name, made in tables_of(features=SETS, variants=["noise", "stretch_pitch"], n_jobs=n_jobs).items():
            for suffix in ("csv", "npz"):
                write_features(made, tmp_path / f"{name}-{n_jobs}.{suffix}")
    for name, suffix in itertools.product(SETS, ("csv", "npz")):
        one, two = ((tmp_path / f"{name}-{n_jobs}.{suffix}").read_bytes() for n_jobs in (1, 2))
        assert one == two


def test_a_clip_is_read_once_and_each_frame_of_a_variant_transformed_once(monkeypatch):
    reads, frames, changes = [], [], []
    power_spectrogram = short_time.power_spectrogram
    monkeypatch.setattr(extraction, "warm_up", lambda: None)
    monkeypatch.setattr(extraction, "read_audio", lambda *args, **how: reads.append(1) or read_audio(*args, **how))

    def counted(y_frames, window):
        frames.append(len(y_frames))
        return power_spectrogram(y_frames, window)

    monkeypatch.setattr(short_time, "power_spectrogram", counted)
    table_of(FILES[:1], variants=["noise", "shift"])
    y, _ = read_audio(DEMO / FILES[0], sr=SR)
    assert frames == 3 * [1 + y.size // 512]
    monkeypatch.setattr(extraction, "augment", lambda y, *, sr, variant, **_: changes.append((sr, variant)) or y)
    tables_of(FILES[1:], features=SETS, variants=list(AUGMENTATIONS))
    assert len(reads) == 1 + 2
    assert len(changes) == len(set(changes)) * 2, "sets of one sample rate share a variant"


def test_warm_up_compiles_the_kernels_that_recordings_need():
    extraction.warm_up()
    kernels = (f0._forward, f0._priors_by_threshold, f0._trace_back)
    compiled = [list(kernel.signatures) for kernel in kernels]
    for name in SETS:
        tables_of(FILES[:1], features=[name], variants=["noise", "stretch_pitch"])
    assert [kernel.signatures for kernel in kernels] == compiled and all(compiled)


# Registration


def extremes(y, sr):
    return np.array([y.min(), y.max()])


def halved(y, sr, rng, strengths):
    return y / 2


@pytest.mark.parametrize("local", [False, True], ids=["of a module", "in a function"])
def test_entries_registered_at_run_time_work_in_other_processes(monkeypatch, local):
    entry = FeatureSet(("low", "high"), 16_000, (lambda y, sr: extremes(y, sr)) if local else extremes)
    monkeypatch.setitem(FEATURE_SETS, "extremes", entry)
    change = (lambda y, sr, rng, strengths: y / 2) if local else halved
    monkeypatch.setitem(AUGMENTATIONS, "halved", Augmentation(change))
    made = table_of(features="extremes", variants=["halved"], n_jobs=2)
    pd.testing.assert_frame_equal(made, table_of(features="extremes", variants=["halved"]), check_exact=True)
    by_variant = made.set_index("variant")[["low", "high"]]
    np.testing.assert_array_equal(by_variant.loc["halved"], by_variant.loc[ORIGINAL] / 2)


# Invalid requests and recordings


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ({"features": "egemaps"}, "Unknown feature set 'egemaps': expected one of original38, functionals, log_mel."),
        ({"variants": ["echo"]}, "Unknown augmentation 'echo': expected one of"),
        ({"variants": [ORIGINAL]}, "'original' is not an augmentation"),
        ({"strengths": STRENGTHS | {"stretch_rate": 0}}, "STRETCH_RATE is 0: expected more than 0"),
        ({"files": [FILES[0], "f1/nowhere.ogg"]}, "f1/nowhere.ogg is not there any more: run 01_explore again."),
    ],
)
def test_bad_request_is_refused_in_one_sentence(how, text):
    with pytest.raises(StudyError, match=re.escape(text)):
        table_of(**how)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_recording_that_went_silent_is_named(tmp_path, n_jobs):
    sf.write(tmp_path / "a.wav", np.zeros(16_000), 16_000)
    with pytest.raises(StudyError, match="^a.wav cannot be used any more, silent.*: run 01_explore again.$"):
        table_of(["a.wav"], root=tmp_path, n_jobs=n_jobs)


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda path: path.write_bytes(path.read_bytes() + b"\0"), "was changed while the study ran: run it again."),
        (lambda path: path.unlink(), "is not there any more: run 01_explore again."),
    ],
    ids=["changed", "deleted"],
)
def test_recording_that_changes_while_the_study_runs_is_named(corpus, monkeypatch, n_jobs, change, text):
    before = paths.file_hashes(corpus, FILES)
    monkeypatch.setattr(extraction, "file_hashes", lambda root, files: before)
    change(corpus / FILES[1])
    with pytest.raises(StudyError, match=f"^{FILES[1]} {text}$"):
        table_of(root=corpus, n_jobs=n_jobs)


@pytest.mark.parametrize(("sr", "channels"), [(8_000, 1), (44_100, 2)])
def test_eight_khz_and_stereo_recordings_have_features(tmp_path, sr, channels):
    hiss = np.random.default_rng(0).uniform(-0.5, 0.5, (sr, channels))
    sf.write(tmp_path / "a.wav", hiss, sr)
    made = table_of(["a.wav"], root=tmp_path, variants=[])
    assert np.isfinite(made[list(NAMES)]).all().all()
    assert made.centroid_hz[0] < sr / 2


# Cache


def rows(*variants, files=FILES, features=("original38",)):
    """Return the entries of `computed` for these variants."""
    return set(itertools.product(features, variants, files))


def test_a_second_call_computes_nothing(monkeypatch):
    monkeypatch.delenv("SER_CACHE_READ")
    first = tables_of(features=SETS)
    monkeypatch.setattr(extraction, "clip_features", lambda *_: pytest.fail("computed again"))
    for n_jobs in (1, 2):
        for name, again in tables_of(features=SETS, n_jobs=n_jobs).items():
            pd.testing.assert_frame_equal(again, first[name], check_exact=True)


ALL_VARIANTS = list(AUGMENTATIONS)


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"strengths": STRENGTHS | {"noise_amplitude": 0.05}}, ["noise"]),
        ({"strengths": STRENGTHS | {"stretch_rate": 0.9}}, ["stretch", "stretch_pitch"]),
        ({"strengths": STRENGTHS | {"pitch_steps": 1.0}}, ["pitch", "stretch_pitch"]),
        ({"strengths": STRENGTHS | {"shift_max_s": 0.2}}, ["shift"]),
        ({"seed": 1}, ["noise", "shift"]),
    ],
    ids=["NOISE_AMPLITUDE", "STRETCH_RATE", "PITCH_STEPS", "SHIFT_MAX_S", "AUGMENT_SEED"],
)
def test_a_changed_parameter_recomputes_only_dependent_rows(computed, monkeypatch, change, again):
    table_of(FILES[:1], variants=ALL_VARIANTS)
    computed.clear()
    made = table_of(FILES[:1], variants=ALL_VARIANTS, **change)
    assert set(computed) == rows(*again, files=FILES[:1]) and len(computed) == len(again)
    monkeypatch.setenv("SER_CACHE_READ", "off")
    pd.testing.assert_frame_equal(made, table_of(FILES[:1], variants=ALL_VARIANTS, **change), check_exact=True)


def test_a_changed_recording_recomputes_only_its_own_rows(computed, corpus):
    first = table_of(root=corpus).set_index("file")
    computed.clear()
    y, sr = read_audio(DEMO / FILES[1])
    sf.write(corpus / FILES[1], 0.5 * y, sr)
    second = table_of(root=corpus).set_index("file")
    assert set(computed) == rows(ORIGINAL, "noise", "shift", files=[FILES[1]])
    same = [FILES[0], FILES[2]]
    pd.testing.assert_frame_equal(second.loc[same], first.loc[same], check_exact=True)
    np.testing.assert_allclose(second.rms[FILES[1]], 0.5 * first.rms[FILES[1]], rtol=0.01)


def test_more_clips_variants_and_sets_compute_only_new_rows(computed):
    table_of(FILES[:2], variants=["noise"])
    computed.clear()
    table_of(FILES, variants=["noise"])
    assert set(computed) == rows(ORIGINAL, "noise", files=FILES[2:])
    computed.clear()
    table_of(FILES, variants=["shift", "noise"])
    assert set(computed) == rows("shift")
    computed.clear()
    tables_of(FILES, variants=["noise"], features=SETS)
    assert set(computed) == rows(ORIGINAL, "noise", features=["functionals"])


def test_a_renamed_recording_keeps_rows_that_do_not_depend_on_its_name(computed, corpus):
    first = table_of(FILES[:1], root=corpus, variants=["noise", "stretch"])
    computed.clear()
    (corpus / FILES[0]).rename(corpus / "f1" / "again.ogg")
    second = table_of(["f1/again.ogg"], root=corpus, variants=["noise", "stretch"])
    assert set(computed) == rows("noise", files=["f1/again.ogg"])
    alike = (first[list(NAMES)] == second[list(NAMES)]).all(axis=1)
    assert dict(zip(first.variant, alike, strict=True)) == {ORIGINAL: True, "noise": False, "stretch": True}


def entries():
    return sorted(path for path in (paths.CACHE / "features").rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "corrupt",
    [
        lambda entry: entry[:-7] + bytes([entry[-7] ^ 1]) + entry[-6:],
        lambda entry: entry[: len(entry) // 2],
        lambda entry: b"",
        lambda entry: entry + b"\0",
    ],
    ids=["a bit flipped", "cut off", "empty", "longer"],
)
def test_a_corrupt_entry_is_detected_and_only_it_is_recomputed(computed, corrupt):
    first = table_of()
    assert len(entries()) == len(computed) == 9
    computed.clear()
    entry = entries()[4]
    intact = entry.read_bytes()
    entry.write_bytes(corrupt(intact))
    second = table_of()
    assert len(computed) == 1
    pd.testing.assert_frame_equal(second, first, check_exact=True)
    assert entry.read_bytes() == intact, "rewritten"
    table_of()
    assert len(computed) == 1


def test_other_code_computes_everything_again(computed, monkeypatch):
    table_of()
    computed.clear()
    monkeypatch.setattr(code_version, "_version", functools.cache(lambda names, alone: "another"))
    table_of()
    assert set(computed) == rows(ORIGINAL, "noise", "shift")


def test_features_defined_in_a_notebook_are_not_cached(computed, monkeypatch):
    def mean(y, sr):
        return np.array([y.mean()])

    mean.__module__ = "__main__"
    monkeypatch.setitem(FEATURE_SETS, "mean", FeatureSet(("mean",), 16_000, mean))
    for _ in range(2):
        table_of(features="mean", variants=["noise"])
        assert set(computed) == rows(ORIGINAL, "noise", features=["mean"])
        computed.clear()
    assert not entries()


def test_an_interrupted_run_keeps_its_finished_rows(computed, monkeypatch):
    clip_features = extraction.clip_features

    def stops(recording, audio, cells, strengths, seed):
        if recording.file == FILES[1]:
            raise KeyboardInterrupt
        return clip_features(recording, audio, cells, strengths, seed)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(extraction, "clip_features", stops)
        table_of()
    assert set(computed) == rows(ORIGINAL, "noise", "shift", files=FILES[:1])
    computed.clear()
    table_of()
    assert set(computed) == rows(ORIGINAL, "noise", "shift", files=FILES[1:])


def test_a_cache_that_cannot_be_written_stops_nothing(table, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("where the folder should be")
    monkeypatch.setattr(paths, "CACHE", tmp_path / "file")
    monkeypatch.setattr(cache, "_broken", set())
    pd.testing.assert_frame_equal(table_of(), table, check_exact=True)


# Multichannel recordings


def stereo(path, delay=6):
    y = (0.1 * np.random.default_rng(0).standard_normal(SR // 2)).astype(np.float32)
    two = np.stack([np.pad(y, (0, delay)), np.pad(0.5 * y, (delay, 0))])
    sf.write(path, two.T, SR, subtype="FLOAT")
    return two


def test_channels_are_kept_on_demand_and_their_mix_is_checked(tmp_path):
    two = stereo(tmp_path / "a.wav")
    y, sr = read_audio(tmp_path / "a.wav", mono=False)
    assert (sr, y.dtype) == (SR, np.float32)
    np.testing.assert_array_equal(y, two)
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav")[0], two.mean(axis=0))
    kept, mixed = (read_audio(tmp_path / "a.wav", sr=16_000, mono=mono)[0] for mono in (False, True))
    assert kept.shape == (2, mixed.size)
    np.testing.assert_allclose(kept.mean(axis=0), mixed, atol=1e-5)
    sf.write(tmp_path / "one.wav", two[0], SR)
    assert read_audio(tmp_path / "one.wav", mono=False)[0].shape == (1, two.shape[1])
    sf.write(tmp_path / "cancels.wav", np.stack([two[0], -two[0]], axis=1), SR, subtype="FLOAT")
    with pytest.raises(AudioError, match="silent"):
        read_audio(tmp_path / "cancels.wav", mono=False)


def test_a_set_gets_mixed_or_separate_channels_as_declared(tmp_path, monkeypatch):
    stereo(tmp_path / "a.wav")
    for mono in (False, True):
        monkeypatch.setitem(FEATURE_SETS, "ndim", FeatureSet(("ndim",), SR, lambda y, sr: np.array([y.ndim]), mono))
        made = table_of(["a.wav"], root=tmp_path, features="ndim", variants=list(AUGMENTATIONS))
        assert (made["ndim"] == (1 if mono else 2)).all()
