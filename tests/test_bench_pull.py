"""A download by Ollama: what is shown of it, and one line for each way in which it does not come."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import ollama
import pytest

from programs.bench import pull as puller

PART = {"status": "pulling aa", "digest": "sha256:aa", "total": 100_000_000, "completed": 40_000_000}
OTHER = {"status": "pulling bb", "digest": "sha256:bb", "total": 50_000_000, "completed": 50_000_000}
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
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def pull(host: str, *lines: object, short: int = 0) -> tuple[str, list[str]]:
    """Why it was not pulled, "" where it was; and what was said."""
    Played.body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    Played.short = short
    said: list[str] = []
    return puller.pull("m", said.append, host) or "", said


def test_the_parts_are_added_up(played: str) -> None:
    manifest = {"status": "pulling manifest"}
    ended = [{**PART, "completed": 99_000_000}, OTHER, {"status": "verifying"}, END]
    assert pull(played, manifest, PART, *ended) == ("", ["Ollama pulls m …", "m: pulled, 150.0 MB"])


@pytest.mark.parametrize(("error", "says"), [
    ("pull model manifest: file does not exist", "its registry has no model of that name (Ollama says: "),
    ("digest mismatch, want sha256:a1, got", "Run the same command again"),
    ("max retries exceeded: EOF", "broke off. Run the same command again"),
    ("Get \"https://registry.ollama.ai/v2/\": dial tcp: lookup registry.ollama.ai on 10.1.2.3:53: no such host",
     "is this machine on the network? (Ollama says: Get \"https://registry.ollama.ai/v2/\": dial tcp: lookup"),
    ("write /x: no space left on device", "the disk is full"), ("odd\n\x1b[2J" + "x" * 500, "not pulled: odd [2Jxx"),
])  # fmt: skip
def test_what_ollama_says_in_one_line(played: str, error: str, says: str) -> None:
    why, said = pull(played, PART, {"error": error})
    assert said[-1] == f"! m: {why}"
    assert why.startswith("not pulled: ")
    assert says in why
    assert why.isprintable()
    assert len(why) < 400
    assert "10.1.2.3" not in why


@pytest.mark.parametrize(("lines", "short", "says"), [
    ((PART,), 0, "ended the download before it was whole"), ((), 0, "before it was whole"),
    ((PART,), 9, "broke off in mid-download"), ((["a list"],), 0, "broke off"),
    (({"status": 3},), 0, "broke off"), (("text",), 0, "broke off"),
])  # fmt: skip
def test_an_answer_that_is_none(played: str, lines: tuple[object, ...], short: int, says: str) -> None:
    why, _ = pull(played, *lines, short=short)
    assert says in why


def test_where_nothing_answers() -> None:
    assert "Ollama does not answer" in (puller.pull("m", print, "http://127.0.0.1:1") or "")


def test_ctrl_c_says_how_far_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> Iterator[ollama.ProgressResponse]:
        yield ollama.ProgressResponse(**PART)
        raise KeyboardInterrupt

    monkeypatch.setattr(ollama.Client, "pull", stopped)
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        puller.pull("m", said.append)
    assert said[-1].startswith("m: stopped at 40.0 MB. The same command goes on")
