"""Does repetitions and keeps each of them as soon as it has ended."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import workbook
from programs.bench import counts, noise, private, prompts, store
from programs.bench.cells import Attempt, Cell
from programs.bench.fields import MachineFacts, Outcome, Record, Repetition, Resources, Status, TaskResult
from programs.bench.gpulog import GpuLog
from programs.bench.sampler import Sampler
from workbook import paths
from workbook.engines import Answer
from workbook.errors import EngineTimeout, NotKept, OutOfMemory, ServerNotFound, StreamBroken, WorkbookError

GIVE_UP_AFTER = 2  # failures in a row: the third would fail too, and each may wait for its time limit
_RELOADED_NS = 200_000_000
_MAX_ANSWER_BYTES = 2 * 2**20


@dataclass(frozen=True)
class Grading:
    """What is done with the answers of a cell. ``folder``: where they are kept; ``task``: they are graded too."""

    folder: Path
    prompt_id: str
    task: bool = False
    needs_code: bool = False
    consent: bool = False


@dataclass(frozen=True)
class Work:
    """A cell to be repeated, and what is known of it beside its set-up.

    ``cold``: whether its model was loaded for repetition 0 (None: unknown). ``model_file``: to count tokens again.
    """

    cell: Cell
    cold: bool | None = None
    cell_hash: str | None = None
    model_file: Path | None = None
    grading: Grading | None = None


class Recorder:
    """Appends records to ``path``, all of one run. ``notes`` are for the reader of the run's summary."""

    def __init__(self, path: Path, run_id: str, facts: MachineFacts, plan_hash: str | None = None) -> None:
        self.path, self.run_id, self.facts, self.plan_hash = path, run_id, facts, plan_hash
        self.gpu = GpuLog()
        self.records: list[Record] = []
        self.notes: list[str] = []

    def repeat(self, work: Work, reps: Sequence[int]) -> Iterator[Record]:
        """These repetitions of one cell, until too many fail in a row."""
        failures, load_ns = 0, None
        for rep in reps:
            record = self.once(work, rep, load_ns)
            load_ns = record.load_ns if record.cold else load_ns
            yield record
            failures = 0 if record.status == "ok" else failures + 1
            if failures == GIVE_UP_AFTER and rep != reps[-1]:
                self.notes.append(f"{record.prompt_id}: given up after {failures} failures in a row")
                return

    def once(self, work: Work, rep: int, cold_ns: int | None = None) -> Record:
        """One repetition, on the disk when this returns. ``cold_ns``: how long the model took to load before."""
        started_at, began = datetime.now(UTC), time.monotonic()
        attempt, used = self._attempt(work.cell, rep)
        wall_s = (datetime.now(UTC) - started_at).total_seconds()
        invalid = noise.invalid(wall_s, time.monotonic() - began)
        outcome, task = self._after(work, rep, attempt)
        again = _reloaded(outcome, cold_ns) if rep else False
        which = Repetition(
            run_id=self.run_id, rep_index=rep, is_warmup=rep == 0, started_at=started_at,
            recorder_version=workbook.__version__, plan_hash=self.plan_hash, cell_hash=work.cell_hash,
            seed=work.cell.seed(rep), prompt_prefix=work.cell.prefix(rep), cold=work.cold if rep == 0 else again,
        )  # fmt: skip
        seen = [*outcome.warnings, *noise.warnings(outcome, used), *(["the model was loaded again"] if again else [])]
        outcome = outcome.model_copy(update={"warnings": tuple(seen), "invalid": invalid})
        try:
            record = Record.of(which, work.cell.setup, outcome, used, self.facts, task)
        except ValidationError as error:  # figures that cannot be
            failed = Outcome(status="harness_error", error=one_line(error))
            record = Record.of(which, work.cell.setup, failed, used, self.facts)
        return self.keep(record)

    def keep(self, record: Record) -> Record:
        """Append it; when this returns it is on the disk. Raises NotKept."""
        record = private.cleaned(record)  # as the store does
        with self._writing():
            store.append(self.path, record)
        self.records.append(record)
        return record

    def writable(self) -> None:
        """Raise NotKept where no record can be written: known before anything is measured, not after."""
        with self._writing():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path.parent) as tried:
                tried.write(b" ")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise NotKept(
                f"{paths.shown(self.path.parent)} cannot be written ({error.strerror}). The {len(self.records)} "
                "repetitions that ended are kept. Make room, or name another folder with --results."
            ) from None

    def _attempt(self, cell: Cell, rep: int) -> tuple[Attempt, Resources]:
        try:
            with Sampler(cell.pids, self.gpu) as sampler:
                attempt = cell.run(rep)
            return attempt, sampler.resources()
        except Exception as error:
            if self.plan_hash and isinstance(error, ServerNotFound):
                raise  # nothing was repeated: the plan's run goes on when the server is back
            return Attempt(Outcome(status=status_of(error), error=one_line(error))), Resources()

    def _after(self, work: Work, rep: int, attempt: Attempt) -> tuple[Outcome, TaskResult]:
        """What is done when the clock has stopped: count again, keep the answer, grade it."""
        outcome, answer = attempt.outcome, attempt.answer
        if answer is None:
            return outcome, TaskResult()
        n_gen, n_thought = counts.again(work.model_file, answer)
        if n_thought is not None and outcome.n_gen is not None:
            n_thought = min(n_thought, outcome.n_gen)
        found: dict[str, Any] = {"n_gen_tokenizer": n_gen, "n_reasoning": n_thought}
        task = TaskResult()
        if work.grading is not None:
            kept = _answer_file(answer)
            name = f"{work.grading.prompt_id}-{work.cell.setup.hash()}-r{rep}.md"
            with self._writing():
                paths.write_whole(work.grading.folder / name, kept)
            found["answer_sha256"] = hashlib.sha256(kept).hexdigest()
            task, said = _graded(work.grading, answer)
            found["warnings"] = said
        return outcome.model_copy(update=found), task


