"""Pictures of the site: the one that the README shows, or every page, to be looked at.

``python tools/picture.py`` writes docs/picture.png. ``--all FOLDER`` writes every page at 1280 and 390 px, light and
dark, in tiles of at most 1600 px: 11-390-dark-02.png. ``--site`` names another site than build/html; ``--only 11`` a page.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import chromium
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from programs.site import build as site
from workbook import pages, paths
from workbook.errors import WorkbookError

PAGE, SHOWN = "1_theory/11_next_token.html", "div.wb-widget, .cell_output img"
WIDTH, HEIGHT, MOST_BYTES, COLOURS = 1280, 900, 200_000, 128
SIZES = ((1280, 800), (390, 844))
REST_MS = 600
TILE = 1600


def html(named: Path | None) -> Path:
    """The site's folder, built if it is not there. Raises SiteFailed."""
    folder = named or site.Folders.checkout().html
    if not (folder / "index.html").is_file():
        if named:
            sys.exit(f"No picture: there is no site in {paths.shown(folder)}.")
        site.build()
    return folder


def open_page(browser: Browser, address: str, size: tuple[int, int], scheme: str) -> Page:
    """A page as a reader sees it, once its figures and widgets are there."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(address, timeout=30_000)
    page.wait_for_load_state("networkidle", timeout=60_000)
    page.wait_for_timeout(500)
    return page


def small(png: bytes) -> bytes:
    """The same picture with few colours: a page of text needs no more."""
    buffer = io.BytesIO()
    picture = Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def readme_picture(browser: Browser, base: str, out: Path) -> None:
    """The widget of page 11, with the prose and the code before it. Ends with one line where it cannot be made."""
    page = open_page(browser, f"{base}notebooks/{PAGE}", (WIDTH, HEIGHT), "light")
    shown = page.locator(f"main :is({SHOWN})").last
    box = shown.bounding_box() if shown.count() else None
    if box is None:
        sys.exit("No picture: page 11 shows no widget and no figure.")
    page.evaluate("y => window.scrollTo({top: y, behavior: 'instant'})", box["y"] + box["height"] + 24 - HEIGHT)
    page.wait_for_timeout(500)
    png = small(page.screenshot())
    if len(png) >= MOST_BYTES:
        sys.exit(f"No picture: it has {len(png) // 1000} kB, and {MOST_BYTES // 1000} kB is the limit.")
    paths.write_whole(out, png)
    print(f"{paths.shown(out)}: {len(png) // 1000} kB")


def names(folder: Path) -> Iterator[tuple[str, str]]:
    """(short name, address within the site) of every page in ``folder``."""
    for page in pages.pages():
        yield page.number, f"notebooks/{page.link.removesuffix('.ipynb')}.html"
    for name in ("index", "search", "data/README", "genindex"):
        if (folder / f"{name}.html").is_file():
            yield name.rpartition("/")[2], f"{name}.html"


def tiles(page: Page, stem: str, out: Path) -> int:
    """Write the whole of ``page`` into ``out``, cut into tiles; how many."""
    wide, high = page.evaluate("[innerWidth, document.documentElement.scrollHeight]")
    # First the height, then the pictures: what the theme moves when a window grows must have come to rest.
    page.set_viewport_size({"width": wide, "height": high})
    page.wait_for_timeout(REST_MS)
    tops = range(0, high, TILE)
    for number, top in enumerate(tops, 1):
        clip = {"x": 0, "y": top, "width": wide, "height": min(TILE, high - top)}
        page.screenshot(path=out / f"{stem}-{number:02}.png", clip=clip)  # type: ignore[arg-type]
    return len(tops)


def every_page(browser: Browser, base: str, found: list[tuple[str, str]], out: Path) -> None:
    """Every page of the site in every size and colour scheme."""
    out.mkdir(parents=True, exist_ok=True)
    for short, address in found:
        made = 0
        for size in SIZES:
            for scheme in ("light", "dark"):
                page = open_page(browser, base + address, size, scheme)
                made += tiles(page, f"{short}-{size[0]}-{scheme}", out)
                page.close()
        print(f"{short}: {made} tiles")


def main(words: list[str] | None = None) -> None:
    """Read the words of the command, open the browser, take the pictures."""
    parser = argparse.ArgumentParser(description="Pictures of the site.")
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="every page into FOLDER, to be looked at")
    parser.add_argument("--site", type=Path, help="the folder of a built site; build/html without")
    parser.add_argument("--only", nargs="*", help="with --all: numbers or names of pages")
    parser.add_argument("--out", type=Path, default=paths.root() / "docs" / "picture.png")
    asked = parser.parse_args(words)
    try:
        folder = html(asked.site)
    except WorkbookError as error:
        sys.exit(f"No picture: {error}")
    found = [(short, address) for short, address in names(folder) if not asked.only or short in asked.only]
    with sync_playwright() as playwright, chromium.served(folder) as base:
        browser = chromium.launch(playwright)
        if browser is None:
            sys.exit(chromium.ADVICE)
        if asked.all:
            every_page(browser, base, found, asked.all)
        else:
            readme_picture(browser, base, asked.out)
        browser.close()


if __name__ == "__main__":
    main()
