"""The application: both APIs' routes behind the guard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from programs.serve.catalogue import Catalogue
from programs.serve.guard import error_response
from programs.serve.ollama_routes import OllamaRoutes
from programs.serve.openai_routes import OpenAIRoutes
from programs.serve.runner import Pool, Refused

_NOT_DONE = ("/api/pull", "/api/create", "/api/copy", "/api/delete", "/api/push", "/api/blobs/{digest}",
             "/v1/responses", "/v1/messages")  # fmt: skip


def create_app(catalogue: Catalogue, pool: Pool) -> Starlette:
    """The application on these models. Its end is the end of the pool's children."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with pool:
            yield

    ollama = OllamaRoutes(catalogue, pool)
    openai = OpenAIRoutes(ollama)
    got = {"/": ollama.root, "/api/version": ollama.version, "/api/tags": ollama.tags, "/api/ps": ollama.ps}
    got |= {"/v1/models": openai.models, "/v1/models/{model:path}": openai.model}
    posted = {
        "/api/generate": ollama.generate, "/api/chat": ollama.chat, "/api/embed": ollama.embed,
        "/api/embeddings": ollama.embeddings, "/api/show": ollama.show, "/v1/chat/completions": openai.chat,
        "/v1/completions": openai.completions, "/v1/embeddings": openai.embeddings,
    }  # fmt: skip
    routes = [Route(path, handler, methods=["GET"]) for path, handler in got.items()]
    routes += [Route(path, handler, methods=["POST"]) for path, handler in posted.items()]
    routes += [Route(path, ollama.not_done, methods=["POST", "DELETE"]) for path in _NOT_DONE]
    handlers = {Refused: _refused, HTTPException: _unknown, Exception: _fault}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)  # type: ignore[arg-type]
    app.router.redirect_slashes = False
    return app


async def _refused(request: Request, error: Refused) -> Response:
    return error_response(request.url.path, error.status, error.message)


async def _unknown(request: Request, error: HTTPException) -> Response:
    return PlainTextResponse(f"{error.status_code} {error.detail.lower()}", error.status_code, headers=error.headers)


async def _fault(request: Request, error: Exception) -> Response:
    return error_response(request.url.path, 500, "internal error")
