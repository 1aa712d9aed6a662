"""Passes on calls to a program and what it answers. It knows no right answer, and there is none to find here."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from .report import Report

LONGEST = 20_000  # characters of one answer


def main(folder: str) -> None:
    """Load ``candidate.py`` and answer the calls that stand on standard input; never returns."""
    said = json.loads(sys.stdin.readline())
    report = Report(said["secret"])
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115
    module = type(sys)("candidate")
    sys.modules["candidate"] = module
    with open(os.path.join(folder, "candidate.py"), encoding="utf-8") as file:
        code = file.read()
    try:
        exec(compile(code, "candidate.py", "exec"), module.__dict__)
    except BaseException as error:  # noqa: BLE001
        report.end(loaded=_name(error))
    report.say(loaded=None)
    game: Any = None
    for number, call in enumerate(said["calls"]):
        try:
            if call[0] == "new":
                game = module.__dict__["SnakeGame"](call[1], call[2], [tuple(cell) for cell in call[3]])
                answer = _state(game, None)
            elif call[0] == "step":
                answer = _state(game, game.step(call[1]))
            else:
                answer = {"value": module.__dict__[call[0]](*call[1])}
            text = json.dumps(answer)
        except BaseException as error:  # noqa: BLE001
            text = json.dumps({"raised": _name(error) if call[0] not in ("new", "step") else type(error).__name__})
        if len(text) > LONGEST:
            text = json.dumps({"raised": "a very long answer"})
        report.say(number=number, answer=json.loads(text))
    report.end(done=True)


def _state(game: Any, returned: Any) -> dict[str, Any]:
    food = game.food
    return {
        "returned": returned,
        "snake": [list(cell) for cell in game.snake],
        "food": list(food) if food is not None else None,
        "score": game.score,
        "over": game.over,
    }


def _name(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
