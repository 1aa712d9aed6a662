"""Energy and heat of the processor, where Linux tells: RAPL's counters and those of thermal throttling."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
CPUS = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class Used:
    """Joules of all processor packages over a while; None: not known, and ``why_not`` says why."""

    joules: float | None
    why_not: str | None = None

    def beside(self, gpu_w: float | None, seconds: float) -> dict[str, Any]:
        """The energy fields of a record: packages and NVIDIA cards, whichever were read; the source names them."""
        parts = {"rapl": self.joules, "nvidia-smi": None if gpu_w is None else gpu_w * seconds}
        known = {name: joules for name, joules in parts.items() if joules is not None}
        total = sum(known.values()) if known else None
        return {
            "power_mean_w": None if total is None or seconds <= 0 else total / seconds,
            "energy_j": total,
            "energy_source": " + ".join(known) or None,
            "energy_missing": self.why_not,
        }


class Energy:
    """Begins to count now. Each package's counter is in microjoules and starts again at its own limit."""

    def __init__(self, root: Path = POWERCAP) -> None:
        self._zones: dict[Path, tuple[int, int]] = {}
        self._why_not: str | None = None
        try:
            packages = [
                zone for zone in sorted(root.glob("intel-rapl:*")) if _text(zone / "name").startswith("package")
            ]
            self._zones = {z: (_number(z / "energy_uj"), _number(z / "max_energy_range_uj")) for z in packages}
            if any(most <= 0 for _, most in self._zones.values()):
                raise ValueError("a counter without its limit")
        except PermissionError:
            self._why_not = "rapl: only root may read the processor's energy counters here"
        except (OSError, ValueError):
            self._zones, self._why_not = {}, "rapl: the processor's energy counters cannot be read"
        if not self._zones and not self._why_not:
            self._why_not = "rapl: this system shows no energy counters of the processor"

    def used(self, seconds: float) -> Used:
        """Since the beginning. A while so long that a counter may have started again twice is refused."""
        if not self._zones:
            return Used(None, self._why_not)
        total = 0
        try:
            for zone, (began, most) in self._zones.items():
                if seconds > most / 1e6 / 1000:  # at a thousand watts
                    return Used(None, "rapl: too long between two readings of the counters")
                total += (_number(zone / "energy_uj") - began) % (most + 1)
        except (OSError, ValueError):
            return Used(None, "rapl: the processor's energy counters cannot be read")
        return Used(total / 1e6)


def throttle_count(root: Path = CPUS) -> int | None:
    """How often the cores have slowed down for heat since the start of the system; None where nobody counts."""
    counts = [_text(path) for path in root.glob("cpu[0-9]*/thermal_throttle/core_throttle_count")]
    known = [int(text) for text in counts if text.isdecimal()]
    return sum(known) if known else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> int:
    return int(path.read_text(encoding="ascii", errors="replace"))
