"""The site: built with warnings as errors, whole, from stored or executed pages, and loading nothing from elsewhere."""

import importlib
import json
import re
import shutil
import sys
from html import unescape
from pathlib import Path

import docutils.nodes
import nbformat
import pytest
from fontTools.ttLib import TTFont
from page_samples import sample, store, stream

from programs.site import build as site
from programs.site import islands, masthead, normalize
from workbook import pages, paths
from workbook.errors import SiteFailed

# What a page loads by itself: scripts, styles, pictures, frames, fonts. A link that a reader may follow is none.
LOADS = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\b(?:src|data)\s*=\s*["']?(?:https?:)?//[^"'>\s]+"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preload|icon|modulepreload|preconnect|dns-prefetch))[^>]*?\bhref=["']?(?:https?:)?//[^"'>\s]+"""
    r"""|(?:@import\s+|url\()\s*(?:url\()?["']?(?:https?:)?//[^"')\s]+""",
    re.I,
)


def loads_from_elsewhere(html: Path) -> list[str]:
    files = [path for path in html.rglob("*") if path.suffix in (".html", ".css")]
    return [f"{path.name}: {hit}" for path in files for hit in LOADS.findall(path.read_text(encoding="utf-8"))]


def folders(tmp_path: Path, own_front: bool = False) -> site.Folders:
    """Places below ``tmp_path``; ``own_front``: with a front page that links to no page by name."""
    docs = paths.root() / "docs"
    if own_front:
        docs = Path(shutil.copytree(docs, tmp_path / "docs", dirs_exist_ok=True))
        (docs / "index.md").write_text(f"# Front\n\n## Pages\n\n{site.PLACE}\n", encoding="utf-8")
    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    (data / "README.md").write_text("# Data dictionary\n", encoding="utf-8")
    return site.Folders(tmp_path / "notebooks", docs, data, tmp_path / "build")


def small_workbook(tmp_path: Path, *, text: str = "") -> site.Folders:
    start = sample("00")
    start.cells[-1].source = "[Count](1_theory/11_count.ipynb) $a_{ij} \\le \\frac{1}{2}$\n\n" + start.cells[-1].source
    store(start, tmp_path / "notebooks", "00_start_here.ipynb")
    count = sample()
    count.cells[-1].source = text + "\n\n" + count.cells[-1].source
    store(count, tmp_path / "notebooks")
    return folders(tmp_path, own_front=True)


def test_a_broken_page_fails_the_site(tmp_path):
    broken = {
        "12_gone": "[gone](12_gone.ipynb)",
        "nosuchcommand": "$\\nosuchcommand{x}$",
        "no-such-part": "[x](#no-such-part)",
    }
    places = small_workbook(tmp_path, text="\n\n".join(broken.values()))
    with pytest.raises(SiteFailed, match="not built cleanly") as caught:
        site.build(folders=places)
    assert [name for name in broken if name not in str(caught.value)] == []
    assert str(tmp_path) not in str(caught.value)
    assert (places.html / "index.html").is_file(), "there all the same, to be looked at"


def test_the_search_for_loads_can_fail(tmp_path):
    html = tmp_path / "x.html"
    for bad in (
        '<script src="https://cdn.example.org/x.js">',
        "<img alt='' src='//example.org/x.png'>",
        '<link href="https://example.org/x.css" rel="stylesheet">',
        '<link rel="stylesheet" href="https://example.org/x.css">',
        "<style>@import url(https://example.org/x.css)</style>",
        "<style>@font-face {src: url('https://example.org/x.woff')}</style>",
    ):
        html.write_text(bad, encoding="utf-8")
        assert loads_from_elsewhere(tmp_path), bad
    html.write_text(
        '<a href="https://ollama.com">x</a><img src="_images/x.png"><link rel="next" href="x.html">', "utf-8"
    )
    assert not loads_from_elsewhere(tmp_path)


SCRIPT = "function render({ model, el }) { el.textContent = model.get('text'); }\n\nexport default { render };\n"


