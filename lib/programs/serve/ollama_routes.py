"""Ollama's routes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from programs.serve import bodies
from programs.serve.bodies import AnswerRequest, ChatRequest, EmbedRequest, SamplingAsked, checked, received
from programs.serve.cards import Entry
from programs.serve.catalogue import NAME, Catalogue
from programs.serve.generation import Answer, Ask, End, Part, answered, gathered
from programs.serve.runner import Pool, Refused
from programs.serve.vectors import Vectors, vectors
from workbook.engines import schemas
from workbook.errors import BadOption, ModelNotFound

VERSION = "0.32.15"  # whose behaviour this follows


class OllamaRoutes:
    """The handlers of Ollama's own API."""

    def __init__(self, catalogue: Catalogue, pool: Pool) -> None:
        self.catalogue, self.pool = catalogue, pool

    async def root(self, request: Request) -> Response:
        """GET /"""
        return PlainTextResponse("Ollama is running")

    async def version(self, request: Request) -> Response:
        """GET /api/version"""
        return as_json({"version": VERSION})

    async def generate(self, request: Request) -> Response:
        """POST /api/generate"""
        began, asked = time.perf_counter_ns(), checked(bodies.GenerateRequest, await received(request))
        entry = await self.entry(asked.model)
        if not asked.prompt:
            return await self._loaded(entry, asked)
        for what in ("images", "suffix", "template"):
            if getattr(asked, what):
                raise bodies.not_done(what)
        return await self._answer(self.generate_ask(entry, asked), asked, began)

    async def chat(self, request: Request) -> Response:
        """POST /api/chat"""
        began, asked = time.perf_counter_ns(), checked(ChatRequest, await received(request))
        entry = await self.entry(asked.model)
        if not asked.messages:
            return await self._loaded(entry, asked)
        return await self._answer(self.chat_ask(entry, asked), asked, began)

    async def entry(self, name: str, missing: str = "model '{}' not found") -> Entry:
        """The model of that name. Raises Refused: 400 if it cannot be a name, 404 if there is none.

        ``missing``: what is then said, as Ollama says it: page 21 shows three forms.
        """
        if name.strip() and not NAME.fullmatch(name.strip()):
            raise Refused(400, "invalid model name")
        try:
            return await asyncio.to_thread(self.catalogue.find, name.strip())
        except ModelNotFound:
            raise Refused(404, missing.format(name)) from None

    def _ask(self, entry: Entry, asked: AnswerRequest) -> Ask:
        """What all requests for an answer have. Raises Refused (400)."""
        if "completion" not in entry.capabilities:
            route = "chat" if isinstance(asked, ChatRequest) else "generate"
            raise Refused(400, f'"{asked.model}" does not support {route}')
        if asked.think and "thinking" not in entry.capabilities:
            raise Refused(400, f'"{asked.model}" does not support thinking')
        return Ask(entry, asked, sampling(entry, asked.options), grammar=_grammar(asked.format))

    def generate_ask(self, entry: Entry, asked: bodies.GenerateRequest) -> Ask:
        """The request for an answer to a prompt. Raises Refused (400)."""
        ask = self._ask(entry, asked)
        if asked.raw:
            if asked.system or asked.context:
                raise Refused(400, "raw mode does not support system or context")
            return replace(ask, prompt=asked.prompt)
        messages = _begun(entry, asked.system, {"role": "user", "content": asked.prompt})
        thinks = "thinking" in entry.capabilities and not ask.grammar
        return replace(ask, messages=messages, context=tuple(asked.context), as_text=not thinks)

    def chat_ask(self, entry: Entry, asked: ChatRequest) -> Ask:
        """The request for an answer to messages. Raises Refused (400, 501)."""
        ask, messages = self._ask(entry, asked), [message.for_llama() for message in asked.messages]
        tools = tuple(tool.offered() for tool in asked.tools)
        if tools and asked.logprobs:
            raise Refused(400, "logprobs cannot be given together with tools")
        return replace(ask, messages=_begun(entry, "", *messages), tools=tools)

    async def _loaded(self, entry: Entry, asked: AnswerRequest) -> Response:
        """The answer to a request without a prompt: the model is loaded, or with keep_alive 0 unloaded."""
        if asked.keep_alive == 0:
            await self.pool.unload(entry)
        else:
            async with self.pool.child(entry, self._ask(entry, asked).options.setting(entry), asked.keep_alive):
                pass
        reason = "unload" if asked.keep_alive == 0 else "load"
        return as_json(_line(asked, Part()) | {"done": True, "done_reason": reason})

    async def _answer(self, ask: Ask, asked: AnswerRequest, began: int) -> Response:
        answer = answered(self.pool, ask)
        if not asked.stream:
            part, end = await gathered(answer)
            return as_json(_line(asked, part, end, began))

        def text(one: Part | End) -> str:
            line = _line(asked, one) if isinstance(one, Part) else _line(asked, Part(), one, began)
            return dumps(line) + "\n"

        return await streamed(answer, text, lambda error: dumps({"error": error}) + "\n", "application/x-ndjson")

    async def vectors(self, asked: EmbedRequest, texts: list[str]) -> Vectors:
        """The vectors of these texts. Raises Refused."""
        entry = await self.entry(asked.model, 'model "{}" not found, try pulling it first')
        return await vectors(self.pool, entry, asked, texts, sampling(entry, asked.options))

    async def embed(self, request: Request) -> Response:
        """POST /api/embed"""
        began, asked = time.perf_counter_ns(), checked(EmbedRequest, await received(request))
        made = await self.vectors(asked, asked.input)
        figures = {"total_duration": time.perf_counter_ns() - began, "load_duration": max(made.load_ns, 1)}
        figures |= {"prompt_eval_count": made.n_prompt}
        return as_json({"model": asked.model, "embeddings": made.vectors, **(figures if asked.input else {})})

    async def embeddings(self, request: Request) -> Response:
        """POST /api/embeddings, the older one: one text"""
        asked = checked(EmbedRequest, await received(request))
        made = await self.vectors(asked, [asked.prompt] if asked.prompt else [])
        return as_json({"embedding": made.vectors[0] if made.vectors else []})

    async def tags(self, request: Request) -> Response:
        """GET /api/tags"""

        def listed() -> list[dict[str, Any]]:
            return [_named(e) | {"modified_at": stamp(e.modified_at), "size": e.size_bytes, "capabilities": e.capabilities}
                    for e in self.catalogue.entries()]  # fmt: skip

        return as_json({"models": await asyncio.to_thread(listed)})

    async def ps(self, request: Request) -> Response:
        """GET /api/ps"""
        models = []
        for child in self.pool.loaded():
            size = child.size_bytes()
            models.append(await asyncio.to_thread(_named, child.entry) | {
                "size": size, "size_vram": size if child.gpu and child.setting.num_gpu else 0,
                "expires_at": stamp(child.expires_at), "context_length": child.setting.num_ctx,
            })  # fmt: skip
        return as_json({"models": models})

    async def show(self, request: Request) -> Response:
        """POST /api/show"""
        name = checked(bodies.ModelAsked, await received(request)).model
        entry = await self.entry(name, "model '{}' not found" if ":" in name else "model '{}:latest' not found")
        made = entry.shown() | {"capabilities": entry.capabilities, "modified_at": stamp(entry.modified_at)}
        return as_json({key: value for key, value in made.items() if value})

    async def not_done(self, request: Request) -> Response:
        """What Ollama does and this does not"""
        raise bodies.not_done(f"{request.method} {request.scope['route'].path}")


