"""JupyterLab at the first page, with the address printed where no browser opens."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from workbook import paths

FIRST = "/lab/tree/notebooks/00_start_here.ipynb"

SETTINGS = Path(__file__).parent / "jupyter"  # labconfig/page_config.json: nobody is asked whether to fetch news
OFFLINE = "--LabApp.extension_manager=readonly"  # its panel lists what is installed, and asks no index


def command(browser: bool, port: int | None = None) -> list[str]:
    """How JupyterLab is started, on ``port`` or the first free one."""
    made = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={paths.root()}"]
    made += [f"--LabApp.default_url={FIRST}", OFFLINE, "--LabApp.log_level=WARN", "--ServerApp.log_level=WARN"]
    if port is not None:
        made += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        made.append("--allow-root")  # a container's only user; the server listens on loopback and asks for its token
    return made if browser else [*made, "--no-browser"]


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """``env`` for Jupyter: our settings and templates behind the user's own, our folders written out."""
    names = ("JUPYTER_CONFIG_PATH", "JUPYTER_PATH")
    ours = {name: os.pathsep.join(filter(None, (env.get(name), str(SETTINGS)))) for name in names}
    return paths.environment(env) | ours


def has_screen() -> bool:
    """Whether a browser can show itself; on Linux without a screen, one made for terminals would take this one."""
    named = any(name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    return named or not sys.platform.startswith("linux")


def lab(
    browser: Annotated[bool, typer.Option(help="Open a browser; without, the address is printed.")] = True,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Without: 8888, or the next free one.")] = None,
) -> None:
    """Open JupyterLab at the first page."""
    browser = browser and has_screen()
    print(
        "JupyterLab starts.",
        "A browser opens." if browser else "Open the address it prints.",
        "End: Ctrl-C.",
        flush=True,
    )
    server = subprocess.Popen(command(browser, port), env=environment(os.environ))
    while server.returncode is None:
        with contextlib.suppress(KeyboardInterrupt):  # it reached JupyterLab too, which asks back or ends by itself
            server.wait()
    raise typer.Exit(server.returncode)
