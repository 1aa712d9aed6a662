"""Exercises: every example of every file, answers no reader should be able to break it with, and damaged files."""

from __future__ import annotations

import contextlib
import math
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbook import paths
from workbook.errors import BadExercise
from workbook.exercises import check, judge, load, questions, solution

FILES = sorted((paths.data() / "exercises").glob("*.yaml"))
ALL = {number: exercise for file in FILES for number, exercise in load(file).items()}
COMMON = "why: Because.\n  hint: Look again.\n  solution: The way.\n"
WRONG_FOR_ANYONE = [None, math.nan, math.inf, -math.inf, "", " ", "x" * 1_000_000, b"1", 10**400, [], {}, [[1], [1, 2]],
                    object(), np.array([]), np.array(["a"]), {"a": 1}, range(3), 1j, True]  # fmt: skip


def example(value: Any) -> Any:
    """An example of a YAML file: itself, or what ``{python: …}`` evaluates to (the last name it defines)."""
    if not (isinstance(value, dict) and set(value) == {"python"}):
        return value
    names: dict[str, Any] = {"np": np}
    code = value["python"]
    if not code.lstrip().startswith(("def ", "import ")):
        return eval(code, names)
    exec(code, names)
    return names[[name for name in names if name != "__builtins__"][-1]]


def entry(tmp_path: Path, body: str) -> Any:
    """The exercise that a YAML body describes."""
    file = tmp_path / "99_x.yaml"
    file.write_text('"99.1":\n  ' + body.replace("\n", "\n  ").rstrip() + "\n  " + COMMON, encoding="utf-8")
    return load(file)["99.1"]


def test_every_example_of_every_file(capsys: pytest.CaptureFixture[str]) -> None:
    for number, exercise in ALL.items():
        for value in exercise.accept:
            assert judge(exercise, example(value)).right is True, (number, value)
        for value in exercise.refuse:
            assert judge(exercise, example(value)).right is False, (number, value)
        check(number, ...)
        assert capsys.readouterr().out == f"{number}  Not answered yet.\n"


def test_no_odd_answer_is_right_or_breaks_check(capsys: pytest.CaptureFixture[str]) -> None:
    for number in {exercise.kind: number for number, exercise in ALL.items()}.values():
        for value in WRONG_FOR_ANYONE:
            check(number, value)
            out = capsys.readouterr().out
            assert out.startswith(f"{number}  ✗ ")
            assert out.count("\n") == 1
            assert len(out) < 400


def test_no_hint_gives_the_answer_away() -> None:
    for exercise in ALL.values():
        for hint in [exercise.hint, *(f.say for f in exercise.feedback)]:
            if exercise.kind == "number":
                assert not any(judge(exercise, n).right for n in re.findall(r"\d[\d.,]*\d|\d", hint)), hint
            elif exercise.kind == "text":
                wanted = [exercise.answer] if isinstance(exercise.answer, str) else exercise.answer
                assert not any(re.search(rf"\b{re.escape(w)}\b", hint, re.IGNORECASE) for w in wanted), hint


def test_a_file_holds_its_own_page() -> None:
    for file in FILES:
        assert {number.partition(".")[0] for number in load(file)} == {file.stem[:2]}


def test_solution_prints_and_answers_are_not_returned(capsys: pytest.CaptureFixture[str]) -> None:
    number = next(iter(ALL))
    assert solution(number) is None
    assert ALL[number].solution.strip() in capsys.readouterr().out
    assert check(number, ...) is None


NUMBER = "kind: number\nanswer: 4.52\nwithin: 2%\naccept: [4.5]\nrefuse: [5]\n"


def test_a_number_is_read_as_people_write_it(tmp_path: Path) -> None:
    exercise = entry(tmp_path, NUMBER)
    right = [4.52, 4.44, 4.6, "4.52", "4,52", " 4,52 ", "+4.52", "4.52e0", np.float32(4.52), np.array(4.52),
             Decimal("4.52"), Fraction(452, 100), "4\u202f,52"]  # fmt: skip
    wrong = [4.42, 4.62, "4.5.2", "4,5,2", "4.52 GB", "4;52", "0x4", "four", np.array([4.52]), Decimal("sNaN"), [4.52]]
    assert [answer for answer in right if not judge(exercise, answer).right] == []
    assert [answer for answer in wrong if judge(exercise, answer).right is not False] == []


def test_readings_of_a_number() -> None:
    both = {"1,000": {1000, 1}, "12 %": {0.12, 12}, "1,234,567.5": {1234567.5}, "1.234.567,5": {1234567.5},
            "1 000": {1000}, "1_000": {1000}, "1e3": {1000}, ".5": {0.5}, "-3": {-3}}  # fmt: skip
    assert all(wanted <= set(questions.readings(text)) for text, wanted in both.items())
    assert questions.readings("4.52") == [4.52]
    assert questions.readings("1.000") == [1.0], "thousands are not read as units"


