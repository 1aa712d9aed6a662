"""How far a free-form Snake gets: L0 to L6, and the report's three marks.

A level is reached when its check and all below it hold:

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
import contextlib
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from programs.judge import box, candidate
from programs.judge.answer import fault, parsed
from programs.judge.box import Ended
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

TOOLKITS: Final = ("pygame", "turtle", "curses", "tkinter")
UNPLAYABLE: Final = frozenset({
    "arcade", "asciimatics", "blessed", "cocos", "colorama", "cv2", "freegames", "getch", "getkey", "glfw", "ipycanvas",
    "keyboard", "kivy", "matplotlib", "msvcrt", "numpy", "OpenGL", "panda3d", "PIL", "PyQt5", "PyQt6", "PySide2",
    "PySide6", "pgzero", "pgzrun", "pyglet", "pynput", "pyxel", "raylib", "readchar", "rich", "termios", "textual",
    "tty", "ursina", "winsound", "wx",
})  # fmt: skip
"""Modules that exist and that this grader has no driver for, or that another system has: ungraded, not failed."""

Count = Annotated[int, Field(ge=0, le=10**7)]
Short = Annotated[str, Field(max_length=1000)]
GAMES = 3  # games played with other seeds before L5 counts as not shown
FRAMES = 300
SHORT = 50  # frames in all that do where every game ends itself: a small board is soon crossed
TIMEOUT_S = 40  # behind the driver's own limit


@dataclass
class Finding:
    """What was found of one program."""

    outcome: Result = "graded"
    checks: dict[str, bool] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    tier: str | None = None

    def check(self, name: str, held: bool | None, why: str = "") -> None:
        """Whether a level's check held; None: it could not be shown either way."""
        if held is not None:
            self.checks[name] = held
        self.reasons += [why] if why else []

    def stop(self, outcome: Result, why: str) -> None:
        """It is not graded, for this reason."""
        self.outcome, self.reasons = outcome, [*self.reasons, why]

    @property
    def level(self) -> str | None:
        """The last level whose check and all below it hold; None where it is not graded."""
        missing = next((i for i in range(1, 7) if not self.checks.get(f"L{i}")), 7)
        return f"L{missing - 1}" if self.outcome == "graded" else None


