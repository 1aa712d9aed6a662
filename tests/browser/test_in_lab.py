"""JupyterLab for real, in a copy of the checkout: the first page and a widget page run from the menu."""

import json
import shutil
import socket

import lab_checks as lab
import pytest
from conftest import ROOT, nothing
from keyboard_checks import slider_by_mouse

from programs import running

FIRST, WIDGETS = "notebooks/00_start_here.ipynb", "notebooks/1_theory/11_next_token.ipynb"
pytestmark = pytest.mark.timeout(900)
WHOLE = ("lib", "notebooks", "data")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of what a participant has: JupyterLab saves what it runs, and the checkout must stay as it is."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in WHOLE:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    return copy


@pytest.fixture(scope="module")
def address(reader, checkout, tmp_path_factory):
    """Where `workbook lab` says that it is."""
    own = tmp_path_factory.mktemp("own")
    lab.write_settings(own / "settings")
    env = {"PYTHONPATH": str(checkout / "lib"), "WORKBOOK_RESULTS": str(own / "results"), "WORKBOOK_ENGINE": "embedded",
           "WORKBOOK_THREADS": "1", "IPYTHONDIR": str(own / "ipython"), "JUPYTER_CONFIG_DIR": str(own / "config"),
           "JUPYTER_DATA_DIR": str(own / "data"), "JUPYTER_RUNTIME_DIR": str(own / "runtime"),
           "JUPYTERLAB_SETTINGS_DIR": str(own / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(own / "workspaces")}  # fmt: skip
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with running(["lab", "--no-browser", "--port", str(port)], env) as program:
        yield program.address()


def test_the_first_page_runs(reader, checkout, address):
    page, watch = reader.open(address, address.split("/lab")[0] + "/", fresh=True)
    page.wait_for_url("**/lab/tree/notebooks/00_start_here.ipynb**", timeout=60_000)
    found = lab.run_all(page, checkout / FIRST)
    assert page.locator(".jp-Dialog, .jp-toast-message, .Toastify__toast").count() == 0, "it asks or warns"
    nothing(found, watch.wrong)


def test_a_widget_answers_to_the_mouse(reader, checkout, address):
    there = address.replace(FIRST, WIDGETS)
    assert there != address
    page, watch = reader.open(there, address.split("/lab")[0] + "/", fresh=True)
    nothing(lab.run_all(page, checkout / WIDGETS))
    nothing(slider_by_mouse(page), watch.wrong)


def test_the_check_sees_a_page_that_fails(reader, checkout, address):
    """A copy of a page with an error in its middle: what comes after it has no number, and the error is told."""
    notebook = json.loads((checkout / FIRST).read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    notebook["cells"] = [
        {**code[0], "source": ["1 + 1"]},
        {**code[1], "source": ["1 / 0"]},
        {**code[2], "source": ["2"]},
    ]
    broken = checkout / "notebooks" / "broken.ipynb"
    broken.write_text(json.dumps(notebook), encoding="utf-8")
    page, _ = reader.open(address.replace(FIRST, "notebooks/broken.ipynb"), address, fresh=True)
    found = lab.run_all(page, broken)
    assert found == ["at its end 2 of 3 cells have a number", "cell [2] raised ZeroDivisionError"]
