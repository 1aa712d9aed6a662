"""curses without a terminal: the real one keeps the screen of 24 by 80, and nothing of it is shown.

What a window refuses, the real curses refuses. Ours is what shows, what waits, and what words are.
"""

from __future__ import annotations

import contextlib
import curses as real
import curses.textpad as textpad
import functools
import os
import sys
from array import array
from collections import deque
from typing import Any

from .launch import Clock
from .player import CLICK, Player
from .vision import Picture

ROWS, COLUMNS, BLANK, BLOCK = 24, 80, 32, 35
POLLS = 40  # readings of the keyboard without anything shown anew that count as one frame
_KEYS = {"up": real.KEY_UP, "down": real.KEY_DOWN, "left": real.KEY_LEFT, "right": real.KEY_RIGHT, "return": 10,
         "space": 32}  # fmt: skip
_NOTHING = ("cbreak", "nocbreak", "raw", "noraw", "curs_set", "endwin", "beep", "flash", "flushinp", "ungetch")


class CursesDriver:
    """Puts a module ``curses`` of ours in place of the real one."""

    def __init__(self, player: Player, clock: Clock) -> None:
        os.environ.update(TERM="xterm", LINES=str(ROWS), COLUMNS=str(COLUMNS))
        self.player, self.clock = player, clock
        self.keys: deque[int] = deque()
        self.cells = array("I", [BLANK] * (ROWS * COLUMNS))
        self.dirty, self.idle = False, 0
        self.screen = Window(self, real.initscr())
        real.noecho()

    def install(self) -> None:
        """Make ``import curses`` give ours."""
        module: Any = type(sys)("curses")
        module.__dict__.update({name: value for name, value in vars(real).items() if not name.startswith("__")})
        module.initscr, module.doupdate = lambda: self.screen, lambda: None
        module.newwin = lambda *size: Window(self, real.newwin(*size))
        module.wrapper = self._wrapper
        module.napms = lambda ms: self.sleep(ms / 1000)
        module.halfdelay = lambda tenths: self.screen.timeout(100 * tenths)
        for name in _NOTHING:
            setattr(module, name, lambda *_: None)
        sys.modules["curses"], sys.modules["curses.textpad"] = module, textpad

    def _wrapper(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        with contextlib.suppress(real.error):
            real.start_color()
        return func(self.screen, *args, **kwargs)

    def turn(self, waits: bool = False) -> None:
        """The program reads a key: a frame is over, if something was shown."""
        if self.dirty:
            self.dirty, self.idle = False, 0
            self._press(self.player.frame(Picture(COLUMNS, ROWS, self.cells.tobytes())))
        else:
            self.idle += 1
            if waits or self.idle % POLLS == 0:
                self._press(self.player.frame(None))

    def _press(self, names: list[str]) -> None:
        self.keys.extend(_KEYS.get(name) or ord(name) for name in names if name != CLICK)

    def drawn(self, text: Any) -> Any:
        """What stands for a text: blanks for words and figures, which are noted; letters for signs of all kinds."""
        if not isinstance(text, str):
            return text
        letters = [sign for sign in text if sign.isalnum()]
        words = len(set(letters)) > 1 and len(letters) > 2
        if words:
            self.player.text(text)
        if words or text.strip().isdigit():
            return "".join("\n" if sign == "\n" else " " for sign in text)
        return "".join(sign if sign < "\x7f" else chr(40 + ord(sign) % 80) for sign in text)

    def sleep(self, seconds: float) -> None:
        """What ``time.sleep`` does: a program that never reads a key shows its frames so."""
        self.clock.pass_(seconds)
        if self.dirty:
            self.turn()


class Window:
    """A real window, but for what writes, shows and waits."""

    def __init__(self, driver: CursesDriver, window: Any) -> None:
        self._driver, self._real, self._wait = driver, window, -1.0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        return (lambda *size: Window(self._driver, found(*size))) if name in ("subwin", "derwin") else found

    def _write(self, how: Any, args: tuple[Any, ...]) -> None:
        """Write with the text, which stands behind the place where there is one, as it is drawn."""
        at = 2 if len(args) > 2 else 0
        text = self._driver.drawn(args[at])
        rest = (0,) if text != args[at] and not str(text).strip() else args[at + 1 :]  # words have no colour
        how(*args[:at], text, *rest)

    def addch(self, *args: Any) -> None:
        self._write(self._real.addch, args)

    def addstr(self, *args: Any) -> None:
        self._write(self._real.addstr, args)

    def refresh(self, *_: Any) -> None:
        """Put its places into the picture."""
        (rows, columns), (top, left), cursor = self._real.getmaxyx(), self._real.getbegyx(), self._real.getyx()
        for y in range(rows):
            places = [self._real.inch(y, x) for x in range(columns)]
            start = (top + y) * COLUMNS + left
            self._driver.cells[start : start + columns] = array("I", map(_cell, places))
        self._real.move(*cursor)
        self._driver.dirty = True

    noutrefresh = refresh

    def getch(self, *_: int) -> int:
        """A key, or -1 where none comes in time; it shows the window first, as the real one does."""
        self.refresh()
        keys, clock = self._driver.keys, self._driver.clock
        self._driver.turn(self._wait < 0)
        while not keys and self._wait < 0:  # the player ends the game some time
            clock.pass_(0.01)
            self._driver.turn(waits=True)
        clock.pass_(max(self._wait, 0.0005))
        return keys.popleft() if keys else -1

    def getkey(self, *_: int) -> str:
        key = self.get_wch()
        return key if isinstance(key, str) else real.keyname(key).decode()

    def get_wch(self, *_: int) -> int | str:
        key = self.getch()
        if key < 0:
            raise real.error("no input")
        return key if key > 255 else chr(key)

    def nodelay(self, flag: bool) -> None:
        self._wait = 0.0 if flag else -1.0

    def timeout(self, milliseconds: int) -> None:
        self._wait = int(milliseconds) / 1000 if milliseconds >= 0 else -1.0


@functools.cache
def _cell(place: int) -> int:
    """A sign, and its colour above. A blank shows only its background, and nothing where that is the screen's."""
    sign, colour = place & 255, place >> 8 & 255
    if sign == BLANK and place & (real.A_REVERSE | real.A_STANDOUT):
        sign = BLOCK
    elif sign == BLANK and (colour == 0 or real.pair_content(colour)[1] <= 0):
        colour = 0
    return sign | colour << 8
