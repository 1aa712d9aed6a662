"""What a container may use: the limits that Linux control groups set, versions 1 and 2.

Source: the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_UNLIMITED = 2**60  # version 1 writes "no limit" as the largest multiple of a page below 2^63


@dataclass(frozen=True)
class ContainerLimits:
    """Memory and processor time that this process may use. None: no limit, or no control groups here."""

    ram_limit_bytes: int | None = None
    ram_left_bytes: int | None = None
    cpus: float | None = None


def limits(root: Path = Path("/")) -> ContainerLimits:
    """The tightest limits of this process's groups and of those above them, read below ``root``."""
    folders = list(_folders(root))
    memory = [found for folder in folders if (found := _memory(folder))]
    return ContainerLimits(
        ram_limit_bytes=min((limit for limit, _ in memory), default=None),
        ram_left_bytes=min((left for _, left in memory), default=None),
        cpus=min((cpus for folder in folders if (cpus := _cpus(folder))), default=None),
    )


def _folders(root: Path) -> Iterator[Path]:
    """The folders of this process's groups, and of those above them."""
    for line in read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")  # version 2 names no controllers and has one tree
        parts = [part for part in group.split("/") if part and part != ".."]
        for depth in range(len(parts) + 1):  # the mount itself, too: inside a container the path is often the host's
            yield root.joinpath("sys/fs/cgroup", controllers, *parts[:depth])


def _memory(folder: Path) -> tuple[int, int] | None:
    """(limit, what is left of it) in bytes; pages of files that can be dropped count as free."""
    for limit_name, used_name, key in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit, used = _number(read(folder / limit_name)), _number(read(folder / used_name))
        if limit and limit < _UNLIMITED:
            stat = dict(line.partition(" ")[::2] for line in read(folder / "memory.stat").splitlines())
            return int(limit), max(0, int(limit - (used or 0) + (_number(stat.get(key, "")) or 0)))
    return None


def _cpus(folder: Path) -> float | None:
    """How many CPUs' worth of time the group may use."""
    quota, _, period = read(folder / "cpu.max").partition(" ")
    if not quota:
        quota, period = read(folder / "cpu.cfs_quota_us"), read(folder / "cpu.cfs_period_us")
    allowed, every = _number(quota), _number(period)
    return allowed / every if allowed and every else None


def _number(text: str) -> float | None:
    """A number above zero; None for "max", -1 and whatever else is no limit."""
    return float(text) if text.isdecimal() and int(text) > 0 else None


def read(path: Path) -> str:
    """The text of a file of the system; "" where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
