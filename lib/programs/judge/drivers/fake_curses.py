"""The window of a terminal that is not there, with the calls that games use."""

from __future__ import annotations

from typing import Any

KEYS = {
    "KEY_DOWN": 258, "KEY_UP": 259, "KEY_LEFT": 260, "KEY_RIGHT": 261, "KEY_HOME": 262, "KEY_BACKSPACE": 263,
    "KEY_ENTER": 343, "KEY_RESIZE": 410, "KEY_EXIT": 361, "KEY_F0": 264, "KEY_F1": 265, "KEY_DC": 330, "KEY_END": 360,
    "KEY_MOUSE": 409, "KEY_NPAGE": 338, "KEY_PPAGE": 339,
}  # fmt: skip
ATTRIBUTES = {
    "A_NORMAL": 0, "A_BOLD": 1 << 21, "A_REVERSE": 1 << 18, "A_UNDERLINE": 1 << 17, "A_DIM": 1 << 20,
    "A_STANDOUT": 1 << 16, "A_BLINK": 1 << 19, "A_INVIS": 1 << 23, "A_PROTECT": 1 << 24, "A_ALTCHARSET": 1 << 22,
    "A_COLOR": 0xFF00, "A_CHARTEXT": 0xFF, "A_ATTRIBUTES": 0x7FFFFF00,
}  # fmt: skip
_REVERSED = ATTRIBUTES["A_REVERSE"] | ATTRIBUTES["A_STANDOUT"]
_COLOURS = ("BLACK", "RED", "GREEN", "YELLOW", "BLUE", "MAGENTA", "CYAN", "WHITE")
_LINES = {
    "ACS_CKBOARD": 0x2592, "ACS_BLOCK": 0x2588, "ACS_PI": 0x3C0, "ACS_DIAMOND": 0x25C6, "ACS_BULLET": 0xB7,
    "ACS_HLINE": 0x2500, "ACS_VLINE": 0x2502, "ACS_ULCORNER": 0x250C, "ACS_URCORNER": 0x2510, "ACS_LLCORNER": 0x2514,
    "ACS_LRCORNER": 0x2518, "ACS_BOARD": 0x2592, "ACS_DEGREE": 0xB0, "ACS_LANTERN": 0x23, "ACS_PLUS": 0x253C,
    "ACS_STERLING": 0xA3, "ACS_UARROW": 0x2191, "ACS_DARROW": 0x2193, "ACS_LARROW": 0x2190, "ACS_RARROW": 0x2192,
}  # fmt: skip
CONSTANTS = {f"COLOR_{name}": number for number, name in enumerate(_COLOURS)} | _LINES | {"ERR": -1, "OK": 0}
KEYS |= {f"KEY_F{number}": 264 + number for number in range(1, 13)}
_NAMES = {number: name for name, number in KEYS.items()}


class WrongPlace(Exception):
    """``curses.error``."""


WrongPlace.__name__ = WrongPlace.__qualname__ = "error"
WrongPlace.__module__ = "_curses"


