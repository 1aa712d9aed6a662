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
from typing import Any

import nbformat

from programs.site import normalize

FOLDER = "_static/widgets"
STILL = "*A control stands here in JupyterLab. Below is what it showed when the page was made.*"
ENDING = re.compile(r"\nexport default (\{[^{}]*\});?\s*$")
"""How a widget's script ends; what stands before it is the same on the site."""


def without_kernel(notebook: Any) -> dict[str, bytes]:
    """Make each widget of ``notebook`` ready for a page that is only read; the files they need, by path on the site."""
    files: dict[str, bytes] = {}
    states = normalize.widget_states(notebook)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            cell.outputs = [shown for output in cell.outputs for shown in _shown(output, states, alt, files)]
    return files


def _shown(output: Any, states: dict[str, Any], alt: str, files: dict[str, bytes]) -> Iterator[Any]:
    view = output.get("data", {}).get(normalize.VIEW)
    if view is None:
        yield output
        return
    state = states.get(view["model_id"], {}).get("state", {})
    if ENDING.search(state.get("_esm", "")):
        yield _output({"text/html": _moving(state, output.data.get("image/png", ""), alt, files)})
        return
    names = normalize.within(view["model_id"], states)
    held = [inner for name in names for inner in states.get(name, {}).get("state", {}).get("outputs", [])]
    if held:
        yield _output({"text/markdown": STILL, "text/plain": STILL})
        yield from nbformat.from_dict(held)


def _output(data: dict[str, str]) -> Any:
    return nbformat.from_dict({"output_type": "display_data", "metadata": {}, "data": data})


def _moving(state: Mapping[str, Any], picture: str, alt: str, files: dict[str, bytes]) -> str:
    """The widget's place in the page: its state for the script, and the picture for who runs none."""
    script, style = str(state["_esm"]), str(state.get("_css", ""))
    name = hashlib.sha256((script + style).encode()).hexdigest()[:12]
    # A plain script and no module: a browser loads no module from a file on disk.
    body = ENDING.sub(r"\nreturn \1;", script)
    files[f"{FOLDER}/{name}.js"] = f'(window.workbookWidgets ??= {{}})["{name}"] = (() => {{\n{body}\n}})();\n'.encode()
    files[f"{FOLDER}/{name}.css"] = style.encode()
    kept = {key: value for key, value in state.items() if not key.startswith("_") and key != "layout"}
    held = json.dumps(kept, separators=(",", ":"), sort_keys=True).replace("<", "\\u003c")
    source = html.escape("data:image/png;base64," + "".join(picture.split()))
    return (
        f'<div class="wb-widget" data-widget="{name}"><script type="application/json">{held}</script>'
        f'<img class="wb-still" alt="{html.escape(alt)}" src="{source}"></div>'
    )
