"""The tier without walls, of Linux and macOS: limits, a folder and an environment of its own, and an end.

The program reads what its user reads, writes where its user writes, and reaches the network. What it leaves is found
among the guard's descendants and by an entry in its environment: a program that ends the guard, which runs under the
same user, and empties the environment of a daemon, outlives its time. As root it is held by no limit on processes.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from programs.judge.box import folder as folders
from programs.judge.box.cage import Cage, Wanted, environment, rlimits
from programs.judge.box.types import Tier

NAME = "limits"
CONTAINS = frozenset({"environment", "memory", "output", "time"})
MARK = "WORKBOOK_CONTAINED"


def tier() -> Tier:
    """There on every system that has resource limits."""
    why = "" if os.name == "posix" else "for Linux and macOS only"
    return Tier(NAME, not why, why, CONTAINS)


def prepare(wanted: Wanted) -> Cage:
    """A fresh folder, to be removed by ``Cage.remove``."""
    whole = Path(tempfile.mkdtemp(prefix="workbook-sandbox-")).resolve()
    box, home, temporary = (whole / name for name in ("box", "home", "tmp"))
    for place in (box, home, temporary):
        place.mkdir()
    mark = secrets.token_hex(16)
    inside = {**environment(str(box), str(home), str(temporary), wanted.terminal), **wanted.display.environment}
    inside[MARK] = mark
    return Cage(
        NAME, (), inside, str(box), box, rlimits(wanted.limits), counted=False, sweeps=True,
        mark=f"{MARK}={mark}", remove=lambda: folders.remove(whole),
    )  # fmt: skip
