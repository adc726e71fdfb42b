"""The pages: asked as parsed HTML, and looked at in a browser without a network."""

import base64
import io
import re
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image
from playwright.sync_api import Browser, Page

from ser_utils.study.report import IndexEntry, Link, Picture, embedded, read_title, render_page, write_index_page

ALT = 'Two bars: "as published" & speaker.'
CAPTION = "Figure. The same model, `<MLP>`, under two protocols & seeds."
CAPTION_TEXT = CAPTION.replace("`", "")
BANNER = "Synthetic demo voices: <not> people."
EVIL = "<script>alert(1)</script>"
SERIES = [
    Link("01_explore.html", "Explore"),
    Link("02_train.html", "Train"),
    Link("03_evaluate.html", "Evaluate"),
]


def png(width: int = 40, height: int = 20) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def shown(data: dict, **metadata: dict) -> nbformat.NotebookNode:
    return new_output("display_data", data=data, metadata=metadata)


def figure(alt: str | None = ALT, caption: str | None = CAPTION) -> list[nbformat.NotebookNode]:
    metadata = {"image/png": {"alt": alt}} if alt else {}
    picture = shown({"image/png": base64.b64encode(png()).decode(), "text/plain": "<Figure>"}, **metadata)
    return [picture] + ([shown({"text/markdown": f"*{caption}*"})] if caption else [])


def code(source: str = "1 + 1", *outputs: nbformat.NotebookNode, tags: tuple[str, ...] = (), count: int | None = 1):
    return new_code_cell(source, outputs=list(outputs), execution_count=count, metadata={"tags": list(tags)})


def html_output(html: str) -> nbformat.NotebookNode:
    return shown({"text/html": html, "text/plain": "plain"})


def save(folder: Path, *cells: nbformat.NotebookNode | str, name: str = "02_train") -> Path:
    cells = [new_markdown_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    nbformat.write(new_notebook(cells=cells), folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def page_of(folder: Path, *cells: nbformat.NotebookNode | str, **options) -> BeautifulSoup:
    notebook = save(folder, *cells)
    html = render_page(notebook, notebook.with_suffix(".html"), **options)
    return BeautifulSoup(html.read_text(encoding="utf-8"), "html.parser")


def full_notebook(folder: Path, name: str = "02_train") -> Path:
    """One of everything that the notebooks hold, with much that is too wide."""
    wide = pd.DataFrame({"file": ["rab-m1-l1.wav"]} | {f"a_column_{i}": [f"{i / 7:.3f}"] for i in range(30)})
    audio = '<audio controls><source src="data:audio/ogg;base64,T2dnUw==" type="audio/ogg">No player.</audio>'
    return save(
        folder,
        "# How well?\n\nThe question, with `a_very_long_name` and " + "x" * 300,
        code('CORPUS: str = "demo"', tags=("parameters",)),
        code('CORPUS = "emovo"', tags=("injected-parameters",)),
        "## Results\n\n| a | b |\n|---|--:|\n| 1 | 2 |",
        code("table", html_output(wide._repr_html_())),
        code("show()", *figure()),
        "### Listen",
        code("listen()", html_output(audio), html_output(audio)),
        "## Results",
        code(
            "print(" + "1" * 300 + ")",
            new_output("stream", name="stdout", text="-" * 400 + "\n"),
            new_output("stream", name="stderr", text="WARNING: " + "w" * 400 + "\n"),
        ),
        code(
            "fail()",
            new_output("error", ename="KeyError", evalue="'uar'", traceback=["\x1b[31m" + "=" * 300, EVIL]),
        ),
        name=name,
    )


def loads(page: BeautifulSoup) -> list[str]:
    """All that the page would load from elsewhere, as its elements, attributes and style sheets say."""
    found = [str(tag) for tag in page.select("script[src], iframe, object, embed, base, form, [srcset], [poster]")]
    found += [tag["src"] for tag in page.select("[src]") if not tag["src"].startswith("data:")]
    found += [tag["href"] for tag in page.select("link[href]") if not tag["href"].startswith("data:")]
    css = [tag.get_text() for tag in page("style")] + [tag["style"] for tag in page.select("[style]")]
    return found + [text for text in css if re.search(r"url\(|@import", text)]


# --- the page of a notebook


def test_page_holds_everything_and_loads_nothing(tmp_path):
    html = render_page(full_notebook(tmp_path), tmp_path / "02_train.html", series=SERIES, banner=BANNER)
    page = BeautifulSoup(html.read_text(encoding="utf-8"), "html.parser")
    assert loads(page) == []
    assert len(page("img")) == 1 and len(page("audio")) == 2 and len(page("table")) == 2
    assert page.select_one("audio source")["src"].startswith("data:audio/ogg")
    policy = page.select_one("meta[http-equiv=Content-Security-Policy]")["content"]
    assert policy.startswith("default-src 'none'") and "http" not in policy


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://example.org/a.js"></script>',
        "<script>alert(1)</script>",
        '<img src="https://example.org/a.png" alt="A">',
        '<link rel="stylesheet" href="https://example.org/a.css">',
        '<iframe src="https://example.org"></iframe>',
        '<audio src="https://example.org/a.ogg"></audio>',
        '<p style="background:URL(//example.org/a.png)">p</p>',
        "<style>@import '//example.org/a.css';</style>",
        '<video poster="a.png"></video>',
        '<img src="data:," srcset="b.png 2x">',
        r"<style>p { background: u\72l(//example.org) }</style>",
        '<object data="a.swf"></object>',
        '<p onclick="alert(1)">p</p>',
        '<svg><image xlink:href="https://example.org/a.png"/><use href="//example.org/a.svg#b"/></svg>',
        '<a href="JavaScript:alert(1)">a</a>',
        '<meta http-equiv="refresh" content="0; url=//example.org">',
    ],
)
def test_what_a_notebook_would_load_or_run_is_left_out(tmp_path, html):
    page = page_of(tmp_path, "# T", code("x", html_output(f"{html}<p>kept</p>")), html)
    left = page.select_one("main").decode()
    assert loads(page) == [] and "kept" in left
    assert not re.search(r"example\.org|alert|swf|\.png", left)


