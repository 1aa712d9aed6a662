"""The site: the pages, stored or just executed, as HTML that loads nothing from elsewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from workbook import normalize, paths
from workbook.errors import SiteFailed
from workbook.pages import MapTable, Page, pages

BUILD_TIMEOUT_S = 600
PLACE = "<!-- pages -->"
STILL = "*A control stands here in JupyterLab. Below is what it showed when the page was made.*"


@dataclass(frozen=True)
class Folders:
    """Where the site is made from, and where it is made: the checkout's own places unless said otherwise."""

    notebooks: Path
    docs: Path
    data: Path
    build: Path

    @classmethod
    def checkout(cls) -> Folders:
        """The places in this checkout."""
        return cls(paths.notebooks(), paths.root() / "docs", paths.data(), paths.build())

    @property
    def source(self) -> Path:
        """What Sphinx reads: copies, so that building leaves the checkout alone."""
        return self.build / "site-src"

    @property
    def html(self) -> Path:
        """The site."""
        return self.build / "html"


def build(executed: Mapping[str, Path] | None = None, folders: Folders | None = None) -> Path:
    """Build the site; its front page. ``executed``: link of a page -> the notebook to show instead of the stored one.

    Raises
    ------
    SiteFailed : Sphinx is missing, or warned of something (the site may be there all the same).
    """
    folders = folders or Folders.checkout()
    every = pages(folders.notebooks)
    notebooks = {page.link: (executed or {}).get(page.link, page.path) for page in every}
    _prepare(folders, every, notebooks)
    _sphinx(folders)
    for link, path in notebooks.items():
        # What a reader downloads is the page itself, not the copy without its widgets.
        for served in (folders.html / "_sources" / "notebooks").glob(f"{link}*"):
            _write(served, path.read_bytes())
    return folders.html / "index.html"


def _prepare(folders: Folders, every: Sequence[Page], notebooks: Mapping[str, Path]) -> None:
    """Fill the source folder; a file that did not change keeps its time, so that Sphinx need not read it again."""
    made = {f"notebooks/{link}": still(path.read_bytes(), link) for link, path in notebooks.items()}
    for path in sorted(folders.docs.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            made[path.relative_to(folders.docs).as_posix()] = path.read_bytes()
    index = made["index.md"].decode("utf-8").replace(PLACE, listing(every))
    made["index.md"] = index.encode("utf-8")
    made["data/README.md"] = (folders.data / "README.md").read_bytes()
    for name, content in made.items():
        _write(folders.source / name, content)
    for path in sorted(folders.source.rglob("*"), reverse=True):
        if path.is_file() and path.relative_to(folders.source).as_posix() not in made:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _write(path: Path, content: bytes) -> None:
    if not path.is_file() or path.read_bytes() != content:
        paths.write_whole(path, content)


def listing(every: Sequence[Page]) -> str:
    """The map as Markdown: a table a part, and the tables of contents that the site's navigation is made from."""
    blocks = []
    for part in dict.fromkeys(page.part for page in every):
        mine = tuple(page for page in every if page.part == part)
        table = re.sub(r"\]\((?=\d\d_|\d_)", "](notebooks/", MapTable(mine)._repr_markdown_())
        links = "\n".join(f"notebooks/{page.link.removesuffix('.ipynb')}" for page in mine)
        blocks.append(f"### {part}\n\n{table}\n\n```{{toctree}}\n:hidden:\n:caption: {part}\n\n{links}\n```")
    blocks.append("```{toctree}\n:hidden:\n:caption: Data\n\ndata/README\n```")
    return "\n\n".join(blocks)


def still(content: bytes, name: str) -> bytes:
    """The notebook with each widget replaced by the outputs it held: what a page without a kernel can show."""
    notebook = normalize.load(content, name)
    states = notebook.metadata.pop("widgets", {}).get(normalize.STATE, {}).get("state", {})
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [shown for output in cell.outputs for shown in _still_output(output, states)]
    return normalize.dump(notebook)


def _still_output(output: Any, states: Mapping[str, Any]) -> Iterator[Any]:
    view = output.get("data", {}).get(normalize.VIEW)
    if view is None:
        yield output
        return
    held = [
        inner for name in _inside(view["model_id"], states, ()) for inner in states[name]["state"].get("outputs", [])
    ]
    if held:
        note = {"output_type": "display_data", "metadata": {}, "data": {"text/markdown": STILL, "text/plain": STILL}}
        yield from nbformat.from_dict([note, *held])


def _inside(name: str, states: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[str]:
    """The ids of widget ``name`` and of all that it holds."""
    if name not in states or name in above:
        return
    yield name
    for other in re.findall(r"IPY_MODEL_(\w+)", json.dumps(states[name])):
        yield from _inside(other, states, (*above, name))


def _sphinx(folders: Folders) -> None:
    """Run Sphinx with warnings as errors. Raises SiteFailed with its own words."""
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-q", "-W", "--keep-going", "--no-color"]
    command += ["-d", str(folders.build / "doctrees"), str(folders.source), str(folders.html)]
    env = os.environ | {"PYTHONUTF8": "1", "PYTHONWARNINGS": "ignore"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace",
                              timeout=BUILD_TIMEOUT_S, env=env, check=False)  # fmt: skip
    except subprocess.TimeoutExpired:
        raise SiteFailed(f"The site was not built within {BUILD_TIMEOUT_S} s.") from None
    if done.returncode:
        says = [line.replace(str(folders.source) + os.sep, "") for line in done.stderr.splitlines() if line.strip()]
        raise SiteFailed("The site was not built cleanly: " + " | ".join(says[:12] or ["Sphinx ended without a word"]))
