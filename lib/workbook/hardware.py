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
from workbook.gpus import Gpu, ask, gpus

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
        known = [n for n in (self.cores or self.threads, self.threads_usable) if n]
        if self.cpu_quota:
            known.append(max(1, int(self.cpu_quota)))
        return min(known, default=1)


def machine(root: Path = Path("/")) -> Machine:
    """Look at this machine; a second or two where nvidia-smi is slow. Linux's files are read below ``root``."""
    memory, limits, cpu = psutil.virtual_memory(), cgroups.limits(root), cpu_model(root)
    limit = limits.ram_limit_bytes
    capped = limit is not None and limit < memory.total
    left = limits.ram_left_bytes
    return Machine(
        arch=platform.machine(),
        cpu_model=cpu,
        isa_flags=isa_flags(),
        sockets=_sockets(root),
        cores=psutil.cpu_count(logical=False),
        threads=psutil.cpu_count(),
        threads_usable=_threads_usable(),
        cpu_quota=limits.cpus,
        ram_total_bytes=memory.total,
        ram_available_bytes=min(memory.available, left) if capped and left is not None else memory.available,
        ram_limit_bytes=limit if capped else None,
        gpus=gpus(cpu, root),
        disk_free_bytes=shutil.disk_usage(paths.root()).free,
        os=_os(),
        kernel=platform.release(),
        python=platform.python_version(),
        virtualised=_virtualised(root),
        on_battery=_on_battery(),
    )


def other_load_share_pct(interval_s: float = 0.5) -> float:
    """How busy the machine is with other work than this process, in % of all its logical CPUs."""
    threads, me = psutil.cpu_count() or 1, psutil.Process()
    before = me.cpu_times()
    busy = psutil.cpu_percent(interval=interval_s)
    after = me.cpu_times()
    own_s = (after.user + after.system) - (before.user + before.system)
    return max(0.0, busy - 100 * own_s / (interval_s * threads))


def cpu_model(root: Path = Path("/")) -> str | None:
    """The processor's name, as it gives it itself; on ARM Linux, the board's or the core's name."""
    import archspec.cpu

    for key, _, value in (line.partition(":") for line in _read(root / "proc/cpuinfo").splitlines()):
        if key.strip() == "model name" and value.strip():
            return " ".join(value.split())
    try:
        name = archspec.cpu.brand_string()
        if name is None:
            name = _read(root / "proc/device-tree/model").strip("\0") or archspec.cpu.host().name
    except Exception:  # noqa: BLE001  it runs machine code to ask the processor: not everywhere allowed
        name = platform.processor()
    return " ".join((name or "").split()) or None


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
    ids = {_read(path) for path in (root / "sys/devices/system/cpu").glob("cpu[0-9]*/topology/physical_package_id")}
    if ids - {""}:
        return len(ids - {""})
    text = ask(["sysctl", "-n", "hw.packages"], 2) if platform.system() == "Darwin" else None
    return int(text) if text and text.strip().isdecimal() else None


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
    if platform.system() == "Darwin":
        text = ask(["sysctl", "-n", "kern.hv_vmm_present"], 2)
        return text.strip() == "1" if text else None
    if platform.system() != "Linux":
        return None
    info = _read(root / "proc/cpuinfo")
    product = (_read(root / "sys/class/dmi/id/product_name") + _read(root / "sys/class/dmi/id/sys_vendor")).lower()
    if any(line.startswith("flags") and " hypervisor" in line for line in info.splitlines()):
        return True
    if any(word in product for word in _VM_PRODUCTS) or (root / "proc/device-tree/hypervisor").exists():
        return True
    return False if "flags" in info and product else None


def _on_battery() -> bool | None:
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    return None if battery is None or battery.power_plugged is None else not battery.power_plugged


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
