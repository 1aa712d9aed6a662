"""``workbook grade``: grade an answer, a program, or all the answers that a run of the recorder left."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from programs.cli.shared import one_line, say
from workbook import paths
from workbook.errors import BadOption

if TYPE_CHECKING:
    from programs.judge import Grade
    from programs.judge.tasks import Task

LARGEST = 2_000_000  # bytes of one answer


@one_line
def grade(
    file: Annotated[Path, typer.Argument(help="An answer (Markdown), a program (.py), or a folder of answers.")],
    task: Annotated[
        str | None, typer.Option(help="Id of the task; without: as the file's name says, else snake-fr.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Agree that the program is run, contained.")] = False,
    python: Annotated[Path | None, typer.Option(help="Python that runs the program; this one without.")] = None,
    tier: Annotated[str | None, typer.Option(help="Tier of the sandbox; the strongest without.")] = None,
) -> None:
    """Grade what a model wrote: how far it gets, why, and how it was contained. Runs programs only after a yes."""
    from programs.judge import tasks

    files = _files(file)
    chosen = [(path, tasks.task(task) if task else _task_of(path)) for path in files]
    consent = _agreed(yes, any(one.needs_code for _, one in chosen))
    for path, one in chosen:
        made = _graded(path, one, consent, python, tier)
        say(_line(path, made) if file.is_dir() else _report(made))


def _files(file: Path) -> list[Path]:
    if not file.is_dir():
        if not file.is_file():
            raise BadOption(f"there is no file {paths.shown(file)}.")
        return [file]
    inside = sorted(path for path in file.rglob("*.md") if path.is_file() and not path.is_symlink())
    answers = [path for path in inside if path.parent.name.endswith(".answers")] or inside
    if not answers:
        raise BadOption(f"{paths.shown(file)} holds no answers (*.md).")
    return answers


def _task_of(path: Path) -> Task:
    """The task that an answer's name begins with: ``<task>-<setting hash>-r<rep>.md``."""
    from programs.judge import tasks

    ids = sorted((one.id for one in tasks.tasks()), key=len, reverse=True)
    return tasks.task(next((id for id in ids if path.stem == id or path.stem.startswith(f"{id}-")), "snake-fr"))


def _agreed(yes: bool, needed: bool) -> bool:
    """The user's yes, asked for once and kept; nothing is run without one."""
    from programs.judge.box import consent

    if not needed:
        return False
    ask = (lambda question: typer.confirm(question, default=False)) if sys.stdin.isatty() else None
    return consent.agreed(yes, ask)


def _graded(path: Path, one: Task, consent: bool, python: Path | None, tier: str | None) -> Grade:
    from programs import judge as grading

    if path.stat().st_size > LARGEST:
        raise BadOption(f"{paths.shown(path)} is larger than {LARGEST // 1_000_000} MB: that is no answer.")
    text = path.read_bytes().decode("utf-8", "replace")
    if path.suffix == ".py":
        return grading.grade_program(one.id, text, consent=consent, python=python, tier=tier)
    return grading.grade(one.id, text, consent=consent, python=python, tier=tier)


def _verdict(made: Grade) -> str:
    if made.outcome != "graded":
        return made.outcome
    return made.level or ("passed" if made.passed else "failed")


def _line(path: Path, made: Grade) -> str:
    why = f"  {'; '.join(made.reasons)}" if made.reasons else ""
    mark = f" ({made.mark})" if made.mark else ""
    return f"{_verdict(made) + mark:<14}  {path.name}{why}"


def _report(made: Grade) -> str:
    checks = ", ".join(f"{name} {'yes' if right else 'no'}" for name, right in made.checks.items())
    rows = [
        ("task", f"{made.task_id}, version {made.task_version}"),
        ("grade", _verdict(made)),
        ("mark", made.mark or ""),
        ("checks", checks),
        *(("why", reason) for reason in made.reasons),
        ("sandbox", made.sandbox or "nothing was run"),
        ("grader", made.grader_version),
    ]
    return "\n".join(f"{name:<8} {text}" for name, text in rows if text)
