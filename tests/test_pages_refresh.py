"""The stored form of a page, what it must not hold, and the execution that makes it."""

import base64
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import nbformat
import psutil
import pytest
from page_samples import page_of, sample, store, stream

from programs.site import execute, normalize, refresh
from workbook import alone, leaks, pages
from workbook.errors import BadOption, BadPage, NotAlone, PageStopped

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


def test_addresses_of_objects_are_no_news():
    notebook = notebook_of("object()")
    shown = "<object object at 0x7f0f93139c10> <function <lambda> at 0x7f0f93139c10>"
    notebook.cells[0].outputs = [
        stream(shown),
        nbformat.v4.new_output("execute_result", data={"text/plain": shown}),
        stream("tensors begin at 0x7f0f93, <b at 0x12>"),
    ]
    made = normalize.normalize(notebook).cells[0].outputs
    assert made[0].text == made[1].data["text/plain"] == "<object object at 0x0> <function <lambda> at 0x0>"
    assert made[2].text == "tensors begin at 0x7f0f93, <b at 0x12>", "an offset is data"


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


def test_a_kernel_that_does_not_start(tmp_path, monkeypatch):
    before = set(psutil.Process().children(recursive=True))
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    monkeypatch.setattr(execute.ThisPython, "get_kernel_spec", lambda self, name: execute.KernelSpec(argv=command))
    notebook = notebook_of("1")
    with pytest.raises(PageStopped) as caught:
        run(notebook, tmp_path)
    assert (caught.value.cell, caught.value.kind) == (0, "KernelNotStarted")
    assert "died" in caught.value.says
    assert "\n" not in str(caught.value)
    assert set(psutil.Process().children(recursive=True)) <= before


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


@pytest.fixture
def quiet(monkeypatch):
    """Other tests run beside these; what refresh says of them is tested by itself."""
    monkeypatch.setattr(refresh, "busy", lambda: None)


@pytest.fixture
def steady(monkeypatch, quiet):
    """Every execution costs the same here: beside other tests it would not."""

    def measure(*args):
        execute.execute(*args)
        return execute.Cost(8.4, 640_000_000)

    monkeypatch.setattr(refresh, "execute", measure)


def refreshed(page, tmp_path):
    said = []
    refresh.refresh([page], said.append, lock=tmp_path / "lock")
    return said


def test_refresh_then_check(tmp_path, steady):
    page = page_of(sample(), tmp_path)
    raw = json.loads(page.path.read_text(encoding="utf-8"))
    raw["cells"][4]["execution_count"] = 9
    page.path.write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(BadPage, match="workbook refresh 11"):
        refresh.check([page], lambda line: None)
    said = refreshed(page, tmp_path)
    assert said[0] == "11  Count to two …"
    assert "    cell 5 (sum): its number 9 became 4" in said
    assert any(line.startswith("    recorded cost: engine 'embedded'") or "machine" in line for line in said)
    first = page.path.read_bytes()
    refresh.check([page], said.append)
    assert said[-1] == "1 pages are as refresh leaves them."
    said = refreshed(page, tmp_path)
    assert said[1].startswith("    cell 3 (live), live: printed text: '1")
    assert said[2].startswith("    1 live cell differs, nothing else; ")
    assert len(said) == 3
    assert page.path.read_bytes() != first
    made = pages.read(page.path, tmp_path / "notebooks").measured
    assert (made.engine, made.model) == ("embedded", "SmolLM2-135M-Instruct.Q4_1")
    assert (made.seconds, made.ram_gb) == (8.4, 0.64)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("print('/home/ada/x')", "an absolute path"),
        ("1 / 0", "ZeroDivisionError"),
        ("print('sk-' + 'ab12' * 8)", "a key"),
    ],
)
def test_refresh_leaves_a_page_that_must_not_be_stored(tmp_path, source, says, quiet):
    notebook = sample()
    notebook.cells[4].source = source
    page = page_of(notebook, tmp_path)
    before, said = page.path.read_bytes(), []
    with pytest.raises(BadPage, match="Not refreshed: 11"):
        refresh.refresh([page], said.append, lock=tmp_path / "lock")
    assert page.path.read_bytes() == before
    assert "cell 5" in said[-1]
    assert says in said[-1]
    assert os.listdir(page.path.parent) == [page.path.name], "no half-written file stays"


