"""The rows about the machine itself."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from importlib import metadata

from workbook import hardware
from workbook.doctor.report import Check
from workbook.gpus import Gpu
from workbook.hardware import Machine

_RAM_NEEDED, _RAM_WISHED = 1.0e9, 2.0e9  # a page states 1 GB at most; a browser and JupyterLab stand beside it
_DISK_NEEDED, _DISK_WISHED = 0.5e9, 5e9  # outputs and records; a 7B model at 4 bits weighs 4 to 5 GB
_LOAD_PCT = 10.0
_PYTHONS = ((3, 11), (3, 13))
_SHOWN_FLAGS = {
    "avx": "AVX", "avx2": "AVX2", "f16c": "F16C", "fma": "FMA", "avx_vnni": "AVX-VNNI", "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI", "avx512_bf16": "AVX-512 BF16", "amx_int8": "AMX", "neon": "NEON", "fp16": "FP16",
    "dotprod": "DOTPROD", "i8mm": "I8MM", "sve": "SVE", "sme": "SME",
}  # fmt: skip


def checks() -> Iterator[Check]:
    """All rows about the machine."""
    found = hardware.machine()
    rows: list[Callable[[Machine], Check]] = [_processor, _instructions, _cores, _memory, _graphics, _disk, _system]
    yield from (row(found) for row in rows)
    yield _python()
    yield _packages()
    yield _battery(found)
    yield _load(hardware.other_load_share_pct())


def gb(n_bytes: float) -> str:
    """Bytes in GB (10^9)."""
    return f"{n_bytes / 1e9:.1f} GB"


def _processor(found: Machine) -> Check:
    sockets = f"{found.sockets} x " if (found.sockets or 1) > 1 else ""
    return Check("Processor", f"{sockets}{found.cpu_model or 'of unknown make'}, {found.arch}")


def _instructions(found: Machine) -> Check:
    name, x86 = "Instruction set", found.arch.lower() in ("x86_64", "amd64")
    value = ", ".join(shown for flag, shown in _SHOWN_FLAGS.items() if flag in found.isa_flags)
    if not found.isa_flags:
        return Check(name, "unknown", "warn", "Nothing, unless llama.cpp below does not work.")
    if x86 and "avx2" not in found.isa_flags:
        return Check(
            name, value or "without AVX", "warn",
            "No AVX2: answers are slow, and programs built for newer processors stop with 'illegal instruction'. "
            "Build llama-cpp-python on this machine (make lab does), and choose small models.",
        )  # fmt: skip
    return Check(name, value or ", ".join(found.isa_flags))


def _cores(found: Machine) -> Check:
    parts = [f"{found.cores or '?'} cores, {found.threads or '?'} threads"]
    usable, all_cores = found.cores_usable, found.cores or found.threads or 1
    if found.cpu_quota:
        parts.append(f"the time of {found.cpu_quota:g} CPUs")
    if usable < all_cores:
        parts.append(f"{usable} usable here")
        return Check(
            "Cores", ", ".join(parts), "warn",
            "A container or an affinity mask keeps the rest away. Give it more, or take the speeds for that of less.",
        )  # fmt: skip
    return Check("Cores", ", ".join(parts))


def _memory(found: Machine) -> Check:
    limit = f", of which this container may use {gb(found.ram_limit_bytes)}" if found.ram_limit_bytes else ""
    value = f"{gb(found.ram_total_bytes)}{limit}, {gb(found.ram_available_bytes)} available"
    if found.ram_available_bytes < _RAM_NEEDED:
        return Check("Memory", value, "fail", f"A page needs up to {gb(_RAM_NEEDED)}. Close other programs.")
    if found.ram_available_bytes < _RAM_WISHED:
        return Check("Memory", value, "warn", "Enough for the small model. Close other programs before larger ones.")
    return Check("Memory", value)


def _graphics(found: Machine) -> Check:
    if found.gpus is None:
        return Check(
            "Graphics card", "its driver does not answer", "warn",
            "Run nvidia-smi in a terminal to see why. Until then models run on the processor.",
        )  # fmt: skip
    return Check("Graphics card", "; ".join(map(_card, found.gpus)) or "none found: models run on the processor")


def _card(card: Gpu) -> str:
    parts = [card.name]
    if card.unified:
        parts.append("shares the memory above")
    elif card.vram_total_bytes:
        free = f" ({gb(card.vram_free_bytes)} free)" if card.vram_free_bytes is not None else ""
        parts.append(gb(card.vram_total_bytes) + free)
    if card.driver:
        parts.append(f"driver {card.driver}")
    return ", ".join(parts)


def _disk(found: Machine) -> Check:
    value = f"{gb(found.disk_free_bytes)} free where the workbook lies"
    if found.disk_free_bytes < _DISK_NEEDED:
        return Check("Disk", value, "fail", "Make room: outputs and records need some.")
    if found.disk_free_bytes < _DISK_WISHED:
        return Check(
            "Disk", value, "warn", "Enough for the workbook, not for larger models: one of 7B takes 4 to 5 GB."
        )
    return Check("Disk", value)


def _system(found: Machine) -> Check:
    return Check("System", found.os + (", a virtual machine" if found.virtualised else ""))


def _python() -> Check:
    value = ".".join(map(str, sys.version_info[:3]))
    if not _PYTHONS[0] <= sys.version_info[:2] <= _PYTHONS[1]:
        low, high = (".".join(map(str, v)) for v in _PYTHONS)
        return Check("Python", value, "fail", f"The workbook needs {low} to {high}.")
    return Check("Python", value)


def _packages() -> Check:
    """Whether what pyproject.toml asks for is there. Extras are not looked at."""
    try:
        wanted = [r for r in metadata.requires("local-llm-workbook") or [] if "extra ==" not in r]
    except metadata.PackageNotFoundError:
        return Check("Packages", "the workbook is not installed", "fail", "Run: make lab")
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in wanted]
    missing = [name for name in names if not _installed(name)]
    if missing:
        return Check("Packages", f"not installed: {', '.join(missing)}", "fail", "Run: make lab")
    return Check("Packages", f"all {len(names)} installed")


def _installed(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False


def _battery(found: Machine) -> Check:
    if found.on_battery:
        return Check("Power", "on battery", "warn", "Plug it in before you measure: many laptops slow down.")
    return Check("Power", "no battery seen" if found.on_battery is None else "plugged in")


def _load(pct: float) -> Check:
    value = f"other programs use {pct:.0f}% of the processor"
    if pct > _LOAD_PCT:
        advice = "Speeds will be too low: even one busy core slows llama.cpp a lot. Close programs before you measure."
        return Check("Other load", value, "warn", advice)
    return Check("Other load", value)
