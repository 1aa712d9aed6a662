"""The models in memory: one child process a weights file, and the requests that wait for it."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psutil

from programs.serve.cards import Entry
from workbook import paths
from workbook.errors import WorkbookError

KEEP_ALIVE_S, MAX_QUEUE, MAX_LOADED = 300.0, 512, 3
FOREVER = float("inf")
_LOAD_S, _CENTURY_S, _LOOK_S = 600, 100 * 365.25 * 86400.0, 0.2
_LONGEST_EVENT = 1 << 24  # bytes
_DIED = "the process that had the model has ended in mid-answer (memory? see the system's log); ask again: it is started anew"


class Refused(WorkbookError):
    """A request is refused or has failed: ``status`` and one line, as an endpoint answers them."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(frozen=True)
class Setting:
    """What a model is loaded with, under Ollama's names; another setting loads it again.

    num_ctx in tokens. num_thread 0: the physical cores. num_gpu: layers on the GPU; -1 as many as fit.
    """

    num_ctx: int
    num_batch: int
    num_thread: int
    num_gpu: int


class Child:
    """A child process with a model, from the moment that it is to be loaded.

    load_ns: what loading cost this request; 0 where it was there already. stays_s: how long it stays unused, as was
    asked last; it goes at ``expires`` (of time.monotonic) unless it is used again.
    """

    def __init__(self, entry: Entry, setting: Setting, stays_s: float) -> None:
        self.entry, self.setting, self.stays_s = entry, setting, stays_s
        self.load_ns, self.expires, self.gpu = 0, FOREVER, False
        self._process: Process | None = None
        self._key = secrets.token_hex(16)
        self._http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {self._key}"},
            timeout=httpx.Timeout(None, connect=10),
            limits=httpx.Limits(max_keepalive_connections=0),  # llama.cpp's server closes idle ones at any time
            trust_env=False,
        )

    async def start(self) -> None:
        """Load the model in a new process. Raises Refused (500) where it cannot be loaded."""
        given = asdict(self.setting) | {
            "path": str(self.entry.path), "embedding": "embedding" in self.entry.capabilities, "key": self._key,
            "chat_template": self.entry.chat_template,
        }  # fmt: skip
        command, env = (sys.executable, "-m", "programs.serve.child"), paths.environment(os.environ)
        process = await asyncio.create_subprocess_exec(*command, env=env, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
        self._process = process
        assert process.stdin and process.stdout  # noqa: PT018
        process.stdin.write(json.dumps(given).encode() + b"\n")
        line = await asyncio.wait_for(process.stdout.readline(), _LOAD_S)
        said = json.loads(line or b'{"error": "the process that loads the model ended (memory?)"}')
        if "error" in said:
            raise Refused(500, said["error"])
        self._http.base_url, self.gpu = said["url"], said["gpu"]

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.returncode is None

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """What llama.cpp's server answers. Raises Refused with its status and words."""
        try:
            reply = await self._http.post(path, json=body)
        except httpx.TransportError:
            raise await self._died() from None
        if reply.status_code != 200:
            raise _refusal(reply.status_code, reply.content)
        return reply.json()

    async def stream(self, path: str, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """The events of a streamed answer; leaving early stops it. Raises Refused."""
        url, text = self._http.base_url, json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {self._http.headers['authorization']}\r\n"
        head += f"Connection: close\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
        writer = None
        try:  # by hand: httpx takes a millisecond of the processor for each token, which the model needs
            reader, writer = await asyncio.open_connection(url.host, url.port, limit=_LONGEST_EVENT)
            writer.write(head.encode() + text)
            status = int((await reader.readuntil(b"\r\n")).split()[1])
            while (await reader.readuntil(b"\r\n")).strip():
                pass
            if status != 200:
                raise _refusal(status, await reader.read())
            while (line := await reader.readuntil(b"\n")) != b"0\r\n":  # llama.cpp writes each event as one chunk
                kind, _, event = line.partition(b": ")
                if kind == b"error" or event.startswith(b'{"error"'):
                    raise _refusal(500, event)
                if event.startswith(b"{"):
                    yield json.loads(event)
        except (OSError, asyncio.IncompleteReadError):
            raise await self._died() from None
        finally:
            if writer:
                writer.close()

    async def _died(self) -> Refused:
        await self.end()
        return Refused(500, _DIED)

    async def end(self) -> None:
        """Kill the process: it has nothing to put in order."""
        if self._process:
            if self.alive:
                self._process.kill()
            await self._process.wait()
        await self._http.aclose()

    def rest(self, keep_alive_s: float | None) -> None:
        """After a request: from now on it stays for so many seconds (None: as asked before)."""
        self.stays_s = self.stays_s if keep_alive_s is None else keep_alive_s
        self.expires = time.monotonic() + self.stays_s

    @property
    def expires_at(self) -> datetime:
        """When it goes, by the clock."""
        return datetime.now(UTC) + timedelta(seconds=min(self.expires - time.monotonic(), _CENTURY_S))

    def size_bytes(self) -> int:
        """Memory that the process holds."""
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss) if self._process else 0
        except psutil.Error:
            return 0


def _refusal(status: int, content: bytes) -> Refused:
    """llama.cpp's refusal in one line."""
    try:
        error = json.loads(content)
        message = " ".join(str(error.get("error", error)["message"]).split())[:500]
    except (ValueError, KeyError, TypeError, AttributeError):
        message = f"llama.cpp's server answered {status}"
    return Refused(status if status in (400, 501, 503) else 500, message)


@dataclass
class Runner:
    """One weights file: its child while it is loaded, and its requests, first come first served."""

    child: Child | None = None
    waiting: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def end(self) -> None:
        """End the child, if there is one. To be called with the turn."""
        if self.child:
            child, self.child = self.child, None
            await child.end()


class Pool:
    """The models in memory, at most MAX_LOADED. ``async with`` ends those whose time is over, and at its end all.

    ``keep_alive_s``: how long a model stays after its last request where no request said.
    """

    def __init__(self, keep_alive_s: float = KEEP_ALIVE_S) -> None:
        self._keep_alive_s = keep_alive_s
        self._runners: dict[str, Runner] = {}

    @asynccontextmanager
    async def child(self, entry: Entry, setting: Setting, keep_alive_s: float | None = None) -> AsyncIterator[Child]:
        """The model's child, for this request alone until the block ends.

        keep_alive_s None: as asked before; 0 ends the child after this request; FOREVER keeps it.
        Raises Refused: 503 where too many wait, 500 where the model cannot be loaded.
        """
        runner = self._runners.setdefault(str(entry.path), Runner())
        if runner.waiting >= MAX_QUEUE:
            raise Refused(503, "too many requests wait for this model: try again later")
        runner.waiting += 1
        try:
            await runner.turn.acquire()
        finally:
            runner.waiting -= 1
        try:
            child = await self._loaded(runner, entry, setting)
            try:
                yield child
            finally:
                child.rest(keep_alive_s)
        finally:
            runner.turn.release()

    async def _loaded(self, runner: Runner, entry: Entry, setting: Setting) -> Child:
        if runner.child and runner.child.alive and runner.child.setting == setting:
            runner.child.load_ns = 0
            return runner.child
        began = time.perf_counter_ns()
        await runner.end()
        # Make room. Who waits for a turn here has no child, so two never wait for each other.
        while len(there := [r for r in self._runners.values() if r.child]) >= MAX_LOADED:
            first = min(there, key=lambda r: (r.turn.locked(), r.child.expires if r.child else 0))
            async with first.turn:
                await first.end()
        child = runner.child = Child(entry, setting, self._keep_alive_s)
        try:
            await child.start()
        except BaseException:  # the client has left, or it cannot be loaded
            await runner.end()
            raise
        child.load_ns = time.perf_counter_ns() - began
        return child

    async def unload(self, entry: Entry) -> None:
        """End the model's child once its present request is done."""
        if runner := self._runners.get(str(entry.path)):
            async with runner.turn:
                await runner.end()

    def loaded(self) -> list[Child]:
        """The models in memory, the one that goes last first."""
        alive = (runner.child for runner in self._runners.values() if runner.child and runner.child.alive)
        return sorted(alive, key=lambda child: child.expires, reverse=True)

    async def _end_the_unused(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            for runner in [runner for runner in self._runners.values() if not runner.turn.locked()]:
                async with runner.turn:
                    if runner.child and time.monotonic() >= runner.child.expires:
                        await runner.end()

    async def __aenter__(self) -> Pool:
        self._janitor = asyncio.create_task(self._end_the_unused())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._janitor.cancel()
        await asyncio.gather(*(runner.end() for runner in self._runners.values()))
