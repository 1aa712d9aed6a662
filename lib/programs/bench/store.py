"""The kept records: one JSONL file a run, one line a repetition, only ever appended to.

``<results>/<host alias>/<started_at>-<run_id>.jsonl``. Files may come from others or be cut by a kill:
what is damaged is reported with its file and line, and the rest is read. What was dropped lies in
``<results>/dropped/`` and is not read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from programs.bench import lines, marks, privacy
from programs.bench.fields import Record
from programs.bench.lines import Problem
from workbook import paths
from workbook.errors import BadOption

__all__ = ["Loaded", "Problem", "append", "files", "load", "read", "run_file"]

MAX_FILE_BYTES = 64 * 2**20
MAX_LINE_BYTES = 256 * 2**10
MAX_FILES = 20_000
DROPPED = "dropped"
UNKNOWN_HOST = "unknown-host"
KEY = ("run_id", "config_hash", "rep_index")
"""What makes a repetition one and the same, wherever it is found."""

_FOLDERS_DEEP = 8
_Line = TypeVar("_Line")


@dataclass(frozen=True)
class Loaded:
    """Records in the order of their files and lines, and what could not be read.

    ``invalid``: run id -> reason, for the runs that were marked so; their records are among ``records``.
    """

    records: tuple[Record, ...] = ()
    problems: tuple[Problem, ...] = ()
    invalid: Mapping[str, str] = field(default_factory=dict)

    @property
    def valid(self) -> tuple[Record, ...]:
        """The records of the runs that count."""
        return tuple(r for r in self.records if r.run_id not in self.invalid)


@dataclass(frozen=True)
class Listed:
    """The files of a folder in order: of records, of marks; and what about the folder could not be read."""

    paths: tuple[Path, ...]
    marks: tuple[Path, ...]
    problems: tuple[Problem, ...]


def run_file(folder: Path, host: str, started_at: datetime, run_id: str) -> Path:
    """Where a run's records go. The name holds no colon: Windows refuses them."""
    return folder / host / f"{started_at:%Y%m%dT%H%M%SZ}-{run_id}.jsonl"


def key(record: Record) -> tuple[object, ...]:
    """What makes this repetition one and the same, wherever it is found."""
    return tuple(getattr(record, name) for name in KEY)


def append(path: Path, record: Record) -> None:
    """Add one record as one line; when this returns it is on the disk.

    What is personal in its texts is blotted out (``private``). A last line that lacks its end (an earlier run was
    killed in it) is ended first.
    """
    lines.append(path, privacy.cleaned(record).line().encode())


def files(folder: Path) -> Listed:
    """The files under ``folder``, without what was dropped and without links to folders.

    Raises BadOption: it is a file, or cannot be read.
    """
    if not folder.exists():
        return Listed((), (), ())
    if not folder.is_dir():
        raise BadOption(f"{paths.shown(folder)} is a file. Give the folder that holds the records.")
    found: list[Path] = []
    marked: list[Path] = []
    problems: list[Problem] = []

    def unreadable(error: OSError) -> None:
        where = Path(error.filename)
        if where == folder:
            raise BadOption(f"{paths.shown(folder)} cannot be read ({error.strerror}).")
        problems.append(Problem(paths.shown(where), 0, f"cannot be read ({error.strerror})"))

    for base, below, names in os.walk(folder, onerror=unreadable):
        here = Path(base)
        depth = len(here.relative_to(folder).parts)
        if depth >= _FOLDERS_DEEP:
            below.clear()
        below[:] = [name for name in below if not (depth == 0 and name == DROPPED) and not name.startswith(".")]
        links = [here / name for name in below if (here / name).is_symlink()]
        problems += [Problem(lines.printable(paths.shown(link)), 0, "a link: not followed") for link in links]
        found += [here / name for name in (*names, *below) if name.endswith(".jsonl")]
        marked += [here / name for name in names if name.endswith(marks.SUFFIX)]
    found.sort()
    if len(found) > MAX_FILES:
        problems.append(Problem(paths.shown(folder), 0, f"more than {MAX_FILES} files: only the first are read"))
    return Listed(tuple(found[:MAX_FILES]), tuple(sorted(marked)[:MAX_FILES]), tuple(problems))


def load(folder: Path | None = None) -> Loaded:
    """All records under ``folder`` (default: ``paths.results()``), each repetition once.

    Raises BadOption: the folder is a file or cannot be read.
    """
    listed = files(paths.results() if folder is None else folder)
    loaded = read_files(listed.paths)
    marked = marks.read_all(listed.marks)
    problems = (*listed.problems, *loaded.problems, *marked.problems)
    return Loaded(loaded.records, problems, marked.invalid())


def read_files(chosen: Iterator[Path] | tuple[Path, ...]) -> Loaded:
    """The records of these files in their order, each repetition once."""
    records: dict[tuple[object, ...], Record] = {}
    problems: list[Problem] = []
    for path in chosen:
        for number, item in numbered(path):
            if isinstance(item, Problem):
                problems.append(item)
            elif records.setdefault(key(item), item) is not item:
                problems.append(again(path, number))
    return Loaded(tuple(records.values()), tuple(problems))


def again(path: Path, number: int) -> Problem:
    """What is said of a repetition that was read before."""
    return Problem(paths.shown(path), number, "this repetition is there already: skipped")


def read(path: Path) -> Loaded:
    """The records of one file, each repetition once."""
    return read_files((path,))


def numbered(path: Path) -> Iterator[tuple[int, Record | Problem]]:
    """Line number and record, or what is wrong with that line."""
    return parsed(path, parse)


def parsed(path: Path, parse: Callable[[str, int, bytes], _Line | Problem]) -> Iterator[tuple[int, _Line | Problem]]:
    """Line number and what ``parse`` makes of the file's name, that number and the line, or what is wrong with it."""
    name = lines.printable(paths.shown(path))
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
    written = raw.split(b"\n")
    tail = written.pop()  # empty when the last line has its end
    for number, line in enumerate(written, start=1):
        if line.strip():
            yield number, parse(name, number, line)
    if tail.strip():
        found = parse(name, len(written) + 1, tail)
        if isinstance(found, Problem):
            found = Problem(name, len(written) + 1, "cut in the middle of a write: skipped", cut=True)
        yield len(written) + 1, found


def parse(name: str, number: int, line: bytes) -> Record | Problem:
    """The record of one line, or what is wrong with it."""
    if len(line) > MAX_LINE_BYTES:
        return Problem(name, number, f"longer than {MAX_LINE_BYTES >> 10} KiB: not read")
    try:
        return Record.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part)[:60] for part in first["loc"])
        why = f"not a record: {place + ': ' if place else ''}{first['msg'][:200]}"
        return Problem(name, number, lines.printable(why, 400))
