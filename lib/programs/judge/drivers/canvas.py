"""What stands on Tk's canvases, as a picture: read item by item, not pixel by pixel."""

from __future__ import annotations

import importlib
import itertools
import re
import zlib
from array import array
from typing import Any

from .picture import Picture
from .player import Player

UNIT = 5.0  # pixels from one place of the picture to the next
_LEAVE = re.compile(r"quit|exit|close|leave|sortir|fermer", re.IGNORECASE)
_AREAS = ("rectangle", "oval", "polygon", "image", "arc")


class Canvases:
    """The canvases and labels that a program makes."""

    def __init__(self, tk: Any, player: Player) -> None:
        self.tk, self.player = tk, player
        self.made: list[Any] = []
        self._buttons: list[Any] = []
        self._colours: dict[Any, int] = {}

    def install(self) -> None:
        """Note every canvas that is made, and the words of labels."""
        canvas, label, misc = self.tk.Canvas, self.tk.Label, self.tk.Misc
        make, say, change = canvas.__init__, label.__init__, misc._configure

        def made(widget: Any, *args: Any, **kwargs: Any) -> None:
            make(widget, *args, **kwargs)
            self.made.append(widget)

        def labelled(widget: Any, *args: Any, **kwargs: Any) -> None:
            say(widget, *args, **kwargs)
            self._words(kwargs.get("text"))

        def changed(widget: Any, cmd: Any, cnf: Any, kw: Any) -> Any:
            if cmd == "configure" or cmd == ("configure",):
                self._words((kw or {}).get("text") or (cnf or {}).get("text") if isinstance(cnf, dict | None) else None)
            return change(widget, cmd, cnf, kw)

        canvas.__init__, label.__init__, misc._configure = made, labelled, changed
        for kind in (self.tk.Button, importlib.import_module("tkinter.ttk").Button):
            self._note_buttons(kind)

    def _note_buttons(self, kind: Any) -> None:
        make = kind.__init__

        def made(widget: Any, *args: Any, **kwargs: Any) -> None:
            make(widget, *args, **kwargs)
            self._buttons.append(widget)

        kind.__init__ = made

    def buttons(self) -> list[Any]:
        """The buttons that can be pressed now, and whose words do not say that they end the program."""
        found = []
        for button in self._buttons:
            try:
                usable = button.winfo_exists() and "disabled" not in str(button.cget("state"))
                if usable and not _LEAVE.search(str(button.cget("text"))):
                    found.append(button)
            except self.tk.TclError:
                continue
        return found

    def _words(self, text: Any) -> None:
        if isinstance(text, str) and text.strip():
            self.player.text(text)

    def alive(self) -> bool:
        """Whether there is still a window."""
        root = self.tk._default_root
        if root is None:
            return False
        try:
            return bool(root.winfo_exists())
        except self.tk.TclError:
            return False

    def picture(self) -> Picture | None:
        """The largest canvas as it is now; None where there is none."""
        best, size = None, (0, 0)
        for canvas in self.made:
            try:
                wide, high = canvas.winfo_width(), canvas.winfo_height()
                if wide <= 1 or high <= 1:
                    wide, high = int(float(canvas.cget("width"))), int(float(canvas.cget("height")))
            except (self.tk.TclError, ValueError):
                continue
            if wide * high > size[0] * size[1]:
                best, size = canvas, (wide, high)
        if best is None:
            return None
        try:
            return self._read(best, min(size[0], 2000), min(size[1], 2000))
        except self.tk.TclError:
            return None

    def _read(self, canvas: Any, wide: int, high: int) -> Picture:
        columns, rows = max(1, int(wide // UNIT)), max(1, int(high // UNIT))
        ground = self._colour(canvas, canvas.cget("background"))
        cells = array("I", [ground]) * (columns * rows)
        left, top = canvas.canvasx(0), canvas.canvasy(0)
        for item in canvas.find_all():
            kind = canvas.type(item)
            if kind == "text":
                self._words(canvas.itemcget(item, "text"))
                continue
            if canvas.itemcget(item, "state") == "hidden":
                continue
            where = [c - (top if i % 2 else left) for i, c in enumerate(canvas.coords(item))]
            if kind == "line" and len(set(where)) > 2:
                colour, half = self._fill(canvas, item, kind), float(canvas.itemcget(item, "width")) / 2
                for x, y in _along(where) if colour else ():
                    _dot(cells, columns, rows, x, y, colour)
                    if half > UNIT:
                        _area(cells, columns, rows, (x - half, y - half, x + half, y + half), colour)
            elif kind in _AREAS and len(where) >= 2:
                _area(cells, columns, rows, self._box(canvas, item, kind, where), self._fill(canvas, item, kind))
        return Picture(columns, rows, cells.tobytes())

    def _fill(self, canvas: Any, item: int, kind: str) -> int:
        if kind == "image":
            return zlib.crc32(str(canvas.itemcget(item, "image")).encode()) | 1
        return self._colour(canvas, canvas.itemcget(item, "fill"))

    def _colour(self, canvas: Any, name: Any) -> int:
        """A number for a colour, whatever it is called: what is drawn in the ground's colour is not seen."""
        if name and name not in self._colours:
            self._colours[name] = zlib.crc32(repr(canvas.winfo_rgb(name)).encode()) | 1
        return self._colours[name] if name else 0

    def _box(self, canvas: Any, item: int, kind: str, where: list[float]) -> tuple[float, float, float, float]:
        if kind == "image":
            box = canvas.bbox(item) or (0, 0, 0, 0)
            left, top = canvas.canvasx(0), canvas.canvasy(0)
            return box[0] - left, box[1] - top, box[2] - left, box[3] - top
        return min(where[::2]), min(where[1::2]), max(where[::2]), max(where[1::2])


def _area(cells: array[int], columns: int, rows: int, box: tuple[float, float, float, float], colour: int) -> None:
    """Colour the places whose middle lies in the box."""
    if not colour or box[2] - box[0] < 1:
        return
    first, last = max(0, round(box[0] / UNIT)), min(columns, round(box[2] / UNIT))
    for row in range(max(0, round(box[1] / UNIT)), min(rows, round(box[3] / UNIT))):
        for column in range(first, last):
            cells[row * columns + column] = colour


def _along(where: list[float]) -> list[tuple[float, float]]:
    """Points along a line of many pieces, close enough to leave no place out."""
    points = list(zip(where[::2], where[1::2], strict=False))
    found = []
    for (ax, ay), (bx, by) in itertools.pairwise(points):
        steps = min(2000, int(max(abs(bx - ax), abs(by - ay)) / UNIT) + 1)
        found += [(ax + (bx - ax) * i / steps, ay + (by - ay) * i / steps) for i in range(steps + 1)]
    return found[:20_000]


def _dot(cells: array[int], columns: int, rows: int, x: float, y: float, colour: int) -> None:
    column, row = int(x // UNIT), int(y // UNIT)
    if 0 <= column < columns and 0 <= row < rows:
        cells[row * columns + column] = colour
