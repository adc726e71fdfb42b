"""Many independent tasks: on one core, on all of them, or on a Dask cluster; the results are the same.

``SCHEDULER`` in the notebooks is the address of a cluster's scheduler; empty, the tasks run on this machine.
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


@dataclass(frozen=True)
class Execution:
    """Where independent tasks run; results do not depend on it."""

    n_jobs: int = 1
    """Processes on this machine; -1 for one per core. A cluster uses all of its workers."""
    scheduler: str = ""
    """Address of a Dask scheduler, such as ``tcp://host:8786``; empty for this machine."""


CONNECT_S = 5
"""Seconds that a scheduler has to answer, and as many again that its first worker has to come."""
GREETING = 4096  # bytes; Dask's first message has some sixty


def parallel_map(
    function: Callable[..., Result], tasks: Iterable[tuple], *, execution: Execution = Execution(), threads: bool = False
) -> Iterator[Result]:
    """Call `function` for every task and give the results in the order of the tasks, as they come.

    Tasks are taken from `tasks` as workers get free, so neither they nor the results have to fit in memory together.

    Parameters
    ----------
    function : callable
        What other processes can import; it gets a task's entries as arguments.
    tasks : iterable of tuple
    execution : Execution
        Number of processes, or the cluster to compute on.
    threads : bool
        Whether threads do it instead of processes: for work of a few seconds, less than processes take to start.

    Raises
    ------
    StudyError
        The scheduler does not answer, has no workers, or has workers with another version of the study.
    """
    n_jobs = execution.n_jobs
    if execution.scheduler:
        client = connect(execution.scheduler)
        backend = joblib.parallel_config(backend="dask", client=client)
    elif joblib.effective_n_jobs(n_jobs) == 1:
        return (function(*task) for task in tasks)
    elif threads:
        backend = joblib.parallel_config(backend="threading", n_jobs=n_jobs)
    else:
        backend = joblib.parallel_config(backend="loky", n_jobs=n_jobs, initializer=_end_with, initargs=(os.getpid(),))
    with backend:
        pool = joblib.Parallel(return_as="generator")
    return pool(joblib.delayed(_call)(function, task) for task in tasks)


def _call(function: Callable[..., Result], task: tuple) -> Result:
    """A task in one piece. Given one by one, joblib would lay arrays down on one worker of a cluster, and lose them with it."""
    return function(*task)


def _end_with(parent: int) -> None:
    """See that this worker ends soon after its parent; killed, that one would leave it waiting for minutes with its memory."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def check_address(scheduler: str) -> None:
    """Raise `StudyError` where no Dask scheduler answers at an address, before anything is computed.

    Raises
    ------
    StudyError
        Not an address, nobody there, or something else. Dask itself would wait for ever for one who says nothing.
    """
    try:
        parts = urlsplit(scheduler)
        where = (parts.hostname, parts.port)
    except ValueError:
        where = (None, None)
    if None in where or parts.scheme != "tcp":
        raise StudyError(f"SCHEDULER is {scheduler!r}: expected an address such as tcp://host:8786.")
    try:
        with socket.create_connection(where, timeout=CONNECT_S) as connection, connection.makefile("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")  # Dask speaks first: eight bytes say how much
            greeting = stream.read(length) if length < GREETING else b""
    except OSError as error:
        raise StudyError(
            f"No Dask scheduler answers at {scheduler} ({error.strerror or error}): start one with `dask scheduler`, "
            "or leave SCHEDULER empty to run on this machine."
        ) from error
    if b"pickle-protocol" not in greeting:
        raise StudyError(f"What answers at {scheduler} is no Dask scheduler.")


@functools.lru_cache(maxsize=1)
def connect(scheduler: str):
    """A client of the cluster, whose workers all have this very version of the study."""
    from distributed import Client

    check_address(scheduler)
    mine = _version()
    if mine is None:
        raise StudyError(
            "The study's code was changed since it was loaded here: start again, to compute the same on a cluster."
        )
    logging.getLogger("distributed").setLevel("CRITICAL")  # workers that come and go are the cluster's business
    try:
        client = Client(scheduler, timeout=CONNECT_S, set_as_default=False)
    except Exception as error:  # whatever a Dask of another version, or a worker, makes of it
        raise StudyError(f"What answers at {scheduler} is no Dask scheduler of this version of Dask.") from error
    with contextlib.suppress(TimeoutError):
        client.wait_for_workers(1, timeout=CONNECT_S)
    versions = client.run(_version, on_error="return")  # an error, too, is another version: one without the study
    if not versions:
        client.close()
        raise StudyError(
            f"The scheduler at {scheduler} has no workers: start some with `dask worker {scheduler} --nthreads 1`."
        )
    if others := [address for address, version in versions.items() if version != mine]:
        client.close()
        raise StudyError(
            f"{len(others)} of {len(versions)} workers have another version of the study or its packages, first "
            f"{others[0]}: start workers from the same commit and lock."
        )
    return client


def run_on_workers(scheduler: str, function: Callable[..., Result], *args: object) -> list[Result]:
    """The result of a call on each worker of the cluster."""
    return list(connect(scheduler).run(function, *args).values())


def _version() -> str | None:
    """What a worker has to have in common with the one that asks; see `ser_utils.core.code_version.version`."""

    return code_version.version(*code_version.modules())
