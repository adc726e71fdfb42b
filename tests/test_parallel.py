"""Many tasks: the same results on one core, on two, in threads, and on a Dask cluster that loses a worker on the way."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ser_utils import __main__
from ser_utils.core import code_version, parallel, paths
from ser_utils.core.errors import StudyError
from ser_utils.core.parallel import Execution
from ser_utils.features import extraction
from ser_utils.features.augmentation import STRENGTHS
from ser_utils.models import training
from ser_utils.models.training import Fit
from ser_utils.study import runner

DEMO = paths.ROOT / "data" / "demo"
FILES = [f"{speaker}/{emotion}-{speaker}-b1.ogg" for speaker in ("f1", "f2", "m1", "m2") for emotion in ("gio", "neu", "tri")]
HOW = [{"execution": Execution(1)}, {"execution": Execution(2)}, {"execution": Execution(2), "threads": True}]
in_each_way = pytest.mark.parametrize("how", HOW, ids=["one process", "two processes", "two threads"])


# On this machine


def functions():
    """Defined inside of another, they go to other processes by value, without this module and all that it imports."""

    def walk(seed, n):
        return np.random.default_rng(seed).standard_normal(n).cumsum()

    def slowly(i):
        time.sleep(0.02)
        return i

    def refuse(i):
        if i == 3:
            raise StudyError(f"Clip {i} cannot be read.")
        return i

    return walk, slowly, refuse


walk, slowly, refuse = functions()


@in_each_way
def test_results_come_in_the_order_of_the_tasks_and_are_the_same_in_each_way(how):
    tasks = [(seed, 10 + seed) for seed in range(30)]
    done = list(parallel.parallel_map(walk, iter(tasks), **how))
    assert [part.tobytes() for part in done] == [walk(*task).tobytes() for task in tasks]


@in_each_way
def test_the_first_result_does_not_wait_for_the_last_task_to_be_made(how):
    made = []
    tasks = ((made.append(i) or i,) for i in range(50))
    done = parallel.parallel_map(slowly, tasks, **how)
    assert next(done) == 0
    assert 1 <= len(made) < 30
    assert list(done) == list(range(1, 50))


@in_each_way
def test_an_error_comes_through_as_it_was_raised(how):
    with pytest.raises(StudyError, match="Clip 3 cannot be read."):
        list(parallel.parallel_map(refuse, ((i,) for i in range(6)), **how))


@in_each_way
def test_an_error_in_making_the_tasks_comes_through(how):
    def tasks():
        yield (0,)
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        list(parallel.parallel_map(slowly, tasks(), **how))


@in_each_way
def test_no_tasks_give_no_results(how):
    assert list(parallel.parallel_map(slowly, [], **how)) == []


LEAVES = """
import os
from ser_utils.core import parallel
for pid in parallel.parallel_map(lambda i: os.getpid(), ((i,) for i in range(50)), execution=parallel.Execution(2)):
    print(pid, flush=True)
