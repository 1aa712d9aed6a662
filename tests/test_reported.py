"""What the report of July 2025 printed is what the rows say: nothing lost, nothing put right; doubts stand beside."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from workbook import facts

PRINTED = Path(__file__).with_name("fixtures") / "snake_2025_report.fr.md"
COLUMNS = ["model_printed", "size_printed", "time_printed", "state_printed", "cpu_printed", "ram_printed"]
HEADER = ["Modèle", "Taille", "Temps", "État", "CPU", "RAM"]
STATES = {"❌": "bad", "✅": "good", "🟡 Réserve": "reserve"}
ROWS = facts.table("snake_2025").fillna({"thinking": ""})
DOUBTS = facts.table("snake_2025_doubts")


def printed(text):
    """(test, machine as printed, cells as printed) of every row of the report's Markdown."""
    found, test, machine = [], 0, ""
    for line in text.splitlines():
        heading = re.match(r"#### ✅ TEST (\d) – (.+)$", line)
        if heading:
            test, machine = int(heading[1]), heading[2].strip()
        cells = [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and cells != HEADER and not set(line) <= set("|- "):
            found.append((test, machine, cells))
    return found


def as_printed(rows):
    return [(row["test"], row["machine_printed"], [row[name] for name in COLUMNS]) for _, row in rows.iterrows()]


def test_the_rows_are_the_report_cell_by_cell():
    expected = printed(PRINTED.read_text(encoding="utf-8"))
    assert len(expected) == 12
    assert as_printed(ROWS) == expected


def seconds(text):
    minutes, rest = re.fullmatch(r"(\d+) min ?(\d\d)?", text).groups()
    return 60 * int(minutes) + int(rest or 0)


def test_the_numbers_are_those_of_the_printed_words():
    above = ""
    for _, row in ROWS.iterrows():
        above = above if row["size_printed"] == "//" else row["size_printed"]
        assert row["size_bytes"] == round(float(above.removesuffix(" Go")) * 1e9)
        assert row["time_s"] == seconds(row["time_printed"])
        assert row["state"] == STATES[row["state_printed"]]
        assert f"{row['cpu_pct']} %" == row["cpu_printed"]
        assert f"{row['ram_pct']} %" == row["ram_printed"]
        ram, sockets, cores = re.fullmatch(
            r"(\d+) Go RAM / (\d) Sockets? / (\d+) Cores", row["machine_printed"]
        ).groups()
        assert (row["ram_gb"], row["sockets"], row["cores"]) == (int(ram), int(sockets), int(cores))
        assert row["date"] == "2025-07"


def test_doubts_name_rows_and_columns_that_are_there():
    keys = {(row["test"], row["row"]) for _, row in ROWS.iterrows()}
    assert len(keys) == 12
    for _, doubt in DOUBTS.iterrows():
        assert doubt["field"] in ROWS.columns
        assert doubt["field"].endswith("_printed")
        if not pd.isna(doubt["row"]):
            assert (doubt["test"], doubt["row"]) in keys
    assert DOUBTS["doubt"].str.len().between(30, 300).all()


UNSEEN = facts.table("grader_on_unseen")


def test_programs_of_others_are_counted_once_and_none_is_judged_without_a_level():
    assert list(UNSEEN["number"]) == list(range(1, len(UNSEEN) + 1))
    assert set(UNSEEN["toolkit"]) == {"pygame", "curses", "turtle", "tkinter"}
    assert set(UNSEEN["source_kind"]) == {"github", "pypi", "model-written"}
    levels = {f"L{i}" for i in range(7)} | {"ungraded"}
    assert set(UNSEEN[["expected", "judged_before", "judged_after"]].stack()) <= levels
    assert dict(UNSEEN["half"].value_counts()) == {"learn": 23, "test": 23}


def test_every_misjudged_program_says_why():
    wrong = UNSEEN[["judged_before", "judged_after"]].ne(UNSEEN["expected"], axis=0).any(axis=1)
    assert wrong.sum() == 9
    assert list(UNSEEN["note"].notna()) == list(wrong)
