"""Stages of a run: a notebook whose inputs, code and parameters are unchanged and whose results exist is not run again.

A stage is one notebook of one run. After it has ended well, a marker in ``out/<run>/executed/`` lists the hashes of its
inputs and of the files that it wrote. Without a marker, as after a crash, it runs again; finished results come from the cache.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ser_utils import corpora
from ser_utils.core import code_version, paths
from ser_utils.core.paths import file_hash, file_hashes
from ser_utils.study.notebooks import code_cells, expand_names, read_notebook
from ser_utils.study.parameters import NETWORK_PARAMETERS

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
    files_before: dict[str, int] = field(default_factory=dict)
    inputs: dict[str, object] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    """Hashes of the files that the notebook has written, and of its page."""

    @property
    def marker(self) -> Path:
        """Path of the file that is written when the stage has ended well."""
        return paths.OUT / self.run / "executed" / f"{self.book.stem}.json"

    @property
    def page(self) -> Path:
        """Path of the page of the notebook."""
        return paths.REPORTS / self.run / f"{self.book.stem}.html"

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
        if not last_inputs or last_inputs["code"] is None or last_inputs != self.current_inputs():
            return False
        files = self._files()
        return all(name in files and file_hash(files[name]) == digest for name, digest in written.items())

    def start(self) -> None:
        """Remove marker and page of an earlier run, and record inputs and files as they are before the notebook runs.

        Inputs are recorded now, since the notebook may not use what is changed while it runs.
        """
        self.marker.unlink(missing_ok=True)
        self.page.unlink(missing_ok=True)
        self.files_before = {name: path.stat().st_mtime_ns for name, path in self._files().items()}
        self.inputs = self.current_inputs()

    def record_results(self) -> None:
        """Record what the notebook has written, after it has run and before the next one starts."""
        files = self._files().items()
        self.written = {name: file_hash(path) for name, path in files if self.files_before.get(name) != path.stat().st_mtime_ns}

    def end(self) -> None:
        """Write the marker, after the page is rendered; by then the next notebook may be running."""
        written = self.written | {f"reports/{self.page.name}": file_hash(self.page)}
        paths.write_json(self.marker, {"depends_on": self.inputs, "left": written})

    def _files(self) -> dict[str, Path]:
        """Results of the run, and this stage's executed notebook and page, by name relative to the folder of the run."""
        out, executed = paths.OUT / self.run, self.marker.parent
        results = [path for path in out.rglob("[!.]*") if path.parent != executed or path.name == self.book.name]
        files = {f"out/{path.relative_to(out)}": path for path in results if path.is_file()}
        return files | ({f"reports/{self.page.name}": self.page} if self.page.exists() else {})

    def current_inputs(self) -> dict[str, object]:
        """Everything that the results of the notebook depend on, as hashes."""
        notebook = read_notebook(self.book)
        about, code = notebook["metadata"].get("ser", {}), "\n".join(code_cells(notebook))
        cells = [(cell["cell_type"], cell["source"], cell["metadata"].get("tags", [])) for cell in notebook["cells"]]
        package_files = [path for path in sorted(paths.PACKAGE.rglob("*")) if path.suffix not in (".py", ".pyc")]
        inputs = {
            "notebook": _hash_json([cells, about]),
            "parameters": {name: value for name, value in self.parameters.items() if name not in EXECUTION},
            "code": code_version.version(*code_version.imported(code), "ser_utils.study.report"),
            "templates": _hash_json([(path.name, file_hash(path)) for path in package_files]),
            "reads": _hashes_of(paths.OUT / self.run, self._read_names(about.get("reads", []))),
        }
        if extra := self.parameters.get("EXTRA_CORPORA"):
            runs = [corpora.get_corpus(name).name for name in extra]
            inputs["extra"] = {run: _hashes_of(paths.OUT / run, self._read_names(EXTRA_CORPUS_FILES)) for run in runs}
        if about.get("audio"):
            corpus = corpora.get_corpus(self.corpus)
            files = corpora.input_files(corpus)
            inputs["audio"] = _hash_json([files, file_hashes(corpus.root, files)])
        return inputs

    def _read_names(self, names: Iterable[str]) -> Iterable[str]:
        """Names in which ``features_*`` is any table where parameters name networks, else those of every run."""
        return names if set(NETWORK_PARAMETERS) & set(self.parameters) else expand_names(names)


def _hashes_of(folder: Path, patterns: Iterable[str]) -> dict[str, str | None]:
    """Hash of each file in a folder that matches one of the patterns."""
    return {path.name: file_hash(path) for pattern in patterns for path in sorted(folder.glob(pattern))}


def _hash_json(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
