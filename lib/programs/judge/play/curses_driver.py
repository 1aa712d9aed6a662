"""curses without a terminal: a screen of 24 by 80 in memory, which shows what the program puts on it.

It refuses what the real one refuses: a sign outside the window is ``curses.error``, and so is one that would move
the cursor behind the last place. Constants are the real module's; what it has and this one has not, does nothing.
"""

from __future__ import annotations

import curses as real
import sys
import zlib
from array import array
from collections import deque
from typing import Any

from .launch import Clock
from .player import CLICK, Player
from .vision import Picture

ROWS, COLUMNS, BLANK, BLOCK = 24, 80, 32, 0x2588
POLLS = 40  # readings of the keyboard without anything shown anew that count as one frame
_KEYS = {"up": real.KEY_UP, "down": real.KEY_DOWN, "left": real.KEY_LEFT, "right": real.KEY_RIGHT, "return": 10,
         "space": 32}  # fmt: skip
_NAMES = {number: name for name, number in vars(real).items() if name.startswith("KEY_")}


class Driver:
    """Puts a module ``curses`` of ours in place of the real one."""

    def __init__(self, player: Player, clock: Clock) -> None:
        self.player, self.clock = player, clock
        self.keys: deque[int] = deque()
        self.screen = Window(self, ROWS, COLUMNS)
        self.dirty, self.idle = False, 0
        self.backgrounds: dict[int, int] = {}  # of pairs of colours

    def install(self) -> None:
        """Make ``import curses`` give ours."""
        module: Any = type(sys)("curses")
        for name, value in vars(real).items():
            if not name.startswith("_"):
                setattr(module, name, value if isinstance(value, int) else lambda *_, **__: None)
        module.__getattr__ = _lines
        module.error, module.window = real.error, Window
        module.COLORS, module.COLOR_PAIRS, module.LINES, module.COLS = 256, 256, ROWS, COLUMNS
        module.initscr, module.doupdate = lambda: self.screen, self.screen.refresh
        module.newwin, module.newpad = self._newwin, lambda rows, columns: Window(self, min(rows, 24), min(columns, 80))
        module.wrapper = lambda f, *args, **kwargs: f(self.screen, *args, **kwargs)
        module.napms = lambda ms: self.sleep(ms / 1000)
        module.halfdelay = lambda tenths: self.screen.timeout(100 * tenths)
        module.has_colors = module.can_change_color = lambda: True
        module.init_pair = lambda pair, _front, back: self.backgrounds.update({pair: back})
        module.color_pair = lambda number: number << 8
        module.pair_number = lambda attribute: attribute >> 8 & 255
        module.keyname = lambda key: chr(key).encode() if 0 <= key < 256 else b"KEY"
        textpad: Any = type(sys)("curses.textpad")
        textpad.rectangle = _rectangle
        module.textpad = textpad
        sys.modules["curses"], sys.modules["curses.textpad"] = module, textpad

    def _newwin(self, rows: int, columns: int, y: int = 0, x: int = 0) -> Window:
        if not (0 <= y < ROWS and 0 <= x < COLUMNS) or y + rows > ROWS or x + columns > COLUMNS:
            raise real.error("curses function returned NULL")
        return Window(self, rows or ROWS - y, columns or COLUMNS - x, y, x)

    def turn(self, waits: bool) -> int:
        """The program reads a key: a frame is over, if something was shown; -1 where there is no key."""
        if self.dirty:
            self.dirty, self.idle = False, 0
            self._press(self.player.frame(self._picture()))
        else:
            self.idle += 1
            if waits or self.idle % POLLS == 0:
                self._press(self.player.frame(None))
        return self.keys.popleft() if self.keys else -1

    def _press(self, names: list[str]) -> None:
        self.keys.extend(_KEYS.get(name) or ord(name) for name in names if name != CLICK)

    def _picture(self) -> Picture:
        return Picture(COLUMNS, ROWS, array("I", [sign for row in self.screen.cells for sign in row]).tobytes())

    def words(self, text: str) -> bool:
        """The program writes a text; whether it is words or figures, which are noted and not drawn."""
        letters = [sign for sign in text if sign.isalnum()]
        if len(set(letters)) > 1 and len(letters) > 2:
            self.player.text(text)
            return True
        return text.strip().isdigit()

    def sleep(self, seconds: float) -> None:
        """What ``time.sleep`` does: a program that never reads a key shows its frames so."""
        self.clock.pass_(seconds)
        if self.dirty:
            key = self.turn(waits=False)
            if key >= 0:
                self.keys.appendleft(key)


