"""The contract Snake: a class without a screen, its rules as code, and the hidden games that test a candidate.

The candidate only answers calls, in the sandbox (``play/calls.py``). What is right is computed here, in the judge's
own process, and never goes in: a candidate that prints a report or changes what it can reach gains nothing.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Cell = tuple[int, int]
STEPS = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}
OPPOSITE = {"up": "down", "down": "up", "left": "right", "right": "left"}


class SnakeGame:
    """The rules that the prompt of ``snake-contract`` states, and no others."""

    def __init__(self, width: int, height: int, food: Sequence[Cell]) -> None:
        x, y = width // 2, height // 2
        self.width, self.height = width, height
        self.snake: list[Cell] = [(x, y), (x - 1, y), (x - 2, y)]
        self.score, self.over, self._direction = 0, False, "right"
        self._coming = list(food)
        self._next_food()

    def _next_food(self) -> None:
        self.food: Cell | None = None
        while self._coming and self.food is None:
            cell = self._coming.pop(0)
            self.food = cell if cell not in self.snake else None

    def step(self, direction: str) -> bool:
        """Move one cell; whether the game goes on."""
        if direction not in STEPS:
            raise ValueError(direction)
        if self.over:
            return False
        if direction != OPPOSITE[self._direction]:
            self._direction = direction
        dx, dy = STEPS[self._direction]
        head = (self.snake[0][0] + dx, self.snake[0][1] + dy)
        eats = head == self.food
        body = self.snake if eats else self.snake[:-1]
        if head in body or not (0 <= head[0] < self.width and 0 <= head[1] < self.height):
            self.over = True
            return False
        self.snake = [head, *body]
        if eats:
            self.score += 1
            self._next_food()
        return True


@dataclass(frozen=True)
class HiddenGame:
    """The check it belongs to, the board, the food to come, the moves."""

    check: str
    width: int
    height: int
    food: tuple[Cell, ...]
    moves: tuple[str, ...]

    def calls(self) -> list[list[Any]]:
        """What the candidate is asked, in order."""
        return [["new", self.width, self.height, self.food], *(["step", move] for move in self.moves)]

    def right(self) -> Iterator[dict[str, Any]]:
        """What it must answer to each."""
        game = SnakeGame(self.width, self.height, self.food)
        yield _state(game, None)
        for move in self.moves:
            try:
                yield _state(game, game.step(move))
            except ValueError:
                yield {"raised": "ValueError"}


def _state(game: SnakeGame, returned: bool | None) -> dict[str, Any]:
    return {"returned": returned, "snake": game.snake, "food": game.food, "score": game.score, "over": game.over}


def games() -> tuple[HiddenGame, ...]:
    """The hidden games: each rule by itself, then walks that mix them. The same each time, everywhere."""
    r, u, le, d = "right", "up", "left", "down"
    alone = (
        HiddenGame("start", 10, 8, ((1, 1),), ()),
        HiddenGame("start", 7, 7, (), ()),
        HiddenGame("moves", 12, 10, ((0, 0),), (r, u, u, le, d, le, le)),
        HiddenGame("eats and grows", 10, 8, ((6, 4), (7, 4), (7, 3), (0, 0)), (r, r, u, u, u)),
        HiddenGame("food runs out", 10, 8, ((6, 4),), (r, r, u)),
        HiddenGame("food skips the snake", 10, 8, ((6, 4), (5, 4), (6, 4), (4, 4), (2, 2)), (r, r, u)),
        HiddenGame("wall", 8, 6, ((0, 0),), (r, r, r, r, r, u)),
        HiddenGame("wall", 8, 6, ((0, 0),), (u, u, u, u, d)),
        HiddenGame("wall", 8, 6, ((0, 0),), (d, d, d, d)),
        HiddenGame("wall", 8, 6, ((0, 0),), (u, le, le, le, le, le, le)),
        HiddenGame("opposite is ignored", 10, 8, ((0, 0),), (le, le, u, d, d, le, r)),
        HiddenGame("itself", 10, 8, ((6, 4), (7, 4), (8, 4), (0, 0)), (r, r, r, u, le, d, d, r)),
        HiddenGame("the tail moves away", 10, 8, ((6, 4), (0, 0)), (r, u, le, d, r, u, le)),
        HiddenGame("other words", 10, 8, ((0, 0),), (r, "north", "", "UP", u)),
        HiddenGame("other words", 6, 6, ((0, 0),), (r, r, r, r, "north")),
    )
    return alone + tuple(map(_walk, range(12)))


def _walk(seed: int) -> HiddenGame:
    """Towards the food, with turns by chance, so that it eats and often ends."""
    chance = random.Random(seed)
    width, height = chance.randint(6, 14), chance.randint(5, 12)
    food = tuple((chance.randrange(width), chance.randrange(height)) for _ in range(40))
    game, moves = SnakeGame(width, height, food), list[str]()
    for _ in range(80):
        move = chance.choice(list(STEPS))
        if game.food is not None and chance.random() < 0.85:
            (x, y), (fx, fy) = game.snake[0], game.food
            move = ("right" if fx > x else "left") if fx != x else ("down" if fy > y else "up")
        moves.append(move)
        game.step(move)
    return HiddenGame("walks", width, height, food, tuple(moves))


def judged(answers: Sequence[Any]) -> tuple[dict[str, bool], str]:
    """The checks, and the first thing that is wrong. ``answers``: what the candidate gave to all calls, in order."""
    checks: dict[str, bool] = {}
    said, wrong = iter(answers), ""
    for game in games():
        for call, right in zip(game.calls(), game.right(), strict=True):
            got = next(said, None)
            same = _text(got) == _text(right)
            checks[game.check] = checks.get(game.check, True) and same
            if not same and not wrong:
                wrong = f"{game.check}: after {call[0]}({', '.join(map(str, call[1:3]))}) {_difference(got, right)}"
    return checks, wrong


def _text(value: Any) -> str:
    """As JSON: equal texts are equal in value and in kind, and 1 is not true."""
    return json.dumps(value, sort_keys=True)


def _difference(got: Any, right: dict[str, Any]) -> str:
    if not isinstance(got, dict):
        return "there is no answer"
    if "raised" in got:
        return f"it raises {str(got['raised'])[:200]}"
    different = [name for name in right if _text(got.get(name)) != _text(right[name])]
    return f"{', '.join(different)} differ" if different else "something is too much"