def _answer_file(answer: Answer) -> bytes:
    """The answer as Markdown, its thinking first, between the marks that models use for it."""
    thinking = f"<think>\n{answer.thinking.strip()}\n</think>\n\n" if answer.thinking else ""
    return (thinking + answer.text).encode()[:_MAX_ANSWER_BYTES]


def _graded(grading: Grading, answer: Answer) -> tuple[TaskResult, tuple[str, ...]]:
    """The grade, and what to say of it where there is none."""
    if not grading.task:
        return TaskResult(), ()
    if grading.needs_code and not grading.consent:
        return TaskResult(task_id=grading.prompt_id), ("not graded: that runs generated code, and --yes was not given",)
    try:
        cut = answer.finish_reason == "length"
        return prompts.grade(grading.prompt_id, answer.text, consent=grading.consent, truncated=cut), ()
    except Exception as error:  # noqa: BLE001  the answer is kept: it can be graded later
        return TaskResult(task_id=grading.prompt_id, grade_outcome="harness_error"), (
            f"not graded: {one_line(error)}"[:1000],
        )


def _reloaded(outcome: Outcome, cold_ns: int | None) -> bool:
    """Whether a repetition that should have found its model loaded has loaded it again."""
    if outcome.load_ns is None:
        return False
    return outcome.load_ns > max(_RELOADED_NS, (cold_ns or 0) // 2)


def status_of(error: Exception) -> Status:
    """How a record names what went wrong."""
    if isinstance(error, EngineTimeout):
        return "timeout"
    if isinstance(error, OutOfMemory | MemoryError):
        return "oom"
    if isinstance(error, StreamBroken):
        return "truncated"
    return "http_error" if isinstance(error, WorkbookError) else "harness_error"


def one_line(error: Exception) -> str:
    """An error as a record may keep it: printable, without this machine's folders."""
    text = private.text(f"{type(error).__name__}: {error}")
    return "".join(c if c.isprintable() else " " for c in text)[:1000]