SHOWN = """\
import base64, struct, sys, zlib
import ipywidgets
from IPython.display import HTML, SVG, Image, Markdown, display
def show(**data):
    display({kind.replace('_', '/'): text for kind, text in data.items()}, raw=True)
"""
SHOWING = {
    "stderr": "print('/home/ada/x', file=sys.stderr)",
    "html": "HTML('<b>sk-' + 'ab12' * 8 + '</b>')",
    "result": "'/home/ada/y'",
    "repr": "['C:\\\\Users\\\\ada']",
    "svg": "SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"><desc>/root/x/y</desc></svg>')",
    "markdown": "Markdown('in `/tmp/abc/d.gguf`')",
    "warning": "import warnings; warnings.warn('slow')",
    "wide": "show(image_png=base64.b64encode(png(1700)).decode())",
    "damaged": "show(image_png='AAAA')",
}
PNG = """\
def chunk(name, data):
    return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
def png(width, text=b''):
    rows = zlib.compress(b'\\0' + bytes(width))
    head = chunk(b'IHDR', struct.pack('>IIBBBBB', width, 1, 8, 0, 0, 0, 0))
    return b'\\x89PNG\\r\\n\\x1a\\n' + head + chunk(b'tEXt', text) + chunk(b'IDAT', rows) + chunk(b'IEND', b'')
"""


def page_showing(tmp_path, cells, **metadata):
    """A page with a cell for each of ``cells``, named by its id."""
    notebook = sample()
    notebook.cells[4:5] = [nbformat.v4.new_code_cell(SHOWN + PNG, id="tools")] + [
        nbformat.v4.new_code_cell(source, id=name, metadata=metadata) for name, source in cells.items()
    ]
    return page_of(notebook, tmp_path)


def test_refresh_refuses_every_kind_of_output(tmp_path, quiet, monkeypatch):
    name = "box-of-ada"
    monkeypatch.setattr(socket, "gethostname", lambda: name)
    state = "ipywidgets.Text('/home/ada/z')"
    page = page_showing(tmp_path, SHOWING | {"host": f"print('made on {name}')", "state": state})
    before, said = page.path.read_bytes(), []
    with pytest.raises(BadPage):
        refresh.refresh([page], said.append, lock=tmp_path / "lock")
    assert page.path.read_bytes() == before
    (refused,) = (line for line in said if "left as it was" in line)
    assert "\n" not in refused
    assert "ab12ab12" not in refused, "a key is not repeated"
    wanted = (
        "(stderr) shows an absolute path: /home/ada", "(html) shows a key: sk-a…", "(result) shows an absolute path",
        "(repr) shows an absolute path", "(svg) shows an absolute path", "(markdown) shows an absolute path",
        "(warning) shows an absolute path: ", "(wide) shows a figure 1700 px wide", "(damaged) shows a figure that is no",
        f"(host) shows the host's name: {name}", "(widgets) hold an absolute path: /home/ada",
    )  # fmt: skip
    assert [words for words in wanted if words not in refused] == []


def test_a_key_in_a_figures_text_is_not_stored(tmp_path, quiet):
    page = page_showing(
        tmp_path, {"figure": "show(image_png=base64.b64encode(png(9, b'a\\0sk-' + b'ab12' * 8)).decode())"}
    )
    refreshed(page, tmp_path)
    notebook = normalize.load(page.path.read_bytes(), "x")
    (output,) = next(cell for cell in notebook.cells if cell.id == "figure").outputs
    content = base64.b64decode(output.data["image/png"])
    assert content.startswith(b"\x89PNG")
    assert b"ab12" not in content


def test_what_a_stored_page_held_is_not_repeated(tmp_path, quiet):
    notebook = sample()
    notebook.cells[4].outputs[0].data["text/plain"] = "sk-" + "ab12" * 8
    page = page_of(notebook, tmp_path)
    checked = refresh.check_page(page.path.read_bytes(), page.link)
    assert "cell 5 (sum) shows a key: sk-a…" in checked
    assert "ab12ab12" not in " ".join(checked + refreshed(page, tmp_path))
    assert b"ab12" not in page.path.read_bytes()


