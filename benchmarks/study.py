"""The whole study as a user runs it: cold, with empty results and cache, then warm, without changes.

.venv/bin/python -m benchmarks.study [corpus] [--set NAME=VALUE]
"""

import os
import re
import resource
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import measure
from ser_utils.core import paths
from ser_utils.core.errors import StudyError

COLD, WARM = "at most 480 s", "at most 20 s"


def run_all(corpus: str, flags: list[str], folder: Path) -> tuple[list[str], float]:
    """Run ``run_all.sh`` with results, reports and cache in `folder`, so that the user's files are not touched.

    Returns
    -------
    lines : list of str
        Printed lines.
    peak_mb : float
        Memory of the largest process.
    """
    folders = {f"SER_{name}": str(folder / name.lower()) for name in ("OUT", "REPORTS", "CACHE")}
    environment = {name: value for name, value in os.environ.items() if name not in measure.QUIET} | folders
    command = [str(paths.ROOT / "run_all.sh"), corpus, *flags]
    process = subprocess.Popen(
        command, env=environment | {"SER_PROGRESS": "off"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        print(f"  {lines[-1]}", flush=True)
    if process.wait():
        raise StudyError(f"{' '.join(command)} failed.")
    return lines, measure.peak_mb(resource.RUSAGE_CHILDREN)


def notebook_seconds(lines: list[str]) -> dict[str, float]:
    """Return the seconds of each notebook; 0 for a notebook that was not run again."""
    matches = (re.fullmatch(r"(\d\d_\w+) \.\.\. (?:(\d+) s|unchanged)", line) for line in lines)
    return {match[1]: float(match[2] or 0) for match in matches if match}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark and print its results."""
    parser = measure.parser(__doc__.split("\n")[0])
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="NAME=VALUE", help="as ./run_all.sh")
    arguments = parser.parse_args(argv)
    if arguments.clips is not None:
        raise StudyError("--clips is not supported, as the study runs on a whole corpus: use the corpus demo for a short run.")
    corpus, files = measure.clips(arguments.corpus)
    part = bool(arguments.settings)
    settings = [word for setting in arguments.settings for word in ("--set", setting)]
    warm = "The environment exists, with librosa's kernels compiled; results, reports and cache are empty at the start."
    measure.print_header("study: ./run_all.sh --fresh, and again without it", corpus, len(files), part=part, warm=warm)
    with tempfile.TemporaryDirectory(prefix="ser-benchmark-") as folder:
        cold = measure.measure_in_subprocess(run_all, corpus.name, ["--fresh", *settings], Path(folder))
        again = measure.measure_in_subprocess(run_all, corpus.name, settings, Path(folder))
    (lines, cold_mb), (lines_again, again_mb) = cold.value, again.value
    rows = [
        measure.Row("cold", cold.seconds, worker_mb=cold_mb, target=COLD),
        measure.Row("warm", again.seconds, worker_mb=again_mb, ratio=cold.seconds / again.seconds, target=WARM),
    ]
    measure.report("study", corpus, len(files), rows, part=part)
    warm_s = notebook_seconds(lines_again)
    for name, seconds in notebook_seconds(lines).items():
        print(f"{name}: cold {seconds:.0f} s, warm {warm_s[name]:.0f} s")


if __name__ == "__main__":
    measure.command(main)
