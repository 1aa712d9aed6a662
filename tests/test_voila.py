"""JupyterLab and Voilà: how they are started, what is kept from others, how they end. In a browser: tests/browser."""

import json
import os
import socket
import sys
from pathlib import Path

import pytest
from jupyterlab.commands import get_app_dir

from programs.site import lab, voila
from workbook.errors import BadOption


def test_lab_is_told_what_was_asked_for(monkeypatch):
    words = lab.command(browser=False, port=9123)
    assert {"--ServerApp.port=9123", "--ServerApp.port_retries=0", "--no-browser"} <= set(words)
    assert "port" not in " ".join(lab.command(browser=True))
    ours = lab.environment({"JUPYTER_CONFIG_PATH": "mine"})
    assert ours["JUPYTER_CONFIG_PATH"].split(os.pathsep) == ["mine", str(lab.SETTINGS)], "the user's own come first"
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    assert not lab.has_screen()


def test_what_is_switched_off_is_there_to_be_switched_off():
    """A name that JupyterLab does not know would switch off nothing, without a word."""
    named = json.loads((lab.SETTINGS / "labconfig" / "page_config.json").read_text(encoding="utf-8"))
    text = [path.read_text(encoding="utf-8") for path in (Path(get_app_dir()) / "static").glob("*.js")]
    for plugin in named["disabledExtensions"]:
        assert any(f'"{plugin}"' in script for script in text), plugin


def test_every_setting_is_one_that_voila_knows():
    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager
    from voila.configuration import VoilaConfiguration

    for kind in (VoilaConfiguration, MappingKernelManager):
        assert set(voila.CONFIG[kind.__name__]) <= set(kind.class_trait_names(config=True))
    template = lab.SETTINGS / "voila" / "templates" / "workbook" / "index.html.j2"
    assert "://" not in template.read_text(encoding="utf-8")


def test_an_address_that_nothing_can_listen_on():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BadOption, match=f"port {port}: .*in use"):
            voila.free_port("127.0.0.1", port)
        assert voila.free_port("127.0.0.1") != port
    for host in ("256.0.0.1", "no.such.host.invalid", "192.0.2.1"):
        with pytest.raises(BadOption, match=f"listen on {host}"):
            voila.free_port(host)


def test_the_address_can_be_opened_on_this_machine():
    assert voila.address("0.0.0.0", 80, "t") == voila.address("127.0.0.1", 80, "t") == "http://127.0.0.1:80/?token=t"
    assert voila.address("::", 80, "t") == "http://[::1]:80/?token=t"
    assert voila.address("lab.example", 80, "t") == "http://lab.example:80/?token=t"
