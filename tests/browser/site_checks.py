"""What can be wrong with a page of the site, in words. Each check takes an open page; an empty list is a good page."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page

from workbook import leaks

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
SCRIPT = Path(__file__).parent / "site_checks.js"
BAD_IMPACTS = ("serious", "critical")
A4 = {"width": 794, "height": 1123}  # 210 x 297 mm in CSS pixels


def _call(page: Page, name: str) -> list[str]:
    """What the function ``name`` of site_checks.js finds."""
    if page.evaluate("typeof window.workbookChecks") == "undefined":
        page.evaluate(SCRIPT.read_text(encoding="utf-8") + ";0")
    found: list[str] = page.evaluate(f"window.workbookChecks.{name}()")
    return found


def settle(page: Page) -> None:
    """Wait until the page stands as a reader sees it: all loaded, and the widgets had their time."""
    page.evaluate("document.querySelectorAll('img[loading=lazy]').forEach(img => { img.loading = 'eager'; })")
    page.wait_for_load_state("networkidle", timeout=60_000)
    if page.locator("div.wb-widget:not([data-live=true])").count():
        page.wait_for_timeout(2000)


def whole(page: Page) -> list[str]:
    """What is wrong with the page in this size: it scrolls sideways, hides what stands past its right edge, has figures
    or widgets that do not show, keys or paths in its text.
    """
    found = _call(page, "sideways") + _call(page, "cutOff")
    return found + figures(page) + widgets(page) + text(page)


def figures(page: Page) -> list[str]:
    """Figures not loaded, not visible, or without words for those who do not see them."""
    return _call(page, "figures")


def widgets(page: Page) -> list[str]:
    """Widgets that do not show or do not answer."""
    return _call(page, "widgets")


def dark_figures(page: Page) -> list[str]:
    """Figures whose ground is dark while their ink is dark too. Works where the page came by HTTP."""
    return _call(page, "darkFigures")


def text(page: Page) -> list[str]:
    """Keys, absolute paths and this machine's names in what the page shows or says in its HTML."""
    patterns = leaks.everywhere() + leaks.this_machine()
    held = {"text": page.evaluate("document.body.innerText"), "HTML": page.content()}
    return [
        f"its {where} has {what}: {part}" for where, said in held.items() for what, part in leaks.find(said, patterns)
    ]


def printed(page: Page) -> list[str]:
    """What is wrong on paper. The page is left in its printed form."""
    page.set_viewport_size(A4)  # type: ignore[arg-type]
    page.emulate_media(media="print")
    found = _call(page, "sideways") + _call(page, "onPaper")
    pdf = page.pdf(format="A4")
    return found if pdf.startswith(b"%PDF") and b"/Type /Page" in pdf else [*found, "it gives no sheet"]


def accessibility(page: Page) -> list[str]:
    """What axe-core calls serious or critical, one line a rule, with the first selectors."""
    if page.evaluate("typeof window.axe") == "undefined":
        page.evaluate(AXE.read_text(encoding="utf-8") + ";0")
    result = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{rule['impact']}: {rule['id']} ({len(rule['nodes'])}): "
        + " | ".join(f"{_target(node)} [{_why(node)}]" for node in rule["nodes"][:4])
        for rule in result["violations"]
        if rule["impact"] in BAD_IMPACTS
    ]


def _target(node: dict) -> str:
    return " ".join(str(part) for part in node["target"])[:160]


def _why(node: dict) -> str:
    said = [check["message"] for kind in ("any", "all", "none") for check in node[kind]]
    return (said[0] if said else "")[:220]
