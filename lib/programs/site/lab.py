"""JupyterLab at the first page, with the address printed where no browser opens."""

from __future__ import annotations

import os
import subprocess
import sys
import webbrowser
from collections.abc import Callable, Mapping
from pathlib import Path

from workbook import paths
from workbook.errors import BadPage

FIRST = "00_start_here.ipynb"


# A workshop may have no network: nobody is asked whether to fetch news and updates (its labconfig/page_config.json),
# and the panel of extensions lists what is installed instead of asking an index.
SETTINGS = Path(__file__).parent / "jupyter"
OFFLINE = "--LabApp.extension_manager=readonly"


def command(browser: bool, port: int | None = None) -> list[str]:
    """How JupyterLab is started, on ``port`` or the first free one. Raises BadPage if the first page is not there."""
    page = paths.notebooks() / FIRST
    if not page.is_file():
        raise BadPage(f"{paths.shown(page)} is missing: is this the whole checkout?")
    address = f"/lab/tree/{page.relative_to(paths.root()).as_posix()}"
    made = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={paths.root()}"]
    made += [f"--LabApp.default_url={address}", OFFLINE, "--LabApp.log_level=WARN", "--ServerApp.log_level=WARN"]
    if port is not None:
        made += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        made.append("--allow-root")  # a container's only user; the server listens on loopback and asks for its token
    return made if browser else [*made, "--no-browser"]


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """``env`` for JupyterLab: with our settings behind the user's own, our folders written out."""
    config = os.pathsep.join(filter(None, (env.get("JUPYTER_CONFIG_PATH"), str(SETTINGS))))
    return paths.environment(env) | {"JUPYTER_CONFIG_PATH": config}


def can_open_browser() -> bool:
    """Whether this machine has a browser and a screen to show it on."""
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    needs_screen = sys.platform.startswith("linux")
    return not needs_screen or any(name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def open_lab(browser: bool, port: int | None = None, say: Callable[[str], None] = print) -> int:
    """Start JupyterLab and wait until it ends; its exit code."""
    browser = browser and can_open_browser()
    say("JupyterLab starts. " + ("A browser opens." if browser else "Open the address it prints.") + " End: Ctrl-C.")
    server = subprocess.Popen(command(browser, port), env=environment(os.environ))
    while True:
        try:
            return server.wait()
        except KeyboardInterrupt:
            # The same Ctrl-C reached JupyterLab, which asks back or ends by itself.
            continue
