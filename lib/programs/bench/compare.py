"""Two runs, hosts or models side by side: whether they may be compared, how much they differ, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from programs.bench import records, stats
from programs.bench.store import one_run, printable, some
from workbook.errors import BadOption, NotComparable

KINDS = {"run": "run_id", "host": "host", "model": "model_name"}
"""What is compared unless a field is named, and the field of a record that names it."""

_MACHINE = (
    "host", "cpu_model", "isa_flags", "sockets", "cores", "threads", "cpu_quota",
    "ram_total_bytes", "ram_limit_bytes", "gpus", "driver", "os", "kernel",
)  # fmt: skip
_WEIGHTS = ("file_sha256", "ollama_digest", "model_size_bytes")
COMPARED = (
    "method", "prompt_id", "prompt_sha256", "model_name", "quant", *_WEIGHTS, "engine", "engine_version",
    "engine_build", "build_info", "n_threads", "n_gpu_layers", "n_ctx", "n_batch", "n_ubatch", "type_k", "type_v", "flash_attn",
    "temperature", "top_k", "top_p", "min_p", "repeat_penalty", "repeat_last_n", "max_tokens", "thinking",
    "unique_prefix", "n_prompt", "on_battery", *_MACHINE,
)  # fmt: skip
"""The fields that must agree, but for the one that is compared; the most telling first."""

STEERING = ("method", "prompt_id", "model_name", "quant", "engine", "n_threads", "n_gpu_layers", "host")
"""Those that decide the speed most: unknown on one side, they forbid a comparison. Of others, that is only told."""

FOLLOWS = {
    "run_id": (),
    "host": (*_MACHINE, "build_info", "on_battery"),
    "quant": _WEIGHTS,
    "model_name": (*_WEIGHTS, "quant", "model_type", "model_n_params"),
    "engine": ("engine_version", "engine_build", "build_info"),
}
"""What differs by nature when records are compared by this field."""

CONFIDENCE = 0.95
_NAMED = 3  # fields that a refusal names: the first tell enough
RUNS_FOR_VERDICT = 4  # of each side: with fewer, no interval of 95% over runs exists
_EXACT_TO = 60  # values of a side: above, the normal approximation of the counts is as good


def require_comparable(table: pd.DataFrame, by: str = "run_id") -> list[str]:
    """Pass if the repetitions differ in ``by``, and in what follows from it, only; the fields that no one can compare.

    Different methods measure different things: ``by="method"`` is refused as well.
    Raises NotComparable: the fields that differ, with their values.
    """
    differing, unknown = differences(table, by)
    if differing:
        more = f" and {len(differing) - _NAMED} fields more" if len(differing) > _NAMED else ""
        raise NotComparable(f"these records differ in {'; '.join(differing[:_NAMED])}{more}. Select some that agree.")
    return unknown


def differences(table: pd.DataFrame, by: str = "run_id") -> tuple[list[str], list[str]]:
    """What speaks against comparing these repetitions by ``by``.

    The fields that should agree and differ, with their values; and those that some records do not tell.
    """
    free = {by, *FOLLOWS.get(by, ())} - {"method"}
    differing, unknown = [], []
    for field in COMPARED:
        told = records.words(table[field])
        values = sorted(set(told.dropna()))
        untold = bool(values) and bool(told.isna().any())
        if field in free:
            continue
        if len(values) > 1 or (untold and field in STEERING):
            shown = [value if len(value) <= 24 else value[:23] + "…" for value in values] + ["unknown"] * untold
            differing.append(f"{field} ({', '.join(shown)})")
        elif untold:
            unknown.append(field)
    return differing, unknown


def interval(a: ArrayLike, b: ArrayLike) -> tuple[float, float] | None:
    """Bounds of how many times as large the values of B are as those of A; None where they are too few for any.

    They hold the factors by which A may be multiplied so that the test of Mann and Whitney finds no difference to B:
    two order statistics of the n_a * n_b ratios (Moses). No distribution is assumed, but that both sides have one, up
    to a factor, and that every value is drawn anew: where the smaller side varies ten times as much as the other, they
    hold the ratio less often (86% with 4 and 16 values), and repetitions of one run tell nothing of the next. There is
    no interval of 95% where C(n_a + n_b, n_a) is below 40: of 4 and 3 values, say. All values are above 0.
    """
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    outside = excluded(len(first), len(second))
    if not outside:
        return None
    ratios = np.sort((second[:, None] / first[None, :]).ravel())
    ratio = np.median(second) / np.median(first)  # may lie outside by a hair; an interval has it in
    return float(min(ratios[outside - 1], ratio)), float(max(ratios[-outside], ratio))


def excluded(n_a: int, n_b: int) -> int:
    """The place, from either end, of the pair whose value bounds the interval; 0 where there is no such interval.

    The largest c with P(U <= c - 1) <= (1 - CONFIDENCE) / 2, for Mann and Whitney's U of two samples alike.
    """
    each = (1 - CONFIDENCE) / 2
    if max(n_a, n_b) > _EXACT_TO:
        middle, sd = n_a * n_b / 2, (n_a * n_b * (n_a + n_b + 1) / 12) ** 0.5
        return max(0, int(np.floor(middle + NormalDist().inv_cdf(each) * sd)))
    return int(np.searchsorted(np.cumsum(chances_of_u(n_a, n_b)), each, side="right"))


def chances_of_u(n_a: int, n_b: int) -> NDArray[np.float64]:
    """P(U = 0), P(U = 1), … of Mann and Whitney's U when both samples come from one distribution, without ties.

    The ways to each are the coefficients of the Gaussian binomial: the product of (1 - q^(n_b + i)) / (1 - q^i).
    (scipy gives a p-value, and not the distribution that an interval needs.)
    """
    ways = np.zeros(n_a * n_b + 1, dtype=object)  # whole numbers, however large
    ways[0] = 1
    for i in range(1, n_a + 1):
        ways[n_b + i :] -= ways[: max(0, len(ways) - n_b - i)].copy()
        for start in range(i):
            ways[start::i] = np.cumsum(ways[start::i])
    return np.asarray(ways / ways.sum(), dtype=float)


@dataclass(frozen=True)
class Comparison:
    """Sides A and B. ``effects``: a row for each cell and figure that both have, as ``_effects`` makes it.

    ``differing``: what else they differ in, where that was asked for. ``unknown``: what one side does not tell.
    """

    a: str
    b: str
    effects: pd.DataFrame
    differing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def __str__(self) -> str:
        rows = []
        for e in self.effects.to_dict("records"):
            between = "too few" if np.isnan(e["low"]) else f"{e['low']:.3f} to {e['high']:.3f}"
            unit = e["unit"] + (" (of runs)" if e["of_runs"] else "")
            medians = [f"{e['n_a']}, {e['n_b']}", f"{e['median_a']:.1f}", f"{e['median_b']:.1f}", unit]
            rows.append([e["cell"], e["figure"], *medians, f"{e['ratio']:.3f}", between, e["verdict"]])
        heads = ["cell", "figure", "n", "median A", "median B", "unit", "B / A", "interval", ""]
        told = [f"A: {self.a}   B: {self.b}", records.aligned(pd.DataFrame(rows, columns=heads))]
        told.append(f"Intervals of {CONFIDENCE:.0%} (Mann and Whitney), each by itself; undecided: 1 lies in it.")
        if not self.effects["of_runs"].all():
            told.append("They tell how repetitions vary within these runs; another run may lie further off.")
            told.append(f"No verdict before {RUNS_FOR_VERDICT} runs a side, recorded in turns: A B B A …")
        told += [f"? not compared, one side does not tell it: {', '.join(self.unknown)}"] if self.unknown else []
        return "\n".join([*told, *(f"! differs as well: {what}" for what in self.differing)])


def compare(table: pd.DataFrame, a: str, b: str, kind: str | None = None, anyway: bool = False) -> Comparison:
    """Compare the runs, hosts or models called ``a`` and ``b`` (a run's beginning will do), cell by cell.

    ``kind``: "run", "host", "model" or any field of a record; None: the one of the first three that both names fit.
    Raises BadOption: a name that fits nothing, or too much. NotComparable: they differ in more than what is compared
    (``anyway``: told in the result instead), or have no cell in common.
    """
    field, *names = _meant(table, a, b, kind)
    counted = records.measured(table)
    counted[field] = records.words(counted[field])
    sides = [counted[counted[field] == name] for name in names]
    for name, side in zip(names, sides, strict=True):
        if side.empty:
            raise NotComparable(f"{name}: no repetition that counts fits. See: workbook results show, list")
    pairs = _pairs(pd.concat(sides), field)
    common = {cell: pair for cell, pair in pairs.items() if pair[field].nunique() > 1}
    if not common:
        has = [some(cell for (_, cell), pair in pairs.items() if name in set(pair[field])) for name in names]
        raise NotComparable(f"no cell in common: A has {has[0]}; B has {has[1]}.")
    effects: list[dict[str, Any]] = []
    differing: dict[str, None] = {}
    unknown: dict[str, None] = {}
    for (_, cell), pair in common.items():
        if not anyway:
            require_comparable(pair, field)
        for kept, found in zip((differing, unknown), differences(pair, field), strict=True):
            kept.update(dict.fromkeys(found))
        effects += _effects(cell, pair, field, names)
    if not effects:
        raise NotComparable("no figure in common: the repetitions of one side have none that the other has.")
    return Comparison(names[0], names[1], pd.DataFrame(effects), tuple(differing), tuple(unknown))


def _meant(table: pd.DataFrame, a: str, b: str, kind: str | None) -> tuple[str, str, str]:
    """The field that the two names are values of, and the names in full. Raises BadOption."""
    fits = []
    for one in (kind,) if kind else KINDS:
        field = KINDS.get(one) or records.known(one)
        values = records.words(table[field]).dropna().drop_duplicates()
        found = [[v for v in values if v == name or (one == "run" and v.startswith(name))] for name in (a, b)]
        if all(found):
            fits.append((field, found))
    if not fits and kind:
        raise BadOption(f"{a!r} and {b!r} fit no {kind} here. See: workbook results list")
    if not fits:
        raise BadOption(f"{a!r} and {b!r} are not both a run, a host or a model here. See: workbook results list")
    if len(fits) > 1:
        raise BadOption(f"{a!r} and {b!r} can be meant as several things. Say which: --by run, host, model or a field")
    field, found = fits[0]
    first, second = (one_run(name, full) for name, full in zip((a, b), found, strict=True))
    if first == second:
        raise BadOption(f"{a!r} and {b!r} are both {printable(first)}. Give another one to compare it with.")
    return field, first, second


def _pairs(sides: pd.DataFrame, field: str) -> dict[tuple[str, str], pd.DataFrame]:
    """The repetitions of both sides by method and cell: the prompt, and the settings that vary within a side of it."""
    free = {field, *FOLLOWS.get(field, ()), "method"}
    pairs: dict[tuple[str, str], pd.DataFrame] = {}
    for (method, _), group in sides.groupby(["method", "prompt_id"], sort=False):
        vary = (
            group.groupby(field)[[name for name in stats.TELLING if name not in free]].nunique(dropna=False).max() > 1
        )
        telling = list(vary.index[vary])
        parts = [part for _, part in group.groupby(telling, dropna=False, sort=False)] if telling else [group]
        pairs.update({(str(method), stats.name(part, telling)): part for part in parts})
    return pairs


def _effects(cell: str, pair: pd.DataFrame, field: str, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """How many times as large each figure is on side B, with the interval of that ratio, and which side is faster."""
    for figure, found in records.figures(pair).groupby("figure"):
        first, second = (found[found[field] == name] for name in names)
        if first.empty or second.empty or found["value"].min() <= 0:
            continue
        runs = [side.groupby("run_id")["value"].median() for side in (first, second)]
        of_runs = min(map(len, runs)) >= RUNS_FOR_VERDICT  # repetitions of one run are more alike than two runs
        a, b = runs if of_runs else (first["value"], second["value"])
        low, high = interval(a, b) or (np.nan, np.nan)
        unit, verdict = found["unit"].iloc[0], "undecided" if of_runs else "no verdict"
        if of_runs and (low > 1 or high < 1):
            verdict = "B faster" if (low > 1) == unit.endswith("/s") else "B slower"
        yield {
            "cell": cell, "figure": figure, "n_a": len(a), "n_b": len(b), "of_runs": of_runs,
            "median_a": a.median(), "median_b": b.median(), "unit": unit,
            "ratio": b.median() / a.median(), "low": low, "high": high, "verdict": verdict,
        }  # fmt: skip
