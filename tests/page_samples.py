"""A small page that keeps to every rule, to be broken one rule at a time."""

from pathlib import Path
from typing import Any

import nbformat

from programs.site import cost, normalize
from workbook import pages, paths

HEAD = """# Count to two

Two numbers and what they add up to. A page for tests.

*Time: 10 minutes · RAM: 1 GB · Download: none*

**Before this page**: nothing.

**After it you can**

- count;
- add;
- stop."""
TAIL = """## The decision

Stop at two.

## What's next

Nothing.

## Sources

- None needed."""
EXERCISES = """
"11.1": {kind: number, answer: 3, within: 1%, why: a, hint: b, solution: c, accept: [3], refuse: [4]}
"11.2": {kind: number, answer: 5, within: 1%, why: a, hint: b, solution: c, accept: [5], refuse: [4]}
"""


MEASURED = {
    "seconds": 8.4, "ram_gb": 0.64, "on": "2026-11-21", "machine": "2 cores, 24 GB RAM, Linux x86_64",
    "engine": "embedded", "model": "SmolLM2-135M-Instruct.Q4_1", "python": "3.11.7", "versions": {"numpy": "2.3.4"},
    "sources": "",
}  # fmt: skip


PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg=="
PICTURE = nbformat.v4.new_output("display_data", data={"image/png": PNG, "text/plain": "<Figure>"})


def stream(text: str) -> Any:
    return nbformat.v4.new_output("stream", name="stdout", text=text)


def sample(number: str = "11") -> Any:
    """A notebook as ``refresh`` would store it; cells by place: 0 head, 1 versions, 2 live, 3 its assert, …"""
    code, text = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
    cells = [
        text(HEAD, id="head"),
        code(
            "from workbook.doctor import versions\nfrom workbook.exercises import check\n\nprint(versions())",
            id="setup",
            metadata={"tags": ["check"], "mystnb": {"image": {"alt": "One bar and two bars."}}},
        ),
        code("import time\n\nnow = time.time()\nprint(now)", id="live", metadata={"tags": ["nbval-ignore-output"]}),
        code("assert now > 0", id="asserted", metadata={"tags": ["check"]}),
        code("1 + 2", id="sum"),
        code(f'# Exercise {number}.1. One and two?\nanswer = ...\ncheck("{number}.1", answer)', id="exercise-1"),
        code(f'# Exercise {number}.2. Two and three?\nanswer = ...\ncheck("{number}.2", answer)', id="exercise-2"),
        text(TAIL, id="tail"),
    ]
    outputs = {
        "setup": [stream("Python 3.11.7\n"), PICTURE],
        "live": [stream("1.5\n")],
        "sum": [nbformat.v4.new_output("execute_result", data={"text/plain": "3"}, execution_count=4)],
        "exercise-1": [stream(f"{number}.1  Not answered yet.\n")],
        "exercise-2": [stream(f"{number}.2  Not answered yet.\n")],
    }
    for cell in cells:
        if cell.cell_type == "code":
            cell.execution_count, cell.outputs = 1, outputs.get(cell.id, [])
    metadata = {"workbook": {"engine": "any", "minutes": 10, "ram_gb": 1, "download_mb": 0, "measured": dict(MEASURED)}}
    notebook = normalize.normalize(nbformat.v4.new_notebook(cells=cells, metadata=metadata))
    notebook.metadata.workbook.measured.sources = cost.digest(notebook)
    return notebook


def store(notebook: Any, folder: Path, link: str = "1_theory/11_count.ipynb") -> Path:
    """Write ``notebook`` under ``folder`` in the stored form."""
    paths.write_whole(folder / link, normalize.dump(normalize.normalize(notebook)))
    return folder / link


def page_of(notebook: Any, tmp_path: Path) -> Any:
    """The page that ``notebook`` would be, with its exercises beside it."""
    (tmp_path / "exercises").mkdir(exist_ok=True)
    (tmp_path / "exercises" / "11_count.yaml").write_text(EXERCISES, encoding="utf-8")
    return pages.read(store(notebook, tmp_path / "notebooks"), tmp_path / "notebooks")
