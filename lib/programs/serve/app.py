"""The application: both APIs' routes behind the guard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from programs.serve import ollama_api, openai_api
from programs.serve.asking import Service
from programs.serve.bodies import Body, dumps
from programs.serve.guard import Door, Guard, plain
from programs.serve.ollama_routes import VERSION, OllamaRoutes
from programs.serve.openai_routes import JSON, OpenAIRoutes
from programs.serve.refusals import WHERE, Misread, body
from programs.serve.runner import Refused

TITLE = "workbook serve: a stand-in for Ollama, for learning"
_REF = "#/components/schemas/{model}"
_NOT_DONE = {
    "/api/create": ["POST"],
    "/api/copy": ["POST"],
    "/api/delete": ["DELETE"],
    "/api/push": ["POST"],
    "/api/blobs/{digest}": ["HEAD", "POST"],
    "/api/me": ["POST"],
    "/api/signout": ["POST"],
    "/v1/responses": ["POST"],
    "/v1/messages": ["POST"],
    "/v1/audio/transcriptions": ["POST"],
}


def create_app(service: Service, door: Door) -> ASGIApp:
    """The application on these models, open to whom ``door`` lets in. Its end is the end of the pool's workers."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.pool:
            yield

    app = FastAPI(
        title=TITLE,
        version=VERSION,
        description=f"The calls of Ollama {VERSION} that the workbook makes. The real one: {WHERE}",
        docs_url=None,  # they fetch their scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    _add_routes(app, OllamaRoutes(service), OpenAIRoutes(service))
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _unknown)
    app.add_exception_handler(Exception, _fault)
    return Guard(app, door, allowed(app))


def _add_routes(app: FastAPI, ollama: OllamaRoutes, openai: OpenAIRoutes) -> None:
    for path, handler in (("/", ollama.root), ("/api/version", ollama.version), ("/api/tags", ollama.tags)):
        app.add_api_route(path, handler, methods=["HEAD", "GET"], response_model=None, include_in_schema=False)
        app.add_api_route(path, handler, methods=["GET"], response_model=None)  # only for the description
    for path, handler in (
        ("/api/ps", ollama.ps),
        ("/v1/models", openai.models),
        ("/v1/models/{model}", openai.model),
    ):
        app.add_api_route(path, handler, methods=["GET"], response_model=None)
    bodies: dict[str, type[Body]] = {}
    for path, handler, model in (
        ("/api/generate", ollama.generate, ollama_api.GenerateRequest),
        ("/api/chat", ollama.chat, ollama_api.ChatRequest),
        ("/api/embed", ollama.embed, ollama_api.EmbedRequest),
        ("/api/embeddings", ollama.embeddings, ollama_api.EmbeddingRequest),
        ("/api/show", ollama.show, ollama_api.ShowRequest),
        ("/api/pull", ollama.pull, ollama_api.PullRequest),
        ("/v1/chat/completions", openai.chat, openai_api.ChatCompletionRequest),
        ("/v1/completions", openai.completions, openai_api.CompletionRequest),
        ("/v1/embeddings", openai.embeddings, openai_api.EmbeddingsRequest),
    ):
        content = {"application/json": {"schema": {"$ref": _REF.format(model=model.__name__)}}}
        extra = {"requestBody": {"required": True, "content": content}}
        app.add_api_route(path, handler, methods=["POST"], response_model=None, openapi_extra=extra)
        bodies[path] = model
    for path, methods in _NOT_DONE.items():
        app.add_api_route(path, ollama.not_done, methods=methods, response_model=None, include_in_schema=False)
    _describe(app, list(bodies.values()))


def _describe(app: FastAPI, models: list[type[Body]]) -> None:
    """Put the bodies' schemas into /openapi.json: the routes read them themselves, to answer in Ollama's words."""
    made = app.openapi()
    _, schemas = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    made.setdefault("components", {}).setdefault("schemas", {}).update(schemas.get("$defs", {}))
    for operations in made["paths"].values():
        for operation in operations.values():
            operation["responses"] = _answers()


def _answers() -> dict[str, Any]:
    said = {
        "200": "the answer",
        "400": "the request is wrong",
        "401": "the key is missing or wrong",
        "403": "not from there",
    }
    said |= {"404": "no such model", "408": "too slow", "413": "too large", "500": "the model failed"}
    return {status: {"description": text} for status, text in (said | {"501": "not done here", "503": "busy"}).items()}


def allowed(app: FastAPI) -> dict[str, str]:
    """The paths without parameters, and the methods that each takes."""
    found: dict[str, str] = {}
    for route in app.routes:
        if isinstance(route, APIRoute) and "{" not in route.path:
            found.setdefault(route.path, ", ".join(sorted(route.methods or (), reverse=True)))
    return found


def _moved(method: str, path: str) -> Response:
    """A path of ours with a slash too many."""
    if method != "GET":
        return Response(status_code=307, headers={"Location": path})
    text = f'<a href="{path}">Moved Permanently</a>.\n\n'
    return Response(text, 301, headers={"Location": path}, media_type="text/html; charset=utf-8")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    translated = request.url.path.startswith("/v1/") and not isinstance(error, Misread)
    end, media_type = ("\n", JSON) if translated else ("", f"{JSON}; charset=utf-8")
    text = dumps(body(request.url.path, error.status, error.message)) + end
    return Response(text, error.status, media_type=media_type)


async def _fault(request: Request, error: Exception) -> Response:
    return Response(dumps(body(request.url.path, 500, "internal error")), 500, media_type=JSON)


async def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    bare = request.url.path.rstrip("/")
    if error.status_code == 404 and bare != request.url.path and bare in allowed(request.app):
        return _moved(request.method, bare)
    if error.status_code == 405:
        return plain(405, "405 method not allowed", (error.headers or {}).get("Allow", ""))
    return plain(error.status_code, "404 page not found" if error.status_code == 404 else str(error.detail))
