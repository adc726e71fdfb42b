"""The pages of a run: one per notebook (`ser_utils.study.report`), and the index."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path

from ser_utils import corpora
from ser_utils.core import paths
from ser_utils.evaluation.protocols import main_protocol, wording
from ser_utils.evaluation.texts import headline_text, interval_label, unit_label
from ser_utils.study.notebooks import about, list_notebooks, read_title
from ser_utils.study.parameters import known_parameters, versions

TEMPLATES = Path(__file__).parent / "templates" / "report"


def render_notebook(executed: Path, run: str, failed: str | None, banner: str) -> None:
    """Render an executed notebook as a page of the run's reports; `banner` is a notice at its top."""
    from ser_utils.study import report  # with nbconvert, which a run with a wrong parameter does not need

    series = {f"{book.stem}.html": read_title(book) for book in list_notebooks()}
    page = paths.reports_dir(run) / f"{executed.stem}.html"
    report.render_page(executed, page, series=series, failed=failed, banner=banner)


def write_run_index(run: str, corpus: str, parameters: Mapping, failures: Mapping[str, str]) -> Path:
    """Write ``index.html`` of a run: headline, key figure, a card per notebook, parameters and versions."""
    out, entry = paths.out_dir(run), corpora.get_corpus(corpus)
    has_results = not failures and (out / "metrics.csv").exists()
    headline, key_figure = _results(out) if has_results else ("The run stopped before there was a result.", None)
    set_values = {name: json.dumps(value) for name, value in parameters.items()}
    index = paths.reports_dir(run) / "index.html"
    render_index(
        index,
        title=f"Speech emotion recognition on {entry.title}",
        headline=headline,
        key_figure=key_figure,
        cards=[_card(book, run, failures) for book in list_notebooks()],
        failed=", ".join(read_title(book) for book in list_notebooks() if book.stem in failures),
        banner=entry.notice,
        tables={
            "Parameters": {name: parameter["default"] for name, parameter in known_parameters().items()} | set_values,
            "Corpus": {"cite": entry.citation, "licence": entry.licence},
            "Versions": versions(),
        },
    )
    return index


def render_index(html: Path, **values: object) -> None:
    """Write the index of a run from the variables of the template ``run.html.j2``, without nbconvert, which is slow to import.

    They are the texts title, headline, failed and banner; key_figure (image, alt, caption) or None; cards (title, href,
    sentence, image, alt, status); and tables, rows of names and values by heading. Images are data URIs.
    """
    from jinja2 import Environment, FileSystemLoader

    page = Environment(loader=FileSystemLoader(TEMPLATES)).get_template("run.html.j2").render(resources=values)
    with paths.write_aside(html) as aside:
        aside.write_text(page, encoding="utf-8", newline="\n")


def _results(out: Path) -> tuple[str, dict]:
    """Headline and key figure from the tables of a run."""
    import pandas as pd

    metrics = pd.read_csv(out / "metrics.csv")
    unit = unit_label(corpora.read_utterances(out / "utterances.csv").speaker)
    figure = {
        "image": _data_uri(out / "headline.png"),
        "alt": "Bars of unweighted average recall of the original network and the study's, "
        f"{interval_label()}s over {unit}, and chance.",
        "caption": "Grey: the published protocol, whose test speakers and clips are also in training. "
        f"Blue: {wording(main_protocol(metrics.protocol)).many}.",
    }
    return headline_text(metrics, unit), figure


def _card(book: Path, run: str, failures: Mapping[str, str]) -> dict[str, str]:
    """The card of a notebook on the index. A failed notebook may have left no figure."""
    metadata, page = about(book), paths.REPORTS / run / f"{book.stem}.html"
    thumbnail = paths.OUT / run / metadata.get("thumbnail", "")
    return {
        "title": read_title(book),
        "href": page.name,
        "sentence": metadata.get("sentence", ""),
        "image": _data_uri(thumbnail) if thumbnail.is_file() else "",
        "alt": metadata.get("thumbnail_alt", ""),
        "status": "FAILED" if book.stem in failures else "ok" if page.exists() else "not run",
    }


def _data_uri(png: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(png.read_bytes()).decode()}"
