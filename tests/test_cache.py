"""The cache of results: entries are found by all that they depend on and by nothing else, and damaged ones are not used."""

import contextlib
import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from ser_utils import __main__
from ser_utils.core import cache, paths

ARRAYS = {"row": np.arange(6, dtype=np.float32).reshape(2, 3), "names": np.array(["rms", "zcr"])}
PARTS = {"code": "c", "x": np.arange(6.0).reshape(2, 3), "seed": 1, "strengths": {"rate": 0.8, "steps": 0.7}}
KEY = cache.key(**PARTS)
OTHER = cache.key(code="d")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(cache, "_broken", set())


def save(arrays=ARRAYS, key=KEY):
    cache.save("features", key, arrays)


def load(key=KEY):
    return cache.load("features", key)


def entry():
    """The file of the one entry that there is."""
    (path,) = (path for path in paths.CACHE.rglob("*") if path.is_file())
    return path


CHANGES = {
    "last digit": {"x": PARTS["x"] + np.eye(2, 3) * 1e-15},
    "precision": {"x": PARTS["x"].astype(np.float32)},
    "type": {"x": PARTS["x"].view(np.int64)},
    "byte order": {"x": PARTS["x"].astype(">f8")},
    "shape": {"x": PARTS["x"].reshape(3, 2)},
    "order of values": {"x": PARTS["x"].T},
    "no array": {"x": PARTS["x"].tolist()},
    "empty array": {"x": np.empty((0, 3))},
    "number": {"seed": 2},
    "text": {"seed": "1"},
    "none": {"seed": None},
    "setting": {"strengths": {"rate": 0.8, "steps": 0.70000001}},
    "missing setting": {"strengths": {"rate": 0.8}},
    "exchanged settings": {"strengths": {"rate": 0.7, "steps": 0.8}},
    "exchanged values": {"x": 1, "seed": PARTS["x"]},
    "new part": {"more": 0},
    "code": {"code": "d"},
}


def test_a_key_changes_with_every_part():
    keys = {name: cache.key(**(PARTS | change)) for name, change in CHANGES.items()}
    assert len({KEY, *keys.values()}) == len(CHANGES) + 1, keys


SAME = {
    "copied": {"x": PARTS["x"].copy()},
    "other memory layout": {"x": np.asfortranarray(PARTS["x"])},
    "part of another array": {"x": np.repeat(PARTS["x"], 2, axis=1)[:, ::2]},
    "other order of settings": {"strengths": {"steps": 0.7, "rate": 0.8}},
}


@pytest.mark.parametrize("same", SAME.values(), ids=SAME)
def test_a_key_does_not_depend_on_layout_and_order(same):
    assert cache.key(**dict(reversed((PARTS | same).items()))) == KEY


@pytest.mark.parametrize("seed", ["1", "2"])
def test_a_key_is_the_same_in_another_process(seed):
    code = "import test_cache; print(test_cache.KEY)"
    environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": f"{paths.ROOT}:{paths.ROOT / 'tests'}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == KEY


def test_results_of_code_without_a_version_are_not_cached():
    nothing = cache.key(**(PARTS | {"code": None}))
    save(key=nothing)
    assert load(nothing) is None and not paths.CACHE.exists()


def test_arrays_are_loaded_as_they_were_saved():
    arrays = ARRAYS | {"nan": np.array([np.nan, -0.0, np.inf]), "empty": np.empty((0, 3), np.int8), "scalar": np.array(7)}
    save(arrays)
    loaded = load()
    assert list(loaded) == list(arrays)
    for name, array in arrays.items():
        assert (loaded[name].dtype, loaded[name].shape) == (array.dtype, array.shape)
        assert loaded[name].tobytes() == array.tobytes()
    assert load(OTHER) is None and cache.load("fits", KEY) is None


DAMAGES = {
    "empty": lambda whole: [b""],
    "truncated": lambda whole: [whole[:n] for n in range(1, len(whole), 50)] + [whole[:-1]],
    "one bit flipped": lambda whole: [whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in range(len(whole))],
    "a block of zeros": lambda whole: [whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2)],
    "longer": lambda whole: [whole + b"\0"],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_entry_is_missing_until_it_is_saved_again(damage):
    save()
    for damaged in damage(entry().read_bytes()):
        entry().write_bytes(damaged)
        assert load() is None
    save()
    np.testing.assert_array_equal(load()["row"], ARRAYS["row"])


def test_an_entry_under_another_key_is_not_used():
    save()
    save(key=OTHER)
    cache._path("features", KEY).replace(cache._path("features", OTHER))
    assert load(OTHER) is None


def test_with_reading_off_entries_are_still_written(monkeypatch):
    save({"row": np.zeros(2)})
    monkeypatch.setenv("SER_CACHE_READ", "off")
    assert load() is None
    save()
    monkeypatch.delenv("SER_CACHE_READ")
    np.testing.assert_array_equal(load()["row"], ARRAYS["row"])


@contextlib.contextmanager
def limited_file_size(n_bytes):
    """Make writing fail in the middle of a file, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def announced(monkeypatch):
    lines = []
    monkeypatch.setattr(cache, "announce", lines.append)
    return lines


def test_on_a_full_disk_the_old_entry_stays_and_one_line_is_announced(announced):
    save()
    whole = entry().read_bytes()
    with limited_file_size(len(whole) // 2):
        for key in (KEY, OTHER):
            save({"row": np.zeros(1000)}, key)
    assert entry().read_bytes() == whole
    assert announced == [f"Results cannot be cached in {paths.CACHE} (File too large); the run continues without a cache."]


def test_in_a_folder_that_cannot_be_written_one_line_is_announced(announced, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr(paths, "CACHE", tmp_path / "file")
    for key in (KEY, OTHER):
        save(key=key)
    assert load() is None and len(announced) == 1


SAVES = """
import sys
import numpy as np
from ser_utils.core import cache
print("ready", flush=True)
sys.stdin.readline()
for _ in range(60):
    cache.save("features", sys.argv[2], {"row": np.full(5000, float(sys.argv[1]))})
    loaded = cache.load("features", sys.argv[2])
    assert loaded is not None and len(set(loaded["row"])) == 1, "an entry was not whole"
"""


def test_two_processes_may_save_the_same_entry_at_once():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = os.environ | {"SER_CACHE": str(paths.CACHE)}
    both = [subprocess.Popen([sys.executable, "-c", SAVES, name, KEY], env=environment, **pipes) for name in "12"]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in both:
        process.communicate(timeout=300)
    assert [process.returncode for process in both] == [0, 0]
    assert entry() == cache._path("features", KEY)  # no temporary file is left


def test_the_command_shows_the_size_and_removes_entries_only(capsys):
    assert __main__.main(["cache"]) == 0
    for kind, key in (("features", KEY), ("fits", KEY), ("fits", OTHER)):
        cache.save(kind, key, {"row": np.zeros(50_000)})
    (paths.CACHE / "README.md").write_text("not a result")
    assert __main__.main(["cache"]) == 0 and load() is not None
    assert __main__.main(["cache", "--clear"]) == 0
    lines = [f"{text}, in {paths.CACHE}" for text in ("0 results, 0.0 MB", "3 results, 1.2 MB", "Removed 3 results, 1.2 MB")]
    assert capsys.readouterr().out.splitlines() == lines
    assert [path.name for path in paths.CACHE.iterdir()] == ["README.md"]