def test_feedback_fits_the_wrong_answer(tmp_path: Path) -> None:
    gb = entry(tmp_path, NUMBER + "feedback:\n  - {when: 36.1, say: Gigabits.}\n  - {when: 4.21, say: GiB.}\n")
    assert judge(gb, 36.2).say == "Gigabits."
    assert judge(gb, "4,21").say == "GiB."
    assert judge(gb, 8).say == "Look again."
    assert judge(gb, 4.5).say == "Because."


def test_choice(tmp_path: Path) -> None:
    one = entry(tmp_path, "kind: choice\noptions: [a, b, c]\nanswer: b\naccept: [b]\nrefuse: [a]\n")
    assert [judge(one, x).right for x in ("b", " B ", ["b"], "a", "ab", "a b", 2)] == [True] * 3 + [False] * 4
    several = entry(tmp_path, "kind: choice\noptions: [a, b, c]\nanswer: [a, c]\naccept: [ac]\nrefuse: [a]\n")
    assert [judge(several, x).right for x in ("a, c", "c a", {"a", "c"}, "a", "a b c")] == [True] * 3 + [False] * 2
    assert judge(one, "z").say == "Choose from a, b, c, in quotes."


def test_text(tmp_path: Path) -> None:
    loose = entry(tmp_path, "kind: text\nanswer: [forêt noire]\naccept: [forêt noire]\nrefuse: [x]\n")
    assert [judge(loose, x).right for x in ("Foret  Noire.", '"forêt noire"', "FORE\u0302T NOIRE", "noire")] == [
        True, True, True, False,
    ]  # fmt: skip


DOUBLE = (
    "kind: function\nname: double\ncases:\n  - {args: [2], result: 4}\n  - {args: [[1, 2]], result: [2, 4], say: Lists too.}"
    "\narrays: true\naccept: [{python: 'lambda x: 2 * x'}]\nrefuse: [{python: 'lambda x: x'}]\n"
)


def test_function_is_called_safely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "CALL_SECONDS", 0.2)
    double = entry(tmp_path, DOUBLE)

    def for_ever(x: Any) -> Any:
        while True:
            with contextlib.suppress(Exception):  # the deadline must pass through this
                x = 2 * x

    def leaves(x: Any) -> Any:
        raise SystemExit(3)

    class Sullen:
        def __repr__(self) -> str:
            raise RuntimeError

    assert judge(double, lambda x: 2 * x).right
    assert judge(double, lambda x: 1 / 0).say == "double(2) stops with ZeroDivisionError: division by zero"
    assert judge(double, lambda: 1).say.startswith("double(2) stops with TypeError: ")
    assert judge(double, for_ever).say == "double(2) stops with OutOfTime: no result after 0.2 seconds"
    assert judge(double, leaves).say == "double(2) stops with SystemExit: 3"
    assert judge(double, lambda x: Sullen()).say == "double(2) gives a Sullen. Look again."
    assert judge(double, lambda x: 4).say == "double([1, 2]) gives 4. Lists too."
    assert judge(double, lambda x: ...).right is None
    assert judge(double, 4).say == "Give the function itself: double, without parentheses."


def test_a_function_that_changes_its_arguments_does_not_change_the_exercise(tmp_path: Path) -> None:
    body = DOUBLE.replace("arrays: true\n", "")
    double = entry(tmp_path, body)
    for _ in range(2):
        assert judge(double, lambda x: x.clear() if isinstance(x, list) else 2 * x).right is False
    assert judge(double, lambda x: [2 * i for i in x] if isinstance(x, list) else 2 * x).right


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (NUMBER + "answr: 3\n", "Extra inputs"),
        (NUMBER.replace("within: 2%", "within: two"), "within is a percentage"),
        (NUMBER.replace("answer: 4.52\n", ""), "Field required"),
        (NUMBER.replace("kind: number", "kind: riddle"), "riddle"),
        (NUMBER.replace("accept: [4.5]", "accept: []"), "at least 1 item"),
        (NUMBER + "answer: 5\n", "stands twice"),
        (NUMBER + "feedback: [{when: 4.55, say: nearly}]\n", "never reached"),
        (NUMBER + "feedback: [{when: 9, say: a}, {when: 9.01, say: b}]\n", "never reached"),
        (NUMBER + "why: [\n", "is not YAML"),
        ("kind: choice\noptions: [a, b]\nanswer: c\naccept: [a]\nrefuse: [b]\n", "Choose from"),
        ("kind: choice\noptions: [yes, no]\nanswer: yes\naccept: [a]\nrefuse: [b]\n", "valid string"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(body: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(BadExercise) as error:
        entry(tmp_path, body)
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)
    assert str(tmp_path.parent) not in str(error.value)


def test_an_unknown_exercise_says_which_there_are() -> None:
    unknown: list[Any] = ["11.99", "99.1", "11", "", "../x", "*", 11.1]
    for number in unknown:
        with pytest.raises(BadExercise, match=r"There is no exercise"):
            check(number, 1)
