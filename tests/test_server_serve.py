"""The command: its address, its key, what it says, its end; and ``workbook.endpoint``, which starts it for a page."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import ollama
import openai
import psutil
import pytest
from server_samples import FakePool, answer, application

from programs.serve import serve
from programs.serve.serve import LOOPBACK, PORT, Settings, listening, start_lines
from workbook import endpoint
from workbook.errors import BadOption, DamagedModel, ServerNotFound


def test_another_port_where_the_usual_one_is_taken(monkeypatch):
    with listening(LOOPBACK, None) as first:
        taken = first.getsockname()[1]
        monkeypatch.setattr(serve, "PORT", taken)
        with listening(LOOPBACK, None) as second:
            assert second.getsockname()[1] not in (taken, 0)
        with pytest.raises(BadOption, match=f"port {taken}"), listening(LOOPBACK, taken):
            pass


@pytest.mark.parametrize("host", ["no.such.host.invalid", "8.8.8.8", "a" * 300])
def test_a_host_that_is_not_here(host):
    with pytest.raises(BadOption, match="Leave --"), listening(host, 0):
        pass


def test_what_is_said_at_the_start():
    said = "\n".join(start_lines(Settings(), PORT, "", False, 2))
    assert "stand-in for Ollama" in said
    assert "https://ollama.com/download" in said
    assert "key" not in said
    other = "\n".join(start_lines(Settings(), 1234, "", False, 2))
    assert "OLLAMA_HOST=127.0.0.1:1234" in other
    assert "taken" in other
    fresh = "\n".join(start_lines(Settings(host="0.0.0.0"), PORT, "made-once", True, 2))
    assert fresh.count("made-once") == 1
    given = "\n".join(start_lines(Settings(host="0.0.0.0", key="mine"), PORT, "", True, 2))
    assert "mine" not in given


@pytest.mark.parametrize("model", ["x", "=y", "x=", ""])
def test_a_model_that_is_not_named_with_its_file(model):
    with pytest.raises(BadOption, match="NAME=FILE"):
        serve.serve(Settings(port=0, models=(model,)))


def test_a_file_that_is_no_model(tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"nothing of it")
    with pytest.raises(DamagedModel, match=r"x\.gguf"):
        serve.serve(Settings(port=0, models=(f"x={tmp_path / 'x.gguf'}",)))


@pytest.mark.parametrize("key", ["with space", "é", "a" * 513, "line\nbreak"])
def test_a_key_that_no_header_can_carry(key):
    with pytest.raises(BadOption, match="key"):
        serve.serve(Settings(port=0, key=key))


@contextlib.contextmanager
def running(*words, **environment):
    """``workbook serve`` in a process of its own: its process and its URL."""
    env = {**os.environ, "WORKBOOK_THREADS": "1", **environment}
    command = [sys.executable, "-c", "from programs.cli import app; app()", "serve", "--port", "0", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    try:
        said = process.stdout.readline()
        yield process, said.split()[0]
    finally:
        process.kill()
        process.communicate()


def ask(url, path, body=None, **headers):
    data = json.dumps(body).encode() if body is not None else None
    return urllib.request.urlopen(urllib.request.Request(url + path, data, headers), timeout=60)


SHORT = {"num_predict": 3, "num_thread": 1, "temperature": 0}


def test_the_real_model_through_the_official_clients():
    with running() as (process, url):
        client = ollama.Client(url)
        made = client.generate("smollm2:135m", "hi", options=SHORT)
        assert made.eval_count == 3
        assert made.response
        pieces = list(client.chat("smollm2:135m", [{"role": "user", "content": "hi"}], stream=True, options=SHORT))
        assert "".join(piece.message.content for piece in pieces) == made.response
        assert [model.model for model in client.ps().models] == ["smollm2:135m"]
        assert len(client.embed("all-minilm", ["a", "b"]).embeddings[1]) == 384
        with pytest.raises(ollama.ResponseError, match="stand-in") as refused:
            client.delete("smollm2:135m")
        assert refused.value.status_code == 501
        other = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
        chat = other.chat.completions.create(
            model="smollm2:135m", messages=[{"role": "user", "content": "hi"}], max_tokens=3, temperature=0
        )
        assert chat.choices[0].message.content == made.response
        with pytest.raises(openai.NotFoundError, match="not found"):
            other.chat.completions.create(model="nope", messages=[{"role": "user", "content": "hi"}])
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        assert "Traceback" not in out
        _gone, alive = psutil.wait_procs(children, timeout=20)
        assert not alive


def test_a_key_from_the_environment_is_demanded_and_never_said():
    with running(WORKBOOK_SERVE_KEY="planted-key-1") as (process, url):
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(url, "/api/tags")
        assert refused.value.code == 401
        assert ask(url, "/api/tags", Authorization="Bearer planted-key-1").status == 200
        process.send_signal(signal.SIGINT)
        assert "planted" not in "".join(process.communicate(timeout=60))


@pytest.fixture
def no_ollama(monkeypatch):
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{probe.getsockname()[1]}")
    endpoint.stop()
    yield
    endpoint.stop()


def test_the_endpoint_of_a_page_is_the_stand_in_where_no_ollama_answers(no_ollama, capsys):
    with endpoint.ready() as url:
        assert "stand-in" in capsys.readouterr().out
        found = endpoint.start(quiet=True)
        assert (found.url, found.kind, found.openai_url) == (url, "stand-in", f"{url}/v1")
        assert ollama.Client(url).generate("smollm2:135m", "hi", options=SHORT).eval_count == 3
    with pytest.raises(urllib.error.URLError):
        ask(url, "/")


def test_the_stand_in_ends_with_the_process_that_started_it(no_ollama):
    code = "from workbook import endpoint; print(endpoint.start(quiet=True).url, flush=True); input()"
    page = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    url = page.stdout.readline().strip()
    children = psutil.Process(page.pid).children(recursive=True)
    ask(url, "/").close()
    page.kill()  # as a kernel is ended: nothing of its own runs
    page.communicate()
    _gone, alive = psutil.wait_procs(children, timeout=30)
    assert children
    assert not alive


def test_an_endpoint_that_answers_is_taken(monkeypatch, capsys):
    with running() as (_, url):
        monkeypatch.setenv("OLLAMA_HOST", url)
        monkeypatch.setattr(endpoint, "_PROBE_S", 30)  # a busy machine is no fault of the endpoint's
        found = endpoint.start()
        assert (found.url, found.kind) == (url, "stand-in")
        assert "it answers" in capsys.readouterr().out


def test_a_stand_in_that_does_not_start_says_what_it_said(no_ollama, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false" if os.name == "posix" else sys.executable)
    with pytest.raises(ServerNotFound, match="workbook serve"):
        endpoint.start()


class _Served:
    """An application with a fake pool on a real socket, in a thread of this process."""

    def __init__(self, pool):
        import uvicorn

        self.pool = pool
        self.server = uvicorn.Server(serve._config(application(pool)))
        self.listener = socket.create_server((LOOPBACK, 0))
        self.thread = threading.Thread(target=self.server.run, args=([self.listener],), daemon=True)

    def __enter__(self):
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        return self, self.listener.getsockname()[1]

    def __exit__(self, *_):
        self.server.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive()


def raw(port, data, wait=5.0):
    with socket.create_connection((LOOPBACK, port), timeout=wait) as wire:
        wire.sendall(data)
        received = b""
        with contextlib.suppress(TimeoutError):
            while chunk := wire.recv(65536):
                received += chunk
        return received


def test_a_client_that_hangs_up_stops_its_generation():
    with _Served(FakePool(answer(*["x"] * 100_000), pause=0.001)) as (served, port):
        body = json.dumps({"model": "smollm2:135m", "prompt": "p"}).encode()
        head = f"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with socket.create_connection((LOOPBACK, port), timeout=10) as wire:
            wire.sendall(head + body)
            assert b"200 OK" in wire.recv(4096)
        end = time.monotonic() + 20
        while not served.pool.closed and time.monotonic() < end:
            time.sleep(0.01)
        assert served.pool.closed == 1


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    ],
)
def test_what_is_no_request_is_refused(data):
    with _Served(FakePool()) as (_, port):
        try:
            status = raw(port, data).split(b"\r\n")[0]
        except ConnectionResetError:  # hung up on while still sending
            return
        assert status.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))


def test_a_connection_that_says_nothing_is_closed(monkeypatch):
    monkeypatch.setattr(serve, "_HEADERS_S", 0.1)
    with _Served(FakePool()) as (_, port), socket.create_connection((LOOPBACK, port), timeout=20) as wire:
        wire.sendall(b"GET / HT")
        assert wire.recv(100) == b""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no process groups of that kind")
def test_interrupting_the_kernel_does_not_end_the_stand_in(no_ollama):
    with endpoint.ready(quiet=True):
        process = endpoint._child().process
        assert os.getpgid(process.pid) != os.getpgid(0)  # where Jupyter sends the signal


def test_a_proxy_is_not_asked_for_this_machine(monkeypatch):
    with _Served(FakePool()) as (_, port):
        monkeypatch.setattr(endpoint, "_PROBE_S", 30)
        monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{port}")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.delenv("no_proxy", raising=False)
        assert endpoint.start(quiet=True).url.endswith(f":{port}")
