"""The OpenAI routes that Ollama has: the same work, answered in OpenAI's form (its middleware/openai.go)."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from programs.serve import answering, refusals, vectors
from programs.serve.asking import Service
from programs.serve.bodies import AnswerBody, dumps, now, received
from programs.serve.ollama_answers import ChatAnswer, GenerateAnswer
from programs.serve.ollama_api import EmbedRequest
from programs.serve.ollama_routes import shown_entry
from programs.serve.openai_api import (
    ChatCompletionRequest,
    CompletionRequest,
    EmbeddingsRequest,
)
from programs.serve.runner import Refused
from programs.serve.streams import SSE, Style, gathered_chat, gathered_generate, streamed
from programs.serve.translating import as_chat, as_generate

JSON = "application/json"
_DONE = "data: [DONE]\n\n"


class OpenAIRoutes:
    """The handlers under /v1."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def chat(self, request: Request) -> Response:
        """POST /v1/chat/completions"""
        with _misread():
            asked = await received(request, ChatCompletionRequest, "EOF", "openai")
            translated = as_chat(asked)
        made = await answering.chat(self._service, translated)
        name = f"chatcmpl-{secrets.randbelow(999)}"
        if isinstance(made, AnswerBody):
            return _json(_chat_completion(name, made))
        if asked.stream:
            chunks = _ChatChunks(name, asked.stream_options.include_usage)
            return await streamed(made, Style(SSE, chunks.text, _failure))
        async with aclosing(made):
            return _json(_chat_completion(name, await gathered_chat(made, asked.model, now())))

    async def completions(self, request: Request) -> Response:
        """POST /v1/completions"""
        with _misread():
            asked = await received(request, CompletionRequest, "EOF", "openai")
            translated = as_generate(asked)
        made = await answering.generate(self._service, translated)
        name = f"cmpl-{secrets.randbelow(999)}"
        if isinstance(made, AnswerBody):
            return _json(_completion(name, made))
        if asked.stream:
            usage = asked.stream_options.include_usage
            return await streamed(made, Style(SSE, lambda piece: _completion_chunk(name, piece, usage), _failure))
        async with aclosing(made):
            return _json(_completion(name, await gathered_generate(made, asked.model, now())))

    async def embeddings(self, request: Request) -> Response:
        """POST /v1/embeddings"""
        with _misread():
            asked = await received(request, EmbeddingsRequest, "EOF", "openai")
            form, given = _vectors_asked(asked)
        made = await vectors.embedded(
            self._service, EmbedRequest(model=asked.model, input=given, dimensions=asked.dimensions)
        )
        data = [
            {"object": "embedding", "embedding": _base64(vector) if form == "base64" else vector, "index": index}
            for index, vector in enumerate(made.embeddings)
        ]
        count = made.metrics.prompt_eval_count
        usage = {"prompt_tokens": count, "total_tokens": count}
        return await asyncio.to_thread(_json, {"object": "list", "data": data, "model": asked.model, "usage": usage})

    async def models(self, request: Request) -> Response:
        """GET /v1/models"""
        entries = await asyncio.to_thread(self._service.catalogue.entries)
        data = [_model(entry.name, int(entry.modified_at.timestamp())) for entry in entries]
        return _json({"object": "list", "data": data or None})

    async def model(self, request: Request) -> Response:
        """GET /v1/models/{model}"""
        name = str(request.path_params["model"])
        entry = await asyncio.to_thread(shown_entry, self._service, name)
        return _json(_model(name, int(entry.modified_at.timestamp())))


@contextmanager
def _misread() -> Iterator[None]:
    """What is refused in this block is answered as Ollama's OpenAI layer answers by itself."""
    try:
        yield
    except Refused as error:
        raise refusals.Misread(error.status, error.message) from None


def _vectors_asked(asked: EmbeddingsRequest) -> tuple[str, Any]:
    """How the vectors are written, and of what. Raises Refused (400)."""
    form = asked.encoding_format.lower()
    if form not in ("", "float", "base64"):
        said = f"Invalid value for 'encoding_format' = {asked.encoding_format[:100]}."
        raise Refused(400, f"{said} Supported values: ['float', 'base64'].")
    if asked.input is None or asked.input == []:
        raise Refused(400, "invalid input")
    return form, [""] if asked.input == "" else asked.input


