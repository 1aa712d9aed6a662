"""Passes on calls to a program and what it answers. It knows no right answer, and there is none to find here."""

from __future__ import annotations

import json
import sys
from typing import Any

from . import described, opened

LONGEST = 20_000  # characters of one answer


def main(folder: str) -> None:
    """Load ``candidate.py`` and answer the calls that stand on standard input; never returns."""
    report, asked, code = opened(folder)
    module = type(sys)("candidate")
    sys.modules["candidate"] = module
    try:
        exec(compile(code, "candidate.py", "exec"), module.__dict__)
    except BaseException as error:  # noqa: BLE001
        report.end(loaded=described(error))
    report.say(loaded=None)
    game: Any = None
    for number, call in enumerate(asked["calls"]):
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
            text = json.dumps({"raised": type(error).__name__ if call[0] in ("new", "step") else described(error)})
        if len(text) > LONGEST:
            text = json.dumps({"raised": "a very long answer"})
        report.say(number=number, answer=json.loads(text))
    report.end(done=True)


def _state(game: Any, returned: Any) -> dict[str, Any]:
    snake, food = [list(cell) for cell in game.snake], game.food if game.food is None else list(game.food)
    return {"returned": returned, "snake": snake, "food": food, "score": game.score, "over": game.over}
