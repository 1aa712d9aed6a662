"""The site: the pages, stored or just executed, as HTML that loads nothing from elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from programs.site import islands, masthead, normalize
from workbook import paths
from workbook.errors import SiteFailed
from workbook.pages import Measured, Page, pages

BUILD_TIMEOUT_S = 600
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
    _forget_gone(folders)
    for link, path in notebooks.items():
        # What a reader downloads is the page itself, not the copy without its widgets.
        for served in (folders.html / "_sources" / "notebooks").glob(f"{link}*"):
            _write(served, path.read_bytes())
    return folders.html / "index.html"


def _forget_gone(folders: Folders) -> None:
    """Take away what an earlier build made of pages that are gone: Sphinx leaves them standing."""
    sources = [path for path in folders.source.rglob("*") if path.suffix in (".ipynb", ".md")]
    kept = {folders.html / path.relative_to(folders.source).with_suffix(".html") for path in sources}
    for path in folders.html.rglob("*.html"):
        if path not in kept and path.name != "search.html" and "_static" not in path.parts:
            path.unlink()


def weight(folders: Folders) -> str:
    """What the site weighs, in words: MB are 10^6 bytes on disk."""
    files = [path for path in folders.html.rglob("*") if path.is_file() and path.name != ".buildinfo"]
    size = sum(path.stat().st_size for path in files)
    n_pages = sum(path.suffix == ".html" for path in files)
    return f"{n_pages} pages, {size / 1e6:.1f} MB"


def _prepare(folders: Folders, every: Sequence[Page], notebooks: Mapping[str, Path]) -> None:
    """Fill the source folder; a file that did not change keeps its time, so that Sphinx need not read it again."""
    made: dict[str, bytes] = {}
    costs: dict[str, Measured | None] = {}
    for page in every:
        notebook = normalize.load(notebooks[page.link].read_bytes(), page.link)
        costs[page.link] = Measured.of(notebook.metadata.get("workbook", {}))
        island = islands.without_kernel(masthead.with_about(notebook, page))
        made |= {f"notebooks/{page.link}": normalize.dump(island.notebook), **island.files}
    for path in sorted(folders.docs.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            made[path.relative_to(folders.docs).as_posix()] = path.read_bytes()
    index = made["index.md"].decode("utf-8").replace(PLACE, masthead.listing(every, costs))
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
