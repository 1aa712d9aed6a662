"""Records as tables, and the guard that keeps apart what may not be compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from programs.bench import stats
from programs.bench.fields import Record
from programs.bench.stats import Metric
from programs.bench.store import Loaded
from workbook.errors import BadOption, NotComparable

if TYPE_CHECKING:
    import pandas as pd

    from programs.bench.index import Index

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

FOLLOWS = {
    "run_id": (),
    "host": (*_MACHINE, "build_info", "on_battery"),
    "quant": _WEIGHTS,
    "model_name": (*_WEIGHTS, "quant", "model_type", "model_n_params"),
    "engine": ("engine_version", "engine_build", "build_info"),
}
"""What differs by nature when records are compared by this field."""

_NAMED = 3  # fields that a refusal names: the first tell enough


def require_comparable(records: Sequence[Record], by: str = "run_id") -> None:
    """Pass if the records differ in ``by``, and in what follows from it, only.

    Records of different methods measure different things: ``by="method"`` is refused as well.
    Raises NotComparable: the fields that differ, with their values.
    """
    differing = differences(records, by)
    if differing:
        more = f" and {len(differing) - _NAMED} fields more" if len(differing) > _NAMED else ""
        raise NotComparable(f"these records differ in {'; '.join(differing[:_NAMED])}{more}. Select some that agree.")


def differences(records: Sequence[Record], by: str = "run_id") -> list[str]:
    """The fields in which records differ that should agree when they are compared by ``by``, with their values."""
    free = {by, *FOLLOWS.get(by, ())} - {"method"}
    differing = []
    for field in COMPARED:
        found = {getattr(r, field) for r in records}
        if field not in free and len(found) > 1:
            shown = ", ".join(sorted(_short(value) for value in found))
            differing.append(f"{field} ({shown})")
    return differing


def _short(value: object) -> str:
    text = "unknown" if value is None else str(value)
    return text if len(text) <= 24 else text[:23] + "…"


def compare(records: Iterable[Record], metric: Metric, by: str = "run_id") -> dict[str, list[float]]:
    """The metric's values for every value of ``by``, ready for ``plots.spread``; warm-ups and failures left out.

    Raises NotComparable, also when no record has the metric.
    """
    counted = [r for r in records if stats.values([r], metric)]
    if not counted:
        raise NotComparable(f"no repetition here has {metric.field}. Select others.")
    require_comparable(counted, by)
    groups: dict[str, list[Record]] = {}
    for record in counted:
        groups.setdefault(f"{by} {getattr(record, by)}", []).append(record)
    return {name: stats.values(group, metric) for name, group in groups.items()}


def frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row a repetition, one column a field."""
    import pandas as pd

    return pd.DataFrame([dict(record) for record in records], columns=list(Record.model_fields))


