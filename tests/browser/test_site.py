"""Every page of the site as readers have it: on a desktop and on a phone, by keyboard, on paper, from a disk.

A page is opened once; all that can be wrong with it is looked for in that one visit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import keyboard_checks as keyboard
import pytest
import site_checks as checks
import tour_checks as tour
from conftest import PHONE, Reader, nothing

from workbook.pages import pages

PAGES = {tour.address(page): page for page in pages()}
ADDRESSES = [*PAGES, "index.html", "search.html", "data/README.html"]
FRONT_PAGE_BYTES = 600_000


@pytest.fixture(scope="module")
def visit(reader: Reader, base: str) -> Callable[[str], tour.Visit]:
    """What one visit of a page finds, made once: whole in both lights and sizes, by keyboard, on paper."""

    @cache
    def made(address: str) -> tour.Visit:
        page, watch = reader.open(base + address, base)
        checks.settle(page)
        found = checks.whole(page) + checks.accessibility(page) + keyboard.walk(page)
        page.emulate_media(color_scheme="dark")
        page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        page.reload()
        checks.settle(page)
        if page.evaluate("document.documentElement.dataset.theme") != "dark":
            found.append("the page does not follow its reader into the dark")
        found += checks.whole(page) + checks.accessibility(page) + checks.dark_figures(page)
        if address in PAGES:
            found += tour.downloads(page, PAGES[address])
        ways = {way: tour.step(page, way) for way in ("next", "prev")}
        if address != "search.html":
            page.emulate_media(color_scheme="light")
            found += checks.printed(page)
        page.context.close()
        return tour.Visit([*found, *watch.wrong], ways)

    return made


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_page_is_whole(visit: Callable[[str], tour.Visit], address: str) -> None:
    nothing(visit(address).found)


def test_next_and_previous_lead_through_all_pages(visit: Callable[[str], tour.Visit], base: str) -> None:
    nothing(tour.out_of_order({address: visit(address) for address in PAGES}, base))


def test_it_opens_from_a_disk_and_widgets_move_without_a_kernel(reader: Reader, base: str, html: Path) -> None:
    """A widget moves by its slider, with the mouse and by keys, or else by its list of choices."""
    there = [address for address in ADDRESSES if 'class="wb-widget"' in (html / address).read_text(encoding="utf-8")]
    assert there, "no page has a widget"
    found = []
    for start in (base, html.as_uri() + "/"):
        for address in [*there, "index.html"]:
            page, watch = reader.open(start + address, start)
            checks.settle(page)
            lines = checks.figures(page) + checks.widgets(page)
            if address in there:
                slides = page.locator(keyboard.SLIDER).count() > 0
                moves = (keyboard.slider_by_keys, keyboard.slider_by_mouse) if slides else (keyboard.choice_by_keys,)
                lines += [line for move in moves for line in move(page)]
            found += [f"{start + address}: {line}" for line in lines + watch.wrong]
            page.context.close()
    nothing(found)


@pytest.mark.parametrize("way", ["served", "disk"])
def test_the_search_finds_each_page(reader: Reader, base: str, html: Path, way: str) -> None:
    start = base if way == "served" else html.as_uri() + "/"
    page, watch = reader.open(start + "search.html", start)
    wanted = tour.terms(list(PAGES.values()))
    assert set(wanted) == set(PAGES)
    few = wanted if way == "served" else dict(list(wanted.items())[:2])
    nothing(tour.not_found(page, start, few), watch.wrong)


def test_the_front_page_is_light(reader: Reader, base: str) -> None:
    page, watch = reader.open(base + "index.html", base)
    checks.settle(page)
    weight = watch.weigh()
    assert weight["index.html"] > 1000
    assert sum(weight.values()) < FRONT_PAGE_BYTES, "\n".join(f"{size:9} B  {name}" for name, size in weight.items())
