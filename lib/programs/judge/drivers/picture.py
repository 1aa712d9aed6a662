"""A picture of the game as a small grid of colours, whatever drew it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Picture:
    """``raw``: four bytes for the colour of each place, row by row."""

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
            here, there = (p.raw[row * length : (row + 1) * length] for p in (self, old))
            if here != there:
                pairs = zip(memoryview(here).cast("I"), memoryview(there).cast("I"), strict=True)
                places += [row * self.width + i for i, (a, b) in enumerate(pairs) if a != b]
        return places


@dataclass(frozen=True)
class Blob:
    """Places that touch each other."""

    places: frozenset[int]
    x: float
    y: float
    wide: int
    high: int


def blobs(places: Iterable[int], width: int) -> list[Blob]:
    """The connected parts of a set of places (neighbours share a side)."""
    left, found = set(places), []
    while left:
        first = left.pop()
        part, front = {first}, [first]
        while front:
            place = front.pop()
            column = place % width
            near = [place - width, place + width]
            near += [place - 1] if column else []
            near += [place + 1] if column < width - 1 else []
            for other in near:
                if other in left:
                    left.remove(other)
                    part.add(other)
                    front.append(other)
        columns, rows = [p % width for p in part], [p // width for p in part]
        found.append(
            Blob(
                frozenset(part), sum(columns) / len(part), sum(rows) / len(part),
                max(columns) - min(columns) + 1, max(rows) - min(rows) + 1,
            )
        )  # fmt: skip
    return found
