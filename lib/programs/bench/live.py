"""What a plan's run shows: a table that moves on a terminal, plain lines in a pipe. It moves between repetitions only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from rich.console import Console
from rich.live import Live
from rich.table import Table

from programs.bench.conduct import Step
from programs.bench.estimate import Estimate, spoken
from programs.bench.fields import Record
from programs.bench.opening import Found
from programs.bench.planned import Asked, Run, shown_model

Say = Callable[[str], None]


@dataclass
class Row:
    """One cell as the screen has it."""

    asked: Asked
    guess: Estimate
    left: int
    total: int
    records: list[Record] = field(default_factory=list)
    state: str = "waiting"
    why_not: str = ""

    def figure(self, name: str) -> float | None:
        """The median of a figure over the repetitions that count."""
        found = [getattr(r, name) for r in self.records if r.status == "ok" and not r.is_warmup]
        known = [value for value in found if value is not None]
        return median(known) if known else None

    def seconds(self) -> float | None:
        """What is left of it, by what its repetitions took so far, else by the estimate."""
        took = [r.total_ns / 1e9 for r in self.records if r.total_ns and not r.is_warmup]
        if not self.left:
            return 0.0
        return median(took) * self.left if took else self.guess.of(self.left)


class Board:
    """All cells of a plan, and what has come of them."""

    def __init__(self, cells: Sequence[tuple[Asked, Estimate]], run: Run, repetitions: int, have: Mapping[str, Found]):
        self.rows: dict[str, Row] = {}
        for asked, guess in cells:
            left = len(run.left(asked, repetitions)) if have[asked.model].model is not None else 0
            row = Row(asked, guess, left, repetitions + 1, run.of(asked))
            row.why_not = have[asked.model].why_not
            row.state = "waiting" if left else "done" if row.records else "missing"
            self.rows[asked.hash] = row

    def add(self, step: Step) -> Row:
        """Note what has happened."""
        row = self.rows[step.asked.hash]
        record = step.record
        if record is None:
            row.state = "running" if row.left else row.state
        elif record.status == "skipped":
            row.left, row.state = 0, f"skipped: {record.error}"
        else:
            row.records.append(record)
            row.left = max(0, row.left - 1)
            row.state = "done" if not row.left else "running" if record.status == "ok" else record.status
        return row

    def eta(self) -> float | None:
        """Seconds left in all; None while a cell's time is unknown."""
        each = [row.seconds() for row in self.rows.values()]
        known = [seconds for seconds in each if seconds is not None]
        return sum(known) if len(known) == len(each) else None

    def table(self, title: str) -> Table:
        """The cells as a table; the caption says how long it will take yet."""
        table = Table(title=title, caption=f"left: {spoken(self.eta())}", title_justify="left")
        for name in ("model", "prompt", "thinking"):
            table.add_column(name, overflow="fold")
        for name in ("done", "tokens/s", "prompt tokens/s", "first token ms"):
            table.add_column(name, justify="right")
        table.add_column("state", overflow="fold")
        for row in self.rows.values():
            ttft = row.figure("ttft_ns")
            table.add_row(
                shown_model(row.asked.model), row.asked.prompt_id, _thinking(row.asked),
                f"{len(row.records)}/{row.total}", _number(row.figure("tg_ts")), _number(row.figure("pp_ts")),
                _number(ttft / 1e6 if ttft else None), row.state,
            )  # fmt: skip
        return table


def announce(board: Board, say: Say) -> None:
    """What will run, one line a cell, and how long it will take."""
    for row in board.rows.values():
        asked, settings = row.asked, row.asked.settings
        name = f" [{settings.name}]" if settings.name else ""
        size = "" if asked.bare else f", up to {settings.max_tokens} tokens"
        if row.state == "missing":
            what = f"the model is missing: skipped. {row.why_not}".rstrip(". ")
        elif not row.left:
            what = "done already"
        else:
            basis = {"records": "by earlier records", "probe": "by a probe", "unknown": "no record of it here yet"}
            what = f"{row.left} of {row.total} to do, {spoken(row.seconds())} ({basis[row.guess.basis]})"
        say(f"  {shown_model(asked.model)}, {asked.prompt_id}{name}{_comma(_thinking(asked))}{size}: {what}")
    say(f"Estimated time: {spoken(board.eta())}")


@contextmanager
def shown(board: Board, title: str, say: Say, console: Console | None = None) -> Iterator[Callable[[Step], None]]:
    """Gives what is to be called with each step."""
    console = console or Console()
    if not console.is_terminal or console.is_dumb_terminal:
        yield lambda step: _plain(board, step, say)
        return
    # No refresh of its own: a thread that draws would disturb what is measured.
    with Live(board.table(title), console=console, auto_refresh=False) as live:

        def show(step: Step) -> None:
            board.add(step)
            for warning in step.record.warnings if step.record else ():
                live.console.print(f"! {step.asked}: {warning}", markup=False, highlight=False)
            live.update(board.table(title), refresh=True)

        yield show


def grades(records: Sequence[Record]) -> list[str]:
    """One line for each graded cell: how often each level or result came, warm-ups left out."""
    found: dict[tuple[str, str, bool | None], Counter[str]] = {}
    for r in records:
        if r.task_id and not r.is_warmup and r.status == "ok":
            passed = None if r.passed is None else "passed" if r.passed else "not passed"
            result = r.grade or passed or r.grade_outcome or "not graded"
            found.setdefault((r.model_name, r.task_id, r.thinking), Counter())[result] += 1
    shown = {None: "", True: ", thinking", False: ", not thinking"}
    return [
        f"{model}, {task}{shown[thinking]}: " + ", ".join(f"{n} x {result}" for result, n in sorted(count.items()))
        for (model, task, thinking), count in found.items()
    ]


def _plain(board: Board, step: Step, say: Say) -> None:
    row, record = board.add(step), step.record
    if record is None:
        return
    if record.status == "skipped":
        say(f"{step.asked}: {row.state}")
        return
    which = "warm-up" if record.is_warmup else f"{record.rep_index}/{row.total - 1}"
    figures = [f"{record.tg_ts:.1f} tokens/s" if record.tg_ts else "", f"{record.grade}" if record.grade else ""]
    said = ", ".join(f for f in figures if f) if record.status == "ok" else f"{record.status}: {record.error}"
    say(f"{step.asked}: {which}{_comma(said)}; left {spoken(board.eta())}")
    for warning in record.warnings:
        say(f"! {step.asked}: {warning}")


def _thinking(asked: Asked) -> str:
    return "" if asked.thinking is None else "thinking" if asked.thinking else "not thinking"


def _comma(text: str) -> str:
    return f", {text}" if text else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
