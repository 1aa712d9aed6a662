"""What a repetition uses, against a child whose use of the machine is known."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psutil
import pynvml
import pytest

from programs.bench import usage
from programs.bench.usage import Usage

SPIN = "import time; end = time.monotonic() + 60; print('on', flush=True)\nwhile time.monotonic() < end: pass"
HOLD = "b = bytearray(300 * 2**20); b[::4096] = b'x' * len(b[::4096]); print('on', flush=True); input()"
NEST = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SPIN!r}])"
LONG_S = 0.8


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
        with Usage([pid]) as watched:
            before = cpu_s(pid)
            time.sleep(LONG_S)
            spent = cpu_s(pid) - before
        used = watched.resources()
    assert used.server_pids == (pid,)
    assert used.cpu_pct_mean is not None
    assert used.cpu_pct_max is not None
    # On a busy machine the child gets less than a core: what the kernel gave it is the oracle.
    assert abs(used.cpu_pct_mean - 100 * spent / LONG_S) < 20
    assert 20 < used.cpu_pct_mean < 115
    assert used.cpu_pct_max >= used.cpu_pct_mean


def test_the_same_child_is_other_load_when_it_is_not_the_engine() -> None:
    with child(SPIN) as pid:
        with Usage([]) as watched:
            before = cpu_s(pid)
            time.sleep(LONG_S)
            spent = cpu_s(pid) - before
        used = watched.resources()
    assert used.cpu_pct_mean is None
    assert used.rss_peak_bytes is None
    assert used.server_pids is None
    assert used.other_load_pct is not None
    assert used.other_load_pct > 100 * spent / LONG_S - 20


def test_what_this_process_does_is_no_other_load() -> None:
    cores, block = os.cpu_count() or 1, bytes(2**20)
    end = time.monotonic() + LONG_S

    def burn() -> None:
        while time.monotonic() < end:
            hashlib.sha256(block)  # without the interpreter's lock: a core a thread

    threads = [threading.Thread(target=burn) for _ in range(cores)]
    with Usage([]) as busy:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    load = busy.resources().other_load_pct
    assert load is not None
    assert load < 100 * cores - 40, "ours alone would be all cores; a program beside it gets a part of them"


def test_children_of_the_engine_belong_to_it() -> None:
    with child(NEST) as pid:
        with Usage([pid]) as watched:
            time.sleep(LONG_S)
        used = watched.resources()
    assert used.server_pids is not None
    assert len(used.server_pids) == 2
    assert used.cpu_pct_mean is not None
    assert used.cpu_pct_mean > 20


def test_memory_of_a_child_that_holds_300_mib() -> None:
    with child(HOLD) as pid:
        with Usage([pid]) as watched:
            time.sleep(0.2)
        used = watched.resources()
    assert used.rss_peak_bytes is not None
    assert 300 * 2**20 < used.rss_peak_bytes < 400 * 2**20
    assert used.cpu_pct_mean is not None
    assert used.cpu_pct_mean < 60


def test_an_engine_that_is_gone_or_elsewhere_is_unknown_not_zero() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait(timeout=20)
    with Usage([gone.pid]) as watched:
        time.sleep(0.15)
    used = watched.resources()
    assert (used.server_pids, used.rss_peak_bytes, used.cpu_pct_mean, used.vram_peak_bytes) == (None,) * 4


def test_too_short_for_a_percentage() -> None:
    with child(SPIN) as pid:
        with Usage([pid]) as watched:
            pass
        used = watched.resources()
    assert used.cpu_pct_mean is None
    assert used.other_load_pct is None
    assert used.rss_peak_bytes is not None


class Nvml:
    """A driver of two cards; what it is not told of one of them it does not support."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *cards: dict[str, float]) -> None:
        self.cards = cards
        monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: len(cards))
        monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda i: i)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", lambda i: SimpleNamespace(used=self.ask(i, "vram")))
        monkeypatch.setattr(pynvml, "nvmlDeviceGetUtilizationRates", lambda i: SimpleNamespace(gpu=self.ask(i, "util")))
        monkeypatch.setattr(pynvml, "nvmlDeviceGetPowerUsage", lambda i: self.ask(i, "mw"))

    def ask(self, card: int, what: str) -> float:
        if what not in self.cards[card]:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return self.cards[card][what]


