"""Finding a snake and its food in pictures, from what changes between them.

The place that becomes covered from one picture to the next is the head; its colours are the snake's. Small things
that do not move and have another colour are food, or, where all is of one colour, small things that never change.
Blind where the snake does not move by steps, where everything is one blinking image, or where the food moves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median

DIRECTIONS = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}
OPPOSITE = {"up": "down", "down": "up", "left": "right", "right": "left"}
_GONE_FOR = 4  # pictures without the food, once the body has passed, until it counts as eaten


@dataclass(frozen=True)
class Picture:
    """The game as a small grid of colours, whatever drew it. ``raw``: four bytes for each place, row by row."""

    width: int
    height: int
    raw: bytes

    @cached_property
    def cells(self) -> memoryview:
        """One number for each place."""
        return memoryview(self.raw).cast("I")

    def at(self, place: int) -> tuple[int, int]:
        """The column and row of a place."""
        return place % self.width, place // self.width

    def changed(self, old: Picture) -> list[int]:
        """The places that differ in ``old``, of the same size. Most rows do not: those are compared as a whole."""
        places, length = [], 4 * self.width
        for row in range(self.height):
            start = row * self.width
            if self.raw[4 * start : 4 * start + length] != old.raw[4 * start : 4 * start + length]:
                places += [i for i in range(start, start + self.width) if self.cells[i] != old.cells[i]]
        return places


@dataclass(frozen=True)
class Blob:
    """Places that touch each other: their middle, and the longer side."""

    places: frozenset[int]
    x: float
    y: float
    size: int

    def near(self, x: float, y: float, reach: float) -> bool:
        """Whether its middle is so near to a place."""
        return max(abs(self.x - x), abs(self.y - y)) <= reach


def blobs(places: Iterable[int], width: int) -> list[Blob]:
    """The connected parts of a set of places (neighbours share a side)."""
    left, found = set(places), []
    while left:
        front = [left.pop()]
        for place in front:
            column = place % width
            near = {place - width, place + width}
            near |= ({place - 1} if column else set()) | ({place + 1} if column < width - 1 else set())
            front += near & left
            left -= near
        columns, rows = [p % width for p in front], [p // width for p in front]
        size = max(max(columns) - min(columns), max(rows) - min(rows)) + 1
        found.append(Blob(frozenset(front), sum(columns) / len(front), sum(rows) / len(front), size))
    return found


@dataclass
class Meal:
    """The head has come over a food: whether it was eaten shows in later pictures."""

    food: Blob
    at: int  # number of the picture
    known: list[Blob]  # the other foods there were
    eaten: bool = False


@dataclass
class SnakeReader:
    """What was understood of the pictures so far. Lengths are in places of the picture."""

    head: tuple[float, float] | None = None
    direction: str | None = None
    cell: float = 0.0
    pitch: float = 0.0  # how far the head goes in one step
    colours: set[int] = field(default_factory=set)
    steps: int = 0
    areas: list[int] = field(default_factory=list)  # places of the snake's colours, picture by picture
    meals: list[Meal] = field(default_factory=list)
    refused: list[tuple[float, float]] = field(default_factory=list)  # passed over and still there
    foods: list[Blob] = field(default_factory=list)
    scene: bool = False  # the last change was of most of the picture: a menu, a game over
    ground: set[int] = field(default_factory=set)
    _lost: int = 0
    _places: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))  # by colour
    _changed: dict[int, int] = field(default_factory=dict)  # in which picture a place last did
    _pitches: list[float] = field(default_factory=list)
    _before: list[Blob] = field(default_factory=list)
    _of_food: set[int] = field(default_factory=set)  # colours

    def feed(self, old: Picture, new: Picture) -> None:
        """Read the step from one picture to the next, which differs."""
        changed = new.changed(old)
        ground = self._index(old, new, changed)
        self._changed.update(dict.fromkeys(changed, len(self.areas)))
        self.scene = len(changed) > 0.3 * len(new.cells)
        if not self.scene:
            covered = [i for i in changed if new.cells[i] not in ground]
            known = self.colours or self._places
            fresh = [i for i in covered if old.cells[i] in ground or old.cells[i] not in known]
            head = self._head_of(blobs(fresh, new.width), [i for i in changed if new.cells[i] in ground], new)
            if head is not None:
                self._learn(head, covered, old, new)
            self._lost = self._lost + 1 if head is None else 0
            if self._lost > 3:
                self.head = None
                if self.steps < 4:  # the first guess was wrong: what appeared was no snake
                    self.colours, self.cell, self.pitch, self.steps, self._pitches = set(), 0.0, 0.0, 0, []
        else:
            self._lost += 1
        self.areas.append(sum(len(self._places[colour]) for colour in self.colours - ground))
        if not self.scene:
            self._look_for_food(new, ground)
            self._meals(len(self.areas) - 1)

    def _index(self, old: Picture, new: Picture, changed: list[int]) -> set[int]:
        """Keep where each colour is; the colours of the ground: those that cover much, such as both of a chessboard."""
        for place in changed if self._places else range(len(old.cells)):
            self._places[old.cells[place]].discard(place)
            self._places[new.cells[place]].add(place)
        was = self.ground
        most = sorted(self._places, key=lambda colour: len(self._places[colour]), reverse=True)[:3]
        self.ground = {c for i, c in enumerate(most) if i == 0 or len(self._places[c]) > 0.2 * len(new.cells)}
        return self.ground | was

    def _head_of(self, fresh: list[Blob], left: list[int], new: Picture) -> Blob | None:
        """Which of the newly covered parts is the head."""
        parts = [p for p in fresh if not self.cell or 0.4 * self.cell < p.size < 3 * self.cell]
        if self.head is None:
            parts = [p for p in parts if p.size <= 0.25 * min(new.width, new.height) + 1]
            if not left or not parts:  # something appeared and nothing moved
                return None
            near = [new.at(i) for i in left]
            return min(parts, key=lambda p: min(abs(p.x - x) + abs(p.y - y) for x, y in near))
        best = min(parts, key=lambda p: self._far(p, new), default=None)
        if best and self._far(best, new) <= max(2.5 * self.cell, 1.6 * self.pitch):
            return best
        return best if len(parts) == 1 and self._lost >= 2 else None

    def _far(self, part: Blob, new: Picture) -> float:
        """The distance from the head, across the border too where the snake comes back on the other side."""
        assert self.head is not None
        dx, dy = abs(part.x - self.head[0]), abs(part.y - self.head[1])
        if dx < 0.6 * self.cell or dy < 0.6 * self.cell:
            dx, dy = min(dx, abs(new.width - dx)), min(dy, abs(new.height - dy))
        return dx + dy

    def _learn(self, part: Blob, covered: list[int], old: Picture, new: Picture) -> None:
        self.cell = max(self.cell, part.size) if self.steps < 4 else self.cell
        if self.head is not None:
            dx, dy = part.x - self.head[0], part.y - self.head[1]
            step = max(abs(dx), abs(dy))
            if abs(dx) != abs(dy) and (self.pitch == 0 or step < 0.5 * max(new.width, new.height)):
                self.direction = next(name for name, (x, y) in DIRECTIONS.items() if dx * x + dy * y == step)
            if step > 0:
                self._pitches = [*self._pitches[-8:], step]
                self.pitch = median(self._pitches)
                self.steps += 1
        self.head = (part.x, part.y)
        self.colours |= {new.cells[i] for i in part.places} - self._of_food
        close = 2 * max(self.cell, self.pitch, 1)
        for i in covered:  # the place that the head left shows the body's colour
            column, row = new.at(i)
            mine = old.cells[i] in self.colours and new.cells[i] not in self._of_food
            if mine and abs(column - part.x) + abs(row - part.y) <= close:
                self.colours.add(new.cells[i])

    def _look_for_food(self, new: Picture, ground: set[int]) -> None:
        """Small things of other colours; without any, small things of the snake's colour that have not changed long."""
        others = [places for colour, places in self._places.items() if colour not in ground | self.colours]
        self.foods = self._small(others, new)
        if self.foods and self.steps > 3:
            self._of_food |= {new.cells[i] for blob in self.foods for i in blob.places}
        elif self.steps > 14:
            since = len(self.areas) - 2 * self.areas[-1] / max(1.0, self.cell**2) - 6
            same = self._small([self._places[colour] for colour in self.colours - ground], new)
            self.foods = [b for b in same if all(self._changed.get(i, -99) < since for i in b.places)]

    def _small(self, places: list[set[int]], new: Picture) -> list[Blob]:
        size = max(self.cell, 1.0)
        parts = blobs([i for of_colour in places for i in of_colour], new.width)
        return [b for b in parts if b.size <= 2.1 * size and len(b.places) >= max(1.0, 0.12 * size * size)]

    def target(self) -> Blob | None:
        """The nearest food that was not passed over in vain."""
        x, y = self.head or (0.0, 0.0)
        wanted = [b for b in self.foods if not any(b.near(*place, 0.8 * max(self.cell, 1)) for place in self.refused)]
        return min(wanted, key=lambda b: abs(b.x - x) + abs(b.y - y), default=None) if self.head else None

    def inwards(self, picture: Picture | None) -> str:
        """The turn that leads away from the nearer border: by the other, a snake that starts there is dead at once."""
        x, y = self.head or (0.0, 0.0)
        if self.direction in ("left", "right"):
            return "down" if picture and y < picture.height / 2 else "up"
        return "right" if picture is None or x < picture.width / 2 else "left"

    def _meals(self, now: int) -> None:
        """See whether the head has come over a food, and what became of the last one it came over."""
        pending = self.meals[-1] if self.meals and not self.meals[-1].eaten else None
        if pending is not None and self.head is not None:
            food, close = pending.food, 0.6 * max(self.cell, 1)
            there = any(b.near(food.x, food.y, close) for b in self.foods)
            length = self.areas[-1] / max(1.0, self.cell * max(self.pitch, 1))
            if not there:
                other = any(not any(k.near(b.x, b.y, close) for k in pending.known) for b in self.foods)
                pending.eaten = other or now - pending.at > length + _GONE_FOR
            elif not food.near(*self.head, 0.95 * max(self.cell, self.pitch)):
                self.refused.append((food.x, food.y))
                self.meals.pop()
        elif self.head is not None:
            over = [b for b in self._before if b.near(*self.head, 0.75 * max(self.cell, self.pitch, 1))]
            self.meals += [Meal(over[0], now, self._before)] if over else []
        self._before = self.foods or self._before

    @property
    def visible(self) -> bool:
        """Whether something of the snake is in the picture, or all of the picture is another."""
        return self.scene or not self.areas or self.areas[-1] > 0

    @property
    def eaten(self) -> int:
        """Foods that went away under the head."""
        return sum(meal.eaten for meal in self.meals)

    def grown(self) -> int:
        """After how many of them the snake was larger than before."""
        window = int(max(6, 2 * self.cell / max(self.pitch, 0.25)))
        count = 0
        for meal in self.meals:
            before, after = self.areas[max(0, meal.at - 3) : meal.at], self.areas[meal.at + 2 : meal.at + 2 + window]
            if meal.eaten and before and after:
                count += median(after) >= median(before) + max(1.0, 0.2 * self.cell**2)
        return count
