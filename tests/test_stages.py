"""Notebooks run again if their inputs or results have changed, and only then."""

import dataclasses
import json
import shutil
import subprocess
import sys
import threading

import nbformat
import pytest

from ser_utils import __main__, corpora
from ser_utils.core import code_version, parallel, paths
from ser_utils.core.errors import StudyError
from ser_utils.study import runner, stages

ALL = ["01_first", "02_second", "03_third"]
PARAMETERS = """CORPUS: str = "demo"  # which
VARIANT: str = ""  # name
N_JOBS: int = -1  # processes
SCHEDULER: str = ""  # cluster
N: int = 4  # number"""
OUT = "from ser_utils.core import paths\nout = paths.out_dir(paths.run_name(CORPUS, VARIANT))"
CODE = {
    "01_first": '_ = (out / "half.txt").write_text(str(N // 2))',
    "02_second": 'from ser_utils.core import audio\n_ = (out / "same.txt").write_text((out / "half.txt").read_text())',
    "03_third": '_ = (out / "end.txt").write_text((out / "same.txt").read_text() * 2)',
}
ABOUT = {
    "01_first": {"audio": True, "writes": ["half.txt"]},
    "02_second": {"reads": ["half.txt"], "writes": ["same.txt"]},
    "03_third": {"reads": ["sam*.txt"], "writes": ["end.txt"]},
}


def book(name):
    return paths.NOTEBOOKS / f"{name}.ipynb"


