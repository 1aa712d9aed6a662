"""What is to be run, whatever the tier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from programs.judge.box.types import Limits


@dataclass(frozen=True)
class Task:
    """One program: its words after the interpreter, its files, what it reads, its limits."""

    command: Sequence[str]
    files: Mapping[str, bytes]
    stdin: bytes = b""
    keys: Sequence[tuple[float, bytes]] = ()
    pty: bool = False
    secret: bytes | None = None
    limits: Limits = field(default_factory=Limits)
