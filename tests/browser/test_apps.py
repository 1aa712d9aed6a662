"""JupyterLab and Voilà for real, in a copy of the checkout: pages run from the menu, and one is served as an app."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lab_checks as lab
import psutil
import pytest
from conftest import ROOT, Reader, nothing
from keyboard_checks import SLIDER, slider_by_mouse
from servers import Server, free_port, serving

FIRST, WIDGETS = "notebooks/00_start_here.ipynb", "notebooks/1_theory/11_next_token.ipynb"
OWN_WORDS = "What does a language model compute"
WORKBOOK = str(Path(sys.executable).with_name("workbook.exe" if sys.platform == "win32" else "workbook"))
ADDRESS = re.compile(r"http://(?:127\.0\.0\.1|localhost):\d+/\S*token=[\w-]+")
WIDGET = """import numpy as np

from workbook.widgets import SamplingExplorer


def heated(temperature, top_k, top_p):
    p = np.exp(-np.arange(40) / 8 / max(temperature, 0.1))
    return np.arange(40), p / p.sum()


SamplingExplorer(heated, str)"""
pytestmark = pytest.mark.timeout(600)


def rewrite(page: Path, *sources: str) -> None:
    """Leave the page its text, and these cells instead of its own: what a page computes is tried elsewhere."""
    notebook = json.loads(page.read_text(encoding="utf-8"))
    texts = [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    code = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    notebook["cells"] = [*texts, *({**code, "id": f"cell-{n}", "source": source} for n, source in enumerate(sources))]
    page.write_text(json.dumps(notebook), encoding="utf-8")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a participant has: JupyterLab saves what it runs, and the checkout must stay as it is."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("lib", "notebooks", "data"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    rewrite(copy / WIDGETS, WIDGET)
    return copy


@pytest.fixture(scope="module")
def env(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    own = tmp_path_factory.mktemp("own")
    lab.write_settings(own / "settings")
    folders = {
        "WORKBOOK_RESULTS": "results", "IPYTHONDIR": "ipython", "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime", "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "spaces",
    }  # fmt: skip
    named = {name: str(own / folder) for name, folder in folders.items()}
    return {"PYTHONPATH": str(checkout / "lib"), "WORKBOOK_ENGINE": "embedded", "WORKBOOK_THREADS": "1", **named}


@contextmanager
def running(env: dict[str, str], *words: str) -> Iterator[tuple[Server, str]]:
    """``workbook`` with these words, and the address that it prints."""
    port, log = free_port(), Path(env["IPYTHONDIR"]).parent / f"{words[0]}.log"
    with serving([WORKBOOK, *words, "--port", str(port)], port, log, "/api/status", env) as server:
        for _ in range(200):
            if found := ADDRESS.search(log.read_text(encoding="utf-8")):
                break
            time.sleep(0.1)
        assert found, log.read_text(encoding="utf-8")
        yield server, found.group()


@pytest.fixture(scope="module")
def address(reader: Reader, env: dict[str, str]) -> Iterator[str]:
    """Where `workbook lab` says that it is."""
    with running(env, "lab", "--no-browser") as (_, there):
        yield there


def test_the_first_page_runs_in_jupyterlab(reader: Reader, checkout: Path, address: str) -> None:
    page, watch = reader.open(address, address.split("/lab")[0] + "/")
    page.wait_for_url("**/lab/tree/notebooks/00_start_here.ipynb**", timeout=60_000)
    found = lab.run_all(page, checkout / FIRST)
    assert page.locator(".jp-Dialog, .jp-toast-message, .Toastify__toast").count() == 0, "it asks or warns"
    nothing(found, watch.wrong)


def test_a_widget_answers_to_the_mouse_and_a_failing_page_is_seen(reader: Reader, checkout: Path, address: str) -> None:
    """What comes after an error has no number, and the error is told."""
    page, watch = reader.open(address.replace(FIRST, WIDGETS), address.split("/lab")[0] + "/")
    nothing(lab.run_all(page, checkout / WIDGETS))
    nothing(slider_by_mouse(page), watch.wrong)
    broken = checkout / "notebooks" / "broken.ipynb"
    shutil.copy(checkout / WIDGETS, broken)
    rewrite(broken, "1 + 1", "1 / 0", "2")
    page, _ = reader.open(address.replace(FIRST, "notebooks/broken.ipynb"), address)
    found = lab.run_all(page, broken)
    assert found == ["at its end 2 of 3 cells have a number", "cell [2] raised ZeroDivisionError"]


def get(url: str) -> tuple[int, str, str]:
    """What the server gives to one without cookies: (status, address in the end, text)."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.url, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, url, error.read().decode("utf-8", "replace")


def kernels(server: Server) -> list[psutil.Process]:
    return [process for process in server.children() if "ipykernel_launcher" in " ".join(process.cmdline())]


def locked(server: Server, address: str) -> None:
    """Without its token there is nothing: no word of the page, no kernel; and nobody on this machine can read it."""
    base, token = address.split("?token=")
    assert len(token) >= 24
    paths = [f"?token={wrong}" for wrong in ("", "wrong", token[:-1], token.swapcase())]
    paths += ["", "voila/files/11_next_token.ipynb", "api/kernels", "voila/render/11_next_token.ipynb"]
    for path in paths:
        status, url, text = get(base + path)
        assert status >= 400 or "/login" in url, path
        assert OWN_WORDS not in text
    assert kernels(server) == [], "nobody had the token, and a kernel runs"
    words = [" ".join(process.cmdline()) for process in [psutil.Process(server.process.pid), *server.children()]]
    assert [line for line in words if token in line] == []
    assert server.log.read_text(encoding="utf-8").count(token) == 1


def test_a_page_as_an_app(reader: Reader, env: dict[str, str]) -> None:
    with running(env, "voila", "11") as (server, address):
        locked(server, address)
        page, watch = reader.open("about:blank", address.split("?")[0])
        page.goto(address, timeout=200_000)
        page.wait_for_selector(SLIDER, timeout=200_000)
        found = slider_by_mouse(page)
        text = page.evaluate("document.body.innerText")
        assert OWN_WORDS in text
        assert not re.search(r"^(import|from|def) ", text, re.M), "it shows the code"
        nothing(found, watch.wrong)
        assert len(kernels(server)) == 1
        everything = server.children()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(60) == 0
        assert [process for process in everything if process.is_running() and process.status() != "zombie"] == []


@pytest.mark.parametrize(("words", "says"), [
    (["88"], r"BadPage: There is no page '88'\. Pages: 00.*\n"),
    (["11", "--host", "256.0.0.1"], r"BadOption: Nothing can listen on 256\.0\.0\.1: .*\n"),
])  # fmt: skip
def test_what_voila_refuses_it_refuses_in_one_line(words: list[str], says: str) -> None:
    done = subprocess.run([WORKBOOK, "voila", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert re.fullmatch(says, done.stdout + done.stderr), done
