"""Benchmarks on very few clips: measured values, printed text, and the results file, which has complete runs only."""

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
    """Path of the results file of a test; its cache is separate, too."""
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(measure, "RESULTS", tmp_path / "results.csv")
    return tmp_path / "results.csv"


@pytest.fixture
def one_core(monkeypatch):
    """Start no workers and reduce the warm-up, to save time."""
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    monkeypatch.setattr(measure, "WARM_UP_CLIPS", 1)


def table_of(output):
    """Return the printed rows by side: seconds, ms per clip, MB, MB of a worker, ratio."""
    number = r"([\d.]+|-)"
    row = re.compile(rf"^(\S.*?)\s+{number}\s+{number}(?: ms)?\s+{number}\s+{number}\s+{number}$", re.MULTILINE)
    return {name: [np.nan if n == "-" else float(n) for n in numbers] for name, *numbers in row.findall(output)}


def check_sides(output, benchmark, plain="plain", study="study"):
    """Check both sides' times, ratio and memory; return the table."""
    table = table_of(output)
    slow, fast = table[plain], table[study]
    assert slow[0] > 0 and fast[0] > 0 and slow[4] == 1
    assert fast[4] == pytest.approx(slow[0] / fast[0], rel=0.2)
    assert 50 < slow[2] < 20_000 and 50 < fast[2] < 20_000
    assert re.search(rf"^{benchmark}, study: [\d.]+; target: at least \d: (met|MISSED)$", output, re.MULTILINE)
    assert (
        ", a part of the corpus" in output and "Only a part of the corpus was measured: results.csv is not changed." in output
    )
    assert "Each side runs in a subprocess, after a warm-up of imports, compiled kernels and workers" in output
    return table


def test_original38(capfd, monkeypatch, results):
    monkeypatch.setattr(measure, "WARM_UP_CLIPS", 1)
    original38.main(["demo", "--clips", "2"])
    output = capfd.readouterr().out
    table = check_sides(output, "original38")
    assert np.isnan(table["plain"][3]) and np.isfinite(table["study"][3]) == (joblib.cpu_count() > 1), (
        "workers only with several cores"
    )
    assert table["limit: FFT alone"][0] < table["study"][0] < table["plain"][0]
    assert re.search(r"one FFT per frame: \d+ frames; the study takes [\d.]+ times as long", output)
    assert float(re.search(r"agree to (\S+);", output)[1]) < 1e-4
    assert not results.exists()


def test_functionals(capfd, one_core):
    functionals.main(["demo", "--clips", "2"])
    output = capfd.readouterr().out
    table = check_sides(output, "functionals")
    for name, target in (("F0 within 1/2 semitone", 0.95), ("voicing as pYIN", 0.9)):
        assert target <= table[name][4] <= 1
        assert f"functionals, {name}: " in output


def test_fits(capfd, monkeypatch, one_core):
    monkeypatch.setattr(fits, "SEEDS", range(2))
    monkeypatch.setattr(fits, "EPOCHS", 2)
    fits.main(["demo", "--clips", "2"])
    output = capfd.readouterr().out
    check_sides(output, "fits")
    assert "4 fits: 2 speakers x 2 seeds, 6 rows, batches of 32." in output
    for side in ("plain", "study"):
        assert re.search(rf"^UAR, {side}: [\d.]+% \([\d.]+% to [\d.]+% over seeds\)$", output, re.MULTILINE)
    assert re.search(r"^The means differ by [\d.]+ points; two standard errors over seeds are [\d.]+: ", output, re.MULTILINE)
    assert re.search(r"^Warm-up, compilation included: plain \d+ s, study \d+ s.$", output, re.MULTILINE)


def test_fits_use_all_speakers_and_test_original_clips(one_core):
    corpus, files = measure.clips("demo", 12)
    task = fits.make_task(corpus, files, seeds=[0, 1], epochs=3)
    assert task.x.shape == (36, 38) and task.epochs == 3
    assert [seed for seed, _, _ in task.fits] == 6 * [0] + 6 * [1]
    speaker = np.repeat([file[:2] for file in files], 3)
    for _, train, test in task.fits:
        assert set(speaker[train]) | set(speaker[test]) == set(speaker) and not set(speaker[train]) & set(speaker[test])
        assert (test % 3 == 0).all() and len(set(train % 3)) == 3, "test rows are originals, training rows include variants"
    perfect = [np.eye(task.y.max() + 1)[task.y[test]] for _, _, test in task.fits]
    np.testing.assert_array_equal(fits.scores(task, perfect), [1, 1])
    np.testing.assert_array_equal(fits.scores(task, perfect[:6] + [1 - p for p in perfect[6:]])[0], 1)


def test_scale(capfd, monkeypatch, one_core):
    monkeypatch.setattr(scale, "TIMES", (1, 3))
    scale.main(["--clips", "2"])
    output = capfd.readouterr().out
    table = table_of(output)
    once, thrice = table["1 x"], table["3 x"]
    assert once[1] == pytest.approx(1000 * once[0] / 2, rel=0.05) and thrice[1] == pytest.approx(1000 * thrice[0] / 6, rel=0.05)
    assert thrice[4] == pytest.approx(thrice[1] / once[1], rel=0.05)
    assert "scale, 3 x: " in output and "target: at most 1.15" in output
    assert "scale, 3 x, parent's growth: " in output and "scale, 3 x, worker's growth: " in output
    assert "2 clips of demo, a part of the corpus" in output


