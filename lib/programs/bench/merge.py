"""Records of other machines join these. What comes is not trusted and nothing that is here is ever overwritten.

Every line passes the strict reader; links, odd names and what is too large stay outside. A repetition that is here
already is recognised; a file that contradicts what is here is refused as a whole. What is new goes to a file of its
own, which appears whole or not at all, under the name that its records give it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from programs.bench import answers, index, lines, marks, privacy, store
from programs.bench.fields import Record
from programs.bench.lines import Problem
from programs.bench.marks import Mark
from workbook import paths
from workbook.errors import BadOption

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}\.jsonl")
_RESERVED = re.compile(r"(?i)dropped|unknown-host|con|prn|aux|nul|com\d|lpt\d")
_SAME_IN_A_RUN = ("host", "cpu_model", "ram_total_bytes")


@dataclass
class Merged:
    """What was added, what was there already, and what was refused and why."""

    runs: int = 0
    repetitions: int = 0
    known: int = 0
    answers: int = 0
    known_answers: int = 0
    marks: int = 0
    refused: list[Problem] = field(default_factory=list)

    def __str__(self) -> str:
        more = f", {self.answers} answers, {self.marks} marks"
        told = [f"added: {self.runs} runs, {self.repetitions} repetitions{more}"]
        told.append(f"there already: {self.known} repetitions, {self.known_answers} answers")
        told.append(f"refused: {len(self.refused)}")
        return "\n".join(told + [f"  {problem}" for problem in self.refused])


@dataclass(frozen=True)
class _Line:
    """A record and where it stands."""

    record: Record
    place: str


class _Conflict(Exception):
    """Why a file is refused as a whole."""


def merge(sources: Iterable[Path], folder: Path | None = None) -> Merged:
    """Take the records, answers and marks in ``sources`` (folders or files) into ``folder``.

    Raises BadOption: a source that is not there or cannot be read, or a folder that cannot be written.
    """
    folder = paths.results() if folder is None else folder
    done = Merged()
    found = [path for source in sources for path in _files(source, done)]
    here = _Here(folder)
    for path in found:
        try:
            here.take(path, done)
        except _Conflict as conflict:
            done.refused.append(_problem(path, str(conflict)))
        except OSError as error:
            raise BadOption(
                f"{paths.shown(folder)} cannot be written ({error.strerror}). Merge again: what is there is known."
            ) from None
    return done


def add(records: Sequence[Record], origin: Path, folder: Path | None = None) -> Merged:
    """Take records that were made from the file ``origin``, as ``merge`` takes those of a file."""
    folder, done = (paths.results() if folder is None else folder), Merged()
    name = lines.printable(paths.shown(origin))
    try:
        _Here(folder).join([_Line(privacy.cleaned(r), name) for r in records], done)
    except _Conflict as conflict:
        done.refused.append(_problem(origin, str(conflict)))
    return done


def _files(source: Path, done: Merged) -> list[Path]:
    """The files of records in a source; what may not be one of them is refused."""
    if not source.exists():
        raise BadOption(f"there is no {lines.printable(str(source))}. Give folders or files of records.")
    if source.is_file():
        candidates: Sequence[Path] = (source,)
    else:
        listed = store.files(source)
        candidates = listed.paths
        done.refused += listed.problems
    kept = []
    for path in candidates:
        if path.is_symlink() and path != source:
            done.refused.append(_problem(path, "a link: not followed"))
        elif not _NAME.fullmatch(path.name):
            done.refused.append(_problem(path, "an odd name: letters, digits, - . _ and .jsonl at the end"))
        else:
            kept.append(path)
    return kept


class _Here:
    """The folder that records are merged into, and what is known of its runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = {run_id: list(found) for run_id, found in index.open_index(folder).run_files().items()}
        self.known: dict[str, dict[tuple[object, ...], _Line]] = {}
        self.dropped = set(index.open_index(folder / store.DROPPED).run_files())

    def take(self, path: Path, done: Merged) -> None:
        """Join the records of one file, then its answers and marks. Raises _Conflict."""
        read: list[_Line] = []
        name = lines.printable(paths.shown(path))
        for number, item in store.numbered(path):
            if isinstance(item, Problem):
                done.refused.append(item)
            else:
                read.append(_Line(privacy.cleaned(item, names=False), f"{name}:{number}"))
        runs = self.join(read, done)
        if not runs:
            return
        beside = answers.beside(path)
        if len(runs) > 1 and beside.exists():
            done.refused.append(_problem(beside, "answers beside several runs: whose they are is not told"))
        elif len(runs) == 1:
            self._answers(beside, runs[0], done)
        self._marks(marks.beside(path), runs, done)

    def join(self, read: Sequence[_Line], done: Merged) -> list[str]:
        """Write what is new in these lines, run by run; the ids of their runs. All of it is checked before."""
        groups: dict[str, list[_Line]] = {}
        for line in read:
            groups.setdefault(line.record.run_id, []).append(line)
        fresh = {run_id: self._fresh(run_id, group) for run_id, group in groups.items()}
        for run_id, new in fresh.items():
            done.known += len(groups[run_id]) - len(new)
            if new:
                done.runs += run_id not in self.files
                done.repetitions += len(new)
                self._write(run_id, new)
        return list(groups)

    def _fresh(self, run_id: str, group: Sequence[_Line]) -> list[_Line]:
        """The lines that are not here yet. Raises _Conflict: they contradict what is here, or each other."""
        if run_id in self.dropped and run_id not in self.files:
            raise _Conflict(f"run {run_id} was dropped here. Bring it back first: workbook results restore {run_id}")
        host = group[0].record.host
        if host is not None and _RESERVED.fullmatch(host):
            raise _Conflict(f"its host is called {host!r}, which no folder may be")
        known = dict(self._known(run_id))
        new = []
        for line in group:
            first = known.setdefault(store.key(line.record), line)
            if first is line:
                new.append(line)
            elif first.record != line.record:
                raise _Conflict(f"{line.place} and {first.place} differ and have the same run id and repetition")
        for one in known.values():
            for name in _SAME_IN_A_RUN:
                if len({getattr(one.record, name), getattr(group[0].record, name)} - {None}) > 1:
                    raise _Conflict(f"{group[0].place} and {one.place} have the same run id and another {name}")
        return new

    def _known(self, run_id: str) -> dict[tuple[object, ...], _Line]:
        """The records of a run that are here, by their key."""
        if run_id not in self.known:
            found = self.known.setdefault(run_id, {})
            for path in self.files.get(run_id, ()):
                for number, item in store.numbered(path):
                    if isinstance(item, Record) and item.run_id == run_id:
                        found.setdefault(store.key(item), _Line(item, f"{paths.shown(path)}:{number}"))
        return self.known[run_id]

    def _write(self, run_id: str, new: Sequence[_Line]) -> None:
        """Put new lines into a file of their own."""
        first = new[0].record
        plain = store.run_file(self.folder, first.host or store.UNKNOWN_HOST, first.started_at, run_id)
        content = b"".join(line.record.line().encode() + b"\n" for line in new)
        target, number = plain, 1
        while not lines.create(target, content):
            number += 1
            target = plain.with_name(f"{plain.stem}_{number}.jsonl")  # sorts behind the first
        self.files.setdefault(run_id, []).append(target)
        self._known(run_id).update({store.key(line.record): _Line(line.record, paths.shown(target)) for line in new})

    def _answers(self, source: Path, run_id: str, done: Merged) -> None:
        wanted = {line.record.answer_sha256 for line in self._known(run_id).values()} - {None}
        carried = answers.carry(source, answers.beside(self.files[run_id][0]), {sha for sha in wanted if sha})
        done.answers += carried.added
        done.known_answers += carried.known
        done.refused += carried.refused

    def _marks(self, source: Path, runs: Sequence[str], done: Merged) -> None:
        if source.is_symlink() or not source.exists():
            return
        read = marks.read(source)
        done.refused += read.problems
        for mark in read.marks:
            if mark.run_id not in runs:
                continue
            clean = Mark(**(dict(mark) | {"reason": privacy.text(mark.reason, names=False)}))
            target = marks.beside(self.files[mark.run_id][0])
            if clean not in (marks.read(target).marks if target.exists() else ()):
                marks.append(target, clean)
                done.marks += 1


def _problem(path: Path, why: str) -> Problem:
    return Problem(lines.printable(paths.shown(path)), 0, why)
