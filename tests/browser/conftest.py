"""The browser lane: a real Chromium, the site built once. A missing browser skips it, or fails where it is required."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests")]

import chromium
from playwright.sync_api import Browser, Error, Page, sync_playwright
from watch import Watch

from programs.site import build as site
from workbook import paths

PREFIX = "/a/sub-folder/"
DESKTOP, PHONE = (1280, 800), (390, 844)
OPEN: list[Page] = []
"""The pages that the running test has open: what a picture is taken of when it fails."""


@dataclass
class Reader:
    """Opens pages in one browser, each as if it were the first one."""

    browser: Browser

    def open(self, url: str, origin: str, size: tuple[int, int] = DESKTOP, scheme: str = "light") -> tuple[Page, Watch]:
        """A page with one who listens to it from the start."""
        viewport = {"width": size[0], "height": size[1]}
        page = self.browser.new_context(viewport=viewport, color_scheme=scheme).new_page()  # type: ignore[arg-type]
        OPEN.append(page)
        page.set_default_timeout(30_000)
        watch = Watch(page, origin)
        page.goto(url, timeout=60_000)
        return page, watch


def nothing(*found: list[str]) -> None:
    """Nothing was found; else the test fails with every finding on a line of its own."""
    lines = [line for lines in found for line in lines]
    assert not lines, "\n- " + "\n- ".join(lines)


def required() -> bool:
    """Whether this lane must run here."""
    return "browser" in os.environ.get("WORKBOOK_REQUIRE", "").split(",")


@pytest.fixture(scope="session")
def reader() -> Iterator[Reader]:
    """One who reads, with the browser of this machine."""
    with sync_playwright() as playwright:
        browser = chromium.launch(playwright)
        if browser is None and required():
            pytest.fail(f"A browser is required here (WORKBOOK_REQUIRE=browser). {chromium.ADVICE}")
        if browser is None:
            pytest.skip(chromium.ADVICE)
        yield Reader(browser)
        browser.close()


@pytest.fixture(autouse=True)
def _pages_are_closed() -> Iterator[None]:
    OPEN.clear()
    yield
    for page in OPEN:
        with contextlib.suppress(Error):
            page.context.close()


@pytest.fixture(scope="session")
def html(reader: Reader, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built once from the stored pages; not where no browser is."""
    folders = dataclasses.replace(site.Folders.checkout(), build=tmp_path_factory.mktemp("site"))
    site.build(folders=folders)
    return folders.html


@pytest.fixture(scope="session")
def base(html: Path) -> Iterator[str]:
    """The site's address behind a web server, in a sub-folder."""
    with chromium.served(html, PREFIX) as address:
        yield address


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """A picture of what stood in the browser when a test failed."""
    report = yield
    if report.failed:
        for number, page in enumerate(OPEN):
            name = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in item.name)
            out = paths.build() / "browser" / f"{name}{f'-{number}' if number else ''}.png"
            with contextlib.suppress(Error):
                page.screenshot(path=out, timeout=10_000)
                report.sections.append(("picture", f"{paths.shown(out)} shows the page as it stood"))
    return report
