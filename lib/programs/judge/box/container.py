"""The tier of podman: a container without image, network or rights, root's or a user's.

Its memory and processes are counted by the kernel, where control groups count for this user, and by the watch.

Its root is an empty folder in which the system's programs and this Python are shown, read-only; so nothing is fetched.
Docker has no such way to start from a folder and passes no descriptors on: it is not used.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from programs.judge.box import folder as folders
from programs.judge.box.bubblewrap import FOLDER, HOME, SHARED_MB, SHOWN, SYSTEM
from programs.judge.box.cage import Cage, Wanted, environment, rlimits
from programs.judge.box.interpreter import interpreter
from programs.judge.box.types import Limits, Tier

NAME = "container"
CONTAINS = frozenset({"network", "files", "processes", "environment", "memory", "forks", "disk", "output", "time"})
OURS = "[containers]\ndefault_ulimits = []\nvolumes = []\nmounts = []\nannotations = []\nenv = []\n"
"""Instead of the user's settings of podman, which may mount or allow more."""
RUNTIMES = ("", "crun", "runc")
# Descriptors reach a container as 3, 4, 5, … only: moved there before podman starts, highest first out of the way.
MOVE = (
    "import os, sys, fcntl; given = [int(n) for n in sys.argv[1].split(',')]; "
    "high = [fcntl.fcntl(n, fcntl.F_DUPFD_CLOEXEC, 64) for n in given]; "
    "[os.dup2(n, 3 + i) for i, n in enumerate(high)]; os.execvp(sys.argv[2], sys.argv[2:])"
)


def tier() -> Tier:
    """Whether podman starts a container here, tried with the very command that a run takes."""
    why = _why_not()
    return Tier(NAME, not why, why, CONTAINS)


@functools.lru_cache(maxsize=1)
def _tried() -> tuple[str | None, str]:
    """The runtime that works and an empty text, or None and what the last one said."""
    said = ""
    for runtime in RUNTIMES:
        cage = prepare(Wanted(interpreter(), Limits()), runtime)
        words = [word for word in cage.wrap if not word.startswith("--preserve-fds")]
        words = words[words.index("{given}") + 1 :]
        try:
            done = subprocess.run(
                [*words, str(interpreter().path), "-I", "-c", "print('in')"], stdin=subprocess.DEVNULL,
                capture_output=True, timeout=60, env=dict(cage.environment), cwd="/",
            )  # fmt: skip
            if done.stdout.strip() == b"in":
                return runtime, ""
            said = (done.stderr.decode(errors="replace").strip().splitlines() or ["it says nothing"])[-1]
        except (OSError, subprocess.SubprocessError) as error:
            said = type(error).__name__
        finally:
            cage.remove()
    return None, said


def _why_not() -> str:
    if sys.platform != "linux":
        return "for Linux only"
    if not shutil.which("podman"):
        return "podman is not installed (Debian, Ubuntu, Fedora: the package podman)"
    said = _tried()[1]
    return f"podman does not work here ({said[:160]})" if said else ""


def prepare(wanted: Wanted, runtime: str | None = None) -> Cage:
    """The command, and the empty folder it starts from; ``Cage.remove`` takes both away."""
    whole = Path(tempfile.mkdtemp(prefix="workbook-sandbox-"))
    root, name = whole / "root", f"workbook-{secrets.token_hex(8)}"
    root.mkdir()
    (whole / "containers.conf").write_text(OURS, encoding="utf-8")
    ours = {name: os.environ[name] for name in ("HOME", "XDG_RUNTIME_DIR", "PATH") if name in os.environ}
    ours["CONTAINERS_CONF"] = str(whole / "containers.conf")
    podman = shutil.which("podman") or "podman"

    def remove() -> None:
        commands = [[podman, "rm", "--force", "--ignore", name]]
        if os.geteuid() != 0:  # the places of its mounts, which are empty: of a user that only podman can be
            commands.append([podman, "unshare", "find", str(root), "-xdev", "-depth", "-empty", "-delete"])
        for command in commands:
            with contextlib.suppress(OSError, subprocess.SubprocessError):  # the folder goes in any case
                subprocess.run(command, env=ours, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, cwd="/")
        with contextlib.suppress(OSError):  # where podman could not clear up: an empty folder stays
            folders.remove(whole)

    runtime = (_tried()[0] or "") if runtime is None else runtime
    words = [sys.executable, "-I", "-S", "-c", MOVE, "{given}", podman]
    words += ["--runtime", runtime] * bool(runtime)
    words += ["run", "--rm", "--name", name, "--pidfile", str(whole / "pid"), *_walls(wanted, wanted.limits)]
    inside = {**environment(FOLDER, HOME, "/tmp", wanted.terminal), **wanted.display.environment}
    for key, value in inside.items():
        words += ["--env", f"{key}={value}"]
    for place, there in _shown(wanted):
        words += ["--volume", f"{place}:{there}:ro"]
    words += ["--preserve-fds={count}", "--workdir", FOLDER, "--rootfs", str(root)]
    return Cage(
        NAME, tuple(words), ours, FOLDER, None, rlimits(wanted.limits), counted=False, sweeps=False,
        pidfile=whole / "pid", renumbers=True, remove=remove,
    )  # fmt: skip


def _walls(wanted: Wanted, limits: Limits) -> list[str]:
    words = [
        "--interactive", "--log-driver", "passthrough", "--network", "none", "--ipc", "private", "--pid", "private",
        "--cap-drop", "all", "--security-opt", "no-new-privileges", "--read-only", "--read-only-tmpfs=false",
        "--hostname", "sandbox", "--unsetenv-all", "--no-hosts", "--shm-size", f"{SHARED_MB}m",
        "--tmpfs", f"{FOLDER}:rw,size={limits.disk_mb}m,mode=0777", "--tmpfs", f"/tmp:rw,size={SHARED_MB}m,mode=1777",
        "--tmpfs", f"{HOME}:ro,size=4k,mode=0555",
    ]  # fmt: skip
    if _kernel_counts():
        memory = f"{int(limits.memory_mb * 1.25) + limits.disk_mb + 2 * SHARED_MB}m"  # the watch should see it first
        words += ["--memory", memory, "--memory-swap", memory, "--pids-limit", str(limits.processes * 4)]
    if os.geteuid() == 0:  # else root of a container that root starts is root
        return [*words, "--user", "65534:65534"]
    # The user inside too, not the root of the container: without rights there, and what the user may read stays readable.
    return [*words, "--userns", "keep-id", "--user", f"{os.geteuid()}:{os.getegid()}"]


def _kernel_counts() -> bool:
    """Whether control groups hold memory and processes: not for a user's containers below version 2. Else the watch."""
    return os.geteuid() == 0 or Path("/sys/fs/cgroup/cgroup.controllers").exists()


def _shown(wanted: Wanted) -> list[tuple[str, str]]:
    places = [(name, name) for name in (*SYSTEM, *SHOWN, *map(str, wanted.python.needs())) if Path(name).exists()]
    if wanted.display.sockets:
        places.append((str(wanted.display.sockets), "/tmp/.X11-unix"))
    return places
