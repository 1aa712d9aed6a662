"""Servers that lie, break off or say nothing: one line each, in bounded time. And a set-up without llama.cpp."""

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from workbook import paths
from workbook.engines import connect, llama, native
from workbook.errors import (
    EngineError,
    EngineTimeout,
    LlamaCppMissing,
    ModelNotFound,
    NoModel,
    OutOfMemory,
    ServerNotFound,
    StreamBroken,
    WorkbookError,
)

MODELS = {"models": [{"model": "m:latest", "name": "m:latest", "size": 1, "digest": "0" * 64}]}
SHOW = {"capabilities": ["completion"], "model_info": {}, "details": {}}
LINE = {
    "model": "m",
    "created_at": "2026-01-01T00:00:00Z",
    "message": {"role": "assistant", "content": "a"},
    "done": False,
}


@contextmanager
def server(answers):
    """A server whose answers are bytes, (status, bytes), or a function that gets the raw connection."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            answer = answers.get(self.path, (404, b"404 page not found"))
            if callable(answer):
                return answer(self)
            status, body = answer if isinstance(answer, tuple) else (200, answer)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            return self.wfile.write(body)

        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            return self.do_GET()

        def log_message(self, *_):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    threading.Thread(target=running.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{running.server_port}"
    finally:
        running.shutdown()
        running.server_close()


def ndjson(*parts, cut=b""):
    return b"".join(json.dumps(p).encode() + b"\n" for p in parts) + cut


def chunk_then_hang_up(handler):
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    body = ndjson(LINE)
    handler.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n")
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)


def say_nothing(_handler):
    time.sleep(20)


def ollama(monkeypatch, chat, **others):
    monkeypatch.delenv("WORKBOOK_MODEL", raising=False)
    answers = {"/api/tags": ndjson(MODELS), "/api/show": ndjson(SHOW), "/api/chat": chat, **others}
    return server(answers)


@pytest.mark.parametrize(
    ("chat", "error"),
    [
        (chunk_then_hang_up, StreamBroken),
        (b"", StreamBroken),
        (b"<html>proxy</html>", EngineError),
        (ndjson({"error": "model requires more system memory (9 GiB) than is available (2 GiB)"}), OutOfMemory),
        ((500, b'{"error": "llama runner process has terminated: exit status 2"}'), EngineError),
        ((404, b'{"error": "model \'m\' not found"}'), ModelNotFound),
        ((404, b"404 page not found"), EngineError),
        (ndjson(LINE, cut=b'{"model": "m", "mess'), EngineError),
        (ndjson({**LINE, "message": {"role": "assistant", "content": 7}}), EngineError),
        (say_nothing, EngineTimeout),
    ],
)
def test_ollama_answers_that_are_none(monkeypatch, chat, error):
    with ollama(monkeypatch, chat) as url:
        monkeypatch.setenv("OLLAMA_HOST", url)
        engine = connect("ollama", quiet=True)
        started = time.monotonic()
        with pytest.raises(error) as caught:
            list(engine.chat("hi", stream=True, timeout_s=1))
        assert time.monotonic() - started < 8
        assert "\n" not in str(caught.value)


def test_a_line_ends_at_a_newline_alone(monkeypatch):
    """The official client's line reader also splits at these signs, and then reads half a line as JSON."""
    text = "a\x85b\u2028c\u2029d"
    line = {**LINE, "message": {"role": "assistant", "content": text}}
    said = json.dumps(line, ensure_ascii=False).encode() + b"\n" + ndjson({**LINE, "done": True, "done_reason": "stop"})
    with ollama(monkeypatch, said) as url:
        monkeypatch.setenv("OLLAMA_HOST", url)
        assert connect("ollama", quiet=True).chat("hi", stream=True).answer.text.startswith(text)


