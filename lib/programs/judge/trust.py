"""Before anything is graded: programs whose level is known are graded, and none may be misjudged.

They stand in ``data/snakes/<toolkit>/L<level>_<name>.py``. One good and one broken of the toolkit in question are
graded each time that the grader, the sandbox's tier or the Python is new, and the result is kept in the user's cache.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from programs.judge import box, levels
from workbook import paths
from workbook.errors import NotTrusted

_QUICK = {"pygame": ("L6_functions", "L4_never_grows"), "curses": ("L6_curses_list", "L4_never_grows")}
_QUICK_ELSE = ("L6_classic", "L4_never_grows")


@dataclass(frozen=True)
class Known:
    """A program whose level is known."""

    path: Path
    toolkit: str
    level: str


def known(toolkit: str | None = None) -> tuple[Known, ...]:
    """The known programs, of one toolkit or of all."""
    files = sorted((paths.data() / "snakes").glob(f"{toolkit or '*'}/L[0-6]_*.py"))
    return tuple(Known(path, path.parent.name, path.name[:2]) for path in files)


@dataclass(frozen=True)
class Tried:
    """What grading known programs gave: those misjudged, in words, and how many could be graded here at all."""

    wrong: tuple[str, ...]
    graded: int


def tried(programs: tuple[Known, ...], *, consent: bool, python: Path | None = None, tier: str | None = None) -> Tried:
    """Grade known programs. What cannot be graded here is not misjudged."""
    wrong, graded = [], 0
    for one in programs:
        code = one.path.read_text(encoding="utf-8")
        verdict = levels.judge(code, consent=consent, python=python, tier=tier)
        graded += verdict.outcome == "graded"
        name, why = f"{one.toolkit}/{one.path.stem}", "; ".join(verdict.reasons)
        if verdict.outcome == "graded" and verdict.level != one.level:
            wrong.append(f"{name} came out as {verdict.level} ({why})")
        elif verdict.outcome == "harness_error":
            wrong.append(f"{name}: {why}")
    return Tried(tuple(wrong), graded)


def trusted(toolkit: str, version: str, *, consent: bool, python: Path | None = None, tier: str | None = None) -> None:
    """Return where the known programs of ``toolkit`` come out at their levels; else refuse.

    Raises
    ------
    NotTrusted : one was misjudged. NoConsent, NoSandbox: as the sandbox says.
    """
    note = paths.cache() / "grading" / f"{_key(toolkit, version, python, tier)}.json"
    try:
        if json.loads(note.read_text(encoding="utf-8")) == {"trusted": True}:
            return
    except (OSError, ValueError):
        pass
    stems = _QUICK.get(toolkit, _QUICK_ELSE)
    programs = tuple(one for one in known(toolkit) if one.path.stem in stems)
    result = tried(programs, consent=consent, python=python, tier=tier)
    wrong = list(result.wrong)
    if len(programs) < len(stems):
        wrong.append(f"data/snakes/{toolkit} lacks {' or '.join(stems)}")
    if wrong:
        raise NotTrusted(f"nothing is graded: a program of known level was misjudged: {'; '.join(wrong)}")
    if result.graded == len(programs):
        paths.write_whole(note, json.dumps({"trusted": True}).encode())


def _key(toolkit: str, version: str, python: Path | None, tier: str | None) -> str:
    used = tier or next((one.name for one in box.tiers() if one.available), "none")
    parts = (toolkit, version, used, str(python or sys.executable), sys.version)
    return f"{toolkit}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}"
