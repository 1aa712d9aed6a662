"""The fields of a record as columns of DuckDB: their types, read from the model, and the SQL that makes them."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AwareDatetime

from workbook.bench.record import Record

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


def from_json(lines: Path) -> str:
    """A query over lines of records, each with the ``file`` that it comes from; nothing is guessed or skipped."""
    wanted = {"file": "VARCHAR", **fields()}
    listed = ", ".join(f"'{name}': '{kind}'" for name, kind in wanted.items())
    reader = f"read_json('{quoted(lines)}', format = 'newline_delimited', columns = {{{listed}}})"
    return f"SELECT * REPLACE (started_at::TIMESTAMP AS started_at) FROM {reader}"


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
