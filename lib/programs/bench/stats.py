"""Median and spread of repetitions, and the signs that they should not be trusted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from programs.bench.fields import Record
from programs.bench.noise import mostly_cached

CV_LIMIT = 0.05
TREND_LIMIT = 0.02  # a trend that moves the rate by less than this is no news
P_LIMIT = 0.05
OTHER_LOAD_LIMIT_PCT = 10.0
FEWEST = 5
_EXACT_TO = 50  # values: above, the normal approximation of Kendall's score is as good
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
_PLAIN = ("model_name", "quant", "method", "engine")
TELLING = (
    *_PLAIN, "thinking", "n_threads", "n_ctx", "n_gpu_layers", "n_batch", "n_ubatch", "type_k", "type_v", "flash_attn",
    "temperature", "top_k", "top_p", "min_p", "repeat_penalty", "max_tokens", "unique_prefix",
)  # fmt: skip
"""What tells cells of one prompt from each other, in a table."""


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
    """The metric of the repetitions that count: finished well, valid, no warm-up, the model loaded before.

    No prompt rate of a prompt that was cached for the most part: the time of a token or two is not one.
    """
    counted = (getattr(r, metric.field) for r in records if counts(r) and not (metric == PP and mostly_cached(r)))
    return [value * metric.scale for value in counted if value is not None]


def counts(record: Record) -> bool:
    """Whether a repetition enters the figures of its cell."""
    return record.status == "ok" and not record.is_warmup and not record.cold and record.invalid is None


def cells(records: Iterable[Record]) -> list[tuple[str, list[Record]]]:
    """The cells of one run, in order, each with a name: its prompt's id, and what tells it from others of that id."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.config_hash, []).append(record)
    made = []
    for group in groups.values():
        first = group[0]
        alike = [other[0] for other in groups.values() if other[0].prompt_id == first.prompt_id]
        telling = [name for name in TELLING if len({getattr(other, name) for other in alike}) > 1]
        told = (str(getattr(first, name)) if name in _PLAIN else f"{name}={getattr(first, name)}" for name in telling)
        made.append((" ".join([first.prompt_id, *told]), group))
    return made


def trend(data: Sequence[float]) -> float | None:
    """Relative change from first to last repetition where the order is no accident, else None.

    Kendall's test (two-sided, 5%, exact up to 50 values) says whether; Theil and Sen's slope says how much.
    """
    n = len(data)
    if n < FEWEST:
        return None
    early, late = np.triu_indices(n, k=1)
    y = np.asarray(data, dtype=float)
    steps = y[late] - y[early]
    if _chance(n, abs(int(np.sign(steps).sum()))) > P_LIMIT:
        return None
    return float(np.median(steps / (late - early))) * (n - 1) / float(np.median(y))


def _chance(n: int, score: int) -> float:
    """How often n values in random order have a Kendall score of at least ``score``, up or down."""
    if n > _EXACT_TO:
        sd = (n * (n - 1) * (2 * n + 5) / 18) ** 0.5
        return 2 * NormalDist().cdf(-max(0, score - 1) / sd)
    ways = np.ones(1)  # ways[k]: orders of the values so far with k inversions
    for size in range(2, n + 1):
        ways = np.convolve(ways, np.ones(size)) / size
    top = len(ways) - 1  # score = top - 2 * inversions
    return float(sum(p for k, p in enumerate(ways) if abs(top - 2 * k) >= score))


def doubts(records: Sequence[Record], cell: str | None = None) -> list[str]:
    """What speaks against the repetitions of one cell, one line each; nothing if all is well."""
    cell = cell or (records[0].prompt_id if records else "")
    found = [f"{cell}: {line}" for line in _left_out(records)]
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
    return found + [f"{cell}: {line}" for line in _warned(records)]


def _left_out(records: Sequence[Record]) -> Iterator[str]:
    """Which repetitions do not count, and why."""
    skipped = [r for r in records if r.status == "skipped"]
    failed = [r for r in records if r.status not in ("ok", "skipped")]
    invalid = [r for r in records if r.invalid is not None]
    again = [r for r in records if r.cold and not r.is_warmup]
    if skipped:
        yield f"not run: {skipped[0].error}"
    if failed:
        yield f"{len(failed)} repetitions failed ({failed[0].status}: {failed[0].error})"
    if invalid:
        yield f"{len(invalid)} repetitions are invalid and left out ({invalid[0].invalid})"
    if again:
        yield f"{len(again)} repetitions had to load the model again and are left out"


def _warned(records: Sequence[Record]) -> Iterator[str]:
    """The warnings that records hold, each kind once; other load has its own line."""
    kinds: dict[str, list[str]] = {}
    for warning in (w for r in records if not r.is_warmup for w in r.warnings):
        kinds.setdefault(_NUMBER.sub("", warning), []).append(warning)
    for warnings in kinds.values():
        if not warnings[0].startswith("other programs used"):
            yield warnings[0] + (f" ({len(warnings)} repetitions)" if len(warnings) > 1 else "")


def all_doubts(records: Iterable[Record]) -> list[str]:
    """The doubts of every cell of one run."""
    return [doubt for cell, group in cells(records) for doubt in doubts(group, cell)]


def table(records: Iterable[Record]) -> str:
    """Median and spread of every cell of one run, as lines of text."""
    rows = [("cell", "figure", "n", "median", "middle half", "unit")]
    for cell, kept in cells(records):
        for metric in METRICS:
            s = spread(values(kept, metric))
            if s is not None:
                figures = (str(s.n), f"{s.median:.1f}", f"{s.q1:.1f} to {s.q3:.1f}")
                rows.append((cell, metric.name, *figures, metric.unit))
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of words as lines of text, in columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
