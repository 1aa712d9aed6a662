"""What a grade says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Result = Literal["graded", "ungraded", "truncated", "harness_error"]
"""ungraded: something is not there to grade it with. truncated: the answer was cut before what the task needs.
harness_error: the grader's or the sandbox's own fault. None of the three says that the answer is wrong."""

Mark = Literal["good", "reserve", "bad"]


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
    checks: Mapping[str, bool] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    mark: Mark | None = None
    sandbox: str | None = None
    grader_version: str = ""
    code_sha256: str | None = None
