"""Pull without a network: a registry of our own, on this machine, for the real one; what is there already, for ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import ollama as client
import pytest
from registry import serving_models
from servers import NAME, Server
from wire import Reply, call

MISSING = "pull model manifest: file does not exist"  # ours goes on: it fetches none, and where Ollama is had


@pytest.fixture
def pulled(server: Server) -> Iterator[Any]:
    """Pull by that server: the real one from the registry, ours from this machine. Gives the reply.

    What the real one got under a name of the registry goes again: the next tests compare lists of models.
    """
    real = "programs.cli" not in str(server.process.args)
    with serving_models(server) as registry:

        def pull(name: str, stream: bool | None = None) -> Reply:
            body = {"model": f"{registry.address}/library/{name}" if real else name, "insecure": True}
            return call(server.url, "POST", "/api/pull", body if stream is None else {**body, "stream": stream})

        yield pull
        assert bool(registry.asked) == real, "ours asks nobody"
    listed = [model["name"] for model in call(server.url, "GET", "/api/tags").value["models"]]
    for name in listed:
        if name.startswith("127.0.0.1:"):
            assert call(server.url, "DELETE", "/api/delete", {"model": name}).status == 200


def test_what_is_on_this_machine_is_there_with_ollamas_own_lines(pulled: Any) -> None:
    reply = pulled(NAME)
    assert (reply.status, reply.kind) == (200, "application/x-ndjson")
    said = reply.values
    told = [line["status"] for line in said]
    assert told[0] == "pulling manifest"
    assert told[-3:] == ["verifying sha256 digest", "writing manifest", "success"]
    layers = said[1:-3]
    assert layers
    for line in layers:
        assert list(line) in (["status", "digest", "total", "completed"], ["status", "digest", "total"])
        digest = line["digest"]
        assert digest.startswith("sha256:")
        assert len(digest) == 71
        assert line["status"] == f"pulling {digest[7:19]}"
        assert 0 <= line.get("completed", 0) <= line["total"]
    assert max(line["total"] for line in layers) > 98e6
    assert {line["digest"] for line in layers} == {
        line["digest"] for line in layers if line.get("completed") == line["total"]
    }, "each is told as complete"


def test_not_streamed_it_is_one_word(pulled: Any) -> None:
    reply = pulled(NAME, stream=False)
    assert (reply.status, reply.value) == (200, {"status": "success"})
    assert reply.kind.startswith("application/json")


def test_what_nobody_has_is_an_error_on_the_stream(pulled: Any) -> None:
    reply = pulled("nope:latest")
    assert (reply.status, reply.kind) == (200, "application/x-ndjson")
    assert reply.values[:-1] == [{"status": "pulling manifest"}]
    assert list(reply.value) == ["error"]
    assert reply.value["error"].startswith(MISSING)


def test_not_streamed_it_is_a_500(pulled: Any) -> None:
    reply = pulled("nope:latest", stream=False)
    assert reply.status == 500
    assert list(reply.value) == ["error"]
    assert reply.value["error"].startswith(MISSING)


def test_the_official_client_pulls(ours: Server) -> None:
    steps = list(client.Client(host=ours.url).pull(NAME, stream=True))
    assert steps[-1].status == "success"
    with pytest.raises(client.ResponseError, match="file does not exist"):
        list(client.Client(host=ours.url).pull("nope", stream=True))


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a" * 5000, "x\x00y", "é"])
def test_a_name_is_no_path(server: Server, name: str) -> None:
    reply = call(server.url, "POST", "/api/pull", {"model": name, "stream": False})
    assert reply.status == 400
    assert set(json.loads(reply.raw)) == {"error"}
