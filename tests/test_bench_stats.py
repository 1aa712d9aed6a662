"""Spread, trend and doubts against numpy, counted orders and numbers worked by hand."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from bench_samples import run, sample
from scipy import stats as oracle

from programs.bench import stats


def test_spread_worked_by_hand() -> None:
    s = stats.spread([1.0, 2.0, 3.0, 4.0, 100.0])
    assert s is not None
    assert (s.n, s.median, s.q1, s.q3, s.iqr) == (5, 3.0, 2.0, 4.0, 2.0)
    assert s.cv == pytest.approx(1.98262, abs=1e-5)  # the root of 7610 / 4 over the mean 22
    assert stats.spread([]) is None
    assert stats.spread([7.0]) == stats.Spread(1, 7.0, 7.0, 7.0, None)


def test_spread_against_numpy() -> None:
    data = np.random.default_rng(1).normal(100, 5, 37)
    s = stats.spread(data.tolist())
    assert s is not None
    assert [s.median, s.q1, s.q3] == pytest.approx([np.median(data), np.quantile(data, 0.25), np.quantile(data, 0.75)])
    assert s.cv == pytest.approx(np.std(data, ddof=1) / np.mean(data))


@pytest.mark.parametrize("n", [2, 4, 5, 6])
def test_the_chance_of_an_order_against_counting_all_orders(n: int) -> None:
    def score(order: tuple[int, ...]) -> int:
        return sum(int(np.sign(order[j] - order[i])) for i in range(n) for j in range(i + 1, n))

    scores = [abs(score(order)) for order in permutations(range(n))]
    for level in range(n * (n - 1) // 2 + 1):
        assert stats._chance(n, level) == pytest.approx(np.mean([s >= level for s in scores]))


def test_a_trend_is_seen_and_noise_is_not() -> None:
    assert stats.trend([100.0, 97, 94, 91, 88]) == pytest.approx(-12 / 94)
    assert stats.trend([100.0, 97, 99, 96, 98]) is None
    assert stats.trend([100.0, 97, 94, 91]) is None, "four in order happen by chance"
    assert stats.trend([100.0] * 5) is None


def test_values_leave_out_warm_ups_and_failures() -> None:
    records = [
        sample(rep_index=0, is_warmup=True),
        sample(rep_index=1),
        sample(rep_index=2, status="timeout", error="EngineTimeout: no token"),
        sample(rep_index=3, n_gen=None),
    ]
    assert stats.values(records, stats.TG) == pytest.approx([100.0])
    assert stats.values(records, stats.TTFT) == pytest.approx([510.0] * 2), "ms"


def test_doubts() -> None:
    assert stats.doubts(run([100, 101, 99, 100, 101])) == []
    assert stats.doubts([]) == []
    said = {
        "varies by": run([100, 120, 80, 100, 110]),
        "changes by -13%": run([100, 97, 94, 91, 88]),
        "only 2": run([100, 100]),
        "used up to 25% of a core": run([100] * 5, other_load_pct=25.0),
        "1 repetitions failed (oom": [*run([100] * 5), sample(rep_index=6, status="oom", error="no room")],
    }
    for words, records in said.items():
        assert any(words in doubt for doubt in stats.doubts(records)), words
    warm_up = sample(rep_index=0, is_warmup=True, other_load_pct=90.0)
    assert stats.doubts([warm_up, *run([100] * 5)]) == [], "the warm-up is not held against the run"


def test_the_table_shows_what_was_measured_only() -> None:
    text = stats.table(run([100.0] * 5, n_cached=None))
    assert "tg_ts" in text
    assert "100.0" in text
    assert "pp_ts" not in text


# Certified values of NIST's Statistical Reference Datasets, univariate: NumAcc1 to NumAcc3.
@pytest.mark.parametrize(
    ("data", "mean", "sd"),
    [
        ([10000001.0, 10000003.0, 10000002.0], 10000002.0, 1.0),
        ([1.2, *[1.1, 1.3] * 500], 1.2, 0.1),
        ([1000000.2, *[1000000.1, 1000000.3] * 500], 1000000.2, 0.1),
    ],
)
def test_spread_against_certified_values(data: list[float], mean: float, sd: float) -> None:
    s = stats.spread(data)
    assert s is not None
    assert (s.median, s.cv) == (pytest.approx(mean), pytest.approx(sd / mean, rel=1e-8))


@pytest.mark.parametrize("n", [5, 6, 9, 20, 33])
def test_trends_against_scipy(n: int) -> None:
    rng = np.random.default_rng(n)
    seen = set()
    for slope in (0.0, 0.3, -0.3, 1.0):
        for _ in range(25):
            data = 100 + slope * np.arange(n) + rng.normal(0, 1, n)
            p = oracle.kendalltau(np.arange(n), data, method="exact").pvalue
            ours = stats.trend(data.tolist())
            seen.add(ours is None)
            if p > 0.05:
                assert ours is None
            else:
                slope_there = oracle.theilslopes(data, np.arange(n)).slope
                assert ours == pytest.approx(slope_there * (n - 1) / np.median(data))
    assert seen == {True, False}


# Kendall's own table, one-sided: n, S, the chance of at least S.
@pytest.mark.parametrize(
    ("n", "score", "chance"),
    [(4, 6, 0.042), (5, 8, 0.042), (5, 10, 0.0083), (8, 16, 0.031), (9, 18, 0.038), (10, 21, 0.036), (10, 25, 0.014)],
)
def test_the_chance_of_an_order_against_the_published_table(n: int, score: int, chance: float) -> None:
    assert stats._chance(n, score) / 2 == pytest.approx(chance, abs=6e-4)


def test_a_thousand_repetitions_take_no_time_and_agree_with_scipy() -> None:
    rng = np.random.default_rng(0)
    for slope in (0.0, 0.01):
        data = 100 + slope * np.arange(1000) + rng.normal(0, 1, 1000)
        found = oracle.kendalltau(np.arange(1000), data)
        score = round(found.statistic * 1000 * 999 / 2)
        assert stats._chance(1000, abs(score)) == pytest.approx(found.pvalue, rel=0.02, abs=1e-12)
        assert (stats.trend(data.tolist()) is None) == (found.pvalue > 0.05)
    assert stats.trend(data.tolist()) == pytest.approx(oracle.theilslopes(data).slope * 999 / np.median(data))


def test_ties_make_no_trend() -> None:
    assert stats.trend([100.0, 100, 100, 99, 100, 100]) is None
    assert stats.trend([100.0] * 60) is None


def test_the_normal_approximation_meets_the_exact_chance() -> None:
    exact = stats._chance(50, 239)
    sd = (50 * 49 * 105 / 18) ** 0.5
    assert exact == pytest.approx(2 * oracle.norm.sf(238 / sd), rel=0.02)


def test_values_leave_out_what_is_invalid_or_had_to_load_again() -> None:
    records = [sample(rep_index=1), sample(rep_index=2, invalid="the machine slept"), sample(rep_index=3, cold=True)]
    assert len(stats.values(records, stats.TG)) == 1
    assert [stats.counts(r) for r in (*records, sample(cold=False))] == [True, False, False, True]
    told = stats.doubts(records)
    assert any("1 repetitions are invalid and left out (the machine slept)" in doubt for doubt in told)
    assert any("1 repetitions had to load the model again" in doubt for doubt in told)


def test_warnings_of_records_are_told_once_a_kind() -> None:
    hot = [("the processor was at 91 °C",), ("the processor was at 95 °C", "on battery: many machines slow down"), ()]
    records = [sample(rep_index=i, warnings=w) for i, w in enumerate(hot, 1)]
    told = [doubt for doubt in stats.doubts(records) if "only" not in doubt]
    assert told == [
        "chat-story: the processor was at 91 °C (2 repetitions)",
        "chat-story: on battery: many machines slow down",
    ]
    loads = [sample(rep_index=i, warnings=("other programs used 25% of a core",), other_load_pct=25.0) for i in (1, 2)]
    assert sum("other programs" in doubt for doubt in stats.doubts(loads)) == 1


def test_what_was_skipped_is_told_and_is_no_failure() -> None:
    (told,) = stats.doubts([sample(status="skipped", error="no such model")])
    assert told == "chat-story: not run: no such model"


def test_cells_of_one_prompt_are_kept_apart_and_named() -> None:
    plain, thinking = run([100] * 5, thinking=False), run([50] * 5, thinking=True)
    mixed = [record for pair in zip(plain, thinking, strict=True) for record in pair]
    named = stats.cells([*mixed, sample(prompt_id="tg128")])
    assert [(name, len(group)) for name, group in named] == [
        ("chat-story thinking=False", 5), ("chat-story thinking=True", 5), ("tg128", 1)
    ]  # fmt: skip
    assert stats.all_doubts(mixed) == [], "each cell by itself is steady"
    text = stats.table(mixed)
    assert "100.0" in text
    assert "50.0" in text
    models = [name for name, _ in stats.cells([*run([1.0], model_name="a"), *run([1.0], model_name="b", quant="Q8_0")])]
    assert models == ["chat-story a Q4_1", "chat-story b Q8_0"]
