"""``workbook results``: what was recorded, here and elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from programs.cli.shared import Folder, one_line, say
from workbook.errors import BadOption

results_app = typer.Typer(
    help="The benchmark records of this machine and others.", no_args_is_help=True, rich_markup_mode=None
)

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or how it begins.")]
Where = Annotated[
    list[str] | None, typer.Option(metavar="FIELD=VALUE", help="Only records with this value, e.g. n_threads=2.")
]


def _pairs(where: list[str] | None) -> dict[str, str]:
    pairs = [word.partition("=") for word in where or ()]
    for field, sign, _ in pairs:
        if not sign or not field:
            raise BadOption("--where takes FIELD=VALUE, e.g. --where n_threads=2")
    return {field: value for field, _, value in pairs}


@results_app.command("list")
@one_line
def results_list(folder: Folder = None) -> None:
    """List the runs, one a line."""
    from programs.bench import analysis, index

    say(analysis.list_runs(index.open_index(folder)))


@results_app.command("show")
@one_line
def results_show(run_id: RunArgument, folder: Folder = None) -> None:
    """Show one run: its cells with their spread, and what makes it doubtful."""
    from programs.bench import analysis, drop, index, marks, store

    known = index.open_index(folder)
    full, files = drop.one_run(known.run_files(run_id), run_id)
    loaded = store.read_files(tuple(files))
    marked = marks.read_all(path for file in files if (path := marks.beside(file)).exists())
    mine = tuple(record for record in loaded.records if record.run_id == full)
    say(analysis.show(store.Loaded(mine, loaded.problems, marked.invalid()), full))


@results_app.command("check")
@one_line
def results_check(folder: Folder = None) -> None:
    """Say what cannot be read as records, with file and line; exit code 1 if there is any."""
    from programs.bench import analysis, store

    loaded = store.load(folder)
    say(analysis.check(loaded))
    raise typer.Exit(1 if loaded.problems else 0)


@results_app.command("summary")
@one_line
def results_summary(
    by: Annotated[
        list[str] | None, typer.Option(help="Field to group by; several times. Else host, model, method, prompt.")
    ] = None,
    where: Where = None,
    folder: Folder = None,
) -> None:
    """Median and quartiles over all records, by host, model and prompt. Quick over a million of them.

    Repetitions that failed, warm-ups and runs marked invalid are left out, and so is every line that check names.
    """
    from programs.bench import index, summaries

    known = index.open_index(folder)
    fields = by or summaries.BY
    say(summaries.table(summaries.summary(known, fields, _pairs(where)), fields))
    if known.problems or known.repeated:
        say(f"{len(known.problems) + known.repeated} lines are left out: workbook results check")


@results_app.command("grades")
@one_line
def results_grades(
    by: Annotated[
        list[str] | None, typer.Option(help="Field to group by; several times. Else model, engine, task, thinking.")
    ] = None,
    where: Where = None,
    folder: Folder = None,
) -> None:
    """How often graded answers passed, with an interval, and the seconds that one success cost.

    An answer cut at its limit is a try that did not pass. What was not graded is no try; it is named at the end.
    """
    from programs.bench import index, successes

    known = index.open_index(folder)
    fields = by or successes.BY
    say(successes.table(successes.successes(known, fields, _pairs(where)), fields))


@results_app.command("compare")
@one_line
def results_compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A run (its beginning will do), a host or a model.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    by: Annotated[str | None, typer.Option(help="run, host or model, where a name could mean several.")] = None,
    where: Where = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Show also what differs in more, and in what.")] = False,
    folder: Folder = None,
) -> None:
    """Say how much two runs, hosts or models differ, and how sure that is."""
    from programs.bench import comparison, index

    say(str(comparison.compare(index.open_index(folder), a, b, by, _pairs(where), anyway)))


@results_app.command("merge")
@one_line
def results_merge(
    sources: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Folders or files of records.")],
    folder: Folder = None,
) -> None:
    """Take records from other machines in, with their answers and marks; exit code 1 if anything was refused.

    Nothing here is overwritten, and the same records may be merged again.
    """
    from programs.bench import merge

    done = merge.merge(sources, folder)
    say(str(done))
    raise typer.Exit(1 if done.refused else 0)


@results_app.command("import")
@one_line
def results_import(
    file: Annotated[Path, typer.Argument(help="What llama-bench wrote with -o json, jsonl or csv.")],
    host: Annotated[str | None, typer.Option(help="Alias of the machine that it ran on.")] = None,
    folder: Folder = None,
) -> None:
    """Take llama-bench's own output in, as records; exit code 1 if it was refused."""
    from programs.bench import llamabench, machine, merge

    alias = None if host is None else machine.host_alias(host)
    done = merge.add(llamabench.records(file, alias), file, folder)
    say(str(done))
    raise typer.Exit(1 if done.refused else 0)


@results_app.command("export")
@one_line
def results_export(
    file: Annotated[Path, typer.Argument(help="A new file that ends in .csv or .parquet.")],
    where: Where = None,
    folder: Folder = None,
) -> None:
    """Write all records as one table, a row each, for a spreadsheet or another program."""
    from programs.bench import index, summaries
    from workbook import paths

    count = summaries.export(index.open_index(folder), file, _pairs(where))
    say(f"{count} repetitions in {paths.shown(file)}")


@results_app.command("drop")
@one_line
def results_drop(run_id: RunArgument, folder: Folder = None) -> None:
    """Move one run aside, into the folder dropped/. Nothing is deleted."""
    from programs.bench import drop

    moved = drop.drop(run_id, folder)
    say(f"{moved.run_id} is in {moved.places}")
    say(f"Bring it back with: workbook results restore {moved.run_id}")


@results_app.command("restore")
@one_line
def results_restore(run_id: RunArgument, folder: Folder = None) -> None:
    """Bring a dropped run back."""
    from programs.bench import drop

    moved = drop.restore(run_id, folder)
    say(f"{moved.run_id} is in {moved.places}")


@results_app.command("mark")
@one_line
def results_mark(
    run_id: RunArgument,
    invalid: Annotated[str | None, typer.Option(metavar="REASON", help="Why the run does not count.")] = None,
    valid: Annotated[str | None, typer.Option(metavar="REASON", help="Why it counts after all.")] = None,
    folder: Folder = None,
) -> None:
    """Mark a run as invalid: it stays and is shown with the reason, and is left out of summaries."""
    from programs.bench import drop, index, marks

    if (invalid is None) == (valid is None):
        raise BadOption('give a reason: --invalid "the laptop slept", or --valid "…" to take it back')
    full, files = drop.one_run(index.open_index(folder).run_files(run_id), run_id)
    mark = marks.add(files[0], full, invalid if invalid is not None else valid or "", invalid is not None)
    say(f"{full} is marked {'invalid' if mark.invalid else 'valid'}: {mark.reason}")
