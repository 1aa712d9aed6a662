"""One form for stored pages: what differs between two executions of the same thing is taken out."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import nbformat

from programs.site import figures
from workbook import pages
from workbook.errors import BadPage

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = figures.STATE

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}
PASSING = ("execution", "papermill", "ExecuteTime", "collapsed", "scrolled")
"""Cell and notebook metadata that tell of one execution or one reader's screen."""

CURSOR = re.compile(r"\x1b\[[0-9;]*[ABCDJK]")
"""Terminal sequences that move the cursor or erase; colours are not among them."""

ADDRESS = re.compile(r"((?:\bobject|>|<\w[^<>\n]{0,200}) at 0x)[0-9a-f]{6,}(?=>)")
"""Where an object lies in memory, as Python shows one that has no better words for itself."""


def load(content: bytes, name: str) -> Any:
    """The notebook in ``content``. Raises BadPage where it is no notebook of format 4."""
    try:
        text = content.decode("utf-8")
        raw = json.loads(text)
        if not isinstance(raw, dict) or raw.get("nbformat") != 4:
            raise ValueError("its nbformat is not 4")
        # Before reading it: the reader takes what it finds for granted.
        nbformat.validate(raw)
        return nbformat.reads(text, as_version=4)
    except (ValueError, nbformat.ValidationError) as error:
        raise BadPage(f"{name} is not a notebook: {str(error).strip().splitlines()[0]}") from None


def dump(notebook: Any) -> bytes:
    """The bytes of a stored page: sorted keys, LF, one newline at the end."""
    return (str(nbformat.writes(notebook, version=4)).replace("\r\n", "\n").rstrip("\n") + "\n").encode("utf-8")


def normalize(notebook: Any) -> Any:
    """A copy of ``notebook`` in the stored form; normalizing it again changes nothing."""
    made = nbformat.from_dict(json.loads(json.dumps(notebook)))
    made.nbformat, made.nbformat_minor = 4, 5
    made.metadata = _kept(made.metadata) | {"kernelspec": KERNELSPEC, "language_info": LANGUAGE}
    count = 0
    ids: set[str] = set()
    for cell in made.cells:
        cell.id = _cell_id(cell, ids)
        cell.metadata = _kept(cell.metadata)
        cell.source = pages.source(cell)
        if cell.cell_type == "code":
            count += 1
            cell.outputs = _outputs(cell.outputs, count)
            # A cell that was never run keeps saying so: a number here would be a lie.
            cell.execution_count = count if cell.execution_count is not None else None
    figures.strip(made)
    return _renumber_widgets(made)


def _kept(metadata: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if key not in PASSING}


def _cell_id(cell: Any, taken: set[str]) -> str:
    """The cell's own id; where it has none or another cell's, one that follows from its text."""
    name = str(cell.get("id") or "")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) or name in taken:
        digest = hashlib.sha256(cell.source.encode()).hexdigest()
        lengths = (digest[:n] for n in range(8, 65))
        name = next(text for text in lengths if text not in taken)
    taken.add(name)
    return name


def _outputs(outputs: list[Any], count: int) -> list[Any]:
    """The outputs with pieces of one stream joined, and the cell's number."""
    made: list[Any] = []
    for output in outputs:
        if output.output_type == "stream":
            if made and made[-1].output_type == "stream" and made[-1].name == output.name:
                made[-1].text += output.text
                continue
        elif output.output_type == "execute_result":
            output.execution_count = count
        made.append(output)
    for output in made:
        if output.output_type == "stream":
            output.text = ADDRESS.sub(r"\g<1>0", as_on_a_screen(output.text))
        elif isinstance(plain := output.get("data", {}).get("text/plain"), str):
            output.data["text/plain"] = ADDRESS.sub(r"\g<1>0", plain)
    return [output for output in made if output.output_type != "stream" or output.text]


def as_on_a_screen(text: str) -> str:
    """What a terminal shows in the end: a carriage return writes over its line (a progress bar's states)."""
    lines = CURSOR.sub("", text).replace("\r\n", "\n").split("\n")
    return "\n".join(_overwritten(line) for line in lines)


def _overwritten(line: str) -> str:
    shown = ""
    for piece in line.split("\r"):
        shown = piece + shown[len(piece) :]
    return shown


def widget_states(notebook: Any) -> dict[str, Any]:
    """The saved widgets of a notebook: id -> model and state."""
    states: dict[str, Any] = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    return states


def views(cell: Any) -> Iterator[str]:
    """The ids of the widgets that a cell shows."""
    for output in cell.get("outputs", []):
        shown = output.get("data", {}).get(VIEW)
        if shown:
            yield shown["model_id"]


def _renumber_widgets(notebook: Any) -> Any:
    """Give widgets the ids 1, 2, … in the order in which they appear, and keep their state."""
    states = widget_states(notebook)
    order: dict[str, str] = {}
    for name in _appearing(notebook, states):
        order.setdefault(name, f"{len(order) + 1:032x}")
    if not order:
        return notebook
    renamed = nbformat.from_dict(json.loads(_replace_all(json.dumps(notebook), order)))
    if states:
        kept = widget_states(renamed)
        renamed.metadata.widgets[STATE]["state"] = nbformat.from_dict(dict(sorted(kept.items())))
    return renamed


def _replace_all(text: str, order: dict[str, str]) -> str:
    # In one pass: an old id may be another's new one.
    return re.sub("|".join(map(re.escape, order)), lambda found: order[found.group()], text)


def _appearing(notebook: Any, states: dict[str, Any]) -> Iterator[str]:
    """The widgets' ids: those shown, each followed by those it holds, then the rest by their content."""
    for cell in notebook.cells:
        for name in views(cell):
            yield from held(name, states)
    # What no cell shows has no order of its own, so: by content, the random ids left out.
    any_id = re.compile("|".join(map(re.escape, states)) or "$^")
    yield from sorted(states, key=lambda name: any_id.sub("", json.dumps(states[name], sort_keys=True)))


def held(name: str, states: dict[str, Any], seen: set[str] | None = None) -> Iterator[str]:
    """The id of a widget, then those of the widgets that it holds, each once."""
    seen = set() if seen is None else seen
    if name in seen:
        return
    seen.add(name)
    yield name
    for other in re.findall(r"IPY_MODEL_([0-9a-f]+)", json.dumps(states.get(name, {}), sort_keys=True)):
        yield from held(other, states, seen)
