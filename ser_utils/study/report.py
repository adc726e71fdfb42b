"""The pages of executed notebooks, rendered by nbconvert with the templates of this package.

A page loads nothing from outside: figures and players are data URIs, and its content security policy forbids all requests.
The same input gives the same bytes.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from nbconvert import HTMLExporter
from nbconvert.preprocessors import CoalesceStreamsPreprocessor, Preprocessor
from nbformat import NotebookNode

from ser_utils.core.paths import write_aside
from ser_utils.study.notebooks import read_title

TEMPLATES = Path(__file__).parent / "templates"
HEADING = re.compile(r'<h([23]) id="(.+?)">(.+?)<a class="anchor-link"')
"""A heading as nbconvert renders it: its level, id and text."""


class FigureCaptions(Preprocessor):
    """Move each output "*Figure. ...*" of `ser_utils.figures.show` into the metadata of the picture before it."""

    def preprocess_cell(self, cell: NotebookNode, resources: dict, index: int) -> tuple[NotebookNode, dict]:
        outputs: list[NotebookNode] = []
        for output in cell.get("outputs", []):
            text = output.get("data", {}).get("text/markdown", "")
            if text.startswith("*Figure") and outputs and "image/png" in outputs[-1].get("data", {}):
                outputs[-1].metadata["caption"] = text.strip("*")
            else:
                outputs.append(output)
        if cell.cell_type == "code":
            cell.outputs = outputs
        return cell, resources


def render_page(notebook: Path, html: Path, *, series: Mapping[str, str], failed: str | None = None, banner: str = "") -> None:
    """Write an executed notebook as the page `html`.

    Parameters
    ----------
    notebook, html : Path
    series : mapping
        File name to title of the pages of the run in order, for the links to the previous and the next page.
    failed : str, optional
        Message of a notebook that failed: the page shows FAILED at its top.
    banner : str
        A notice that stays in view, or nothing.
    """
    resources = {"title": read_title(notebook), "series": dict(series), "here": html.name, "failed": failed, "banner": banner}
    page, _ = _exporter().from_filename(str(notebook), resources)
    with write_aside(html) as aside:
        aside.write_text(page, encoding="utf-8", newline="\n")


def _exporter() -> HTMLExporter:
    return HTMLExporter(
        template_name="report",
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        preprocessors=[CoalesceStreamsPreprocessor, FigureCaptions],
        filters={"headings": HEADING.findall},
    )
