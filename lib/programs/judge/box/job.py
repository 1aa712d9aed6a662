"""The tier of Windows: a job object, which limits memory, processes and time and ends them together.

It isolates neither files nor network. It was not run by the tests of this project, which run on Linux.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from programs.judge.box import folder as folders
from programs.judge.box.cage import environment
from programs.judge.box.streams import Reader, Writer
from programs.judge.box.task import Task
from programs.judge.box.types import Ended, How, Tier

NAME = "job"
CONTAINS = frozenset({"environment", "memory", "forks", "output", "time"})
EXTENDED_LIMITS, ACTIVE_PROCESSES, JOB_MEMORY, DIE_ON_EXCEPTION, KILL_ON_CLOSE = 9, 0x8, 0x200, 0x400, 0x2000
SUSPENDED, NO_WINDOW = 0x4, 0x08000000
NEEDED = ("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT")
"""Without these a Python does not start on Windows."""


class Basic(ctypes.Structure):
    """JOBOBJECT_BASIC_LIMIT_INFORMATION."""

    _fields_ = [
        ("process_time", ctypes.c_int64), ("job_time", ctypes.c_int64), ("flags", ctypes.c_uint32),
        ("least_set", ctypes.c_size_t), ("most_set", ctypes.c_size_t), ("processes", ctypes.c_uint32),
        ("affinity", ctypes.c_size_t), ("priority", ctypes.c_uint32), ("scheduling", ctypes.c_uint32),
    ]  # fmt: skip


class Extended(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

    _fields_ = [
        ("basic", Basic), ("counters", ctypes.c_uint64 * 6), ("process_memory", ctypes.c_size_t),
        ("job_memory", ctypes.c_size_t), ("peak_process", ctypes.c_size_t), ("peak_job", ctypes.c_size_t),
    ]  # fmt: skip


def tier() -> Tier:
    """There on every Windows."""
    why = "" if sys.platform == "win32" else "for Windows only"
    return Tier(NAME, not why, why, CONTAINS)


def bounds(memory_mb: int, processes: int) -> Extended:
    """The limits of a job, in the system's own form."""
    said = Extended()
    said.basic.flags = ACTIVE_PROCESSES | JOB_MEMORY | DIE_ON_EXCEPTION | KILL_ON_CLOSE
    said.basic.processes = processes
    said.job_memory = memory_mb << 20
    return said


def supervise(python: str, task: Task) -> Ended:
    """Run ``task`` in a job of its own and leave nothing of it behind."""
    whole = Path(tempfile.mkdtemp(prefix="workbook-sandbox-"))
    box, home = whole / "box", whole / "home"
    try:
        home.mkdir()
        box.mkdir()
        folders.put(box, task.files)
        kept = {name: os.environ[name] for name in NEEDED if name in os.environ}
        inside = {**kept, **environment(str(box), str(home), str(whole), False), "USERPROFILE": str(home)}
        inside["TEMP"] = inside["TMP"] = str(home)
        inside["PATH"] = str(Path(python).parent)
        return _run(python, task, box, inside)
    finally:
        folders.remove(whole)


def _run(python: str, task: Task, box: Path, inside: dict[str, str]) -> Ended:
    kernel, nt = ctypes.WinDLL("kernel32"), ctypes.WinDLL("ntdll")  # type: ignore[attr-defined, unused-ignore]
    kernel.CreateJobObjectW.restype = ctypes.c_void_p
    job = ctypes.c_void_p(kernel.CreateJobObjectW(None, None))
    limits = bounds(task.limits.memory_mb, task.limits.processes)
    process = subprocess.Popen(
        [python, *task.command], cwd=box, env=inside, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        stdin=subprocess.PIPE if task.stdin else subprocess.DEVNULL, creationflags=SUSPENDED | NO_WINDOW,
    )  # fmt: skip
    handle = ctypes.c_void_p(int(process._handle))  # type: ignore[attr-defined, unused-ignore]
    held = (
        kernel.SetInformationJobObject(job, EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits))
        and kernel.AssignProcessToJobObject(job, handle)
    )  # fmt: skip
    assert process.stdout
    assert process.stderr
    readers = [Reader(os.dup(out.fileno()), task.limits.output_bytes) for out in (process.stdout, process.stderr)]
    try:
        if not held:
            return Ended("harness", None, b"", b"", {}, 0.0, NAME, False, why="the job object was refused")
        if process.stdin:
            Writer(os.dup(process.stdin.fileno()), [(0.0, task.stdin)])
            process.stdin.close()
        nt.NtResumeProcess(handle)
        how, code, seconds = _until(process, readers, task.limits.timeout_s)
    finally:
        kernel.TerminateJobObject(job, 1)
        kernel.CloseHandle(job)
        process.kill()
        process.wait()
        for reader, stream in zip(readers, (process.stdout, process.stderr), strict=True):
            reader.close()
            stream.close()
    left = folders.collect(box, task.limits)
    kept = {name: content for name, content in left.files.items() if task.files.get(name) != content}
    full = any(reader.full.is_set() for reader in readers)
    return Ended(
        how, code, readers[0].kept, readers[1].kept, kept, seconds, NAME, full or bool(left.refused),
        refused=tuple(left.refused),
    )  # fmt: skip


def _until(process: subprocess.Popen[bytes], readers: list[Reader], most_s: float) -> tuple[How, int | None, float]:
    started = time.monotonic()
    while (seconds := time.monotonic() - started) < most_s:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return "exit", process.wait(0.05), time.monotonic() - started
        if any(reader.full.is_set() for reader in readers):
            return "output", None, seconds
    return "timeout", None, seconds
