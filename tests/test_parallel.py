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
FILES = [f"{speaker}/gio-{speaker}-b1.ogg" for speaker in ("f1", "f2", "m1", "m2")]
WAYS = [{"execution": Execution(1)}, {"execution": Execution(2)}, {"execution": Execution(2), "threads": True}]
in_each_way = pytest.mark.parametrize("way", WAYS, ids=["one process", "two processes", "two threads"])


# On this machine


def functions():
    """Defined inside of another, they go to other processes by value, without this module and all that it imports."""

    def walk(seed, n):
        return np.random.default_rng(seed).standard_normal(n).cumsum()

    def refuse(i):
        if i == 3:
            raise StudyError(f"Clip {i} cannot be read.")
        return i

    def burn(i, seconds):
        from distributed import get_worker

        until = time.thread_time() + seconds
        while time.thread_time() < until:
            pass
        return get_worker().address, np.random.default_rng(i).bytes(9)

    def grow(size):
        sys.grown = b"x" * size
        time.sleep(1.1)  # so long after the one before, loky looks at the memory
        return os.getpid()

    def die(i):
        os.kill(os.getpid(), signal.SIGKILL)

    return walk, refuse, burn, grow, die


walk, refuse, burn, grow, die = functions()


@in_each_way
def test_results_are_the_same_and_in_order(way):
    for tasks in ([(seed, 10 + seed) for seed in range(50)], []):
        results = parallel.parallel_map(walk, iter(tasks), **way)
        assert [part.tobytes() for part in results] == [walk(*task).tobytes() for task in tasks]


@in_each_way
def test_results_come_while_tasks_are_made(way):
    made, n = [], 20_000
    results = parallel.parallel_map(walk, ((made.append(seed) or seed, 5) for seed in range(n)), **way)
    assert next(results).tobytes() == walk(0, 5).tobytes()
    assert 1 <= len(made) < n
    assert sum(1 for _ in results) == n - 1


@in_each_way
def test_errors_of_a_task_and_of_making_the_tasks_are_raised(way):
    def tasks():
        yield (0,)
        raise OSError("unplugged")

    with pytest.raises(StudyError, match=r"Clip 3 cannot be read\."):
        list(parallel.parallel_map(refuse, ((i,) for i in range(6)), **way))
    with pytest.raises(OSError, match="unplugged"):
        list(parallel.parallel_map(refuse, tasks(), **way))


def test_processes_are_started_once():
    def run(n_jobs, *sizes):
        return set(parallel.parallel_map(grow, ((size,) for size in sizes), execution=Execution(n_jobs)))

    workers = run(2, 0, 0)
    assert len(workers) == 2 and os.getpid() not in workers
    assert run(2, 500_000_000, 500_000_000) == workers
    assert run(1, 0) == {os.getpid()}
    assert run(2, 0) < workers
    assert run(2, 0, 0) == workers


