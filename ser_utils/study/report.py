"""Executed notebooks as self-contained HTML pages, and the index of a run.

A page loads nothing from outside: figures and players are data URIs, and a content security policy in the page keeps the
browser from loading or running anything that a notebook may contain. The same input gives the same bytes.
"""

import base64
import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import nbformat
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from ser_utils.core.paths import write_aside
from ser_utils.study.page_body import contents, read_body

TEMPLATES = Path(__file__).parent / "templates"
THUMBNAIL_PX, KEY_FIGURE_PX = 640, 1600


class Link(NamedTuple):
    """File name and title of a page in the same folder."""

    href: str
    title: str


@dataclass(frozen=True)
class Picture:
    """A PNG with its alternative text and caption. The file may be missing after a failed run."""

    path: Path
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class IndexEntry:
    """One notebook on the index: its page, a summary in one sentence, a picture, and its status."""

    title: str
    href: str
    sentence: str
    picture: Picture | None = None
    status: Literal["ok", "failed", "not run"] = "ok"


def render_page(
    notebook: Path,
    html: Path,
    *,
    series: Sequence[Link] = (),
    failed: str | None = None,
    banner: str | None = None,
) -> Path:
    """Write the executed `notebook` as the page `html`, and return its path.

    Parameters
    ----------
    notebook, html : Path
    series : sequence of Link
        The pages of the run in order, for the links to the index, the previous and the next page.
    failed : str, optional
        Message of a notebook that failed: the page shows FAILED at its top.
    banner : str, optional
        A notice that stays in view.
    """
    body = read_body(notebook)
    heading = body.find("h1")
    if heading is not None:
        heading.extract()
    if (stopped_here := body.select_one(".error")) is not None:
        stopped_here["id"] = "failed-cell"
    before, after = _neighbours(series, html.name)
    return _write(
        html,
        "notebook.html.j2",
        title=heading.get_text().strip() if heading else notebook.stem,
        heading=Markup(heading.decode_contents()) if heading else notebook.stem,
        contents=contents(body),
        body=Markup(str(body)),
        failed=failed,
        stopped_here=stopped_here is not None,
        banner=banner,
        series=series,
        before=before,
        after=after,
        here=html.name,
    )


def write_index_page(
    html: Path,
    *,
    title: str,
    headline: str,
    entries: Sequence[IndexEntry],
    key_figure: Picture | None = None,
    tables: Mapping[str, Mapping[str, object]] | None = None,
    banner: str | None = None,
) -> Path:
    """Write the index of a run: headline, key figure, a card per notebook, `tables` of names and values."""
    return _write(
        html,
        "overview.html.j2",
        title=title,
        headline=headline,
        entries=entries,
        key_figure=key_figure,
        tables=tables or {},
        failed=[entry for entry in entries if entry.status == "failed"],
        banner=banner,
    )


def read_title(notebook: Path) -> str:
    """Return the first heading of level one of a notebook, or the stem of its file name."""
    cells = nbformat.read(notebook, as_version=4).cells
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    found = re.search(r"^#[ \t]+(.+?)[ \t#]*$", prose, re.MULTILINE)
    return found.group(1) if found else notebook.stem


def _neighbours(series: Sequence[Link], name: str) -> tuple[Link | None, Link | None]:
    """The pages before and after the page `name`."""
    names = [link.href for link in series]
    if name not in names:
        return None, None
    at = names.index(name)
    return (series[at - 1] if at else None), (series[at + 1] if at + 1 < len(series) else None)


def embedded(picture: Picture | None, width_px: int) -> str | None:
    """The picture as a data URI, no wider than `width_px`; None if there is none or its file is missing."""
    if picture is None or not picture.path.exists():
        return None
    with Image.open(picture.path) as image:
        whole = image.convert("RGBA")
    flat = Image.new("RGB", whole.size, "white")
    flat.paste(whole, mask=whole)
    flat.thumbnail((width_px, width_px))
    buffer = io.BytesIO()
    flat.quantize(128).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _shown(value: object) -> str:
    """A parameter as ``--set`` takes it: text unchanged, other values as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _write(html: Path, template: str, **values: object) -> Path:
    """Render a template, and move the page into place when it is complete."""
    pages = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters.update(embedded=embedded, shown=_shown)
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = pages.get_template(template).render(
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_digest=digest,
        thumbnail_px=THUMBNAIL_PX,
        key_figure_px=KEY_FIGURE_PX,
        **values,
    )
    with write_aside(html) as aside:
        aside.write_text(page, encoding="utf-8", newline="\n")
    return html
