"""The whole workbook on this machine: execute every page, keep what they made, build the site from it."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from programs.site import build as site
from programs.site import cost, normalize
from programs.site.execute import SHOWN_ALIKE, execute
from workbook import models, paths
from workbook.engines import Info, connect
from workbook.errors import LlamaCppMissing, ModelNotFound, PageStopped
from workbook.pages import Page

Say = Callable[[str], None]
CELL_TIMEOUT_S = 900  # a slow laptop records for minutes in one cell


def run(pages: Sequence[Page], folders: site.Folders | None, say: Say, engine: Info | None) -> None:
    """Execute ``pages`` in order on ``engine`` (what ``engine_line`` found), then build the site from them.

    Executed pages go to ``build/executed``, with what they cost; the pages' own records to ``paths.results()``;
    no page is changed. A page that stops is said in one line and the others go on; the site is built in any case,
    with the stored page in place of one that was skipped. A page past its budget is warned of, no more.

    Raises
    ------
    PageStopped : at the end, if a page failed. SiteFailed: if the site was not built cleanly.
    """
    folders = folders or site.Folders.checkout()
    into, started, machine = folders.build / "executed", time.perf_counter(), cost.this_machine()
    shutil.rmtree(into, ignore_errors=True)  # what an earlier run left must not pass for this one's
    ended: dict[str, list[Page]] = {"done": [], "skipped": [], "failed": []}
    past: list[str] = []
    for page in pages:
        how, said, over = _one(page, into / page.link, ran_on(page, engine), machine)
        say(f"{page.number}  {page.title:<40.40}  {said}")
        ended[how].append(page)
        past += [f"Past its budget: page {page.number}: {line}." for line in over]
    try:
        front = site.build({page.link: into / page.link for page in ended["done"] + ended["failed"]}, folders)
        say(f"Site  {site.weight(folders)}  {paths.shown(front)}")
    finally:
        counts = ", ".join(f"{len(those)} {how}" for how, those in ended.items() if those)
        for line in (*past, f"Pages: {counts}. {time.perf_counter() - started:.0f} s in all."):
            say(line)
    if ended["failed"]:
        raise PageStopped(0, "pages that failed", ", ".join(page.number for page in ended["failed"]))


def _one(page: Page, path: Path, engine: Info, machine: str) -> tuple[str, str, list[str]]:
    """Execute one page and write it whole. How it ended, also in words, and where it went past its budget."""
    notebook = normalize.load(page.path.read_bytes(), page.link)
    cost.record(notebook, None)  # of a page that stops, the stored page's cost would be a lie
    over = []
    try:
        took = execute(notebook, page.path.parent, paths.environment(os.environ) | SHOWN_ALIKE, CELL_TIMEOUT_S)
    except PageStopped as error:
        light = error.kind == LlamaCppMissing.__name__
        how, said = ("skipped", "skipped: needs llama-cpp-python") if light else ("failed", f"FAILED: {error}")
    else:
        how, said = "done", f"{took.seconds:5.0f} s  {took.peak_rss_bytes / 1e6:6.0f} MB"
        cost.record(notebook, cost.measured(notebook, took, engine, machine))
        over = cost.past(page, took)
    paths.write_whole(path, normalize.dump(normalize.normalize(notebook)))
    return how, said, over


def engine_line(say: Say) -> Info | None:
    """Say which engine the pages will get. A light set-up without a server has none: the pages say so themselves."""
    try:
        with connect(quiet=True) as engine:
            info = engine.info()
    except LlamaCppMissing as error:
        say(f"No engine: {error}")
        return None
    say(f"Engine: {info}")
    return info


def ran_on(page: Page, engine: Info | None) -> Info:
    """What a page will run on: for "any" page the engine that was found, else the one that the page opens itself.

    A page that opens the model takes the file that ``WORKBOOK_MODEL`` names, where this machine has it.
    """
    if page.engine == "embedded":
        with contextlib.suppress(ModelNotFound):
            if named := os.environ.get("WORKBOOK_MODEL"):
                return Info("embedded", None, models.find(named).stem, "")
        return cost.embedded()
    wanted = ("none" if engine is None else engine.engine) if page.engine == "any" else page.engine
    if engine is None or engine.engine != wanted:
        return Info(wanted, None, "", "")
    # The engine calls the packaged model as Ollama does; its file's name says the quantization too.
    packaged = engine.engine == "embedded" and engine.model == "smollm2:135m"
    return cost.embedded() if packaged else engine