ANYWIDGET = """\
import anywidget, traitlets
class Counter(anywidget.AnyWidget):
    _esm = "// not in /tmp/ nor at https://example.org/home/x\\nexport default { render({ model, el }) {} }"
    _css = ".wb { mask-composite-exclude-something: none }"
    value = traitlets.Int(3).tag(sync=True)
Counter()"""


def test_an_anywidget_is_stored_alike_twice(tmp_path, steady):
    page = page_showing(tmp_path, {"counter": ANYWIDGET})
    refreshed(page, tmp_path)
    first = normalize.load(page.path.read_bytes(), "x")
    said = refreshed(page, tmp_path)
    second = normalize.load(page.path.read_bytes(), "x")
    assert said[-1].strip().startswith("1 live cell differs, nothing else; ")
    assert first.metadata == second.metadata
    assert next(c for c in first.cells if c.id == "counter") == next(c for c in second.cells if c.id == "counter")
    (state,) = (m.state for m in normalize.widget_states(first).values() if "_esm" in m.state)
    assert state.value == 3
    assert state._esm.startswith("// not in /tmp/")
    assert state._css.startswith(".wb")
    assert state._anywidget_id.endswith("Counter")
    assert sorted(normalize.widget_states(first)) == [f"{n:032x}" for n in (1, 2)]


def test_a_widgets_program_holds_no_key_and_no_name_of_this_machine():
    patterns = [*leaks.everywhere(), ("the host's name", "(?i)ada-box")]
    for code, what in (
        ("// see /tmp/x and /home/y", None),
        ("const key = 'sk-" + "ab12" * 8 + "'", "a key"),
        ("// built on Ada-Box", "the host's name"),
    ):
        notebook = notebook_of("1")
        notebook.metadata["widgets"] = {normalize.STATE: {"state": {"a": {"state": {"_esm": code, "value": "fine"}}}}}
        found = leaks.refusals(notebook, patterns)
        assert bool(found) == (what is not None), code
        assert not found or what in found[0]


def test_settings_of_this_user_do_not_change_what_is_shown(tmp_path, quiet, monkeypatch):
    config = tmp_path / "config"
    for name, text in {
        "matplotlib/matplotlibrc": "figure.facecolor: red",
        "ipython/profile_default/startup/00.py": "print('good morning')",
        "ipython/profile_default/ipython_kernel_config.py": "c.InlineBackend.figure_formats = {'svg'}",
        "startup.py": "print('good evening'); mine = 1",
    }.items():
        (config / name).parent.mkdir(parents=True, exist_ok=True)
        (config / name).write_text(text, encoding="utf-8")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(config))
    monkeypatch.setenv("MATPLOTLIBRC", str(config / "matplotlib"))
    monkeypatch.setenv("IPYTHONDIR", str(config / "ipython"))
    monkeypatch.setenv("PYTHONSTARTUP", str(config / "startup.py"))
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    draw = "import matplotlib\nfrom matplotlib import pyplot\npyplot.plot([1, 2])\n"
    draw += "print(matplotlib.rcParams['figure.facecolor'], 'mine' in globals(), __debug__)"
    page = page_showing(tmp_path, {"figure": draw})
    refreshed(page, tmp_path)
    notebook = normalize.load(page.path.read_bytes(), "x")
    assert "good" not in text_of(notebook)
    outputs = next(cell for cell in notebook.cells if cell.id == "figure").outputs
    assert outputs[0].text == "white False True\n"
    assert "image/png" in outputs[1].data


def test_matplotlib_keeps_its_list_of_fonts(tmp_path):
    env = execute.reproducible(tmp_path / "results", tmp_path / "scratch")
    code = "import matplotlib; print(matplotlib.get_cachedir())"
    asked = [subprocess.run([sys.executable, "-c", code], env=e, capture_output=True, text=True, timeout=60, check=True)
             for e in (env, os.environ)]  # fmt: skip
    assert asked[0].stdout == asked[1].stdout


# Which engine, and alone


def test_an_unknown_engine_is_refused(tmp_path, quiet):
    notebook = sample()
    notebook.metadata.workbook.engine = "mistral"
    page = page_of(notebook, tmp_path)
    said = []
    with pytest.raises(BadPage):
        refresh.refresh([page], said.append, lock=tmp_path / "lock")
    assert said[-1] == "    left as it was: its engine is 'mistral', none of any, embedded, ollama"
    assert "its engine is 'mistral', none of any, embedded, ollama" in refresh.check_page(page.path.read_bytes(), "x")


