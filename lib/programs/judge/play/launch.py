"""Runs one program under one driver, on virtual time, and reports."""

from __future__ import annotations

import ast
import builtins
import importlib
import json
import os
import random
import sys
import time
import traceback
from typing import Any

from .player import Player

TOOLKITS = {"pygame": "Pygame", "turtle": "Tk", "curses": "Curses", "tkinter": "Tk"}  # first come first taken
GLANCE = 0.0005  # seconds that pass each time a program looks at a clock: a loop that waits for a time comes to an end


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


class Clock:
    """Virtual time: a program that sleeps goes on at once, and its clocks say that it slept."""

    def __init__(self) -> None:
        self.now = 0.0

    def pass_(self, seconds: float) -> None:
        """Let this much time pass at once."""
        self.now += max(0.0, min(float(seconds), 3600.0))

    def look(self, start: float = 0.0) -> float:
        """The time, which passes by looking at it."""
        self.now += GLANCE
        return start + self.now


def main() -> None:
    """Play ``candidate.py`` as the line on standard input says; never returns."""
    report, asked, code = opened()
    if asked["toolkit"] == "none":  # nothing to look at: only whether it imports
        report.say(**_imports(code))
        report.end(how="exit", error=None)

    def finish(how: str, error: str | None = None) -> None:
        report.end(how=how, error=error, **player.seen())

    player, clock = Player(still=asked["play"] == "still", finish=finish), Clock()
    try:
        name = TOOLKITS[asked["toolkit"]]
        module = importlib.import_module(f".{name.lower()}_driver", __package__)
        driver = getattr(module, f"{name}Driver")(player, clock)
    except Exception as missing:  # noqa: BLE001
        report.end(how="missing", error=described(missing))
    driver.install()
    _replace(driver, player, clock, asked["seed"])
    finish(*_played(code, report))


def _replace(driver: Any, player: Player, clock: Clock, seed: int) -> None:
    """Clocks, and what sleeps, asks or leaves, are ours; two games of one seed differ by the keys alone."""

    def nobody_types(prompt: object = "") -> str:
        player.text(str(prompt))
        return ""

    random.seed(seed)
    seed_it = random.seed
    ours: Any = {
        time: {"sleep": driver.sleep},
        os: {"_exit": lambda code=0: player.finish("failed" if code else "exit", None)},
        random: {"seed": lambda a=None, version=2: seed_it(seed if a is None else a, version)},
        builtins: {"input": nobody_types},
    }
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time"):
        start = 1_750_000_000.0 if name == "time" else 0.0
        ours[time][name] = lambda start=start: clock.look(start)
        ours[time][f"{name}_ns"] = lambda start=start: int(clock.look(start) * 1e9)
    for module, names in ours.items():
        vars(module).update(names)


def _played(code: str, report: DriverReport) -> tuple[str, str | None]:
    """Execute the program: how it ended, and its exception."""
    imports = _imports(code)
    report.say(**imports)
    if imports["imports"] is not None:
        return "imports", imports["imports"]
    main_module = type(sys)("__main__")
    main_module.__file__ = "candidate.py"
    sys.modules["__main__"], sys.argv = main_module, ["candidate.py"]
    try:
        exec(compile(code, "candidate.py", "exec"), main_module.__dict__)
    except SystemExit as ended:
        bad = ended.code not in (None, 0) and not isinstance(ended.code, str)
        return ("failed", f"exit code {ended.code}") if bad else ("exit", None)
    except BaseException as error:  # noqa: BLE001
        frames = traceback.extract_tb(error.__traceback__)
        where = [frame.lineno for frame in frames if frame.filename == "candidate.py"]
        return "exception", described(error) + (f" (line {where[-1]})" if where else "")
    return "exit", None


def _imports(code: str) -> dict[str, Any]:
    """Execute the program's own import statements, one after the other; the first that fails, unless it is tried."""
    for node in ast.parse(code).body:
        for part in ast.walk(node) if isinstance(node, ast.Try | ast.If) else [node]:
            if isinstance(part, ast.Import | ast.ImportFrom):
                try:
                    exec(compile(ast.Module([part], []), "<imports>", "exec"), {"__name__": "imports"})
                except BaseException as error:  # noqa: BLE001
                    if not isinstance(node, ast.Try):
                        missing = error.name if isinstance(error, ImportError) else None
                        return {"started": True, "imports": described(error), "missing": missing}
    return {"started": True, "imports": None}
