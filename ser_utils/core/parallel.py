"""Independent tasks on one core, on several cores or on a Dask cluster; the results are the same.

The notebook parameter ``SCHEDULER`` is the address of the cluster's scheduler; if it is empty, tasks run on this machine.
"""

import collections
import contextlib
import functools
import itertools
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

import joblib
from joblib.externals.loky import process_executor

from ser_utils.core import code_version
from ser_utils.core.errors import StudyError
from ser_utils.core.progress import announce

Result = TypeVar("Result")
CONNECT_S = 5
"""Seconds to wait for the answer of a scheduler."""
WAIT_S = 120
"""Seconds to wait for a worker when a cluster has none."""
POLL_S = 1
"""Seconds after which to look for workers that have joined a cluster, while none of the tasks is done."""
IDLE_S = 3600
"""Seconds after which an idle worker process ends; joblib's 300 are less than some cells take in the parent."""
GROWTH = 2_000_000_000
"""Bytes of memory by which a worker process may grow before it is replaced."""


@dataclass(frozen=True)
class Execution:
    """Where independent tasks run; results do not depend on it."""

    n_jobs: int = 1
    """Processes on this machine; -1 for one per core. A cluster uses all of its workers."""
    scheduler: str = ""
    """Address of a Dask scheduler, such as ``tcp://host:8786``; empty for this machine."""


def parallel_map(
    function: Callable[..., Result], tasks: Iterable[tuple], *, execution: Execution = Execution(), threads: bool = False
) -> Iterator[Result]:
    """Call a function for every task, and yield the results in the order of the tasks as they are computed.

    Tasks are taken from `tasks` when workers are free, so neither all tasks nor all results need to fit in memory.

    Parameters
    ----------
    function : callable
        A function that other processes can import. The entries of a task are its arguments.
    tasks : iterable of tuple
    execution : Execution
        Number of processes, or the cluster to compute on.
    threads : bool
        Whether to use threads instead of processes, which take seconds to start.

    Raises
    ------
    StudyError
        The scheduler does not answer, has no workers for `WAIT_S`, or has workers with another version of the study; or a
        task has ended several workers.
    """
    if execution.scheduler:
        return _map_on_cluster(function, iter(tasks), execution.scheduler)
    if joblib.effective_n_jobs(execution.n_jobs) == 1:
        return (function(*task) for task in tasks)
    # With the same options in each call, loky keeps its processes; by default, the number of BLAS threads follows `n_jobs`.
    processes = {"initializer": _prepare_worker, "initargs": (os.getpid(),), "idle_worker_timeout": IDLE_S}
    options = {"backend": "threading"} if threads else {"backend": "loky", "inner_max_num_threads": 1, **processes}
    with joblib.parallel_config(n_jobs=execution.n_jobs, **options):
        pool = joblib.Parallel(return_as="generator", batch_size=1)  # larger batches fill the memory with results that wait
    return pool(joblib.delayed(function)(*task) for task in tasks)


def _prepare_worker(parent: int) -> None:
    """Make this worker exit soon after its parent, and not before; it would wait for minutes after the parent is killed.

    loky replaces a worker that has grown by 300 MB, which it takes for a leak; the import of TensorFlow alone takes 600 MB.
    """
    process_executor._MAX_MEMORY_LEAK_SIZE = GROWTH

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def check_address(scheduler: str) -> None:
    """Check that a Dask scheduler answers at an address.

    Raises
    ------
    StudyError
        The text is no address, nothing answers, or what answers is no Dask scheduler.
    """
    _open_client(scheduler).close()