def write(name, source=None, about=None, remark="", parameters=PARAMETERS):
    cells = [
        nbformat.v4.new_markdown_cell(f"# The {name} notebook\n{remark}"),
        nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(OUT),
        nbformat.v4.new_code_cell(CODE[name] if source is None else source),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata = {"kernelspec": kernel, "ser": {"sentence": "One sentence.", **(about or ABOUT[name])}}
    nbformat.write(notebook, book(name))


@pytest.fixture
def small_study(tmp_path, monkeypatch):
    """Three small notebooks, each of which reads what the one before wrote, and a corpus of six recordings."""
    for name in ("NOTEBOOKS", "OUT", "REPORTS", "CACHE", "DATA"):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
        monkeypatch.setenv(f"SER_{name}", str(tmp_path / name.lower()))  # for kernels
    paths.NOTEBOOKS.mkdir()
    (paths.DATA / "demo" / "f1").mkdir(parents=True)
    for name in (f"{emotion}-f1-{sentence}.ogg" for emotion in ("neu", "tri") for sentence in ("b1", "d2", "n3")):
        shutil.copy(paths.ROOT / "data" / "demo" / "f1" / name, paths.DATA / "demo" / "f1")
    for name in ALL:
        write(name)


@pytest.fixture
def ran(small_study, monkeypatch):
    """The notebooks that have been run: here and with bare pages, as kernels and rendering take a second each."""
    names = []

    def render(executed, run, failed, banner):
        page = paths.reports_dir(run) / f"{executed.stem}.html"
        page.write_text(f"page 2 of {executed.stem}")

    def execute(notebook, executed, parameters):
        names.append(notebook.stem)
        executed.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(notebook, executed)
        seen = {}
        for cell in nbformat.read(notebook, as_version=4).cells[1:]:
            try:
                exec(cell.source, seen)
            except Exception as error:
                return str(error)
            seen |= parameters if "tags" in cell.metadata else {}
        return None

    monkeypatch.setattr(runner, "execute_notebook", execute)
    monkeypatch.setattr(runner, "render_notebook", render)
    return names


def run_again(ran, *settings, **how):
    """Run the study and give the notebooks that this ran."""
    ran.clear()
    runner.run_study("demo", settings=settings, **how)
    return list(ran)


def text(name):
    return (paths.OUT / "demo" / name).read_text()


def test_a_second_run_prints_unchanged_and_runs_nothing(small_study, capsys):
    """In kernels, as it is."""
    assert runner.run_study("demo", settings=["N=6"]) == 0
    assert "unchanged" not in capsys.readouterr().out
    left = {path: path.stat().st_mtime_ns for top in (paths.OUT, paths.REPORTS) for path in (top / "demo").rglob("*.*")}
    assert runner.run_study("demo", settings=["N=6"]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if "..." in line] == [f"{name} ... unchanged" for name in ALL]
    touched = {path.name for path, stamp in left.items() if path.stat().st_mtime_ns != stamp}
    assert touched == {"index.html", "manifest.json", "run.json"}
    assert text("end.txt") == "33"


# Inputs of a notebook


def rewrite(name, **how):
    return lambda patch: write(name, **how)


def append(place, name, more):
    def change(patch):
        path = getattr(paths, place) / "demo" / name
        path.write_bytes(path.read_bytes() + more)

    return change


def code_of(module):
    """The source of a module is another."""

    def change(patch):
        version = code_version._version
        patch.setattr(code_version, "_version", lambda names, alone: "another" if module in names else version(names, alone))

    return change


def other_template(patch):
    """A template of the pages has another content."""
    patch.setattr(stages, "file_hash", lambda path: "another" if "templates" in path.parts else paths.file_hash(path))


def execute_and_save(patch):
    """As JupyterLab saves a notebook that was run there: with its output."""
    notebook = nbformat.read(book("02_second"), as_version=4)
    notebook.cells[3].execution_count = 3
    notebook.cells[3].outputs = [nbformat.v4.new_output("stream", text="done")]
    nbformat.write(notebook, book("02_second"))


CHANGES = {
    "a recording": (append("DATA", "f1/neu-f1-b1.ogg", b"x"), ["01_first"]),
    "no recording": (append("DATA", "README.md", b"x"), []),
    "source with the same result": (rewrite("01_first", source=f"{CODE['01_first']}  # a remark"), ["01_first"]),
    "source with another result": (rewrite("01_first", source=CODE["01_first"].replace("// 2", "// 3")), ALL),
    "prose": (rewrite("02_second", remark="More words."), ["02_second"]),
    "metadata": (rewrite("02_second", about=ABOUT["02_second"] | {"sentence": "Another."}), ["02_second"]),
    "a default": (rewrite("02_second", parameters=PARAMETERS.replace("= 4", "= 5")), ["02_second"]),
    "output saved in a notebook": (execute_and_save, []),
    "a module that one imports": (code_of("ser_utils.core.audio"), ["02_second"]),
    "a module that all import": (code_of("ser_utils.core.paths"), ALL),
    "a template of pages": (other_template, ALL),
}


@pytest.mark.parametrize(("change", "again"), CHANGES.values(), ids=CHANGES)
def test_a_change_runs_again_what_depends_on_it(ran, monkeypatch, change, again):
    (paths.DATA / "demo" / "README.md").write_text("no recording")
    run_again(ran)
    with monkeypatch.context() as patch:
        change(patch)
        assert run_again(ran) == again
        assert run_again(ran) == []


def test_parameters_count_in_notebooks_that_have_them_but_for_those_that_decide_where_to_compute(ran, monkeypatch):
    monkeypatch.setattr(parallel, "check_address", lambda address: None)
    for name in ALL[1:]:
        write(name, parameters=PARAMETERS.rpartition("\n")[0])
    run_again(ran)
    assert run_again(ran, 'SCHEDULER="tcp://127.0.0.1:9"', "N_JOBS=2") == []
    assert run_again(ran, "N=5") == ["01_first"]  # the result is the same
    assert run_again(ran, "N=6") == ALL
    assert text("end.txt") == "33"


def test_a_variant_is_a_run_of_its_own(ran):
    run_again(ran)
    assert run_again(ran, 'VARIANT="mine"') == ALL
    assert run_again(ran) == [] == run_again(ran, 'VARIANT="mine"')


# Extra corpora


@pytest.fixture
def other(small_study, monkeypatch):
    """A second corpus, of which the third notebook takes what the first two make."""
    monkeypatch.setitem(corpora.CORPORA, "other", dataclasses.replace(corpora.CORPORA["demo"], name="other", folder="other"))
    shutil.copytree(paths.DATA / "demo", paths.DATA / "other")
    monkeypatch.setattr(runner, "PREPARED", ("half.txt", "same.txt"))
    monkeypatch.setattr(stages, "EXTRA_CORPUS_FILES", ("same.txt",))
    write("03_third", parameters=f"{PARAMETERS}\nEXTRA_CORPORA: list = []  # others")
    return 'EXTRA_CORPORA=["OTHER"]'


def test_an_extra_corpus_is_prepared_by_the_notebooks_that_write_its_files(ran, other, capsys):
    assert run_again(ran, other) == ["01_first", "02_second", *ALL]
    assert (paths.OUT / "other" / "same.txt").read_text() == "2" and not (paths.OUT / "other" / "end.txt").exists()
    assert "Preparing the extra corpus other:" in capsys.readouterr().out
    assert run_again(ran, other) == []
    assert "Preparing" not in capsys.readouterr().out


def test_an_extra_corpus_with_other_recordings_or_code_is_prepared_again_with_its_parameters(ran, other, monkeypatch):
    runner.run_study("other", settings=["N=8"])
    assert run_again(ran, other) == ALL
    (paths.DATA / "other" / "f1" / "neu-f1-b1.ogg").write_bytes(b"another")
    assert run_again(ran, other) == ["01_first"]
    assert (paths.OUT / "other" / "half.txt").read_text() == "4", "with N=8, as before"
    with monkeypatch.context() as patch:
        code_of("ser_utils.core.audio")(patch)
        assert run_again(ran, other) == ["02_second", "02_second"]
    (paths.OUT / "other" / "same.txt").write_text("altered")
    assert run_again(ran, other)[0] == "02_second"
    shutil.rmtree(paths.DATA / "other")
    assert run_again(ran, other) == [], "what was made of it is enough"


def test_an_extra_corpus_that_cannot_be_prepared_stops_the_run(ran, other):
    write("02_second", source="raise ValueError('the disk is full')")
    with pytest.raises(StudyError, match="The extra corpus other cannot be prepared: the disk is full"):
        runner.run_study("demo", settings=[other])
    assert ran == ALL[:2] and not (paths.OUT / "demo" / "half.txt").exists()


# Results of a notebook


@pytest.mark.parametrize("how", ["removed", "altered"])
@pytest.mark.parametrize(
    "name", ["out/same.txt", "out/executed/02_second.ipynb", "out/executed/02_second.json", "reports/02_second.html"]
)
def test_a_notebook_whose_result_is_removed_or_altered_runs_again(ran, name, how):
    run_again(ran)
    top, _, rest = name.partition("/")
    path = getattr(paths, top.upper()) / "demo" / rest
    before = path.read_bytes()
    path.unlink() if how == "removed" else path.write_bytes(before.replace(b"2", b"3"))
    assert run_again(ran) == ["02_second"]
    assert path.read_bytes() == before
    assert run_again(ran) == []


@pytest.mark.parametrize("marker", ["{}", "[]", '{"depends_on": {}}', '{"depends_on": {}, "left": []}', "\xff"])
def test_a_damaged_marker_is_none(ran, marker):
    run_again(ran)
    (paths.OUT / "demo" / "executed" / "03_third.json").write_text(marker, encoding="latin-1")
    assert run_again(ran) == ["03_third"]


def test_the_index_and_the_manifest_are_always_written(ran):
    run_again(ran)
    left = [paths.REPORTS / "demo" / "index.html", paths.OUT / "demo" / "manifest.json"]
    before = [path.read_bytes() for path in left]
    for path in left:
        path.unlink()
    assert run_again(ran) == []
    assert [path.read_bytes() for path in left] == before


# Runs that start anew, fail, or meet another


def test_from_runs_later_notebooks_unchanged_or_not(ran):
    run_again(ran)
    assert run_again(ran, start="02") == ["02_second", "03_third"]
    assert run_again(ran) == []


def test_fresh_removes_results_and_reads_no_cache(ran, monkeypatch):
    monkeypatch.delenv("SER_CACHE_READ", raising=False)
    write("03_third", source='import os\n_ = (out / "read.txt").write_text(os.environ.get("SER_CACHE_READ", "on"))')
    run_again(ran)
    assert text("read.txt") == "on"
    (paths.OUT / "demo" / "old.csv").write_text("of another version")
    assert run_again(ran, fresh=True) == ALL
    assert not (paths.OUT / "demo" / "old.csv").exists()
    assert text("read.txt") == "off"
    assert run_again(ran, start="03") == ["03_third"]
    assert text("read.txt") == "on"


def test_a_failed_notebook_and_later_ones_run_again(ran, capsys):
    run_again(ran)
    write("02_second", source="raise ValueError('the disk is full')")
    for _ in range(2):
        assert run_again(ran) == ["02_second"]
        assert "the disk is full" in capsys.readouterr().out
        assert sorted(path.stem for path in (paths.OUT / "demo" / "executed").glob("0*.json")) == ["01_first"]
    write("02_second")
    assert run_again(ran) == ["02_second", "03_third"]
    assert run_again(ran) == []


def test_a_stopped_run_continues_with_its_notebook(ran, monkeypatch):
    execute = runner.execute_notebook

    def execute_and_interrupt(notebook, *how):
        execute(notebook, *how)
        if notebook.stem == "02_second":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(runner, "execute_notebook", execute_and_interrupt)
        runner.run_study("demo")
    assert ran == ALL[:2]
    assert [path.stem for path in (paths.OUT / "demo" / "executed").glob("0*.json")] == ["01_first"]
    assert run_again(ran) == ALL[1:]


def test_a_notebook_without_its_page_runs_again(ran, monkeypatch):
    """Pages are rendered while the next notebook runs; an error there is raised at the end."""
    render = runner.render_notebook

    def render_or_fail(executed, *how):
        if executed.stem == "02_second":
            raise OSError("the disk is full")
        render(executed, *how)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="the disk is full"):
        patch.setattr(runner, "render_notebook", render_or_fail)
        runner.run_study("demo")
    assert ran == ALL and not (paths.OUT / "demo" / "executed" / "02_second.json").exists()
    assert run_again(ran) == ["02_second"]


