"""Effects against scipy, published tables and many repetitions of a known truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as oracle

from programs.bench import effects


# Critical values of Mann and Whitney's U, two-sided 5%, as tables print them: the largest U that is significant.
@pytest.mark.parametrize(
    ("n_a", "n_b", "critical"),
    [(4, 4, 0), (5, 5, 2), (4, 7, 3), (6, 6, 5), (7, 7, 8), (8, 8, 13), (9, 9, 17), (10, 10, 23), (5, 10, 8), (12, 12, 37),
     (15, 15, 64), (20, 20, 127), (10, 20, 55)],
)  # fmt: skip
def test_the_published_table(n_a: int, n_b: int, critical: int) -> None:
    assert effects.excluded(n_a, n_b) == effects.excluded(n_b, n_a) == critical + 1


@pytest.mark.parametrize(("n_a", "n_b"), [(1, 1), (3, 3), (2, 7), (1, 30)])
def test_too_few_values_give_no_interval(n_a: int, n_b: int) -> None:
    assert effects.excluded(n_a, n_b) == 0
    found = effects.effect([1.0] * n_a, [5.0] * n_b)
    assert (found.low, found.high, found.verdict) == (None, None, "undecided")
    assert found.ratio == 5.0


@pytest.mark.parametrize(("n_a", "n_b"), [(4, 4), (5, 9), (12, 7), (20, 20)])
def test_the_chances_against_scipy(n_a: int, n_b: int) -> None:
    rng = np.random.default_rng(n_a * n_b)
    below = np.cumsum(effects.chances_of_u(n_a, n_b))
    assert below[-1] == pytest.approx(1)
    for shift in (0.0, 0.7, 3.0):
        u, p = oracle.mannwhitneyu(rng.normal(size=n_a), rng.normal(size=n_b) + shift, method="exact")
        assert min(1, 2 * below[int(min(u, n_a * n_b - u))]) == pytest.approx(p, rel=1e-9)


def test_the_interval_is_what_the_test_of_scipy_does_not_reject() -> None:
    rng = np.random.default_rng(3)
    a, b = np.exp(rng.normal(0, 0.1, 7)), np.exp(rng.normal(0.2, 0.1, 9))
    found = effects.effect(a.tolist(), b.tolist())
    assert found.low is not None
    assert found.high is not None
    for factor, rejected in (
        (found.low * 1.0001, False),
        (found.low * 0.9999, True),
        (found.high * 0.9999, False),
        (found.high * 1.0001, True),
    ):
        assert (oracle.mannwhitneyu(a * factor, b, method="exact").pvalue < 0.05) == rejected


def test_a_ratio_worked_by_hand() -> None:
    found = effects.effect([10.0, 10.1, 9.9, 10.2, 9.8], [20.0, 20.2, 19.8, 20.4, 19.6])
    assert (found.n_a, found.n_b, found.median_a, found.median_b, found.ratio) == (5, 5, 10.0, 20.0, 2.0)
    ratios = sorted(b / a for a in (10.0, 10.1, 9.9, 10.2, 9.8) for b in (20.0, 20.2, 19.8, 20.4, 19.6))
    assert (found.low, found.high) == (pytest.approx(ratios[2]), pytest.approx(ratios[-3]))
    assert found.verdict == "more"
    assert effects.effect([20.0] * 5, [10.0] * 5).verdict == "less"


@pytest.mark.parametrize("n", [5, 12])
def test_the_interval_holds_as_often_as_it_says(n: int) -> None:
    """2000 pairs of samples whose true ratio is known: 95% within three standard errors, or a little more."""
    rng = np.random.default_rng(n)
    missed = called = 0
    for _ in range(2000):
        a, b = 100 * np.exp(0.05 * rng.standard_t(3, n)), 110 * np.exp(0.05 * rng.standard_t(3, n))
        found = effects.effect(a.tolist(), b.tolist())
        assert found.low is not None
        assert found.high is not None
        missed += not found.low <= 1.1 <= found.high
        called += effects.effect(a.tolist(), (b / 1.1).tolist()).verdict != "undecided"
    assert missed / 2000 < 0.05 + 3 * (0.05 * 0.95 / 2000) ** 0.5
    assert called == missed, "a difference is claimed exactly where the interval misses"


def test_a_difference_that_is_there_is_found() -> None:
    rng = np.random.default_rng(1)
    found = [
        effects.effect((100 + rng.normal(0, 1, 5)).tolist(), (105 + rng.normal(0, 1, 5)).tolist()).verdict
        for _ in range(200)
    ]
    assert found.count("more") > 190


def test_many_values_use_the_normal_approximation() -> None:
    exact = int(np.searchsorted(np.cumsum(effects.chances_of_u(60, 60)), 0.025, side="right"))
    middle, sd = 60 * 60 / 2, (60 * 60 * 121 / 12) ** 0.5
    assert abs(exact - (middle - 1.96 * sd)) < 2
    assert effects.excluded(61, 61) > exact
    rng = np.random.default_rng(0)
    found = effects.effect(rng.normal(100, 5, 400).tolist(), rng.normal(102, 5, 400).tolist())
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low < 0.03
    assert found.low < 1.02 < found.high


@pytest.mark.parametrize(
    ("a", "b"), [([], [1.0]), ([1.0], []), ([0.0, 1.0], [1.0]), ([1.0], [-1.0]), ([float("nan")], [1.0])]
)
def test_what_has_no_ratio(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        effects.effect(a, b)
