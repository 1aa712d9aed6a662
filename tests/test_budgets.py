"""What pages cost: measured, recorded, kept where nothing changed, held against what they state."""

import copy
import datetime
import json

import pytest
from page_samples import MEASURED, page_of, record, sample, store

from programs.site import budgets, normalize
from programs.site.budgets import Ran
from programs.site.execute import Cost
from workbook import hardware, pages
from workbook.engines import Info
from workbook.pages import Measured

SMALL = Cost(8.44, 640_000_000)


def measured(**fields):
    return Measured.of({"measured": {**MEASURED, **fields}})


# What a page says of itself


def test_a_page_knows_what_it_cost(tmp_path):
    page = page_of(sample(), tmp_path)
    assert page.measured == measured(sources=budgets.digest(sample()))
    assert page.measured.on == datetime.date(2026, 11, 21)
    assert page.measured.versions == (("numpy", "2.3.4"),)
    notebook = sample()
    del notebook.metadata.workbook["measured"]
    store(notebook, tmp_path / "new")
    assert pages.pages(tmp_path / "new")[0].measured is None, "a page under work can be read"


@pytest.mark.parametrize(
    "stated",
    [
        None, {}, {"measured": None}, {"measured": []}, {"measured": {}}, {"measured": "8 s"},
        *({"measured": {**MEASURED, **wrong}} for wrong in (
            {"seconds": "fast"}, {"seconds": -1}, {"seconds": float("nan")}, {"ram_gb": None}, {"ram_gb": float("inf")},
            {"on": "yesterday"}, {"on": 20261121}, {"machine": 2}, {"model": 1}, {"python": None},
            {"versions": ["numpy"]}, {"versions": {"numpy": 2}}, {"sources": 3},
        )),
    ],
)  # fmt: skip
def test_a_damaged_record_is_none(stated):
    assert Measured.of(stated) is None


def test_no_model_is_no_damage():
    assert measured(model=None).model is None


# The text of a page


def test_the_digest_is_of_the_text_alone():
    notebook = sample()
    known = budgets.digest(notebook)
    assert len(known) == 16
    changed = copy.deepcopy(notebook)
    for cell in changed.cells:
        cell.metadata["note"] = "x"
        cell.source += "\n"
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    changed.cells[0].source = changed.cells[0].source.replace("\n", "\r\n")
    assert budgets.digest(changed) == known, "outputs, metadata and line ends are no text"
    assert budgets.digest(normalize.normalize(notebook)) == known
    raw = json.loads(normalize.dump(notebook))
    assert isinstance(raw["cells"][0]["source"], list)
    assert budgets.digest(raw) == known, "the file's own form gives the same"


def _kind(notebook):
    notebook.cells[0].cell_type = "raw"


def _order(notebook):
    notebook.cells.reverse()


def _joined(notebook):
    notebook.cells[2].source += "\n" + notebook.cells.pop(3).source


@pytest.mark.parametrize("change", [_kind, _order, _joined])
def test_the_digest_sees_every_change_of_the_text(change):
    notebook = sample()
    change(notebook)
    assert budgets.digest(notebook) != budgets.digest(sample())


# Measuring


def test_what_is_recorded_can_be_read_again(tmp_path):
    notebook = sample()
    made = budgets.measured(notebook, SMALL, Ran.embedded(), "2 cores")
    assert (made.seconds, made.ram_gb, made.on) == (8.4, 0.64, datetime.date.today())
    assert (made.engine, made.model) == ("embedded", "SmolLM2-135M-Instruct.Q4_1")
    assert "llama-cpp-python" in dict(made.versions)
    budgets.record(notebook, made)
    again = normalize.load(normalize.dump(normalize.normalize(notebook)), "x")
    assert Measured.of(again.metadata.workbook) == made
    assert budgets.problems(again) == []
    budgets.record(notebook, None)
    assert "measured" not in notebook.metadata.workbook


