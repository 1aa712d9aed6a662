"""How far a free-form Snake gets: L0 to L6, and the report's three marks.

A level is reached when its check and all below it hold:

- L0 there is nothing that this Python can parse (no code at all, or not Python),
- L1 it parses, L2 its imports work,
- L3 it shows 300 frames without an exception (over several games, where they end by themselves earlier),
- L4 its frames answer to the arrow keys (or WASD, ZQSD): two games of the same seed differ by the keys alone,
- L5 the snake eats and is longer afterwards, L6 a game over is reached, and no game ends in an exception instead.

L5 is read from the picture (``drivers/reading.py``). Where the picture could not be read, or the player never met
the food, the check is absent: not shown, which is not failed. L6 is shown by words on the screen, by the program's
own end, by a picture that no key moves any more, or by a snake that is small again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from programs.judge.box import chosen
from programs.judge.extract import parsed
from programs.judge.plays import Play, Seen, play
from programs.judge.sources import TOOLKITS, UNPLAYABLE, apart, no_driver, syntax, toolkit_of, unseeded
from programs.judge.types import Mark, Result
from workbook.errors import NoSandbox

MARKS: Final[dict[str, Mark]] = {
    "L0": "bad", "L1": "bad", "L2": "bad", "L3": "bad", "L4": "reserve", "L5": "reserve", "L6": "good",
}  # fmt: skip
"""Ours: the report prints three signs and never says what they mean. Good: a whole game. With reserve: it plays, and
something of the game is missing or could not be shown. Bad: nothing to play."""

GAMES = 3  # games played with other seeds before L5 counts as not shown
FRAMES = 300
SHORT = 50  # frames in all that do where every game ends itself: a small board is soon crossed


@dataclass
class Verdict:
    """What the games showed."""

    outcome: Result = "graded"
    checks: dict[str, bool] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    tier: str | None = None

    @property
    def level(self) -> str | None:
        """The last level whose check and all below it hold; None where it is not graded."""
        if self.outcome != "graded":
            return None
        reached = "L0"
        for level in ("L1", "L2", "L3", "L4", "L5", "L6"):
            if not self.checks.get(level):
                break
            reached = level
        return reached


def judge(code: str | None, *, consent: bool, python: Path | None = None, tier: str | None = None) -> Verdict:
    """Grade the program of an answer. Raises NoConsent, NoSandbox."""
    verdict = Verdict()
    tree = parsed(code) if code is not None else None
    verdict.checks["L1"] = tree is not None
    if code is None or tree is None:
        verdict.reasons.append("no code in the answer" if code is None else f"it does not parse: {syntax(code)}")
        return verdict
    toolkit = toolkit_of(tree)
    why_not = no_driver(tree) if toolkit is None else apart(tree)
    if why_not:
        verdict.outcome, verdict.reasons = "ungraded", [why_not]
        return verdict
    games = _Games(
        lambda kind, seed: play(code, toolkit or "none", kind, seed, consent=consent, python=python, tier=tier)
    )
    try:
        _play(games, verdict, toolkit, unseeded(tree))
    except NoSandbox as error:
        chosen(tier)  # no tier at all is the caller's matter; no screen for windows is this program's
        verdict.outcome, verdict.reasons = "ungraded", [str(error)]
    return verdict


class _Games:
    """The games played, in their order."""

    def __init__(self, start: Callable[..., Play]) -> None:
        self._start, self.all = start, list[Play]()

    def one(self, kind: str, seed: int) -> Play:
        game = self._start(kind, seed)
        self.all.append(game)
        return game

    @property
    def seen(self) -> list[Seen]:
        return [game.seen for game in self.all if game.seen is not None]


def _play(games: _Games, verdict: Verdict, toolkit: str | None, unseeded: bool) -> None:
    still = games.one("still", 1)
    verdict.tier = still.ended.tier
    if not _starts(still, verdict, toolkit or "nothing"):
        return
    if toolkit is None:
        verdict.checks["L3"] = False
        verdict.reasons.append(f"it draws nothing: it imports none of {', '.join(TOOLKITS)}")
        return
    again = games.one("still", 1) if unseeded else still
    steer = games.one("steer", 1)
    for seed in range(2, GAMES + 1):
        if _all_shown(games) or not all(map(_fine, games.all)):
            break
        games.one("steer", seed)
    _frames(games, verdict)
    if not verdict.checks["L3"]:
        return
    _keys(still.seen, again.seen, steer.seen, verdict)
    _eating(games.seen, verdict)
    _ending(games.seen, verdict)
    if verdict.checks.get("L6") and not all(map(_fine, games.all)):
        verdict.checks["L6"] = False  # one game over was reached, and one exception in place of another


def _starts(game: Play, verdict: Verdict, toolkit: str) -> bool:
    """L2: whether the imports work; an absent toolkit or display is no fault of the program."""
    if game.ended.how == "harness":
        verdict.outcome, verdict.reasons = "harness_error", [game.why]
        return False
    if game.seen is not None and game.seen.how == "missing":
        verdict.outcome = "ungraded"
        verdict.reasons.append(f"{toolkit} does not work here: {game.seen.error}")
        return False
    if game.imports is None:
        verdict.checks["L2"] = False
        verdict.reasons.append(game.why or "it ended while importing")
        return False
    if game.imports.missing in UNPLAYABLE:
        verdict.outcome = "ungraded"
        verdict.reasons.append(f"it needs {game.imports.missing}, which is not here")
        return False
    verdict.checks["L2"] = game.imports.error is None
    if game.imports.error is not None:
        verdict.reasons.append(f"an import fails: {game.imports.error}")
    return verdict.checks["L2"]


def _fine(game: Play) -> bool:
    return game.seen is not None and game.seen.how in ("done", "over", "no end", "exit", "slow")


def _all_shown(games: _Games) -> bool:
    frames = sum(seen.frames for seen in games.seen if seen.drawn)
    return frames >= FRAMES and any(_ate(s) for s in games.seen) and any(_over(s) for s in games.seen)


def _ate(seen: Seen) -> bool:
    return seen.eaten >= 1 and seen.grown >= 1


def _over(seen: Seen) -> bool:
    return bool(seen.over) or (seen.how == "exit" and seen.drawn >= 5 and seen.changes >= 3)


def _frames(games: _Games, verdict: Verdict) -> None:
    """L3: 300 frames of one game without an exception, or games that all end by themselves after a few."""
    for game in games.all:
        if not _fine(game):
            said = (
                game.why
                if game.seen is None
                else f"after {game.seen.frames} frames: {game.seen.error or game.seen.how}"
            )
            verdict.reasons.append(f"a game stops {said}")
            break
    drawn = [seen for seen in games.seen if seen.drawn]
    by_itself = bool(drawn) and all(seen.how == "exit" and seen.drawn >= 5 for seen in drawn)
    most, together = max((seen.frames for seen in drawn), default=0), sum(seen.frames for seen in drawn)
    verdict.checks["L3"] = most >= FRAMES or (
        all(map(_fine, games.all)) and together >= (SHORT if by_itself else FRAMES)
    )
    if not verdict.checks["L3"] and all(map(_fine, games.all)):
        verdict.reasons.append(f"it shows {most} frames and ends" if most else "it shows no frame")


def _keys(still: Seen | None, again: Seen | None, steer: Seen | None, verdict: Verdict) -> None:
    """L4: whether a game with arrow keys shows frames that the same game without them does not."""
    if still is None or again is None or steer is None:
        verdict.checks["L4"] = False
        verdict.reasons.append("a game ended before it could be compared with another")
        return
    if still.prints != again.prints:
        follows = steer.steps > 20 and steer.eaten > 0
        verdict.reasons.append(
            "its chance cannot be repeated, so the keys' effect is judged by whether the player gets to food"
        )
        if follows:
            verdict.checks["L4"] = True
        return
    new = set(steer.prints[:250]) - set(still.prints)
    verdict.checks["L4"] = len(new) >= 2
    if not verdict.checks["L4"]:
        verdict.reasons.append("the arrow keys (and WASD, ZQSD) change nothing in its frames")


def _eating(games: list[Seen], verdict: Verdict) -> None:
    """L5, three-valued: shown, refuted (food passed over or eaten in vain), or not shown."""
    eaten, passed = sum(seen.eaten for seen in games), sum(seen.passed for seen in games)
    if any(map(_ate, games)):
        verdict.checks["L5"] = True
    elif passed >= 2 or eaten >= 2:
        verdict.checks["L5"] = False
        what = (
            f"it ate {eaten} times and never grew"
            if eaten >= 2
            else f"it passed over food {passed} times, which stayed"
        )
        verdict.reasons.append(what)
    elif any(seen.read for seen in games):
        verdict.reasons.append("L5 not shown: the player did not get to the food")
    else:
        verdict.reasons.append("L5 not shown: no snake and food could be made out in its pictures")


def _ending(games: list[Seen], verdict: Verdict) -> None:
    """L6: how a game ended, or that none did although the player ran into walls and into itself."""
    ways = sorted(
        {way for seen in games for way in seen.over} | {"exit" for seen in games if _over(seen) and not seen.over}
    )
    verdict.checks["L6"] = bool(ways)
    said = {
        "text": "it says so",
        "exit": "the program ends",
        "frozen": "nothing moves any more",
        "reset": "it starts anew",
    }
    if ways:
        verdict.reasons.append("game over: " + ", ".join(said.get(way, way) for way in ways))
    elif any(seen.how == "no end" for seen in games):
        verdict.reasons.append("no game over: not at the border, not by running into itself")
    else:
        del verdict.checks["L6"]
        verdict.reasons.append("L6 not shown: no game was played to its end")
