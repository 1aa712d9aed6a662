"""An index of the kept records, so that questions over a million of them are answered at once.

Every line goes through the strict reader (``store.lines``) once; what passed is kept as columns in Parquet files under
the cache, beside what did not and why. A file that changed since (size or time of change) is read anew; so is every
file when the rules for records change. The index can be thrown away at any time: the JSONL files are the records.

``<cache>/results-index/<key>/<part>.parquet`` holds repetitions, ``<part>.json`` the files that they come from; the
second is written last, so that a part without it does not count. Several processes may index at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from programs.bench import columns, fields, marks, quick, store, tables
from programs.bench.store import Problem
from workbook import paths

if TYPE_CHECKING:
    import duckdb

PART_RECORDS = 50_000
MOST_SMALL = 40

_DAY_S = 24 * 3600
_MANY = 100

_Seen = tuple[str, int, int]  # a file as it was when it was read: relative path, bytes, time of change


@dataclass(frozen=True)
class Index:
    """The records of a folder as the table ``repetitions`` of ``db``, each repetition once, and what is not in it.

    Its columns are the fields of ``Record``, ``file`` (relative to the folder) and ``invalid`` (the reason, where the
    run is marked so, else null). ``repeated``: repetitions that stand in two files and are counted once.
    """

    folder: Path
    db: duckdb.DuckDBPyConnection
    problems: tuple[Problem, ...]
    repeated: int

    def run_files(self, beginning: str = "") -> dict[str, tuple[Path, ...]]:
        """Run id -> the files that hold its records, for the runs whose id begins so."""
        rows = self.db.execute(
            "SELECT run_id, list(DISTINCT file ORDER BY file) FROM everything WHERE starts_with(run_id, ?) "
            "GROUP BY run_id ORDER BY min(started_at), run_id",
            [beginning],
        ).fetchall()
        return {run_id: tuple(self.folder / name for name in names) for run_id, names in rows}


@dataclass(frozen=True)
class _Part:
    """One part of the index: its Parquet file, for each file in it what could not be read, and its records."""

    parquet: Path
    files: dict[_Seen, list[Problem]]
    count: int


def open_index(folder: Path | None = None) -> Index:
    """The index of ``folder`` (default: ``paths.results()``), brought up to date.

    Where the cache cannot be written, it is made in a temporary folder and lives as long as this call's connection.
    Raises BadOption: the folder is a file or cannot be read.
    """
    folder = paths.results() if folder is None else folder
    listed = store.files(folder)
    wanted = [seen for path in listed.paths if (seen := _seen(folder, path))]
    place = paths.cache() / "results-index" / _key(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
        found = _up_to_date(folder, place, wanted)
    except OSError:
        place = Path(tempfile.mkdtemp(prefix="workbook-index-"))
        found = _up_to_date(folder, place, wanted)
    problems = list(listed.problems)
    owners: dict[_Seen, _Part] = {}
    for part in found:
        for seen in part.files:
            owners.setdefault(seen, part)
    for seen in wanted:
        problems += owners[seen].files[seen] if seen in owners else ()
    db = tables.connection(place)
    owned = [(owners[seen].parquet, seen[0]) for seen in wanted if seen in owners]
    count = sum(len(part.files) for part in found)
    repeated = tables.everything(db, [part.parquet for part in found], owned, count)
    marked = marks.read_all(listed.marks)
    problems += marked.problems
    tables.repetitions(db, marked.invalid())
    return Index(folder, db, tuple(problems), repeated)


def _seen(folder: Path, path: Path) -> _Seen | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return path.relative_to(folder).as_posix(), about.st_size, about.st_mtime_ns


def _key(folder: Path) -> str:
    """Names the folder and the rules by which its lines are read."""
    made = hashlib.sha256(str(folder.resolve()).encode())
    for module in (fields, store, quick, columns):
        made.update(Path(str(module.__file__)).read_bytes())
    return made.hexdigest()[:24]


def _up_to_date(folder: Path, place: Path, wanted: Sequence[_Seen]) -> list[_Part]:
    _sweep(place)
    known = _parts(place)
    alive = set(wanted)
    small = [part for part in known if part.count < PART_RECORDS]
    gone = [part for part in known if 2 * len(alive.intersection(part.files)) < len(part.files)]
    away = [*(small if len(small) > MOST_SMALL else ()), *gone]
    for part in away:  # what of it is still there is read again, into larger parts
        part.parquet.with_suffix(".json").unlink(missing_ok=True)
    known = [part for part in known if part not in away]
    have = {seen for part in known for seen in part.files}
    return [*known, *_index(folder, place, [seen for seen in wanted if seen not in have])]


def _sweep(place: Path) -> None:
    """Remove what is left over since a day: until then another process may still be at it."""
    for parquet in place.glob("*.parquet"):
        if not parquet.with_suffix(".json").exists() and time.time() - parquet.stat().st_mtime > _DAY_S:
            with contextlib.suppress(OSError):  # Windows keeps what is open
                parquet.unlink()
    for scratch in place.glob("tmp*"):  # of a process that was killed
        if scratch.is_dir() and time.time() - scratch.stat().st_mtime > _DAY_S:
            shutil.rmtree(scratch, ignore_errors=True)


def _parts(place: Path) -> list[_Part]:
    found = []
    for about in sorted(place.glob("*.json")):
        try:
            told = json.loads(about.read_text(encoding="utf-8"))
            files = {
                (str(name), int(size), int(changed)): [Problem(*problem) for problem in problems]
                for name, size, changed, problems in told["files"]
            }
            count = int(told["count"])
        except (OSError, ValueError, TypeError, KeyError):
            continue  # half a part; its files are read again
        if (parquet := about.with_suffix(".parquet")).is_file():
            found.append(_Part(parquet, files, count))
    return found


def _index(folder: Path, place: Path, missing: Sequence[_Seen]) -> Iterator[_Part]:
    """Read these files strictly and keep what passed; a part at most ``PART_RECORDS`` and a file long."""
    from tqdm import tqdm

    waiting = list(reversed(missing))
    many = None if len(missing) >= _MANY else True  # None: where a person looks on
    bar = tqdm(total=len(missing), desc="reading new records, once", unit="file", disable=many)
    while waiting:
        files: dict[_Seen, list[Problem]] = {}
        with tempfile.TemporaryDirectory(dir=place) as scratch:
            accepted, lasting, count = Path(scratch) / "accepted", Path(scratch) / "lasting", 0
            with accepted.open("w", encoding="utf-8") as out, lasting.open("w", encoding="utf-8") as keep:
                reader = quick.Reader(keep.write)
                while waiting and count < PART_RECORDS:
                    seen = waiting.pop()
                    bar.update()
                    rows, files[seen] = reader.read(folder / seen[0])
                    name = json.dumps(seen[0])
                    out.writelines(f'{{"file":{name},"lasting":{row.lasting},{row.varying[1:]}\n' for row in rows)
                    count += len(rows)
            target = place / f"{secrets.token_hex(8)}.parquet"
            with tables.connection(Path(scratch)) as db:
                half = Path(scratch) / "half"
                query = columns.from_json(accepted, lasting)
                db.execute(f"COPY ({query}) TO '{columns.quoted(half)}' (FORMAT parquet)")
            half.replace(target)
        told = [[*seen, [[p.file, p.line, p.message, p.cut] for p in found]] for seen, found in files.items()]
        paths.write_whole(target.with_suffix(".json"), json.dumps({"count": count, "files": told}).encode())
        yield _Part(target, files, count)
    bar.close()
