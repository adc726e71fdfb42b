"""The manifest of a run: what went in, with which code, and a hash of every file that came out, stage by stage.

Two runs of the same code on the same data and platform write the same manifest. Where results differ, the first stage that
differs is where to look, as later stages are computed from earlier ones.
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
import pandas as pd

from ser_utils import corpora
from ser_utils.core import paths
from ser_utils.core.audio import SUFFIXES
from ser_utils.core.errors import StudyError
from ser_utils.study import notebooks
from ser_utils.study.parameters import known_parameters, versions
from ser_utils.study.stages import EXECUTION

CODE = ("ser_utils", "notebooks", "requirements.lock")
"""What computes the results, below the study's folder."""
THREADS = {"intra_op": 1, "inter_op": 1}
"""Threads that compute a network (see `ser_utils.models.backend`): with more, sums come out in another order."""
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
"""The stages in their order, and the names of their files: what one notebook hands on to the next; the rest are tables."""
KEPT_OUT = ("*.npz", "model/*")
"""Results that git does not keep, so that a fresh clone lacks them."""
NOT_RESULTS = ("manifest.json", "run.json", "source.json", "training_times.csv")
FAILURES = ("differs", "missing")
STATUSES = (*FAILURES, "same", "new", "not here")
SIZES = ["what", "largest_absolute", "absolute_in", "largest_relative", "relative_in", "n_texts"]
"""Columns of `differences` on how much two files differ."""
UNREADABLE = (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error)
"""What readers raise on a file that is cut off or holds something else."""


def write(run: str, corpus: str, parameters: Mapping, *, facts: Mapping | None = None) -> Path:
    """Write ``out/<run>/manifest.json``; the same bytes whenever the same run is made again.

    Parameters
    ----------
    run : str
        Name of the run's folder, from `ser_utils.core.paths.run_name`.
    corpus : str
        Its corpus, whose recordings are hashed: a name, or the path of one of the user's own.
    parameters : mapping
        The notebook parameters that were set; the others have their defaults.
    facts : mapping, optional
        What differs from run to run, such as when it was made and on how many cores: JSON values for
        ``out/<run>/executed/run.json``, where the parameters of `EXECUTION` are put beside them.

    Returns
    -------
    Path
        The manifest.
    """
    known = corpora.get_corpus(corpus).name
    out, variant = paths.out_dir(run), run.removeprefix(known).removeprefix("-")
    used = {name: ast.literal_eval(entry["default"]) for name, entry in known_parameters().items()}
    used |= {"VARIANT": variant, **parameters, "CORPUS": known}  # where a corpus of the user's own lies is in source.json
    extra = {corpora.get_corpus(name).name: _recordings(name) for name in used.get("EXTRA_CORPORA", [])}
    used |= {"EXTRA_CORPORA": list(extra)} if extra else {}
    if facts is not None:
        (out / "executed").mkdir(exist_ok=True)
        paths.write_json(out / "executed" / "run.json", {**{key: used[key] for key in EXECUTION if key in used}, **facts})
    stages = {stage: {} for stage in STAGES} | {"inputs": _recordings(corpus)}
    for name, digest in _results(out).items():
        stages[stage_of(name)][name] = digest
    values = {
        "corpus": known,
        "variant": variant,
        "parameters": {name: value for name, value in used.items() if name not in EXECUTION},
        **_surroundings(),
        **({"extra_corpora": extra} if extra else {}),
        "stages": stages,
    }
    paths.write_json(out / "manifest.json", values)
    return out / "manifest.json"


def read(run: str) -> dict:
    """The manifest of a run; `StudyError` where there is none, or a broken one."""
    try:
        return _read(paths.OUT / run)
    except FileNotFoundError as error:
        raise StudyError(f"out/{run} has no manifest.json to compare with: run the study first, with ./run_all.sh.") from error


def _read(folder: Path) -> dict:
    """The manifest in a folder; FileNotFoundError where there is none."""
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
    """The stage that a file of a run belongs to, by its name relative to the run's folder."""
    for stage, patterns in STAGES.items():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            return stage
    return "tables"


def choose_corpus(name: str | None) -> str:
    """The corpus to compare: the one named, else EMOVO where its audio or its manifest is there, else the demo corpus.

    One of the user's own is named by its path, or as its folder in ``out/`` is.
    """
    if name is not None:
        corpus = corpora.get_corpus(corpora.source_of_run(name) or name)
        return str(corpus.root / corpus.listing) if corpus.is_own else corpus.name
    manifest = paths.OUT / "emovo" / "manifest.json"
    return "emovo" if manifest.exists() or corpora.has_audio(corpora.CORPORA["emovo"].root) else "demo"


