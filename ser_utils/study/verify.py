"""Comparison of the results of a run with its manifest, or with the results in another folder.

Later stages are computed from earlier ones, so the cause of a difference is in the first stage that differs.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd

from ser_utils import corpora
from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.study import differences, manifest
from ser_utils.study.differences import SIZES
from ser_utils.study.manifest import STAGES, stage_of

NOT_IN_GIT = ("*.npz", "model/*")
"""Results that git does not track, so that a fresh clone lacks them."""
FAILURES = ("differs", "missing")
STATUSES = (*FAILURES, "same", "new", "not here")


def corpus_to_verify(name: str | None) -> str:
    """Corpus to compare: the one named, otherwise EMOVO if its audio or manifest exists, otherwise the demo corpus.

    A user's own corpus is named by its path, or by the name of its folder in ``out/``.
    """
    if name is not None:
        corpus = corpora.get_corpus(corpora.source_of_run(name) or name)
        return str(corpus.root / corpus.listing) if corpus.is_own else corpus.name
    path = paths.OUT / "emovo" / "manifest.json"
    return "emovo" if path.exists() or corpora.has_audio(corpora.CORPORA["emovo"].root) else "demo"


# Comparison


def compare_with_manifest(run: str, corpus: str) -> pd.DataFrame:
    """Compare the files of a run with its manifest. No result is computed again.

    Returns
    -------
    pd.DataFrame [columns=stage, file, status]
        In the order of `STAGES`. status: ``same``, ``differs``, ``missing`` (only in the manifest), ``new`` (not in it), or
        ``not here`` (only in the manifest, and not tracked by git). The recordings of a corpus are one row, whose file is
        their number.

    Raises
    ------
    StudyError
        The run has no manifest.
    """
    recorded = _read_manifest(run)
    recorded_inputs = _inputs(recorded)
    inputs = {name: manifest.recordings(corpora.source_of_run(name) or name if name else corpus) for name in recorded_inputs}
    hashes = {name: digest for stage in list(STAGES)[1:] for name, digest in recorded["stages"][stage].items()}
    rows = [*_compare_inputs(inputs, recorded_inputs), *_compare_hashes(manifest.result_hashes(paths.OUT / run), hashes)]
    return pd.DataFrame(rows, columns=["stage", "file", "status"])


def compare_folders(a: Path, b: Path) -> pd.DataFrame:
    """Compare the results in two folders, with the size of the differences. Rows and columns are compared in file order.

    Parameters
    ----------
    a, b : Path
        Folders of runs: the one to check, and the reference. Recordings are compared by the manifests if both folders have
        one.

    Returns
    -------
    pd.DataFrame [columns=stage, file, status, then `SIZES`, gaps]
        In the order of `STAGES`; status as in `compare_with_manifest`. The sizes are those of files that differ and can be
        read as tables or networks: a description, the largest absolute difference of numbers, the largest relative one (of
        the larger magnitude), the column or weight of each, and the number of text cells that differ. gaps: see
        `ser_utils.study.differences.size`.

    Raises
    ------
    StudyError
        One of the two is no folder, or holds no tables.
    """
    for folder in (a, b):
        if not folder.is_dir() or not any(folder.glob("*.csv")):
            problem = "holds no tables" if folder.is_dir() else "is no folder"
            raise StudyError(f"{folder} {problem}: expected the folder of a run with its CSV files, such as out/demo.")
    rows = _compare_hashes(manifest.result_hashes(a), manifest.result_hashes(b))
    rows = [{**row, **(differences.size(a, b, row["file"]) if row["status"] == "differs" else {})} for row in rows]
    if _have_manifests(a, b):
        rows = [*_compare_inputs(_inputs(manifest.read(a)), _inputs(manifest.read(b))), *rows]
    return pd.DataFrame(rows, columns=["stage", "file", "status", *SIZES, "gaps"])


def _read_manifest(run: str) -> dict:
    """Manifest of a run; `StudyError` if it does not exist."""
    try:
        return manifest.read(paths.OUT / run)
    except FileNotFoundError as error:
        raise StudyError(f"out/{run} has no manifest.json to compare with: run the study first, with ./run_all.sh.") from error


def _have_manifests(a: Path, b: Path) -> bool:
    return (a / "manifest.json").exists() and (b / "manifest.json").exists()


def _compare_hashes(here: Mapping[str, str], there: Mapping[str, str]) -> list[dict[str, str]]:
    """A row for each result on either side, by stage and name."""
    order = list(STAGES)
    names = sorted({*here, *there}, key=lambda name: (order.index(stage_of(name)), name))
    return [{"stage": stage_of(name), "file": name, "status": _status(name, here.get(name), there.get(name))} for name in names]


def _status(name: str, here: str | None, there: str | None) -> str:
    if here is None:
        return "not here" if any(fnmatchcase(name, pattern) for pattern in NOT_IN_GIT) else "missing"
    return "new" if there is None else "same" if here == there else "differs"


def _inputs(values: Mapping) -> dict[str, Mapping | None]:
    """Recordings in a manifest: those of the corpus by an empty name, those of extra corpora by the name of the corpus."""
    return {"": values["stages"]["inputs"], **values.get("extra_corpora", {})}


def _compare_inputs(here: Mapping[str, Mapping | None], there: Mapping[str, Mapping | None]) -> list[dict[str, str]]:
    """A row for the recordings of each corpus that has any on either side."""
    rows = []
    for name in {**here, **there}:
        a, b = here.get(name), there.get(name)
        if not a and not b:
            continue
        counts = [side["recordings"] for side in (a, b) if side]
        text = f"{counts[0]} recordings" + (f" of {name}" if name else "")
        text += f", expected {counts[1]}" if counts[0] != counts[-1] else ""
        status = "not here" if not a else "new" if not b else "same" if a == b else "differs"
        rows.append({"stage": "inputs", "file": text, "status": status})
    return rows


# Command line


def command(corpus: str | None, *, variant: str = "", against: str | None = None) -> int:
    """Print the comparison of the results of a run with its manifest, or with another folder.

    Parameters
    ----------
    corpus : str, optional
        Corpus of the run; see `corpus_to_verify` for the default.
    variant : str
        VARIANT of the run.
    against : str, optional
        The other folder; the default is the manifest of the run.

    Returns
    -------
    int
        Exit status: 1 if a file differs or is missing, otherwise 0.
    """
    chosen = corpus_to_verify(corpus)
    run = paths.run_name(corpora.get_corpus(chosen).name, variant)
    if against is None:
        table, where = compare_with_manifest(run, chosen), "in the manifest"
        here, there = manifest.environment(), _read_manifest(run)
    else:
        mine, other, where = paths.OUT / run, Path(against), "there"
        table = compare_folders(mine, other)
        here, there = (manifest.read(mine), manifest.read(other)) if _have_manifests(mine, other) else ({}, {})
    print(f"Comparison of out/{run} with {'its manifest' if against is None else against}, by stage:")
    print("\n".join(_stage_lines(table)))
    first = next(iter(table.stage[table.status.isin(FAILURES)]), None)
    print("Nothing differs." if first is None else f"Look at {first} first: later stages are computed from earlier ones.")
    for line in (_size_line(table, here, there), *_environment_lines(here, there, where)):
        if line:
            print(line)
    return 0 if first is None else 1


def _size_line(table: pd.DataFrame, here: Mapping, there: Mapping) -> str:
    """The sentence on the size of differences, or why the size is unknown; empty if nothing differs."""
    if "gaps" in table:
        return differences.size_sentence(table)
    if not (table.status == "differs").any():
        return ""
    text = (
        "The manifest has only hashes, so the sizes of differences are unknown: compare with the other folder, --against DIR."
    )
    if here.get("platform") != there.get("platform"):
        text += " The manifest was written on another processor or system."
    return text


def _stage_lines(table: pd.DataFrame) -> list[str]:
    """A line for each stage, followed by a table of the sizes of differences if they are known."""
    lines, earlier = [], set()
    for stage in STAGES:
        part = table[table.stage == stage]
        statuses = set(part.status)
        line = f"{stage}: {_count_by_status(part) or 'nothing to compare'}"
        if statuses & set(FAILURES) and earlier and not earlier & set(FAILURES):
            line += "; the stages before it are the same" if earlier == {"same"} else "; no stage before it differs"
        lines.append(line)
        if "what" in part and len(sized := part[part.what.notna()]):
            shown = sized[["file", *SIZES]].replace({"n_texts": {0: np.nan}}).dropna(axis="columns", how="all")
            rows = shown.to_string(index=False, na_rep="", float_format="{:.2g}".format).splitlines()
            lines += [f"  {row.rstrip()}" for row in rows]
        earlier |= statuses
    return lines


def _count_by_status(part: pd.DataFrame) -> str:
    """Files of a stage by status, such as ``differs (metrics.csv), same (3 files)``."""
    texts = []
    for status in STATUSES:
        files = list(part.file[part.status == status])
        if files and status == "same" and list(part.stage)[0] != "inputs":
            texts.append(f"same ({len(files)} {'file' if len(files) == 1 else 'files'})")
        elif files:
            texts.append(f"{status} ({', '.join(files)})")
    return ", ".join(texts)


def _environment_lines(here: Mapping, there: Mapping, where: str) -> list[str]:
    """Sentences on other causes of differences: parameters, threads, versions, platform, code."""
    lines = []
    for section in ("parameters", "threads", "versions", "platform"):
        a, b = (side.get(section, {}) for side in (here, there))
        verb = "differs" if section == "platform" else "differ"
        for name in {**a, **b} if a and b else ():  # only manifests have parameters
            if a.get(name) != b.get(name):
                lines.append(f"The {section} {verb}: {name} is {_text(a.get(name))} here, {_text(b.get(name))} {where}.")
    a, b = here.get("code", {}), there.get("code", {})
    if a.get("sha256") != b.get("sha256"):
        commits = [code.get("git commit") or "unknown" for code in (a, b)]
        lines.append(f"The code differs: commit {commits[0]} here, {commits[1]} {where}.")
    return lines


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else "not set" if value is None else str(value)
