"""What stands before every route: who may ask, how much, and how slowly. Host and Origin are judged as Ollama does."""

from __future__ import annotations

import asyncio
import fnmatch
import hmac
import ipaddress
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from programs.serve.openai_routes import error_body

_HERE = ("localhost", "127.0.0.1", "0.0.0.0")
_PRIVATE = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))  # as Go
_APPS = ("app://*", "file://*", "tauri://*", "vscode-webview://*", "vscode-file://*")
_ALLOWED_HEADERS = (
    "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,X-Stainless-Async,"
    "X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,X-Stainless-Os,"
    "X-Stainless-Package-Version,X-Stainless-Poll-Helper,X-Stainless-Retry-Count,X-Stainless-Runtime,"
    "X-Stainless-Runtime-Version,X-Stainless-Timeout"
)
_PREFLIGHT = {
    "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
    "Access-Control-Allow-Methods": "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS",
    "Access-Control-Max-Age": "43200",
    "Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
}


@dataclass(frozen=True)
class RequestLimits:
    """Bytes of a body, and of all together; seconds to read one, and for a client to take a piece of an answer."""

    body_bytes: int = 16 << 20
    all_bytes: int = 256 << 20
    body_s: float = 30.0
    send_s: float = 60.0


@dataclass(frozen=True)
class Door:
    """Who may come in. ``key`` "" asks for none; ``host`` is the IP address that is listened on."""

    host: str = "127.0.0.1"
    key: str = ""
    limits: RequestLimits = RequestLimits()
    origins: tuple[str, ...] = ()


class Guard:
    """The outermost part of the application: refuses, limits, and stops the work of a client that leaves."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app, self._door = app, door
        here = [f"{scheme}://{host}{end}" for host in _HERE for end in ("", ":*") for scheme in ("http", "https")]
        self._origins = (*door.origins, *here, *_APPS)
        self._key = door.key.encode()
        self._local = is_local(door.host)
        self._held = 0  # bytes of all the bodies that are in work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        send, refusal = self._at_the_door(scope, headers, send)
        parts: list[bytes] = []
        try:
            if refusal is None:
                refusal = await self._take_body(scope, headers, receive, parts)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
            parts[:] = [b"".join(parts)]
            await self._while_there(scope, parts[0], receive, _Hurried(send, self._door.limits.send_s))
        except asyncio.IncompleteReadError:
            return
        finally:
            self._held -= sum(map(len, parts))

    def _at_the_door(self, scope: Scope, headers: Headers, send: Send) -> tuple[Send, Response | None]:
        """Ollama's order: first the Origin, then the Host; then our key."""
        host, origin, asks_first = headers.get("host", ""), headers.get("origin", ""), scope["method"] == "OPTIONS"
        if origin and origin not in (f"http://{host}", f"https://{host}"):
            if not self._origin_is_allowed(origin):
                return send, Response(status_code=403)
            send = _with_origin(send, origin)
            if asks_first:
                return send, Response(status_code=204, headers=_PREFLIGHT)
        if self._local and not host_is_allowed(host):
            return send, Response(status_code=403)
        given = headers.get("authorization", "").removeprefix("Bearer ").encode()
        if self._key and not hmac.compare_digest(given, self._key):
            return send, error_response(scope["path"], 401, "unauthorized")
        return send, None

    def _origin_is_allowed(self, origin: str) -> bool:
        return any(fnmatch.fnmatchcase(origin, pattern) for pattern in self._origins)

    async def _take_body(self, scope: Scope, headers: Headers, receive: Receive, parts: list[bytes]) -> Response | None:
        """The body into ``parts``, or why not. Raises IncompleteReadError where the client left."""
        limits, size = self._door.limits, 0
        declared = headers.get("content-length", "0")
        too_large = error_response(scope["path"], 413, f"request body too large: at most {limits.body_bytes}")
        if not declared.isdecimal() or int(declared[:20]) > limits.body_bytes:
            return too_large
        try:
            async with asyncio.timeout(limits.body_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise asyncio.IncompleteReadError(b"", None)
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    self._held += len(parts[-1])
                    if size > limits.body_bytes:
                        return too_large
                    if self._held > limits.all_bytes:
                        return error_response(scope["path"], 503, "too many requests at once: try again later")
                    if not message.get("more_body", False):
                        return None
        except TimeoutError:
            return error_response(scope["path"], 408, "the request's body did not arrive in time")

    async def _while_there(self, scope: Scope, body: bytes, receive: Receive, send: _Hurried) -> None:
        """Run the application until it is done or the client has left."""
        given = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def replay() -> Message:
            message = next(given, None)
            return message if message is not None else await asyncio.Future()

        work = asyncio.create_task(self._run(scope, replay, send))
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait((work, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work

    async def _run(self, scope: Scope, receive: Receive, send: _Hurried) -> None:
        try:
            await self._app(scope, receive, send)
        except (OSError, TimeoutError):  # the client is gone, or takes nothing
            return
        except Exception as error:  # noqa: BLE001  # a fault of ours: said in one line, not in a traceback
            print(f"workbook serve: {type(error).__name__} in a {scope['method']} request", file=sys.stderr, flush=True)
            if not send.begun:
                await error_response(scope["path"], 500, "internal error")(scope, receive, send)


class _Hurried:
    """``send`` with a time limit for each piece, which knows whether an answer has begun."""

    def __init__(self, send: Send, within_s: float) -> None:
        self._send, self._within_s, self.begun = send, within_s, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
        async with asyncio.timeout(self._within_s):
            await self._send(message)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _with_origin(send: Send, origin: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Access-Control-Allow-Origin"] = origin
            headers.setdefault("Vary", "Origin")
        await send(message)

    return sending


def is_local(address: str) -> bool:
    """Whether what listens on this IP address is reached from this machine only."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def host_is_allowed(given: str) -> bool:
    """Whether a Host header may name a server on the loopback address: else a page elsewhere could be behind it."""
    host = given.lower()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host in ("", "localhost", socket.gethostname().lower()) or host.endswith(
            (".localhost", ".local", ".internal")
        )
    private = any(address in network for network in _PRIVATE)
    return address.is_loopback or private or address.is_unspecified or str(address) in _own_addresses()


def allowed_origins(variable: str = "OLLAMA_ORIGINS") -> tuple[str, ...]:
    """Further origins that the user allows, as Ollama reads them."""
    return tuple(part.strip().lower() for part in os.environ.get(variable, "").split(",") if part.strip())


def _own_addresses() -> Sequence[str]:
    return [item.address.partition("%")[0] for items in psutil.net_if_addrs().values() for item in items]


def error_response(path: str, status: int, message: str) -> Response:
    """A refusal in the form of the API that ``path`` belongs to."""
    body = error_body(status, message) if path.startswith("/v1/") else {"error": message}
    return JSONResponse(body, status, headers={"Connection": "close"} if status in (401, 408, 413) else None)
