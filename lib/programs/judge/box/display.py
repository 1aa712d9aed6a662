"""A private screen without a screen: one Xvfb for one program, in a sandbox of its own where the program is in one.

A client can make an X server take memory and, by its faults, more: so the server is not left outside.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from programs.judge.box import bubblewrap
from programs.judge.box import folder as folders
from programs.judge.box.cage import Screen
from workbook.errors import NoSandbox

SCREEN = "1024x768x24"
MEMORY_KB = 1 << 20
START_S = 15.0
SOCKETS = "/tmp/.X11-unix"


@contextlib.contextmanager
def display(contained: bool) -> Iterator[Screen]:
    """An X server that is there for the block only.

    Raises
    ------
    NoSandbox : there is no Xvfb, or it does not start.
    """
    xvfb = shutil.which("Xvfb")
    if xvfb is None or sys.platform != "linux":
        raise NoSandbox("a program with windows needs Xvfb, which is not here (Debian, Ubuntu: the package xvfb).")
    folder = Path(tempfile.mkdtemp(prefix="workbook-sandbox-x-"))
    try:
        with _contained(xvfb, folder) if contained else _beside(xvfb, folder) as made:
            yield made
    finally:
        folders.remove(folder)


@contextlib.contextmanager
def _contained(xvfb: str, folder: Path) -> Iterator[Screen]:
    if not bubblewrap.tier().available:
        raise NoSandbox(f"a private screen needs bubblewrap: {bubblewrap.tier().why_not}.")
    words = [shutil.which("bwrap") or "bwrap", *bubblewrap.CLOSED, "--clearenv", "--setenv", "PATH", "/usr/bin:/bin"]
    words += [*bubblewrap.system(), "--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
    words += ["--size", str(16 << 20), "--tmpfs", "/tmp", "--bind", str(folder), SOCKETS, "--remount-ro", "/", "--"]
    server = f"ulimit -v {MEMORY_KB}; exec {xvfb} :0 -screen 0 {SCREEN} -nolisten tcp -noreset -ac"
    process = _start([*words, "/bin/sh", "-c", server])
    with _ending(process):
        _answers(process, folder / "X0")
        yield Screen(folder, {"DISPLAY": ":0"})


@contextlib.contextmanager
def _beside(xvfb: str, folder: Path) -> Iterator[Screen]:
    """Without walls: a free number, and a key without which nobody is let in."""
    key = folder / "key"
    name, cookie = b"MIT-MAGIC-COOKIE-1", secrets.token_bytes(16)
    any_host = struct.pack(">HHH", 0xFFFF, 0, 0)
    key.write_bytes(any_host + struct.pack(">H", len(name)) + name + struct.pack(">H", len(cookie)) + cookie)
    reading, writing = os.pipe()
    words = [
        xvfb,
        "-displayfd",
        str(writing),
        "-screen",
        "0",
        SCREEN,
        "-nolisten",
        "tcp",
        "-noreset",
        "-auth",
        str(key),
    ]
    process = _start(words, (writing,))
    os.close(writing)
    with _ending(process):
        with os.fdopen(reading, "rb") as said:
            number = said.readline().strip().decode()
        if not number.isdigit():
            raise NoSandbox("Xvfb did not start.")
        yield Screen(None, {"DISPLAY": f":{number}", "XAUTHORITY": str(key)})


def _start(words: list[str], given: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin"}, cwd="/", start_new_session=True, pass_fds=given,
    )  # fmt: skip


@contextlib.contextmanager
def _ending(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Xvfb takes its socket away when it is asked to end; bubblewrap's is in a folder of ours, and is just ended."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(process: subprocess.Popen[bytes], path: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as link:
            link.connect(str(path))
            return
        time.sleep(0.02)
    raise NoSandbox("Xvfb did not start.")
