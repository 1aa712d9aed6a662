"""Records as a table of pandas: a row a repetition, a column a field, what is unknown is NA and never 0.

``load`` is what a page calls; ``summary`` and ``grades`` are what ``workbook results`` prints.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from programs.bench import store
from programs.bench.fields import Record
from programs.bench.store import Contents
from programs.judge import passk
from workbook import paths
from workbook.errors import BadOption

if TYPE_CHECKING:
    import pandas as pd

BY = ("host", "model_name", "quant", "method", "prompt_id")
GRADED_BY = ("model_name", "engine", "task_id", "thinking")
JUDGED = ("graded", "truncated")  # cut at the limit is a try that did not pass; what was not graded is no try

_DTYPES = {"integer": "Int64", "number": "float64", "boolean": "boolean", "date-time": "datetime64[us, UTC]"}
_FORMULA = r"^[=+\-@\t\r\n]"


class Metric(NamedTuple):
    """A figure of a record: its field, what it is called, its unit, and what to multiply the field by for that unit."""

    field: str
    name: str
    unit: str
    scale: float = 1.0


PP = Metric("pp_ts", "pp_ts", "tokens/s")
TG = Metric("tg_ts", "tg_ts", "tokens/s")
TTFT = Metric("ttft_ns", "ttft", "ms", 1e-6)
METRICS = (PP, TG, TTFT)


def load(folder: Path | None = None) -> pd.DataFrame:
    """All records under ``folder`` (default: where the recorder puts them), each repetition once.

    ``invalid`` tells why a repetition does not count, by the recorder or by a later mark. In ``.attrs["problems"]``
    stands what could not be read, with file and line.
    """
    loaded = store.load(folder)
    table = frame(loaded.records, loaded.invalid)
    table.attrs["problems"] = [str(problem) for problem in loaded.problems]
    return table


def frame(records: Iterable[Record], invalid: Mapping[str, str] | None = None) -> pd.DataFrame:
    """These records as a table. ``invalid``: run id -> why the run does not count."""
    import pandas as pd

    rows = list(records)
    columns = {}
    for name, about in Record.model_json_schema()["properties"].items():
        kinds = [one.get("format", one.get("type")) for one in about.get("anyOf", [about])]
        values = [getattr(row, name) for row in rows]
        columns[name] = pd.Series(values, dtype=_DTYPES.get(kinds[0], "object"))
    table = pd.DataFrame(columns)
    if invalid:
        table["invalid"] = table["run_id"].map(invalid).astype(object).combine_first(table["invalid"])
    return table


def measured(table: pd.DataFrame) -> pd.DataFrame:
    """The repetitions that enter figures: finished well, valid, no warm-up, the model loaded before.

    A prompt that was mostly cached has no ``pp_ts``: the time of a token or two is no rate.
    """
    counts = (table["status"] == "ok") & ~table["is_warmup"] & ~table["cold"].fillna(False) & table["invalid"].isna()
    kept = table[counts].copy()
    kept.loc[(2 * kept["n_cached"] > kept["n_prompt"]).fillna(False), PP.field] = math.nan
    return kept


def values(kept: pd.DataFrame, metric: Metric) -> pd.Series[float]:
    """A figure of these repetitions in its unit, without those that have none."""
    return kept[metric.field].dropna().astype(float) * metric.scale


def spread(found: pd.Series[float]) -> dict[str, float]:
    """n, median and quartiles (interpolated linearly) of these values."""
    q1, median, q3 = map(float, found.quantile([0.25, 0.5, 0.75]))
    return {"n": len(found), "median": median, "q1": q1, "q3": q3}


def where(table: pd.DataFrame, conditions: Iterable[str] | None) -> pd.DataFrame:
    """The rows that fit all of these, each ``FIELD=VALUE`` as text. Raises BadOption: there is no such field."""
    for condition in conditions or ():
        field, sign, value = condition.partition("=")
        if not field or not sign:
            raise BadOption("--where takes FIELD=VALUE, e.g. --where n_threads=2")
        table = table[words(table[known(field)]) == value]
    return table


def known(field: str) -> str:
    """``field`` if records have it. Raises BadOption."""
    if field not in Record.model_fields:
        raise BadOption(f"records have no field {field!r}. data/README.md lists them.")
    return field


def words(column: pd.Series[Any], unknown: str | None = None) -> pd.Series[Any]:
    """A column as it stands in CSV and after ``--where``: lists as words, times as RFC 3339."""
    return column.astype(object).map(_word, na_action="ignore").astype(object).where(column.notna(), unknown)


def _word(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S.%fZ}"
    return json.dumps(value) if isinstance(value, dict) else str(value)


def summary(table: pd.DataFrame, by: Sequence[str] = BY) -> pd.DataFrame:
    """n, median and quartiles of every figure, by these fields. Methods are never pooled: ``method`` is among them.

    ``set_ups``: how many different ones are pooled in a row; more than one is a mixture, which ``by`` can part.
    """
    import pandas as pd

    by = list(dict.fromkeys(known(field) for field in (*by, "method")))
    rows = []
    for group, part in _groups(measured(table), by):
        pooled = {"runs": part["run_id"].nunique(), "set_ups": part["config_hash"].nunique()}
        for metric in METRICS:
            found = values(part, metric)
            if len(found):
                rows.append(group | {"figure": metric.name} | spread(found) | {"unit": metric.unit} | pooled)
    return pd.DataFrame(rows)


def grades(table: pd.DataFrame, by: Sequence[str] = GRADED_BY) -> pd.DataFrame:
    """How often graded answers passed, by these fields and the task, and what a success cost.

    ``low`` and ``high``: the rate's 95% interval. ``try_s``: mean seconds of a try, the model being loaded;
    ``success_s``: seconds of trying for one success, infinite where none passed. ``levels``: how many reached which.
    """
    import pandas as pd

    by = list(dict.fromkeys(known(field) for field in (*by, "task_id")))
    tries = (table["status"] == "ok") & ~table["is_warmup"] & table["invalid"].isna() & table["task_id"].notna()
    rows = []
    for group, part in _groups(table[tries], by):
        judged = part[part["grade_outcome"].isin(JUDGED)]
        n, passed = len(judged), int(judged["passed"].fillna(False).sum())
        low, high = passk.interval(n, passed, 1) if n else (math.nan, math.nan)
        try_s = judged["total_ns"][~judged["cold"].fillna(False)].astype(float).mean() / 1e9
        levels = judged["grade"].value_counts().sort_index()
        rows.append(group | {
            "passed": passed, "n": n, "low": low, "high": high, "truncated": (judged["grade_outcome"] == "truncated").sum(),
            "try_s": try_s, "success_s": try_s * (n / passed if passed else math.inf),
            "levels": " ".join(f"{level}:{count}" for level, count in levels.items()),
            "not_graded": len(part) - n, "set_ups": part["config_hash"].nunique(),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _groups(table: pd.DataFrame, by: Sequence[str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The values of these fields, and the rows that have them."""
    keys = [words(table[name]) if table[name].dtype == object else table[name] for name in by]
    for values, rows in table.groupby(keys, dropna=False):
        yield dict(zip(by, values, strict=True)), rows


