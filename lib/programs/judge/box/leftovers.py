"""Nothing stays: a namespace ended with all in it, or what still carries a run's mark found and ended."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time

import psutil

PATIENCE_S = 5.0


class Namespace:
    """The processes of one process namespace, held by its first: when that is gone, the system has ended them all."""

    def __init__(self, first: int) -> None:
        self.first = first
        self._fd = os.pidfd_open(first) if hasattr(os, "pidfd_open") else -1

    def end(self) -> None:
        """Kill the first process, wait until it and so all others are gone."""
        if self._fd < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._fd, signal.SIGKILL)
        select.select([self._fd], [], [], PATIENCE_S)
        os.close(self._fd)
        self._fd = -1


def marked(mark: str) -> list[psutil.Process]:
    """The processes of this user whose environment holds the entry ``mark`` (``NAME=value``)."""
    name, _, value = mark.partition("=")
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(name) == value:
                found.append(process)
    return found


def end_marked(mark: str) -> None:
    """End what carries ``mark``, again and again until nothing does; give up after a few seconds."""
    until = time.monotonic() + PATIENCE_S
    while (found := marked(mark)) and time.monotonic() < until:
        for order in ("suspend", "kill"):
            for process in found:
                with contextlib.suppress(psutil.Error, OSError):
                    getattr(process, order)()
        psutil.wait_procs(found, timeout=0.5)
