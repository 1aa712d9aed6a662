"""``workbook results``: what was recorded, here and elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Exit, Option, Typer

from programs import bench
from programs.cli.shared import Folder, say
from workbook.errors import BadOption

results_app = Typer(help="Benchmark records, of this machine and others.", no_args_is_help=True, rich_markup_mode=None)

Run = Annotated[str, Argument(metavar="RUN", help="A run's id, or how it begins.")]
By = Annotated[list[str] | None, Option(help="Field to group by; several times.")]
Where = Annotated[list[str] | None, Option(metavar="FIELD=VALUE", help="Only records with this value: n_threads=2.")]
Side = Annotated[str, Argument(help="A run (its beginning will do), a host or a model.")]
Kind = Annotated[str | None, Option("--by", help="run, host, model or a field of a record, e.g. n_threads.")]
Anyway = Annotated[bool, Option("--anyway", help="Show also what differs in more, and in what.")]
Sources = Annotated[list[Path], Argument(metavar="PATH...", help="Folders or files of records.")]
Table = Annotated[Path, Argument(help="A new file that ends in .csv.")]
LlamaBench = Annotated[Path, Argument(help="What llama-bench wrote with -o json, jsonl or csv.")]
Host = Annotated[str | None, Option(help="Alias of the machine that it ran on.")]
Invalid = Annotated[str | None, Option(metavar="REASON", help="Why the run does not count.")]
Valid = Annotated[str | None, Option(metavar="REASON", help="Why it counts after all.")]


@results_app.command("list")
def list_(folder: Folder = None) -> None:
    """List the runs, one a line."""
    say(bench.records.listing(bench.store.load(folder)))


@results_app.command("show")
def show(run: Run, folder: Folder = None) -> None:
    """Show one run: its cells with their spread, and what makes it doubtful."""
    say(bench.stats.show(bench.store.load(folder), run))


@results_app.command("check")
def check(folder: Folder = None) -> None:
    """Say what cannot be read as records, with file and line; exit code 1 if there is any."""
    loaded = bench.store.load(folder)
    say(str(loaded))
    raise Exit(bool(loaded.problems))


@results_app.command("summary")
def summary(by: By = None, where: Where = None, folder: Folder = None) -> None:
    """Median and quartiles of what counts, by host, model, quantization, method and prompt unless --by says else."""
    table = bench.records.load(folder, where)
    say(bench.records.summary_text(bench.records.summary(table, by)))
    if left := table.attrs["problems"]:
        say(f"{len(left)} lines are left out: workbook results check")


@results_app.command("grades")
def grades(by: By = None, where: Where = None, folder: Folder = None) -> None:
    """How often graded answers passed, and the seconds of a success, by model, engine, task and thinking or --by."""
    say(bench.records.grades_text(bench.records.grades(bench.records.load(folder, where), by)))


@results_app.command("compare")
def compare(
    a: Side, b: Side, by: Kind = None, where: Where = None, anyway: Anyway = False, folder: Folder = None
) -> None:
    """Say how much two runs, hosts or models differ, and how sure that is."""
    say(str(bench.compare.compare(bench.records.load(folder, where), a, b, by, anyway)))


@results_app.command("merge")
def merge(sources: Sources, folder: Folder = None) -> None:
    """Take records of other machines in, with answers and marks; nothing is overwritten. Exit code 1: some refused."""
    done = bench.merge.merge(sources, folder)
    say(str(done))
    raise Exit(bool(done.refused))


@results_app.command("import")
def import_(file: LlamaBench, host: Host = None, folder: Folder = None) -> None:
    """Take llama-bench's own output in, as records; exit code 1 if it was refused."""
    alias = None if host is None else bench.machine.host_alias(host)
    done = bench.merge.add(bench.llamabench.records(file, alias), file, folder)
    say(str(done))
    raise Exit(bool(done.refused))


@results_app.command("export")
def export(file: Table, where: Where = None, folder: Folder = None) -> None:
    """Write all records as one table (CSV), a row each, for a spreadsheet or another program."""
    say(bench.records.export(bench.records.load(folder, where), file))


@results_app.command("mark")
def mark(run: Run, invalid: Invalid = None, valid: Valid = None, folder: Folder = None) -> None:
    """Mark a run as invalid: it stays and is shown with the reason, and is left out of summaries."""
    if (invalid is None) == (valid is None):
        raise BadOption('give a reason: --invalid "the laptop slept", or --valid "…" to take it back')
    mark = bench.store.mark(run, invalid or valid or "", invalid is not None, folder)
    say(f"{mark.run_id} is marked {'invalid' if mark.invalid else 'valid'}: {mark.reason}")
