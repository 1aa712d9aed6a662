"""The tier of Linux: bubblewrap, with namespaces of its own for processes, network, mounts and the rest.

The kernel limits how many processes a user has, but not root. So root starts the program as a user of its own, and
anybody else in a user namespace, which counts apart from the user's other processes (Linux 5.14).
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from programs.judge.box.interpreter import Interpreter, interpreter
from programs.judge.box.walls import ALL, FIRST_TO_GO, FORKS, Limits, Tier, Walls, tried

NAME = "bubblewrap"
SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SHOWN = ("/usr", "/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts", "/etc/localtime", "/nix/store", "/gnu/store")
SHARED_MB = 32
FORBID = (
    ("user/max_user_namespaces", "0", "10000"),
    ("kernel/unprivileged_userns_clone", "0", "1"),  # Debian's
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),  # Ubuntu's, since 24.04
)
"""Settings, the value that forbids a user namespaces of their own, the one that allows them."""


@functools.lru_cache(maxsize=1)
def tier() -> Tier:
    """Whether bubblewrap works here, tried with the very command that a run takes."""
    why = "" if sys.platform == "linux" else "for Linux only"
    if not why and not shutil.which("bwrap"):
        why = "bwrap is not installed (Debian, Ubuntu, Fedora: the package bubblewrap)"
    if not why:
        with walls(interpreter(), Limits()) as made:
            wrong = tried(made, "print('in')")[1]
        why = f"bwrap does not work here ({wrong}){forbidden()}" if wrong else ""
    return Tier(NAME, not why, why, ALL if counted() else ALL - {FORKS})


def counted() -> bool:
    """Whether the kernel counts a program's processes apart from all others."""
    version = [int(part) for part in platform.release().split("-")[0].split(".")[:2] if part.isdigit()]
    return _root() or version >= [5, 14]


def _root() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0


def forbidden(settings: Path = Path("/proc/sys")) -> str:
    """Which setting of the system keeps users from namespaces of their own, and its cure; empty where none does."""
    for name, value, cure in FORBID:
        with contextlib.suppress(OSError):
            if (settings / name).read_text().strip() == value:
                return f": the system forbids it, sudo sysctl -w {name.replace('/', '.')}={cure} allows it"
    return ""


@contextlib.contextmanager
def walls(python: Interpreter, limits: Limits) -> Iterator[Walls]:
    """The command: nothing is shown but the system's programs, this Python, and empty folders in memory."""
    root = "/inside" if _root() else ""
    words = [shutil.which("bwrap") or "bwrap", *_namespaces(), "--as-pid-1", "--die-with-parent", "--new-session"]
    words += ["--clearenv", "--hostname", "sandbox", *_system("")]
    if root:
        words += ["--perms", "0755", "--dir", root, *_system(root)]
    words += _memory(
        f"{root}/tmp", SHARED_MB
    )  # before what follows: this Python may itself stand in a folder below /tmp
    for part in python.needs():
        words += _shown(root, part)
    words += ["--proc", f"{root}/proc", "--remount-ro", f"{root}/proc", "--dev", f"{root}/dev"]
    words += [*_memory(f"{root}/dev/shm", SHARED_MB), "--remount-ro", f"{root}/dev"]
    words += [*_memory(f"{root}/box", limits.disk_mb), "--remount-ro", "/", "--"]
    if root:  # who has changed its root makes no user namespace, and so no rights of its own
        user = 1 << 30 | secrets.randbelow(1 << 30)
        words += ["/usr/sbin/chroot", f"--userspec=+{user}:+{user}", "--groups=", root]
    yield Walls((*FIRST_TO_GO, *words, str(python.path)), counted=counted())


def _namespaces() -> list[str]:
    apart = [f"--unshare-{name}" for name in ("pid", "net", "ipc", "uts", "cgroup-try")]
    if _root():
        rights = ("CAP_SETUID", "CAP_SETGID", "CAP_SYS_CHROOT")
        return [*apart, "--cap-drop", "ALL", *(word for right in rights for word in ("--cap-add", right))]
    apart += ["--unshare-user", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL"]
    return [*apart, "--disable-userns"] if _knows("--disable-userns") else apart


@functools.lru_cache(maxsize=1)
def _knows(option: str) -> bool:
    said = subprocess.run(["bwrap", "--help"], stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    return option.encode() in said.stdout + said.stderr


def _memory(place: str, size_mb: int) -> tuple[str, ...]:
    return ("--perms", "1777", "--size", str(size_mb << 20), "--tmpfs", place)


def _shown(root: str, path: Path) -> list[str]:
    words = []
    for above in reversed(path.parents[:-1]):  # bubblewrap's own would be closed to all but root
        words += ["--perms", "0755", "--dir", f"{root}{above}"]
    return [*words, "--ro-bind", str(path), f"{root}{path}"]


def _system(root: str) -> list[str]:
    """What shows the system's programs and libraries, and nothing of its settings but what those need."""
    words = []
    for path in map(Path, (*SYSTEM, *SHOWN)):
        if path.is_symlink() and str(path) in SYSTEM:
            words += ["--symlink", str(path.readlink()), f"{root}{path}"]
        elif path.exists():
            words += _shown(root, path)
    return words
