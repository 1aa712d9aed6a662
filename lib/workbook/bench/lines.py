"""Files of lines that are only ever appended to: how a line is added, and how one that cannot be read is named."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Problem:
    """A line or a file that could not be read as records. ``line`` 0 is the whole file.

    ``cut``: the last line lacks its end, as a kill in the middle of a write leaves it; nothing finished is lost.
    """

    file: str
    line: int
    message: str
    cut: bool = False

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


def append(path: Path, line: bytes) -> None:
    """Add one line; when this returns it is on the disk.

    A last line that lacks its end (an earlier writer was killed in it) is ended first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    line += b"\n"
    with path.open("a+b") as out:
        if out.seek(0, os.SEEK_END):
            out.seek(-1, os.SEEK_END)
            line = line if out.read(1) == b"\n" else b"\n" + line
        out.write(line)
        out.flush()
        os.fsync(out.fileno())


def printable(text: str, most: int = 200) -> str:
    """``text`` from elsewhere as it may be shown in a terminal: no control characters, not longer than ``most``."""
    return "".join(c if c.isprintable() else "?" for c in text[:most])