# What a run is made of


def _surroundings() -> dict[str, object]:
    """What results depend on besides data and parameters; nothing of it names a machine."""
    numpy_built = np.show_config(mode="dicts").get("SIMD Extensions", {})
    return {
        "threads": THREADS,
        "versions": versions(),
        "platform": {
            "system": platform.system(),
            "machine": platform.machine(),
            "simd": [*numpy_built.get("baseline", []), *numpy_built.get("found", [])],  # what this processor can do of it
        },
        "code": {"sha256": _code_hash(), "git commit": _git_commit()},
    }


def _code_hash() -> str:
    """A hash over the package's sources, tables and style, the notebooks' code, and the lock file; outputs do not count."""
    package = paths.PACKAGE
    files = [path for ending in ("*.py", "*.csv", "*.mplstyle") for path in package.rglob(ending)]
    files += [path for path in [paths.ROOT / "requirements.lock"] if path.exists()]
    texts = {
        path.relative_to(paths.ROOT).as_posix(): path.read_text(encoding="utf-8") for path in files
    }  # as text: git may have changed line ends
    for book in notebooks.list_notebooks():
        cells = nbformat.read(book, as_version=4).cells
        texts[book.name] = json.dumps([cell.source for cell in cells if cell.cell_type == "code"])
    return _hash_of({name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()})


def _git_commit() -> str | None:
    """The last commit that changed the code, and whether it was changed since; None where there is no git."""
    commit = _git("log", "-1", "--format=%H", "--", *CODE)
    if not commit:
        return None
    return commit + (" and uncommitted changes" if _git("status", "--porcelain", "--", *CODE) else "")


def _git(*arguments: str) -> str | None:
    """What git prints, or None where it fails or is not installed."""
    try:  # without optional locks, so as not to get in the way of a commit that is being made
        done = subprocess.run(["git", "--no-optional-locks", *arguments], cwd=paths.ROOT, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _recordings(corpus: str) -> dict[str, object] | None:
    """How many recordings a corpus has, and one hash over their names and contents; None where there are none."""
    try:
        root, files = corpora.get_corpus(corpus).root, corpora.input_files(corpora.get_corpus(corpus))
    except StudyError:  # a folder or CSV of the user's own that is no more
        return None
    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(paths.file_hash, (root / name for name in files)))
    hashed = {name: digest or "" for name, digest in zip(files, digests, strict=True)}
    n_recordings = sum(name.lower().endswith(SUFFIXES) for name in files)
    return {"recordings": n_recordings, "sha256": _hash_of(hashed)} if n_recordings else None


def _results(folder: Path) -> dict[str, str]:
    """The hash of each result in a run's folder, by its name relative to the folder, sorted."""
    files = [*folder.glob("*"), *(folder / "model").rglob("*")]
    names = sorted(path.relative_to(folder).as_posix() for path in files if path.is_file())
    return {name: content_hash(folder / name) for name in names if name not in NOT_RESULTS and not re.search(r"(^|/)\.", name)}


def content_hash(path: Path) -> str:
    """A SHA-256 of what a file holds.

    Of most files that is their bytes. A ``.npz`` counts by its arrays, whatever compressed them. A ``.keras`` counts by its
    weights and layers, without what differs between runs that give the same network: the date, addresses in memory, and how
    many layers the process had made before, which stands in the layers' names.
    """
    try:
        if path.suffix == ".keras":
            return _hash_of(_network_parts(path))
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                return _hash_of({name: _hash_member(archive, name) for name in archive.namelist()})
    except UNREADABLE:
        pass  # cut off: its bytes are all there is
    return paths.file_hash(path)


def _network_parts(path: Path) -> dict[str, str]:
    """The hash of each weight and of each other member of a ``.keras`` file."""
    weights = {
        name: hashlib.sha256(f"{w.dtype} {w.shape} ".encode() + w.tobytes()).hexdigest() for name, w in _weights(path).items()
    }
    with zipfile.ZipFile(path) as archive:
        config = json.dumps(_lasting(json.loads(archive.read("config.json"))), sort_keys=True)
        known = {"metadata.json", "config.json", "model.weights.h5"}
        others = {name: _hash_member(archive, name) for name in archive.namelist() if name not in known}
    return {**weights, **others, "config.json": hashlib.sha256(config.encode()).hexdigest()}


