"""The weak tier: limits, a folder and an environment of its own, and an end. It has no walls.

The program reads and writes what its user does, and reaches the network. What it starts is ended with it; a program
that means to outlive it ends the supervisor, which runs under the same user, and does.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from programs.judge.box.interpreter import Interpreter
from programs.judge.box.walls import ENVIRONMENT, FIRST_TO_GO, MEMORY, OUTPUT, Limits, Tier, Walls

NAME = "limits"


def tier() -> Tier:
    """There on every system that has resource limits."""
    why = "" if os.name == "posix" else "for Linux and macOS only"
    held = {ENVIRONMENT, OUTPUT} | ({MEMORY} if sys.platform == "linux" else set())
    return Tier(NAME, not why, why, frozenset(held))


@contextlib.contextmanager
def walls(python: Interpreter, limits: Limits) -> Iterator[Walls]:
    """A fresh folder, removed at the end whatever the program left in it."""
    base = Path(tempfile.mkdtemp(prefix="workbook-box-")).resolve()
    try:
        for name in ("box", "tmp"):
            (base / name).mkdir()
        yield Walls((*FIRST_TO_GO, str(python.path)), str(base))
    finally:
        for words in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):  # both go deeper than a path may be long
            subprocess.run([*words, str(base)], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
