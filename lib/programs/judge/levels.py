"""How far a free-form Snake gets: L0 to L6, and the report's three marks. A level needs all below it:

- L0 there is nothing that this Python can parse (no code at all, or not Python),
- L1 it parses, L2 its imports work,
- L3 it shows 300 frames without an exception (over several games, where they end by themselves earlier),
- L4 its frames answer to the arrow keys (or WASD, ZQSD): two games of the same seed differ by the keys alone,
- L5 the snake eats and is longer afterwards, L6 a game over is reached, and no game ends in an exception instead.

L5 is read from the picture (``play/vision.py``). Where the picture could not be read, or the player never met the
food, the check is absent: not shown, which is not failed. L6 is shown by words on the screen, by the program's own
end, by a picture that no key moves any more, or by a snake that is small again.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from programs.judge import box, candidate
from programs.judge.answer import fault, parsed
from programs.judge.box import Ended
from programs.judge.play.launch import TOOLKITS
from programs.judge.play.player import FRAMES
from workbook.errors import NoSandbox

Result = Literal["graded", "ungraded", "truncated", "harness_error"]
"""ungraded: something is not there to grade it with. truncated: the answer was cut before what the task needs.
harness_error: the grader's or the sandbox's own fault. None of the three says that the answer is wrong."""

Mark = Literal["good", "reserve", "bad"]
MARKS: Final[dict[str, Mark]] = {
    "L0": "bad", "L1": "bad", "L2": "bad", "L3": "bad", "L4": "reserve", "L5": "reserve", "L6": "good",
}  # fmt: skip
"""Ours: the report prints three signs and never says what they mean. Good: a whole game. With reserve: it plays, and
something of the game is missing or could not be shown. Bad: nothing to play."""

_TOOLKITS = ", ".join(TOOLKITS)
UNPLAYABLE: Final = frozenset({
    "arcade", "asciimatics", "blessed", "cocos", "colorama", "cv2", "freegames", "getch", "getkey", "glfw", "ipycanvas",
    "keyboard", "kivy", "matplotlib", "msvcrt", "numpy", "OpenGL", "panda3d", "PIL", "PyQt5", "PyQt6", "PySide2",
    "PySide6", "pgzero", "pgzrun", "pyglet", "pynput", "pyxel", "raylib", "readchar", "rich", "termios", "textual",
    "tty", "ursina", "winsound", "wx",
})  # fmt: skip
"""Modules that exist and that this grader has no driver for, or that another system has: ungraded, not failed."""

# Programs with one of these may have a chance that no seed repeats: the same game is played twice to see.
UNSEEDED: Final = {"SystemRandom", "urandom", "uuid4", "default_rng", "randbelow", "datetime", "numpy", "secrets"}
GAMES = 3  # games played with other seeds before L5 counts as not shown
SHORT = 50  # frames in all that do where every game ends itself: a small board is soon crossed
TIMEOUT_S = 40  # behind the driver's own limit
Decision = tuple[bool | None, str]
"""Whether a level's check held, None where it could not be shown either way, and why."""


@dataclass
class Finding:
    """What was found of one program."""

    outcome: Result = "graded"
    checks: dict[str, bool] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    tier: str | None = None

    @property
    def level(self) -> str | None:
        """The last level whose check and all below it hold; None where it is not graded."""
        missing = next((i for i in range(1, 7) if not self.checks.get(f"L{i}")), 7)
        return f"L{missing - 1}" if self.outcome == "graded" else None


