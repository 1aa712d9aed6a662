"""Who may ask, how much and how slowly; a client that leaves stops its work."""

import asyncio
import json

import httpx
import pytest
from server_samples import FakePool, answer, application, call

from programs.serve import guard
from programs.serve.guard import Limits, host_is_allowed

HI = {"model": "smollm2:135m", "prompt": "hi"}


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        *(("localhost:1", True), ("LOCALHOST", True), ("a.localhost", True), ("a.internal", True), ("", True)),
        *(("127.0.0.1", True), ("127.9.9.9:80", True), ("[::1]:80", True), ("192.168.1.1", True), ("0.0.0.0", True)),
        *(("evil.com", False), ("evil.com:80", False), ("8.8.8.8", False), ("127.0.0.1.evil.com", False)),
        *(("localhost.evil.com", False), ("[2001:4860:4860::8888]", False), ("evillocalhost", False)),
    ],
)
def test_the_host_is_judged_as_ollama_does(host, allowed):
    assert host_is_allowed(host) is allowed
    status = call(FakePool(), "GET", "/api/version", headers={"Host": host}).status_code
    assert status == (200 if allowed else 403)


@pytest.mark.parametrize(
    ("origin", "status", "named"),
    [
        *(("http://localhost:3000", 200, True), ("https://127.0.0.1", 200, True), ("app://x", 200, True)),
        ("http://127.0.0.1:11434", 200, False),  # the same origin is no other
        *(("http://evil.com", 403, False), ("null", 403, False), ("http://localhost.evil.com", 403, False)),
        *(("chrome-extension://abc", 403, False), ("http://localhos", 403, False)),
    ],
)
@pytest.mark.parametrize("path", ["/api/version", "/nope"])
def test_the_origin_is_judged_as_ollama_does(origin, status, named, path):
    reply = call(FakePool(), "GET", path, headers={"Origin": origin})
    assert (reply.status_code == 403) == (status == 403)
    assert reply.headers.get("access-control-allow-origin") == (origin if named else None)


def test_a_page_elsewhere_starts_no_work():
    pool = FakePool(answer("x"))
    assert call(pool, "POST", "/api/generate", json=HI, headers={"Origin": "http://evil.com"}).status_code == 403
    assert not pool.jobs


def test_a_page_here_may_ask_first():
    reply = call(
        FakePool(),
        "OPTIONS",
        "/api/chat",
        headers={"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"},
    )
    assert reply.status_code == 204
    assert "Authorization" in reply.headers["access-control-allow-headers"]
    assert reply.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/", "/api/tags", "/v1/models", "/nope", "/openapi.json"])
def test_a_key_is_demanded_of_every_path(path):
    for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}, {"Authorization": "é"}):
        headers = {name: value.encode() for name, value in given.items()}
        reply = call(FakePool(), "GET", path, key="right", host="0.0.0.0", headers=headers)
        assert reply.status_code == 401
        assert "right" not in reply.text
    known = call(FakePool(), "GET", path, key="right", headers={"Authorization": "Bearer right"})
    assert known.status_code == (404 if path == "/nope" else 200)


def test_the_refusal_of_a_key_has_the_form_of_its_api():
    assert call(FakePool(), "GET", "/api/tags", key="k").json() == {"error": "unauthorized"}
    assert call(FakePool(), "GET", "/v1/models", key="k").json()["error"]["message"] == "unauthorized"


def test_a_body_has_a_size():
    limits = Limits(body_bytes=100)
    for content in (b"x" * 101, json.dumps({"model": "m", "prompt": "a" * 100}).encode()):
        reply = call(FakePool(), "POST", "/api/generate", limits=limits, content=content)
        assert reply.status_code == 413
        assert "at most 100" in reply.json()["error"]
    assert call(FakePool(), "POST", "/api/generate", limits=limits, content=b"x" * 100).status_code == 400


