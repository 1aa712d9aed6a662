"""One program, from consent to what it left."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from programs.judge.box import bubblewrap, container, job, limits, macos
from programs.judge.box import display as screens
from programs.judge.box.cage import Cage, Screen, Wanted
from programs.judge.box.interpreter import interpreter
from programs.judge.box.supervise import supervise
from programs.judge.box.task import Task
from programs.judge.box.types import Ended, Limits, Tier
from workbook.errors import NoConsent, NoSandbox

PROGRAM = "program.py"
LONGEST_PROGRAM = 4 << 20
CAGES: tuple[tuple[Callable[[], Tier], Callable[[Wanted], Cage]], ...] = (
    (container.tier, container.prepare),
    (bubblewrap.tier, bubblewrap.prepare),
    (macos.tier, macos.prepare),
    (limits.tier, limits.prepare),
)


def tiers() -> tuple[Tier, ...]:
    """The tiers of this machine, strongest first, available or not."""
    return (*(tier() for tier, _ in CAGES), job.tier())


def chosen(name: str | None = None, *, weak: bool = False) -> Tier:
    """The tier to use: the one named, else the strongest there is.

    Raises
    ------
    NoSandbox : none, or not that one. NoConsent : the strongest is weak, and neither named nor allowed by ``weak``.
    """
    known = tiers()
    if name is not None:
        tier = next((tier for tier in known if tier.name == name), None)
        if tier is None:
            raise NoSandbox(f"there is no tier {name!r}. Known: {', '.join(tier.name for tier in known)}.")
        if not tier.available:
            raise NoSandbox(f"the tier {name!r} is not on this machine: {tier.why_not}.")
        return tier
    tier = next((tier for tier in known if tier.available), None)
    if tier is None:
        raise NoSandbox("no tier works on this machine: " + "; ".join(f"{t.name}: {t.why_not}" for t in known) + ".")
    if tier.weak and not weak:
        missing = ", ".join(sorted({"network", "files", "processes"} - tier.contains))
        raise NoConsent(
            f"this machine's strongest tier is {tier.name!r}, which leaves in reach: {missing}. "
            f"Install bubblewrap or podman, or say so on purpose: tier={tier.name!r} (--tier {tier.name})."
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
    weak: bool = False,
    display: bool = False,
    pty: bool = False,
    keys: Sequence[tuple[float, bytes]] = (),
    secret: bytes | None = None,
    memory_mb: int = 1024,
    packages: bool = True,
    limits: Limits | None = None,
) -> Ended:
    """Run a Python program contained, in the strongest tier of this machine, and say how it ended.

    Parameters
    ----------
    program : a file, or the program's text as ``str``. It stands in its folder as ``program.py``.
    consent : the user said yes to running it. ``weak``: also in a tier that leaves network and files in reach;
        naming the ``tier`` says the same.
    files : put into its folder beside it; with a ``.py`` among them, the program can import from its folder.
    stdin : what it reads; without it, standard input is empty. With ``pty``, the first that is typed.
    python : the interpreter, else the one that runs this; ``packages``: with what is installed for it.
    display : a private X server, for tkinter and turtle. ``pty``: standard input and output are a terminal of
        24 x 80, ``keys`` what is typed: bytes at seconds after the start.
    secret : readable once from descriptor 4 by the first code that runs. What is written to descriptor 3 comes
        back as ``Ended.report``. See ``programs.judge.box`` for what that proves.
    limits : instead of those that ``timeout_s`` and ``memory_mb`` make.

    Raises
    ------
    NoConsent, NoSandbox
    """
    if not consent:
        raise NoConsent("a program of others runs only after a yes: say consent=True, or --yes on the command.")
    picked = chosen(tier, weak=weak)
    bounds = limits or Limits(timeout_s=timeout_s, memory_mb=memory_mb)
    using = interpreter(python, packages)
    text = _text(program)
    # -I leaves the program's own folder off the path; with modules of its own it gets that folder, and no more.
    flags = ("-E", "-s") if any(name.endswith(".py") for name in files) else ("-I",)
    task = Task((*flags, "-B", PROGRAM, *args), {**files, PROGRAM: text}, stdin, tuple(keys), pty, secret, bounds)
    if picked.name == job.NAME:
        if display or pty:
            raise NoSandbox("there is no private screen and no pseudo-terminal on Windows.")
        return job.supervise(str(using.path), task)
    prepare = next(prepare for known, prepare in CAGES if known().name == picked.name)
    with screens.display(not picked.weak) if display else contextlib.nullcontext(Screen()) as screen:
        cage = prepare(Wanted(using, bounds, screen, pty))
        try:
            return supervise(cage, str(using.path), task)
        finally:
            cage.remove()


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
