"""What page 42 says: its numbers are the tables', its formulas are right, nothing of a model runs without a yes."""

from __future__ import annotations

import re
from itertools import combinations
from math import comb

import nbformat
import pytest
from scipy.stats import beta, fisher_exact

from programs.judge import tasks
from workbook import facts, paths

PAGE = nbformat.read(paths.notebooks() / "4_benchmarks" / "42_snake.ipynb", as_version=4)
TEXT = "\n\n".join(cell.source for cell in PAGE.cells if cell.cell_type == "markdown")
CODE = {cell.id: cell.source for cell in PAGE.cells if cell.cell_type == "code"}
OUT = {
    cell.id: "".join(output.get("text", "") for output in cell.outputs)
    for cell in PAGE.cells
    if cell.cell_type == "code"
}
REPORTED = facts.table("snake_2025")


def test_the_prompt_is_the_reports_and_french():
    assert tasks.task("snake-fr").prompt.strip() == "Tu peux me générer le jeu snake en python"
    assert OUT["prompt-shown"].splitlines()[0] == "Tu peux me générer le jeu snake en python"


def test_every_row_of_the_report_is_shown_as_printed():
    shown = OUT["reported-table"]
    for row in REPORTED.itertuples():
        (line,) = [
            line
            for line in shown.split(f"TEST {row.test}:")[1].split("TEST")[0].splitlines()
            if line.strip().startswith(row.model_printed)
        ]
        assert row.time_printed in line
        assert line.endswith(row.state_printed)
        assert f"{row.ram_pct * row.ram_gb / 100:.1f} GB" in line


def clopper_pearson(c, n):
    low = beta.ppf(0.025, c, n - c + 1) if c else 0.0
    high = beta.ppf(0.975, c + 1, n - c) if c < n else 1.0
    return low, high


def test_the_intervals_are_clopper_and_pearsons():
    """scipy's beta distribution as the oracle, rounded as printed."""
    told = REPORTED[REPORTED["thinking"].isna()]
    for model, rows in told.groupby("model"):
        c, n = int((rows["state"] == "good").sum()), len(rows)
        line = re.search(rf"^{re.escape(model)} +(.+)$", OUT["rates"], flags=re.M)[1].split()
        assert [int(line[0]), int(line[1])] == [n, c]
        assert [float(line[2]), float(line[3])] == pytest.approx(clopper_pearson(c, n), abs=0.011)


def test_once_in_ten_and_once_in_forty():
    assert round(fisher_exact([[3, 0], [0, 2]]).pvalue, 3) == 0.1
    assert clopper_pearson(1, 1)[0] == pytest.approx(1 / 40)
    assert "once in ten times" in TEXT
    assert "39 times of 40" in TEXT
    assert "0.025 to 1.000" in OUT["one-of-one"]


def test_the_price_is_the_time_over_the_rate():
    told = REPORTED[REPORTED["test"] == 2].set_index("model")
    for model, row in told.iterrows():
        good, n = (3, 3) if row["state"] == "good" else (0, 2)
        low, high = clopper_pearson(good, n)
        line = next(line for line in OUT["price"].splitlines() if line.startswith(model))
        assert f"{good} of {n} good" in line
        assert f"{row['time_s'] / high:.0f} s to" in line
        assert (f"{row['time_s'] / low:.0f} s" in line) if low else line.endswith("no bound")


def test_thinking_cost_what_the_page_says():
    pair = REPORTED[(REPORTED["test"] == 3) & (REPORTED["model"] == "deepseek-r1:1.5b")]["time_s"].tolist()
    assert pair == [175, 90]
    assert "1.94 times as long" in OUT["thinking-rows"]
    assert round(175 / 90, 2) == 1.94


def test_the_formula_counts_the_picks():
    names: dict = {"comb": comb}
    code = CODE["by-hand"].split("\n\n\n")[0]
    exec(code, names)
    for n in range(1, 8):
        for c in range(n + 1):
            for k in range(1, n + 1):
                marks = [i < c for i in range(n)]
                picks = list(combinations(marks, k))
                share = sum(map(any, picks)) / len(picks)
                assert names["pass_at_k"](n, c, k) == pytest.approx(share)


def test_the_obvious_formula_comes_out_too_low_in_the_output():
    rows = [list(map(float, line.split())) for line in OUT["bias"].splitlines()[1:]]
    assert len(rows) == 4
    for rate, truth, fair, biased in rows:
        assert truth == pytest.approx(1 - (1 - rate) ** 5, abs=0.001)
        assert fair == truth
        assert biased < truth


def test_no_programs_of_a_model_run_without_a_yes():
    """Every cell that grades an answer of the model asks for the reader's yes; the others run what ships."""
    assert CODE["yes"].startswith("RUN_GENERATED_CODE = consent.given()")
    assert "consent=False" in CODE["refused"]
    runs = [name for name, code in CODE.items() if "consent=True" in code or "consent=task.needs_code" in code]
    assert set(runs) == {"curious", "known", "film", "model-grades", "contract", "score-run"}
    for name in ("model-grades", "score-run"):
        assert "here and RUN_GENERATED_CODE" in CODE[name]
    assert not any("exec(" in code or "eval(" in code for code in CODE.values())


def test_the_refusal_is_the_real_one():
    cell = next(cell for cell in PAGE.cells if cell.get("id") == "refused")
    (error,) = [output for output in cell.outputs if output.output_type == "error"]
    assert error.ename == "NoConsent"


def test_stored_outputs_show_real_grading():
    assert "RUN_GENERATED_CODE is" not in OUT["model-grades"]
    assert "judged L6 (good)" in OUT["known"]
    assert "judged L4 (reserve)" in OUT["known"]
    assert "29 pictures, exit 0" in OUT["film"]


def test_the_ways_that_the_takeaways_name_are_the_pages_chain():
    assert "../5_analysis/51_results.ipynb" in TEXT
    before = nbformat.read(paths.notebooks() / "4_benchmarks" / "41_record.ipynb", as_version=4)
    assert any("42_snake.ipynb" in cell.source for cell in before.cells if cell.cell_type == "markdown")
