"""The site: the pages, stored or just executed, as HTML that loads nothing from elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from programs.site import islands, masthead, normalize
from workbook import paths
from workbook.errors import SiteFailed
from workbook.pages import Measured, Page, pages

PLACE = "<!-- pages -->"


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
    source = folders.build / "site-src"  # copies, so that building leaves the checkout alone
    for folder in (source, folders.html):  # Sphinx leaves standing what was made of a page that is gone
        shutil.rmtree(folder, ignore_errors=True)
    for name, content in _sources(folders, every, notebooks).items():
        paths.write_whole(source / name, content)
    _sphinx(source, folders)
    for link, path in notebooks.items():
        # What a reader downloads is the page itself, not the copy without its widgets.
        paths.write_whole(folders.html / "_sources" / "notebooks" / link, path.read_bytes())
    return folders.html / "index.html"


def shown(notebook: Any) -> None:
    """Leave out of ``notebook`` what a reader does not need: the cells that only check, the code of diagrams."""
    notebook.cells = [cell for cell in notebook.cells if "check" not in cell.metadata.get("tags", ())]
    for cell in notebook.cells:
        if "picture" in cell.metadata.get("tags", ()):
            cell.metadata.tags = [*cell.metadata.tags, "remove-input"]


def weight(folders: Folders) -> str:
    """What the site weighs, in words: MB are 10^6 bytes on disk."""
    files = [path for path in folders.html.rglob("*") if path.is_file() and path.name != ".buildinfo"]
    size = sum(path.stat().st_size for path in files)
    return f"{sum(path.suffix == '.html' for path in files)} pages, {size / 1e6:.1f} MB"


def _sources(folders: Folders, every: Sequence[Page], notebooks: Mapping[str, Path]) -> dict[str, bytes]:
    """What Sphinx is to read: path below the source folder -> content."""
    made: dict[str, bytes] = {}
    costs: dict[str, Measured | None] = {}
    for page in every:
        notebook = normalize.load(notebooks[page.link].read_bytes(), page.link)
        costs[page.link] = Measured.of(notebook.metadata.get("workbook", {}))
        masthead.add_about(notebook, page)
        shown(notebook)
        made |= islands.without_kernel(notebook)
        made[f"notebooks/{page.link}"] = normalize.dump(notebook)
    for path in folders.docs.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            made[path.relative_to(folders.docs).as_posix()] = path.read_bytes()
    made["index.md"] = made["index.md"].replace(PLACE.encode(), masthead.listing(every, costs).encode())
    made["data/README.md"] = (folders.data / "README.md").read_bytes()
    return made


def _sphinx(source: Path, folders: Folders) -> None:
    """Run Sphinx with warnings as errors. Raises SiteFailed with its own words."""
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-q", "-W", "--keep-going", "--no-color"]
    command += ["-E", "-d", str(folders.build / "doctrees"), str(source), str(folders.html)]
    env = os.environ | {"PYTHONUTF8": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", env=env, check=False)
    if done.returncode:
        says = [line.replace(str(source) + os.sep, "") for line in done.stderr.splitlines() if line.strip()]
        raise SiteFailed("The site was not built cleanly: " + " | ".join(says[:12] or ["Sphinx ended without a word"]))