def _weights(path: Path) -> dict[str, np.ndarray]:
    """The weights in a ``.keras`` file, by their place in it."""
    import h5py  # comes with Keras

    found: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as tree:
        tree.visititems(lambda name, node: found.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None)
    return found


def _lasting(config: object) -> object:
    """Keras' description of a network without addresses in memory and without the numbers in layers' names."""
    if isinstance(config, dict):
        return {name: _lasting(value) for name, value in config.items() if name != "shared_object_id"}
    if isinstance(config, list):
        return [_lasting(value) for value in config]
    return re.sub(r"_\d+$", "", config) if isinstance(config, str) else config  # layers name those they follow, too


def _hash_member(archive: zipfile.ZipFile, name: str) -> str:
    with archive.open(name) as member:
        return hashlib.file_digest(member, "sha256").hexdigest()


def _hash_of(digests: Mapping[str, str]) -> str:
    """One hash over names and their hashes, in the order of the names."""
    return hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in sorted(digests.items())).encode()).hexdigest()


# What differs


def verify(run: str, corpus: str) -> pd.DataFrame:
    """Compare the files of a run with its manifest; nothing is computed again.

    Returns
    -------
    pd.DataFrame [columns=stage, file, status]
        In the order of `STAGES`. status: ``same``, ``differs``, ``missing`` (only in the manifest), ``new`` (not in it), or
        ``not here`` of what git does not keep. All recordings of a corpus are one row, whose file is how many there are.

    Raises
    ------
    StudyError
        The run has no manifest.
    """
    then = read(run)
    stages, inputs = then["stages"], _inputs(then)
    now = {name: _recordings(corpora.source_of_run(name) or name if name else corpus) for name in inputs}
    wrote = {name: digest for stage in list(STAGES)[1:] for name, digest in stages[stage].items()}
    rows = [*_compare_inputs(now, inputs), *_compare(_results(paths.OUT / run), wrote)]
    return pd.DataFrame(rows, columns=["stage", "file", "status"])


def differences(a: Path, b: Path) -> pd.DataFrame:
    """Compare the results in two folders, and say by how much they differ. Rows and columns are compared as written.

    Parameters
    ----------
    a, b : Path
        Folders of runs: the one in question, and the one to compare it with. Recordings are compared by the manifests,
        where both folders have one.

    Returns
    -------
    pd.DataFrame [columns=stage, file, status, what, largest_absolute, absolute_in, largest_relative, relative_in, n_texts]
        In the order of `STAGES`; status as in `verify`. The sizes are those of files that differ and can be read as tables or
        networks: `what` in words, the largest absolute difference of numbers, the largest relative one (as a share of the
        larger of the two magnitudes), the column or weight that each is in, and how many text cells differ.

    Raises
    ------
    StudyError
        One of the two is no folder, or holds no tables.
    """
    for folder in (a, b):
        if not folder.is_dir() or not any(folder.glob("*.csv")):
            found = "holds no tables" if folder.is_dir() else "is no folder"
            raise StudyError(f"{folder} {found}: expected the folder of a run with its CSV files, such as out/demo.")
    rows = [{**row, **_size(a, b, row)} for row in _compare(_results(a), _results(b))]
    if (a / "manifest.json").exists() and (b / "manifest.json").exists():
        rows = [*_compare_inputs(_inputs(_read(a)), _inputs(_read(b))), *rows]
    return pd.DataFrame(rows, columns=["stage", "file", "status", *SIZES])


def _compare(here: Mapping[str, str], there: Mapping[str, str]) -> list[dict[str, str]]:
    """A row for each result on either side, by stage and name."""
    order = list(STAGES)
    names = sorted({*here, *there}, key=lambda name: (order.index(stage_of(name)), name))
    return [{"stage": stage_of(name), "file": name, "status": _status(name, here.get(name), there.get(name))} for name in names]


def _inputs(values: Mapping) -> dict[str, Mapping | None]:
    """The recordings that a manifest tells of: of the corpus, without a name, and of extra corpora by theirs."""
    return {"": values["stages"]["inputs"], **values.get("extra_corpora", {})}


