"""A registry of models on this machine, as Ollama pulls from: what another Ollama's own folder holds, and how one fails."""

from __future__ import annotations

import re
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from servers import Server

_LARGE = 2**20
_WAIT_S = 60


@dataclass
class Registry:
    """What was asked of it, and what it does wrong.

    ``cuts``: so many answers with weights end halfway. ``flows`` cleared: the next stops there and waits for it.
    ``damaged``: one byte is another. ``ranges``: where each answer with weights began.
    """

    folder: Path
    port: int = 0
    asked: list[str] = field(default_factory=list)
    ranges: list[int] = field(default_factory=list)
    cuts: int = 0
    damaged: bool = False
    flows: threading.Event = field(default_factory=threading.Event)
    halfway: threading.Event = field(default_factory=threading.Event)

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"


class _Answers(BaseHTTPRequestHandler):
    mine: Registry

    def do_GET(self) -> None:
        self.mine.asked.append(self.path)
        _, _, _, name, kind, what = self.path.split("/", 5)
        places = {
            "manifests": f"manifests/registry.ollama.ai/library/{name}/{what}",
            "blobs": f"blobs/{what.replace(':', '-')}",
        }
        place = self.mine.folder / places[kind]
        content, part = (
            place.read_bytes() if place.is_file() else None,
            re.match(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")),
        )
        away = self.command == "GET" and kind == "blobs" and content is not None and not part
        self.send_response(404 if content is None else 206 if part else 307 if away else 200)
        if away:  # as the real one does; Ollama asks there, by the part, only if the host is another
            self.send_header("Location", f"https://127.0.0.1:{self.mine.port}{self.path}")
        whole = content or b"{}"
        body = whole[int(part[1]) : int(part[2]) + 1] if part else whole
        if part:
            self.send_header("Content-Range", f"bytes {part[1]}-{part[2]}/{len(whole)}")
        self.send_header("Content-Length", str(0 if away else len(body)))
        self.end_headers()
        if self.command == "GET" and not away:
            with suppress(OSError):
                self._send(body, int(part[1]) if part and len(whole) > _LARGE else None)

    do_HEAD = do_GET  # noqa: N815

    def _send(self, body: bytes, start: int | None) -> None:
        if start is None:
            self.wfile.write(body)
            return
        self.mine.ranges.append(start)
        half = len(body) // 2
        self.wfile.write(body[:half])
        self.mine.halfway.set()
        if self.mine.cuts:
            self.mine.cuts -= 1
            return
        self.mine.flows.wait(_WAIT_S)
        self.wfile.write((bytes([body[half] ^ 1]) if self.mine.damaged else body[half : half + 1]) + body[half + 1 :])

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def serving_models(of: Server, certificate: Path) -> Iterator[Registry]:
    """A registry of the models of an Ollama, over HTTPS."""
    mine = Registry(Path(of.environment["OLLAMA_MODELS"]))
    mine.flows.set()
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Mine", (_Answers,), {"mine": mine})) as http:
        http.daemon_threads = True
        http.handle_error = lambda *_: None  # type: ignore[method-assign]  # one that went away is no news
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
        http.socket = tls.wrap_socket(http.socket, server_side=True)
        mine.port = http.server_address[1]
        threading.Thread(target=http.serve_forever, daemon=True).start()
        try:
            yield mine
        finally:
            mine.flows.set()
            http.shutdown()


def make_certificate(openssl: str, path: Path) -> None:
    """A certificate for this machine that signs itself, and its key, in one file."""
    command = [
        openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(path), "-out", str(path.with_suffix(".crt")),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
