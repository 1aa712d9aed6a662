"""What was found out about a run later: that it does not count, and why. Only ever appended to.

``<run's file without .jsonl>.marks`` beside the records, one line of JSON a mark; the last mark of a run counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, ValidationError

from programs.bench import lines, privacy
from programs.bench.fields import FrozenModel, Line, RunId
from programs.bench.lines import Problem
from workbook import paths
from workbook.errors import BadOption

SUFFIX = ".marks"
MAX_BYTES = 2**20


class Mark(FrozenModel):
    """A judgement on a run. ``invalid`` False takes an earlier one back."""

    run_id: RunId
    marked_at: AwareDatetime
    invalid: bool
    reason: Line


@dataclass(frozen=True)
class Marked:
    """Marks in the order of their time, and what could not be read as marks."""

    marks: tuple[Mark, ...] = ()
    problems: tuple[Problem, ...] = ()

    def invalid(self) -> dict[str, str]:
        """Run id -> reason, for the runs that do not count."""
        last = {mark.run_id: mark for mark in self.marks}
        return {run_id: mark.reason for run_id, mark in last.items() if mark.invalid}


def beside(records: Path) -> Path:
    """Where the marks of a run stand whose records are in ``records``."""
    return records.with_suffix(SUFFIX)


def add(records: Path, run_id: str, reason: str, invalid: bool = True) -> Mark:
    """Append a mark to the run in ``records``. Raises BadOption: no reason, or one that is no line of text."""
    try:
        said = privacy.text(reason.strip())
        mark = Mark(run_id=run_id, marked_at=datetime.now(UTC), invalid=invalid, reason=said)
    except ValidationError:
        raise BadOption("the reason must be one line of text, of at most 1000 characters.") from None
    append(beside(records), mark)
    return mark


def append(path: Path, mark: Mark) -> None:
    """Add one mark as one line; when this returns it is on the disk."""
    lines.append(path, mark.model_dump_json().encode())


def read(path: Path) -> Marked:
    """The marks in one file."""
    found, problems = [], []
    name = paths.shown(path)
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return Marked(problems=(Problem(name, 0, f"not a file of at most {MAX_BYTES >> 20} MiB: not read"),))
        written = path.read_bytes().split(b"\n")
    except OSError as error:
        return Marked(problems=(Problem(name, 0, f"cannot be read ({error.strerror})"),))
    for number, line in enumerate(written, 1):
        if line.strip():
            try:
                found.append(Mark.model_validate_json(line))
            except ValidationError:
                problems.append(Problem(name, number, "not a mark: skipped"))
    return Marked(tuple(found), tuple(problems))


def read_all(files: Iterable[Path]) -> Marked:
    """The marks in these files, the oldest first."""
    each = [read(path) for path in files]
    found = sorted((mark for one in each for mark in one.marks), key=lambda mark: mark.marked_at)
    return Marked(tuple(found), tuple(problem for one in each for problem in one.problems))
