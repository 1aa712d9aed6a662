"""The stored form of a page, what it must not hold, and the execution that makes it."""

import base64
import io
import os
import socket
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from page_samples import page_of, sample, store, stream
from PIL import Image

from programs.site import check, cost, execute, normalize, refresh
from workbook import alone, leaks, pages, paths
from workbook.errors import BadPage, NotAlone, PageStopped
from workbook.pages import Measured

WIDGETS = """\
import ipywidgets
box = ipywidgets.VBox([ipywidgets.IntSlider(3), ipywidgets.Label("x")])
box"""
KEY = "sk-" + "ab12" * 8


def notebook_of(*sources, **metadata):
    cells = [nbformat.v4.new_code_cell(source, metadata=dict(metadata)) for source in sources]
    return nbformat.v4.new_notebook(cells=cells)


def run(notebook, tmp_path, limit=60.0):
    env = execute.reproducible(tmp_path / "results", tmp_path / "ipython")
    return execute.execute(notebook, tmp_path, env, limit)


def cell_of(notebook, name):
    return next(cell for cell in notebook.cells if cell.id == name)


# The stored form


def test_normal_form():
    notebook = notebook_of("a = 1\r\n", "b", "c")
    for cell, count in zip(notebook.cells, (7, None, 3), strict=True):
        cell.execution_count = count
    notebook.cells[0].metadata.execution = {"shell.execute_reply": "now"}
    notebook.cells[2].outputs = [nbformat.v4.new_output("execute_result", data={"text/plain": "1"}, execution_count=9)]
    notebook.metadata.language_info = {"name": "python", "version": "3.99"}
    made = normalize.normalize(notebook)
    assert [cell.execution_count for cell in made.cells] == [1, None, 3], "a cell that was not run says so"
    assert made.cells[2].outputs[0].execution_count == 3
    assert made.cells[0].source == "a = 1"
    assert made.cells[0].metadata == {}
    assert "version" not in made.metadata.language_info
    content = normalize.dump(made)
    assert content.endswith(b"}\n")
    assert b"\r" not in content
    assert normalize.dump(normalize.normalize(normalize.load(content, "x"))) == content


@given(st.permutations("abcde"))
def test_widgets_get_their_ids_by_their_places(names):
    """Whatever random ids they had: a box of two, one alone, and one that no cell shows."""
    box, left, right, alone_, gone = (f"{ord(name):032x}" for name in names)
    notebook = notebook_of("box", "alone")
    for cell, name in zip(notebook.cells, (box, alone_), strict=True):
        cell.id = name[-2:] + "x"
        cell.outputs = [nbformat.v4.new_output("display_data", data={normalize.VIEW: {"model_id": name}})]
    states = {name: {"state": {"value": number}} for number, name in enumerate((left, right, alone_, gone))}
    states[box] = {"state": {"children": [f"IPY_MODEL_{left}", f"IPY_MODEL_{right}"]}}
    notebook.metadata.widgets = {normalize.STATE: {"state": states}}
    made = normalize.normalize(notebook)
    one, two, three, four = (f"{number:032x}" for number in (1, 2, 3, 4))
    assert normalize.widget_states(made) == {
        one: {"state": {"children": [f"IPY_MODEL_{two}", f"IPY_MODEL_{three}"]}},
        two: {"state": {"value": 0}}, three: {"state": {"value": 1}}, four: {"state": {"value": 2}},
    }  # fmt: skip
    assert [cell.outputs[0].data[normalize.VIEW]["model_id"] for cell in made.cells] == [one, four]
    assert normalize.normalize(made) == made


@pytest.mark.parametrize("content", [b"", b"[]", b'{"cells": 1}', b"\xff", b'{"nbformat": 4, "cells": [{}]}'])
def test_what_is_no_notebook_is_refused_in_one_line(content):
    with pytest.raises(BadPage, match="is not a notebook") as caught:
        normalize.load(content, "x.ipynb")
    assert "\n" not in str(caught.value)


# What must not be stored


def shown_by(text, patterns=None):
    notebook = notebook_of("1")
    notebook.cells[0].outputs, notebook.cells[0].execution_count = [stream(text)], 1
    return leaks.refusals(notebook, patterns)