class _ChatChunks:
    """The events of one streamed chat completion."""

    def __init__(self, name: str, usage: bool) -> None:
        self._head: dict[str, Any] = {"id": name, "object": "chat.completion.chunk", "created": int(time.time())}
        self._usage, self._first, self._called = usage, True, False

    def text(self, piece: ChatAnswer) -> str:
        """The events that one piece makes."""
        head = self._head | {"model": piece.model, "system_fingerprint": "fp_ollama"}
        said = piece.message
        empty = piece.done and not (said.content or said.thinking or said.tool_calls or piece.logprobs)
        made = [] if empty and not self._first else [head | {"choices": [item]} for item in self._choices(piece)]
        if piece.done:
            reason = piece.done_reason or "stop"
            reason = "tool_calls" if reason == "stop" and self._called else reason
            made.append(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
            if self._usage:
                made.append(head | {"choices": [], "usage": _usage(piece)})
        return "".join(_event(chunk) for chunk in made) + (_DONE if piece.done else "")

    def _choices(self, piece: ChatAnswer) -> list[dict[str, Any]]:
        """One choice; thinking and what follows it in the same piece are two."""
        said = piece.message
        role = {"role": "assistant"} if self._first else {}
        calls = {"tool_calls": _tool_calls(piece)} if said.tool_calls else {}
        thought = {"reasoning": said.thinking} if said.thinking else {}
        self._first, self._called = False, self._called or bool(calls)
        logprobs = {"logprobs": {"content": piece.logprobs}} if piece.logprobs else {}
        deltas: list[dict[str, Any]] = [role | {"content": said.content} | thought | calls]
        if thought and (said.content or calls):
            deltas = [{**role, **thought}, {"content": said.content, **calls}]
        return [
            {"index": 0, "delta": delta, "finish_reason": None} | (logprobs if index == 0 else {})
            for index, delta in enumerate(deltas)
        ]


def _event(chunk: dict[str, Any]) -> str:
    return f"data: {dumps(chunk)}\n\n"


def _failure(error: Refused) -> str:
    return _event(refusals.openai_body(error.status, error.message))


def _tool_calls(answer: ChatAnswer) -> list[dict[str, Any]]:
    return [
        {
            "id": call.id,
            "index": call.function.index,
            "type": "function",
            "function": {
                "name": call.function.name,
                "arguments": json.dumps(call.function.arguments, ensure_ascii=False, separators=(",", ":")),
            },
        }
        for call in answer.message.tool_calls
    ]


def _chat_completion(name: str, answer: ChatAnswer) -> dict[str, Any]:
    said = answer.message
    message: dict[str, Any] = {"role": said.role, "content": said.content}
    if said.thinking:
        message["reasoning"] = said.thinking
    if said.tool_calls:
        message["tool_calls"] = _tool_calls(answer)
    reason = "tool_calls" if answer.done_reason == "stop" and said.tool_calls else answer.done_reason or None
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": reason}
    if answer.logprobs:
        choice["logprobs"] = {"content": answer.logprobs}
    made = _head(name, "chat.completion", answer.model) | {"choices": [choice], "usage": _usage(answer)}
    return made | ({"_debug_info": answer.debug_info} if answer.debug_info else {})


def _completion(name: str, answer: GenerateAnswer) -> dict[str, Any]:
    choice = {"text": answer.response, "index": 0, "finish_reason": answer.done_reason or None}
    return _head(name, "text_completion", answer.model) | {"choices": [choice], "usage": _usage(answer)}


def _completion_chunk(name: str, piece: GenerateAnswer, usage: bool) -> str:
    choice = {"text": piece.response, "index": 0, "finish_reason": piece.done_reason or None}
    head = {"id": name, "object": "text_completion", "created": int(time.time())}
    more: dict[str, Any] = {"model": piece.model, "system_fingerprint": "fp_ollama"}
    none = {"usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}} if usage else {}
    text = _event(head | {"choices": [choice]} | more | none)
    if piece.done and usage:
        text += _event(head | {"choices": []} | more | {"usage": _usage(piece)})
    return text + (_DONE if piece.done else "")


def _head(name: str, kind: str, model: str) -> dict[str, Any]:
    made = {"id": name, "object": kind, "created": int(time.time()), "model": model}
    return made | {"system_fingerprint": "fp_ollama"}


def _usage(answer: ChatAnswer | GenerateAnswer) -> dict[str, int]:
    read, made = answer.metrics.prompt_eval_count, answer.metrics.eval_count
    return {"prompt_tokens": read, "completion_tokens": made, "total_tokens": read + made}


def _model(name: str, created: int) -> dict[str, Any]:
    owner = name.split("/")[-2] if "/" in name else "library"
    return {"id": name, "object": "model", "created": created, "owned_by": owner}


def _base64(vector: tuple[float, ...]) -> str:
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()


def _json(value: dict[str, Any]) -> Response:
    return Response(dumps(value) + "\n", media_type=JSON)
