"""Files of lines that are only ever appended to: how a line is added, and how one that cannot be read is named."""

from __future__ import annotations

import contextlib
import os
import tempfile
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

    A last line that lacks its end (an earlier writer was killed in it) is ended first. Where the disk is full, what
    was written of the line is taken back, and OSError is raised.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    line += b"\n"
    with path.open("a+b", buffering=0) as out:
        size = out.seek(0, os.SEEK_END)
        if size:
            out.seek(-1, os.SEEK_END)
            line = line if out.read(1) == b"\n" else b"\n" + line
        written = 0
        try:
            while written < len(line):  # a disk that becomes full takes a part of it first
                written += out.write(line[written:])
            os.fsync(out.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                if out.seek(0, os.SEEK_END) == size + written:  # nobody else has added to it
                    out.truncate(size)
            raise


def printable(text: str, most: int = 200) -> str:
    """``text`` from elsewhere as it may be shown in a terminal: no control characters, not longer than ``most``."""
    return "".join(c if c.isprintable() else "?" for c in text[:most])


def create(path: Path, content: bytes) -> bool:
    """Make the file ``path`` with all of ``content``, or leave it alone where it is there: False then.

    It appears whole or not at all, and nothing that another program makes meanwhile is overwritten.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(fd, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.chmod(name, 0o644)
        return place(Path(name), path)
    finally:
        Path(name).unlink(missing_ok=True)


def place(half: Path, path: Path) -> bool:
    """Give the finished file ``half`` the name ``path`` in the same folder, where nothing has it: False then."""
    try:
        os.link(half, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        if path.exists():
            return False
        os.replace(half, path)
    else:
        half.unlink()
    return True
