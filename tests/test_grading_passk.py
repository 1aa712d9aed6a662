"""pass@k against its definition: by trying every choice of k answers, and by drawing."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, hypergeom

from programs.judge import interval, pass_at_k
from workbook.errors import BadOption

CASES = [(n, c, k) for n in range(1, 8) for c in range(n + 1) for k in range(1, n + 1)]


def test_by_trying_every_choice():
    for n, c, k in CASES:
        choices = list(combinations([True] * c + [False] * (n - c), k))
        assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, choices)) / len(choices))


@given(st.integers(1, 2000), st.data())
def test_against_the_definition_and_scipy(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    assert pass_at_k(n, c, k) == pytest.approx(1 - comb(n - c, k) / comb(n, k), abs=1e-9)
    assert pass_at_k(n, c, k) == pytest.approx(1 - hypergeom(n, c, k).pmf(0), abs=1e-6)


def test_it_is_unbiased_where_the_plain_rate_is_not():
    chance = np.random.default_rng(1)
    n, k, p = 10, 5, 0.2
    passed = chance.binomial(n, p, 40_000)
    right = 1 - (1 - p) ** k
    assert np.mean([pass_at_k(n, int(c), k) for c in passed]) == pytest.approx(right, abs=0.005)
    assert abs(np.mean(1 - (1 - passed / n) ** k) - right) > 0.02


@pytest.mark.parametrize(("n", "c"), [(5, 0), (5, 5), (5, 2), (40, 13)])
def test_the_interval_is_clopper_and_pearsons_carried_through(n, c):
    low = beta.ppf(0.025, c, n - c + 1) if c else 0.0
    high = beta.ppf(0.975, c + 1, n - c) if c < n else 1.0
    assert interval(n, c, 1) == pytest.approx((low, high))
    assert interval(n, c, 3) == pytest.approx((1 - (1 - low) ** 3, 1 - (1 - high) ** 3))


def test_the_interval_holds_the_estimate_and_narrows():
    for n, c, k in CASES:
        low, high = interval(n, c, k)
        assert 0 <= low <= 1 - (1 - c / n) ** k + 1e-9
        assert 1 - (1 - c / n) ** k <= high + 1e-9 <= 1 + 1e-9
    widths = [high - low for low, high in (interval(n, n // 2, 1) for n in (4, 16, 64))]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize(("n", "c", "k"), [(5, 6, 1), (5, -1, 1), (5, 2, 6), (5, 2, 0), (0, 0, 1)])
def test_what_cannot_be_is_refused(n, c, k):
    for function in (pass_at_k, interval):
        with pytest.raises(BadOption, match="samples"):
            function(n, c, k)
