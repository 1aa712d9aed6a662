"""One page as an app in the browser: its widgets and figures without the code, behind a token. Voilà serves it."""

from __future__ import annotations

import importlib.util
import os
import secrets
import socket
from pathlib import Path
from typing import Annotated, Any

import typer

from programs.site.lab import environment
from workbook import pages
from workbook.errors import BadOption, VoilaMissing

LOOPBACK, PORT = "127.0.0.1", 8866
CULL_S = 120
CONFIG = {
    "VoilaConfiguration": {
        "template": "workbook",
        "strip_sources": True,
        "file_denylist": [".*"],  # else pictures beside the page are served without a token
        "kernel_spec_manager_class": "programs.site.execute.ThisPython",
    },
    # A reader who goes away without a word leaves a kernel and its model behind.
    "MappingKernelManager": {"cull_idle_timeout": CULL_S, "cull_interval": CULL_S // 4},
}


def voila(
    page: Annotated[str, typer.Argument(help="Number or name of the page, e.g. 11.")],
    host: Annotated[str, typer.Option(help="Address to listen on; without, this machine alone.")] = LOOPBACK,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Without: 8866, or one that is free.")] = None,
) -> None:
    """Serve one page as an app, without its code, behind a token, until Ctrl-C."""
    if importlib.util.find_spec("voila") is None:
        raise VoilaMissing("Voilà is not installed here. Install it with: python -m pip install voila")
    from tornado.ioloop import IOLoop

    (wanted,) = pages.select(pages.pages(), [page])
    port, token = free_port(host, port), secrets.token_urlsafe(24)
    os.environ.update(environment(os.environ))  # for the page's kernel too
    server = application(wanted.path, host, port, token)
    said = f"{wanted.number} {wanted.title}: {address(host, port, token)}\nWho has it can use the page. End: Ctrl-C."
    IOLoop.current().add_callback(print, said, flush=True)  # the loop begins when the server listens
    server.start()


def application(page: Path, host: str, port: int, token: str) -> Any:
    """Voilà on ``page``, ready to start. No settings of this user are read, and the token stands in no file."""
    from traitlets.config import Config
    from voila.app import Voila

    told = {"ip": host, "port": port, "port_retries": 0, "token": token, "open_browser": False, "log_level": "ERROR"}
    server = Voila(config=Config(CONFIG), notebook_path=str(page), config_file_paths=[], **told)
    server.initialize([])
    return server


def free_port(host: str, wanted: int | None = None) -> int:
    """``wanted``; without, the usual port, or any. Raises BadOption if nothing can listen there."""
    said = ""
    for port in (wanted,) if wanted is not None else (PORT, 0):
        try:
            with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
                return int(probe.getsockname()[1])
        except OSError as error:
            said = error.strerror or str(error)
    where = f"{host}, port {wanted}" if wanted is not None else host
    raise BadOption(f"Nothing can listen on {where}: {said}. Leave --host and --port away, or name others.")


def address(host: str, port: int, token: str) -> str:
    """What to open in a browser on this machine; from another one, its own name for this machine stands in it."""
    host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/?token={token}"
