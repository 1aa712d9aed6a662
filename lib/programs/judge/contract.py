"""The contract Snake: a class without a screen, its rules as code, and the hidden games that test a candidate.

The candidate only answers calls, in the sandbox (``play/calls.py``). What is right is computed here, in the judge's
own process, and never goes in: a candidate that prints a report or changes what it can reach gains nothing.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

from programs.judge.play.calls import answers
from programs.judge.play.vision import DIRECTIONS, OPPOSITE

Cell = tuple[int, int]


class SnakeGame:
    """The rules that the prompt of ``snake-contract`` states, and no others."""

    def __init__(self, width: int, height: int, food: Sequence[Cell]) -> None:
        x, y = width // 2, height // 2
        self.width, self.height = width, height
        self.snake: list[Cell] = [(x, y), (x - 1, y), (x - 2, y)]
        self.score, self.over, self._direction = 0, False, "right"
        self._coming = iter(food)
        self._next_food()

    def _next_food(self) -> None:
        self.food = next((cell for cell in self._coming if cell not in self.snake), None)

    def step(self, direction: str) -> bool:
        """Move one cell; whether the game goes on."""
        if direction not in DIRECTIONS:
            raise ValueError(direction)
        if self.over:
            return False
        if direction != OPPOSITE[self._direction]:
            self._direction = direction
        dx, dy = DIRECTIONS[self._direction]
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


Calls = list[list[Any]]


def _calls(width: int, height: int, food: Sequence[Cell], moves: Sequence[str]) -> Calls:
    return [["new", width, height, food], *(["step", move] for move in moves)]


def games() -> list[tuple[str, Calls]]:
    """The hidden games, each with the check it belongs to: each rule by itself, then walks that mix them."""
    r, u, le, d = "right", "up", "left", "down"
    alone: list[tuple[str, int, int, list[Cell], list[str]]] = [
        ("start", 10, 8, [(1, 1)], []),
        ("start", 7, 7, [], []),
        ("moves", 12, 10, [(0, 0)], [r, u, u, le, d, le, le]),
        ("eats and grows", 10, 8, [(6, 4), (7, 4), (7, 3), (0, 0)], [r, r, u, u, u]),
        ("food runs out", 10, 8, [(6, 4)], [r, r, u]),
        ("food skips the snake", 10, 8, [(6, 4), (5, 4), (6, 4), (4, 4), (2, 2)], [r, r, u]),
        ("wall", 8, 6, [(0, 0)], [r, r, r, r, r, u]),
        ("wall", 8, 6, [(0, 0)], [u, u, u, u, d]),
        ("wall", 8, 6, [(0, 0)], [d, d, d, d]),
        ("wall", 8, 6, [(0, 0)], [u, le, le, le, le, le, le]),
        ("opposite is ignored", 10, 8, [(0, 0)], [le, le, u, d, d, le, r]),
        ("itself", 10, 8, [(6, 4), (7, 4), (8, 4), (0, 0)], [r, r, r, u, le, d, d, r]),
        ("the tail moves away", 10, 8, [(6, 4), (0, 0)], [r, u, le, d, r, u, le]),
        ("other words", 10, 8, [(0, 0)], [r, "north", "", "UP", u]),
        ("other words", 6, 6, [(0, 0)], [r, r, r, r, "north"]),
    ]
    walks = [("walks", _walk(seed)) for seed in range(12)]
    return [(check, _calls(w, h, food, moves)) for check, w, h, food, moves in alone] + walks


def _walk(seed: int) -> Calls:
    """Towards the food, with turns by chance, so that it eats and often ends."""
    chance = random.Random(seed)
    width, height = chance.randint(6, 14), chance.randint(5, 12)
    food = [(chance.randrange(width), chance.randrange(height)) for _ in range(40)]
    game, moves = SnakeGame(width, height, food), list[str]()
    for _ in range(80):
        move = chance.choice(list(DIRECTIONS))
        if game.food is not None and chance.random() < 0.85:
            (x, y), (fx, fy) = game.snake[0], game.food
            move = ("right" if fx > x else "left") if fx != x else ("down" if fy > y else "up")
        moves.append(move)
        game.step(move)
    return _calls(width, height, food, moves)


def judged(given: Sequence[Any]) -> tuple[dict[str, bool], str]:
    """The checks, and the first thing that is wrong. ``given``: what the candidate answered to all calls, in order."""
    checks: dict[str, bool] = {}
    said, wrong = iter(given), ""
    for check, calls in games():
        for (name, *args), right in zip(calls, answers({"SnakeGame": SnakeGame}, calls), strict=True):
            different = _difference(next(said, None), right)
            checks[check] = checks.get(check, True) and not different
            if different and not wrong:
                wrong = f"{check}: after {name}({', '.join(map(str, args[:2]))}) {different}"
    return checks, wrong


def _difference(got: Any, right: dict[str, Any]) -> str:
    """Compared as JSON: equal texts are equal in value and in kind, and 1 is not true."""
    if not isinstance(got, dict):
        return "there is no answer"
    if "raised" in got and "raised" not in right:
        return f"it raises {str(got['raised'])[:200]}"
    different = [name for name in {**right, **got} if json.dumps(got.get(name)) != json.dumps(right.get(name))]
    return f"{', '.join(different)} differ" if different else ""
