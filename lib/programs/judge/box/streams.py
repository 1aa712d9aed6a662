"""What goes in and comes out of a contained program, read while it runs, and never more of it than agreed."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Sequence


class Reader(threading.Thread):
    """Reads one descriptor to its end; keeps the first ``most`` bytes and then says that it is ``full``."""

    def __init__(self, fd: int, most: int) -> None:
        super().__init__(daemon=True)
        self.fd, self.most, self.full = fd, most, threading.Event()
        self._kept = bytearray()
        self.start()

    def run(self) -> None:
        """Until the end, or until there is too much: what follows is left in the pipe, and the writer waits."""
        with contextlib.suppress(OSError):  # a pseudo-terminal ends so
            while len(self._kept) <= self.most:
                piece = os.read(self.fd, 1 << 16)
                if not piece:
                    return
                self._kept += piece
            self.full.set()

    @property
    def kept(self) -> bytes:
        """What was read so far."""
        return bytes(self._kept[: self.most])

    def close(self, wait_s: float = 2) -> None:
        """Wait for the end, then let go of the descriptor; if the end does not come, the thread keeps it."""
        self.join(wait_s)
        if not self.is_alive():
            with contextlib.suppress(OSError):
                os.close(self.fd)


class Writer(threading.Thread):
    """Writes pieces at their times, in seconds from the start, then closes its descriptor unless told to keep it."""

    def __init__(self, fd: int, pieces: Sequence[tuple[float, bytes]], keep: bool = False) -> None:
        super().__init__(daemon=True)
        self.fd, self.pieces, self.keep, self.stopped = fd, sorted(pieces, key=lambda p: p[0]), keep, threading.Event()
        self.start()

    def run(self) -> None:
        """Until all is written, or the reader is gone, or ``stop``."""
        begun = time.monotonic()
        with contextlib.suppress(OSError):
            for at, piece in self.pieces:
                if self.stopped.wait(max(at - (time.monotonic() - begun), 0)):
                    break
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(self.fd, rest) :]
        if not self.keep:
            with contextlib.suppress(OSError):
                os.close(self.fd)

    def stop(self) -> None:
        """Write nothing more."""
        self.stopped.set()
        self.join(2)
