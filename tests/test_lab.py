"""How JupyterLab is started: on the port that was asked for, with nothing fetched and nothing asked."""

import json
import os
from pathlib import Path

from jupyterlab.commands import get_app_dir

from programs.site import lab


def test_a_port_is_taken_at_its_word():
    words = lab.command(browser=False, port=9123)
    assert "--ServerApp.port=9123" in words
    assert "--ServerApp.port_retries=0" in words
    assert "port" not in " ".join(lab.command(browser=False))


def test_our_settings_stand_behind_the_users_own():
    assert lab.environment({})["JUPYTER_CONFIG_PATH"] == str(lab.SETTINGS)
    assert lab.environment({"JUPYTER_CONFIG_PATH": "mine"})["JUPYTER_CONFIG_PATH"].split(os.pathsep) == [
        "mine",
        str(lab.SETTINGS),
    ]


def test_what_is_switched_off_is_there_to_be_switched_off():
    """A name that JupyterLab does not know would switch off nothing, without a word."""
    named = json.loads((lab.SETTINGS / "labconfig" / "page_config.json").read_text(encoding="utf-8"))
    text = [path.read_text(encoding="utf-8") for path in (Path(get_app_dir()) / "static").glob("*.js")]
    assert text, "where are JupyterLab's own scripts?"
    for plugin in named["disabledExtensions"]:
        assert any(f'"{plugin}"' in script for script in text), plugin
