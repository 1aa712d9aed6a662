"""An endpoint for the pages: the Ollama that answers, else our stand-in, started as a child of this process."""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

from workbook import paths
from workbook.engines.addresses import is_loopback, shown
from workbook.engines.ollama import address
from workbook.errors import ServerNotFound

_PROBE_S, _LIST_S, _START_S, _END_S = 0.5, 10, 60, 10
STAND_IN = "workbook-serve"  # what the stand-in calls itself in the header Server


@dataclass(frozen=True)
class Endpoint:
    """Where an Ollama's API answers: ``url`` without a slash at its end, and what it is.

    ``why`` says in one line which was taken and why; printing an Endpoint shows that line.
    """

    url: str
    kind: Literal["ollama", "stand-in"]
    why: str

    @property
    def openai_url(self) -> str:
        """The base URL for an OpenAI client."""
        return f"{self.url}/v1"

    def __str__(self) -> str:
        return self.why


def start(quiet: bool = False, stand_in: bool = False) -> Endpoint:
    """The Ollama that answers at ``OLLAMA_HOST`` and has a model, else ``workbook serve`` on a free loopback port.

    The stand-in is started once and ends with this process, however that ends. One line says which it is and why,
    unless ``quiet``. ``stand_in`` takes the stand-in even where an Ollama answers.

    Raises ServerNotFound if neither answers.
    """
    found, why_not = (None, "it was asked for") if stand_in else _answering()
    if found is None:
        if _child().process.poll() is not None:
            _child.cache_clear()
        url = _child().url
        found = Endpoint(url, "stand-in", f"{url}: workbook serve, a stand-in for Ollama ({why_not})")
    if not quiet:
        print(found)
    return found


@contextlib.contextmanager
def ready(quiet: bool = False, stand_in: bool = False) -> Iterator[str]:
    """The base URL of ``start()`` for a block; a stand-in that the block started ends with it."""
    running = _child.cache_info().currsize > 0
    try:
        yield start(quiet, stand_in).url
    finally:
        if not running:
            stop()


def stop() -> None:
    """End the stand-in, if this process started one."""
    if _child.cache_info().currsize:
        _child().end()
        _child.cache_clear()


def _answering() -> tuple[Endpoint | None, str]:
    """What answers at ``OLLAMA_HOST`` with at least one model, or why nothing is taken from there."""
    url = address()
    where = shown(url, "OLLAMA_HOST")
    past_proxies = [urllib.request.ProxyHandler({})] if is_loopback(url) else []
    ask = urllib.request.build_opener(*past_proxies).open
    try:
        with ask(f"{url}/api/version", timeout=_PROBE_S) as reply:
            server = reply.headers.get("Server") or ""
        with ask(f"{url}/api/tags", timeout=_LIST_S) as reply:  # it may have files to read first
            text = reply.read(1 << 20)
    except (urllib.error.URLError, OSError, ValueError):
        return None, f"no Ollama answers at {where}"
    if b'"name"' not in text:
        return None, f"what answers at {where} has no model"
    if server.startswith(STAND_IN):
        return Endpoint(url, "stand-in", f"{where}: workbook serve, a stand-in for Ollama (it answers)"), ""
    return Endpoint(url, "ollama", f"{where}: Ollama (it answers)"), ""


class _StandIn:
    """A ``workbook serve`` of this process. It reads its standard input, and ends when that closes."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "programs.serve"],
            env=paths.environment(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # interrupting the kernel, which is a signal to its group, must not end it
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self.said: deque[str] = deque(maxlen=20)
        self._up, self.url = threading.Event(), ""
        threading.Thread(target=self._listen, daemon=True).start()
        atexit.register(self.end)
        self._up.wait(_START_S)
        if not self.url:
            self.end()
            raise ServerNotFound(
                f"no Ollama answers and the stand-in did not start: {' '.join(self.said) or 'it said nothing'}."
                " Try it in a terminal: workbook serve"
            )

    def _listen(self) -> None:
        for line in self.process.stdout or ():
            self.said.append(line.strip())
            if not self.url and (found := re.search(r"http://127\.0\.0\.1:\d+", line)):
                self.url = found[0]
                self._up.set()
        self._up.set()

    def end(self) -> None:
        """Ask it to end; after a time limit, end it."""
        atexit.unregister(self.end)
        if self.process.stdin:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        try:
            self.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@cache
def _child() -> _StandIn:
    return _StandIn()
