"""`workbook voila` for real: a page as an app for who has its token, nothing for others, nothing left behind."""

import json
import re
import urllib.error
import urllib.request

import psutil
import pytest
from conftest import nothing
from keyboard_checks import SLIDER, slider_by_mouse

from programs import running
from workbook import pages

PAGE = "11"
RENDER_MS = 400_000  # a page that takes 10 s alone took 180 on a machine with much else to do
OWN_WORDS = "A language model is a calculator"


@pytest.fixture
def app(reader, tmp_path):
    """The widget page, served: the program and its address."""
    env = {"WORKBOOK_RESULTS": str(tmp_path / "results"), "IPYTHONDIR": str(tmp_path / "ipython"),
           "WORKBOOK_ENGINE": "embedded", "WORKBOOK_THREADS": "1"}  # fmt: skip
    with running(["voila", PAGE], env) as program:
        yield program, program.address()


def get(url):
    """What the server gives to one without cookies: (status, address in the end, text)."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.url, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, url, error.read().decode("utf-8", "replace")


def kernels(program):
    return [process for process in program.below() if "ipykernel_launcher" in " ".join(process.cmdline())]


def test_without_its_token_there_is_nothing(app):
    program, address = app
    base, token = address.split("?token=")
    assert len(token) >= 24
    for query in ("", "?token=", "?token=wrong", f"?token={token[:-1]}", f"?token={token.swapcase()}"):
        status, url, text = get(base + query)
        assert status in (401, 403) or "/login" in url, query
        assert OWN_WORDS not in text
    for path in ("voila/files/11_next_token.ipynb", "voila/files/", "api/kernels", "voila/render/11_next_token.ipynb"):
        status, url, text = get(base + path)
        assert status >= 400 or "/login" in url, path
        assert OWN_WORDS not in text
    assert kernels(program) == [], "nobody had the token, and a kernel runs"
    words = [" ".join(process.cmdline()) for process in [psutil.Process(program.process.pid), *program.below()]]
    assert [line for line in words if token in line] == [], "who lists the processes of this machine has the token"
    assert "".join(program.said).count(token) == 1


@pytest.mark.timeout(900)
def test_a_page_as_an_app(app, reader):
    program, address = app
    page, watch = reader.open("about:blank", address.split("?")[0], fresh=True)
    page.goto(address, timeout=RENDER_MS)
    page.wait_for_selector(SLIDER, timeout=RENDER_MS)
    found = slider_by_mouse(page)
    text = page.evaluate("document.body.innerText")
    assert OWN_WORDS in text
    assert page.locator("mjx-container").count() > 3, "its formulas are not drawn"
    assert not re.search(r"^(import|from|def) ", text, re.M), "it shows the code"
    nothing(found, watch.wrong)
    running_now = kernels(program)
    assert len(running_now) == 1
    everything = program.below()
    assert program.interrupt() == 0
    assert [process for process in everything if process.is_running() and process.status() != "zombie"] == []


@pytest.mark.timeout(120)
def test_what_it_refuses_it_refuses_in_one_line(tmp_path):
    for words, says in (
        (["voila", "99"], r"BadPage: There is no page '99'\. Pages: 00.*\n"),
        (["voila", PAGE, "--host", "256.0.0.1"], r"BadOption: Nothing can listen on 256\.0\.0\.1: .*\n"),
    ):
        with running(words, {}) as program:
            assert program.process.wait(60) == 1
        assert re.fullmatch(says, "".join(program.said)), program.said


def test_the_page_that_is_served_has_a_widget():
    """What this lane rests on: the stored page says that its widget is the one that is looked for here."""
    (page,) = pages.select(pages.pages(), [PAGE])
    assert "SamplingExplorer" in json.dumps(json.loads(page.path.read_text(encoding="utf-8"))["cells"])
