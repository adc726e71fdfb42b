"""Benchmarks on very few clips, the file of their results, and the README's figures, which are those of the file."""

import os
import re
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from benchmarks import fits, functionals, measure, original38, scale, study
from ser_utils import corpora
from ser_utils.core import paths
from ser_utils.core.errors import StudyError

RESULTS = pd.read_csv(measure.RESULTS, keep_default_na=False)


@pytest.fixture(autouse=True)
def no_workers(monkeypatch):
    """Save the time that workers take to start."""
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")


@pytest.fixture
def corpus_and_two_clips(monkeypatch):
    """Two clips of the demo corpus; short fits, few copies, and all in this process, which has imported the libraries."""

    def measure_here(function, *args, warm_up):
        function(*warm_up)
        start = time.perf_counter()
        value = function(*args)
        return measure.Measured(value, time.perf_counter() - start, parent_mb=200, worker_mb=100, warm_up_s=1)

    monkeypatch.setattr(measure, "measure_in_process", measure_here)
    monkeypatch.setenv("SER_CACHE_READ", "off")
    monkeypatch.setattr(measure, "WARM_UP_CLIPS", 1)
    monkeypatch.setattr(fits, "N_SEEDS", 2)
    monkeypatch.setattr(fits, "EPOCHS", 2)
    monkeypatch.setattr(scale, "TIMES", (1, 4))
    return measure.select_clips("demo", 2)


@pytest.mark.parametrize("benchmark", [original38, functionals, fits, scale])
def test_a_benchmark_measures_both_sides_and_gives_the_rows_of_the_results_file(corpus_and_two_clips, benchmark):
    rows = pd.DataFrame(benchmark.benchmark(*corpus_and_two_clips)).fillna({"target": ""})
    saved = RESULTS[RESULTS.benchmark == benchmark.__name__.split(".")[1]]
    saved = saved[~saved.side.str.startswith("20 x")]
    assert rows[["side", "target"]].to_numpy().tolist() == saved[["side", "target"]].to_numpy().tolist()
    timed = rows.dropna(subset="seconds")
    assert (timed.seconds > 0).all() and (timed.peak_mb == 200).all()
    timed = timed[~timed.side.isin(["study's network, one core", "limit: its matrix products alone"])]  # of another task
    per_clip = [1, 4] if benchmark is scale else 1
    ratio = timed.seconds / per_clip / timed.seconds[0]
    np.testing.assert_allclose(timed.ratio, ratio if benchmark is scale else 1 / ratio)
    assert rows.ratio[rows.seconds.isna() & (benchmark is functionals)].between(0.95, 1).all(), "F0 agrees with pYIN"


def test_a_side_is_measured_in_a_new_process_with_an_empty_cache():
    measured = measure.measure_in_process(os.getenv, "SER_CACHE", warm_up=("SER_CACHE_READ",))
    assert Path(measured.value).name.startswith("ser-benchmark-") and not Path(measured.value).exists()
    assert measured.seconds > 0 and 50 < measured.parent_mb < 20_000 and os.environ.get("SER_CACHE") != measured.value
    assert measure.measure_in_process(os.getpid, warm_up=()).value != os.getpid()


def test_fits_train_on_all_variants_of_the_other_speakers_and_test_originals():
    corpus, files = measure.select_clips("demo", 12)
    task = fits.make_task(corpus, files, n_seeds=2, epochs=3)
    speaker = np.repeat([file[:2] for file in files], 3)
    assert task.x.shape == (36, 38) and [seed for seed, _, _ in task.fits] == 6 * [0] + 6 * [1]
    for _, train, test in task.fits:
        assert set(speaker[train]) == set(speaker) - set(speaker[test]) and len(set(speaker[test])) == 1
        assert (test % 3 == 0).all() and set(train % 3) == {0, 1, 2}
    right = [np.eye(task.y.max() + 1)[task.y[test]] for _, _, test in task.fits]
    assert fits.seed_scores(task, right[:6] + [1 - p for p in right[6:]])[0] == 1 > fits.seed_scores(task, right[::-1])[0]


