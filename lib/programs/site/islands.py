"""Widgets on a page without a kernel: ours run in the browser from their saved state, any other shows what it held.

The official widget manager for such pages is 3.6 MB of script (@jupyter-widgets/html-manager, with its fonts), more
than the whole site. Ours need none of it: their script is small and asks its model only to get, set and tell.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import nbformat

from programs.site import normalize

FOLDER = "_static/widgets"
STILL = "*A control stands here in JupyterLab. Below is what it showed when the page was made.*"
ENDING = re.compile(r"\nexport default (\{[^{}]*\});?\s*$")
"""How a widget's script ends; what stands before it is the same on the site."""
BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")

Output = Any
States = Mapping[str, Any]


@dataclass
class Island:
    """A page whose widgets need no kernel, and the files that they need: path on the site -> content."""

    notebook: Any
    files: dict[str, bytes] = field(default_factory=dict)


def without_kernel(notebook: Any) -> Island:
    """``notebook`` (changed in place) with each widget made ready for a page that is only read."""
    made = Island(notebook)
    states = notebook.metadata.pop("widgets", {}).get(normalize.STATE, {}).get("state", {})
    for cell in notebook.cells:
        if cell.cell_type == "code":
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            cell.outputs = [shown for output in cell.outputs for shown in _shown(output, states, alt, made.files)]
    return made


def _shown(output: Output, states: States, alt: str, files: dict[str, bytes]) -> Iterator[Output]:
    view = output.get("data", {}).get(normalize.VIEW)
    if view is None:
        yield output
        return
    state = states.get(view["model_id"], {}).get("state", {})
    if ENDING.search(state.get("_esm", "")):
        yield _output({"text/html": _moving(state, output.data.get("image/png", ""), alt, files)})
        return
    held = [
        inner for name in _inside(view["model_id"], states, ()) for inner in states[name]["state"].get("outputs", [])
    ]
    if held:
        yield _output({"text/markdown": STILL, "text/plain": STILL})
        yield from nbformat.from_dict(held)


def _output(data: dict[str, str]) -> Output:
    return nbformat.from_dict({"output_type": "display_data", "metadata": {}, "data": data})


def _moving(state: Mapping[str, Any], picture: str, alt: str, files: dict[str, bytes]) -> str:
    """The widget's place in the page: its state for the script, and the picture for who runs none."""
    script, style = str(state["_esm"]), str(state.get("_css", ""))
    name = hashlib.sha256((script + style).encode()).hexdigest()[:12]
    files[f"{FOLDER}/{name}.js"] = _classic(name, script).encode()
    files[f"{FOLDER}/{name}.css"] = style.encode()
    kept = {key: value for key, value in state.items() if not key.startswith("_") and key != "layout"}
    held = json.dumps(kept, separators=(",", ":"), sort_keys=True).replace("<", "\\u003c")
    png = "".join(picture.split())
    png = png if BASE64.fullmatch(png) else ""
    return (
        f'<div class="wb-widget" data-widget="{name}"><script type="application/json">{held}</script>'
        f'<img class="wb-still" alt="{html.escape(alt)}" src="data:image/png;base64,{png}"></div>'
    )


def _classic(name: str, script: str) -> str:
    """The module as a plain script: a browser loads no module from a file on disk."""
    body = ENDING.sub(r"\nreturn \1;", script)
    return f"(window.workbookWidgets ??= {{}})[{json.dumps(name)}] = (() => {{\n{body}\n}})();\n"


def _inside(name: str, states: States, above: tuple[str, ...]) -> Iterator[str]:
    """The ids of widget ``name`` and of all that it holds."""
    if name not in states or name in above:
        return
    yield name
    for other in re.findall(r"IPY_MODEL_(\w+)", json.dumps(states[name])):
        yield from _inside(other, states, (*above, name))
