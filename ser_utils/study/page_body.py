"""The body of a page: a notebook's cells as parsed HTML, cleared of all that loads or runs."""

import re
from pathlib import Path
from urllib.parse import quote

import nbformat
from bs4 import BeautifulSoup, Tag
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from traitlets.config import Config

TEMPLATES = Path(__file__).parent / "templates"
# No JavaScript, widgets or LaTeX: they need a library from elsewhere, and each has a plainer form beside it.
SHOWN_FIRST = ["text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/plain"]
# Joins the pieces of a stream, and keeps the last state of a progress bar.
STREAMS = "nbconvert.preprocessors.CoalesceStreamsPreprocessor"
FOREIGN_TAGS = ["script", "link", "meta", "base", "iframe", "frame", "object", "embed", "form"]
LOADING = {"src", "srcset", "poster", "background", "data", "action", "formaction", "ping", "xlink:href"}
NUMBER = re.compile(r"[-+\u2212]?[\d,.]*\d(e[-+]?\d+)?\s?%?|nan|\.\.\.|", re.IGNORECASE)


def read_body(notebook: Path) -> BeautifulSoup:
    """The cells of an executed notebook, ready to be put into a page."""
    nb = nbformat.read(notebook, as_version=4)
    # papermill's own two error notes: the page says FAILED itself, and links to the cell that failed.
    nb.cells = [cell for cell in nb.cells if "papermill-error-cell-tag" not in cell.metadata.get("tags", [])]
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs = _with_captions(cell.outputs)
    exporter = HTMLExporter(
        template_name="report",
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_anchor_links=True,
        embed_images=True,
        preprocessors=[STREAMS],
        config=Config({"NbConvertBase": {"display_data_priority": SHOWN_FIRST}}),
    )
    html, _ = exporter.from_notebook_node(nb, resources={"metadata": {"path": str(notebook.parent)}})
    body = BeautifulSoup(html, "html.parser")
    _keep_inside(body)
    _tidy_tables(body)
    return body


def _with_captions(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """The outputs, with each "*Figure. ...*" taken into the metadata of the picture before it."""
    kept: list[NotebookNode] = []
    for output in outputs:
        text = output.get("data", {}).get("text/markdown", "").strip()
        if text.startswith("*Figure") and kept and "image/png" in kept[-1].get("data", {}):
            kept[-1].metadata["caption"] = text.strip("*")
        else:
            kept.append(output)
    return kept


def _keep_inside(body: BeautifulSoup) -> None:
    """Take away all that loads or runs: foreign elements, event handlers, addresses other than data URIs.

    The policy in the page blocks these anyway; without them there is nothing to block. Links to follow stay,
    and those to another notebook lead to its page. A picture that cannot be embedded leaves its description.
    """
    for tag in body.find_all(FOREIGN_TAGS):
        tag.decompose()
    for style in body.find_all("style"):
        if style.has_attr("scoped") or _loads_in_css(style.get_text()):  # pandas' own, which overrides ours
            style.decompose()
    for tag in body.find_all(True):
        for name in [name for name in tag.attrs if _reaches_out(tag.name, name, str(tag[name]))]:
            del tag[name]
    for image in body.select("img:not([src])"):
        image.replace_with(f"[picture left out, it is not part of the notebook: {image.get('alt', '')}]")
    for link in body.select("a[href$='.ipynb']"):
        if "//" not in link["href"]:
            link["href"] = Path(link["href"]).with_suffix(".html").name


def _reaches_out(tag: str, attribute: str, value: str) -> bool:
    """Whether an attribute runs a script or makes the browser load something from outside the page."""
    address = value.strip().lower()
    if attribute == "href" and tag in ("a", "area"):
        return address.startswith(("javascript:", "data:"))
    if attribute in LOADING or attribute == "href":
        return not address.startswith(("data:", "#"))
    return attribute.startswith("on") or (attribute == "style" and _loads_in_css(address))


def _loads_in_css(css: str) -> bool:
    """Whether a style sheet fetches something (a backslash can hide the word that does)."""
    return re.search(r"url\s*\(|@import|image-set|\\", css, re.IGNORECASE) is not None


def _tidy_tables(body: BeautifulSoup) -> None:
    """Let each table scroll by itself where it is too wide, and align its columns of numbers to the right."""
    for table in body.find_all("table"):
        del table["border"]
        table.wrap(body.new_tag("div", attrs={"class": "table", "tabindex": "0"}))
        rows = [row.find_all("td")[::-1] for row in table.select("tbody tr")]
        heads = [row.find_all("th")[::-1] for row in table.select("thead tr") if not row.select("[colspan]")]
        # Counted from the right: the index columns on the left are th in the body, and may span rows.
        for position, column in enumerate(zip(*rows, strict=False)):
            if all(NUMBER.fullmatch(cell.get_text().strip()) for cell in column):
                for cell in [*column, *(head[position] for head in heads if position < len(head))]:
                    cell["class"] = "number"


def contents(body: BeautifulSoup) -> list[tuple[str, str, str]]:
    """(tag, address, text) of each heading of level two and three; each gets its own id, as in Jupyter."""
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
