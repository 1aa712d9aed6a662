"""The kept records: one JSONL file a run, one line a repetition, only ever appended to.

``<results>/<host alias>/<started_at>-<run_id>.jsonl``; beside it, under the same name, ``.marks`` (what was found out
about the run later, a line a mark, the last one counts) and ``.answers/``. Files may come from others or be cut by a
kill: what is damaged is reported with its file and line, and the rest is read.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import AwareDatetime, ValidationError

from programs.bench import privacy
from programs.bench.fields import FrozenModel, Line, Record, RunId
from workbook import paths
from workbook.errors import BadOption

MAX_FILE_BYTES = 64 * 2**20
MAX_LINE_BYTES = 256 * 2**10
MARKS, ANSWERS = ".marks", ".answers"
DROPPED = "dropped"  # a folder of runs that were moved aside: not read
UNKNOWN_HOST = "unknown-host"


@dataclass(frozen=True)
class Problem:
    """A line or a file that could not be read. ``line`` 0 is the whole file.

    ``cut``: the last line lacks its end, as a kill in the middle of a write leaves it; nothing finished is lost.
    """

    file: Path
    message: str
    line: int = 0
    cut: bool = False

    def __str__(self) -> str:
        return f"{place(self.file, self.line)}: {printable(self.message, 400)}"


class Mark(FrozenModel):
    """A judgement on a run. ``invalid`` False takes an earlier one back."""

    run_id: RunId
    marked_at: AwareDatetime
    invalid: bool
    reason: Line


_Kind = TypeVar("_Kind", Record, Mark)


@dataclass(frozen=True)
class Contents:
    """Records in the order of their files and lines, and what could not be read.

    ``invalid``: run id -> reason, for the runs that were marked so; their records are among ``records``.
    ``files``: run id -> the first file that has records of it.
    """

    records: tuple[Record, ...] = ()
    problems: tuple[Problem, ...] = ()
    invalid: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        runs = len({record.run_id for record in self.records})
        found = f"{len(self.records)} records of {runs} runs can be read; {len(self.problems)} problems."
        return "\n".join([*map(str, self.problems), found])


def printable(text: str, most: int = 200) -> str:
    """``text`` from elsewhere as it may be shown in a terminal: no control characters, not longer than ``most``."""
    return "".join(c if c.isprintable() else "?" for c in text[:most])


def place(path: Path, line: int = 0) -> str:
    """A file, and a line of it, as messages name it."""
    return printable(paths.shown(path)) + (f":{line}" if line else "")


def run_file(folder: Path, host: str, started_at: datetime, run_id: str) -> Path:
    """Where a run's records go. The name holds no colon: Windows refuses them."""
    return folder / host / f"{started_at:%Y%m%dT%H%M%SZ}-{run_id}.jsonl"


def key(record: Record) -> tuple[str, str, int]:
    """What makes this repetition one and the same, wherever it is found."""
    return record.run_id, record.config_hash, record.rep_index


def append(path: Path, record: Record) -> None:
    """Add one record as one line; when this returns it is on the disk.

    What is personal in its texts is blotted out (``privacy``).
    """
    append_line(path, privacy.cleaned(record).line().encode())


def mark(beginning: str, reason: str, invalid: bool = True, folder: Path | None = None) -> Mark:
    """Add a mark to the one run whose id begins so; the last mark of a run counts.

    Raises BadOption: no such run, or several; no reason, or one that is no line of text.
    """
    found = load(folder).files
    run_id = one_run(beginning, found)
    said = privacy.text(reason.strip())
    try:
        made = Mark(run_id=run_id, marked_at=datetime.now(UTC), invalid=invalid, reason=said)
    except ValidationError:
        raise BadOption("the reason must be one line of text, of at most 1000 characters.") from None
    append_line(found[run_id].with_suffix(MARKS), made.model_dump_json().encode())
    return made


def one_run(beginning: str, run_ids: Iterable[str]) -> str:
    """The only one of these that begins so. Raises BadOption: none or several, with what to do."""
    fitting = [run_id for run_id in dict.fromkeys(run_ids) if run_id.startswith(beginning)]
    if not fitting:
        raise BadOption(f"no runs begin with {beginning!r}. See them with: workbook results list")
    if len(fitting) > 1:
        raise BadOption(f"{len(fitting)} runs begin with {beginning!r}: {some(fitting)}. Give more of the id.")
    return fitting[0]


def some(told: Iterable[str], most: int = 6) -> str:
    """The first of these, each once, and how many more there are."""
    listed = list(dict.fromkeys(told))
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")


