"""What a repetition uses: a thread that looks at the engine's processes and the machine twice a second.

It must not disturb what it measures: with as many threads as cores, every look holds one of them up. So what is
dear to read (PSS, which walks all pages) is read once, when the repetition has ended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import psutil

from programs.bench.energy import Energy, throttle_count
from programs.bench.fields import Resources
from programs.bench.gpulog import GpuLog, GpuUse
from programs.bench.memory import Split, shared_fairly, split

INTERVAL_S = 0.5
SLOW_EVERY = 4  # looks between two readings of what is dear to read: children, sensors
SHORTEST_S = 0.1  # CPU times count in steps of 10 ms: below this a percentage says nothing
_CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal", "soc_thermal")
_NOT_BUSY = ("idle", "iowait", "guest", "guest_nice", "interrupt", "dpc")  # guest and the last two count twice


@dataclass
class _Looks:
    """Running figures of one repetition."""

    rss: list[int] = field(default_factory=list)
    parts: list[Split] = field(default_factory=list)
    available: list[int] = field(default_factory=list)
    pct: list[float] = field(default_factory=list)
    freq: list[float] = field(default_factory=list)
    temp: list[float] = field(default_factory=list)


class Sampler:
    """``with Sampler(pids) as s: …``, then ``s.resources()``.

    ``pids``: the roots of the engine's process tree; empty when it runs elsewhere, and then only the machine
    is looked at. What this process itself uses is never counted as other load.
    """

    def __init__(self, pids: Iterable[int] = (), gpu: GpuLog | None = None, interval_s: float = INTERVAL_S) -> None:
        self._roots, self._gpu, self._interval_s = tuple(pids), gpu, interval_s
        self._me = psutil.Process()
        self._tree: dict[int, psutil.Process] = {}
        self._used: dict[int, float] = {}
        self._base: dict[int, float] = {}
        self._looks = _Looks()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Sampler:
        self._find(first=True)
        self._swap, self._throttled, self._energy = psutil.swap_memory().used, throttle_count(), Energy()
        self._busy0, self._me0 = _busy_s(), _cpu_s(self._me)
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
        self._ended, self._busy1, self._me1 = time.monotonic(), _busy_s(), _cpu_s(self._me)
        self._rapl = self._energy.used(self._ended - self._began)
        self._sense()

    def _watch(self) -> None:
        turn = 0
        while not self._stop.wait(self._interval_s):
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
        now, rss, anon, mapped = time.monotonic(), 0, 0, 0
        for pid, process in self._tree.items():
            try:
                with process.oneshot():
                    self._used[pid] = _cpu_s(process)
                    rss += process.memory_info().rss
                parts = split(pid)
                anon, mapped = anon + parts.anon, mapped + parts.file
            except psutil.Error:
                continue  # it has ended: what it used before stays counted
        used = self._engine_s()
        if now - self._last >= SHORTEST_S:
            self._looks.pct.append((used - self._last_used) / (now - self._last) * 100)
            self._last, self._last_used = now, used
        if rss:
            self._looks.rss.append(rss)
        if anon:
            self._looks.parts.append(Split(anon, mapped))
        self._looks.available.append(psutil.virtual_memory().available)

    def _sense(self) -> None:
        """Clock and temperature, where the system tells."""
        try:
            frequency = psutil.cpu_freq()
            temperatures = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
        except (OSError, RuntimeError, NotImplementedError):
            return
        if frequency and frequency.current:
            self._looks.freq.append(frequency.current)
        cpu = [t.current for name in _CPU_SENSORS for t in temperatures.get(name, [])]
        self._looks.temp.extend([max(cpu)] if cpu else [])

    def _engine_s(self) -> float:
        return sum(max(0.0, used - self._base[pid]) for pid, used in self._used.items())

    def resources(self) -> Resources:
        """What was used between enter and exit."""
        looks, wall, engine = self._looks, self._ended - self._began, self._engine_s()
        long_enough = wall >= SHORTEST_S
        mine = 0.0 if self._me.pid in self._tree else self._me1 - self._me0
        other = max(0.0, self._busy1 - self._busy0 - engine - mine) / wall * 100 if long_enough else None
        mean = engine / wall * 100 if long_enough and self._tree else None
        gpu = self._gpu.use(self._began, self._ended) if self._gpu else GpuUse()
        battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
        shared = shared_fairly(self._tree)
        throttled = throttle_count()
        return Resources(
            server_pids=tuple(sorted(self._tree)) or None,
            rss_peak_bytes=max(looks.rss, default=None),
            rss_anon_peak_bytes=max((part.anon for part in looks.parts), default=None),
            rss_file_peak_bytes=max((part.file for part in looks.parts), default=None),
            pss_end_bytes=shared.pss,
            uss_end_bytes=shared.uss,
            sys_available_min_bytes=min(looks.available, default=None),
            swap_delta_bytes=psutil.swap_memory().used - self._swap,
            cpu_pct_mean=mean,
            cpu_pct_max=max([*looks.pct, mean]) if mean is not None else None,
            other_load_pct=other,
            cpu_freq_mean=sum(looks.freq) / len(looks.freq) if looks.freq else None,
            cpu_freq_min=min(looks.freq, default=None),
            temp_max_c=max(looks.temp, default=None),
            throttled=None if throttled is None or self._throttled is None else throttled > self._throttled,
            on_battery=None if battery is None or battery.power_plugged is None else not battery.power_plugged,
            vram_peak_bytes=gpu.vram_peak_bytes,
            gpu_util_mean=gpu.util_mean,
            **self._rapl.beside(gpu.power_mean_w, wall),
        )


def _cpu_s(process: psutil.Process) -> float:
    """Seconds of one core that the process has used; 0 when it is gone."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _busy_s() -> float:
    """Seconds of one core that anything has used. Stolen time counts: this machine wanted it and did not get it."""
    return float(sum(v for k, v in psutil.cpu_times()._asdict().items() if k not in _NOT_BUSY))