def test_a_picture_that_cannot_be_embedded_leaves_its_description(tmp_path):
    page = page_of(tmp_path, "# T\n\n![a wave & more](https://example.org/a.png)")
    assert "picture not shown" in page.main.get_text() and "a wave & more" in page.main.get_text()


def test_a_picture_beside_the_notebook_is_embedded(tmp_path):
    (tmp_path / "wave.png").write_bytes(png())
    assert page_of(tmp_path, "# T\n\n![a wave](wave.png)").main.img["src"].startswith("data:image/png;base64,")


def test_title_is_the_first_heading(tmp_path):
    page = page_of(tmp_path, "intro", "# How *well* & why?", "# Another")
    assert page.title.get_text() == "How well & why?"
    assert page.h1.decode_contents() == "How <em>well</em> &amp; why?"
    assert [h.get_text() for h in page("h1")] == ["How well & why?", "Another"]
    assert read_title(save(tmp_path, code("# not this"), "## nor this\n# Yes #")) == "Yes"


def test_title_without_a_heading_is_the_name_of_the_file(tmp_path):
    page = page_of(tmp_path, code())
    assert page.title.get_text() == page.h1.get_text() == "02_train" == read_title(tmp_path / "02_train.ipynb")


def test_contents_lead_to_each_heading(tmp_path):
    page = page_of(
        tmp_path,
        "# T",
        "## What's *in* it?",
        "### A & B",
        "## Results",
        "## Results",
        '<a id="Results-2"></a>',
    )
    links = page.select(".contents a")
    assert [(a.parent["class"], a.get_text()) for a in links] == [
        (["h2"], "What's in it?"),
        (["h3"], "A & B"),
        (["h2"], "Results"),
        (["h2"], "Results"),
    ]
    for link, heading in zip(links, page.select("main h2, main h3"), strict=True):
        assert page.find_all(id=unquote(link["href"]).removeprefix("#")) == [heading]


