"""Requests that mean harm, or nonsense, to ``workbook serve``: a clear 4xx, no path told, and the next one answered."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from programs.serve import grammars
from programs.serve.app import create_app
from programs.serve.asking import Service
from programs.serve.catalogue import Catalogue
from programs.serve.guard import Door, Limits
from programs.serve.jobs import Begun, Done, Embed, Event, Job, Load, Ready, Token, Vectors
from programs.serve.runner import Pool
from workbook import models
from workbook.errors import BadOption

MODEL, EMBED = "smollm2:135m", "all-minilm"
ROUTES = [
    "/api/generate",
    "/api/chat",
    "/api/embed",
    "/api/embeddings",
    "/api/show",
    "/api/pull",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
]
FEW = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)


def told(answer: httpx.Response) -> None:
    """A clear answer: no fault of the server's, no path, no traceback."""
    text = answer.text
    pull = answer.request.url.path == "/api/pull" and "file does not exist" in text  # Ollama's own 500
    assert answer.status_code < 500 or answer.status_code in (501, 503) or pull, f"{answer.status_code} {text[:300]}"
    no_path(text)
    if answer.status_code >= 400 and "json" in answer.headers.get("content-type", ""):
        assert set(json.loads(text)) == {"error"}


def no_path(text: str) -> None:
    for secret in (str(models.packaged().parent), str(Path.home()), "site-packages", "Traceback", 'File "'):
        assert secret not in text, text[:300]


# In process, with a pool that answers at once: what the routes make of a body.


class Parrot(Pool):
    """Says "hi" to everything; no worker is started."""

    def run(self, entry: Any, job: Job, *_: Any, **__: Any) -> AsyncGenerator[Event, None]:
        return self._said(job)

    async def _said(self, job: Job) -> AsyncGenerator[Event, None]:
        if isinstance(job, Load):
            yield Ready(4096, 8192, 1)
        elif isinstance(job, Embed):
            yield Vectors(tuple((0.6, 0.8) for _ in job.texts), len(job.texts))
        else:
            yield Begun("hi", 1)
            yield Token("hi")
            yield Done("stop", 1, 0, 1, 1, 1, 1)

    async def unload(self, entry: Any) -> None:
        """Nothing is loaded."""


def parrot(door: Door | None = None) -> Any:
    catalogue = Catalogue({})
    return create_app(Service(catalogue, Parrot(catalogue)), door or Door())


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.fixture(scope="module")
def ask(loop: asyncio.AbstractEventLoop) -> Any:
    """Send a request to the application in this process."""
    app = parrot()

    def send(method: str, path: str, content: bytes | None = None, **headers: str) -> httpx.Response:
        async def sent() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.request(method, path, content=content, headers=headers)

        return loop.run_until_complete(asyncio.wait_for(sent(), 60))

    return send


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(["", "json", "../../etc/passwd", "/etc/passwd", "\x00", "5m", "-1", "user", "tool", "a" * 9000])
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
OPTIONS = st.from_regex(
    r"(num_(predict|ctx|keep|thread|batch|gpu)|seed|stop|temperature|top_[kp]|min_p|typical_p|use_mmap|nonsense)"
    r"|(repeat_(last_n|penalty)|(presence|frequency)_penalty)",
    fullmatch=True,
)
MESSAGES = st.lists(
    st.dictionaries(
        st.sampled_from(["role", "content", "thinking", "tool_calls", "tool_name", "name", "images"]),
        ANYTHING | st.text(max_size=8),
        max_size=4,
    ),
    max_size=3,
)
FIELDS = """prompt messages input stream options format keep_alive think raw system template suffix images context tools
    truncate shift logprobs top_logprobs dimensions encoding_format max_tokens temperature top_p stop seed n
    stream_options response_format reasoning_effort name insecure verbose model"""
ALMOST = st.fixed_dictionaries(
    {"model": st.sampled_from([MODEL, MODEL, MODEL, EMBED])},
    optional={
        **dict.fromkeys(FIELDS.split()[:-1], ANYTHING),
        "options": st.dictionaries(OPTIONS, ANYTHING, max_size=3) | ANYTHING,
        "messages": MESSAGES | ANYTHING,
        "prompt": st.text(max_size=8) | ANYTHING,
    },
)


