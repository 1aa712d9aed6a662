"""A download by Ollama: what is shown of it, and one line for each way in which it does not come."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from rich.console import Console

from programs.bench import pulling
from programs.bench.pulling import Far

PART = {"status": "pulling aa", "digest": "sha256:aa", "total": 100, "completed": 40}
OTHER = {"status": "pulling bb", "digest": "sha256:bb", "total": 50, "completed": 50}
END = {"status": "success"}


class Played(BaseHTTPRequestHandler):
    body = b""
    short = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body) + self.short))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def played() -> Iterator[str]:
    """Plays an Ollama that answers ``Played.body``."""
    with HTTPServer(("127.0.0.1", 0), Played) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def pull(host: str, *lines: object, short: int = 0) -> tuple[str | None, list[Far]]:
    Played.body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    Played.short = short
    seen: list[Far] = []
    return pulling.pull("m", seen.append, host), seen


def test_the_parts_are_added_up(played: str) -> None:
    manifest = {"status": "pulling manifest"}
    why, seen = pull(played, manifest, PART, {**PART, "completed": 99}, OTHER, {"status": "verifying"}, END)
    assert why is None
    said = [(far.done, far.total) for far in seen]
    assert said == [(0, 0), (40, 100), (99, 100), (149, 150), (150, 150), (150, 150)], "the last bytes are not told"
    assert seen[0].doing == "pulling manifest"


@pytest.mark.parametrize(("error", "says"), [
    ("pull model manifest: file does not exist", "its registry has no model of that name (Ollama says: "),
    (f"digest mismatch, want sha256:{'a1' * 32}, got", "(Ollama says: digest mismatch, want sha256:a1a1a1a1a1a1…, got)"),
    ("max retries exceeded: EOF", "broke off. Run the same command again"),
    ("Get \"https://registry.ollama.ai/v2/\": dial tcp: lookup registry.ollama.ai on 10.1.2.3:53: no such host",
     "is this machine on the network? (Ollama says: Get \"https://registry.ollama.ai/v2/\": dial tcp: lookup"),
    ("write /x: no space left on device", "the disk is full"), ("odd\n\x1b[2J" + "x" * 500, "not pulled: odd [2Jxx"),
])  # fmt: skip
def test_what_ollama_says_in_one_line(played: str, error: str, says: str) -> None:
    why, _ = pull(played, PART, {"error": error})
    assert why is not None
    assert why.startswith("not pulled: ")
    assert says in why
    assert why.isprintable()
    assert len(why) < 400
    assert "10.1.2.3" not in why


@pytest.mark.parametrize(("lines", "short", "says"), [
    ((PART,), 0, "ended the download before it was whole"), ((), 0, "before it was whole"),
    ((PART,), 9, "went away in mid-download"), ((["a list"],), 0, "does not speak Ollama's API"),
    (({"status": 3},), 0, "does not speak Ollama's API"), (("text",), 0, "does not speak"),
])  # fmt: skip
def test_an_answer_that_is_none(played: str, lines: tuple[object, ...], short: int, says: str) -> None:
    why, _ = pull(played, *lines, short=short)
    assert says in (why or "")


def test_where_nothing_answers() -> None:
    assert "Ollama does not answer" in (pulling.pull("m", lambda far: None, "http://127.0.0.1:1") or "")


def test_figures_that_cannot_be_are_left_out(played: str) -> None:
    odd = [{**PART, "total": -5}, {**PART, "completed": 200}, {**PART, "total": 2**60, "completed": 1}]
    why, seen = pull(played, *odd, END)
    assert why is None
    assert {(far.done, far.total) for far in seen} == {(0, 0)}


def test_in_a_pipe_each_tenth_once() -> None:
    said: list[str] = []
    with pulling.shown("m", said.append, Console(file=io.StringIO())) as show:
        for done in (0, 9, 10, 19, 55, 55, 30, 100):
            show(Far("pulling", done * 1_000_000, 100_000_000))
        show(Far("verifying"))
    assert said == [f"m: {percent}% of 100.0 MB" for percent in (10, 50, 100)]


@pytest.mark.parametrize(("far", "seen", "not_seen"), [
    (Far("[bold]pulling", 40_000_000, 100_000_000), "40.0/100.0 MB", "? bytes"),
    (Far("[bold]verifying", 100_000_000, 100_000_000), "? bytes", "/s"),  # how long that takes is not known
])  # fmt: skip
def test_on_a_terminal_a_bar_that_goes_when_it_is_done(far: Far, seen: str, not_seen: str) -> None:
    out, said = io.StringIO(), list[str]()
    with pulling.shown("m", said.append, Console(file=out, force_terminal=True, no_color=True, width=100)) as show:
        show(Far("pulling", 1, 100_000_000))
        show(far)
    last = out.getvalue().rpartition(far.doing)
    assert last[1], "what it does, with nothing read as a mark"
    assert seen in last[2]
    assert not_seen not in last[2]
    assert said == []
