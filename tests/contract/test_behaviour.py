"""What one call does not show: seeds, memory, windows, crowds, clients that leave. Each body on both servers."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import jsonschema
import psutil
import pytest
from calls import LONG
from servers import EMBED, NAME, Server
from wire import call

from workbook import facts

ROWS = facts.table("ollama_truncation")
CENTURY = 100 * 365 * 86400.0


def generate(server: Server, prompt: str = "Why is the sky blue?", **body: Any) -> Any:
    """One answer; what is no field of the request is an option."""
    fields = {"raw", "format", "keep_alive", "truncate", "shift", "model"}
    options = {"num_predict": 8, "temperature": 0, "num_thread": 1}
    options |= {key: body.pop(key) for key in list(body) if key not in fields}
    whole = {"model": NAME, "prompt": prompt, "stream": False, "options": options, **body}
    reply = call(server.url, "POST", "/api/generate", whole)
    assert reply.status == 200, reply.text
    return reply.value


def loaded(server: Server) -> dict[str, Any]:
    """What /api/ps lists, by name."""
    return {entry["name"]: entry for entry in call(server.url, "GET", "/api/ps").value["models"]}


def unload(server: Server) -> None:
    """Ask for it, and wait until it is so."""
    for name in (NAME, EMBED):
        call(server.url, "POST", "/api/generate", {"model": name, "keep_alive": 0})
    until(lambda: not {NAME, f"{EMBED}:latest"} & set(loaded(server)))


def until(holds: Any, limit_s: float = 30) -> None:
    end = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end, "it does not come to hold"
        time.sleep(0.05)


def seconds_left(entry: dict[str, Any]) -> float:
    there = datetime.fromisoformat(entry["expires_at"].partition(".")[0].rstrip("Z"))
    return (there.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()


def memory(server: Server) -> int:
    """Bytes that the server's child processes hold."""
    held = 0
    for child in server.children():
        try:
            held += child.memory_info().rss
        except psutil.Error:
            continue
    return held


def test_a_seed_repeats_itself_and_its_absence_varies(server: Server) -> None:
    first, again, other = (generate(server, seed=seed, temperature=1.2)["response"] for seed in (7, 7, 8))
    assert first == again != other
    assert len({generate(server, temperature=1.5, top_k=0, top_p=1.0)["response"] for _ in range(3)}) > 1


