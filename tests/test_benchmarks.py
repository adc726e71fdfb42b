"""The benchmarks on very few clips: what they measure and print; and that what they keep is whole runs, each once."""

import os
import re
import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import pytest

from benchmarks import fits, functionals, measure, original38, scale, study
from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.features.registry import FEATURE_SETS


@pytest.fixture(autouse=True)
def results(monkeypatch, tmp_path):
    """Where a test's results are kept; beside them a cache of its own."""
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(measure, "RESULTS", tmp_path / "results.csv")
    return tmp_path / "results.csv"


@pytest.fixture
def one_core(monkeypatch):
    """No workers to start, and little to warm up, which takes the time of a test."""
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    monkeypatch.setattr(measure, "WARM_UP_CLIPS", 1)


def table_of(said):
    """The printed rows: side to numbers, as seconds, ms a clip, MB, MB of a worker, ratio."""
    number = r"([\d.]+|-)"
    row = re.compile(rf"^(\S.*?)\s+{number}\s+{number}(?: ms)?\s+{number}\s+{number}\s+{number}$", re.MULTILINE)
    return {name: [np.nan if n == "-" else float(n) for n in numbers] for name, *numbers in row.findall(said)}


def check_sides(said, benchmark, plain="plain", study="study"):
    """Both sides are there, with times that make the ratio, and memory; returns the table."""
    table = table_of(said)
    slow, fast = table[plain], table[study]
    assert slow[0] > 0 and fast[0] > 0 and slow[4] == 1
    assert fast[4] == pytest.approx(slow[0] / fast[0], rel=0.2)
    assert 50 < slow[2] < 20_000 and 50 < fast[2] < 20_000
    assert re.search(rf"^{benchmark}, study: [\d.]+; target: at least \d: (met|MISSED)$", said, re.MULTILINE)
    assert "only a part of it" in said and "This is a part of the corpus: results.csv stays as it is." in said
    assert "Before time counts, each side has its imports, compiled kernels and worker processes warmed up" in said
    return table


def test_original38(capfd, monkeypatch, results):
    monkeypatch.setattr(measure, "WARM_UP_CLIPS", 1)
    original38.main(["demo", "--clips", "2"])
    said = capfd.readouterr().out
    table = check_sides(said, "original38")
    assert np.isnan(table["plain"][3]) and np.isfinite(table["study"][3]) == (joblib.cpu_count() > 1), "who has workers"
    assert table["limit: FFT alone"][0] < table["study"][0] < table["plain"][0]
    assert re.search(r"one FFT per frame: \d+ frames; the study takes [\d.]+ times as long", said)
    assert float(re.search(r"agree to (\S+);", said)[1]) < 1e-4
    assert not results.exists()


def test_functionals(capfd, one_core):
    functionals.main(["demo", "--clips", "2"])
    said = capfd.readouterr().out
    table = check_sides(said, "functionals")
    for name, target in (("F0 within 1/2 semitone", 0.95), ("voicing as pYIN", 0.9)):
        assert target <= table[name][4] <= 1
        assert f"functionals, {name}: " in said


def test_fits(capfd, monkeypatch, one_core):
    monkeypatch.setattr(fits, "SEEDS", range(2))
    monkeypatch.setattr(fits, "EPOCHS", 2)
    fits.main(["demo", "--clips", "2"])
    said = capfd.readouterr().out
    check_sides(said, "fits")
    assert "4 fits: 2 speakers x 2 seeds, 6 rows, batches of 32." in said
    for side in ("plain", "study"):
        assert re.search(rf"^UAR, {side}: [\d.]+% \([\d.]+% to [\d.]+% over seeds\)$", said, re.MULTILINE)
    assert re.search(r"^The means differ by [\d.]+ points; seeds alone make up to [\d.]+: ", said, re.MULTILINE)
    assert re.search(r"^Warming up, with all that is compiled: plain \d+ s, study \d+ s.$", said, re.MULTILINE)


def test_fits_of_both_sides_are_of_the_same_rows(one_core):
    corpus, files = measure.clips("demo", 12)
    task = fits.task_of(corpus, files, seeds=[0, 1], epochs=3)
    assert task.x.shape == (36, 38) and task.epochs == 3
    assert [seed for seed, _, _ in task.fits] == 6 * [0] + 6 * [1]
    speaker = np.repeat([file[:2] for file in files], 3)
    for _, train, test in task.fits:
        assert set(speaker[train]) | set(speaker[test]) == set(speaker) and not set(speaker[train]) & set(speaker[test])
        assert (test % 3 == 0).all() and len(set(train % 3)) == 3, "original clips are tested; their variants train, too"
    perfect = [np.eye(task.y.max() + 1)[task.y[test]] for _, _, test in task.fits]
    np.testing.assert_array_equal(fits.scores(task, perfect), [1, 1])
    np.testing.assert_array_equal(fits.scores(task, perfect[:6] + [1 - p for p in perfect[6:]])[0], 1)


