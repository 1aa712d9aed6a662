"""The whole workbook on this machine: execute every page, keep what they made, build the site from it."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from programs.site import budgets, normalize
from programs.site import build as site
from programs.site.budgets import Ran
from programs.site.execute import SHOWN_ALIKE, Cost, execute
from workbook import models, paths
from workbook.errors import LlamaCppMissing, ModelNotFound, PageStopped, SiteFailed
from workbook.pages import Page, pages

if TYPE_CHECKING:
    from workbook.engines import Info

CELL_TIMEOUT_S = 900  # a slow laptop records for minutes in one cell

Say = Callable[[str], None]
Outcome = Literal["done", "skipped", "failed"]


@dataclass(frozen=True)
class Result:
    """One page: how it ended, what it cost (None unless done), where its execution stands.

    ``past``: where it went past its budget, in words.
    """

    page: Page
    outcome: Outcome
    path: Path
    cost: Cost | None = None
    past: tuple[str, ...] = ()


def run(
    wanted: Sequence[Page] | None = None,
    folders: site.Folders | None = None,
    say: Say = print,
    env: Mapping[str, str] | None = None,
    engine: Info | None = None,
) -> list[Result]:
    """Execute the pages in order on the engine that ``connect()`` finds, then build the site from them.

    Executed pages go to ``build/executed``, with what they cost; the pages' own records to ``paths.results()``;
    no page is changed. A page that stops is said in one line and the others go on; the site is built in any case.
    A page that goes past its budget is warned of, no more. ``engine``: what ``engine_line`` found.

    Raises
    ------
    PageStopped : at the end, if a page failed. SiteFailed: if the site was not built cleanly.
    """
    folders = folders or site.Folders.checkout()
    every = list(wanted) if wanted is not None else pages(folders.notebooks)
    into = folders.build / "executed"
    shutil.rmtree(into, ignore_errors=True)  # what an earlier run left must not pass for this one's
    started = time.perf_counter()
    env = paths.environment(env or os.environ)
    machine = budgets.this_machine()
    results = [_one(page, into, env, say, _Here(machine, ran_on(page, engine, env))) for page in every]
    problem = _site(results, folders, say)
    _summary(results, time.perf_counter() - started, say)
    failed = [result.page.number for result in results if result.outcome == "failed"]
    if failed:
        raise PageStopped(0, "pages that failed", ", ".join(failed))
    if problem:
        raise problem
    return results


@dataclass(frozen=True)
class _Here:
    """Where a page is executed, for the record of its cost."""

    machine: str
    ran: Ran


def ran_on(page: Page, engine: Info | None, env: Mapping[str, str] = os.environ) -> Ran:
    """What a page will run on: for "any" page the engine that was found, else the one that the page opens itself.

    A page that opens the model takes the file that ``WORKBOOK_MODEL`` names, where this machine has it.
    """
    if page.engine == "embedded":
        with contextlib.suppress(ModelNotFound):
            if named := env.get("WORKBOOK_MODEL"):
                return Ran("embedded", models.find(named).stem)
        return Ran.embedded()
    if page.engine != "any" and (engine is None or engine.engine != page.engine):
        return Ran(page.engine, None)
    return Ran.on(engine) if engine else Ran("none", None)


def engine_line(say: Say = print) -> Info | None:
    """Say which engine the pages will get. A light set-up without a server has none: the pages say so themselves.

    Raises the engine's error where the user named an engine that does not answer.
    """
    from workbook.engines import connect

    try:
        engine = connect(quiet=True)
    except LlamaCppMissing as error:
        say(f"No engine: {error}")
        return None
    with engine:
        info = engine.info()
    say(f"Engine: {info}")
    return info


def _one(page: Page, into: Path, env: Mapping[str, str], say: Say, here: _Here) -> Result:
    """Execute one page, say how it went, write it whole."""
    name = f"{page.number}  {page.title:<40.40}"
    notebook = normalize.load(page.path.read_bytes(), page.link)
    path = into / page.link
    outcome: Outcome = "failed"
    cost: Cost | None = None
    past: tuple[str, ...] = ()
    budgets.record(notebook, None)  # of a page that stops, the stored page's cost would be a lie
    try:
        cost = execute(notebook, page.path.parent, {**env, **SHOWN_ALIKE}, CELL_TIMEOUT_S)
        outcome = "done"
        past = tuple(budgets.past(page, cost))
        budgets.record(notebook, budgets.measured(notebook, cost, here.ran, here.machine))
        over = f"  PAST ITS BUDGET: {'; '.join(past)}" if past else ""
        say(f"{name}  {cost.seconds:5.0f} s  {cost.peak_rss_bytes / 1e6:6.0f} MB{over}")
    except PageStopped as error:
        if error.kind == LlamaCppMissing.__name__:
            outcome = "skipped"
            say(f"{name}  skipped: needs llama-cpp-python")
        else:
            say(f"{name}  FAILED: {error}")
    paths.write_whole(path, normalize.dump(normalize.normalize(notebook)))
    return Result(page, outcome, path, cost, past)


def _site(results: Sequence[Result], folders: site.Folders, say: Say) -> SiteFailed | None:
    """Build the site; a page that was skipped is shown as it is stored."""
    shown = {result.page.link: result.path for result in results if result.outcome != "skipped"}
    started = time.perf_counter()
    try:
        front = site.build(shown, folders)
    except SiteFailed as error:
        return error
    say(f"Site  {time.perf_counter() - started:.0f} s  {site.weight(folders)}  {paths.shown(front)}")
    return None


def _summary(results: Sequence[Result], seconds: float, say: Say) -> None:
    counts = {name: sum(result.outcome == name for result in results) for name in ("done", "skipped", "failed")}
    said = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    for result in results:
        for line in result.past:
            say(f"Past its budget: page {result.page.number}: {line}.")
    say(f"Pages: {said or 'none'}. {seconds:.0f} s in all.")
