"""A quick end of the kernels that run notebooks: without it each takes 0.5 to 3 s to end, and writes nothing meanwhile."""

import atexit
import os
from multiprocessing import util

from IPython import get_ipython


def end_at_once() -> None:
    """Make this kernel end as soon as its exit handlers have run; called when it starts, so that its own handler is the last.

    ipykernel waits for child processes up to a limit, because joblib's resource tracker ignores its signal: it ends after the
    kernel. After the exit handlers, Python would take all modules apart, which takes 3 s with TensorFlow.
    """
    get_ipython().kernel._process_children = list
    atexit.register(_exit)


def _exit() -> None:
    util._exit_function()  # has removed semaphores, unless it was registered before this handler
    os._exit(0)
