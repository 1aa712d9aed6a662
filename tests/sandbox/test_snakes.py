"""Every known program comes out at its level: games that models like to write, and the same with one mistake."""

from pathlib import Path

import pytest

from programs import judge as grading
from programs.judge import box, levels, tasks, trust

KNOWN = trust.known()
TIER = next(one for one in box.tiers() if one.name == "bubblewrap")


def test_every_level_of_every_toolkit_is_there():
    assert {(one.toolkit, one.level) for one in KNOWN} >= {(t, f"L{i}") for t in levels.TOOLKITS for i in range(7)}


@pytest.mark.parametrize("one", KNOWN, ids=lambda one: f"{one.toolkit}-{one.path.stem}")
def test_known_program(one, needs_tier, request):
    needs_tier(TIER)
    windows = one.toolkit in ("turtle", "tkinter")
    python = Path(request.getfixturevalue("window_python")) if windows else None
    verdict = levels.judge(one.path.read_text(encoding="utf-8"), consent=True, python=python, tier="bubblewrap")
    assert (verdict.outcome, verdict.level) == ("graded", one.level), verdict.reasons


@pytest.mark.parametrize("right", [True, False])
def test_the_examples_of_the_reports_prompt(right, needs_tier, cache):
    needs_tier(TIER)
    one = tasks.task("snake-fr")
    for answer in one.accept if right else one.refuse:
        grade = grading.grade("snake-fr", answer, consent=True, tier="bubblewrap")
        assert (grade.outcome, grade.passed) == ("graded", right), grade.reasons
        assert grade.mark == ("good" if right else "bad")
