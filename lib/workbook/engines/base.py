"""The seam: what every engine can do, and the clock they share."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, overload

from workbook.engines.types import Answer, Context, Info, Message, ModelEntry, Options, Piece, Source, Stream


class Engine(ABC):
    """What every engine can do. Options are keyword arguments: the fields of ``Options``."""

    name: str
    model: str
    context: Context = Context()

    def __init__(self, model: str, why: str, options: Options | None = None) -> None:
        self.model, self.why = model, why
        self.options = options or Options()

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
        if known.get("total_ns") is None:
            known["total_ns"], sources["total_ns"] = self._clock() - self.started, "client clock"
        thinking = "".join(self.thinking)
        return Answer(
            text="".join(self.text), thinking=thinking or None, engine=engine, model=model, sources=sources, **known
        )

    def with_generation_time(self, answer: Answer) -> Answer:
        """``answer`` with gen_ns from the client's clock, first to last piece: where no server tells it."""
        if self.first_ns is None or self.last_ns is None:
            return answer
        return replace(
            answer, gen_ns=self.last_ns - self.first_ns, sources={**answer.sources, "gen_ns": "client clock"}
        )
