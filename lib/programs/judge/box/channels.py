"""The pipes of one run: the program's own three, the report and the secret, and the guard's two."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Iterator

from programs.judge.box.streams import Reader, Writer
from programs.judge.box.task import Task

LONGEST_LINE = 4096


class Channels:
    """All descriptors of one run; ``close`` lets go of every one that is left."""

    def __init__(self, task: Task, counted: bool) -> None:
        self.theirs: list[int] = []
        self.ours: list[int] = []
        self._readers: list[Reader] = []
        self._writers: list[Writer] = []
        self._buffer, self._spilled = b"", False
        self._control_there, self._control = self._pair(ours_writes=True)
        self._status, self._status_there = self._pair()
        self._report, self._report_there = self._pair()
        self._secret_there, self._secret = self._pair(ours_writes=True) if task.secret is not None else (-1, -1)
        self._named, self.first = self._pair() if counted else (-1, -1)
        self._terminal = self._slave = -1
        if task.pty:
            self._terminal, self._slave = os.openpty()
            _size(self._slave)
            self.theirs.append(self._slave)
            self.stdin, self._in = self._nothing(), -1
            self.stdout, self._out = self._nothing(os.O_WRONLY), self._terminal
        else:
            self.stdin, self._in = self._pair(ours_writes=True) if task.stdin else (self._nothing(), -1)
            self._out, self.stdout = self._pair()
        self._err, self.stderr = self._pair()

    def _pair(self, ours_writes: bool = False) -> tuple[int, int]:
        reading, writing = os.pipe()
        ours, theirs = (writing, reading) if ours_writes else (reading, writing)
        self.ours.append(ours)
        self.theirs.append(theirs)
        return reading, writing

    def _nothing(self, mode: int = os.O_RDONLY) -> int:
        fd = os.open(os.devnull, mode)
        self.theirs.append(fd)
        return fd

    @property
    def numbers(self) -> dict[str, int]:
        """What the guard is told."""
        return {
            "control": self._control_there,
            "status": self._status_there,
            "report": self._report_there,
            "secret": self._secret_there,
            "terminal": self._slave,
        }

    @property
    def given(self) -> tuple[int, ...]:
        """The descriptors that the sandbox inherits beside 0, 1, 2."""
        return tuple(fd for fd in (*self.numbers.values(), self.first) if fd >= 0)

    def start(self, task: Task) -> None:
        """After the sandbox was started: let go of its ends, begin to read and to feed."""
        for fd in self.theirs:
            os.close(fd)
        self.theirs.clear()
        most = task.limits.output_bytes
        self.out, self.err = self._reads(self._out, most), self._reads(self._err, most)
        self.report = self._reads(self._report, most)
        if task.secret is not None:
            self._feeds(self._secret, [(0.0, task.secret)])
        if self._in >= 0:
            self._feeds(self._in, [(0.0, task.stdin)])

    def _reads(self, fd: int, most: int) -> Reader:
        self._forget(fd)
        self._readers.append(Reader(fd, most))
        return self._readers[-1]

    def _feeds(self, fd: int, pieces: list[tuple[float, bytes]]) -> None:
        self._forget(fd)
        self._writers.append(Writer(fd, pieces))

    def _forget(self, fd: int) -> None:
        if fd in self.ours:
            self.ours.remove(fd)

    @property
    def full(self) -> bool:
        """Whether the program wrote more than is kept."""
        return self._spilled or any(reader.full.is_set() for reader in self._readers)

    def go(self, task: Task) -> None:
        """Let the program begin; its keys are timed from here."""
        os.write(self._control, b"g")
        if self._terminal >= 0:
            pieces = [(0.0, task.stdin), *task.keys] if task.stdin else list(task.keys)
            self._writers.append(Writer(os.dup(self._terminal), pieces))

    def line(self, until: float) -> bytes | None:
        """A line of the guard's; empty when the guard is gone, None when ``until`` comes first."""
        while b"\n" not in self._buffer:
            if not select.select([self._status], [], [], max(until - time.monotonic(), 0))[0]:
                return None
            piece = os.read(self._status, LONGEST_LINE)
            if not piece or len(self._buffer) > LONGEST_LINE:
                return b""
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def first_process(self) -> bytes:
        """What bubblewrap says of its first process; it has said it before the guard began."""
        return os.read(self._named, LONGEST_LINE).partition(b"\n")[0]

    def stop(self) -> None:
        """Tell the guard that we are gone: it ends what it started."""
        if self._control in self.ours:
            os.close(self._control)
            self._forget(self._control)
        for writer in self._writers:
            writer.stopped.set()

    def close(self) -> None:
        """After the end: wait for the readers, let go of the rest."""
        for reader in self._readers:
            reader.close()
            self._spilled = self._spilled or reader.full.is_set()
        self._readers.clear()
        for fd in (*self.ours, *self.theirs):
            with contextlib.suppress(OSError):
                os.close(fd)
        self.ours.clear()
        self.theirs.clear()


def _size(terminal: int, rows: int = 24, columns: int = 80) -> None:
    import fcntl
    import struct
    import termios

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextlib.contextmanager
def opened(task: Task, counted: bool) -> Iterator[Channels]:
    """The channels of one run, closed at its end."""
    channels = Channels(task, counted)
    try:
        yield channels
    finally:
        channels.close()
