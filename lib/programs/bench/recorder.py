"""A run's file: repetitions are done one by one, and each is on the disk before it is said."""

from __future__ import annotations

import hashlib
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import workbook
from programs import judge
from programs.bench import noise, privacy, store
from programs.bench.fields import Outcome, Record, Repetition, Resources, Setup, Status, TaskResult, as_line
from programs.bench.machine import machine_facts
from programs.bench.measure import ChatCell, LoopCell, count_again
from programs.bench.plan import PlanCell
from programs.bench.usage import NvidiaCards, Usage
from workbook import paths
from workbook.engines import Answer
from workbook.errors import EngineTimeout, NotKept, OutOfMemory, RunChanged, ServerNotFound, StreamBroken, WorkbookError

GIVE_UP_AFTER = 2  # failures in a row: the third would fail too, and each may wait for its time limit
_RELOADED_NS = 200_000_000
_MAX_ANSWER_BYTES = 2 * 2**20
_STATUS: dict[type[Exception], Status] = {
    EngineTimeout: "timeout", OutOfMemory: "oom", MemoryError: "oom", StreamBroken: "truncated",
    WorkbookError: "http_error", Exception: "harness_error",
}  # fmt: skip
"""The first that fits."""


class Recorder:
    """One run of a plan: the newest under ``folder`` of the plan of that hash, or one that has not begun.

    ``consent``: generated code may be run to grade it. ``notes`` are for the reader of the summary.
    Raises RunChanged when another machine began that run.
    """

    def __init__(self, folder: Path, host: str, plan_hash: str, new: bool = False, consent: bool = False) -> None:
        self.plan_hash, self.consent, self.facts, self.cards = plan_hash, consent, machine_facts(host), NvidiaCards()
        self.records: list[Record] = []
        self.notes: list[str] = []
        for path in () if new else sorted((folder / host).glob("*.jsonl"), reverse=True):
            self.records = [r for r in store.read(path).records if r.plan_hash == plan_hash]
            if self.records:
                self.path, self.run_id = path, self.records[0].run_id
                first, mine = self.records[0], self.facts
                if (first.cpu_model, first.threads) != (mine.cpu_model, mine.threads):
                    raise RunChanged(
                        f"this run was begun on another machine of the same alias ({first.cpu_model}, here "
                        f"{mine.cpu_model}). Give this one another --host, or record it anew with --new."
                    )
                return
        self.run_id = secrets.token_hex(6)  # its file is made by its first record
        self.path = store.run_file(folder, host, datetime.now(UTC), self.run_id)

    def left(self, cell: PlanCell, repetitions: int) -> list[int]:
        """The repetitions of ``cell`` still to do; none of a cell that was given up."""
        done = [r for r in self.records if r.cell_hash == cell.hash and r.status != "skipped"]
        last = sorted(done, key=lambda r: r.rep_index)[-GIVE_UP_AFTER:]
        if len(last) == GIVE_UP_AFTER and all(r.status != "ok" for r in last):
            return []
        return [rep for rep in range(repetitions + 1) if rep not in {r.rep_index for r in done}]

    def repeat(self, measured: LoopCell | ChatCell, cell: PlanCell, repetitions: int) -> Iterator[Record]:
        """What is left of one cell, until too many fail in a row."""
        load_ns, left = None, self.left(cell, repetitions)
        if left[0] != 0:  # interrupted after its warm-up: warm it again, and record nothing twice
            with suppress(Exception):
                measured.run(0)
        while left:
            record = self.once(measured, cell, left[0], load_ns)
            load_ns = record.load_ns if record.cold else load_ns
            yield record
            after = self.left(cell, repetitions)
            if len(left) > 1 and not after:
                self.notes.append(f"{cell.prompt_id}: given up after {GIVE_UP_AFTER} failures in a row")
            left = after

    def once(self, measured: LoopCell | ChatCell, cell: PlanCell, rep: int, cold_ns: int | None = None) -> Record:
        """One repetition, on the disk when this returns. ``cold_ns``: how long the model took to load before."""
        started_at, began = datetime.now(UTC), time.monotonic()
        outcome, answer, used = self._attempt(measured, rep)
        wall_s = (datetime.now(UTC) - started_at).total_seconds()
        invalid = noise.invalid(wall_s, time.monotonic() - began)
        again = rep > 0 and (outcome.load_ns or 0) > max(_RELOADED_NS, (cold_ns or 0) // 2)
        counted, task, said = self._after(measured, cell, rep, outcome, answer)
        outcome = outcome.model_copy(update=counted)
        seen = (*said, *noise.warnings(outcome, used), *(["the model was loaded again"] if again else []))
        outcome = outcome.model_copy(update={"warnings": seen, "invalid": invalid})
        which = Repetition(
            run_id=self.run_id, rep_index=rep, is_warmup=rep == 0, started_at=started_at,
            recorder_version=workbook.__version__, plan_hash=self.plan_hash, cell_hash=cell.hash,
            seed=measured.base_seed + rep, prompt_prefix=measured.prefix(rep), cold=measured.cold if rep == 0 else again,
        )  # fmt: skip
        try:
            record = Record.of(which, measured.setup, outcome, used, self.facts, task)
        except ValidationError as error:  # figures that cannot be
            failed = Outcome(status="harness_error", error=one_line(error))
            record = Record.of(which, measured.setup, failed, used, self.facts)
        return self.keep(record)

    def keep(self, record: Record) -> Record:
        """Append it; when this returns it is on the disk. Raises NotKept."""
        record = privacy.cleaned(record)  # as the store does
        with self._writing():
            store.append(self.path, record)
        self.records.append(record)
        return record

    def skip(self, setup: Setup, cell: PlanCell, why: str) -> Iterator[Record]:
        """Keep one record that says why ``cell`` was not begun; none if one stands there already."""
        if any(r.cell_hash == cell.hash and r.status == "skipped" for r in self.records):
            self.notes.append(f"{cell}: still skipped: {why}")
            return
        which = Repetition(
            run_id=self.run_id, rep_index=0, is_warmup=True, started_at=datetime.now(UTC),
            plan_hash=self.plan_hash, cell_hash=cell.hash,
        )  # fmt: skip
        outcome = Outcome(status="skipped", error=as_line(privacy.text(why)) or "no reason given")
        yield self.keep(Record.of(which, setup, outcome, self.facts))

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

    def _attempt(self, measured: LoopCell | ChatCell, rep: int) -> tuple[Outcome, Answer | None, Resources]:
        try:
            with Usage(measured.pids, self.cards) as usage:
                outcome, answer = measured.run(rep)
            return outcome, answer, usage.resources()
        except ServerNotFound:
            raise  # nothing was repeated: the run goes on when the server is back
        except Exception as error:  # noqa: BLE001  one failure is a record, not the end of the run
            status = next(status for kind, status in _STATUS.items() if isinstance(error, kind))
            return Outcome(status=status, error=one_line(error)), None, Resources()

    def _after(
        self, measured: LoopCell | ChatCell, cell: PlanCell, rep: int, outcome: Outcome, answer: Answer | None
    ) -> tuple[dict[str, Any], TaskResult, tuple[str, ...]]:
        """What is done when the clock has stopped: count again, keep the answer, grade it."""
        if answer is None:
            return {}, TaskResult(), ()
        n_gen, n_thought = count_again(measured.model_file, answer)
        if n_thought is not None and outcome.n_gen is not None:
            n_thought = min(n_thought, outcome.n_gen)
        # The thinking comes first, between the marks that models use for it.
        thinking = f"<think>\n{answer.thinking.strip()}\n</think>\n\n" if answer.thinking else ""
        kept = (thinking + answer.text).encode()[:_MAX_ANSWER_BYTES]
        with self._writing():
            name = f"{cell.prompt_id}-{measured.setup.hash()}-r{rep}.md"
            paths.write_whole(self.path.with_suffix(".answers") / name, kept)
        task, said = self._graded(cell, answer)
        checksum = hashlib.sha256(kept).hexdigest()
        return {"n_gen_tokenizer": n_gen, "n_reasoning": n_thought, "answer_sha256": checksum}, task, said

    def _graded(self, cell: PlanCell, answer: Answer) -> tuple[TaskResult, tuple[str, ...]]:
        """The grade, and what to say of it where there is none."""
        task = cell.task
        if task is None:
            return TaskResult(), ()
        if task.needs_code and not self.consent:
            return TaskResult(task_id=task.id), ("not graded: that runs generated code, and --yes was not given",)
        try:
            cut = answer.finish_reason == "length"
            found = judge.grade(task.id, answer.text, consent=self.consent, truncated=cut)
            alike = ("task_id", "task_version", "mark", "passed", "sandbox", "grader_version", "code_sha256")
            return TaskResult(
                **{name: getattr(found, name) for name in alike},
                grade=found.level,
                grade_outcome=found.outcome,
                grade_reasons=tuple(as_line(reason) for reason in found.reasons[:50] if reason.strip()),
                checks={as_line(name, 100): passed for name, passed in list(found.checks.items())[:100]},
            ), ()
        except Exception as error:  # noqa: BLE001  the answer is kept: it can be graded later
            said = f"not graded: {one_line(error)}"[:1000]
            return TaskResult(task_id=task.id, grade_outcome="harness_error"), (said,)


def one_line(error: Exception) -> str:
    """An error as a record may keep it: printable, without this machine's folders."""
    return as_line(privacy.text(f"{type(error).__name__}: {error}"))
