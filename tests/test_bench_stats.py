"""Spread, trend and doubts against numbers worked by hand."""

from __future__ import annotations

import math

import pytest
from bench_samples import run, sample

from programs.bench import records, stats, store
from programs.bench.fields import Record
from workbook.errors import BadOption


def doubts(found: list[Record]) -> list[str]:
    return stats.doubts(records.frame(found))


def table(found: list[Record]) -> str:
    return stats.table(records.frame(found))


def test_the_variation_worked_by_hand() -> None:
    assert stats.cv([1.0, 2.0, 3.0, 4.0, 100.0]) == pytest.approx(1.98262, abs=1e-5)  # the root of 7610 / 4 over 22
    assert math.isnan(stats.cv([7.0]))


def test_a_trend_is_seen_and_noise_is_not() -> None:
    assert stats.trend([100.0, 97, 94, 91, 88]) == pytest.approx(-12 / 94)
    assert stats.trend([100.0, 97, 99, 96, 98]) is None
    assert stats.trend([100.0, 97, 94, 91]) is None, "four in order happen by chance"
    assert stats.trend([100.0] * 5) is None


def test_doubts() -> None:
    assert doubts(run([100, 101, 99, 100, 101])) == []
    assert doubts([]) == []
    said = {
        "varies by": run([100, 120, 80, 100, 110]),
        "changes by -13%": run([100, 97, 94, 91, 88]),
        "only 2": run([100, 100]),
        "used up to 25% of a core": run([100] * 5, other_load_pct=25.0),
        "1 repetitions failed (oom": [*run([100] * 5), sample(rep_index=6, status="oom", error="no room")],
    }
    for words, found in said.items():
        assert any(words in doubt for doubt in doubts(found)), words
    warm_up = sample(rep_index=0, is_warmup=True, other_load_pct=90.0)
    assert doubts([warm_up, *run([100] * 5)]) == [], "the warm-up is not held against the run"


def test_the_table_shows_what_was_measured_only() -> None:
    text = table(run([100.0] * 5, n_cached=None))
    assert "tg_ts" in text
    assert "100.0" in text
    assert "pp_ts" not in text


def test_ties_make_no_trend() -> None:
    assert stats.trend([100.0, 100, 100, 99, 100, 100]) is None
    assert stats.trend([100.0] * 60) is None


def test_what_is_invalid_or_had_to_load_again_is_told() -> None:
    found = [sample(rep_index=1), sample(rep_index=2, invalid="the machine slept"), sample(rep_index=3, cold=True)]
    told = doubts(found)
    assert any("1 repetitions are invalid and left out (the machine slept)" in doubt for doubt in told)
    assert any("1 repetitions had to load the model again" in doubt for doubt in told)


def test_warnings_of_records_are_told_once_a_kind() -> None:
    hot = [("the processor was at 91 °C",), ("the processor was at 95 °C", "on battery: many machines slow down"), ()]
    found = [sample(rep_index=i, warnings=w) for i, w in enumerate(hot, 1)]
    told = [doubt for doubt in doubts(found) if "only" not in doubt]
    assert told == [
        "chat-story: the processor was at 91 °C (2 repetitions)",
        "chat-story: on battery: many machines slow down",
    ]
    loads = [sample(rep_index=i, warnings=("other programs used 25% of a core",), other_load_pct=25.0) for i in (1, 2)]
    assert sum("other programs" in doubt for doubt in doubts(loads)) == 1


def test_what_was_skipped_is_told_and_is_no_failure() -> None:
    (told,) = doubts([sample(status="skipped", error="no such model")])
    assert told == "chat-story: not run: no such model"


def test_cells_of_one_prompt_are_kept_apart_and_named() -> None:
    plain, thinking = run([100] * 5, thinking=False), run([50] * 5, thinking=True)
    mixed = [record for pair in zip(plain, thinking, strict=True) for record in pair]
    named = stats.cells(records.frame([*mixed, sample(prompt_id="tg128")]))
    assert [(name, len(group)) for name, group in named] == [
        ("chat-story thinking=False", 5), ("chat-story thinking=True", 5), ("tg128", 1)
    ]  # fmt: skip
    assert doubts(mixed) == [], "each cell by itself is steady"
    text = table(mixed)
    assert "100.0" in text
    assert "50.0" in text
    models = [*run([1.0], model_name="a"), *run([1.0], model_name="b", quant="Q8_0")]
    assert [name for name, _ in stats.cells(records.frame(models))] == ["chat-story a Q4_1", "chat-story b Q8_0"]


def test_one_run_is_shown_with_its_doubts_and_its_mark() -> None:
    slow = run([100, 97, 94, 91, 88], run_id="c" * 12)
    loaded = store.Contents((*slow, *run([100.0] * 5)), invalid={"c" * 12: "slept"})
    told = stats.show(loaded, "cc").splitlines()
    assert told[0].endswith("5 repetitions  INVALID: slept")
    assert "94.0" in told[3]
    assert told[-1] == "! chat-story tg_ts: changes by -13% from first to last: heat, or other load"
    for unknown in ("ffff", ""):
        with pytest.raises(BadOption, match="runs begin with"):
            stats.show(loaded, unknown)
