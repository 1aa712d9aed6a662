"""Two runs, hosts or models side by side: how much they differ, how sure that is, and whether they may be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from programs.bench import analysis, columns, lines, stats, summaries
from programs.bench.effects import CONFIDENCE, Effect, effect
from programs.bench.fields import Record
from programs.bench.index import Index
from programs.bench.stats import Metric
from workbook.errors import BadOption, NotComparable

KINDS = {"run": "run_id", "host": "host", "model": "model_name"}
"""What can be compared, and the field of a record that names it."""

_ABOUT = tuple(dict.fromkeys(("run_id", *analysis.COMPARED, *stats.TELLING)))

_RUNS_FOR_RUNS = 4  # runs of each side from which on an interval over runs exists


@dataclass(frozen=True)
class _Alike:
    """The repetitions of one run that agree in ``_ABOUT``: a record that has these fields alone, and their figures."""

    about: Record
    figures: Mapping[Metric, Sequence[float]]


_Cells = dict[tuple[str, str], list[_Alike]]  # by method, and name of the cell


@dataclass(frozen=True)
class Row:
    """One figure of one cell, on both sides."""

    cell: str
    metric: Metric
    effect: Effect

    @property
    def verdict(self) -> str:
        """Which side is faster, or that it is undecided."""
        said = self.effect.verdict
        if said == "undecided":
            return said
        return "B faster" if (said == "more") == self.metric.unit.endswith("/s") else "B slower"


@dataclass(frozen=True)
class Comparison:
    """Sides A and B: a row for each cell and figure that both have; ``differing``: what else they differ in."""

    by: str
    a: str
    b: str
    rows: tuple[Row, ...]
    differing: tuple[str, ...] = ()

    def __str__(self) -> str:
        words = [["cell", "figure", "n", "median A", "median B", "unit", "B / A", "interval", ""]]
        for row in self.rows:
            e = row.effect
            unit = row.metric.unit + (" (of runs)" if e.units == "runs" else "")
            between = "too few" if e.low is None else f"{e.low:.3f} to {e.high:.3f}"
            medians = [f"{e.n_a}, {e.n_b}", f"{e.median_a:.1f}", f"{e.median_b:.1f}", unit]
            words.append([row.cell, row.metric.name, *medians, f"{e.ratio:.3f}", between, row.verdict])
        told = [f"A: {self.a}   B: {self.b}", stats.aligned(words)]
        told.append(f"Intervals of {CONFIDENCE:.0%} (Mann and Whitney), each by itself; undecided: 1 lies in it.")
        if any(row.effect.units == "repetitions" for row in self.rows):
            told.append("They tell how repetitions vary within these runs; another run may lie further off.")
        told += [f"! differs as well: {what}" for what in self.differing]
        return "\n".join(told)


def compare(
    index: Index,
    a: str,
    b: str,
    kind: str | None = None,
    where: Mapping[str, str] | None = None,
    anyway: bool = False,
) -> Comparison:
    """Compare the runs, hosts or models called ``a`` and ``b`` (a run's beginning will do), cell by cell.

    ``kind``: "run", "host" or "model"; None: the one that both names fit. ``where``: field -> the value it must have.
    Runs that were marked invalid are left out.

    Raises BadOption: a name that fits nothing, or too much. NotComparable: they differ in more than what is compared
    (``anyway``: told in the result instead), or have no cell in common.
    """
    field, a, b = _meant(index, a, b, kind)
    sides = [_counted(index, field, name, where or {}) for name in (a, b)]
    for name, side in zip((a, b), sides, strict=True):
        if not side:
            raise NotComparable(f"{name}: no repetition that counts fits. See: workbook results show, list")
    first, second = _paired(sides, field)
    common = [key for key in first if key in second]
    if not common:
        raise NotComparable(f"no cell in common: A has {_names(first)}; B has {_names(second)}.")
    rows: list[Row] = []
    differing: dict[str, None] = {}
    for cell in common:
        pair = [one.about for one in (*first[cell], *second[cell])]
        if not anyway:
            analysis.require_comparable(pair, field)
        differing.update(dict.fromkeys(analysis.differences(pair, field)))
        rows += _rows(cell[1], first[cell], second[cell])
    if not rows:
        raise NotComparable("no figure in common: the repetitions of one side have none that the other has.")
    return Comparison(field, a, b, tuple(rows), tuple(differing))


def _meant(index: Index, a: str, b: str, kind: str | None) -> tuple[str, str, str]:
    """The field that the two names are values of, and the names in full. Raises BadOption."""
    if kind is not None and kind not in KINDS:
        raise BadOption(f"{kind!r} cannot be compared. Give one of: {', '.join(KINDS)}")
    fits = []
    for one in (kind,) if kind else KINDS:
        found = [_named(index, one, name) for name in (a, b)]
        if all(found):
            fits.append((KINDS[one], found))
    if not fits:
        raise BadOption(f"{a!r} and {b!r} are not both a run, a host or a model here. See: workbook results list")
    if len(fits) > 1:
        raise BadOption(f"{a!r} and {b!r} can be meant as several things. Say which: --by run, host or model")
    field, found = fits[0]
    for name, full in zip((a, b), found, strict=True):
        if len(full) > 1:
            raise BadOption(f"{len(full)} runs begin with {name!r}: {', '.join(full[:4])}. Give more of the id.")
    if found[0] == found[1]:
        raise BadOption(
            f"{a!r} and {b!r} are both {lines.printable(found[0][0])}. Give another one to compare it with."
        )
    return field, found[0][0], found[1][0]


def _named(index: Index, kind: str, name: str) -> list[str]:
    """The values of this kind that ``name`` stands for."""
    fits = "starts_with(run_id, ?)" if kind == "run" else f"{KINDS[kind]} = ?"
    query = f"SELECT DISTINCT {KINDS[kind]} FROM repetitions WHERE {fits} ORDER BY 1"
    return [value for (value,) in index.db.execute(query, [name]).fetchall()]


def _counted(index: Index, field: str, name: str, where: Mapping[str, str]) -> list[_Alike]:
    """The repetitions of one side that count, in the order of their files and times."""
    summaries.fields_known(tuple(where))
    conditions = [summaries.COUNTED, f"{columns.name(field)} = ?"]
    conditions += [f"{columns.name(f)}::VARCHAR = ?" for f in where]
    about = ", ".join(map(columns.name, _ABOUT))
    figures = ", ".join(f"list({m.field}) FILTER ({m.field} IS NOT NULL)" for m in stats.METRICS)
    query = (
        f"SELECT {about}, {figures} FROM repetitions WHERE {' AND '.join(conditions)} GROUP BY {about} "
        f"ORDER BY min(file), min(started_at), min(rep_index), {about}"
    )
    made = []
    for row in index.db.execute(query, [name, *where.values()]).fetchall():
        told = (tuple(value) if isinstance(value, list) else value for value in row)
        fields: dict[str, Any] = dict(zip(_ABOUT, told, strict=False))
        kept = zip(stats.METRICS, row[len(_ABOUT) :], strict=True)
        scaled = {metric: [value * metric.scale for value in values or ()] for metric, values in kept}
        made.append(_Alike(Record.model_construct(**fields), scaled))
    return made


def _paired(sides: Sequence[Sequence[_Alike]], field: str) -> tuple[_Cells, ...]:
    """The repetitions of each side by their cell: method, prompt, and the settings that vary within a side of it."""
    free = {field, *analysis.FOLLOWS.get(field, ()), "method"}
    made: tuple[_Cells, ...] = tuple({} for _ in sides)
    for prompt in dict.fromkeys((one.about.method, one.about.prompt_id) for side in sides for one in side):
        groups = [[one for one in side if (one.about.method, one.about.prompt_id) == prompt] for side in sides]
        telling = [
            name
            for name in stats.TELLING
            if name not in free and any(len({getattr(one.about, name) for one in group}) > 1 for group in groups)
        ]
        for cells, group in zip(made, groups, strict=True):
            for one in group:
                words = [one.about.prompt_id, *(f"{name}={getattr(one.about, name)}" for name in telling)]
                cells.setdefault((one.about.method, " ".join(words)), []).append(one)
    return made


def _names(cells: _Cells) -> str:
    return ", ".join(name for _, name in list(cells)[:4]) + (", …" if len(cells) > 4 else "")


def _rows(name: str, a: Sequence[_Alike], b: Sequence[_Alike]) -> list[Row]:
    rows = []
    for metric in stats.METRICS:
        kept = [_by_run(side, metric) for side in (a, b)]
        pooled = [[value for values in side for value in values] for side in kept]
        if not all(pooled) or min(map(min, pooled)) <= 0:
            continue
        if min(map(len, kept)) >= _RUNS_FOR_RUNS:  # repetitions of one run are more alike than two runs
            first, second = ([median(values) for values in side] for side in kept)
            rows.append(Row(name, metric, effect(first, second, units="runs")))
        else:
            rows.append(Row(name, metric, effect(pooled[0], pooled[1])))
    return rows


def _by_run(side: Sequence[_Alike], metric: Metric) -> list[list[float]]:
    """The values of every run that has any."""
    found: dict[str, list[float]] = {}
    for one in side:
        found.setdefault(one.about.run_id, []).extend(one.figures[metric])
    return [values for values in found.values() if values]
