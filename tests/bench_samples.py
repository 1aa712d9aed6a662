"""What the benchmark's tests share: a good record and ways to change it, and an engine that follows a script."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from programs.bench.fields import MachineFacts, Outcome, Record, Repetition, Resources, Setup, TaskResult
from workbook.engines import Answer, Engine, Info, Message, ModelEntry, Options, Piece

_PARTS = (Repetition, Setup, Outcome, Resources, MachineFacts, TaskResult)
_GOOD: dict[str, Any] = {
    "run_id": "0123456789ab", "rep_index": 1, "is_warmup": False, "started_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "method": "server-timings", "prompt_id": "chat-story", "engine": "ollama", "model_name": "smollm2:135m",
    "quant": "Q4_1", "n_threads": 2, "temperature": 0.0, "max_tokens": 11,
    "n_prompt": 120, "n_cached": 20, "n_gen": 11, "prompt_ns": 500_000_000, "gen_ns": 100_000_000,
    "ttft_ns": 510_000_000, "ttf_answer_ns": 510_000_000, "total_ns": 620_000_000,
    "rss_peak_bytes": 200_000_000, "cpu_pct_mean": 190.0, "cpu_pct_max": 200.0, "other_load_pct": 1.5,
    "host": "example", "isa_flags": ("avx", "avx2"), "cores": 2, "gpus": (),
}  # fmt: skip


def sample(**changes: Any) -> Record:
    """A good record with ``changes``: 200 prompt tokens/s, 100 generated tokens/s."""
    known = _GOOD | changes
    return Record.of(*(part(**{k: v for k, v in known.items() if k in part.model_fields}) for part in _PARTS))


def run(rates: list[float], **changes: Any) -> list[Record]:
    """A run's repetitions that generate at these rates, in tokens per second."""
    return [sample(rep_index=i, gen_ns=round(10 / rate * 1e9), **changes) for i, rate in enumerate(rates, start=1)]


class Scripted(Engine):
    """An engine that answers four tokens, or raises what the script says for that request (from 0: the warm-up)."""

    name = "openai"

    def __init__(
        self,
        script: Mapping[int, BaseException] | None = None,
        wait_s: float = 0.0,
        pace_s: float = 0.01,
        model: str = "no-such-model",
    ) -> None:
        super().__init__(model, "scripted")
        self.script, self.wait_s, self.pace_s = script or {}, wait_s, pace_s
        self.options_asked: list[Options] = []
        self.asked: list[Any] = []
        self.unloaded = 0

    def _events(self, request: str | list[Message], options: Options, stream: bool) -> Iterator[Piece | Answer]:
        self.asked.append(request)
        self.options_asked.append(options)
        time.sleep(self.wait_s)
        if error := self.script.get(len(self.asked) - 1):
            raise error
        yield Piece(thinking="hm")
        for word in ("one ", "two ", "three"):
            time.sleep(self.pace_s)
            yield Piece(text=word)
        yield Answer(
            "one two three", self.name, self.model, thinking="hm", n_prompt=100, n_gen=4, sources={"n_gen": "server"}
        )

    def embed(self, texts: Sequence[str], model: str | None = None) -> list[list[float]]:
        return []

    def models(self) -> list[ModelEntry]:
        return []

    def info(self) -> Info:
        return Info("openai", None, self.model, "scripted")

    def unload(self) -> None:
        self.unloaded += 1
