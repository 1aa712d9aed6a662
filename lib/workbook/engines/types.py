"""What travels over the seam: options in, pieces and one answer out, whatever the engine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from workbook.errors import BadOption, NotJSON, NotToSchema

Message = Mapping[str, str]
"""``{"role": "system" | "user" | "assistant", "content": ...}``"""

Source = Literal["server", "engine", "client clock", "tokenizer"]


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


@dataclass(frozen=True)
class Answer:
    """What an engine answered, and what it cost. None: this engine cannot know it.

    ``finish_reason``: "stop" (the model ended) or "length" (num_predict or the context did).
    ``n_prompt`` counts all tokens of the prompt, ``n_cached`` those not computed again.
    ``ttft_ns``: from the call to the first piece of text or thinking (client clock; streams only).
    ``sources``: for each figure that is not None, where it came from.
    """

    text: str
    engine: str
    model: str
    thinking: str | None = None
    finish_reason: str | None = None
    n_prompt: int | None = None
    n_cached: int | None = None
    n_gen: int | None = None
    load_ns: int | None = None
    prompt_ns: int | None = None
    gen_ns: int | None = None
    total_ns: int | None = None
    ttft_ns: int | None = None
    sources: Mapping[str, Source] = field(default_factory=dict)

    @property
    def tg_ts(self) -> float | None:
        """Generated tokens per second. The first token comes with the prompt, so n - 1 over the time."""
        if self.n_gen is None or self.n_gen < 2 or not self.gen_ns:
            return None
        return (self.n_gen - 1) / self.gen_ns * 1e9

    @property
    def pp_ts(self) -> float | None:
        """Prompt tokens computed per second; None where the engine does not say how many were cached."""
        if self.n_prompt is None or self.n_cached is None or not self.prompt_ns:
            return None
        return (self.n_prompt - self.n_cached) / self.prompt_ns * 1e9

    def json(self, model: Any = None) -> Any:
        """The text as JSON; with a pydantic ``model``, as an instance of it.

        Raises NotJSON or NotToSchema with the start of what came instead.
        """
        try:
            value = json.loads(self.text)
        except ValueError as error:
            why = "it was cut at num_predict: raise it." if self.finish_reason == "length" else f"{error}."
            raise NotJSON(f"The answer is not JSON: {why} It begins: {self.text[:60]!r}") from None
        if model is None:
            return value
        try:
            return model.model_validate(value)
        except ValueError as error:
            first = error.errors()[0] if hasattr(error, "errors") else {"msg": str(error), "loc": ()}
            place = ".".join(map(str, first["loc"])) or "the top"
            raise NotToSchema(f"The answer is not a {model.__name__}: {first['msg']} at {place}.") from None


@dataclass(frozen=True)
class Piece:
    """A piece of a stream: text, or thinking."""

    text: str = ""
    thinking: str = ""


class Stream:
    """Iterate for the pieces of text as they come; ``answer`` is there at the end.

    Leaving the loop early, or ``close()``, stops the generation.
    """

    def __init__(self, events: Iterator[Piece | Answer]) -> None:
        self._events = events
        self._answer: Answer | None = None

    def pieces(self) -> Iterator[Piece]:
        """The pieces, thinking included."""
        for event in self._events:
            if isinstance(event, Answer):
                self._answer = event
            else:
                yield event

    def __iter__(self) -> Iterator[str]:
        for piece in self.pieces():
            if piece.text:
                yield piece.text

    @property
    def answer(self) -> Answer:
        """The whole answer; reads what is left of the stream first."""
        for _ in self.pieces():
            pass
        if self._answer is None:
            raise RuntimeError("this stream was closed before its end")
        return self._answer

    def close(self) -> None:
        """Stop the generation."""
        close = getattr(self._events, "close", None)
        if close:
            close()


@dataclass(frozen=True)
class Info:
    """Which engine and model answer. None: this engine cannot know it."""

    engine: str
    engine_version: str | None
    model: str
    why: str
    build_info: str | None = None
    quant: str | None = None
    model_type: str | None = None
    digest: str | None = None
    model_size_bytes: int | None = None
    model_n_params: int | None = None
    n_ctx_train: int | None = None
    base_url: str | None = None
    pids: tuple[int, ...] = ()

    def __str__(self) -> str:
        version = f" {self.engine_version}" if self.engine_version else ""
        quant = f", {self.quant}" if self.quant else ""
        return f"{self.engine}{version}: {self.model}{quant} ({self.why})"


@dataclass(frozen=True)
class Context:
    """What the model is loaded with, under llama.cpp's names. None: this engine cannot know it."""

    n_batch: int | None = None
    n_ubatch: int | None = None
    n_threads: int | None = None
    n_gpu_layers: int | None = None
    type_k: str | None = None
    type_v: str | None = None
    flash_attn: Literal["auto", "on", "off"] | None = None


@dataclass(frozen=True)
class ModelEntry:
    """A model that an engine has."""

    name: str
    size_bytes: int | None = None
    quant: str | None = None
    model_type: str | None = None
    digest: str | None = None