os._exit(9)
"""


def test_workers_do_not_outlive_a_process_that_was_killed():
    done = subprocess.run([sys.executable, "-c", LEAVES], capture_output=True, text=True)
    workers = set(done.stdout.split())
    assert done.returncode == 9 and workers
    _wait(lambda: not any(Path("/proc", pid, "exe").exists() for pid in workers), seconds=20)


# Addresses where there is no cluster


@contextlib.contextmanager
def listening(greeting=b""):
    """A server that takes connections, says its greeting and nothing more."""
    kept = []

    def serve():
        with contextlib.suppress(OSError):
            while True:
                kept.append(server.accept()[0])
                kept[-1].sendall(greeting)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "address",
    ["nonsense", "localhost:8786", "127.0.0.1:8786", "tcp://host", "tcp://host:99999", "tcp://[::1:80", "http://h:80"],
)
def test_what_is_no_address_is_refused_with_an_example(address):
    with pytest.raises(StudyError, match=r"SCHEDULER is '.*': expected an address such as tcp://host:8786\.$"):
        parallel.check_address(address)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "tcp://nowhere.invalid:8786"])
def test_an_address_where_nobody_listens_is_refused_with_what_to_do(address):
    with pytest.raises(
        StudyError, match=rf"^No Dask scheduler answers at {address} \(.+\): start one with `dask scheduler`, or"
    ):
        next(parallel.parallel_map(slowly, [(0,)], execution=Execution(scheduler=address)))


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.2\r\n" * 3, bytes([2, 0, 0, 0, 0, 0, 0, 0, 1, 1]), bytes(8)])
def test_another_service_is_told_from_a_scheduler(greeting):
    with (
        listening(greeting) as address,
        pytest.raises(StudyError, match=f"^What answers at tcp://{address} is no Dask scheduler"),
    ):
        parallel.check_address(f"tcp://{address}")


@pytest.mark.parametrize("silent", [False, True], ids=["dead", "silent"])
def test_a_run_with_such_an_address_ends_in_one_sentence_before_anything_is_computed(silent, capsys, monkeypatch):
    monkeypatch.setattr(runner, "execute_notebook", lambda *_, **__: pytest.fail("something ran"))
    began = time.monotonic()
    with listening() if silent else contextlib.nullcontext("127.0.0.1:9") as address:
        assert __main__.main(["run", "demo", "--set", f'SCHEDULER="tcp://{address}"']) == 1
    assert time.monotonic() - began < 10
    said = capsys.readouterr().err
    assert said.startswith(f"No Dask scheduler answers at tcp://{address} (") and said.count("\n") == 1


def test_a_dead_address_on_the_command_line_ends_within_ten_seconds(tmp_path):
    folders = {f"SER_{name}": str(tmp_path / name.lower()) for name in ("OUT", "REPORTS", "CACHE")}
    command = [sys.executable, "-m", "ser_utils", "run", "demo", "--set", 'SCHEDULER="tcp://127.0.0.1:9"']
    began = time.monotonic()
    done = subprocess.run(command, env=os.environ | folders, cwd=paths.ROOT, capture_output=True, text=True)
    assert time.monotonic() - began < 10
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("No Dask scheduler answers at tcp://127.0.0.1:9 (Connection refused)")
    assert not list(tmp_path.iterdir())


# A cluster


class Cluster:
    """A Dask scheduler and workers in processes of their own, on ports that are free."""

    def __init__(self, folder: Path):
        self.folder, self.started, self.workers = folder, [], []
        self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", "scheduler.json", "--no-dashboard")
        self.address = _wait(lambda: json.loads((folder / "scheduler.json").read_text())["address"])

    def _start(self, *arguments, **environment) -> subprocess.Popen:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "SER_PROGRESS": "off"} | environment
        command = [sys.executable, "-m", "dask", *arguments]
        with (self.folder / "log").open("a") as log:  # a session of its own: a worker and its nanny can be killed together
            how = {"cwd": self.folder, "env": environment, "stdout": log, "stderr": log, "start_new_session": True}
            self.started.append(subprocess.Popen(command, **how))
        return self.started[-1]

    def add_worker(self, **environment) -> subprocess.Popen:
        directory = self.folder / f"worker{len(self.started)}"
        arguments = ["--nthreads", "1", "--no-dashboard", "--local-directory", str(directory)]
        return self._start("worker", self.address, *arguments, **environment)

    def has(self, n_workers: int) -> bool:
        """Whether the scheduler knows of so many workers, waiting for them to come or to be missed."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            return _wait(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == n_workers)

    def kill(self, process: subprocess.Popen) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def fill(self) -> None:
        """See that two workers are there."""
        self.workers = [worker for worker in self.workers if worker.poll() is None]
        while len(self.workers) < 2:
            self.workers.append(self.add_worker())
        assert self.has(2)


