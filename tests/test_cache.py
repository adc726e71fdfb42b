"""What is kept: found by all that it depends on and by nothing else, and never taken where it is not whole."""

import contextlib
import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ser_utils import __main__
from ser_utils.core import cache, paths

ARRAYS = {"row": np.arange(6, dtype=np.float32).reshape(2, 3), "names": np.array(["rms", "zcr"])}
PARTS = {"x": np.arange(6.0).reshape(2, 3), "seed": 1, "strengths": {"rate": 0.8, "steps": 0.7}}
KEY = cache.key(code="c", **PARTS)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(cache, "_broken", set())


def entry():
    """The file of the one entry that there is."""
    (path,) = (path for path in paths.CACHE.rglob("*") if path.is_file())
    return path


def save(values=ARRAYS, key=KEY):
    cache.save("features", key, values)


def loads(key=KEY):
    return cache.load("features", key)


# What an entry is found by


CHANGES = {
    "a last digit": {"x": PARTS["x"] + np.eye(2, 3) * 1e-15},
    "precision": {"x": PARTS["x"].astype(np.float32)},
    "type": {"x": PARTS["x"].view(np.int64)},
    "order of bytes": {"x": PARTS["x"].astype(">f8")},
    "shape": {"x": PARTS["x"].reshape(3, 2)},
    "order of values": {"x": PARTS["x"].T},
    "no array": {"x": PARTS["x"].tolist()},
    "a number": {"seed": 2},
    "a text": {"seed": "1"},
    "nothing": {"seed": None},
    "a setting": {"strengths": {"rate": 0.8, "steps": 0.70000001}},
    "a setting less": {"strengths": {"rate": 0.8}},
    "settings exchanged": {"strengths": {"rate": 0.7, "steps": 0.8}},
    "one more": {"more": 0},
    "code": {"code": "d"},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_key_changes_with_whatever_is_changed(change):
    other = cache.key(**({"code": "c"} | PARTS | change))
    assert len(other) == 64 and other != KEY


def test_a_key_changes_with_the_name_that_a_value_has():
    x, y = np.arange(3), np.arange(4)
    assert cache.key(code="c", train=x, test=y) != cache.key(code="c", train=y, test=x)
    assert cache.key(code="c", a=1, b=2) != cache.key(code="c", a=2, b=1)
    assert len({cache.key(code="c", **{name: value}) for name in ("train", "test") for value in (1, x)}) == 4


@pytest.mark.parametrize(
    "same",
    [
        {"x": PARTS["x"].copy()},
        {"x": np.asfortranarray(PARTS["x"])},
        {"x": np.repeat(PARTS["x"], 2, axis=1)[:, ::2]},
        {"strengths": {"steps": 0.7, "rate": 0.8}},
    ],
    ids=["copied", "laid out otherwise in memory", "part of another", "settings in another order"],
)
def test_a_key_does_not_change_with_anything_else(same):
    assert cache.key(**dict(reversed(({"code": "c"} | PARTS | same).items()))) == KEY


def test_a_key_is_the_same_in_another_process():
    code = "import numpy as np; from ser_utils.core import cache; print(cache.key(code='c', x=np.arange(3), z={'k': 0.1}))"
    for seed in "12":
        environment = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == cache.key(code="c", x=np.arange(3), z={"k": 0.1})


def test_arrays_of_nothing_and_of_text_have_keys():
    empty = {cache.key(code="c", x=np.empty(shape)) for shape in [(0,), (0, 5), (5, 0)]}
    texts = {cache.key(code="c", x=np.array(text)) for text in ("a", "b", ["a"], ["a", ""])}
    assert len(empty | texts) == 7


def test_what_is_computed_by_code_without_a_version_is_never_kept():
    nothing = cache.key(code=None, **PARTS)
    save(key=nothing)
    assert loads(nothing) is None
    assert not paths.CACHE.exists()


# What is read


def test_what_was_saved_is_loaded_to_the_bit():
    odd = {"nan": np.array([np.nan, -0.0, np.inf]), "none": np.empty((0, 3), np.int8), "one": np.array(7)}
    save({**ARRAYS, **odd})
    found = loads()
    assert list(found) == [*ARRAYS, *odd]
    for name, array in {**ARRAYS, **odd}.items():
        assert (found[name].dtype, found[name].shape, found[name].tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_what_was_never_saved_is_not_there():
    save()
    assert loads(cache.key(code="d", **PARTS)) is None
    assert cache.load("fits", KEY) is None


def test_an_entry_altered_by_one_bit_is_not_taken():
    save()
    path, whole = entry(), entry().read_bytes()
    for at in {*range(0, len(whole), 97), len(whole) - 1}:  # in the checksum, in the arrays, in the zip's directory
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert loads() is None, f"byte {at}"
    path.write_bytes(whole)
    assert loads() is not None


@pytest.mark.parametrize("left", [0, 1, cache.DIGEST, 0.5, -1], ids=str)
def test_an_entry_cut_off_is_not_taken(left):
    save()
    whole = entry().read_bytes()
    entry().write_bytes(whole[: int(left * len(whole)) if isinstance(left, float) else left])
    assert loads() is None


def test_an_entry_with_something_behind_it_is_not_taken():
    save()
    entry().write_bytes(entry().read_bytes() + b"\0")
    assert loads() is None


def test_an_entry_under_another_key_is_not_taken():
    save()
    other = cache.key(code="d", **PARTS)
    place = cache._path("features", other)
    place.parent.mkdir(parents=True, exist_ok=True)
    entry().rename(place)
    assert loads(other) is None
    assert loads() is None


def test_a_spoilt_entry_is_replaced_when_it_is_saved_again():
    save()
    entry().write_bytes(b"")
    save()
    np.testing.assert_array_equal(loads()["row"], ARRAYS["row"])


def test_reading_can_be_switched_off_while_writing_goes_on(monkeypatch):
    save({"row": np.zeros(2)})
    monkeypatch.setenv("SER_CACHE_READ", "off")
    assert loads() is None
    save()
    monkeypatch.delenv("SER_CACHE_READ")
    np.testing.assert_array_equal(loads()["row"], ARRAYS["row"])


# What is written


@contextlib.contextmanager
def no_room(n_bytes):
    """Within the block no file may get longer, as on a full disk: the writing of one breaks off in the middle."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def said(monkeypatch):
    """What is announced."""
    found = []
    monkeypatch.setattr(cache, "announce", found.append)
    return found


def test_a_write_that_fails_leaves_the_old_entry_and_no_litter(said):
    save()
    whole = entry().read_bytes()
    with no_room(len(whole) // 2):
        save({"row": np.zeros(1000)})
    assert entry().read_bytes() == whole
    assert len(said) == 1


def test_a_full_disk_is_said_once_and_stops_nothing(said):
    with no_room(10):
        for seed in range(3):
            save(key=cache.key(code="c", seed=seed))
    assert not [path for path in paths.CACHE.rglob("*") if path.is_file()]
    assert said == [f"Results cannot be cached in {paths.CACHE} (File too large); the run continues without a cache."]
    save()  # there is room again
    assert loads() is not None and len(said) == 1


def test_a_folder_that_cannot_be_written_is_said_once_and_stops_nothing(said, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("where the folder should be")
    monkeypatch.setattr(paths, "CACHE", tmp_path / "file")
    for seed in range(3):
        save(key=cache.key(code="c", seed=seed))
    assert loads() is None
    assert said == [f"Results cannot be cached in {paths.CACHE} (Not a directory); the run continues without a cache."]


SAVES = """
import sys
import numpy as np
from ser_utils.core import cache
mine = {"row": np.full(5000, float(sys.argv[1]))}
print("ready", flush=True)
sys.stdin.readline()
for _ in range(60):
    cache.save("features", sys.argv[2], mine)
    found = cache.load("features", sys.argv[2])
    assert found is not None and len(set(found["row"])) == 1, "an entry was not whole"
"""


def test_two_processes_may_save_the_same_key_at_once():
    command = [sys.executable, "-c", SAVES]
    how = {
        "env": os.environ | {"SER_CACHE": str(paths.CACHE)},
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "text": True,
    }
    both = [subprocess.Popen([*command, name, KEY], **how) for name in "12"]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in both:
        process.communicate(timeout=60)
    assert [process.returncode for process in both] == [0, 0]
    assert len(set(loads()["row"])) == 1
    assert entry() == cache._path("features", KEY)  # and no litter beside it


def test_two_threads_may_save_the_same_key_at_once(said):
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(save, [{"row": np.full(5000, i)} for i in range(60)]))
    assert len(set(loads()["row"])) == 1
    assert entry() == cache._path("features", KEY)
    assert not said


# The command line


def test_the_command_says_how_much_is_kept(capsys):
    assert __main__.main(["cache"]) == 0
    assert capsys.readouterr().out == f"0 results, 0.0 MB, in {paths.CACHE}\n"
    for kind, key in (("features", KEY), ("fits", KEY), ("fits", cache.key(code="d"))):
        cache.save(kind, key, {"row": np.zeros(50_000)})
    assert __main__.main(["cache"]) == 0
    assert capsys.readouterr().out == f"3 results, 1.2 MB, in {paths.CACHE}\n"
    assert loads() is not None


def test_the_command_removes_what_is_kept_and_nothing_else(capsys):
    save()
    for other in ("notes.txt", "README.md"):
        (paths.CACHE / other).write_text("not a result")
    assert __main__.main(["cache", "--clear"]) == 0
    assert capsys.readouterr().out.startswith("Removed 1 result")
    assert loads() is None
    assert sorted(path.name for path in paths.CACHE.iterdir()) == ["README.md", "notes.txt"]
    save()
    assert loads() is not None