@pytest.mark.parametrize("path", ROUTES)
@FEW
@given(body=ANYTHING)
def test_any_json(ask: Any, path: str, body: Any) -> None:
    told(ask("POST", path, json.dumps(body).encode()))


@pytest.mark.parametrize("path", ROUTES)
@FEW
@given(body=ALMOST)
def test_what_is_almost_a_request(ask: Any, path: str, body: dict[str, Any]) -> None:
    told(ask("POST", path, json.dumps(body).encode()))


@pytest.mark.parametrize("path", ROUTES)
@FEW
@given(body=st.binary(max_size=80), cut=st.integers(0, 60))
def test_what_is_no_json(ask: Any, path: str, body: bytes, cut: int) -> None:
    whole = b'{"model": "smollm2:135m", "prompt": "x", "messages": [{"role": "user", "content": "x"}], "input": "x"}'
    told(ask("POST", path, body))
    told(ask("POST", path, whole[:cut] + body + whole[cut:]))


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"model": ' + b"9" * 100_000 + b"}",
        b'{"model": 1e999999}',
        b'{"model": NaN}',
        b'{"model": "\\ud800"}',
        b'{"model": "smollm2:135m", "prompt": "\\ud800", "stream": false}',
        b'{"\\ud800": 1}',
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        b"\x00",
        b'{"model": "' + b"a" * 1_000_000 + b'"}',
        b'{"model": "smollm2:135m", "options": {"num_ctx": 1e18}}',
        b'{"model": "smollm2:135m", "options": {"num_ctx": -5}}',
        b'{"model": "smollm2:135m", "options": {"stop": [' + b'"a",' * 5_000 + b'"a"]}}',
        b'{"model": "smollm2:135m", "format": {"enum": [' + b'"a",' * 50_000 + b'"a"]}, "prompt": "x"}',
        b'{"model": "all-minilm", "input": [' + b'"a",' * 100_000 + b'"a"]}',
        b'{"model": "smollm2:135m", "messages": [' + b"{}," * 50_000 + b"{}]}",
        b'{"model": "smollm2:135m", "context": [' + b"1," * 50_000 + b"-1]}",
    ],
    ids=range(19),
)
@pytest.mark.parametrize("path", ROUTES)
def test_bombs(ask: Any, path: str, body: bytes) -> None:
    told(ask("POST", path, body))


@pytest.mark.parametrize(
    "path",
    [
        "/../etc/passwd",
        "/%2e%2e/etc/passwd",
        "/v1/models/..%2f..%2fetc%2fpasswd",
        "/v1/models/%00",
        "/%ff",
        "/" + "a" * 9000,
        "/api/blobs/../../x",
        "/docs",
        "/redoc",
        "/static/x",
        "//etc/passwd",
        "/api/tags?x=" + "b" * 9000,
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "DELETE", "TRACE", "NONSENSE"])
def test_paths(ask: Any, method: str, path: str) -> None:
    told(ask(method, path, b"{}" if method == "POST" else None))


def test_the_file_of_a_model_is_no_name_of_it(ask: Any) -> None:
    for name in (
        str(models.packaged()),
        models.packaged().name,
        f"file://{models.packaged()}",
        f"x={models.packaged()}",
    ):
        for path in ("/api/generate", "/api/show", "/v1/chat/completions"):
            answer = ask(
                "POST", path, json.dumps({"model": name, "prompt": "x", "messages": [{"role": "user"}]}).encode()
            )
            assert answer.status_code in (400, 404), name
            # The request's own words may come back in its error; no other path does.
            no_path(answer.text.replace(json.dumps(name)[1:-1], ""))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "evil.example:11434"}, 403),
        ({"Host": "8.8.8.8"}, 403),
        ({"Host": "[2001:db8::1]"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "localhost"}, 200),
        ({"Host": "127.0.0.1:11434"}, 200),
        ({"Host": "[::1]:11434"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:8888"}, 200),
        ({"Host": "\x00"}, 403),
        ({"Host": "a" * 5000}, 403),
    ],
)
def test_who_may_ask(ask: Any, headers: dict[str, str], status: int) -> None:
    answer = ask("GET", "/api/tags", **headers)
    assert answer.status_code == status
    assert bool(answer.content) == (status == 200)
    if status == 403:
        assert "access-control-allow-origin" not in answer.headers