class Play(BaseModel):
    """One game, as its driver tells it; checked, since it comes from the program's process.

    ``how`` is "stopped" where the driver could not tell. ``imports``: why an import fails, ``missing``: the module
    that is not there; ``started``: whether the imports were tried to the end.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    how: Literal["done", "over", "no end", "exit", "failed", "exception", "imports", "missing", "slow", "stopped"]
    error: Short | None
    frames: Count = 0
    drawn: Count = 0
    changes: Count = 0
    prints: Annotated[list[int], Field(max_length=1000)] = []
    steps: Count = 0
    eaten: Count = 0
    grown: Count = 0
    passed: Count = 0
    over: Annotated[list[Short], Field(max_length=10)] = []
    read: bool = False
    started: bool = False
    imports: Short = ""
    missing: Short = ""
    tier: str = ""
    harness: bool = False

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
    ended, told = candidate.run("launch", code, asked, timeout_s=TIMEOUT_S, display=windows, **how)
    game, first = Play(how="stopped", error=_why(ended)), dict[str, Any]()
    for line in told:
        if "imports" in line:
            first = {"started": True, "imports": str(line["imports"] or "")[:500], "missing": str(line.get("missing"))}
        else:
            with contextlib.suppress(ValidationError):
                game = Play.model_validate(line)
    return game.model_copy(update={**first, "tier": ended.tier, "harness": ended.how == "harness"})


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
    finding = Finding()
    error = fault(code)
    tree = ast.Module([], []) if error else parsed(code)
    finding.checks["L1"] = bool(tree.body)
    if not tree.body:
        line = getattr(error, "lineno", None)
        said = f"it does not parse: {getattr(error, 'msg', None) or error}" + (f" (line {line})" if line else "")
        finding.reasons.append(said if error else "there is no code in it")
        return finding
    imports, names = _used(tree)
    toolkit = next((name for name in TOOLKITS if name in imports), None)
    unwatched = _unwatched(toolkit, imports, names)
    if unwatched:
        finding.stop("ungraded", unwatched)
        return finding
    by_chance = names & {"SystemRandom", "urandom", "uuid4", "default_rng", "randbelow", "datetime"}
    unseeded = bool(by_chance or imports & {"numpy", "secrets"})
    try:
        _play(partial(play, code, toolkit or "none", **how), finding, toolkit, unseeded)
    except NoSandbox as missing:
        box.chosen(how.get("tier"))  # no tier at all is the caller's matter; no screen for windows is this program's
        finding.stop("ungraded", str(missing))
    return finding


def _used(tree: ast.Module) -> tuple[set[str], set[str]]:
    """The modules that a program imports, by their first name, and all names and attributes in it."""
    modules, names = set[str](), set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.Name | ast.Attribute):
            names.add(node.id if isinstance(node, ast.Name) else node.attr)
    return modules, names


def _unwatched(toolkit: str | None, imports: set[str], names: set[str]) -> str:
    """Why a program cannot be watched here; empty where it can, or shows nothing at all."""
    other = sorted(imports & UNPLAYABLE)
    if toolkit is None and (other or "input" in names):
        what = f"it uses {', '.join(other)}" if other else "it plays in the terminal by input()"
        return f"{what}: there is no driver for that. Graded are {', '.join(TOOLKITS)}"
    if toolkit and "multiprocessing" in imports and names & {"Process", "Pool", "Manager"}:
        return "it plays in several processes, and only one of them can be watched"
    return ""


def _play(start: Any, finding: Finding, toolkit: str | None, unseeded: bool) -> None:
    still = start("still", 1)
    finding.tier = still.tier
    if not _starts(still, finding, toolkit or "nothing"):
        return
    if toolkit is None:
        finding.check("L3", False, f"it draws nothing: it imports none of {', '.join(TOOLKITS)}")
        return
    again = start("still", 1) if unseeded else still
    steer = start("steer", 1)
    games = [still, again, steer] if unseeded else [still, steer]
    for seed in range(2, GAMES + 1):
        frames = sum(game.frames for game in games if game.drawn)
        shown = frames >= FRAMES and any(game.ate for game in games) and any(game.ended for game in games)
        if shown or not all(game.fine for game in games):
            break
        games.append(start("steer", seed))
    _frames(games, finding)
    if finding.checks["L3"]:
        _keys(still, again, steer, finding)
        _eating(games, finding)
        _ending(games, finding)


def _starts(game: Play, finding: Finding, toolkit: str) -> bool:
    """L2: whether the imports work; an absent toolkit or display is no fault of the program."""
    if game.harness:
        finding.stop("harness_error", game.error or "")
    elif game.how == "missing":
        finding.stop("ungraded", f"{toolkit} does not work here: {game.error}")
    elif not game.started:
        finding.check("L2", False, game.error or "")
    elif game.missing in UNPLAYABLE:
        finding.stop("ungraded", f"it needs {game.missing}, which is not here")
    else:
        finding.check("L2", not game.imports, f"an import fails: {game.imports}" if game.imports else "")
    return finding.checks.get("L2", False)


def _frames(games: list[Play], finding: Finding) -> None:
    """L3: 300 frames of one game without an exception, or games that all end by themselves after a few."""
    drawn = [game for game in games if game.drawn]
    by_itself = bool(drawn) and all(game.how == "exit" and game.drawn >= 5 for game in drawn)
    most, together = max((game.frames for game in drawn), default=0), sum(game.frames for game in drawn)
    wrong = next((game for game in games if not game.fine), None)
    enough = most >= FRAMES or (wrong is None and together >= (SHORT if by_itself else FRAMES))
    why = "" if enough else f"it shows {most} frames and ends" if most else "it shows no frame"
    if wrong is not None:
        after = "" if wrong.how == "stopped" else f"after {wrong.frames} frames: "
        why = f"a game stops {after}{wrong.error or wrong.how}"
    finding.check("L3", enough, why)


def _keys(still: Play, again: Play, steer: Play, finding: Finding) -> None:
    """L4: whether a game with arrow keys shows frames that the same game without them does not."""
    if "stopped" in (still.how, again.how, steer.how):
        finding.check("L4", False, "a game ended before it could be compared with another")
    elif still.prints != again.prints:
        follows = True if steer.steps > 20 and steer.eaten > 0 else None
        why = "its chance cannot be repeated, so the keys' effect is judged by whether the player gets to food"
        finding.check("L4", follows, why)
    else:
        follows = len(set(steer.prints[:250]) - set(still.prints)) >= 2
        finding.check("L4", follows, "" if follows else "the arrow keys (and WASD, ZQSD) change nothing in its frames")


def _eating(games: list[Play], finding: Finding) -> None:
    """L5, three-valued: shown, refuted (food passed over or eaten in vain), or not shown."""
    eaten, passed = sum(game.eaten for game in games), sum(game.passed for game in games)
    if any(game.ate for game in games):
        finding.check("L5", True)
    elif eaten >= 2:
        finding.check("L5", False, f"it ate {eaten} times and never grew")
    elif passed >= 2:
        finding.check("L5", False, f"it passed over food {passed} times, which stayed")
    elif any(game.read for game in games):
        finding.check("L5", None, "L5 not shown: the player did not get to the food")
    else:
        finding.check("L5", None, "L5 not shown: no snake and food could be made out in its pictures")


def _ending(games: list[Play], finding: Finding) -> None:
    """L6: how a game ended, or that none did although the player ran into walls and into itself."""
    said = {"text": "it says so", "exit": "the program ends", "frozen": "nothing moves any more",
            "reset": "it starts anew"}  # fmt: skip
    ways = sorted({way for game in games if game.ended for way in game.over or ["exit"]})
    if ways:  # it does not hold where another game ended in an exception instead
        fine = all(game.fine for game in games)
        finding.check("L6", fine, "game over: " + ", ".join(said.get(way, way) for way in ways))
    elif any(game.how == "no end" for game in games):
        finding.check("L6", False, "no game over: not at the border, not by running into itself")
    else:
        finding.check("L6", None, "L6 not shown: no game was played to its end")
