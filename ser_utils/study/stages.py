"""What a run need not do again: a notebook whose code, parameters and inputs are unchanged, and whose results are all there.

A stage is one notebook of one run. When it has ended well, a marker in ``out/<run>/executed/`` says what it depended on and
what it left, by hashes. Without a marker, as after a crash, it is run anew, and takes from the cache what was finished.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import nbformat

from ser_utils import corpora
from ser_utils.core import code_version, paths
from ser_utils.core.paths import file_hash, file_hashes

EXECUTION = ("N_JOBS", "SCHEDULER")
"""Parameters that say how to compute and change no result."""
OF_EXTRA = ("utterances.csv", "folds.csv", "features_*")
"""Files in the run of an extra corpus that may change a result."""


@dataclass
class Stage:
    """One notebook of one run."""

    book: Path
    run: str
    corpus: str
    parameters: Mapping[str, object]
    """Those that are set; the notebook has the defaults."""
    before: dict[str, tuple[int, int]] = field(default_factory=dict)
    inputs: dict[str, object] = field(default_factory=dict)

    @property
    def marker(self) -> Path:
        """Where it says that the stage ended well."""
        return paths.OUT / self.run / "executed" / f"{self.book.stem}.json"

    def _kept(self) -> tuple[dict, dict]:
        """What it depended on when it last ended well, and what it left; nothing where it did not."""
        try:
            kept = json.loads(self.marker.read_text(encoding="utf-8"))
            return dict(kept["depends_on"]), dict(kept["left"])
        except (OSError, ValueError, KeyError, TypeError):
            return {}, {}

    def as_before(self) -> "Stage":
        """The same under the parameters with which it last ended well, where it did."""
        return replace(self, parameters=self._kept()[0].get("parameters", self.parameters))

    def is_done(self) -> bool:
        """Whether running the notebook again would change nothing."""
        inputs, left = self._kept()
        if not inputs:
            return False
        now = self.depends_on()
        return (
            inputs == now
            and now["code"] is not None
            and all(file_hash(_place(name)) == digest for name, digest in left.items())
        )

    def start(self) -> None:
        """Forget an earlier end, and note what is there, to see later what the notebook has written.

        Its inputs are those of now: what is changed while it runs, it may not have seen.
        """
        self.marker.unlink(missing_ok=True)
        self.before, self.inputs = self._files(), self.depends_on()

    def end(self) -> None:
        """Leave the marker: called when the notebook has run and its page is there."""
        now = self._files()
        written = [name for name, stamp in now.items() if self.before.get(name) != stamp]
        self.marker.parent.mkdir(parents=True, exist_ok=True)
        paths.write_json(self.marker, {"depends_on": self.inputs, "left": {name: file_hash(_place(name)) for name in written}})

    def depends_on(self) -> dict[str, object]:
        """What the notebook's results follow from."""
        notebook = nbformat.read(self.book, as_version=4)
        about = notebook.metadata.get("ser", {})
        cells = [(cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in notebook.cells]
        sources = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
        reads = [path for pattern in about.get("reads", []) for path in sorted((paths.OUT / self.run).glob(pattern))]
        found = {
            "notebook": hashlib.sha256(json.dumps([cells, dict(about)]).encode()).hexdigest(),
            "parameters": {name: value for name, value in self.parameters.items() if name not in EXECUTION},
            "code": code_version.version(*code_version.imported(sources), "ser_utils.study.report"),
            "templates": _hash_all(path for path in paths.PACKAGE.rglob("*") if path.suffix not in (".py", ".pyc")),
            "reads": {path.name: file_hash(path) for path in reads},
        }
        if extra := self.parameters.get("EXTRA_CORPORA"):
            runs = {name: paths.OUT / corpora.get_corpus(name).name for name in extra}
            files = {name: sorted(path for pattern in OF_EXTRA for path in run.glob(pattern)) for name, run in runs.items()}
            found["extra"] = {name: {path.name: file_hash(path) for path in there} for name, there in files.items()}
        if about.get("audio"):
            corpus = corpora.get_corpus(self.corpus)
            files = corpora.input_files(corpus)
            found["audio"] = hashlib.sha256(json.dumps([files, file_hashes(corpus.root, files)]).encode()).hexdigest()
        return found

    def _files(self) -> dict[str, tuple[int, int]]:
        """What is in the folders of the run: names with the time of the last change and the size."""
        found = {}
        for top in (paths.OUT, paths.REPORTS):
            for path in (top / self.run).rglob("*"):
                if path.is_file() and not path.name.startswith(".") and self._may_write(path):
                    stat = path.stat()
                    found[_name(path)] = (stat.st_mtime_ns, stat.st_size)
        return found

    def _may_write(self, path: Path) -> bool:
        """Whether a file is the stage's affair: any result, but of the executed notebooks and pages its own alone."""
        shared = path.parent.name == "executed" or path.is_relative_to(paths.REPORTS)
        return path != self.marker and (not shared or path.stem == self.book.stem)


def _name(path: Path) -> str:
    """A file of a run's folders, without where these are."""
    top, kind = (paths.OUT, "out") if path.is_relative_to(paths.OUT) else (paths.REPORTS, "reports")
    return f"{kind}/{path.relative_to(top)}"


def _place(name: str) -> Path:
    kind, _, rest = name.partition("/")
    return (paths.OUT if kind == "out" else paths.REPORTS) / rest


def _hash_all(files) -> str:
    return hashlib.sha256(json.dumps([(path.name, file_hash(path)) for path in sorted(files)]).encode()).hexdigest()