def export(table: pd.DataFrame, target: Path) -> str:
    """Write these repetitions to the new file ``target``, a row each, as CSV; a line that says so.

    A text that a spreadsheet would take for a formula gets an apostrophe in front.
    Raises BadOption: another kind of file, one that is there already, or no such folder.
    """
    shown = paths.shown(target)
    if target.suffix.lower() != ".csv":
        raise BadOption(f"{target.name}: give a file that ends in .csv.")
    if not target.parent.is_dir():
        raise BadOption(f"{shown} cannot be written: there is no such folder.")
    ordered = table.sort_values(["host", "started_at", "run_id", "config_hash", "rep_index"])
    for name, column in ordered.items():
        ordered[name] = words(column)
        if column.dtype == object:
            ordered[name] = ordered[name].str.replace(_FORMULA, r"'\g<0>", regex=True)
    if not store.create(target, ordered.to_csv(index=False, lineterminator="\n").encode()):
        raise BadOption(f"{shown} is there already, and is not overwritten. Give another name.")
    return f"{len(ordered)} repetitions in {shown}"


def summary_text(rows: pd.DataFrame) -> str:
    """What ``summary`` found, as lines of text."""
    if rows.empty:
        return "No repetition fits."
    by = list(rows.columns[: rows.columns.get_loc("figure")])
    told = [[*by, "figure", "runs", "n", "median", "middle half", "unit", ""]]
    for row in rows.to_dict("records"):
        figures = [row["runs"], row["n"], f"{row['median']:.1f}", f"{row['q1']:.1f} to {row['q3']:.1f}", row["unit"]]
        told.append([*(row[name] for name in by), row["figure"], *figures, _pooled(row)])
    return aligned(told)


