"""The manifest of a run: its inputs, code, environment, and a hash of every result, stage by stage.

Two runs of the same code on the same data and platform write the same manifest. `ser_utils.study.verify` compares results
with it.
"""

import hashlib
import io
import json
import platform
import re
import subprocess
import zipfile
import zlib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from ser_utils import corpora
from ser_utils.core import paths
from ser_utils.core.audio import SUFFIXES
from ser_utils.core.errors import StudyError
from ser_utils.study import notebooks
from ser_utils.study.parameters import versions, with_defaults
from ser_utils.study.stages import EXECUTION

CODE = ("ser_utils", "notebooks", "requirements.lock")
"""Files and folders of the code that computes the results, relative to the root of the study."""
THREADS = {"intra_op": 1, "inter_op": 1}
"""Threads that compute a network (see `ser_utils.models.backend`); more change the order of sums, and so the last digits."""
STAGES = {
    "inputs": (),
    "utterances": ("utterances.csv", "skipped.csv"),
    "features": ("features_*.csv", "features_*.npz", "augmentation.json"),
    "folds": ("folds.csv",),
    "training": (
        "predictions*.csv",
        "*selection.csv",
        "temperatures.csv",
        "importance.csv",
        "enrolment.csv",
        "learning_curves.csv",
        "cross_validation.csv",
    ),
    "weights": ("model/*",),
    "tables": (),
    "figures": ("*.png", "*.svg"),
}
"""Stages in the order of computation, and patterns of their files. Files that match no pattern belong to the tables."""
NOT_RESULTS = ("manifest.json", "source.json", "training_times.csv")
"""Files of a run that are not hashed."""
READ_ERRORS = (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error)
"""Exceptions of the readers of tables and networks if a file is truncated or has another format."""


def write(run: str, corpus: str, parameters: Mapping, facts: Mapping = {}) -> Path:
    """Write ``out/<run>/manifest.json`` from `contents`, and return its path. A repeated run writes the same bytes.

    `facts` that differ between runs, such as the duration and the number of cores, are JSON values that are written to
    ``out/<run>/executed/run.json`` together with the parameters in `EXECUTION`.
    """
    out = paths.out_dir(run)
    (out / "executed").mkdir(exist_ok=True)
    execution = {name: value for name, value in with_defaults(parameters).items() if name in EXECUTION}
    paths.write_json(out / "executed" / "run.json", {**execution, **facts})
    paths.write_json(out / "manifest.json", contents(run, corpus, parameters))
    return out / "manifest.json"


def contents(run: str, corpus: str, parameters: Mapping) -> dict:
    """Describe the present files of a run, the recordings, the code and the environment.

    Parameters
    ----------
    run : str
        Name of the folder of the run, from `ser_utils.core.paths.run_name`.
    corpus : str
        Corpus whose recordings are hashed: a name, or the path of one of the user's own.
    parameters : mapping
        Notebook parameters that were set; the others have their defaults. EXTRA_CORPORA has names, paths or names of runs.

    Returns
    -------
    dict
        JSON values: corpus, variant, parameters, threads, versions, platform, code, and stages, a hash of each result by stage
        and name relative to the folder of the run. Instead of paths, which identify a machine, it has names of corpora.
    """
    known = corpora.get_corpus(corpus).name
    variant = run.removeprefix(known).removeprefix("-")
    used = {name: value for name, value in with_defaults(parameters).items() if name not in EXECUTION}
    used |= {"CORPUS": known, "VARIANT": variant}
    extra = {}
    for name in used.get("EXTRA_CORPORA", []):
        source = corpora.source_of_run(name)
        extra[name if source else corpora.get_corpus(name).name] = recordings(source or name)
    return {
        "corpus": known,
        "variant": variant,
        "parameters": used | ({"EXTRA_CORPORA": list(extra)} if extra else {}),
        "threads": THREADS,
        "versions": versions(),
        "platform": {"system": platform.system(), "machine": platform.machine(), "simd": _simd()},
        "code": {"sha256": code_hash(), "git commit": git_commit()},
        **({"extra_corpora": extra} if extra else {}),
        "stages": result_hashes(paths.OUT / run) | {"inputs": recordings(corpus)},
    }


def _simd() -> list[str]:
    """Instruction set extensions that numpy uses on this processor."""
    simd = np.show_config(mode="dicts").get("SIMD Extensions", {})
    return [*simd.get("baseline", []), *simd.get("found", [])]


