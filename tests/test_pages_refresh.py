"""The stored form of a page, what it must not hold, and the execution that makes it."""

import json
import os
import socket
from pathlib import Path

import nbformat
import psutil
import pytest
from page_samples import page_of, sample, store, stream

from workbook import execute, leaks, normalize, pages, refresh
from workbook.errors import BadPage, PageStopped

WIDGETS = """\
import ipywidgets
box = ipywidgets.VBox([ipywidgets.IntSlider(3), ipywidgets.Label("x")])
box"""


def notebook_of(*sources, **metadata):
    cells = [nbformat.v4.new_code_cell(source, metadata=dict(metadata)) for source in sources]
    return nbformat.v4.new_notebook(cells=cells)


def run(notebook, tmp_path, limit=60.0):
    env = execute.reproducible(tmp_path / "results", tmp_path / "ipython")
    return execute.execute(notebook, tmp_path, env, limit)


def text_of(notebook):
    return "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))


# The stored form


def test_two_executions_are_stored_alike(tmp_path):
    first, second = notebook_of("print(1)", WIDGETS, "2"), notebook_of("print(1)", WIDGETS, "2")
    for notebook in (first, second):
        for number, cell in enumerate(notebook.cells):
            cell.id = f"c{number}"
        run(notebook, tmp_path)
        notebook.metadata.language_info = {"name": "python", "version": "3.99"}
        notebook.cells[0].metadata.execution = {"shell.execute_reply": "now"}
    assert first != second, "the widgets' ids are random"
    assert normalize.dump(normalize.normalize(first)) == normalize.dump(normalize.normalize(second))


def test_widgets_keep_their_state_under_new_ids(tmp_path):
    notebook = notebook_of(WIDGETS)
    run(notebook, tmp_path)
    old = notebook.metadata.widgets[normalize.STATE]["state"]
    made = normalize.normalize(notebook)
    new = made.metadata.widgets[normalize.STATE]["state"]
    assert len(new) == len(old) >= 5
    view = made.cells[0].outputs[0].data[normalize.VIEW]["model_id"]
    assert view == f"{1:032x}"
    assert new[view]["model_name"] == "VBoxModel"
    children = [new[name.removeprefix("IPY_MODEL_")]["model_name"] for name in new[view]["state"]["children"]]
    assert children == ["IntSliderModel", "LabelModel"]
    assert not [name for name in old if name in json.dumps(made)]
    assert normalize.normalize(made) == made


def test_normal_form():
    notebook = notebook_of("a = 1\r\n", "b", "c")
    for cell, count in zip(notebook.cells, (7, None, 3), strict=True):
        cell.execution_count = count
    notebook.cells[0].outputs = [stream("a"), stream("b\n"), stream("10%\r100%\n"), stream("")]
    notebook.cells[2].outputs = [nbformat.v4.new_output("execute_result", data={"text/plain": "1"}, execution_count=9)]
    notebook.cells[1].id = notebook.cells[0].id
    made = normalize.normalize(notebook)
    assert [cell.execution_count for cell in made.cells] == [1, None, 3], "a cell that was not run says so"
    assert made.cells[2].outputs[0].execution_count == 3
    assert [output.text for output in made.cells[0].outputs] == ["ab\n100%\n"]
    assert made.cells[0].source == "a = 1"
    assert len({cell.id for cell in made.cells}) == 3
    assert made.cells[0].id == notebook.cells[0].id
    assert "version" not in made.metadata.language_info
    content = normalize.dump(made)
    assert content.endswith(b"}\n")
    assert b"\r" not in content
    assert normalize.dump(normalize.normalize(normalize.load(content, "x"))) == content


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("10%\r50%\r100%", "100%"),
        ("long line\rshort", "shortline"),
        ("a\r\nb\r\n", "a\nb\n"),
        ("\x1b[A\x1b[2Kdone", "done"),
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("plain\n", "plain\n"),
    ],
)
def test_streams_end_as_a_screen_shows_them(text, seen):
    assert normalize.as_on_a_screen(text) == seen


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"cells": 1}', b"\xff", b'{"nbformat": 4, "cells": [{}]}'])
def test_what_is_no_notebook_is_refused_in_one_line(content):
    with pytest.raises(BadPage, match="is not a notebook") as caught:
        normalize.load(content, "x.ipynb")
    assert "\n" not in str(caught.value)


# What must not be stored


