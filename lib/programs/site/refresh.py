"""Make the stored pages again: execute, bring into one form, refuse what must not be stored, write whole."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from programs.site import cost, normalize
from programs.site.check import refusals
from programs.site.execute import OLLAMA_MODEL, execute, reproducible
from workbook import formats, models, paths
from workbook.alone import alone, busy
from workbook.engines import Info
from workbook.errors import BadPage, WorkbookError
from workbook.pages import Page


def refresh(pages: Sequence[Page], say: Callable[[str], None] = print) -> None:
    """Execute ``pages`` one after the other, each on its own engine, and store them; say what each took.

    A page that stops, whose engine is missing, or whose outputs must not be stored, is left as it was; the others
    go on.

    Raises
    ------
    BadPage : at the end, if a page was left. NotAlone : another refresh is at work.
    """
    left = []
    with alone(paths.cache() / "refresh.lock", "refresh"):
        machine = cost.this_machine()
        for page in pages:
            say(f"{page.number}  {page.title} …")
            if warning := busy():
                say(f"    {warning}")
            try:
                for line in refresh_page(page, machine):
                    say(f"    {line}")
            except WorkbookError as error:
                left.append(page.number)
                say(f"    left as it was: {error}")
    if left:
        raise BadPage(f"Not refreshed: {', '.join(left)}. Fix what is named above and refresh again.")


def refresh_page(page: Page, machine: str) -> list[str]:
    """Execute and store one page; how much changed and what it took, in words.

    ``machine``: in the words that are recorded. Raises PageStopped, BadPage, and what ``engine_for`` raises.
    """
    engine = engine_for(page)
    before = normalize.load(page.path.read_bytes(), page.link)
    notebook = normalize.load(page.path.read_bytes(), page.link)
    with tempfile.TemporaryDirectory(prefix="workbook-", ignore_cleanup_errors=True) as scratch:
        # Each page gets a folder of records of its own: what another recorded must not reach its outputs.
        env = reproducible(Path(scratch) / "results", Path(scratch) / "ipython", engine.engine)
        took = execute(notebook, page.path.parent, env)
    made = normalize.normalize(notebook)
    cost.record(made, cost.measured(made, took, engine, machine))
    if wrong := refusals(made):
        raise BadPage("; ".join(wrong))
    paths.write_whole(page.path, normalize.dump(made))
    changed = sum(was.get("outputs") != now.get("outputs") for was, now in zip(before.cells, made.cells, strict=True))
    said = f"{changed} of {len(made.cells)} cells show something else"
    said += f"; {took.seconds:.1f} s, {took.peak_rss_bytes / 1e9:.2f} GB of RAM at most"
    return [said, *(f"past its budget: {line}" for line in cost.past(page, took))]


def engine_for(page: Page) -> Info:
    """The engine that ``page`` is stored with: embedded, or the Ollama at ``OLLAMA_HOST`` for a page about it.

    Raises BadPage where Ollama has another model under the packaged one's name, and Ollama's own errors.
    """
    if page.engine != "ollama":
        return cost.embedded()
    from workbook.engines.ollama import Ollama

    packaged = models.packaged()
    make = f"Make it: echo FROM {paths.shown(packaged)} > Modelfile; ollama create {OLLAMA_MODEL} -f Modelfile"
    with Ollama(OLLAMA_MODEL) as server:
        info = server.info()
    if info.quant != formats.inspect_gguf(packaged).quant:
        raise BadPage(f"Ollama's {OLLAMA_MODEL} is another one ({info.quant}), not the packaged one. {make}")
    return info
