"""``workbook bench``: record a benchmark."""

from __future__ import annotations

from typing import Annotated

import typer

from workbook.cli.shared import Engine, Folder, Model, one_line, say


@one_line
def bench(
    engine: Engine = None,
    model: Model = None,
    repetitions: Annotated[int, typer.Option(min=1, help="After one warm-up that is not counted.")] = 5,
    prompt_tokens: Annotated[int, typer.Option(min=1, help="Tokens of the prompt test (pp).")] = 512,
    gen_tokens: Annotated[int, typer.Option(min=1, help="Tokens of the generation test (tg).")] = 128,
    host: Annotated[str | None, typer.Option(help="Alias of this machine in the records.")] = None,
    results: Folder = None,
) -> None:
    """Record a benchmark of this machine: one warm-up, then the repetitions, each kept as it ends."""
    from workbook.bench import protocol

    summary = protocol.record_this_machine(
        engine=engine,
        model=model,
        repetitions=repetitions,
        prompt_tokens=prompt_tokens,
        gen_tokens=gen_tokens,
        results=results,
        host=host,
    )
    say(str(summary))
    if summary.interrupted:
        raise KeyboardInterrupt
