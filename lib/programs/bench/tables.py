"""The tables of an index: which repetitions are read from which of its parts, each of them once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from programs.bench import columns, store

if TYPE_CHECKING:
    import duckdb

MEMORY_LIMIT = "500MB"


def connection(scratch: Path) -> duckdb.DuckDBPyConnection:
    """DuckDB in memory, of limited size; what does not fit goes to ``scratch``. It never reaches for the network."""
    import duckdb

    settings: dict[str, Any] = {
        "memory_limit": MEMORY_LIMIT,
        "temp_directory": str(scratch / "spill"),
        "autoinstall_known_extensions": False,
        "preserve_insertion_order": False,
    }
    db = duckdb.connect(":memory:", config=settings)
    db.execute("SET enable_progress_bar = false")  # it would be printed among the answers
    return db


def everything(
    db: duckdb.DuckDBPyConnection, parts: Sequence[Path], owned: Sequence[tuple[Path, str]], count: int
) -> int:
    """Make the view ``everything``; the number of repetitions that stand in it twice and are left out.

    ``owned``: each file that counts, with the part that it is read from; ``count``: files that all parts have.
    """
    if not owned:
        db.execute(f"CREATE VIEW everything AS {columns.nothing()}")
        return 0
    names = ", ".join(f"'{columns.quoted(part)}'" for part in parts)
    stored = f"read_parquet([{names}], filename = 'part')"
    if len(owned) == count:
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


def repetitions(db: duckdb.DuckDBPyConnection, invalid: Mapping[str, str]) -> None:
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
