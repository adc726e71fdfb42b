"""The body of a page: the cells of a notebook as parsed HTML, without anything that loads or runs."""

import re
from pathlib import Path
from urllib.parse import quote

import nbformat
from bs4 import BeautifulSoup, Tag
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from traitlets.config import Config

TEMPLATES = Path(__file__).parent / "templates"
# No JavaScript, widgets or LaTeX: they need a library from outside, and each output has a plainer form as well.
DISPLAY_PRIORITY = ["text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/plain"]
# Joins the parts of a stream, and keeps the last state of a progress bar.
STREAM_PREPROCESSOR = "nbconvert.preprocessors.CoalesceStreamsPreprocessor"
FOREIGN_TAGS = ["script", "link", "meta", "base", "iframe", "frame", "object", "embed", "form"]
LOADING = {"src", "srcset", "poster", "background", "data", "action", "formaction", "ping", "xlink:href"}
NUMBER = re.compile(r"[-+\u2212]?[\d,.]*\d(e[-+]?\d+)?\s?%?|nan|\.\.\.|", re.IGNORECASE)


def read_body(notebook: Path) -> BeautifulSoup:
    """Return the cells of an executed notebook as HTML for a page."""
    nb = nbformat.read(notebook, as_version=4)
    # Without papermill's two error cells: the page shows FAILED, and links to the failed cell.
    nb.cells = [cell for cell in nb.cells if "papermill-error-cell-tag" not in cell.metadata.get("tags", [])]
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs = _with_captions(cell.outputs)
    exporter = HTMLExporter(
        template_name="report",
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_anchor_links=True,
        embed_images=True,
        preprocessors=[STREAM_PREPROCESSOR],
        config=Config({"NbConvertBase": {"display_data_priority": DISPLAY_PRIORITY}}),
    )
    html, _ = exporter.from_notebook_node(nb, resources={"metadata": {"path": str(notebook.parent)}})
    body = BeautifulSoup(html, "html.parser")
    _remove_external(body)
    _tidy_tables(body)
    return body


def _with_captions(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Move each output "*Figure. ...*" into the metadata of the picture before it, as its caption."""
    kept: list[NotebookNode] = []
    for output in outputs:
        text = output.get("data", {}).get("text/markdown", "").strip()
        if text.startswith("*Figure") and kept and "image/png" in kept[-1].get("data", {}):
            kept[-1].metadata["caption"] = text.strip("*")
        else:
            kept.append(output)
    return kept


def _remove_external(body: BeautifulSoup) -> None:
    """Remove all that loads or runs: foreign elements, event handlers, addresses other than data URIs.

    The security policy of the page blocks these as well. Links to follow stay, and links to another notebook lead to its
    page. A picture that cannot be embedded is replaced by its description.
    """
    for tag in body.find_all(FOREIGN_TAGS):
        tag.decompose()
    for style in body.find_all("style"):
        if style.has_attr("scoped") or _loads_in_css(style.get_text()):  # pandas styles override the page's
            style.decompose()
    for tag in body.find_all(True):
        for name in [name for name in tag.attrs if _is_external(tag.name, name, str(tag[name]))]:
            del tag[name]
    for image in body.select("img:not([src])"):
        image.replace_with(f"[picture not shown, as it is not part of the notebook: {image.get('alt', '')}]")
    for link in body.select("a[href$='.ipynb']"):
        if "//" not in link["href"]:
            link["href"] = Path(link["href"]).with_suffix(".html").name


def _is_external(tag: str, attribute: str, value: str) -> bool:
    """Whether an attribute runs a script or loads something from outside the page."""
    address = value.strip().lower()
    if attribute == "href" and tag in ("a", "area"):
        return address.startswith(("javascript:", "data:"))
    if attribute in LOADING or attribute == "href":
        return not address.startswith(("data:", "#"))
    return attribute.startswith("on") or (attribute == "style" and _loads_in_css(address))


def _loads_in_css(css: str) -> bool:
    """Whether a style sheet loads something; a backslash can hide the word for it."""
    return re.search(r"url\s*\(|@import|image-set|\\", css, re.IGNORECASE) is not None


def _tidy_tables(body: BeautifulSoup) -> None:
    """Make wide tables scroll, and align columns of numbers to the right."""
    for table in body.find_all("table"):
        del table["border"]
        table.wrap(body.new_tag("div", attrs={"class": "table", "tabindex": "0"}))
        rows = [row.find_all("td")[::-1] for row in table.select("tbody tr")]
        heads = [row.find_all("th")[::-1] for row in table.select("thead tr") if not row.select("[colspan]")]
        # Columns are counted from the right: index columns on the left are th elements in the body, and may span rows.
        for position, column in enumerate(zip(*rows, strict=False)):
            if all(NUMBER.fullmatch(cell.get_text().strip()) for cell in column):
                for cell in [*column, *(head[position] for head in heads if position < len(head))]:
                    cell["class"] = "number"


def contents(body: BeautifulSoup) -> list[tuple[str, str, str]]:
    """Return (tag, address, text) of each heading of level two and three, and give each a unique id, as Jupyter does."""
    headings: list[Tag] = body.find_all(["h2", "h3"])
    taken = {tag["id"] for tag in body.select("[id]") if tag not in headings}
    entries = []
    for heading in headings:
        text = heading.get_text().strip()
        slug = first = re.sub(r"\s+", "-", text)
        copies = 1
        while slug in taken:
            copies += 1
            slug = f"{first}-{copies}"
        taken.add(slug)
        heading["id"] = slug
        entries.append((heading.name, "#" + quote(slug), text))
    return entries
