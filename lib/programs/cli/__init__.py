"""The command ``workbook``. Heavy modules are imported by the commands that need them, so that --help is quick."""

from __future__ import annotations

from typing import Annotated

import typer

from programs.cli.bench import bench
from programs.cli.grade import grade
from programs.cli.results import results_app
from programs.cli.shared import OneLine, say
from programs.site.lab import lab
from programs.site.voila import voila

app = typer.Typer(
    cls=OneLine,
    help="The Local LLM Workbook: language models on your own machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,  # plain text, at once, on every terminal
)
for command in (bench, grade, lab, voila):
    app.command()(command)
app.add_typer(results_app, name="results")

Pages = Annotated[list[str] | None, typer.Argument(help="Numbers or names of pages, e.g. 11; all without.")]


@app.command()
def doctor() -> None:
    """Say whether this machine can run the workbook, and what to do where not."""
    from workbook import doctor as checks

    raise typer.Exit(checks.main())


@app.command()
def run(only: Pages = None) -> None:
    """Execute the pages on this machine, record a benchmark, build the site from the result, say what cost too much."""
    from programs.site import run as runner
    from workbook import pages

    wanted = pages.select(pages.pages(), only or [])
    runner.run(wanted, None, say, runner.engine_line(say))


@app.command()
def refresh(
    only: Pages = None,
    check: Annotated[bool, typer.Option("--check", help="Execute nothing; say what refresh would not store.")] = False,
) -> None:
    """Execute pages, each on the engine that it names, and store their outputs and what they cost.

    One page at a time, in one form; what must not be stored is refused.
    """
    from programs.site.check import check as checked
    from programs.site.refresh import refresh as refreshed
    from workbook import pages

    (checked if check else refreshed)(pages.select(pages.pages(), only or []), say)


@app.command()
def site() -> None:
    """Build the site from the stored pages, warnings as errors; say what it weighs."""
    from programs.site import build as builder
    from workbook import paths

    front = builder.build()
    say(f"{paths.shown(front)}  {builder.weight(builder.Folders.checkout())}")


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; without, this machine alone.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Without: 11434, or a free one. 0: any.")] = None,
    model: Annotated[list[str] | None, typer.Option(metavar="NAME=FILE.gguf", help="Serve this file too.")] = None,
    key: Annotated[str, typer.Option(help="Demanded of every client; better in WORKBOOK_SERVE_KEY.")] = "",
) -> None:
    """Answer as Ollama does, on machines without one. A stand-in for learning: https://ollama.com/download has Ollama.

    It has the packaged models and the GGUF files found on this machine. On another address than this machine's own
    it demands a key, and makes one if none is given.
    """
    from programs.serve import serve as server

    server.serve(server.ServerSettings(host, port, tuple(model or ()), key), say)


@app.command()
def models() -> None:
    """List the models on this machine: size in GB (10^9 bytes), quantization, name."""
    from workbook import models as local

    found = local.local_ggufs()
    for model in found:
        size = "?" if model.size_bytes is None else f"{model.size_bytes / 1e9:.2f} GB"
        say(f"{size:>10}  {model.quant or '?':<8}  {model.name}")
    for skipped in local.skipped_ggufs():
        say(f"{'left out':>10}  {skipped.name}: {skipped.why}")
    if not found:
        say("No model file found.")