def test_a_size_that_is_not_declared_counts_too():
    async def pieces():
        for _ in range(3):
            yield b"x" * 50

    reply = call(FakePool(), "POST", "/api/generate", limits=Limits(body_bytes=100), content=pieces())
    assert reply.status_code == 413


def asked(app, messages, body=b""):
    """Run one request by hand: ``messages`` come after the body, an Event among them is waited for."""
    sent = []

    async def run():
        waiting = asyncio.Queue()
        for message in messages:
            waiting.put_nowait(message)

        async def receive():
            if waiting.empty():
                await asyncio.sleep(3600)
            message = await waiting.get()
            if callable(message):
                while not message(sent):
                    await asyncio.sleep(0.005)
                return {"type": "http.disconnect"}
            return message

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/api/generate",
            "raw_path": b"/api/generate",
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1")],
            "http_version": "1.1",
            "scheme": "http",
        }
        async with asyncio.timeout(20):
            await app(scope, receive, send)

    asyncio.run(run())
    return sent


def test_a_body_that_does_not_arrive_is_not_waited_for():
    app = application(FakePool(), limits=Limits(body_s=0.05))
    sent = asked(app, [{"type": "http.request", "body": b"{", "more_body": True}])
    assert sent[0]["status"] == 408


def test_who_leaves_in_the_body_is_not_answered():
    app = application(FakePool())
    body = {"type": "http.request", "body": b"{", "more_body": True}
    assert asked(app, [body, {"type": "http.disconnect"}]) == []


@pytest.mark.parametrize("stream", [True, False])
def test_who_leaves_in_the_answer_stops_the_work(stream):
    pool = FakePool(answer(*["x"] * 1000), pause=0.002)
    body = json.dumps({**HI, "stream": stream}).encode()
    asked(application(pool), [{"type": "http.request", "body": body}, lambda sent: pool.said > 3])
    assert pool.closed == 1
    assert pool.said < 100


def test_who_takes_nothing_is_let_go():
    pool = FakePool(answer(*["x"] * 1000))
    app = application(pool, limits=Limits(send_s=0.05))
    body = json.dumps(HI).encode()
    given = iter([{"type": "http.request", "body": body}])

    async def run():
        async def receive():
            return next(given, None) or await asyncio.sleep(3600)

        async def send(message):
            if message["type"] == "http.response.body":
                await asyncio.sleep(3600)

        scope = {"type": "http", "method": "POST", "path": "/api/generate", "headers": [(b"host", b"localhost")]}
        scope |= {"query_string": b"", "http_version": "1.1", "scheme": "http", "raw_path": b"/api/generate"}
        async with asyncio.timeout(20):
            await app(scope, receive, send)

    asyncio.run(run())
    assert pool.closed == 1
    assert pool.said < 10


def test_a_fault_of_ours_is_one_line_and_no_traceback(capsys):
    class Broken(FakePool):
        async def unload(self, item):
            raise ZeroDivisionError("/a/secret/path")

    reply = call(Broken(), "POST", "/api/generate", json={"model": "smollm2:135m", "keep_alive": 0})
    assert (reply.status_code, reply.json()) == (500, {"error": "internal error"})
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "secret" not in err


def test_all_bodies_together_have_a_size():
    async def both():
        app = application(FakePool(answer("x"), pause=0.2), limits=Limits(all_bytes=300))
        body = {"model": "smollm2:135m", "prompt": "p" * 150, "stream": False}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            replies = await asyncio.gather(*(client.post("/api/generate", json=body) for _ in range(3)))
            last = await client.post("/api/generate", json=body)
        return sorted(reply.status_code for reply in replies), last.status_code

    several, after = asyncio.run(both())
    assert several == [200, 503, 503]
    assert after == 200  # what was held is given back


@pytest.mark.parametrize(
    ("address", "local"),
    [("127.0.0.1", True), ("::1", True), ("127.0.1.1", True), ("0.0.0.0", False), ("::", False), ("fe80::1%lo", False)],
)
def test_only_loopback_addresses_are_local(address, local):
    assert guard.is_local(address) is local