def test_copies_differ_by_noise_only_and_are_reproducible(tmp_path):
    corpus, files = measure.select_clips("demo", 2)
    names = scale.write_copies(corpus.root, files, tmp_path / "a", 2)
    scale.write_copies(corpus.root, files, tmp_path / "b", 2)
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)
    (first, _), (second, _) = (sf.read(tmp_path / "a" / name) for name in names[::2])
    assert 0 < np.abs(first - second).std() < 0.01 * np.abs(first).max()


def test_study_runs_the_users_command_with_temporary_folders(monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    command = tmp_path / "run_all.sh"
    command.write_text('#!/bin/sh\necho "$* $SER_OUT $SER_REPORTS $SER_CACHE"\n[ "$1" = demo ]\n')
    command.chmod(0o755)
    run = study.run_all("demo", "there", {"N_SEEDS": "1"})
    assert run["seconds"] > 0 and run["peak_mb"] > 0
    assert capfd.readouterr().out == "demo --set N_SEEDS=1 there/out there/reports there/cache\n"
    with pytest.raises(StudyError, match="run_all.sh emovo failed"):
        study.run_all("emovo", "there")


def test_own_corpora_of_the_study_benchmark_have_any_size(tmp_path):
    corpus = measure.select_clips("demo")[0]
    for n_clips, n_speakers in ((45, 5), (180, 7)):
        own = corpora.get_corpus(study.write_own_corpus(corpus, tmp_path / str(n_clips), n_clips))
        table, skipped = corpora.utterance_table(own)
        assert len(table) == n_clips and table.speaker.nunique() == n_speakers and skipped.empty
        assert set(table.emotion) == set(corpora.utterance_table(corpus)[0].emotion)


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Runs the command of a benchmark whose measurement takes no time; returns the rows of the file of results then."""
    monkeypatch.setattr(measure, "RESULTS", tmp_path / "results.csv")
    RESULTS.to_csv(measure.RESULTS, index=False)
    cold = {"side": "cold", "seconds": 481.234, "peak_mb": 900.4, "target": "at most 480 s"}
    monkeypatch.setattr(
        study, "benchmark", lambda corpus, files: [cold, {"side": "warm", "ratio": 9.0, "target": "at least 9"}]
    )

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["benchmark", *arguments])
        measure.command("study")
        return measure.RESULTS.read_text().splitlines()

    return command


def test_rows_of_a_whole_corpus_replace_earlier_ones(command, capsys):
    for _ in range(2):
        lines = command("demo")
        assert [line for line in lines if line.startswith("study,demo")] == [
            "study,demo,168,cold,481.23,900.0,,at most 480 s",
            "study,demo,168,warm,,,9.0,at least 9",
        ]
    others = RESULTS[(RESULTS.benchmark != "study") | (RESULTS.corpus != "demo")]
    assert len(lines) == 1 + len(others) + 2
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()[-2:]] == ["no", "yes"], "whether targets are met"


def test_rows_of_a_part_are_not_saved(command):
    assert not any("481.23" in line for line in command("demo", "--clips", "3"))


@pytest.mark.parametrize("n", ["0", "169"])
def test_impossible_number_of_clips(command, n):
    with pytest.raises(SystemExit, match=f"--clips {n}: expected 1 to 168"):
        command("demo", "--clips", n)


def test_clips_of_a_part_are_spread_over_all_speakers():
    _, some = measure.select_clips("demo", 12)
    assert len(set(some)) == 12 and len({file[:2] for file in some}) == 6


def test_readme_has_the_figures_of_the_results_file():
    text = (paths.ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("## How fast")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    for row in RESULTS[RESULTS.benchmark == "study"].itertuples():
        assert f"| `{row.corpus}`, {row.side} | {float(row.seconds):.0f} s | {row.target} |" in lines
    table = [re.findall(r"([\d.]+) (?:s|times)", line) for line in lines if "times as fast" in line]
    expected = []
    for benchmark, corpus in (("original38", "emovo"), ("functionals", "demo"), ("fits", "demo")):
        rows = RESULTS[(RESULTS.benchmark == benchmark) & (RESULTS.corpus == corpus)].set_index("side")
        plain, here = rows.seconds[["plain", "study"]].astype(float)
        expected.append([f"{plain:.0f}", f"{here:.0f}", f"{float(rows.ratio['study']):.1f}"])
    assert table == expected
