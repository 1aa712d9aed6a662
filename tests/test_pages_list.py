"""The list of pages: order, what each states, the map; and pages that state nothing or nonsense."""

import json

import pytest
from page_samples import sample, store

from workbook import pages
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
    assert (first.minutes, first.ram_gb, first.download_mb, first.level) == (5, 1, 0, "beginner")
    assert first.measured.seconds == 8.4


def test_map_links_and_text(tmp_path):
    notebook = sample()
    notebook.cells[0].source = notebook.cells[0].source.replace("what they add up to.", "1.5 | what? Yes.")
    store(notebook, tmp_path)
    table = pages.map_table(pages.pages(tmp_path))
    row = table._repr_markdown_().splitlines()[2]
    assert row == (
        "| [11 Count to two](1_theory/11_count.ipynb) | Two numbers and 1.5 \\| what? | 5 | 1\u00a0GB | beginner |"
    )
    assert repr(table) == "11  Count to two    5 min    1 GB  beginner"
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