def _compare_inputs(here: Mapping[str, Mapping | None], there: Mapping[str, Mapping | None]) -> list[dict[str, str]]:
    """A row for all recordings of each corpus, or none where neither side has any."""
    rows = []
    for name in {**here, **there}:
        mine, theirs = here.get(name), there.get(name)
        if not mine and not theirs:
            continue
        counts = [side["recordings"] for side in (mine, theirs) if side]
        said = f"{counts[0]} recordings" + (f" of {name}" if name else "")
        said += f", expected {counts[1]}" if counts[0] != counts[-1] else ""
        status = "not here" if not mine else "new" if not theirs else "same" if mine == theirs else "differs"
        rows.append({"stage": "inputs", "file": said, "status": status})
    return rows


def _status(name: str, here: str | None, there: str | None) -> str:
    if here is None:
        return "not here" if any(fnmatchcase(name, pattern) for pattern in KEPT_OUT) else "missing"
    return "new" if there is None else "same" if here == there else "differs"


def _size(a: Path, b: Path, row: Mapping[str, str]) -> dict[str, object]:
    """By how much a file differs, as the columns `SIZES`; nothing where that cannot be said in numbers."""
    pair = [folder / row["file"] for folder in (a, b)]
    readers = {".csv": _columns, ".npz": _columns, ".keras": _weights}
    if row["status"] != "differs" or pair[0].suffix not in readers:
        return {}
    try:
        here, there = (readers[path.suffix](path) for path in pair)
    except UNREADABLE:
        return {"what": "cannot be read"}
    size = _sizes(here, there, "weights" if pair[0].suffix == ".keras" else "columns")
    if pair[0].suffix == ".keras" and not size["what"]:
        size["what"] = "layers or normalisation differ, weights are the same"
    return {**size, "what": size["what"] or "the same values, written in another way"}


def _columns(path: Path) -> dict[str, np.ndarray]:
    """The columns of a table, numbers as float64 and all else as text."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            names, lengths = arrays["names"].tolist(), 1
            if "lengths" in arrays:  # sequences: a row a frame
                names, lengths = [f"band_{i:02d}" for i in range(arrays["values"].shape[1])], arrays["lengths"]
            values = dict(zip(names, arrays["values"].T, strict=True))
            told = {name: np.repeat(arrays[f"{name}s"], lengths) for name in ("file", "variant")}
            table = pd.DataFrame({**told, **values})
    else:
        table = pd.read_csv(path, float_precision="round_trip")
    return {
        name: column.to_numpy(float)
        if pd.api.types.is_numeric_dtype(column) and column.dtype != bool
        else np.array(list(map(str, column.fillna(""))), dtype=str)
        for name, column in table.items()
    }


def _sizes(here: Mapping[str, np.ndarray], there: Mapping[str, np.ndarray], called: str) -> dict[str, object]:
    """By how much arrays (`called` columns or weights) differ, each from the one of its name, as the columns `SIZES`."""
    both = [name for name in here if name in there and here[name].shape == there[name].shape]
    said, n_texts, gaps = _shape_differences(here, there), 0, {}
    for name in both:
        x, y = here[name], there[name]
        if x.dtype.kind in "fiu" and y.dtype.kind in "fiu":
            gaps[name] = _largest_gaps(x.astype(float), y.astype(float))
            if one_sided := int((np.isnan(x) != np.isnan(y)).sum()):
                said.append(f"{name}: {one_sided} of {x.size} empty on one side")
        elif n := int((x.astype(str) != y.astype(str)).sum()):
            said.append(f"{name}: {n} of {x.size} differ")
            n_texts += n
    size: dict[str, object] = {"n_texts": n_texts}
    if n_columns := sum(absolute > 0 for absolute, _ in gaps.values()):
        said.append(f"numbers differ in {n_columns} of {len(gaps)} {called}")
        for i, which in enumerate(("absolute", "relative")):
            worst = max(gaps, key=lambda name, i=i: gaps[name][i])
            size |= {f"largest_{which}": gaps[worst][i], f"{which}_in": worst}
    return {**size, "what": "; ".join(said)}


def _shape_differences(here: Mapping[str, np.ndarray], there: Mapping[str, np.ndarray]) -> list[str]:
    """What stands in the way of comparing arrays value by value, in words."""
    said = [f"only here: {name}" for name in here if name not in there]
    said += [f"only there: {name}" for name in there if name not in here]
    if not said and list(here) != list(there):
        said.append("in another order")
    for name in here:
        x, y = here[name].shape, there[name].shape if name in there else here[name].shape
        if x != y and len(x) == len(y) == 1:  # the rows of a table are as many in each of its columns
            return [*said, f"{x[0]} rows here, {y[0]} there"]
        if x != y:
            said.append(f"{name}: shape {x} here, {y} there")
    return said


def _largest_gaps(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The largest absolute difference between numbers, and the largest as a share of the larger magnitude; 0 for none."""
    apart = (x != y) & ~np.isnan(x) & ~np.isnan(y)
    if not apart.any():
        return 0.0, 0.0
    x, y = x[apart], y[apart]
    absolute = np.abs(x - y)
    with np.errstate(invalid="ignore"):  # infinity by infinity
        relative = absolute / np.maximum(np.abs(x), np.abs(y))
    return float(absolute.max()), float(np.where(np.isnan(relative), np.inf, relative).max())


