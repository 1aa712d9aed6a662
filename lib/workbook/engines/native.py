"""llama.cpp's library, quiet: its log lines are kept and shown on demand."""

from __future__ import annotations

import ctypes
import importlib.metadata
import json
import os
import sys
import time
from collections import deque
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from workbook.errors import EngineError, LlamaCppMissing

# libgomp reads it when it is loaded. Two llama.cpp processes on one machine starve each other: idle threads spin.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

_DEBUG, _ERROR, _MARK = 1, 4, -1  # GGML_LOG_LEVEL_*, in ggml.h; the mark is ours
_LINES: deque[tuple[int, str]] = deque(maxlen=5000)  # llama.cpp logs per process: so do we


@dataclass(frozen=True)
class Build:
    """Which llama.cpp this is. ``system_info``: the instruction sets it uses here, as it prints them."""

    version: str
    system_info: str
    gpu_offload: bool


def package() -> Any:
    """The ``llama_cpp`` package as it is. Raises LlamaCppMissing until it is compiled, and in a light set-up."""
    importlib.invalidate_caches()  # it may have come since this kernel started
    try:
        import llama_cpp
    except ImportError:
        raise LlamaCppMissing(f"this opens the model itself, and {why_missing()}") from None
    return llama_cpp


@cache
def library() -> Any:
    """The ``llama_cpp`` package, its log redirected to ``log()``. Raises LlamaCppMissing."""
    llama_cpp = package()
    llama_cpp.llama_log_set(_keep_callback(llama_cpp), ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    return llama_cpp


def why_missing() -> str:
    """In one line: how far the set-up is with llama-cpp-python, or why there is none, and what to do.

    tools/environment.py notes it beside the packages.
    """
    try:
        state = json.loads((Path(sys.prefix) / "llama-cpp.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "a light set-up has no llama-cpp-python. To add it (a C++ compiler and a few minutes): make lab"
    if "reason" in state:
        return f"llama-cpp-python could not be installed: {state['reason']} To try again: make lab"
    minutes = (time.time() - state["started"]) / 60
    try:
        process = psutil.Process(state["pid"])  # or another that has got its number since
        alive = process.create_time() <= state["started"] and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        alive = False
    if not alive:
        return "the compilation of llama-cpp-python was stopped. To start it again: make lab"
    return (
        f"llama-cpp-python is being compiled: step {state['step']} of {state['steps'] or '?'}, started "
        f"{minutes:.0f} min ago. Run this cell again when it is done"
    )


@cache
def _keep_callback(llama_cpp: Any) -> Any:
    # Cached, because llama.cpp keeps the pointer for as long as the process lives.
    def keep(level: int, text: bytes, _user_data: object) -> None:
        if level != _DEBUG:
            _LINES.append((level, text.decode("utf-8", "replace")))

    return llama_cpp.llama_log_callback(keep)


def log(last: int | None = None) -> str:
    """What llama.cpp has logged in this process: everything kept, or the ``last`` lines."""
    lines = "".join(text for _, text in _LINES).splitlines()
    return "\n".join(lines[-last:] if last else lines)


def begin() -> None:
    """Mark the start of a step that may fail, for ``last_error()``."""
    _LINES.append((_MARK, ""))


def last_error() -> str:
    """The first error that llama.cpp logged since ``begin()``, shortened."""
    errors: list[str] = []
    for level, text in reversed(_LINES):
        if level == _MARK:
            break
        if level == _ERROR:
            errors.append(text)
    return errors[-1].split(": ", 1)[-1].strip()[:160] if errors else "no reason given"


@cache
def build() -> Build:
    """Version and instruction sets of the installed llama.cpp."""
    lib = library()
    return Build(
        version=importlib.metadata.version("llama-cpp-python"),
        system_info=lib.llama_print_system_info().decode().strip(),
        gpu_offload=bool(lib.llama_supports_gpu_offload()),
    )


class Closed:
    """What a closed model has in place of the library: a call with a freed pointer would end the whole process."""

    def __getattr__(self, name: str) -> Any:
        raise EngineError("this model is closed. Open it again, or ask before the end of its `with`.")


def free(lib: Any, handles: list[Any]) -> None:
    """Free a model and, before it, its context."""
    for handle, release in reversed(list(zip(handles, (lib.llama_model_free, lib.llama_free), strict=False))):
        release(handle)