def test_nvidia_cards_by_their_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    Nvml(monkeypatch, {"vram": 2000, "util": 50, "mw": 100_500}, {"vram": 3000, "util": 10, "mw": 50_500})
    with Usage([], usage.NvidiaCards()) as watched:
        time.sleep(0.15)
    used = watched.resources()
    assert (used.vram_peak_bytes, used.gpu_util_mean, used.power_mean_w) == (5000, 50.0, pytest.approx(151.0))
    assert used.energy_j == pytest.approx(151.0 * watched._wall_s)
    assert "nvml" in (used.energy_source or "")
    Nvml(monkeypatch, {"vram": 2000, "util": 50, "mw": 100_500}, {"vram": 3000, "util": 10})
    assert usage.NvidiaCards().look() == {"vram": 5000, "util": 50}, "the watts of one card alone are no sum"
    Nvml(monkeypatch)
    assert usage.NvidiaCards().look() == {}


def rapl(root: Path, name: str = "package-0", uj: str = "1000000", most: str = "5000000") -> Path:
    zone = root / "intel-rapl:0"
    zone.mkdir(parents=True, exist_ok=True)
    for file, text in (("name", name), ("energy_uj", uj), ("max_energy_range_uj", most)):
        (zone / file).write_text(text + "\n")
    return zone


def test_energy_by_rapl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zone = rapl(tmp_path)
    before = usage.packages_uj(tmp_path)
    (zone / "energy_uj").write_text("4000000\n")
    assert usage.joules(before, usage.packages_uj(tmp_path)) == pytest.approx(3.0)
    (zone / "energy_uj").write_text("500000\n")
    began_again = usage.joules(before, usage.packages_uj(tmp_path))
    assert began_again == pytest.approx(4.5, abs=1e-4), "it went past its limit and began again"
    looks = iter([before, {zone: (4_000_000, 5_000_000)}, {zone: (500_000, 5_000_000)}])
    monkeypatch.setattr(usage, "packages_uj", lambda: next(looks))
    watched = Usage([])
    with watched:
        watched._sense()
    used = watched.resources()
    assert used.energy_j == pytest.approx(3.0 + 1.5, abs=1e-4)
    assert (used.energy_source, used.energy_missing) == ("rapl", None)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (None, "no energy counters"), ({"name": "core"}, "no energy counters"), ({"uj": "x"}, "cannot be read"),
        ({"most": ""}, "cannot be read"), ({"most": "0"}, "cannot be read"),
    ],
)  # fmt: skip
def test_energy_that_cannot_be_read_is_null_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: dict[str, str] | None, says: str
) -> None:
    if made is not None:
        rapl(tmp_path, **made)
    right = usage.packages_uj
    monkeypatch.setattr(usage, "packages_uj", lambda: right(tmp_path))
    with Usage([]) as watched:
        pass
    used = watched.resources()
    assert (used.energy_j, used.power_mean_w, used.energy_source) == (None, None, None)
    assert says in (used.energy_missing or "")


def test_throttling_is_counted_over_all_cores(tmp_path: Path) -> None:
    assert usage.throttle_count(tmp_path) is None
    for core, count in ((0, "3"), (1, "4")):
        folder = tmp_path / f"cpu{core}" / "thermal_throttle"
        folder.mkdir(parents=True)
        (folder / "core_throttle_count").write_text(count)
    assert usage.throttle_count(tmp_path) == 7


MAPS = """
import mmap, sys
with open(sys.argv[1], "r+b") as file:
    weights = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    sum(weights[i] for i in range(0, len(weights), 4096))
own = bytearray(60 * 2**20); own[::4096] = b"x" * len(own[::4096])
print("on", flush=True); input()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone splits resident memory")
def test_mapped_weights_are_told_apart_from_the_engines_own_memory(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.write_bytes(b"w" * (200 * 2**20))
    child = subprocess.Popen([sys.executable, "-c", MAPS, str(weights)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == b"on"
        with Usage([child.pid]) as watched:
            pass
        used = watched.resources()
    finally:
        child.kill()
        child.communicate(timeout=20)
    own, mapped, rss = used.rss_anon_peak_bytes, used.rss_file_peak_bytes, used.rss_peak_bytes
    assert own is not None
    assert mapped is not None
    assert rss is not None
    assert 60 * 2**20 <= own < 100 * 2**20
    assert 200 * 2**20 <= mapped < 240 * 2**20
    assert rss == pytest.approx(own + mapped, rel=0.05)
    assert used.pss_end_bytes is not None
    assert 255 * 2**20 < used.pss_end_bytes <= rss