def test_code_is_folded_and_parameters_have_their_own_block(tmp_path):
    page = page_of(
        tmp_path,
        "# T",
        code("secret_name = 1"),
        code("A = 1", tags=("parameters",)),
        code("A = 2", tags=("injected-parameters",)),
        code("late()", count=None),
        code(" "),
    )
    blocks = page.select("details.code")
    assert [block.summary.get_text() for block in blocks] == [
        "Code",
        "Parameters",
        "Parameters set for this run",
        "Code (not run)",
    ]
    assert not any(block.has_attr("open") for block in blocks)
    assert blocks[0].select_one(".highlight").get_text().strip() == "secret_name = 1"
    assert ["parameters" in block["class"] for block in blocks] == [False, True, True, False]


def test_figure_has_alt_text_and_caption(tmp_path):
    page = page_of(tmp_path, "# T", code("show()", *figure()))
    assert page.figure.img["alt"] == ALT
    assert page.figure.figcaption.get_text().strip() == CAPTION_TEXT
    assert page.figure.figcaption.code.get_text() == "<MLP>"
    assert page.main.get_text().count("Figure.") == 1


def test_alt_text_falls_back_to_the_caption(tmp_path):
    page = page_of(tmp_path, "# T", code("a", *figure(alt=None)), code("b", *figure(alt=None, caption=None)))
    assert [img["alt"] for img in page("img")] == [CAPTION, "Figure without a description"]


def test_markdown_after_a_figure_that_is_no_caption_stays_text(tmp_path):
    page = page_of(tmp_path, "# T", code("a", *figure(caption=None), shown({"text/markdown": "**We learned** much."})))
    assert page.figcaption is None and page.select_one(".outputs .prose strong").get_text() == "We learned"


def test_tables_scroll_and_align_their_numbers(tmp_path):
    table = pd.DataFrame({"speaker": ["f1", "m1"], "uar": [0.24, -1e-5], "share": ["24 %", "1,000.5"], "gap": [None, 2.0]})
    page = page_of(tmp_path, "# T", code("t", html_output(table.rename_axis("fold")._repr_html_())))
    assert page.table.parent["class"] == ["table"] and not page.table.has_attr("border")
    assert [td.get("class") for td in page.select("tbody tr:first-child td")] == [None, *[["number"]] * 3]
    assert [th.get("class") for th in page.select("thead tr:first-child th")] == [
        None,
        None,
        *[["number"]] * 3,
    ]
    assert "dataframe tbody" not in "".join(tag.get_text() for tag in page("style"))  # pandas' style is gone


def test_messages_are_folded_and_output_is_shown(tmp_path):
    streams = [
        new_output("stream", name=n, text=t)
        for n, t in (("stderr", " 10%\r100%"), ("stderr", "\nbe <warned>\n"), ("stdout", "a <result>\n"))
    ]
    page = page_of(tmp_path, "# T", code("x", *streams))
    messages = page.select_one("details.messages")
    assert messages.pre.get_text() == "100%\nbe <warned>\n" and not messages.has_attr("open")
    assert page.select_one("pre.output").get_text() == "a <result>\n"


def test_failure_is_said_first_and_leads_to_the_cell(tmp_path):
    papermill = new_markdown_cell("<span>An Exception was encountered</span>", metadata={"tags": ["papermill-error-cell-tag"]})
    error = new_output("error", ename="KeyError", evalue="'<uar>'", traceback=["\x1b[31mline\x1b[39m " + EVIL])
    page = page_of(
        tmp_path,
        papermill,
        "# T",
        code("x", error),
        code("y", error),
        failed=f"stopped: {EVIL}",
        banner=BANNER,
    )
    first = page.body.find(True)
    assert first["class"] == ["failed"] and first.strong.get_text() == "FAILED" and EVIL in first.get_text()
    assert first.a["href"] == "#failed-cell"
    assert [tag.select_one("p").get_text() for tag in page.find_all(id="failed-cell")] == ["KeyError: '<uar>'"]
    assert f"line {EVIL}" in page.select_one(".error pre").get_text()
    assert "Exception was encountered" not in page.get_text()


def test_failure_without_a_failed_cell(tmp_path):
    page = page_of(tmp_path, "# T", code(), failed="the kernel died")
    assert "the kernel died" in page.select_one(".failed").get_text() and page.select_one(".failed a") is None


def test_banner_stands_above_and_under_the_title(tmp_path):
    page = page_of(tmp_path, "# T", code(), banner=BANNER)
    assert page.body.find(True).get_text() == page.h1.find_next_sibling().get_text() == BANNER


