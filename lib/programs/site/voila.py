"""One page as an app in the browser: its widgets and figures without the code, behind a token. Voilà serves it."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from workbook import paths
from workbook.errors import BadOption, VoilaMissing
from workbook.pages import Page

LOOPBACK, PORT = "127.0.0.1", 8866
START_S, END_S = 60, 30
CULL_S = 120
# Voilà's own template loads icons from another host. This one is the same without them.
TEMPLATE = """{%- extends 'voila/templates/lab/index.html.j2' -%}
{%- block notebook_css -%}
{{ resources.include_js("static/voila-style.js") }}
{{ spinner.css() }}
<style>.jp-mod-noOutputs.jp-mod-noInput { display: none; }</style>
{{ super.super() }}
{%- endblock notebook_css -%}
"""


def serve(page: Page, host: str = LOOPBACK, port: int | None = None, say: Callable[[str], None] = print) -> int:
    """Serve ``page`` until Ctrl-C; the exit code, 0 after Ctrl-C. Its address, token included, is said once.

    Raises
    ------
    VoilaMissing : it is not installed. BadOption: nothing can listen on that host and port.
    """
    if importlib.util.find_spec("voila") is None:
        raise VoilaMissing("Voilà is not installed here. Install it with: python -m pip install voila")
    port, token = free_port(host, port), secrets.token_urlsafe(24)
    log = paths.build() / f"voila-{port}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="workbook-") as folder, log.open("wb") as out, _signals():
        configure(Path(folder), host, port, token)
        env = paths.environment(os.environ)
        env["JUPYTER_PATH"] = os.pathsep.join(filter(None, (folder, env.get("JUPYTER_PATH"))))
        # A group of its own: Ctrl-C reaches this process alone, which then ends the server and its kernels in order.
        server = subprocess.Popen(
            command(page, Path(folder)), env=env, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            _wait_for(server, host, port)
            if server.poll() is None:
                say(f"{page.number} {page.title}: {address(host, port, token)}")
                say("Who has this address can use the page. End: Ctrl-C.")
            code = server.wait()
            say(f"Voilà ended by itself, with exit code {code}; what it said is in {paths.shown(log)}.")
            return code or 1
        except KeyboardInterrupt:
            return 0
        finally:
            _end(server)


def command(page: Page, folder: Path) -> list[str]:
    """How Voilà is started on ``page``: nothing secret is among the words, which every user of the machine can read."""
    return [sys.executable, "-m", "voila", str(page.path), f"--Voila.config_file_paths={folder}"]


def configure(folder: Path, host: str, port: int, token: str) -> None:
    """Write Voilà's settings and template into ``folder``, which this user alone may read; no others are looked at."""
    settings = {
        "Application": {"log_level": "WARN"},
        "Voila": {"ip": host, "port": port, "port_retries": 0, "token": token, "open_browser": False},
        "VoilaConfiguration": {
            "template": "workbook",
            "strip_sources": True,
            "file_denylist": [".*"],  # else pictures beside the page are served without a token
            "kernel_spec_manager_class": "programs.site.execute.ThisPython",
        },
        # A reader who goes away without a word leaves a kernel and its model behind.
        "MappingKernelManager": {"cull_idle_timeout": CULL_S, "cull_interval": CULL_S // 4},
    }
    template = folder / "voila" / "templates" / "workbook"
    template.mkdir(parents=True)
    (folder / "voila.json").write_text(json.dumps(settings), encoding="utf-8")
    (template / "index.html.j2").write_text(TEMPLATE, encoding="utf-8")
    (template / "conf.json").write_text('{"base_template": "lab"}', encoding="utf-8")


def free_port(host: str, wanted: int | None = None) -> int:
    """``wanted``; without, the usual port, or any. Raises BadOption if nothing can listen there."""
    said = ""
    for port in (wanted,) if wanted is not None else (PORT, 0):
        try:
            family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as probe:
                if os.name == "posix":  # elsewhere it means that two may listen at once
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(place)
                return int(probe.getsockname()[1])
        except (OSError, OverflowError) as error:
            said = getattr(error, "strerror", None) or str(error)
    where = f"{host}, port {wanted}" if wanted is not None else host
    raise BadOption(f"Nothing can listen on {where}: {said}. Leave --host and --port away, or name others.")


def address(host: str, port: int, token: str) -> str:
    """What to open in a browser on this machine; from another one, its own name for this machine stands in it."""
    host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/?token={token}"


def _wait_for(server: subprocess.Popen[bytes], host: str, port: int) -> None:
    """Until the server listens, or ended, or the time is over."""
    host, end = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host), time.monotonic() + START_S
    while server.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
            return
        time.sleep(0.2)


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """A terminal that closes, or a supervisor that asks to end, is as good as Ctrl-C: no kernel stays behind."""
    asked = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, signal.default_int_handler) for number in asked}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(server: subprocess.Popen[bytes]) -> None:
    """Ask the server to end its kernels and itself; after a time limit, end all of them."""
    kernels: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        kernels = psutil.Process(server.pid).children(recursive=True)
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.terminate()
        server.wait(END_S)
    for process in kernels:
        with contextlib.suppress(psutil.Error):
            process.kill()
    if server.poll() is None:
        server.kill()
        server.wait()
