"""How to sample: every option, with one meaning whatever the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from workbook.errors import BadOption

REPEAT_LAST_N = 64
"""How many tokens back the repetition penalty looks: the default of llama.cpp and of Ollama."""

_WHOLE = ("top_k", "seed", "num_predict", "num_ctx")


@dataclass(frozen=True)
class Options:
    """How to sample. Every field is sent to every engine, because their own defaults differ.

    temperature 0 is greedy; top_k 0, top_p 1, min_p 0 and repeat_penalty 1 switch that step off.
    seed: the same seed draws the same random numbers. num_predict and num_ctx are in tokens.
    stop: texts that end the answer. think: ask a reasoning model to think first.
    format: a JSON schema the answer must follow.
    timeout_s: seconds to wait for the next piece before giving up.
    """

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    seed: int = 42
    num_predict: int = 128
    stop: tuple[str, ...] = ()
    num_ctx: int = 2048
    think: bool = False
    format: Mapping[str, Any] | None = None
    timeout_s: float = 300.0

    def __post_init__(self) -> None:
        limits = {
            "temperature": (0, 100), "top_k": (0, 2**31 - 1), "top_p": (0, 1), "min_p": (0, 1),
            "repeat_penalty": (0.01, 100), "seed": (0, 2**32 - 2), "num_predict": (1, 2**31 - 1),
            "num_ctx": (1, 2**31 - 1), "timeout_s": (0.001, 86_400),
        }  # fmt: skip
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            kind, word = (int, "whole number") if name in _WHOLE else (int | float, "number")
            if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
                raise BadOption(f"{name}={value!r}: give a {word} from {low} to {high}.")
        if isinstance(self.stop, str):
            object.__setattr__(self, "stop", (self.stop,))
        object.__setattr__(self, "stop", tuple(self.stop))

    def but(self, changes: Mapping[str, Any]) -> Options:
        """These options with ``changes``; an unknown name is refused with the known ones."""
        known = [f.name for f in fields(self)]
        for name in changes:
            if name not in known:
                raise BadOption(f"{name!r} is not an option. Options: {', '.join(known)}.")
        return replace(self, **changes)
