"""The tier of podman and Docker: a container without network or rights, root's or a user's.

podman on Linux needs no image: its root is an empty folder in which the system's programs and this Python are shown,
read-only. Docker, and podman elsewhere, need an image with Python 3.9 or newer, and pygame where games need it:
``WORKBOOK_IMAGE`` names one, else it is python:3.12-slim. Only the user fetches it, by ``docker pull``. Tried on Linux
with podman 4.3 and Docker 20.10; the command is the same elsewhere.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from programs.judge.box import bubblewrap
from programs.judge.box.bubblewrap import SHARED_MB, SHOWN, SYSTEM
from programs.judge.box.interpreter import Interpreter, interpreter
from programs.judge.box.walls import ALL, FORKS, Limits, Tier, Walls, tried
from workbook import paths
from workbook.errors import NoSandbox

NAME = "container"
IMAGE = "python:3.12-slim"
PROBE = """
from glob import glob
print("in", *(open(path).read() for path in glob("/sys/fs/cgroup/**/pids.max", recursive=True)))
"""


@functools.lru_cache(maxsize=1)
def tier() -> Tier:
    """Whether an engine starts a container here, tried with the very command that a run takes."""
    engine = _engine()
    if engine is None:
        return Tier(NAME, False, "neither podman nor Docker is installed (Debian, Ubuntu: the package podman)", ALL)
    with walls(interpreter(), Limits()) as made:
        said, wrong = tried(made, PROBE)
    cure = f"; {engine} pull {_image()} fetches the image" if "image" in wrong else ""
    why = f"{engine} does not work here ({wrong}){cure}" if wrong else ""
    # The kernel's own word that it counts: not for a user's containers below version 2 of control groups.
    counted = _in_user_namespace() or said.split()[-1:] == [str(Limits().processes + 1)]
    return Tier(NAME, not why, why, ALL if counted else ALL - {FORKS})


def _in_user_namespace() -> bool:
    return _own_root() and os.geteuid() != 0 and bubblewrap.counted()


def _engine() -> str | None:
    return next((name for name in ("podman", "docker") if shutil.which(name)), None)


def _image() -> str:
    return os.environ.get("WORKBOOK_IMAGE") or IMAGE


def _own_root() -> bool:
    return _engine() == "podman" and sys.platform == "linux"


@contextlib.contextmanager
def walls(python: Interpreter, limits: Limits) -> Iterator[Walls]:
    """The command, and an end to the container whatever happened to it."""
    engine, name = shutil.which(_engine() or "") or "podman", f"workbook-{secrets.token_hex(8)}"
    memory = f"{int(limits.memory_mb * 1.25) + limits.disk_mb + 2 * SHARED_MB}m"  # the supervisor should see it first
    words = [
        engine, "run", "--rm", "--interactive", "--name", name, "--pull", "never", "--log-driver", "none",
        "--network", "none", "--ipc", "private", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
        "--read-only", "--hostname", "sandbox", "--oom-score-adj", "1000",
        "--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096",
        "--pids-limit", str(limits.processes + 1), "--memory", memory, "--memory-swap", memory,
        "--shm-size", f"{SHARED_MB}m", "--tmpfs", f"/box:rw,size={limits.disk_mb}m,mode=1777",
        "--tmpfs", f"/tmp:rw,size={SHARED_MB}m,mode=1777",
    ]  # fmt: skip
    within = str(python.path) if _own_root() else "python3"
    words += _from_folder(python) if _own_root() else _from_image(python)
    try:
        yield Walls((*words, within), counted=_in_user_namespace())
    finally:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run([engine, "rm", "--force", name], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)


def _from_image(python: Interpreter) -> list[str]:
    if python != interpreter():
        raise NoSandbox("a container runs the Python of its image: name no other, or the image in WORKBOOK_IMAGE.")
    return ["--user", "65534:65534", _image()]


def _from_folder(python: Interpreter) -> list[str]:
    root = paths.cache() / "container-root"
    for name in ("box", "tmp"):
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name).chmod(0o1777)  # what is mounted there takes it over
    words = ["--read-only-tmpfs=false", "--user", "65534:65534"]  # else root of a container that root starts is root
    if os.geteuid() != 0:  # the user inside too: what the user may read stays readable
        words = [*words[:1], "--userns", "keep-id", "--user", f"{os.geteuid()}:{os.getegid()}"]
    for place in (*SYSTEM, *SHOWN, *map(str, python.needs())):
        if Path(place).exists():
            words += ["--volume", f"{place}:{place}:ro"]
    return [*words, "--rootfs", str(root)]
