"""What a repetition uses: a thread looks at the engine's processes, the machine and its cards twice a second.

It must not disturb what it measures: with as many threads as cores, every look holds one of them up. So what is
expensive to read (PSS, which walks all pages) is read once, when the repetition has ended.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import Any

import psutil
import pynvml

from programs.bench.fields import Resources

INTERVAL_S = 0.5
SLOW_EVERY = 4  # looks between two readings of what is expensive: children, sensors
SHORTEST_S = 0.1  # CPU times count in steps of 10 ms: below this a percentage says nothing
_CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal", "soc_thermal")
_NOT_BUSY = ("idle", "iowait", "guest", "guest_nice", "interrupt", "dpc")  # guest and the last two count twice


class Usage:
    """``with Usage(pids) as usage: …``, then ``usage.resources()``.

    ``pids``: the roots of the engine's process tree; empty when it runs elsewhere, and then only the machine
    is looked at. What this process itself uses is never counted as other load.
    """

    def __init__(self, pids: Iterable[int] = (), cards: NvidiaCards | None = None) -> None:
        self._roots, self._cards = tuple(pids), cards
        self._me = psutil.Process()
        self._tree: dict[int, psutil.Process] = {}
        self._used: dict[int, float] = {}
        self._base: dict[int, float] = {}
        self._seen: defaultdict[str, list[Any]] = defaultdict(list)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Usage:
        self._find(first=True)
        self._swap, self._throttled = psutil.swap_memory().used, throttle_count()
        self._joules, self._no_joules = 0.0, ""
        self._packages = self._energy()
        self._busy_s, self._mine_s = _busy_s(), _cpu_s(self._me)
        self._began = self._last = time.monotonic()
        self._last_used = 0.0
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._find()  # a runner may have started since the last time
        self._look()
        self._wall_s = time.monotonic() - self._began
        self._busy_s, self._mine_s = _busy_s() - self._busy_s, _cpu_s(self._me) - self._mine_s
        self._sense()

    def _watch(self) -> None:
        turn = 0
        while not self._stop.wait(INTERVAL_S):
            turn += 1
            if turn % SLOW_EVERY == 0:
                self._find()
                self._sense()
            self._look()

    def _find(self, first: bool = False) -> None:
        """The engine's processes as they are now: a runner may have started since."""
        for root in self._roots:
            try:
                process = psutil.Process(root)
                family = [process, *process.children(recursive=True)]
            except psutil.Error:
                continue
            for member in family:
                if member.pid not in self._tree:
                    self._tree[member.pid] = member
                    self._base[member.pid] = self._used[member.pid] = _cpu_s(member) if first else 0.0

    def _look(self) -> None:
        now, rss, shared = time.monotonic(), 0, 0
        for pid, process in self._tree.items():
            try:
                with process.oneshot():
                    memory = process.memory_info()  # first: it tells whether the process is still there
                    self._used[pid] = _cpu_s(process)
            except psutil.Error:
                continue  # it has ended: what it used before stays counted
            rss += memory.rss
            shared += getattr(memory, "shared", 0)  # pages of files, the weights above all; told on Linux
        used = self._engine_s()
        if now - self._last >= SHORTEST_S:
            self._seen["pct"].append((used - self._last_used) / (now - self._last) * 100)
            self._last, self._last_used = now, used
        if rss:
            self._seen["rss"].append(rss)
        if shared:
            self._seen["file"].append(shared)
            self._seen["anon"].append(rss - shared)
        self._seen["available"].append(psutil.virtual_memory().available)
        for name, value in self._cards.look().items() if self._cards else ():
            self._seen[name].append(value)

    def _sense(self) -> None:
        """Energy, clock and temperature, where the system tells."""
        now = self._energy()
        if now and self._packages:
            self._joules += joules(self._packages, now)
        self._packages = now
        try:
            frequency = psutil.cpu_freq()
            temperatures = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
        except (OSError, RuntimeError, NotImplementedError):
            return
        if frequency and frequency.current:
            self._seen["freq"].append(frequency.current)
        self._seen["temp"] += [t.current for name in _CPU_SENSORS for t in temperatures.get(name, [])]

    def _energy(self) -> dict[Path, tuple[int, int]]:
        try:
            return {} if self._no_joules else packages_uj()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)  # most often: only root may read them
            self._no_joules = f"rapl cannot be read: {why}"
        return {}

    def _engine_s(self) -> float:
        return sum(max(0.0, used - self._base[pid]) for pid, used in self._used.items())

    def resources(self) -> Resources:
        """What was used between enter and exit."""
        seen, throttled = self._seen, throttle_count()
        mean = {name: fmean(values) for name, values in seen.items() if values}
        peak = {name: max(values) for name, values in seen.items() if values}
        pss, uss = _shared_fairly(self._tree.values())
        battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
        return Resources(
            server_pids=tuple(sorted(self._tree)) or None,
            rss_peak_bytes=peak.get("rss"),
            rss_anon_peak_bytes=peak.get("anon"),
            rss_file_peak_bytes=peak.get("file"),
            pss_end_bytes=pss,
            uss_end_bytes=uss,
            sys_available_min_bytes=int(min(seen["available"])),
            swap_delta_bytes=psutil.swap_memory().used - self._swap,
            cpu_freq_mean=mean.get("freq"),
            cpu_freq_min=min(seen["freq"], default=None),
            temp_max_c=peak.get("temp"),
            throttled=None if throttled is None or self._throttled is None else throttled > self._throttled,
            on_battery=None if battery is None or battery.power_plugged is None else not battery.power_plugged,
            vram_peak_bytes=peak.get("vram"),
            gpu_util_mean=mean.get("util"),
            energy_missing=self._no_joules or None,
            **self._load(),
            **self._energy_used(),
        )

    def _energy_used(self) -> dict[str, Any]:
        """Of packages and NVIDIA cards, whichever were read; the source names them."""
        known = {} if self._no_joules else {"rapl": self._joules}
        if self._seen["power"]:
            known["nvml"] = fmean(self._seen["power"]) * self._wall_s
        if not known:
            return {}
        total = sum(known.values())
        return {"power_mean_w": total / self._wall_s, "energy_j": total, "energy_source": " + ".join(known)}

    def _load(self) -> dict[str, Any]:
        """Percent of a core: the engine's, and that of all others."""
        if self._wall_s < SHORTEST_S:
            return {}
        engine_s = self._engine_s()
        mine_s = 0.0 if self._me.pid in self._tree else self._mine_s
        found = {"other_load_pct": max(0.0, self._busy_s - engine_s - mine_s) / self._wall_s * 100}
        if self._tree:
            mean = engine_s / self._wall_s * 100
            found |= {"cpu_pct_mean": mean, "cpu_pct_max": max([*self._seen["pct"], mean])}
        return found


