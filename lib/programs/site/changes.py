"""What differs between two notebooks of one page, in words a person follows: a line a cell, live cells marked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

from programs.site import normalize

LIVE = "nbval-ignore-output"
"""The tag of a cell whose output differs from run to run."""

LONGEST = 60
MOST_PARTS = 3


@dataclass(frozen=True)
class Change:
    """One line of what differs. ``kind``: a cell, a live cell, what the page cost, or something of the page's own."""

    text: str
    kind: Literal["cell", "live cell", "recorded cost", "page"]


def differences(old: Any, new: Any) -> Iterator[Change]:
    """What differs between two notebooks in the stored form. Nothing is left out of sight: look for keys first."""
    yield from _metadata(old.metadata, new.metadata)
    if len(old.cells) != len(new.cells):
        yield Change(f"{_n(len(old.cells), 'cell')} became {len(new.cells)}", "page")
        return
    was_states, now_states = normalize.widget_states(old), normalize.widget_states(new)
    moved = {name for name in {*was_states, *now_states} if was_states.get(name) != now_states.get(name)}
    for number, (was, now) in enumerate(zip(old.cells, new.cells, strict=True), 1):
        mine = {name for view in normalize.views(now) for name in normalize.held(view, now_states)}
        parts = [*_cell(was, now), *["its widget's state"] * bool(mine & moved)]
        moved -= mine
        if parts:
            live = LIVE in now.metadata.get("tags", [])
            more = [f"and {len(parts) - MOST_PARTS} more"] if len(parts) > MOST_PARTS else []
            said = "; ".join(parts[:MOST_PARTS] + more)
            yield Change(f"cell {number} ({now.id}){', live' * live}: {said}", "live cell" if live else "cell")
    if moved:
        yield Change(f"the state of {_n(len(moved), 'widget')} that no cell shows", "page")


def summary(found: Sequence[Change]) -> str:
    """How much differs, in one line."""
    if not found:
        return "nothing differs"
    cells = {kind: sum(change.kind == kind for change in found) for kind in ("cell", "live cell")}
    said = [_n(count, kind) for kind, count in cells.items() if count]
    said += ["the recorded cost"] * any(change.kind == "recorded cost" for change in found)
    said += ["the page itself"] * any(change.kind == "page" for change in found)
    if len(said) > 1:
        return f"{', '.join(said[:-1])} and {said[-1]} differ"
    several = sum(cells.values()) > 1
    return f"{said[0]} {'differ' if several else 'differs'}, nothing else"


def _n(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _metadata(old: Any, new: Any) -> Iterator[Change]:
    """What differs in the page's own metadata; the widgets' state is told with the cells that show them."""
    before, after = dict(old.get("workbook", {})), dict(new.get("workbook", {}))
    was, now = before.pop("measured", None), after.pop("measured", None)
    if was != now:
        yield Change("recorded cost: " + _fields(was, now), "recorded cost")
    if before != after:
        yield Change("metadata: workbook: " + _fields(before, after), "page")
    for key in sorted({*old, *new} - {"workbook", "widgets"}):
        if old.get(key) != new.get(key):
            yield Change(f"metadata: {key}" + (" is taken out" if key not in new else " differs"), "page")


def _fields(was: Any, now: Any) -> str:
    if not isinstance(was, dict) or not isinstance(now, dict):
        return "new" if isinstance(now, dict) else "is taken out"
    named = [key for key in sorted({*was, *now}) if was.get(key) != now.get(key)]
    return ", ".join(f"{key} {_value(was.get(key))} became {_value(now.get(key))}" for key in named)


def _value(value: Any) -> str:
    return str(value) if isinstance(value, int | float) else _cut(str(value))


def _cell(was: Any, now: Any) -> Iterator[str]:
    """What differs in one cell, its widgets' state left out."""
    if was.cell_type != now.cell_type:
        yield f"{was.cell_type} became {now.cell_type}"
        return
    if was.get("id") != now.get("id"):
        yield f"its id was {was.get('id')!r}"
    if was.source != now.source:
        yield _text("its text", was.source, now.source)
    for key in sorted({*was.metadata, *now.metadata}):
        if was.metadata.get(key) != now.metadata.get(key):
            yield f"its metadata: {key}" + (" is taken out" if key not in now.metadata else " differs")
    if was.get("execution_count") != now.get("execution_count"):
        yield f"its number {was.execution_count} became {now.execution_count}"
    yield from _outputs(was.get("outputs", []), now.get("outputs", []))


def _outputs(old: Sequence[Any], new: Sequence[Any]) -> Iterator[str]:
    before, after = [_kind(output) for output in old], [_kind(output) for output in new]
    if before != after:
        yield f"{_n(len(old), 'output')} ({', '.join(before)}) became {len(new)} ({', '.join(after)})"
        return
    for was, now in zip(old, new, strict=True):
        if was != now:
            yield from _output(was, now)


def _kind(output: Any) -> str:
    words = {"execute_result": "result", "display_data": "display", "error": "error"}
    return "printed" if output.get("name") == "stdout" else output.get("name") or words[output.output_type]


def _output(was: Any, now: Any) -> Iterator[str]:
    if now.output_type == "stream":
        yield _text("printed text" if now.name == "stdout" else f"text on {now.name}", was.text, now.text)
        return
    if now.output_type == "error":
        lines = [f"{error.ename}: {error.evalue}" for error in (was, now)]
        yield _text("error", *lines) if lines[0] != lines[1] else "the error's traceback"
        return
    kinds = [kind for kind in sorted({*was.data, *now.data}) if was.data.get(kind) != now.data.get(kind)]
    # The other texts of one output say the same as its plain one.
    texts = [kind for kind in kinds if kind.startswith("text/")]
    for kind in kinds:
        if kind.startswith("image/"):
            yield "figure redrawn"
        elif kind == normalize.VIEW:
            yield "another widget"
        elif kind not in texts or kind not in was.data or kind not in now.data:
            yield f"its {kind}" + (" is gone" if kind not in now.data else " is new" if kind not in was.data else "")
        elif kind == "text/plain" or "text/plain" not in texts:
            yield _text("shown text", _plain(kind, was.data[kind]), _plain(kind, now.data[kind]))
    if not kinds:
        yield "its count" if was.metadata == now.metadata else "its metadata"


def _plain(kind: str, text: str) -> str:
    return re.sub(r"<[^<>]*>", "", text) if kind == "text/html" else text


def _text(what: str, old: str, new: str) -> str:
    """The first line that differs."""
    for was, now in zip_longest(old.splitlines(), new.splitlines()):
        if was is None or now is None:
            return f"{what}: line {_cut(now if was is None else was)} is {'new' if was is None else 'gone'}"
        if was != now:
            start = next((i for i, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), min(len(was), len(now)))
            return f"{what}: {_cut(was, start)} became {_cut(now, start)}"
    return f"{what}: only its marks or line ends"


def _cut(line: str, start: int = 0) -> str:
    """``line`` in quotes, at most about 60 letters of it: those around ``start``."""
    first = 0 if len(line) <= LONGEST else max(0, min(start - LONGEST // 3, len(line) - LONGEST))
    last = first + LONGEST
    return repr("…" * (first > 0) + line[first:last] + "…" * (last < len(line)))