def test_scale(capfd, monkeypatch, one_core):
    monkeypatch.setattr(scale, "TIMES", (1, 3))
    scale.main(["--clips", "2"])
    said = capfd.readouterr().out
    table = table_of(said)
    once, thrice = table["1 x"], table["3 x"]
    assert once[1] == pytest.approx(1000 * once[0] / 2, rel=0.05) and thrice[1] == pytest.approx(1000 * thrice[0] / 6, rel=0.05)
    assert thrice[4] == pytest.approx(thrice[1] / once[1], rel=0.05)
    assert "scale, 3 x: " in said and "target: at most 1.15" in said
    assert "scale, 3 x, parent's growth: " in said and "scale, 3 x, worker's growth: " in said
    assert "2 clips of demo, only a part of it" in said


def test_copies_differ_by_noise_alone_and_are_the_same_each_time(tmp_path, one_core):
    corpus, files = measure.clips("demo", 2)
    names = scale.write_copies(corpus.root, files, tmp_path / "a", 2)
    scale.write_copies(corpus.root, files, tmp_path / "b", 2)
    assert len(names) == 4 and [name[:3] for name in names] == ["00/", "00/", "01/", "01/"]
    heard = [scale.sf.read(tmp_path / "a" / name)[0] for name in names]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    for one, other in zip(heard[:2], heard[2:], strict=True):
        assert 0 < np.abs(one - other).std() < 0.01 * np.abs(one).max()
    assert scale.study_way(tmp_path / "a", names) > 4 * 4 * sum(len(entry.names) for entry in FEATURE_SETS.values())


# The whole study


COLD = ["Running.", "01_explore ... 12 s", "02_augment_features ... 30 s", "Reports: reports/demo/index.html"]
AGAIN = ["01_explore ... unchanged", "02_augment_features ... unchanged", "Reports: reports/demo/index.html"]


def test_study(capfd, monkeypatch, results):
    runs = []

    def apart(function, corpus, flags, folder, warm_up=None):
        runs.append((function, corpus, flags, warm_up))
        return measure.Measured(*(((COLD, 900.0), 500.0) if "--fresh" in flags else ((AGAIN, 400.0), 15.0)), 50.0, 0.0, 0.0)

    monkeypatch.setattr(measure, "apart", apart)
    study.main(["demo"])
    assert runs == [(study.run_all, "demo", ["--fresh"], None), (study.run_all, "demo", [], None)]
    said = capfd.readouterr().out
    assert "study, cold: 500.0 s; target: at most 480 s: MISSED" in said
    assert "study, warm: 15.0 s; target: at most 20 s: met" in said
    assert "01_explore: cold 12 s, warm 0 s\n02_augment_features: cold 30 s, warm 0 s\n" in said
    kept = pd.read_csv(results)
    assert kept.side.tolist() == ["cold", "warm"] and kept.peak_mb.tolist() == [900, 400] and kept.seconds.tolist() == [500, 15]


def test_study_with_settings_is_a_part(capfd, monkeypatch, results):
    flags = []

    def apart(function, corpus, given, folder):
        flags.append(given)
        return measure.Measured((AGAIN, 9.0), 1.0, 1.0, 0.0, 0.0)

    monkeypatch.setattr(measure, "apart", apart)
    study.main(["demo", "--set", "N_SEEDS=1"])
    assert flags == [["--fresh", "--set", "N_SEEDS=1"], ["--set", "N_SEEDS=1"]]
    assert "This is a part" in capfd.readouterr().out and not results.exists()


