"""Records as a table of pandas: a row a repetition, a column a field, what is unknown is NA and never 0.

``load`` is what a page calls; ``summary`` and ``grades`` are what ``workbook results`` prints.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from programs.bench import store
from programs.bench.fields import Record
from programs.bench.store import Contents
from programs.judge import passk
from workbook import paths
from workbook.errors import BadOption

BY = ("host", "model_name", "quant", "method", "prompt_id")
GRADED_BY = ("model_name", "engine", "task_id", "thinking")
JUDGED = ("graded", "truncated")  # cut at the limit is a try that did not pass; what was not graded is no try

_DTYPES = {"integer": "Int64", "number": "float64", "boolean": "boolean", "date-time": "datetime64[us, UTC]"}
_FORMULA = r"^[=+\-@\t\r\n]"
METRICS = (("pp_ts", "pp_ts", "tokens/s", 1.0), ("tg_ts", "tg_ts", "tokens/s", 1.0), ("ttft_ns", "ttft", "ms", 1e-6))
"""The figures: field of a record, what it is called, its unit, and what to multiply the field by for that unit."""


def load(folder: Path | None = None, conditions: Iterable[str] | None = None) -> pd.DataFrame:
    """The records under ``folder`` (default: where the recorder puts them) that fit, each repetition once.

    ``conditions``: as ``where`` takes them. ``invalid`` tells why a repetition does not count, by the recorder or by a
    later mark. In ``.attrs["problems"]`` stands what could not be read, with file and line.
    """
    loaded = store.load(folder)
    table = where(frame(loaded.records, loaded.invalid), conditions)
    table.attrs["problems"] = [str(problem) for problem in loaded.problems]
    return table


def frame(records: Iterable[Record], invalid: Mapping[str, str] | None = None) -> pd.DataFrame:
    """These records as a table. ``invalid``: run id -> why the run does not count."""
    kinds = {}
    for name, about in Record.model_json_schema()["properties"].items():
        kind = about.get("anyOf", [about])[0]
        kinds[name] = _DTYPES.get(kind.get("format", kind.get("type")), "object")
    table = pd.DataFrame([dict(record) for record in records], columns=list(kinds), dtype=object).astype(kinds)
    if invalid:
        table["invalid"] = table["run_id"].map(invalid).astype(object).combine_first(table["invalid"])
    return table


def measured(table: pd.DataFrame) -> pd.DataFrame:
    """The repetitions that enter figures: finished well, valid, no warm-up, the model loaded before.

    A prompt that was mostly cached has no ``pp_ts``: the time of a token or two is no rate.
    """
    counts = (table["status"] == "ok") & ~table["is_warmup"] & ~table["cold"].fillna(False) & table["invalid"].isna()
    kept = table[counts].copy()
    kept.loc[(2 * kept["n_cached"] > kept["n_prompt"]).fillna(False), "pp_ts"] = math.nan
    return kept


def figures(kept: pd.DataFrame) -> pd.DataFrame:
    """These repetitions once for each figure that they have: its ``figure`` (name), ``unit`` and ``value``."""
    parts = [
        kept.assign(figure=name, unit=unit, value=kept[field].astype(float) * scale)
        for field, name, unit, scale in METRICS
    ]
    return pd.concat(parts).dropna(subset="value").sort_index(kind="stable")


def spread(kept: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """n, median and quartiles (interpolated linearly) of every figure of these repetitions, by these columns.

    ``set_ups``: how many different ones are pooled in a row; more than one is a mixture, which ``by`` can part.
    """
    return figures(kept).groupby([*by, "figure"], dropna=False, sort=False).agg(
        runs=("run_id", "nunique"),
        n=("value", "size"),
        median=("value", "median"),
        q1=("value", lambda found: found.quantile(0.25)),
        q3=("value", lambda found: found.quantile(0.75)),
        unit=("unit", "first"),
        set_ups=("config_hash", "nunique"),
    ).reset_index()  # fmt: skip


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


def summary(table: pd.DataFrame, by: Sequence[str] | None = None) -> pd.DataFrame:
    """``spread`` of what counts, by these fields (else ``BY``). Methods are never pooled: ``method`` is among them."""
    by = list(dict.fromkeys(known(field) for field in (*(by or BY), "method")))
    return spread(_worded(measured(table), by), by).sort_values([*by, "figure"], ignore_index=True)


def grades(table: pd.DataFrame, by: Sequence[str] | None = None) -> pd.DataFrame:
    """How often graded answers passed, by these fields (else ``GRADED_BY``) and the task, and what a success cost.

    ``low`` and ``high``: the rate's 95% interval. ``try_s``: mean seconds of a try, the model being loaded;
    ``success_s``: seconds of trying for one success, infinite where none passed. ``levels``: how many reached which.
    """
    by = list(dict.fromkeys(known(field) for field in (*(by or GRADED_BY), "task_id")))
    tries = (table["status"] == "ok") & ~table["is_warmup"] & table["invalid"].isna() & table["task_id"].notna()
    rows = []
    for values, part in _worded(table[tries], by).groupby(list(by), dropna=False):
        group = dict(zip(by, values, strict=True))
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


def _worded(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The table with words for lists in these fields, so that rows can be grouped by them."""
    return table.assign(**{name: words(table[name]) for name in by if table[name].dtype == object})


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
    """What ``spread`` found, as lines of text."""
    if rows.empty:
        return "No repetition fits."
    half = [f"{q1:.1f} to {q3:.1f}" for q1, q3 in zip(rows["q1"], rows["q3"], strict=True)]
    told = rows.assign(median=rows["median"].map("{:.1f}".format), q1=half, set_ups=rows["set_ups"].map(_pooled))
    return aligned(told.drop(columns="q3").rename(columns={"q1": "middle half", "set_ups": ""}))


def grades_text(rows: pd.DataFrame) -> str:
    """What ``grades`` found, as lines of text; a field that is unknown everywhere is left out."""
    if rows.empty:
        return "No graded repetition fits."
    fields = rows[rows.columns[: rows.columns.get_loc("passed")]].dropna(axis="columns", how="all")
    told = [
        {
            "passed": f"{row['passed']} of {row['n']}",
            "95% of the rate": f"{row['low']:.0%} to {row['high']:.0%}" if row["n"] else "",
            "cut": row["truncated"],
            "s a try": _seconds(row["try_s"]),
            "s a success": _seconds(row["success_s"]),
            "levels": row["levels"],
            "": f"{row['not_graded']} not graded" if row["not_graded"] else "",
            " ": _pooled(row["set_ups"]),
        }
        for row in rows.to_dict("records")
    ]
    return aligned(fields.join(pd.DataFrame(told, index=rows.index)))


def _pooled(set_ups: int) -> str:
    return f"{set_ups} set-ups pooled" if set_ups > 1 else ""


def _seconds(value: float) -> str:
    if math.isnan(value):
        return "?"
    return f"{value:.1f}" if math.isfinite(value) else "none yet"


def aligned(rows: pd.DataFrame) -> str:
    """A table as lines of text, in columns; what is unknown as a question mark."""
    cells = rows.astype(object).where(rows.notna(), "?").map(str)
    told = [list(cells.columns), *cells.to_numpy().tolist()]
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
    return f"{run_id}  {began:%Y-%m-%d %H:%M}  {host}  {store.some(models)}  {store.some(run['prompt_id'])}: {end}"
