"""The site as a whole: its search finds each page, its pages follow one another, its downloads are the pages."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import nbformat
from playwright.sync_api import Page as Tab

from workbook.pages import Page

RESULTS = "#search-results li a[href]"
NONSENSE = "zqxjkwv"
COMMON = {"about", "after", "before", "every", "other", "others", "their", "there", "these", "which", "where"}


def address(page: Page) -> str:
    """Where the site keeps a page, relative to its front page."""
    return f"notebooks/{page.link.removesuffix('.ipynb')}.html"


def terms(every: Sequence[Page]) -> dict[str, str]:
    """For each page's address an English word of its title or aim that the fewest others use; the longest of those."""
    words = {page: set(re.findall(r"[a-z]{5,}", f"{page.title} {page.aim}".lower())) - COMMON for page in every}
    used = Counter(word for mine in words.values() for word in mine)
    return {
        address(page): min(mine, key=lambda word: (used[word], -len(word), word))
        for page, mine in words.items()
        if mine
    }


def search(tab: Tab, base: str, term: str) -> list[str]:
    """The addresses that the search gives for ``term``, relative to the site's front page, best first."""
    tab.goto(f"{base}search.html?q={term}")
    tab.wait_for_function(
        "document.querySelector('#search-results .search-summary, #search-results p')?.innerText.match(/found|did not/)",
        timeout=20_000,
    )
    tab.wait_for_timeout(200)
    found: list[str] = tab.eval_on_selector_all(RESULTS, "links => links.map(link => link.href)")
    return list(dict.fromkeys(link.split("#")[0].split("?")[0].removeprefix(base) for link in found))


def not_found(tab: Tab, base: str, wanted: dict[str, str]) -> list[str]:
    """Pages that the search does not find by their term, or to which its link does not lead."""
    wrong = []
    for page, term in wanted.items():
        found = search(tab, base, term)
        if page not in found:
            wrong.append(f"{term!r} does not find {page}, but {found}")
            continue
        tab.locator(f"{RESULTS.removesuffix('[href]')}[href*='{page}']").first.click(timeout=10_000)
        tab.wait_for_url(lambda url, page=page: page in url, timeout=10_000)
    found = search(tab, base, NONSENSE)
    return [*wrong, *(f"{NONSENSE!r} finds {page}" for page in found)]


def step(tab: Tab, way: str) -> str | None:
    """Where the page's link to its next ("next") or previous ("prev") page leads."""
    selector = {"next": "a[rel~=next], a.right-next", "prev": "a[rel~=prev], a.left-prev"}[way]
    link = tab.locator(f"main :is({selector})")
    href = link.first.get_attribute("href") if link.count() else None
    return urljoin(tab.url, href).split("#")[0] if href else None


@dataclass(frozen=True)
class Visit:
    """What is wrong with one page, and where its links lead."""

    found: list[str]
    ways: dict[str, str | None]


def out_of_order(visits: dict[str, Visit], base: str) -> list[str]:
    """How the links to the next and the previous page leave the order of these visits."""
    wrong = []
    for way, pages in (("next", list(visits)), ("prev", list(visits)[::-1])):
        for here, there in itertools.pairwise(pages):
            led = visits[here].ways[way]
            if led != base + there:
                wrong.append(f"{here}: {way} leads to {led and led.removeprefix(base)}, not to {there}")
    return wrong


def downloads(tab: Tab, page: Page) -> list[str]:
    """What is wrong with the download of the page in front: it must answer with the very notebook."""
    link = tab.locator("a.wb-download")
    if not link.count():
        return ["no link a.wb-download"]
    url = urljoin(tab.url, link.first.get_attribute("href") or "")
    answer = tab.request.get(url, timeout=20_000)
    return another(answer.text(), page.path) if answer.ok else [f"the download answers {answer.status}: {url}"]


def another(text: str, stored: Path) -> list[str]:
    """How a downloaded notebook is another one than the page's."""
    try:
        served = nbformat.reads(text, as_version=4)
        nbformat.validate(served)
    except (ValueError, nbformat.ValidationError) as error:
        return [f"the download is no notebook: {str(error)[:100]}"]
    whole = json.loads(stored.read_text(encoding="utf-8"))
    wrong = []
    if len(served.cells) != len(whole["cells"]):
        wrong.append(f"the download has {len(served.cells)} cells, the page {len(whole['cells'])}")
    if "widgets" in whole["metadata"] and "widgets" not in served.metadata:
        wrong.append("the download lacks the state of the widgets")
    return wrong
