"""How long a plan will take: from earlier records of this machine, else from one short probe a model."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from programs.bench.fields import Record
from programs.bench.opening import Found
from programs.bench.planned import Asked, Run
from workbook.engines import Engine

Basis = Literal["records", "probe", "unknown"]
_PROBE_TOKENS = 16
_PROMPT_TOKENS = 200  # of a prompt whose length in tokens is not known


@dataclass(frozen=True)
class Speed:
    """What a model does here: tokens per second, seconds to load, seconds from the call to the first token."""

    basis: Basis
    tg_ts: float | None = None
    pp_ts: float | None = None
    load_s: float = 0.0
    ttft_s: float = 0.0


@dataclass(frozen=True)
class Estimate:
    """Seconds for one repetition and to load the model; None: unknown. An answer may end early: then it is less."""

    basis: Basis
    rep_s: float | None = None
    load_s: float = 0.0

    def of(self, left: int) -> float | None:
        """Seconds for ``left`` repetitions, the warm-up among them."""
        return None if self.rep_s is None else self.load_s + left * self.rep_s


def estimate(asked: Asked, model: str | None, records: Sequence[Record], speeds: Mapping[str, Speed]) -> Estimate:
    """Of one cell: what this very cell took before, else from the model's rates."""
    known = [r for r in records if r.status == "ok" and r.total_ns]
    same = [r for r in known if r.cell_hash == asked.hash and r.model_name == model]
    if same:
        seconds = median((r.total_ns or 0) / 1e9 for r in same)
        return Estimate("records", seconds, _load_s(same))
    speed = speeds.get(asked.model) or _from_records([r for r in known if r.model_name == model])
    if asked.bare:
        kind, tokens = asked.bare
        rate = speed.pp_ts if kind == "pp" else speed.tg_ts
        return Estimate(speed.basis, tokens / rate, speed.load_s) if rate else Estimate("unknown")
    if not speed.tg_ts:
        return Estimate("unknown")
    return Estimate(speed.basis, speed.ttft_s + asked.settings.max_tokens / speed.tg_ts, speed.load_s)


def _from_records(records: Sequence[Record]) -> Speed:
    """The model's rates in earlier records, whatever was asked."""
    tg, pp = ([value for r in records if (value := getattr(r, name))] for name in ("tg_ts", "pp_ts"))
    ttft = [r.ttft_ns / 1e9 for r in records if r.ttft_ns and not r.is_warmup]
    return Speed(
        "records" if tg or pp else "unknown",
        median(tg) if tg else None, median(pp) if pp else None, _load_s(records), median(ttft) if ttft else 0.0,
    )  # fmt: skip


def _load_s(records: Iterable[Record]) -> float:
    loads = [r.load_ns / 1e9 for r in records if r.load_ns and r.cold]
    return median(loads) if loads else 0.0


def probe(engine: Engine) -> Speed:
    """One answer of a few tokens: to load the model, to read a short prompt, to generate."""
    began = time.perf_counter()
    first = last = None
    stream = engine.chat("Count slowly from one to one hundred.", stream=True, num_predict=_PROBE_TOKENS, temperature=0)
    for _ in stream.pieces():
        last = time.perf_counter() - began
        first = first or last
    answer = stream.answer
    load_s = (answer.load_ns or 0) / 1e9
    n_gen = answer.n_gen or 0
    stream_s = last - first if first and last else 0.0
    tg = (n_gen - 1) / stream_s if n_gen > 1 and stream_s > 0 else None
    read_s = max(1e-3, (first or 0.0) - load_s)
    pp = answer.n_prompt / read_s if answer.n_prompt else None
    return Speed("probe", tg, pp, load_s, _PROMPT_TOKENS / pp if pp else read_s)


def total(
    cells: Sequence[tuple[Asked, Estimate]], run: Run, repetitions: int, have: Mapping[str, Found]
) -> float | None:
    """Seconds for what is left of all cells; None when one of them is unknown."""
    seconds = 0.0
    for asked, guess in cells:
        left = run.left(asked, repetitions)
        if not left or have[asked.model].model is None:
            continue
        cell_s = guess.of(len(left))
        if cell_s is None:
            return None
        seconds += cell_s
    return seconds


def spoken(seconds: float | None) -> str:
    """A time as people say it."""
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