def test_outputs_are_searched():
    for text, what in (
        ("OPENAI_API_KEY=sk-proj-abcdefghijklmnop1234", "a key"),
        ("hf_abcdefghijklmnopqrstuv", "a key"),
        ("Authorization: Bearer abcdefghijklmnopqrstuvwxyz", "a key"),
        ("/home/ada/model.gguf", "an absolute path"),
        ("/Users/ada/model.gguf", "an absolute path"),
        ("'C:\\\\Users\\\\ada'", "an absolute path"),
        ("/root/x", "an absolute path"),
        ("/tmp/ipykernel_12/3.py:1: Warning", "an absolute path"),
        ("~/models/x.gguf, data/x, /v1/chat, /api/chat, sk-short, and/or", ""),
        ("https://example.org/home/page", ""),
    ):
        found = " ".join(shown_by(text, leaks.everywhere()))
        assert what in found if what else not found, text
        assert "abcdefghijkl" not in found, "a key is not repeated"


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


def test_metadata_widgets_and_pictures_are_looked_at_too():
    notebook = notebook_of("1")
    notebook.cells[0].metadata["note"] = KEY
    notebook.metadata["widgets"] = {normalize.STATE: {"state": {"a": {"state": {"value": "/home/ada"}}}}}
    found = leaks.refusals(notebook, leaks.everywhere())
    assert any("cell 1" in line and "a key" in line for line in found)
    assert any("metadata (widgets)" in line for line in found)
    for kind, text, wrong in (("image/png", "/home/ada/", False), ("image/svg+xml", "<svg>/home/ada</svg>", True)):
        notebook = notebook_of("1")
        notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", data={kind: text})]
        assert bool(leaks.refusals(notebook, leaks.everywhere())) is wrong, "base64 may spell anything"


def figure(*size):
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)).save(out, "png")
    return out.getvalue()


def test_large_and_damaged_figures_are_refused():
    good = figure(4, 1600)
    for content, says in (
        (good, ""),
        (figure(4, 1601), "1601 px wide, more than 1600: give it a smaller figsize or dpi"),
        (figure(400, 300), "of 361 kB, more than 300: draw fewer points, or lower its dpi"),
        (good[:-20], "that is no whole PNG file: draw it again"),
        (b"GIF89a" + good, "that is no whole PNG file: draw it again"),
        (good[:60] + b"?" + good[61:], "that is no whole PNG file: draw it again"),
    ):
        notebook = notebook_of("draw()")
        shown = {"image/png": base64.encodebytes(content).decode()}
        notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", data=shown)]
        found = [line.partition("shows a figure ")[2] for line in check.refusals(notebook)]
        assert found == [says] * bool(says)


# The execution


def test_execution_replaces_outputs_and_costs_something(tmp_path):
    notebook = notebook_of("import os; block = b'x' * 200_000_000; print(os.environ['WORKBOOK_ENGINE'])", "1 / 4", "1 / 0",
                           "print('10%\\r100%')")  # fmt: skip
    notebook.cells[0].outputs = [stream("from the last run")]
    notebook.cells[2].metadata["tags"] = ["raises-exception"]
    took = run(notebook, tmp_path)
    assert notebook.cells[0].outputs == [stream("embedded\n")]
    assert notebook.cells[1].outputs[0].data["text/plain"] == "0.25"
    assert notebook.cells[2].outputs[0].ename == "ZeroDivisionError"
    assert notebook.cells[3].outputs == [stream("100%\n")], "a progress bar's last state"
    assert [cell.execution_count for cell in notebook.cells] == [1, 2, 3, 4]
    assert took.seconds > 0
    assert took.peak_rss_bytes > 200_000_000


@pytest.mark.parametrize(
    ("source", "kind", "says"),
    [
        ("raise ValueError('no\\nmore')", "ValueError", "no"),
        ("while True: pass", "Timeout", "longer than 2 s"),
        ("import os; os._exit(9)", "DeadKernel", "ended"),
        ("input()", "StdinNotImplementedError", ""),
    ],
)
def test_a_page_that_stops(tmp_path, source, kind, says):
    notebook = notebook_of("print('before')", source, "print('after')")
    with pytest.raises(PageStopped) as caught:
        run(notebook, tmp_path, limit=2)
    assert (caught.value.cell, caught.value.kind) == (2, kind)
    assert says in caught.value.says
    assert "\n" not in str(caught.value)
    assert notebook.cells[0].outputs == [stream("before\n")]
    assert notebook.cells[2].outputs == []


def _kernel_that_ends(self, name):
    return execute.KernelSpec(argv=[sys.executable, "-c", "raise SystemExit(3)"])


