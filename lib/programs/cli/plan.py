"""``workbook bench PLAN.yaml``: say what will run and for how long, run it, go on where it stopped."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from programs.bench import conduct, estimate, live, opening, planned, plans, pulling, stats, store
from programs.bench.fields import Record
from programs.bench.here import host_alias
from programs.bench.opening import Found
from programs.bench.planned import Asked, Run
from programs.cli.shared import say
from workbook import alone, paths
from workbook.errors import WorkbookError


@dataclass(frozen=True)
class Wishes:
    """The options of the command. ``pull`` None: ask, on a terminal."""

    engine: str | None = None
    host: str | None = None
    results: Path | None = None
    consent: bool = False
    pull: bool | None = None
    dry_run: bool = False
    new: bool = False


def run_plan(path: Path, wishes: Wishes) -> None:
    """Run the plan in the file ``path``. Raises BadPlan and what the engine raises."""
    plan = plans.load(path)
    asked = planned.cells(plan)
    engine = opening.engine_name(wishes.engine or plan.engine)
    host, folder = host_alias(wishes.host), wishes.results or paths.results()
    named = planned.plan_hash(plan, asked, engine)
    with alone.alone(paths.cache() / "bench.lock", "benchmark"):
        before = None if wishes.new else planned.find_run(folder, host, named)
        run = before or planned.new_run(folder, host)
        have = {model: opening.look_up(engine, model) for model in dict.fromkeys(cell.model for cell in asked)}
        wanted = {cell.model for cell in asked if run.left(cell, plan.repetitions)}
        have = _pulled(have, wishes, engine, wanted)
        records = [r for r in store.load(folder / host).records if r.host == host] if folder.is_dir() else []
        cells = _estimated(plan, asked, run, records, have, engine, probing=not wishes.dry_run)
        board = live.Board(cells, run, plan.repetitions, have)
        say(
            f"Plan {plan.name} ({named}) on {engine}, {len(asked)} cells, {plan.repetitions} times each after a warm-up."
        )
        if before:
            say(f"It goes on where it stopped: {len(run.records)} records in {paths.shown(run.path)}")
        live.announce(board, say)
        if wishes.dry_run:
            return
        if not any(run.left(cell, plan.repetitions) and have[cell.model].model for cell in asked) and before:
            rest = f" but for what is missing: {', '.join(sorted(wanted))}" if wanted else ""
            say(f"Nothing is left to do{rest}. Record it anew with: --new")
            return
        _conduct(plan, asked, run, named, host, engine, have, wishes, board)


def _conduct(
    plan: plans.Plan, asked: tuple[Asked, ...], run: Run, named: str, host: str, engine: str,
    have: dict[str, Found], wishes: Wishes, board: live.Board,
) -> None:  # fmt: skip
    recorder = conduct.recorder_of(run, host, named)
    try:
        with (
            closing(recorder.gpu),
            live.shown(board, f"{plan.name} on {engine}", say) as show,
            closing(conduct.conduct(plan, asked, run, recorder, engine, have, wishes.consent)) as steps,
        ):
            for step in steps:
                show(step)
    finally:
        every = (*run.records, *recorder.records)
        say(_summary(every, recorder.notes))
        say(f"{len(every)} records in {paths.shown(run.path)}")


def _summary(records: tuple[Record, ...], notes: list[str]) -> str:
    done = [r for r in records if r.status != "skipped"]
    doubts = [f"! {line}" for line in (*notes, *stats.all_doubts(done))]
    return "\n".join([stats.table(done), *live.grades(done), *doubts])


def _pulled(have: dict[str, Found], wishes: Wishes, engine: str, wanted: set[str]) -> dict[str, Found]:
    """With those of the ``wanted`` models that are missing downloaded by Ollama, where the user agrees."""
    missing = [model for model, found in have.items() if found.missing and model in wanted]
    if not missing or wishes.dry_run:
        return have
    agreed = wishes.pull
    if agreed is None and _on_a_terminal():
        agreed = _asked(missing)
    for model in missing:
        if not agreed:
            why_not = f"{have[model].why_not} (not pulled: that was not agreed to; --pull agrees)"
            have = have | {model: replace(have[model], why_not=why_not)}
        elif failed := _pull(model):
            have = have | {model: replace(have[model], why_not=f"{model!r} is not installed; {failed}")}
        else:
            have = have | {model: opening.look_up(engine, model)}
    return have


def _asked(missing: list[str]) -> bool:
    try:
        return typer.confirm(f"Ollama has not: {', '.join(missing)}. Let it download them now?")
    except typer.Abort:  # Ctrl-C, or the end of what is typed
        print()
        raise KeyboardInterrupt from None


def _pull(model: str) -> str | None:
    """None once Ollama has it, else why not; either is said."""
    say(f"Ollama pulls {model} …")
    last = pulling.Far()

    def note(far: pulling.Far) -> None:
        nonlocal last
        last = far
        show(far)

    try:
        with pulling.shown(model, say) as show:
            failed = pulling.pull(model, note)
    except KeyboardInterrupt:
        say(f"{model}: stopped at {last.done / 1e6:,.1f} MB. The same command goes on from there, if run again soon.")
        raise
    say(f"! {model}: {failed}" if failed else f"{model}: pulled, {last.total / 1e6:,.1f} MB")
    return failed


def _on_a_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _estimated(
    plan: plans.Plan, asked: tuple[Asked, ...], run: Run, records: list[Record], have: Mapping[str, Found],
    engine: str, probing: bool,
) -> list[tuple[Asked, estimate.Estimate]]:  # fmt: skip
    """Each cell with its time; a model without records is probed once."""
    speeds: dict[str, estimate.Speed] = {}
    cells = []
    for cell in asked:
        found = have[cell.model]
        guess = estimate.estimate(cell, found.model, records, speeds)
        left = run.left(cell, plan.repetitions)
        if guess.basis == "unknown" and probing and found.model and left and cell.model not in speeds:
            say(f"{found.model} has no record here: a short probe …")
            try:
                with opening.connected(engine, cell.model) as probed:
                    speeds[cell.model] = estimate.probe(probed)
            except WorkbookError as error:
                say(f"! no estimate: {error}")
                speeds[cell.model] = estimate.Speed("unknown")
            guess = estimate.estimate(cell, found.model, records, speeds)
        cells.append((cell, guess))
    return cells
