"""This machine: processor, memory, graphics cards, disk, system. What cannot be known is None, never 0."""

from __future__ import annotations

import os
import platform
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

import psutil

from workbook import cgroups, paths
from workbook.cgroups import read
from workbook.gpus import Gpu, gpus

# What llama.cpp has code for (ggml/src/ggml-cpu/CMakeLists.txt), under the Linux kernel's names;
# ARM's "advanced SIMD" goes by the names that llama.cpp and most people use.
ISA_FLAGS = (
    "ssse3", "sse4_2", "avx", "avx2", "f16c", "fma", "bmi2", "avx_vnni",
    "avx512f", "avx512cd", "avx512vl", "avx512dq", "avx512bw", "avx512vbmi", "avx512_vnni", "avx512_bf16",
    "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16",
    "neon", "fp16", "dotprod", "i8mm", "bf16", "sve", "sve2", "sme", "vsx", "rvv", "lsx", "lasx", "vxe",
)  # fmt: skip
_ARM_NAMES = {"asimd": "neon", "asimdhp": "fp16", "asimddp": "dotprod"}
_VM_PRODUCTS = ("kvm", "vmware", "virtualbox", "virtual machine", "qemu", "bochs", "hvm domu", "openstack", "ec2")


@dataclass(frozen=True)
class Machine:
    """What this machine is. Sizes in bytes; None: cannot be known here.

    ``cores`` are physical, ``threads`` logical; ``threads_usable`` of them are open to this process
    (affinity), for ``cpu_quota`` CPUs' worth of time (control groups; None: no limit).
    ``ram_limit_bytes`` is the container's, None without one; ``ram_available_bytes`` respects it.
    ``gpus`` is None when a driver is there and does not answer, () when no card is found.
    """

    arch: str
    cpu_model: str | None
    isa_flags: tuple[str, ...]
    sockets: int | None
    cores: int | None
    threads: int | None
    threads_usable: int | None
    cpu_quota: float | None
    ram_total_bytes: int
    ram_available_bytes: int
    ram_limit_bytes: int | None
    gpus: tuple[Gpu, ...] | None
    disk_free_bytes: int
    os: str
    kernel: str
    python: str
    virtualised: bool | None
    on_battery: bool | None

    @property
    def cores_usable(self) -> int:
        """Physical cores that this process can keep busy: the engine's number of threads."""
        return _usable(self.cores or self.threads, self.threads_usable, self.cpu_quota)


def machine(root: Path = Path("/")) -> Machine:
    """Look at this machine; Linux's files are read below ``root``."""
    limits, cpu = cgroups.limits(root), cpu_model(root)
    total, limit = psutil.virtual_memory().total, limits.ram_limit_bytes
    return Machine(
        arch=platform.machine(),
        cpu_model=cpu,
        isa_flags=isa_flags(),
        sockets=_sockets(root),
        cores=psutil.cpu_count(logical=False),
        threads=psutil.cpu_count(),
        threads_usable=_threads_usable(),
        cpu_quota=limits.cpus,
        ram_total_bytes=total,
        ram_available_bytes=ram_available_bytes(root),
        ram_limit_bytes=limit if limit is not None and limit < total else None,
        gpus=gpus(cpu, root),
        disk_free_bytes=shutil.disk_usage(paths.root()).free,
        os=_os(),
        kernel=platform.release(),
        python=platform.python_version(),
        virtualised=_virtualised(root),
        on_battery=_on_battery(),
    )


def ram_available_bytes(root: Path = Path("/")) -> int:
    """Memory that this process can still get, its container's limit respected."""
    available, left = psutil.virtual_memory().available, cgroups.limits(root).ram_left_bytes
    return available if left is None else min(available, left)


def usable_cores() -> int:
    """Physical cores that this process can keep busy."""
    return _usable(psutil.cpu_count(logical=False) or psutil.cpu_count(), _threads_usable(), cgroups.limits().cpus)


def _usable(cores: int | None, allowed: int | None, quota: float | None) -> int:
    return min((n for n in (cores, allowed, quota and max(1, int(quota))) if n), default=1)


def other_load_share_pct(interval_s: float = 0.5) -> float:
    """How busy the machine is with other work than this process, in % of all its logical CPUs."""
    threads, me = psutil.cpu_count() or 1, psutil.Process()
    before = me.cpu_times()
    busy = psutil.cpu_percent(interval=interval_s)
    after = me.cpu_times()
    own_s = (after.user + after.system) - (before.user + before.system)
    return max(0.0, busy - 100 * own_s / (interval_s * threads))


def cpu_model(root: Path = Path("/")) -> str | None:
    """The processor's name, as it gives it itself; on ARM Linux, the core's name."""
    import archspec.cpu

    for key, _, value in (line.partition(":") for line in read(root / "proc/cpuinfo").splitlines()):
        if key.strip() == "model name" and value.strip():
            return " ".join(value.split())
    try:
        name = archspec.cpu.brand_string() or archspec.cpu.host().name
    except Exception:  # noqa: BLE001  it runs machine code to ask the processor: not everywhere allowed
        name = platform.processor()
    return " ".join(name.split()) or None


def isa_flags() -> tuple[str, ...]:
    """The instruction sets that this processor has and llama.cpp has code for: some of ``ISA_FLAGS``, in its order."""
    from archspec.cpu import detect

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            # What the processor says, and what its kind is known to have (macOS tells only the kind).
            flags = set(detect.detected_info().features) | set(detect.host().features)
        except Exception:  # noqa: BLE001
            flags = set()
    flags |= {_ARM_NAMES[flag] for flag in flags & _ARM_NAMES.keys()}
    return tuple(flag for flag in ISA_FLAGS if flag in flags)


def _sockets(root: Path) -> int | None:
    ids = {read(path) for path in root.glob("sys/devices/system/cpu/cpu[0-9]*/topology/physical_package_id")} - {""}
    return len(ids) or None


def _threads_usable() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    process = psutil.Process()
    return len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else None


def _os() -> str:
    system = platform.system()
    if system == "Linux":
        try:
            return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
        except OSError:
            return "Linux"
    return f"macOS {platform.mac_ver()[0]}" if system == "Darwin" else f"{system} {platform.version()}"


def _virtualised(root: Path) -> bool | None:
    if platform.system() != "Linux":
        return None
    info = read(root / "proc/cpuinfo")
    product = (read(root / "sys/class/dmi/id/product_name") + read(root / "sys/class/dmi/id/sys_vendor")).lower()
    if any(line.startswith("flags") and " hypervisor" in line for line in info.splitlines()):
        return True
    if any(word in product for word in _VM_PRODUCTS):
        return True
    return False if "flags" in info and product else None


def _on_battery() -> bool | None:
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    return None if battery is None or battery.power_plugged is None else not battery.power_plugged
