"""All tests, nbval's too, leave the user's results and cache alone and draw no bars: set before the study is imported.

Processes whose `SER_TESTS_SHARED` names the same folder share the tests, and a cache: each takes a file at a time that no other
has taken; the notebooks, which read each other's results, are taken together.
"""

import atexit
import itertools
import os
import shutil
import tempfile
from pathlib import Path

import pytest

_shared = os.environ.pop("SER_TESTS_SHARED", "")  # not for processes that tests start
_results = tempfile.mkdtemp(prefix="ser-tests-")
atexit.register(shutil.rmtree, _results, ignore_errors=True)
for _name in ("OUT", "REPORTS"):
    os.environ[f"SER_{_name}"] = os.path.join(_results, _name.lower())
os.environ |= {"SER_CACHE": os.path.join(_shared or _results, "cache"), "SER_PROGRESS": "off"}

LONGEST = ("notebooks", "test_whole_run.py", "test_planted_defects.py", "test_parallel.py", "test_training.py")
"""What is taken first, so that none of them is left to one process when the other has nothing more to do."""


def _part(item):
    """Name of what one process takes as a whole."""
    return item.path.name if item.path.suffix == ".py" else item.path.parent.name


def _taken(items):
    """Yield the tests of each part that no other process has taken."""
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items = sorted(items, key=lambda item: ranks.get(_part(item), len(ranks)))
    for part, tests in itertools.groupby(items, key=_part):
        try:
            Path(_shared, part).mkdir()
        except FileExistsError:
            continue
        yield from tests


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    """Run what this process takes, as pytest's own loop would; that one runs where nothing is shared or imports failed."""
    if not _shared or session.testsfailed:
        return None
    for item, following in itertools.pairwise(itertools.chain(_taken(session.items), [None])):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
    return True


def pytest_runtest_logreport(report):
    """Note failures of all processes in one file, which `run_tests.sh` shows at the end."""
    if _shared and report.failed:
        with Path(_shared, "failed").open("a", encoding="utf-8") as file:
            file.write(f"FAILED {report.nodeid}\n")
