"""A catalogue and a pool without a model, for the tests of the HTTP side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from programs.serve import jobs
from programs.serve.app import create_app
from programs.serve.asking import Service
from programs.serve.catalogue import Details, Entry, Shown
from programs.serve.guard import Door, Limits
from programs.serve.runner import Loaded, Refused
from workbook.errors import ModelNotFound

THEN = datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)
SECRET = Path("/somewhere/secret/file.gguf")


def entry(name: str, *capabilities: str) -> Entry:
    details = Details("llama", ("llama",), "134.52M", "Q4_1", context_length=2048, embedding_length=576)
    return Entry(name, SECRET, 1000, THEN, details, capabilities)


ENTRIES = {
    item.name: item
    for item in (
        entry("smollm2:135m", "completion"),
        entry("all-minilm:latest", "embedding"),
        entry("thinker:1b", "completion", "tools", "thinking"),
        entry("caller:1b", "completion", "tools"),
    )
}


class FakeCatalogue:
    def entries(self):
        return list(ENTRIES.values())

    def find(self, name):
        for tried in (name.lower(), f"{name.lower()}:latest"):
            if tried in ENTRIES:
                return ENTRIES[tried]
        raise ModelNotFound(f"model '{name}' not found")

    def digest(self, item):
        return "ab" * 32

    def show(self, item, verbose=False):
        template = "<tool_call>" if item.name == "thinker:1b" else ""
        return Shown("", "# Modelfile", "", template, {"general.architecture": "llama"})


def answer(*pieces: str, reason: str = "stop", thinking: bool = False, context=()) -> list[jobs.Event]:
    """The events of an answer that is said in these pieces."""
    tokens = [jobs.Token(piece, (jobs.Scored(piece, -0.5, (jobs.Alternative(piece, -0.5),)),)) for piece in pieces]
    done = jobs.Done(reason, 10, 4, len(pieces), 1_000, 2_000, 3_000, tuple(context))
    return [jobs.Begun("<prompt>", 10, thinking), *tokens, done]


class FakePool:
    """Says what it is given; ``jobs`` keeps what it was asked, ``closed`` counts what was left before its end."""

    def __init__(self, events: Iterable[jobs.Event] | Callable[[jobs.Job], Iterable[jobs.Event]] = (), pause=0.0):
        self._events, self._pause = events, pause
        self.jobs: list[tuple[Entry, jobs.Job, jobs.Setting | None, float | None]] = []
        self.unloaded: list[Entry] = []
        self.closed, self.said, self.ended = 0, 0, False

    async def run(self, item, job, setting=None, keep_alive_s=None) -> AsyncGenerator[jobs.Event, None]:
        self.jobs.append((item, job, setting, keep_alive_s))
        try:
            for event in self._events(job) if callable(self._events) else self._events:
                await asyncio.sleep(self._pause)
                if isinstance(event, jobs.Failed):
                    raise Refused(event.status, event.message)
                self.said += 1
                yield event
        except (GeneratorExit, asyncio.CancelledError):
            self.closed += 1
            raise

    async def unload(self, item):
        self.unloaded.append(item)

    def loaded(self):
        return [Loaded(ENTRIES["smollm2:135m"], 2048, 123, 0, THEN + timedelta(minutes=5), 1)]

    async def close(self):
        self.ended = True

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.close()


def application(pool: FakePool, key: str = "", host: str = "127.0.0.1", limits: Limits | None = None):
    return create_app(Service(FakeCatalogue(), pool), Door(host, key, limits or Limits()))


def call(
    pool: FakePool, method: str, path: str, key: str = "", limits=None, host="127.0.0.1", **more
) -> httpx.Response:
    """One request to an application with this pool, without a network."""

    async def asked():
        transport = httpx.ASGITransport(application(pool, key, host, limits))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:11434") as client:
            return await client.request(method, path, **more)

    return asyncio.run(asked())
