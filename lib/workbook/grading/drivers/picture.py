"""A picture of the game as a small grid of colours, whatever drew it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Picture:
    """``cells``: one number for the colour of each place, row by row. ``unit``: pixels from one place to the next."""

    width: int
    height: int
    cells: Sequence[int]
    unit: float = 1.0

    @cached_property
    def ground(self) -> frozenset[int]:
        """The colours that cover much of the picture: the background, or the two of a chessboard."""
        most = Counter(self.cells).most_common(3)
        return frozenset(colour for i, (colour, n) in enumerate(most) if i == 0 or n > 0.2 * len(self.cells))

    def at(self, place: int) -> tuple[int, int]:
        """The column and row of a place."""
        return place % self.width, place // self.width


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
