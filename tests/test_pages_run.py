"""The whole workbook: pages in order, a failing one among them, a light set-up, Ctrl-C and kill."""

import datetime
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from jupyter_core.utils import ensure_event_loop
from page_samples import page_of, sample, store
from test_pages_site import folders

from programs.site import budgets, execute, normalize, run
from programs.site import build as site
from programs.site.budgets import Ran
from workbook.engines import Info
from workbook.errors import PageStopped, SiteFailed
from workbook.pages import Measured

MISSING = "from workbook.errors import LlamaCppMissing\nraise LlamaCppMissing('this is a light set-up')"


def workbook_of(tmp_path: Path, **sources: str):
    """Pages 11, 12, … whose fifth cell holds what is given."""
    for name, source in sources.items():
        notebook = sample()
        notebook.cells[4].source = source
        store(notebook, tmp_path / "notebooks", f"1_theory/{name.strip('_')}.ipynb")
    return folders(tmp_path, own_front=True)


@pytest.fixture
def no_site(monkeypatch):
    """For tests that are about the pages: what the site would have shown, without building it."""
    shown = {}

    def build(executed, places):
        shown.update(executed)
        return places.html / "index.html"

    monkeypatch.setattr(site, "build", build)
    return shown


@pytest.fixture
def env(tmp_path):
    return {**os.environ, "WORKBOOK_RESULTS": str(tmp_path / "results")}


