"""A lighter site: the few icons that its pages show, and no script or file that they never use.

The theme's icons alone are a script of 1.5 MB on every page, and the search index would be loaded by each of them.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

ICON_SCRIPT = "_static/scripts/fontawesome.js"
ICON_STYLE = "_static/styles/pydata-sphinx-theme.css"
MADE = "_static/icons.css"
NEVER_USED = (
    "_static/locales", "_static/vendor/fontawesome/webfonts/fa-brands-400.woff2",
    "_static/webpack-macros.html", "_static/sbt-webpack-macros.html",
)  # fmt: skip

SHOWN = re.compile(r'<(?:i|span) class="[^"]*\b(?:fas|fa-solid)\b[^"]*')
LOOKS = {"fa-solid", "fa-lg", "fa-fw"}
SCRIPT_TAG = r'[ \t]*<script[^>]*\bsrc="[^"]*(?:scripts/fontawesome\.js|{})[^"]*"></script>\n?'
SEARCH = r"searchtools\.js|language_data\.js|base-stemmer\.js|english-stemmer\.js|searchindex\.js"
FIELD = re.compile(r'(<button class="btn search-button-field [^"]*") title="Search" aria-label="Search"')
RULE = re.compile(r'(?:\.(fa-[\w-]+),?)+\{--fa:"[^"]*"\}')
LOOK = """.fas, .fa-solid { font-family: inherit !important; }
:is(.fas, .fa-solid)::before { content: ""; display: inline-block; width: 1.1em; height: 1em;
  vertical-align: -0.125em; background: currentColor; mask: var(--wb-icon) center / contain no-repeat; }
.fa-lg::before { width: 1.35em; height: 1.25em; }
"""


def icons(pages: Iterator[Path]) -> list[str]:
    """The names of the icons that the pages show, without their ``fa-``."""
    classes = " ".join(hit for page in pages for hit in SHOWN.findall(page.read_text(encoding="utf-8")))
    return sorted({name[3:] for name in re.findall(r"\bfa-[\w-]+", classes)} - {look[3:] for look in LOOKS})


def drawing(script: str, name: str) -> tuple[int, int, str] | None:
    """Width, height and path of a solid icon, from the theme's own script; None where it has none."""
    found = re.findall(rf'[{{,]"?{re.escape(name)}"?:\[(\d+),(\d+),\[[^\]]*\],"[0-9a-f]+","([^"]+)"', script)
    # The script holds brands, regular and solid icons, in this order.
    return (int(found[-1][0]), int(found[-1][1]), found[-1][2]) if found else None


def style(script: str, names: list[str]) -> str:
    """The style that draws the icons: each a mask, so that it takes the colour of its text."""
    rules = [LOOK]
    for name in names:
        drawn = drawing(script, name)
        if drawn is None:
            logger.warning("the theme has no icon %r", name)
            continue
        width, height, path = drawn
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"><path d="{path}"/></svg>'
        rules.append(f'.fa-{name} {{ --wb-icon: url("data:image/svg+xml,{quote(svg, safe=" /:=")}"); }}\n')
    return "".join(rules)


def lighten(app: Sphinx, exception: Exception | None) -> None:
    """When the site is built: draw its icons, take out what it never uses."""
    site = Path(app.outdir)
    script, pages = site / ICON_SCRIPT, sorted(site.rglob("*.html"))
    if exception is not None or app.builder.name != "html":
        return
    if script.is_file():  # else nothing was copied anew: an unchanged site keeps what the last build made
        (site / MADE).write_text(style(script.read_text(encoding="utf-8"), icons(iter(pages))), encoding="utf-8")
        script.unlink()
    for page in pages:
        _mend(page)
    theme = site / ICON_STYLE
    theme.write_text(RULE.sub("", theme.read_text(encoding="utf-8")), encoding="utf-8")
    for unused in [*site.glob("_static/**/*.map"), *(site / name for name in NEVER_USED)]:
        shutil.rmtree(unused) if unused.is_dir() else unused.unlink(missing_ok=True)


def _mend(page: Path) -> None:
    """Take out the scripts that this page does not need, and the label that hides what a search field says."""
    text = page.read_text(encoding="utf-8")
    searches = "$^" if page.name == "search.html" else SEARCH
    made = re.sub(SCRIPT_TAG.format(searches), "", text)
    made = FIELD.sub(r"\1", made)
    made = re.sub(r"</math></span>([.,:;?!)]+)", r"</math>\1</span>", made)  # a full stop never begins a line
    if made != text:
        page.write_text(made, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Listen for the end of the build."""
    app.add_css_file("icons.css")
    app.connect("build-finished", lighten)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
