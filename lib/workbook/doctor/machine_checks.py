"""The rows about the machine itself."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import metadata

from workbook import hardware
from workbook.doctor.diagnosis import Check, judged
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
    for row in (_processor, _instructions, _cores, _memory, _graphics, _disk, _system):
        yield row(found)
    yield _python()
    yield _packages()
    yield _battery(found)
    yield _load(hardware.other_load_share_pct())


def _gb(n_bytes: float) -> str:
    """Bytes in GB (10^9)."""
    return f"{n_bytes / 1e9:.1f} GB"


def _processor(found: Machine) -> Check:
    sockets = f"{found.sockets} x " if (found.sockets or 1) > 1 else ""
    return Check("Processor", f"{sockets}{found.cpu_model or 'of unknown make'}, {found.arch}")


def _instructions(found: Machine) -> Check:
    x86 = found.arch.lower() in ("x86_64", "amd64")
    value = ", ".join(shown for flag, shown in _SHOWN_FLAGS.items() if flag in found.isa_flags)
    return judged(
        "Instruction set", value or ", ".join(found.isa_flags) or "unknown",
        (not found.isa_flags, "warn", "Nothing, unless llama.cpp below does not work."),
        (x86 and "avx2" not in found.isa_flags, "warn",
         "No AVX2: answers are slow, and programs built for newer processors stop with 'illegal instruction'. "
         "Build llama-cpp-python on this machine (make lab does), and choose small models."),
    )  # fmt: skip


def _cores(found: Machine) -> Check:
    parts = [f"{found.cores or '?'} cores, {found.threads or '?'} threads"]
    fewer = found.cores_usable < (found.cores or found.threads or 1)
    if found.cpu_quota:
        parts.append(f"the time of {found.cpu_quota:g} CPUs")
    if fewer:
        parts.append(f"{found.cores_usable} usable here")
    why = "A container or an affinity mask keeps the rest away. Give it more, or take the speeds for that of less."
    return judged("Cores", ", ".join(parts), (fewer, "warn", why))


def _memory(found: Machine) -> Check:
    limit = f", of which this container may use {_gb(found.ram_limit_bytes)}" if found.ram_limit_bytes else ""
    free = found.ram_available_bytes
    return judged(
        "Memory", f"{_gb(found.ram_total_bytes)}{limit}, {_gb(free)} available",
        (free < _RAM_NEEDED, "fail", f"A page needs up to {_gb(_RAM_NEEDED)}. Close other programs."),
        (free < _RAM_WISHED, "warn", "Enough for the small model. Close other programs before larger ones."),
    )  # fmt: skip


def _graphics(found: Machine) -> Check:
    if found.gpus is None:
        why = "Run nvidia-smi in a terminal to see why. Until then models run on the processor."
        return Check("Graphics card", "its driver does not answer", "warn", why)
    return Check("Graphics card", "; ".join(map(_card, found.gpus)) or "none found: models run on the processor")


def _card(card: Gpu) -> str:
    parts = [card.name]
    if card.unified:
        parts.append("shares the memory above")
    elif card.vram_total_bytes:
        free = f" ({_gb(card.vram_free_bytes)} free)" if card.vram_free_bytes is not None else ""
        parts.append(_gb(card.vram_total_bytes) + free)
    if card.driver:
        parts.append(f"driver {card.driver}")
    return ", ".join(parts)


def _disk(found: Machine) -> Check:
    free = found.disk_free_bytes
    return judged(
        "Disk", f"{_gb(free)} free where the workbook lies",
        (free < _DISK_NEEDED, "fail", "Make room: outputs and records need some."),
        (free < _DISK_WISHED, "warn", "Enough for the workbook, not for larger models: one of 7B takes 4 to 5 GB."),
    )  # fmt: skip


def _system(found: Machine) -> Check:
    return Check("System", found.os + (", a virtual machine" if found.virtualised else ""))


def _python() -> Check:
    low, high = (".".join(map(str, version)) for version in _PYTHONS)
    fits = _PYTHONS[0] <= sys.version_info[:2] <= _PYTHONS[1]
    value = ".".join(map(str, sys.version_info[:3]))
    return judged("Python", value, (not fits, "fail", f"The workbook needs {low} to {high}."))


def _packages() -> Check:
    """Whether what pyproject.toml asks for is there. Extras are not looked at."""
    try:
        wanted = [r for r in metadata.requires("local-llm-workbook") or [] if "extra ==" not in r]
    except metadata.PackageNotFoundError:
        return Check("Packages", "the workbook is not installed", "fail", "Run: make lab")
    missing = []
    for name in (re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in wanted):
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    value = f"not installed: {', '.join(missing)}" if missing else f"all {len(wanted)} installed"
    return judged("Packages", value, (missing, "fail", "Run: make lab"))


def _battery(found: Machine) -> Check:
    value = {True: "on battery", False: "plugged in", None: "no battery seen"}[found.on_battery]
    why = "Plug it in before you measure: many laptops slow down."
    return judged("Power", value, (found.on_battery, "warn", why))


def _load(pct: float) -> Check:
    why = "Speeds will be too low: even one busy core slows llama.cpp a lot. Close programs before you measure."
    return judged("Other load", f"other programs use {pct:.0f}% of the processor", (pct > _LOAD_PCT, "warn", why))