def test_a_page_that_is_rendered_late_counts_for_its_own_notebook_only(ran, monkeypatch):
    render, execute, started = runner.render_notebook, runner.execute_notebook, threading.Event()

    def execute_and_tell(notebook, *how):
        if notebook.stem != "01_first":
            started.set()
        return execute(notebook, *how)

    def wait_and_render(*how):
        assert started.wait(10), "the next notebook runs meanwhile"
        render(*how)

    with monkeypatch.context() as patch:
        patch.setattr(runner, "execute_notebook", execute_and_tell)
        patch.setattr(runner, "render_notebook", wait_and_render)
        assert run_again(ran) == ALL
    assert run_again(ran) == []
    (paths.REPORTS / "demo" / "01_first.html").unlink()
    assert run_again(ran) == ["01_first"]


def test_a_change_while_a_notebook_runs_counts_in_the_next_run(ran, monkeypatch):
    """The notebook may have read it before or after."""
    execute = runner.execute_notebook

    def execute_and_edit(notebook, *how):
        execute(notebook, *how)
        if notebook.stem == "02_second":
            write("02_second", remark="Edited while it ran.")

    with monkeypatch.context() as patch:
        patch.setattr(runner, "execute_notebook", execute_and_edit)
        assert run_again(ran) == ALL
    assert run_again(ran) == ["02_second"]
    assert run_again(ran) == []


