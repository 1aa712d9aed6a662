"""The record of one repetition: one JSON line. What was not measured is null, never 0.

Schema version 2. Lines of version 1 are read too, and are version 2 then: the seed names no set-up any more,
because each repetition has its own.
"""

from __future__ import annotations

import json
import math
from datetime import timedelta
from typing import Any, Final

from pydantic import ValidationError, model_validator

from programs.bench.parts import (
    SCHEMA_VERSION,
    Alias,
    Amount,
    Flash,
    Hash,
    MachineFacts,
    Method,
    Outcome,
    Part,
    Prediction,
    Repetition,
    Resources,
    RunId,
    Setup,
    Status,
    Task,
    digest,
)

__all__ = [
    "SCHEMA_VERSION", "Alias", "Flash", "MachineFacts", "Method", "Outcome", "Part", "Prediction", "Record",
    "Repetition", "Resources", "RunId", "Setup", "Status", "Task", "rates", "upgraded",
]  # fmt: skip

_SETUP_1: Final = (
    "method", "prompt_id", "prompt_sha256", "engine", "engine_version", "build_info", "model_name", "file_sha256",
    "ollama_digest", "model_type", "quant", "model_size_bytes", "model_n_params", "n_ctx", "n_batch", "n_ubatch",
    "n_threads", "n_gpu_layers", "type_k", "type_v", "flash_attn", "seed", "temperature", "top_k", "top_p", "min_p",
    "repeat_penalty", "max_tokens", "thinking",
)  # fmt: skip
"""The fields that version 1 hashed."""


def rates(method: Method, outcome: Outcome) -> tuple[float | None, float | None]:
    """Prompt and generation rate (pp_ts, tg_ts) in tokens per second; None where a figure is missing.

    The first token of an answer comes with the prompt, so n_gen tokens take n_gen - 1 steps.
    llama-bench has no prompt before its tg loop: there n_gen decodes are n_gen steps.
    """
    o, pp, tg = outcome, None, None
    if o.n_prompt is not None and o.n_cached is not None and o.prompt_ns and o.n_prompt > o.n_cached:
        pp = (o.n_prompt - o.n_cached) / o.prompt_ns * 1e9
    if o.n_gen is not None and o.gen_ns:
        steps = o.n_gen if method == "llama-bench" else o.n_gen - 1
        tg = steps / o.gen_ns * 1e9 if steps > 0 else None
    return pp, tg


class _Named(Part):
    config_hash: Hash


class _Rated(Part):
    pp_ts: Amount | None = None
    tg_ts: Amount | None = None


class Varying(_Rated, Resources, Outcome, Repetition):
    """The fields of a record that differ from line to line of a file."""


class Lasting(_Named, Prediction, Task, MachineFacts):
    """The fields of a record that are mostly the same in all lines of a file, without its set-up."""


class Record(_Rated, _Named, Prediction, Task, MachineFacts, Resources, Outcome, Setup, Repetition):
    """One repetition of one cell of one run."""

    @model_validator(mode="after")
    def _possible(self) -> Record:
        """Refuse what cannot have been measured."""
        refuse_impossible(self, self.method)
        if self.config_hash != self.hash():
            raise ValueError("config_hash is not that of this set-up")
        return self

    @classmethod
    def of(cls, repetition: Repetition, setup: Setup, outcome: Outcome, *parts: Part) -> Record:
        """The record of these parts, with what follows from them."""
        known = {name: value for part in (repetition, setup, outcome, *parts) for name, value in part}
        pp_ts, tg_ts = rates(setup.method, outcome)
        return cls(**known, config_hash=setup.hash(), pp_ts=pp_ts, tg_ts=tg_ts)

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Record:
        """A record from its line, of version 1 or 2. Raises pydantic's ValidationError."""
        try:
            return super().model_validate_json(json_data, **options)
        except ValidationError:
            newer = upgraded(json_data)
            if newer is None:
                raise
        return super().model_validate_json(newer, **options)

    def line(self) -> str:
        """The record as one line of JSON, without its end of line."""
        return self.model_dump_json()


def refuse_impossible(of: Record | Varying, method: Method) -> None:
    """Pass if these figures can have been measured by ``method``. Raises ValueError."""
    for part, whole in (("n_cached", "n_prompt"), ("n_reasoning", "n_gen"), ("ttft_ns", "ttf_answer_ns")):
        a, b = getattr(of, part), getattr(of, whole)
        if a is not None and b is not None and a > b:
            raise ValueError(f"{part} {a} is more than {whole} {b}")
    if (of.status == "ok") != (of.error is None):
        raise ValueError("status ok has no error, any other has one")
    if of.started_at.utcoffset() != timedelta(0):
        raise ValueError("started_at is not in UTC")
    for name, right in zip(("pp_ts", "tg_ts"), rates(method, of), strict=True):
        given = getattr(of, name)
        if not (given is right if given is None or right is None else math.isclose(given, right, rel_tol=1e-3)):
            raise ValueError(f"{name} {given} does not follow from its counts and times ({right})")


def upgraded(line: str | bytes | bytearray) -> str | None:
    """A line of version 1 as version 2 would have it; None for any other.

    The hash is that of version 2 if it was right for version 1, else it stays wrong and is refused.
    """
    try:
        known = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(known, dict) or known.get("schema_version") != 1 or known["schema_version"] is True:
        return None
    fields: dict[str, Any] = {name: known.get(name) for name in _SETUP_1}
    for name in ("temperature", "top_p", "min_p", "repeat_penalty"):
        if type(fields[name]) is int:
            fields[name] = float(fields[name])
    known["schema_version"] = SCHEMA_VERSION
    if known.get("config_hash") == digest(fields):
        del fields["seed"]
        known["config_hash"] = digest(dict.fromkeys(Setup.model_fields) | fields)
    return json.dumps(known)
