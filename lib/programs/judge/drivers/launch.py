"""Runs one program under one driver, and reports."""

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

from .clock import Clock, real
from .player import Player
from .report import Report

TOOLKITS = {"pygame": "pygame_driver", "curses": "curses_driver", "turtle": "tk_driver", "tkinter": "tk_driver"}
SECONDS = 15.0  # of real time; the judge's own limit lies behind it


def main(folder: str) -> None:
    """Play ``candidate.py`` as the line on standard input says; never returns."""
    said = json.loads(sys.stdin.readline())
    report = Report(said["secret"])
    with open(os.path.join(folder, "candidate.py"), encoding="utf-8") as file:
        code = file.read()
    began = real()

    def finish(how: str, error: str | None = None) -> None:
        report.end(event="end", how=how, error=error, **_seen(player))

    if said["toolkit"] == "none":  # nothing to look at: only whether it imports
        report.say(event="imports", **_imports(code))
        report.end(event="end", how="exit", error=None)
    player = Player(still=said["play"] == "still", finish=finish)
    _same_chances(said["seed"])
    clock = Clock()
    try:
        driver = importlib.import_module("." + TOOLKITS[said["toolkit"]], __package__).Driver(player, clock)
    except Exception as missing:  # noqa: BLE001
        report.end(event="end", how="missing", error=_line(missing))
    driver.install()
    clock.install()
    _time_limit(player, began)
    module: Any = time
    module.sleep = driver.sleep
    module_os: Any = os
    module_os._exit = lambda code=0: finish(
        "exit" if code == 0 else "failed", None if code == 0 else f"exit code {code}"
    )
    builtins.input = lambda prompt="": _no_words(player, prompt)
    imports = _imports(code)
    report.say(event="imports", **imports)
    how, error = _execute(code) if imports["error"] is None else ("imports", imports["error"])
    finish(how, error)


def _no_words(player: Player, prompt: object) -> str:
    """What ``input`` does here: nobody types."""
    player.text(str(prompt))
    return ""


def _imports(code: str) -> dict[str, Any]:
    """Execute the program's own import statements, one after the other; the first that fails."""
    for node in ast.parse(code).body:
        for part in ast.walk(node) if isinstance(node, ast.Try | ast.If) else [node]:
            if isinstance(part, ast.Import | ast.ImportFrom):
                try:
                    exec(compile(ast.Module([part], []), "<imports>", "exec"), {"__name__": "imports"})
                except BaseException as error:  # noqa: BLE001
                    missing = getattr(error, "name", None) if isinstance(error, ImportError) else None
                    guarded = isinstance(node, ast.Try)
                    if not guarded:
                        return {"missing": missing, "error": _line(error)}
    return {"missing": None, "error": None}


def _execute(code: str) -> tuple[str, str | None]:
    main_module = type(sys)("__main__")
    main_module.__file__ = "candidate.py"
    sys.modules["__main__"], sys.argv = main_module, ["candidate.py"]
    try:
        exec(compile(code, "candidate.py", "exec"), main_module.__dict__)
    except SystemExit as ended:
        bad = ended.code not in (None, 0) and not isinstance(ended.code, str)
        return ("failed", f"exit code {ended.code}") if bad else ("exit", None)
    except BaseException as error:  # noqa: BLE001
        return "exception", _line(error)
    return "exit", None


def _line(error: BaseException) -> str:
    """The exception in one line, with the program's own line number."""
    where = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "candidate.py"]
    said = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {said}" + (f" (line {where[-1]})" if where else "")


def _seen(player: Player) -> dict[str, Any]:
    reader = player.reader
    return {
        "frames": player.n, "drawn": player.drawn, "changes": player.changes, "prints": player.prints,
        "first_key": player.first_key, "steps": reader.steps, "eaten": reader.eaten, "grown": reader.grown(),
        "passed": len(reader.refused), "over": player.over, "texts": player.texts[:20], "phase": player.phase,
        "read": reader.steps > 3 and (bool(reader.foods) or bool(reader.meals)),
    }  # fmt: skip


def _same_chances(seed: int) -> None:
    """Two games of one seed differ by the keys alone, even where the program seeds from the clock."""
    random.seed(seed)
    module: Any = random
    chosen = random.seed
    module.seed = lambda a=None, version=2: chosen(seed if a is None else a, version)


def _time_limit(player: Player, began: float) -> None:
    """Report what was seen so far when the time is up at a frame."""
    frame = player.frame

    def limited(picture: Any) -> list[str]:
        if real() - began > SECONDS:
            player.finish("slow")
        return frame(picture)

    player.frame = limited  # type: ignore[method-assign]