def append_line(path: Path, line: bytes) -> None:
    """Add one line; when this returns it is on the disk.

    A last line that lacks its end (an earlier writer was killed in it) is ended first. Where the disk is full, what
    was written of the line is taken back, and OSError is raised.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    size = path.stat().st_size if path.exists() else 0
    try:
        with path.open("a+b") as out:
            out.seek(max(0, size - 1))
            ended = out.read(1) in (b"", b"\n")
            out.write(line + b"\n" if ended else b"\n" + line + b"\n")
            out.flush()
            os.fsync(out.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            os.truncate(path, size)
        raise


def create(path: Path, content: bytes) -> bool:
    """Make the file ``path``, which appears whole or not at all, or leave it alone where it is there: False then."""
    if os.path.lexists(path):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    paths.write_whole(path, content)
    return True


def files(folder: Path, suffix: str = ".jsonl") -> tuple[list[Path], list[Problem]]:
    """The files under ``folder`` in order, and what of it is not read: links to folders, folders without the right.

    Raises BadOption: it is a file, or cannot be read.
    """
    if folder.exists() and not (folder.is_dir() and os.access(folder, os.R_OK)):
        raise BadOption(f"{paths.shown(folder)} is a file or cannot be read. Give the folder that holds the records.")
    found, problems = [], []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if inside[0] == DROPPED or any(part.startswith(".") for part in inside):
            continue
        if path.is_symlink() and path.is_dir():
            problems.append(Problem(path, "a link: not followed"))
        elif path.is_dir() and not os.access(path, os.R_OK):
            problems.append(Problem(path, "cannot be read (Permission denied)"))
        elif path.suffix == suffix:
            found.append(path)
    return found, problems


def load(folder: Path | None = None) -> Contents:
    """All records under ``folder`` (default: ``paths.results()``), each repetition once.

    Raises BadOption: the folder is a file or cannot be read.
    """
    folder = paths.results() if folder is None else folder
    listed, unread = files(folder)
    loaded = read(*listed)
    marks, problems = read_marks(*files(folder, MARKS)[0])
    last = {one.run_id: one for one in sorted(marks, key=lambda one: one.marked_at)}
    invalid = {run_id: one.reason for run_id, one in last.items() if one.invalid}
    return replace(loaded, problems=(*unread, *loaded.problems, *problems), invalid=invalid)


def read(*files: Path) -> Contents:
    """The records of these files in their order, each repetition once."""
    records: dict[tuple[str, str, int], Record] = {}
    problems: list[Problem] = []
    runs: dict[str, Path] = {}
    for path in files:
        for number, item in numbered(path, Record):
            if isinstance(item, Problem):
                problems.append(item)
            elif records.setdefault(key(item), item) is not item:
                problems.append(Problem(path, "this repetition is there already: skipped", number))
            else:
                runs.setdefault(item.run_id, path)
    return Contents(tuple(records.values()), tuple(problems), files=runs)


def read_marks(*files: Path) -> tuple[list[Mark], list[Problem]]:
    """The marks in these files, and what could not be read as one."""
    items = [item for path in files for _, item in numbered(path, Mark)]
    return [i for i in items if isinstance(i, Mark)], [i for i in items if isinstance(i, Problem)]


def numbered(path: Path, kind: type[_Kind]) -> Iterator[tuple[int, _Kind | Problem]]:
    """Line number and what stands there, or what is wrong with that line."""
    try:
        if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
            yield 0, Problem(path, f"not a file of at most {MAX_FILE_BYTES >> 20} MiB: not read")
            return
        with path.open("rb") as source:
            written = source.read(MAX_FILE_BYTES).split(b"\n")
    except OSError as error:
        yield 0, Problem(path, f"cannot be read ({error.strerror})")
        return
    for number, line in enumerate(written, start=1):
        if not line.strip():
            continue
        if len(line) > MAX_LINE_BYTES:
            yield number, Problem(path, f"longer than {MAX_LINE_BYTES >> 10} KiB: not read", number)
            continue
        try:
            yield number, kind.model_validate_json(line)
        except ValidationError as error:
            cut = number == len(written)  # behind the last end of a line
            said = "cut in the middle of a write: skipped" if cut else f"not a {kind.__name__.lower()}: {fault(error)}"
            yield number, Problem(path, said, number, cut)


def fault(error: ValidationError) -> str:
    """The first thing that is wrong, and in which field."""
    first = error.errors(include_input=False, include_url=False)[0]
    field = ".".join(str(part)[:60] for part in first["loc"])
    return f"{field + ': ' if field else ''}{first['msg'][:200]}"
