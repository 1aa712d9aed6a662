"""The tier of macOS: ``sandbox-exec`` with a profile that denies all and allows little.

Its text is tested; it was not tried on a Mac by the tests of this project, which run on Linux.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from programs.judge.box import limits
from programs.judge.box.cage import Cage, Wanted
from programs.judge.box.types import Tier

NAME = "macos"
CONTAINS = frozenset({"network", "files", "processes", "environment", "memory", "output", "time"})
PROGRAM = "/usr/bin/sandbox-exec"
SYSTEM = (
    "/usr/lib", "/usr/share", "/usr/bin", "/bin", "/System", "/Library/Frameworks", "/Library/Fonts",
    "/private/var/db/dyld", "/private/var/db/timezone", "/private/etc/localtime", "/opt/homebrew", "/usr/local",
)  # fmt: skip
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/fd", "/dev/tty")


def tier() -> Tier:
    """Whether ``sandbox-exec`` works here."""
    why = _why_not()
    return Tier(NAME, not why, why, CONTAINS)


def _why_not() -> str:
    if sys.platform != "darwin":
        return "for macOS only"
    if not shutil.which(PROGRAM):
        return "sandbox-exec is not on this Mac"
    try:
        done = subprocess.run(
            [PROGRAM, "-p", "(version 1)(allow default)(deny network*)", "/usr/bin/true"],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=30,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return f"sandbox-exec does not start ({type(error).__name__})"
    return "" if done.returncode == 0 else "sandbox-exec does not work here"


def profile(folder: Path, needs: tuple[Path, ...]) -> str:
    """The rules: read the system's libraries and this Python, write in ``folder``, signal none but its own, no network."""
    shown = " ".join(f"(subpath {_quoted(str(path))})" for path in (*SYSTEM, *needs, folder))
    devices = " ".join(f"(subpath {_quoted(name)})" for name in DEVICES)
    return "\n".join(
        (
            "(version 1)",
            "(deny default)",
            "(deny network*)",
            "(allow process-fork)",
            "(allow process-exec)",
            "(allow signal (target same-sandbox))",
            "(allow sysctl-read)",
            "(allow file-read-metadata)",
            f'(allow file-read* (literal "/") {shown} {devices})',
            f"(allow file-write* (subpath {_quoted(str(folder))}))",
            f"(allow file-write-data file-ioctl {devices})",
        )
    )


def _quoted(path: str) -> str:
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def prepare(wanted: Wanted) -> Cage:
    """The limits' cage, with the profile around it."""
    cage = limits.prepare(wanted)
    assert cage.outside is not None
    words = (PROGRAM, "-p", profile(cage.outside.parent, wanted.python.needs()))
    return replace(cage, tier=NAME, wrap=words)
