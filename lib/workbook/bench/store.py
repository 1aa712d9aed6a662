"""The kept records: one JSONL file a run, one line a repetition, only ever appended to.

``<results>/<host alias>/<started_at>-<run_id>.jsonl``. Files may come from others or be cut by a kill:
what is damaged is reported with its file and line, and the rest is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from workbook import paths
from workbook.bench.record import Record

MAX_FILE_BYTES = 64 * 2**20
MAX_LINE_BYTES = 256 * 2**10
MAX_FILES = 20_000


@dataclass(frozen=True)
class Problem:
    """A line or a file that could not be read as records. ``line`` 0 is the whole file.

    ``cut``: the last line lacks its end, as a kill in the middle of a write leaves it; nothing finished is lost.
    """

    file: str
    line: int
    message: str
    cut: bool = False

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


@dataclass(frozen=True)
class Loaded:
    """Records in the order of their files and lines, and what could not be read."""

    records: tuple[Record, ...] = ()
    problems: tuple[Problem, ...] = ()


def run_file(folder: Path, host: str, started_at: datetime, run_id: str) -> Path:
    """Where a run's records go. The name holds no colon: Windows refuses them."""
    return folder / host / f"{started_at:%Y%m%dT%H%M%SZ}-{run_id}.jsonl"


def append(path: Path, record: Record) -> None:
    """Add one record as one line; when this returns it is on the disk.

    A last line that lacks its end (an earlier run was killed in it) is ended first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    line = record.line().encode() + b"\n"
    with path.open("a+b") as out:
        if out.seek(0, os.SEEK_END):
            out.seek(-1, os.SEEK_END)
            line = line if out.read(1) == b"\n" else b"\n" + line
        out.write(line)
        out.flush()
        os.fsync(out.fileno())


def load(folder: Path | None = None) -> Loaded:
    """All records under ``folder`` (default: ``paths.results()``), each repetition once."""
    folder = paths.results() if folder is None else folder
    records: dict[tuple[object, ...], Record] = {}
    problems: list[Problem] = []
    files = sorted(folder.rglob("*.jsonl"))
    if len(files) > MAX_FILES:
        problems.append(Problem(paths.shown(folder), 0, f"more than {MAX_FILES} files: only the first are read"))
    for path in files[:MAX_FILES]:
        for number, item in _lines(path):
            if isinstance(item, Problem):
                problems.append(item)
                continue
            key = (item.run_id, item.method, item.prompt_id, item.rep_index)
            if records.setdefault(key, item) is not item:
                problems.append(Problem(paths.shown(path), number, "this repetition is there already: skipped"))
    return Loaded(tuple(records.values()), tuple(problems))


def read(path: Path) -> Loaded:
    """The records of one file."""
    items = [item for _, item in _lines(path)]
    return Loaded(tuple(i for i in items if isinstance(i, Record)), tuple(i for i in items if isinstance(i, Problem)))


def _lines(path: Path) -> Iterator[tuple[int, Record | Problem]]:
    """Line number and record, or what is wrong with that line."""
    name = paths.shown(path)
    try:
        size = path.stat().st_size
        if not path.is_file() or size > MAX_FILE_BYTES:
            yield 0, Problem(name, 0, f"not a file of at most {MAX_FILE_BYTES >> 20} MiB: not read")
            return
        with path.open("rb") as source:
            raw = source.read(MAX_FILE_BYTES)
    except OSError as error:
        yield 0, Problem(name, 0, f"cannot be read ({error.strerror})")
        return
    lines = raw.split(b"\n")
    tail = lines.pop()  # empty when the last line has its end
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, _parse(name, number, line)
    if tail.strip():
        found = _parse(name, len(lines) + 1, tail)
        if isinstance(found, Problem):
            found = Problem(name, len(lines) + 1, "cut in the middle of a write: skipped", cut=True)
        yield len(lines) + 1, found


def _parse(name: str, number: int, line: bytes) -> Record | Problem:
    if len(line) > MAX_LINE_BYTES:
        return Problem(name, number, f"longer than {MAX_LINE_BYTES >> 10} KiB: not read")
    try:
        return Record.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part)[:60] for part in first["loc"])
        why = f"not a record: {place + ': ' if place else ''}{first['msg'][:200]}"
        return Problem(name, number, "".join(c if c.isprintable() else "?" for c in why))
