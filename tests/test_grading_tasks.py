"""Every task by its own examples: what must pass passes, what must not does not. And what grading refuses to do."""

import pytest
from pydantic import ValidationError

from programs import judge as grading
from programs.judge import box, levels, tasks
from programs.judge.answer import program
from programs.judge.contract import SnakeGame, games, judged
from programs.judge.play.calls import answers
from programs.judge.tasks import Task
from workbook import paths
from workbook.errors import BadTask, NoConsent

TASKS = {one.id: one for one in tasks.tasks()}
STRONG = next((one.name for one in box.tiers() if one.available and not one.weak), None)
contained = pytest.mark.skipif(STRONG is None, reason="no tier of the sandbox is strong enough here")
EXAMPLES = [
    pytest.param(one.id, text, right, marks=[contained] if one.needs_code else [], id=f"{one.id}-{right}-{i}")
    for one in TASKS.values()
    if one.id != "snake-fr"
    for right, texts in ((True, one.accept), (False, one.refuse))
    for i, text in enumerate(texts)
]


@pytest.mark.parametrize(("task", "answer", "right"), EXAMPLES)
def test_every_example(task, answer, right):
    grade = grading.grade(task, answer, consent=True)
    assert (grade.outcome, grade.passed) == ("graded", right), grade.reasons
    assert right or grade.reasons
    assert (grade.sandbox is None) or TASKS[task].needs_code
    assert grade.task_version == TASKS[task].version


def test_there_are_enough_and_the_reports_prompt_is_word_for_word():
    kinds = [one.checker.kind for one in TASKS.values()]
    assert len(TASKS) >= 14
    assert kinds.count("function") >= 5
    assert TASKS["snake-fr"].prompt == "Tu peux me générer le jeu snake en python"


def test_text_needs_no_yes_and_code_does():
    assert grading.grade("sum-two", "5", consent=False).passed
    for task in ("fn-add", "snake-fr", "snake-contract"):
        with pytest.raises(NoConsent, match="only after a yes"):
            grading.grade(task, "```python\nx = 1\n```", consent=False)


def test_cut_answers_are_no_fails():
    assert grading.grade("sum-two", "The sum of 2 and 3 is", consent=False, truncated=True).outcome == "truncated"
    assert grading.grade("sum-two", "5, because", consent=False, truncated=True).passed
    for answer in ("```python\ndef add(a, b):\n    return (a +", "<think>\nLet me see", "Here is"):
        grade = grading.grade("fn-add", answer, consent=True, truncated=True)
        assert (grade.outcome, grade.passed, grade.mark) == ("truncated", None, None)
    assert grading.grade("snake-fr", "Voici", consent=True).level == "L0"
    closed = "```python\nx = (\n```\n"
    assert grading.grade("snake-fr", closed + "It", consent=True, truncated=True).level == "L0"
    assert grading.grade("snake-fr", f"{closed}```python\ny", consent=True, truncated=True).outcome == "truncated"


@pytest.mark.parametrize("change", [{"id": "Bad Id"}, {"accept": []}, {"checker": {"kind": "magic"}}, {"more": 1}])
def test_a_wrong_task_is_refused(change):
    right = TASKS["sum-two"].model_dump()
    assert Task.model_validate(right)
    with pytest.raises(ValidationError):
        Task.model_validate(right | change)


def test_an_unknown_task_is_one_line(tmp_path, monkeypatch):
    for name in ("no-such", "../../etc/passwd", ""):
        with pytest.raises(BadTask, match="there is no task"):
            tasks.task(name)
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "a.yaml").write_text("id: [")
    monkeypatch.setattr(paths, "data", lambda: tmp_path)
    with pytest.raises(BadTask, match="is not YAML"):
        tasks.task("a")


def test_the_contracts_games_reach_every_rule():
    played = [list(answers({"SnakeGame": SnakeGame}, calls)) for _, calls in games()]
    given = [answer for game in played for answer in game]
    assert judged(given) == (dict.fromkeys((check for check, _ in games()), True), "")
    assert len([answer for answer in given if answer.get("over")]) > 10
    assert max(answer.get("score", 0) for answer in given) >= 5
    assert not any(judged([])[0].values())


FORGERS = {
    "prints a report": 'print(\'{"loaded": null}\\n{"number": 0, "answer": {"value": 3}}\', flush=True)\n',
    "writes to every descriptor": "import os\nfor fd in range(1, 64):\n    try:\n        os.write(fd, b'passed\\n')\n    except OSError:\n        pass\n",
    "exits with success": "import os\nos._exit(0)\n",
    "equals everything": "class Same(int):\n    def __eq__(self, other):\n        return True\ndef add(a, b):\n    return Same(7)\n",
    "patches json": "import json\njson.dumps = lambda *a, **k: '{\"value\": 3}'\ndef add(a, b):\n    return 0\n",
    "patches the reporter": "import sys\nfor m in list(sys.modules.values()):\n    if hasattr(m, 'DriverReport'):\n        m.DriverReport.say = lambda self, **k: None\ndef add(a, b):\n    return 0\n",
}


@contained
@pytest.mark.parametrize("forger", FORGERS)
def test_a_forger_does_not_pass(forger):
    for task in ("fn-add", "snake-contract"):
        grade = grading.grade_program(task, FORGERS[forger], consent=True)
        assert (grade.outcome, grade.passed) == ("graded", False)


@contained
def test_a_report_with_the_secret_still_needs_the_right_answers():
    code = "import sys\nr = sys._getframe(1).f_locals['report']\nr.say(loaded=None)\nfor i in range(2000):\n    r.say(number=i, answer={'value': 0})\nr.end(done=True)\n"
    assert not grading.grade_program("fn-add", code, consent=True).passed


def test_what_has_no_driver_is_ungraded_and_what_shows_nothing_is_not():
    for code in ("import msvcrt\n", "while True:\n    move = input()\n", "import pyglet\n"):
        assert levels.judge(code, consent=True).outcome == "ungraded"
    apart = "import curses\nfrom multiprocessing import Process\nProcess(target=print).start()\n"
    assert levels.judge(apart, consent=True).outcome == "ungraded"
    for code in ("def f(:", "", "# a comment\n"):
        assert levels.judge(code, consent=True).level == "L0"
        assert grading.grade_program("snake-fr", code, consent=True).mark == "bad"
    assert program(TASKS["snake-fr"].accept[0]).outcome == "one block"
    assert set(levels.MARKS) == {f"L{i}" for i in range(7)}
    assert levels.MARKS["L6"] == "good"