def test_no_banner_and_no_failure_unless_asked_for(tmp_path):
    page = page_of(tmp_path, "# T", code())
    assert page.select(".banner, .notice, .failed") == [] and "FAILED" not in page.get_text()


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("01_explore", None, "02_train.html"),
        ("02_train", "01_explore.html", "03_evaluate.html"),
        ("03_evaluate", "02_train.html", None),
        ("other", None, None),
    ],
)
def test_links_between_pages(tmp_path, name, before, after):
    html = render_page(save(tmp_path, "# T\n[next](02_train.ipynb)", name=name), tmp_path / f"{name}.html", series=SERIES)
    page = BeautifulSoup(html.read_text(encoding="utf-8"), "html.parser")
    prev, following = page.select_one("[rel=prev]"), page.select_one("[rel=next]")
    assert (prev and prev["href"], following and following["href"]) == (before, after)
    assert [a["href"] for a in page.select(".side nav a")] == ["index.html", *(link.href for link in SERIES)]
    assert [a["href"] for a in page.select("[aria-current]")] == [f"{name}.html"] * (name != "other")
    assert page.select_one(".prose a")["href"] == "02_train.html"


def test_names_are_text_not_html(tmp_path):
    table = pd.DataFrame({"file": [f"{EVIL}.wav"]})
    page = page_of(
        tmp_path,
        f"# A `{EVIL}`",
        code("t", html_output(table._repr_html_()), shown({"text/plain": EVIL})),
        banner=EVIL,
        series=[Link("02_train.html", EVIL)],
    )
    assert len(page("script")) == 1 and "alert" not in page.script.get_text()
    assert page.title.get_text() == f"A {EVIL}" and page.td.get_text() == f"{EVIL}.wav"
    assert page.select_one(".side a[aria-current]").get_text() == page.select_one(".banner").get_text() == EVIL


def test_scripts_and_widgets_fall_back_to_text(tmp_path):
    output = shown({"application/javascript": "alert(1)", "text/latex": "$x$", "text/plain": "as text"})
    page = page_of(tmp_path, "# T", code("x", output))
    assert page.select_one("pre.output").get_text() == "as text" and "alert" not in page.decode()


def test_same_notebook_same_bytes(tmp_path):
    pages = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        html = render_page(full_notebook(folder), folder / "02_train.html", series=SERIES, banner=BANNER, failed="x")
        pages.append(html.read_bytes())
        assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
    assert pages[0] == pages[1]
    cells = nbformat.read(tmp_path / "a/02_train.ipynb", as_version=4).cells
    assert not any(cell.id.encode() in pages[0] for cell in cells)  # ids are random, and papermill makes new ones


def test_a_failed_write_leaves_the_page_before(tmp_path, monkeypatch):
    def write_half(path: Path, text: str, **options) -> None:
        path.write_bytes(text[:100].encode())
        raise OSError("disk full")

    notebook, html = save(tmp_path, "# T"), tmp_path / "02_train.html"
    html.write_text("before")
    monkeypatch.setattr(Path, "write_text", write_half)
    with pytest.raises(OSError, match="disk full"):
        render_page(notebook, html)
    assert html.read_text() == "before" and sorted(tmp_path.iterdir()) == [html, notebook]


def test_the_page_itself_is_small(tmp_path):
    html = render_page(save(tmp_path, "# T", code()), tmp_path / "t.html", series=SERIES, banner=BANNER)
    assert html.stat().st_size < 30_000


# --- the index


def index_of(folder: Path, **changes) -> BeautifulSoup:
    (folder / "ladder.png").write_bytes(png(1800, 900))
    picture = Picture(folder / "ladder.png", ALT, CAPTION)
    entries = [
        IndexEntry("Explore", "01_explore.html", f"What is in it? {EVIL}", picture),
        IndexEntry("Train", "02_train.html", "It learns.", Picture(folder / "missing.png", "x")),
    ]
    options = {
        "title": "The study",
        "headline": "24 % & not 84 %",
        "key_figure": picture,
        "entries": entries,
        "banner": BANNER,
        "tables": {
            "Parameters": {"SEEDS": [0, 1], "CORPUS": "emovo", "DROP": None},
            "Versions": {"keras": "3.15.0"},
        },
    }
    html = write_index_page(folder / "index.html", **(options | changes))
    return BeautifulSoup(html.read_text(encoding="utf-8"), "html.parser")


