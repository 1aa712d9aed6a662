"""One program, from consent to what it left: a tier is chosen, the supervisor is started in it, its answer is read."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

from programs.judge.box import bubblewrap, container, limits
from programs.judge.box.interpreter import Interpreter, interpreter
from programs.judge.box.walls import STRONG, Limits, Tier, Walls
from workbook.errors import NoConsent, NoSandbox

How = Literal["exit", "signal", "timeout", "memory", "output", "harness"]

PROGRAM = "program.py"
LONGEST_PROGRAM = 4 << 20
LONGEST_ANSWER = 1 << 25
START_S = 60.0
"""For the sandbox itself, before and after the program: a container's first start is slow."""
SUPERVISOR = Path(__file__).with_name("supervisor.py").read_bytes()
READ_SUPERVISOR = "import sys; told = sys.stdin.buffer; exec(told.read(int(told.readline())))"
TIERS: Mapping[str, tuple[Callable[[], Tier], Callable[[Interpreter, Limits], AbstractContextManager[Walls]]]] = {
    bubblewrap.NAME: (bubblewrap.tier, bubblewrap.walls),  # holds what a container holds, and starts at once
    container.NAME: (container.tier, container.walls),
    limits.NAME: (limits.tier, limits.walls),
}


@dataclass(frozen=True)
class Ended:
    """How a program ended, and what it left.

    ``code``: the exit code, or the signal's number; None where there is none (timeout, memory, output, harness).
    ``harness``: the sandbox failed, which says nothing of the program; ``why`` says how.
    ``files``: regular files in its folder, by their path there, without those it was given unchanged.
    ``cut``: something it wrote or left was not kept. ``refused``: what it left and was not read: links, devices, long
    names.
    """

    how: How
    code: int | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    files: Mapping[str, bytes] = field(default_factory=dict)
    seconds: float = 0.0
    tier: str = ""
    cut: bool = False
    why: str = ""
    refused: tuple[str, ...] = ()


def tiers() -> tuple[Tier, ...]:
    """The tiers that there are, strongest first, available on this machine or not."""
    return tuple(tier() for tier, _ in TIERS.values())


def chosen(name: str | None = None) -> Tier:
    """The tier to use: the one named, else the strongest there is.

    Raises
    ------
    NoSandbox : none, or not that one. NoConsent : the strongest is weak, and was not named.
    """
    if name not in (None, *TIERS):
        raise NoSandbox(f"there is no tier {name!r}. Known: {', '.join(TIERS)}.")
    tried: list[Tier] = []
    for known, (tier_of, _) in TIERS.items():
        if name in (None, known) and not (tried and tried[-1].available):
            tried.append(tier_of())
    tier = tried[-1]
    if name is not None and not tier.available:
        raise NoSandbox(f"the tier {name!r} is not on this machine: {tier.why_not}.")
    if not tier.available:
        raise NoSandbox("no tier works on this machine: " + "; ".join(f"{t.name}: {t.why_not}" for t in tried) + ".")
    if tier.weak and name is None:
        raise NoConsent(
            f"this machine's strongest tier is {tier.name!r}, which leaves in reach: "
            f"{', '.join(sorted(STRONG - tier.contains))}. "
            f"Install bubblewrap, podman or Docker, or say so on purpose: tier={tier.name!r} (--tier {tier.name})."
        )
    return tier


def run(
    program: Path | str,
    *,
    consent: bool,
    timeout_s: float = 30,
    args: Sequence[str] = (),
    files: Mapping[str, bytes] = {},
    stdin: bytes = b"",
    python: Path | None = None,
    tier: str | None = None,
    display: bool = False,
    memory_mb: int = 1024,
    limits: Limits | None = None,
) -> Ended:
    """Run a Python program contained, in the strongest tier of this machine, and say how it ended.

    Parameters
    ----------
    program : a file, or the program's text as ``str``. It stands in its folder as ``program.py``.
    consent : the user said yes to running it. A weak tier, which leaves network and files in reach, is used only
        where ``tier`` names it.
    files : put into its folder beside it; with a ``.py`` among them, the program can import from its folder.
    stdin : what it reads; without it, standard input is empty.
    python : the interpreter, else the one that runs this.
    display : a private X server, for tkinter and turtle.
    limits : instead of those that ``timeout_s`` and ``memory_mb`` make.

    Raises
    ------
    NoConsent, NoSandbox
    """
    if not consent:
        raise NoConsent("a program of others runs only after a yes: say consent=True, or --yes on the command.")
    picked = chosen(tier)
    bounds = limits or Limits(timeout_s=timeout_s, memory_mb=memory_mb)
    given = {**files, PROGRAM: _text(program)}
    for name in given:
        _inside(name)
    if display and not shutil.which("Xvfb"):
        raise NoSandbox("a program with windows needs Xvfb, which is not here (Debian, Ubuntu: the package xvfb).")
    # -I leaves the program's own folder off the path; with modules of its own it gets that folder, and no more.
    flags = ("-E", "-s") if any(name.endswith(".py") for name in files) else ("-I",)
    job = {
        "words": [*flags, "-B", PROGRAM, *args], "files": {name: _packed(content) for name, content in given.items()},
        "stdin": _packed(stdin), "display": display, "limits": asdict(bounds),
    }  # fmt: skip
    with TIERS[picked.name][1](interpreter(python), bounds) as walls:
        job |= {
            "box": f"{walls.base}/box", "environment": _environment(walls.base),
            "rlimits": _rlimits(bounds, walls.counted),
        }  # fmt: skip
        message = b"%d\n%s%s\n" % (len(SUPERVISOR), SUPERVISOR, json.dumps(job).encode())
        said, complaint = _exchanged(
            [*walls.words, "-I", "-S", "-c", READ_SUPERVISOR], message, bounds.timeout_s + START_S
        )
    return _understood(said, complaint, picked.name, bounds)


