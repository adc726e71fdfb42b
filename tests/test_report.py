"""The pages of a run: their HTML, and how a browser without a network shows them."""

import base64
import io
import re
from html import unescape
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from playwright.sync_api import Browser, Page

from ser_utils.study import notebooks, report
from ser_utils.study.index_page import render_index

ALT = 'Two bars: "as published" & speaker.'
CAPTION = "Figure. The same model, `<MLP>`, under two protocols & seeds."
BANNER = "Synthetic demo voices: <not> people."
EVIL = "<script>alert(1)</script>"
SERIES = {"01_explore.html": "Explore", "02_train.html": "Train", "03_evaluate.html": "Evaluate"}
AUDIO = '<audio controls src="data:audio/mpeg;base64,SUQz"></audio>'


@pytest.fixture(scope="module")
def png() -> str:
    buffer = io.BytesIO()
    plt.imsave(buffer, np.eye(50), format="png")
    return base64.b64encode(buffer.getvalue()).decode()


def shown(data: dict, **metadata: dict) -> nbformat.NotebookNode:
    return new_output("display_data", data=data, metadata=metadata)


def html_output(html: str) -> nbformat.NotebookNode:
    return shown({"text/html": html, "text/plain": "plain"})


def markdown_output(text: str) -> nbformat.NotebookNode:
    return shown({"text/markdown": text})


def code(source: str = "1 + 1", *outputs: nbformat.NotebookNode, tags: tuple[str, ...] = (), count: int | None = 1):
    return new_code_cell(source, outputs=list(outputs), execution_count=count, metadata={"tags": list(tags)})


def error(value: str) -> nbformat.NotebookNode:
    return new_output("error", ename="KeyError", evalue=value, traceback=[f"\x1b[31mKeyError\x1b[39m {value}"])