@pytest.mark.parametrize(("seconds", "kept"), [(0.987, 0.99), (8.44, 8.4), (61.2, 61), (123.4, 120), (1234.0, 1200)])
def test_seconds_to_two_figures(seconds, kept):
    assert budgets.measured(sample(), Cost(seconds, 1), Ran("x", None), "").seconds == kept


def test_what_a_page_ran_on():
    assert Ran.on(Info("embedded", "0.3", "smollm2:135m", "")) == Ran.embedded()
    assert Ran.on(Info("embedded", "0.3", "mistral", "")) == Ran("embedded", "mistral")
    found = Ran.on(Info("ollama", "0.32.15", "phi3:mini", ""))
    assert dict(budgets.measured(sample(), SMALL, found, "").versions)["ollama server"] == "0.32.15"


def test_the_machine_is_described_without_its_name(monkeypatch):
    found = hardware.machine()
    words = budgets.this_machine()
    assert f"{found.cores_usable} core" in words
    assert found.arch in words
    small = type(found)(**{**vars(found), "cores": 1, "ram_limit_bytes": 2_000_000_000, "cpu_model": None})
    monkeypatch.setattr(hardware, "machine", lambda: small)
    assert budgets.this_machine().startswith("1 core, 2 GB RAM, ")
    assert budgets.this_machine().endswith(small.arch)


# Two refreshes in a row


@pytest.mark.parametrize(
    ("fields", "seconds", "ram_gb"),
    [
        ({}, 8.4, 0.64),
        ({"seconds": 10.0, "ram_gb": 0.5}, 8.4, 0.64),
        ({"seconds": 11.0}, 11.0, 0.64),
        ({"ram_gb": 0.9}, 8.4, 0.9),
        ({"seconds": 8.5, "sources": "other"}, 8.5, 0.64),
        ({"seconds": 8.5, "machine": "8 cores"}, 8.5, 0.64),
        ({"seconds": 8.5, "engine": "ollama"}, 8.5, 0.64),
        ({"seconds": 8.5, "model": None}, 8.5, 0.64),
    ],
)
def test_a_figure_that_is_not_contradicted_stays(fields, seconds, ram_gb):
    made = budgets.steady(measured(**fields, on="2027-01-02"), measured())
    assert (made.seconds, made.ram_gb) == (seconds, ram_gb)
    assert made.on == datetime.date(2027, 1, 2), "the day is always that of the execution"


def test_without_a_record_the_new_figures_stand():
    assert budgets.steady(measured(seconds=3.0), None) == measured(seconds=3.0)


# Against the budget


@pytest.mark.parametrize(
    ("cost", "says"),
    [
        (Cost(59.0, 900_000_000), []),
        (Cost(75.0, 900_000_000), ["75 s, the limit is 60 s"]),
        (Cost(301.0, 10), ["301 s, the limit is 5 minutes", "301 s, the limit is 60 s"]),
        (Cost(1.0, 1_004_000_000), ["1.00 GB of RAM, stated 1 GB"]),
        (Cost(1.0, 2_500_000_000), ["2.50 GB of RAM, stated 1 GB"]),
    ],
)
def test_past_the_budget(cost, says, tmp_path):
    assert budgets.past(page_of(sample(), tmp_path), cost) == says


def test_problems_are_said_of_a_notebook_that_says_nothing_of_itself():
    notebook = sample()
    notebook.metadata.pop("workbook")
    found = budgets.problems(notebook)
    assert [line.split(":")[0] for line in found[:3]] == [
        f"its budget says {name} = None" for name in ("minutes", "ram_gb", "download_mb")
    ]
    assert "not recorded" in found[3]
    notebook = sample()
    notebook.cells[4].source = "1 + 4"
    assert budgets.problems(notebook) == ["its recorded cost is older than its text: refresh it"]
    record(notebook)
    assert budgets.problems(notebook) == []