async def _ctrl_c(self, **_):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("place", "stands_in", "ends"),
    [
        ((execute.ThisPython, "get_kernel_spec"), _kernel_that_ends, PageStopped),
        ((execute.nbclient.NotebookClient, "async_start_new_kernel_client"), _ctrl_c, KeyboardInterrupt),
    ],
)
def test_a_kernel_that_does_not_start_leaves_nothing_behind(tmp_path, monkeypatch, place, stands_in, ends):
    before = set(psutil.Process().children(recursive=True))
    monkeypatch.setattr(*place, stands_in)
    with pytest.raises(ends) as caught:
        run(notebook_of("1"), tmp_path)
    assert ends is KeyboardInterrupt or str(caught.value).startswith("cell 0: KernelNotStarted: Kernel died")
    assert set(psutil.Process().children(recursive=True)) <= before


def test_keys_and_choices_of_this_user_do_not_reach_a_stored_page(tmp_path, monkeypatch):
    for name in ("WORKBOOK_MODEL", "OLLAMA_HOST", "OPENAI_API_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, "mine")
    monkeypatch.setenv("WORKBOOK_ENGINE", "ollama")
    env = execute.reproducible(tmp_path, tmp_path)
    assert "mine" not in env.values()
    assert env["WORKBOOK_ENGINE"] == "embedded"
    assert "OLLAMA_HOST" in execute.reproducible(tmp_path, tmp_path, "ollama")


# Refresh


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Other tests run beside these: no lock of theirs, and what refresh says of their load is tested by itself."""
    monkeypatch.setenv("WORKBOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(refresh, "busy", lambda: None)


def page_showing(tmp_path, cells):
    """A page with a cell for each of ``cells``, named by its id."""
    notebook = sample()
    notebook.cells[4:5] = [nbformat.v4.new_code_cell(source, id=name) for name, source in cells.items()]
    return page_of(notebook, tmp_path)


def refreshed(page):
    said = []
    refresh.refresh([page], said.append)
    return said, normalize.load(page.path.read_bytes(), "x")


SHOWING = {
    "figure": "import matplotlib\nfrom matplotlib import pyplot\npyplot.plot([1, 2])\n"
    "print(matplotlib.rcParams['figure.facecolor'], 'mine' in globals(), __debug__)",
    "box": WIDGETS,
    "recorded": "from workbook import paths\npaths.results().mkdir(parents=True)\n(paths.results() / 'x').touch()",
}  # fmt: skip


def test_refresh_then_check(tmp_path, monkeypatch):
    """A page of everything, twice: cells that are not live are stored alike, whatever this user has set."""
    settings = {
        "matplotlib/matplotlibrc": "figure.facecolor: red",
        "ipython/profile_default/startup/00.py": "print('good morning')",
        "ipython/profile_default/ipython_kernel_config.py": "c.InlineBackend.figure_formats = {'svg'}",
        "startup.py": "print('good evening'); mine = 1",
    }
    for name, text in settings.items():
        (tmp_path / "config" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "config" / name).write_text(text, encoding="utf-8")
    for name, place in {"XDG_CONFIG_HOME": "", "MATPLOTLIBRC": "matplotlib", "IPYTHONDIR": "ipython",
                        "PYTHONSTARTUP": "startup.py", "WORKBOOK_RESULTS": "mine"}.items():  # fmt: skip
        monkeypatch.setenv(name, str(tmp_path / "config" / place))
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    page = page_showing(tmp_path, SHOWING)
    with pytest.raises(BadPage, match="workbook refresh 11"):
        check.check([page], lambda line: None)
    said, first = refreshed(page)
    assert said[0] == "11  Count to two …"
    assert " of 10 cells show something else; " in said[1]
    check.check([page], said.append)
    assert said[-1] == "1 pages are as refresh leaves them."
    assert not (tmp_path / "config" / "mine").exists()
    shown, drawn = cell_of(first, "figure").outputs
    assert shown.text == "white False True\n"
    held = Image.open(io.BytesIO(base64.b64decode(drawn.data["image/png"])))
    assert "Software" not in held.info, "matplotlib's version makes no difference"
    cost_ = Measured.of(first.metadata.workbook)
    assert (cost_.engine, cost_.model) == ("embedded", "SmolLM2-135M-Instruct.Q4_1")
    assert 0 < cost_.ram_gb < 2
    said, second = refreshed(page)
    assert said[1].startswith("    1 of 10 cells show something else; ")
    for notebook in (first, second):
        cell_of(notebook, "live").outputs = []
        cost.record(notebook, None)
    assert first == second


REFUSED = {
    "result": ("'/home/ada/y'", "an absolute path: /home/ada"),
    "stderr": ("import sys; print('/home/ada/x', file=sys.stderr)", "an absolute path: /home/ada"),
    "html": ("from IPython.display import *\nHTML('<b>sk-' + 'ab12' * 8 + '</b>')", "a key: sk-a…"),
    "repr": ("['C:\\\\Users\\\\ada']", "an absolute path"),
    "svg": ("SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"><desc>/root/x/y</desc></svg>')", "an absolute path"),
    "markdown": ("Markdown('in `/tmp/abc/d.gguf`')", "an absolute path"),
    "warning": ("import warnings; warnings.warn('slow')", "an absolute path: "),
    "host": ("print('made on box-of-ada')", "the host's name: box-of-ada"),
    "broken": ("display({'image/png': 'AAAA'}, raw=True)", "a figure that is no whole PNG file"),
}


def test_refresh_refuses_every_kind_of_output(tmp_path, monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "box-of-ada")
    cells = {name: source for name, (source, _) in REFUSED.items()}
    page = page_showing(tmp_path, cells | {"state": "import ipywidgets\nipywidgets.Text('/home/ada/z')"})
    before, said = page.path.read_bytes(), []
    with pytest.raises(BadPage, match="Not refreshed: 11"):
        refresh.refresh([page], said.append)
    assert page.path.read_bytes() == before
    assert os.listdir(page.path.parent) == [page.path.name], "no half-written file stays"
    (refused,) = (line for line in said if "left as it was" in line)
    assert "\n" not in refused
    assert "ab12ab12" not in refused, "a key is not repeated"
    wanted = [f"({name}) shows {what}" for name, (_, what) in REFUSED.items()]
    wanted.append("(widgets) hold an absolute path: /home/ada")
    assert [words for words in wanted if words not in refused] == []


def test_a_page_that_stops_is_left_and_the_others_go_on(tmp_path):
    for name, source in {"11_a": "1 / 0", "12_b": "1 + 2"}.items():
        notebook = sample()
        notebook.cells[4].source = source
        notebook.metadata.workbook.ram_gb = 0.01
        store(notebook, tmp_path, f"1_theory/{name}.ipynb")
    every, said = pages.pages(tmp_path), []
    before = every[0].path.read_bytes()
    with pytest.raises(BadPage, match="Not refreshed: 11"):
        refresh.refresh(every, said.append)
    assert said[1] == "    left as it was: cell 5: ZeroDivisionError: division by zero"
    assert every[0].path.read_bytes() == before
    assert said[-1].startswith("    past its budget: 0.")
    assert said[-1].endswith("GB of RAM, stated 0.01 GB")
    found = " ".join(check.check_page(every[1].path.read_bytes(), "x"))
    assert "GB of RAM and states 0.01: state more, or use less" in found


def test_a_page_about_ollama_needs_it(tmp_path, monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{probe.getsockname()[1]}")
    notebook = sample()
    notebook.metadata.workbook.engine = "ollama"
    said = []
    with pytest.raises(BadPage, match="Not refreshed: 11"):
        refresh.refresh([page_of(notebook, tmp_path)], said.append)
    assert said[-1].startswith("    left as it was: no Ollama answers at 127.0.0.1")


def test_two_refreshes_at_once():
    hold = f"from pathlib import Path\nfrom workbook.alone import alone\nwith alone(Path({str(paths.cache() / 'refresh.lock')!r}), 'refresh'):\n    print('held', flush=True)\n    input()"
    other = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "held\n"
    try:
        with pytest.raises(NotAlone, match="another refresh is at work"):
            refresh.refresh([], print)
    finally:
        other.kill()
        other.communicate(timeout=10)
    refresh.refresh([], print)


@pytest.mark.parametrize(("load", "warned"), [(9.0, False), (48.4, True)])
def test_other_load_is_said(monkeypatch, load, warned):
    monkeypatch.setattr(alone.hardware, "other_load_share_pct", lambda: load)
    assert bool(alone.busy()) is warned


def test_check_says_what_is_wrong():
    notebook = normalize.normalize(sample())
    good = normalize.dump(notebook)
    assert check.check_page(good, "x") == []
    other = "it is not in the stored form: metadata of one execution, ids of widgets or the file's layout"
    assert check.check_page(good.replace(b"\n", b"\r\n"), "x") == [other]
    notebook.metadata["papermill"] = {}
    assert check.check_page(normalize.dump(notebook), "x") == [other]
    notebook.cells[4].outputs[0].data["text/plain"] = KEY
    assert check.check_page(normalize.dump(notebook), "x") == ["cell 5 (sum) shows a key: sk-a…"]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    found = " ".join(check.check_page(normalize.dump(notebook), "x"))
    assert "not numbered 1 to 6" in found
    assert "it has no outputs" in found