def _open_client(scheduler: str):
    import dask
    from distributed import Client

    logging.getLogger("distributed").setLevel("CRITICAL")  # no messages about workers that join or leave
    logging.getLogger("distributed.client").setLevel("CRITICAL")  # which has a level of its own
    dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TiB"})  # tasks hold their arrays on purpose
    try:
        parts = urlsplit(scheduler)
        with socket.create_connection((parts.hostname, parts.port), timeout=CONNECT_S) as connection:
            connection.recv(1)  # a scheduler sends first; Dask's client would wait without limit for a silent server
        return Client(scheduler, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise StudyError(
            f"No Dask scheduler answers at {scheduler} ({getattr(error, 'strerror', None) or error}): start one with `dask "
            "scheduler` and set SCHEDULER to its address, such as tcp://host:8786, or to nothing for this machine."
        ) from error
    except Exception as error:  # another service, or another version of Dask, can raise anything
        raise StudyError(f"What answers at {scheduler} is no Dask scheduler of this version of Dask.") from error


@functools.lru_cache(maxsize=1)
def connect(scheduler: str):
    """Return a client of the cluster, after checking that it has workers, and all with this version of the study."""
    client = _open_client(scheduler)
    try:
        if not _count_threads(client):
            _wait_for_worker(client)
        _check_workers(client)
    except StudyError:
        client.close()
        raise
    return client


def _map_on_cluster(function: Callable[..., Result], tasks: Iterator[tuple], scheduler: str) -> Iterator[Result]:
    """Yield results as `parallel_map` does, from all workers that are there, also those that join later.

    The scheduler holds each task until its result is here. So it gives the tasks and lost results of a worker that dies to
    another. Each thread of the cluster has a task to do and one to come; besides, as many results may wait for earlier ones.
    """
    from distributed import wait
    from distributed.protocol import pickle

    client, call, futures = connect(scheduler), _versioned_call(_version()), collections.deque()
    while True:
        n_threads, pending = _count_threads(client), [future for future in futures if not future.done()]
        n_new = max(0, min(2 * n_threads - len(pending), 4 * n_threads - len(futures)))
        for task in itertools.islice(tasks, n_new):
            # as bytes, because the scheduler reads the arguments, which needs memory and the modules of the study
            futures.append(client.submit(call, pickle.dumps((function, task)), pure=False))
            pending.append(futures[-1])
        if futures and futures[0].done():
            yield _result(futures.popleft(), client)
        elif not n_threads:
            _wait_for_worker(client)
        elif not futures:
            return
        else:
            with client.as_current(), contextlib.suppress(TimeoutError):
                wait(pending, timeout=POLL_S, return_when="FIRST_COMPLETED")


def _versioned_call(version: str | None) -> Callable[[bytes], object]:
    """Make a function that calls another with the arguments of a task, on a worker with this version of the study.

    Defined inside of another and with its own imports, it goes by value, also to a worker or scheduler without the study.
    """

    def call(pickled: bytes) -> object:
        from distributed.protocol import pickle

        from ser_utils.core import parallel

        if version is None or parallel._version() != version:
            raise parallel.StudyError("A worker has another version of the study.")
        function, task = pickle.loads(pickled)
        return function(*task)

    return call


def _result(future, client) -> object:
    """Return the result of a task, or raise its error."""
    from distributed.scheduler import KilledWorker

    try:
        return future.result(timeout=WAIT_S)
    except TimeoutError:
        if future.status == "error":  # the task's own
            raise
        _wait_for_worker(client)  # the last worker died with the result just before
        return _result(future, client)
    except KilledWorker as error:
        raise StudyError(
            f"Each of {error.allowed_failures + 1} workers died with the same task, last {error.last_worker.address}: it may "
            "need more memory than a worker has, so start fewer workers on a machine and run the study again."
        ) from error
    except Exception:
        _check_workers(client)  # one of another version, or without the study, may fail in any way
        raise


def _count_threads(client) -> int:
    """Return the number of threads of all workers."""
    try:
        return sum(client.nthreads().values())
    except OSError as error:
        connect.cache_clear()
        address = client.scheduler.address
        raise StudyError(f"The scheduler at {address} does not answer any more: start it and the study again.") from error


def _wait_for_worker(client) -> None:
    """Wait until the cluster has a worker."""
    scheduler = client.scheduler.address
    try:
        announce(f"No workers at {scheduler}: waiting up to {WAIT_S} s for one.")
        client.wait_for_workers(1, timeout=WAIT_S)
    except TimeoutError as error:
        raise StudyError(
            f"The scheduler at {scheduler} had no workers for {WAIT_S} s: start some with `dask worker {scheduler} "
            "--nthreads 1` and run the study again."
        ) from error


def _check_workers(client) -> None:
    """Check that all workers have this version of the study.

    Dask's own check of versions only warns, and does not see the sources of the study.
    """
    version, versions = _version(), client.run(_version, on_error="return")  # without the study, a worker returns an error
    here = client.nthreads()  # a worker that has just died returns an error, too
    others = [address for address, other in versions.items() if address in here and (version is None or other != version)]
    if others:
        raise StudyError(
            f"{len(others)} of {len(here)} workers have another version of the study or its packages, first {others[0]}: "
            "start the study and all workers again, from the same commit and lock."
        )


def _version() -> str | None:
    """Version of all code of the study, which workers must share with the client."""
    return code_version.version(*code_version.modules())