def _text(program: Path | str) -> bytes:
    if isinstance(program, str):
        return program.encode("utf-8", "surrogatepass")
    try:
        with program.open("rb") as file:
            text = file.read(LONGEST_PROGRAM + 1)
    except OSError as error:
        raise NoSandbox(f"{program.name!r} cannot be read ({error.strerror}).") from None
    if len(text) > LONGEST_PROGRAM:
        raise NoSandbox(f"{program.name!r} is larger than {LONGEST_PROGRAM >> 20} MB: that is no program.")
    return text


def _inside(name: str) -> None:
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts or "\\" in name or ":" in name:
        raise NoSandbox(f"{name!r} is no name for a file in the program's folder.")


def _packed(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _environment(base: str) -> dict[str, str]:
    """All that a program finds in its environment, none of it from ours."""
    return {
        "PATH": "/usr/bin:/bin", "HOME": f"{base}/tmp/home", "TMPDIR": f"{base}/tmp", "PWD": f"{base}/box",
        "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TERM": "dumb",
        "SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy", "PYGAME_HIDE_SUPPORT_PROMPT": "1", "MPLBACKEND": "Agg",
        # a linear algebra library takes memory for every core, used or not
        "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
    }  # fmt: skip


def _rlimits(bounds: Limits, counted: bool) -> dict[str, int]:
    """The limits of each process; ``counted``: that of processes counts this program's only, and the supervisor.

    The limit on memory leaves room for address space that is reserved and not used; the supervisor counts what is used.
    """
    held = {
        "RLIMIT_CPU": int(bounds.timeout_s) + 2,
        "RLIMIT_AS": (bounds.memory_mb + 512) << 20,
        "RLIMIT_DATA": bounds.memory_mb << 20,
        "RLIMIT_FSIZE": bounds.disk_mb << 20,
        "RLIMIT_NOFILE": bounds.open_files,
        "RLIMIT_CORE": 0,
        "RLIMIT_MSGQUEUE": 1 << 16,
        "RLIMIT_SIGPENDING": 1024,
        "RLIMIT_MEMLOCK": 1 << 20,
    }
    return {**held, "RLIMIT_NPROC": bounds.processes + 1} if counted else held


def _exchanged(words: Sequence[str], message: bytes, most_s: float) -> tuple[bytes | None, bytes]:
    """What the supervisor answers to ``message``, None when time is over, and what the sandbox itself complains of.

    The supervisor's input stays open until then: when it ends, because we do, the supervisor ends the program.
    """
    answer: list[bytes] = []
    with (
        tempfile.TemporaryFile() as complaint,
        subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaint, start_new_session=True, cwd="/"
        ) as process,
    ):
        assert process.stdin
        assert process.stdout
        sender = threading.Thread(target=_send, args=(process.stdin, message), daemon=True)
        reader = threading.Thread(target=lambda out: answer.append(out.read(LONGEST_ANSWER)), args=(process.stdout,))
        reader.daemon = True
        try:
            sender.start()
            reader.start()
            reader.join(most_s)
        finally:
            if sender.is_alive():
                process.kill()
                sender.join()
            with contextlib.suppress(OSError):
                process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)  # an engine clears up after its container
            process.kill()
            reader.join()
        complaint.seek(0)
        return answer[0] if answer else None, complaint.read(1 << 16)


def _send(into: IO[bytes], message: bytes) -> None:
    with contextlib.suppress(OSError):
        into.write(message)
        into.flush()


def _understood(said: bytes | None, complaint: bytes, tier: str, bounds: Limits) -> Ended:
    """The supervisor's answer, or what it means that there is none."""
    if said is None:
        return Ended("timeout", seconds=bounds.timeout_s, tier=tier, why=f"still running after {bounds.timeout_s:g} s")
    ready, _, answer = said.partition(b"\n")
    if ready != b"ready" or (complaint and not answer):
        lines = complaint.decode(errors="replace").strip().splitlines()
        why = "the sandbox did not start" + (f": {lines[-1][:160]!a}" if lines else "")
        return Ended("harness", stderr=complaint, tier=tier, why=why)
    if not answer and tier == limits.NAME:
        return Ended("signal", 9, tier=tier, why="it ended the process that watches it")
    if not answer:  # behind walls only the kernel does
        return Ended("memory", tier=tier, why=f"more than {bounds.memory_mb} MB, says the kernel")
    told: dict[str, Any] = json.loads(answer)
    for name in {"stdout", "stderr"} & told.keys():
        told[name] = base64.b64decode(told[name])
    files = {name: base64.b64decode(content) for name, content in told.pop("files", {}).items()}
    return Ended(**{**told, "tier": tier, "files": files, "refused": tuple(told.get("refused", ()))})
