"""Alone on the machine: one command at a time, and a word when other programs are busy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from workbook import hardware
from workbook.errors import BadOption, NotAlone

BUSY_PCT = 10.0
"""Of all logical CPUs: above, other programs' work shows in times measured here."""


@contextlib.contextmanager
def alone(lock: Path, what: str) -> Iterator[None]:
    """Hold the file ``lock`` while the block runs. The system lets go of it when this process ends, however it ends.

    Raises
    ------
    NotAlone : another process holds it; ``what`` names its work. BadOption : its folder cannot be written.
    """
    held = FileLock(lock, timeout=0)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held.acquire()
    except Timeout:
        raise NotAlone(
            f"another {what} is at work on this machine. Wait until it has ended, and start again."
        ) from None
    except OSError as error:
        raise BadOption(
            f"the cache cannot be written ({error.strerror}): set WORKBOOK_CACHE to a folder of yours."
        ) from None
    try:
        yield
    finally:
        held.release()


def busy() -> str | None:
    """That other programs are busy, in one line that names none of them; None when it is quiet. Half a second."""
    load = hardware.other_load_share_pct()
    if load <= BUSY_PCT:
        return None
    return f"other programs use {load:.0f} % of the processors: figures with timings will mislead"