class Window:
    """A window, or a part of one: places are rows of numbers (a sign, and its colour above)."""

    def __init__(self, driver: Any, rows: int, columns: int, y: int, x: int, parent: Window | None) -> None:
        self.driver, self.rows, self.columns, self.y, self.x = driver, rows, columns, y, x
        self.parent, self.cursor, self.attribute = parent, (0, 0), 0
        self.cells = [[32] * columns for _ in range(rows)]
        self.wait: float = -1.0

    def _put(self, y: int, x: int, sign: int) -> None:
        if not (0 <= y < self.rows and 0 <= x < self.columns):
            raise WrongPlace("wmove() returned ERR")
        self.cells[y][x] = sign
        self.cursor = (y, x + 1)
        if x + 1 >= self.columns:
            self.cursor = (y + 1, 0)
            if y + 1 >= self.rows:
                self.cursor = (y, x)
                raise WrongPlace("add_wch() returned ERR")

    def _place(self, args: tuple[Any, ...]) -> tuple[int, int, tuple[Any, ...]]:
        """A call's place, if it begins with one, and the rest."""
        if len(args) >= 3:
            return int(_whole(args[0])), int(_whole(args[1])), args[2:]
        return *self.cursor, args

    def addch(self, *args: Any) -> None:
        """Put one sign."""
        y, x, rest = self._place(args)
        self._put(y, x, self._sign(rest[0], rest[1] if len(rest) > 1 else self.attribute))

    def _sign(self, sign: Any, attribute: int) -> int:
        number = sign if isinstance(sign, int) else ord(str(sign)[0])
        if number == 32:  # a blank shows the background of its colours, and nothing where that is the screen's
            if attribute & _REVERSED:
                number = 0x2588
            elif not self.driver.coloured(attribute):
                return 32
        return (number & 0x1FFFFF if number >= 0x100 else number) | (attribute >> 8 & 0xFF) << 21

    def addstr(self, *args: Any) -> None:
        """Put a text."""
        y, x, rest = self._place(args)
        text = rest[0].decode() if isinstance(rest[0], bytes) else rest[0]
        if not isinstance(text, str):
            raise TypeError(f"expect bytes or str, got {type(text).__name__}")
        words = self.driver.words(text)
        attribute = rest[1] if len(rest) > 1 else self.attribute
        for sign in text:
            if sign == "\n":
                y, x = y + 1, 0
                continue
            self._put(y, x, 32 if words else self._sign(sign, attribute))
            y, x = self.cursor

    def addnstr(self, *args: Any) -> None:
        """Put the beginning of a text."""
        y, x, rest = self._place(args) if len(args) > 3 else (*self.cursor, args)
        self.addstr(y, x, rest[0][: rest[1]], *rest[2:])

    insstr, insch = addstr, addch

    def move(self, y: int, x: int) -> None:
        """Move the cursor."""
        if not (0 <= y < self.rows and 0 <= x < self.columns):
            raise WrongPlace("wmove() returned ERR")
        self.cursor = (y, x)

    def border(self, *_: Any) -> None:
        """A frame of lines."""
        for x in range(self.columns):
            self.cells[0][x] = self.cells[-1][x] = 0x2500
        for row in self.cells:
            row[0] = row[-1] = 0x2502

    box = border

    def hline(self, *args: Any) -> None:
        """A line across."""
        y, x, (sign, length, *_) = (*self.cursor, args) if len(args) < 4 else (args[0], args[1], args[2:])
        for i in range(x, min(x + length, self.columns)):
            self.cells[y][i] = self._sign(sign, 0)

    def vline(self, *args: Any) -> None:
        """A line down."""
        y, x, (sign, length, *_) = (*self.cursor, args) if len(args) < 4 else (args[0], args[1], args[2:])
        for i in range(y, min(y + length, self.rows)):
            self.cells[i][x] = self._sign(sign, 0)

    def clear(self) -> None:
        """Empty it."""
        self.cells = [[32] * self.columns for _ in range(self.rows)]
        self.cursor = (0, 0)

    erase = clear

    def clrtoeol(self) -> None:
        """Empty the rest of the line."""
        y, x = self.cursor
        self.cells[y][x:] = [32] * (self.columns - x)

    def delch(self, *place: int) -> None:
        """Take one sign away."""
        y, x = place or self.cursor
        self.cells[y][x:] = [*self.cells[y][x + 1 :], 32]

    def inch(self, *place: int) -> int:
        """The sign at a place."""
        y, x = place or self.cursor
        if not (0 <= y < self.rows and 0 <= x < self.columns):
            return -1
        return self.cells[y][x]

    def refresh(self, *_: Any) -> None:
        """Show it."""
        screen = self.driver.screen
        if self is not screen:
            for row, signs in enumerate(self.cells):
                for column, sign in enumerate(signs):
                    screen.cells[self.y + row][self.x + column] = sign
        self.driver.shown()

    noutrefresh = refresh

    def getch(self, *_: int) -> int:
        """A key, or -1 where none comes in time; it shows the window first, as the real one does."""
        self.refresh()
        for _try in range(100_000):
            key = int(self.driver.turn(self.wait < 0))
            if key >= 0 or self.wait >= 0:
                self.driver.clock.pass_(max(self.wait, 0.0005))
                return key
            self.driver.clock.pass_(0.01)
        return -1

    def getkey(self, *_: int) -> str:
        """A key's name."""
        key = self.getch()
        if key < 0:
            raise WrongPlace("no input")
        return _NAMES.get(key) or chr(key)

    def get_wch(self, *_: int) -> int | str:
        """A key's number, or its letter."""
        key = self.getch()
        if key < 0:
            raise WrongPlace("no input")
        return key if key > 255 else chr(key)

    def getstr(self, *_: Any) -> bytes:
        """A line that nobody types."""
        return b""

    def nodelay(self, flag: bool) -> None:
        """Whether reading a key returns at once."""
        self.wait = 0.0 if flag else -1.0

    def timeout(self, milliseconds: int) -> None:
        """How long reading a key waits."""
        self.wait = float(int(milliseconds)) / 1000 if milliseconds >= 0 else -1.0

    def getmaxyx(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns

    def getbegyx(self) -> tuple[int, int]:
        """Where it begins."""
        return self.y, self.x

    def getyx(self) -> tuple[int, int]:
        """Where the cursor is."""
        return self.cursor

    def attron(self, attribute: int) -> None:
        """Write so from now on."""
        self.attribute |= attribute

    def attroff(self, attribute: int) -> None:
        """No longer."""
        self.attribute &= ~attribute

    def attrset(self, attribute: int) -> None:
        """Write so and no other way."""
        self.attribute = attribute

    def subwin(self, *size: int) -> Window:
        """A part of it, as a window of its own."""
        rows, columns, y, x = size if len(size) == 4 else (self.rows - size[0], self.columns - size[1], *size)
        return Window(self.driver, rows, columns, y, x, self)

    derwin = subpad = subwin

    def _nothing(self, *_: Any) -> None:
        """What changes nothing that is seen here."""

    keypad = leaveok = scrollok = idlok = idcok = bkgd = bkgdset = redrawwin = touchwin = notimeout = immedok = _nothing
    clearok = syncok = untouchwin = resize = mvwin = chgat = setscrreg = insertln = deleteln = clrtobot = _nothing


def _whole(number: Any) -> int:
    """A coordinate: the real module refuses what is not a whole number."""
    if isinstance(number, float) or not hasattr(number, "__index__"):
        raise TypeError(f"{type(number).__name__!r} object cannot be interpreted as an integer")
    return int(number)