SCHEMAS: list[dict[str, Any]] = [
    {"type": "array", "items": {"type": "integer", "minimum": 3}, "minItems": 2, "maxItems": 3},
    {"type": "object", "properties": {"a": {"enum": ["red", "blue"]}, "b": {"type": "boolean"}}, "required": ["a"]},
    {"$defs": {"n": {"type": "integer"}}, "type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}},
    {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
    {"type": "string", "pattern": "^[a-c]{3}$"},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=["array", "object", "reference", "either", "pattern"])
def test_answers_to_a_schema_validate(server: Server, schema: dict[str, Any]) -> None:
    said = generate(server, "Answer in JSON.", format=schema, num_predict=40, seed=1, temperature=0.5)
    assert said["response"]
    if said["done_reason"] == "stop":
        jsonschema.validate(json.loads(said["response"]), schema)


def test_a_stream_comes_piece_by_piece(server: Server) -> None:
    """By the server's clock: a busy client may read many at once."""
    body = {"model": NAME, "prompt": "Tell me a story.", "options": {"num_predict": 24, "num_thread": 1}}
    lines = call(server.url, "POST", "/api/generate", body).values
    assert len({line["created_at"] for line in lines}) == len(lines) > 10


def test_the_figures_add_up(server: Server) -> None:
    unload(server)
    cold, warm = generate(server), generate(server)
    for said in (cold, warm):
        parts = said["load_duration"] + said["prompt_eval_duration"] + said["eval_duration"]
        assert 0 < parts <= said["total_duration"]
        assert (said["prompt_eval_count"], said["eval_count"]) == (15, 8)
    assert cold["load_duration"] > warm["load_duration"], "loaded once"


def test_what_was_read_before_is_not_computed_again(server: Server) -> None:
    generate(server, "Something else.", raw=True)
    first, again = (generate(server, LONG, raw=True, num_predict=1) for _ in range(2))
    assert first["prompt_eval_count"] == again["prompt_eval_count"] == 600
    assert again["prompt_eval_duration"] < first["prompt_eval_duration"] / 3
    assert again["response"] == first["response"]


def test_a_long_prompt_is_cut_to_what_the_table_says(server: Server) -> None:
    for sent, read in ROWS.loc[ROWS["num_ctx"] == 256, ["tokens_sent", "tokens_read"]].to_numpy().tolist():
        said = generate(server, "one" + " one" * (sent - 1), raw=True, num_ctx=256, num_predict=1)
        assert said["prompt_eval_count"] == read, f"{sent} tokens sent"


def test_either_wish_refuses_a_long_prompt_and_only_one_ends_a_long_answer(server: Server) -> None:
    """Page 21: ``truncate`` false is about the prompt; ``shift`` false about the answer as well."""
    for wish in ({"truncate": False}, {"shift": False}):
        body = {"model": NAME, "prompt": LONG, "raw": True, "options": {"num_ctx": 256}, **wish}
        assert call(server.url, "POST", "/api/generate", body).status == 400
    counting = " ".join(f"Line {i}: the number is {i * 37 % 101}." for i in range(20))
    story = {"num_ctx": 256, "num_predict": 60, "raw": True, "temperature": 1, "seed": 3}
    free, held = (generate(server, counting, **story, shift=shift) for shift in (True, False))
    assert free["prompt_eval_count"] + free["eval_count"] > 256, "the oldest made room, and nothing was said"
    assert (held["done_reason"], held["prompt_eval_count"] + held["eval_count"]) == ("length", 256)


def test_an_answer_without_end_is_ended(server: Server) -> None:
    said = generate(server, "Tell me a long story.", num_predict=-1, num_ctx=16, temperature=0.9, seed=3)
    assert said["done"] is True
    assert (said["done_reason"], said["eval_count"]) == ("length", 160) or said["done_reason"] == "stop"


def test_keep_alive(server: Server) -> None:
    unload(server)
    generate(server, num_predict=1)
    assert abs(seconds_left(loaded(server)[NAME]) - 60) < 20, "OLLAMA_KEEP_ALIVE"
    for asked, expected in (("10m", 600), (300, 300), ("1h30m", 5400), (None, 5400)):  # what was asked last holds
        generate(server, num_predict=1, **({"keep_alive": asked} if asked else {}))
        assert abs(seconds_left(loaded(server)[NAME]) - expected) < 20
    generate(server, num_predict=1, keep_alive=-1)
    assert seconds_left(loaded(server)[NAME]) > CENTURY
    generate(server, num_predict=1, keep_alive="100ms")
    until(lambda: NAME not in loaded(server))


def test_an_empty_prompt_loads_and_unloading_gives_the_memory_back(server: Server) -> None:
    unload(server)
    said = call(server.url, "POST", "/api/generate", {"model": NAME, "keep_alive": "10m"}).value
    assert (said["done"], said["done_reason"], NAME in loaded(server)) == (True, "load", True)
    before = memory(server)
    said = call(
        server.url, "POST", "/api/chat", {"model": NAME, "messages": [], "keep_alive": 0, "stream": False}
    ).value
    assert said["done_reason"] == "unload"
    until(lambda: NAME not in loaded(server))
    until(lambda: memory(server) < before - 60e6)


def test_a_window_lasts_until_another_is_asked_for(server: Server) -> None:
    for asked, shown in ((512, 512), (None, 4096), (100_000, 8192)):
        generate(server, num_predict=1, **({"num_ctx": asked} if asked else {}))
        assert loaded(server)[NAME]["context_length"] == shown


def test_a_crowd_is_answered_or_told_to_wait(server: Server) -> None:
    """Several at once, on two models: none is lost, and an answer is the one that it would be alone."""
    alone = generate(server)["response"]

    def ask(i: int) -> int:
        if i % 4 == 0:
            return call(server.url, "POST", "/api/embed", {"model": EMBED, "input": "a cat"}).status
        reply = call(server.url, "POST", "/api/generate", {
            "model": NAME, "prompt": "Why is the sky blue?", "stream": False,
            "options": {"num_predict": 8, "temperature": 0, "num_thread": 1}})  # fmt: skip
        assert reply.status != 200 or reply.value["response"] == alone
        return reply.status

    with ThreadPoolExecutor(12) as pool:
        told = list(pool.map(ask, range(12)))
    assert set(told) <= {200, 503}
    assert 200 in told


@pytest.mark.parametrize("path", ["/api/generate", "/api/chat", "/v1/chat/completions"])
def test_a_client_that_leaves_holds_nobody_up(server: Server, path: str) -> None:
    """What it asked for is not computed: thousands of tokens would take a minute and more."""
    body = {
        "model": NAME, "prompt": "Tell me a story.", "messages": [{"role": "user", "content": "Tell me a story."}],
        "stream": True, "max_tokens": 6000, "temperature": 1.3, "seed": 4,
        "options": {"num_predict": 6000, "num_thread": 1, "temperature": 1.3, "seed": 4},
    }  # fmt: skip
    with httpx.stream("POST", server.url + path, json=body, timeout=120) as answer:
        assert answer.status_code == 200
        next(answer.iter_lines())
    said = generate(server, "Say yes.", num_predict=2)
    assert said["eval_count"] == 2
    assert said["total_duration"] < 40e9


def test_no_state_of_one_request_reaches_the_next(server: Server) -> None:
    plain = generate(server)["response"]
    for other in ({"repeat_penalty": 3.0}, {"format": "json"}, {"stop": ["sky"]}, {"seed": 3, "temperature": 2.0}):
        generate(server, **other)
        assert generate(server)["response"] == plain
