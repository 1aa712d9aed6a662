"""What runs beside a program inside the sandbox: it plays the program's game and tells what it saw.

These files are carried into the sandbox and use the standard library alone: nothing of ``workbook`` is there. They
run in the program's own process, where a program that sets out to deceive can reach them: what they report is a
measurement of honest programs. ``calls`` only passes on what the program answers, which is judged outside.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


class DriverReport:
    """Writes to what was standard output, which the program no longer reaches by printing.

    Each line begins with a secret, so that what the program writes by other means is not taken for one of ours.
    """

    def __init__(self, secret: str) -> None:
        self._secret, self._fd, self._end = secret, os.dup(1), os._exit
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        sys.stdout = open(1, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115

    def say(self, **what: Any) -> None:
        """One line, at once."""
        left = f"{self._secret} {json.dumps(what)}\n".encode()
        while left:
            left = left[os.write(self._fd, left) :]

    def end(self, **what: Any) -> None:
        """The last line; the process ends, whatever the program's threads and handlers would still do."""
        self.say(**what)
        self._end(0)


def opened() -> tuple[DriverReport, dict[str, Any], str]:
    """The report, what is asked on standard input, and the text of the program."""
    asked = json.loads(sys.stdin.readline())
    with open("candidate.py", encoding="utf-8") as file:
        return DriverReport(asked["secret"]), asked, file.read()


def described(error: BaseException) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
