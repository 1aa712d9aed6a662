"""One program in its cage: started, fed, read, watched, ended with all it started. Linux and macOS."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from programs.judge.box import folder as folders
from programs.judge.box import leftovers
from programs.judge.box.cage import Cage
from programs.judge.box.channels import Channels, opened
from programs.judge.box.task import Task
from programs.judge.box.types import Ended, How
from programs.judge.box.watch import Watch, go_first

TICK_S = 0.05
START_S = 20.0
"""For the sandbox itself, before the program begins: its time is counted from there."""
IN_MEMORY = ("/tmp", "/dev/shm")
"""Beside its folder: where a program of a tier with walls can write."""
GUARD = (Path(__file__).with_name("guard.py")).read_text(encoding="utf-8")


@dataclass
class _Run:
    """A run under way."""

    process: subprocess.Popen[bytes]
    channels: Channels
    first: int  # the process below which all of its are
    folder: Path
    in_memory: tuple[int, ...] = ()  # its folder and the others, where they are the sandbox's own
    namespace: leftovers.Namespace | None = None


def supervise(cage: Cage, python: str, task: Task) -> Ended:
    """Run ``task`` in ``cage`` and leave nothing of it behind.

    Raises
    ------
    NoSandbox : a name in ``task.files`` leads out of the folder.
    """
    with opened(task, cage.counted) as channels:
        process = subprocess.Popen(
            _words(cage, python, task, channels), stdin=channels.stdin, stdout=channels.stdout,
            stderr=channels.stderr, env={**cage.environment}, cwd=cage.outside or "/", start_new_session=True,
            pass_fds=channels.given,
        )  # fmt: skip
        channels.start(task)
        run = None
        try:
            run = _ready(cage, process, channels)
            if isinstance(run, str):
                return _harness(cage, run, channels)
            folders.put(run.folder, task.files)
            return _went(cage, run, task)
        finally:
            if isinstance(run, _Run):
                _end(cage, run)
                for fd in run.in_memory:
                    os.close(fd)
            elif process.poll() is None:
                process.kill()
            process.wait()


def _words(cage: Cage, python: str, task: Task, channels: Channels) -> list[str]:
    numbers, given = channels.numbers, channels.given
    if cage.renumbers:
        numbers = {name: 3 + given.index(fd) if fd >= 0 else fd for name, fd in numbers.items()}
    say = {
        "command": [python, *task.command],
        "limits": dict(cage.rlimits),
        "reap": cage.sweeps,
        **numbers,
    }
    told = {"{status}": str(channels.first), "{given}": ",".join(map(str, given)), "{count}": str(len(given))}
    words = list(cage.wrap)
    for sign, value in told.items():
        words = [word.replace(sign, value) for word in words]
    return [*words, python, "-I", "-S", "-c", GUARD, json.dumps(say)]


def _ready(cage: Cage, process: subprocess.Popen[bytes], channels: Channels) -> _Run | str:
    """Wait until the guard waits for the word; what went wrong, in words, if it never does."""
    line = channels.line(time.monotonic() + START_S)
    if line != b"ready":
        process.kill()
        process.wait()
        return "the sandbox did not start"
    if cage.outside is not None:
        go_first(process.pid)
        return _Run(process, channels, process.pid, cage.outside)
    opened: list[int] = []
    try:
        first = int(json.loads(channels.first_process())["child-pid"]) if cage.counted else _named(cage.pidfile)
        for place in (cage.inside, *IN_MEMORY):
            opened.append(os.open(f"/proc/{first}/root{place}", os.O_RDONLY | os.O_DIRECTORY))
    except (OSError, ValueError, KeyError) as error:
        for fd in opened:
            os.close(fd)
        process.kill()
        process.wait()
        return f"the sandbox's folder is not in reach ({type(error).__name__})"
    go_first(first)
    folder = Path(f"/proc/self/fd/{opened[0]}")
    return _Run(process, channels, first, folder, tuple(opened), leftovers.Namespace(first))


def _named(pidfile: Path | None) -> int:
    """The process that ``pidfile`` names, once it does."""
    until = time.monotonic() + 5
    while pidfile and time.monotonic() < until:
        with contextlib.suppress(OSError, ValueError):
            return int(pidfile.read_text())
        time.sleep(0.01)
    raise ValueError("no process is named")


def _harness(cage: Cage, why: str, channels: Channels) -> Ended:
    channels.close()
    said = channels.err.kept.decode(errors="replace").strip().splitlines()
    why = f"{why}: {said[-1][:160]!a}" if said else why
    return Ended("harness", None, b"", channels.err.kept, {}, 0.0, cage.tier, False, why=why)


def _went(cage: Cage, run: _Run, task: Task) -> Ended:
    """From the word to what it left."""
    channels, started = run.channels, time.monotonic()
    channels.go(task)
    how, code, why = _until(cage, run, task, started)
    seconds = time.monotonic() - started
    _end(cage, run)
    channels.close()
    if channels.full and how == "exit":
        how, code, why = "output", None, f"more than {task.limits.output_bytes} bytes"
    left = folders.collect(run.folder, task.limits)
    kept = {name: content for name, content in left.files.items() if task.files.get(name) != content}
    if how == "exit" and code and channels.err.kept.rstrip().rpartition(b"\n")[2].startswith(b"MemoryError"):
        how, code, why = "memory", None, f"more than {task.limits.memory_mb} MB in one process"
    return Ended(
        how, code, channels.out.kept, channels.err.kept, kept, seconds, cage.tier,
        cut=channels.full or bool(left.refused), report=channels.report.kept, why=why, refused=tuple(left.refused),
    )  # fmt: skip


def _until(cage: Cage, run: _Run, task: Task, started: float) -> tuple[How, int | None, str]:
    """Wait for the program's end, its time's end, or a limit."""
    watch = Watch(run.first, run.folder, run.in_memory, task.limits)
    end = started + task.limits.timeout_s
    while True:
        line = run.channels.line(min(time.monotonic() + TICK_S, end))
        if line is not None:
            return _said(line)
        if run.channels.full:
            return "output", None, f"more than {task.limits.output_bytes} bytes"
        if time.monotonic() >= end:
            return "timeout", None, f"still running after {task.limits.timeout_s:g} s"
        if crossed := watch.crossed():
            how, why = crossed
            return how, 9 if how == "signal" else None, why


def _said(line: bytes) -> tuple[How, int | None, str]:
    """How the guard says it ended; an empty line: the guard is gone, which only the program can have done."""
    try:
        said = json.loads(line)
        if "failed" in said:
            return "harness", None, f"the program was not started: {said['failed']}"
        how: How = "signal" if "signal" in said else "exit"
        return how, int(said[how]), ""
    except (ValueError, KeyError, TypeError):
        return "signal", 9, "it ended the process that watches it"


def _end(cage: Cage, run: _Run) -> None:
    """End every process of the run, and be sure of it."""
    run.channels.stop()
    if run.namespace:
        run.namespace.end()
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.process.wait(10 if cage.pidfile else 3)  # podman clears up after its container
    if run.process.poll() is None:
        run.process.kill()
    run.process.wait()
    if cage.mark:
        leftovers.end_marked(cage.mark)