def size_of(source: str) -> tuple[int, int]:
    return Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,")))).size


def test_index_has_a_card_per_notebook(tmp_path):
    page = index_of(tmp_path)
    assert loads(page) == [] and page.title.get_text() == page.h1.get_text() == "The study"
    first, second = page.select(".card")
    assert first.a["href"] == "01_explore.html" and first.p.get_text() == f"What is in it? {EVIL}"
    assert first.select_one(".status").get_text() == "ok"
    assert second.select_one(".status").get_text() == "ok"
    assert first.img["alt"] == ALT and size_of(first.img["src"]) == (640, 320)
    assert second.img is None and "no figure" in second.get_text()


def test_index_has_headline_key_figure_banner_and_tables(tmp_path):
    page = index_of(tmp_path)
    assert page.select_one(".headline").get_text() == "24 % & not 84 %"
    assert page.figure.img["alt"] == ALT and page.figcaption.get_text() == CAPTION
    assert size_of(page.figure.img["src"]) == (1600, 800)
    assert page.body.find(True).get_text() == page.h1.find_next_sibling().get_text() == BANNER
    assert [h2.get_text() for h2 in page("h2")] == ["Notebooks", "Parameters", "Versions"]
    cells = [[cell.get_text() for cell in row(["th", "td"])] for row in page("tr")]
    assert cells == [["SEEDS", "[0, 1]"], ["CORPUS", "emovo"], ["DROP", "null"], ["keras", "3.15.0"]]


def test_index_says_what_failed_and_what_was_not_run(tmp_path):
    entries = [
        IndexEntry("Explore", "01.html", "A."),
        IndexEntry("Train", "02.html", "B.", status="failed"),
        IndexEntry("Evaluate", "03.html", "C.", status="not run"),
    ]
    page = index_of(tmp_path, entries=entries)
    assert page.body.find(True)["class"] == ["failed"] and "FAILED Train" in page.body.find(True).get_text()
    assert [p.get_text() for p in page.select(".status")] == ["ok", "FAILED", "not run"]
    assert [a["href"] for a in page.select(".card a")] == [
        "01.html",
        "02.html",
    ]  # no link to a page that is not there
    assert "FAILED" not in index_of(tmp_path).get_text()


def test_index_without_pictures_and_tables(tmp_path):
    page = index_of(tmp_path, key_figure=None, tables=None, banner=None)
    assert page.figure is None and page.table is None and page.select(".banner, .notice") == []


def test_same_run_same_index(tmp_path):
    assert index_of(tmp_path).decode() == index_of(tmp_path).decode()


def test_embedded_picture_keeps_what_it_shows(tmp_path):
    image = Image.new("RGBA", (100, 50), (0, 0, 0, 0))
    image.paste((200, 0, 0, 255), (0, 0, 50, 50))
    image.save(tmp_path / "half.png")
    source = embedded(Picture(tmp_path / "half.png", "half red"), 50)
    small = Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))).convert("RGB")
    assert small.size == (50, 25)
    assert small.getpixel((5, 12)) == (200, 0, 0) and small.getpixel((45, 12)) == (
        255,
        255,
        255,
    )  # clear becomes white
    assert size_of(embedded(Picture(tmp_path / "half.png", "half red"), 500)) == (100, 50)  # never blown up


# --- in a browser, without a network


@pytest.fixture(params=[1280, 1000, 390], ids=lambda width: f"{width}px")
def opened(request, chromium: Browser, tmp_path):
    """A function that opens a page at this width: with what the browser asked for and complained of."""
    context = chromium.new_context(viewport={"width": request.param, "height": 800}, offline=True)
    page = context.new_page()
    asked, complaints = [], []
    page.on("request", lambda each: asked.append(each.url))
    page.on("console", lambda each: complaints.append(each.text))
    page.on("pageerror", lambda each: complaints.append(str(each)))

    def open_page(path: Path) -> tuple[Page, list[str], list[str]]:
        page.goto(path.as_uri())
        return (
            page,
            [url for url in asked if url != path.as_uri() and not url.startswith("data:")],
            complaints,
        )

    yield open_page
    context.close()