class Window:
    """A window, or a part of one: places are rows of numbers (a sign, and its colour above)."""

    def __init__(self, driver: Driver, rows: int, columns: int, y: int = 0, x: int = 0) -> None:
        self.driver, self.rows, self.columns, self.y, self.x = driver, rows, columns, y, x
        self.attribute, self.wait = 0, -1.0
        self.clear()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(real.window, name):
            raise AttributeError(f"'_curses.window' object has no attribute '{name}'")
        return lambda *_: None

    def clear(self) -> None:
        self.cells = [[BLANK] * self.columns for _ in range(self.rows)]
        self.cursor = (0, 0)

    def move(self, y: int, x: int) -> None:
        if not (0 <= y < self.rows and 0 <= x < self.columns):
            raise real.error("wmove() returned ERR")
        self.cursor = (y, x)

    def _put(self, y: int, x: int, sign: int) -> None:
        self.move(y, x)
        self.cells[y][x] = sign
        if x + 1 < self.columns:
            self.cursor = (y, x + 1)
        elif y + 1 < self.rows:
            self.cursor = (y + 1, 0)
        else:
            raise real.error("add_wch() returned ERR")

    def _place(self, args: tuple[Any, ...], given: bool) -> tuple[int, int, tuple[Any, ...]]:
        """A call's place, if it is given, and the rest. The real module refuses what is not a whole number."""
        if not given:
            return *self.cursor, args
        for number in args[:2]:
            if not hasattr(number, "__index__"):
                raise TypeError(f"{type(number).__name__!r} object cannot be interpreted as an integer")
        return int(args[0]), int(args[1]), args[2:]

    def _sign(self, sign: Any, attribute: int) -> int:
        number = sign if isinstance(sign, int) else ord(str(sign)[0])
        colour = attribute >> 8 & 255
        if number == BLANK:  # it shows the background of its colours, and nothing where that is the screen's
            if attribute & (real.A_REVERSE | real.A_STANDOUT):
                number = BLOCK
            elif self.driver.backgrounds.get(colour, 0) <= 0:
                return BLANK
        return number & 0x1FFFFF | colour << 21

    def addch(self, *args: Any) -> None:
        y, x, rest = self._place(args, len(args) >= 3)
        self._put(y, x, self._sign(rest[0], rest[1] if len(rest) > 1 else self.attribute))

    def addstr(self, *args: Any) -> None:
        y, x, rest = self._place(args, len(args) >= 3)
        text = rest[0].decode() if isinstance(rest[0], bytes) else rest[0]
        if not isinstance(text, str):
            raise TypeError(f"expect bytes or str, got {type(text).__name__}")
        words = self.driver.words(text)
        attribute = rest[1] if len(rest) > 1 else self.attribute
        for sign in text:
            if sign == "\n":
                y, x = y + 1, 0
                continue
            self._put(y, x, BLANK if words else self._sign(sign, attribute))
            y, x = self.cursor

    def addnstr(self, *args: Any) -> None:
        y, x, rest = self._place(args, len(args) > 3)
        self.addstr(y, x, rest[0][: rest[1]], *rest[2:])

    def hline(self, *args: Any) -> None:
        y, x, (sign, length, *_) = self._place(args, len(args) > 3)
        self.move(y, x)
        for column in range(x, min(x + length, self.columns)):
            self.cells[y][column] = self._sign(sign, 0)

    def vline(self, *args: Any) -> None:
        y, x, (sign, length, *_) = self._place(args, len(args) > 3)
        self.move(y, x)
        for row in range(y, min(y + length, self.rows)):
            self.cells[row][x] = self._sign(sign, 0)

    def border(self, *_: Any) -> None:
        self.cells[0], self.cells[-1] = [0x2500] * self.columns, [0x2500] * self.columns
        for row in self.cells:
            row[0] = row[-1] = 0x2502

    def clrtoeol(self) -> None:
        y, x = self.cursor
        self.cells[y][x:] = [BLANK] * (self.columns - x)

    def inch(self, *place: int) -> int:
        y, x = place or self.cursor
        return self.cells[y][x] if 0 <= y < self.rows and 0 <= x < self.columns else -1

    def refresh(self, *_: Any) -> None:
        screen = self.driver.screen
        if self is not screen:
            for row, signs in enumerate(self.cells):
                screen.cells[self.y + row][self.x : self.x + self.columns] = signs
        self.driver.dirty = True

    def getch(self, *_: int) -> int:
        """A key, or -1 where none comes in time; it shows the window first, as the real one does."""
        self.refresh()
        for _try in range(100_000):
            key = self.driver.turn(self.wait < 0)
            if key >= 0 or self.wait >= 0:
                self.driver.clock.pass_(max(self.wait, 0.0005))
                return key
            self.driver.clock.pass_(0.01)
        return -1

    def getkey(self, *_: int) -> str:
        key = self.get_wch()
        return key if isinstance(key, str) else _NAMES.get(key, chr(key))

    def get_wch(self, *_: int) -> int | str:
        key = self.getch()
        if key < 0:
            raise real.error("no input")
        return key if key > 255 else chr(key)

    def getstr(self, *_: Any) -> bytes:
        return b""

    def nodelay(self, flag: bool) -> None:
        self.wait = 0.0 if flag else -1.0

    def timeout(self, milliseconds: int) -> None:
        self.wait = int(milliseconds) / 1000 if milliseconds >= 0 else -1.0

    def getmaxyx(self) -> tuple[int, int]:
        return self.rows, self.columns

    def getbegyx(self) -> tuple[int, int]:
        return self.y, self.x

    def getyx(self) -> tuple[int, int]:
        return self.cursor

    def attron(self, attribute: int) -> None:
        self.attribute |= attribute

    def attroff(self, attribute: int) -> None:
        self.attribute &= ~attribute

    def attrset(self, attribute: int) -> None:
        self.attribute = attribute

    def subwin(self, *size: int) -> Window:
        rows, columns, y, x = size if len(size) == 4 else (self.rows - size[0], self.columns - size[1], *size)
        return Window(self.driver, rows, columns, y, x)

    insstr, insch, box, erase, noutrefresh, derwin, subpad = addstr, addch, border, clear, refresh, subwin, subwin


def _lines(name: str) -> int:
    """The signs of lines and boxes, which the real module has once there is a terminal: a number for each."""
    if not name.startswith("ACS_"):
        raise AttributeError(f"module 'curses' has no attribute {name!r}")
    return 0x2500 + zlib.crc32(name.encode()) % 256


def _rectangle(window: Window, top: int, left: int, bottom: int, right: int) -> None:
    for y in (top, bottom):
        window.hline(y, left, "-", right - left + 1)
    for x in (left, right):
        window.vline(top, x, "|", bottom - top + 1)
