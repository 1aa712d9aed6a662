"""An index of the kept records, so that questions over a million of them are answered at once.

Every line goes through the strict reader (``store.lines``) once; what passed is kept as columns in Parquet files under
the cache, beside what did not and why. A file that changed since (size or time of change) is read anew; so is every
file when the rules for records change. The index can be thrown away at any time: the JSONL files are the records.

``<cache>/results-index/<key>/<part>.parquet`` holds repetitions, ``<part>.json`` the files that they come from; the
second is written last, so that a part without it does not count. Several processes may index at once.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbook import paths
from workbook.bench import columns, marks, parts, record, store
from workbook.bench.store import Problem

if TYPE_CHECKING:
    import duckdb

PART_RECORDS = 50_000
MOST_SMALL = 40
MEMORY_LIMIT = "500MB"

_DAY_S = 24 * 3600

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
    db = _connection(place)
    repeated = _tables(db, found, [(owners[seen].parquet, seen[0]) for seen in wanted if seen in owners])
    marked = marks.read_all(listed.marks)
    problems += marked.problems
    _invalid(db, marked.invalid())
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
    for module in (parts, record, store, columns):
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
    """Remove what was left of parts a day ago: until then another process may still read them."""
    for parquet in place.glob("*.parquet"):
        if not parquet.with_suffix(".json").exists() and time.time() - parquet.stat().st_mtime > _DAY_S:
            parquet.unlink(missing_ok=True)


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
    waiting = list(missing)
    while waiting:
        files: dict[_Seen, list[Problem]] = {}
        with tempfile.TemporaryDirectory(dir=place) as scratch:
            accepted, count = Path(scratch) / "accepted", 0
            with accepted.open("w", encoding="utf-8") as out:
                while waiting and count < PART_RECORDS:
                    seen = waiting.pop(0)
                    read = store.read(folder / seen[0])
                    files[seen] = list(read.problems)
                    name = json.dumps(seen[0])
                    for item in read.records:
                        out.write(f'{{"file":{name},{item.line()[1:]}\n')
                    count += len(read.records)
            target = place / f"{secrets.token_hex(8)}.parquet"
            with _connection(Path(scratch)) as db:
                half = Path(scratch) / "half"
                db.execute(f"COPY ({columns.from_json(accepted)}) TO '{columns.quoted(half)}' (FORMAT parquet)")
            half.replace(target)
        rows = [[*seen, [[p.file, p.line, p.message, p.cut] for p in found]] for seen, found in files.items()]
        paths.write_whole(target.with_suffix(".json"), json.dumps({"count": count, "files": rows}).encode())
        yield _Part(target, files, count)


def _connection(scratch: Path) -> duckdb.DuckDBPyConnection:
    import duckdb

    settings: dict[str, Any] = {
        "memory_limit": MEMORY_LIMIT,
        "temp_directory": str(scratch / "spill"),
        "autoinstall_known_extensions": False,
        "preserve_insertion_order": False,
    }
    return duckdb.connect(":memory:", config=settings)


def _tables(db: duckdb.DuckDBPyConnection, found: Sequence[_Part], owned: Sequence[tuple[Path, str]]) -> int:
    """Make the view ``everything``; the number of repetitions that stand in it twice and are left out."""
    if not owned:
        db.execute(f"CREATE VIEW everything AS {columns.nothing()}")
        return 0
    names = ", ".join(f"'{columns.quoted(part.parquet)}'" for part in found)
    stored = f"read_parquet([{names}], filename = 'part')"
    if len(owned) == sum(len(part.files) for part in found):
        source = f"SELECT * EXCLUDE (part) FROM {stored}"
    else:
        db.execute("CREATE TABLE alive AS SELECT unnest(?) AS part, unnest(?) AS file", _columns(owned))
        source = f"SELECT * EXCLUDE (part) FROM {stored} SEMI JOIN alive USING (part, file)"
    twice = f"SELECT run_id FROM ({source}) GROUP BY run_id HAVING count(DISTINCT file) > 1"
    shared = [run_id for (run_id,) in db.execute(twice).fetchall()]
    if not shared:
        db.execute(f"CREATE VIEW everything AS {source}")
        return 0
    db.execute("CREATE TABLE shared AS SELECT unnest(?) AS run_id", [shared])
    db.execute("CREATE TABLE places AS SELECT unnest(?) AS file, unnest(?) AS place", _places(owned))
    key = ", ".join(store.KEY)
    db.execute(
        f"CREATE TABLE once AS SELECT * EXCLUDE (place) FROM ({source}) SEMI JOIN shared USING (run_id) "
        f"JOIN places USING (file) QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY place) = 1"
    )
    both = f"FROM ({source}) SEMI JOIN shared USING (run_id)"
    (all_of_them,) = db.execute(f"SELECT count(*) {both}").fetchone() or (0,)
    (kept,) = db.execute("SELECT count(*) FROM once").fetchone() or (0,)
    rest = f"SELECT * FROM ({source}) ANTI JOIN shared USING (run_id)"
    db.execute(f"CREATE VIEW everything AS {rest} UNION ALL BY NAME SELECT * FROM once")
    return int(all_of_them) - int(kept)


def _columns(owned: Sequence[tuple[Path, str]]) -> list[list[str]]:
    return [[str(part) for part, _ in owned], [name for _, name in owned]]


def _places(owned: Sequence[tuple[Path, str]]) -> list[list[Any]]:
    return [[name for _, name in owned], list(range(len(owned)))]


def _invalid(db: duckdb.DuckDBPyConnection, invalid: dict[str, str]) -> None:
    """Make the view ``repetitions``: everything, with the reason why a run does not count."""
    rows = [list(invalid), list(invalid.values())]
    db.execute(
        "CREATE TABLE marked AS SELECT unnest(?::VARCHAR[]) AS run_id, unnest(?::VARCHAR[]) AS marked",
        rows,
    )
    db.execute(
        "CREATE VIEW repetitions AS SELECT * EXCLUDE (marked) REPLACE (coalesce(marked, invalid) AS invalid) "
        "FROM everything LEFT JOIN marked USING (run_id)"
    )
