"""Progress bars: they pass everything on, and appear where SER_PROGRESS says."""

import os
import re
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from ser_utils.core import progress as module
from ser_utils.core.progress import announce, progress, waiting
from ser_utils.study import notebooks


def run(items=(0, 1, 2), total=3, **options):
    return list(progress(items, total=total, desc="features", unit="clip", **options))


@pytest.fixture
def terminal(monkeypatch, tmp_path):
    """A file in place of the terminal."""
    monkeypatch.setenv("SER_PROGRESS", str(tmp_path / "terminal"))
    return tmp_path / "terminal"


def test_off_is_silent(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("SER_PROGRESS", "off")
    monkeypatch.chdir(tmp_path)
    assert run(done=1, size=lambda item: 2, first="compiling") == [0, 1, 2]
    with waiting("loading"):
        announce("The disk is full.")
    assert capsys.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_unset_appears_below_the_cell(monkeypatch, capsys):
    monkeypatch.delenv("SER_PROGRESS", raising=False)
    assert run() == [0, 1, 2]
    announce("The disk is full.")
    out, err = capsys.readouterr()
    assert out == "" and "features" in err and "0/3" in err and err.endswith("The disk is full.\n")


def test_a_path_gets_the_bar_and_the_report_does_not(terminal, capsys):
    assert run() == [0, 1, 2]
    assert "0/3" in terminal.read_text()
    announce("The disk is full.")
    assert terminal.read_text() == "The disk is full.\n"
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("where", ["", "off"])
def test_an_error_comes_through(monkeypatch, where):
    monkeypatch.setenv("SER_PROGRESS", where)

    def failing():
        yield 1
        raise ValueError("clip 2")

    with pytest.raises(ValueError, match="clip 2"):
        run(failing())
    with pytest.raises(ValueError, match="kernels"), waiting("loading"):
        raise ValueError("kernels")


def slowly(items):
    """Items at intervals that are longer than the least time between two drawings of the bar."""
    for item in items:
        time.sleep(0.15)
        yield item


def test_units_done_before_and_sizes_of_items_count(terminal):
    items = [[1, 2, 3], [4], [5, 6]]
    assert run(slowly(items), total=10, done=4, size=len) == items
    drawn = re.findall(r"(\d+)/10 \[", terminal.read_text())
    assert (drawn[0], drawn[-1]) == ("4", "10") and "7" in drawn


def test_rate_and_time_left_leave_out_units_done_before(terminal):
    run(slowly(range(4)), total=1000, done=500)
    left, rate = re.findall(r"50[234]/1000 \[00:\d\d<(\d\d:\d\d), +([\d.]+)clip/s", terminal.read_text())[-1]
    assert float(rate) < 7  # and not 500 a second
    assert left > "01:00"


def test_the_first_text_is_shown_until_the_first_item_is_done(terminal):
    run(slowly(range(3)), first="compiling the network")
    drawn = [line for line in terminal.read_text().splitlines() if "/3 [" in line]
    assert any("0/3" in line and "compiling the network" in line for line in drawn)
    assert any("2/3" in line for line in drawn)
    assert not any("compiling" in line for line in drawn if "0/3" not in line)
    assert run([], done=3, first="compiling the network") == []
    assert "3/3" in terminal.read_text() and "compiling" not in terminal.read_text()


def test_waiting_shows_its_line_while_the_block_runs_and_no_longer(terminal):
    with waiting("loading kernels"):
        assert re.search(r"loading kernels \[00:0\d\]", terminal.read_text())
    assert terminal.read_text().splitlines()[-1].isspace()  # drawn over


@pytest.fixture
def log(monkeypatch, tmp_path):
    """A log of lines, and a clock that stands still until `log.minutes` is set."""
    log = SimpleNamespace(path=tmp_path / "log", minutes=0.0)
    log.lines = lambda: log.path.read_text().splitlines() if log.path.exists() else []
    monkeypatch.setenv("SER_PROGRESS", f"lines:{log.path}")
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 60 * log.minutes))
    monkeypatch.setattr(module, "_last_line", -float("inf"))
    return log


def at(log, *minutes):
    """Items that are done at these minutes."""
    for minute in minutes:
        log.minutes = minute
        yield minute


def test_a_log_gets_at_most_a_line_a_minute_with_the_time_left(log):
    run(at(log, 0.5, 0.9, 1.0, 1.9, 2.0, 5.0), total=12)
    assert log.lines() == [
        "features, 3 of 12 clips, 3 min left",
        "features, 5 of 12 clips, 3 min left",
        "features, 6 of 12 clips, 5 min left",
    ]


def test_a_log_gets_no_line_on_work_that_takes_less_than_a_minute(log):
    for start in range(5):  # five minutes of short calls
        log.minutes = start
        run(at(log, start + 0.5, start + 0.99), total=2, first="compiling")
        with waiting("loading"):
            log.minutes += 5
    assert log.lines() == []


def test_the_minute_counts_for_all_displays_of_a_process(log):
    run(at(log, 1.0), total=2)
    log.minutes = 0
    run(at(log, 1.5), total=2)
    assert log.lines() == ["features, 1 of 2 clips, 1 min left"]


def test_the_time_left_in_a_log_leaves_out_units_done_before(log):
    run(at(log, 2.0), total=104, done=100)
    assert log.lines() == ["features, 101 of 104 clips, 6 min left"]


def test_an_announcement_is_added_to_the_log(log):
    announce("The disk is full.")
    announce("It is still full.")
    assert log.lines() == ["The disk is full.", "It is still full."]


def test_the_runner_names_a_terminal_that_kernels_can_open(monkeypatch):
    """Kernels run in sessions of their own, which have no /dev/tty."""
    leader, follower = os.openpty()
    with os.fdopen(leader, "rb", 0) as screen, os.fdopen(follower, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        name = notebooks._terminal()
        draw = [sys.executable, "-c", "import sys; open(sys.argv[1], 'w').write('3/10')", name]
        subprocess.run(draw, start_new_session=True, check=True)
        assert screen.read(4) == b"3/10"


def test_without_a_terminal_the_runner_shows_no_bars(monkeypatch, tmp_path):
    with (tmp_path / "log").open("w") as log:
        monkeypatch.setattr(sys, "stdout", log)
        assert notebooks._terminal() == "off"
