"""Spread, trend and doubts against numpy, counted orders and numbers worked by hand."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from bench_samples import run, sample

from workbook.bench import stats


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