def widget_page():
    """A page with a control of the library's, an empty progress bar, and a widget of ours."""
    notebook = sample()
    ours = {
        "_esm": SCRIPT,
        "_css": ".x {}",
        "_model_module": "anywidget",
        "text": "</script><b>",
        "layout": "IPY_MODEL_l",
    }
    states = {
        "a1": {"state": {"children": ["IPY_MODEL_b2", "IPY_MODEL_c3"]}, "model_name": "VBoxModel"},
        "b2": {"state": {"value": 3}, "model_name": "IntSliderModel"},
        "c3": {"state": {"outputs": [dict(stream("x is 3"))], "up": "IPY_MODEL_a1"}, "model_name": "OutputModel"},
        "d4": {"state": {}, "model_name": "LabelModel"},
        "e5": {"state": ours, "model_name": "AnyModel"},
    }
    view = {normalize.VIEW: {"model_id": "a1"}, "text/plain": "VBox(...)"}
    bar = {normalize.VIEW: {"model_id": "d4"}, "text/plain": "  0%|   |"}
    own = {normalize.VIEW: {"model_id": "e5"}, "text/plain": "Own", "image/png": "iVBO\nRw0KGgo="}
    notebook.cells[4].outputs = [nbformat.v4.new_output("display_data", data=data) for data in (view, bar, own)]
    notebook.cells[4].metadata = {"mystnb": {"image": {"alt": 'bars "and" more'}}}
    notebook.metadata.widgets = {normalize.STATE: {"state": states}}
    return notebook


def test_widgets_stand_still_where_no_kernel_is():
    page = widget_page()
    islands.without_kernel(page)
    assert [output.get("text") for output in page.cells[4].outputs] == [None, "x is 3", None]
    assert "widgets" not in page.metadata
    assert "0%" not in str(page.cells[4].outputs), "an empty progress bar would be a lie"


def test_our_widgets_bring_their_state_script_and_picture():
    page = widget_page()
    files = islands.without_kernel(page)
    shown = page.cells[4].outputs[-1].data["text/html"]
    state = re.search(r'<script type="application/json">(.*?)</script>', shown)[1]
    assert json.loads(state) == {"text": "</script><b>"}, (
        "what begins with _ is the library's, and no tag ends the state"
    )
    assert 'alt="bars &quot;and&quot; more" src="data:image/png;base64,iVBORw0KGgo="' in shown
    script, style = sorted(files, key=lambda name: not name.endswith(".js"))
    name = re.search(r'data-widget="(\w+)"', shown)[1]
    assert name in script
    assert files[style] == b".x {}"
    assert b"return { render };" in files[script]
    assert b"export" not in files[script]


def test_a_widget_with_another_script_or_a_damaged_picture():
    page = widget_page()
    page.cells[4].outputs[-1].data["image/png"] = '"><script>'
    islands.without_kernel(page)
    assert '"><script>' not in page.cells[4].outputs[-1].data["text/html"]
    page = widget_page()
    page.metadata.widgets[normalize.STATE]["state"]["e5"]["state"]["_esm"] = "export default () => {}"
    islands.without_kernel(page)
    assert len(page.cells[4].outputs) == 2, "not ours: nothing is claimed of it"


def test_a_page_says_what_it_ran_on(tmp_path):
    notebook = sample()
    notebook.metadata.workbook.measured.update(engine="ollama", model="mistral", machine="2 cores, <Linux>")
    path = store(notebook, tmp_path)
    page = pages.read(path, tmp_path)
    masthead.add_about(notebook, page)
    head = notebook.cells[0].source
    assert (
        "<strong>8.4 s</strong> with <strong>0.64 GB</strong> of RAM at most, on 21\xa0November\xa02026: mistral, Ollama"
        in head
    )
    assert "; 2 cores, &lt;Linux&gt;; Python 3.11.7, numpy 2.3.4.</p>" in head
    assert 'class="wb-download" href="../../_sources/notebooks/1_theory/11_count.ipynb" download' in head
    assert head.index("*Time: ") < head.index("wb-about") < head.index("**Before this page**")
    assert "ran in 8.4 s with 0.64 GB, 21\xa0November\xa02026" in masthead.listing([page], {page.link: page.measured})
    assert "ran in" not in masthead.listing([page], {})


def test_the_sites_icons_are_those_it_shows(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(paths.root() / "docs" / "_ext"))
    lean = importlib.import_module("lean")
    page = tmp_path / "x.html"
    page.write_text('<i class="fa-solid fa-bars fa-lg"></i><span class="fas fa-sun"></span><p class="fa-no">', "utf-8")
    assert lean.icons(iter([page])) == ["bars", "sun"]
    script = (
        'a={"bars":[9,9,[],"f0c9","M-brand"]};b={bars:[448,512,["navicon"],"f0c9","M0 96"],"x-bars":[1,1,[],"f0","M9"]}'
    )
    assert lean.drawing(script, "bars") == (448, 512, "M0 96")
    said = []
    monkeypatch.setattr(lean.logger, "warning", lambda *words, **where: said.append(words))
    made = lean.style(script, ["bars", "sun"])
    assert "viewBox=%220 0 448 512%22" in made
    assert said == [("the theme has no icon %r", "sun")]


