"""The rows of the doctor: this machine, its packages and models, llama.cpp, Ollama, and which engine answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from packaging.requirements import Requirement

from workbook import hardware, models
from workbook.doctor import Check, Status
from workbook.errors import DamagedModel, WorkbookError
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
_TRIAL_S = 120.0  # a cold disk and a busy machine
_REBUILD = "python -m pip install --force-reinstall --no-cache-dir --no-deps --no-binary :all: llama-cpp-python"
# How llama.cpp's own line names what is worth a warning when the processor has it and the build does not.
_BUILT_WITH = {"avx": "AVX", "avx2": "AVX2", "f16c": "F16C", "fma": "FMA", "neon": "NEON", "dotprod": "DOTPROD"}
# In a process of its own: code that was built for another processor ends the process that runs it.
_TRIAL = """
import json
from workbook import models
from workbook.engines import llama
built = llama.build()
print(json.dumps({"system_info": built.system_info, "gpu": built.gpu_offload}), flush=True)
with llama.Model(models.packaged(), n_ctx=256, n_threads=1) as model:
    model.decode(model.tokenize("Hello"))
    assert len(model.logits()) == model.n_vocab
print("works", flush=True)
"""


def _judged(name: str, value: str, *rules: tuple[object, Status, str]) -> Check:
    """The row of that name. The first rule (whether it holds, status, advice) that holds decides."""
    status, advice = next(((status, advice) for holds, status, advice in rules if holds), ("OK", ""))
    return Check(name, value, status, advice)


def of_machine() -> Iterator[Check]:
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
    return _judged(
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
    return _judged("Cores", ", ".join(parts), (fewer, "warn", why))


def _memory(found: Machine) -> Check:
    limit = f", of which this container may use {_gb(found.ram_limit_bytes)}" if found.ram_limit_bytes else ""
    free = found.ram_available_bytes
    return _judged(
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
    return _judged(
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
    return _judged("Python", value, (not fits, "fail", f"The workbook needs {low} to {high}."))


def _packages() -> Check:
    """Whether what pyproject.toml asks for is there. Extras are not looked at."""
    try:
        said = [Requirement(line) for line in metadata.requires("local-llm-workbook") or []]
        wanted = [one.name for one in said if one.marker is None or one.marker.evaluate({"extra": ""})]
    except metadata.PackageNotFoundError:
        return Check("Packages", "the workbook is not installed", "fail", "Run: make lab")
    missing = []
    for name in wanted:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    value = f"not installed: {', '.join(missing)}" if missing else f"all {len(wanted)} installed"
    no_wheel = set(missing) <= {"xllamacpp", "llguidance"}  # on musl, which no marker can name
    return _judged(
        "Packages", value,
        (missing and no_wheel, "warn", "The model in this process: there is no wheel for this system, or run: make lab"),
        (missing, "fail", "Run: make lab"),
    )  # fmt: skip


def _battery(found: Machine) -> Check:
    value = {True: "on battery", False: "plugged in", None: "no battery seen"}[found.on_battery]
    why = "Plug it in before you measure: many laptops slow down."
    return _judged("Power", value, (found.on_battery, "warn", why))


def _load(pct: float) -> Check:
    why = "Speeds will be too low: even one busy core slows llama.cpp a lot. Close programs before you measure."
    return _judged("Other load", f"other programs use {pct:.0f}% of the processor", (pct > _LOAD_PCT, "warn", why))


def of_engines() -> Iterator[Check]:
    """All rows about engines and models."""
    model = _packaged()
    cpp = _llama_cpp(model)
    yield model
    yield cpp
    yield _ollama(needed=cpp.status == "fail" or "not installed" in cpp.value)
    # Where llama.cpp ends its process, nothing is asked of it in this one.
    yield _engine(llama_cpp_works=cpp.status != "fail")


def _packaged() -> Check:
    try:
        path = models.packaged()
    except DamagedModel as error:
        return Check("Packaged model", "missing or damaged", "warn", f"{error}")
    size = f"{path.stat().st_size / 1e6:.0f} MB"
    return Check("Packaged model", f"{path.stem}, {size}, sha256 {models.SMOLLM2_SHA256[:12]}… as published")


def _llama_cpp(model: Check) -> Check:
    from workbook.engines import native

    try:
        version = metadata.version("llama-cpp-python")
    except metadata.PackageNotFoundError:
        return Check(
            "llama.cpp", "llama-cpp-python is not installed", "warn",
            f"Only pages that open the model itself need it, and {native.why_missing()}.",
        )  # fmt: skip
    if model.status != "OK":
        return Check("llama.cpp", f"llama-cpp-python {version}, not tried", "warn", "Fix the packaged model first.")
    built, problem = _trial()
    value = f"llama-cpp-python {version}"
    if problem:
        return Check("llama.cpp", f"{value}, {problem}", "fail", f"Build it on this machine: {_REBUILD}")
    return _built_for(value, built)


def _built_for(value: str, built: dict[str, Any]) -> Check:
    """The row of a llama.cpp that works: which of the processor's instruction sets it was built for."""
    said = [item.partition(" = ") for item in str(built.get("system_info", "")).replace(":", "|").split("|")]
    on = {name.strip() for name, _, flag in said if flag.strip() == "1"}
    lost = [shown for flag, shown in _BUILT_WITH.items() if flag in hardware.isa_flags() and shown not in on]
    used = [shown for shown in (*_BUILT_WITH.values(), "AVX512", "AMX_INT8", "MATMUL_INT8", "SVE") if shown in on]
    card = "and a graphics card" if built.get("gpu") else "processor only"
    off = (
        " SOURCE_DATE_EPOCH is set, which turns them off: unset it first." if "SOURCE_DATE_EPOCH" in os.environ else ""
    )
    why = f"It does not use this processor's {', '.join(lost)}: slow.{off} Rebuild: {_REBUILD}"
    return _judged("llama.cpp", f"{value}, built for {', '.join(used) or 'any processor'}, {card}", (lost, "warn", why))


