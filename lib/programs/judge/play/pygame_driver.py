"""pygame without a screen: the program's own calls tell when a frame is done, and bring it its keys."""

from __future__ import annotations

import importlib
from collections import defaultdict, deque
from typing import Any

from .launch import Clock
from .player import CLICK, Player
from .vision import Picture

STEP = 5  # pixels from one place of the picture to the next: it divides the usual sizes of cells


class PygameDriver:
    """Replaces what waits, what shows and what listens; everything else is pygame's own."""

    def __init__(self, player: Player, clock: Clock) -> None:
        self.pygame: Any = importlib.import_module("pygame")
        self.player, self.clock = player, clock
        self.flipped, self.idle, self.flips = False, 0, 0
        self.held = defaultdict[int, bool](bool)
        self.up_next: deque[int] = deque()
        self.timers: dict[int, tuple[float, float, int, Any]] = {}  # when, how often, how many times still, what
        self.frame_at = 0.0

    def install(self) -> None:
        """Patch the module, before the program imports it."""
        self._time()
        self._events()
        self._fonts()
        display, real = self.pygame.display, self.pygame.display.set_mode

        def set_mode(size: Any = None, *_: Any, **__: Any) -> Any:
            wide, high = size or (0, 0)
            return real((min(int(wide), 4000) or 800, min(int(high), 4000) or 600))

        def flip(*_: Any, **__: Any) -> None:
            if display.get_surface() is None:
                raise self.pygame.error("video system not initialized")
            self.flips += 1
            self.flipped = True
            if self.flips > 50:  # it shows frames and never asks for events or the time
                self.turn()

        display.set_mode, display.flip, display.update = set_mode, flip, flip
        display.toggle_fullscreen = lambda *_: 1

    def turn(self) -> None:
        """The program waits or listens: the frame it last showed is whole."""
        if self.flipped:
            self.flipped, self.idle, self.flips = False, 0, 0
            self.clock.now = self.frame_at = max(self.clock.now, self.frame_at + 0.005)
            self._keys(self.player.frame(self._picture()))
        else:
            self.idle += 1
            if self.idle % 10 == 0:
                self.clock.pass_(0.02)
                self._keys(self.player.frame(None))

    def _picture(self) -> Picture | None:
        surface = self.pygame.display.get_surface()
        wide, high = surface.get_size() if surface else (0, 0)
        step = STEP if wide * high <= 1_100_000 else 2 * STEP
        if min(wide, high) < 2 * step:
            return None
        across, down = (wide - step // 2) // step, (high - step // 2) // step
        # Half a step from the border: not on the lines between cells. Whole steps: nothing drifts.
        inner = surface.subsurface((step // 2, step // 2, across * step, down * step))
        small = self.pygame.transform.scale(inner, (across, down))
        return Picture(across, down, self.pygame.image.tobytes(small, "RGBA"))

    def _keys(self, keys: list[str]) -> None:
        pg = self.pygame
        while self.up_next:
            pg.event.post(pg.event.Event(pg.KEYUP, key=self.up_next.popleft(), mod=0, unicode="", scancode=0))
        for name in (one for one in keys if one != CLICK):
            key = getattr(pg, "K_" + (name if len(name) == 1 else name.upper()))
            letter = name if len(name) == 1 else {"space": " ", "return": "\r"}.get(name, "")
            pg.event.post(pg.event.Event(pg.KEYDOWN, key=key, mod=0, unicode=letter, scancode=0))
            self.up_next.append(key)
            self.held = defaultdict(bool, {key: True})

    def _time(self) -> None:
        time, clock, driver = self.pygame.time, self.clock, self

        class FakeClock:
            """As pygame.time.Clock, on virtual time."""

            def __init__(self) -> None:
                self.last, self.passed = clock.now, 0

            def tick(self, framerate: float = 0) -> int:
                driver.turn()
                clock.pass_(max(0.0, 1 / framerate - (clock.now - self.last)) if framerate and framerate > 0 else 0.001)
                self.passed, self.last = round((clock.now - self.last) * 1000), clock.now
                return self.passed

            def get_time(self) -> int:
                return self.passed

            def get_fps(self) -> float:
                return 1000 / self.passed if self.passed else 0.0

            tick_busy_loop, get_rawtime = tick, get_time

        def wait(milliseconds: int) -> int:
            self.sleep(milliseconds / 1000)
            return int(milliseconds)

        def set_timer(event: Any, millis: int, loops: int = 0) -> None:
            posted = self.pygame.event.Event(event) if isinstance(event, int) else event
            every, times = millis / 1000, (loops or -1) if millis else 0
            self.timers[posted.type] = (clock.now + every, every, times, posted)

        time.Clock, time.wait, time.delay, time.set_timer = FakeClock, wait, wait, set_timer
        time.get_ticks = lambda: int(clock.look() * 1000)

    def _listened(self) -> None:
        """The program asks for events: what the timers owe is posted."""
        self.turn()
        now = self.clock.look()
        for kind, (at, every, times, event) in self.timers.items():
            if now >= at and times:
                self.pygame.event.post(event)
                self.timers[kind] = (max(at + every, now), every, times - 1, event)

    def _events(self) -> None:
        pg, event = self.pygame, self.pygame.event

        def listening(real: Any) -> Any:
            def call(*args: Any, **kwargs: Any) -> Any:
                self._listened()
                return real(*args, **kwargs)

            return call

        def wait(timeout: int = 0) -> Any:
            for _ in range(10_000):
                found = event.poll()
                if found.type != pg.NOEVENT:
                    break
                self.clock.pass_(0.005)
            return found

        def get_pressed() -> Any:
            self.turn()
            pg.event.pump()
            return self.held

        event.get, event.poll, event.wait = listening(event.get), listening(event.poll), wait
        pg.key.get_pressed = get_pressed

    def _fonts(self) -> None:
        """Words are noted and not drawn: a score that changes is no snake that moves."""
        pg, player = self.pygame, self.player

        class Font(pg.font.Font):  # type: ignore[misc, name-defined]
            """pygame's font, whose words are seen by the player alone."""

            def render(self, text: Any, *args: Any, **kwargs: Any) -> Any:
                player.text(str(text))
                return pg.Surface(super().render(text, *args, **kwargs).get_size(), pg.SRCALPHA)

        pg.font.Font = Font
        pg.font.SysFont = lambda name=None, size=12, *_, **__: Font(None, int(size))

    def sleep(self, seconds: float) -> None:
        """What ``time.sleep`` does."""
        self.turn()
        self.clock.pass_(seconds)
