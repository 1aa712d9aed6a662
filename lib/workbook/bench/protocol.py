"""How a machine is measured: unload, one warm-up, repetitions, every one of them kept as it ends."""

from __future__ import annotations

import hashlib
import platform
import secrets
import uuid
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from workbook import hardware, models, paths
from workbook.bench import stats, store
from workbook.bench.cells import Cell, bare_cells, chat_cell
from workbook.bench.gpulog import GpuLog
from workbook.bench.record import Alias, MachineFacts, Outcome, Record, Repetition, Resources, Status
from workbook.bench.sampler import Sampler
from workbook.engines import connect, llama
from workbook.engines.base import Engine
from workbook.errors import BadOption, EngineTimeout, ModelNotFound, OutOfMemory, StreamBroken, WorkbookError

_GIVE_UP_AFTER = 2  # failures in a row: the third would fail too, and each may wait for its time limit

_NOT_ON_WINDOWS = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}


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
        return f"{self.table()}\n{len(self.records)} records in {paths.shown(self.path)}"


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
    Raises BadOption, and what ``connect`` raises.
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

    recorder = _Recorder(folder, host)
    interrupted = False
    total = 3 * (plan.repetitions + 1)
    try:
        with (
            closing(recorder.gpu),
            closing(_cells(engine, plan)) as cells,
            tqdm(total=total, disable=not progress, unit="rep") as bar,
        ):
            for cell in cells:
                if isinstance(cell, str):
                    recorder.notes.append(cell)
                    continue
                for done in recorder.repeat(cell, plan.repetitions):
                    bar.set_description(done.prompt_id)
                    bar.update()
    except KeyboardInterrupt:
        interrupted = True
        recorder.notes.append(
            f"stopped: the {len(recorder.records)} finished repetitions are in {paths.shown(recorder.path)}"
        )
    notes = (*recorder.notes, *stats.all_doubts(recorder.records))
    return RunSummary(recorder.path, tuple(recorder.records), notes, interrupted)


def _cells(engine: Engine, plan: Plan) -> Generator[Cell | str]:
    """The cells one after the other, each with the memory to itself; a line of text where one is left out."""
    bare = f"pp{plan.prompt_tokens} and tg{plan.gen_tokens}"
    try:
        engine.unload()
        path = getattr(engine, "path", None) or models.find(engine.model)
        n_ctx = max(2048, plan.prompt_tokens, plan.gen_tokens)
        with llama.Model(path, n_ctx=n_ctx, n_threads=plan.n_threads) as model:
            yield from bare_cells(model, engine.model, plan.prompt_tokens, plan.gen_tokens)
    except ModelNotFound:
        yield f"{bare} left out: no file of {engine.model} on this machine that llama.cpp could open"
    except WorkbookError as error:
        yield f"{bare} left out: {error}"
    try:
        yield chat_cell(engine, plan.gen_tokens)
    except (WorkbookError, ValidationError) as error:  # a server may describe itself in words no record takes
        yield f"the chat is left out: {str(error).splitlines()[0]}"


class _Recorder:
    """Does repetitions and keeps each of them as soon as it has ended."""

    def __init__(self, folder: Path, host: str) -> None:
        started, self.run_id = datetime.now(UTC), secrets.token_hex(6)
        self.path = store.run_file(folder, host, started, self.run_id)
        self.facts = machine_facts(host)
        self.gpu = GpuLog()
        self.records: list[Record] = []
        self.notes: list[str] = []

    def repeat(self, cell: Cell, repetitions: int) -> Iterator[Record]:
        """The warm-up and the repetitions of one cell."""
        failures = 0
        for rep in range(repetitions + 1):
            started_at = datetime.now(UTC)
            outcome, used = self._attempt(cell, rep)
            which = Repetition(run_id=self.run_id, rep_index=rep, is_warmup=rep == 0, started_at=started_at)
            try:
                record = Record.of(which, cell.setup, outcome, used, self.facts)
            except ValidationError as error:  # figures that cannot be
                failed = Outcome(status="harness_error", error=_one_line(error))
                record = Record.of(which, cell.setup, failed, used, self.facts)
            store.append(self.path, record)
            self.records.append(record)
            yield record
            failures = 0 if record.status == "ok" else failures + 1
            if failures == _GIVE_UP_AFTER and rep < repetitions:
                self.notes.append(f"{record.prompt_id}: given up after {failures} failures in a row")
                return

    def _attempt(self, cell: Cell, rep: int) -> tuple[Outcome, Resources]:
        try:
            with Sampler(cell.pids, self.gpu) as sampler:
                outcome = cell.run(rep)
            return outcome, sampler.resources()
        except Exception as error:  # noqa: BLE001  a run that goes on is worth more than where it broke
            return Outcome(status=status_of(error), error=_one_line(error)), Resources()


def status_of(error: Exception) -> Status:
    """How a record names what went wrong."""
    if isinstance(error, EngineTimeout):
        return "timeout"
    if isinstance(error, OutOfMemory | MemoryError):
        return "oom"
    if isinstance(error, StreamBroken):
        return "truncated"
    return "http_error" if isinstance(error, WorkbookError) else "harness_error"


def _one_line(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}"
    for folder, sign in ((paths.root(), "."), (Path.home(), "~")):
        for written in (str(folder), str(folder).replace("\\", "\\\\")):  # an OSError doubles Windows' slashes
            text = text.replace(written, sign)
    return "".join(c if c.isprintable() else " " for c in text)[:1000]


def machine_facts(host: str) -> MachineFacts:
    """What ``hardware.machine`` finds, as a record keeps it."""
    found = hardware.machine()
    gpus = found.gpus
    vram = [gpu.vram_total_bytes for gpu in gpus or () if gpu.vram_total_bytes]
    return MachineFacts(
        host=host,
        cpu_model=_short(found.cpu_model),
        isa_flags=found.isa_flags,
        sockets=found.sockets,
        cores=found.cores,
        threads=found.threads,
        cpu_quota=found.cpu_quota,
        ram_total_bytes=found.ram_total_bytes,
        ram_limit_bytes=found.ram_limit_bytes,
        gpus=None if gpus is None else tuple(gpu.name for gpu in gpus),
        vram_total_bytes=tuple(vram) if gpus and len(vram) == len(gpus) else None,
        driver=next((gpu.driver for gpu in gpus or () if gpu.driver), None),
        os=_short(found.os),
        kernel=_short(found.kernel),
        virtualised=found.virtualised,
    )


def _short(text: str | None) -> str | None:
    return "".join(c for c in text if c.isprintable())[:100] or None if text else None


def host_alias(given: str | None = None) -> str:
    """``given`` if it can name a folder on every system, else a pseudonym such as "host-3fa91c".

    The pseudonym is the start of a hash of this machine's name and network address: the same on every run, another
    one on another machine, and too short to tell the name. Raises BadOption.
    """
    if given is not None:
        try:
            alias: str = TypeAdapter(Alias).validate_python(given, strict=True)
        except ValidationError:
            raise BadOption(f"host={given!r}: up to 40 letters, digits, - or _, a letter or digit first.") from None
        if alias.lower() in _NOT_ON_WINDOWS:
            raise BadOption(f"host={given!r}: Windows allows no such folder; choose another alias.")
        return alias
    node = uuid.getnode()
    address = "" if node >> 40 & 1 else f"{node:x}"  # with that bit set it is a random number, new in every process
    return "host-" + hashlib.sha256(f"workbook {platform.node()} {address}".encode()).hexdigest()[:6]