def test_a_page_about_ollama_needs_it(tmp_path, quiet, monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{probe.getsockname()[1]}")
    notebook = sample()
    notebook.metadata.workbook.engine = "ollama"
    page = page_of(notebook, tmp_path)
    before, said = page.path.read_bytes(), []
    with pytest.raises(BadPage, match="Not refreshed: 11"):
        refresh.refresh([page], said.append, lock=tmp_path / "lock")
    assert said[-1].startswith("    left as it was: no Ollama answers at 127.0.0.1")
    assert "ollama serve" in said[-1]
    assert page.path.read_bytes() == before


def test_two_refreshes_at_once(tmp_path, quiet):
    hold = (
        "import sys, time\nfrom pathlib import Path\nfrom workbook.alone import alone\n"
        "with alone(Path(sys.argv[1]), 'refresh'):\n    print('held', flush=True)\n    time.sleep(60)"
    )
    lock = tmp_path / "cache" / "lock"
    page = page_of(sample(), tmp_path)
    other = subprocess.Popen([sys.executable, "-c", hold, str(lock)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(NotAlone, match="another refresh is at work") as caught:
            refresh.refresh([page], lambda line: None, lock=lock)
        assert "\n" not in str(caught.value)
    finally:
        other.kill()
        other.wait(timeout=10)
    assert lock.is_file(), "the killed one left its file"
    refresh.refresh([], lambda line: None, lock=lock)


def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    with pytest.raises(BadOption, match="WORKBOOK_CACHE"):
        refresh.refresh([], lambda line: None, lock=tmp_path / "cache" / "lock")


@pytest.mark.parametrize(("load", "warned"), [(9.0, False), (48.4, True)])
def test_other_load_is_said(tmp_path, monkeypatch, load, warned):
    monkeypatch.setattr(alone.hardware, "other_load_share_pct", lambda: load)
    said = refreshed(page_of(sample(), tmp_path), tmp_path)
    line = "    other programs use 48 % of the processors: figures with timings will mislead"
    assert (line == said[1]) == warned
    assert (line in said) == warned


def test_a_page_past_its_budget_is_stored_and_said(tmp_path, quiet):
    notebook = sample()
    notebook.metadata.workbook.ram_gb = 0.01
    page = page_of(notebook, tmp_path)
    said = refreshed(page, tmp_path)
    assert said[-1].startswith("    past its budget: 0.")
    assert said[-1].endswith("GB of RAM, stated 0.01 GB")
    assert "states 0.01: state more" in " ".join(refresh.check_page(page.path.read_bytes(), "x"))


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
    assert found == [
        "would be stored otherwise: metadata: papermill is taken out",
        "would be stored otherwise: cell 5 (sum): its metadata: execution is taken out",
    ]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    found = " ".join(refresh.check_page(nbformat.writes(notebook).encode(), "x"))
    assert "not numbered 1 to 6" in found
    assert "it has no outputs" in found


def test_refresh_leaves_no_record(tmp_path, monkeypatch, quiet):
    monkeypatch.setenv("WORKBOOK_RESULTS", str(tmp_path / "mine"))
    notebook = sample()
    notebook.cells[
        4
    ].source = (
        "from workbook import paths\npaths.results().mkdir(parents=True)\n(paths.results() / 'x').write_text('y')"
    )
    store(notebook, tmp_path / "notebooks")
    refresh.refresh(pages.pages(tmp_path / "notebooks"), lambda line: None, lock=tmp_path / "lock")
    assert not (tmp_path / "mine").exists()


def test_ctrl_c_while_the_kernel_starts(tmp_path, monkeypatch):
    def stop(self, **_):
        raise KeyboardInterrupt

    before = set(psutil.Process().children(recursive=True))
    monkeypatch.setattr(execute.nbclient.NotebookClient, "start_new_kernel_client", stop)
    with pytest.raises(KeyboardInterrupt):
        run(notebook_of("1"), tmp_path)
    assert set(psutil.Process().children(recursive=True)) <= before, "no kernel is left behind"
