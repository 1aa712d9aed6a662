"""How much one set of repetitions differs from another: a ratio with its interval, and when that says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
_EXACT_TO = 60  # values of a side: above, the normal approximation of the counts is as good


@dataclass(frozen=True)
class Effect:
    """How many times as large the values of B are as those of A.

    ``ratio`` of the medians; between ``low`` and ``high`` with the stated confidence, None where the values are too
    few for any interval. ``units``: what was counted, repetitions or runs.
    """

    n_a: int
    n_b: int
    median_a: float
    median_b: float
    ratio: float
    low: float | None
    high: float | None
    units: Literal["repetitions", "runs"] = "repetitions"

    @property
    def verdict(self) -> Literal["more", "less", "undecided"]:
        """Undecided where 1 lies in the interval, or where there is none."""
        if self.low is None or self.high is None or self.low <= 1 <= self.high:
            return "undecided"
        return "more" if self.low > 1 else "less"


def effect(
    a: Sequence[float],
    b: Sequence[float],
    confidence: float = CONFIDENCE,
    units: Literal["repetitions", "runs"] = "repetitions",
) -> Effect:
    """The ratio of B to A, with the interval that belongs to the test of Mann and Whitney.

    The interval holds the factors by which A may be multiplied so that the test finds no difference to B: two order
    statistics of the n_a * n_b ratios (Moses). It assumes no distribution, but that both sides have one, up to a
    factor, and that every value is drawn anew: where the smaller side varies ten times as much as the other, it holds
    the ratio less often (86% with 4 and 16 values), and repetitions of one run tell nothing of the next. Values that
    are alike make it wider. There is none of 95% where C(n_a + n_b, n_a) is below 40: of 4 and 3 values, say.

    Raises ValueError: an empty side, or values that are not above 0.
    """
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if not len(first) or not len(second) or not (first > 0).all() or not (second > 0).all():
        raise ValueError("an effect needs values above 0 on both sides")
    ratios = np.sort((second[:, None] / first[None, :]).ravel())
    outside = excluded(len(first), len(second), confidence)
    medians = float(np.median(first)), float(np.median(second))
    ratio = medians[1] / medians[0]
    low, high = (float(ratios[outside - 1]), float(ratios[-outside])) if outside else (None, None)
    if low is not None and high is not None:  # the ratio of medians may lie outside by a hair; an interval has it in
        low, high = min(low, ratio), max(high, ratio)
    return Effect(len(first), len(second), *medians, ratio, low, high, units)


@lru_cache(maxsize=256)
def excluded(n_a: int, n_b: int, confidence: float = CONFIDENCE) -> int:
    """The place, from either end, of the pair whose value bounds the interval; 0 where there is no such interval.

    The largest c with P(U <= c - 1) <= (1 - confidence) / 2, for Mann and Whitney's U of two samples alike.
    """
    each = (1 - confidence) / 2
    if max(n_a, n_b) > _EXACT_TO:
        middle, sd = n_a * n_b / 2, (n_a * n_b * (n_a + n_b + 1) / 12) ** 0.5
        return max(0, int(np.floor(middle + NormalDist().inv_cdf(each) * sd)))
    below = np.cumsum(chances_of_u(n_a, n_b))
    return int(np.searchsorted(below, each, side="right"))


def chances_of_u(n_a: int, n_b: int) -> NDArray[np.float64]:
    """P(U = 0), P(U = 1), … of Mann and Whitney's U when both samples come from one distribution, without ties.

    The largest of all values is of A with chance n_a / (n_a + n_b), and is then above all n_b values of B.
    """
    row = [np.ones(1) for _ in range(n_b + 1)]  # for the counts of A so far, one entry for each count of B
    for i in range(1, n_a + 1):
        made = [np.ones(1)]
        for j in range(1, n_b + 1):
            ways = np.zeros(i * j + 1)
            ways[j:] += row[j] * (i / (i + j))
            ways[: len(made[-1])] += made[-1] * (j / (i + j))
            made.append(ways)
        row = made
    return row[n_b]
