"""The list of pages: order, what each states, the map; and pages that state nothing or nonsense."""

import datetime
import json

import pytest
from page_samples import MEASURED, sample, store

from programs.site import cost, execute, normalize
from workbook import hardware, pages
from workbook.engines import Info
from workbook.errors import BadPage


def test_reading_order_and_facts(tmp_path):
    for link in ("5_analysis/51_b.ipynb", "1_theory/11_a.ipynb", "00_start.ipynb"):
        store(sample(), tmp_path, link)
    store(sample(), tmp_path, "1_theory/.ipynb_checkpoints/11_a-checkpoint.ipynb")
    store(sample(), tmp_path, "1_theory/.ipynb_checkpoints/11_a.ipynb")
    store(sample(), tmp_path, "draft.ipynb")
    found = pages.pages(tmp_path)
    assert [page.link for page in found] == ["00_start.ipynb", "1_theory/11_a.ipynb", "5_analysis/51_b.ipynb"]
    assert [page.part for page in found] == ["Start", "Theory", "Analysis"]
    first = found[0]
    assert (first.number, first.title, first.engine) == ("00", "Count to two", "any")
    assert first.aim == "Two numbers and what they add up to. A page for tests."
    assert (first.minutes, first.ram_gb, first.download_mb, first.level) == (10, 1, 0, "beginner")
    assert first.measured.seconds == 8.4


def test_map_links_and_text(tmp_path):
    notebook = sample()
    notebook.cells[0].source = notebook.cells[0].source.replace("what they add up to.", "1.5 | what? Yes.")
    store(notebook, tmp_path)
    table = pages.map_table(pages.pages(tmp_path))
    row = table._repr_markdown_().splitlines()[2]
    assert row == (
        "| [11 Count to two](1_theory/11_count.ipynb) | Two numbers and 1.5 \\| what? | 10 | 1\u00a0GB | beginner |"
    )
    assert repr(table) == "11  Count to two   10 min    1 GB  beginner"
    assert repr(pages.map_table([])) == ""


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"[]", "lacks"),
        (b"{}", "lacks 'cells'"),
        (json.dumps({"cells": [], "metadata": {}}).encode(), "lacks 'workbook'"),
        (json.dumps({"cells": [], "metadata": {"workbook": {}}}).encode(), "does not begin with '# Title'"),
        (json.dumps(sample()).replace('"any"', '"mistral"').encode(), "its engine is 'mistral', none of any, embedded"),
    ],
)
def test_what_is_no_page_is_named(tmp_path, content, says):
    (tmp_path / "11_x.ipynb").write_bytes(content)
    with pytest.raises(BadPage, match=r"^11_x\.ipynb ") as caught:
        pages.pages(tmp_path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("head", ["## Low", "# Title\n\n*Time: 5 minutes*", "# Title\n\n- a list", "# Title"])
def test_a_page_needs_title_and_aim(head):
    with pytest.raises(ValueError, match=r"Title|paragraph"):
        pages.title_and_aim(head)


def test_select(tmp_path):
    for link in ("00_start.ipynb", "1_theory/11_a.ipynb"):
        store(sample(), tmp_path, link)
    every = pages.pages(tmp_path)
    assert pages.select(every, []) == every
    for name in ("11", "11_a", "notebooks/1_theory/11_a.ipynb"):
        assert [page.number for page in pages.select(every, [name])] == ["11"]
    assert pages.select(every, ["11", "00", "11"]) == every, "in reading order, each once"
    with pytest.raises(BadPage, match=r"no page '12'\. Pages: 00, 11\."):
        pages.select(every, ["12"])


# What a page cost


def test_a_damaged_record_of_its_cost_is_none():
    for stated in (None, {}, {"measured": None}, {"measured": []}, {"measured": "8 s"}):
        assert pages.Measured.of(stated) is None
    for wrong in ({"seconds": "fast"}, {"seconds": -1}, {"ram_gb": float("nan")}, {"on": "yesterday"}, {"machine": 2},
                  {"versions": ["numpy"]}, {"versions": {"numpy": 2}}):  # fmt: skip
        assert pages.Measured.of({"measured": MEASURED | wrong}) is None, wrong
    assert pages.Measured.of({"measured": MEASURED | {"model": None}}).model is None


def test_what_is_recorded_can_be_read_again():
    notebook = sample()
    made = cost.measured(notebook, execute.Cost(123.4, 640_000_000), Info("ollama", "0.3", "phi3", ""), "2 cores")
    assert (made.seconds, made.ram_gb, made.on) == (120, 0.64, datetime.date.today())
    assert {"llama-cpp-python", "ollama server"} <= set(dict(made.versions))
    cost.record(notebook, made)
    again = normalize.load(normalize.dump(normalize.normalize(notebook)), "x")
    assert pages.Measured.of(again.metadata.workbook) == made
    assert cost.problems(again) == []
    cost.record(notebook, None)
    assert "measured" not in notebook.metadata.workbook


def test_the_digest_is_of_the_text_alone():
    known, changed = cost.digest(sample()), sample()
    for cell in changed.cells:
        cell.metadata["note"] = "x"
        cell.source = cell.source.replace("\n", "\r\n") + "\n"
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    assert cost.digest(changed) == known, "outputs, metadata and line ends are no text"
    assert cost.digest(json.loads(normalize.dump(changed))) == known, "the file's own form gives the same"
    changed.cells[0].cell_type = "raw"
    assert cost.digest(changed) != known
    changed = sample()
    changed.cells.reverse()
    assert cost.digest(changed) != known


def test_the_machine_is_described_without_its_name(monkeypatch):
    found = hardware.machine()
    small = type(found)(**{**vars(found), "cores": 1, "ram_limit_bytes": 2_000_000_000, "cpu_model": None})
    monkeypatch.setattr(hardware, "machine", lambda: small)
    assert cost.this_machine().startswith("1 core, 2 GB RAM, ")
    assert cost.this_machine().endswith(small.arch)