def _trial() -> tuple[dict[str, Any], str]:
    """What the build says of itself, and what goes wrong when it computes one token ("" if nothing)."""
    try:
        run = subprocess.run(
            [sys.executable, "-c", _TRIAL], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=_TRIAL_S, encoding="utf-8", errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {}, f"does not compute one token in {_TRIAL_S:.0f} s"
    except OSError as error:
        return {}, f"cannot be tried ({error.strerror})"
    lines = run.stdout.splitlines()
    try:
        built = dict(json.loads(lines[0]))
    except (IndexError, ValueError, TypeError):
        built = {}
    if lines[1:] == ["works"] and run.returncode == 0:
        return built, ""
    # 4 is SIGILL; the other is Windows' name for it.
    illegal = run.returncode in (-4, 0xC000001D, 0xC000001D - 2**32)
    return built, "stops with 'illegal instruction'" if illegal else "stops when it computes a token"


def _ollama(needed: bool = False) -> Check:
    from workbook.engines.addresses import shown
    from workbook.engines.ollama import Ollama, address, answers

    try:
        where, there = shown(address(), "OLLAMA_HOST"), answers(0.5)
    except WorkbookError as error:
        return Check("Ollama", "not looked for", "warn", str(error))
    if not there:
        why = "Start it (ollama serve), or install it: llama.cpp does not work here, so it is needed."
        value = f"does not answer at {where}" + ("" if needed else ": not needed")
        return _judged("Ollama", value, (needed, "warn", why))
    try:
        with Ollama() as server:
            names = [entry.name for entry in server.models()]
            version = server.info().engine_version
    except WorkbookError as error:
        return Check("Ollama", f"answers at {where}, and cannot be used", "warn", str(error))
    listed = ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
    return Check("Ollama", f"version {version}, {len(names)} model{'s' * (len(names) != 1)}: {listed}")


def _engine(llama_cpp_works: bool) -> Check:
    from workbook.engines import connect
    from workbook.engines.ollama import answers

    named = (os.environ.get("WORKBOOK_ENGINE") or "").lower()
    try:
        if not llama_cpp_works and (named == "embedded" or (not named and not answers(0.5))):
            return Check("Engine", "none", "fail", "llama.cpp does not work and no Ollama answers: fix one of them.")
        with connect(quiet=True) as engine:
            return Check("Engine", str(engine.info()))
    except ValueError:
        return Check("Engine", "none", "fail", "OLLAMA_HOST is no address: unset it, or set host:port.")
    except WorkbookError as error:
        return Check("Engine", "none", "fail", f"{type(error).__name__}: {error}")
