"""``workbook serve``: which address, which key, what is said at the start, and a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from programs.serve.app import create_app
from programs.serve.bodies import WHERE, seconds
from programs.serve.catalogue import Catalogue
from programs.serve.guard import Guard, is_local
from programs.serve.runner import KEEP_ALIVE_S, Pool
from workbook.errors import BadOption

LOOPBACK, PORT, KEY = "127.0.0.1", 11434, "WORKBOOK_SERVE_KEY"


@dataclass(frozen=True)
class ServerSettings:
    """What the command was asked for. ``port`` None: the usual one, or another that is free."""

    host: str = LOOPBACK
    port: int | None = None
    models: tuple[str, ...] = ()
    key: str = ""
    with_parent: bool = False


def serve(settings: ServerSettings, say: Callable[[str], None] = print) -> None:
    """Answer until Ctrl-C, or, ``with_parent``, until the standard input closes.

    Raises BadOption (a host, port, key or --model that cannot be), DamagedModel for a file that is no whole GGUF.
    """
    named = dict(_named(settings.models))
    with listening(settings.host, settings.port) as listener:
        bound, port = listener.getsockname()[:2]  # what counts is where it listens, not by which name
        key = settings.key or os.environ.get(KEY, "")
        fresh = "" if key or is_local(bound) else secrets.token_urlsafe(24)
        key = _checked(key or fresh)
        app = Guard(create_app(Catalogue(named), Pool(_keep_alive_s())), bound, key)
        server = uvicorn.Server(_config(app))
        for line in _start_lines(settings, port, fresh, bool(key)):
            say(line)
        sys.stdout.flush()  # into a file or a pipe too: whoever started it waits for these lines
        if settings.with_parent:
            threading.Thread(target=_until_parent_ends, args=(server,), daemon=True).start()
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(server.serve([listener]))


def _start_lines(settings: ServerSettings, port: int, fresh: str, keyed: bool) -> Iterable[str]:
    """What is said at the start; a key that was made is said here, once, and nowhere else."""
    host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(settings.host, settings.host)
    address = f"{f'[{host}]' if ':' in host else host}:{port}"
    yield f"http://{address}  workbook serve: a stand-in for Ollama, for learning. The real one: {WHERE}"
    if port != PORT:
        if settings.port is None:
            yield f"Port {PORT} is taken, so this one was chosen."
        yield f"For Ollama's clients: OLLAMA_HOST={address}"
    if fresh:
        yield f"Other machines can reach it, so it demands a key: {fresh}"
    if keyed:
        yield f"Clients send the key as: Authorization: Bearer KEY (to choose it: {KEY}). It travels unencrypted."
    yield "End: Ctrl-C."


@contextlib.contextmanager
def listening(host: str, port: int | None) -> Iterator[socket.socket]:
    """A socket that listens on ``port``; without one on the usual port or any. Raises BadOption if it cannot."""
    said = ""
    for number in (port,) if port is not None else (PORT, 0):
        try:
            family, kind, _, _, place = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
        except (OSError, OverflowError, UnicodeError) as error:
            raise BadOption(f"{host!r} is no address of this machine: {error}. Leave --host away.") from None
        with socket.socket(family, kind) as listener:
            try:
                # On Windows, SO_REUSEADDR would let two listen at once, and so would neither.
                alone = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
                listener.setsockopt(socket.SOL_SOCKET, alone, 1)
                listener.bind(place)
                listener.listen(128)
            except (OSError, OverflowError) as error:
                said = str(error)
                continue
            yield listener
            return
    raise BadOption(f"Nothing can listen on {host}, port {port}: {said}. Leave --port away: another is then chosen.")


def _keep_alive_s() -> float:
    """How long a model stays where a request does not say: OLLAMA_KEEP_ALIVE, as Ollama reads it."""
    given = os.environ.get("OLLAMA_KEEP_ALIVE", "")
    try:
        return seconds(int(given) if given.lstrip("-").isdecimal() else given)
    except ValueError:
        return KEEP_ALIVE_S


def _named(given: Iterable[str]) -> Iterable[tuple[str, Path]]:
    for text in given:
        name, _, file = text.partition("=")
        if not (name.strip() and file.strip()):
            raise BadOption(f"--model {text!r} is not NAME=FILE.gguf, e.g. qwen=models/qwen.gguf")
        yield name.strip(), Path(file.strip()).expanduser()


def _checked(key: str) -> str:
    if key and not (key.isascii() and key.isprintable() and " " not in key and len(key) <= 512):
        raise BadOption("a key is at most 512 letters, digits and signs, without spaces")
    return key


def _config(app: Guard) -> uvicorn.Config:
    return uvicorn.Config(
        app, http="h11", ws="none", lifespan="on", log_level="critical", access_log=False, server_header=False,
        headers=[("Server", "workbook-serve")], timeout_keep_alive=75, timeout_graceful_shutdown=1,
        limit_concurrency=1_000, h11_max_incomplete_event_size=32 << 10,
    )  # fmt: skip


def _until_parent_ends(server: uvicorn.Server) -> None:
    """The parent holds the other end of the standard input: it closes when the parent ends, however that is."""
    with contextlib.suppress(OSError):
        while os.read(0, 1):  # not sys.stdin: a thread that still holds it would crash the end of the interpreter
            pass
    server.should_exit = True
