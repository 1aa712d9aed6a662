"""JupyterLab at the first page, with the address printed where no browser opens."""

from __future__ import annotations

import os
import subprocess
import sys
import webbrowser
from collections.abc import Callable

from workbook import paths
from workbook.errors import BadPage

FIRST = "00_start_here.ipynb"


def command(browser: bool) -> list[str]:
    """How JupyterLab is started. Raises BadPage if the first page is not there."""
    page = paths.notebooks() / FIRST
    if not page.is_file():
        raise BadPage(f"{paths.shown(page)} is missing: is this the whole checkout?")
    address = f"/lab/tree/{page.relative_to(paths.root()).as_posix()}"
    made = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={paths.root()}"]
    made += [f"--LabApp.default_url={address}", "--LabApp.log_level=WARN", "--ServerApp.log_level=WARN"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        made.append("--allow-root")  # a container's only user; the server listens on loopback and asks for its token
    return made if browser else [*made, "--no-browser"]


def can_open_browser() -> bool:
    """Whether this machine has a browser and a screen to show it on."""
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    needs_screen = sys.platform.startswith("linux")
    return not needs_screen or any(name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def open_lab(browser: bool, say: Callable[[str], None] = print) -> int:
    """Start JupyterLab and wait until it ends; its exit code."""
    browser = browser and can_open_browser()
    say("JupyterLab starts. " + ("A browser opens." if browser else "Open the address it prints.") + " End: Ctrl-C.")
    server = subprocess.Popen(command(browser), env=paths.absolute(os.environ))
    while True:
        try:
            return server.wait()
        except KeyboardInterrupt:
            # The same Ctrl-C reached JupyterLab, which asks back or ends by itself.
            continue
