"""tkinter and turtle on a display that nobody sees: their waiting is skipped, their canvases are read."""

from __future__ import annotations

import heapq
import importlib
import itertools
import sys
from typing import Any

from .canvas import Canvases
from .clock import Clock
from .player import CLICK, Player

_KEYSYMS = {"up": "Up", "down": "Down", "left": "Left", "right": "Right", "return": "Return", "space": "space"}
_ENDED = ("application has been destroyed", "invalid command name", "Terminator")


class Driver:
    """Replaces Tk's loop and timers; widgets and canvases are Tk's own."""

    def __init__(self, player: Player, clock: Clock) -> None:
        self.tk: Any = importlib.import_module("tkinter")
        self.tk.Tk().destroy()  # without a display this fails, and nothing is graded
        self.player, self.clock = player, clock
        self.due: list[tuple[float, int, Any]] = []
        self.numbers = itertools.count(1)
        self.bound: dict[tuple[str, str], list[Any]] = {}
        self.focus, self.stopped, self.inside, self.shown = "", False, 0, False
        self.turtle: Any = None
        self.canvases = Canvases(self.tk, player)

    def install(self) -> None:
        """Patch tkinter, and turtle where the program will find it."""
        self.canvases.install()
        self._timers()
        self._keys()
        self._boxes()
        self.turtle = importlib.import_module("turtle")
        self.turtle.TurtleScreenBase._delay = lambda *_: None
        self.turtle.TurtleScreenBase.mainloop = lambda *_: self._loop()
        update = self.turtle.TurtleScreen.update

        def shown(screen: Any) -> None:
            self.inside += 1
            try:
                update(screen)
            finally:
                self.inside -= 1
            self._updated()

        self.turtle.TurtleScreen.update = shown
        self.turtle.TurtleScreen.textinput = self.turtle.TurtleScreen.numinput = lambda *_, **__: None

    def _timers(self) -> None:
        misc = self.tk.Misc
        update = misc.update

        def after(_widget: Any, ms: Any, func: Any = None, *args: Any) -> str | None:
            wait = 0.0 if ms == "idle" else max(0.0, float(int(ms)) / 1000)
            if func is None:
                self.sleep(wait)
                return None
            number = next(self.numbers)
            heapq.heappush(self.due, (self.clock.now + wait, number, lambda: func(*args)))
            return f"after#{number}"

        def cancel(_widget: Any, name: Any) -> None:
            self.due = [entry for entry in self.due if f"after#{entry[1]}" != name]
            heapq.heapify(self.due)

        def updated(widget: Any) -> None:
            update(widget)
            if not self.inside:
                self._updated()

        def stop(_widget: Any) -> None:
            self.stopped = True

        misc.after, misc.after_cancel, misc.update, misc.quit = after, cancel, updated, stop
        misc.after_idle = lambda widget, func, *args: after(widget, "idle", func, *args)
        misc.mainloop = lambda *_: self._loop()
        self.tk.mainloop = lambda *_: self._loop()

    def _loop(self) -> None:
        """Tk's loop: the next timer at once, a frame after each."""
        while not self.stopped and self.canvases.alive():
            if not self.due:
                self.clock.pass_(0.02)
                self._frame(new=True)
                continue
            at, _, func = heapq.heappop(self.due)
            self.clock.now = max(self.clock.now + 0.0001, at)
            self.inside += 1
            try:
                func()
            finally:
                self.inside -= 1
            self._frame(new=True)
        self.stopped = False

    def _updated(self) -> None:
        """The program brought its window up to date by itself: timers that are due run, and a frame is over."""
        if self.inside:
            return
        self.clock.pass_(0.001)
        while self.due and self.due[0][0] <= self.clock.now:
            _, _, func = heapq.heappop(self.due)
            func()
        self.shown = True
        self._frame(new=True)

    def sleep(self, seconds: float) -> None:
        """What ``time.sleep`` does: a program that sleeps between its moves shows a frame so."""
        self.clock.pass_(seconds)
        if not self.shown and not self.inside and self.canvases.alive():
            self._frame(new=True)
        self.shown = False

    def _frame(self, new: bool) -> None:
        picture = self.canvases.picture() if new else None
        for name in self.player.frame(picture):
            self._click() if name == CLICK else self._press(_KEYSYMS.get(name, name))

    def _keys(self) -> None:
        misc = self.tk.Misc
        bind = misc._bind

        def noted(widget: Any, what: Any, sequence: Any, func: Any, add: Any, needcleanup: int = 1) -> Any:
            if callable(func) and isinstance(sequence, str):
                where = what[1] if len(what) > 1 else str(what[0])
                entry = self.bound.setdefault((str(where), sequence.strip("<>")), [])
                entry[:] = [*entry, (widget, func)] if add else [(widget, func)]
            return bind(widget, what, sequence, func, add, needcleanup)

        def focus(widget: Any) -> None:
            self.focus = str(widget)

        misc._bind = noted
        misc.focus_set = misc.focus_force = misc.focus = focus

    def _press(self, keysym: str) -> None:
        """Press and release one key: for the widget with the focus, the window, and all."""
        for kind in ("KeyPress", "KeyRelease"):
            for (where, sequence), entries in list(self.bound.items()):
                if where not in (self.focus, ".", "all"):
                    continue
                if _fits(sequence, kind, keysym):
                    for widget, func in list(entries):
                        func(self._event(widget, keysym))

    def _click(self) -> None:
        """Press the first button that does not end the program; without one, click where the program listens for it."""
        for button in self.canvases.buttons():
            button.invoke()
            return
        for (_, sequence), entries in list(self.bound.items()):
            if sequence in ("Button-1", "ButtonPress-1", "1"):
                for widget, func in list(entries):
                    func(self._event(widget, ""))

    def _event(self, widget: Any, keysym: str) -> Any:
        event = self.tk.Event()
        event.widget, event.keysym = widget, keysym
        event.char = {"space": " ", "Return": "\r"}.get(keysym, keysym if len(keysym) == 1 else "")
        event.keycode, event.keysym_num, event.type, event.state = 0, 0, self.tk.EventType.KeyPress, 0
        event.x = event.y = event.x_root = event.y_root = 0
        return event

    def _boxes(self) -> None:
        """Boxes that wait for a click are answered: no, or what is offered."""
        boxes: Any = importlib.import_module("tkinter.messagebox")
        dialogs: Any = importlib.import_module("tkinter.simpledialog")

        def said(answer: Any) -> Any:
            def box(title: Any = None, message: Any = None, **_: Any) -> Any:
                self.player.text(f"{title or ''} {message or ''}".strip())
                return answer

            return box

        for name in ("showinfo", "showwarning", "showerror"):
            setattr(boxes, name, said("ok"))
        for name in ("askyesno", "askokcancel", "askretrycancel", "askyesnocancel"):
            setattr(boxes, name, said(False))
        boxes.askquestion = said("no")
        for name in ("askstring", "askinteger", "askfloat"):
            setattr(dialogs, name, said(None))

    def closed_by_program(self, error: BaseException) -> bool:
        """Whether this exception only says that the program had closed its window before."""
        said = f"{type(error).__name__}: {error}"
        return not self.canvases.alive() and any(words in said for words in _ENDED) and "turtle" in sys.modules


def _fits(sequence: str, kind: str, keysym: str) -> bool:
    """Whether a binding such as ``KeyPress-Up``, ``Up``, ``Key`` or ``w`` means this key."""
    parts = sequence.split("-")
    if parts[0] in ("Any",):
        parts = parts[1:]
    pressed = parts[0] in ("Key", "KeyPress")
    if pressed or parts[0] == "KeyRelease":
        wanted = "KeyPress" if pressed else "KeyRelease"
        return kind == wanted and (len(parts) == 1 or parts[1] == keysym)
    return kind == "KeyPress" and parts == [keysym]
