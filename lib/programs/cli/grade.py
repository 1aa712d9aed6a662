"""``workbook grade``: grade an answer, a program, or all the answers that a run of the recorder left."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from programs.cli.shared import say


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
    from programs.judge import grader, tasks
    from programs.judge.box import consent

    chosen = [(path, tasks.task(task) if task else tasks.task_of(path)) for path in tasks.answer_files(file)]
    ask = (lambda question: typer.confirm(question, default=False)) if sys.stdin.isatty() else None
    agreed = any(one.needs_code for _, one in chosen) and consent.agreed(yes, ask)
    for path, one in chosen:
        made = grader.grade_file(path, one.id, consent=agreed, python=python, tier=tier)
        if file.is_dir():
            mark = f" ({made.mark})" if made.mark else ""
            say(f"{made.verdict + mark:<14}  {'  '.join([path.name, '; '.join(made.reasons)])}".rstrip())
        else:
            say(made.report())
