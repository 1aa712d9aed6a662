"""The command ``workbook``. Heavy modules are imported by the commands that need them, so that --help is quick."""

from __future__ import annotations

from typing import Annotated

import typer

from programs.cli.bench import bench
from programs.cli.grade import grade
from programs.cli.results import results_app
from programs.cli.shared import PagesArgument, one_line, say

app = typer.Typer(
    help="The Local LLM Workbook: language models on your own machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,  # plain text, at once, on every terminal
)


@app.command()
@one_line
def doctor() -> None:
    """Say whether this machine can run the workbook, and what to do where not."""
    from workbook import doctor as checks

    raise typer.Exit(int(checks.main() or 0))


@app.command()
@one_line
def run(only: PagesArgument = None) -> None:
    """Execute the pages on this machine, record a benchmark, build the site from the result, say what cost too much."""
    from programs.site import run as runner
    from workbook import pages

    every = pages.pages()
    wanted = pages.select(every, only or [])
    engine = runner.engine_line(say)
    runner.run(wanted, say=say, engine=engine)


@app.command()
@one_line
def refresh(
    only: PagesArgument = None,
    check: Annotated[
        bool, typer.Option("--check", help="Execute nothing; say what is not as refresh leaves it.")
    ] = False,
) -> None:
    """Execute pages, each on the engine that it names, and store their outputs and what they cost.

    One page at a time, in one form; what must not be stored is refused, what changed is said.
    """
    from programs.site import refresh as refresher
    from workbook import pages

    wanted = pages.select(pages.pages(), only or [])
    if check:
        refresher.check(wanted, say)
    else:
        refresher.refresh(wanted, say)


@app.command()
@one_line
def site() -> None:
    """Build the site from the stored pages, warnings as errors; say what it weighs."""
    import time

    from programs.site import build as builder
    from workbook import paths

    started = time.perf_counter()
    front = builder.build()
    took = time.perf_counter() - started
    say(f"{paths.shown(front)}  {builder.weight(builder.Folders.checkout())}  {took:.0f} s")


@app.command()
@one_line
def lab(
    browser: Annotated[bool, typer.Option(help="Open a browser; without, the address is printed.")] = True,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Without: 8888, or the next free one.")] = None,
) -> None:
    """Open JupyterLab at the first page."""
    from programs.site import lab as opener

    raise typer.Exit(opener.open_lab(browser, port, say))


@app.command()
@one_line
def voila(
    page: Annotated[str, typer.Argument(help="Number or name of the page, e.g. 11.")],
    host: Annotated[str, typer.Option(help="Address to listen on; without, this machine alone.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Without: 8866, or one that is free.")] = None,
) -> None:
    """Serve one page as an app, without its code, behind a token."""
    from programs.site import voila as server
    from workbook import pages

    (wanted,) = pages.select(pages.pages(), [page])
    raise typer.Exit(server.serve(wanted, host, port, say))


@app.command()
@one_line
def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; without, this machine alone. Else a key.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Without: 11434, or one that is free. 0: any.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILE.gguf", help="Serve this file too, under this name.")
    ] = None,
    key: Annotated[
        str, typer.Option(help="Demanded of every client; better in WORKBOOK_SERVE_KEY, where no one else sees it.")
    ] = "",
) -> None:
    """Answer as Ollama does, on machines without one. A stand-in for learning: https://ollama.com/download has Ollama.

    It has the packaged models and the GGUF files found on this machine. On another address than this machine's own
    it demands a key, and makes one if none is given.
    """
    from programs.serve import serve as server

    server.serve(server.Settings(host, port, tuple(model or ()), key), say)


@app.command()
@one_line
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


app.command()(bench)
app.command()(grade)
app.add_typer(results_app, name="results")
