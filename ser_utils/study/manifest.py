"""The manifest of a run: its inputs, code, environment, and a hash of every result, stage by stage.

Two runs of the same code on the same data and platform write the same manifest. `ser_utils.study.verify` compares results
with it.
"""

import ast
import hashlib
import io
import json
import platform
import re
import subprocess
import zipfile
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path

import nbformat
import numpy as np

from ser_utils import corpora
from ser_utils.core import paths
from ser_utils.core.audio import SUFFIXES
from ser_utils.core.errors import StudyError
from ser_utils.study import notebooks
from ser_utils.study.parameters import known_parameters, versions
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
NOT_RESULTS = ("manifest.json", "run.json", "source.json", "training_times.csv")
"""Files of a run that are not hashed."""
READ_ERRORS = (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error)
"""Exceptions of the readers of tables and networks if a file is truncated or has another format."""


def write(run: str, corpus: str, parameters: Mapping, *, facts: Mapping | None = None) -> Path:
    """Write ``out/<run>/manifest.json``. A repeated run writes the same bytes.

    Parameters
    ----------
    run : str
        Name of the folder of the run, from `ser_utils.core.paths.run_name`.
    corpus : str
        Corpus whose recordings are hashed: a name, or the path of one of the user's own.
    parameters : mapping
        Notebook parameters that were set; the others have their defaults.
    facts : mapping, optional
        Facts that differ between runs, such as the duration and the number of cores: JSON values, written to
        ``out/<run>/executed/run.json`` together with the parameters in `EXECUTION`.

    Returns
    -------
    Path
        The manifest.
    """
    known = corpora.get_corpus(corpus).name
    out, variant = paths.out_dir(run), run.removeprefix(known).removeprefix("-")
    used = {name: ast.literal_eval(entry["default"]) for name, entry in known_parameters().items()}
    used |= {"VARIANT": variant, **parameters, "CORPUS": known}  # the path of a user's own corpus is in source.json
    extra = {corpora.get_corpus(name).name: recordings(name) for name in used.get("EXTRA_CORPORA", [])}
    used |= {"EXTRA_CORPORA": list(extra)} if extra else {}
    if facts is not None:
        (out / "executed").mkdir(exist_ok=True)
        paths.write_json(out / "executed" / "run.json", {**{key: used[key] for key in EXECUTION if key in used}, **facts})
    stages = {stage: {} for stage in STAGES} | {"inputs": recordings(corpus)}
    for name, digest in result_hashes(out).items():
        stages[stage_of(name)][name] = digest
    values = {
        "corpus": known,
        "variant": variant,
        "parameters": {name: value for name, value in used.items() if name not in EXECUTION},
        **environment(),
        **({"extra_corpora": extra} if extra else {}),
        "stages": stages,
    }
    paths.write_json(out / "manifest.json", values)
    return out / "manifest.json"


def read(folder: Path) -> dict:
    """Read the manifest of a run.

    Parameters
    ----------
    folder : Path
        Folder of the run, such as ``out/emovo``.

    Returns
    -------
    dict
        The values that `write` wrote.

    Raises
    ------
    FileNotFoundError
        The folder has no manifest.
    StudyError
        The manifest is damaged or of another version of the study.
    """
    try:
        values = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if set(values["stages"]) != set(STAGES):
            raise ValueError("other stages")
    except (ValueError, KeyError, TypeError) as error:
        raise StudyError(
            f"{folder / 'manifest.json'} is no manifest of this version of the study: run the study again to write it anew."
        ) from error
    return values


def stage_of(name: str) -> str:
    """Stage of a result, by its name relative to the folder of the run."""
    for stage, patterns in STAGES.items():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            return stage
    return "tables"


def environment() -> dict[str, object]:
    """Threads, versions of packages, platform and code; nothing of it identifies a machine."""
    simd = np.show_config(mode="dicts").get("SIMD Extensions", {})
    return {
        "threads": THREADS,
        "versions": versions(),
        "platform": {
            "system": platform.system(),
            "machine": platform.machine(),
            "simd": [*simd.get("baseline", []), *simd.get("found", [])],  # extensions that numpy uses on this processor
        },
        "code": {"sha256": code_hash(), "git commit": git_commit()},
    }


