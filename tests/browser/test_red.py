"""The lane turns red: on copies of the site that are broken in many places, each check finds them, and says what they are."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import chromium
import keyboard_checks as keyboard
import pytest
import site_checks as checks
import tour_checks as tour
from conftest import PHONE, PREFIX, ROOT, Reader

from workbook import pages

PAGE = "notebooks/1_theory/11_next_token.html"
KEY = "sk-" + "Ab3" * 10  # put together here, so that no file holds what looks like a key
EMPTY = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='90' height='90'/%3E"
BREAKS = f"""
<pre>{KEY}</pre> <p data-x="{KEY}"></p>
<img src="https://example.org/x.png" alt="x"> <script src="https://example.org/x.js"></script>
<script>fetch("https://example.org/x.json").catch(() => 0)</script> <iframe src="https://example.org/" title="x"></iframe>
<style>@font-face {{font-family: x; src: url(https://example.org/x.woff2)}} .odd {{font-family: x}}</style><p class="odd">x</p>
<script>new WebSocket("wss://example.org/x")</script>
<script>console.error('on purpose'); undefined.x</script>
<div class="too-wide" style="width: 2000px">x</div>
<img alt="x" style="background: none" src="{EMPTY}"> <img alt="" src="{EMPTY}"> <img alt="x" style="opacity: 0" src="{EMPTY}">
<input type="text">
<nav id="paper" style="display: block !important">x</nav><pre style="white-space: pre !important">{"x" * 500}</pre>
<style>@media print {{pre {{white-space: pre !important; overflow: auto}}}}</style>
"""
FOUND = [
    "its text has a key: sk-A…", "its HTML has a key: sk-A…",
    *(f"asks elsewhere: https://example.org/{what}" for what in ("x.png", "x.js", "x.json", "", "x.woff2")),
    "opens a socket elsewhere: wss://example.org/x", "console error: on purpose", "error in a script: ",
    "scrolls sideways by ", "has no alternative text", "is not visible", "critical: label (1): ",
    "stands on a dark ground",
    "> nav#paper", "on paper is cut off",
    "answers 404: _images/", "is not loaded", "answers 404: _static/widgets/", "widget 1 is not live",
]  # fmt: skip


@pytest.fixture
def copy(html: Path, tmp_path: Path) -> Path:
    """A site of one's own, to be broken."""
    return shutil.copytree(html, tmp_path / "html")


def add(copy: Path, what: str, before: str = "</article>") -> None:
    path = copy / PAGE
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, what + before, 1), encoding="utf-8")


def test_a_page_that_is_broken_everywhere(reader: Reader, copy: Path) -> None:
    add(copy, BREAKS)
    gone = re.search(r'<img[^>]*src="([^"?]+\.png)"', (copy / PAGE).read_text(encoding="utf-8"))
    assert gone
    for path in [(copy / PAGE).parent / gone[1], *(copy / "_static" / "widgets").glob("*.js")]:
        path.unlink()
    with chromium.served(copy, PREFIX) as base:
        page, watch = reader.open(base + PAGE, base, scheme="dark")
        checks.settle(page)
        found = checks.whole(page) + checks.accessibility(page) + checks.dark_figures(page)
        found += checks.printed(page) + watch.wrong
    missed = [wanted for wanted in FOUND if not [line for line in found if wanted in line]]
    assert not missed, "\n".join(found)
    assert KEY not in str(found)


def test_a_page_that_is_broken_for_a_phone_and_a_keyboard(reader: Reader, copy: Path) -> None:
    add(copy, '<div style="overflow: hidden"><p class="past" style="margin-left: 500px">x</p></div>')
    add(copy, '<a href="#" id="unseen" style="outline: none !important; box-shadow: none">x</a>')
    add(copy, '<button id="x" onkeydown="event.preventDefault()">x</button>')
    add(copy, '<button id="unreachable">x</button>')
    style = re.search(r'<link[^>]*href="([^"?]+\.css)', (copy / PAGE).read_text(encoding="utf-8"))
    assert style
    ((copy / PAGE).parent / style[1]).unlink()
    for start in (copy.as_uri() + "/", ""):
        with chromium.served(copy, PREFIX) as base:
            page, watch = reader.open((start or base) + PAGE, start or base, PHONE)
            checks.settle(page)
            found = checks.whole(page) + keyboard.walk(page) + watch.wrong
        wanted = [
            "p.past",
            'the focus is caught at <button id="x"',
            'Tab does not reach button#unreachable "x"',
            'nothing shows that the focus is on a#unseen "x"',
            "failed: _static/" if start else "answers 404: _static/",
        ]
        assert not [part for part in wanted if not [line for line in found if part in line]], "\n".join(found)


def test_a_search_that_finds_too_little_or_too_much(reader: Reader, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    page, _ = reader.open(base + "search.html", base)
    there, term = next(iter(tour.terms(pages.pages()).items()))
    assert tour.not_found(page, base, {there: tour.NONSENSE}) == [f"{tour.NONSENSE!r} does not find {there}, but []"]
    monkeypatch.setattr(tour, "NONSENSE", term)
    assert f"{term!r} finds {there}" in tour.not_found(page, base, {})


def test_a_walk_out_of_order_and_a_download_of_another_page() -> None:
    ways = {
        name: tour.Visit([], {"next": f"/{after}", "prev": None}) for name, after in (("a", "c"), ("b", "c"), ("c", ""))
    }
    assert tour.out_of_order(ways, "/")[0] == "a: next leads to c, not to b"
    first, second, *_ = (page.path for page in pages.pages())
    for text in ("{}", "<p>"):
        assert "no notebook" in tour.another(text, first)[0]
    assert "cells" in tour.another(second.read_text(encoding="utf-8"), first)[0]
    assert tour.another(first.read_text(encoding="utf-8"), first) == []


@pytest.mark.parametrize(("asked", "code"), [("contract", 0), ("contract,browser", 1)])
def test_without_a_browser(asked: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lane is skipped with a word where no browser is, and red where one is required."""
    monkeypatch.setenv("WORKBOOK_CHROMIUM", "no-such-browser")
    monkeypatch.setenv("WORKBOOK_REQUIRE", asked)
    one = f"{Path(__file__).with_name('test_site.py')}::test_the_front_page_is_light"
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", one]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250)
    says = "A browser is required here (WORKBOOK_REQUIRE=browser)." if code else "No Chromium here."
    assert (done.returncode, says in done.stdout) == (code, True), done.stdout
