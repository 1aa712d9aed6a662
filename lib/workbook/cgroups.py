"""What a container may use: the limits that Linux control groups set, versions 1 and 2.

Source: the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T", int, float)
_UNLIMITED = 2**60  # version 1 writes "no limit" as the largest multiple of a page below 2^63


@dataclass(frozen=True)
class Limits:
    """Memory and processor time that this process may use. None: no limit, or no control groups here."""

    ram_limit_bytes: int | None = None
    ram_left_bytes: int | None = None
    cpus: float | None = None


def limits(root: Path = Path("/")) -> Limits:
    """The tightest limits of this process's groups and of those above them, read below ``root``."""
    found = [_memory(folder) for folder in _folders(root, "memory")]
    known = [(limit, left) for limit, left in found if limit is not None]
    quotas = [quota for folder in _folders(root, "cpu") if (quota := _quota(folder)) is not None]
    return Limits(
        ram_limit_bytes=min((limit for limit, _ in known), default=None),
        ram_left_bytes=min((left for _, left in known if left is not None), default=None),
        cpus=min(quotas, default=None),
    )


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """The folder of this process's group for a controller, then those above it."""
    tree = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        names, _, group = rest.partition(":")
        if number == "0" and not names:
            mounts = [tree, tree / "unified"]
        elif controller in names.split(","):
            mounts = [tree / controller, tree / names]
        else:
            continue
        parts = [part for part in group.split("/") if part and part != ".."]
        for mount in mounts:
            # Inside a container the path is often the host's: the mount itself is then the group.
            for depth in range(len(parts), -1, -1):
                yield mount.joinpath(*parts[:depth])


def _memory(folder: Path) -> tuple[int | None, int | None]:
    """(limit, what is left of it) in bytes; pages of files that can be dropped count as free."""
    for limit_name, used_name, key in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit = _number(folder / limit_name)
        if limit is None or limit >= _UNLIMITED:
            continue
        used = _number(folder / used_name)
        stat = dict(line.split(" ", 1) for line in _read(folder / "memory.stat").splitlines() if " " in line)
        if used is None:
            return limit, None
        return limit, max(0, limit - used + int(_as(float, stat.get(key, "0")) or 0))
    return None, None


def _quota(folder: Path) -> float | None:
    """How many CPUs' worth of time the group may use."""
    quota, _, period = _read(folder / "cpu.max").partition(" ")
    if not quota:
        quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
    allowed, every = _as(float, quota), _as(float, period)
    return allowed / every if allowed and every and allowed > 0 and every > 0 else None


def _number(path: Path) -> int | None:
    return _as(int, _read(path))


def _as(kind: Callable[[str], T], text: str) -> T | None:
    try:
        return kind(text)
    except ValueError:
        return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