def shown_by(text, patterns=None):
    notebook = notebook_of("1")
    notebook.cells[0].outputs, notebook.cells[0].execution_count = [stream(text)], 1
    return leaks.refusals(notebook, patterns)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("OPENAI_API_KEY=sk-proj-abcdefghijklmnop1234", "a key"),
        ("hf_abcdefghijklmnopqrstuv", "a key"),
        ("Authorization: Bearer abcdefghijklmnopqrstuvwxyz", "a key"),
        ("/home/ada/model.gguf", "an absolute path"),
        ("/Users/ada/model.gguf", "an absolute path"),
        ("'C:\\\\Users\\\\ada'", "an absolute path"),
        ("/root/x", "an absolute path"),
        ("/tmp/ipykernel_12/3.py:1: Warning", "an absolute path"),
        ("~/models/x.gguf, data/x, /v1/chat, /api/chat, sk-short, and/or", None),
        ("https://example.org/home/page", None),
    ],
)
def test_outputs_are_searched(text, what):
    found = shown_by(text, leaks.everywhere())
    assert bool(found) == (what is not None)
    assert not found or what in found[0]
    assert "abcdefghijkl" not in " ".join(found), "a key is not repeated"


def test_what_only_this_machine_holds(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "ada-box-7.example.org")
    monkeypatch.setattr(leaks.getpass, "getuser", lambda: "lovelace")
    monkeypatch.setattr(leaks.paths, "root", lambda: Path("/srv/work/book"))
    patterns = leaks.this_machine({"MY_API_KEY": "open-sesame-99", "PATH": "/usr/bin", "A_TOKEN": "short"})
    for text in ("key open-sesame-99", "at Ada-Box-7", "by lovelace", "in /srv/work/book/lib"):
        assert shown_by(text, patterns), text
    for text in ("/usr/bin", "short", "ada-box-77", "lovelaces", "/srv/work"):
        assert not shown_by(text, patterns), text
    monkeypatch.setattr(socket, "gethostname", lambda: "localhost")
    monkeypatch.setattr(leaks.getpass, "getuser", lambda: "root")
    assert not shown_by("root at localhost", leaks.this_machine({}))


def test_metadata_are_looked_at_too():
    notebook = notebook_of("1")
    notebook.cells[0].metadata["note"] = "sk-proj-" + "a" * 40
    notebook.metadata["made_in"] = "/home/ada/k"
    found = leaks.refusals(notebook, leaks.everywhere())
    assert any("cell 1" in line and "a key" in line for line in found)
    assert any("made_in" in line for line in found)


def test_widget_state_and_pictures():
    notebook = notebook_of("1")
    notebook.metadata["widgets"] = {normalize.STATE: {"state": {"a": {"state": {"value": "/home/ada"}}}}}
    assert "metadata (widgets)" in leaks.refusals(notebook, leaks.everywhere())[0]
    picture = nbformat.v4.new_output("display_data", data={"image/png": "/home/ada/"})
    drawing = nbformat.v4.new_output("display_data", data={"image/svg+xml": "<svg>/home/ada</svg>"})
    notebook = notebook_of("1")
    notebook.cells[0].outputs = [picture]
    assert not leaks.refusals(notebook, leaks.everywhere()), "base64 may spell anything"
    notebook.cells[0].outputs = [drawing]
    assert leaks.refusals(notebook, leaks.everywhere())


# The execution


def test_execution_replaces_outputs_and_costs_something(tmp_path):
    notebook = notebook_of("import os; block = b'x' * 200_000_000; print(os.environ['WORKBOOK_ENGINE'])", "1 / 4")
    notebook.cells[0].outputs = [stream("from the last run")]
    cost = run(notebook, tmp_path)
    assert text_of(notebook) == "embedded\n"
    assert notebook.cells[1].outputs[0].data["text/plain"] == "0.25"
    assert [cell.execution_count for cell in notebook.cells] == [1, 2]
    assert cost.seconds > 0
    assert cost.peak_rss_bytes > 200_000_000


@pytest.mark.parametrize(
    ("source", "kind", "says"),
    [
        ("raise ValueError('no\\nmore')", "ValueError", "no"),
        ("while True: pass", "Timeout", "longer than 4 s"),
        ("import os; os._exit(9)", "DeadKernel", "ended"),
        ("input()", "StdinNotImplementedError", ""),
    ],
)
def test_a_page_that_stops(tmp_path, source, kind, says):
    notebook = notebook_of("print('before')", source, "print('after')")
    with pytest.raises(PageStopped) as caught:
        run(notebook, tmp_path, limit=4)
    assert (caught.value.cell, caught.value.kind) == (2, kind)
    assert says in caught.value.says
    assert "\n" not in str(caught.value)
    assert text_of(notebook).startswith("before\n")
    assert "after" not in text_of(notebook)


