"""The whole study as a user runs it: cold, with nothing computed before, and once more, warm, with nothing changed.

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
    """``run_all.sh`` with results, reports and cache in `folder`, so that the user's stay.

    Returns
    -------
    said : list of str
        Its lines.
    peak_mb : float
        Memory of its largest process.
    """
    places = {f"SER_{name}": str(folder / name.lower()) for name in ("OUT", "REPORTS", "CACHE")}
    environment = {name: value for name, value in os.environ.items() if name not in measure.QUIET} | places
    command = [str(paths.ROOT / "run_all.sh"), corpus, *flags]
    process = subprocess.Popen(
        command, env=environment | {"SER_PROGRESS": "off"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    said = []
    for line in process.stdout:
        said.append(line.rstrip())
        print(f"  {said[-1]}", flush=True)
    if process.wait():
        raise StudyError(f"{' '.join(command)} failed.")
    return said, measure.peak_mb(resource.RUSAGE_CHILDREN)


def seconds_of(said: list[str]) -> dict[str, float]:
    """Seconds of each notebook that was run; 0 of one that was not run again."""
    found = (re.fullmatch(r"(\d\d_\w+) \.\.\. (?:(\d+) s|unchanged)", line) for line in said)
    return {match[1]: float(match[2] or 0) for match in found if match}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = measure.parser(__doc__.split("\n")[0])
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="NAME=VALUE", help="as ./run_all.sh")
    given = parser.parse_args(argv)
    if given.clips is not None:
        raise StudyError("--clips: the study runs on a whole corpus; demo is the smaller one.")
    corpus, files = measure.clips(given.corpus)
    part = bool(given.settings)
    settings = [word for setting in given.settings for word in ("--set", setting)]
    warm = "Only the environment is there, with librosa's kernels compiled; results, reports and cache begin empty."
    measure.begin("study: ./run_all.sh --fresh, and again without it", corpus, len(files), part=part, warm=warm)
    with tempfile.TemporaryDirectory(prefix="ser-benchmark-") as folder:
        cold = measure.apart(run_all, corpus.name, ["--fresh", *settings], Path(folder))
        again = measure.apart(run_all, corpus.name, settings, Path(folder))
    (said, cold_mb), (said_again, again_mb) = cold.value, again.value
    rows = [
        measure.Row("cold", cold.seconds, worker_mb=cold_mb, target=COLD),
        measure.Row("warm", again.seconds, worker_mb=again_mb, ratio=cold.seconds / again.seconds, target=WARM),
    ]
    measure.report("study", corpus, len(files), rows, part=part)
    warm_s = seconds_of(said_again)
    for name, seconds in seconds_of(said).items():
        print(f"{name}: cold {seconds:.0f} s, warm {warm_s[name]:.0f} s")


if __name__ == "__main__":
    measure.command(main)
