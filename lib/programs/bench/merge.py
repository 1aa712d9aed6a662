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
from collections import ChainMap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
_Placed = tuple[str, Record]  # where a record stands, and the record


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
    into = _Folder(paths.results() if folder is None else folder)
    into.join(origin, [(store.place(origin), privacy.cleaned(record)) for record in records])
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
            done.refused.append(Problem(path, "a link: not followed"))
        elif not _NAME.fullmatch(path.name):
            done.refused.append(Problem(path, "an odd name: letters, digits, - . _ and .jsonl at the end"))
        else:
            kept.append(path)
    return kept


class _Folder:
    """The folder that records are merged into, what is known of its runs, and what was done."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.done = folder, Merged()
        self.files: dict[str, Path] = {}  # the first of each run
        self.known: dict[tuple[str | int, ...], tuple[str, object]] = {}  # what ``_claims`` says, with its place
        for path in store.files(folder)[0]:
            self._know(path, _placed(path, []))

    def _know(self, path: Path, read: Iterable[_Placed]) -> None:
        for place, record in read:
            self.files.setdefault(record.run_id, path)
            for key, value in _claims(record):
                self.known.setdefault(key, (place, value))

    def take(self, path: Path) -> None:
        """Join the records of one file, then its answers and marks."""
        read = [(place, privacy.cleaned(one, names=False)) for place, one in _placed(path, self.done.refused)]
        if not self.join(path, read):
            return
        answers, marks = path.with_suffix(store.ANSWERS), path.with_suffix(store.MARKS)
        if os.path.lexists(answers):
            self._take_answers(answers, {record.answer_sha256: record.run_id for _, record in read})
        if marks.exists() and not marks.is_symlink():
            self._take_marks(marks, {record.run_id for _, record in read})

    def join(self, path: Path, read: Sequence[_Placed]) -> bool:
        """Write what is new in these records of ``path``, run by run; False where they are refused."""
        if conflict := self._conflict(read):
            self.done.refused.append(Problem(path, conflict))
            return False
        new = {store.key(record): record for _, record in read if store.key(record) not in self.known}
        self.done.known += len(read) - len(new)
        self.done.repetitions += len(new)
        for run_id in dict.fromkeys(record.run_id for record in new.values()):
            self.done.runs += run_id not in self.files
            self._write(run_id, [record for record in new.values() if record.run_id == run_id])
        return True

    def _conflict(self, read: Sequence[_Placed]) -> str | None:
        """How these records contradict what is here, or each other."""
        known = ChainMap({}, self.known)
        for place, record in read:
            if record.host is not None and _RESERVED.fullmatch(record.host):
                return f"its host is called {record.host!r}, which no folder may be"
            for key, value in _claims(record):
                there, first = known.setdefault(key, (place, value))
                if first != value:
                    if value is record:
                        return f"{place} and {there} differ and have the same run id and repetition"
                    return f"{there} and {place} have the same run id and another {key[1]}"
        return None

    def _write(self, run_id: str, new: Sequence[Record]) -> None:
        """Put new records into a file of their own. Raises BadOption: the folder cannot be written."""
        first = new[0]
        target = plain = store.run_file(self.folder, first.host or store.UNKNOWN_HOST, first.started_at, run_id)
        content, number = b"".join(record.line().encode() + b"\n" for record in new), 1
        try:
            while not store.create(target, content):
                number += 1
                target = plain.with_name(f"{plain.stem}_{number}.jsonl")  # sorts behind the first
        except OSError as error:
            said = f"{paths.shown(self.folder)} cannot be written ({error.strerror})."
            raise BadOption(f"{said} Merge again: what is there is known.") from None
        self._know(target, ((store.place(target), record) for record in new))

    def _take_answers(self, source: Path, runs: Mapping[str | None, str]) -> None:
        """Copy the answers whose checksum is one of a record (``runs``: checksum -> run id); none is overwritten."""
        if source.is_symlink() or not source.is_dir():
            self.done.refused.append(Problem(source, "a link: not followed" if source.is_symlink() else "no folder"))
            return
        for path in sorted(source.iterdir()):
            content = _answer(path)
            if isinstance(content, str):
                self.done.refused.append(Problem(path, content))
                continue
            run_id = runs.get(hashlib.sha256(content).hexdigest())
            target = self.files[run_id].with_suffix(store.ANSWERS) / path.name if run_id else None
            if target is None:
                self.done.refused.append(Problem(path, "no record of this run names it by its checksum"))
            elif store.create(target, content):
                self.done.answers += 1
            elif target.read_bytes() == content:
                self.done.known_answers += 1
            else:
                self.done.refused.append(Problem(path, f"differs from {paths.shown(target)}"))

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


def _claims(record: Record) -> Iterator[tuple[tuple[str | int, ...], object]]:
    """What no other record may contradict: the repetition, and on which machine its run was made."""
    yield store.key(record), record
    for name in _SAME_IN_A_RUN:
        if (value := getattr(record, name)) is not None:
            yield (record.run_id, name), value


def _placed(path: Path, problems: list[Problem]) -> list[_Placed]:
    """The records of a file, each with its place; to ``problems`` goes what could not be read."""
    read = list(store.numbered(path, Record))
    problems += [item for _, item in read if isinstance(item, Problem)]
    return [(store.place(path, number), item) for number, item in read if isinstance(item, Record)]


def _answer(path: Path) -> bytes | str:
    """What is in an answer's file, or why it is not taken."""
    if not _ANSWER_NAME.fullmatch(path.name):
        return "an odd name: refused"
    try:
        about = path.lstat()
        if not stat.S_ISREG(about.st_mode):
            return "a link or no file: refused"
        if about.st_size > MAX_ANSWER_BYTES:
            return f"larger than {MAX_ANSWER_BYTES >> 20} MiB: refused"
        content = path.read_bytes()
        content.decode()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except UnicodeDecodeError:
        return "no text in UTF-8: refused"
    return content