def test_a_model_that_runs_elsewhere_is_taken_by_name_only(monkeypatch):
    """Ollama passes requests for such names on to its own service, which reads along."""
    there = ["gpt-oss:120b-cloud", "glm-4.6:cloud", "m:latest"]
    for names, taken in ((there, "m:latest"), (there[:2], None)):
        tags = json.dumps({"models": [{"model": name, "name": name} for name in names]}).encode()
        with ollama(monkeypatch, b"", **{"/api/tags": tags}) as url:
            monkeypatch.setenv("OLLAMA_HOST", url)
            if taken:
                assert connect("ollama", quiet=True).model == taken
            else:
                with pytest.raises(NoModel, match="on this machine"):
                    connect("ollama", quiet=True)
            assert connect("ollama", model=names[0], quiet=True).model == names[0]


@pytest.mark.parametrize(
    ("asked", "listed"),
    [
        ("m", "m:latest"), ("M:Latest", "m:latest"), ("library/m", "m:latest"), ("https://registry.ollama.ai/me/m", "me/m:latest"),
        ("localhost:5000/library/m", "localhost:5000/library/m:latest"), ("me/library/m", "me/library/m:latest"),
    ],
)  # fmt: skip
def test_a_model_is_found_by_every_name_that_ollama_takes_for_it(monkeypatch, asked, listed):
    tags = json.dumps({"models": [{"model": name, "name": name} for name in ("other:1", listed)]}).encode()
    with ollama(monkeypatch, b"", **{"/api/tags": tags}) as url:
        monkeypatch.setenv("OLLAMA_HOST", url)
        assert connect("ollama", model=asked, quiet=True).model == listed
        with pytest.raises(ModelNotFound):
            connect("ollama", model=f"x/{asked}", quiet=True)


def test_an_answer_that_ollama_aborts_is_told_as_aborted(monkeypatch):
    with ollama(monkeypatch, ndjson(LINE, LINE)) as url:
        monkeypatch.setenv("OLLAMA_HOST", url)
        answer = connect("ollama", quiet=True).chat("hi", stream=True).answer
    assert (answer.text, answer.finish_reason, answer.n_gen) == ("aa", "aborted", None)


@pytest.mark.parametrize("tags", [b"[]", b"<html>", (500, b"no"), b'{"models": 3}', b'{"models": []}', b"{}"])
def test_what_is_no_ollama_is_passed_over(monkeypatch, tags, capsys):
    monkeypatch.delenv("WORKBOOK_ENGINE", raising=False)
    with server({"/api/tags": tags}) as url:
        monkeypatch.setenv("OLLAMA_HOST", url)
        assert connect().name == "embedded"
        with pytest.raises(WorkbookError) as caught:
            connect("ollama")
        assert isinstance(caught.value, EngineError | NoModel)


def test_a_server_that_accepts_and_says_nothing_costs_half_a_second(monkeypatch):
    monkeypatch.delenv("WORKBOOK_ENGINE", raising=False)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{silent.getsockname()[1]}")
        from workbook.engines.ollama import answers

        started = time.monotonic()
        assert not answers(0.5)
        assert time.monotonic() - started < 5
        assert connect(quiet=True).name == "embedded"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"<html>", EngineError),
        (b"", EngineError),
        (b'{"choices": []}', StreamBroken),
        (b'{"choices": 5}', EngineError),
        ((500, b"oops"), EngineError),
        ((429, b'{"error": {"message": "slow down"}}'), EngineError),
        ((400, b'{"error": {"message": "maximum context length is 8192 tokens"}}'), WorkbookError),
        (say_nothing, EngineTimeout),
    ],
)
def test_openai_answers_that_are_none(monkeypatch, answer, error):
    with server({"/v1/chat/completions": answer}) as url:
        monkeypatch.setenv("OPENAI_BASE_URL", url + "/v1")
        with pytest.raises(error) as caught:
            connect("openai", "m", quiet=True).chat("hi", timeout_s=1)
        assert "\n" not in str(caught.value)


