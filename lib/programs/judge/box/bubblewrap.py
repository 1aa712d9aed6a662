"""The tier of Linux: bubblewrap, with namespaces of its own for users, processes, network, mounts and the rest."""

from __future__ import annotations

import contextlib
import functools
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from programs.judge.box.cage import Cage, Wanted, environment, rlimits
from programs.judge.box.interpreter import interpreter
from programs.judge.box.types import Limits, Tier

NAME = "bubblewrap"
CONTAINS = frozenset({"network", "files", "processes", "environment", "memory", "forks", "disk", "output", "time"})
FOLDER, HOME = "/box", "/home/empty"
SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SHOWN = ("/usr", "/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts", "/etc/localtime", "/nix/store", "/gnu/store")
SHARED_MB = 32
FORBID = (
    ("user/max_user_namespaces", "0", "10000"),
    ("kernel/unprivileged_userns_clone", "0", "1"),  # Debian's
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),  # Ubuntu's, since 24.04
)
"""Settings, the value that forbids a user namespaces of their own, the one that allows them."""
CLOSED = (
    "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--cap-drop", "ALL",
    "--uid", "1000", "--gid", "1000", "--hostname", "sandbox",
)  # fmt: skip


def tier() -> Tier:
    """Whether bubblewrap works here, tried with the very command that a run takes."""
    why = _why_not()
    return Tier(NAME, not why, why, CONTAINS)


@functools.lru_cache(maxsize=1)
def _why_not() -> str:
    if sys.platform != "linux":
        return "for Linux only"
    if not shutil.which("bwrap"):
        return "bwrap is not installed (Debian, Ubuntu, Fedora: the package bubblewrap)"
    python = interpreter()
    cage = prepare(Wanted(python, Limits()))
    words = [word.replace("{status}", "2") for word in cage.wrap]
    try:
        done = subprocess.run(
            [*words, str(python.path), "-I", "-c", "print('in')"], stdin=subprocess.DEVNULL, capture_output=True,
            timeout=30, env={}, cwd="/",
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return f"bwrap does not start ({type(error).__name__})"
    if done.stdout.strip() != b"in":
        said = [line for line in done.stderr.decode(errors="replace").splitlines() if not line.startswith("{")]
        return f"bwrap does not work here ({said[-1][:120] if said else 'it says nothing'}){forbidden()}"
    return ""


def forbidden(settings: Path = Path("/proc/sys")) -> str:
    """Which setting of the system keeps users from namespaces of their own, and its cure; empty where none does."""
    for name, value, cure in FORBID:
        with contextlib.suppress(OSError):
            if (settings / name).read_text().strip() == value:
                return f": the system forbids it, sudo sysctl -w {name.replace('/', '.')}={cure} allows it"
    return ""


@functools.lru_cache(maxsize=1)
def _knows(option: str) -> bool:
    said = subprocess.run(["bwrap", "--help"], stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    return option.encode() in said.stdout + said.stderr


def prepare(wanted: Wanted) -> Cage:
    """The command: nothing is shown but the system's programs, this Python, and an empty folder in memory."""
    inside = {**environment(FOLDER, HOME, "/tmp", wanted.terminal), **wanted.display.environment}
    words = [shutil.which("bwrap") or "bwrap", *CLOSED, "--json-status-fd", "{status}", "--clearenv"]
    if _knows("--disable-userns"):
        words.append("--disable-userns")
    for name, value in inside.items():
        words += ["--setenv", name, value]
    words += system()
    words += _memory("/tmp", SHARED_MB)  # before what follows: this Python may itself stand in a folder below /tmp
    for part in map(str, wanted.python.needs()):
        words += ["--ro-bind", part, part]
    # Read-only: as root outside, a program could else write the kernel's settings, whatever rights it has dropped.
    words += [
        "--proc",
        "/proc",
        "--remount-ro",
        "/proc",
        "--dev",
        "/dev",
        *_memory("/dev/shm", SHARED_MB),
        "--remount-ro",
        "/dev",
    ]
    words += ["--dir", HOME, *_memory(FOLDER, wanted.limits.disk_mb)]
    if wanted.display.sockets:
        words += ["--ro-bind", str(wanted.display.sockets), "/tmp/.X11-unix"]
    words += ["--remount-ro", "/", "--chdir", FOLDER, "--"]
    limits = rlimits(wanted.limits)
    if _counts_apart():
        limits["RLIMIT_NPROC"] = wanted.limits.processes
    return Cage(NAME, tuple(words), {}, FOLDER, None, limits, counted=True, sweeps=False)


def _counts_apart() -> bool:
    """Whether a user namespace counts its processes apart from all of its user's: Linux 5.14. Else the watch counts.

    Root's are not counted by any limit, but by the watch.
    """
    with contextlib.suppress(ValueError):
        return tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2]) >= (5, 14)
    return False


def _memory(place: str, size_mb: int) -> tuple[str, ...]:
    return ("--size", str(size_mb << 20), "--tmpfs", place)


def system() -> list[str]:
    """What shows the system's programs and libraries, and nothing of its settings but what those need."""
    words = []
    for name in SYSTEM:
        path = Path(name)
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), name]
        elif path.exists():
            words += ["--ro-bind", name, name]
    for part in SHOWN:
        words += ["--ro-bind-try", part, part]
    return words
