"""Requests that mean harm, or nonsense, to ``workbook serve``: a clear refusal, no path told, and the next is answered."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers import EMBED, NAME, Server, workbook_serving

from workbook import models

ROUTES = [
    *("/api/generate", "/api/chat", "/api/embed", "/api/embeddings", "/api/show", "/api/pull"),
    *("/v1/chat/completions", "/v1/completions", "/v1/embeddings"),
]
FEW = settings(max_examples=100, deadline=None, derandomize=True, database=None,
               suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])  # fmt: skip
SHORT = {"num_predict": 1, "temperature": 0, "num_thread": 1}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with workbook_serving(tmp_path_factory.mktemp("serve")) as running:
        yield running
        said = running.log.read_text()
    assert "stand-in" in said
    no_path(said)
    assert "error" not in said.lower(), said


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as made:
        yield made


def no_path(text: str) -> None:
    for secret in (str(models.packaged().parent), str(Path.home()), "site-packages", "Traceback", 'File "'):
        assert secret not in text, text[:300]


def told(answer: httpx.Response) -> None:
    """A clear answer: no fault of the server's, no path, no traceback."""
    text = answer.text
    pulled = answer.request.url.path == "/api/pull" and "file does not exist" in text
    assert answer.status_code < 500 or answer.status_code in (501, 503) or pulled, f"{answer.status_code} {text[:300]}"
    no_path(text)
    if answer.status_code >= 400 and "json" in answer.headers.get("content-type", ""):
        assert set(json.loads(text)) == {"error"}


def generate(client: httpx.Client, **body: Any) -> httpx.Response:
    whole = {"model": NAME, "prompt": "Say yes.", "stream": False, "options": SHORT, **body}
    return client.post("/api/generate", json=whole)


