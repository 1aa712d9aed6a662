"""How a machine is measured: unload, one warm-up, repetitions, every one of them kept as it ends."""

from __future__ import annotations

import secrets
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from programs.bench import counts, stats, store
from programs.bench.cells import bare_cells
from programs.bench.chats import chat_cell
from programs.bench.fields import Record
from programs.bench.here import host_alias, machine_facts
from programs.bench.recorder import Recorder, Work
from workbook import paths
from workbook.engines import Engine, connect, llama
from workbook.errors import BadOption, ModelNotFound, WorkbookError

__all__ = ["Plan", "RunSummary", "host_alias", "machine_facts", "record_this_machine", "run"]


@dataclass(frozen=True)
class Plan:
    """What to run: repetitions after the warm-up, and the sizes in tokens. ``n_threads`` None: llama.cpp's choice."""

    repetitions: int = 5
    prompt_tokens: int = 512
    gen_tokens: int = 128
    n_threads: int | None = None

    def __post_init__(self) -> None:
        for name, most in (("repetitions", 1000), ("prompt_tokens", 100_000), ("gen_tokens", 100_000)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise BadOption(f"{name}={value!r}: give a whole number from 1 to {most}.")


@dataclass(frozen=True)
class RunSummary:
    """What a run left: its records, the file they are in, and what the reader should know about them."""

    path: Path
    records: tuple[Record, ...]
    notes: tuple[str, ...] = ()
    interrupted: bool = False

    def table(self) -> str:
        """Median and spread of every cell as lines of text, then the notes."""
        return "\n".join([stats.table(self.records), *(f"! {note}" for note in self.notes)])

    def __str__(self) -> str:
        kept = f"{len(self.records)} records in {paths.shown(self.path)}" if self.records else "nothing was recorded"
        return f"{self.table()}\n{kept}"


def record_this_machine(
    engine: Engine | str | None = None,
    model: str | None = None,
    repetitions: int = 5,
    prompt_tokens: int = 512,
    gen_tokens: int = 128,
    results: Path | None = None,
    host: str | None = None,
    progress: bool = True,
    n_threads: int | None = None,
) -> RunSummary:
    """Connect and record one run: pp and tg by llama.cpp in process, then a chat through the engine.

    ``results``: the folder of records, default ``paths.results()``. ``host``: an alias for this machine.
    Ctrl-C ends the run; the summary then says so and holds every finished repetition.
    Raises BadOption, NotKept, and what ``connect`` raises.
    """
    plan = Plan(repetitions, prompt_tokens, gen_tokens, n_threads)
    alias = host_alias(host)
    if isinstance(engine, Engine):
        return run(engine, results or paths.results(), plan, alias, progress)
    with closing(connect(engine, model)) as connected:
        return run(connected, results or paths.results(), plan, alias, progress)


def run(engine: Engine, folder: Path, plan: Plan, host: str, progress: bool = True) -> RunSummary:
    """Record one run of ``engine`` under ``folder``; ``record_this_machine`` with everything given."""
    from tqdm.auto import tqdm

    started, run_id = datetime.now(UTC), secrets.token_hex(6)
    recorder = Recorder(store.run_file(folder, host, started, run_id), run_id, machine_facts(host))
    recorder.writable()
    interrupted = False
    total = 3 * (plan.repetitions + 1)
    try:
        with (
            closing(recorder.gpu),
            closing(_cells(engine, plan, run_id)) as cells,
            tqdm(total=total, disable=not progress, unit="rep") as bar,
        ):
            for work in cells:
                if isinstance(work, str):
                    recorder.notes.append(work)
                    continue
                for done in recorder.repeat(work, range(plan.repetitions + 1)):
                    bar.set_description(done.prompt_id)
                    bar.update()
    except KeyboardInterrupt:
        interrupted = True
        recorder.notes.append(
            f"stopped: the {len(recorder.records)} finished repetitions are in {paths.shown(recorder.path)}"
        )
    notes = (*recorder.notes, *stats.all_doubts(recorder.records))
    return RunSummary(recorder.path, tuple(recorder.records), notes, interrupted)


def _cells(engine: Engine, plan: Plan, run_id: str) -> Generator[Work | str]:
    """The cells one after the other, each with the memory to itself; a line of text where one is left out."""
    bare = f"pp{plan.prompt_tokens} and tg{plan.gen_tokens}"
    try:
        engine.unload()
        path = counts.model_file(engine)
        if path is None:
            raise ModelNotFound(engine.model)
        n_ctx = max(2048, plan.prompt_tokens, plan.gen_tokens)
        began = time.perf_counter_ns()
        with llama.Model(path, n_ctx=n_ctx, n_threads=plan.n_threads) as model:
            load_ns = time.perf_counter_ns() - began
            first, second = bare_cells(model, engine.model, plan.prompt_tokens, plan.gen_tokens)
            yield Work(replace(first, load_ns=load_ns), cold=True)
            yield Work(second, cold=False)  # the first one has loaded the model
    except ModelNotFound:
        yield f"{bare} left out: no file of {engine.model} on this machine that llama.cpp could open"
    except WorkbookError as error:
        yield f"{bare} left out: {error}"
    try:
        # The engine was asked to unload above; one behind a network may not have.
        unloaded = engine.name != "openai"
        cell = chat_cell(engine, plan.gen_tokens, run_id, unloaded)
        yield Work(cell, cold=True if unloaded else None, model_file=counts.model_file(engine))
    except (WorkbookError, ValidationError) as error:  # a server may describe itself in words no record takes
        yield f"the chat is left out: {str(error).splitlines()[0]}"
