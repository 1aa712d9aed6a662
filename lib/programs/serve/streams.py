"""Answers on their way: pieces as lines of JSON or as server-sent events, or gathered into one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from programs.serve import refusals
from programs.serve.bodies import AnswerBody, dumps
from programs.serve.ollama_answers import CallAnswer, ChatAnswer, GenerateAnswer, Logprob
from programs.serve.runner import Refused

JSON, NDJSON, SSE = "application/json; charset=utf-8", "application/x-ndjson", "text/event-stream"
A = TypeVar("A")


@dataclass(frozen=True)
class Style(Generic[A]):
    """How pieces become text, and how a failure in mid-stream does."""

    media_type: str
    piece: Callable[[A], str]
    failure: Callable[[Refused], str]


def ndjson() -> Style[Any]:
    """One JSON object a line, as Ollama's own routes stream."""
    return Style(
        NDJSON, lambda answer: dumps(answer) + "\n", lambda error: dumps(refusals.ollama_body(error.message)) + "\n"
    )


class Streamed(Response):
    """The pieces as they come. When the client goes, or is too slow, the source is closed, and its work stops."""

    def __init__(self, first: A | None, rest: AsyncGenerator[A, None], style: Style[A]) -> None:
        super().__init__(media_type=style.media_type)
        del self.headers["content-length"]
        self.raw_headers = [pair for pair in self.raw_headers if pair[0] != b"content-type"]
        self.raw_headers.append((b"content-type", style.media_type.encode()))
        self._pieces = _texts(first, rest, style)
        self._source = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the pieces."""
        async with aclosing(self._source), aclosing(self._pieces):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for text in self._pieces:
                await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _texts(first: A | None, rest: AsyncGenerator[A, None], style: Style[A]) -> AsyncGenerator[str, None]:
    try:
        if first is not None:
            yield style.piece(first)
        async for answer in rest:
            yield style.piece(answer)
    except Refused as error:
        yield style.failure(error)


async def streamed(pieces: AsyncGenerator[A, None], style: Style[A]) -> Streamed:
    """A streamed answer. What is refused before the first piece is raised: it has a status of its own."""
    try:
        first = await anext(pieces, None)
    except BaseException:
        await pieces.aclose()
        raise
    return Streamed(first, pieces, style)


def whole(answer: AnswerBody, status: int = 200, media_type: str = JSON, end: str = "") -> Response:
    """One answer as one JSON object."""
    return Response(dumps(answer) + end, status, media_type=media_type)


async def gathered_generate(pieces: AsyncIterator[GenerateAnswer], name: str, at: str) -> GenerateAnswer:
    """The pieces of /api/generate as one answer: the last one with all texts before it."""
    last = GenerateAnswer(model=name, created_at=at)
    texts, thinking = [], []
    logprobs: list[Logprob] = []
    async for last in pieces:
        texts.append(last.response)
        thinking.append(last.thinking)
        logprobs += last.logprobs
    return last.model_copy(update={"response": "".join(texts), "thinking": "".join(thinking), "logprobs": logprobs})


async def gathered_chat(pieces: AsyncIterator[ChatAnswer], name: str, at: str) -> ChatAnswer:
    """The pieces of /api/chat as one answer: the last one with all texts and calls before it."""
    last = ChatAnswer(model=name, created_at=at)
    texts, thinking = [], []
    calls: list[CallAnswer] = []
    logprobs: list[Logprob] = []
    async for last in pieces:
        texts.append(last.message.content)
        thinking.append(last.message.thinking)
        calls += last.message.tool_calls
        logprobs += last.logprobs
    message = last.message.model_copy(
        update={"content": "".join(texts), "thinking": "".join(thinking), "tool_calls": calls}
    )
    return last.model_copy(update={"message": message, "logprobs": logprobs})