def summary(records: Iterable[Record]) -> pd.DataFrame:
    """One row for every run, cell and figure: n, median, quartiles, cv (a share, not percent)."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for run in runs(records):
        for cell, kept in stats.cells(run.records):
            for metric in stats.METRICS:
                s = stats.spread(stats.values(kept, metric))
                if s is not None:
                    about = {"run_id": run.run_id, "host": kept[0].host, "n_threads": kept[0].n_threads, "cell": cell}
                    about |= {"method": kept[0].method, "figure": metric.field, "unit": metric.unit}
                    rows.append(about | {"n": s.n, "median": s.median, "q1": s.q1, "q3": s.q3, "cv": s.cv})
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Run:
    """One run: what it measured, and how its repetitions ended. ``invalid``: why it does not count."""

    run_id: str
    records: tuple[Record, ...]
    invalid: str | None = None

    def __str__(self) -> str:
        first = self.records[0]
        ok = sum(r.status == "ok" and not r.is_warmup for r in self.records)
        failed = sum(r.status not in ("ok", "skipped") for r in self.records)
        models = dict.fromkeys(f"{r.model_name} {r.quant or ''}".strip() for r in self.records)
        cells = dict.fromkeys(r.prompt_id for r in self.records)
        return _line(self.run_id, first.started_at, first.host, models, cells, ok, failed, self.invalid)


def _line(
    run_id: str, began: datetime, host: str | None, models: Iterable[str], cells: Iterable[str],
    ok: int, failed: int, invalid: str | None,
) -> str:  # fmt: skip
    """One run in one line."""
    end = f"{ok} repetitions" + (f", {failed} failed" if failed else "") + (f"  INVALID: {invalid}" if invalid else "")
    return f"{run_id}  {began:%Y-%m-%d %H:%M}  {host or 'unknown host'}  {_some(models)}  {_some(cells)}: {end}"


def list_runs(index: Index) -> str:
    """One line a run, the oldest first, for ``workbook results list``: from the index, at once over many files."""
    failed = "count(*) FILTER (status NOT IN ('ok', 'skipped'))"
    name = "trim(model_name || ' ' || coalesce(quant, ''))"
    found = index.db.execute(
        "WITH began AS (SELECT run_id, prompt_id, min(started_at) AS first_at FROM everything GROUP BY ALL), "
        "cells AS (SELECT run_id, list(prompt_id ORDER BY first_at, prompt_id) AS prompts FROM began GROUP BY run_id) "
        f"SELECT e.run_id, min(started_at), any_value(host), list(DISTINCT {name} ORDER BY {name}), any_value(prompts), "
        f"count(*) FILTER (status = 'ok' AND NOT is_warmup), {failed}, any_value(marked) "
        "FROM everything e JOIN cells c ON e.run_id = c.run_id LEFT JOIN marked m ON e.run_id = m.run_id "
        "GROUP BY e.run_id ORDER BY 2, 1"
    ).fetchall()
    told = [_line(*row) for row in found]
    if index.problems or index.repeated:
        told.append(f"{len(index.problems) + index.repeated} lines could not be read: workbook results check")
    return "\n".join(told) or "No records yet. Make some with: workbook bench"


def _some(words: Iterable[str], most: int = 6) -> str:
    listed = list(words)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")


def runs(records: Iterable[Record], invalid: Mapping[str, str] | None = None) -> list[Run]:
    """The runs that these records belong to, the oldest first. ``invalid``: run id -> why it does not count."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.run_id, []).append(record)
    made = (Run(run_id, tuple(group), (invalid or {}).get(run_id)) for run_id, group in found.items())
    return sorted(made, key=lambda run: run.records[0].started_at)


def listing(loaded: Loaded) -> str:
    """One line a run, for ``workbook results list``."""
    told = [str(run) for run in runs(loaded.records, loaded.invalid)]
    if loaded.problems:
        told.append(f"{len(loaded.problems)} lines could not be read: workbook results check")
    return "\n".join(told) or "No records yet. Make some with: workbook bench"


def show(loaded: Loaded, run_id: str) -> str:
    """The cells of one run and its doubts, for ``workbook results show``. ``run_id``: its beginning will do.

    Raises BadOption when none or several runs begin so.
    """
    fitting = [run for run in runs(loaded.records, loaded.invalid) if run.run_id.startswith(run_id)]
    if len(fitting) != 1:
        raise BadOption(f"{len(fitting)} runs begin with {run_id!r}. See them with: workbook results list")
    doubts = [f"! {doubt}" for doubt in stats.all_doubts(fitting[0].records)]
    return "\n".join([str(fitting[0]), stats.table(fitting[0].records), *doubts])


def check(loaded: Loaded) -> str:
    """What could not be read, one line each, for ``workbook results check``."""
    count = f"{len(loaded.records)} records of {len(runs(loaded.records))} runs can be read"
    return "\n".join([*map(str, loaded.problems), f"{count}; {len(loaded.problems)} problems."])
