"""Progress bars: they pass everything on, and go where SER_PROGRESS says."""

import pytest

from ser_utils.progress import progress


def run(total=3):
    return list(progress(iter(range(total)), total=total, desc="features", unit="clip"))


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
