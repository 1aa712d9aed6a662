"""Real servers for the tests, each in a folder of its own on a free port: Ollama, llama-server, ``workbook serve``."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from workbook import models

NAME, EMBED = "smollm2:135m", "all-minilm"


def ollama_binary() -> Path | None:
    """``WORKBOOK_OLLAMA``, else the ollama on the path."""
    named = os.environ.get("WORKBOOK_OLLAMA") or shutil.which("ollama")
    return Path(named) if named and Path(named).is_file() else None


def llama_server_binary() -> Path | None:
    """The llama-server that stands where this Ollama looks for it."""
    ollama = ollama_binary()
    found = ollama.resolve().parents[1] / "lib" / "ollama" / "llama-server" if ollama else None
    return found if found and found.is_file() else None


def need(found: object, what: str, advice: str) -> None:
    """Skip for want of ``what``, or fail where this lane is required."""
    if found is None and "contract" in os.environ.get("WORKBOOK_REQUIRE", "").split(","):
        pytest.fail(f"{what} is required here (WORKBOOK_REQUIRE=contract) and missing: {advice}")
    if found is None:
        pytest.skip(f"no {what} on this machine: {advice}")


def free_port() -> int:
    """A port of the loopback address that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]
    environment: dict[str, str]
    log: Path

    def children(self) -> list[psutil.Process]:
        """The processes below it."""
        return [p for p in psutil.Process(self.process.pid).children(recursive=True) if p.is_running()]

    def kill(self) -> None:
        """End it and its children as a crash would."""
        below = self.children() if self.process.poll() is None else []
        for one in (self.process, *below):
            with suppress(ProcessLookupError, psutil.Error):
                one.kill()
        self.process.wait(10)


@contextmanager
def serving(
    command: list[str], port: int, log: Path, path: str, environment: Mapping[str, str] = {}
) -> Iterator[Server]:
    """Run ``command`` in a group of its own until the block ends; ready once ``path`` answers."""
    env = {**os.environ, **environment}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, start_new_session=True
        )
    server = Server(f"http://127.0.0.1:{port}", process, env, log)
    try:
        for _ in range(1200):
            assert process.poll() is None, f"the server did not start: {log.read_text(errors='replace')[-2000:]}"
            with suppress(httpx.HTTPError):
                if httpx.get(server.url + path, timeout=2).status_code < 500:
                    break
            time.sleep(0.05)
        yield server
    finally:
        server.kill()


@contextmanager
def ollama_serving(folder: Path, like: Server | None = None, with_models: bool = True, **more: str) -> Iterator[Server]:
    """A real Ollama with SmolLM2 and MiniLM, or with no model; or with the models folder of another one."""
    binary, port = ollama_binary(), free_port()
    assert binary is not None
    own = folder / "models"
    own.mkdir(parents=True, exist_ok=True)
    environment = {
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_MODELS": like.environment["OLLAMA_MODELS"] if like else str(own),
        "OLLAMA_NOPRUNE": "1",
        "OLLAMA_KEEP_ALIVE": "1m",
        "LLAMA_ARG_THREADS": "1",
        **more,
    }
    with serving([str(binary), "serve"], port, folder / "log", "/api/version", environment) as server:
        for name, source in ((NAME, models.packaged()), (EMBED, models.minilm())) if with_models and not like else ():
            create(server, name, source)
        yield server


def create(server: Server, name: str, source: Path) -> None:
    """Give a GGUF file to an Ollama under that name."""
    recipe = server.log.parent / "Modelfile"
    recipe.write_text(f"FROM {source}\n")
    tell(server, "create", name, "-f", str(recipe))


def tell(server: Server, *words: str) -> str:
    """What the command ``ollama`` says, which asks that server."""
    command = [str(ollama_binary()), *words]
    done = subprocess.run(command, env=server.environment, check=True, timeout=120, capture_output=True, text=True)
    return done.stdout


@contextmanager
def workbook_serving(folder: Path, *options: str, **more: str) -> Iterator[Server]:
    """``workbook serve`` with the packaged models."""
    port = free_port()
    command = [sys.executable, "-c", "from programs.cli import app; app()", "serve", "--port", str(port), *options]
    environment = {"WORKBOOK_THREADS": "1", "OLLAMA_KEEP_ALIVE": "1m", **more}
    with serving(command, port, folder / "serve.log", "/api/version", environment) as server:
        yield server


@contextmanager
def llama_serving(folder: Path, key: str) -> Iterator[Server]:
    """A real llama-server that demands ``key``."""
    binary, port = llama_server_binary(), free_port()
    command = [str(binary), "-m", str(models.packaged()), "--port", str(port)]
    command += ["--api-key", key, "-c", "1024", "-t", "1"]
    with serving(command, port, folder / "llama-server.log", "/health") as server:
        yield server
