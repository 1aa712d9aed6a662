"""Is a run sound? Median and spread of its repetitions, and the signs that they should not be trusted."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from programs.bench import records as tables
from programs.bench.store import Contents, one_run

CV_LIMIT = 0.05
TREND_LIMIT = 0.02  # a trend that moves the rate by less than this is no news
P_LIMIT = 0.05
OTHER_LOAD_LIMIT_PCT = 10.0
FEWEST = 5
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
_PLAIN = ("model_name", "quant", "method", "engine")
TELLING = (
    *_PLAIN, "thinking", "n_threads", "n_ctx", "n_gpu_layers", "n_batch", "n_ubatch", "type_k", "type_v", "flash_attn",
    "temperature", "top_k", "top_p", "min_p", "repeat_penalty", "max_tokens", "unique_prefix",
)  # fmt: skip
"""What tells cells of one prompt from each other, in a table."""


def cv(values: Sequence[float] | pd.Series[float]) -> float:
    """Coefficient of variation: sample standard deviation over mean; NaN for one value."""
    return float(np.std(values, ddof=1) / np.mean(values)) if len(values) > 1 else math.nan


def trend(data: Sequence[float] | pd.Series[float]) -> float | None:
    """Relative change from first to last repetition where the order is no accident, else None.

    Kendall's test (two-sided, 5%) says whether; Theil and Sen's slope says how much.
    """
    from scipy.stats import kendalltau, theilslopes

    if len(data) < FEWEST or not kendalltau(range(len(data)), data).pvalue <= P_LIMIT:  # no chance at all: all alike
        return None
    return float(theilslopes(data).slope) * (len(data) - 1) / float(np.median(data))


def cells(run: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The cells of one run, in order, each with a name: its prompt's id, and what tells it from others of that id."""
    first = run.drop_duplicates("config_hash")
    for _, cell in run.groupby("config_hash", sort=False):
        prompt = cell["prompt_id"].iloc[0]
        alike = first[first["prompt_id"] == prompt]
        yield name(cell, [field for field in TELLING if alike[field].nunique(dropna=False) > 1]), cell


def name(cell: pd.DataFrame, telling: Iterable[str]) -> str:
    """What a cell is called: its prompt's id, and the fields that tell it from others of that id."""
    said = [str(cell["prompt_id"].iloc[0])]
    for field in telling:
        value = None if cell[field].isna().iloc[0] else cell[field].iloc[0]
        said.append(str(value) if field in _PLAIN else f"{field}={value}")
    return " ".join(said)


def doubts(run: pd.DataFrame) -> list[str]:
    """What speaks against the repetitions of one run, one line each; nothing if all is well."""
    return [f"{cell_name}{doubt}" for cell_name, cell in cells(run) for doubt in _doubts(cell)]


def _doubts(cell: pd.DataFrame) -> Iterator[str]:
    yield from (f": {line}" for line in _left_out(cell))
    for rate in ("pp_ts", "tg_ts"):
        data = tables.measured(cell)[rate].dropna()
        if 0 < len(data) < FEWEST:
            yield f" {rate}: only {len(data)} repetitions; take at least {FEWEST}"
        if cv(data) > CV_LIMIT:
            yield f" {rate}: varies by {cv(data):.1%} (more than {CV_LIMIT:.0%}): noisy"
        change = trend(data)
        if change is not None and abs(change) > TREND_LIMIT:
            yield f" {rate}: changes by {change:+.0%} from first to last: heat, or other load"
    timed = cell[~cell["is_warmup"]]
    load = timed["other_load_pct"].max()
    if load > OTHER_LOAD_LIMIT_PCT:
        yield f": other programs used up to {load:.0f}% of a core meanwhile"
    yield from (f": {line}" for line in _warned(timed["warnings"]))


def _left_out(cell: pd.DataFrame) -> Iterator[str]:
    """Which repetitions do not count, and why."""
    skipped = cell[cell["status"] == "skipped"]
    failed = cell[~cell["status"].isin(("ok", "skipped"))]
    invalid = cell["invalid"].dropna()
    again = (cell["cold"].fillna(False) & ~cell["is_warmup"]).sum()
    if len(skipped):
        yield f"not run: {skipped['error'].iloc[0]}"
    if len(failed):
        yield f"{len(failed)} repetitions failed ({failed['status'].iloc[0]}: {failed['error'].iloc[0]})"
    if len(invalid):
        yield f"{len(invalid)} repetitions are invalid and left out ({invalid.iloc[0]})"
    if again:
        yield f"{again} repetitions had to load the model again and are left out"


def _warned(warnings: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """The warnings that repetitions carry, each kind once; other load has its own line."""
    kinds: dict[str, list[str]] = {}
    for warning in (one for some in warnings for one in some):
        kinds.setdefault(_NUMBER.sub("", warning), []).append(warning)
    for alike in kinds.values():
        if not alike[0].startswith("other programs used"):
            yield alike[0] + (f" ({len(alike)} repetitions)" if len(alike) > 1 else "")


def show(loaded: Contents, beginning: str) -> str:
    """The cells of the one run whose id begins so, and its doubts. Raises BadOption: none does, or several do."""
    run_id = one_run(beginning, (record.run_id for record in loaded.records))
    run = tables.frame(record for record in loaded.records if record.run_id == run_id)
    return "\n".join([tables.run_line(run, loaded.invalid), table(run), *(f"! {doubt}" for doubt in doubts(run))])


def table(run: pd.DataFrame) -> str:
    """Median and spread of every cell of one run, as lines of text."""
    named = run.assign(cell="")
    for cell_name, cell in cells(run):
        named.loc[cell.index, "cell"] = cell_name
    return tables.summary_text(tables.spread(tables.measured(named), ["cell"]).drop(columns="runs"))
