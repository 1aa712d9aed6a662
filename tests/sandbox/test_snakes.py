"""Every known program comes out at its level: games that models like to write, and the same with one mistake."""

from pathlib import Path

import pytest

from programs import judge as grading
from programs.judge import box, levels, tasks
from workbook import paths

KNOWN = sorted((paths.data() / "snakes").glob("*/L[0-6]_*.py"))  # a program's name begins with its level
TIER = next(one for one in box.tiers() if one.name == "bubblewrap")


def test_every_level_of_every_toolkit_is_there():
    have = {(path.parent.name, path.name[:2]) for path in KNOWN}
    assert have >= {(toolkit, f"L{i}") for toolkit in levels.TOOLKITS for i in range(7)}


@pytest.mark.parametrize("path", KNOWN, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_known_program(path, needs_tier, request):
    needs_tier(TIER)
    windows = path.parent.name in ("turtle", "tkinter")
    python = Path(request.getfixturevalue("window_python")) if windows else None
    finding = levels.judge(path.read_text(encoding="utf-8"), consent=True, python=python, tier="bubblewrap")
    assert (finding.outcome, finding.level) == ("graded", path.name[:2]), finding.reasons


@pytest.mark.parametrize("right", [True, False])
def test_the_examples_of_the_reports_prompt(right, needs_tier, cache):
    needs_tier(TIER)
    one = tasks.task("snake-fr")
    for answer in one.accept if right else one.refuse:
        grade = grading.grade("snake-fr", answer, consent=True, tier="bubblewrap")
        assert (grade.outcome, grade.passed) == ("graded", right), grade.reasons
        assert grade.mark == ("good" if right else "bad")
