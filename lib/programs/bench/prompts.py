"""Prompts by their ids: the files of ``data/prompts``, and the tasks that grading knows."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from programs.bench.fields import TaskResult
from workbook import paths
from workbook.errors import BadPlan


class Grade(Protocol):
    """What grading says of one answer: ``programs.judge.Grade``."""

    task_id: str
    task_version: str
    level: str | None
    outcome: str
    passed: bool | None
    checks: Mapping[str, bool]
    reasons: tuple[str, ...]
    mark: str | None
    sandbox: str | None
    grader_version: str
    code_sha256: str | None


@dataclass(frozen=True)
class Text:
    """A prompt's text. ``task``: whether its answer can be graded; ``needs_code``: by running what it wrote."""

    id: str
    text: str
    task: bool = False
    needs_code: bool = False

    @property
    def sha256(self) -> str:
        """Of the text, white space at its ends left out."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def known() -> tuple[str, ...]:
    """The ids of all prompts."""
    files = (path.stem for path in (paths.data() / "prompts").glob("*.txt"))
    return tuple(sorted({*files, *_tasks()}))


def find(prompt_id: str) -> Text:
    """The prompt of this id. Raises BadPlan."""
    task = _tasks().get(prompt_id)
    if task is not None:
        return Text(prompt_id, str(task.prompt).strip(), task=True, needs_code=bool(task.needs_code))
    if prompt_id not in known():
        raise BadPlan(f"there is no prompt {prompt_id!r}. Known: {', '.join(known())}.")
    return Text(prompt_id, (paths.data() / "prompts" / f"{prompt_id}.txt").read_text(encoding="utf-8").strip())


def grade(prompt_id: str, answer: str, consent: bool, truncated: bool) -> TaskResult:
    """The grade of ``answer`` as a record keeps it; the grader's own errors are raised."""
    grading: Any = importlib.import_module("programs.judge")
    found: Grade = grading.grade(prompt_id, answer, consent=consent, truncated=truncated)
    reasons = tuple(_line(reason) for reason in found.reasons[:50] if reason.strip())
    return TaskResult(
        task_id=found.task_id,
        task_version=str(found.task_version),
        grade=found.level,
        grade_outcome=found.outcome,
        grade_reasons=reasons,
        mark=found.mark,
        passed=found.passed,
        checks={_line(name)[:100]: bool(passed) for name, passed in list(found.checks.items())[:100]},
        sandbox=found.sandbox,
        grader_version=str(found.grader_version),
        code_sha256=found.code_sha256,
    )


def _tasks() -> dict[str, Any]:
    """The graded tasks by id; none where grading is not installed."""
    try:
        tasks: Any = importlib.import_module("programs.judge.tasks")
    except ModuleNotFoundError:
        return {}
    return {str(task.id): task for task in tasks.tasks()}


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:1000]
