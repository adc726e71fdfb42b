"""The study as a user starts it; cold, with empty results and cache, then warm, without changes.

.venv/bin/python -m benchmarks.study [corpus]
"""

import os
import subprocess
import tempfile
import time

from benchmarks import measure
from ser_utils import corpora
from ser_utils.core import paths
from ser_utils.core.errors import StudyError


def run_all(corpus: str, folder: str) -> dict[str, float]:
    """Run the study with results, reports and cache in `folder`; return its seconds and the memory of its largest process."""
    folders = {f"SER_{name}": f"{folder}/{name.lower()}" for name in ("OUT", "REPORTS", "CACHE")}
    start = time.perf_counter()
    process = subprocess.Popen([paths.ROOT / "run_all.sh", corpus], env=os.environ | folders | {"SER_PROGRESS": "off"})
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise StudyError(f"./run_all.sh {corpus} failed.")
    return {"seconds": time.perf_counter() - start, "peak_mb": measure.peak_mb(usage)}


def benchmark(corpus: corpora.Corpus, files: list[str]) -> list[dict]:
    """Measure two runs."""
    with tempfile.TemporaryDirectory(prefix="ser-benchmark-") as folder:
        cold, warm = run_all(corpus.name, folder), run_all(corpus.name, folder)
    return [
        {"side": "cold", "target": "at most 480 s"} | cold,
        {"side": "warm", "ratio": cold["seconds"] / warm["seconds"], "target": "at most 20 s"} | warm,
    ]


if __name__ == "__main__":
    measure.command("study", parts=False)