def code_hash() -> str:
    """Hash of the package's sources, tables and style, the code cells of the notebooks, and the lock file."""
    files = [path for ending in ("*.py", "*.csv", "*.mplstyle") for path in paths.PACKAGE.rglob(ending)]
    files += [path for path in [paths.ROOT / "requirements.lock"] if path.exists()]
    texts = {
        path.relative_to(paths.ROOT).as_posix(): path.read_text(encoding="utf-8") for path in files
    }  # as text: git may convert line endings
    for notebook in notebooks.list_notebooks():
        cells = nbformat.read(notebook, as_version=4).cells
        texts[notebook.name] = json.dumps([cell.source for cell in cells if cell.cell_type == "code"])
    return _joint_hash({name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()})


def git_commit() -> str | None:
    """Last commit that changed the code, with a remark if there are uncommitted changes; None without git."""
    commit = _git("log", "-1", "--format=%H", "--", *CODE)
    if not commit:
        return None
    return commit + (" and uncommitted changes" if _git("status", "--porcelain", "--", *CODE) else "")


def _git(*arguments: str) -> str | None:
    """Output of a git command; None if it fails or git is not installed."""
    try:  # without optional locks, which could block a concurrent commit
        done = subprocess.run(["git", "--no-optional-locks", *arguments], cwd=paths.ROOT, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def recordings(corpus: str) -> dict[str, object] | None:
    """Number of recordings of a corpus, and one hash over their names and contents; None if there are none."""
    try:
        root, files = corpora.get_corpus(corpus).root, corpora.input_files(corpora.get_corpus(corpus))
    except StudyError:  # the folder or CSV file of a user's own corpus was removed
        return None
    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(paths.file_hash, (root / name for name in files)))
    hashes = {name: digest or "" for name, digest in zip(files, digests, strict=True)}
    n_recordings = sum(name.lower().endswith(SUFFIXES) for name in files)
    return {"recordings": n_recordings, "sha256": _joint_hash(hashes)} if n_recordings else None


def result_hashes(folder: Path) -> dict[str, str]:
    """Hash of each result of a run, by its name relative to the folder of the run, sorted."""
    files = [*folder.glob("*"), *(folder / "model").rglob("*")]
    names = sorted(path.relative_to(folder).as_posix() for path in files if path.is_file())
    return {name: content_hash(folder / name) for name in names if name not in NOT_RESULTS and not re.search(r"(^|/)\.", name)}


def content_hash(path: Path) -> str:
    """SHA-256 of the content of a result.

    For most files this is the hash of the bytes. For a ``.npz`` it is the hash of the arrays, independent of compression.
    For a ``.keras`` it is the hash of weights and layers, without parts that differ between runs with the same network: the
    date, memory addresses, and the running numbers in the names of layers.
    """
    try:
        if path.suffix == ".keras":
            return _joint_hash(_network_hashes(path))
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                return _joint_hash({name: _member_hash(archive, name) for name in archive.namelist()})
    except READ_ERRORS:
        pass  # a truncated file is hashed by its bytes
    return paths.file_hash(path)


def _network_hashes(path: Path) -> dict[str, str]:
    """Hash of each weight and of each other member of a ``.keras`` file."""
    hashes = {
        name: hashlib.sha256(f"{w.dtype} {w.shape} ".encode() + w.tobytes()).hexdigest()
        for name, w in read_weights(path).items()
    }
    with zipfile.ZipFile(path) as archive:
        config = json.dumps(_reproducible_config(json.loads(archive.read("config.json"))), sort_keys=True)
        members = set(archive.namelist()) - {"metadata.json", "config.json", "model.weights.h5"}
        hashes |= {name: _member_hash(archive, name) for name in members}
    return {**hashes, "config.json": hashlib.sha256(config.encode()).hexdigest()}


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """Weights of a ``.keras`` file, by their HDF5 path."""
    import h5py  # a dependency of Keras

    weights: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as tree:
        tree.visititems(lambda name, node: weights.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None)
    return weights


def _reproducible_config(config: object) -> object:
    """Keras' configuration of a network without memory addresses and without running numbers in the names of layers."""
    if isinstance(config, dict):
        return {name: _reproducible_config(value) for name, value in config.items() if name != "shared_object_id"}
    if isinstance(config, list):
        return [_reproducible_config(value) for value in config]
    return re.sub(r"_\d+$", "", config) if isinstance(config, str) else config  # layers refer to others by name


def _member_hash(archive: zipfile.ZipFile, name: str) -> str:
    with archive.open(name) as member:
        return hashlib.file_digest(member, "sha256").hexdigest()


def _joint_hash(hashes: Mapping[str, str]) -> str:
    """One hash over names and their hashes, in the order of the names."""
    return hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in sorted(hashes.items())).encode()).hexdigest()
