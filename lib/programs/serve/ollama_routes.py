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

from programs.serve import vectors
from programs.serve.bodies import (
    ChatRequest,
    EmbedRequest,
    GenerateRequest,
    SamplingAsked,
    ShowRequest,
    checked,
    not_done,
    received,
)
from programs.serve.catalogue import NAME, Catalogue, Entry
from programs.serve.generation import Ask, End, Part, answered
from programs.serve.runner import Pool, Refused
from workbook.engines import schemas
from workbook.errors import BadOption, ModelNotFound

VERSION = "0.32.15"  # whose behaviour this follows
NDJSON = "application/x-ndjson"
Answer = AsyncGenerator[Part | End, None]


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
        began, asked = time.perf_counter_ns(), await received(request, GenerateRequest)
        entry = await self.entry(asked.model)
        if not asked.prompt:
            return await self._loaded(entry, asked, {"response": ""})
        ask = self.ask(entry, asked)
        for given, what in (
            (asked.images, "images"),
            (asked.suffix, "fill-in-the-middle"),
            (asked.template, "templates"),
        ):
            if given:
                raise not_done(what)
        if asked.raw:
            if asked.system or asked.context:
                raise Refused(400, "raw mode does not support system or context")
            ask = replace(ask, prompt=asked.prompt)
        else:
            messages = _begun(entry, asked.system, {"role": "user", "content": asked.prompt})
            thinks = "thinking" in entry.capabilities and not ask.grammar
            ask = replace(ask, messages=messages, context=tuple(asked.context), as_text=not thinks)
        lines = _lines(answered(self.pool, ask), asked, began, _response)
        return await self._answer(lines, asked, "response")

    async def chat(self, request: Request) -> Response:
        """POST /api/chat"""
        began, asked = time.perf_counter_ns(), await received(request, ChatRequest)
        entry = await self.entry(asked.model)
        if not asked.messages:
            return await self._loaded(entry, asked, {"message": {"role": "assistant", "content": ""}})
        lines = _lines(answered(self.pool, self.chat_ask(entry, asked)), asked, began, _message)
        return await self._answer(lines, asked, "message")

    async def entry(self, name: str, pulling: bool = False) -> Entry:
        """The model of that name. Raises Refused: 400 if it cannot be a name, 404 if there is none."""
        if name.strip() and not NAME.fullmatch(name.strip()):
            raise Refused(400, "invalid model name")
        try:
            return await asyncio.to_thread(self.catalogue.find, name.strip())
        except ModelNotFound:
            said = f'model "{name}" not found, try pulling it first' if pulling else f"model '{name}' not found"
            raise Refused(404, said) from None

    def ask(self, entry: Entry, asked: GenerateRequest | ChatRequest) -> Ask:
        """What all requests for an answer have. Raises Refused (400)."""
        if "completion" not in entry.capabilities:
            route = "chat" if isinstance(asked, ChatRequest) else "generate"
            raise Refused(400, f'"{asked.model}" does not support {route}')
        if asked.think and "thinking" not in entry.capabilities:
            raise Refused(400, f'"{asked.model}" does not support thinking')
        return Ask(
            entry, sampling(entry, asked.options), grammar=grammar(asked.format), think=asked.think, truncate=asked.truncate,
            shift=asked.shift, logprobs=asked.logprobs, top_logprobs=asked.top_logprobs, keep_alive_s=asked.keep_alive,
        )  # fmt: skip

    def chat_ask(self, entry: Entry, asked: ChatRequest) -> Ask:
        """The request for an answer to messages. Raises Refused (400, 501)."""
        ask, messages = self.ask(entry, asked), [message.for_llama() for message in asked.messages]
        tools = tuple({"type": "function", "function": tool.function.model_dump()} for tool in asked.tools)
        if tools and ask.logprobs:
            raise Refused(400, "logprobs cannot be given together with tools")
        return replace(ask, messages=_begun(entry, "", *messages), tools=tools)

    async def _loaded(self, entry: Entry, asked: GenerateRequest | ChatRequest, empty: dict[str, Any]) -> Response:
        """The answer to a request without a prompt: the model is loaded, or with keep_alive 0 unloaded."""
        if asked.keep_alive == 0:
            await self.pool.unload(entry)
        else:
            async with self.pool.child(entry, self.ask(entry, asked).setting, asked.keep_alive):
                pass
        reason = "unload" if asked.keep_alive == 0 else "load"
        return as_json({"model": asked.model, "created_at": stamp(), **empty, "done": True, "done_reason": reason})

    async def _answer(self, lines: AsyncGenerator[dict[str, Any], None], asked: Any, field: str) -> Response:
        if asked.stream:
            return await streamed(lines, lambda line: dumps(line) + "\n", lambda e: dumps({"error": e}) + "\n", NDJSON)
        whole: dict[str, Any] = {}
        async with aclosing(lines):
            async for line in lines:
                whole = _joined(whole, line, field)
        return as_json(whole)

    async def embed(self, request: Request) -> Response:
        """POST /api/embed"""
        began, asked = time.perf_counter_ns(), await received(request, EmbedRequest)
        entry = await self.entry(asked.model, pulling=True)
        texts = [asked.input] if isinstance(asked.input, str) else asked.input
        made = await vectors.vectors(self.pool, entry, asked, texts, sampling(entry, asked.options))
        figures = {"total_duration": time.perf_counter_ns() - began, "load_duration": max(made.load_ns, 1)}
        figures |= {"prompt_eval_count": made.n_prompt} if texts else {}
        return as_json({"model": asked.model, "embeddings": made.vectors, **(figures if texts else {})})

    async def embeddings(self, request: Request) -> Response:
        """POST /api/embeddings, the older one: one text"""
        asked = await received(request, EmbedRequest)
        entry = await self.entry(asked.model, pulling=True)
        texts = [asked.prompt] if asked.prompt else []
        made = await vectors.vectors(self.pool, entry, asked, texts, sampling(entry, asked.options))
        return as_json({"embedding": made.vectors[0] if texts else []})

    async def tags(self, request: Request) -> Response:
        """GET /api/tags"""
        return as_json({"models": await asyncio.to_thread(self._listed)})

    def _listed(self) -> list[dict[str, Any]]:
        return [
            self._named(entry) | {"modified_at": stamp(entry.modified_at), "size": entry.size_bytes,
            "details": entry.details.body(), "capabilities": list(entry.capabilities)}
            for entry in self.catalogue.entries()
        ]  # fmt: skip

    def _named(self, entry: Entry) -> dict[str, Any]:
        return {"name": entry.name, "model": entry.name, "digest": self.catalogue.digest(entry)}

    async def ps(self, request: Request) -> Response:
        """GET /api/ps"""
        models = [
            await asyncio.to_thread(self._named, one.entry) | {
                "size": one.size_bytes, "details": one.entry.details.body(lengths=False),
                "expires_at": stamp(one.expires_at), "size_vram": one.size_vram, "context_length": one.num_ctx,
            }
            for one in self.pool.loaded()
        ]  # fmt: skip
        return as_json({"models": models})

    async def show(self, request: Request) -> Response:
        """POST /api/show"""
        asked = await received(request, ShowRequest)
        entry = await self.entry(asked.model or asked.name)
        made = await asyncio.to_thread(self.catalogue.show, entry)
        made |= {"capabilities": list(entry.capabilities), "modified_at": stamp(entry.modified_at)}
        made |= {"system": asked.system} if asked.system else {}
        return as_json({key: value for key, value in made.items() if value or key == "model_info"})

    async def not_done(self, request: Request) -> Response:
        """What Ollama does and this does not"""
        raise not_done(f"{request.method} {request.scope['route'].path}")