def save(folder: Path, *cells: nbformat.NotebookNode | str, name: str = "02_train") -> Path:
    cells = [new_markdown_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number:02d}"
    nbformat.write(new_notebook(cells=cells), folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def render(folder: Path, *cells: nbformat.NotebookNode | str, name: str = "02_train", **options) -> Path:
    html = folder / f"{name}.html"
    report.render_page(save(folder, *cells, name=name), html, series=SERIES, **options)
    return html


def page_of(folder: Path, *cells: nbformat.NotebookNode | str, **options) -> str:
    """The page without its style sheet, which names every class."""
    html = render(folder, *cells, **options).read_text(encoding="utf-8")
    return re.sub(r"<style>.*?</style>", "", html, count=1, flags=re.DOTALL)


def render_full(folder: Path, png: str, **options) -> Path:
    """A page with one of everything that the notebooks hold, most of it too wide."""
    wide = pd.DataFrame({"file": ["rab-m1-l1.wav"]} | {f"a_column_{i}": [f"{i / 7:.3f}"] for i in range(15)})
    return render(
        folder,
        "# How well?\n\nThe question, with `a_very_long_name` and " + "x" * 300,
        code('CORPUS = "emovo"', tags=("parameters",)),
        "## Results\n\n| a | b |\n|---|--:|\n| 1 | 2 |",
        code("table", html_output(wide._repr_html_())),
        code("show()", shown({"image/png": png}), markdown_output(f"*{CAPTION}*")),
        "### Listen",
        code("listen()", html_output(AUDIO)),
        code(
            "print(" + "1" * 300 + ")",
            new_output("stream", name="stdout", text="-" * 400 + "\n"),
            new_output("stream", name="stderr", text="WARNING: " + "w" * 400 + "\n"),
        ),
        code("fail()", error("=" * 300)),
        **options,
    )


def index_page(folder: Path, png: str, **changes) -> Path:
    card = {"title": "Explore", "href": "01_explore.html", "sentence": f"What is in it? {EVIL}", "alt": ALT, "status": "ok"}
    image = f"data:image/png;base64,{png}"
    values = {
        "title": "The study",
        "headline": "24 % & not 84 %",
        "key_figure": {"image": image, "alt": ALT, "caption": CAPTION},
        "cards": [
            card | {"image": image},
            card | {"title": "Train", "href": "02_train.html", "image": "", "status": "FAILED"},
            card | {"title": "Evaluate", "href": "03_evaluate.html", "image": "", "status": "not run"},
        ],
        "banner": BANNER,
        "tables": {"Parameters": {"SEEDS": "[0, 1]", "CORPUS": '"<emovo>"'}, "Versions": {"keras": "3.15.0"}},
    }
    render_index(folder / "index.html", **(values | changes))
    return folder / "index.html"


def assert_loads_nothing(html: Path) -> None:
    page = html.read_text(encoding="utf-8")
    assert all(address.startswith("data:") for address in re.findall(r'\ssrc="([^"]*)"', page))
    assert not re.search(r"url\(|@import|<iframe|srcset=|https?://(?!www\.w3\.org/2000/svg)", page)
    assert "default-src 'none'; img-src data:; media-src data:" in page


# Pages of notebooks


def test_page_has_all_outputs_and_loads_nothing(tmp_path, png):
    html = render_full(tmp_path, png, failed="stopped", banner=BANNER)
    assert_loads_nothing(html)
    page = html.read_text(encoding="utf-8")
    assert [page.count(f"<{tag} ") for tag in ("img", "audio")] == [1, 1] and page.count("</table>") == 2
    before = html.read_bytes()
    assert render_full(tmp_path, png, failed="stopped", banner=BANNER).read_bytes() == before


@pytest.mark.parametrize(
    ("cells", "title"),
    [
        (["intro", "# How well?", "# Another"], "How well?"),
        ([code("# no"), "## nor this\n# Yes"], "Yes"),
        ([code()], "02_train"),
    ],
)
def test_title_is_the_first_heading_or_the_name_of_the_file(tmp_path, cells, title):
    assert f"<title>{title}</title>" in page_of(tmp_path, *cells)
    assert notebooks.read_title(tmp_path / "02_train.ipynb") == title


def test_contents_link_to_the_headings(tmp_path):
    page = page_of(tmp_path, "# T", "## What's *in* it?", "### A & B", code("x", markdown_output("## Of an output")))
    entries = re.findall(r'<li class="(h\d)"><a href="#(.+?)">(.+?)</a>', page)
    assert [(level, unescape(text)) for level, _, text in entries] == [
        ("h2", "What's in it?"),
        ("h3", "A & B"),
        ("h2", "Of an output"),
    ]
    for level, address, _ in entries:
        assert page.count(f'<{level} id="{address}">') == 1


def test_code_is_folded_and_parameters_have_their_own_block(tmp_path):
    page = page_of(
        tmp_path,
        code("secret = 1"),
        code("A = 1", tags=("parameters",)),
        code("A = 2", tags=("injected-parameters",)),
        code("late()", count=None),
        code(" "),
    )
    assert re.findall(r'<details class="(code.*?)"><summary>(.+?)</summary>', page) == [
        ("code", "Code"),
        ("code parameters", "Parameters"),
        ("code parameters", "Parameters set for this run"),
        ("code", "Code (not run)"),
    ]


def test_figure_has_its_alt_text_and_the_caption_that_follows_it(tmp_path, png):
    picture = shown({"image/png": png}, **{"image/png": {"alt": ALT}})
    page = page_of(tmp_path, code("a", picture, markdown_output(f"*{CAPTION}*"), markdown_output("**We learned** much.")))
    assert f"alt='{ALT}'".replace("&", "&amp;") in page
    (caption,) = re.findall(r"<figcaption>(.*?)</figcaption>", page, re.DOTALL)
    assert "<code>&lt;MLP&gt;</code>, under two protocols &amp; seeds." in caption and page.count("Figure.") == 1
    assert "<strong>We learned</strong> much." in page


def test_messages_are_folded_and_outputs_shown(tmp_path):
    streams = (("stderr", " 10%\r100%"), ("stderr", "\nbe <warned>\n"), ("stdout", "a <result>\n"))
    page = page_of(tmp_path, code("x", *(new_output("stream", name=name, text=text) for name, text in streams)))
    (messages,) = re.findall(r'<details class="messages">.*?<pre>(.*?)</pre>', page, re.DOTALL)
    assert messages.strip() == "100%\nbe &lt;warned&gt;"
    assert re.search(r"</details>.*<pre>a &lt;result&gt;\n</pre>", page, re.DOTALL)


def test_failure_is_shown_first_and_links_to_the_cell(tmp_path):
    page = page_of(tmp_path, "# T", code("x", error(EVIL)), failed=f"stopped: {EVIL}", banner=BANNER)
    assert re.search(r'<body>\s*<div class="failed" role="alert"><strong>FAILED</strong> <span>stopped: &lt;script', page)
    assert 'href="#failed-cell"' in page and page.count('id="failed-cell"') == 1
    dead = page_of(tmp_path, "# T", code(), failed="the kernel died")
    assert "the kernel died" in dead and "failed-cell" not in dead
    assert not re.search('class="failed"|class="banner"|FAILED', page_of(tmp_path, "# T", code()))


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("01_explore", [], ["02_train.html"]),
        ("02_train", ["01_explore.html"], ["03_evaluate.html"]),
        ("03_evaluate", ["02_train.html"], []),
    ],
)
def test_links_between_pages(tmp_path, name, before, after):
    page = page_of(tmp_path, "# T", name=name)
    assert re.findall(r'<a href="(\S+)" rel="prev">', page) == before
    assert re.findall(r'<a href="(\S+)" rel="next">', page) == after
    assert re.findall(r'<li><a (?:aria-current="page" )?href="(\S+)"', page) == list(SERIES)
    assert re.findall(r'<a aria-current="page" href="(\S+)"', page) == [f"{name}.html"]


