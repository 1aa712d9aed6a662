"""The models in memory: one child process a weights file, and the requests that wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psutil

from programs.serve.catalogue import Entry
from workbook import paths
from workbook.errors import WorkbookError

KEEP_ALIVE_S, MAX_QUEUE, MAX_LOADED = 300.0, 512, 3
FOREVER = float("inf")
_LOAD_S, _END_S, _CENTURY_S = 600, 5, 100 * 365.25 * 86400.0
DIED = "the process that had the model has ended in mid-answer (memory? see the system's log); ask again: it is started anew"


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

    num_ctx: int = 4096
    num_batch: int = 512
    num_thread: int = 0
    num_gpu: int = -1


@dataclass(frozen=True)
class Loaded:
    """A model in memory, as /api/ps lists it. ``expires_at``: when it goes unless it is used again."""

    entry: Entry
    num_ctx: int
    size_bytes: int
    size_vram: int
    expires_at: datetime


class Child:
    """A child process with a model. ``load_ns``: what loading it took this request; 0 where it was there already."""

    def __init__(self, process: asyncio.subprocess.Process, setting: Setting, said: dict[str, Any], key: str) -> None:
        self.process, self.setting, self.gpu, self.load_ns = process, setting, bool(said["gpu"]), 0
        self._http = httpx.AsyncClient(
            base_url=said["url"],
            headers={"Authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(None, connect=10),
            limits=httpx.Limits(max_keepalive_connections=0),  # llama.cpp's server closes idle ones at any time
            trust_env=False,
        )

    @classmethod
    async def start(cls, entry: Entry, setting: Setting) -> Child:
        """Load a model in a new process. Raises Refused (500) where it cannot be loaded."""
        key = secrets.token_hex(16)
        given = asdict(setting) | {
            "path": str(entry.path), "embedding": "embedding" in entry.capabilities, "key": key,
            "chat_template": entry.chat_template,
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "programs.serve.child"), env=paths.environment(os.environ),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(json.dumps(given).encode() + b"\n")
            line = await asyncio.wait_for(process.stdout.readline(), _LOAD_S)
            said = json.loads(line or b'{"error": "the process that loads the model ended (memory?)"}')
        except BaseException:  # the client has left, or it takes too long
            process.kill()
            raise
        if "error" in said:
            process.stdin.close()
            raise Refused(500, said["error"])
        return cls(process, setting, said, key)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.returncode is None

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """What llama.cpp's server answers. Raises Refused with its status and words."""
        try:
            reply = await self._http.post(path, json=body)
        except httpx.TransportError:
            raise await self._dead() from None
        if reply.status_code != 200:
            raise _refusal(reply.status_code, reply.content)
        return reply.json()

    async def stream(self, path: str, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """The events of a streamed answer; leaving early stops it. Raises Refused."""
        try:
            async with self._http.stream("POST", path, json=body) as reply:
                if reply.status_code != 200:
                    raise _refusal(reply.status_code, await reply.aread())
                held = b""
                async for raw in reply.aiter_raw():
                    *lines, held = (held + raw).split(b"\n")
                    for line in lines:
                        if line.startswith(b"data: {"):
                            yield json.loads(line[6:])
                        elif line.startswith(b"error: "):
                            raise _refusal(500, line[7:])
                if not self.alive:
                    raise Refused(500, DIED)
        except httpx.TransportError:
            raise await self._dead() from None

    async def _dead(self) -> Refused:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.process.wait(), 1)
        return Refused(500, DIED if not self.alive else "llama.cpp's server closed the connection; ask again")

    async def end(self) -> None:
        """End the process: it is asked, then killed."""
        if self.process.stdin:
            self.process.stdin.close()
        try:
            await asyncio.wait_for(self.process.wait(), _END_S)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
        await self._http.aclose()

    def size_bytes(self) -> int:
        """Memory that the process holds."""
        try:
            return int(psutil.Process(self.process.pid).memory_info().rss)
        except psutil.Error:
            return 0


def _refusal(status: int, content: bytes) -> Refused:
    """llama.cpp's refusal in one line."""
    try:
        error = json.loads(content)
        error = error.get("error", error)
        message = " ".join(str(error["message"]).split())[:500]
        overflow = error.get("type") == "exceed_context_size_error"
    except (ValueError, KeyError, AttributeError):
        message, overflow = f"llama.cpp's server answered {status}", False
    return (Overflow if overflow else Refused)(status if status in (400, 501, 503) else 500, message)


class Overflow(Refused):
    """The prompt is longer than the window."""


