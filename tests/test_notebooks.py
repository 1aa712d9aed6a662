"""Every stored page keeps to the rules; and each rule refuses a page that breaks it."""

import ast
import configparser
import re
import warnings
from pathlib import Path

import nbformat
import page_checks
import pytest
from page_samples import page_of, sample, stream

from programs.site import normalize
from workbook import pages, paths

PAGES = pages.pages()
SANITIZE = Path(__file__).with_name("nbval_sanitize.cfg")


def test_there_are_pages():
    assert PAGES, "without pages the tests below would pass by doing nothing"
    assert len({page.number for page in PAGES}) == len(PAGES)
    strays = [path for path in paths.notebooks().rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts]
    assert sorted(strays) == sorted(page.path for page in PAGES), "a notebook that is no page"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path.stem)
def test_page_keeps_to_the_rules(page):
    notebook = normalize.load(page.path.read_bytes(), page.link)
    for line in page_checks.short_cells(notebook, page_checks.LONG_CELL):
        warnings.warn(f"{page.link}: {line}", stacklevel=1)
    assert page_checks.problems(notebook, page, paths.data() / "exercises") == []
    assert normalize.dump(notebook) == page.path.read_bytes(), "refresh lays the file out otherwise"


def test_every_printed_version_is_sanitized():
    config = configparser.ConfigParser(interpolation=None)
    config.read(SANITIZE, encoding="ascii")
    known = re.search(r"\((Python\|[^)]*)\)", config["versions"]["regex"])[1].split("|")
    printed = set()
    for page in PAGES:
        notebook = normalize.load(page.path.read_bytes(), page.link)
        printed |= set(re.findall(r'"(\w+)"', " ".join(re.findall(r"versions\(([^)]*)\)", str(notebook.cells)))))
    assert printed <= set(known)


def test_the_sample_page_is_right(tmp_path):
    notebook = sample()
    page = page_of(notebook, tmp_path)
    assert page_checks.problems(notebook, page, tmp_path / "exercises") == []


def _edit(cell, old, new):
    def change(notebook):
        found = next(c for c in notebook.cells if c.id == cell)
        assert old in found.source
        found.source = found.source.replace(old, new)

    return change


def _set(cell, **fields):
    def change(notebook):
        next(c for c in notebook.cells if c.id == cell).update(fields)

    return change


def _drop(cell):
    def change(notebook):
        notebook.cells = [c for c in notebook.cells if c.id != cell]

    return change


def _measured(**fields):
    def change(notebook):
        notebook.metadata.workbook.measured.update(fields)

    return change


def _unmeasured(notebook):
    del notebook.metadata.workbook["measured"]


PICTURE = nbformat.v4.new_output("display_data", data={"image/png": "aGk=", "text/plain": "<Figure>"})
ERROR = nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=["ValueError: no"])
BROKEN = {
    "not executed": (_set("sum", execution_count=None), "not numbered 1 to 6"),
    "executed out of order": (_set("sum", execution_count=9), "not numbered 1 to 6"),
    "stripped": (_set("setup", outputs=[]), "has no stored output"),
    "a wall of code": (_set("sum", source="x = 1\n" * 26), "26 lines"),
    "steered by a comment": (_edit("sum", "1 + 2", "# NBVAL_IGNORE_OUTPUT\n1 + 2"), "by a comment"),
    "skipped": (_set("sum", metadata={"tags": ["nbval-skip"]}), "skipped by a tag"),
    "too much uncompared": (_set("sum", metadata={"tags": ["nbval-ignore-output"]}), "2 of 6 cells go uncompared"),
    "no assert": (_edit("asserted", "assert now > 0", "print(now)"), "asserts nothing of now"),
    "an assert on something else": (_edit("asserted", "assert now > 0", "x = 1\nassert x, now"), "asserts nothing of now"),
    "a live cell without a name": (_edit("live", "now = time.time()\nprint(now)", "print(time.time())"), "assigns no name"),
    "another budget": (_edit("head", "10 minutes", "7 minutes"), "its budget line"),
    "no prerequisites": (_edit("head", "**Before this page**", "Before"), "what comes before"),
    "two promises": (_edit("head", "- stop.", ""), "it promises 2 things"),
    "no versions": (_edit("setup", "versions())", "'hello')"), "does not print versions"),
    "no decision": (_edit("tail", "## The decision", "## Words"), "not The decision, What's next, Sources"),
    "no sources": (_edit("tail", "## Sources", "## Words"), "not The decision, What's next, Sources"),
    "an empty list of sources": (_edit("tail", "- None needed.", ""), "names no source"),
    "one exercise": (_drop("exercise-2"), "1 exercises, fewer than two"),
    "an answered exercise": (_set("exercise-1", outputs=[stream("11.1  ✓ yes")]), "is stored answered"),
    "an exercise without answer": (_edit("exercise-2", "11.2", "11.7"), "those in the file"),
    "a figure without words": (_set("sum", outputs=[PICTURE]), "a figure without words"),
    "an error": (_set("sum", outputs=[ERROR]), "has no tag raises-exception"),
    "no error": (_set("sum", metadata={"tags": ["raises-exception"]}), "raises nothing"),
    "heavy": (_set("sum", outputs=[stream("x" * 2_100_000)]), "2.1 MB"),
    "a key": (_set("sum", outputs=[stream("sk-" + "a1b2" * 8)]), "shows a key: sk-a…"),
    "a key in the code": (_edit("sum", "1 + 2", "key = 'hf_" + "a" * 30 + "'"), "has a key in its text"),
    "a cost that is not recorded": (_unmeasured, "what it costs is not recorded"),
    "a damaged record of its cost": (_measured(seconds="fast"), "or cannot be read"),
    "a cost of an earlier text": (_edit("tail", "Stop at two", "Stop at two now"), "its recorded cost is older than its text"),
    "a cost of other code": (_edit("sum", "1 + 2", "1 + 3"), "its recorded cost is older than its text"),
    "a cost before a cell was added": (_drop("sum"), "its recorded cost is older than its text"),
    "more memory than stated": (_measured(ram_gb=1.2), "it took 1.2 GB of RAM and states 1"),
    "a home folder": (_set("sum", outputs=[stream("saved in /home/ada/models")]), "shows an absolute path"),
    "a Windows folder": (_set("sum", outputs=[stream(r"saved in C:\Users\ada\models")]), "shows an absolute path"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_each_rule_refuses_what_breaks_it(case, tmp_path):
    change, says = BROKEN[case]
    notebook = sample()
    page = page_of(notebook, tmp_path)
    change(notebook)
    found = page_checks.problems(notebook, page, tmp_path / "exercises")
    assert any(says in line for line in found), found


def test_what_counts_as_an_assert_on_the_live_name():
    for code, right in (
        ("assert answer.text", True),
        ("for piece in answer:\n    assert piece", True),
        ("rows = [len(p) for p in answer]\nassert rows[0] > 1", True),
        ("assert all(p for p in answer)", True),
        ("assert True", False),
        ("assert 1 < 2, answer", False),
        ("rows = other\nassert rows", False),
        ("print(answer)", False),
    ):
        assert page_checks.asserts_on(ast.parse(code), {"answer"}) is right, code
