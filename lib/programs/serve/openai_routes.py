"""The OpenAI routes that Ollama has: the same work, answered in OpenAI's form (its middleware/openai.go)."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from datetime import datetime
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from programs.serve import bodies
from programs.serve.bodies import AnswerRequest, ChatRequest, checked, received
from programs.serve.generation import Ask, End, Part, answered, gathered
from programs.serve.ollama_routes import OllamaRoutes, as_json, dumps, logprobs, streamed
from programs.serve.runner import Refused

_KINDS = {400: "invalid_request_error", 404: "not_found_error"}


class OpenAIRoutes:
    """The handlers under /v1."""

    def __init__(self, ollama: OllamaRoutes) -> None:
        self._ollama = ollama

    async def chat(self, request: Request) -> Response:
        """POST /v1/chat/completions"""
        asked = checked(ChatRequest, bodies.from_openai(await received(request)))
        entry = await self._ollama.entry(asked.model)
        if not asked.messages:
            raise Refused(400, "messages: give at least one")
        return await self._answer(asked, self._ollama.chat_ask(entry, asked))

    async def completions(self, request: Request) -> Response:
        """POST /v1/completions"""
        asked = checked(bodies.GenerateRequest, bodies.from_openai(await received(request)))
        entry = await self._ollama.entry(asked.model)
        if asked.suffix:
            raise bodies.not_done("fill-in-the-middle (suffix)")
        if not asked.prompt:
            raise Refused(400, "prompt: give at least one character")
        return await self._answer(asked, self._ollama.generate_ask(entry, asked))

    async def _answer(self, asked: AnswerRequest, ask: Ask) -> Response:
        form, answer = _Form(asked), answered(self._ollama.pool, ask)
        if asked.stream:
            return await streamed(answer, form.events, lambda e: _event(error_body(500, e)), "text/event-stream")
        return as_json(form.whole(*await gathered(answer)))

    async def embeddings(self, request: Request) -> Response:
        """POST /v1/embeddings"""
        asked = checked(bodies.EmbedRequest, await received(request))
        if not asked.input:
            raise Refused(400, "input: give at least one text")
        made = await self._ollama.vectors(asked, asked.input)
        form = _base64 if asked.encoding_format == "base64" else list
        data = [{"object": "embedding", "embedding": form(one), "index": at} for at, one in enumerate(made.vectors)]
        usage = {"prompt_tokens": made.n_prompt, "total_tokens": made.n_prompt}
        return as_json({"object": "list", "data": data, "model": asked.model, "usage": usage})

    async def models(self, request: Request) -> Response:
        """GET /v1/models"""
        entries = await asyncio.to_thread(self._ollama.catalogue.entries)
        return as_json({"object": "list", "data": [_model(entry.name, entry.modified_at) for entry in entries]})

    async def model(self, request: Request) -> Response:
        """GET /v1/models/{model}"""
        name = str(request.path_params["model"])
        return as_json(_model(name, (await self._ollama.entry(name)).modified_at))


class _Form:
    """One completion, of a chat or a text, in OpenAI's form: as events, or whole."""

    def __init__(self, asked: AnswerRequest) -> None:
        self._asked, self._role = asked, {"role": "assistant"}
        self._chat = isinstance(asked, ChatRequest)
        self._id, self._created = secrets.randbelow(1000), int(time.time())

    def _object(self, choices: list[dict[str, Any]], end: End | None, chunk: str = ".chunk") -> dict[str, Any]:
        name, kind = ("chatcmpl", f"chat.completion{chunk}") if self._chat else ("cmpl", "text_completion")
        made = {"id": f"{name}-{self._id}", "object": kind, "created": self._created, "model": self._asked.model}
        return made | {"system_fingerprint": "fp_ollama", "choices": choices} | ({"usage": _usage(end)} if end else {})

    def _choice(self, part: Part, end: End | None, field: str) -> dict[str, Any]:
        """``field``: "delta" in an event, "message" in a whole answer."""
        reason = None if end is None else "tool_calls" if end.calls and end.reason == "stop" else end.reason
        if not self._chat:
            return {"index": 0, "text": part.content, "finish_reason": reason}
        said: dict[str, Any] = {**self._role, "content": part.content}
        said |= {"reasoning": part.thinking} if part.thinking else {}
        said |= {"tool_calls": _calls(end)} if end and end.calls else {}
        scored = {"logprobs": {"content": logprobs(part, self._asked)}} if part.logprobs else {}
        return {"index": 0, field: said, "finish_reason": reason, **scored}

    def events(self, one: Part | End) -> str:
        """The events that a part, or the end, makes."""
        part, end = (one, None) if isinstance(one, Part) else (Part(), one)
        choices = [self._choice(part, end, "delta")]
        if self._chat and end:  # the reason comes after all else
            said = [choices[0] | {"finish_reason": None}] if end.calls or self._role else []
            choices = [*said, choices[0] | {"delta": {}}]
        self._role = {}
        chunks = [self._object([choice], None) for choice in choices]
        chunks += [self._object([], end)] if self._asked.include_usage and end else []
        return "".join(map(_event, chunks)) + ("data: [DONE]\n\n" if end else "")

    def whole(self, part: Part, end: End) -> dict[str, Any]:
        """The answer in one."""
        return self._object([self._choice(part, end, "message")], end, chunk="")


def error_body(status: int, message: str) -> dict[str, Any]:
    """An error as OpenAI's clients read it."""
    return {"error": {"message": message, "type": _KINDS.get(status, "api_error"), "param": None, "code": None}}


def _event(chunk: dict[str, Any]) -> str:
    return f"data: {dumps(chunk)}\n\n"


def _calls(end: End) -> list[dict[str, Any]]:
    return [
        {"id": call["id"], "index": at, "type": "function",
         "function": {"name": call["name"], "arguments": dumps(call["arguments"])}}
        for at, call in enumerate(end.calls)
    ]  # fmt: skip


def _usage(end: End) -> dict[str, int]:
    return {"prompt_tokens": end.n_prompt, "completion_tokens": end.n_gen, "total_tokens": end.n_prompt + end.n_gen}


def _model(name: str, modified: datetime) -> dict[str, Any]:
    owner = name.split("/")[-2] if "/" in name else "library"
    return {"id": name, "object": "model", "created": int(modified.timestamp()), "owned_by": owner}


def _base64(vector: list[float]) -> str:
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()