class NvidiaCards:
    """The NVIDIA cards of this machine, by their driver's own library; none where it is not there."""

    def __init__(self) -> None:
        self._cards: list[Any] = []
        with suppress(pynvml.NVMLError):
            pynvml.nvmlInit()
            self._cards = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]

    def look(self) -> dict[str, float]:
        """Bytes in use, percent of the busiest card and watts, now; without what one of the cards does not tell."""
        asks: dict[str, Callable[[Any], float]] = {
            "vram": lambda card: pynvml.nvmlDeviceGetMemoryInfo(card).used,
            "util": lambda card: pynvml.nvmlDeviceGetUtilizationRates(card).gpu,
            "power": lambda card: pynvml.nvmlDeviceGetPowerUsage(card) / 1000,
        }
        found = {}
        for name, ask in asks.items() if self._cards else ():
            with suppress(pynvml.NVMLError):
                each = [ask(card) for card in self._cards]
                found[name] = max(each) if name == "util" else sum(each)
        return found


def packages_uj(root: Path = Path("/sys/class/powercap")) -> dict[Path, tuple[int, int]]:
    """Of each processor package: microjoules so far, and the limit at which its counter begins again (Linux's RAPL).

    Raises OSError or ValueError where they cannot be read.
    """
    zones = [zone for zone in root.glob("intel-rapl:*") if (zone / "name").read_text().startswith("package")]
    if not zones:
        raise OSError("this system shows no energy counters of the processor")
    files = {zone: (zone / "energy_uj", zone / "max_energy_range_uj") for zone in zones}
    found = {zone: (int(now.read_text()), int(most.read_text())) for zone, (now, most) in files.items()}
    if min(most for _, most in found.values()) <= 0:
        raise ValueError("a counter without its limit")
    return found


def joules(before: dict[Path, tuple[int, int]], after: dict[Path, tuple[int, int]]) -> float:
    """What the packages used between two looks, with at most one new beginning of a counter in between."""
    return sum((after[zone][0] - began) % (most + 1) for zone, (began, most) in before.items()) / 1e6


def throttle_count(root: Path = Path("/sys/devices/system/cpu")) -> int | None:
    """How often the cores have slowed down for heat since the start of the system; None where nobody counts."""
    try:
        counts = [int(path.read_text()) for path in root.glob("cpu[0-9]*/thermal_throttle/core_throttle_count")]
    except (OSError, ValueError):
        return None
    return sum(counts) if counts else None


def _shared_fairly(processes: Iterable[psutil.Process]) -> tuple[int | None, int | None]:
    """PSS and USS of these processes together; None where the system does not tell, or not this user."""
    pss = uss = 0
    for process in processes:
        with suppress(psutil.Error):
            memory = process.memory_full_info()
            pss, uss = pss + getattr(memory, "pss", 0), uss + memory.uss
    return pss or None, uss or None


def _cpu_s(process: psutil.Process) -> float:
    """Seconds of one core that the process has used; 0 when it is gone."""
    with suppress(psutil.Error):
        return float(sum(process.cpu_times()[:2]))  # user, system
    return 0.0


def _busy_s() -> float:
    """Seconds of one core that anything has used. Stolen time counts: this machine wanted it and did not get it."""
    return float(sum(v for k, v in psutil.cpu_times()._asdict().items() if k not in _NOT_BUSY))