def test_a_remote_address_is_not_shown(monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", "http://someone.invalid:11434")
    with pytest.raises(ServerNotFound) as caught:
        connect("ollama")
    assert "someone" not in str(caught.value)


@pytest.mark.parametrize("value", ["http://[bad", "127.0.0.1:99999999", "http://a:b:c"])
def test_an_address_that_is_none_is_said_so(monkeypatch, value):
    monkeypatch.delenv("WORKBOOK_ENGINE", raising=False)
    monkeypatch.setenv("OLLAMA_HOST", value)
    for engine in (None, "ollama"):
        with pytest.raises(WorkbookError) as caught:
            connect(engine)
        assert "OLLAMA_HOST" in str(caught.value)


@pytest.mark.parametrize(("named", "sent"), [("", None), ("two", None), ("-3", None), ("3", 3)])
def test_a_number_of_threads_that_is_none_is_passed_over(monkeypatch, named, sent):
    monkeypatch.setenv("WORKBOOK_THREADS", named)
    with ollama(monkeypatch, b"") as url:
        monkeypatch.setenv("OLLAMA_HOST", url)
        assert connect("ollama", quiet=True).context.n_threads == sent


def test_a_servers_process_of_another_user_is_found_by_its_name(monkeypatch):
    from workbook.engines import addresses

    class Connection:
        status, pid = addresses.psutil.CONN_LISTEN, None
        laddr = type("Address", (), {"port": 11434})

    me = addresses.psutil.Process()
    me.info = {"name": "ollama"}
    monkeypatch.setattr(addresses.psutil, "net_connections", lambda _: [Connection])
    monkeypatch.setattr(addresses.psutil, "process_iter", lambda _: [me])
    assert me.pid in addresses.tree_listening_on("http://0.0.0.0:11434")
    assert addresses.tree_listening_on("http://127.0.0.1:11435") == ()


@pytest.fixture
def without(monkeypatch):
    """As if a package had never been installed."""
    cached = (native.library, native.build)

    def missing(name):
        monkeypatch.setitem(sys.modules, name, None)
        for function in cached:
            function.cache_clear()

    monkeypatch.delenv("WORKBOOK_ENGINE", raising=False)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    yield missing
    for function in cached:
        function.cache_clear()


def test_a_light_set_up_answers_and_says_what_is_missing(without):
    without("llama_cpp")
    with connect(quiet=True) as engine:
        assert engine.chat("hi", num_predict=2).text
    with pytest.raises(LlamaCppMissing, match="make lab") as caught:
        llama.Model()
    assert "\n" not in str(caught.value)


def test_where_there_is_no_wheel_an_ollama_answers(without, monkeypatch):
    without("xllamacpp")
    for missing in (connect, lambda: connect("embedded")):
        with pytest.raises(LlamaCppMissing, match=r"ollama\.com/download") as caught:
            missing()
        assert "\n" not in str(caught.value)
    with ollama(monkeypatch, ndjson({**LINE, "done": True})) as url:
        monkeypatch.setenv("OLLAMA_HOST", url)
        assert connect(quiet=True).chat("hi").text == "a"


@pytest.mark.parametrize("module", ["native", "cpp_server"])
@pytest.mark.parametrize(("given", "kept"), [({}, "1000"), ({"GOMP_SPINCOUNT": "5"}, "5")])
def test_idle_threads_do_not_spin_beside_another_llama_cpp(module, given, kept):
    env = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"} | given
    code = f"import os, sys; from workbook.engines import {module}; print(os.environ['GOMP_SPINCOUNT'], *sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=True)
    found, *loaded = said.stdout.split()
    assert not {"llama_cpp", "xllamacpp"} & set(loaded), "it is set before libgomp is loaded"
    assert found == kept == paths.environment(env)["GOMP_SPINCOUNT"]


def test_in_a_notebook_an_error_is_its_line_alone():
    assert NoModel("nothing here. Do this.")._render_traceback_() == ["NoModel: nothing here. Do this."]
