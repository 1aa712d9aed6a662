"""The sampler against a child whose use of the machine is known."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psutil

from programs.bench.gpulog import GpuLog, GpuUse
from programs.bench.sampler import Sampler

SPIN = "import time; end = time.monotonic() + 60; print('on', flush=True)\nwhile time.monotonic() < end: pass"
HOLD = "b = bytearray(300 * 2**20); b[::4096] = b'x' * len(b[::4096]); print('on', flush=True); input()"
NEST = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SPIN!r}])"
LONG_S = 1.5


@contextmanager
def child(code: str) -> Iterator[int]:
    """A child that is at work, with all of its own children ended afterwards."""
    started = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    family = psutil.Process(started.pid)
    try:
        assert started.stdout is not None
        assert started.stdout.readline().strip() == b"on"
        yield started.pid
    finally:
        for process in [*family.children(recursive=True), family]:
            process.kill()
        started.communicate(timeout=20)


def cpu_s(pid: int) -> float:
    """Seconds of one core that the kernel gave the process."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def test_a_spinning_child_is_seen_and_not_as_other_load() -> None:
    with child(SPIN) as pid:
        with Sampler([pid]) as sampler:
            before = cpu_s(pid)
            time.sleep(LONG_S)
            spent = cpu_s(pid) - before
        used = sampler.resources()
    assert used.server_pids == (pid,)
    assert used.cpu_pct_mean is not None
    assert used.cpu_pct_max is not None
    # On a busy machine the child gets less than a core: what the kernel gave it is the oracle.
    assert abs(used.cpu_pct_mean - 100 * spent / LONG_S) < 20
    assert 20 < used.cpu_pct_mean < 115
    assert used.cpu_pct_max >= used.cpu_pct_mean


def test_the_same_child_is_other_load_when_it_is_not_the_engine() -> None:
    with child(SPIN) as pid:
        with Sampler([]) as sampler:
            before = cpu_s(pid)
            time.sleep(LONG_S)
            spent = cpu_s(pid) - before
        used = sampler.resources()
    assert used.cpu_pct_mean is None
    assert used.rss_peak_bytes is None
    assert used.server_pids is None
    assert used.other_load_pct is not None
    assert used.other_load_pct > 100 * spent / LONG_S - 20


def test_what_this_process_does_is_no_other_load() -> None:
    with Sampler([]) as idle:
        time.sleep(LONG_S)
    with Sampler([]) as busy:
        end = time.monotonic() + LONG_S
        while time.monotonic() < end:
            pass
    quiet, loaded = idle.resources().other_load_pct, busy.resources().other_load_pct
    assert quiet is not None
    assert loaded is not None
    assert loaded < quiet + 60, "a core of our own would add 100"


def test_children_of_the_engine_belong_to_it() -> None:
    with child(NEST) as pid:
        with Sampler([pid]) as sampler:
            time.sleep(LONG_S)
        used = sampler.resources()
    assert used.server_pids is not None
    assert len(used.server_pids) == 2
    assert used.cpu_pct_mean is not None
    assert used.cpu_pct_mean > 20


def test_memory_of_a_child_that_holds_300_mib() -> None:
    with child(HOLD) as pid:
        with Sampler([pid]) as sampler:
            time.sleep(0.2)
        used = sampler.resources()
    assert used.rss_peak_bytes is not None
    assert 300 * 2**20 < used.rss_peak_bytes < 400 * 2**20
    assert used.cpu_pct_mean is not None
    assert used.cpu_pct_mean < 60


def test_an_engine_that_is_gone_or_elsewhere_is_unknown_not_zero() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait(timeout=20)
    with Sampler([gone.pid]) as sampler:
        time.sleep(0.15)
    used = sampler.resources()
    assert (used.server_pids, used.rss_peak_bytes, used.cpu_pct_mean, used.vram_peak_bytes) == (None,) * 4


def test_too_short_for_a_percentage() -> None:
    with child(SPIN) as pid:
        with Sampler([pid]) as sampler:
            pass
        used = sampler.resources()
    assert used.cpu_pct_mean is None
    assert used.other_load_pct is None
    assert used.rss_peak_bytes is not None


FAKE_SMI = """
import time
for turn in range(4):
    print("0, 50, 1000, 100.5\\n1, 10, 3000, 50.5", flush=True)
print("0, 100, 2000, 100.5\\n1, 0, 1000, [N/A]\\nsome complaint\\n, , ,", flush=True)
time.sleep(60)
"""


def test_gpus_by_what_nvidia_smi_prints() -> None:
    began = time.monotonic()
    with closing(GpuLog([sys.executable, "-c", FAKE_SMI])) as log:
        while log.use(began, time.monotonic()).util_mean != 60 and time.monotonic() - began < 20:
            time.sleep(0.05)
        use = log.use(began, time.monotonic())
    # GPU 0 works 50, 50, 50, 50, 100 percent; the peaks are 2000 and 3000 MiB; 100.5 W and 50.5 W.
    assert use == GpuUse(vram_peak_bytes=5000 * 2**20, util_mean=60.0, power_mean_w=151.0)
    assert log.use(began - 9, began) == GpuUse(), "before the first look nothing is known"
    with closing(GpuLog(["/no/such/command"])) as none:
        assert none.use(0, time.monotonic()) == GpuUse()
