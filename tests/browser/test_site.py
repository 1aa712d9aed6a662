"""Every page of the site as readers have it: on a desktop and on a phone, by keyboard, on paper, from a disk."""

import keyboard_checks as keyboard
import pytest
import site_checks as checks
import tour_checks as tour
from conftest import DESKTOP, PHONE, Look, nothing

from workbook.pages import pages

PAGES = pages()
ADDRESSES = [*map(tour.address, PAGES), "index.html", "search.html", "data/README.html"]
LOOKS = [Look(DESKTOP, "light"), Look(PHONE, "dark")]
OTHER_LOOKS = [Look(DESKTOP, "dark"), Look(PHONE, "light")]
FRONT_PAGE_BYTES = 600_000

every_page = pytest.mark.parametrize("address", ADDRESSES)


@every_page
@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_a_page_is_whole(reader, base, address, look):
    page, watch = reader.open(base + address, base, look)
    checks.settle(page)
    found = (
        checks.sideways(page) + checks.cut_off(page) + checks.figures(page) + checks.widgets(page) + checks.text(page)
    )
    nothing(found, checks.accessibility(page), watch.wrong)


@every_page
@pytest.mark.parametrize("look", OTHER_LOOKS, ids=str)
def test_a_page_is_whole_in_the_other_light(reader, base, address, look):
    page, watch = reader.open(base + address, base, look)
    assert page.evaluate("document.documentElement.dataset.theme") == look.scheme
    dark = checks.dark_figures(page) if look.scheme == "dark" else []
    nothing(checks.sideways(page), dark, watch.wrong)


@every_page
@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_the_keyboard_alone_is_enough(reader, base, address, look):
    page, watch = reader.open(base + address, base, look)
    nothing(keyboard.walk(page), watch.wrong)


@pytest.mark.parametrize("address", [address for address in ADDRESSES if address != "search.html"])
def test_a_page_can_be_printed(reader, base, address):
    page, watch = reader.open(base + address, base)
    nothing(checks.printed(page), watch.wrong)


@every_page
def test_a_page_opens_from_a_disk(reader, html, address):
    page, watch = reader.open((html / address).as_uri(), html.as_uri() + "/")
    checks.settle(page)
    nothing(checks.figures(page), checks.widgets(page), watch.wrong)


def pages_with_widgets(html):
    return [address for address in ADDRESSES if 'class="wb-widget"' in (html / address).read_text(encoding="utf-8")]


@pytest.mark.parametrize("move", [keyboard.slider_by_keys, keyboard.slider_by_mouse])
@pytest.mark.parametrize("way", ["served", "disk"])
def test_widgets_move_without_a_kernel(reader, base, html, move, way):
    found = {}
    there = pages_with_widgets(html)
    assert there, "no page has a widget"
    start = base if way == "served" else html.as_uri() + "/"
    for address in there:
        page, watch = reader.open(start + address, start)
        page.wait_for_selector("div.wb-widget[data-live=true]", timeout=20_000)
        # A widget moves by its slider, or else by its list of choices: one that has neither moves by nothing.
        slides = page.locator(keyboard.SLIDER).count() > 0
        found[address] = (move if slides else keyboard.choice_by_keys)(page) + watch.wrong
    nothing([f"{address}: {line}" for address, lines in found.items() for line in lines])


@pytest.mark.parametrize("way", ["served", "disk"])
def test_the_search_finds_each_page(reader, base, html, way):
    start = base if way == "served" else html.as_uri() + "/"
    page, watch = reader.open(start + "search.html", start)
    wanted = tour.terms(PAGES)
    assert set(wanted) == set(map(tour.address, PAGES))
    nothing(tour.not_found(page, start, wanted), watch.wrong)


def test_next_and_previous_lead_through_all_pages(reader, base):
    page, _ = reader.open(base + "index.html", base)
    nothing(tour.out_of_order(page, base, PAGES))


@pytest.mark.parametrize("page_", PAGES, ids=lambda page: page.number)
def test_the_download_is_the_page(reader, base, page_):
    page, _ = reader.open(base + "index.html", base)
    nothing(tour.downloads(page, base, page_))


def test_the_front_page_is_light(reader, base, html, seconds, record_property):
    page, watch = reader.open(base + "index.html", base, fresh=True)
    checks.settle(page)
    weight = watch.weigh()
    total, whole = sum(weight.values()), sum(path.stat().st_size for path in html.rglob("*") if path.is_file())
    record_property("front page, on first load", f"{total / 1000:.0f} kB")
    record_property("site", f"{whole / 1e6:.2f} MB, built in {seconds:.1f} s")
    assert weight["index.html"] > 1000
    assert total < FRONT_PAGE_BYTES, "\n".join(f"{size / 1000:7.1f} kB  {name}" for name, size in weight.items())
