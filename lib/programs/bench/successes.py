"""How often graded answers passed, what else they came to, and what a success cost: asked of the index."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from programs.bench import columns, stats, summaries
from programs.bench.index import Index
from programs.judge import passk

BY = ("model_name", "engine", "task_id", "thinking")
TRIES = "status = 'ok' AND NOT is_warmup AND invalid IS NULL AND task_id IS NOT NULL"
JUDGED = "grade_outcome IN ('graded', 'truncated')"
"""Cut off at the limit is a try that did not pass, and said so; what was not graded is none."""


@dataclass(frozen=True)
class Successes:
    """``passed`` of ``n`` tries of one group, ``truncated`` of them cut at their limit; ``not_graded`` is no try.

    ``levels``: how many tries reached which level, where the task has levels. ``low``, ``high``: the rate's interval
    (``passk.interval``), None without tries. ``try_s``: mean seconds of a try, the model being loaded; None if unknown.
    ``setups``: how many set-ups are pooled, as in ``summaries.Row``.
    """

    group: tuple[Any, ...]
    n: int
    passed: int
    truncated: int
    not_graded: int
    levels: Mapping[str, int]
    try_s: float | None
    setups: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """The success rate's 95% interval."""
        return passk.interval(self.n, self.passed, 1) if self.n else None

    @property
    def success_s(self) -> float | None:
        """Seconds of trying for one success: those of a try over the rate (Wald); infinite if none passed."""
        if self.try_s is None or not self.n:
            return None
        return self.try_s * self.n / self.passed if self.passed else math.inf


def successes(index: Index, by: Sequence[str] = BY, where: Mapping[str, str] | None = None) -> list[Successes]:
    """The graded tries of every group of these fields of a record. Raises BadOption: there is no such field."""
    by = [*by, *(() if "task_id" in by else ("task_id",))]
    condition, values = summaries.chosen(where or {}, by)
    keys = ", ".join(columns.name(field) for field in by)
    found = index.db.execute(
        f"SELECT {keys}, count(*) FILTER ({JUDGED}), count(*) FILTER ({JUDGED} AND passed), "
        "count(*) FILTER (grade_outcome = 'truncated'), "
        "count(*) FILTER (grade_outcome IS NULL OR grade_outcome NOT IN ('graded', 'truncated')), "
        f"histogram(grade) FILTER ({JUDGED}), avg(total_ns) FILTER ({JUDGED} AND cold IS NOT TRUE), "
        f"count(DISTINCT config_hash) FROM repetitions WHERE {TRIES} AND {condition} GROUP BY {keys} ORDER BY {keys}",
        values,
    ).fetchall()
    made = []
    for row in found:
        group, (n, passed, truncated, not_graded, levels, mean_ns, setups) = row[: len(by)], row[len(by) :]
        seconds = None if mean_ns is None else mean_ns / 1e9
        kept = {level: count for level, count in (levels or {}).items() if level is not None}
        made.append(Successes(group, n, passed, truncated, not_graded, kept, seconds, setups))
    return made


def table(rows: Sequence[Successes], by: Sequence[str] = BY) -> str:
    """Successes as lines of text; a field that is unknown everywhere is left out."""
    if not rows:
        return "No graded repetition fits."
    by = [*by, *(() if "task_id" in by else ("task_id",))]
    shown = [i for i in range(len(by)) if any(row.group[i] is not None for row in rows)]
    words = [[*(by[i] for i in shown), "passed", "95% of the rate", "cut", "s a try", "s a success", "levels", ""]]
    for row in rows:
        told = ["?" if row.group[i] is None else str(row.group[i]) for i in shown]
        between = "{:.0%} to {:.0%}".format(*row.interval) if row.interval else ""
        levels = " ".join(f"{level}:{count}" for level, count in sorted(row.levels.items()))
        doubts = [f"{row.not_graded} not graded"] if row.not_graded else []
        doubts += [f"{row.setups} set-ups pooled"] if row.setups > 1 else []
        costs = [_seconds(row.try_s), _seconds(row.success_s)]
        words.append(
            [*told, f"{row.passed} of {row.n}", between, str(row.truncated), *costs, levels, ", ".join(doubts)]
        )
    return stats.aligned(words)


def _seconds(value: float | None) -> str:
    if value is None:
        return "?"
    return f"{value:.1f}" if math.isfinite(value) else "none yet"
