"""What the report of July 2025 printed is what the rows say: nothing lost, nothing put right; doubts stand beside."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

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


@pytest.mark.parametrize("column", COLUMNS)
def test_one_changed_cell_would_show(column):
    changed = ROWS.copy()
    changed.loc[4, column] = "4 min"
    assert as_printed(changed) != printed(PRINTED.read_text(encoding="utf-8"))


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


def test_the_only_row_with_another_name_is_the_one_without_thinking():
    other = ROWS[ROWS["model"] != ROWS["model_printed"]]
    assert other[["model_printed", "model", "thinking"]].to_numpy().tolist() == [
        ["// (no thinking)", "deepseek-r1:1.5b", "no"]
    ]
    assert set(ROWS["thinking"]) == {"", "no"}


def test_doubts_name_rows_and_columns_that_are_there():
    keys = {(row["test"], row["row"]) for _, row in ROWS.iterrows()}
    assert len(keys) == 12
    for _, doubt in DOUBTS.iterrows():
        assert doubt["field"] in ROWS.columns
        assert doubt["field"].endswith("_printed")
        if not pd.isna(doubt["row"]):
            assert (doubt["test"], doubt["row"]) in keys
    assert DOUBTS["doubt"].str.len().between(30, 300).all()


def test_every_claim_about_many_rows_can_be_counted():
    """What the doubts say of the tables, from the tables."""
    assert (ROWS["cpu_pct"] == 99).sum() == 5
    assert sorted(ROWS["ram_pct"], reverse=True)[:5] == [99, 83, 74, 67, 62]
    assert (ROWS["state"] == "reserve").sum() == 1
    whole = ROWS[ROWS["time_s"] % 60 == 0]
    named = DOUBTS[DOUBTS["doubt"].str.startswith("whole minutes")]
    minutes = {(1, 1), (1, 2), (1, 3), (1, 5)}
    assert {(row["test"], row["row"]) for _, row in named.iterrows()} == minutes
    assert {(row["test"], row["row"]) for _, row in whole.iterrows()} == minutes | {(2, 3)}
    gigabytes = (ROWS["ram_pct"] * ROWS["ram_gb"] / 100).round(1)
    assert gigabytes[ROWS["model"] == "deepseek-coder:6.7b"].tolist() == [13.3, 11.8]
    later = ROWS[ROWS["test"] > 1].assign(gb=gigabytes).groupby("model")["gb"]
    assert (later.max() - later.min()).loc[["mistral", "deepseek-r1:1.5b"]].max() < 0.3


def test_the_wrong_size_is_flagged_and_left():
    row = ROWS[ROWS["model"] == "gemma3n:e4b"].iloc[0]
    assert (row["size_printed"], row["size_bytes"]) == ("1.5 Go", 1_500_000_000)
    flags = DOUBTS[(DOUBTS["test"] == 1) & (DOUBTS["row"] == 1) & (DOUBTS["field"] == "size_printed")]
    assert flags["doubt"].str.contains("7.5 GB").tolist() == [True]


def test_mistral_at_four_and_a_half_bits():
    weights = facts.table("models").set_index("name").loc["mistral:7b", "params_b"]
    assert round(weights * 4.5 / 8, 2) == 4.08
    assert DOUBTS["doubt"].str.contains("7.25 billion weights at 4.5 bits are 4.08 GB").sum() == 1


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
