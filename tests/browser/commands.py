"""Commands of ours that serve until they are ended: started as a user starts them, ended with all their children."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import psutil

ADDRESS = re.compile(r"http://(?:127\.0\.0\.1|localhost):\d+/\S*token=[\w-]+")


@dataclass
class Program:
    """A running command: what it said so far, and the processes below it."""

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)
    _lines: queue.Queue[str] = field(default_factory=queue.Queue)

    def listen(self) -> None:
        """Collect its lines, so that it never waits for a reader."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            self._lines.put(line)

    def address(self, timeout_s: float = 90) -> str:
        """The address with its token that it prints."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            with contextlib.suppress(queue.Empty):
                found = ADDRESS.search(self._lines.get(timeout=0.5))
                if found:
                    return found.group()
            if self.process.poll() is not None and self._lines.empty():
                break
        raise AssertionError("it printed no address, but: " + "".join(self.said))

    def below(self) -> list[psutil.Process]:
        """Its children and theirs: servers and kernels."""
        with contextlib.suppress(psutil.Error):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    def interrupt(self, timeout_s: float = 60) -> int:
        """Press Ctrl-C; its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout_s)


@contextlib.contextmanager
def running(words: list[str], env: Mapping[str, str]) -> Iterator[Program]:
    """``workbook`` with these words, until the block ends; nothing of it stays behind."""
    process = subprocess.Popen(
        [workbook(), *words],
        env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
        start_new_session=True,
    )  # fmt: skip
    program = Program(process)
    threading.Thread(target=program.listen, daemon=True).start()
    try:
        yield program
    finally:
        left = [*program.below(), psutil.Process(process.pid)] if process.poll() is None else []
        for one in left:
            with contextlib.suppress(psutil.Error):
                one.kill()
        process.wait(30)


def workbook() -> str:
    """The command beside the Python that runs the tests."""
    return os.path.join(os.path.dirname(sys.executable), "workbook.exe" if os.name == "nt" else "workbook")
