"""One answer, from its text to its grade."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from programs.judge import asking, carried, levels, sources, tasks, trust
from programs.judge.checkers import FunctionDoes, Judged, SnakeContract, SnakeLevels
from programs.judge.extract import Extracted, parsed, program
from programs.judge.tasks import Task
from programs.judge.types import Grade
from workbook.errors import NoConsent

LONGEST_CODE = 200_000  # characters of a program that is run


def version() -> str:
    """The grader's version: it changes with any change of the levels, the drivers, the checkers or the tasks."""
    return f"{carried.version()}-{tasks.digest()}"


def grade(
    task_id: str, answer: str, *, consent: bool, truncated: bool = False,
    python: Path | None = None, tier: str | None = None,
) -> Grade:  # fmt: skip
    """Grade ``answer`` to the task ``task_id``.

    Parameters
    ----------
    consent : the user agreed that generated programs are run, contained; needed by the tasks that run code.
    truncated : the answer was cut at its limit of tokens. Then it passes where it passes all the same; else its
        outcome is "truncated", not a fail. To count a rate over samples, count it as not passed, and say how many.
    python : the interpreter that runs it; this one without. ``tier``: of the sandbox; the strongest without.

    Raises
    ------
    BadTask, NoConsent, NoSandbox, NotTrusted
    """
    one = tasks.task(task_id)
    if not one.needs_code:
        judged = one.checker.judge(answer)  # type: ignore[union-attr]
        return _passed(one, judged, cut=truncated)
    if not consent:
        raise NoConsent(
            f"the task {task_id} runs the program in the answer: only after a yes (consent=True, or --yes)."
        )
    found = program(answer)
    if found.code is None or (parsed(found.code) is None and (truncated or found.outcome == "truncated")):
        return _no_code(one, found, truncated)
    open_end = found.outcome == "truncated" and truncated
    return _of_code(one, found.code, open_end, consent=consent, python=python, tier=tier)


def grade_program(
    task_id: str, code: str, *, consent: bool, python: Path | None = None, tier: str | None = None
) -> Grade:
    """Grade a program as it is, without an answer around it. Raises as ``grade`` does."""
    one = tasks.task(task_id)
    if not one.needs_code:
        return grade(task_id, code, consent=consent)
    if not consent:
        raise NoConsent("a program of others is run only after a yes: consent=True, or --yes.")
    return _of_code(
        one, code.replace("\r\n", "\n").removeprefix("\ufeff"), False, consent=consent, python=python, tier=tier
    )


def _passed(one: Task, judged: Judged, *, cut: bool) -> Grade:
    made = Grade(
        one.id, one.version, None, "graded", judged.passed, judged.checks,
        (printable(judged.reason),) if judged.reason else (), grader_version=version(),
    )  # fmt: skip
    return replace(made, outcome="truncated", passed=None) if cut and not judged.passed else made


def _no_code(one: Task, found: Extracted, truncated: bool) -> Grade:
    """There is no whole program in the answer: cut, or never written."""
    cut = truncated or found.outcome == "truncated"
    snake = isinstance(one.checker, SnakeLevels)
    why = "the answer ends in the middle of its program" if found.code else "no code in the answer"
    if cut and found.code is None:
        why = "the answer ends before any code"
    return Grade(
        one.id, one.version, "L0" if snake and not cut else None, "truncated" if cut else "graded",
        None if cut else False, {} if cut else {"code": False}, (why,),
        "bad" if snake and not cut else None, grader_version=version(), code_sha256=_sha(found.code),
    )  # fmt: skip


def printable(text: str) -> str:
    """What a program says of itself, in one line and without the codes that would move a terminal's cursor."""
    return "".join(sign if sign.isprintable() else " " for sign in text)[:600]


def _sha(code: str | None) -> str | None:
    return hashlib.sha256(code.encode("utf-8", "replace")).hexdigest() if code is not None else None


def _of_code(one: Task, code: str, open_end: bool, *, consent: bool, python: Path | None, tier: str | None) -> Grade:
    blank = Grade(one.id, one.version, None, "graded", False, grader_version=version(), code_sha256=_sha(code))
    if len(code) > LONGEST_CODE:
        return replace(blank, checks={"code": False}, reasons=(f"a program of {len(code)} characters is not run",))
    if isinstance(one.checker, SnakeLevels):
        made = _snake(blank, code, consent=consent, python=python, tier=tier)
    else:
        made = _answered(blank, one, code, consent=consent, python=python, tier=tier)
    if open_end and made.outcome == "graded" and not made.passed:
        return replace(
            made, outcome="truncated", passed=None, level=None, mark=None, reasons=("the answer was cut", *made.reasons)
        )
    return made


def _snake(blank: Grade, code: str, *, consent: bool, python: Path | None, tier: str | None) -> Grade:
    tree = parsed(code)
    toolkit = sources.toolkit_of(tree) if tree is not None else None
    if toolkit is not None:
        trust.trusted(toolkit, version(), consent=consent, python=python, tier=tier)
    verdict = levels.judge(code, consent=consent, python=python, tier=tier)
    level = verdict.level
    return replace(
        blank,
        level=level,
        outcome=verdict.outcome,
        passed=level == "L6" if verdict.outcome == "graded" else None,
        checks=dict(verdict.checks),
        reasons=tuple(map(printable, verdict.reasons)),
        mark=levels.MARKS[level] if level else None,
        sandbox=verdict.tier,
    )


def _answered(blank: Grade, one: Task, code: str, *, consent: bool, python: Path | None, tier: str | None) -> Grade:
    """A task whose program answers calls."""
    checker = one.checker
    if parsed(code) is None:
        return replace(blank, checks={"parses": False}, reasons=("it does not parse",))
    if isinstance(checker, SnakeContract):
        answers = asking.ask(code, asking.contract_calls(), consent=consent, python=python, tier=tier)
        judged = asking.snake_contract(answers)
    else:
        assert isinstance(checker, FunctionDoes)
        calls = [[checker.name, list(case.args)] for case in checker.cases]
        answers = asking.ask(code, calls, consent=consent, python=python, tier=tier)
        judged = asking.function(checker, answers)
    if answers.ended.how == "harness":
        why = f"the sandbox failed: {answers.ended.why}"
        return replace(blank, outcome="harness_error", passed=None, reasons=(why,), sandbox=answers.ended.tier)
    reasons = (printable(judged.reason),) if judged.reason else ()
    return replace(blank, passed=judged.passed, checks=judged.checks, reasons=reasons, sandbox=answers.ended.tier)
