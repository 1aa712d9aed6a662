"""What an engine's memory is made of, where Linux tells.

A model file is mapped, not read: its pages count in RSS as soon as they were touched, belong to the page cache, and may
be dropped and read again. So RSS alone is neither what the engine needs (too much, on a machine that has room) nor what
it uses (too little, where pages were dropped). ``anon`` is what it needs for itself: KV cache, compute buffers, weights
that were repacked. ``file`` is the mapped part in memory now.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Split:
    """Resident bytes: the process's own (with shared memory that no file holds), and those mapped from files."""

    anon: int = 0
    file: int = 0


@dataclass(frozen=True)
class Shared:
    """Bytes of several processes. PSS: a page of n processes counts 1/n in each. USS: pages of one process alone."""

    pss: int | None = None
    uss: int | None = None


def split(pid: int, proc: Path = _PROC) -> Split:
    """RssAnon + RssShmem, and RssFile, of ``/proc/<pid>/status``; zeros where it is not Linux or the process is gone."""
    found = _kib(proc / str(pid) / "status")
    return Split((found.get("RssAnon", 0) + found.get("RssShmem", 0)) * 1024, found.get("RssFile", 0) * 1024)


def shared_fairly(pids: Iterable[int], proc: Path = _PROC) -> Shared:
    """PSS and USS of these processes together, by ``smaps_rollup``; None where no process of them could be read.

    Another user's processes (a service's) are closed to all but root.
    """
    pss = uss = 0
    for pid in pids:
        found = _kib(proc / str(pid) / "smaps_rollup")
        pss += found.get("Pss", 0)
        uss += found.get("Private_Clean", 0) + found.get("Private_Dirty", 0)
    return Shared(pss * 1024, uss * 1024) if pss else Shared()


def _kib(path: Path) -> dict[str, int]:
    """The lines ``Name:  123 kB`` of a file of the kernel; nothing where it cannot be read."""
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return {}
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[1] == "kB" and words[0].isdecimal():
            found[name] = int(words[0])
    return found