def read(folder: Path) -> dict:
    """Return what `write` wrote to the folder of a run, such as ``out/emovo``.

    Raises
    ------
    StudyError
        There is no manifest, or it is damaged or of another version of the study.
    """
    path = folder / "manifest.json"
    if not path.exists():
        raise StudyError(f"{path} does not exist: run the study first, with ./run_all.sh.")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if set(values["stages"]) != set(STAGES):
            raise ValueError("other stages")
    except (ValueError, KeyError, TypeError) as error:
        raise StudyError(
            f"{path} is no manifest of this version of the study: run the study again to write it anew."
        ) from error
    return values


def stage_of(name: str) -> str:
    """Stage of a result, by its name relative to the folder of the run."""
    for stage, patterns in STAGES.items():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            return stage
    return "tables"


def code_hash() -> str:
    """Hash of the package's sources, tables and style, the code cells of the notebooks, and the lock file."""
    files = [path for ending in ("*.py", "*.csv", "*.mplstyle") for path in paths.PACKAGE.rglob(ending)]
    files += paths.ROOT.glob("requirements.lock")
    texts = {path.relative_to(paths.ROOT).as_posix(): path.read_text(encoding="utf-8") for path in files}
    for notebook in notebooks.list_notebooks():
        texts[notebook.name] = json.dumps(notebooks.code_cells(notebooks.read_notebook(notebook)))
    return _joint_hash({name: _sha256(text.encode()) for name, text in texts.items()})


def git_commit() -> str | None:
    """Last commit that changed the code, with a remark if there are uncommitted changes; None without git."""
    texts = []
    for command in (["log", "-1", "--format=%H"], ["status", "--porcelain"]):
        git = ["git", "--no-optional-locks", *command, "--", *CODE]  # optional locks could block a concurrent commit
        try:
            texts.append(subprocess.run(git, cwd=paths.ROOT, capture_output=True, text=True, check=True).stdout.strip())
        except (OSError, subprocess.CalledProcessError):
            return None
    commit, changes = texts
    return f"{commit} and uncommitted changes" if commit and changes else commit or None


def recordings(corpus: str) -> dict[str, object] | None:
    """Number of recordings of a corpus, and one hash over their names and contents; None if there are none."""
    try:
        entry = corpora.get_corpus(corpus)
        files = corpora.input_files(entry)
        hashes = dict(zip(files, paths.file_hashes(entry.root, files), strict=True))
    except StudyError:  # the folder or CSV file of a user's own corpus was removed
        return None
    n_recordings = sum(name.lower().endswith(SUFFIXES) for name in files)
    return {"recordings": n_recordings, "sha256": _joint_hash(hashes)} if n_recordings else None


def result_hashes(folder: Path) -> dict[str, dict[str, str]]:
    """Hashes of the results of a run: stage, then name relative to the folder of the run, sorted."""
    hashes: dict[str, dict[str, str]] = {stage: {} for stage in STAGES}
    files = [*folder.glob("*"), *(folder / "model").rglob("*")]
    for name in sorted(path.relative_to(folder).as_posix() for path in files if path.is_file() and path.name[0] != "."):
        if name not in NOT_RESULTS:
            hashes[stage_of(name)][name] = content_hash(folder / name)
    return hashes


def content_hash(path: Path) -> str:
    """SHA-256 of the content of a result.

    For most files this is the hash of the bytes. For a ``.npz`` it is the hash of the arrays, independent of compression.
    For a ``.keras`` it is the hash of weights and layers, without parts that differ between runs with the same network: the
    date, memory addresses, and the running numbers in the names of layers.
    """
    try:
        if path.suffix == ".keras":
            parts = read_network(path)
            config = parts.pop("config.json").item()
            hashes = {name: _sha256(f"{w.dtype} {w.shape} ".encode() + w.tobytes()) for name, w in parts.items()}
            return _joint_hash({**hashes, "config.json": _sha256(config.encode())})
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                return _joint_hash({name: _sha256(archive.read(name)) for name in archive.namelist()})
    except READ_ERRORS:
        pass  # a truncated file is hashed by its bytes
    return paths.file_hash(path)


def read_network(path: Path) -> dict[str, np.ndarray]:
    """Weights of a ``.keras`` file by their HDF5 path, and as ``config.json`` the text of its reproducible configuration."""
    import h5py  # a dependency of Keras

    parts: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as tree:
        tree.visititems(lambda name, node: parts.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None)
        config = json.loads(archive.read("config.json"), object_hook=_without_address)
    text = re.sub(r'_\d+"(?!:)', '"', json.dumps(config, sort_keys=True))  # running numbers of layers, in all references
    return parts | {"config.json": np.array(text)}


def _without_address(config: dict) -> dict:
    return {name: value for name, value in config.items() if name != "shared_object_id"}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _joint_hash(hashes: Mapping[str, str]) -> str:
    """One hash over names and their hashes, in the order of the names."""
    return _sha256("".join(f"{name} {digest}\n" for name, digest in sorted(hashes.items())).encode())
