"""The machine's facts against the system's own tools, and against drivers and control groups that lie."""

import os
import platform
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import psutil
import pynvml
import pytest

from workbook import cgroups, gpus, hardware

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the oracle is Linux's")


@pytest.fixture(scope="module")
def machine() -> hardware.Machine:
    return hardware.machine()


def output(*command: str) -> str:
    if not shutil.which(command[0]):
        pytest.skip(f"no {command[0]} here")
    return subprocess.run(
        command, capture_output=True, text=True, timeout=20, check=True, env={**os.environ, "LC_ALL": "C"}
    ).stdout


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@linux
def test_memory_is_that_of_proc_meminfo(machine: hardware.Machine) -> None:
    info = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    assert machine.ram_total_bytes == int(info["MemTotal"].split()[0]) * 1024
    assert 0 < machine.ram_available_bytes <= machine.ram_total_bytes
    if machine.ram_limit_bytes is None:
        assert abs(machine.ram_available_bytes - int(info["MemAvailable"].split()[0]) * 1024) < 2**30


@linux
def test_processor_is_that_of_lscpu_and_nproc(machine: hardware.Machine) -> None:
    said = dict(line.split(":", 1) for line in output("lscpu").splitlines() if ":" in line)
    said = {key.strip(): value.strip() for key, value in said.items()}
    assert machine.threads_usable == int(output("nproc"))
    assert machine.arch == said["Architecture"]
    assert machine.cpu_model == " ".join(said["Model name"].split())
    if said.get("Socket(s)", "-").isdecimal():
        assert machine.sockets == int(said["Socket(s)"])
        assert machine.cores == int(said["Socket(s)"]) * int(said["Core(s) per socket"])
    flags = set(said["Flags"].split())
    assert set(machine.isa_flags) <= flags | {"neon", "fp16", "dotprod"}
    assert {flag for flag in hardware.ISA_FLAGS if flag in flags} == set(machine.isa_flags) - {
        "neon",
        "fp16",
        "dotprod",
    }


@linux
def test_affinity_is_seen_by_a_process_bound_to_one_cpu() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); from workbook import hardware as h; "
        "m = h.machine(); print(m.threads_usable, m.cores_usable)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stdout.split() == [
        "1",
        "1",
    ]


def test_flags_of_arm_get_the_names_llama_cpp_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    from archspec.cpu import TARGETS, detect

    monkeypatch.setattr(
        detect, "detected_info", lambda: detect.partial_uarch(features={"asimd", "asimddp", "i8mm", "sve"})
    )
    monkeypatch.setattr(detect, "host", lambda: TARGETS["aarch64"])
    assert hardware.isa_flags() == ("neon", "dotprod", "i8mm", "sve")


def test_a_detection_that_fails_leaves_the_machine_described(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from archspec import cpu

    def refused() -> None:
        raise OSError("mmap of executable memory is not allowed")

    monkeypatch.setattr(cpu.detect, "detected_info", refused)
    monkeypatch.setattr(cpu, "brand_string", refused)
    assert hardware.isa_flags() == ()
    assert hardware.cpu_model(tmp_path) == (platform.processor() or None)


def test_other_load_sees_another_process_and_not_this_one() -> None:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(psutil.cpu_count() or 1)]
    try:
        time.sleep(0.2)
        assert hardware.other_load_share_pct(0.5) > 30
    finally:
        for process in busy:
            process.kill()
            process.wait()


