"""Make the stored pages again: execute, bring into one form, refuse what must not be stored, write whole."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from programs.site import budgets, changes, figures, normalize
from programs.site.budgets import Ran
from programs.site.execute import CELL_TIMEOUT_S, execute, reproducible
from workbook import formats, leaks, models, paths
from workbook.alone import alone, busy
from workbook.errors import BadPage, ModelNotFound, NoModel, WorkbookError
from workbook.pages import ENGINES, Measured, Page

OLLAMA_MODEL = "smollm2:135m"
"""Ollama's name for the packaged model, which pages about Ollama are stored with."""

Say = Callable[[str], None]


def refresh(
    pages: Sequence[Page],
    say: Say = print,
    cell_timeout_s: float = CELL_TIMEOUT_S,
    lock: Path | None = None,
) -> None:
    """Execute ``pages`` one after the other, each on its own engine, and store them; say what changed in each.

    A page that stops, whose engine is missing, or whose outputs must not be stored, is left as it was; the others
    go on. ``lock`` keeps a second refresh of this user from measuring at the same time (None: a file in the cache).

    Raises
    ------
    BadPage : at the end, if a page was left. NotAlone : another refresh is at work.
    """
    left = []
    with alone(lock or paths.cache() / "refresh.lock", "refresh"):
        machine = budgets.this_machine()
        for page in pages:
            say(f"{page.number}  {page.title} …")
            if warning := busy():
                say(f"    {warning}")
            try:
                for line in refresh_page(page, machine, cell_timeout_s):
                    say(f"    {line}")
            except WorkbookError as error:
                left.append(page.number)
                say(f"    left as it was: {error}")
    if left:
        raise BadPage(f"Not refreshed: {', '.join(left)}. Mend what is named above and refresh again.")


def refresh_page(page: Page, machine: str, cell_timeout_s: float = CELL_TIMEOUT_S) -> list[str]:
    """Execute and store one page; what changed, in words.

    ``machine``: in the words that are recorded. Raises PageStopped, BadPage, and what ``engine_for`` raises.
    """
    ran = engine_for(page)
    before = normalize.load(page.path.read_bytes(), page.link)
    notebook = normalize.load(page.path.read_bytes(), page.link)
    model = OLLAMA_MODEL if ran.engine == "ollama" else None
    with tempfile.TemporaryDirectory(prefix="workbook-", ignore_cleanup_errors=True) as scratch:
        # Each page gets a folder of records of its own: what another recorded must not reach its outputs.
        env = reproducible(Path(scratch) / "results", Path(scratch) / "ipython", ran.engine, model)
        cost = execute(notebook, page.path.parent, env, cell_timeout_s)
    made = normalize.normalize(notebook)
    measured = budgets.measured(made, cost, ran, machine)
    budgets.record(made, budgets.steady(measured, Measured.of(before.metadata["workbook"])))
    wrong = refusals(made)
    if wrong:
        raise BadPage("; ".join(wrong))
    paths.write_whole(page.path, normalize.dump(made))
    found = list(changes.differences(before, made))
    # What differs is quoted: not where the page held what it must not.
    told = [] if leaks.refusals(before) else [change.text for change in found]
    past = [f"past its budget: {line}" for line in budgets.past(page, cost)]
    took = f"{cost.seconds:.1f} s, {cost.peak_rss_bytes / 1e9:.2f} GB of RAM at most"
    return [*told, f"{changes.summary(found)}; {took}", *past]


def engine_for(page: Page) -> Ran:
    """The engine that ``page`` is stored with: embedded unless it is about another, which must be there.

    Raises
    ------
    BadPage : it names an engine that refresh does not know, or that has another model under the packaged one's name.
    ServerNotFound, NoModel, ModelNotFound : no Ollama answers at ``OLLAMA_HOST``, or it lacks the packaged model.
    """
    if page.engine not in ENGINES:
        raise BadPage(_unknown(page.engine))
    return _ollama() if page.engine == "ollama" else Ran.embedded()


def _unknown(engine: object) -> str:
    return f"its engine is {engine!r}, none of {', '.join(ENGINES)}"


def _ollama() -> Ran:
    from workbook.engines.ollama import Ollama

    packaged = models.packaged()
    make = f"Make it: echo FROM {paths.shown(packaged)} > Modelfile; ollama create {OLLAMA_MODEL} -f Modelfile"
    try:
        with Ollama(OLLAMA_MODEL) as server:
            info = server.info()
    except NoModel:
        raise NoModel(f"Ollama has no model. {make}") from None
    except ModelNotFound:
        raise ModelNotFound(f"Ollama has no {OLLAMA_MODEL}. {make}") from None
    if info.quant != formats.inspect_gguf(packaged).quant:
        raise BadPage(f"Ollama's {OLLAMA_MODEL} is another one ({info.quant}), not the packaged one. {make}")
    return Ran.on(info)


def refusals(notebook: Any) -> list[str]:
    """Why ``notebook`` must not be stored, a line each: keys, names and paths of this machine, errors, figures."""
    return leaks.refusals(notebook) + figures.problems(notebook)


def check(pages: Sequence[Page], say: Say = print) -> None:
    """Execute nothing: hold each stored page against the stored form. Raises BadPage if one is not in it."""
    wrong = []
    for page in pages:
        problems = check_page(page.path.read_bytes(), page.link)
        wrong += [page.number] * bool(problems)
        for problem in problems:
            say(f"{page.link}: {problem}")
    if wrong:
        raise BadPage(f"Not as refresh leaves them: {', '.join(wrong)}. Run: workbook refresh {' '.join(wrong)}")
    say(f"{len(pages)} pages are as refresh leaves them.")


def check_page(content: bytes, name: str) -> list[str]:
    """What of a stored page is not as ``refresh`` would leave it, in words."""
    notebook = normalize.load(content, name)
    made = normalize.normalize(notebook)
    refused = refusals(notebook)
    # The lines of what differs quote the page: not one that holds a key.
    found = [] if refused else [f"would be stored otherwise: {c.text}" for c in changes.differences(notebook, made)]
    problems = refused + found
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        problems.append(f"its {len(code)} code cells are not numbered 1 to {len(code)}: it was not run from the top")
    if not any(cell.outputs for cell in code):
        problems.append("it has no outputs")
    stated = notebook.metadata.get("workbook", {})
    if stated.get("engine") not in ENGINES:
        problems.append(_unknown(stated.get("engine")))
    problems += budgets.problems(notebook)
    if not problems and normalize.dump(made) != content:
        problems.append("its file is laid out differently (line ends, indents or order of keys)")
    return problems
