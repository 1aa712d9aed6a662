"""The fields of a record as columns of DuckDB: their types, read from the model, and the SQL that makes them."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AwareDatetime

from programs.bench.fields import Record, Varying

_PLAIN = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", str: "VARCHAR", dict: "VARCHAR", AwareDatetime: "VARCHAR"}


def sql_type(kind: Any) -> str:
    """DuckDB's type for a field's annotation; a dictionary is kept as JSON text, a time as it is written."""
    origin = get_origin(kind)
    if origin is Annotated:
        return sql_type(get_args(kind)[0])
    if origin is Literal:
        return sql_type(type(get_args(kind)[0]))
    if origin in (Union, types.UnionType):
        (inner,) = {arm for arm in get_args(kind) if arm is not type(None)}
        return sql_type(inner)
    if origin is tuple:
        return sql_type(get_args(kind)[0]) + "[]"
    return _PLAIN[origin or kind]


def fields() -> dict[str, str]:
    """Every field of a record with its type, in order."""
    return {name: sql_type(about.annotation) for name, about in Record.model_fields.items()}


def from_json(rows: Path, lasting: Path) -> str:
    """A query over records, each with the ``file`` that it comes from; nothing is guessed or skipped.

    ``rows``: a line of JSON a record; the fields that it lacks stand in the line of ``lasting`` with the same number
    of that name.
    """
    known = fields()
    varying = {"file": "VARCHAR", "lasting": "BIGINT", **{name: known[name] for name in Varying.model_fields}}
    others = {"lasting": "BIGINT", **{name: kind for name, kind in known.items() if name not in varying}}
    listed = ", ".join(
        "started_at::TIMESTAMP AS started_at" if one == "started_at" else one for one in ("file", *known)
    )
    return f"SELECT {listed} FROM {_lines(rows, varying)} JOIN {_lines(lasting, others)} USING (lasting)"


def _lines(path: Path, wanted: dict[str, str]) -> str:
    listed = ", ".join(f"'{name}': '{kind}'" for name, kind in wanted.items())
    return f"read_json('{quoted(path)}', format = 'newline_delimited', columns = {{{listed}}})"


def nothing() -> str:
    """A query that gives the same columns and no row."""
    wanted = {"file": "VARCHAR", **fields(), "started_at": "TIMESTAMP"}
    return "SELECT " + ", ".join(f"NULL::{kind} AS {name}" for name, kind in wanted.items()) + " WHERE false"


def quoted(path: Path) -> str:
    """A path inside quotes of SQL."""
    return str(path).replace("'", "''")


def name(column: str) -> str:
    """A column's name inside quotes of SQL."""
    return '"' + column.replace('"', '""') + '"'