# Control groups: (files, memory limit, left, CPUs)
GROUPS = {
    "version 2, the limit stands above": (
        {
            "proc/self/cgroup": "0::/user/me\n",
            "sys/fs/cgroup/user/memory.max": "4000000000\n",
            "sys/fs/cgroup/user/memory.current": "3000000000\n",
            "sys/fs/cgroup/user/memory.stat": "anon 5\ninactive_file 500000000\n",
            "sys/fs/cgroup/user/me/memory.max": "max\n",
            "sys/fs/cgroup/user/me/cpu.max": "150000 100000\n",
        },
        cgroups.ContainerLimits(4_000_000_000, 1_500_000_000, 1.5),
    ),
    "version 2, no limit": (
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n", "sys/fs/cgroup/cpu.max": "max 100000\n"},
        cgroups.ContainerLimits(),
    ),
    "version 1 in a container: the path is the host's": (
        {
            "proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "2147483648\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "147483648\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        },
        cgroups.ContainerLimits(2_147_483_648, 2_000_000_000, 0.5),
    ),
    "version 1, no limit": (
        {
            "proc/self/cgroup": "4:memory:/\n1:cpu:/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        cgroups.ContainerLimits(),
    ),
    "nonsense": (
        {
            "proc/self/cgroup": "garbage\n0::/../../..//x\n:::::\n",
            "sys/fs/cgroup/memory.max": "lots\n",
            "sys/fs/cgroup/cpu.max": "10 0\n",
        },
        cgroups.ContainerLimits(),
    ),
    "none": ({}, cgroups.ContainerLimits()),
}


@pytest.mark.parametrize("name", GROUPS)
def test_control_groups(name: str, tmp_path: Path) -> None:
    files, expected = GROUPS[name]
    assert cgroups.limits(tree(tmp_path, files)) == expected


def test_a_container_limit_caps_what_the_machine_offers(tmp_path: Path) -> None:
    files, _ = GROUPS["version 2, the limit stands above"]
    files = {
        name: text.replace("4000000000", "400000000").replace("3000000000", "300000000").replace("500000000", "0")
        for name, text in files.items()
    }
    seen = hardware.machine(tree(tmp_path, files))
    assert (seen.ram_limit_bytes, seen.ram_available_bytes, seen.cpu_quota) == (400_000_000, 100_000_000, 1.5)
    assert seen.cores_usable == 1


class FakeDriver:
    """NVIDIA's management library, with the given memory (total, free) of each card; None: it shares the RAM."""

    def __init__(self, patch: pytest.MonkeyPatch, *cards: tuple[int, int] | None, refuses: str | None = None) -> None:
        self.cards, self.refuses = cards, refuses
        for name in ("nvmlInit", "nvmlShutdown", "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex",
                     "nvmlDeviceGetName", "nvmlSystemGetDriverVersion", "nvmlDeviceGetMemoryInfo"):  # fmt: skip
            patch.setattr(pynvml, name, partial(self.answer, name))

    def answer(self, name: str, card: int = 0) -> object:
        if name == self.refuses:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
        if name == "nvmlDeviceGetMemoryInfo":
            if self.cards[card] is None:
                raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
            return SimpleNamespace(total=self.cards[card][0], free=self.cards[card][1])
        return {"nvmlDeviceGetCount": len(self.cards), "nvmlDeviceGetHandleByIndex": card,
                "nvmlDeviceGetName": f"Card {card}", "nvmlSystemGetDriverVersion": "550.54"}.get(name)  # fmt: skip


def test_cards_are_read_as_the_driver_tells_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    FakeDriver(monkeypatch, (12 * 2**30, 11 * 2**30), None)
    shared = gpus.Gpu("Card 1", driver="550.54", unified=True)
    assert gpus.gpus(root=tmp_path) == (gpus.Gpu("Card 0", 12 * 2**30, 11 * 2**30, "550.54"), shared)
    FakeDriver(monkeypatch)
    assert gpus.gpus(root=tmp_path) == ()


@pytest.mark.parametrize("call", ["nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetName", "nvmlDeviceGetMemoryInfo"])
def test_a_driver_that_does_not_answer_is_unknown_not_absent(monkeypatch, tmp_path: Path, call: str) -> None:
    FakeDriver(monkeypatch, (1, 1), refuses=call)
    assert gpus.gpus(root=tmp_path) is None


def test_no_driver_is_no_card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        pynvml, "_LoadNvmlLibrary", lambda: pynvml._nvmlCheckReturn(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
    )
    assert gpus.gpus(root=tmp_path) == ()


def test_amd_cards_are_read_from_sysfs(tmp_path: Path) -> None:
    drm = "sys/class/drm"
    tree(
        tmp_path,
        {
            f"{drm}/card0/device/vendor": "0x8086\n",
            f"{drm}/card1/device/vendor": "0x1002\n",
            f"{drm}/card1/device/device": "0x687f\n",
            f"{drm}/card1/device/mem_info_vram_total": "8573157376\n",
            f"{drm}/card1/device/mem_info_vram_used": "573157376\n",
            f"{drm}/card1-DP-1/device/vendor": "0x1002\n",
            f"{drm}/card2/device/vendor": "0x1002\n",
            f"{drm}/card2/device/mem_info_vram_total": "much\n",
        },
    )
    found = [g for g in gpus.gpus(root=tmp_path) or () if g.name.startswith("AMD")]
    assert found == [
        gpus.Gpu("AMD card (device 687f)", 8_573_157_376, 8_000_000_000, "amdgpu"),
        gpus.Gpu("AMD card (device unknown)"),
    ]


def test_only_a_hypervisor_makes_a_machine_virtual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    product = "sys/class/dmi/id/product_name"
    cases = {
        "metal": ({"proc/cpuinfo": "flags : fpu avx2\n", product: "ThinkPad X1\n"}, False),
        "flag": ({"proc/cpuinfo": "flags : fpu hypervisor\n", product: "ThinkPad X1\n"}, True),
        "board": ({"proc/cpuinfo": "Features : asimd\n", product: "KVM Virtual Machine\n"}, True),
        "unknown": ({"proc/cpuinfo": "Features : asimd\n"}, None),
    }
    for name, (files, expected) in cases.items():
        assert hardware._virtualised(tree(tmp_path / name, files)) is expected, name
