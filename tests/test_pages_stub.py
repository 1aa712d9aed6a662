"""A test of the pages' tests: an engine whose answers are empty must not get past their asserts."""

import os
import re
from itertools import pairwise

import page_checks
import pytest

from programs.site import normalize
from programs.site.execute import execute, reproducible
from workbook import pages

ASKS = re.compile(r"\.(?:chat|complete)\(")

# What the kernel runs before the page: every connect() gives this engine.
STUB = """
import workbook.engines
from workbook import models
from workbook.engines import Engine
from workbook.engines import Answer, Info, Piece


class Stub(Engine):
    name, path = "stub", models.packaged()

    def _events(self, request, options, stream):
        yield Piece({text!r})
        yield Answer(text={text!r}, engine="stub", model=self.model, finish_reason="stop", **{known!r})

    def embed(self, texts, model=None):
        return []

    def models(self):
        return []

    def info(self):
        return Info(engine="stub", engine_version=None, model=self.model, why="a test")


workbook.engines.connect = lambda engine=None, model=None, quiet=False: Stub("none", "a test")
"""
EMPTY = {"n_prompt": 9, "n_cached": 0, "n_gen": 0, "prompt_ns": 1000, "gen_ns": 1000, "total_ns": 2000}


def live_pages():
    """Pages with a live cell that asks the engine which connect() gave."""
    for page in pages.pages():
        notebook = normalize.load(page.path.read_bytes(), page.link)
        if page.engine == "any" and any(asking(cell) for cell in page_checks.code_cells(notebook)):
            yield page


def asking(cell):
    return page_checks.IGNORE in page_checks.tags(cell) and ASKS.search(cell.source)


def run_on_stub(page, tmp_path, text, known):
    """The page on the stub, every error noted and gone past."""
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00-stub.py").write_text(STUB.replace("{text!r}", repr(text)).replace("{known!r}", repr(known)), "utf-8")
    notebook = normalize.load(page.path.read_bytes(), page.link)
    last = max(number for number, cell in enumerate(notebook.cells) if cell.cell_type == "code" and asking(cell))
    del notebook.cells[last + 5 :]  # its check stands in one of the next cells
    for cell in page_checks.code_cells(notebook):
        cell.metadata["tags"] = [*page_checks.tags(cell), "raises-exception"]
    env = reproducible(tmp_path / "results", tmp_path / "ipython") | {"WORKBOOK_THREADS": "1"}
    execute(notebook, page.path.parent, env | {"OLLAMA_HOST": "127.0.0.1:9"})
    return notebook


def errors(cell):
    return [f"{output.ename}: {output.evalue}" for output in cell.outputs if output.output_type == "error"]


def unnoticed(notebook):
    """Live cells that asked the engine, went through, and whose check went through too."""
    cells = page_checks.code_cells(notebook)
    return [a.id for a, b in pairwise(cells) if asking(a) and not errors(a) and not errors(b)]


@pytest.mark.parametrize("page", list(live_pages()), ids=lambda page: page.path.stem)
def test_empty_answers_make_the_page_fail(page, tmp_path):
    notebook = run_on_stub(page, tmp_path, "", EMPTY)
    raised = [line for cell in page_checks.code_cells(notebook) for line in errors(cell)]
    assert not [line for line in raised if line.startswith(("ImportError", "ModuleNotFoundError", "AttributeError"))]
    assert any(line.startswith("AssertionError") for line in raised), raised
    assert unnoticed(notebook) == [], "each of these cells took an empty answer for a good one"


def test_a_talking_stub_gets_past_the_first_page(tmp_path):
    """The test above fails for the emptiness, not for the stub."""
    page = next(page for page in live_pages() if page.number == "00")
    known = {"n_prompt": 9, "n_cached": 0, "n_gen": 4, "prompt_ns": 10**8, "gen_ns": 10**8, "total_ns": 2 * 10**8}
    notebook = run_on_stub(page, tmp_path, "Four words, no more.", known)
    prompts = [cell for cell in page_checks.code_cells(notebook) if asking(cell)]
    assert set(unnoticed(notebook)) == {cell.id for cell in prompts}
    assert os.listdir(tmp_path) == ["ipython"]


def test_there_are_live_pages():
    assert {page.number for page in live_pages()} >= {"00", "41"}
