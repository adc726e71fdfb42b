"""What a user waits for: the study with empty results and cache, again without changes, and smaller and larger corpora.

.venv/bin/python -m benchmarks.study [corpus]

On EMOVO it also measures the first result for unseen speakers and a corpus of 4 500 clips; on the demo corpus, 45 clips of
one's own, and in a new clone the study with its environment made anew, and all tests.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import joblib

from benchmarks import measure, scale
from ser_utils import corpora
from ser_utils.core import paths
from ser_utils.core.errors import StudyError

FIRST_RESULT = {"PROTOCOLS": '["speaker"]', "N_SEEDS": "1", "AUGMENTATIONS": "[]"}
TARGETS = {
    "demo": {"cold": 110, "45 clips": 45, "from nothing": 210, "run_tests.sh": 420, ".ci/run": 600},
    "emovo": {"cold": 360, "warm": 10, "first result": 70, "4500 clips": 1500},
}
"""Largest numbers of seconds on two cores."""


def run_all(corpus: str, folder: str, settings: Mapping[str, str] = MappingProxyType({})) -> dict[str, float]:
    """Run the study with results, reports and cache in `folder`; return its seconds and the memory of its largest process."""
    folders = {f"SER_{name}": f"{folder}/{name.lower()}" for name in ("OUT", "REPORTS", "CACHE")}
    options = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    return run([str(paths.ROOT / "run_all.sh"), corpus, *options], folders)


def run(
    command: list[str], variables: Mapping[str, str] = MappingProxyType({}), cwd: str | Path = paths.ROOT
) -> dict[str, float]:
    """Run a command; return its seconds and the memory of its largest process in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, env=os.environ | {"SER_PROGRESS": "off"} | variables, cwd=cwd or paths.ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise StudyError(f"{' '.join(command)} failed.")
    return {"seconds": time.perf_counter() - start, "peak_mb": measure.peak_mb(usage)}


def write_own_corpus(corpus: corpora.Corpus, folder: str, n_clips: int) -> str:
    """Write a folder of a user's own, ``speaker/emotion/*.wav``, with noisy copies of a corpus; return its path.

    Beyond one copy of the corpus, a second copy of three speakers counts as three speakers more.
    """
    table, root = corpora.utterance_table(corpus)[0], Path(folder, "voices")
    doubled = sorted(table.speaker.unique())[:3]
    names = []
    for i in range(n_clips):
        copy, row = divmod(i * max(1, len(table) // n_clips), len(table))
        clip = table.iloc[row]
        speaker = f"{clip.speaker}b" if copy % 2 and clip.speaker in doubled else clip.speaker
        names.append((corpus.root / clip.file, root / speaker / clip.emotion / f"{i}.wav", copy))
    joblib.Parallel(n_jobs=-1)(joblib.delayed(scale.write_copy)(*name) for name in names)
    return str(root)


def benchmark(corpus: corpora.Corpus, files: list[str]) -> list[dict]:
    """Measure the runs of one corpus."""
    sides = {}
    with tempfile.TemporaryDirectory(prefix="ser-benchmark-") as folder:
        sides["cold"], sides["warm"] = run_all(corpus.name, folder), run_all(corpus.name, folder)
    with tempfile.TemporaryDirectory(prefix="ser-benchmark-") as folder:
        if corpus.name == "emovo":
            sides["first result"] = run_all(corpus.name, folder, FIRST_RESULT)
            sides["4500 clips"] = run_all(write_own_corpus(corpus, folder, 4500), folder)
        else:
            sides["45 clips"] = run_all(write_own_corpus(corpus, folder, 45), folder)
            clone = f"{folder}/study"
            subprocess.run(["git", "clone", "--quiet", str(paths.ROOT), clone], check=True)
            sides["from nothing"] = run(["./run_all.sh", "demo"], cwd=clone)
            for command in ("run_tests.sh", ".ci/run"):
                sides[command] = run([f"./{command}"], cwd=clone)
    targets = TARGETS.get(corpus.name, {})
    return [
        {"side": side, "target": f"at most {targets[side]} s" if side in targets else ""} | row for side, row in sides.items()
    ]


if __name__ == "__main__":
    measure.command("study", parts=False)
