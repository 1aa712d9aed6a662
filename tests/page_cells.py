"""The code of a page's cells, run outside the page: some of them, with other inputs, or with a mistake put in."""

from __future__ import annotations

import ast
import json
from typing import Any

from workbook import paths


def load(link: str) -> dict[str, str]:
    """The page's code cells: id to source."""
    notebook = json.loads((paths.notebooks() / link).read_text(encoding="utf-8"))
    return {cell["id"]: "".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"}


def tagged(link: str, tag: str) -> dict[str, str]:
    """The page's code cells that carry a tag."""
    notebook = json.loads((paths.notebooks() / link).read_text(encoding="utf-8"))
    ids = {cell["id"] for cell in notebook["cells"] if tag in cell["metadata"].get("tags", [])}
    return {name: source for name, source in load(link).items() if name in ids}


def run(cells: dict[str, str], *ids: str, wrong: tuple[str, str] = ("", ""), until: str = "\0", **given: Any) -> Any:
    """The names that these cells leave behind, after the imports of the page's first cell.

    ``wrong``: a piece of their code and the mistake that stands in its place. ``until``: leave the lines away from
    the one that begins so. ``given``: names that stand before the cells run.
    """
    code = "\n\n".join(cells[name] for name in ids).partition(f"\n{until}")[0]
    old, new = wrong
    if old:
        assert code.count(old) == 1, f"the page has changed: {old!r} is there {code.count(old)} times"
        code = code.replace(old, new)
    head = [node for node in ast.parse(cells["setup"]).body if isinstance(node, ast.Import | ast.ImportFrom)]
    names: dict[str, Any] = {}
    exec(compile(ast.Module(head, []), "setup", "exec"), names)
    names |= given
    exec(compile(code, ids[0], "exec", dont_inherit=True), names)
    return names