def sampling(entry: Entry, options: dict[str, Any]) -> SamplingAsked:
    """The model's own defaults, and over them what the request asks for. Raises Refused (400)."""
    return checked(SamplingAsked, {**entry.defaults.parameters, **{k: v for k, v in options.items() if v is not None}})


def grammar(form: Any) -> str:
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


async def _lines(answer: Answer, asked: Any, began: int, said: Any) -> AsyncGenerator[dict[str, Any], None]:
    """The lines of a streamed answer. ``said``: what a part, or the end, puts into its line."""
    async with aclosing(answer):
        async for one in answer:
            head = {"model": asked.model, "created_at": stamp(), **said(one)}
            if isinstance(one, Part):
                scored = {"logprobs": logprobs(one, asked.top_logprobs)} if one.logprobs else {}
                yield head | {"done": False} | scored
            else:
                yield head | {
                    "done": True, "done_reason": one.reason, **({"context": one.context} if one.context else {}),
                    "total_duration": time.perf_counter_ns() - began, "load_duration": max(one.load_ns, 1),
                    "prompt_eval_count": one.n_prompt, "prompt_eval_duration": one.prompt_ns,
                    "eval_count": one.n_gen, "eval_duration": max(one.gen_ns, 1_000),
                }  # fmt: skip


