"""The program's folder: what is put in, what is read back of what it left, and how it goes away.

Whatever lies there was made by the program: nothing is followed, nothing is opened before its kind is known, and what
is read is counted. Reading begins when the program has ended.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from programs.judge.box.types import Limits
from workbook.errors import NoSandbox

MOST_NAMES = 10_000  # looked at, not kept
FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@dataclass
class Left:
    """What a program left: regular files by their path, and in words what was not read."""

    files: dict[str, bytes] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    names: int = 0
    room: int = 0

    def refuse(self, path: str, why: str) -> None:
        """Note that ``path`` was not read; a bounded number of times, in a bounded number of characters."""
        if len(self.refused) < 32:
            self.refused.append(f"{path[:60]!a}: {why}")


def put(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write ``files`` into a folder that only we have touched so far.

    Raises
    ------
    NoSandbox : a name leads out of the folder.
    """
    for name, content in files.items():
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or not pure.parts or "\\" in name or ":" in name:
            raise NoSandbox(f"{name!r} is no name for a file in the program's folder.")
        path = folder.joinpath(*pure.parts)
        for above in reversed(path.relative_to(folder).parents[:-1]):
            (folder / above).mkdir(exist_ok=True)
            (folder / above).chmod(0o777)  # a container may run as another user; nobody else reaches the folder
        path.write_bytes(content)
        path.chmod(0o666)


def collect(folder: Path, limits: Limits) -> Left:
    """What stands in ``folder`` now that the program is gone."""
    left = Left(room=limits.kept_bytes)
    waiting = [(folder, "", 0)]
    while waiting and left.names < MOST_NAMES:
        place, above, depth = waiting.pop()
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    left.names += 1
                    if left.names >= MOST_NAMES:
                        left.refuse(above, "too many names, the rest was not looked at")
                        break
                    if inner := _one(entry, above + entry.name, depth, left, limits):
                        waiting.append((inner, f"{above}{entry.name}/", depth + 1))
        except OSError as error:
            left.refuse(above, error.strerror or "not readable")
    return left


def _one(entry: os.DirEntry[str], path: str, depth: int, left: Left, limits: Limits) -> Path | None:
    """Keep or refuse one entry; the folder to look into, if it is one."""
    try:
        path.encode()
        mode = entry.stat(follow_symlinks=False).st_mode
    except (OSError, ValueError):
        left.refuse(path, "a name or entry that cannot be read")
        return None
    if len(path.encode()) > limits.path_bytes:
        left.refuse(path, "a long name")
    elif stat.S_ISDIR(mode) and not getattr(entry, "is_junction", lambda: False)():
        if depth + 1 < limits.depth:
            return Path(entry.path)
        left.refuse(path, "folders too deep")
    elif not stat.S_ISREG(mode):
        left.refuse(path, "no regular file")
    elif len(left.files) >= limits.kept_files:
        left.refuse(path, "too many files")
    else:
        _read(entry, path, left)
    return None


def _read(entry: os.DirEntry[str], path: str, left: Left) -> None:
    try:
        fd = os.open(entry.path, FLAGS)
    except OSError as error:
        left.refuse(path, error.strerror or "not readable")
        return
    with os.fdopen(fd, "rb") as file:
        seen = os.fstat(fd)
        if not stat.S_ISREG(seen.st_mode) or seen.st_nlink != 1:
            left.refuse(path, "no file of its own")
        elif seen.st_size > left.room:
            left.refuse(path, "too large")
        else:
            content = file.read(left.room + 1)
            if len(content) <= left.room:
                left.files[path] = content
                left.room -= len(content)


def weight(folder: Path, most: int = MOST_NAMES) -> tuple[int, int]:
    """(bytes on the disk, names) in ``folder``, as far as ``most`` names; to be called while the program runs."""
    total, names, waiting = 0, 0, [str(folder)]
    while waiting and names < most:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                names += 1
                with contextlib.suppress(OSError):
                    seen = entry.stat(follow_symlinks=False)
                    total += getattr(seen, "st_blocks", 0) * 512 or (seen.st_size if os.name == "nt" else 0)
                    if stat.S_ISDIR(seen.st_mode):
                        waiting.append(entry.path)
                if names >= most:
                    break
    return total, names


def remove(folder: Path) -> None:
    """Take ``folder`` away whatever it holds: folders without rights, and deeper than any path is long."""
    if os.name == "nt":
        shutil.rmtree(folder, ignore_errors=True)
        return
    count, sign = 0, secrets.token_hex(8)
    while folder.exists():
        os.chmod(folder, 0o700)
        entries = list(os.scandir(folder))
        if not entries:
            folder.rmdir()
            return
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            os.chmod(entry.path, 0o700)
            for inner in os.listdir(entry.path):  # one level up: so no path ever grows
                count += 1
                if stat.S_ISDIR(os.lstat(f"{entry.path}/{inner}").st_mode):
                    os.chmod(f"{entry.path}/{inner}", 0o700)
                os.rename(f"{entry.path}/{inner}", folder / f"{sign}-{count}")
            os.rmdir(entry.path)
