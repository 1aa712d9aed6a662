"""Median and spread of repetitions, and the signs that they should not be trusted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby

import numpy as np

from workbook.bench.record import Record

CV_LIMIT = 0.05
TREND_LIMIT = 0.02  # a trend that moves the rate by less than this is no news
P_LIMIT = 0.05
OTHER_LOAD_LIMIT_PCT = 10.0
FEWEST = 5


@dataclass(frozen=True)
class Metric:
    """A figure of a record: its field, its unit, and what to multiply the field by for that unit."""

    field: str
    unit: str
    scale: float = 1.0

    @property
    def name(self) -> str:
        """The field without its unit."""
        return self.field.removesuffix("_ns")


PP = Metric("pp_ts", "tokens/s")
TG = Metric("tg_ts", "tokens/s")
TTFT = Metric("ttft_ns", "ms", 1e-6)
METRICS = (PP, TG, TTFT)


@dataclass(frozen=True)
class Spread:
    """``n`` values by their median and quartiles; ``cv``: sample standard deviation over mean, None for one value."""

    n: int
    median: float
    q1: float
    q3: float
    cv: float | None

    @property
    def iqr(self) -> float:
        """Distance between the quartiles: the middle half of the values lies in it."""
        return self.q3 - self.q1


def spread(values: Sequence[float]) -> Spread | None:
    """Median, quartiles (interpolated linearly) and coefficient of variation; None without values."""
    if not len(values):
        return None
    data = np.asarray(values, dtype=float)
    q1, median, q3 = np.percentile(data, [25, 50, 75])
    cv = float(data.std(ddof=1) / data.mean()) if len(data) > 1 and data.mean() else None
    return Spread(len(data), float(median), float(q1), float(q3), cv)


def values(records: Iterable[Record], metric: Metric) -> list[float]:
    """The metric of the repetitions that count: finished well, and no warm-up."""
    counted = (getattr(r, metric.field) for r in records if r.status == "ok" and not r.is_warmup)
    return [value * metric.scale for value in counted if value is not None]


def trend(data: Sequence[float]) -> float | None:
    """Relative change from first to last repetition where the order is no accident, else None.

    Kendall's test (two-sided, exact, 5%) says whether; Theil and Sen's slope says how much.
    """
    n = len(data)
    pairs = list(combinations(range(n), 2))
    score = sum(int(np.sign(data[j] - data[i])) for i, j in pairs)
    if n < FEWEST or _chance(n, abs(score)) > P_LIMIT:
        return None
    slope = float(np.median([(data[j] - data[i]) / (j - i) for i, j in pairs]))
    return slope * (n - 1) / float(np.median(data))


def _chance(n: int, score: int) -> float:
    """How often n values in random order have a Kendall score of at least ``score``, up or down."""
    ways = np.ones(1)  # ways[k]: orders of the values so far with k inversions
    for size in range(2, n + 1):
        ways = np.convolve(ways, np.ones(size)) / size
    top = len(ways) - 1  # score = top - 2 * inversions
    return float(sum(p for k, p in enumerate(ways) if abs(top - 2 * k) >= score))


def doubts(records: Sequence[Record]) -> list[str]:
    """What speaks against the repetitions of one cell, one line each; nothing if all is well."""
    cell, found = records[0].prompt_id if records else "", []
    failed = [r for r in records if r.status != "ok"]
    if failed:
        found.append(f"{cell}: {len(failed)} repetitions failed ({failed[0].status}: {failed[0].error})")
    for metric in (PP, TG):
        data = values(records, metric)
        summary = spread(data)
        if summary is None:
            continue
        if summary.n < FEWEST:
            found.append(f"{cell} {metric.field}: only {summary.n} repetitions; take at least {FEWEST}")
        if summary.cv is not None and summary.cv > CV_LIMIT:
            found.append(f"{cell} {metric.field}: varies by {summary.cv:.1%} (more than {CV_LIMIT:.0%}): noisy")
        change = trend(data)
        if change is not None and abs(change) > TREND_LIMIT:
            found.append(f"{cell} {metric.field}: changes by {change:+.0%} from first to last: heat, or other load")
    load = [r.other_load_pct for r in records if r.other_load_pct is not None and not r.is_warmup]
    if load and max(load) > OTHER_LOAD_LIMIT_PCT:
        found.append(f"{cell}: other programs used up to {max(load):.0f}% of a core meanwhile")
    return found


def all_doubts(records: Iterable[Record]) -> list[str]:
    """The doubts of every cell of one run."""
    return [doubt for _, group in groupby(records, key=lambda r: r.prompt_id) for doubt in doubts(list(group))]


def table(records: Iterable[Record]) -> str:
    """Median and spread of every cell of one run, as lines of text."""
    rows = [("cell", "figure", "n", "median", "middle half", "unit")]
    for cell, group in groupby(records, key=lambda r: r.prompt_id):
        kept = list(group)
        for metric in METRICS:
            s = spread(values(kept, metric))
            if s is not None:
                figures = (str(s.n), f"{s.median:.1f}", f"{s.q1:.1f} to {s.q3:.1f}")
                rows.append((cell, metric.name, *figures, metric.unit))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