def test_names_are_text_not_html(tmp_path):
    table = html_output(pd.DataFrame({"file": [f"{EVIL}.wav"]})._repr_html_())
    page = page_of(tmp_path, "# T", code("t", table, shown({"text/plain": EVIL}), error(EVIL)), banner=EVIL, failed=EVIL)
    assert "<script>alert" not in page and page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 5


# The index


def test_index_has_headline_figure_cards_and_tables(tmp_path, png):
    html = index_page(tmp_path, png)
    assert_loads_nothing(html)
    page = html.read_text(encoding="utf-8")
    assert "24 % &amp; not 84 %" in page and "Synthetic demo voices: &lt;not&gt; people." in page and EVIL not in page
    assert page.count(f'src="data:image/png;base64,{png}"') == 2 and page.count("no figure</div>") == 2
    assert re.findall(r'<h3><a href="(.+?)">', page) == ["01_explore.html", "02_train.html"]  # only to pages that are there
    assert re.findall(r'<p class="status.*?">(.+?)</p>', page) == ["ok", "FAILED", "not run"]
    assert re.findall(r'<th scope="row">(.+?)</th><td>(.+?)</td>', page) == [
        ("SEEDS", "[0, 1]"),
        ("CORPUS", "&#34;&lt;emovo&gt;&#34;"),
        ("keras", "3.15.0"),
    ]


def test_index_of_a_failed_run_names_the_notebook_first(tmp_path, png):
    page = index_page(tmp_path, png, failed="Train", key_figure=None).read_text(encoding="utf-8")
    assert re.search(r'<body>\s*<div class="failed" role="alert"><strong>FAILED</strong> <span>Train</span></div>', page)
    assert "<figure>" not in page


# In a browser


@pytest.fixture(params=[1280, 390], ids=lambda width: f"{width}px")
def opened(request, chromium: Browser):
    """A function that opens a page at this width, and asserts that it fits and that the browser had nothing to complain of."""
    context = chromium.new_context(viewport={"width": request.param, "height": 800}, offline=True)
    page = context.new_page()
    complaints = []
    page.on("request", lambda asked: complaints.append(asked.url) if not asked.url.startswith(("data:", "file:")) else None)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda problem: complaints.append(str(problem)))

    def open_page(path: Path) -> Page:
        page.goto(path.as_uri())
        assert (complaints, overflow_px(page)) == ([], 0)
        return page

    yield open_page
    context.close()


def overflow_px(page: Page) -> int:
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


def test_notebook_page_in_a_browser(opened, tmp_path, png):
    page = opened(render_full(tmp_path, png, failed="KeyError", banner=BANNER))
    assert page.get_by_text("rab-m1-l1.wav").bounding_box()["height"] < 40  # names are not broken over lines
    all_code = page.locator("details.code .highlight").all()
    page.get_by_role("button", name="Show all code").click()
    assert all(shown.is_visible() for shown in all_code) and overflow_px(page) == 0
    page.get_by_role("button", name="Hide all code").click()
    assert not any(shown.is_visible() for shown in all_code)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    assert page.locator(".banner").bounding_box()["y"] == 0  # the notice stays in view
    side, main = page.locator(".side").bounding_box(), page.locator("main").bounding_box()
    is_narrow = page.viewport_size["width"] < 960
    assert (side["y"] + side["height"] <= main["y"]) == is_narrow
    assert page.locator(".contents").evaluate("e => e.open") == (not is_narrow)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 700, "height": 1000})  # A4 within its margins
    assert page.locator(".banner").is_visible() and page.locator("img").is_visible() and not page.locator(".side").is_visible()
    assert overflow_px(page) == 0


def test_columns_of_numbers_are_aligned_to_the_right(opened, tmp_path):
    table = pd.DataFrame({"name": ["f1", "12"], "uar": [0.5, float("nan")], "gap": ["\N{MINUS SIGN}0.1", "1,000.5 %"]})
    table.index = pd.MultiIndex.from_product([["a"], [1, 2]], names=["group", "fold"])  # its first cell spans two rows
    page = opened(render(tmp_path, "# T", code("t", html_output(table._repr_html_()))))
    aligned = "cells => cells.map(cell => [cell.textContent, getComputedStyle(cell).textAlign])"
    assert page.locator("tbody td").evaluate_all(aligned) == [
        ["f1", "left"],
        ["0.5", "right"],
        ["\N{MINUS SIGN}0.1", "right"],
        ["12", "left"],
        ["NaN", "right"],
        ["1,000.5 %", "right"],
    ]
    heads = dict(page.locator("thead th").evaluate_all(aligned))
    assert [heads[name] for name in ("group", "fold", "name", "uar", "gap")] == ["left", "left", "left", "right", "right"]


def test_index_in_a_browser(opened, tmp_path, png):
    render(tmp_path, "# T", name="01_explore")
    page = opened(index_page(tmp_path, png, tables={"Parameters": {"A_LONG_NAME" * 5: "value " * 40}}))
    assert all(page.locator("img").evaluate_all("all => all.map(img => img.naturalWidth > 0)"))
    page.locator(".card").first.click()
    assert page.url.endswith("01_explore.html")
