"""Playing: which keys to press when, and what was seen of it."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter  # the real one: the program's is replaced later
from typing import Any

from .vision import DIRECTIONS, OPPOSITE, Picture, SnakeReader

FRAMES = 300
LONGEST = 3000  # frames of one game
SECONDS = 15.0  # of real time; the judge's own limit lies behind it
SCHEMES = [dict(zip(DIRECTIONS, keys, strict=True)) for keys in (list(DIRECTIONS), "wsad", "zsqd")]
CLICK = "click"  # of the mouse: on the button that begins the game, where there is one
ROUND = ("up", "right", "down", "left")
# At which frame a key is tried that may begin the game, and a direction of which scheme.
_STARTS = {20: "return", 30: "space", 37: CLICK, 40: "s", 50: "p", 60: "1", 70: "y"}
_TRIES = {5: (0, "right"), 12: (0, "up"), 24: (0, "right"), 34: (0, "down"), 44: (1, "right"), 54: (1, "up"),
          64: (2, "right")}  # fmt: skip
_OVER = re.compile(
    r"game\s*-?\s*over|you\s+(lost|lose|died|are dead|crashed|failed)|perdu|partie\s+termin|fin\s+(de|du)\s|jeu\s+termin"
    r"|play\s+again|try\s+again|rejouer|recommencer|restart|final\s+score|score\s+final|collision|crash",
    re.IGNORECASE,
)


@dataclass
class Player:
    """Plays one game. ``still``: presses no direction, for comparison. ``finish`` ends the process with a report."""

    still: bool
    finish: Callable[[str, str | None], None]
    n: int = 0
    drawn: int = 0
    changes: int = 0
    prints: list[int] = field(default_factory=list)  # of the first frames, to compare two games
    reader: SnakeReader = field(default_factory=SnakeReader)
    over: set[str] = field(default_factory=set)
    phase: str = "start"
    scheme: int = 0
    pressed: bool = False
    began: float = field(default_factory=perf_counter)
    _picture: Picture | None = None
    _print: int = 0
    _since: int = 0  # frames since the picture changed
    _gap: int = 1  # the longest such pause while the game went on
    _phase_at: int = 0
    _sent: str | None = None
    _ignored: int = 0
    _obeyed: bool = False  # the snake went once where a key of this scheme sent it
    _survived: bool = False
    _early: set[str] = field(default_factory=set)

    def frame(self, picture: Picture | None) -> list[str]:
        """A frame was shown (None: the program waits, nothing new); the keys to press now."""
        if perf_counter() - self.began > SECONDS:
            self.finish("slow", None)
        self.n += 1
        self.drawn += picture is not None
        changed = picture is not None and self._take(picture)
        if len(self.prints) < FRAMES:
            self.prints.append(self._print)
        if self.n >= (FRAMES if self.still else LONGEST):
            self.finish("done", None)
        if self.over and not self.still:
            self.finish("over", None)
        keys = self._start_keys() if self.phase == "start" else self._play(changed)
        self.pressed = self.pressed or bool(keys)
        return keys

    def seen(self) -> dict[str, Any]:
        """What the game showed, for the report."""
        reader = self.reader
        return {
            "frames": self.n, "drawn": self.drawn, "changes": self.changes, "prints": self.prints,
            "over": sorted(self.over), "steps": reader.steps, "eaten": reader.eaten, "grown": reader.grown(),
            "passed": len(reader.refused), "read": reader.steps > 3 and bool(reader.foods or reader.meals),
        }  # fmt: skip

    def text(self, words: str) -> None:
        """The program shows these words; those that stand there from the beginning tell no end."""
        if self.drawn < 3 or not self.changes:
            self._early.add(words)
        if self.changes > 1 and words not in self._early and _OVER.search(words[:200]):
            self.over.add("text")

    def _take(self, picture: Picture) -> bool:
        """Note a picture; whether it differs from the one before."""
        old, before = self._picture, self._print
        self._since += 1
        self._picture, self._print = picture, zlib.crc32(picture.raw)
        if old is None or self._print == before:
            return False
        if (old.width, old.height) != (picture.width, picture.height):
            self.reader = SnakeReader()
            return False
        if self.reader.steps > 1 and self.phase != "frozen":
            self._gap = max(self._gap, min(self._since, 200))
        self._since, self.changes = 0, self.changes + 1
        if not self.still:
            self.reader.feed(old, picture)
        return True

    def _start_keys(self) -> list[str]:
        keys = [_STARTS[self.n]] if self.n in _STARTS and not self.changes else []
        if self.still:
            return keys
        moves = self.reader.steps >= 2
        if moves and self.pressed:
            self._enter("eat")
        if self.n in _TRIES and not moves:
            self.scheme, self._sent = _TRIES[self.n]
            keys.append(SCHEMES[self.scheme][self._sent])
        elif self.n > 70 and self.n % 20 == 0:
            keys.append(SCHEMES[self.n // 80 % 2][ROUND[self.n // 20 % 4]])
        elif moves and not self.pressed:
            keys.append(SCHEMES[0][self.reader.inwards(self._picture)])
        return keys

    def _enter(self, phase: str) -> None:
        self.phase, self._phase_at = phase, self.n

    def _play(self, changed: bool) -> list[str]:
        reader, lasted = self.reader, self.n - self._phase_at
        if self._shrunk():
            self.over.add("reset")
            self.finish("over", None)
        if self.phase == "frozen":
            return self._thaw(changed)
        if self._since > max(25, 4 * self._gap):
            self._enter("frozen")
        elif not changed:
            return [SCHEMES[self.scheme][self._sent]] if self._sent and self._since % 12 == 6 else []
        elif self.phase == "eat":
            enough, patience = (5, 1800) if self._survived else (2, 1200)
            if (reader.eaten >= enough and self.n >= FRAMES) or lasted > patience:
                self._enter("circle" if self._survived else "crash")
            return self._press(self._towards_food())
        elif self.phase == "circle":
            return self._circle(lasted)
        elif self._picture is not None:  # straight on, into a wall, if there is one
            across = max(self._picture.width, self._picture.height) / max(reader.pitch, 0.5)
            if lasted > self._gap * (20 + 2.2 * across):
                self._survives()
        return []

    def _survives(self) -> None:
        self._survived = True
        self._enter("eat" if self.reader.eaten else "circle")

    def _shrunk(self) -> bool:
        """The snake had grown and is as small again as it was at first: a new game began by itself."""
        areas, size = self.reader.areas, max(1.0, 0.6 * self.reader.cell**2)
        if self.reader.eaten < 1 or len(areas) < 12:
            return False
        first, last = areas[max(0, self.reader.meals[0].at - 2)], areas[-5:]
        return max(areas[-14:-5]) >= first + size and all(0.5 * first <= area <= first + 0.3 * size for area in last)

    def _press(self, direction: str | None) -> list[str]:
        """The key for a direction, if the snake does not go there; another set of keys if these do nothing."""
        reader = self.reader
        if direction is None:
            return []
        if direction == reader.direction:
            self._obeyed = self._obeyed or (self._ignored > 0 and self._sent == direction)
            self._ignored, self._sent = 0, direction
            return []
        self._ignored = self._ignored + 1 if self._sent == direction else 1
        patience = 12 if self._obeyed else max(4, 1.5 * reader.cell / max(reader.pitch, 0.25))
        if self._ignored > 1 + patience:
            self._ignored, self._obeyed, self.scheme = 0, False, (self.scheme + 1) % len(SCHEMES)
        self._sent = direction
        return [SCHEMES[self.scheme][direction]]

    def _towards_food(self) -> str | None:
        reader, picture = self.reader, self._picture
        food = reader.target()
        if reader.head is None or picture is None:
            return ROUND[self.n // 3 % 4] if self.n % 3 == 0 else None
        (x, y), step = reader.head, max(reader.pitch, 0.5)
        goal = (food.x, food.y) if food else (picture.width / 2, picture.height / 2)

        def cost(direction: str) -> tuple[bool, float, bool]:
            dx, dy = DIRECTIONS[direction]
            reach = max(step, reader.cell)
            column, row = round(x + dx * reach), round(y + dy * reach)
            blocked = not (0 <= column < picture.width and 0 <= row < picture.height)
            if not blocked:
                place = row * picture.width + column
                blocked = picture.cells[place] not in reader.ground and not (food and place in food.places)
            far = [
                max(0.0, abs(g - at) - 0.5 * step) for g, at in zip(goal, (x + dx * step, y + dy * step), strict=True)
            ]
            return blocked, sum(far), direction != reader.direction

        back = OPPOSITE.get(reader.direction or "")
        return min((direction for direction in DIRECTIONS if direction != back), key=cost)

    def _circle(self, lasted: int) -> list[str]:
        """Round in the smallest circle: into itself, if that ends the game."""
        reader = self.reader
        every = max(1, round(reader.cell / max(reader.pitch, 0.25))) if reader.cell else 1
        if lasted > 60 * every * self._gap:
            self.finish("no end", None)
        if self.changes % every:
            return []
        self._sent = ROUND[self.changes // every % 4]
        return [SCHEMES[self.scheme][self._sent]]

    def _thaw(self, changed: bool) -> list[str]:
        """Nothing moves any more. Out of the picture, the snake would come back; at a game over nothing would."""
        waited, wait = self.n - self._phase_at, max(40, 6 * self._gap)
        going = self.reader.direction or "right"
        if changed and waited > 1:
            self._survives()
        elif waited == 2:
            return [SCHEMES[self.scheme]["up" if going in ("left", "right") else "left"]]
        elif waited == 4:
            return [SCHEMES[self.scheme][OPPOSITE[going]]]
        elif waited > 3 * wait + 60:
            if not self.reader.visible:  # it went out of the picture and nobody stopped it
                self.finish("no end", None)
            self.over.add("frozen")
            self.finish("over", None)
        elif waited > 2 * wait and waited % 5 == 0:
            scheme = self.scheme if self._obeyed else waited // 20 % 2  # perhaps no key was ever one of the game's
            return [SCHEMES[scheme][("up", "left", "down", "right")[waited // 5 % 4]]]
        return []