def _named(entry: Entry) -> dict[str, Any]:
    return {"name": entry.name, "model": entry.name, "digest": entry.digest, "details": entry.details()}


def sampling(entry: Entry, options: dict[str, Any]) -> SamplingAsked:
    """The model's own defaults, and over them what the request asks for. Raises Refused (400)."""
    return checked(SamplingAsked, entry.defaults.parameters | {k: v for k, v in options.items() if v is not None})


def _grammar(form: Any) -> str:
    """The grammar of a format: "json", or a JSON schema. Raises Refused (400)."""
    if form is None or form == "":
        return ""
    if form != "json" and not isinstance(form, dict):
        raise Refused(400, f'format: {json.dumps(form)[:60]} is neither "json" nor a JSON schema')
    try:
        return schemas.grammar({"type": "object"} if form == "json" else form)
    except BadOption as error:
        raise Refused(400, f"format: {error}") from None


def _begun(entry: Entry, system: str, *messages: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """The messages after the system prompt: the request's, else the model's own."""
    first = system or (entry.defaults.system if messages[0]["role"] != "system" else "")
    return (*([{"role": "system", "content": first}] if first else []), *messages)


def _line(asked: AnswerRequest, part: Part, end: End | None = None, began: int = 0) -> dict[str, Any]:
    """One line of a streamed answer, or with its end the whole of one that is not streamed."""
    said: dict[str, Any] = {"thinking": part.thinking} if part.thinking else {}
    if end and end.calls:
        said["tool_calls"] = [
            {"id": call["id"], "function": {"index": at, "name": call["name"], "arguments": call["arguments"]}}
            for at, call in enumerate(end.calls)
        ]
    if isinstance(asked, ChatRequest):
        said = {"message": {"role": "assistant", "content": part.content, **said}}
    else:
        said["response"] = part.content
    line = {"model": asked.model, "created_at": stamp(), **said, "done": end is not None}
    line |= {"logprobs": logprobs(part, asked)} if part.logprobs else {}
    if end is None:
        return line
    return line | ({"context": end.context} if end.context else {}) | {
        "done_reason": end.reason, "total_duration": time.perf_counter_ns() - began,
        "load_duration": max(end.load_ns, 1), "prompt_eval_count": end.n_prompt,
        "prompt_eval_duration": end.prompt_ns, "eval_count": end.n_gen, "eval_duration": max(end.gen_ns, 1_000),
    }  # fmt: skip


def logprobs(part: Part, asked: AnswerRequest) -> list[dict[str, Any]]:
    """The tokens of a part with their logprobs, and the likeliest in their place, as many as are asked for."""

    def one(token: dict[str, Any]) -> dict[str, Any]:
        return {"token": token["token"], "logprob": token["logprob"], "bytes": list(token["token"].encode())}

    top = asked.top_logprobs
    return [
        one(token) | ({"top_logprobs": [one(other) for other in token.get("top_logprobs", [])[:top]]} if top else {})
        for token in part.logprobs
    ]


async def streamed(answer: Answer, text: Any, failed: Any, media_type: str) -> Response:
    """The texts of an answer as they come. What is refused before the first one is raised: it has its own status."""
    first = await anext(answer)

    async def texts() -> AsyncGenerator[str, None]:
        async with aclosing(answer):
            try:
                yield text(first)
                async for one in answer:
                    yield text(one)
            except Refused as error:
                yield failed(error.message)

    # Without a charset: JSON is UTF-8.
    return StreamingResponse(texts(), media_type=media_type, headers={"Content-Type": media_type})


def dumps(value: Any) -> str:
    """One line of JSON. U+0085, U+2028, U+2029 are escaped: clients split lines at them."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "\x85\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text.encode("utf-8", "replace").decode()


def stamp(moment: datetime | None = None) -> str:
    """A moment (default: now) as RFC 3339 in UTC."""
    return (moment or datetime.now(UTC)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def as_json(value: Any) -> Response:
    """One answer as one JSON object."""
    return Response(dumps(value), media_type="application/json")