def test_copies_differ_by_noise_only_and_are_reproducible(tmp_path, one_core):
    corpus, files = measure.clips("demo", 2)
    names = scale.write_copies(corpus.root, files, tmp_path / "a", 2)
    scale.write_copies(corpus.root, files, tmp_path / "b", 2)
    assert len(names) == 4 and [name[:3] for name in names] == ["00/", "00/", "01/", "01/"]
    recordings = [scale.sf.read(tmp_path / "a" / name)[0] for name in names]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    for first, second in zip(recordings[:2], recordings[2:], strict=True):
        assert 0 < np.abs(first - second).std() < 0.01 * np.abs(first).max()
    assert scale.study_way(tmp_path / "a", names) > 4 * 4 * sum(len(entry.names) for entry in FEATURE_SETS.values())


# The whole study


COLD = ["Running.", "01_explore ... 12 s", "02_augment_features ... 30 s", "Reports: reports/demo/index.html"]
AGAIN = ["01_explore ... unchanged", "02_augment_features ... unchanged", "Reports: reports/demo/index.html"]


def test_study(capfd, monkeypatch, results):
    runs = []

    def measured(function, corpus, flags, folder, warm_up=None):
        runs.append((function, corpus, flags, warm_up))
        return measure.Measured(*(((COLD, 900.0), 500.0) if "--fresh" in flags else ((AGAIN, 400.0), 15.0)), 50.0, 0.0, 0.0)

    monkeypatch.setattr(measure, "measure_in_subprocess", measured)
    study.main(["demo"])
    assert runs == [(study.run_all, "demo", ["--fresh"], None), (study.run_all, "demo", [], None)]
    output = capfd.readouterr().out
    assert "study, cold: 500.0 s; target: at most 480 s: MISSED" in output
    assert "study, warm: 15.0 s; target: at most 20 s: met" in output
    assert "01_explore: cold 12 s, warm 0 s\n02_augment_features: cold 30 s, warm 0 s\n" in output
    saved = pd.read_csv(results)
    assert saved.side.tolist() == ["cold", "warm"]
    assert saved.peak_mb.tolist() == [900, 400] and saved.seconds.tolist() == [500, 15]


def test_study_with_settings_is_a_part(capfd, monkeypatch, results):
    flags = []

    def measured(function, corpus, run_flags, folder):
        flags.append(run_flags)
        return measure.Measured((AGAIN, 9.0), 1.0, 1.0, 0.0, 0.0)

    monkeypatch.setattr(measure, "measure_in_subprocess", measured)
    study.main(["demo", "--set", "N_SEEDS=1"])
    assert flags == [["--fresh", "--set", "N_SEEDS=1"], ["--set", "N_SEEDS=1"]]
    assert "Only a part" in capfd.readouterr().out and not results.exists()


def test_study_runs_the_users_command_with_temporary_folders(monkeypatch, tmp_path, capfd):
    root = tmp_path / "root"
    root.mkdir()
    command = root / "run_all.sh"
    command.write_text('#!/bin/sh\necho "$@"\necho "$SER_OUT $SER_REPORTS $SER_CACHE [$SER_CACHE_READ]"\n[ "$1" = demo ]\n')
    command.chmod(0o755)
    monkeypatch.setattr(paths, "ROOT", root)
    monkeypatch.setenv("SER_CACHE_READ", "off")
    lines, peak_mb = study.run_all("demo", ["--fresh"], tmp_path)
    assert peak_mb > 0
    assert lines == ["demo --fresh", f"{tmp_path}/out {tmp_path}/reports {tmp_path}/cache []"]
    assert "  demo --fresh\n" in capfd.readouterr().out
    with pytest.raises(StudyError, match="run_all.sh emovo failed"):
        study.run_all("emovo", [], tmp_path)


# Results file


def a_row(side="study", **fields):
    defaults = {"seconds": 2.0, "parent_mb": 100.0, "worker_mb": 0.0, "ratio": 4.0, "target": "at least 8"}
    return measure.Row(side, **defaults | fields)


def test_results_replace_earlier_ones_of_the_same_benchmark_and_corpus(results, capfd):
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
    assert capfd.readouterr().out.count("Saved in") == 4


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


# Clips and processes


def test_clips_are_evenly_spread_over_the_corpus():
    corpus, files = measure.clips("demo")
    assert corpus.name == "demo" and len(files) == 168
    _, some = measure.clips("demo", 12)
    assert len(set(some)) == 12 and len({file[:2] for file in some}) == 6
    assert len(measure.warm_up_files(files[:1])) == len(measure.warm_up_files(files)) >= measure.WARM_UP_CLIPS
    for n in (0, 169):
        with pytest.raises(StudyError, match=f"--clips {n}: expected 1 to 168"):
            measure.clips("demo", n)


def test_a_missing_corpus_is_an_error_with_how_to_get_it(monkeypatch):
    monkeypatch.setattr(paths, "DATA", paths.ROOT / "nowhere")
    with pytest.raises(StudyError, match="EMOVO is missing. Get it with"):
        measure.clips("emovo")


def test_a_subprocess_reads_no_cache_and_reports_its_error(tmp_path):
    assert measure.measure_in_subprocess(os.getenv, "SER_CACHE_READ").value == "off"
    measured = measure.measure_in_subprocess(os.getenv, "SER_CACHE", warm_up=("PATH",))
    assert "ser-benchmark-" in measured.value
    assert 0 <= measured.seconds < 5 and measured.parent_mb > 20 and measured.worker_mb == 0
    with pytest.raises(StudyError, match="(?s)there is no file.*functionals.plain_clip failed"):
        measure.measure_in_subprocess(functionals.plain_clip, tmp_path / "there is no file")


def test_wrong_arguments_are_one_sentence():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.study", "demo", "--clips", "3"], capture_output=True, text=True, cwd=paths.ROOT
    )
    assert done.returncode == 1
    assert (
        done.stderr == "--clips is not supported, as the study runs on a whole corpus: use the corpus demo for a short run.\n"
    )
