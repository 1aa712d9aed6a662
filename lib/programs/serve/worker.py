"""The child process: one model, one job at a time, lines of JSON in and out. A crash of llama.cpp ends only this.

In: ``{"id", "job", "setting"}``, ``{"cancel": id}``. Out: ``{"id", "event"}`` and, after a job's last one,
``{"id", "end": true}``. When the pipe from the parent closes, the process ends.
"""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from programs.serve import wire
from programs.serve.jobs import Embed, Event, Failed, Generate, Job, Ready, Setting
from workbook.errors import BadOption, ContextOverflow, WorkbookError

if TYPE_CHECKING:
    from programs.serve.generation import ModelSession

_PADDED = 256  # llama.cpp rounds a context up to a multiple of this
_LARGEST_BATCH = 2048
NO_EMBEDDINGS = "This server does not support embeddings. Start it with `--embeddings`"
_BUFFER = re.compile(r"^\S+:\s*(?P<where>\S+)\s.*buffer size\s*=\s*(?P<mib>[\d.]+) MiB", re.MULTILINE)


class Worker:
    """What the child keeps: the model's file, the model once it is loaded, and which job is cancelled.

    ``encodes``: the model makes vectors, and reads a text in one batch.
    """

    def __init__(self, path: Path, encodes: bool, out: BinaryIO) -> None:
        self._path, self._encodes, self._out = path, encodes, out
        self._asked: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._now, self._cancelled = 0, -1
        self._setting: Setting | None = None
        self._session: ModelSession | None = None
        self._bytes = (0, 0)

    def listen(self, source: BinaryIO) -> None:
        """Read what the parent asks, in a thread of its own: so a cancel is heard during a job."""
        try:
            for raw in source:
                asked = json.loads(raw)
                if "cancel" in asked:
                    self._cancelled = max(self._cancelled, int(asked["cancel"]))
                else:
                    self._asked.put(asked)
        finally:
            os._exit(0)  # the parent is gone, or wants no more: at once, whatever llama.cpp is computing

    def work(self) -> None:
        """Do the jobs in the order they come, until the process ends."""
        while True:
            asked = self._asked.get()
            self._now = int(asked["id"])
            try:
                for event in self._events(wire.load(asked["job"]), wire.load(asked["setting"])):
                    self._send(event=event)
            except Exception as error:  # noqa: BLE001  one request fails, the next one does not
                self._send(event=_failed(error))
            self._send(end=True)

    def _send(self, **fields: Any) -> None:
        self._out.write(wire.line(id=self._now, **fields))
        self._out.flush()

    def _is_cancelled(self) -> bool:
        return self._cancelled >= self._now

    def _events(self, job: Job, setting: Setting) -> Iterator[Event]:
        session, load_ns = self._load(setting)
        model = session.model
        yield Ready(session.num_ctx, model.n_ctx_train, load_ns, *self._bytes)
        if isinstance(job, Generate):
            yield from session.generate(job, load_ns)
        elif isinstance(job, Embed):
            yield from self._vectors(session, job)

    def _vectors(self, session: ModelSession, job: Embed) -> Iterator[Event]:
        from programs.serve import embedding

        if not self._encodes:
            yield Failed(501 if job.normalize else 500, NO_EMBEDDINGS)
            return
        try:
            yield from embedding.vectors(session.model, session.num_ctx, job, self._is_cancelled)
        except ContextOverflow as error:
            yield Failed(400 if job.normalize else 500, str(error))

    def _load(self, setting: Setting) -> tuple[ModelSession, int]:
        """The model as ``setting`` says, loaded unless it is; nanoseconds that took."""
        from programs.serve.generation import ModelSession
        from workbook.engines import llama, native

        if self._session is not None and setting == self._setting:
            return self._session, 0
        started = time.perf_counter_ns()
        if self._session is not None:
            self._session.model.close()
            self._session = self._setting = None
        native.begin()
        one = max(setting.num_ctx, _PADDED) if self._encodes else 0  # tokens in one batch
        model = llama.Model(
            self._path,
            n_ctx=-(-setting.num_ctx // _PADDED) * _PADDED,
            n_batch=one or max(1, min(setting.num_batch, _LARGEST_BATCH)),
            n_ubatch=one or 512,
            n_threads=setting.num_thread if setting.num_thread > 0 else None,
            n_gpu_layers=setting.num_gpu if setting.num_gpu >= 0 else None,
        )
        self._bytes = buffers(native.log())
        self._session, self._setting = ModelSession(model, setting.num_ctx, self._is_cancelled), setting
        return self._session, time.perf_counter_ns() - started


def buffers(log: str) -> tuple[int, int]:
    """Bytes in all, and on a GPU, of the buffers that llama.cpp's log names since it last loaded a model."""
    last = log[max(log.rfind("load_tensors: loading"), 0) :]
    sizes = [(found["where"], int(float(found["mib"]) * 2**20)) for found in _BUFFER.finditer(last)]
    return sum(n for _, n in sizes), sum(n for where, n in sizes if not where.startswith("CPU"))


def _failed(error: Exception) -> Failed:
    """What an endpoint answers for this error; no path of this machine is in it."""
    if isinstance(error, BadOption | ContextOverflow):
        return Failed(400, str(error))
    if isinstance(error, WorkbookError):
        return Failed(500, str(error))
    if isinstance(error, MemoryError):
        return Failed(500, "model requires more system memory than is available")
    return Failed(500, f"the model's worker failed ({type(error).__name__}).")


def main() -> None:
    """Serve the model that the command line names until the parent ends the pipe."""
    path, encodes = Path(sys.argv[1]), sys.argv[2] == "encodes"
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what C code prints must not get between the events
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the parent, which ends the pipe
    worker = Worker(path, encodes, out)
    threading.Thread(target=worker.listen, args=(sys.stdin.buffer,), daemon=True).start()
    try:
        worker.work()
    finally:
        os._exit(1)  # the parent reads no more; the other thread holds the standard input, and could not be ended


if __name__ == "__main__":
    main()
