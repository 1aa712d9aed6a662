"""Running a plan on this machine: say what will run, run it, go on where a run of the same plan stopped."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from statistics import median

import httpx
import ollama
import typer
from pydantic import ValidationError
from tqdm import tqdm

from programs import bench
from programs.bench import privacy, store
from programs.bench.fields import Method, Record, Setup
from programs.bench.machine import host_alias
from programs.bench.measure import ChatCell, LoopCell, chat_cell, loop_cell, model_file
from programs.bench.plan import ANY, LOADING, Plan, PlanCell
from programs.bench.pull import pull
from programs.bench.recorder import Recorder, one_line
from workbook import paths
from workbook.alone import alone
from workbook.engines import Context, Engine, connect, llama
from workbook.engines import ollama as ollama_engine
from workbook.errors import ModelNotFound, NoModel, NotKept, RunChanged, ServerNotFound, WorkbookError

_PROBE_S = 0.5
_UNLOAD_S = 30.0
Say = Callable[[str], None]


class CellSkipped(Exception):
    """A cell cannot be run; why, in one line."""


def record(
    plan: Plan,
    engine: str | None = None,
    host: str | None = None,
    results: Path | None = None,
    consent: bool = False,
    pull: bool | None = None,
    dry_run: bool = False,
    new: bool = False,
    say: Say = print,
) -> None:
    """Run ``plan``, or what an earlier run of it has left; ``dry_run``: only say what would run.

    ``consent``: generated code may be run, contained, to grade it. ``pull``: Ollama may download what is missing;
    None: ask. Raises NotAlone, NotKept, RunChanged, BadOption, and what ``connect`` raises.
    """
    name = engine_name(engine or plan.engine, named=any(model.name != ANY for model in plan.models))
    alias, folder = host_alias(host), results or paths.results()
    with alone(paths.cache() / "bench.lock", "benchmark"):
        session = PlanSession(plan, name, Recorder(folder, alias, plan.hash(name), new, consent))
        if not dry_run:
            session.pull_missing(pull, say)
        session.announce([r for r in store.load(folder / alias).records if r.host == alias], say)
        if not dry_run:
            session.run(say)


def engine_name(asked: str | None, named: bool) -> str:
    """The engine that is asked for, or that WORKBOOK_ENGINE names, or what answers; an Ollama can pull ``named`` models."""
    found = (asked or os.environ.get("WORKBOOK_ENGINE") or "").lower()
    if not found and named:
        return "ollama" if ollama_engine.answers(_PROBE_S) else "embedded"
    return found or connect(quiet=True).name


def connected(engine: str, model: str) -> Engine:
    """The engine with a plan's model. Raises what ``connect`` raises."""
    return connect(engine, None if model == ANY else model, quiet=True)


def on_a_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def why_not(engine: str, model: str) -> str:
    """Why the engine has not the model; "" where it has. Raises what ``connect`` raises, but for a missing model."""
    try:
        connected(engine, model).close()
    except (NoModel, ModelNotFound) as error:
        if isinstance(error, NoModel) and model != ANY:  # its words are for who asked for any model
            return str(ModelNotFound.named(model, (), f"Install it with: ollama pull {model}"))
        return str(error)
    return ""