def grades_text(rows: pd.DataFrame) -> str:
    """What ``grades`` found, as lines of text; a field that is unknown everywhere is left out."""
    if rows.empty:
        return "No graded repetition fits."
    by = [name for name in rows.columns[: rows.columns.get_loc("passed")] if rows[name].notna().any()]
    told = [[*by, "passed", "95% of the rate", "cut", "s a try", "s a success", "levels", ""]]
    for row in rows.to_dict("records"):
        between = f"{row['low']:.0%} to {row['high']:.0%}" if row["n"] else ""
        costs = [_seconds(row["try_s"]), _seconds(row["success_s"])]
        doubts = [f"{row['not_graded']} not graded"] if row["not_graded"] else []
        doubts += filter(None, [_pooled(row)])
        figures = [f"{row['passed']} of {row['n']}", between, row["truncated"], *costs, row["levels"]]
        told.append([*(row[name] for name in by), *figures, ", ".join(doubts)])
    return aligned(told)


def _pooled(row: Mapping[Any, Any]) -> str:
    return f"{row['set_ups']} set-ups pooled" if row["set_ups"] > 1 else ""


def _seconds(value: float) -> str:
    if math.isnan(value):
        return "?"
    return f"{value:.1f}" if math.isfinite(value) else "none yet"


def aligned(rows: Sequence[Sequence[object]]) -> str:
    """Rows of words as lines of text, in columns; what is unknown as a question mark."""
    told = [["?" if str(cell) in ("None", "nan", "<NA>") else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*told, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in told)


def listing(loaded: Contents) -> str:
    """One line a run, the oldest first."""
    runs = frame(loaded.records).sort_values(["started_at", "run_id"]).groupby("run_id", sort=False)
    told = [run_line(run, loaded.invalid) for _, run in runs]
    if loaded.problems:
        told.append(f"{len(loaded.problems)} lines could not be read: workbook results check")
    return "\n".join(told) or "No records yet. Make some with: workbook bench"


def run_line(run: pd.DataFrame, marked: Mapping[str, str]) -> str:
    """What one run measured, and how its repetitions ended. ``marked``: run id -> why a run does not count."""
    run_id, host = run["run_id"].iloc[0], run["host"].iloc[0] or "unknown host"
    models = (run["model_name"] + " " + run["quant"].fillna("")).str.strip()
    ok = ((run["status"] == "ok") & ~run["is_warmup"]).sum()
    failed = (~run["status"].isin(("ok", "skipped"))).sum()
    end = f"{ok} repetitions" + (f", {failed} failed" if failed else "")
    end += f"  INVALID: {marked[run_id]}" if run_id in marked else ""
    began = run["started_at"].min()
    return f"{run_id}  {began:%Y-%m-%d %H:%M}  {host}  {_some(models)}  {_some(run['prompt_id'])}: {end}"


def _some(told: Iterable[str], most: int = 6) -> str:
    listed = list(dict.fromkeys(told))
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")
