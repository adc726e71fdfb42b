"""The pages of a run: one per notebook, and the index."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ser_utils import corpora
from ser_utils.core import paths
from ser_utils.evaluation.protocols import main_protocol, wording
from ser_utils.evaluation.texts import headline_text, interval_label, unit_label
from ser_utils.study import report
from ser_utils.study.notebooks import about, list_notebooks
from ser_utils.study.parameters import known_parameters, versions


def render_notebook(executed: Path, run: str, failed: str | None, banner: str) -> Path:
    """Render an executed notebook as a page of the run's reports; `banner` is a notice at its top."""
    series = [report.Link(f"{book.stem}.html", report.read_title(book)) for book in list_notebooks()]
    page = paths.reports_dir(run) / f"{executed.stem}.html"
    return report.render_page(executed, page, series=series, failed=failed, banner=banner or None)


def write_run_index(run: str, corpus: str, parameters: Mapping, failures: Mapping[str, str]) -> Path:
    """Write ``index.html`` of a run: headline, key figure, a card per notebook, parameters and versions."""
    out, entry = paths.out_dir(run), corpora.get_corpus(corpus)
    has_results = not failures and (out / "metrics.csv").exists()
    headline, key_figure = _results(out) if has_results else ("The run stopped before there was a result.", None)
    defaults = {name: parameter["default"] for name, parameter in known_parameters().items()}
    used = {name: json.dumps(parameters[name]) if name in parameters else default for name, default in defaults.items()}
    return report.write_index_page(
        paths.reports_dir(run) / "index.html",
        title=f"Speech emotion recognition on {entry.title}",
        headline=headline,
        entries=[_card(book, run, failures) for book in list_notebooks()],
        key_figure=key_figure,
        banner=entry.notice or None,
        tables={
            "Parameters": used,
            "Corpus": {"cite": entry.citation, "licence": entry.licence},
            "Versions": versions(),
        },
    )


def _results(out: Path) -> tuple[str, report.Picture]:
    """Headline and key figure from the tables of a run."""
    metrics = pd.read_csv(out / "metrics.csv")
    interval, unit = interval_label(), unit_label(corpora.read_utterances(out / "utterances.csv").speaker)
    figure = report.Picture(
        out / "headline.png",
        f"Bars of unweighted average recall of the original network and the study's, {interval}s over {unit}, and chance.",
        "Grey: the published protocol, whose test speakers and clips are also in training. "
        f"Blue: {wording(main_protocol(metrics.protocol)).many}.",
    )
    return headline_text(metrics, unit), figure


def _card(book: Path, run: str, failures: Mapping[str, str]) -> report.IndexEntry:
    """The card of a notebook on the index."""
    metadata, page = about(book), paths.REPORTS / run / f"{book.stem}.html"
    picture = None
    if "thumbnail" in metadata:
        picture = report.Picture(paths.OUT / run / metadata["thumbnail"], metadata.get("thumbnail_alt", ""))
    status = "failed" if book.stem in failures else "ok" if page.exists() else "not run"
    return report.IndexEntry(report.read_title(book), page.name, metadata.get("sentence", ""), picture, status)
