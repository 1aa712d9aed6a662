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
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
MARK = "not-for-programs"


class Scene:
    """One program's surroundings."""

    def __init__(self, home: Path, target: Path) -> None:
        self.home, self.target, self.token = home, target, secrets.token_hex(8)
        (home / ".ssh").mkdir(parents=True)
        for name in (".ssh/id_test", "private.txt"):
            (home / name).write_text(MARK)
        self.said: list[bytes] = []
        self.listeners: list[socket.socket] = []
        self.victim = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"], env={"WORKBOOK_TEST_KEY": MARK}
        )
        self.told = {
            "tcp": self._listen(socket.AF_INET, ("127.0.0.1", 0))[1],
            "udp": self._listen(socket.AF_INET, ("127.0.0.1", 0), socket.SOCK_DGRAM)[1],
            "unix": self._listen(socket.AF_UNIX, str(home / "s")), "abstract": f"workbook-{self.token}",
            "private": str(home / "private.txt"), "home": str(home), "checkout": str(ROOT), "target": str(target),
            "victim": self.victim.pid, "caller": os.getpid(), "token": self.token,
        }  # fmt: skip
        self._listen(socket.AF_UNIX, "\0" + self.told["abstract"])
        self.before = set(self._outside())

    def _listen(self, family: int, address: object, kind: int = socket.SOCK_STREAM) -> tuple[str, int] | str:
        door = socket.socket(family, kind)
        door.bind(address)
        if kind == socket.SOCK_STREAM:
            door.listen()
        self.listeners.append(door)
        threading.Thread(target=self._hear, args=(door, kind), daemon=True).start()
        return door.getsockname()

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

    def words(self, contained: bool) -> str:
        """What the program is told of them, as its only argument."""
        return json.dumps({**self.told, "contained": contained})

    def reached(self) -> list[str]:
        """What can be seen from outside of a program that got through."""
        found = [f"a server heard {said!r}" for said in self.said]
        found += ["a file of the user's was written"] * self.target.exists()
        return found + ["a process of the user's was ended"] * (self.victim.poll() is not None)

    def close(self) -> None:
        self.victim.kill()
        self.victim.wait()
        for door in self.listeners:
            with contextlib.suppress(OSError):
                door.shutdown(socket.SHUT_RDWR)
            door.close()

    def tasks(self) -> int:
        """Processes and threads that have the token in their words: a fork keeps them, a new program is told it."""
        return sum(self._threads(pid) for pid in psutil.pids())

    def _threads(self, pid: int) -> int:
        with contextlib.suppress(OSError):
            if self.token.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                return len(os.listdir(f"/proc/{pid}/task"))
        return 0

    def _outside(self) -> list[str]:
        """Folders, mounts and shared segments that a run may leave."""
        found = [name for name in os.listdir(tempfile.gettempdir()) if name.startswith("workbook-box-")]
        found += [line for line in Path("/proc/self/mounts").read_text().splitlines() if "overlay" not in line]
        return found + Path("/proc/sysvipc/shm").read_text().splitlines()

    def left(self, within_s: float = 30) -> list[str]:
        """What stayed of the program, in words; what goes in a while was another's."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            found = [f"{count} processes"] if (count := self.tasks()) else []
            found += [line for line in self._outside() if line not in self.before]
            if not found:
                return []
            time.sleep(0.02)
        return found
