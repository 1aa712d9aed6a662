"""Jobs and events as lines of JSON: what comes out of a worker is data, never code."""

from __future__ import annotations

import dataclasses
import json
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from programs.serve import jobs

_KINDS = {kind.__name__: kind for union in (jobs.Job, jobs.Event) for kind in get_args(union)}
_KINDS["Setting"] = jobs.Setting


def dump(item: Any) -> dict[str, Any]:
    """A job, an event or a setting, ready for JSON: its fields and, as ``is``, which it is."""
    return {"is": type(item).__name__} | _fields(item)


def load(value: dict[str, Any]) -> Any:
    """The item that ``dump`` wrote. Raises KeyError or TypeError for anything else."""
    fields = {name: field for name, field in value.items() if name != "is"}
    return _build(_KINDS[value["is"]], fields)


def line(**fields: Any) -> bytes:
    """One line of JSON; jobs and events among the fields are dumped."""
    plain = {k: dump(v) if dataclasses.is_dataclass(v) else v for k, v in fields.items()}
    return json.dumps(plain, separators=(",", ":")).encode() + b"\n"


def _fields(item: Any) -> dict[str, Any]:
    return {field.name: _plain(getattr(item, field.name)) for field in dataclasses.fields(item)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return _fields(value)
    if isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
        return [_fields(item) for item in value]
    return value


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _build(kind: Any, fields: dict[str, Any]) -> Any:
    hints = _hints(kind)
    return kind(**{name: _typed(hints[name], value) for name, value in fields.items()})


def _typed(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(hint, value)
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        if dataclasses.is_dataclass(inner) or get_origin(inner) is tuple:
            return tuple(_typed(inner, item) for item in value)
        return tuple(value)
    return value
