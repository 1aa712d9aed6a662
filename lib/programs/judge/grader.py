"""One answer, from its text to its grade."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from programs.judge import candidate, levels, tasks
from programs.judge.answer import fault, plain, program
from programs.judge.levels import Finding, Mark, Result
from programs.judge.tasks import SnakeLevels, Task, Words
from workbook import paths


@dataclass(frozen=True)
class Grade:
    """The grade of one answer.

    ``level``: "L0" to "L6" for a free-form Snake, None for a task that is passed or not.
    ``passed``: None unless ``outcome`` is graded. For a free-form Snake: whether it reached the last level.
    ``checks``: what was decided, by name; what could not be shown either way is absent and stands in ``reasons``.
    ``mark``: one of the 2025 report's three; the mapping is ours (``levels.MARKS``), the report never gave its own.
    ``sandbox``: the tier that ran the code; None where no code was run.
    """

    task_id: str
    task_version: str
    level: str | None
    outcome: Result
    passed: bool | None
    checks: Mapping[str, bool]
    reasons: tuple[str, ...]
    mark: Mark | None
    sandbox: str | None
    grader_version: str
    code_sha256: str | None

    @property
    def verdict(self) -> str:
        """The level; without levels passed or failed; ungraded, truncated, harness_error."""
        if self.outcome != "graded":
            return self.outcome
        return self.level or ("passed" if self.passed else "failed")

    def report(self) -> str:
        """All of it, as lines of text."""
        rows = [
            ("task", f"{self.task_id}, version {self.task_version}"),
            ("grade", self.verdict),
            ("mark", self.mark),
            ("checks", ", ".join(f"{name} {'yes' if right else 'no'}" for name, right in self.checks.items())),
            *(("why", reason) for reason in self.reasons),
            ("sandbox", self.sandbox or "nothing was run"),
            ("grader", self.grader_version),
        ]
        return "\n".join(f"{name:<8} {text}" for name, text in rows if text)


@functools.cache
def version() -> str:
    """The grader's version: it changes with any change of the levels, the drivers, the checkers or the tasks."""
    room = Path(__file__).parent
    files = sorted([*room.glob("*.py"), *room.glob("play/*.py"), *(paths.data() / "prompts").glob("*.yaml")])
    return hashlib.sha256(b"\0".join(path.read_bytes().replace(b"\r\n", b"\n") for path in files)).hexdigest()[:16]


def grade(
    task_id: str, answer: str, *, consent: bool, truncated: bool = False,
    python: Path | None = None, tier: str | None = None,
) -> Grade:  # fmt: skip
    """Grade ``answer`` to the task ``task_id``.

    Parameters
    ----------
    consent : the user agreed that generated programs are run, contained; needed where there is one to run.
    truncated : the answer was cut at its limit of tokens. Then it passes where it passes all the same; else its
        outcome is "truncated", not a fail. To count a rate over samples, count it as not passed, and say how many.
    python : the interpreter that runs it; this one without. ``tier``: of the sandbox; the strongest without.

    Raises
    ------
    BadTask, NoConsent, NoSandbox
    """
    one = tasks.task(task_id)
    if isinstance(one.checker, Words):
        said = plain(answer)
        checks, why = one.checker.judge(said) if said else ({"answered": False}, "an empty answer")
        return _made(one, Finding(checks=checks, reasons=[why]), None, cut=truncated)
    found = program(answer)
    cut = found.outcome == "truncated" or (truncated and found.code is None)  # a block that was closed is whole
    if found.code is None:
        why = "the answer ends before any code" if cut else "no code in the answer"
        return _made(one, Finding(checks={} if cut else {"code": False}, reasons=[why]), None, cut)
    if cut and fault(found.code):
        return _made(one, Finding(reasons=["the answer ends in the middle of its program"]), found.code, cut)
    finding = _found(one, found.code, consent=consent, python=python, tier=tier)
    return _made(one, finding, found.code, cut=truncated and found.outcome == "truncated")


def grade_program(task_id: str, code: str, **how: Any) -> Grade:
    """Grade a program as it is, without an answer around it; ``how`` and errors as of ``grade``."""
    one = tasks.task(task_id)
    if not one.needs_code:
        return grade(task_id, code, **how)
    code = code.replace("\r\n", "\n").removeprefix("\ufeff")
    return _made(one, _found(one, code, **how), code, cut=False)


def grade_file(path: Path, task_id: str, **how: Any) -> Grade:
    """Grade a program (``.py``) or an answer (any other file); ``how`` and errors as of ``grade``."""
    graded = grade_program if path.suffix == ".py" else grade
    return graded(task_id, path.read_bytes().decode("utf-8", "replace"), **how)


def _found(one: Task, code: str, **how: Any) -> Finding:
    """Run the program in the sandbox, as the task's checker asks."""
    checker = one.checker
    assert not isinstance(checker, Words)
    if isinstance(checker, SnakeLevels):
        return levels.judge(code, **how)
    if fault(code):
        return Finding(checks={"parses": False}, reasons=["it does not parse"])
    ended, answers, problem = candidate.answers(code, checker.calls(), **how)
    if ended.how == "harness":
        return Finding("harness_error", reasons=[f"the sandbox failed: {ended.why}"], tier=ended.tier)
    checks, why = checker.judge(answers)
    return Finding(checks=checks, reasons=[problem or why], tier=ended.tier)


def _made(one: Task, finding: Finding, code: str | None, cut: bool) -> Grade:
    """The grade of what was found; where the answer was cut, what did not pass is not decided."""
    reached = finding.level if isinstance(one.checker, SnakeLevels) else None
    passed = reached == "L6" if reached else bool(finding.checks) and all(finding.checks.values())
    outcome: Result = "truncated" if cut and finding.outcome == "graded" and not passed else finding.outcome
    level = reached if outcome == "graded" else None
    return Grade(
        task_id=one.id,
        task_version=one.version,
        level=level,
        outcome=outcome,
        passed=passed if outcome == "graded" else None,
        checks=finding.checks,
        # What a program says of itself, without the codes that would move a terminal's cursor.
        reasons=tuple("".join(c if c.isprintable() else " " for c in why)[:600] for why in finding.reasons if why),
        mark=levels.MARKS[level] if level else None,
        sandbox=finding.tier,
        grader_version=version(),
        code_sha256=hashlib.sha256(code.encode("utf-8", "replace")).hexdigest() if code is not None else None,
    )
