"""What a tier gives to the run: the command that stands before ours, the environment, where the folder is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from programs.judge.box.interpreter import Interpreter
from programs.judge.box.types import Limits


@dataclass(frozen=True)
class Screen:
    """A private X server: the folder of its socket, to be shown at ``/tmp/.X11-unix``, and what names it."""

    sockets: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """What a program needs of its tier."""

    python: Interpreter
    limits: Limits
    display: Screen = field(default_factory=Screen)
    terminal: bool = False


@dataclass(frozen=True)
class Cage:
    """One tier, ready for one program.

    ``wrap``: the words before the guard's command; ``{status}`` in them is the number of the descriptor on which
    bubblewrap says its first process. ``inside``: the program's folder as it sees it; ``outside``: as we see it,
    None where it is in reach through that first process only. ``rlimits``: what the guard sets.
    """

    tier: str
    wrap: tuple[str, ...]
    environment: Mapping[str, str]
    inside: str
    outside: Path | None
    rlimits: Mapping[str, int]
    counted: bool  # its first process is named on {status}, and all of its processes are below that
    sweeps: bool  # the guard ends what the program leaves; else the tier does
    mark: str = ""  # an environment entry by which what it leaves can be found
    pidfile: Path | None = None  # where the first process is named instead
    renumbers: bool = False  # descriptors become 3, 4, 5, …; the words {given} and {count} say which and how many
    remove: Callable[[], None] = field(default=lambda: None)


def environment(folder: str, home: str, temporary: str, terminal: bool) -> dict[str, str]:
    """All that a program finds in its environment, none of it from ours."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": home,
        "TMPDIR": temporary,
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TERM": "xterm-256color" if terminal else "dumb",
        "SDL_VIDEODRIVER": "dummy",
        "SDL_AUDIODRIVER": "dummy",
        "PYGAME_HIDE_SUPPORT_PROMPT": "1",
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",  # a linear algebra library takes memory for every core, used or not
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "PWD": folder,
    }


def rlimits(limits: Limits) -> dict[str, int]:
    """The limits of each process. That of processes counts those of a sandbox's own user namespace, or all of a user's.

    The limit on memory leaves room for address space that is reserved and not used; the watch counts what is used.
    """
    return {
        "RLIMIT_CPU": int(limits.timeout_s) + 2,
        "RLIMIT_AS": (limits.memory_mb + 512) << 20,
        "RLIMIT_DATA": limits.memory_mb << 20,
        "RLIMIT_FSIZE": limits.disk_mb << 20,
        "RLIMIT_NOFILE": limits.open_files,
        "RLIMIT_MSGQUEUE": 1 << 16,
        "RLIMIT_SIGPENDING": 1024,
        "RLIMIT_MEMLOCK": 1 << 20,
    }
