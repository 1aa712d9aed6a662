"""The seam: what every engine can do, the answer it gives, and the clock they share."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, overload

from workbook.engines.options import Options
from workbook.errors import NotJSON, NotToSchema

Message = Mapping[str, str]
"""``{"role": "system" | "user" | "assistant", "content": ...}``"""

Source = Literal["server", "engine", "client clock", "tokenizer"]


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


class Engine(ABC):
    """What every engine can do. Options are keyword arguments: the fields of ``Options``."""

    name: str
    model: str
    context: Context = Context()

    def __init__(self, model: str, why: str) -> None:
        self.model, self.why = model, why
        self.options = Options()

    @overload
    def complete(self, prompt: str, *, stream: Literal[False] = False, **options: Any) -> Answer: ...
    @overload
    def complete(self, prompt: str, *, stream: Literal[True], **options: Any) -> Stream: ...
    def complete(self, prompt: str, *, stream: bool = False, **options: Any) -> Answer | Stream:
        """Continue ``prompt`` as it stands, with no chat template."""
        return self._run(prompt, stream, options)

    @overload
    def chat(self, messages: str | Sequence[Message], *, stream: Literal[False] = False, **options: Any) -> Answer: ...
    @overload
    def chat(self, messages: str | Sequence[Message], *, stream: Literal[True], **options: Any) -> Stream: ...
    def chat(self, messages: str | Sequence[Message], *, stream: bool = False, **options: Any) -> Answer | Stream:
        """Answer the messages (or one user message) through the model's chat template."""
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        return self._run(list(messages), stream, options)

    def _run(self, request: str | list[Message], stream: bool, options: dict[str, Any]) -> Answer | Stream:
        events = Stream(self._events(request, self.options.but(options), stream))
        return events if stream else events.answer

    @abstractmethod
    def _events(self, request: str | list[Message], options: Options, stream: bool) -> Iterator[Piece | Answer]:
        """The pieces, then the answer. A string is a raw prompt, a list is a chat."""

    @abstractmethod
    def embed(self, texts: Sequence[str], model: str | None = None) -> list[list[float]]:
        """One vector a text, of length 1."""

    @abstractmethod
    def models(self) -> list[ModelEntry]:
        """The models this engine has."""

    @abstractmethod
    def info(self) -> Info:
        """Which engine and model answer."""

    def unload(self) -> None:
        """Free the model's memory, where the engine can."""

    def close(self) -> None:
        """Give back what the engine holds."""
        self.unload()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Collector:
    """Gathers the pieces of a stream and the client's clock into one Answer."""

    def __init__(self, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self._clock, self.started = clock, clock()
        self.text: list[str] = []
        self.thinking: list[str] = []
        self.first_ns: int | None = None
        self.last_ns: int | None = None

    def add(self, piece: Piece) -> Piece:
        """Note a piece and when it came."""
        now = self._clock() - self.started
        if piece.text or piece.thinking:
            self.first_ns = now if self.first_ns is None else self.first_ns
            self.last_ns = now
        self.text.append(piece.text)
        self.thinking.append(piece.thinking)
        return piece

    def answer(self, engine: str, model: str, source: Source, stream: bool, **known: Any) -> Answer:
        """The answer; ``known`` are figures of ``source``, the rest is the client's clock."""
        sources: dict[str, Source] = {k: source for k, v in known.items() if v is not None and k != "finish_reason"}
        if stream and self.first_ns is not None:
            known["ttft_ns"], sources["ttft_ns"] = self.first_ns, "client clock"
            if known.get("gen_ns") is None and self.last_ns is not None:  # first to last piece
                known["gen_ns"], sources["gen_ns"] = self.last_ns - self.first_ns, "client clock"
        if known.get("total_ns") is None:
            known["total_ns"], sources["total_ns"] = self._clock() - self.started, "client clock"
        thinking = "".join(self.thinking)
        return Answer(
            text="".join(self.text), thinking=thinking or None, engine=engine, model=model, sources=sources, **known
        )
