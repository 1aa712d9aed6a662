"""``workbook refresh`` of a page about Ollama: on the real one, with the packaged model, twice alike."""

import nbformat
from page_samples import page_of, sample
from servers import NAME

from programs.site import check, normalize, refresh
from workbook import pages

ASK = "from workbook.engines import connect\n\nengine = connect()\nanswer = engine.chat('Name three colours.', temperature=0, num_predict=12)\nprint(answer.text)"
TAKES = "took = engine.chat('Count to nine.', temperature=0, num_predict=8).total_ns\nprint(took)"


def about_ollama(tmp_path):
    """A small page about Ollama: one cell the same every time, one live."""
    notebook = sample()
    code = nbformat.v4.new_code_cell
    notebook.cells[4:5] = [
        code(ASK, id="ask"),
        code(TAKES, id="takes", metadata={"tags": ["nbval-ignore-output"]}),
        code("assert took > 0", id="took"),
    ]
    notebook.metadata.workbook.engine = "ollama"
    return page_of(notebook, tmp_path)


def refreshed(page):
    """What each cell shows after a refresh."""
    refresh.refresh([page], lambda line: None)
    cells = normalize.load(page.path.read_bytes(), "x").cells
    return {cell.id: "".join(output.get("text", "") for output in cell.get("outputs", ())) for cell in cells}


def test_a_page_about_ollama_is_refreshed_on_it_twice_alike(at_ollama, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBOOK_ENGINE", "embedded")  # this user's own choice does not reach it
    monkeypatch.setenv("WORKBOOK_MODEL", "all-minilm")
    page = about_ollama(tmp_path)
    first, again = refreshed(page), refreshed(page)
    assert first["ask"].startswith("ollama ")
    assert f": {NAME}, Q4_1" in first["ask"]
    assert [name for name in first if first[name] != again[name]] == ["live", "takes"], "times differ, nothing else"
    measured = pages.read(page.path, tmp_path / "notebooks").measured
    assert (measured.engine, measured.model) == ("ollama", NAME)
    assert dict(measured.versions)["ollama server"][0].isdigit()
    assert check.check_page(page.path.read_bytes(), page.link) == []
