"""What a tier is, what a program may use in it, and what a tier gives to a run."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

NETWORK, FILES, PROCESSES, ENVIRONMENT = "network", "files", "processes", "environment"
MEMORY, FORKS, DISK, OUTPUT, TIME = "memory", "forks", "disk", "output", "time"
STRONG = frozenset({NETWORK, FILES, PROCESSES})
"""What a tier must contain to be used on a plain yes."""
FIRST_TO_GO = ("/bin/sh", "-c", 'echo 1000 2>/dev/null >/proc/self/oom_score_adj; exec "$@"', "sh")
"""Before a command: if this machine's memory runs out all the same, the kernel ends that, not the user's own."""
ALL = STRONG | {ENVIRONMENT, MEMORY, FORKS, DISK, OUTPUT, TIME}


@dataclass(frozen=True)
class Tier:
    """One way to contain a program, as this machine has it.

    ``contains``: network, files (reads and writes only its own folder), processes (sees and signals no other),
    environment (no keys), memory, forks (the kernel lets it have no more processes and threads than agreed), disk,
    output, time (the whole tree ends, nothing is left behind).
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
    """What a program may use, of all its processes together."""

    timeout_s: float = 30
    memory_mb: int = 1024
    processes: int = 64  # and threads
    open_files: int = 256
    disk_mb: int = 64
    files: int = 4096  # names it may make on the disk
    output_bytes: int = 1 << 20  # of each of stdout, stderr
    kept_files: int = 64
    kept_bytes: int = 4 << 20  # of the files it leaves, together
    path_bytes: int = 200  # of a file's name with its folders
    depth: int = 8


@dataclass(frozen=True)
class Walls:
    """One tier, ready for one program.

    ``words``: the command that starts a Python inside, as far as that Python's own options.
    ``base``: the folder in which the program's own two, ``box`` and ``tmp``, stand.
    ``counted``: the limit on processes of that user counts this program's alone, so the supervisor sets it.
    """

    words: tuple[str, ...]
    base: str = ""
    counted: bool = False


def tried(walls: Walls, code: str) -> tuple[str, str]:
    """What a first program says behind ``walls``, and what is wrong where it does not begin with "in"."""
    words = [*walls.words, "-I", "-S", "-c", code]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, cwd="/")
    except (OSError, subprocess.SubprocessError) as error:
        return "", type(error).__name__
    said = done.stdout.decode(errors="replace").strip()
    complaint = done.stderr.decode(errors="replace").strip().splitlines() or ["it says nothing"]
    return said, "" if said.startswith("in") else complaint[0][:160]
