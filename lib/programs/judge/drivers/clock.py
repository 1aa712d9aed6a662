"""Virtual time: a program that sleeps goes on at once, and its clocks say that it slept."""

from __future__ import annotations

import time
from typing import Any

real = time.perf_counter
GLANCE = 0.0005  # seconds that pass each time a program looks at a clock: a loop that waits for a time comes to an end


class Clock:
    """Seconds since the start, and the functions of ``time`` that follow it."""

    def __init__(self) -> None:
        self.now = 0.0
        self._start = 1_750_000_000.0

    def pass_(self, seconds: float) -> None:
        """Let this much time pass at once."""
        self.now += max(0.0, min(float(seconds), 3600.0))

    def look(self) -> float:
        """The time, which passes by looking at it."""
        self.now += GLANCE
        return self.now

    def install(self) -> None:
        """Replace the clocks of ``time``; ``time.sleep`` is the driver's matter."""
        module: Any = time
        for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time"):
            offset = self._start if name == "time" else 0.0
            setattr(module, name, lambda offset=offset: offset + self.look())
            setattr(module, f"{name}_ns", lambda offset=offset: int((offset + self.look()) * 1e9))