def test_meant_errors_go_on(tmp_path):
    notebook = notebook_of("1 / 0", tags=["raises-exception"])
    notebook.cells.append(nbformat.v4.new_code_cell("print('on')"))
    run(notebook, tmp_path)
    assert text_of(notebook) == "on\n"
    assert notebook.cells[0].outputs[0].ename == "ZeroDivisionError"


def test_settings_of_this_user_do_not_reach_a_stored_page(tmp_path, monkeypatch):
    for name in ("WORKBOOK_MODEL", "OLLAMA_HOST", "OPENAI_API_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, "mine")
    monkeypatch.setenv("WORKBOOK_ENGINE", "ollama")
    env = execute.reproducible(tmp_path, tmp_path)
    assert "mine" not in env.values()
    assert env["WORKBOOK_ENGINE"] == "embedded"
    assert "OLLAMA_HOST" in execute.reproducible(tmp_path, tmp_path, "ollama")


# Refresh


def test_refresh_then_check(tmp_path):
    page = page_of(sample(), tmp_path)
    raw = json.loads(page.path.read_text(encoding="utf-8"))
    raw["cells"][4]["execution_count"] = 9
    page.path.write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(BadPage, match="workbook refresh 11"):
        refresh.check([page], lambda line: None)
    said = []
    refresh.refresh([page], said.append)
    assert any("output" in line for line in said)
    first = page.path.read_bytes()
    refresh.check([page], said.append)
    assert said[-1] == "1 pages are as refresh leaves them."
    refresh.refresh([page], said.append)
    live = [line for line in said[-3:] if line.strip().startswith("cell")]
    assert live == ["    cell 3 (live): output stdout"], "only the live cell differs"
    assert page.path.read_bytes() != first


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("print('/home/ada/x')", "an absolute path"),
        ("1 / 0", "ZeroDivisionError"),
        ("print('sk-' + 'ab12' * 8)", "a key"),
    ],
)
def test_refresh_leaves_a_page_that_must_not_be_stored(tmp_path, source, says):
    notebook = sample()
    notebook.cells[4].source = source
    page = page_of(notebook, tmp_path)
    before, said = page.path.read_bytes(), []
    with pytest.raises(BadPage, match="Not refreshed: 11"):
        refresh.refresh([page], said.append)
    assert page.path.read_bytes() == before
    assert "cell 5" in said[-1]
    assert says in said[-1]
    assert os.listdir(page.path.parent) == [page.path.name], "no half-written file stays"


def test_check_says_what_differs():
    notebook = normalize.normalize(sample())
    good = normalize.dump(notebook)
    assert refresh.check_page(good, "x") == []
    assert refresh.check_page(good.replace(b"\n", b"\r\n"), "x") == [
        "its file is laid out differently (line ends, indents or order of keys)"
    ]
    notebook.cells[4].metadata["execution"] = {"a": "b"}
    notebook.metadata["papermill"] = {}
    found = refresh.check_page(nbformat.writes(notebook).encode() + b"\n", "x")
    assert found == ["metadata: papermill is taken out", "cell 5 (sum): metadata"]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    found = " ".join(refresh.check_page(nbformat.writes(notebook).encode(), "x"))
    assert "not numbered 1 to 6" in found
    assert "it has no outputs" in found


def test_refresh_leaves_no_record(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBOOK_RESULTS", str(tmp_path / "mine"))
    notebook = sample()
    notebook.cells[
        4
    ].source = (
        "from workbook import paths\npaths.results().mkdir(parents=True)\n(paths.results() / 'x').write_text('y')"
    )
    store(notebook, tmp_path / "notebooks")
    refresh.refresh(pages.pages(tmp_path / "notebooks"), lambda line: None)
    assert not (tmp_path / "mine").exists()


def test_ctrl_c_while_the_kernel_starts(tmp_path, monkeypatch):
    def stop(self, **_):
        raise KeyboardInterrupt

    before = set(psutil.Process().children(recursive=True))
    monkeypatch.setattr(execute.nbclient.NotebookClient, "start_new_kernel_client", stop)
    with pytest.raises(KeyboardInterrupt):
        run(notebook_of("1"), tmp_path)
    assert set(psutil.Process().children(recursive=True)) <= before, "no kernel is left behind"
