"""A model that Ollama downloads: how far it is, and in one line why it did not come."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import ollama
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from programs.bench import private

# Between two words of the server: it says none while it checks the sum of a file, and a large one takes minutes.
_TIMEOUT = httpx.Timeout(1800.0, connect=5.0)
_MOST_PARTS = 1000
_MOST_BYTES = 2**50
_SUM = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")
_AGAIN = "Run the same command again: Ollama goes on where it stopped"
_MEANS = (
    ("manifest: file does not exist", "its registry has no model of that name"),
    ("file does not exist", "its registry lacks a part of it"),
    ("digest mismatch", "what came is damaged and was thrown away. Run the same command again to download it anew"),
    ("no space left", "the disk is full"),
    ("x509", "its registry's certificate is not trusted on this machine"),
    ("invalid model name", "that is no name of a model"),
    ("max retries exceeded", f"its registry broke off. {_AGAIN}"),
    ("no such host", "its registry is not found: is this machine on the network?"),
    ("dial tcp", "its registry cannot be reached: is this machine on the network?"),
    ("requires a newer version", "this Ollama is too old for it"),
)
"""Words of Ollama's errors, and what they mean to a reader."""


@dataclass(frozen=True)
class Far:
    """How far a download is: what Ollama does now, and the bytes of the parts that it has begun."""

    doing: str = ""
    done: int = 0
    total: int = 0


Show = Callable[[Far], None]


def pull(model: str, show: Show, host: str | None = None) -> str | None:
    """Let Ollama download the model; None when it has, else why not. Ctrl-C ends it, and Ollama goes on from there later."""
    parts: dict[str, tuple[int, int]] = {}
    doing = ""
    try:
        for step in ollama.Client(host, timeout=_TIMEOUT).pull(model, stream=True):
            doing = "".join(c for c in step.status or "" if c.isprintable())[:100]
            total, done = step.total or 0, step.completed or 0
            if step.digest and (step.digest in parts or len(parts) < _MOST_PARTS) and 0 <= done <= total < _MOST_BYTES:
                parts[step.digest] = done, total
            if not step.digest:  # it is past the downloads, whose last bytes it does not tell
                parts = {part: (total, total) for part, (_, total) in parts.items()}
            show(Far(doing, sum(done for done, _ in parts.values()), sum(total for _, total in parts.values())))
    except ollama.ResponseError as error:
        return _why(str(error.error))
    except (ConnectionError, httpx.ConnectError, httpx.ConnectTimeout):
        return "not pulled: Ollama does not answer. Start it (ollama serve)"
    except (httpx.HTTPError, httpx.StreamError) as error:
        return f"not pulled: Ollama went away in mid-download ({type(error).__name__}). Start it again. {_AGAIN}"
    except (ValueError, TypeError, AttributeError) as error:  # JSON of another shape
        return f"not pulled: what answers does not speak Ollama's API ({type(error).__name__})"
    return None if doing == "success" else "not pulled: Ollama ended the download before it was whole"


def _why(words: str) -> str:
    said = private.text("".join(c if c.isprintable() else " " for c in words))
    said = _SUM.sub(r"\1…", " ".join(said.split()))[:200]
    meant = next((meaning for sign, meaning in _MEANS if sign in words), "")
    return f"not pulled: {meant} (Ollama says: {said})" if meant else f"not pulled: {said}"


@contextmanager
def shown(model: str, say: Callable[[str], None], console: Console | None = None) -> Iterator[Show]:
    """Gives what is to be called as a download goes on: a bar on a terminal, a line each tenth in a pipe."""
    console = console or Console()
    if not console.is_terminal or console.is_dumb_terminal:
        yield _Tenths(model, say)
        return
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        task, counted = bar.add_task("asking its registry", total=None), False

        def show(far: Far) -> None:
            nonlocal task, counted
            if counted != (far.done < far.total):  # to check a file takes as long as it takes: no speed, no end
                bar.remove_task(task)
                task, counted = bar.add_task(far.doing, total=None), not counted
            bar.update(task, description=far.doing, completed=far.done * counted, total=far.total * counted or None)

        yield show


class _Tenths:
    """Says each tenth once. A part that is begun makes the whole larger: it never goes back."""

    def __init__(self, model: str, say: Callable[[str], None]) -> None:
        self.model, self.say, self.last = model, say, 0

    def __call__(self, far: Far) -> None:
        tenth = math.floor(10 * far.done / far.total) if far.total else 0
        if tenth > self.last:
            self.last = tenth
            self.say(f"{self.model}: {10 * tenth}% of {far.total / 1e6:,.1f} MB")
