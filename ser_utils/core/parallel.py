"""Independent tasks on one core, on several cores or on a Dask cluster; the results are the same.

The notebook parameter ``SCHEDULER`` is the address of the cluster's scheduler; if it is empty, tasks run on this machine.
"""

import contextlib
import functools
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

from ser_utils.core import code_version
from ser_utils.core.errors import StudyError

Result = TypeVar("Result")
CONNECT_S = 5
"""Seconds to wait for the answer of a scheduler, and as many again for its first worker."""


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
        The scheduler does not answer, has no workers, or has workers with another version of the study.
    """
    n_jobs = execution.n_jobs
    if execution.scheduler:
        backend = joblib.parallel_config(backend="dask", client=connect(execution.scheduler))
    elif joblib.effective_n_jobs(n_jobs) == 1:
        return (function(*task) for task in tasks)
    elif threads:
        backend = joblib.parallel_config(backend="threading", n_jobs=n_jobs)
    else:
        backend = joblib.parallel_config(backend="loky", n_jobs=n_jobs, initializer=_exit_with_parent, initargs=(os.getpid(),))
    with backend:
        pool = joblib.Parallel(return_as="generator", batch_size=1)  # larger batches fill the memory with results that wait
    return pool(joblib.delayed(_call)(function, task) for task in tasks)


def _call(function: Callable[..., Result], task: tuple) -> Result:
    """Call a function with a task as one argument: joblib would store separate arrays on one worker, and lose them with it."""
    return function(*task)


def _exit_with_parent(parent: int) -> None:
    """Make this worker exit soon after its parent; else it would wait for minutes after the parent is killed."""

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
    from distributed import Client

    logging.getLogger("distributed").setLevel("CRITICAL")  # no messages about workers that join or leave
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
    """Return a client of the cluster, after checking that all its workers have this version of the study.

    Dask's own check of versions only warns, and does not see the sources of the study.
    """
    client = _open_client(scheduler)
    with contextlib.suppress(TimeoutError):
        client.wait_for_workers(1, timeout=CONNECT_S)
    version, versions = _version(), client.run(_version, on_error="return")  # without the study, a worker returns an error
    others = [address for address, other in versions.items() if other != version or version is None]
    if versions and not others:
        return client
    client.close()
    if versions:
        raise StudyError(
            f"{len(others)} of {len(versions)} workers have another version of the study or its packages, first {others[0]}: "
            "start the study and all workers again, from the same commit and lock."
        )
    raise StudyError(f"The scheduler at {scheduler} has no workers: start some with `dask worker {scheduler} --nthreads 1`.")


def run_on_workers(scheduler: str, function: Callable[..., Result], *args: object) -> list[Result]:
    """Call a function on each worker of the cluster, and return the results."""
    return list(connect(scheduler).run(function, *args).values())


def _version() -> str | None:
    """Version of all code of the study, which workers must share with the client."""
    return code_version.version(*code_version.modules())
