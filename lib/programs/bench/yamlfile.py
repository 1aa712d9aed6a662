"""A small YAML file of a user or a stranger: read safely, each value's line and column kept for what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from workbook.errors import BadPlan

MAX_BYTES = 64 * 2**10
MAX_DEPTH = 12
MAX_NODES = 10_000

Place = tuple[int | str, ...]
"""Where in the file: keys and positions, from the top."""


@dataclass(frozen=True)
class Read:
    """What a file holds. ``marks``: line and column, from 1, of every value; ``keys``: of every key."""

    name: str
    value: Any
    marks: dict[Place, tuple[int, int]]
    keys: dict[Place, tuple[int, int]]

    def refusal(self, place: Place, why: str, key: bool = False) -> BadPlan:
        """The error about ``place``, or about the nearest part above it that stands in the file."""
        while place and place not in self.marks:
            place = place[:-1]
        line, column = (self.keys if key and place in self.keys else self.marks).get(place, (1, 1))
        return _refusal(self.name, line, column, why)


def read(path: Path) -> Read:
    """The file as plain values. Refused: aliases, keys given twice, depth, size, other types than YAML's plain ones.

    Raises BadPlan, which names the file, the line and the column.
    """
    name = path.name
    try:
        with path.open("rb") as source:
            raw = source.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadPlan(f"{name} cannot be read ({error.strerror}). Give the path of a plan.") from None
    if len(raw) > MAX_BYTES:
        raise BadPlan(f"{name} is larger than {MAX_BYTES >> 10} KiB: no plan is. Make several of it.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _refusal(name, line, 1, "this is not UTF-8. Save the file as UTF-8.") from None
    try:
        _guard(name, text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        marks: dict[Place, tuple[int, int]] = {}
        keys: dict[Place, tuple[int, int]] = {}
        if node is not None:
            _walk(name, node, (), marks, keys)
        value = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _refusal(name, line, column, f"not YAML: {error.problem or error.context}.") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # a control character; a number or date that is none
        raise BadPlan(f"{name}: not YAML: {' '.join(str(error).split())[:200]}.") from None
    return Read(name, value, marks, keys)


def _guard(name: str, text: str) -> None:
    """Refuse by its events what would be dear to build: depth, numbers of values, aliases."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        mark = event.start_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise _refusal(name, line, column, f"an alias (*{event.anchor}): write the value out.")
        if depth > MAX_DEPTH or count > MAX_NODES:
            raise _refusal(name, line, column, "too deep or too long for a plan.")


def _walk(
    name: str, node: yaml.Node, place: Place, marks: dict[Place, tuple[int, int]], keys: dict[Place, tuple[int, int]]
) -> None:
    marks[place] = _at(node)
    for key, child in _children(name, node):
        if isinstance(key, yaml.Node):
            word = str(key.value)
            if (*place, word) in marks:
                raise _refusal(name, *_at(key), f"{word!r} is given twice. Keep one.")
            keys[(*place, word)] = _at(key)
            _walk(name, child, (*place, word), marks, keys)
        else:
            _walk(name, child, (*place, key), marks, keys)


def _children(name: str, node: yaml.Node) -> Iterator[tuple[yaml.Node | int, yaml.Node]]:
    if isinstance(node, yaml.SequenceNode):
        yield from enumerate(node.value)
    elif isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise _refusal(name, *_at(key), "a key must be a word.")
            yield key, child


def _at(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _refusal(name: str, line: int, column: int, why: str) -> BadPlan:
    printable = "".join(c if c.isprintable() else "?" for c in why)
    return BadPlan(f"{name}:{line}:{column}: {printable}")