def test_a_key_is_demanded_of_every_route(loop: asyncio.AbstractEventLoop) -> None:
    app = parrot(Door("0.0.0.0", "the-key"))

    async def statuses(key: str | None) -> set[int]:
        headers = {} if key is None else {"Authorization": key}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            paths = ["/api/tags", "/", "/nope", "/v1/models", "/openapi.json"]
            answers = [await client.get(path, headers=headers) for path in paths]
            answers += [await client.post(path, headers=headers, content=b"{}") for path in ROUTES]
            assert not [a for a in answers if "the-key" in a.text + str(a.headers)]
            return {a.status_code for a in answers}

    for wrong in (None, "", "Bearer", "Bearer ", "Bearer the-ke", "Bearer the-keyy", "Basic the-key", "Bearer THE-KEY"):
        assert loop.run_until_complete(statuses(wrong)) == {401}, wrong
    assert 401 not in loop.run_until_complete(statuses("Bearer the-key"))


def test_a_body_past_the_limit_is_not_read(loop: asyncio.AbstractEventLoop) -> None:
    app = parrot(Door(limits=Limits(body_bytes=1000, body_s=0.3)))
    sent = 0

    async def endless() -> AsyncGenerator[bytes, None]:
        nonlocal sent
        while sent < 10_000_000:
            sent += 100
            yield b" " * 100

    async def slowly() -> AsyncGenerator[bytes, None]:
        for _ in range(50):
            await asyncio.sleep(0.1)
            yield b" "

    async def status(content: Any) -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return (await client.post("/api/generate", content=content)).status_code

    assert loop.run_until_complete(status(endless())) == 413
    assert sent < 10_000
    assert loop.run_until_complete(status(b" " * 5000)) == 413
    assert loop.run_until_complete(status(slowly())) == 408


# What we say of ourselves: every request that the description allows is understood.