def overflow_px(page: Page) -> int:
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


def test_notebook_page_in_a_browser(opened, tmp_path):
    html = render_page(full_notebook(tmp_path), tmp_path / "02_train.html", series=SERIES, failed="KeyError", banner=BANNER)
    page, asked, complaints = opened(html)
    assert (asked, complaints, overflow_px(page)) == ([], [], 0)
    assert page.get_by_text("rab-m1-l1.wav").bounding_box()["height"] < 40  # names are not broken over lines
    folds = page.locator("details.code")
    folds.first.locator("summary").click()
    assert folds.first.locator(".highlight").is_visible() and not folds.nth(1).locator(".highlight").is_visible()
    page.get_by_role("button", name="Show all code").click()
    assert all(fold.locator(".highlight").is_visible() for fold in folds.all())
    assert overflow_px(page) == 0
    page.get_by_role("button", name="Hide all code").click()
    assert not any(fold.locator(".highlight").is_visible() for fold in folds.all())
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    assert page.locator(".banner").bounding_box()["y"] == 0  # the notice stays in view
    page.evaluate("scrollTo(0, 0)")
    assert page.locator(".failed").bounding_box()["y"] == 0
    assert page.locator(".failed").evaluate("e => getComputedStyle(e).backgroundColor") == "rgb(179, 38, 30)"


def test_printed_page_is_as_wide_as_the_paper(opened, tmp_path):
    table = pd.DataFrame({"file": ["rab-m1-l1.wav"]} | {f"a_long_column_{i}": [f"{i / 7:.3f}"] for i in range(15)})
    cells = "# T", code("print('x' * 999)", html_output(table._repr_html_()), *figure())
    page, _, _ = opened(render_page(save(tmp_path, *cells), tmp_path / "02_train.html", banner=BANNER))
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 700, "height": 1000})  # A4 within its margins
    assert overflow_px(page) == 0
    assert page.locator(".banner").is_visible() and page.locator("img").is_visible()
    assert not page.locator(".side").is_visible() and not page.locator("details.code").first.is_visible()


def test_contents_beside_the_text_or_above_it(opened, tmp_path):
    page, _, _ = opened(render_page(full_notebook(tmp_path), tmp_path / "02_train.html"))
    side, main = page.locator(".side").bounding_box(), page.locator("main").bounding_box()
    narrow = page.viewport_size["width"] < 960
    assert (side["y"] + side["height"] <= main["y"]) == narrow
    assert (side["x"] + side["width"] <= main["x"]) == (not narrow)
    assert page.locator(".contents").evaluate("e => e.open") == (not narrow)
    page.evaluate("document.querySelector('.contents').open = true")
    page.get_by_role("link", name="Listen").click()
    assert 0 <= page.locator("h3", has_text="Listen").bounding_box()["y"] < 800


def test_the_policy_keeps_a_script_from_running(opened, tmp_path):
    """The second lock: even what slipped through the clean-up neither loads nor runs."""
    html = render_page(save(tmp_path, "# T", "kept"), tmp_path / "02_train.html")
    evil = '<script>window.ran = true</script><img src="https://example.org/a.png" alt=""><p>kept</p>'
    html.write_text(html.read_text(encoding="utf-8").replace("<p>kept</p>", evil), encoding="utf-8")
    page, asked, complaints = opened(html)
    assert page.evaluate("window.ran") is None
    assert asked == ["https://example.org/a.png"]  # asked for by the page, and refused before it left the browser:
    assert sum("violates the following Content Security Policy" in each for each in complaints) == 2


def test_index_in_a_browser(opened, tmp_path):
    index_of(tmp_path, tables={"Parameters": {"A_LONG_NAME" * 5: ["value"] * 40}})
    render_page(save(tmp_path, "# T", name="01_explore"), tmp_path / "01_explore.html")
    page, asked, complaints = opened(tmp_path / "index.html")
    assert (asked, complaints, overflow_px(page)) == ([], [], 0)
    assert all(page.locator("img").evaluate_all("all => all.map(img => img.complete && img.naturalWidth > 0)"))
    page.locator(".card").first.click()
    assert page.url.endswith("01_explore.html")
