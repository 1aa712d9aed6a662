"""``workbook bench``: record a benchmark, the usual one or a plan's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from programs.cli.shared import Engine, Folder, Model, say


def bench(
    plan: Annotated[
        Path | None, typer.Argument(metavar="[PLAN.yaml]", help="A plan, e.g. data/plans/default.yaml.")
    ] = None,
    engine: Engine = None,
    model: Model = None,
    repetitions: Annotated[int, typer.Option(min=1, max=1000, help="After one warm-up that is not counted.")] = 5,
    prompt_tokens: Annotated[int, typer.Option(min=1, max=100_000, help="Tokens of the prompt test (pp).")] = 512,
    gen_tokens: Annotated[int, typer.Option(min=1, max=100_000, help="Tokens of the generation test (tg).")] = 128,
    host: Annotated[str | None, typer.Option(help="Alias of this machine in the records.")] = None,
    results: Folder = None,
    yes: Annotated[bool, typer.Option("--yes", help="Plan: run generated code, contained, to grade it.")] = False,
    pull: Annotated[
        bool | None, typer.Option("--pull/--no-pull", help="Let Ollama download missing models; else it asks.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would run.")] = False,
    new: Annotated[bool, typer.Option("--new", help="Plan: begin anew, whatever is done of it already.")] = False,
) -> None:
    """Record a benchmark of this machine: one warm-up, then the repetitions, each kept as it ends.

    With a plan: its models, prompts and settings; run again, it goes on where it stopped.
    """
    from programs.bench import plan as plans
    from programs.bench import session

    wanted = plans.load(plan) if plan else plans.usual(model, repetitions, prompt_tokens, gen_tokens)
    session.record(wanted, engine, host, results, yes, pull, dry_run, new or plan is None, say)