def _wait(holds, seconds=60):
    """What a function returns, once that is true and it no longer fails."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(OSError, ValueError):
            if found := holds():
                return found
        time.sleep(0.05)
    raise TimeoutError("what was waited for did not come")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.fill()
        yield cluster
    finally:
        parallel.connect.cache_clear()
        for process in cluster.started[::-1]:
            cluster.kill(process)


@pytest.fixture
def cluster(running):
    running.fill()
    return running


@pytest.fixture
def lose_a_worker(cluster, monkeypatch):
    """Kill one of the two workers when the first result has come; the process that was killed, in a list."""
    killed, save = [], training.cache.save

    def save_and_kill(*arguments):
        save(*arguments)
        if not killed:
            killed.append(cluster.workers[0])
            cluster.kill(killed[0])

    monkeypatch.setattr(training.cache, "save", save_and_kill)
    return killed


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    """A cache that is written and not read: what a cluster gives is computed there."""
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("SER_CACHE_READ", "off")


def tables_of(files=FILES, root=DEMO, features=("original38", "functionals"), **how):
    how = {"variants": ["noise"], "strengths": STRENGTHS, "execution": Execution()} | how
    return extraction.feature_tables(list(files), root=root, features=features, **how)


def bytes_of(tables):
    return {name: table.to_csv(float_format="%.9g").encode() for name, table in tables.items()}


def test_features_are_the_same_bytes_on_a_cluster_that_loses_a_worker(cluster, lose_a_worker, monkeypatch):
    sent = noted_audio(monkeypatch)
    elsewhere = bytes_of(tables_of(execution=Execution(scheduler=cluster.address)))
    assert lose_a_worker and cluster.has(1)
    assert sent == [None] * len(FILES)  # the workers see the folder
    assert elsewhere == bytes_of(tables_of())


def test_fits_are_the_same_bytes_on_a_cluster_that_loses_a_worker(cluster, lose_a_worker):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(90, 20)).astype(np.float32), np.resize(np.arange(3), 90)
    how = {"validation": np.arange(60, 70), "test": np.arange(70, 90), "epochs": 6}
    fits = [Fit(train=np.arange(seed, 60), seed=seed, **how) for seed in range(12)]
    elsewhere, here = (
        training.fit_all("original_mlp", x, y, fits, n_classes=3, execution=Execution(scheduler=address))
        for address in (cluster.address, "")
    )
    assert lose_a_worker and cluster.has(1)
    for one, other in zip(elsewhere, here, strict=True):
        arrays = [
            (fitted.probabilities, *fitted.weights, fitted.history.to_numpy(), fitted.validation) for fitted in (one, other)
        ]
        assert [part.tobytes() for part in arrays[0]] == [part.tobytes() for part in arrays[1]]
    assert len({fitted.probabilities.tobytes() for fitted in here}) == 12


def noted_audio(monkeypatch):
    """What audio the tasks of feature extraction carry, one after the other."""
    sent = []

    def noted(function, tasks, **how):
        return parallel.parallel_map(function, (sent.append(task[1]) or task for task in tasks), **how)

    monkeypatch.setattr(extraction, "parallel_map", noted)
    return sent


def test_audio_is_sent_to_workers_that_do_not_see_the_folder(cluster, monkeypatch, tmp_path):
    shutil.copytree(DEMO / "f1", tmp_path / "corpus" / "f1")
    monkeypatch.chdir(tmp_path)
    sent, root = noted_audio(monkeypatch), Path("corpus")  # relative, and the workers are in another folder
    there = bytes_of(tables_of(FILES[:3], root, features=["original38"], execution=Execution(scheduler=cluster.address)))
    assert sent == [(root / file).read_bytes() for file in FILES[:3]]
    assert there == bytes_of(tables_of(FILES[:3], features=["original38"]))


def test_an_error_on_a_cluster_comes_through_as_it_was_raised(cluster, tmp_path):
    shutil.copytree(DEMO / "f1", tmp_path / "f1")
    (tmp_path / FILES[1]).write_bytes(b"no audio")
    with pytest.raises(StudyError, match=f"{FILES[1]} cannot be used any more, .+: run 01_explore again."):
        tables_of(FILES[:3], tmp_path, features=["original38"], execution=Execution(scheduler=cluster.address))


@pytest.mark.parametrize("kind", ["other", "none"], ids=["of another version", "without the study"])
def test_a_worker_with_another_version_of_the_study_is_refused(cluster, tmp_path, kind):
    package = tmp_path / "ser_utils"
    if kind == "other":
        shutil.copytree(paths.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
        module = package / "features" / "f0.py"
        module.write_text(module.read_text() + "# a remark\n")
    else:
        package.mkdir()
        (package / "__init__.py").write_text("raise ImportError('not this one')")
    other = cluster.add_worker(PYTHONPATH=str(tmp_path))
    try:
        assert cluster.has(3)
        parallel.connect.cache_clear()
        with pytest.raises(StudyError, match="^1 of 3 workers have another version of the study or its packages, first tcp://"):
            parallel.connect(cluster.address)
    finally:
        cluster.kill(other)
    assert cluster.has(2)
    assert len(parallel.run_on_workers(cluster.address, os.getpid)) == 2


def test_a_study_that_was_changed_since_it_was_loaded_does_not_use_a_cluster(cluster, monkeypatch):
    parallel.connect.cache_clear()
    monkeypatch.setattr(code_version, "LOADED", 0)
    with pytest.raises(StudyError, match="^The study's code was changed since it was loaded here: start again"):
        parallel.connect(cluster.address)


def test_a_cluster_without_workers_is_refused_with_what_to_do(tmp_path):
    empty = Cluster(tmp_path)
    try:
        began = time.monotonic()
        with pytest.raises(StudyError, match=f"The scheduler at {empty.address} has no workers: start some with `dask worker"):
            next(parallel.parallel_map(slowly, [(0,)], execution=Execution(scheduler=empty.address)))
        assert time.monotonic() - began < 10
    finally:
        for process in empty.started:
            empty.kill(process)
