"""The asyncio side of the workers: the Pool keeps one Runner a weights file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from programs.serve.catalogue import Catalogue, Entry
from programs.serve.jobs import Event, Job, Setting
from programs.serve.waiting import Busy, Loaded, Refused, Runner
from workbook import stores

__all__ = ["FOREVER", "Busy", "Loaded", "Pool", "Refused", "Runner"]

KEEP_ALIVE_S, MAX_QUEUE, MAX_LOADED = 300.0, 512, 3
FOREVER = float("inf")


class Pool:
    """The models in memory. Use it inside one event loop; ``async with`` or ``close()`` ends the workers.

    Parameters
    ----------
    catalogue : the models there are.
    keep_alive_s : how long a model stays after its last request where the request does not say.
    max_queue : requests that may wait for one model; then Busy. max_loaded : models in memory at a time.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        keep_alive_s: float = KEEP_ALIVE_S,
        max_queue: int = MAX_QUEUE,
        max_loaded: int = MAX_LOADED,
    ) -> None:
        self.catalogue, self._max_loaded = catalogue, max_loaded
        self._keep_alive_s, self._max_queue = keep_alive_s, max_queue
        self._runners: dict[tuple[int, int] | str, Runner] = {}

    def run(
        self, entry: Entry, job: Job, setting: Setting | None = None, keep_alive_s: float | None = None
    ) -> AsyncGenerator[Event, None]:
        """The events of ``job`` on this model, which is loaded first where it is not.

        For Generate: Begun, Token..., Done. Load: Ready. Embed: Vectors.
        setting None: Setting(). keep_alive_s None: the pool's; 0 unloads after this job; FOREVER keeps. Iterate under ``contextlib.aclosing``: closing it early stops the job within a token.

        Raises Busy (503) or Refused (its status: 400, 500, ...), before the first event or between two.
        """
        return self._runner(entry).run(entry, job, setting, keep_alive_s)

    def _runner(self, entry: Entry) -> Runner:
        try:
            file = stores.same_file(entry.path)
        except OSError:
            raise Refused(404, f"model '{entry.name}' not found") from None
        if file not in self._runners:
            self._runners[file] = Runner(entry, self._keep_alive_s, self._max_queue, self._make_room)
        return self._runners[file]

    async def _make_room(self, coming: Runner) -> None:
        """Unload what goes first until one more model may be loaded, and keep that place for it."""
        while True:
            loaded = [(order, r) for r in self._runners.values() if r is not coming and (order := r.leaves_first)]
            starting = sum(runner.starts for runner in self._runners.values())
            if len(loaded) + starting < self._max_loaded:
                coming.starts = True
                return
            if loaded:
                await min(loaded, key=lambda pair: pair[0])[1].unload()
            else:
                await asyncio.sleep(0.05)  # those that start are loaded in a moment, and can be unloaded then

    async def unload(self, entry: Entry) -> None:
        """Free the memory of this model once its present job is done. No error if it is not loaded."""
        await self._runner(entry).unload()

    def loaded(self) -> list[Loaded]:
        """The models in memory, the one that goes last first (as /api/ps lists them)."""
        found = [loaded for runner in self._runners.values() if (loaded := runner.loaded())]
        return sorted(found, key=lambda item: item.expires_at, reverse=True)

    async def close(self) -> None:
        """End all workers now."""
        await asyncio.gather(*(runner.close() for runner in self._runners.values()))

    async def __aenter__(self) -> Pool:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