def test_the_checkouts_own_site(tmp_path):
    checkout = site.Folders.checkout()
    places = site.Folders(checkout.notebooks, checkout.docs, checkout.data, tmp_path)
    front = site.build(folders=places)
    assert loads_from_elsewhere(places.html) == []
    text = front.read_text(encoding="utf-8")
    for page in pages.pages():
        assert f'href="notebooks/{page.link.removesuffix(".ipynb")}.html"' in text
        served = places.html / "_sources" / "notebooks" / page.link
        assert served.read_bytes() == page.path.read_bytes(), "not the copy without its widgets"
    assert sys.executable.rpartition("/")[0] not in text
    # What makes the site light: see docs/_ext/lean.py. The theme may change under us.
    scripts = {
        path: re.findall(r'<script[^>]*src="([^"?]*)', path.read_text(encoding="utf-8"))
        for path in places.html.rglob("*.html")
    }
    assert not [path for path, names in scripts.items() if any("fontawesome" in name for name in names)]
    searching = [path.name for path, names in scripts.items() if any("searchindex.js" in name for name in names)]
    assert searching == ["search.html"]
    icons = (places.html / "_static" / "icons.css").read_text(encoding="utf-8")
    assert icons.count("--wb-icon: url(") >= 10
    assert not list(places.html.rglob("*.map"))
    assert site.weight(places).startswith(f"{len(pages.pages()) + 3} pages, ")  # the front page, the search, the data
    assert not signs_without_a_shape(places.html)


def formulas(html: Path) -> set[str]:
    """Every sign that stands in a formula of the site, single letters also in italics, as a browser draws them."""
    found = set()
    for path in html.rglob("*.html"):
        for formula in re.findall(r"<math.*?</math>", path.read_text(encoding="utf-8"), re.S):
            for tag, text in re.findall(r"<(m\w+)[^>]*>([^<]+)<", formula):
                signs = unescape(text)
                found |= set(signs)
                if tag == "mi" and len(signs) == 1 and signs.isascii() and signs != "h":
                    found.add(chr((0x1D44E - ord("a") if signs.islower() else 0x1D434 - ord("A")) + ord(signs)))
    return {sign for sign in found if not sign.isspace()}


def signs_without_a_shape(html: Path) -> set[str]:
    """Signs of the site's formulas that its own font for them lacks: tools/mathfont.py lists what it has."""
    font = TTFont(html / "_static" / "math.woff")
    assert "MATH" in font
    signs = formulas(html)
    assert signs
    return {sign for sign in signs if ord(sign) not in font.getBestCmap()}


def test_a_sign_that_the_font_for_formulas_lacks(tmp_path):
    static = tmp_path / "_static"
    static.mkdir()
    shutil.copy(paths.root() / "docs" / "_static" / "math.woff", static)
    (tmp_path / "x.html").write_text("<math><mi>x</mi><mo>&#x2A99;</mo></math>", encoding="utf-8")
    assert formulas(tmp_path) == {"x", "\U0001d465", "\u2a99"}
    assert signs_without_a_shape(tmp_path) == {"\u2a99"}
    assert (static / "math.woff").stat().st_size < 60_000


FORMULAS = [
    (r"\frac{1}{2}", "<mfrac>", False),
    (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", "<mtable", False),
    (r"a &= b \\ c &= d", "<mtable", False),
    (r"\Big\{ n : p_n \ge p \Big\}", ">{</mo>", False),
    (r"x \iff y", "<mo>&#x027FA;</mo>", False),
    (r"|x|", '<mo lspace="0" rspace="0" stretchy="false">&#x0007C;</mo><mi>x</mi>', False),
    (r"p_i \log p", '</msub><mspace width="0.167em"/><mi>log</mi><mspace width="0.167em"/><mi>p</mi>', False),
    (r"\ln(m)", "<mi>ln</mi><mo", False),
    (r"\nosuch x", "<math", True),
    (r"a & b", "<math", True),
    (r"<b>_", "<code>&lt;b&gt;_</code>", True),
]


def test_formulas_become_mathml_or_a_warning(monkeypatch):
    monkeypatch.syspath_prepend(str(paths.root() / "docs" / "_ext"))
    mathml = importlib.import_module("mathml")
    for latex, tag, warns in FORMULAS:
        said = []
        monkeypatch.setattr(mathml.logger, "warning", lambda *words, said=said, **where: said.append(words))
        assert tag in mathml.mathml(docutils.nodes.math_block(latex, latex), "block"), latex
        assert bool(said) is warns, latex
