"""The OpenAI routes that Ollama has: the same work, answered in OpenAI's form (its middleware/openai.go)."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from contextlib import aclosing
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from programs.serve import vectors
from programs.serve.bodies import (
    ChatCompletionRequest,
    ChatRequest,
    CompletionRequest,
    EmbedRequest,
    not_done,
    received,
)
from programs.serve.generation import Ask, End, Part, answered
from programs.serve.ollama_routes import OllamaRoutes, as_json, dumps, logprobs, sampling, streamed
from programs.serve.runner import Refused

SSE, _DONE = "text/event-stream", "data: [DONE]\n\n"
_KINDS = {400: "invalid_request_error", 404: "not_found_error"}


class OpenAIRoutes:
    """The handlers under /v1."""

    def __init__(self, ollama: OllamaRoutes) -> None:
        self._ollama = ollama

    async def chat(self, request: Request) -> Response:
        """POST /v1/chat/completions"""
        asked = await received(request, ChatCompletionRequest)
        entry = await self._ollama.entry(asked.model)
        translated: ChatRequest = asked.as_chat()
        return await self._answer(asked, self._ollama.chat_ask(entry, translated), _Chat(asked))

    async def completions(self, request: Request) -> Response:
        """POST /v1/completions"""
        asked = await received(request, CompletionRequest)
        entry = await self._ollama.entry(asked.model)
        if asked.suffix:
            raise not_done("fill-in-the-middle (suffix)")
        if not asked.prompt:
            raise Refused(400, "prompt: give at least one character")
        if "completion" not in entry.capabilities:
            raise Refused(400, f'"{asked.model}" does not support generate')
        messages = ({"role": "user", "content": asked.prompt},)
        ask = Ask(entry, sampling(entry, asked.options()), messages=messages, as_text=True)
        return await self._answer(asked, ask, _Text(asked))

    async def _answer(self, asked: CompletionRequest, ask: Ask, form: _Chat) -> Response:
        answer = answered(self._ollama.pool, ask)
        if asked.stream:
            return await streamed(answer, form.events, lambda error: _event(error_body(500, error)), SSE)
        parts: list[Part] = []
        async with aclosing(answer):
            async for one in answer:
                if isinstance(one, End):
                    return as_json(form.whole(parts, one))
                parts.append(one)
        raise Refused(500, "the model gave no answer")

    async def embeddings(self, request: Request) -> Response:
        """POST /v1/embeddings"""
        asked = await received(request, EmbedRequest)
        entry = await self._ollama.entry(asked.model, pulling=True)
        texts = [asked.input] if isinstance(asked.input, str) else asked.input
        if not texts:
            raise Refused(400, "input: give at least one text")
        made = await vectors.vectors(self._ollama.pool, entry, asked, texts, sampling(entry, asked.options))
        form = _base64 if asked.encoding_format == "base64" else list
        data = [{"object": "embedding", "embedding": form(one), "index": at} for at, one in enumerate(made.vectors)]
        usage = {"prompt_tokens": made.n_prompt, "total_tokens": made.n_prompt}
        return as_json({"object": "list", "data": data, "model": asked.model, "usage": usage})

    async def models(self, request: Request) -> Response:
        """GET /v1/models"""
        entries = await asyncio.to_thread(self._ollama.catalogue.entries)
        data = [_model(entry.name, int(entry.modified_at.timestamp())) for entry in entries]
        return as_json({"object": "list", "data": data})

    async def model(self, request: Request) -> Response:
        """GET /v1/models/{model}"""
        name = str(request.path_params["model"])
        entry = await self._ollama.entry(name)
        return as_json(_model(name, int(entry.modified_at.timestamp())))


class _Chat:
    """One chat completion: as events, or whole."""

    name, kind = "chatcmpl", "chat.completion"

    def __init__(self, asked: CompletionRequest) -> None:
        self._asked, self._first = asked, True
        self._id, self._created = f"{self.name}-{secrets.randbelow(1000)}", int(time.time())

    def head(self, kind: str) -> dict[str, Any]:
        """What every object begins with."""
        made = {"id": self._id, "object": kind, "created": self._created, "model": self._asked.model}
        return made | {"system_fingerprint": "fp_ollama"}

    def events(self, one: Part | End) -> str:
        """The events that a part, or the end, makes."""
        chunks = [self.head(f"{self.kind}.chunk") | {"choices": [choice]} for choice in self._choices(one)]
        if isinstance(one, End) and self._asked.stream_options.include_usage:
            chunks.append(self.head(f"{self.kind}.chunk") | {"choices": [], "usage": _usage(one)})
        return "".join(map(_event, chunks)) + (_DONE if isinstance(one, End) else "")

    def _choices(self, one: Part | End) -> list[dict[str, Any]]:
        role, self._first = ({"role": "assistant"} if self._first else {}), False
        if isinstance(one, Part):
            thought = {"reasoning": one.thinking} if one.thinking else {}
            choice = {"index": 0, "delta": {**role, "content": one.content, **thought}, "finish_reason": None}
            return [choice | ({"logprobs": {"content": self._scored([one])}} if one.logprobs else {})]
        calls = {"tool_calls": _calls(one)} if one.calls else {}
        said = [{"index": 0, "delta": {**role, "content": "", **calls}, "finish_reason": None}] if calls or role else []
        return [*said, {"index": 0, "delta": {}, "finish_reason": _reason(one)}]

    def _scored(self, parts: list[Part]) -> list[dict[str, Any]]:
        return [token for part in parts for token in logprobs(part, getattr(self._asked, "top_logprobs", 0))]

    def whole(self, parts: list[Part], end: End) -> dict[str, Any]:
        """The answer in one."""
        thinking = "".join(part.thinking for part in parts)
        message: dict[str, Any] = {"role": "assistant", "content": "".join(part.content for part in parts)}
        message |= ({"reasoning": thinking} if thinking else {}) | ({"tool_calls": _calls(end)} if end.calls else {})
        scored = self._scored(parts)
        choice = {"index": 0, "message": message, "finish_reason": _reason(end)}
        choice |= {"logprobs": {"content": scored}} if scored else {}
        return self.head(self.kind) | {"choices": [choice], "usage": _usage(end)}


class _Text(_Chat):
    """One text completion: as events, or whole."""

    name, kind = "cmpl", "text_completion"

    def events(self, one: Part | End) -> str:
        """The events that a part, or the end, makes."""
        end = isinstance(one, End)
        choice = {
            "text": "" if isinstance(one, End) else one.content,
            "index": 0,
            "finish_reason": _reason(one) if isinstance(one, End) else None,
        }
        wanted = self._asked.stream_options.include_usage
        none = {"usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}} if wanted else {}
        text = _event(self.head(self.kind) | {"choices": [choice]} | none)
        if isinstance(one, End) and wanted:
            text += _event(self.head(self.kind) | {"choices": [], "usage": _usage(one)})
        return text + (_DONE if end else "")

    def whole(self, parts: list[Part], end: End) -> dict[str, Any]:
        """The answer in one."""
        choice = {"text": "".join(part.content for part in parts), "index": 0, "finish_reason": _reason(end)}
        return self.head(self.kind) | {"choices": [choice], "usage": _usage(end)}


def error_body(status: int, message: str) -> dict[str, Any]:
    """An error as OpenAI's clients read it."""
    return {"error": {"message": message, "type": _KINDS.get(status, "api_error"), "param": None, "code": None}}


def _event(chunk: dict[str, Any]) -> str:
    return f"data: {dumps(chunk)}\n\n"


def _reason(end: End) -> str:
    return "tool_calls" if end.calls and end.reason == "stop" else end.reason


def _calls(end: End) -> list[dict[str, Any]]:
    return [
        {"id": call["id"], "index": at, "type": "function",
         "function": {"name": call["name"], "arguments": dumps(call["arguments"])}}
        for at, call in enumerate(end.calls)
    ]  # fmt: skip


def _usage(end: End) -> dict[str, int]:
    return {"prompt_tokens": end.n_prompt, "completion_tokens": end.n_gen, "total_tokens": end.n_prompt + end.n_gen}


def _model(name: str, created: int) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": created,
        "owned_by": name.split("/")[-2] if "/" in name else "library",
    }


def _base64(vector: list[float]) -> str:
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()
