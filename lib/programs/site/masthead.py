"""What the site says of a page in words of its own: under the page's title, and on the front page."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from workbook.pages import Measured, Page, download, first_sentence, ram

ENGINES = {"ollama": "Ollama", "embedded": "llama.cpp in process"}
CLIENTS = {"ollama": "Ollama's Python client"}
BUDGET_LINE = re.compile(r"^\*Time: .*\*$", re.M)


def add_about(notebook: Any, page: Page) -> None:
    """Say below the budget line of ``notebook`` what its outputs were made on, with a link to the notebook."""
    cost = Measured.of(notebook.metadata.get("workbook", {}))
    up = "../" * (page.link.count("/") + 1)
    link = f'<a class="wb-download" href="{up}_sources/notebooks/{page.link}" download>Download this page</a>'
    said = f"<p>{_ran(cost)}</p>" if cost else ""
    about = f'<div class="wb-about">{said}<p>{link}: a notebook, for JupyterLab in a workbook that is set up.</p></div>'
    head = notebook.cells[0]
    head.source = BUDGET_LINE.sub(lambda line: f"{line.group()}\n\n{about}\n", head.source, count=1)


def _ran(cost: Measured) -> str:
    """When, on what, and at what cost the page's outputs were made."""
    model = f"{cost.model or 'no model'}, {ENGINES.get(cost.engine, cost.engine)}"
    versions = ", ".join(f"{CLIENTS.get(name, name)} {version}" for name, version in cost.versions)
    ran = f"<strong>{cost.seconds:g} s</strong> with <strong>{cost.ram_gb:g} GB</strong> of RAM at most"
    made_on = html.escape(f"{model}; {cost.machine}; Python {cost.python}, {versions}")
    return f"Its cells ran in {ran}, on {_day(cost)}: {made_on}."


def listing(every: Sequence[Page], costs: Mapping[str, Measured | None]) -> str:
    """The pages as Markdown, part by part, with the tables of contents that the site's navigation is made from.

    ``costs``: link of a page -> what its execution cost.
    """
    blocks = []
    for part in dict.fromkeys(page.part for page in every):
        mine = [page for page in every if page.part == part]
        entries = "\n\n".join(_entry(page, costs.get(page.link)) for page in mine)
        links = "\n".join(f"notebooks/{page.link.removesuffix('.ipynb')}" for page in mine)
        blocks.append(f"### {part}\n\n{entries}\n\n```{{toctree}}\n:hidden:\n:caption: {part}\n\n{links}\n```")
    blocks.append("```{toctree}\n:hidden:\n:caption: Data\n\ndata/README\n```")
    return "\n\n".join(blocks)


def _entry(page: Page, cost: Measured | None) -> str:
    facts = [f"{page.minutes:g} minutes", f"{ram(page)} of RAM", f"download: {download(page)}", page.level]
    if cost:
        facts.append(f"ran in {cost.seconds:g} s with {cost.ram_gb:g} GB, {_day(cost)}")
    about = first_sentence(page.aim)
    return f"[{page.number} {page.title}](notebooks/{page.link})\n: {about}\n: {' · '.join(facts)}"


def _day(cost: Measured) -> str:
    return f"{cost.on.day} {cost.on:%B %Y}".replace(" ", "\N{NO-BREAK SPACE}")