LEAVES = """
import os, sys
from ser_utils.core import parallel
for pid in parallel.parallel_map(lambda i: os.getpid(), ((i,) for i in range(50)), execution=parallel.Execution(2)):
    print(pid, flush=True)
os.kill(os.getpid(), int(sys.argv[1]))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_workers_end_with_their_parent(how):
    command = [sys.executable, "-c", LEAVES, str(int(how))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)  # the output ends when the last worker does
    workers = set(done.stdout.split())
    assert done.returncode == -how and workers
    assert not any(Path("/proc", pid, "exe").exists() for pid in workers)


# Addresses where there is no cluster


@contextlib.contextmanager
def listening(greeting=b""):
    """A server that takes connections, sends a greeting and nothing more."""
    kept = []

    def serve():
        with contextlib.suppress(OSError):
            while True:
                kept.append(server.accept()[0])
                kept[-1].sendall(greeting)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "address",
    [
        "nonsense",
        "localhost:8786",
        "127.0.0.1:8786",
        "tcp://host:99999",
        "tcp://[::1:80",
        "tcp://127.0.0.1:9",
        "tcp://x.invalid:8",
    ],
)
def test_an_address_where_no_scheduler_answers_is_refused_with_what_to_do(address):
    with pytest.raises(StudyError, match=r"^No Dask scheduler answers at .+ \(.+\): start one with `dask scheduler`") as caught:
        next(parallel.parallel_map(walk, [(0, 1)], execution=Execution(scheduler=address)))
    assert address in str(caught.value) and "tcp://host:8786" in str(caught.value)


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.2\r\n" * 3, bytes([2, 0, 0, 0, 0, 0, 0, 0, 1, 1]), bytes(8)])
def test_another_service_is_no_scheduler(greeting):
    with listening(greeting) as address, pytest.raises(StudyError, match=f"^What answers at {address} is no Dask scheduler"):
        parallel.check_address(address)


def test_a_run_with_the_address_of_a_silent_server_ends_before_anything_is_computed(capsys, monkeypatch):
    monkeypatch.setattr(runner, "execute_notebook", lambda *_, **__: pytest.fail("something ran"))
    monkeypatch.setattr(parallel, "CONNECT_S", 1)
    with listening() as address:
        assert __main__.main(["run", "demo", "--set", f'SCHEDULER="{address}"']) == 1
    shown = capsys.readouterr().err
    assert shown.startswith(f"No Dask scheduler answers at {address} (timed out)") and shown.count("\n") == 1


# A cluster


class Cluster:
    """A Dask scheduler and workers in processes of their own, on ports that are free."""

    def __init__(self, folder: Path, **environment):
        self.folder, self.started, self.workers = folder, [], []
        arguments = ["--host", "127.0.0.1", "--port", "0", "--scheduler-file", "scheduler.json", "--no-dashboard"]
        self._start("scheduler", *arguments, **environment)
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


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    """A cache that is written and not read: what a cluster gives is computed there."""
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    monkeypatch.setenv("SER_CACHE_READ", "off")


def features_of(root, scheduler=""):
    """Features as bytes of CSV."""
    how = {"features": ["original38", "functionals"], "variants": ["noise"], "strengths": STRENGTHS}
    tables = extraction.feature_tables(FILES, root=root, execution=Execution(scheduler=scheduler), **how)
    return {name: table.to_csv(float_format="%.9g") for name, table in tables.items()}


def test_features_are_the_same_on_a_cluster_that_does_not_see_the_audio(cluster, monkeypatch):
    monkeypatch.chdir(DEMO.parent)
    there = features_of(Path("demo"), cluster.address)  # relative, and the workers are in another folder
    assert there == features_of(DEMO)


def burned(cluster, n, seconds=0.2):
    """Results of tasks of so many seconds on a cluster."""
    return parallel.parallel_map(burn, ((i, seconds) for i in range(n)), execution=Execution(scheduler=cluster.address))


def test_workers_come_and_go(cluster):
    n, seconds = 24, 0.2
    cluster.kill(cluster.workers[0])  # when one thread is left, no task may run in the client
    assert cluster.has(1)
    results, used = [], time.process_time()
    for result in burned(cluster, n, seconds):
        results.append(result)
        if len(results) == 2:
            cluster.fill()
        if len(results) == 8:
            cluster.kill(cluster.workers[0])
    used = time.process_time() - used
    assert [data for _, data in results] == [np.random.default_rng(i).bytes(9) for i in range(n)]
    assert len({address for address, _ in results}) == 2
    assert used < n * seconds / 2


def test_fits_are_the_same_on_a_cluster_that_loses_a_worker(cluster, monkeypatch):
    saved, save = [], training.cache.save

    def save_and_kill(*arguments):
        if not saved:  # the first result has come
            cluster.kill(cluster.workers[0])
        saved.append(save(*arguments))

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(90, 20)).astype(np.float32), np.resize(np.arange(3), 90)
    how = {"validation": np.arange(60, 70), "test": np.arange(70, 90), "epochs": 6}
    fits = [Fit(train=np.arange(seed, 60), seed=seed, **how) for seed in range(12)]
    here = training.fit_all("original_mlp", x, y, fits, n_classes=3)
    monkeypatch.setattr(training.cache, "save", save_and_kill)
    there = training.fit_all("original_mlp", x, y, fits, n_classes=3, execution=Execution(scheduler=cluster.address))
    assert saved and cluster.has(1)
    for one, other in zip(there, here, strict=True):
        arrays = [(fit.probabilities, *fit.weights, fit.history.to_numpy(), fit.validation) for fit in (one, other)]
        assert [part.tobytes() for part in arrays[0]] == [part.tobytes() for part in arrays[1]]
    assert len({fit.probabilities.tobytes() for fit in here}) == 12


def test_an_error_on_a_cluster_is_raised_as_it_is(cluster):
    with pytest.raises(StudyError, match=r"Clip 3 cannot be read\."):
        list(parallel.parallel_map(refuse, ((i,) for i in range(6)), execution=Execution(scheduler=cluster.address)))


@pytest.mark.parametrize("kind", ["other", "none"], ids=["of another version", "without the study"])
def test_a_worker_with_another_version_of_the_study_is_refused(cluster, tmp_path, kind):
    package = tmp_path / "ser_utils"
    if kind == "other":
        shutil.copytree(paths.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
        with (package / "features" / "f0.py").open("a") as file:
            file.write("# a remark\n")
    else:
        package.mkdir()
        (package / "__init__.py").write_text("raise ImportError('not this one')")
    assert len(list(burned(cluster, 2))) == 2
    other = cluster.add_worker(PYTHONPATH=str(tmp_path))
    try:
        assert cluster.has(3)
        for _ in ("known to the client before", "new to it"):
            with pytest.raises(
                StudyError, match="^1 of 3 workers have another version of the study or its packages, first tcp://"
            ):
                list(burned(cluster, 12))
            parallel.connect.cache_clear()
    finally:
        cluster.kill(other)
    assert cluster.has(2)
    assert len(list(burned(cluster, 2))) == 2


def test_a_study_that_was_changed_since_it_was_loaded_does_not_use_a_cluster(cluster, monkeypatch):
    parallel.connect.cache_clear()
    monkeypatch.setattr(code_version, "LOADED", 0)
    with pytest.raises(StudyError, match="^2 of 2 workers have another version .+: start the study and all workers again"):
        parallel.connect(cluster.address)


def test_a_cluster_whose_workers_have_all_died_is_not_waited_for_without_end(cluster, monkeypatch):
    results = burned(cluster, 9)
    next(results)
    for worker in cluster.workers:  # with the results that wait there
        cluster.kill(worker)
    monkeypatch.setattr(parallel, "WAIT_S", 1)
    with pytest.raises(StudyError, match=f"^The scheduler at {cluster.address} had no workers for 1 s: start some"):
        list(results)


def test_a_cluster_without_workers_or_scheduler_is_refused_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "CONNECT_S", 1)
    monkeypatch.setattr(parallel, "WAIT_S", 1)
    monkeypatch.setenv("SER_PROGRESS", str(tmp_path / "shown"))
    own = Cluster(tmp_path, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    try:
        with pytest.raises(StudyError, match=f"^The scheduler at {own.address} had no workers for 1 s: start some with `dask"):
            next(burned(own, 1))
        assert f"No workers at {own.address}: waiting up to 1 s for one" in (tmp_path / "shown").read_text()
        monkeypatch.setattr(parallel, "WAIT_S", 60)
        own.add_worker()
        assert len(list(burned(own, 1))) == 1
        with pytest.raises(StudyError, match="^Each of 1 workers died with the same task, last tcp://.+ start fewer workers"):
            list(parallel.parallel_map(die, [(0,)], execution=Execution(scheduler=own.address)))
        results = burned(own, 9)
        next(results)
        own.kill(own.started[0])
        with pytest.raises(StudyError, match=f"^The scheduler at {own.address} does not answer any more: start it and the"):
            list(results)
    finally:
        for process in own.started[::-1]:
            own.kill(process)
