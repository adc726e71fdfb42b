"""Stages of a run: a notebook whose inputs, code and parameters are unchanged and whose results exist is not run again.

A stage is one notebook of one run. After it has ended well, a marker in ``out/<run>/executed/`` lists the hashes of its
inputs and of the files that it wrote. Without a marker, as after a crash, it runs again; finished results come from the cache.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import nbformat

from ser_utils import corpora
from ser_utils.core import code_version, paths
from ser_utils.core.paths import file_hash, file_hashes

EXECUTION = ("N_JOBS", "SCHEDULER")
"""Parameters that decide where to compute and change no result."""
EXTRA_CORPUS_FILES = ("utterances.csv", "folds.csv", "features_*")
"""Files in the run of an extra training corpus that can change a result."""


@dataclass
class Stage:
    """One notebook of one run."""

    book: Path
    run: str
    corpus: str
    parameters: Mapping[str, object]
    """The parameters that are set; the notebook has the defaults."""
    files_before: dict[str, tuple[int, int]] = field(default_factory=dict)
    inputs: dict[str, object] = field(default_factory=dict)

    @property
    def marker(self) -> Path:
        """Path of the file that is written when the stage has ended well."""
        return paths.OUT / self.run / "executed" / f"{self.book.stem}.json"

    def _read_marker(self) -> tuple[dict, dict]:
        """Inputs and hashes of written files at the last good end; empty if there was none."""
        try:
            marker = json.loads(self.marker.read_text(encoding="utf-8"))
            return dict(marker["depends_on"]), dict(marker["left"])
        except (OSError, ValueError, KeyError, TypeError):
            return {}, {}

    def as_before(self) -> "Stage":
        """The same stage with the parameters of its last good end, if there was one."""
        return replace(self, parameters=self._read_marker()[0].get("parameters", self.parameters))

    def is_done(self) -> bool:
        """Whether running the notebook again would change nothing."""
        last_inputs, written = self._read_marker()
        if not last_inputs:
            return False
        inputs = self.current_inputs()
        return (
            inputs == last_inputs
            and inputs["code"] is not None
            and all(file_hash(_path(name)) == digest for name, digest in written.items())
        )

    def start(self) -> None:
        """Remove the marker, and record inputs and files as they are before the notebook runs.

        Inputs are recorded now, since the notebook may not use what is changed while it runs.
        """
        self.marker.unlink(missing_ok=True)
        self.files_before, self.inputs = self._files(), self.current_inputs()

    def end(self) -> None:
        """Write the marker, after the notebook has run and its page is rendered."""
        files = self._files()
        written = [name for name, stamp in files.items() if self.files_before.get(name) != stamp]
        self.marker.parent.mkdir(parents=True, exist_ok=True)
        paths.write_json(self.marker, {"depends_on": self.inputs, "left": {name: file_hash(_path(name)) for name in written}})

    def current_inputs(self) -> dict[str, object]:
        """Everything that the results of the notebook depend on, as hashes."""
        notebook = nbformat.read(self.book, as_version=4)
        about = notebook.metadata.get("ser", {})
        cells = [(cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in notebook.cells]
        code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
        inputs = {
            "notebook": _hash_json([cells, dict(about)]),
            "parameters": {name: value for name, value in self.parameters.items() if name not in EXECUTION},
            "code": code_version.version(*code_version.imported(code), "ser_utils.study.report"),
            "templates": _hash_all(path for path in paths.PACKAGE.rglob("*") if path.suffix not in (".py", ".pyc")),
            "reads": _hashes_of(paths.OUT / self.run, about.get("reads", [])),
        }
        if extra := self.parameters.get("EXTRA_CORPORA"):
            runs = {name: paths.OUT / corpora.get_corpus(name).name for name in extra}
            inputs["extra"] = {name: _hashes_of(run, EXTRA_CORPUS_FILES) for name, run in runs.items()}
        if about.get("audio"):
            corpus = corpora.get_corpus(self.corpus)
            files = corpora.input_files(corpus)
            inputs["audio"] = _hash_json([files, file_hashes(corpus.root, files)])
        return inputs

    def _files(self) -> dict[str, tuple[int, int]]:
        """Files that the notebook may write: name to time of the last change and size."""
        files = {}
        for top in (paths.OUT, paths.REPORTS):
            for path in (top / self.run).rglob("*"):
                if path.is_file() and not path.name.startswith(".") and self._may_write(path):
                    stat = path.stat()
                    files[_name(path)] = (stat.st_mtime_ns, stat.st_size)
        return files

    def _may_write(self, path: Path) -> bool:
        """Whether the notebook may write a file: any result, but only its own executed copy and page."""
        is_per_notebook = path.parent.name == "executed" or path.is_relative_to(paths.REPORTS)
        return path != self.marker and (not is_per_notebook or path.stem == self.book.stem)


def _name(path: Path) -> str:
    """Name of a file of a run, independent of where the folders of results and reports are."""
    top, kind = (paths.OUT, "out") if path.is_relative_to(paths.OUT) else (paths.REPORTS, "reports")
    return f"{kind}/{path.relative_to(top)}"


def _path(name: str) -> Path:
    """Path of a file from its `_name`."""
    kind, _, rest = name.partition("/")
    return (paths.OUT if kind == "out" else paths.REPORTS) / rest


def _hashes_of(folder: Path, patterns: Iterable[str]) -> dict[str, str]:
    """Hash of each file in a folder that matches one of the patterns."""
    files = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    return {path.name: file_hash(path) for path in files}


def _hash_all(files: Iterable[Path]) -> str:
    return _hash_json([(path.name, file_hash(path)) for path in sorted(files)])


def _hash_json(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
