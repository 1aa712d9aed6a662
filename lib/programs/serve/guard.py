"""What stands before every route: who may ask, how much, and how slowly. Host and Origin are judged as Ollama does."""

from __future__ import annotations

import asyncio
import fnmatch
import hmac
import ipaddress
import os
import socket
import sys
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from programs.serve.openai_routes import error_body

_BODY_BYTES, _ALL_BYTES = 16 << 20, 256 << 20  # of one request, and of all that are in work
_BODY_S, _SEND_S = 30.0, 60.0  # to send a body, and to take a piece of an answer
_HERE = ("localhost", "127.0.0.1", "0.0.0.0")
_APPS = ("app", "file", "tauri", "vscode-webview", "vscode-file")
_PREFLIGHT = {
    "Access-Control-Allow-Headers": "Authorization, *",  # a star alone leaves that one out
    "Access-Control-Allow-Methods": "*",
    "Access-Control-Max-Age": "43200",
}


class Guard:
    """The outermost part of the application: refuses, limits, and stops the work of a client that leaves.

    ``host``: the IP address that is listened on. ``key`` "" asks for none. Further origins: OLLAMA_ORIGINS.
    """

    def __init__(self, app: ASGIApp, host: str, key: str) -> None:
        self._app, self._local, self._key = app, is_local(host), key.encode()
        self._origins = os.environ.get("OLLAMA_ORIGINS", "").lower().replace(" ", "").split(",")
        self._held = 0  # bytes of all the bodies that are in work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request, body = Request(scope, receive), bytearray()
        origin = request.headers.get("origin", "")

        async def patiently(message: Message) -> None:
            if origin and message["type"] == "http.response.start" and message["status"] != 403:
                headers = MutableHeaders(scope=message)
                headers["Access-Control-Allow-Origin"], headers["Vary"] = origin, "Origin"
            async with asyncio.timeout(_SEND_S):
                await send(message)

        try:
            refusal = self._refusal(request) or await self._too_much(request, body)
            if refusal:
                await refusal(scope, receive, patiently)
            else:
                await self._while_there(scope, bytes(body), receive, patiently)
        except (ClientDisconnect, OSError, TimeoutError):  # the client is gone, or takes nothing
            return
        except Exception as error:  # noqa: BLE001  # a fault of ours, answered by now: one line, no traceback
            print(f"workbook serve: {type(error).__name__} in a {request.method} request", file=sys.stderr, flush=True)
        finally:
            self._held -= len(body)

    def _refusal(self, request: Request) -> Response | None:
        """Ollama's order: first the Origin, then the Host; then our key, which a browser's first question has not."""
        host, origin = request.headers.get("host", ""), request.headers.get("origin", "")
        elsewhere = origin not in ("", f"http://{host}", f"https://{host}")
        if (elsewhere and not self._origin_is_allowed(origin)) or (self._local and not host_is_allowed(host)):
            return Response(status_code=403)
        if elsewhere and request.method == "OPTIONS":
            return Response(status_code=204, headers=_PREFLIGHT)
        given = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        if self._key and not hmac.compare_digest(given, self._key):
            return error_response(request.url.path, 401, "unauthorized")
        return None

    def _origin_is_allowed(self, origin: str) -> bool:
        try:
            named = urlsplit(origin)
        except ValueError:
            return False
        listed = any(fnmatch.fnmatchcase(origin, pattern) for pattern in self._origins)
        return named.hostname in _HERE or named.scheme in _APPS or listed

    async def _too_much(self, request: Request, body: bytearray) -> Response | None:
        """The request's bytes into ``body``, or why not. Raises ClientDisconnect."""
        path, said = request.url.path, f"request body too large: at most {_BODY_BYTES} bytes, of all {_ALL_BYTES}"
        if int(request.headers.get("content-length", 0)) > _BODY_BYTES:  # it is digits: h11 has looked
            return error_response(path, 413, said)
        try:
            async with asyncio.timeout(_BODY_S):
                async for piece in request.stream():
                    body += piece
                    self._held += len(piece)
                    if len(body) > _BODY_BYTES or self._held > _ALL_BYTES:
                        return error_response(path, 413, said)
        except TimeoutError:
            return error_response(path, 408, "the request's body did not arrive in time")
        return None

    async def _while_there(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Run the application until it is done or the client has left."""
        given: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return given.pop() if given else await asyncio.Future()

        async def leaving() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        tasks = [asyncio.ensure_future(one) for one in (self._app(scope, replay, send), leaving())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await tasks[0]


def is_local(address: str) -> bool:
    """Whether what listens on this IP address is reached from this machine only."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def host_is_allowed(given: str) -> bool:
    """Whether a Host header may name a server on the loopback address: else a page elsewhere could be behind it."""
    try:
        host = urlsplit(f"//{given}").hostname or ""
    except ValueError:
        return False
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_private
    return host in ("", "localhost", socket.gethostname().lower()) or host.endswith(
        (".localhost", ".local", ".internal")
    )


def error_response(path: str, status: int, message: str) -> Response:
    """A refusal in the form of the API that ``path`` belongs to."""
    body = error_body(status, message) if path.startswith("/v1/") else {"error": message}
    return JSONResponse(body, status, headers={"Connection": "close"} if status in (401, 408, 413) else None)
