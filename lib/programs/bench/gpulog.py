"""What NVIDIA GPUs do during a run: one nvidia-smi that repeats itself, read by a thread."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

INTERVAL_MS = 500
QUERY = "index,utilization.gpu,memory.used,power.draw"


@dataclass(frozen=True)
class GpuUse:
    """All GPUs over a while. ``util_mean``: percent of the time that the busiest worked. None: not known."""

    vram_peak_bytes: int | None = None
    util_mean: float | None = None
    power_mean_w: float | None = None


@dataclass(frozen=True)
class _Look:
    """One GPU at one moment, on the clock of ``time.monotonic``; memory in MiB."""

    at: float
    index: int
    util: float | None
    used_mib: float | None
    power_w: float | None


class GpuLog:
    """Runs until ``close()``; where there is no nvidia-smi it has seen nothing.

    ``command`` replaces nvidia-smi, for tests.
    """

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self._looks: list[_Look] = []
        self._child: subprocess.Popen[str] | None = None
        smi = shutil.which("nvidia-smi")
        if command is None and smi:
            command = [smi, f"--query-gpu={QUERY}", "--format=csv,noheader,nounits", f"-lms={INTERVAL_MS}"]
        if command is None:
            return
        try:
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        except OSError:
            return
        threading.Thread(target=self._read, args=(self._child,), daemon=True).start()

    def _read(self, child: subprocess.Popen[str]) -> None:
        for line in child.stdout or ():
            cells = [_number(cell) for cell in line.split(",")]
            if len(cells) == 4 and cells[0] is not None:  # else nvidia-smi complains instead of answering
                self._looks.append(_Look(time.monotonic(), int(cells[0]), *cells[1:]))

    def use(self, began: float, ended: float) -> GpuUse:
        """What the GPUs did between two moments of ``time.monotonic``."""
        seen = [look for look in list(self._looks) if began <= look.at <= ended]
        gpus = {look.index: [other for other in seen if other.index == look.index] for look in seen}
        vram = [_known(look.used_mib for look in looks) for looks in gpus.values()]
        util = [_known(look.util for look in looks) for looks in gpus.values()]
        power = [_known(look.power_w for look in looks) for looks in gpus.values()]
        return GpuUse(
            vram_peak_bytes=int(sum(max(v) for v in vram) * 2**20) if vram and all(vram) else None,
            util_mean=max((sum(u) / len(u) for u in util if u), default=None),
            power_mean_w=sum(sum(p) / len(p) for p in power) if power and all(power) else None,
        )

    def close(self) -> None:
        """End nvidia-smi."""
        if self._child is not None:
            self._child.kill()
            self._child.wait(timeout=10)


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None  # [N/A], or an error message
