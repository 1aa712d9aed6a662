"""The lane turns red: on a copy of the site that is broken in one place, each check finds that, and says what it is."""

import re
import shutil

import chromium
import keyboard_checks as keyboard
import pytest
import site_checks as checks
import tour_checks as tour
from conftest import PREFIX, Look
from page_samples import sample, store

from programs.site import build as site
from programs.site import run
from workbook import pages

PAGE = "notebooks/1_theory/11_next_token.html"
KEY = "sk-" + "Ab3" * 10  # put together here, so that no file holds what looks like a key


@pytest.fixture
def copy(html, tmp_path):
    """A site of one's own, to be broken."""
    return shutil.copytree(html, tmp_path / "html")


def edit(copy, old, new, address=PAGE, count=1):
    """Replace in one page of the copy; what is replaced must be there."""
    path = copy / address
    text = path.read_text(encoding="utf-8")
    assert re.search(old, text), f"there is no {old} to break"
    path.write_text(re.sub(old, lambda _: new, text, count=count), encoding="utf-8")


def look_at(reader, copy, *all_checks, address=PAGE, look=None):
    """What these checks, and who listens to the page, find on the copy."""
    with chromium.served(copy, PREFIX) as base:
        page, watch = reader.open(base + address, base, look, fresh=True)
        checks.settle(page)
        return [line for check in all_checks for line in check(page)] + watch.wrong


def first(copy, pattern, address=PAGE):
    """The file of the copy that the page loads by ``pattern``: an address relative to the page."""
    found = re.search(pattern, (copy / address).read_text(encoding="utf-8"))
    assert found, pattern
    return ((copy / address).parent / found.group(1)).resolve()


@pytest.mark.parametrize(
    "pattern",
    [r'<link[^>]*href="([^"?]+\.css)', r'<script[^>]*src="([^"?]+\.js)', r'<img[^>]*src="([^"?]+\.png)"'],
    ids=["style", "script", "figure"],
)
def test_an_asset_that_is_missing(reader, copy, pattern):
    gone = first(copy, pattern)
    gone.unlink()
    found = look_at(reader, copy, checks.figures)
    name = gone.relative_to(copy.resolve()).as_posix()
    assert f"answers 404: {name}" in found
    if gone.suffix == ".png":
        assert f"figure {gone.name[:20]} is not loaded" in found


@pytest.mark.parametrize(
    "pattern", [r'<link[^>]*href="([^"?]+\.css)', r'<img[^>]*src="([^"?]+\.png)"'], ids=["style", "figure"]
)
def test_an_asset_that_is_missing_on_a_disk(reader, copy, pattern):
    gone = first(copy, pattern)
    gone.unlink()
    page, watch = reader.open((copy / PAGE).as_uri(), copy.as_uri() + "/", fresh=True)
    checks.settle(page)
    assert [line.split(" (")[0] for line in watch.wrong] == [f"failed: {gone.relative_to(copy.resolve()).as_posix()}"]


def test_an_alternative_text_that_is_empty(reader, copy):
    edit(copy, r'(?<=<img )([^>]*?)alt="[^"]+"(?=[^>]*_images)', 'alt=""')
    found = look_at(reader, copy, checks.figures, checks.accessibility)
    assert [line for line in found if line.endswith("has no alternative text")]


def test_a_key_in_an_output(reader, copy):
    edit(copy, r"</article>", f"<pre>{KEY}</pre></article>")
    found = look_at(reader, copy, checks.text)
    assert found == ["its text has a key: sk-A…", "its HTML has a key: sk-A…"]
    assert KEY not in str(found)


def test_a_key_that_does_not_show(reader, copy):
    edit(copy, r"</article>", f'<p data-x="{KEY}"></p></article>')
    assert look_at(reader, copy, checks.text) == ["its HTML has a key: sk-A…"]


def test_a_cell_that_prints_a_key(reader, tmp_path):
    """A page that really runs: what `workbook run` shows on its site, the check finds, and refresh would not store it."""
    notebook = sample()
    notebook.cells[4].source = "print('sk-' + 'Ab3' * 10)"
    folder = tmp_path / "notebooks"
    store(sample("00"), folder, "00_start_here.ipynb")
    store(notebook, folder)
    docs = shutil.copytree(site.Folders.checkout().docs, tmp_path / "docs")
    (docs / "index.md").write_text(f"# Front\n\n## Pages\n\n{site.PLACE}\n", encoding="utf-8")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "README.md").write_text("# Data dictionary\n", encoding="utf-8")
    places = site.Folders(folder, docs, tmp_path / "data", tmp_path / "build")
    every = pages.pages(folder)
    run.run(every, places, say=lambda line: None)
    found = look_at(reader, places.html, checks.text, address=tour.address(every[1]))
    assert found == ["its text has a key: sk-A…", "its HTML has a key: sk-A…"]
    assert look_at(reader, places.html, checks.text, address=tour.address(every[0])) == []


@pytest.mark.parametrize(
    "loads",
    [
        '<img src="https://example.org/x.png" alt="x">',
        '<script src="https://example.org/x.js"></script>',
        '<script>fetch("https://example.org/x.json").catch(() => 0)</script>',
        '<iframe src="https://example.org/" title="x"></iframe>',
        "<style>@font-face {font-family: x; src: url(https://example.org/x.woff2)} * {font-family: x}</style>",
    ],
    ids=["image", "script", "fetch", "frame", "font"],
)
def test_a_request_that_leaves_the_machine(reader, copy, loads):
    edit(copy, r"</article>", f"{loads}</article>")
    found = look_at(reader, copy)
    assert [line for line in found if line.startswith("asks elsewhere: https://example.org/")]


