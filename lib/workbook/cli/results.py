"""``workbook results``: what was recorded, here and elsewhere."""

from __future__ import annotations

from typing import Annotated

import typer

from workbook.cli.shared import Folder, one_line, say

results_app = typer.Typer(
    help="The benchmark records of this machine and others.", no_args_is_help=True, rich_markup_mode=None
)


@results_app.command("list")
@one_line
def results_list(folder: Folder = None) -> None:
    """List the runs, one a line."""
    from workbook import analysis
    from workbook.bench import store

    say(analysis.listing(store.load(folder)))


@results_app.command("show")
@one_line
def results_show(
    run_id: Annotated[str, typer.Argument(help="A run, or how it begins.")], folder: Folder = None
) -> None:
    """Show one run: its cells with their spread, and what makes it doubtful."""
    from workbook import analysis
    from workbook.bench import store

    say(analysis.show(store.load(folder), run_id))


@results_app.command("check")
@one_line
def results_check(folder: Folder = None) -> None:
    """Say what cannot be read as records, with file and line; exit code 1 if there is any."""
    from workbook import analysis
    from workbook.bench import store

    loaded = store.load(folder)
    say(analysis.check(loaded))
    raise typer.Exit(1 if loaded.problems else 0)
