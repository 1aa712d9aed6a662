"""Passes on calls to a program and what it answers. It knows no right answer, and there is none to find here."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .launch import described, opened

LONGEST = 20_000  # characters of one answer


def main() -> None:
    """Load ``candidate.py`` and answer the calls that stand on standard input; never returns."""
    report, asked, code = opened()
    module = type(sys)("candidate")
    sys.modules["candidate"] = module
    try:
        exec(compile(code, "candidate.py", "exec"), module.__dict__)
    except BaseException as error:  # noqa: BLE001
        report.end(loaded=described(error))
    report.say(loaded=None)
    for number, answer in enumerate(answers(module.__dict__, asked["calls"])):
        report.say(number=number, answer=answer)
    report.end(done=True)


def answers(names: Mapping[str, Any], calls: Sequence[Sequence[Any]]) -> Iterator[Any]:
    """What these names answer: ``new`` makes a SnakeGame, ``step`` moves it, any other is a function's own name."""
    game: Any = None
    for name, *args in calls:
        try:
            if name in ("new", "step"):
                game = names["SnakeGame"](*args[:2], [tuple(cell) for cell in args[2]]) if name == "new" else game
                answer = {"returned": None if name == "new" else game.step(*args), "score": game.score}
                food = None if game.food is None else list(game.food)
                answer |= {"snake": [list(cell) for cell in game.snake], "food": food, "over": game.over}
            else:
                answer = {"value": names[name](*args)}
            text = json.dumps(answer)
        except BaseException as error:  # noqa: BLE001
            text = json.dumps({"raised": type(error).__name__ if name in ("new", "step") else described(error)})
        yield json.loads(text) if len(text) <= LONGEST else {"raised": "a very long answer"}
