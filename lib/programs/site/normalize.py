"""One form for stored pages: what differs between two executions of the same thing is taken out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import nbformat

from workbook import pages
from workbook.errors import BadPage

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}
HIDDEN = ("check", "picture")
"""Tags of cells whose code is folded away: those that only test or import, and those that draw a page's diagram."""

PASSING = ("execution", "papermill", "ExecuteTime", "collapsed", "scrolled")
"""Cell and notebook metadata that tell of one execution or one reader's screen."""


def load(content: bytes, name: str) -> Any:
    """The notebook in ``content``. Raises BadPage where it is no notebook of format 4."""
    try:
        raw = json.loads(content.decode("utf-8"))
        if not isinstance(raw, dict) or raw.get("nbformat") != 4:
            raise ValueError("its nbformat is not 4")
        nbformat.validate(raw)  # before reading it: the reader takes what it finds for granted
        return nbformat.reads(content.decode("utf-8"), as_version=4)
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
    for cell in made.cells:
        cell.metadata = _kept(cell.metadata)
        cell.source = pages.source(cell)
        if cell.cell_type == "code":
            count += 1
            cell.metadata.pop("jupyter", None)
            if set(HIDDEN) & set(cell.metadata.get("tags", ())):
                cell.metadata.jupyter = {"source_hidden": True}
            # A cell that was never run keeps saying so: a number here would be a lie.
            cell.execution_count = count if cell.execution_count is not None else None
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = count
                elif output.output_type == "stream":  # a command of "!" speaks as to a terminal
                    output.text = output.text.replace("\r\n", "\n")
    return _renumber_widgets(made)


def _kept(metadata: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if key not in PASSING}


def widget_states(notebook: Any) -> dict[str, Any]:
    """The saved widgets of a notebook: id -> model and state."""
    states: dict[str, Any] = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    return states


def within(name: str, states: dict[str, Any], seen: set[str] | None = None) -> Iterator[str]:
    """The id of a widget, then those of the widgets that it holds, each once."""
    seen = set() if seen is None else seen
    if name in seen:
        return
    seen.add(name)
    yield name
    for other in re.findall(r"IPY_MODEL_(\w+)", json.dumps(states.get(name, {}), sort_keys=True)):
        yield from within(other, states, seen)


def _renumber_widgets(notebook: Any) -> Any:
    """Keep the widgets that cells show, with the ids 1, 2, … in the order in which they appear."""
    states = widget_states(notebook)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output.data[VIEW]["model_id"] for output in outputs if VIEW in output.get("data", {})]
    names = dict.fromkeys(inner for name in shown for inner in within(name, states))
    if states:
        notebook.metadata.widgets[STATE]["state"] = {name: states[name] for name in names if name in states}
    # In one pass: an old id may be another's new one.
    new = {name: f"{number:032x}" for number, name in enumerate(names, 1)}
    text = re.sub("|".join(new) or "$^", lambda found: new[found.group()], json.dumps(notebook))
    return nbformat.from_dict(json.loads(text))