class PlanSession:
    """A plan on one engine, with the recorder of its run. ``missing``: why a model of the plan is not there."""

    def __init__(self, plan: Plan, engine: str, recorder: Recorder) -> None:
        self.plan, self.engine, self.recorder, self.cells = plan, engine, recorder, plan.cells()
        said = {model: why_not(engine, model) for model in dict.fromkeys(cell.model for cell in self.cells)}
        self.missing = {model: why for model, why in said.items() if why}

    def left(self, cell: PlanCell) -> list[int]:
        """The repetitions of ``cell`` that are still to do."""
        return self.recorder.left(cell, self.plan.repetitions)

    def pull_missing(self, agreed: bool | None, say: Say) -> None:
        """Let Ollama download the models that are missing, where the user agrees."""
        if self.engine != "ollama":
            return
        wanted = sorted({c.model for c in self.cells if self.left(c) and c.model in self.missing} - {ANY})
        if wanted and agreed is None and on_a_terminal():
            try:
                agreed = typer.confirm(f"Ollama has not: {', '.join(wanted)}. Let it download them now?")
            except typer.Abort:  # Ctrl-C, or the end of what is typed
                print()
                raise KeyboardInterrupt from None
        for model in wanted:
            if not agreed:
                self.missing[model] += " (not pulled: that was not agreed to; --pull agrees)"
            elif failed := pull(model, say):
                self.missing[model] = f"{model!r} is not installed; {failed}"
            else:
                del self.missing[model]

    def announce(self, earlier: list[Record], say: Say) -> None:
        """What will run, one line a cell, and how long it will take by ``earlier`` records of this machine."""
        plan, done = self.plan, len(self.recorder.records)
        named = f"Plan {plan.name} ({self.recorder.plan_hash}) on {self.engine}, {len(self.cells)} cells"
        say(f"{named}, {plan.repetitions} times each after a warm-up.")
        if done:
            say(f"It goes on where it stopped: {done} records in {paths.shown(self.recorder.path)}")
        total: float | None = 0.0
        for cell in self.cells:
            left, why = len(self.left(cell)), self.missing.get(cell.model)
            if not left:
                what = "done already"
            elif why:
                what = f"the model is missing: skipped. {why}".rstrip(". ")
            else:
                same = [r for r in earlier if r.cell_hash == cell.hash and r.status == "ok"]
                each = median((r.total_ns or 0) / 1e9 for r in same) if same else None
                total = None if each is None or total is None else total + left * each
                takes = (
                    "unknown: not measured here yet" if each is None else f"{spoken(left * each)} (by earlier records)"
                )
                what = f"{left} of {plan.repetitions + 1} to do, {takes}"
            name = f" [{cell.settings.name}]" if cell.settings.name else ""
            size = "" if cell.loop else f", up to {cell.settings.max_tokens} tokens"
            say(f"  {cell}{name}{size}: {what}")
        say(f"Estimated time: {spoken(total)}")

    def run(self, say: Say) -> None:
        """Run what is left: a bar on a terminal, a line for each repetition and each doubt; the summary at the end."""
        left = {cell: len(self.left(cell)) for cell in self.cells}
        total = sum(n for cell, n in left.items() if cell.model not in self.missing)
        if self.recorder.records and not total:
            missing = sorted({cell.model for cell, n in left.items() if n})
            rest = f" but for what is missing: {', '.join(missing)}" if missing else ""
            say(f"Nothing is left to do{rest}. Record it anew with: --new")
            return
        try:
            with tqdm(total=total, unit="rep", disable=None, leave=False) as bar, closing(self.steps()) as steps:
                for cell, made in steps:
                    for line in told(cell, made, self.plan.repetitions):
                        (say if bar.disable else tqdm.write)(line)
                    bar.update(made.status != "skipped")
        finally:
            records = self.recorder.records
            done = bench.records.frame(r for r in records if r.status != "skipped")
            doubts = [f"! {line}" for line in (*self.recorder.notes, *bench.stats.doubts(done))]
            say("\n".join([bench.stats.table(done), *doubts]))
            say(f"{len(records)} records in {paths.shown(self.recorder.path)}")

    def steps(self) -> Generator[tuple[PlanCell, Record]]:
        """Do what is left of the plan; each record is on the disk when it comes.

        Raises ServerNotFound when the engine goes away (the run can go on later), RunChanged, and NotKept.
        """
        self.recorder.writable()
        current: tuple[str, Engine] | None = None
        with ExitStack() as stack:
            for cell in self.cells:
                if not self.left(cell):
                    continue
                try:
                    if cell.model in self.missing:
                        raise CellSkipped(self.missing[cell.model])
                    if current is None or current[0] != cell.model:
                        stack.close()
                        current = cell.model, stack.enter_context(closing(connected(self.engine, cell.model)))
                        base = current[1].context
                    yield from ((cell, made) for made in self._repeat(current[1], base, cell))
                except (NotKept, RunChanged, ServerNotFound):
                    raise
                except (CellSkipped, WorkbookError, ValidationError) as error:  # too large a model, a damaged file
                    why = str(error) if isinstance(error, CellSkipped) else one_line(error)
                    yield from ((cell, made) for made in self.recorder.skip(self._asked(cell), cell, why))

    def _repeat(self, engine: Engine, base: Context, cell: PlanCell) -> Iterator[Record]:
        names = LOADING if engine.name == "openai" else [name for name in LOADING if name != "n_threads"]
        if cell.given(*names) and not cell.loop and engine.name != "embedded":
            given = ", ".join(cell.given(*names))
            raise CellSkipped(f"{engine.name} takes no {given} with a request: set it for the server instead")
        engine.context = replace(base, **cell.given(*LOADING))
        with ExitStack() as stack:
            measured: LoopCell | ChatCell
            if cell.loop:
                measured = self._loop(stack, engine, cell, *cell.loop)
            else:
                cold = True if unload(engine) else None
                measured = chat_cell(engine, self.plan, cell, self.recorder.run_id, cold)
            self._same(cell, measured.setup)
            yield from self.recorder.repeat(measured, cell, self.plan.repetitions)

    def _loop(self, stack: ExitStack, engine: Engine, cell: PlanCell, kind: str, tokens: int) -> LoopCell:
        """llama-bench's test, the model in this process alone."""
        path = model_file(engine)
        if path is None:
            needed = f"{cell.prompt_id} needs the model's file"
            raise CellSkipped(f"{needed}, and no file of {engine.model} is on this machine")
        unload(engine)
        began = time.perf_counter_ns()
        n_ctx = max(cell.settings.n_ctx, tokens)
        model = stack.enter_context(llama.Model(path, n_ctx, **cell.given(*LOADING)))
        return loop_cell(model, engine.model, kind, tokens, self.plan.seed, time.perf_counter_ns() - began)

    def _same(self, cell: PlanCell, setup: Setup) -> None:
        """Refuse to mix two set-ups in one cell, or one set-up under two cells."""
        for r in self.recorder.records:
            if r.status == "skipped":
                continue
            if r.cell_hash == cell.hash and r.config_hash != setup.hash():
                changed = ", ".join([n for n in Setup.model_fields if getattr(r, n) != getattr(setup, n)][:3])
                raise RunChanged(f"{cell}: {changed} changed since this run began. Record it anew with --new.")
            if r.cell_hash != cell.hash and r.config_hash == setup.hash():
                raise CellSkipped("another cell of this plan is the same set-up on this machine")

    def _asked(self, cell: PlanCell) -> Setup:
        """What can be said of a cell that was not begun: what the plan asks for."""
        method: Method = "client-stream" if self.engine == "openai" else "server-timings"
        known = {name: value for name, value in cell.asked().items() if name in Setup.model_fields}
        if cell.text is not None:
            known |= {"prompt_sha256": cell.text_sha256, "unique_prefix": cell.unique_prefix}
        return Setup(
            method="llama-bench" if cell.loop else method, prompt_id=cell.prompt_id, engine=self.engine,
            model_name=privacy.text(cell.model), **known,
        )  # fmt: skip


