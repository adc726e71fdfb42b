"""Every committed notebook, report and figure: executed, complete and self-contained."""

import ast
import base64
import fnmatch
import io
import re

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest

from ser_utils.core import paths
from ser_utils.study import notebooks

BOOKS = {path.stem: nbformat.read(path, as_version=4) for path in notebooks.list_notebooks()}
PNGS = sorted((paths.ROOT / "out").glob("emovo*/*.png"))


def code_cells(book):
    return [cell for cell in book.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("name", BOOKS)
def test_is_saved_as_executed_in_one_clean_run(name):
    """nbval compares nothing in a notebook that was never run."""
    book = BOOKS[name]
    assert [cell.execution_count for cell in code_cells(book)] == list(range(1, len(code_cells(book)) + 1))
    assert not any(output.output_type == "error" for cell in code_cells(book) for output in cell.outputs)
    assert not any(output.get("name") == "stderr" for cell in code_cells(book) for output in cell.outputs), "a warning"


@pytest.mark.parametrize("name", BOOKS)
def test_has_outputs_that_nbval_compares(name):
    compared = [
        output
        for cell in code_cells(BOOKS[name])
        if "nbval-ignore-output" not in cell.metadata.get("tags", [])
        for output in cell.outputs
        if set(output.get("data", {"text": 1})) - {"image/png"}
    ]
    words = " ".join(str(output.get("text") or output.data.get("text/plain")) for output in compared)
    assert len(compared) >= 4
    assert re.search(r"\d", words), "nothing with a number is compared"


@pytest.mark.parametrize("name", BOOKS)
def test_no_result_is_typed_into_the_prose(name):
    """Results are rendered from tables; only definitions, such as 95 % intervals, are in the text."""
    prose = " ".join(cell.source for cell in BOOKS[name].cells if cell.cell_type == "markdown")
    assert set(re.findall(r"(\d+(?:\.\d+)?) ?(?:%|points|per cent)", prose)) <= {"95"}
    assert not re.search(r"\b0\.\d\d", prose), "a score"


@pytest.mark.parametrize("name", BOOKS)
def test_has_a_question_and_conclusions_and_short_cells_without_definitions(name):
    book = BOOKS[name]
    assert book.cells[0].source.startswith("# ") and "**The question:**" in book.cells[0].source
    prose = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    assert "## What we learned" in prose and "## What this does not show" in prose
    for cell in code_cells(book):
        for node in ast.walk(ast.parse(cell.source)):
            assert not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.While), f"a definition in: {cell.source[:60]}"
        assert len(cell.source.splitlines()) <= 13 or "parameters" in cell.metadata.get("tags", [])
        assert not re.search(r"[\"'](/|\.\./|C:)", cell.source), "a path of a machine"


@pytest.mark.parametrize("name", BOOKS)
def test_runs_on_the_demo_corpus_with_no_edit(name):
    parameters = next(cell for cell in code_cells(BOOKS[name]) if "parameters" in cell.metadata.get("tags", []))
    assert 'CORPUS: str = "demo"' in parameters.source
    for line in parameters.source.splitlines():
        assert re.fullmatch(r"[A-Z_]+: \w+ = .+  # .+", line), f"not one typed, explained assignment: {line}"


@pytest.mark.parametrize("name", BOOKS)
def test_reads_nothing_that_it_writes_itself(name):
    """Otherwise a second run has an input that the first did not have, and computes everything again."""
    about = BOOKS[name].metadata["ser"]
    sources = "\n".join(cell.source for cell in code_cells(BOOKS[name]))
    wrote = {*about["writes"], *re.findall(r'(?:to_csv|write_aside|write_json)\(out / "([^"]+)"', sources)}
    assert wrote and not [(file, one) for file in wrote for one in about["reads"] if fnmatch.fnmatchcase(file, one)]


@pytest.mark.parametrize("name", BOOKS)
def test_names_the_synthetic_demo_voices(name):
    text = "".join(
        output.get("data", {}).get("text/markdown", "") for cell in code_cells(BOOKS[name]) for output in cell.outputs
    )
    assert "Synthetic demo voices" in text


def assert_not_blank(png: bytes, name: str):
    pixels = 255 * plt.imread(io.BytesIO(png))[..., :3].mean(axis=2)
    assert pixels.std() > 5 and np.unique(pixels).size > 10, f"{name} is blank"
    assert min(pixels.shape) > 100, f"{name} is too small to read"


@pytest.mark.parametrize("name", BOOKS)
def test_figures_have_a_caption_an_alt_text_and_are_not_blank(name):
    figures = 0
    for cell in code_cells(BOOKS[name]):
        for i, output in enumerate(cell.outputs):
            if "image/png" in output.get("data", {}):
                figures += 1
                assert_not_blank(base64.b64decode(output.data["image/png"]), cell.source[:40])
                assert len(output.metadata["image/png"]["alt"]) > 20
                assert cell.outputs[i + 1].data["text/markdown"].startswith("*Figure. ")
    assert figures


@pytest.mark.parametrize("png", PNGS, ids=lambda path: path.stem)
def test_committed_png_is_not_blank(png):
    assert_not_blank(png.read_bytes(), png.name)


def test_committed_reports_embed_no_audio_of_emovo():
    pages = sorted((paths.ROOT / "reports" / "emovo").glob("*.html"))
    assert len(pages) == len(BOOKS) + 1 >= 7
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert "data:audio" not in text, page.name
        assert "FAILED" not in text, page.name
