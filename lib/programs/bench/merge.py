"""Records of other machines join these. What comes is not trusted and nothing that is here is ever overwritten.

Every line passes the strict reader; links, odd names and what is too large stay outside. A repetition that is here
already is recognised; a file that contradicts what is here is refused as a whole. What is new goes to a file of its
own, which appears whole or not at all, under the name that its records give it.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from programs.bench import privacy, store
from programs.bench.fields import Record
from programs.bench.store import Problem
from workbook import paths
from workbook.errors import BadOption

MAX_ANSWER_BYTES = 2 * 2**20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}\.jsonl")
_ANSWER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,190}\.md")
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


def merge(sources: Iterable[Path], folder: Path | None = None) -> Merged:
    """Take the records, answers and marks in ``sources`` (folders or files) into ``folder``.

    Raises BadOption: a source that is not there or cannot be read, or a folder that cannot be written.
    """
    into = _Folder(paths.results() if folder is None else folder)
    for path in [path for source in sources for path in _files(source, into.done)]:
        into.take(path)
    return into.done


def add(records: Iterable[Record], origin: Path, folder: Path | None = None) -> Merged:
    """Take records that were made from the file ``origin``, as ``merge`` takes those of a file."""
    into, name = _Folder(paths.results() if folder is None else folder), store.printable(paths.shown(origin))
    into.join(origin, [_Line(privacy.cleaned(record), name) for record in records])
    return into.done


def _files(source: Path, done: Merged) -> list[Path]:
    """The files of records in a source; what may not be one of them is refused."""
    if not source.exists():
        raise BadOption(f"there is no {store.printable(str(source))}. Give folders or files of records.")
    listed, unread = ([source], []) if source.is_file() else store.files(source)
    done.refused += unread
    kept = []
    for path in listed:
        if path.is_symlink() and path != source:
            done.refused.append(Problem.of(path, "a link: not followed"))
        elif not _NAME.fullmatch(path.name):
            done.refused.append(Problem.of(path, "an odd name: letters, digits, - . _ and .jsonl at the end"))
        else:
            kept.append(path)
    return kept


class _Folder:
    """The folder that records are merged into, what is known of its runs, and what was done."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.done = folder, Merged()
        self.files: dict[str, Path] = {}  # the first of each run
        self.known: dict[str, dict[tuple[str, str, int], _Line]] = {}
        for path in store.files(folder)[0]:
            self._know(path, _lines(path, []))

    def _know(self, path: Path, lines: Iterable[_Line]) -> None:
        for line in lines:
            self.files.setdefault(line.record.run_id, path)
            self.known.setdefault(line.record.run_id, {}).setdefault(store.key(line.record), line)

    def take(self, path: Path) -> None:
        """Join the records of one file, then its answers and marks."""
        read = _lines(path, self.done.refused)
        runs = self.join(path, [_Line(privacy.cleaned(one.record, names=False), one.place) for one in read])
        answers = path.with_suffix(store.ANSWERS)
        if len(runs) > 1 and answers.exists():
            self.done.refused.append(Problem.of(answers, "answers beside several runs: whose they are is not told"))
        elif len(runs) == 1 and os.path.lexists(answers):
            self._take_answers(answers, runs[0])
        marks = path.with_suffix(store.MARKS)
        if runs and marks.exists() and not marks.is_symlink():
            self._take_marks(marks, runs)

    def join(self, path: Path, read: Sequence[_Line]) -> list[str]:
        """Write what is new in these lines of ``path``, run by run; the ids of their runs, none if it is refused."""
        groups: dict[str, list[_Line]] = {}
        for line in read:
            groups.setdefault(line.record.run_id, []).append(line)
        for run_id, group in groups.items():
            if conflict := self._conflict(run_id, group):
                self.done.refused.append(Problem.of(path, conflict))
                return []
        for run_id, group in groups.items():
            have = self.known.get(run_id, {})
            new = {store.key(line.record): line for line in group if store.key(line.record) not in have}
            self.done.known += len(group) - len(new)
            if new:
                self.done.runs += not have
                self.done.repetitions += len(new)
                self._write(run_id, list(new.values()))
        return list(groups)

    def _conflict(self, run_id: str, group: Sequence[_Line]) -> str | None:
        """How these lines contradict what is here, or each other."""
        host = group[0].record.host
        if host is not None and _RESERVED.fullmatch(host):
            return f"its host is called {host!r}, which no folder may be"
        known = dict(self.known.get(run_id, {}))
        for line in group:
            first = known.setdefault(store.key(line.record), line)
            if first.record != line.record:
                return f"{line.place} and {first.place} differ and have the same run id and repetition"
        for name in _SAME_IN_A_RUN:
            told = {value: one.place for one in known.values() if (value := getattr(one.record, name)) is not None}
            if len(told) > 1:
                return f"{' and '.join(list(told.values())[:2])} have the same run id and another {name}"
        return None

    def _write(self, run_id: str, new: Sequence[_Line]) -> None:
        """Put new lines into a file of their own. Raises BadOption: the folder cannot be written."""
        first = new[0].record
        target = plain = store.run_file(self.folder, first.host or store.UNKNOWN_HOST, first.started_at, run_id)
        content, number = b"".join(line.record.line().encode() + b"\n" for line in new), 1
        try:
            while not store.create(target, content):
                number += 1
                target = plain.with_name(f"{plain.stem}_{number}.jsonl")  # sorts behind the first
        except OSError as error:
            said = f"{paths.shown(self.folder)} cannot be written ({error.strerror})."
            raise BadOption(f"{said} Merge again: what is there is known.") from None
        self._know(target, (_Line(line.record, paths.shown(target)) for line in new))

    def _take_answers(self, source: Path, run_id: str) -> None:
        """Copy the answers that a record of this run names by its checksum; none is overwritten."""
        if source.is_symlink() or not source.is_dir():
            self.done.refused.append(Problem.of(source, "a link: not followed" if source.is_symlink() else "no folder"))
            return
        target = self.files[run_id].with_suffix(store.ANSWERS)
        wanted = [line.record.answer_sha256 for line in self.known[run_id].values()]
        for name in sorted(os.listdir(source)):
            content, why = _answer(source / name)
            sha = None if content is None else hashlib.sha256(content).hexdigest()
            if content is None:
                self.done.refused.append(Problem.of(source / name, why))
            elif sha not in wanted:
                self.done.refused.append(Problem.of(source / name, "no record of this run names it by its checksum"))
            elif store.create(target / name, content):
                wanted.remove(sha)  # one file for each record
                self.done.answers += 1
            elif (target / name).read_bytes() == content:
                wanted.remove(sha)
                self.done.known_answers += 1
            else:
                self.done.refused.append(Problem.of(source / name, f"differs from {paths.shown(target / name)}"))

    def _take_marks(self, source: Path, runs: Collection[str]) -> None:
        found, problems = store.read_marks(source)
        self.done.refused += problems
        for mark in found:
            if mark.run_id not in runs:
                continue
            clean = mark.model_copy(update={"reason": privacy.text(mark.reason, names=False)})
            target = self.files[mark.run_id].with_suffix(store.MARKS)
            if not target.exists() or clean not in store.read_marks(target)[0]:
                store.append_line(target, clean.model_dump_json().encode())
                self.done.marks += 1


def _lines(path: Path, problems: list[Problem]) -> list[_Line]:
    """The records of a file, each with its place; to ``problems`` goes what could not be read."""
    read = list(store.numbered(path, Record))
    problems += [item for _, item in read if isinstance(item, Problem)]
    name = store.printable(paths.shown(path))
    return [_Line(item, f"{name}:{number}") for number, item in read if isinstance(item, Record)]


def _answer(path: Path) -> tuple[bytes | None, str]:
    """What is in an answer's file, or why it is not taken."""
    if not _ANSWER_NAME.fullmatch(path.name):
        return None, "an odd name: refused"
    try:
        about = path.lstat()
        if not stat.S_ISREG(about.st_mode):
            return None, "a link or no file: refused"
        if about.st_size > MAX_ANSWER_BYTES:
            return None, f"larger than {MAX_ANSWER_BYTES >> 20} MiB: refused"
        content = path.read_bytes()
        content.decode()
    except OSError as error:
        return None, f"cannot be read ({error.strerror})"
    except UnicodeDecodeError:
        return None, "no text in UTF-8: refused"
    return content, ""
