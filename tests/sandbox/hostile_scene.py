"""What hostile programs are tried against: servers, a private file, a key, a process, and a look for what stays."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
MARK = "not-for-programs"


@dataclass
class Scene:
    """One program's surroundings. ``words``: what it is told of them, as its only argument."""

    home: Path
    target: Path
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    listeners: list[socket.socket] = field(default_factory=list)
    said: list[bytes] = field(default_factory=list)
    closing: bool = False

    def __post_init__(self) -> None:
        (self.home / ".ssh").mkdir(parents=True)
        (self.home / ".ssh" / "id_test").write_text(MARK)
        (self.home / "private.txt").write_text(MARK)
        self.folders = leftover_folders()
        self.mounts = mounts()
        self.descriptors = descriptors()
        self.victim = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"], env={"WORKBOOK_TEST_KEY": MARK}
        )
        self.tcp = self._listen(socket.AF_INET, ("127.0.0.1", 0))
        self.tcp6 = self._listen(socket.AF_INET6, ("::1", 0))
        self.udp = self._listen(socket.AF_INET, ("127.0.0.1", 0), socket.SOCK_DGRAM)
        self.unix = self._listen(socket.AF_UNIX, str(self.home / "s"))
        self.abstract = f"workbook-{self.token}"
        if sys.platform == "linux":
            self._listen(socket.AF_UNIX, "\0" + self.abstract)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.door = free.getsockname()[1]
        threading.Thread(target=self._knock, daemon=True).start()

    def _listen(self, family: int, address: object, kind: int = socket.SOCK_STREAM) -> int | str:
        try:
            door = socket.socket(family, kind)
            door.bind(address)  # type: ignore[arg-type]
        except OSError:  # no IPv6 here
            return 1
        if kind == socket.SOCK_STREAM:
            door.listen()
        self.listeners.append(door)
        threading.Thread(target=self._hear, args=(door, kind), daemon=True).start()
        name = door.getsockname()
        return name[1] if isinstance(name, tuple) else name

    def _hear(self, door: socket.socket, kind: int) -> None:
        with contextlib.suppress(OSError):
            while True:
                if kind == socket.SOCK_DGRAM:
                    self.said.append(door.recv(512))
                    continue
                caller, _ = door.accept()
                with caller:
                    caller.settimeout(1)
                    self.said.append(caller.recv(16))

    def _knock(self) -> None:
        while not self.closing:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.door), timeout=0.2):
                return
            time.sleep(0.02)

    @property
    def words(self) -> str:
        return json.dumps(
            {
                "tcp": self.tcp, "tcp6": self.tcp6, "udp": self.udp, "unix": self.unix, "abstract": self.abstract,
                "door": self.door, "private": str(self.home / "private.txt"), "home": str(self.home),
                "checkout": str(ROOT), "target": str(self.target), "victim": self.victim.pid, "caller": os.getpid(),
                "token": self.token,
            }
        )  # fmt: skip

    def heard(self) -> list[bytes]:
        """What the servers received; a moment is left for what is under way."""
        time.sleep(0.05)
        return self.said

    def victim_lives(self) -> bool:
        time.sleep(0.05)
        return self.victim.poll() is None

    def close(self) -> None:
        self.closing = True
        self.victim.kill()
        self.victim.wait()
        for door in self.listeners:
            with contextlib.suppress(OSError):
                door.shutdown(socket.SHUT_RDWR)
            door.close()

    def left(self, within_s: float = 60) -> list[str]:
        """What stayed of the program, in words. Mounts of others come and go: those seen now must go in a while,
        which is longer than a container of another run of these tests is there."""
        found = [f"a process: {process.pid}" for process in with_token(self.token)]
        found += [f"a folder: {name}" for name in leftover_folders() - self.folders]
        found += [f"a descriptor: {name}" for name in descriptors() if name not in self.descriptors]
        segments = Path("/proc/sysvipc/shm")
        if segments.exists() and str(0x5EED) in segments.read_text().split():
            found.append("a shared segment")
        new, until = mounts() - self.mounts, time.monotonic() + within_s
        while new & mounts() and time.monotonic() < until:
            time.sleep(0.05)
        return found + [f"a mount: {line}" for line in new & mounts()]


def with_token(token: str) -> list[psutil.Process]:
    """Processes that have ``token`` in their words: a fork keeps them, and so does a new program that is told it."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and any(token in word for word in process.cmdline()):
                found.append(process)
    return found


def leftover_folders() -> set[str]:
    return {name for name in os.listdir(tempfile.gettempdir()) if name.startswith("workbook-sandbox-")}


def descriptors() -> list[str]:
    """This process's pipes, terminals and folders; its sockets are this scene's own and come and go."""
    found = []
    for name in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{name}")
            found += [target] * (target.startswith("pipe:") or "pidfd" in target or "ptmx" in target or "box" in target)
    return sorted(found)


def mounts() -> set[str]:
    path = Path("/proc/self/mounts")
    return set(path.read_text().splitlines()) if path.exists() else set()
