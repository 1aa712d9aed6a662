"""What a contained run takes and gives: a tier, its limits, how a program ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

How = Literal["exit", "signal", "timeout", "memory", "output", "harness"]

NETWORK, FILES, PROCESSES, ENVIRONMENT = "network", "files", "processes", "environment"
MEMORY, FORKS, DISK, OUTPUT, TIME = "memory", "forks", "disk", "output", "time"
STRONG = frozenset({NETWORK, FILES, PROCESSES})
"""What a tier must contain to be used on a plain yes."""


@dataclass(frozen=True)
class Tier:
    """One way to contain a program, as this machine has it.

    ``contains``: network, files (reads and writes only its own folder), processes (sees and signals no other),
    environment (no keys), memory, forks, disk, output, time (the whole tree ends, nothing is left behind).
    ``why_not``: why it is not available, in a few words; empty when it is.
    """

    name: str
    available: bool
    why_not: str
    contains: frozenset[str]

    @property
    def weak(self) -> bool:
        """It leaves the network, the user's files or other processes in reach: a plain yes is not enough."""
        return not self.contains >= STRONG


@dataclass(frozen=True)
class Limits:
    """What a program may use. Of all its processes together, where the tier or the watch over it can count them."""

    timeout_s: float = 30
    memory_mb: int = 1024
    processes: int = 64
    open_files: int = 256
    disk_mb: int = 64
    files: int = 4096  # names it may make on the disk
    output_bytes: int = 1 << 20  # of each of stdout, stderr, report
    kept_files: int = 64
    kept_bytes: int = 4 << 20  # of the files it leaves, together
    path_bytes: int = 200  # of a file's name with its folders
    depth: int = 8


@dataclass(frozen=True)
class Ended:
    """How a program ended, and what it left.

    ``code``: the exit code, or the signal's number; None where there is none (timeout, memory, output, harness).
    ``harness``: the sandbox failed, which says nothing of the program; ``why`` says how.
    ``files``: regular files in its folder, by their path there, without those it was given unchanged.
    ``cut``: something it wrote or left was not kept. ``report``: what the driver wrote to its report channel.
    """

    how: How
    code: int | None
    stdout: bytes
    stderr: bytes
    files: Mapping[str, bytes]
    seconds: float
    tier: str
    cut: bool
    report: bytes = b""
    why: str = ""
    refused: tuple[str, ...] = field(default=())  # what it left and was not read: links, devices, long names
