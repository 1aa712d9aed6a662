"""What the limits of a single process do not see: all processes of a program together, and the memory files fill."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from programs.judge.box import folder as folders
from programs.judge.box.types import How, Limits

LEAST_FREE = 0.03
"""Of this machine's memory: below, a contained program is ended whatever it was seen to hold."""
THREADS_EACH = 4
MEMINFO = Path("/proc/meminfo")
BESIDE_MB = 256
"""Beside its memory, its disk and as much again: what others may take of memory that no process shows, meanwhile."""


class Watch:
    """Looks at the processes below ``first`` and at the folder. ``crossed`` is asked several times a second.

    ``in_memory``: the folder and the others in which the program may write, where they are the sandbox's own.
    """

    def __init__(self, first: int, folder: Path, in_memory: Sequence[int], limits: Limits) -> None:
        self.first, self.folder, self.in_memory, self.limits = first, folder, in_memory, limits
        self.before = unseen()

    def members(self) -> list[psutil.Process]:
        """The processes below the first one, as far as they can be seen."""
        return list(_below(self.first))

    def crossed(self) -> tuple[How, str] | None:
        """The limit that was passed and how to say it; None while all is well."""
        members = self.members()
        if len(members) > self.limits.processes + 2:
            return "signal", f"more than {self.limits.processes} processes"
        held, threads = unmapped([process.pid for process in members]), 0
        for process in members:
            with contextlib.suppress(psutil.Error, OSError), process.oneshot():
                held += process.memory_info().rss
                threads += process.num_threads()
        if threads > self.limits.processes * THREADS_EACH:
            return "signal", f"more than {self.limits.processes * THREADS_EACH} threads"
        if held > (self.limits.memory_mb << 20) * 1.1:
            return "memory", f"more than {self.limits.memory_mb} MB in all its processes"
        memory = psutil.virtual_memory()
        if memory.available < memory.total * LEAST_FREE:
            own = held > self.limits.memory_mb << 19  # else it was not this program's doing
            return ("memory" if own else "harness"), "this machine's memory ran out"
        if (unseen() - self.before) >> 20 > self.limits.memory_mb + 2 * self.limits.disk_mb + BESIDE_MB:
            own = held > self.limits.memory_mb << 19
            return ("memory" if own else "harness"), "memory that no process shows ran up while it ran"
        return self._disk()

    def _disk(self) -> tuple[How, str] | None:
        names = written = 0
        with contextlib.suppress(OSError):
            if self.in_memory:
                held = [os.statvfs(place) for place in self.in_memory]
                names = max(place.f_files - place.f_ffree for place in held)
            else:
                written, names = folders.weight(self.folder, self.limits.files + 1)
        if names > self.limits.files:
            return "output", f"more than {self.limits.files} files"
        if written > self.limits.disk_mb << 20:
            return "output", f"more than {self.limits.disk_mb} MB on the disk"
        return None


def _below(pid: int) -> Iterator[psutil.Process]:
    """The descendants of ``pid``: from the kernel's own lists where it keeps them, else by a look at all processes."""
    with contextlib.suppress(psutil.Error, OSError):
        if not Path(f"/proc/{pid}/task/{pid}/children").exists():
            yield from psutil.Process(pid).children(recursive=True)
            return
    waiting, seen = [pid], {pid}
    while waiting:
        for path in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            with contextlib.suppress(psutil.Error, OSError):
                for child in set(map(int, path.read_text().split())) - seen:
                    seen.add(child)
                    waiting.append(child)
                    yield psutil.Process(child)


def go_first(first: int) -> None:
    """If this machine's memory runs out all the same, the kernel shall end what runs below ``first``, not the user's."""
    for pid in (first, *(process.pid for process in _below(first))):
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/oom_score_adj").write_text("1000")


def unmapped(pids: list[int]) -> int:
    """Bytes in files of memory that have no name: they count for no process, whoever holds them."""
    held: dict[int, int] = {}
    for pid in pids:
        with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if os.readlink(entry.path).startswith("/memfd:"):
                        seen = os.stat(entry.path)
                        held[seen.st_ino] = seen.st_blocks * 512
    return sum(held.values())


def unseen() -> int:
    """Bytes of this machine's memory that belong to no process and to no file on a disk.

    Buffers of pipes and sockets, files without a name that travel in a message, shared memory that nobody maps: a
    program can fill memory with them, and they count for none of its processes. 0 where the system does not tell.
    """
    held = {}
    with contextlib.suppress(OSError, ValueError):
        for line in MEMINFO.read_text().splitlines():
            name, _, rest = line.partition(":")
            held[name] = int(rest.split()[0]) << 10
    if not held.keys() >= {"MemTotal", "MemFree", "Buffers", "Cached", "AnonPages", "Shmem", "SReclaimable"}:
        return 0
    seen = held["MemFree"] + held["Buffers"] + held["Cached"] + held["AnonPages"] + held["SReclaimable"]
    return held["MemTotal"] - seen + held["Shmem"]