def made_from(schema: Any, named: dict[str, Any], depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that a JSON schema allows; as much of JSON Schema as pydantic writes."""
    if "$ref" in schema:
        schema = named[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return st.one_of(*(made_from(one, named, depth) for one in schema["anyOf"]))
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    kind = schema.get("type")
    if kind == "object":
        known = {key: made_from(one, named, depth + 1) for key, one in schema.get("properties", {}).items()}
        must = {key: known.pop(key) for key in schema.get("required", ()) if key in known}
        return st.fixed_dictionaries(must, optional=known)
    if kind == "array":
        return st.lists(made_from(schema.get("items", {}), named, depth + 1), max_size=2)
    simple: dict[Any, st.SearchStrategy[Any]] = {
        "string": st.text(max_size=10),
        "integer": st.integers(-(2**40), 2**40),
        "number": st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
        "boolean": st.booleans(),
        "null": st.none(),
    }
    return simple.get(kind, ANYTHING)


@pytest.fixture(scope="module")
def described(ask: Any) -> Any:
    return ask("GET", "/openapi.json").json()


def test_the_description_names_every_route(described: Any) -> None:
    assert described["openapi"].startswith("3.")
    paths = {"/", "/api/version", "/api/tags", "/api/ps", "/v1/models", "/v1/models/{model}", *ROUTES}
    assert set(described["paths"]) == paths
    assert "stand-in" in described["info"]["title"]
    no_path(json.dumps(described))


@pytest.mark.parametrize("path", ROUTES)
@FEW
@given(data=st.data())
def test_what_the_description_allows_is_answered_as_it_says(ask: Any, described: Any, path: str, data: Any) -> None:
    operation = described["paths"][path]["post"]
    named = described["components"]["schemas"]
    body = data.draw(made_from(operation["requestBody"]["content"]["application/json"]["schema"], named))
    if data.draw(st.booleans()):
        body["model"] = data.draw(st.sampled_from([MODEL, EMBED]))
    answer = ask("POST", path, json.dumps(body).encode())
    told(answer)
    assert str(answer.status_code) in operation["responses"]
    if answer.status_code == 400:
        assert "cannot unmarshal" not in answer.text, "the description allows what is refused as a wrong type"


SCHEMAS = st.recursive(
    st.sampled_from(
        [{}, True, False, {"type": "string"}, {"type": "x"}, {"$ref": "#"}, {"$ref": "#/$defs/a"}, {"$ref": "x"}]
    )
    | st.builds(lambda p: {"type": "string", "pattern": p}, st.text("^$ab()[]{}*+?|\\.1,-", max_size=12)),
    lambda inner: (
        st.builds(lambda a: {"anyOf": a}, st.lists(inner, max_size=3))
        | st.builds(lambda a: {"allOf": a}, st.lists(inner, max_size=3))
        | st.builds(lambda a, n: {"type": "array", "items": a, "minItems": n}, inner, ANYTHING)
        | st.builds(
            lambda p: {"type": "object", "properties": p}, st.dictionaries(st.text(max_size=4), inner, max_size=3)
        )
        | st.builds(lambda a, b: {**a, "$defs": {"a": b}} if isinstance(a, dict) else a, inner, inner)
    ),
    max_leaves=6,
)


@settings(FEW, max_examples=300)
@given(schema=SCHEMAS | ANYTHING)
def test_any_schema_is_a_grammar_or_is_refused(schema: Any) -> None:
    try:
        grammar = grammars.grammar_for(json.dumps(schema))
    except BadOption as error:
        no_path(str(error))
        return
    if grammar:
        grammars.check(grammar)


@pytest.mark.parametrize(
    "grammar",
    [
        "root ::= root",
        'root ::= root "a" | "b"',
        'root ::= a\na ::= b "x"\nb ::= a | "y"',
        'root ::= ("" | "a")*',
        'root ::= (a)*\na ::= "x"?',
        'root ::= "a"{1000000}',
        'root ::= "a"{5000}',
        "root ::= nope",
        "x ::= root",
        "root ::= (" * 5000,
        'root ::= "a" )',
        "root ::= [",
        'root ::= "\\x"',
        "root ::= *",
        "",
        "\x00",
    ],
    ids=range(16),
)
def test_grammars_that_break_llama_cpp_are_refused(grammar: str) -> None:
    with pytest.raises(ValueError, match=r"grammar|rule"):
        grammars.check(grammar)


# Over a socket, with workers: what happens to the others.


@dataclass
class Running:
    """A ``workbook serve`` of this test's."""

    url: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def generate(self, prompt: str = "Say yes.", **body: Any) -> httpx.Response:
        options = {"num_predict": 2, "temperature": 0, "num_thread": 1, **body.pop("options", {})}
        whole = {"model": MODEL, "prompt": prompt, "stream": False, "options": options, **body}
        return httpx.post(self.url + "/api/generate", json=whole, timeout=120)

    def workers(self) -> list[psutil.Process]:
        return [p for p in psutil.Process(self.process.pid).children(recursive=True) if p.is_running()]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    port, log = free_port(), tmp_path_factory.mktemp("serve") / "log"
    command = [sys.executable, "-c", "from programs.cli import app; app()", "serve", "--port", str(port)]
    with log.open("wb") as out:
        env = {**os.environ, "WORKBOOK_THREADS": "1"}
        process = subprocess.Popen(command, stdout=out, stderr=out, env=env)
    server = Running(f"http://127.0.0.1:{port}", port, process, log)
    try:
        for _ in range(300):
            try:
                httpx.get(server.url, timeout=2)
                break
            except httpx.TransportError:
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
        yield server
        said = log.read_text()
        assert "stand-in" in said
        no_path(said)
        assert "error" not in said.lower(), said
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def test_a_killed_worker_ends_one_request(running: Running) -> None:
    assert running.generate().status_code == 200
    body = {"model": MODEL, "prompt": "Tell me a story.", "options": {"num_predict": 3000, "num_thread": 1, "seed": 1}}
    with httpx.stream("POST", running.url + "/api/generate", json=body, timeout=60) as answer:
        lines = answer.iter_lines()
        next(lines)
        (worker,) = running.workers()
        worker.kill()
        last = json.loads(list(lines)[-1])
    assert set(last) == {"error"}
    no_path(last["error"])
    assert "\n" not in last["error"]
    assert running.generate().status_code == 200


def test_a_worker_killed_while_idle_is_started_again(running: Running) -> None:
    assert running.generate().status_code == 200
    for worker in running.workers():
        os.kill(worker.pid, signal.SIGKILL)
    for _ in range(100):  # until the server has heard of it: a request before that may end with the worker
        if not running.workers():
            break
        time.sleep(0.1)
    time.sleep(0.2)
    assert running.generate().status_code == 200


def test_a_schema_that_begins_with_itself(running: Running) -> None:
    for schema in (
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {"type": "array", "items": {"$ref": "#"}, "minItems": 1},
        {"type": "string", "pattern": "^(a?)*$"},
        {"type": "string", "pattern": "^((((a*)*)*)*)*$"},
        {"type": "array", "items": {}, "minItems": 10**9},
        {"type": "string", "minLength": 10**9},
    ):
        answer = running.generate(format=schema, options={"num_predict": 4})
        assert answer.status_code in (200, 400), answer.text
        no_path(answer.text)
    assert running.generate().status_code == 200


def test_tokens_that_are_none_end_no_worker(running: Running) -> None:
    assert running.generate().status_code == 200
    before = {worker.pid for worker in running.workers()}
    for context in ([10**8], [-1], [2**40], [2**63], [49152]):
        answer = running.generate(context=context)
        assert answer.status_code == 400, answer.text
        no_path(answer.text)
    assert {worker.pid for worker in running.workers()} == before


def raw(running: Running, data: bytes, wait: float = 5.0) -> bytes:
    """Bytes sent as they are, and what comes back."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=wait) as line:
        found = b""
        try:
            line.sendall(data)
            line.shutdown(socket.SHUT_WR)
            while part := line.recv(65536):
                found += part
        except OSError:  # it hung up, as it may
            pass
        return found


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n",
    ],
    ids=range(13),
)
def test_what_is_hardly_http(running: Running, data: bytes) -> None:
    answer = raw(running, data)
    if answer:
        status = int(answer.split()[1])
        assert status < 500
        no_path(answer.decode("latin-1"))
    assert httpx.get(running.url).status_code == 200


def test_slow_and_silent_clients_hold_nobody_up(running: Running) -> None:
    lines = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(40)]
    try:
        for line in lines[:20]:
            line.sendall(b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        assert running.generate().status_code == 200
    finally:
        for line in lines:
            line.close()


def test_who_reads_nothing_holds_up_no_other_model(running: Running) -> None:
    body = json.dumps({"model": MODEL, "prompt": "Tell me a story.", "options": {"num_predict": 40, "num_thread": 1}})
    head = f"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", running.port)) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        line.sendall((head + body).encode())
        vector = httpx.post(running.url + "/api/embed", json={"model": EMBED, "input": "a cat"}, timeout=60)
        assert vector.status_code == 200
        assert running.generate().status_code == 200


def test_many_that_come_and_go(running: Running) -> None:
    """Half of them leave at once; what they asked for is not computed, and the memory stays."""
    assert running.generate().status_code == 200
    body = json.dumps({"model": MODEL, "prompt": "Tell me a story.", "options": {"num_predict": 2000, "num_thread": 1}})
    head = f"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    for _ in range(30):
        with socket.create_connection(("127.0.0.1", running.port)) as line:
            line.sendall((head + body).encode())
    began = time.monotonic()
    assert running.generate().status_code == 200
    assert time.monotonic() - began < 60, "30 times 2000 tokens would be minutes"
