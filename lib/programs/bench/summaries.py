"""Questions over all kept records at once, answered by DuckDB from the index: summaries and exports."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from programs.bench import columns, lines, stats
from programs.bench.index import Index
from programs.bench.stats import Metric
from workbook import paths
from workbook.errors import BadOption

BY = ("host", "model_name", "quant", "method", "prompt_id")
COUNTED = "status = 'ok' AND NOT is_warmup AND cold IS NOT TRUE AND invalid IS NULL"
"""``stats.counts`` in SQL, with the runs that were marked invalid left out as well."""

_PP_TOLD = "CASE WHEN 2 * n_cached > n_prompt THEN NULL ELSE pp_ts END"
"""``stats.values`` in SQL: no prompt rate of a prompt that was mostly cached."""

_FORMULA = r"^[=+\-@\t\r\n]"


@dataclass(frozen=True)
class Row:
    """One figure of one group of repetitions; ``group`` holds the values of the fields that it was made by.

    ``setups``: how many different set-ups are pooled in it; more than one is a mixture, which ``by`` can part.
    """

    group: tuple[Any, ...]
    metric: Metric
    n: int
    runs: int
    setups: int
    median: float
    q1: float
    q3: float


def summary(index: Index, by: Sequence[str] = BY, where: Mapping[str, str] | None = None) -> list[Row]:
    """n, median and quartiles (interpolated linearly) of every figure, grouped by these fields of a record.

    ``where``: field -> the value it must have. Methods are never pooled: ``method`` is always among the groups.
    Raises BadOption: there is no such field.
    """
    by = [*by, *(() if "method" in by else ("method",))]
    condition, values = chosen(where or {}, by)
    keys = ", ".join(columns.name(field) for field in by)
    told = [_PP_TOLD if metric == stats.PP else metric.field for metric in stats.METRICS]
    figures = ", ".join(f"count({value}), quantile_cont({value}, [0.25, 0.5, 0.75])" for value in told)
    query = (
        f"SELECT {keys}, count(DISTINCT run_id), count(DISTINCT config_hash), {figures} FROM repetitions "
        f"WHERE {COUNTED} AND {condition} GROUP BY {keys} ORDER BY {keys}"
    )
    rows = []
    for found in index.db.execute(query, values).fetchall():
        group, (runs, setups), rest = found[: len(by)], found[len(by) : len(by) + 2], found[len(by) + 2 :]
        for metric, n, quartiles in zip(stats.METRICS, rest[::2], rest[1::2], strict=True):
            if n:
                q1, median, q3 = (value * metric.scale for value in quartiles)
                rows.append(Row(group, metric, n, runs, setups, median, q1, q3))
    return rows


def table(rows: Sequence[Row], by: Sequence[str] = BY) -> str:
    """Rows of a summary as lines of text."""
    if not rows:
        return "No repetition fits."
    by = [*by, *(() if "method" in by else ("method",))]
    words = [[*by, "figure", "runs", "n", "median", "middle half", "unit", ""]]
    for row in rows:
        said = ["?" if value is None else str(value) for value in row.group]
        figures = [str(row.runs), str(row.n), f"{row.median:.1f}", f"{row.q1:.1f} to {row.q3:.1f}", row.metric.unit]
        words.append([*said, row.metric.name, *figures, f"{row.setups} set-ups pooled" if row.setups > 1 else ""])
    return stats.aligned(words)


def export(index: Index, target: Path, where: Mapping[str, str] | None = None) -> int:
    """Write all repetitions that fit to ``target``, one row each, as .csv or .parquet; how many there are.

    Every field of a record is a column; ``invalid`` tells why a repetition does not count. In CSV a text that a
    spreadsheet would take for a formula gets an apostrophe in front.
    Raises BadOption: another kind of file, one that is there already, or a folder that cannot be written.
    """
    import duckdb

    condition, values = chosen(where or {}, ())
    kind = target.suffix.lower()
    if kind not in (".csv", ".parquet"):
        raise BadOption(f"{target.name}: give a file that ends in .csv or .parquet.")
    if target.exists():
        raise BadOption(f"{paths.shown(target)} is there already, and is not overwritten. Give another name.")
    wanted = ", ".join(_cell(name, sql) if kind == ".csv" else columns.name(name) for name, sql in _exported())
    order = "host, started_at, run_id, config_hash, rep_index"
    query = f"SELECT {wanted} FROM repetitions WHERE {condition} ORDER BY {order}"
    half = target.with_name(f".new-{secrets.token_hex(4)}")
    if not target.parent.is_dir():
        raise BadOption(f"{paths.shown(target)} cannot be written: there is no such folder.")
    how = "(FORMAT csv, HEADER)" if kind == ".csv" else "(FORMAT parquet, COMPRESSION zstd)"
    try:
        found = index.db.execute(f"COPY ({query}) TO '{columns.quoted(half)}' {how}", values).fetchone()
        if not lines.place(half, target):
            raise BadOption(f"{paths.shown(target)} is there already, and is not overwritten. Give another name.")
    except (OSError, duckdb.IOException) as error:
        why = error.strerror if isinstance(error, OSError) else "the system refuses it"
        raise BadOption(f"{paths.shown(target)} cannot be written ({why}).") from None
    finally:
        half.unlink(missing_ok=True)
    return int(found[0]) if found else 0


def fields_known(names: Sequence[str]) -> None:
    """Pass if records have these fields. Raises BadOption: the first that they have not."""
    for name in names:
        if name not in columns.fields():
            raise BadOption(f"records have no field {name!r}. data/README.md lists them.")


def chosen(where: Mapping[str, str], by: Sequence[str]) -> tuple[str, list[str]]:
    """``where`` as a condition of SQL with its values; ``by``: fields that must be known too. Raises BadOption."""
    fields_known([*where, *by])
    parts = [f"{columns.name(field)}::VARCHAR = ?" for field in where]
    return " AND ".join(parts) or "true", list(where.values())


def _exported() -> list[tuple[str, str]]:
    return list((columns.fields() | {"started_at": "TIMESTAMP"}).items())


def _cell(field: str, sql: str) -> str:
    """A column as it stands in CSV: lists as words, times as RFC 3339, texts that are no formulas."""
    name = columns.name(field)
    if sql == "TIMESTAMP":
        return f"strftime({name}, '%Y-%m-%dT%H:%M:%S.%fZ') AS {name}"
    said = f"array_to_string({name}, ' ')" if sql.endswith("[]") else name
    if not sql.startswith("VARCHAR"):
        return f"{said} AS {name}"
    return f"CASE WHEN regexp_matches({said}, '{_FORMULA}') THEN '''' || {said} ELSE {said} END AS {name}"
