"""How often answers passed, counted by hand beside what the index says; and what is no try, or no rate."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from bench_samples import sample
from typer.testing import CliRunner

from programs.bench import index, marks, stats, store, successes, summaries
from programs.cli import app
from programs.judge import tasks
from workbook import paths
from workbook.errors import BadOption

RUN = "aaaaaaaaaaaa"


def keep(folder: Path, run_id: str = RUN, **changes: object) -> Path:
    record = sample(run_id=run_id, **({"task_id": "fn-add", "grade_outcome": "graded"} | changes))
    path = store.run_file(folder, "example", record.started_at, run_id)
    store.append(path, record)
    return path


def rows(folder: Path, **where: str) -> list[successes.Successes]:
    return successes.successes(index.open_index(folder), where=where)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBOOK_CACHE", str(tmp_path / "cache"))


def test_what_is_a_try_and_what_is_none(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    for rep, passed in enumerate((True, False, True, False), start=1):
        keep(folder, rep_index=rep, passed=passed, total_ns=(1 + rep) * 10**9)
    keep(folder, rep_index=0, is_warmup=True, passed=True)
    keep(folder, rep_index=5, grade_outcome="truncated", passed=None, total_ns=6 * 10**9)
    keep(folder, rep_index=6, grade_outcome="ungraded", passed=None)
    keep(folder, rep_index=7, grade_outcome="harness_error", passed=None)
    keep(folder, rep_index=8, grade_outcome=None, passed=None)
    keep(folder, rep_index=9, passed=True, invalid="slept")
    keep(folder, rep_index=10, passed=True, status="timeout", error="late")
    (row,) = rows(folder)
    assert row.group == ("smollm2:135m", "ollama", "fn-add", None)
    assert (row.n, row.passed, row.truncated, row.not_graded) == (5, 2, 1, 3)
    assert row.try_s == pytest.approx((2 + 3 + 4 + 5 + 6) / 5)
    assert row.success_s == pytest.approx(20 / 2), "all the seconds over all the successes"
    assert row.interval == pytest.approx((0.0527, 0.8534), abs=1e-3), "Clopper and Pearson, 2 of 5"


def test_a_run_that_was_marked_does_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    keep(folder, passed=True)
    path = keep(folder, run_id="bbbbbbbbbbbb", passed=False)
    assert rows(folder)[0].n == 2
    marks.add(path, "bbbbbbbbbbbb", "another program ran")
    assert (rows(folder)[0].n, rows(folder)[0].passed) == (1, 1)


def test_none_passed_has_no_price_yet(tmp_path: Path) -> None:
    keep(tmp_path / "results", passed=False)
    (row,) = rows(tmp_path / "results")
    assert row.success_s == math.inf
    assert "none yet" in successes.table([row])


def test_levels_and_thinking_apart(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    for rep, (grade, thinking) in enumerate([("L2", True), ("L6", True), ("L2", True), ("L6", False)], start=1):
        keep(folder, rep_index=rep, grade=grade, passed=grade == "L6", thinking=thinking)
    without, with_it = rows(folder)
    assert dict(with_it.levels) == {"L2": 2, "L6": 1}
    assert dict(without.levels) == {"L6": 1}
    assert "L2:2 L6:1" in successes.table([without, with_it])
    with pytest.raises(BadOption, match="no field"):
        rows(folder, nonsense="1")


def test_a_model_that_was_loaded_for_the_try_costs_no_more(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    keep(folder, passed=True, total_ns=10**9)
    keep(folder, rep_index=2, passed=True, total_ns=99 * 10**9, cold=True)
    assert rows(folder)[0].try_s == pytest.approx(1)
    assert rows(folder)[0].n == 2


def test_the_committed_records_by_hand() -> None:
    folder = paths.data() / "results" / "plans"
    counted: dict[tuple[str, str], list[bool]] = {}
    for r in store.load(folder).records:
        if r.task_id and not r.is_warmup and r.grade_outcome in ("graded", "truncated"):
            counted.setdefault((r.engine, r.task_id), []).append(bool(r.passed))
    found = {(row.group[1], row.group[2]): (row.n, row.passed) for row in rows(folder)}
    assert found == {key: (len(tries), sum(tries)) for key, tries in counted.items()}
    assert len(found) == 2 * len(tasks.tasks()) - 2, "every task but the contract, on two engines"


def test_no_prompt_rate_of_what_was_cached(tmp_path: Path) -> None:
    """One token computed in 5 ms reads as 200 tokens/s: no rate, in the table as in the summary."""
    folder = tmp_path / "results"
    cached = [sample(rep_index=i, n_prompt=100, n_cached=99, prompt_ns=5_000_000, gen_ns=10**8) for i in range(1, 6)]
    for record in cached:
        store.append(store.run_file(folder, "example", record.started_at, record.run_id), record)
    assert cached[0].pp_ts == pytest.approx(200)
    assert stats.values(cached, stats.PP) == []
    assert stats.values(cached, stats.TG) != []
    assert {row.metric for row in summaries.summary(index.open_index(folder))} == {stats.TG, stats.TTFT}
    half = sample(n_prompt=100, n_cached=50, prompt_ns=500_000_000)
    assert len(stats.values([half], stats.PP)) == 1


def test_the_command(tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["results", "grades", "--folder", str(tmp_path / "nothing")])
    assert (said.exit_code, said.stdout.strip()) == (0, "No graded repetition fits.")
    plans = str(paths.data() / "results" / "plans")
    said = CliRunner().invoke(
        app, ["results", "grades", "--folder", plans, "--by", "engine", "--where", "task_id=sum-two"]
    )
    assert said.exit_code == 0
    assert said.stdout.splitlines()[0].split()[:2] == ["engine", "task_id"]
    assert len(said.stdout.splitlines()) == 3
