"""The whole workbook: pages in order, a failing one among them, a light set-up, Ctrl-C and kill."""

import asyncio
import datetime
import os
import signal
from pathlib import Path

import psutil
import pytest
from page_samples import page_of, sample, store
from test_pages_site import folders

from programs.site import build as site
from programs.site import cost, execute, normalize, run
from workbook import pages
from workbook.engines import Info
from workbook.errors import PageStopped, SiteFailed
from workbook.pages import Measured

MISSING = "from workbook.errors import LlamaCppMissing\nraise LlamaCppMissing('this is a light set-up')"
RECORD = """from workbook import paths
paths.results().mkdir(exist_ok=True)
with (paths.results() / "r").open("a") as file:
    file.write("one")
print((paths.results() / "r").read_text())"""
OLLAMA = Info("ollama", "0.32.15", "phi3:mini", "it answers")


def workbook_of(tmp_path: Path, **sources: str):
    """Pages 11, 12, … whose fifth cell holds what is given."""
    for name, source in sources.items():
        notebook = sample()
        notebook.cells[4].source = source
        store(notebook, tmp_path / "notebooks", f"1_theory/{name.strip('_')}.ipynb")
    return folders(tmp_path, own_front=True)


def executed(places, name):
    return normalize.load((places.build / "executed" / "1_theory" / name).read_bytes(), name)


def ran(places):
    said = []
    run.run(pages.pages(places.notebooks), places, said.append, None)
    return said


@pytest.fixture
def no_site(monkeypatch):
    """For tests that are about the pages: what the site would have shown, without building it."""
    shown = {}

    def build(executed, places):
        shown.update(executed)
        return places.html / "index.html"

    monkeypatch.setattr(site, "build", build)
    return shown


def test_every_page_then_the_site(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORKBOOK_RESULTS", "mine")  # of the caller, not of each page's folder
    places = workbook_of(tmp_path, _11_a=RECORD, _12_b=RECORD, _13_c="1 / 0", _14_d=MISSING)
    stale = places.build / "executed" / "1_theory" / "99_gone.ipynb"
    stale.parent.mkdir(parents=True)
    stale.write_text("left by a run that was killed", encoding="utf-8")
    before = {path: path.read_bytes() for path in places.notebooks.rglob("*.ipynb")}
    said = []
    with pytest.raises(PageStopped, match="13"):
        run.run(pages.pages(places.notebooks), places, said.append, OLLAMA)
    assert {path: path.read_bytes() for path in places.notebooks.rglob("*.ipynb")} == before, "no page is changed"
    assert not stale.exists()
    assert (tmp_path / "mine" / "r").read_text() == "oneone"
    assert [line[:2] for line in said[:4]] == ["11", "12", "13", "14"]
    assert "FAILED: cell 5: ZeroDivisionError: division by zero" in said[2]
    assert said[3].endswith("skipped: needs llama-cpp-python")
    assert said[-1].startswith("Pages: 2 done, 1 skipped, 1 failed. ")
    html = places.html / "notebooks" / "1_theory"
    assert "oneone" in (html / "12_b.html").read_text("utf-8"), "a later page sees what an earlier one recorded"
    assert "ZeroDivisionError" in (html / "13_c.html").read_text("utf-8")
    stored = (html / "14_d.html").read_text("utf-8")
    assert "LlamaCppMissing: this is" not in stored, "a page that was skipped is shown as it is stored"
    done = executed(places, "12_b.ipynb")
    took = Measured.of(done.metadata.workbook)
    assert (took.engine, took.model, dict(took.versions)["ollama server"]) == ("ollama", "phi3:mini", "0.32.15")
    assert took.on == datetime.date.today()
    assert took.sources == cost.digest(done)
    failed = executed(places, "13_c.ipynb").metadata.workbook
    assert "measured" not in failed, "the stored page's cost is not that of a page that stopped"


def test_skipped_pages_alone_are_no_failure(tmp_path, no_site):
    places = workbook_of(tmp_path, _11_a=MISSING)
    assert ran(places)[-1].startswith("Pages: 1 skipped. ")
    assert no_site == {}, "the site keeps the stored page"


def test_a_page_past_its_budget_is_warned_of_and_nothing_fails(tmp_path, no_site, monkeypatch):
    places = workbook_of(tmp_path, _11_a="1")
    for took, warns in (
        (execute.Cost(60.0, 1_000_000_000), []),
        (execute.Cost(75.0, 1_500_000_000), ["75 s, the limit is 60 s", "1.50 GB of RAM, stated 1 GB"]),
    ):
        monkeypatch.setattr(run, "execute", lambda *_, took=took: took)
        said = ran(places)
        assert [line for line in said if line.startswith("Past")] == [f"Past its budget: page 11: {w}." for w in warns]
        assert said[-1].startswith("Pages: 1 done. ")


def test_a_site_with_warnings_fails_at_the_end(tmp_path, no_site, monkeypatch):
    def build(*_):
        raise SiteFailed("99_gone")

    monkeypatch.setattr(site, "build", build)
    monkeypatch.setattr(run, "execute", lambda *_: execute.Cost(1.0, 1))
    with pytest.raises(SiteFailed, match="99_gone"):
        ran(workbook_of(tmp_path, _11_a="1"))


def test_which_engine_a_page_really_had(tmp_path):
    packaged = cost.embedded()
    for page, found, names in (
        ("any", OLLAMA, OLLAMA),
        ("any", Info("embedded", "0.3", "smollm2:135m", ""), packaged),
        ("any", None, Info("none", None, "", "")),
        ("embedded", OLLAMA, packaged),
        ("ollama", OLLAMA, OLLAMA),
        ("ollama", Info("embedded", "0.3", "smollm2:135m", ""), Info("ollama", None, "", "")),
    ):
        notebook = sample()
        notebook.metadata.workbook.engine = page
        assert run.ran_on(page_of(notebook, tmp_path), found) == names


def test_the_engine_is_said_and_handed_on(monkeypatch):
    monkeypatch.setenv("WORKBOOK_ENGINE", "embedded")
    said = []
    info = run.engine_line(said.append)
    assert info.engine == "embedded"
    assert said == [f"Engine: {info}"]


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_ends_a_run_even_where_python_drops_an_exception(tmp_path, monkeypatch):
    """In a ``__del__``, as when a socket of ZeroMQ goes or a weak set forgets a task."""
    started = tmp_path / "started"

    class Late:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    async def press(pid, seen):
        seen.append(1)
        while not started.exists():
            await asyncio.sleep(0.02)
        Late()

    monkeypatch.setattr(execute, "_watch", press)
    wait = f"from pathlib import Path\nPath({str(started)!r}).touch()\ntime.sleep(60)"
    places = workbook_of(tmp_path, _11_a="print('made')", _12_b=wait)
    with pytest.raises(KeyboardInterrupt):
        ran(places)
    assert psutil.Process().children() == [], "no kernel is left behind"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert "made" in str(executed(places, "11_a.ipynb").cells)
    assert not (places.build / "executed/1_theory/12_b.ipynb").exists(), "what was not finished is not there"