def test_code_that_changes_while_the_study_runs_leaves_no_stage_done(ran, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(code_version, "LOADED", 0)
        assert run_again(ran) == ALL == run_again(ran)
    assert run_again(ran) == ALL
    assert run_again(ran) == []


def test_a_notebook_that_is_not_plain_python_is_run(ran):
    write("02_second", source="%matplotlib inline")
    assert run_again(ran) == ALL[:2]  # the second fails here, where there is no IPython


def test_a_second_run_on_the_same_folder_is_refused_and_one_in_another_is_not(ran, capsys):
    with runner._run_lock("demo"):
        assert __main__.main(["run", "demo"]) == 1
        error = capsys.readouterr().err
        assert error.startswith("Another run is writing out/demo: wait for it, or") and error.count("\n") == 1
        assert not ran and not (paths.OUT / "demo").exists()
        assert run_again(ran, 'VARIANT="other"') == ALL
    assert run_again(ran) == ALL


def test_temporary_files_of_a_killed_process_are_removed_and_others_stay(ran):
    code = "import os, sys; from pathlib import Path; from ser_utils.core import paths\n"
    code += "with paths.write_aside(Path(sys.argv[1])) as aside: aside.write_text('half'); os.kill(os.getpid(), 9)"
    folders = [paths.out_dir("demo"), paths.out_dir("demo") / "executed", paths.reports_dir("demo")]
    (paths.out_dir("demo") / "executed").mkdir()
    for folder in folders:
        subprocess.run([sys.executable, "-c", code, folder / "table.csv"], cwd=paths.ROOT)
        assert [path.read_text() for path in folder.glob(".table.*.csv")] == ["half"]
    (folders[0] / ".gitkeep").touch()
    with paths.write_aside(folders[0] / "mine.csv") as aside:
        aside.write_text("half")
        run_again(ran)
        assert {path for folder in folders for path in folder.glob(".*")} == {folders[0] / ".gitkeep", aside}


def test_a_marker_names_no_folder_so_that_a_run_can_be_moved(ran):
    run_again(ran)
    for path in (paths.OUT / "demo" / "executed").glob("0*.json"):
        assert str(paths.OUT.parent) not in path.read_text()
        assert set(json.loads(path.read_text())) == {"depends_on", "left"}
