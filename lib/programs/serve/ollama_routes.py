"""Ollama's routes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import numpy as np
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from programs.serve import answering, refusals, request_options, vectors
from programs.serve.asking import Service, find
from programs.serve.bodies import AnswerBody, dumps, now, received, stamp
from programs.serve.cards import Tensor
from programs.serve.catalogue import Entry
from programs.serve.jobs import Embed
from programs.serve.ollama_answers import ListedModel, LoadedModel, Progress
from programs.serve.ollama_api import (
    ChatRequest,
    EmbeddingRequest,
    EmbedRequest,
    GenerateRequest,
    PullRequest,
    ShowRequest,
)
from programs.serve.runner import Refused
from programs.serve.streams import JSON, gathered_chat, gathered_generate, ndjson, streamed, whole

VERSION = "0.32.15"  # whose behaviour this follows
READ_BYTES = 256 << 20
A = TypeVar("A", bound=AnswerBody)


class OllamaRoutes:
    """The handlers of Ollama's own API."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def root(self, request: Request) -> Response:
        """GET /"""
        return PlainTextResponse("Ollama is running")

    async def version(self, request: Request) -> Response:
        """GET /api/version"""
        return _json({"version": VERSION})

    async def generate(self, request: Request) -> Response:
        """POST /api/generate"""
        asked = await received(request, GenerateRequest)
        return await _answered(asked, await answering.generate(self._service, asked), gathered_generate)

    async def chat(self, request: Request) -> Response:
        """POST /api/chat"""
        asked = await received(request, ChatRequest)
        return await _answered(asked, await answering.chat(self._service, asked), gathered_chat)

    async def embed(self, request: Request) -> Response:
        """POST /api/embed"""
        made = await vectors.embedded(self._service, await received(request, EmbedRequest))
        return await asyncio.to_thread(whole, made)  # it may be of a million numbers

    async def embeddings(self, request: Request) -> Response:
        """POST /api/embeddings, the older one: one text, a vector of any length"""
        asked = await received(request, EmbeddingRequest)
        if not asked.model.strip():
            raise Refused(400, "model is required")
        entry = await asyncio.to_thread(find, self._service, asked.model, pulling=True)
        wanted = request_options.read(asked.options)
        if not asked.prompt:
            await answering.load(self._service, entry, wanted.setting, asked.keep_alive)
            return _json({"embedding": []})
        made = await vectors.computed(
            self._service, entry, Embed((asked.prompt,), truncate=False, normalize=False), wanted, asked.keep_alive
        )
        return _json({"embedding": [float(np.float32(number)) for number in made.vectors[0]]})

    async def tags(self, request: Request) -> Response:
        """GET /api/tags"""
        return _json({"models": await asyncio.to_thread(listed, self._service)})

    async def ps(self, request: Request) -> Response:
        """GET /api/ps"""
        models = []
        for item in self._service.pool.loaded():
            details = _details(item.entry)
            models.append(
                LoadedModel(
                    name=item.entry.name,
                    model=item.entry.name,
                    size=item.size_bytes,
                    digest=await asyncio.to_thread(identity, self._service, item.entry),
                    details={key: details[key] for key in list(details)[:6]},
                    expires_at=stamp(item.expires_at),
                    size_vram=item.size_vram,
                    context_length=item.num_ctx,
                )
            )
        return _json({"models": models})

    async def show(self, request: Request) -> Response:
        """POST /api/show"""
        asked = await received(request, ShowRequest)
        name = asked.model or asked.name
        if not name.strip():
            raise Refused(400, "model is required")
        entry = await asyncio.to_thread(shown_entry, self._service, name)
        shown = await asyncio.to_thread(self._service.catalogue.show, entry, asked.verbose)
        details = _details(entry)
        made = {
            "license": shown.license,
            "modelfile": shown.modelfile,
            "parameters": shown.parameters,
            "template": shown.template,
            "system": asked.system,
            "details": {key: details[key] for key in list(details)[:6]},
            "model_info": dict(shown.model_info),
            "tensors": [{"name": t.name, "type": t.type, "shape": t.shape} for t in sorted(shown.tensors, key=_place)],
            "capabilities": list(entry.capabilities),
            "modified_at": stamp(entry.modified_at),
        }
        return _json({key: value for key, value in made.items() if value or key == "model_info"})

    async def pull(self, request: Request) -> Response:
        """POST /api/pull: of what is here already"""
        asked = await received(request, PullRequest)
        name = asked.model or asked.name
        try:
            entry: Entry | None = await asyncio.to_thread(find, self._service, name)
        except Refused as error:
            if error.status == 400:
                raise
            entry = None
        if asked.stream:
            return await streamed(self._pulled(name, entry), ndjson())
        lines = [line async for line in self._pulled(name, entry)]
        return whole(lines[-1])

    async def _pulled(self, name: str, entry: Entry | None) -> AsyncGenerator[AnswerBody, None]:
        yield Progress(status="pulling manifest")
        if entry is None:
            raise refusals.not_to_be_had(name)
        digest = await asyncio.to_thread(identity, self._service, entry)
        size = entry.size_bytes
        yield Progress(status=f"pulling {digest[:12]}", digest=f"sha256:{digest}", total=size, completed=size)
        for status in ("verifying sha256 digest", "writing manifest", "success"):
            yield Progress(status=status)

    async def not_done(self, request: Request) -> Response:
        """What Ollama does and this does not"""
        refusals.not_done(f"{request.method} {request.scope['route'].path}")


