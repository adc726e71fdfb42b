"""Comparison of the results of a run with its manifest, or with the results in another folder.

Later stages are computed from earlier ones, so the cause of a difference is in the first stage that differs.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd

from ser_utils import corpora
from ser_utils.core import paths
from ser_utils.core.errors import StudyError
from ser_utils.study import differences, manifest
from ser_utils.study.manifest import STAGES

NOT_IN_GIT = ("*.npz", "model/*")
"""Results that git does not track, so that a fresh clone lacks them."""
FAILURES = ("differs", "missing")
SIZES_UNKNOWN = "The manifest has only hashes, so the sizes of differences are unknown: compare with a folder, --against DIR."


def compare(here: Mapping, there: Mapping) -> pd.DataFrame:
    """Compare the results in two manifests.

    Parameters
    ----------
    here, there : mapping
        From `ser_utils.study.manifest.contents` or `read`: what to check, and the reference.

    Returns
    -------
    pd.DataFrame [columns=stage, file, status]
        In the order of `STAGES`. status: ``same``, ``differs``, ``missing`` (only there), ``new`` (only here), or ``not here``
        (only there, and not tracked by git). The recordings of a corpus are one row, whose file is their number.
    """
    rows, recordings = [], _recordings(here)
    for name, expected in _recordings(there).items():
        status = _status(recordings.get(name), expected, optional=True)
        rows.append(("inputs", f"{expected['recordings']} recordings of {name}", status))
    for stage in list(STAGES)[1:]:
        a, b = here["stages"][stage], there["stages"][stage]
        for name in sorted({*a, *b}):
            optional = any(fnmatchcase(name, pattern) for pattern in NOT_IN_GIT)
            rows.append((stage, name, _status(a.get(name), b.get(name), optional=optional)))
    return pd.DataFrame(rows, columns=["stage", "file", "status"])


def _recordings(values: Mapping) -> dict[str, Mapping]:
    """Number and hash of the recordings of each corpus in a manifest."""
    entries = {values.get("corpus"): values["stages"]["inputs"], **values.get("extra_corpora", {})}
    return {name: entry for name, entry in entries.items() if entry}


def _status(here: object, there: object, *, optional: bool) -> str:
    if here is None:
        return "not here" if optional else "missing"
    return "new" if there is None else "same" if here == there else "differs"


def _contents_of(folder: Path) -> dict:
    """The manifest of a folder of results, if there is one, with the hashes of the present files."""
    if not any(folder.glob("*.csv")):
        problem = "holds no tables" if folder.is_dir() else "is no folder"
        raise StudyError(f"{folder} {problem}: expected the folder of a run with its CSV files, such as out/demo.")
    values = manifest.read(folder) if (folder / "manifest.json").exists() else {"stages": {"inputs": None}}
    return values | {"stages": manifest.result_hashes(folder) | {"inputs": values["stages"]["inputs"]}}


def command(corpus: str | None, *, variant: str = "", against: str | None = None) -> int:
    """Print the comparison of the results of a run with its manifest, or with another folder.

    Parameters
    ----------
    corpus : str, optional
        Corpus of the run; a name, a path, or the name of the folder of a user's own corpus in ``out/``. The default is EMOVO
        if its recordings or manifest exist, else the demo corpus.
    variant : str
        VARIANT of the run.
    against : str, optional
        The other folder; the default is the manifest of the run.

    Returns
    -------
    int
        Exit status: 1 if a file differs or is missing, otherwise 0.
    """
    chosen = (corpora.source_of_run(corpus) or corpus) if corpus else _default_corpus()
    run = paths.run_name(corpora.get_corpus(chosen).name, variant)
    folder = paths.OUT / run
    if against is None:
        there = manifest.read(folder)
        here = manifest.contents(run, chosen, there["parameters"])
    else:
        here, there = _contents_of(folder), _contents_of(Path(against))
    table = compare(here, there)
    print(f"Comparison of out/{run} with {against or 'its manifest'}, by stage:")
    print("\n".join([*_stage_lines(table), *_other_causes(here, there)]))
    failed = table[table.status.isin(FAILURES)]
    if failed.empty:
        print("Nothing differs.")
        return 0
    print(f"The first stage that differs is {failed.stage.iloc[0]}: later stages are computed from earlier ones.")
    differing = failed[failed.status == "differs"]
    if against is None:
        print(SIZES_UNKNOWN)
    elif len(differing):
        sizes = differences.by_column(folder, Path(against), differing.file)
        print(differences.largest(sizes), differences.judgement(differing, sizes), sep="\n")
    return 1


def _default_corpus() -> str:
    """EMOVO if its recordings or manifest exist, else the demo corpus."""
    has_manifest = (paths.OUT / "emovo" / "manifest.json").exists()
    return "emovo" if has_manifest or corpora.has_audio(corpora.CORPORA["emovo"].root) else "demo"


def _stage_lines(table: pd.DataFrame) -> list[str]:
    """A line for each stage: its files by status, such as ``tables: differs (metrics.csv), same (3 files)``."""
    lines = []
    for stage in STAGES:
        texts = []
        for status, files in table[table.stage == stage].groupby("status").file:
            n = len(files)
            count = f"{n} file{'s' if n > 1 else ''}"
            texts.append(f"{status} ({count if status == 'same' and stage != 'inputs' else ', '.join(files)})")
        lines.append(f"{stage}: {', '.join(texts) or 'nothing to compare'}")
    return lines


def _other_causes(here: Mapping, there: Mapping) -> list[str]:
    """A line for each parameter, number of threads, version, part of the platform or of the code that differs."""
    lines = []
    for section in ("parameters", "threads", "versions", "platform", "code"):
        a, b = here.get(section, {}), there.get(section, {})  # results without a manifest have none of them
        names = [name for name in {**a, **b} if a.get(name) != b.get(name)] if a and b else []
        if section != "code" or "sha256" in names:  # the same code can have several commits
            lines += [f"{section}: {name} is {a.get(name)} here, {b.get(name)} there" for name in names]
    return lines
