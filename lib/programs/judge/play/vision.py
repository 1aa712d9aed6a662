"""Finding a snake and its food in pictures, from what changes between them.

The place that becomes covered from one picture to the next is the head; its colours are the snake's. Small things
that do not move and have another colour are food, or, where all is of one colour, small things that never change.
Blind where the snake does not move by steps, where everything is one blinking image, or where the food moves.
"""

from __future__ import annotations

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
    start: tuple[float, float] | None = None
    direction: str | None = None
    cell: float = 0.0
    pitch: float = 0.0  # how far the head goes in one step
    colours: set[int] = field(default_factory=set)
    steps: int = 0
    areas: list[int] = field(default_factory=list)  # places of the snake's colours, picture by picture
    meals: list[Meal] = field(default_factory=list)
    refused: list[tuple[float, float]] = field(default_factory=list)  # passed over and still there
    foods: list[Blob] = field(default_factory=list)
    lost: int = 0
    scene: bool = False  # the last change was of most of the picture
    jumped_home: bool = False
    places: dict[int, set[int]] = field(default_factory=dict)  # by colour
    ground: set[int] = field(default_factory=set)
    _changed: dict[int, int] = field(default_factory=dict)
    _pitches: list[float] = field(default_factory=list)
    _before: list[Blob] = field(default_factory=list)
    _of_food: set[int] = field(default_factory=set)  # colours

    def feed(self, old: Picture, new: Picture) -> None:
        """Read the step from one picture to the next, which differs."""
        changed = new.changed(old)
        ground = self._index(old, new, changed)
        now = len(self.areas)
        self._changed.update(dict.fromkeys(changed, now))
        if len(changed) > 0.3 * len(new.cells):  # another scene: a menu, a game over
            self.lost, self.scene = self.lost + 1, True
            self.areas.append(self._area(ground))
            return
        self.scene = False
        covered = [i for i in changed if new.cells[i] not in ground]
        fresh = [i for i in covered if old.cells[i] in ground or (self.colours and old.cells[i] not in self.colours)]
        head = self._head_of(blobs(fresh, new.width), [i for i in changed if new.cells[i] in ground], new)
        if head is not None:
            self._learn(head, covered, old, new)
        else:
            self.lost += 1
            if self.lost > 3:
                self.head = None
                if self.steps < 4:  # the first guess was wrong: what appeared was no snake
                    self.colours, self.cell, self.pitch, self.steps, self.start = set(), 0.0, 0.0, 0, None
                    self._pitches.clear()
        self.areas.append(self._area(ground))
        self._look_for_food(new, ground)
        self._meals(now)

    def _index(self, old: Picture, new: Picture, changed: list[int]) -> set[int]:
        """Keep where each colour is; the colours of the ground: those that cover much, such as both of a chessboard."""
        if not self.places:
            for place, colour in enumerate(old.cells):
                self.places.setdefault(colour, set()).add(place)
        was = self.ground
        for place in changed:
            self.places[old.cells[place]].discard(place)
            self.places.setdefault(new.cells[place], set()).add(place)
        self.places = {colour: places for colour, places in self.places.items() if places}
        most = sorted(self.places, key=lambda colour: len(self.places[colour]), reverse=True)[:3]
        self.ground = {c for i, c in enumerate(most) if i == 0 or len(self.places[c]) > 0.2 * len(new.cells)}
        return self.ground | was

    def _area(self, ground: set[int]) -> int:
        return sum(len(self.places.get(colour, ())) for colour in self.colours - ground)

    def _head_of(self, parts: list[Blob], left: list[int], new: Picture) -> Blob | None:
        """Which of the newly covered parts is the head."""
        if self.cell:
            parts = [p for p in parts if p.size > 0.4 * self.cell and p.size < 3 * self.cell]
        if not parts:
            return None
        if self.head is None:
            parts = [p for p in parts if p.size <= 0.25 * min(new.width, new.height) + 1]
            if not left or not parts:  # something appeared and nothing moved
                return None
            near = [new.at(i) for i in left]
            if len(parts) > 1:
                return min(parts, key=lambda p: min(abs(p.x - x) + abs(p.y - y) for x, y in near))
            return parts[0]
        best = min(parts, key=lambda p: self._far(p.x, p.y, new))
        reach = max(2.5 * self.cell, 1.6 * self.pitch)
        if self._far(best.x, best.y, new) <= reach:
            return best
        if self.start and abs(best.x - self.start[0]) + abs(best.y - self.start[1]) <= 1.5 * self.cell:
            self.jumped_home = self.jumped_home or self.steps > 3
        return best if len(parts) == 1 and self.lost >= 2 else None

    def _far(self, x: float, y: float, new: Picture) -> float:
        """The distance from the head, across the border too where the snake comes back on the other side."""
        assert self.head is not None
        dx, dy = abs(x - self.head[0]), abs(y - self.head[1])
        if dx < 0.6 * self.cell or dy < 0.6 * self.cell:
            dx, dy = min(dx, abs(new.width - dx)), min(dy, abs(new.height - dy))
        return dx + dy

    def _learn(self, part: Blob, covered: list[int], old: Picture, new: Picture) -> None:
        self.cell = max(self.cell, part.size) if self.steps < 4 else self.cell
        x, y = part.x, part.y
        before, self.lost = self.head, 0
        if before is not None:
            dx, dy = x - before[0], y - before[1]
            if self.pitch == 0 or max(abs(dx), abs(dy)) < 0.5 * max(new.width, new.height):
                self.direction = _along(dx, dy) or self.direction
            step = max(abs(dx), abs(dy))
            if step > 0:
                self._pitches = [*self._pitches[-8:], step]
                self.pitch = median(self._pitches)
                self.steps += 1
        self.head = (x, y)
        self.start = self.start or self.head
        self.colours |= {new.cells[i] for i in part.places} - self._of_food
        close = 2 * max(self.cell, self.pitch, 1)
        for i in covered:  # the place that the head left shows the body's colour
            column, row = new.at(i)
            mine = old.cells[i] in self.colours and new.cells[i] not in self._of_food
            if mine and abs(column - x) + abs(row - y) <= close:
                self.colours.add(new.cells[i])

    def _look_for_food(self, new: Picture, ground: set[int]) -> None:
        other = [i for c, places in self.places.items() if c not in ground and c not in self.colours for i in places]
        found = [b for b in blobs(other, new.width) if self._like_food(b)]
        if not found and self.steps > 14:
            now, length = len(self.areas), self.areas[-1] / max(1.0, self.cell**2)
            same = [i for colour in self.colours - ground for i in self.places.get(colour, ())]
            still = [b for b in blobs(same, new.width) if self._like_food(b)]
            found = [b for b in still if all(now - self._changed.get(i, -99) > 2 * length + 6 for i in b.places)]
            self.foods = found
            return
        self.foods = found
        if self.steps > 3:
            self._of_food |= {new.cells[i] for blob in found for i in blob.places}

    def _like_food(self, blob: Blob) -> bool:
        size = max(self.cell, 1.0)
        return blob.size <= 2.1 * size and len(blob.places) >= max(1.0, 0.12 * size * size)

    def target(self) -> Blob | None:
        """The nearest food that was not passed over in vain."""
        if self.head is None:
            return None
        x, y = self.head
        wanted = [b for b in self.foods if not any(b.near(*place, 0.8 * max(self.cell, 1)) for place in self.refused)]
        return min(wanted, key=lambda b: abs(b.x - x) + abs(b.y - y), default=None)

    def inwards(self, picture: Picture | None) -> str:
        """The turn that leads away from the nearer border: by the other, a snake that starts there is dead at once."""
        x, y = self.head or (0.0, 0.0)
        if self.direction in ("left", "right"):
            return "down" if picture and y < picture.height / 2 else "up"
        return "right" if picture is None or x < picture.width / 2 else "left"

    def _meals(self, now: int) -> None:
        """See whether the head has come over a food, and what became of the last one it came over."""
        reach = 0.75 * max(self.cell, self.pitch, 1)
        pending = self.meals[-1] if self.meals and not self.meals[-1].eaten else None
        if pending is not None and self.head is not None:
            there = [b for b in self.foods if b.near(pending.food.x, pending.food.y, 0.6 * max(self.cell, 1))]
            gone = not pending.food.near(*self.head, 0.95 * max(self.cell, self.pitch))
            length = self.areas[-1] / max(1.0, self.cell * max(self.pitch, 1))
            if there and gone:
                self.refused.append((pending.food.x, pending.food.y))
                self.meals.pop()
            elif not there:
                other = any(
                    not any(k.near(b.x, b.y, 0.6 * max(self.cell, 1)) for k in pending.known) for b in self.foods
                )
                pending.eaten = other or now - pending.at > length + _GONE_FOR
        elif self.head is not None and self._before:
            over = [b for b in self._before if b.near(*self.head, reach)]
            if over:
                self.meals.append(Meal(over[0], now, list(self._before)))
        self._before = list(self.foods) or self._before

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


def _along(dx: float, dy: float) -> str | None:
    if abs(dx) > abs(dy):
        return "right" if dx > 0 else "left"
    if abs(dy) > abs(dx):
        return "down" if dy > 0 else "up"
    return None
