"""The runner and the command line: wrong settings are refused before anything runs, and a failure is shown."""

import json
import os
import re
import time

import nbformat
import psutil
import pytest

from ser_utils import __main__
from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.study import inputs, notebooks, parameters, runner

KNOWN = {
    "CORPUS": {"type": "str", "default": '"demo"', "help": "which", "notebooks": ["01_a"]},
    "N_SEEDS": {"type": "int", "default": "5", "help": "how many", "notebooks": ["01_a"]},
    "RATE": {"type": "float", "default": "0.8", "help": "how fast", "notebooks": ["01_a"]},
    "DROP": {"type": "list", "default": "[]", "help": "what", "notebooks": ["01_a"]},
    "MAP": {"type": "dict", "default": "{}", "help": "names", "notebooks": ["01_a"]},
    "LOUD": {"type": "bool", "default": "False", "help": "or not", "notebooks": ["01_a"]},
}


def test_settings_become_json_values():
    given = ["N_SEEDS=2", "RATE=1", 'DROP=["joy"]', 'MAP={"a": "b=c"}', "LOUD=true", 'CORPUS="emovo"']
    assert parameters.parse_settings(given, KNOWN) == {
        "N_SEEDS": 2,
        "RATE": 1,
        "DROP": ["joy"],
        "MAP": {"a": "b=c"},
        "LOUD": True,
        "CORPUS": "emovo",
    }


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("SEEDS=2", r"Unknown parameter 'SEEDS'(.|\n)*N_SEEDS \(int, 5\): how many"),
        ("N_SEEDS", "expected NAME=VALUE"),
        ("N_SEEDS=two", "not JSON; expected int, such as N_SEEDS=2"),
        ("N_SEEDS=2.5", "found float, expected int"),
        ("N_SEEDS=true", "found bool, expected int"),
        ('RATE="1"', "found str, expected float"),
        ("DROP=joy", "not JSON; expected list"),
        ('DROP="joy"', "found str, expected list"),
        ("LOUD=1", "found int, expected bool"),
        ("N_SEEDS=0", "N_SEEDS=0: expected 1 or more"),
        ('DROP=[["joy"]]', "expected texts in the list"),
        ('MAP={"joy": 5}', "expected texts in the dict"),
    ],
)
def test_wrong_settings_are_refused_in_a_sentence(setting, message):
    with pytest.raises(StudyError, match=message):
        parameters.parse_settings([setting], KNOWN)


def test_parameters_of_the_committed_notebooks_are_typed_and_explained():
    known = parameters.known_parameters()
    assert {"CORPUS", "VARIANT", "N_SEEDS", "DROP_EMOTIONS", "RENAME_EMOTIONS", "BATCH_SIZE"} <= set(known)
    for name, entry in known.items():
        assert entry["type"] in parameters.TYPES, f"{name} has no known type"
        assert entry["help"], f"{name} is not explained"
        value = eval(entry["default"])
        assert isinstance(value, parameters.TYPES[entry["type"]]), f"the default of {name} is not of its type"


