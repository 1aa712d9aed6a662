"""curses without a terminal: a screen of 24 by 80 in memory, which shows what the program puts on it.

It refuses what the real one refuses: a sign outside the window is ``curses.error``, and so is one that would move
the cursor behind the last place. What this module does not have, the real one may: that is told apart.
"""

from __future__ import annotations

import contextlib
import sys
from array import array
from collections import deque
from typing import Any

from .clock import Clock
from .fake_curses import ATTRIBUTES, CONSTANTS, KEYS, Window, WrongPlace
from .picture import Picture
from .player import CLICK, Player

_SIGNS = {"up": 259, "down": 258, "left": 260, "right": 261, "return": 10, "space": 32}
POLLS = 40  # readings of the keyboard without anything shown anew that count as one frame

_NOTHING = (
    "start_color", "use_default_colors", "init_color", "curs_set", "noecho", "echo", "cbreak",
    "nocbreak", "raw", "noraw", "endwin", "beep", "flash", "nonl", "nl", "halfdelay", "flushinp", "ungetch",
    "def_prog_mode", "reset_shell_mode", "intrflush", "meta", "mousemask", "resizeterm", "resize_term",
    "savetty", "resetty", "typeahead", "use_env", "filter", "delay_output", "isendwin", "setupterm",
    "set_escdelay", "update_lines_cols", "qiflush", "noqiflush",
)  # fmt: skip
"""What sets up a terminal, and has nothing to do here."""


class Driver:
    """Puts a module ``curses`` of ours in place of the real one."""

    def __init__(self, player: Player, clock: Clock) -> None:
        self.player, self.clock = player, clock
        self.keys: deque[int] = deque()
        self.screen = Window(self, 24, 80, 0, 0, None)
        self.dirty, self.idle = False, 0
        self.backgrounds: dict[int, int] = {}  # of pairs of colours

    def install(self) -> None:
        """Make ``import curses`` give ours."""
        module: Any = type(sys)("curses")
        module.__dict__.update(CONSTANTS, **KEYS, **ATTRIBUTES)
        module.error, module.window = WrongPlace, Window
        module.COLORS, module.COLOR_PAIRS, module.LINES, module.COLS = 256, 256, 24, 80
        module.initscr, module.newwin, module.newpad = self._initscr, self._newwin, self._newpad
        module.wrapper = lambda f, *args, **kwargs: f(self.screen, *args, **kwargs)
        module.doupdate, module.napms = self.screen.refresh, lambda ms: self.sleep(ms / 1000)
        module.has_colors = module.can_change_color = lambda: True
        module.init_pair = lambda pair, _front, back: self.backgrounds.update({pair: back})
        module.color_pair = lambda number: number << 8
        module.pair_number = lambda attribute: attribute >> 8 & 255
        module.keyname = lambda key: chr(key).encode() if 0 <= key < 256 else b"KEY"
        for name in _NOTHING:
            setattr(module, name, lambda *_, **__: None)
        textpad: Any = type(sys)("curses.textpad")
        textpad.rectangle = _rectangle
        module.textpad, module.ascii, module.panel = textpad, None, None
        sys.modules["curses"], sys.modules["curses.textpad"] = module, textpad

    def _initscr(self) -> Window:
        return self.screen

    def _newwin(self, *size: int) -> Window:
        rows, columns, y, x = size if len(size) == 4 else (*size, 0, 0)
        if not (0 <= y < 24 and 0 <= x < 80) or y + rows > 24 or x + columns > 80:
            raise WrongPlace("curses function returned NULL")
        return Window(self, rows or 24 - y, columns or 80 - x, y, x, self.screen)

    def _newpad(self, rows: int, columns: int) -> Window:
        return Window(self, min(rows, 24), min(columns, 80), 0, 0, self.screen)

    def coloured(self, attribute: int) -> bool:
        """Whether a blank written so is a patch of colour."""
        return self.backgrounds.get(attribute >> 8 & 255, 0) > 0

    def shown(self) -> None:
        """The screen was brought up to date."""
        self.dirty = True

    def turn(self, waits: bool) -> int:
        """The program reads a key: a frame is over, if something was shown; -1 where there is no key."""
        if self.dirty:
            self.dirty, self.idle = False, 0
            self._press(self.player.frame(self._picture()))
        else:
            self.idle += 1
            if self.idle % (1 if waits else POLLS) == 0:
                self._press(self.player.frame(None))
        return self.keys.popleft() if self.keys else -1

    def _press(self, names: list[str]) -> None:
        self.keys.extend(_SIGNS.get(name) or ord(name) for name in names if name != CLICK)

    def _picture(self) -> Picture:
        """Signs and colours as numbers; words and figures are not drawn (``Window.addstr``)."""
        return Picture(80, 24, array("I", [sign for row in self.screen.cells for sign in row]).tobytes())

    def words(self, text: str) -> bool:
        """The program writes a text; whether it is words or figures, and no part of a picture."""
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


def _rectangle(window: Window, top: int, left: int, bottom: int, right: int) -> None:
    for x in range(left, right + 1):
        window.addch(top, x, "-")
        with contextlib.suppress(WrongPlace):
            window.addch(bottom, x, "-")
    for y in range(top, bottom + 1):
        window.addch(y, left, "|")
        with contextlib.suppress(WrongPlace):
            window.addch(y, right, "|")
