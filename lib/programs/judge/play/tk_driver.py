"""tkinter and turtle on a display that nobody sees: their waiting is skipped, their canvases are read.

A picture is made of a canvas's items, one by one, and not of pixels.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import math
import re
import zlib
from array import array
from collections.abc import Iterator
from functools import partial
from typing import Any

from .launch import Clock
from .player import CLICK, Player
from .vision import Picture

UNIT = 5  # pixels from one place of the picture to the next
_KEYSYMS = {"up": "Up", "down": "Down", "left": "Left", "right": "Right", "return": "Return", "space": "space"}
_LEAVE = re.compile(r"quit|exit|close|leave|sortir|fermer", re.IGNORECASE)
_AREAS = ("line", "rectangle", "oval", "polygon", "arc", "image")


class TkDriver:
    """Replaces Tk's loop and timers; widgets and canvases are Tk's own."""

    def __init__(self, player: Player, clock: Clock) -> None:
        self.tk: Any = importlib.import_module("tkinter")
        self.tk.Tk().destroy()  # without a display this fails, and nothing is graded
        self.player, self.clock = player, clock
        self.due: dict[str, tuple[float, Any]] = {}
        self.numbers = itertools.count(1)
        self.real_update = self.tk.Misc.update
        self.stopped, self.inside, self.shown = False, 0, False
        self.colours: dict[Any, int] = {}

    def install(self) -> None:
        """Patch tkinter, and turtle where the program will find it."""
        self._timers()
        for name in ("messagebox", "simpledialog"):  # boxes that wait for a click
            module: Any = importlib.import_module(f"tkinter.{name}")
            for box in vars(module).copy():
                if box.startswith(("show", "ask")):
                    answer = "ok" if box[0] == "s" else "no" if box == "askquestion" else None
                    setattr(module, box, partial(self._box, answer))
        turtle: Any = importlib.import_module("turtle")
        turtle.TurtleScreenBase._delay = lambda *_: None
        turtle.TurtleScreenBase.mainloop = lambda *_: self._loop()
        turtle.TurtleScreen.update = self._whole(turtle.TurtleScreen.update)
        turtle.TurtleScreen.textinput = turtle.TurtleScreen.numinput = lambda *_, **__: None

    def _box(self, answer: Any, title: Any = None, message: Any = None, **_: Any) -> Any:
        self.player.text(f"{title or ''} {message or ''}".strip())
        return answer

    def _within(self, call: Any, *args: Any) -> None:
        """Call what may bring the window up to date: that is no frame of its own."""
        self.inside += 1
        try:
            call(*args)
        finally:
            self.inside -= 1

    def _whole(self, update: Any) -> Any:
        """An update of the window that counts as one, whatever it calls."""

        def updated(shown: Any) -> None:
            self._within(update, shown)
            if not self.inside:
                self._updated()

        return updated

    def _timers(self) -> None:
        misc = self.tk.Misc

        def after(_widget: Any, ms: Any, func: Any = None, *args: Any) -> str | None:
            wait = 0.0 if ms == "idle" else max(0.0, float(int(ms)) / 1000)
            if func is None:
                self.sleep(wait)
                return None
            name = f"after#{next(self.numbers)}"
            self.due[name] = (self.clock.now + wait, lambda: func(*args))
            return name

        misc.after, misc.update = after, self._whole(misc.update)
        misc.quit = lambda _widget: setattr(self, "stopped", True)
        misc.after_cancel = lambda _widget, name: self.due.pop(name, None)
        misc.after_idle = lambda widget, func, *args: after(widget, "idle", func, *args)
        misc.mainloop = self.tk.mainloop = lambda *_: self._loop()

    def _next(self, until: float = math.inf) -> tuple[float, Any] | None:
        """Take the next timer, if it is due by then."""
        name = min(self.due, key=lambda name: self.due[name][0], default="")
        return self.due.pop(name) if name and self.due[name][0] <= until else None

    def _alive(self) -> bool:
        with contextlib.suppress(self.tk.TclError):
            return self.tk._default_root is not None and bool(self.tk._default_root.winfo_exists())
        return False

    def _loop(self) -> None:
        """Tk's loop: the next timer at once, a frame after each."""
        while not self.stopped and self._alive():
            timer = self._next()
            if timer:
                self.clock.now = max(self.clock.now + 0.0001, timer[0])
                self._within(timer[1])
            else:
                self.clock.pass_(0.02)
            self._frame()
        self.stopped = False

    def _updated(self) -> None:
        """The program brought its window up to date by itself: timers that are due run, and a frame is over."""
        self.clock.pass_(0.001)
        while timer := self._next(self.clock.now):
            timer[1]()
        self.shown = True
        self._frame()

    def sleep(self, seconds: float) -> None:
        """What ``time.sleep`` does: a program that sleeps between its moves shows a frame so."""
        self.clock.pass_(seconds)
        if not self.shown and not self.inside and self._alive():
            self._frame()
        self.shown = False

    def _frame(self) -> None:
        with contextlib.suppress(self.tk.TclError, AttributeError):  # there is no window, or no more
            self.real_update(self.tk._default_root)
        for name in self.player.frame(self._picture()):
            self._click() if name == CLICK else self._press(_KEYSYMS.get(name, name))

    def _press(self, keysym: str) -> None:
        """Press and release one key, for the widget that has the focus or would have it."""
        with contextlib.suppress(self.tk.TclError):  # the window is gone
            root = self.tk._default_root
            widget = root.focus_lastfor() or root
            widget.focus_force()
            widget.event_generate(f"<KeyPress-{keysym}>")
            widget.event_generate(f"<KeyRelease-{keysym}>")

    def _click(self) -> None:
        """Press the first button that does not end the program; without one, click on the canvas."""
        for button in self._widgets("button"):
            if "disabled" not in str(button.cget("state")) and not _LEAVE.search(str(button.cget("text"))):
                button.invoke()
                return
        for canvas in self._widgets("canvas"):
            canvas.event_generate("<Button-1>", x=10, y=10)

    def _widgets(self, kind: str) -> Iterator[Any]:
        """The widgets of this kind, in the order in which they were made."""
        found = list(self.tk._default_root.children.values()) if self._alive() else []
        for widget in found:
            found += widget.children.values()
            if widget.widgetName.rpartition("::")[2] == kind:  # "label", and "ttk::label"
                yield widget

    def _picture(self) -> Picture | None:
        """The largest canvas as it is now; None where there is none. Words of labels are noted."""
        with contextlib.suppress(self.tk.TclError, ValueError):
            for label in self._widgets("label"):
                self.player.text(str(label.cget("text")))
            canvases = {canvas.winfo_width() * canvas.winfo_height(): canvas for canvas in self._widgets("canvas")}
            if canvases:
                canvas = canvases[max(canvases)]
                wide, high = min(canvas.winfo_width(), 2000), min(canvas.winfo_height(), 2000)
                return self._drawn(canvas, max(1, wide // UNIT), max(1, high // UNIT))
        return None

    def _drawn(self, canvas: Any, columns: int, rows: int) -> Picture:
        cells = array("I", [self._colour(canvas, canvas.cget("background"))]) * (columns * rows)

        def area(x0: float, y0: float, x1: float, y1: float) -> None:
            """Colour the places whose middle lies in the box."""
            first = max(0, round(x0 / UNIT))
            last = max(first, min(columns, round(x1 / UNIT)))
            for row in range(max(0, round(y0 / UNIT)), min(rows, round(y1 / UNIT))):
                cells[row * columns + first : row * columns + last] = array("I", [colour]) * (last - first)

        left, top = canvas.canvasx(0), canvas.canvasy(0)
        for item in canvas.find_all():
            kind = canvas.type(item)
            where = canvas.bbox(item) or () if kind == "image" else canvas.coords(item)
            if kind == "text":
                self.player.text(canvas.itemcget(item, "text"))
            if kind not in _AREAS or canvas.itemcget(item, "state") == "hidden" or not where:
                continue
            xs, ys = [x - left for x in where[::2]], [y - top for y in where[1::2]]
            if kind == "image":  # which one it is stands for its colour
                colour = zlib.crc32(canvas.itemcget(item, "image").encode()) | 1
            else:
                colour = self._colour(canvas, canvas.itemcget(item, "fill"))
            if colour and kind == "line" and len({*xs, *ys}) > 2:
                width = float(canvas.itemcget(item, "width"))
                half = (width if width > 2 * UNIT else UNIT) / 2
                for (ax, ay), (bx, by) in itertools.pairwise(zip(xs, ys, strict=True)):
                    # a little off, so that no place is half covered
                    near, far = 0.01 - half, 0.01 + half
                    area(min(ax, bx) + near, min(ay, by) + near, max(ax, bx) + far, max(ay, by) + far)
            elif colour and kind != "line" and max(xs) - min(xs) >= 1:
                area(min(xs), min(ys), max(xs), max(ys))
        return Picture(columns, rows, cells.tobytes())

    def _colour(self, canvas: Any, name: Any) -> int:
        """A number for a colour, whatever it is called: what is drawn in the ground's colour is not seen."""
        if name and name not in self.colours:
            self.colours[name] = zlib.crc32(repr(canvas.winfo_rgb(name)).encode()) | 1
        return self.colours[name] if name else 0