def head(body: str, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n{body}".encode()


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
FIELDS = """messages input stream format keep_alive think raw system template suffix images context tools truncate shift
    logprobs top_logprobs dimensions encoding_format temperature top_p stop seed n stream_options response_format
    reasoning_effort name insecure verbose"""
# What could be meant, and would be answered: by one token.
ALMOST = st.fixed_dictionaries(
    {"model": st.sampled_from([NAME, NAME, EMBED]), "options": st.just(SHORT), "max_tokens": st.just(1)},
    optional={**dict.fromkeys(FIELDS.split(), ANYTHING), "prompt": st.text(max_size=8) | ANYTHING},
)


@FEW
@given(path=st.sampled_from(ROUTES), body=ANYTHING)
def test_any_json(client: httpx.Client, path: str, body: Any) -> None:
    told(client.post(path, content=json.dumps(body)))


@FEW
@given(path=st.sampled_from(ROUTES), body=ALMOST)
def test_what_is_almost_a_request(client: httpx.Client, path: str, body: dict[str, Any]) -> None:
    told(client.post(path, content=json.dumps(body)))


@FEW
@given(path=st.sampled_from(ROUTES), body=st.binary(max_size=80), cut=st.integers(0, 60))
def test_what_is_no_json(client: httpx.Client, path: str, body: bytes, cut: int) -> None:
    whole = b'{"model": "nope", "prompt": "x", "messages": [{"role": "user", "content": "x"}], "input": "x"}'
    told(client.post(path, content=whole[:cut] + body + whole[cut:]))


BOMBS = [
    b"[" * 100_000,
    b'{"model": ' + b"9" * 100_000 + b"}",
    b'{"model": 1e999999}',
    b'{"model": NaN}',
    b'{"model": "smollm2:135m", "prompt": "\\ud800", "stream": 3}',
    b"\xff\xfe{\x00}\x00",
    b'{"model": "' + b"a" * 1_000_000 + b'"}',
    b'{"model": "smollm2:135m", "options": {"num_ctx": 1e18}}',
    b'{"model": "smollm2:135m", "options": {"stop": [' + b'"a",' * 5_000 + b'"a"]}}',
    b'{"model": "smollm2:135m", "format": {"enum": [' + b'"a",' * 50_000 + b'"a"]}, "prompt": "x"}',
    b'{"model": "all-minilm", "input": [' + b'"a",' * 100_000 + b'"a"]}',
    b'{"model": "smollm2:135m", "prompt": "x", "context": [' + b"1," * 50_000 + b"-1]}",
]


def test_bombs(server: Server, client: httpx.Client) -> None:
    for path in ("/api/generate", "/api/embed", "/v1/chat/completions"):
        for body in BOMBS:
            told(client.post(path, content=body))
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as line:
        line.sendall(head("", 17 << 20))
        assert b" 413 " in line.recv(200), "a body that is too large is not even read"
    assert generate(client).status_code == 200


def test_what_breaks_llama_cpp_is_refused(client: httpx.Client) -> None:
    """Tokens that are none, schemas without end: they would end the process that has the model."""
    for context in ([10**8], [-1], [2**63]):
        assert generate(client, context=context).status_code == 400
    for schema in (
        {"$ref": "#"},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {"type": "string", "pattern": "^((((a*)*)*)*)*$"},
        {"type": "string", "pattern": "^[$"},
        {"type": "array", "items": {}, "minItems": 10**9},
        {"type": "string", "minLength": 10**9},
        {"$ref": "https://example.org/schema.json"},
    ):
        answer = generate(client, format=schema)
        assert answer.status_code in (200, 400), answer.text
        no_path(answer.text)
    assert generate(client).status_code == 200


def test_a_path_is_no_name_and_leads_nowhere(client: httpx.Client) -> None:
    file = models.packaged()
    for name in (str(file), file.name, f"file://{file}", f"x={file}", "../../etc/passwd"):
        for path in ("/api/generate", "/api/show", "/v1/chat/completions"):
            answer = client.post(path, json={"model": name, "prompt": "x", "messages": [{"role": "user"}]})
            assert answer.status_code in (400, 404), name
            no_path(answer.text.replace(json.dumps(name)[1:-1], ""))  # the request's own words may come back
    for path in ("/%2e%2e/etc/passwd", "/v1/models/..%2f..%2fetc%2fpasswd", "/v1/models/%00", "/%ff", "/" + "a" * 9000):
        answer = client.get(path)
        assert 400 <= answer.status_code < 500
        no_path(answer.text)
    for path in ("/api/tags", "/api/ps", "/v1/models"):
        no_path(client.get(path).text)
    no_path(client.post("/api/show", json={"model": NAME}).text)


def test_a_killed_child_is_one_failed_answer(server: Server, client: httpx.Client) -> None:
    body = {"model": NAME, "prompt": "Tell me a story.", "options": {"num_predict": 3000, "num_thread": 1, "seed": 1}}
    with client.stream("POST", "/api/generate", json=body) as answer:
        lines = answer.iter_lines()
        next(lines)
        for child in server.children():
            child.kill()
        last = json.loads(list(lines)[-1])
    assert set(last) == {"error"}
    assert "\n" not in last["error"]
    no_path(last["error"])
    assert generate(client).status_code == 200


def test_a_child_killed_while_idle_is_started_again(server: Server, client: httpx.Client) -> None:
    assert generate(client).status_code == 200
    before = {child.pid for child in server.children()}
    for child in server.children():
        child.kill()
    end = time.monotonic() + 20
    while before & {child.pid for child in server.children()}:
        assert time.monotonic() < end
        time.sleep(0.05)
    if generate(client).status_code != 200:  # the server may hear of it by this request alone
        assert generate(client).status_code == 200


def test_who_comes_and_goes_or_says_nothing_holds_nobody_up(server: Server, client: httpx.Client) -> None:
    """Thirty leave at once, forty are silent, one takes nothing of its answer: the next is answered all the same."""
    port = int(server.url.rpartition(":")[2])
    body = json.dumps({"model": NAME, "prompt": "A story.", "options": {"num_predict": 4000, "num_thread": 1}})
    for _ in range(30):
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.sendall(head(body))
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    for line in silent[:20]:
        line.sendall(head("{", 100))
    few = json.dumps({"model": NAME, "prompt": "A story.", "options": {"num_predict": 40, "num_thread": 1}})
    silent[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    silent[-1].sendall(head(few))
    assert client.post("/api/embed", json={"model": EMBED, "input": "a cat"}).status_code == 200
    answer = generate(client)
    assert (answer.status_code, answer.json()["done"]) == (200, True)
    for line in silent:
        line.close()
