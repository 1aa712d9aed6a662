"""Real servers for the tests: an Ollama with its own models folder and a free port, a llama-server with a key."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from workbook import models

NAME = "smollm2:135m"


def ollama_binary() -> Path | None:
    """``WORKBOOK_OLLAMA``, else the ollama on the path."""
    named = os.environ.get("WORKBOOK_OLLAMA") or shutil.which("ollama")
    return Path(named) if named and Path(named).is_file() else None


def llama_server_binary() -> Path | None:
    """The llama-server that stands where this Ollama looks for it."""
    ollama = ollama_binary()
    found = ollama.resolve().parents[1] / "lib" / "ollama" / "llama-server" if ollama else None
    return found if found and found.is_file() else None


def free_port() -> int:
    """A port of the loopback address that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A running server: where it is, and the process to end."""

    url: str
    process: subprocess.Popen[bytes]
    environment: dict[str, str]

    def kill(self) -> None:
        """End it and its children as a crash would."""
        os.killpg(self.process.pid, 9)
        self.process.wait(10)


@contextmanager
def serving(command: list[str], port: int, log: Path, path: str, **environment: str) -> Iterator[Server]:
    """Run ``command`` in a group of its own until the block ends; ready once ``path`` answers."""
    env = {**os.environ, **environment}
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=env, start_new_session=True)
    server = Server(f"http://127.0.0.1:{port}", process, env)
    try:
        _wait(server, path, log)
        yield server
    finally:
        if process.poll() is None:
            server.kill()


def _wait(server: Server, path: str, log: Path) -> None:
    for _ in range(300):
        if server.process.poll() is not None:
            break
        try:
            urllib.request.urlopen(server.url + path, timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"the server did not start: {log.read_text(errors='replace')[-2000:]}")


@contextmanager
def ollama_serving(folder: Path, with_models: bool = True, **more: str) -> Iterator[Server]:
    """A real Ollama under ``folder``, with SmolLM2 and MiniLM or with no model; ``more`` of its environment."""
    binary, port = ollama_binary(), free_port()
    assert binary is not None
    (folder / "models").mkdir(parents=True)
    environment = {
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_MODELS": str(folder / "models"),
        "OLLAMA_KEEP_ALIVE": "1m",
        **more,
    }
    with serving([str(binary), "serve"], port, folder / "log", "/api/version", **environment) as server:
        for name, source in ((NAME, models.packaged()), ("all-minilm", models.minilm())) if with_models else ():
            recipe = folder / "Modelfile"
            recipe.write_text(f"FROM {source}\n")
            subprocess.run(
                [binary, "create", name, "-f", recipe],
                env=server.environment,
                check=True,
                timeout=120,
                capture_output=True,
            )
        yield server


@contextmanager
def workbook_serving(folder: Path, *options: str, **more: str) -> Iterator[Server]:
    """``workbook serve`` as a child process, with the packaged models, on a free port."""
    port = free_port()
    command = [sys.executable, "-c", "from programs.cli import app; app()", "serve", "--port", str(port), *options]
    environment = {"WORKBOOK_THREADS": "1", "OLLAMA_KEEP_ALIVE": "1m", **more}
    with serving(command, port, folder / "serve.log", "/api/version", **environment) as server:
        yield server


@contextmanager
def llama_serving(folder: Path, key: str) -> Iterator[Server]:
    """A real llama-server that demands ``key``."""
    binary, port = llama_server_binary(), free_port()
    assert binary is not None
    command = [
        str(binary),
        "-m",
        str(models.packaged()),
        "--port",
        str(port),
        "--api-key",
        key,
        "-c",
        "1024",
        "-t",
        "1",
    ]
    with serving(command, port, folder / "llama-server.log", "/health") as server:
        yield server