def test_parameters_are_those_that_papermill_reads_and_have_one_default_in_all_notebooks():
    from papermill import inspect_notebook

    read = {}
    for book in notebooks.list_notebooks():
        for name, found in inspect_notebook(str(book)).items():
            entry = {"type": found["inferred_type_name"], "default": found["default"], "help": found["help"]}
            assert read.setdefault(name, entry | {"notebooks": []})["default"] == found["default"], f"{name} in {book.name}"
            read[name]["notebooks"].append(book.stem)
    assert read == parameters.known_parameters()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "emodeebee"], "Unknown corpus 'emodeebee': expected one of demo, emovo, emodb"),
        (["run", "demo", "--set", "NOPE=1"], "Unknown parameter 'NOPE'"),
        (["run", "demo", "--set", "N_SEEDS=many"], "expected int"),
        (["run", "demo", "--from", "99"], "--from 99: expected one of 01, 02"),
        (["run", "demo", "--set", 'CORPUS="emovo"'], "Two corpora: demo and CORPUS=emovo"),
        (["run", "demo", "--set", 'VARIANT="../x"'], "VARIANT is '../x': expected letters"),
        (["run", "demo", "--fresh", "--from", "03"], "--fresh removes what --from 03 would start from"),
        (["run", "demo", "--from", "04"], "--from 04: utterances.csv, which 01_explore writes, is not in out/demo"),
        (["run", "demo", "--set", 'MODELS=["mlp", "cnnn"]'], "Unknown model 'cnnn': expected one of original_mlp, mlp, cnn"),
        (["run", "demo", "--set", "MODEL=cnnn"], "Unknown model 'cnnn'"),
        (["run", "demo", "--set", "MODEL=cnn", "--set", "FEATURES=functionals"], "'cnn' takes sequences of frames"),
        (
            ["run", "demo", "--set", 'MODELS=["original_mlp"]', "--set", "SEARCH=2"],
            "'original_mlp' in MODELS has no settings",
        ),
        (["run", "demo", "--set", "SEARCH=-1"], "SEARCH=-1: expected 0 or more"),
        (["run", "demo", "--set", 'PROTOCOLS=["sentence"]'], "expected 'speaker' or 'clip' among them"),
        (["run", "demo", "--set", 'BASELINES=["forest"]'], "Unknown 'forest' in BASELINES"),
        (["run", "demo", "--set", 'SPEAKER_NORMS=["room"]'], "SPEAKER_NORMS is ['room']: expected one or both"),
        (["run", "demo", "--set", 'AUGMENTATIONS=["echo"]'], "'echo'"),
        (["run", "demo", "--set", 'EXTRA_CORPORA=["demo"]'], "EXTRA_CORPORA names demo, which is CORPUS itself"),
        (["run", "demo", "--set", 'EXTRA_CORPORA=["./nowhere"]'], "nowhere"),
        (["run", "demo", "--set", "FEATURES=loud"], "Unknown feature set 'loud'"),
        (["run", "demo", "--set", 'PROTOCOLS=["mine"]'], "Unknown 'mine' in PROTOCOLS"),
        (["fetch", "nowhere"], "nowhere"),
    ],
)
def test_a_mistake_gets_one_sentence_and_computes_nothing(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(runner, "execute_notebook", lambda *_, **__: pytest.fail("something ran"))
    assert __main__.main(arguments) == 1
    assert message in capsys.readouterr().err


@pytest.fixture
def small_study(tmp_path, monkeypatch):
    """Two tiny notebooks in a study of their own; `write(cell)` gives the second one its code."""
    for name in ("NOTEBOOKS", "OUT", "REPORTS"):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
    paths.NOTEBOOKS.mkdir()

    def write(code, name="02_second", writes=()):
        book = nbformat.v4.new_notebook(
            cells=[
                nbformat.v4.new_markdown_cell(f"# The {name} notebook"),
                nbformat.v4.new_code_cell(
                    'CORPUS: str = "demo"  # which\nVARIANT: str = ""  # name\nN: int = 1  # n',
                    metadata={"tags": ["parameters"]},
                ),
                nbformat.v4.new_code_cell(code),
            ]
        )
        book.metadata = {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "ser": {"sentence": "One sentence.", "writes": list(writes)},
        }
        nbformat.write(book, paths.NOTEBOOKS / f"{name}.ipynb")

    first = (
        "from pathlib import Path\n_ = Path({out!r}, CORPUS).mkdir(parents=True, exist_ok=True)\n"
        "_ = Path({out!r}, CORPUS, 'table.csv').write_text(str(N))"
    )
    write(first.format(out=str(paths.OUT)), "01_first", writes=["table.csv"])
    return write


def test_a_good_run_renders_every_page_and_passes_parameters_on(small_study, capsys):
    small_study("print('N is', N)")
    assert runner.run_study(settings=["N=7", 'CORPUS="DEMO"', 'VARIANT="mine"']) == 0
    assert (paths.OUT / "demo" / "table.csv").read_text() == "7"
    pages = {page.name: page.read_text() for page in (paths.REPORTS / "demo-mine").iterdir()}
    assert set(pages) == {"index.html", "01_first.html", "02_second.html"} and not (paths.REPORTS / "demo").exists()
    assert "N is 7" in pages["02_second.html"] and "FAILED" not in pages["index.html"]
    assert "Synthetic demo voices" in pages["01_first.html"] and "Synthetic demo voices" in pages["index.html"]
    assert "01_first ..." in capsys.readouterr().out


def test_a_failed_notebook_has_a_page_and_later_ones_have_none(small_study, capsys):
    small_study("pass")
    small_study("print('later')", "03_third")
    assert runner.run_study("demo") == 0
    small_study("print('so far')\nfrom ser_utils.core import StudyError\nraise StudyError('The level is wrong: turn it down.')")
    assert runner.run_study("demo") == 1
    page = (paths.REPORTS / "demo" / "02_second.html").read_text()
    assert "FAILED" in page and "The level is wrong: turn it down." in page and "so far" in page
    assert not (paths.REPORTS / "demo" / "03_third.html").exists()
    index = (paths.REPORTS / "demo" / "index.html").read_text()
    assert "FAILED" in index and "not run" in index
    assert "The level is wrong: turn it down." in capsys.readouterr().out


def test_a_profile_lists_slow_cells_fits_and_what_a_notebook_takes_besides(small_study, capsys):
    fits = "from ser_utils.core.profile import record\nimport time; time.sleep(0.7)\n"
    fits += "record('fits', name='inner folds mlp', fits=6, cached=2, trainings=2, epochs=80, core_seconds=3.04)"
    small_study(fits)
    assert __main__.main(["run", "demo", "--profile"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    cells = lines[lines.index(["notebook", "cell", "seconds", "code"]) :]
    assert [row[0] for row in cells[1:4]] == ["01_first", "02_second", "02_second"]
    assert cells[2][1] == "3" and 0.7 <= float(cells[2][2]) < 5 and cells[2][3:5] == ["from", "ser_utils.core.profile"]
    assert cells[1][2:] == cells[3][2:] == ["kernel", "start,", "page"] and float(cells[3][1]) > 0.2
    assert ["inner", "folds", "mlp", "6", "2", "2", "80", "3.0", "1.52"] in lines
    assert __main__.main(["run", "demo", "--profile"]) == 0
    out = capsys.readouterr().out
    assert out.count("unchanged") == 2 and "seconds" not in out, "nothing was computed"


def test_without_a_terminal_a_long_notebook_prints_lines(small_study, capsys, monkeypatch):
    monkeypatch.delenv("SER_PROGRESS")
    code = "from ser_utils.core import progress as module\nmodule.INTERVAL_S = 0\n"
    small_study(code + "_ = list(module.progress(range(3), total=3, desc='inner folds mlp', unit='fit'))")
    assert runner.run_study("demo") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[lines.index("02_second ... ") + 1] == "02_second: inner folds mlp, 1 of 3 fits, under 1 min left"
    assert lines[lines.index("02_second ... ") + 3] == "02_second: inner folds mlp, 3 of 3 fits, under 1 min left"
    assert re.fullmatch(r"02_second \.\.\. \d+ s", lines[lines.index("02_second ... ") + 4])
    assert "of 3 fits" not in (paths.REPORTS / "demo" / "02_second.html").read_text()
    assert "SER_PROGRESS" not in os.environ


def test_progress_that_the_user_has_switched_off_stays_off(small_study, capsys, monkeypatch):
    monkeypatch.setenv("SER_PROGRESS", "off")
    small_study("import os\nprint('shown:', os.environ['SER_PROGRESS'])")
    assert runner.run_study("demo") == 0
    assert "shown: off" in (paths.REPORTS / "demo" / "02_second.html").read_text()
    assert [line for line in capsys.readouterr().out.splitlines() if line.endswith("... ")] == []


def test_a_kernel_that_dies_is_a_failure(small_study):
    small_study("import os\nos._exit(9)")
    assert runner.run_study("demo") == 1
    assert "FAILED" in (paths.REPORTS / "demo" / "02_second.html").read_text()


def test_a_kernel_ends_with_its_idle_workers_and_removes_what_they_share(small_study, tmp_path, capfd):
    book, seen = paths.NOTEBOOKS / "02_second.ipynb", tmp_path / "seen"
    small_study(
        "import atexit, joblib, pathlib, psutil\n"
        f"seen = pathlib.Path({str(seen)!r})\n"
        "_ = atexit.register(lambda: seen.write_text(f'{seen.read_text()}ended'))\n"
        "_ = joblib.Parallel(2)(joblib.delayed(abs)(i) for i in range(2))\n"
        "_ = seen.write_text(' '.join(str(child.pid) for child in psutil.Process().children()) + ' ')"
    )
    assert notebooks.execute_notebook(book, paths.OUT / book.name, {}) is None
    *pids, end = seen.read_text().split()
    assert len(pids) > 2 and end == "ended", "two workers and joblib's resource tracker; the kernel was not killed"
    deadline = time.monotonic() + 20
    while any(psutil.pid_exists(int(pid)) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(psutil.pid_exists(int(pid)) for pid in pids)
    assert "leaked" not in capfd.readouterr().err


def test_executed_notebooks_are_the_same_bytes_each_time(small_study):
    small_study("import warnings\nwarnings.warn('old')\nprint(1)")  # the kernel's process number is in a warning
    book = paths.NOTEBOOKS / "02_second.ipynb"
    for name in ("a", "b"):
        assert notebooks.execute_notebook(book, paths.OUT / name / book.name, {"N": 2}) is None
    one, other = ((paths.OUT / name / book.name).read_bytes() for name in ("a", "b"))
    assert one == other
    assert json.loads(one)["metadata"]["kernelspec"]["name"] == "python3"


def test_ensure_files_runs_the_notebook_that_writes_a_missing_file_and_no_other(small_study):
    small_study("raise RuntimeError('must not run')")
    inputs.ensure_files("demo", "demo", "table.csv")
    table = paths.OUT / "demo" / "table.csv"
    assert table.read_text() == "1"
    table.write_text("kept")
    inputs.ensure_files("demo", "demo", "table.csv")
    assert table.read_text() == "kept"
    with pytest.raises(StudyError, match="no notebook of this study writes it"):
        inputs.ensure_files("demo", "demo", "nothing.csv")


def test_a_missing_table_of_features_is_computed_with_those_of_every_run(tmp_path, monkeypatch):
    ran = []

    def execute(book, executed, parameters):
        ran.append((book.stem, parameters))
        (tmp_path / "demo" / "features_log_mel.npz").touch()

    monkeypatch.setattr(paths, "OUT", tmp_path)
    monkeypatch.setattr(inputs, "execute_notebook", execute)
    for file in notebooks.FEATURE_FILES:
        (paths.out_dir("demo") / file).touch()
    inputs.ensure_files("demo", "demo", "features_*")
    assert not ran
    (tmp_path / "demo" / "executed").mkdir()
    last = {"depends_on": {"parameters": {"N_SEEDS": 2}}, "left": {}}
    (tmp_path / "demo" / "executed" / "02_augment_features.json").write_text(json.dumps(last))
    inputs.ensure_files("demo", "demo", "features_*", "features_log_mel.npz")
    sets = {"FEATURE_SETS": ["original38", "functionals", "log_mel"]}
    assert ran == [("02_augment_features", {"CORPUS": "demo", "VARIANT": "", "N_SEEDS": 2} | sets)]
    with pytest.raises(StudyError, match=r"features_egemaps.npz is not in out/demo and no notebook of this study writes it"):
        inputs.ensure_files("demo", "demo", "features_egemaps.npz")


@pytest.mark.parametrize(
    ("set_parameters", "names"),
    [
        ({"N_SEEDS": 2}, []),
        ({"MODEL": "lstm"}, ["log_mel"]),
        ({"MODELS": ["cnn", "lstm", "original_mlp"]}, ["functionals", "log_mel", "original38"]),
        ({"FEATURES": "original38"}, ["original38"]),
    ],
)
def test_networks_need_the_feature_sets_that_they_read(set_parameters, names):
    assert parameters.network_features(set_parameters) == names


def test_the_default_corpus_is_emovo_if_its_recordings_exist_and_is_announced(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(paths, "DATA", tmp_path)
    assert runner.corpus_to_run(None) == "demo"
    assert "./run_all.sh emovo" in capsys.readouterr().out
    (tmp_path / "EMOVO" / "f1").mkdir(parents=True)
    (tmp_path / "EMOVO" / "f1" / "neu-f1-b1.wav").touch()
    assert runner.corpus_to_run(None) == "emovo"
    assert "EMOVO" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["run"], ["fetch"], ["verify"], ["cache"], ["parameters"], ["notebooks"]])
def test_every_command_has_a_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        __main__.main([*command, "--help"])
    assert stop.value.code == 0 and f"python -m ser_utils {command[0]}" in capsys.readouterr().out


def test_parameters_are_listed(capsys):
    assert __main__.main(["parameters"]) == 0
    assert "N_SEEDS: int = 5" in capsys.readouterr().out