def test_study_runs_the_users_command_with_folders_of_its_own(monkeypatch, tmp_path, capfd):
    root = tmp_path / "root"
    root.mkdir()
    command = root / "run_all.sh"
    command.write_text('#!/bin/sh\necho "$@"\necho "$SER_OUT $SER_REPORTS $SER_CACHE [$SER_CACHE_READ]"\n[ "$1" = demo ]\n')
    command.chmod(0o755)
    monkeypatch.setattr(paths, "ROOT", root)
    monkeypatch.setenv("SER_CACHE_READ", "off")
    said, peak_mb = study.run_all("demo", ["--fresh"], tmp_path)
    assert peak_mb > 0
    assert said == ["demo --fresh", f"{tmp_path}/out {tmp_path}/reports {tmp_path}/cache []"]
    assert "  demo --fresh\n" in capfd.readouterr().out
    with pytest.raises(StudyError, match="run_all.sh emovo failed"):
        study.run_all("emovo", [], tmp_path)


# What is kept


def a_row(side="study", **more):
    how = {"seconds": 2.0, "parent_mb": 100.0, "worker_mb": 0.0, "ratio": 4.0, "target": "at least 8"}
    return measure.Row(side, **how | more)


def test_results_take_the_place_of_earlier_ones_of_the_same_benchmark_and_corpus(results, capfd):
    demo, _ = measure.clips("demo")
    other = measure.corpora.CORPORA["emovo"]
    measure.report("b", demo, 10, [a_row("plain", target="", ratio=np.nan), a_row()], part=False)
    measure.report("b", other, 20, [a_row(times=4)], part=False)
    measure.report("a", demo, 10, [a_row(worker_mb=300.0)], part=False)
    measure.report("b", demo, 10, [a_row(seconds=1.23456)], part=False)
    measure.report("b", demo, 10, [a_row(seconds=9)], part=True)
    assert results.read_text().splitlines() == [
        "benchmark,corpus,clips,side,seconds,peak_mb,ratio,target",
        "a,demo,10,study,2.0,300.0,4.0,at least 8",
        "b,demo,10,study,1.23,100.0,4.0,at least 8",
        "b,emovo,80,study,2.0,100.0,4.0,at least 8",
    ]
    assert capfd.readouterr().out.count("Kept in") == 4


def test_a_missing_number_is_an_empty_cell(results):
    demo, _ = measure.clips("demo")
    measure.report("b", demo, 10, [measure.Row("share", ratio=0.987654, target="at least 0.95")], part=False)
    assert results.read_text().splitlines()[1] == "b,demo,10,share,,,0.988,at least 0.95"


@pytest.mark.parametrize(
    ("target", "numbers", "met"),
    [
        ("at least 8", {"ratio": 8.0}, True),
        ("at least 8", {"ratio": 7.99}, False),
        ("at most 1.15", {"ratio": 1.15}, True),
        ("at most 1.15", {"ratio": 1.2}, False),
        ("at most 20 s", {"seconds": 19.0, "ratio": 400.0}, True),
        ("at most 20 s", {"seconds": 21.0, "ratio": 1.0}, False),
    ],
)
def test_targets(target, numbers, met):
    assert a_row(target=target, **numbers).met == met


# Clips, and processes


def test_clips_are_of_the_corpus_evenly_spread():
    corpus, files = measure.clips("demo")
    assert corpus.name == "demo" and len(files) == 168
    _, some = measure.clips("demo", 12)
    assert len(set(some)) == 12 and len({file[:2] for file in some}) == 6
    assert len(measure.few(files[:1])) == len(measure.few(files)) >= measure.WARM_UP_CLIPS
    for n in (0, 169):
        with pytest.raises(StudyError, match=f"--clips {n}: expected 1 to 168"):
            measure.clips("demo", n)


def test_without_a_corpus_the_benchmark_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(paths, "DATA", paths.ROOT / "nowhere")
    with pytest.raises(StudyError, match="EMOVO is not there. Get it with"):
        measure.clips("emovo")


def test_a_process_of_its_own_reads_no_cache_and_tells_what_failed(tmp_path):
    assert measure.apart(os.getenv, "SER_CACHE_READ").value == "off"
    seen = measure.apart(os.getenv, "SER_CACHE", warm_up=("PATH",))
    assert "ser-benchmark-" in seen.value
    assert 0 <= seen.seconds < 5 and seen.parent_mb > 20 and seen.worker_mb == 0
    with pytest.raises(StudyError, match="(?s)there is no file.*functionals.plain_clip failed"):
        measure.apart(functionals.plain_clip, tmp_path / "there is no file")


def test_wrong_arguments_are_one_sentence():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.study", "demo", "--clips", "3"], capture_output=True, text=True, cwd=paths.ROOT
    )
    assert done.returncode == 1
    assert done.stderr == "--clips: the study runs on a whole corpus; demo is the smaller one.\n"
