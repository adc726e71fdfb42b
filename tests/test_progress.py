"""Progress bars: they pass everything on, and go where SER_PROGRESS says."""

import os
import re
import subprocess
import sys
import time

import pytest

from ser_utils.core.progress import announce, progress, waiting
from ser_utils.study import notebooks


def run(total=3, **how):
    return list(progress(iter(range(total)), total=total, desc="features", unit="clip", **how))


@pytest.fixture
def terminal(monkeypatch, tmp_path):
    """A file that stands for the terminal."""
    monkeypatch.setenv("SER_PROGRESS", str(tmp_path / "terminal"))
    return tmp_path / "terminal"


def test_off_is_silent(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("SER_PROGRESS", "off")
    monkeypatch.chdir(tmp_path)
    assert run() == [0, 1, 2]
    assert capsys.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_unset_goes_below_the_cell(monkeypatch, capsys):
    monkeypatch.delenv("SER_PROGRESS", raising=False)
    assert run() == [0, 1, 2]
    out, err = capsys.readouterr()
    assert out == ""
    assert "features" in err and "0/3" in err


def test_a_path_gets_the_bar_and_the_report_does_not(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("SER_PROGRESS", str(tmp_path / "terminal"))
    assert run() == [0, 1, 2]
    assert capsys.readouterr() == ("", "")
    assert "0/3" in (tmp_path / "terminal").read_text()


def test_nothing_to_do(monkeypatch):
    monkeypatch.setenv("SER_PROGRESS", "off")
    assert run(0) == []


@pytest.mark.parametrize("where", ["", "off"])
def test_an_error_comes_through(monkeypatch, where):
    monkeypatch.setenv("SER_PROGRESS", where)

    def failing():
        yield 1
        raise ValueError("clip 2")

    with pytest.raises(ValueError, match="clip 2"):
        list(progress(failing(), total=2, desc="features", unit="clip"))


def slowly(items):
    """Items that come one by one, each after the bar may be drawn again."""
    for item in items:
        time.sleep(0.15)
        yield item


def test_what_was_done_before_counts_and_items_count_for_their_size(terminal):
    items = [[1, 2, 3], [4], [5, 6]]
    passed = list(progress(slowly(items), total=10, done=4, size=len, desc="fits", unit="fit"))
    assert passed == items
    drawn = re.findall(r"(\d+)/10 \[", terminal.read_text())
    assert (drawn[0], drawn[-1]) == ("4", "10") and "7" in drawn


def test_rate_and_time_left_are_shown_and_leave_out_what_was_done_before(terminal):
    list(progress(slowly(range(4)), total=1000, done=500, desc="fits", unit="fit"))
    left, rate = re.findall(r"50[234]/1000 \[00:\d\d<(\d\d:\d\d), +([\d.]+)fit/s", terminal.read_text())[-1]
    assert float(rate) < 7  # and not 500 a second
    assert left > "01:00"


def test_what_takes_its_time_before_the_first_item_is_said_until_it_comes(terminal):
    list(progress(slowly(range(3)), total=3, desc="fits", unit="fit", first="compiling the network"))
    drawn = [line for line in terminal.read_text().splitlines() if "/3 [" in line]
    assert any("0/3" in line and "compiling the network" in line for line in drawn)
    assert any("2/3" in line for line in drawn)
    assert not any("compiling" in line for line in drawn if "0/3" not in line)


def test_where_all_was_done_before_nothing_is_said_to_be_compiled(terminal):
    assert list(progress(iter([]), total=3, done=3, desc="fits", unit="fit", first="compiling the network")) == []
    assert "3/3" in terminal.read_text() and "compiling" not in terminal.read_text()


def test_off_is_silent_with_all_parameters(monkeypatch, capsys):
    monkeypatch.setenv("SER_PROGRESS", "off")
    assert run(3, done=1, size=lambda item: 2, first="compiling") == [0, 1, 2]
    with waiting("loading"):
        announce("The disk is full.")
    assert capsys.readouterr() == ("", "")


def test_waiting_shows_its_line_while_the_block_runs_and_no_longer(terminal):
    with waiting("loading kernels"):
        assert re.search(r"loading kernels \[00:0\d\]", terminal.read_text())
    assert terminal.read_text().splitlines()[-1].isspace()  # drawn over


def test_an_error_comes_through_waiting(monkeypatch, terminal):
    for where in (str(terminal), "off"):
        monkeypatch.setenv("SER_PROGRESS", where)
        with pytest.raises(ValueError, match="kernels"), waiting("loading"):
            raise ValueError("kernels")


def test_what_is_announced_stays(terminal):
    announce("The disk is full.")
    assert terminal.read_text() == "The disk is full.\n"


def test_what_is_announced_goes_below_the_cell_where_nothing_is_set(monkeypatch, capsys):
    monkeypatch.delenv("SER_PROGRESS", raising=False)
    announce("The disk is full.")
    assert capsys.readouterr() == ("", "The disk is full.\n")


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