def _response(one: Part | End) -> dict[str, Any]:
    if isinstance(one, End):
        return {"response": ""}
    return {"response": one.content} | ({"thinking": one.thinking} if one.thinking else {})


def _message(one: Part | End) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": "" if isinstance(one, End) else one.content}
    if isinstance(one, Part):
        message |= {"thinking": one.thinking} if one.thinking else {}
    elif one.calls:
        message["tool_calls"] = [
            {"id": call["id"], "function": {"index": at, "name": call["name"], "arguments": call["arguments"]}}
            for at, call in enumerate(one.calls)
        ]
    return {"message": message}


def _joined(whole: dict[str, Any], line: dict[str, Any], field: str) -> dict[str, Any]:
    """Two lines as one: texts and lists one after the other, of the rest what came last."""
    made = {**whole, **line}
    for key in whole.keys() & line.keys():
        if key in (field, "thinking", "logprobs", "content") and key != "message":
            made[key] = whole[key] + line[key]
    if "message" in whole and "message" in line:
        made["message"] = _joined(whole["message"], line["message"], "content")
    return made


def logprobs(part: Part, top: int) -> list[dict[str, Any]]:
    """The tokens of a part with their logprobs, and the ``top`` likeliest in their place."""

    def one(token: dict[str, Any]) -> dict[str, Any]:
        text = token["token"]
        return {"token": text, "logprob": token["logprob"], "bytes": list(text.encode())}

    return [
        one(token) | ({"top_logprobs": [one(other) for other in token.get("top_logprobs", [])[:top]]} if top else {})
        for token in part.logprobs
    ]


async def streamed(lines: AsyncGenerator[Any, None], text: Any, failed: Any, media_type: str) -> Response:
    """The lines as they come. What is refused before the first one is raised: it has a status of its own."""
    first = await anext(lines, None)

    async def texts() -> AsyncGenerator[str, None]:
        async with aclosing(lines):
            try:
                if first is not None:
                    yield text(first)
                async for line in lines:
                    yield text(line)
            except Refused as error:
                yield failed(error.message)

    response = StreamingResponse(texts(), media_type=media_type)
    response.headers["content-type"] = media_type  # without a charset: JSON is UTF-8
    return response


def dumps(value: Any) -> str:
    """One line of JSON. U+0085, U+2028, U+2029 are escaped: clients split lines at them."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "\x85\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text.encode("utf-8", "replace").decode()


def stamp(moment: datetime | None = None) -> str:
    """A moment (default: now) as RFC 3339 in UTC."""
    text = (moment or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return f"{text}Z"


def as_json(value: Any) -> Response:
    """One answer as one JSON object."""
    return Response(dumps(value), media_type="application/json")
