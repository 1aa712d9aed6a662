"""The pages that take what ``connect()`` finds, executed on the real Ollama with every assert in them."""

import json
import os

import nbformat
import pytest
from servers import NAME

from programs.site import normalize
from programs.site.execute import SHOWN_ALIKE, execute
from workbook import pages

LIVE = [page for page in pages.pages() if page.engine == "any"]
PROBE = "from workbook.engines import connect as _c; _info = _c(quiet=True).info(); print(_info.engine, _info.model)"
# Page 42 asks one thing of an engine, again and again: up to its first answers is enough. Page 41 records less.
UP_TO = {"42": "samples-checked"}
FEWER = {"!workbook bench\n": "!workbook bench --repetitions 2 --gen-tokens 16\n"}


def shortened(page):
    """The page, without what it computes by itself or repeats."""
    notebook = normalize.load(page.path.read_bytes(), page.link)
    names = [cell.id for cell in notebook.cells]
    if UP_TO.get(page.number) in names:
        del notebook.cells[names.index(UP_TO[page.number]) + 1 :]
    for cell in notebook.cells:
        if cell.id == "record":
            for old, new in FEWER.items():
                cell.source = cell.source.replace(old, new)
    notebook.cells.append(nbformat.v4.new_code_cell(PROBE, id="probe"))
    return notebook


def test_there_are_such_pages():
    assert {page.number for page in LIVE} >= {"00", "41", "51"}


@pytest.mark.parametrize("page", LIVE, ids=lambda page: page.path.stem)
def test_page_on_the_real_ollama(page, at_ollama, tmp_path):
    notebook = shortened(page)
    env = {**os.environ, **SHOWN_ALIKE, "OLLAMA_HOST": at_ollama.url, "WORKBOOK_RESULTS": str(tmp_path)}
    env |= {"WORKBOOK_THREADS": "1", "WORKBOOK_MODEL": NAME}
    execute(notebook, page.path.parent, env, cell_timeout_s=180)
    told = "".join(o.get("text", "") for o in notebook.cells[-1].outputs)
    assert told.split() == ["ollama", NAME], "the kernel had the real Ollama, not the embedded engine"
    if page.number == "41":
        lines = [json.loads(line) for file in tmp_path.rglob("*.jsonl") for line in file.read_text().splitlines()]
        chats = [line for line in lines if line["engine"] == "ollama" and line["status"] == "ok"]
        assert len(chats) >= 2, "the recorder recorded the server"
        assert all(line["n_gen"] > 0 and line["gen_ns"] > 0 for line in chats)