class Play(BaseModel):
    """One game, as its driver tells it; checked, since it comes from the program's process.

    ``how`` is "stopped" where the driver could not tell. ``started``: the imports were tried to the end; ``imports``:
    why one fails, ``missing``: the module that is not there.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    how: str
    error: str | None
    tier: str
    frames: int = 0
    drawn: int = 0
    changes: int = 0
    prints: list[int] = []
    steps: int = 0
    eaten: int = 0
    grown: int = 0
    passed: int = 0
    over: list[str] = []
    read: bool = False
    started: bool = False
    imports: str | None = None
    missing: str | None = None

    @property
    def fine(self) -> bool:
        """It went on, or ended as a game does."""
        return self.how in ("done", "over", "no end", "exit", "slow")

    @property
    def ate(self) -> bool:
        """It ate, and was longer afterwards."""
        return self.eaten >= 1 and self.grown >= 1

    @property
    def ended(self) -> bool:
        """It came to its end."""
        return bool(self.over) or (self.how == "exit" and self.drawn >= 5 and self.changes >= 3)


def play(code: str, toolkit: str, kind: Literal["still", "steer"], seed: int, **how: Any) -> Play:
    """Play one game of ``code`` in the sandbox. Raises NoConsent, NoSandbox."""
    asked = {"play": kind, "seed": seed, "toolkit": toolkit}
    windows = toolkit in ("turtle", "tkinter")
    ended, lines = candidate.run("launch", code, asked, timeout_s=TIMEOUT_S, display=windows, **how)
    harness = ended.how == "harness"
    without = {"how": "harness" if harness else "stopped", "error": _why(ended), "tier": ended.tier}
    told = {} if harness else {name: value for line in lines for name, value in line.items()}
    try:
        return Play.model_validate({**without, **told})
    except ValidationError:
        return Play.model_validate(without)


def _why(ended: Ended) -> str:
    last = ended.stderr.decode("utf-8", "replace").strip().split("\n")[-1][:300]
    return {
        "timeout": f"ran {ended.seconds:.0f} s without showing a frame or ending",
        "memory": "took more memory than it may",
        "output": "wrote more than it may",
        "harness": f"the sandbox failed: {ended.why or last}",
        "signal": f"was ended by signal {ended.code}",
    }.get(ended.how, f"ended without a report, exit code {ended.code}{': ' + last if last else ''}")


def judge(code: str, **how: Any) -> Finding:
    """Grade a program; ``how``: consent, python, tier, as ``box.run`` takes them. Raises NoConsent, NoSandbox."""
    error = fault(code)
    if error or not parsed(code).body:
        why = f"it does not parse: {error}" if error else "there is no code in it"
        return Finding(checks={"L1": False}, reasons=[why])
    imports, names = _used(parsed(code))
    toolkit = next((name for name in TOOLKITS if name in imports), None)
    unwatched = _unwatched(toolkit, imports, names)
    if unwatched:
        return Finding("ungraded", {"L1": True}, [unwatched])
    try:
        return _found(partial(play, code, toolkit or "none", **how), toolkit, bool((imports | names) & UNSEEDED))
    except NoSandbox as missing:
        box.chosen(how.get("tier"))  # no tier at all is the caller's matter; no screen for windows is this program's
        return Finding("ungraded", {"L1": True}, [str(missing)])


def _used(tree: ast.Module) -> tuple[set[str], set[str]]:
    """The modules that a program imports, by their first name, and all names and attributes in it."""
    nodes = list(ast.walk(tree))
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return {module.partition(".")[0] for module in modules}, names


def _unwatched(toolkit: str | None, imports: set[str], names: set[str]) -> str:
    """Why a program cannot be watched here; empty where it can, or shows nothing at all."""
    other = sorted(imports & UNPLAYABLE)
    if toolkit is None and (other or "input" in names):
        what = f"it uses {', '.join(other)}" if other else "it plays in the terminal by input()"
        return f"{what}: there is no driver for that. Graded are {_TOOLKITS}"
    if toolkit and "multiprocessing" in imports and names & {"Process", "Pool", "Manager"}:
        return "it plays in several processes, and only one of them can be watched"
    return ""


def _found(start: Callable[..., Play], toolkit: str | None, unseeded: bool) -> Finding:
    """Play until every level is decided; ``start``: plays one game, of this kind and seed."""
    still = start("still", 1)
    stopped = _before_playing(still, toolkit)
    if stopped:
        return stopped
    by_chance = unseeded and start("still", 1).prints != still.prints
    games = [still, start("steer", 1)]
    for seed in range(2, GAMES + 1):
        frames = sum(game.frames for game in games if game.drawn)
        shown = frames >= FRAMES and any(game.ate for game in games) and any(game.ended for game in games)
        if shown or not all(game.fine for game in games):
            break
        games.append(start("steer", seed))
    finding = Finding(checks={"L1": True, "L2": True}, tier=still.tier)
    for level, decide in (("L3", _frames), ("L4", partial(_keys, by_chance)), ("L5", _eating), ("L6", _ending)):
        held, why = decide(games)
        finding.checks |= {} if held is None else {level: held}
        finding.reasons += [why] if why else []
        if not finding.checks["L3"]:
            break
    return finding


def _before_playing(game: Play, toolkit: str | None) -> Finding | None:
    """What a program comes to that shows no game; an absent toolkit or display is no fault of the program."""
    cases: list[tuple[bool, Result, dict[str, bool], str]] = [
        (game.how == "harness", "harness_error", {}, game.error or ""),
        (game.how == "missing", "ungraded", {}, f"{toolkit} does not work here: {game.error}"),
        (game.missing in UNPLAYABLE, "ungraded", {}, f"it needs {game.missing}, which is not here"),
        (not game.started, "graded", {"L2": False}, game.error or ""),
        (bool(game.imports), "graded", {"L2": False}, f"an import fails: {game.imports}"),
        (not toolkit, "graded", {"L2": True, "L3": False}, f"it draws nothing: it imports none of {_TOOLKITS}"),
    ]
    return next((Finding(how, {"L1": True, **held}, [why], game.tier) for case, how, held, why in cases if case), None)


def _frames(games: list[Play]) -> Decision:
    """L3: 300 frames of one game without an exception, or games that all end by themselves after a few."""
    drawn = [game for game in games if game.drawn]
    by_itself = bool(drawn) and all(game.how == "exit" and game.drawn >= 5 for game in drawn)
    most, together = max((game.frames for game in drawn), default=0), sum(game.frames for game in drawn)
    wrong = next((game for game in games if not game.fine), None)
    enough = most >= FRAMES or (wrong is None and together >= (SHORT if by_itself else FRAMES))
    if wrong is not None:
        after = "" if wrong.how == "stopped" else f"after {wrong.frames} frames: "
        return enough, f"a game stops {after}{wrong.error or wrong.how}"
    return enough, "" if enough else f"it shows {most} frames and ends" if most else "it shows no frame"


def _keys(by_chance: bool, games: list[Play]) -> Decision:
    """L4: whether a game with arrow keys shows frames that the same game without them does not.

    Where the frames differ by chance too, keys work if the player gets to the food.
    """
    still, steer = games[:2]
    if "stopped" in (still.how, steer.how):
        return False, "a game ended before it could be compared with another"
    follows = len(set(steer.prints[:250]) - set(still.prints)) >= 2 and (steer.eaten > 0 or not by_chance)
    return follows, "" if follows else "the arrow keys (and WASD, ZQSD) change nothing in its frames"


def _eating(games: list[Play]) -> Decision:
    """L5, three-valued: shown, refuted (food passed over or eaten in vain), or not shown."""
    eaten, passed = sum(game.eaten for game in games), sum(game.passed for game in games)
    cases: list[tuple[bool, bool | None, str]] = [
        (any(game.ate for game in games), True, ""),
        (eaten >= 2, False, f"it ate {eaten} times and never grew"),
        (passed >= 2, False, f"it passed over food {passed} times, which stayed"),
        (any(game.read for game in games), None, "L5 not shown: the player did not get to the food"),
        (True, None, "L5 not shown: no snake and food could be made out in its pictures"),
    ]
    return next((held, why) for case, held, why in cases if case)


def _ending(games: list[Play]) -> Decision:
    """L6: how a game ended, or that none did although the player ran into walls and into itself."""
    said = {"text": "it says so", "exit": "the program ends", "frozen": "nothing moves any more",
            "reset": "it starts anew"}  # fmt: skip
    ways = sorted({way for game in games if game.ended for way in game.over or ["exit"]})
    if ways:  # it does not hold where another game ended in an exception instead
        fine = all(game.fine for game in games)
        return fine, "game over: " + ", ".join(said.get(way, way) for way in ways)
    if any(game.how == "no end" for game in games):
        return False, "no game over: not at the border, not by running into itself"
    return None, "L6 not shown: no game was played to its end"
