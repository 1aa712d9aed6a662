"""A worker process from the asyncio side: start it, give it a job, read its events, end it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import workbook
from programs.serve import wire
from programs.serve.jobs import Event, Job, Setting

_LONGEST_LINE = 64 * 2**20
_SILENT_S = 1800.0  # a long prompt on a slow machine says nothing until it is read
_STOP_S = 60.0  # a batch of a big model may take long; after that the worker is ended, not asked


class Died(Exception):
    """The worker ended in the middle of a job."""


class Child:
    """One worker process. One job at a time: ``events`` is used up before the next."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process, self._number = process, 0

    @classmethod
    async def start(cls, path: Path, encodes: bool) -> Child:
        """A worker for this file; it loads at its first job."""
        source = str(Path(workbook.__file__).parents[1])
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "programs.serve.worker", str(path), "encodes" if encodes else "generates",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            limit=_LONGEST_LINE, env=env,
        )  # fmt: skip
        return cls(process)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.returncode is None

    async def events(self, job: Job, setting: Setting, gone: asyncio.Event) -> AsyncGenerator[Event, None]:
        """What the worker answers to this job. When ``gone`` is set it is told to stop, and ends within a token.

        Raises Died when the process ends, or does not stop in time.
        """
        self._number += 1
        number = self._number
        self._write(wire.line(id=number, job=job, setting=setting))
        watch = asyncio.create_task(self._watch(gone, number))
        try:
            while (event := await self._read(number)) is not None:
                if not gone.is_set():
                    yield event
        finally:
            watch.cancel()

    async def _watch(self, gone: asyncio.Event, number: int) -> None:
        await gone.wait()
        self._write(wire.line(cancel=number))
        await asyncio.sleep(_STOP_S)
        self._kill()

    async def _read(self, number: int) -> Event | None:
        """The next event of job ``number``; None after its last one."""
        while True:
            try:
                async with asyncio.timeout(_SILENT_S):
                    raw = await self._process.stdout.readline() if self._process.stdout else b""
                said = json.loads(raw)
                if said["id"] == number:
                    event: Event | None = None if "end" in said else wire.load(said["event"])
                    return event
            except (ValueError, KeyError, TypeError, OSError):
                # The pipe is closed, silent, or what comes out of it is no event: this worker is lost.
                await self.end()
                raise Died from None

    def _write(self, line: bytes) -> None:
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(line)

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def end(self) -> None:
        """End the process and wait until its memory is free."""
        if self.alive:
            self._kill()
        await self._process.wait()
        transport = getattr(self._process, "_transport", None)
        if transport is not None:
            transport.close()  # left to its destructor, it would speak to an event loop that is closed by then