# The command line


def command(corpus: str | None, *, variant: str = "", against: str | None = None) -> int:
    """Print how the results of a run compare with its manifest, or with another folder.

    Parameters
    ----------
    corpus : str, optional
        The run's corpus; without it see `choose_corpus`.
    variant : str
        The run's VARIANT.
    against : str, optional
        The other folder; without it the run's manifest.

    Returns
    -------
    int
        Exit status: 1 when a file differs or is missing, else 0.
    """
    chosen = choose_corpus(corpus)
    run = paths.run_name(corpora.get_corpus(chosen).name, variant)
    if against is None:
        table, here, there, where = verify(run, chosen), _surroundings(), read(run), "in the manifest"
    else:
        mine, other, where = paths.OUT / run, Path(against), "there"
        table = differences(mine, other)
        both = (mine / "manifest.json").exists() and (other / "manifest.json").exists()
        here, there = (_read(mine), _read(other)) if both else ({}, {})
    print(f"out/{run} beside {'its manifest' if against is None else against}, stage by stage:")
    print("\n".join(_stage_texts(table)))
    first = next(iter(table.stage[table.status.isin(FAILURES)]), None)
    print("Nothing differs." if first is None else f"Look at {first} first: later stages are computed from earlier ones.")
    for said in _other_surroundings(here, there, where):
        print(said)
    return 0 if first is None else 1


def _stage_texts(table: pd.DataFrame) -> list[str]:
    """A line for each stage, and below it, where the sizes of differences are known, a table of them."""
    texts, before = [], set()
    for stage in STAGES:
        part = table[table.stage == stage]
        found = set(part.status)
        text = f"{stage}: {_counted(part) or 'nothing to compare'}"
        if found & set(FAILURES) and before and not before & set(FAILURES):
            text += "; the stages before it are the same" if before == {"same"} else "; no stage before it differs"
        texts.append(text)
        if "what" in part and len(sized := part[part.what.notna()]):
            shown = sized[["file", *SIZES]].replace({"n_texts": {0: np.nan}}).dropna(axis="columns", how="all")
            lines = shown.to_string(index=False, na_rep="", float_format="{:.2g}".format).splitlines()
            texts += [f"  {line.rstrip()}" for line in lines]
        before |= found
    return texts


def _counted(part: pd.DataFrame) -> str:
    """The files of a stage by status: ``differs (metrics.csv), 3 files the same``."""
    said = []
    for status in STATUSES:
        files = list(part.file[part.status == status])
        if files and status == "same" and list(part.stage)[0] != "inputs":
            said.append(f"same ({len(files)} {'file' if len(files) == 1 else 'files'})")
        elif files:
            said.append(f"{status} ({', '.join(files)})")
    return ", ".join(said)


def _other_surroundings(here: Mapping, there: Mapping, where: str) -> list[str]:
    """Sentences on what else could make results differ: parameters, threads, versions, platform, code."""
    said = []
    for section in ("parameters", "threads", "versions", "platform"):
        x, y = (side.get(section, {}) for side in (here, there))
        for name in {**x, **y} if x and y else ():  # parameters stand in manifests alone
            if x.get(name) != y.get(name):
                said.append(f"The {section} differ: {name} is {_text(x.get(name))} here, {_text(y.get(name))} {where}.")
    x, y = here.get("code", {}), there.get("code", {})
    if x.get("sha256") != y.get("sha256"):
        commits = [code.get("git commit") or "unknown" for code in (x, y)]
        said.append(f"The code differs: commit {commits[0]} here, {commits[1]} {where}.")
    return said


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else "not set" if value is None else str(value)