def unload(engine: Engine) -> bool:
    """Free the model's memory, and say whether that is known to be done."""
    engine.unload()
    if engine.name != "ollama":
        return engine.name == "embedded"
    client, began = ollama.Client(getattr(engine, "url", None), timeout=5), time.monotonic()
    while time.monotonic() - began < _UNLOAD_S:  # Ollama answers before the model has gone
        try:
            running = {each.model for each in client.ps().models}
        except (ollama.ResponseError, ConnectionError, httpx.HTTPError, ValueError, TypeError):
            return False
        if engine.model not in running:
            return True
        time.sleep(0.05)
    return False


def spoken(seconds: float | None) -> str:
    """A time as people say it."""
    if seconds is None or seconds < 90:
        return "unknown" if seconds is None else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def told(cell: PlanCell, made: Record, repetitions: int) -> Iterator[str]:
    """What is said of one repetition: its rate and its grade, or what went wrong; then its doubts."""
    if made.status == "skipped":
        yield f"{cell}: skipped: {made.error}"
        return
    which = "warm-up" if made.is_warmup else f"{made.rep_index}/{repetitions}"
    rate = made.tg_ts or made.pp_ts
    figures = [f"{rate:.1f} {'' if made.tg_ts else 'prompt '}tokens/s" if rate else "", made.grade or ""]
    said = [f"{made.status}: {made.error}"] if made.status != "ok" else [figure for figure in figures if figure]
    yield ", ".join([f"{cell}: {which}", *said])
    yield from (f"! {cell}: {warning}" for warning in made.warnings)
