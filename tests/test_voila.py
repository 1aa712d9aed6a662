"""A page as an app: what Voilà is told, what is kept from other users, how it ends. For real: tests/browser."""

import importlib.util
import json
import signal
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest

from programs.site import voila
from workbook import pages, paths
from workbook.errors import BadOption, VoilaMissing


@pytest.fixture
def page():
    return pages.pages()[0]


def test_what_is_secret_is_in_the_settings_alone(tmp_path, page):
    voila.configure(tmp_path, "127.0.0.1", 8866, "a-token")
    words = voila.command(page, tmp_path)
    assert "a-token" not in " ".join(words)
    assert words[1:4] == ["-m", "voila", str(page.path)]
    settings = json.loads((tmp_path / "voila.json").read_text(encoding="utf-8"))
    assert settings["Voila"]["token"] == "a-token"
    assert settings["Voila"]["ip"] == "127.0.0.1"
    assert settings["VoilaConfiguration"]["strip_sources"] is True
    assert "://" not in (tmp_path / "voila" / "templates" / "workbook" / "index.html.j2").read_text(encoding="utf-8")


def test_every_setting_is_one_that_voila_knows(tmp_path):
    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager
    from traitlets.config import Application
    from voila.app import Voila
    from voila.configuration import VoilaConfiguration

    voila.configure(tmp_path, "127.0.0.1", 8866, "a-token")
    known = {kind.__name__: kind for kind in (Application, Voila, VoilaConfiguration, MappingKernelManager)}
    for name, settings in json.loads((tmp_path / "voila.json").read_text(encoding="utf-8")).items():
        assert set(settings) <= set(known[name].class_trait_names(config=True)), name


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("127.0.0.1", "http://127.0.0.1:80/?token=t"),
        ("0.0.0.0", "http://127.0.0.1:80/?token=t"),
        ("::", "http://[::1]:80/?token=t"),
        ("lab.example", "http://lab.example:80/?token=t"),
    ],
)
def test_the_address_can_be_opened_on_this_machine(host, says):
    assert voila.address(host, 80, "t") == says


def test_a_port_that_is_taken():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BadOption, match=f"port {port}: .*in use"):
            voila.free_port("127.0.0.1", port)
        assert voila.free_port("127.0.0.1") != port
    assert voila.free_port("127.0.0.1", port) == port


@pytest.mark.parametrize("host", ["256.0.0.1", "no.such.host.invalid", "192.0.2.1"])
def test_a_host_that_is_not_here(host):
    with pytest.raises(BadOption, match=f"listen on {host}"):
        voila.free_port(host)


def test_without_voila(monkeypatch, page):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(VoilaMissing, match="python -m pip install voila"):
        voila.serve(page)


def serve(monkeypatch, tmp_path, page, code):
    """Serve ``page`` with a program of ours in Voilà's place; (exit code, what was said, the program's processes)."""
    said, seen = [], []
    monkeypatch.setattr(paths, "build", lambda: tmp_path)
    monkeypatch.setattr(voila, "START_S", 1)
    monkeypatch.setattr(voila, "END_S", 1)
    monkeypatch.setattr(voila, "command", lambda page, folder: [sys.executable, "-c", code])
    popen = subprocess.Popen

    def start(*words, **options):
        seen.append(popen(*words, **options))
        return seen[0]

    monkeypatch.setattr(subprocess, "Popen", start)
    return voila.serve(page, say=said.append), said, seen[0]


def test_a_server_that_ends_by_itself(monkeypatch, tmp_path, page):
    code, said, _ = serve(monkeypatch, tmp_path, page, "import sys; print('why'); sys.exit(3)")
    assert code == 3
    assert [line.partition(";")[0] for line in said] == ["Voilà ended by itself, with exit code 3"]
    (log,) = tmp_path.glob("voila-*.log")
    assert log.read_text(encoding="utf-8").strip() == "why"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signal that a program can refuse")
def test_a_server_that_does_not_end_is_ended_with_its_kernels(monkeypatch, tmp_path, page):
    ready = tmp_path / "ready"
    child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    code = (
        "import pathlib, signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True);"
        f"pathlib.Path({str(ready)!r}).touch(); time.sleep(60)"
    )
    before = signal.getsignal(signal.SIGTERM)
    threading.Thread(target=lambda: (wait_for(ready), signal.raise_signal(signal.SIGINT)), daemon=True).start()
    code, _said, server = serve(monkeypatch, tmp_path, page, code)
    assert code == 0
    assert server.returncode == -signal.SIGKILL
    assert [process for process in psutil.process_iter(["cmdline"]) if child in (process.info["cmdline"] or [])] == []
    assert signal.getsignal(signal.SIGTERM) is before


def wait_for(path, limit_s=20):
    end = time.monotonic() + limit_s
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.05)
