"""Running a plan: cell by cell, going on where a run of the same plan stopped, each repetition kept as it ends."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from programs.bench import opening, private
from programs.bench.fields import MachineFacts, Outcome, Record, Repetition
from programs.bench.here import machine_facts
from programs.bench.opening import Found, Skipped
from programs.bench.planned import Asked, Run
from programs.bench.plans import Plan
from programs.bench.recorder import Recorder, Work, one_line
from workbook.engines import Engine
from workbook.errors import NotKept, RunChanged, ServerNotFound, WorkbookError

Opens = Callable[[str, str], Engine]


@dataclass(frozen=True)
class Step:
    """What happened last: a cell was begun (``record`` None), a repetition has ended, or the cell was skipped."""

    asked: Asked
    record: Record | None = None


def conduct(
    plan: Plan,
    asked: Sequence[Asked],
    run: Run,
    recorder: Recorder,
    engine: str,
    have: dict[str, Found],
    consent: bool = False,
    opens: Opens | None = None,
) -> Generator[Step]:
    """Do what is left of the plan; yields after each repetition, when it is on the disk.

    ``have``: the plan's models as the engine has them. ``consent``: generated code may be run to grade it.
    Raises ServerNotFound when the engine goes away (the run can go on later), RunChanged, and NotKept.
    """
    recorder.writable()
    current: tuple[str, Engine] | None = None
    with ExitStack() as stack:
        for cell in asked:
            left = run.left(cell, plan.repetitions)
            if not left:
                continue
            yield Step(cell)
            found = have[cell.model]
            if found.model is None:
                yield from _skip(recorder, run, cell, engine, found.why_not)
                continue
            if current is None or current[0] != cell.model:
                stack.close()
                current = cell.model, stack.enter_context(closing((opens or opening.connected)(engine, cell.model)))
                base = current[1].context
            try:
                so_far = replace(run, records=(*run.records, *recorder.records))
                with opening.opened(current[1], base, cell, plan, so_far, consent) as work:
                    for record in _repeat(recorder, work, left):
                        yield Step(cell, record)
            except Skipped as why:
                yield from _skip(recorder, run, cell, engine, str(why))
            except (NotKept, RunChanged, ServerNotFound):
                raise
            except WorkbookError as error:  # it cannot even be begun: too large for this memory, a damaged file
                yield from _skip(recorder, run, cell, engine, one_line(error))


def _repeat(recorder: Recorder, work: Work, left: list[int]) -> Generator[Record]:
    if left[0] != 0:  # interrupted after its warm-up: warm it again, and record nothing twice
        with suppress(Exception):
            work.cell.run(0)
    yield from recorder.repeat(work, left)


def _skip(recorder: Recorder, run: Run, cell: Asked, engine: str, why: str) -> Generator[Step]:
    """One line that says why; none if it stands there already."""
    if run.skipped(cell):
        recorder.notes.append(f"{cell}: still skipped: {why}")
        return
    which = Repetition(
        run_id=recorder.run_id, rep_index=0, is_warmup=True, started_at=datetime.now(UTC),
        plan_hash=recorder.plan_hash, cell_hash=cell.hash,
    )  # fmt: skip
    printable = "".join(c if c.isprintable() else " " for c in private.text(why))[:1000] or "no reason given"
    outcome = Outcome(status="skipped", error=printable)
    record = Record.of(which, opening.skipped_setup(engine, cell), outcome, recorder.facts)
    yield Step(cell, recorder.keep(record))


def recorder_of(run: Run, host: str, plan_hash: str) -> Recorder:
    """What appends to the run's file. Raises RunChanged when another machine began that run."""
    facts = machine_facts(host)
    same_machine(run, facts)
    return Recorder(run.path, run.run_id, facts, plan_hash)


def same_machine(run: Run, facts: MachineFacts) -> None:
    """Raise RunChanged when the run's records come from another machine of the same alias."""
    for record in run.records:
        if (record.cpu_model, record.threads) != (facts.cpu_model, facts.threads):
            raise RunChanged(
                f"this run was begun on another machine of the same alias ({record.cpu_model}, here {facts.cpu_model}). "
                "Give this one another --host, or record it anew with --new."
            )