def test_a_socket_that_leaves_the_machine(reader, copy):
    edit(copy, r"</article>", '<script>new WebSocket("wss://example.org/x")</script></article>')
    assert "opens a socket elsewhere: wss://example.org/x" in look_at(reader, copy)


def test_a_script_that_fails(reader, copy):
    edit(copy, r"</article>", "<script>console.error('on purpose'); undefined.x</script></article>")
    found = look_at(reader, copy)
    assert found[0] == "console error: on purpose"
    assert found[1].startswith("error in a script: ")


@pytest.mark.parametrize("width", [1280, 390])
def test_an_element_that_is_too_wide(reader, copy, width):
    edit(copy, r"</article>", '<div class="too-wide" style="width: 2000px">x</div></article>')
    (found,) = look_at(reader, copy, checks.sideways, look=Look((width, 800)))
    assert re.match(r"scrolls sideways by \d+ px: .*div\.too-wide", found)


def test_a_word_past_the_edge_of_a_page_that_does_not_scroll(reader, copy):
    wide = '<div style="overflow: hidden"><p class="past" style="margin-left: 500px">x</p></div>'
    edit(copy, r"</article>", f"{wide}</article>")
    found = look_at(reader, copy, checks.sideways, checks.cut_off, look=Look((390, 800)))
    assert len(found) == 1
    assert re.match(r"stands past the right edge: .*p\.past", found[0])


def test_a_figure_that_does_not_show(reader, copy):
    edit(copy, r"</head>", "<style>main img {opacity: 0}</style></head>")
    found = look_at(reader, copy, checks.figures)
    assert found
    assert all(line.endswith("is not visible") for line in found)


def test_a_widget_that_does_not_come_to_life(reader, copy):
    """Without its script the still picture stays, and so it is no figure that is missing, but a widget."""
    scripts = list((copy / "_static" / "widgets").glob("*.js"))
    assert scripts
    for path in scripts:
        path.unlink()
    found = look_at(reader, copy, checks.figures, checks.widgets)
    assert found[0] == "widget 1 is not live"
    assert [line for line in found if line.startswith("answers 404: _static/widgets/")]


def test_a_figure_on_a_dark_ground(reader, copy):
    """Ink of a figure is dark: a picture with no ground of its own needs a light one."""
    empty = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='90' height='90'/%3E"
    edit(copy, r"</article>", f'<img alt="x" style="background: none" src="{empty}"></article>')
    (found,) = look_at(reader, copy, checks.dark_figures, look=Look(scheme="dark"))
    assert found.startswith("figure in the page stands on a dark ground")
    assert look_at(reader, copy, checks.dark_figures) == []


def test_a_control_without_a_name(reader, copy):
    edit(copy, r"</article>", '<input type="text"></article>')
    found = look_at(reader, copy, checks.accessibility)
    assert [line for line in found if line.startswith("critical: label (1): ")]


@pytest.mark.parametrize(
    ("breaks", "says"),
    [
        ('<button id="x" onkeydown="event.preventDefault()">x</button>', 'the focus is caught at <button id="x"'),
        ('<a href="#" id="x" style="outline: none !important; box-shadow: none">x</a>', 'focus is on a#x "x"'),
        ('<button id="x" onfocus="document.body.focus(); this.blur()">x</button>', "Tab does not reach"),
    ],
    ids=["caught", "unseen", "unreachable"],
)
def test_a_page_that_needs_a_mouse(reader, copy, breaks, says):
    edit(copy, r"</article>", f"{breaks}</article>")
    found = look_at(reader, copy, keyboard.walk)
    assert [line for line in found if says in line], found


def test_a_page_that_prints_badly(reader, copy):
    wide = '<nav id="x" style="display: block !important">x</nav><pre style="white-space: pre !important">'
    edit(copy, r"</article>", f"{wide}{'x' * 500}</pre></article>")
    edit(copy, r"</head>", "<style>@media print {pre {white-space: pre !important; overflow: auto}}</style></head>")
    found = look_at(reader, copy, checks.printed)
    assert [line for line in found if line.startswith("on paper stands") and "nav#x" in line], found
    assert [line for line in found if line.startswith("on paper is cut off")], found


def test_a_search_that_finds_too_little_or_too_much(reader, base, monkeypatch):
    page, _ = reader.open(base + "search.html", base)
    wanted = tour.terms(pages.pages())
    there, term = next(iter(wanted.items()))
    assert tour.not_found(page, base, {there: tour.NONSENSE}) == [f"{tour.NONSENSE!r} does not find {there}, but []"]
    monkeypatch.setattr(tour, "NONSENSE", term)
    assert f"{term!r} finds {there}" in tour.not_found(page, base, {})


def test_a_walk_out_of_order(reader, base):
    every = pages.pages()
    page, _ = reader.open(base + "index.html", base)
    swapped = [every[1], every[0], *every[2:]]
    assert tour.out_of_order(page, base, swapped)[0].startswith(f"{tour.address(every[1])}: next leads to ")


@pytest.mark.parametrize(("content", "says"), [(None, "answers 404"), (b"{}", "no notebook"), (b"<p>", "no notebook")])
def test_a_download_that_is_not_the_page(reader, copy, content, says):
    page_ = next(page for page in pages.pages() if tour.address(page) == PAGE)
    download = first(copy, r'<a[^>]*wb-download[^>]*href="([^"]+)"')
    download.unlink() if content is None else download.write_bytes(content)
    with chromium.served(copy, PREFIX) as base:
        page, _ = reader.open(base + "index.html", base, fresh=True)
        (found,) = tour.downloads(page, base, page_)
    assert says in found
