"""The rows about llama.cpp, Ollama, the models, and which engine answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from workbook import hardware, models
from workbook.doctor.diagnosis import Check, judged
from workbook.errors import DamagedModel, WorkbookError

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


def checks() -> Iterator[Check]:
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
    try:
        version = metadata.version("llama-cpp-python")
    except metadata.PackageNotFoundError:
        return Check(
            "llama.cpp", "not installed: a light set-up", "warn",
            "Pages that open the model itself stop at their first cell; all others run on Ollama. To add it: make lab",
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
    return judged("llama.cpp", f"{value}, built for {', '.join(used) or 'any processor'}, {card}", (lost, "warn", why))


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
        return judged("Ollama", value, (needed, "warn", why))
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
