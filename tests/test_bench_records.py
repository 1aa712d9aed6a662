"""Records as a table: medians against numpy, successes counted by hand, what is left out, CSV that is read back."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from bench_samples import run, sample
from hypothesis import given, settings
from hypothesis import strategies as st

from programs.bench import records, store
from programs.bench.fields import Record
from programs.judge import tasks
from workbook import paths
from workbook.errors import BadOption

RUN = "a" * 12


def test_a_row_a_repetition_a_column_a_field_and_null_is_never_0() -> None:
    table = records.frame([sample(thinking=True), sample(rep_index=2, ttft_ns=None, n_cached=None, thinking=None)])
    assert list(table.columns) == list(Record.model_fields)
    assert table["n_threads"].tolist() == [2, 2]
    assert table[["ttft_ns", "n_cached", "pp_ts", "thinking"]].isna().to_numpy().tolist() == [[False] * 4, [True] * 4]
    assert table["isa_flags"].iloc[0] == ("avx", "avx2")
    assert len(records.frame([])) == 0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.floats(1, 1e4)), min_size=1, max_size=30))
def test_the_summary_is_what_numpy_says(rows: list[tuple[str, bool, float]]) -> None:
    made = [sample(rep_index=i, model_name=model, thinking=thinking or None, gen_ns=round(1e10 / rate))
            for i, (model, thinking, rate) in enumerate(rows)]  # fmt: skip
    found = records.summary(records.frame(made), ["model_name", "thinking"])
    found = found[found["figure"] == "tg_ts"]
    assert found["n"].sum() == len(rows)
    for row in found.to_dict("records"):
        thinking = None if row["thinking"] != row["thinking"] else row["thinking"]
        mine = [r.tg_ts for r in made if (r.model_name, r.thinking) == (row["model_name"], thinking)]
        assert (row["q1"], row["median"], row["q3"]) == pytest.approx(np.percentile(mine, [25, 50, 75]))


def test_what_does_not_count_is_left_out() -> None:
    rest = [
        {"is_warmup": True},
        {"status": "oom", "error": "no room"},
        {"cold": True},
        {"invalid": "slept"},
        {"n_gen": None},
    ]
    more = [sample(rep_index=9 + i, gen_ns=1, **changes) for i, changes in enumerate(rest)]
    table = records.frame([*run([100.0, 104, 90]), *more, sample(run_id="b" * 12)], {"b" * 12: "the laptop slept"})
    (row,) = [row for row in records.summary(table).to_dict("records") if row["figure"] == "tg_ts"]
    assert (row["n"], row["runs"], row["median"]) == (3, 1, pytest.approx(100))
    assert set(table["invalid"].dropna()) == {"slept", "the laptop slept"}


def test_no_prompt_rate_of_what_was_cached() -> None:
    """One token computed in 5 ms reads as 200 tokens/s: no rate."""
    cached = sample(n_prompt=100, n_cached=99, prompt_ns=5_000_000)
    assert cached.pp_ts == pytest.approx(200)
    assert records.measured(records.frame([cached]))["pp_ts"].isna().all()
    assert set(records.summary(records.frame([cached]))["figure"]) == {"tg_ts", "ttft"}
    half = sample(n_prompt=100, n_cached=50, prompt_ns=500_000_000)
    assert records.measured(records.frame([half]))["pp_ts"].tolist() == [100.0]


def test_methods_are_never_pooled_and_set_ups_are_told() -> None:
    table = records.frame([sample(), sample(rep_index=2, method="client-stream"), sample(rep_index=3, n_threads=4)])
    rows = records.summary(table, ["host"])
    told = rows[rows["figure"] == "tg_ts"].set_index("method")[["n", "set_ups"]]
    assert told.to_dict("index") == {"client-stream": {"n": 1, "set_ups": 1}, "server-timings": {"n": 2, "set_ups": 2}}
    assert "2 set-ups pooled" in records.summary_text(rows)


@pytest.mark.parametrize(
    ("condition", "count"),
    [("n_threads=2", 1), ("thinking=true", 1), ("thinking=false", 0), ("quant=", 0), ("isa_flags=avx avx2", 2), ("temperature=0.8", 1),
     ("started_at=2026-01-02T03:04:05.000000Z", 2), ("model_name='; DROP TABLE x; --", 0), ("model_name=a=b", 1)],
)  # fmt: skip
def test_conditions(condition: str, count: int) -> None:
    table = records.frame(
        [sample(thinking=True, temperature=0.8, quant=None, model_name="a=b"), sample(n_threads=None)]
    )
    assert len(records.where(table, [condition])) == count


def test_fields_that_are_not_there() -> None:
    table = records.frame([sample()])
    for wrong in (lambda: records.summary(table, ["surprise"]), lambda: records.grades(table, ["surprise"]),
                  lambda: records.where(table, ["surprise=1"])):  # fmt: skip
        with pytest.raises(BadOption, match="no field 'surprise'"):
            wrong()
    for field in Record.model_fields:  # every other can be grouped by, and shown
        assert records.summary_text(records.summary(table, [field]))


def tries(*changes: dict[str, object], **common: object) -> list[Record]:
    about = {"run_id": RUN, "task_id": "fn-add", "grade_outcome": "graded"} | common
    return [sample(**{"rep_index": i, **about, **one}) for i, one in enumerate(changes, 1)]


def test_what_is_a_try_and_what_is_none() -> None:
    table = records.frame(tries(
        *({"passed": i % 2 == 0, "total_ns": (2 + i) * 10**9} for i in range(4)),
        {"grade_outcome": "truncated", "total_ns": 6 * 10**9}, {"grade_outcome": "ungraded"},
        {"grade_outcome": "harness_error"}, {"grade_outcome": None}, {"passed": True, "is_warmup": True},
        {"passed": True, "invalid": "slept"}, {"passed": True, "status": "timeout", "error": "late"},
    ))  # fmt: skip
    (row,) = records.grades(table).to_dict("records")
    assert [row[name] for name in records.GRADED_BY[:3]] == ["smollm2:135m", "ollama", "fn-add"]
    assert (row["n"], row["passed"], row["truncated"], row["not_graded"]) == (5, 2, 1, 3)
    assert row["try_s"] == pytest.approx((2 + 3 + 4 + 5 + 6) / 5)
    assert row["success_s"] == pytest.approx(20 / 2), "all the seconds over all the successes"
    assert (row["low"], row["high"]) == pytest.approx((0.0527, 0.8534), abs=1e-3), "Clopper and Pearson, 2 of 5"
    assert "3 not graded" in records.grades_text(records.grades(table))


def test_prices_that_are_not_known() -> None:
    none_passed = records.grades(records.frame(tries({"passed": False})))
    assert none_passed["success_s"].tolist() == [math.inf]
    assert "none yet" in records.grades_text(none_passed)
    untimed = records.grades(
        records.frame(tries({"passed": False, "total_ns": None}, {"grade_outcome": None, "engine": "x"}))
    )
    assert untimed[["try_s", "success_s"]].isna().all().all()
    assert "?" in records.grades_text(untimed)
    loaded = tries({"passed": True, "total_ns": 10**9}, {"passed": True, "total_ns": 99 * 10**9, "cold": True})
    (row,) = records.grades(records.frame(loaded)).to_dict("records")
    assert (row["n"], row["try_s"]) == (2, pytest.approx(1)), "a try for which the model was loaded costs no more"


def test_levels_and_thinking_apart() -> None:
    graded = [("L2", True), ("L6", True), ("L2", True), ("L6", False)]
    table = records.frame(tries(*({"grade": g, "passed": g == "L6", "thinking": t} for g, t in graded)))
    found = records.grades(table)
    assert found.set_index("thinking")["levels"].to_dict() == {False: "L6:1", True: "L2:2 L6:1"}
    assert "L2:2 L6:1" in records.grades_text(found)


def test_the_committed_records_by_hand() -> None:
    folder = paths.data() / "results" / "plans"
    counted: dict[tuple[str, str], list[bool]] = {}
    for r in store.load(folder).records:
        if r.task_id and not r.is_warmup and r.grade_outcome in ("graded", "truncated"):
            counted.setdefault((r.engine, r.task_id), []).append(bool(r.passed))
    found = records.grades(records.load(folder)).set_index(["engine", "task_id"])[["n", "passed"]]
    assert found.T.to_dict("list") == {key: [len(each), sum(each)] for key, each in counted.items()}
    assert len(found) == 2 * len(tasks.tasks()) - 2, "every task but the contract, on two engines"


def test_what_could_not_be_read_is_told(tmp_path: Path) -> None:
    store.append(tmp_path / "a.jsonl", sample())
    (tmp_path / "b.jsonl").write_text("{}\n")
    table = records.load(tmp_path)
    assert len(table) == 1
    assert [problem.split(" ")[0] for problem in table.attrs["problems"]] == ["b.jsonl:1:"]
    assert records.load(tmp_path / "nowhere").empty


def test_the_list_says_what_ran_and_how_it_ended() -> None:
    later = {"run_id": "c" * 12, "model_name": "m", "quant": None}
    failed, skipped = {"status": "oom", "error": "no room"}, {"status": "skipped", "error": "no such model"}
    made = [*run([150.0] * 5, **later), sample(rep_index=9, **failed, **later), sample(rep_index=10, **skipped, **later),
            sample(rep_index=0, is_warmup=True, **later), *run([100.0], host=None, run_id=RUN)]  # fmt: skip
    told = records.listing(
        store.Contents(tuple(made), (store.Problem(Path("x"), "bad", 1),), {RUN: "slept"})
    ).splitlines()
    assert told == [
        f"{RUN}  2026-01-02 03:04  unknown host  smollm2:135m Q4_1  chat-story: 1 repetitions  INVALID: slept",
        f"{'c' * 12}  2026-01-02 03:04  example  m  chat-story: 5 repetitions, 1 failed",
        "1 lines could not be read: workbook results check",
    ]
    assert "workbook bench" in records.listing(store.Contents())


FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)")


def test_csv_is_read_back_and_holds_no_formula(tmp_path: Path) -> None:
    made = [sample(rep_index=i, model_name=word, gpus=(word,)) for i, word in enumerate(FORMULAS, 1)]
    made.append(sample(rep_index=9, model_name='a "quoted", é', swap_delta_bytes=-5, build_info="-a,b;c"))
    target = tmp_path / "out.csv"
    said = records.export(records.frame(made, {sample().run_id: "=HYPERLINK(1)"}), target)
    assert said == "5 repetitions in out.csv"
    rows = {int(row["rep_index"]): row for row in csv.DictReader(target.open(encoding="utf-8", newline=""))}
    assert list(rows[1]) == list(Record.model_fields)
    for rep, word in enumerate(FORMULAS, 1):
        row = rows[rep]
        assert (row["model_name"], row["gpus"], row["invalid"]) == (f"'{word}", f"'{word}", "'=HYPERLINK(1)")
    last = rows[9]
    assert (last["model_name"], last["swap_delta_bytes"], last["isa_flags"]) == ('a "quoted", é', "-5", "avx avx2")
    assert (last["started_at"], last["is_warmup"], last["n_reasoning"]) == ("2026-01-02T03:04:05.000000Z", "false", "")
    assert float(last["tg_ts"]) == made[-1].tg_ts
    cells = [cell for row in rows.values() for name, cell in row.items() if name != "swap_delta_bytes"]
    assert [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")] == []


def test_an_export_overwrites_nothing_and_leaves_no_half(tmp_path: Path) -> None:
    table, target = records.frame([sample()]), tmp_path / "out.csv"
    target.write_text("mine")
    for wrong, said in (
        (target, "not overwritten"),
        (tmp_path / "out.parquet", r"ends in \.csv"),
        (target / "x.csv", "no such folder"),
    ):
        with pytest.raises(BadOption, match=said):
            records.export(table, wrong)
    assert target.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