async def _answered(
    asked: GenerateRequest | ChatRequest,
    made: A | AsyncGenerator[A, None],
    gathered: Callable[[AsyncGenerator[A, None], str, str], Awaitable[A]],
) -> Response:
    """What was made: one answer, or pieces, as a stream or as one."""
    if isinstance(made, AnswerBody):
        return whole(made)
    if asked.stream:
        return await streamed(made, ndjson())
    async with aclosing(made):
        return whole(await gathered(made, asked.model, now()))


def identity(service: Service, entry: Entry) -> str:
    """What stands for a model in the lists: its file's sha256, or, of a file too large to read for a list, of its name,
    size and time. (The real one's is that of a manifest, which is no file's either.)"""
    if entry.size_bytes <= READ_BYTES:
        return service.catalogue.digest(entry)
    return hashlib.sha256(f"{entry.name} {entry.size_bytes} {entry.modified_at}".encode()).hexdigest()


def listed(service: Service) -> list[ListedModel]:
    """The models, as /api/tags lists them. Reads files: call it in a thread."""
    return [
        ListedModel(
            name=entry.name,
            model=entry.name,
            modified_at=stamp(entry.modified_at),
            size=entry.size_bytes,
            digest=identity(service, entry),
            details=_details(entry),
            capabilities=list(entry.capabilities),
        )
        for entry in service.catalogue.entries()
    ]


def shown_entry(service: Service, name: str) -> Entry:
    """The model to show. Raises Refused, whose text has the tag that was left out."""
    try:
        return find(service, name)
    except Refused as error:
        if error.status != 404:
            raise
        tagged = name.strip() if ":" in name.rpartition("/")[2] else f"{name.strip()}:latest"
        raise refusals.unknown(tagged) from None


def _place(tensor: Tensor) -> tuple[int, str]:
    """Where Ollama puts a tensor when it takes a file in: those of no block first, each block by name."""
    parts = tensor.name.split(".")
    return (int(parts[1]) if parts[0] == "blk" and len(parts) > 1 and parts[1].isdecimal() else -1, tensor.name)


def _details(entry: Entry) -> dict[str, Any]:
    details = entry.details
    made = {
        "parent_model": details.parent_model,
        "format": details.format,
        "family": details.family,
        "families": list(details.families),
        "parameter_size": details.parameter_size,
        "quantization_level": details.quantization_level,
    }
    lengths = {"context_length": details.context_length, "embedding_length": details.embedding_length}
    return made | {key: value for key, value in lengths.items() if value}


def _json(value: dict[str, Any]) -> Response:
    return Response(dumps(value), media_type=JSON)
