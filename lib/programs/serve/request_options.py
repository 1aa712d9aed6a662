"""A request's options as the engine takes them, and their limits."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from programs.serve.bodies import kind
from programs.serve.jobs import Sampling, Setting
from programs.serve.runner import FOREVER, Refused

MAX_STOPS, MAX_STOP_CHARS, MAX_SCHEMA_CHARS = 64, 1_000, 65_536
_LARGEST = 2**31 - 1
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")


@dataclass(frozen=True)
class Wanted:
    """What the options of a request ask for. ``setting`` None: none of them concerns the loading."""

    sampling: Sampling
    setting: Setting | None


# Taken and without effect: they choose among machines and devices that the stand-in does not have.
_IGNORED = {"main_gpu": "integer", "use_mmap": "boolean", "draft_num_predict": "integer"}
_FIELDS = {
    field.name: (kind_, {"int": "integer", "float": "float32"}.get(str(field.type), "array"))
    for kind_ in (Sampling, Setting)
    for field in dataclasses.fields(kind_)
    if field.name not in ("logprobs", "top_logprobs")
}
_RANGES = {
    "num_batch": (1, 1 << 16),
    "num_thread": (0, 512),
    "num_gpu": (-1, 10_000),
    "num_predict": (-2, _LARGEST),
    "temperature": (0.0, 1e4),
}


def read(options: Mapping[str, Any], logprobs: bool = False, top_logprobs: int = 0) -> Wanted:
    """The options by their names; unknown ones are passed over, as Ollama does.

    Raises Refused (400) for a value of another type, in Ollama's words (its status is 500), or beyond all sense.
    """
    if not 0 <= top_logprobs <= 20:
        raise Refused(400, "top_logprobs must be between 0 and 20")
    sampling: dict[str, Any] = {"logprobs": logprobs, "top_logprobs": top_logprobs if logprobs else 0}
    setting: dict[str, Any] = {}
    for name, value in options.items():
        if value is None:
            continue
        if name in _IGNORED:
            _typed(name, value, _IGNORED[name])
        elif name in _FIELDS:
            of, wanted = _FIELDS[name]
            (sampling if of is Sampling else setting)[name] = _typed(name, value, wanted)
    if sampling.get("seed", -1) < 0:
        sampling["seed"] = -1
    return Wanted(Sampling(**sampling), Setting(**setting) if setting else None)


def _typed(name: str, value: Any, wanted: str) -> Any:
    if wanted == "array":
        return _stops(name, value)
    if wanted == "boolean":
        if not isinstance(value, bool):
            raise Refused(400, f'option "{name}" must be of type boolean')
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(400, f'option "{name}" must be of type {wanted}')
    low, high = _RANGES.get(name, (-_LARGEST - 1, _LARGEST))
    if name == "seed":
        low, high = -(2**63), 2**63 - 1
    if not (math.isfinite(value) and low <= value <= high):
        raise Refused(400, f'option "{name}" must be from {low:g} to {high:g}')
    if name == "seed":
        return -1 if value < 0 else int(value) & 0xFFFFFFFF
    return int(value) if wanted == "integer" else float(value)


def _stops(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise Refused(400, f'option "{name}" must be of type array')
    if not all(isinstance(item, str) for item in value):
        raise Refused(400, f'option "{name}" must be of an array of strings')
    if len(value) > MAX_STOPS or any(len(item) > MAX_STOP_CHARS for item in value):
        raise Refused(400, f'option "{name}": at most {MAX_STOPS} texts of {MAX_STOP_CHARS} characters')
    return tuple(item for item in value if item)


def answer_format(value: Any) -> str:
    """ "" for none, "json", or the JSON text of a schema. Raises Refused (400) in Ollama's words (its status is 500)."""
    if value is None or value == "":
        return ""
    if value == "json":
        return "json"
    text = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict):
        quoted = json.dumps(text[:200], ensure_ascii=False)
        raise Refused(400, f'invalid format: {quoted}; expected "json" or a valid JSON Schema object')
    if len(text) > MAX_SCHEMA_CHARS:
        raise Refused(400, f"format: a schema has at most {MAX_SCHEMA_CHARS} characters")
    return text


def keep_alive(value: Any) -> float | None:
    """Seconds a model stays loaded: a number of them, or "5m"; below 0 for ever; None where it is not said.

    Raises ValueError in Ollama's words.
    """
    if value is None:
        return None
    if isinstance(value, str):
        seconds = _duration(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        named = {"bool": "bool", "array": "[]interface {}", "object": "map[string]interface {}"}
        raise ValueError(f"Unsupported type: '{named.get(kind(value), kind(value))}'")
    # 292 years is the longest that Ollama can count
    return FOREVER if seconds < 0 or seconds > 9e9 else seconds


def _duration(text: str) -> float:
    """Seconds of a duration as Go writes it."""
    body = text[1:] if text[:1] in ("+", "-") and text else text
    sign = -1.0 if text.startswith("-") else 1.0
    shown = json.dumps(text[:100], ensure_ascii=False)
    if body == "0":
        return 0.0
    if len(body) > 60:  # read so far and no further: the expression below takes the cube of the length at worst
        raise ValueError(f"time: invalid duration {shown}")
    parts = _DURATION.findall(body)
    if parts and "".join(number + unit for number, unit in parts) == body:
        return sign * sum(float(number) * _UNITS[unit] for number, unit in parts)
    if re.fullmatch(r"(\d+\.?\d*|\.\d+)", body):
        raise ValueError(f"time: missing unit in duration {shown}")
    raise ValueError(f"time: invalid duration {shown}")


def think(value: Any) -> bool | str | None:
    """``think`` of a request. Raises ValueError in Ollama's words."""
    if value is None or isinstance(value, bool):
        return value
    levels = '"high", "medium", "low", "max", true, or false'
    if not isinstance(value, str):
        raise ValueError(f"think must be a boolean or string ({levels})")
    if value not in ("high", "medium", "low", "max"):
        raise ValueError(f"invalid think value: {json.dumps(value[:100], ensure_ascii=False)} (must be {levels})")
    return value
