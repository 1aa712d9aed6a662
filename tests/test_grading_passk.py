"""pass@k against counting, its mean against the truth, its interval against scipy's own and against coverage."""

from __future__ import annotations

from itertools import combinations

import pytest
from scipy.stats import binom, binomtest

from workbook.errors import BadOption
from workbook.grading.passk import interval, pass_at_k


@pytest.mark.parametrize("n", range(1, 8))
def test_it_counts_the_picks_with_a_pass(n):
    for c in range(n + 1):
        for k in range(1, n + 1):
            picks = list(combinations([i < c for i in range(n)], k))
            assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, picks)) / len(picks))


@pytest.mark.parametrize("rate", [0.03, 0.2, 0.5, 0.9])
def test_it_is_right_on_average_and_the_obvious_formula_is_not(rate):
    n, k = 12, 4
    truth = 1 - (1 - rate) ** k
    weights = [binom.pmf(c, n, rate) for c in range(n + 1)]
    assert sum(w * pass_at_k(n, c, k) for c, w in enumerate(weights)) == pytest.approx(truth)
    assert sum(w * (1 - (1 - c / n) ** k) for c, w in enumerate(weights)) < truth - 1e-6


def test_large_numbers_do_not_overflow():
    assert 0.99 < pass_at_k(10_000, 100, 1000) < 1
    assert pass_at_k(10_000, 0, 10_000) == 0


@pytest.mark.parametrize(("n", "c"), [(1, 0), (1, 1), (3, 3), (10, 4), (50, 1), (200, 199)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_one_try_has_scipys_exact_interval(n, c, confidence):
    oracle = binomtest(c, n).proportion_ci(confidence, method="exact")
    assert interval(n, c, 1, confidence) == pytest.approx((oracle.low, oracle.high), abs=1e-9)


def test_it_covers_as_often_as_it_says():
    n, k = 15, 3
    for rate in (0.02, 0.1, 0.37, 0.5, 0.81):
        truth = 1 - (1 - rate) ** k
        inside = [low <= truth <= high for low, high in (interval(n, c, k) for c in range(n + 1))]
        assert sum(binom.pmf(c, n, rate) for c in range(n + 1) if inside[c]) >= 0.95


def test_more_tries_move_it_up():
    lows, highs = zip(*(interval(10, 3, k) for k in (1, 2, 5, 20)), strict=True)
    assert list(lows) == sorted(lows)
    assert list(highs) == sorted(highs)


@pytest.mark.parametrize(("n", "c", "k"), [(0, 0, 1), (5, 6, 1), (5, -1, 1), (5, 2, 0), (-1, -1, 1)])
def test_what_cannot_be_is_refused(n, c, k):
    for function in (pass_at_k, interval):
        with pytest.raises(BadOption, match="give n >= 1"):
            function(n, c, k)


def test_too_few_samples_and_a_confidence_of_one_are_refused():
    with pytest.raises(BadOption, match="pass@6 cannot be estimated from 5 samples"):
        pass_at_k(5, 2, 6)
    with pytest.raises(BadOption, match="confidence"):
        interval(5, 2, 1, confidence=1)
