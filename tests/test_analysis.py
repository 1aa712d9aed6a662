"""What may be compared is, and what may not is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench_samples import run, sample

from programs.bench import analysis, index, marks, stats, store
from workbook import paths
from workbook.errors import BadOption, NotComparable

ONE = run([100, 101, 99, 100, 101])
TWO = run([150, 151, 149, 150, 152], run_id="cccccccccccc")


def test_repetitions_of_two_runs_side_by_side() -> None:
    groups = analysis.compare([*ONE, *TWO], stats.TG)
    assert list(groups) == ["run_id 0123456789ab", "run_id cccccccccccc"]
    assert groups["run_id cccccccccccc"] == pytest.approx([150, 151, 149, 150, 152], rel=1e-6)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("method", "client-stream"), ("n_prompt", 121), ("n_threads", 1), ("quant", "Q8_0"), ("prompt_id", "tg128"),
        ("model_name", "other"), ("engine", "embedded"), ("type_k", "q8_0"), ("max_tokens", 12), ("temperature", 1.0),
        ("host", "other"), ("cores", 4), ("flash_attn", "on"), ("on_battery", True), ("n_threads", None),
    ],
)  # fmt: skip
def test_the_guard_names_what_differs(field: str, value: object) -> None:
    other = sample(run_id="cccccccccccc", **{field: value})
    with pytest.raises(NotComparable, match=rf"differ in {field} \("):
        analysis.require_comparable([sample(), other])


def test_only_what_is_compared_may_differ() -> None:
    one, two = sample(), sample(run_id="cccccccccccc", n_threads=1)
    analysis.require_comparable([one, two], by="n_threads")
    with pytest.raises(NotComparable, match="n_threads"):
        analysis.require_comparable([one, two], by="quant")
    faster = sample(host="other", cores=16, kernel="9", build_info="AVX512 = 1")
    analysis.require_comparable([one, faster], by="host")
    with pytest.raises(NotComparable, match="n_threads"):
        analysis.require_comparable([two, faster], by="host")


def test_methods_are_never_pooled() -> None:
    with pytest.raises(NotComparable, match="method"):
        analysis.require_comparable([sample(), sample(method="client-stream")], by="method")


def test_warm_ups_and_failures_are_not_plotted_nor_held_against_the_rest() -> None:
    others = [sample(rep_index=0, is_warmup=True), sample(rep_index=9, status="oom", error="no room")]
    assert analysis.compare([*ONE, *others], stats.TG) == analysis.compare(ONE, stats.TG)
    with pytest.raises(NotComparable, match="tg_ts"):
        analysis.compare(others, stats.TG)
    with pytest.raises(NotComparable, match="tg_ts"):
        analysis.compare([], stats.TG)


def test_tables_have_a_row_a_repetition_and_a_row_a_figure() -> None:
    table = analysis.frame([*ONE, *TWO])
    assert len(table) == 10
    assert table["tg_ts"].median() == pytest.approx(125.0, rel=1e-3)
    medians = analysis.summary([*ONE, *TWO]).set_index(["run_id", "figure"])
    assert medians.loc[("0123456789ab", "tg_ts"), "median"] == pytest.approx(100.0)
    assert medians.loc[("cccccccccccc", "tg_ts"), "n"] == 5
    assert len(analysis.frame([])) == 0


def test_what_the_command_prints() -> None:
    cut = store.Problem("a.jsonl", 6, "cut in the middle of a write: skipped", cut=True)
    loaded = store.Loaded((*TWO, *ONE), (cut,))
    lines = analysis.listing(loaded).splitlines()
    assert [line[:12] for line in lines[:2]] == ["cccccccccccc", "0123456789ab"]
    assert "1 lines could not be read" in lines[2]
    assert "100.0" in analysis.show(loaded, "0123")
    for unknown in ("ffff", ""):
        with pytest.raises(BadOption, match="workbook results list"):
            analysis.show(loaded, unknown)
    assert analysis.check(loaded).splitlines() == [
        "a.jsonl:6: cut in the middle of a write: skipped",
        "10 records of 2 runs can be read; 1 problems.",
    ]
    assert "workbook bench" in analysis.listing(store.Loaded())


def test_the_list_from_the_index_says_what_the_strict_reader_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBOOK_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "results"
    failed = sample(run_id="cccccccccccc", rep_index=9, status="oom", error="no room")
    skipped = sample(run_id="cccccccccccc", rep_index=10, status="skipped", error="no such model", quant=None)
    for record in [*ONE, *TWO, failed, skipped, sample(run_id="cccccccccccc", rep_index=0, is_warmup=True)]:
        store.append(folder / f"{record.run_id}.jsonl", record)
    marks.add(folder / "a.jsonl", ONE[0].run_id, "slept")
    with (folder / "bad.jsonl").open("w") as out:
        out.write("{}\n" + ONE[0].line() + "\n")
    said = analysis.list_runs(index.open_index(folder))
    assert said.replace("smollm2:135m, smollm2:135m Q4_1", "smollm2:135m Q4_1, smollm2:135m") == analysis.listing(
        store.load(folder)
    )
    assert "INVALID: slept" in said
    assert "5 repetitions, 1 failed" in said
    assert said.splitlines()[-1].startswith("2 lines could not be read")
    assert analysis.list_runs(index.open_index(tmp_path / "nowhere")) == analysis.listing(store.Loaded())
    example = paths.data() / "results" / "example"  # three prompts a run, in the order in which they ran
    said = analysis.list_runs(index.open_index(example))
    assert said == analysis.listing(store.load(example))
    assert said.count("pp512, tg128, chat-story") == 3


def test_runs_with_their_reasons() -> None:
    loaded = store.Loaded((*ONE, *TWO), invalid={TWO[0].run_id: "slept"})
    assert [run.invalid for run in analysis.runs(loaded.records, loaded.invalid)] == [None, "slept"]
    assert "INVALID: slept" in analysis.show(loaded, "ccc")
    assert {r.run_id for r in loaded.valid} == {ONE[0].run_id}
