"""The pages of a run: one a notebook, and the index."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ser_utils import corpora
from ser_utils.core import paths
from ser_utils.evaluation.protocols import main_protocol, wording
from ser_utils.evaluation.texts import headline_text, unit_label
from ser_utils.study import report
from ser_utils.study.notebooks import about, list_notebooks
from ser_utils.study.parameters import known_parameters, versions


def render_notebook(executed: Path, name: str, failed: str | None, banner: str) -> Path:
    """The executed notebook as a page of the run's reports; `banner` is what no reader must miss."""
    series = [report.Link(f"{book.stem}.html", report.read_title(book)) for book in list_notebooks()]
    return report.render_page(
        executed, paths.reports_dir(name) / f"{executed.stem}.html", series=series, failed=failed, banner=banner or None
    )


def write_run_index(name: str, corpus: str, parameters: Mapping, failures: Mapping[str, str]) -> Path:
    """``index.html`` of a run: headline, key figure, a card per notebook, parameters and versions."""
    out, entry = paths.out_dir(name), corpora.get_corpus(corpus)
    table = pd.read_csv(out / "metrics.csv") if not failures and (out / "metrics.csv").exists() else None
    over = unit_label(corpora.read_utterances(out / "utterances.csv").speaker) if table is not None else "speakers"
    main = main_protocol(table.protocol) if table is not None else "speaker"
    key_figure = report.Picture(
        out / "headline.png",
        f"Bars of unweighted average recall of the original network and the study's, 95 % intervals over {over}, and chance.",
        f"Grey: tested on voices and clips that training has heard. Blue: on {wording(main).many}.",
    )
    entries = []
    for book in list_notebooks():
        entry_metadata = about(book)
        page = paths.REPORTS / name / f"{book.stem}.html"
        status = "failed" if book.stem in failures else "ok" if page.exists() else "not run"
        entries.append(
            report.IndexEntry(
                title=report.read_title(book),
                href=page.name,
                sentence=entry_metadata.get("sentence", ""),
                status=status,
                picture=report.Picture(out / entry_metadata["thumbnail"], entry_metadata.get("thumbnail_alt", ""))
                if "thumbnail" in entry_metadata
                else None,
            )
        )
    defaults = {key: value["default"] for key, value in known_parameters().items()}
    shown = {key: json.dumps(parameters[key]) if key in parameters else default for key, default in defaults.items()}
    said = "The run stopped before there was a result." if table is None else headline_text(table, over)
    return report.write_index_page(
        paths.reports_dir(name) / "index.html",
        title=f"Speech emotion recognition on {entry.title}",
        headline=said,
        entries=entries,
        key_figure=None if failures else key_figure,
        banner=entry.notice or None,
        tables={
            "Parameters": shown,
            "Corpus": {"cite": entry.citation, "licence": entry.licence},
            "Versions": versions(),
        },
    )