def tree(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_every_page_then_the_site(tmp_path, env):
    record = "from workbook import paths\npaths.results().mkdir()\n(paths.results() / 'r').write_text('one')\n"
    places = workbook_of(tmp_path, _11_a=record, _12_b="(paths.results() / 'r').read_text()")
    (tmp_path / "notebooks/1_theory/12_b.ipynb").write_bytes(
        (tmp_path / "notebooks/1_theory/12_b.ipynb").read_bytes().replace(b"import check", b"import check\\n\",\n    \"from workbook import paths")
    )  # fmt: skip
    stale = places.build / "executed" / "1_theory" / "99_gone.ipynb"
    stale.parent.mkdir(parents=True)
    stale.write_text("left by a run that was killed", encoding="utf-8")
    before, said = tree(places.notebooks), []
    results = run.run(folders=places, say=said.append, env=env)
    assert [result.outcome for result in results] == ["done", "done"]
    assert tree(places.notebooks) == before, "no page is changed"
    assert not stale.exists()
    made = normalize.load(results[1].path.read_bytes(), "x")
    assert "'one'" in str(made.cells[4].outputs), "a later page sees what an earlier one recorded"
    assert (tmp_path / "results" / "r").is_file()
    assert said[0].startswith("11  Count to two")
    assert " MB" in said[0]
    assert not [line for line in said if "PAST" in line or "Past" in line]
    assert said[-1].startswith("Pages: 2 done. ")
    assert "one" in (places.html / "notebooks/1_theory/12_b.html").read_text(encoding="utf-8")


def test_a_failing_page_is_said_and_the_others_go_on(tmp_path, env):
    places = workbook_of(tmp_path, _11_a="1 / 0", _12_b=MISSING, _13_c="print('still here')")
    said = []
    with pytest.raises(PageStopped, match="11"):
        run.run(folders=places, say=said.append, env=env)
    assert "FAILED: cell 5: ZeroDivisionError: division by zero" in said[0]
    assert said[1].endswith("skipped: needs llama-cpp-python")
    assert "still here" in (places.html / "notebooks/1_theory/13_c.html").read_text(encoding="utf-8")
    assert "ZeroDivisionError" in (places.html / "notebooks/1_theory/11_a.html").read_text(encoding="utf-8")
    stored = (places.html / "notebooks/1_theory/12_b.html").read_text(encoding="utf-8")
    assert "LlamaCppMissing: this is" not in stored, "a page that was skipped is shown as it is stored"
    assert said[-1].startswith("Pages: 1 done, 1 skipped, 1 failed. ")


def test_skipped_pages_alone_are_no_failure(tmp_path, env, no_site):
    places = workbook_of(tmp_path, _11_a=MISSING)
    results = run.run(folders=places, say=lambda line: None, env=env)
    assert [result.outcome for result in results] == ["skipped"]
    assert no_site == {}, "the site keeps the stored page"


def test_a_site_with_warnings_fails_at_the_end(tmp_path, env):
    places = workbook_of(tmp_path, _11_a="1")
    notebook = sample()
    notebook.cells[-1].source = "[gone](99_gone.ipynb)\n\n" + notebook.cells[-1].source
    store(notebook, places.notebooks, "1_theory/12_b.ipynb")
    with pytest.raises(SiteFailed, match="99_gone"):
        run.run(folders=places, say=lambda line: None, env=env)


def test_what_a_page_cost_is_recorded_in_its_copy(tmp_path, env, no_site):
    places = workbook_of(tmp_path, _11_a="block = b'x' * 200_000_000", _12_b="1 / 0")
    found = Info("ollama", "0.32.15", "phi3:mini", "it answers")
    before, said = tree(places.notebooks), []
    with pytest.raises(PageStopped):
        run.run(folders=places, say=said.append, env=env, engine=found)
    assert tree(places.notebooks) == before
    done = normalize.load((places.build / "executed/1_theory/11_a.ipynb").read_bytes(), "x")
    cost = Measured.of(done.metadata.workbook)
    assert (cost.engine, cost.model, dict(cost.versions)["ollama server"]) == ("ollama", "phi3:mini", "0.32.15")
    assert cost.on == datetime.date.today()
    assert cost.ram_gb > 0.2
    assert 0 < cost.seconds < 60
    assert cost.sources == budgets.digest(done)
    failed = normalize.load((places.build / "executed/1_theory/12_b.ipynb").read_bytes(), "x")
    assert "measured" not in failed.metadata.workbook, "the stored page's cost is not that of a page that stopped"


@pytest.mark.parametrize(
    ("cost", "warns"),
    [
        (execute.Cost(75.0, 10), ["75 s, the limit is 60 s"]),
        (execute.Cost(400.0, 10), ["400 s, the limit is 5 minutes", "400 s, the limit is 60 s"]),
        (execute.Cost(1.0, 1_500_000_000), ["1.50 GB of RAM, stated 1 GB"]),
        (execute.Cost(60.0, 1_000_000_000), []),
    ],
)
def test_a_page_past_its_budget_is_warned_of_and_nothing_fails(tmp_path, env, no_site, monkeypatch, cost, warns):
    monkeypatch.setattr(run, "execute", lambda *_: cost)
    places, said = workbook_of(tmp_path, _11_a="1"), []
    (result,) = run.run(folders=places, say=said.append, env=env)
    assert result.outcome == "done"
    assert result.past == tuple(warns)
    assert said[0].partition("  PAST ITS BUDGET: ")[2] == "; ".join(warns)
    assert [line for line in said if line.startswith("Past")] == [f"Past its budget: page 11: {w}." for w in warns]
    assert said[-1].startswith("Pages: 1 done. ")


@pytest.mark.parametrize(
    ("page", "found", "ran"),
    [
        ("any", Info("ollama", "0.3", "phi3", ""), Ran("ollama", "phi3", "0.3")),
        ("any", Info("embedded", "0.3", "smollm2:135m", ""), Ran.embedded()),
        ("any", None, Ran("none", None)),
        ("embedded", Info("ollama", "0.3", "phi3", ""), Ran.embedded()),
        ("ollama", Info("ollama", "0.3", "phi3", ""), Ran("ollama", "phi3", "0.3")),
        ("ollama", Info("embedded", "0.3", "smollm2:135m", ""), Ran("ollama", None)),
    ],
)
def test_which_engine_a_page_really_had(tmp_path, page, found, ran):
    notebook = sample()
    notebook.metadata.workbook.engine = page
    assert run.ran_on(page_of(notebook, tmp_path), found) == ran


def test_the_engine_is_said_and_handed_on(monkeypatch):
    monkeypatch.setenv("WORKBOOK_ENGINE", "embedded")
    said = []
    info = run.engine_line(said.append)
    assert info.engine == "embedded"
    assert said == [f"Engine: {info}"]


def test_a_relative_folder_of_records_is_that_of_the_caller(tmp_path, no_site, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = "from workbook import paths\npaths.results().mkdir()\n(paths.results() / 'r').write_text('one')\n"
    places = workbook_of(tmp_path, _11_a=record)
    run.run(folders=places, say=lambda line: None, env={**os.environ, "WORKBOOK_RESULTS": "mine"})
    assert (tmp_path / "mine" / "r").read_text() == "one"
    assert not (places.notebooks / "1_theory" / "mine").exists()


SCRIPT = """\
import sys
from pathlib import Path
from programs.site import run
from programs.site import build as site
build = Path(sys.argv[1])
try:
    run.run(folders=site.Folders(build / "notebooks", Path(sys.argv[2]), build / "data", build / "build"),
            say=lambda line: print(line, flush=True))
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


def _in_the_second_page(tmp_path, places, env):
    """A run that has done page 11 and sits in page 12, and its kernels."""
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(places.docs)]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while not (tmp_path / "started").exists():
        assert time.monotonic() < end
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    return process, psutil.Process(process.pid).children(recursive=True)


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_is_heard_where_python_drops_one(tmp_path, env):
    """In a ``__del__``, as when a socket of ZeroMQ goes or a weak set forgets a task: Python only prints that it ignored it."""

    class Late:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGINT)
            sum(range(10_000))

    def press():
        while not (tmp_path / "started").exists():
            time.sleep(0.02)
        loop.call_soon_threadsafe(Late)

    loop, notebook = ensure_event_loop(), sample()
    notebook.cells[
        4
    ].source = f"import pathlib, time\npathlib.Path({str(tmp_path / 'started')!r}).touch()\ntime.sleep(60)"
    threading.Thread(target=press, daemon=True).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        execute.execute(notebook, tmp_path, env)
    assert time.monotonic() - began < 60
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_stopped(tmp_path, env, number, no_site):
    wait = f"import pathlib, time\npathlib.Path({str(tmp_path / 'started')!r}).touch()\ntime.sleep(90)"
    places = workbook_of(tmp_path, _11_a="print('made')", _12_b=wait)
    process, kernels = _in_the_second_page(tmp_path, places, env)
    assert kernels
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    gone, alive = psutil.wait_procs(kernels, timeout=20)
    assert not alive, "no kernel is left behind"
    assert len(gone) == len(kernels)
    if number == signal.SIGINT:
        assert out.splitlines()[-1] == "stopped"
        assert err == ""
    assert "made" in str(normalize.load((places.build / "executed/1_theory/11_a.ipynb").read_bytes(), "x").cells)
    assert not (places.build / "executed/1_theory/12_b.ipynb").exists(), "what was not finished is not there"
    # And the next run goes through.
    workbook_of(tmp_path, _12_b="print('now')")
    results = run.run(folders=places, say=lambda line: None, env=env)
    assert [result.outcome for result in results] == ["done", "done"]
    assert list(no_site) == ["1_theory/11_a.ipynb", "1_theory/12_b.ipynb"]
