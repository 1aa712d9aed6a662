"""One weights file on the asyncio side: its worker while it is loaded, and the requests that wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from programs.serve import templates
from programs.serve.catalogue import Entry
from programs.serve.child import Child, Died
from programs.serve.jobs import Embed, Event, Failed, Job, Load, Ready, Setting, Token, Vectors
from workbook.errors import WorkbookError

_MOST_UNREAD = 20_000  # events of one answer that wait for a slow client
_A_CENTURY = 100 * 365.25 * 86400.0

STOPPED = (
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, "
    "check ollama server logs for details"
)
ENDING = "the server is ending"
BROKEN = "an error was encountered while running the model: unexpected EOF"


class Refused(WorkbookError):
    """A job was refused or failed: ``status`` and text as an endpoint answers them."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Busy(Refused):
    """Too many requests wait already (503)."""

    def __init__(self) -> None:
        super().__init__(503, "server busy, please try again.  maximum pending requests exceeded")


@dataclass(frozen=True)
class Loaded:
    """A model in memory, as /api/ps lists it. ``expires_at``: when it goes unless it is used again."""

    entry: Entry
    num_ctx: int
    size_bytes: int
    size_vram: int
    expires_at: datetime
    pid: int


class Runner:
    """One weights file: its worker while it is loaded, and the requests that wait for it, first come first served."""

    def __init__(
        self, entry: Entry, keep_alive_s: float, max_queue: int, make_room: Callable[[Runner], Awaitable[None]]
    ) -> None:
        self.entry, self.keep_alive_s, self._max_queue, self._make_room = entry, keep_alive_s, max_queue, make_room
        self._turn, self._waiting = asyncio.Lock(), 0
        self._child: Child | None = None
        self._ready: Ready | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._expires, self._stays_s = 0.0, keep_alive_s
        self._tasks: set[asyncio.Task[None]] = set()
        self.starts = self._closed = False

    async def run(
        self, entry: Entry, job: Job, setting: Setting | None, keep_alive_s: float | None
    ) -> AsyncGenerator[Event, None]:
        """As ``Pool.run``."""
        await self._take_turn()
        if self._closed:
            self._turn.release()
            raise Refused(503, ENDING)
        feed: asyncio.Queue[Event | None] = asyncio.Queue()
        gone = asyncio.Event()
        task = asyncio.create_task(self._serve(entry, job, setting, keep_alive_s, feed, gone))
        self._tasks.add(task)  # the loop itself keeps only a weak reference
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: feed.put_nowait(None))  # also when it was cancelled before it began
        try:
            while (event := await feed.get()) is not None:
                if isinstance(event, Failed):
                    raise Refused(event.status, event.message)
                yield event
        finally:
            gone.set()

    async def _take_turn(self) -> None:
        if self._waiting >= self._max_queue:
            raise Busy
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1

    async def _serve(
        self, entry: Entry, job: Job, setting: Setting | None, keep_alive_s: float | None,
        feed: asyncio.Queue[Event | None], gone: asyncio.Event,
    ) -> None:  # fmt: skip
        """Do one job and give the turn on: also when the client reads slowly, or has left."""
        self._stay()
        try:
            if not gone.is_set():
                await self._do(entry, job, setting, feed, gone)
        except asyncio.CancelledError:
            feed.put_nowait(Failed(503, ENDING))
            raise
        except Exception as error:  # noqa: BLE001  whoever waits for the events must hear of it
            feed.put_nowait(Failed(500, f"the model's worker failed ({type(error).__name__})."))
        finally:
            if keep_alive_s is not None:
                self._stays_s = keep_alive_s  # what was asked last holds while the model is loaded
            try:
                await self._leave_after(self._stays_s)
            finally:
                self._turn.release()

    async def _do(
        self, entry: Entry, job: Job, setting: Setting | None, feed: asyncio.Queue[Event | None], gone: asyncio.Event
    ) -> None:
        setting = _wanted(entry, setting)
        idle, seen = self._child, set[type[Event]]()
        for last in (False, True):
            try:
                await self._pass_on(entry, job, setting, feed, gone, seen)
                return
            except Died:
                self._child = self._ready = None
                # One that was killed while it was idle may be found dead only now: that is no fault of this job.
                if last or idle is None or seen or gone.is_set():
                    feed.put_nowait(Failed(500, BROKEN if Token in seen else STOPPED))
                    return

    async def _pass_on(
        self, entry: Entry, job: Job, setting: Setting, feed: asyncio.Queue[Event | None], gone: asyncio.Event,
        seen: set[type[Event]],
    ) -> None:  # fmt: skip
        """The worker's events into ``feed``, their kinds into ``seen``. Raises Died."""
        child = await self._started(entry)
        async with contextlib.aclosing(child.events(job, setting, gone)) as events:
            async for event in _joined(events, job):
                seen.add(type(event))
                if isinstance(event, Ready):
                    self._ready = event
                    if not isinstance(job, Load):
                        continue
                feed.put_nowait(event)
                if feed.qsize() > _MOST_UNREAD and not gone.is_set():
                    feed.put_nowait(Failed(500, "the answer was not read in time"))
                    gone.set()

    async def _started(self, entry: Entry) -> Child:
        if self._child is None or not self._child.alive:
            self._child = self._ready = None
            try:
                await self._make_room(self)
                self._child, self.entry = await Child.start(entry.path, "embedding" in entry.capabilities), entry
            finally:
                self.starts = False
        return self._child

    def _stay(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    async def _leave_after(self, seconds: float) -> None:
        self._stay()
        self._expires = time.monotonic() + seconds
        if seconds <= 0 and not self._waiting:
            await self._end()
        elif self._child is not None and seconds < _A_CENTURY:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        task = asyncio.ensure_future(self.unload(expired=True))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def unload(self, expired: bool = False) -> None:
        """End the worker once its present job is done; ``expired``: unless it was used in between."""
        async with self._turn:
            if not expired or time.monotonic() >= self._expires:
                self._stay()
                await self._end()

    async def _end(self) -> None:
        if self._child is not None:
            await self._child.end()
        self._child = self._ready = None
        self._stays_s = self.keep_alive_s

    @property
    def leaves_first(self) -> tuple[bool, float] | None:
        """The order in which models make room: unused ones first, then by when they would go. None: not loaded."""
        return (self._turn.locked(), self._expires) if self._child is not None else None

    def loaded(self) -> Loaded | None:
        """What /api/ps says of it; None: it is not in memory."""
        child, ready = self._child, self._ready
        if child is None or ready is None or not child.alive:
            return None
        left = self._stays_s if self._turn.locked() else self._expires - time.monotonic()
        until = datetime.now(UTC) + timedelta(seconds=min(left, _A_CENTURY))
        return Loaded(self.entry, ready.num_ctx, ready.size_bytes, ready.size_vram, until, child.pid)

    async def close(self) -> None:
        """End the worker now, whatever it does, and take no more jobs."""
        self._closed = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._stay()
        await self._end()


async def _joined(events: AsyncGenerator[Event, None], job: Job) -> AsyncGenerator[Event, None]:
    """The events as they are, but the vectors of one job in one event."""
    parts: list[Vectors] = []
    load_ns = 0
    async for event in events:
        if isinstance(event, Vectors):
            parts.append(event)
            continue
        if isinstance(event, Ready):
            load_ns = event.load_ns
        yield event
        if isinstance(event, Failed):
            return
    if isinstance(job, Embed) and len(parts) == len(job.texts):
        yield Vectors(tuple(v for part in parts for v in part.vectors), sum(p.n_prompt for p in parts), load_ns)


def _wanted(entry: Entry, setting: Setting | None) -> Setting:
    setting = setting or Setting()  # as Ollama: a window lasts no longer than the requests that name it
    encodes = "embedding" in entry.capabilities
    return replace(setting, num_ctx=templates.window(setting.num_ctx, entry.details.context_length, encodes))