class Runner:
    """One weights file: its child while it is loaded, and the requests that wait for it, first come first served."""

    def __init__(self, pool: Pool, entry: Entry) -> None:
        self.entry, self._pool = entry, pool
        self.turn, self.waiting = asyncio.Lock(), 0
        self.child: Child | None = None
        self.expires, self.stays_s = 0.0, pool.keep_alive_s
        self._timer: asyncio.Task[None] | None = None

    async def loaded(self, entry: Entry, setting: Setting) -> Child:
        """The child with this setting, started unless it is there. To be called with the turn."""
        if self._timer:
            self._timer.cancel()
        if self.child and self.child.alive and self.child.setting == setting:
            self.child.load_ns = 0
            return self.child
        began = time.perf_counter_ns()
        await self.end()
        await self._pool.make_room(self)
        self.child, self.entry = await Child.start(entry, setting), entry
        self.child.load_ns = time.perf_counter_ns() - began
        return self.child

    async def rest(self, keep_alive_s: float | None) -> None:
        """After a request: the child goes when it was not used for so many seconds (None: as asked before)."""
        self.stays_s = self.stays_s if keep_alive_s is None else keep_alive_s
        self.expires = time.monotonic() + self.stays_s
        if self.stays_s <= 0 and not self.waiting:
            await self.end()
        elif self.child and self.stays_s < _CENTURY_S:
            self._timer = asyncio.create_task(self._expire(self.stays_s))

    async def _expire(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        async with self.turn:
            self._timer = None  # from here on it is not to be cancelled
            if time.monotonic() >= self.expires:
                await self.end()

    async def end(self) -> None:
        """End the child, if there is one."""
        if self.child:
            child, self.child, self.stays_s = self.child, None, self._pool.keep_alive_s
            await child.end()


class Pool:
    """The models in memory, at most ``max_loaded``. Use it inside one event loop; ``async with`` ends the children.

    ``keep_alive_s``: how long a model stays after its last request where the request does not say.
    """

    def __init__(self, keep_alive_s: float = KEEP_ALIVE_S, max_loaded: int = MAX_LOADED) -> None:
        self.keep_alive_s, self._max_loaded = keep_alive_s, max_loaded
        self._runners: dict[str, Runner] = {}
        self._starting = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def child(
        self, entry: Entry, setting: Setting | None = None, keep_alive_s: float | None = None
    ) -> AsyncIterator[Child]:
        """The model's child, for this request alone until the block ends. setting None: Ollama's defaults.

        keep_alive_s None: the pool's; 0 ends the child after this request; FOREVER keeps it.
        Raises Refused: 503 where too many wait, 500 where the model cannot be loaded.
        """
        runner = self._runners.setdefault(str(entry.path), Runner(self, entry))
        if runner.waiting >= MAX_QUEUE:
            raise Refused(503, "too many requests wait for this model: try again later")
        runner.waiting += 1
        try:
            await runner.turn.acquire()
        finally:
            runner.waiting -= 1
        try:
            yield await runner.loaded(entry, setting or Setting(num_ctx=entry.window(Setting.num_ctx)))
        finally:
            try:
                await runner.rest(keep_alive_s)
            finally:
                runner.turn.release()

    async def make_room(self, coming: Runner) -> None:
        """End what goes first until one more model may be loaded: one that is not in use, else when it is done."""
        async with self._starting:
            while len(there := [r for r in self._runners.values() if r.child and r is not coming]) >= self._max_loaded:
                first = min(there, key=lambda r: (r.turn.locked(), r.expires))
                async with first.turn:
                    await first.end()

    async def unload(self, entry: Entry) -> None:
        """End the model's child once its present request is done."""
        if runner := self._runners.get(str(entry.path)):
            async with runner.turn:
                await runner.end()

    def loaded(self) -> list[Loaded]:
        """The models in memory, the one that goes last first."""
        found = [
            _loaded(runner, runner.child) for runner in self._runners.values() if runner.child and runner.child.alive
        ]
        return sorted(found, key=lambda item: item.expires_at, reverse=True)

    async def __aenter__(self) -> Pool:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(runner.end() for runner in self._runners.values()))


def _loaded(runner: Runner, child: Child) -> Loaded:
    left = runner.stays_s if runner.turn.locked() else runner.expires - time.monotonic()
    until = datetime.now(UTC) + timedelta(seconds=min(left, _CENTURY_S))
    size = child.size_bytes()
    on_gpu = size if child.gpu and child.setting.num_gpu != 0 else 0
    return Loaded(runner.entry, child.setting.num_ctx, size, on_gpu, until)
