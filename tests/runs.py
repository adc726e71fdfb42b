"""Results of a small run, for the tests of manifests and of the comparison of results, and runs of the whole study."""

import contextlib
import io
import json
import os
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import psutil

from ser_utils.core import paths
from ser_utils.features.registry import write_features

RECORDINGS = {f"f1/{code}-f1-b1.ogg": f"sound of {code}".encode() for code in ("gio", "neu", "tri")}
TEXTS = {
    "utterances.csv": "file,duration_s\na.ogg,1.5\nb.ogg,2.5\n",
    "skipped.csv": "file,reason\n",
    "augmentation.json": "{}\n",
    "features_original38.csv": "file,variant,rms\na.ogg,original,0.25\nb.ogg,original,0.5\n",
    "folds.csv": "protocol,fold,file\nspeaker,1,a.ogg\n",
    "predictions.csv": "file,fold,predicted,p_joy\na.ogg,1,joy,0.75\nb.ogg,1,fear,0.25\nc.ogg,2,joy,0.5\n",
    "metrics.csv": "metric,value\nuar,0.5\naccuracy,0.25\n",
    "headline.png": "a picture",
    "model/settings.json": "{}\n",
}
FEATURES = pd.DataFrame({"file": ["a.ogg", "b.ogg"], "variant": "original", "f0": [100.0, 200.0], "level": [1.0, 2.0]})
NAMES = [*TEXTS, "features_functionals.npz", "model/model.keras"]


def write_network(path, *, weight=1.0, date="2026-11-22@21:14:06", layer="dense_15", address=140_064_868_160_208):
    """A file as Keras writes it, with one layer of two weights."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as tree:
        tree["layers/dense/vars/0"] = np.array([weight, 2.0], np.float32)
        tree["layers/dense/vars"].attrs["name"] = layer
    config = {"layers": [{"config": {"name": layer, "units": 2}, "shared_object_id": address}]}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"date_saved": date}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", buffer.getvalue())


def write_results(folder):
    """All files of a run, but the manifest."""
    (folder / "model").mkdir(parents=True)
    for name, text in TEXTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    write_features(FEATURES, folder / "features_functionals.npz")
    write_network(folder / "model" / "model.keras")
    return folder


def replace(path, old, new):
    """Replace a text that the file has."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


class StudyRun:
    """Runs of the whole study on one's own recordings, with few folds and resamples, into a folder of its own."""

    SETTINGS = {
        "N_SEEDS": 1,
        "N_FOLDS": 2,
        "AUGMENTATIONS": [],
        "FEATURES": "original38",
        "N_RESAMPLES": 50,
        "N_PERMUTATIONS": 20,
        "BASELINES": ["chance", "svm", "lda"],
    }

    def __init__(self, folder: Path, recordings: Path):
        self.folder, self.recordings, self.started = folder, recordings, []

    def start(self) -> psutil.Popen:
        """Start a run, which continues an earlier one."""
        settings = [part for name, value in self.SETTINGS.items() for part in ("--set", f"{name}={json.dumps(value)}")]
        command = [sys.executable, "-m", "ser_utils", "run", str(self.recordings), *settings]
        folders = {f"SER_{name}": str(self.folder / name.lower()) for name in ("DATA", "OUT", "REPORTS", "CACHE")}
        with (self.folder / "log").open("a") as log:
            environment = os.environ | folders | {"SER_PROGRESS": "off"}
            run = psutil.Popen(command, cwd=paths.ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
        self.started.append(run)
        return run

    def kill(self, *, only_leader: bool = False) -> None:
        """Kill the last run, with all processes that it has started or alone, so that these are left behind."""
        leader = self.started[-1]
        self.started += leader.children(recursive=True)
        leader.kill()
        leader.wait()
        if not only_leader:
            self.end()

    def end(self) -> None:
        """Kill all processes that were started, and those that they have started."""
        for process in self.started:
            with contextlib.suppress(psutil.NoSuchProcess):
                for one in [*process.children(recursive=True), process]:
                    one.kill()

    def log(self) -> str:
        """What the runs have printed."""
        return (self.folder / "log").read_text()
