"""Both APIs' routes, on a pool without a model: what is asked of it, and how its events are answered."""

import base64
import json
import struct

import pytest
from server_samples import ENTRIES, SECRET, FakePool, answer, call

from programs.serve import jobs
from programs.serve.refusals import WHERE
from programs.serve.runner import FOREVER

NAME = "smollm2:135m"
USER = [{"role": "user", "content": "hi"}]


def lines(reply):
    return [json.loads(line) for line in reply.text.splitlines()]


def events(reply):
    blocks = reply.text.removesuffix("\n\n").split("\n\n")
    assert all(block.startswith("data: ") for block in blocks)
    return [block[6:] if block == "data: [DONE]" else json.loads(block[6:]) for block in blocks]


def post(path, pool=None, **body):
    return call(pool or FakePool(answer("Good", "bye")), "POST", path, json=body)


def test_a_streamed_generate():
    reply = post("/api/generate", FakePool(answer("Good", "bye", context=(1, 2))), model=NAME, prompt="hi")
    assert reply.headers["content-type"] == "application/x-ndjson"
    first, second, last = lines(reply)
    assert list(first) == ["model", "created_at", "response", "done"]
    assert (first["response"], second["response"], last["response"]) == ("Good", "bye", "")
    assert (last["done"], last["done_reason"], last["context"]) == (True, "stop", [1, 2])
    assert (last["prompt_eval_count"], last["prompt_eval_duration"], last["eval_count"]) == (10, 2000, 2)
    assert last["load_duration"] >= 1_000
    assert last["total_duration"] > 0


def test_a_generate_in_one():
    reply = post("/api/generate", model=NAME, prompt="hi", stream=False, logprobs=True, top_logprobs=1)
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    whole = reply.json()
    assert (whole["response"], whole["done"]) == ("Goodbye", True)
    assert whole["logprobs"][0] == {
        "token": "Good",
        "logprob": -0.5,
        "bytes": [71, 111, 111, 100],
        "top_logprobs": [{"token": "Good", "logprob": -0.5, "bytes": [71, 111, 111, 100]}],
    }


def test_what_a_generate_asks_of_the_model():
    pool = FakePool(answer("x"))
    post(
        "/api/generate",
        pool,
        model=NAME,
        prompt="p",
        system="s",
        context=[5],
        truncate=False,
        keep_alive=-1,
        options={"seed": 3, "num_ctx": 512, "stop": ["a"]},
    )
    ((entry, job, setting, keep),) = pool.jobs
    assert (entry, setting, keep) == (ENTRIES[NAME], jobs.Setting(num_ctx=512), FOREVER)
    assert job.messages == (jobs.ChatMessage("system", "s"), jobs.ChatMessage("user", "p"))
    assert (job.prompt, job.context, job.truncate, job.shift, job.with_context) == ("", (5,), False, True, True)
    assert (job.sampling.seed, job.sampling.stop, job.sampling.temperature) == (3, ("a",), 0.8)
    post("/api/generate", pool, model=NAME, prompt="p", raw=True)
    job = pool.jobs[-1][1]
    assert (job.prompt, job.messages, job.with_context) == ("p", (), False)


def test_a_repeating_answer_ends_without_a_last_line():
    pool = FakePool(answer("a", "a", reason="repeats"))
    assert [line["done"] for line in lines(post("/api/generate", pool, model=NAME, prompt="p"))] == [False, False]
    whole = post("/api/chat", pool, model=NAME, messages=USER, stream=False).json()
    assert (whole["message"]["content"], whole["done"]) == ("aa", False)
    assert "[DONE]" not in post("/v1/chat/completions", pool, model=NAME, messages=USER, stream=True).text


def test_a_failure_before_the_first_piece_has_a_status_and_later_a_line():
    early = FakePool([jobs.Failed(503, "server busy")])
    late = FakePool([*answer("a")[:2], jobs.Failed(500, "the model stopped")])
    for stream in (True, False):
        reply = post("/api/generate", early, model=NAME, prompt="p", stream=stream)
        assert (reply.status_code, reply.json()) == (503, {"error": "server busy"})
    assert lines(post("/api/generate", late, model=NAME, prompt="p"))[-1] == {"error": "the model stopped"}
    assert post("/api/generate", late, model=NAME, prompt="p", stream=False).status_code == 500
    assert events(post("/v1/chat/completions", late, model=NAME, messages=USER, stream=True))[-1]["error"][
        "message"
    ] == ("the model stopped")


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/api/generate", {"model": NAME}, "load"),
        ("/api/generate", {"model": NAME, "keep_alive": "0"}, "unload"),
        ("/api/chat", {"model": NAME, "messages": []}, "load"),
        ("/api/chat", {"model": NAME, "keep_alive": 0}, "unload"),
    ],
)
def test_nothing_to_say_loads_or_unloads(path, body, reason):
    pool = FakePool([jobs.Ready(2048, 2048, 5)])
    whole = post(path, pool, **body).json()
    assert (whole["done"], whole["done_reason"], "total_duration" in whole) == (True, reason, False)
    assert bool(pool.unloaded) == (reason == "unload")
    assert [type(job) for _, job, _, _ in pool.jobs] == ([jobs.Load] if reason == "load" else [])


def test_a_chat_with_thinking_and_calls():
    text = '<think>let me see</think>Well<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>'
    tools = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}]
    pool = FakePool(answer(*text))
    whole = post("/api/chat", pool, model="thinker:1b", messages=USER, tools=tools, stream=False).json()["message"]
    assert (whole["thinking"], whole["content"]) == ("let me see", "Well")
    (made,) = whole["tool_calls"]
    assert made["function"] == {"index": 0, "name": "add", "arguments": {"a": 1}}
    assert len(made["id"]) == 32
    assert made["id"].isalnum()
    job = pool.jobs[0][1]
    assert (job.think, json.loads(job.tools)) == (True, tools)
    choice = post("/v1/chat/completions", pool, model="thinker:1b", messages=USER, tools=tools).json()["choices"][0]
    assert (choice["finish_reason"], choice["message"]["reasoning"]) == ("tool_calls", "let me see")
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"a":1}'}
    streamed = events(post("/v1/chat/completions", pool, model="thinker:1b", messages=USER, tools=tools, stream=True))
    assert streamed[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_thinking_can_be_off_and_a_format_turns_it_off():
    pool = FakePool(answer("<think>", "x"))
    whole = post("/api/chat", pool, model="thinker:1b", messages=USER, think=False, stream=False).json()
    assert whole["message"] == {"role": "assistant", "content": "<think>x"}
    post("/api/chat", pool, model="thinker:1b", messages=USER, format="json", think=True, stream=False)
    assert [job.think for _, job, _, _ in pool.jobs] == [False, False]


def test_a_prompt_that_ends_inside_thinking():
    pool = FakePool(answer("abc</think>", "def", thinking=True))
    message = post("/api/chat", pool, model="thinker:1b", messages=USER, stream=False).json()["message"]
    assert (message["thinking"], message["content"]) == ("abc", "def")


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/api/generate", {"model": "", "prompt": "p"}, 404, "model '' not found"),
        ("/api/generate", {"model": "nope", "prompt": "p"}, 404, "model 'nope' not found"),
        ("/api/chat", {"messages": USER}, 400, "model is required"),
        ("/api/generate", {"model": "../x", "prompt": "p"}, 400, "invalid model name"),
        ("/api/chat", {"model": "/etc/passwd", "messages": USER}, 400, "invalid model name"),
        ("/api/show", {"model": "C:\\x"}, 400, "invalid model name"),
        ("/api/show", {"model": "nope"}, 404, "model 'nope:latest' not found"),
        ("/api/show", {}, 400, "model is required"),
        ("/api/embed", {"model": "nope", "input": "a"}, 404, 'model "nope" not found, try pulling it first'),
        ("/api/embed", {"model": "all-minilm", "input": ["a", 5]}, 400, "invalid input type"),
        ("/api/embed", {"model": "all-minilm", "input": ["a"] * 3000}, 400, "input: at most 2048 texts"),
        ("/api/embed", {"model": NAME, "input": "a"}, 501, "This server does not support embeddings."),
        ("/api/embeddings", {"prompt": "a"}, 400, "model is required"),
        ("/api/pull", {}, 400, "invalid model name"),
        ("/api/generate", {"model": "all-minilm", "prompt": "p"}, 400, '"all-minilm" does not support generate'),
        ("/api/chat", {"model": "all-minilm", "messages": USER}, 400, '"all-minilm" does not support chat'),
        ("/api/generate", {"model": NAME, "prompt": "p", "think": True}, 400, f'"{NAME}" does not support thinking'),
        (
            "/api/chat",
            {"model": NAME, "messages": USER, "tools": [{"type": "function"}]},
            400,
            f"registry.ollama.ai/library/{NAME} does not support tools",
        ),
        ("/api/generate", {"model": NAME, "raw": True, "system": "s"}, 400, "raw mode does not support template,"),
        ("/api/generate", {"model": NAME, "prompt": "p" * 4_000_001}, 400, "a prompt has at most"),
        ("/api/chat", {"model": NAME, "messages": USER * 5000}, 400, "messages: at most"),
    ],
)
def test_what_is_refused(path, body, status, words):
    pool = FakePool(answer("x"))
    reply = call(pool, "POST", path, json=body)
    assert reply.status_code == status
    assert reply.json()["error"].startswith(words)
    assert not pool.jobs


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        *(("POST", "/api/create", {}), ("POST", "/api/copy", {}), ("DELETE", "/api/delete", {})),
        *(("POST", "/api/push", {}), ("POST", "/api/blobs/sha256:x", {}), ("POST", "/v1/responses", {})),
        ("POST", "/api/generate", {"model": NAME, "prompt": "p", "images": ["AAAA"]}),
        ("POST", "/api/generate", {"model": NAME, "prompt": "p", "suffix": "s"}),
        ("POST", "/api/generate", {"model": NAME, "prompt": "p", "template": "t"}),
        ("POST", "/api/chat", {"model": NAME, "messages": [{"role": "user", "images": ["AAAA"]}]}),
        ("POST", "/v1/completions", {"model": NAME, "prompt": "p", "suffix": "s"}),
        (
            "POST",
            "/v1/chat/completions",
            {"model": NAME, "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]},
        ),
    ],
)
def test_what_is_not_done_says_where_it_is(method, path, body):
    reply = call(FakePool(), method, path, json=body)
    assert reply.status_code == 501
    assert WHERE in reply.text
    assert "stand-in" in reply.text


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/v1/chat/completions", {"model": NAME}, "[] is too short - 'messages'"),
        (
            "/v1/chat/completions",
            {"model": NAME, "messages": [{"role": "user", "content": 5}]},
            "invalid message content type: float64",
        ),
        (
            "/v1/chat/completions",
            {"model": NAME, "messages": [{"role": "user", "content": ["x"]}]},
            "invalid message format",
        ),
        (
            "/v1/chat/completions",
            {"model": NAME, "messages": USER, "reasoning_effort": "zz"},
            'invalid reasoning value: "zz"',
        ),
        (
            "/v1/chat/completions",
            {"model": NAME, "messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": "5"}}]}]},
            "invalid tool call arguments",
        ),
        ("/v1/completions", {"model": NAME, "stop": [5]}, "invalid type for 'stop' field: float64"),
        ("/v1/embeddings", {"model": "all-minilm"}, "invalid input"),
        ("/v1/embeddings", {"model": "all-minilm", "input": "a", "encoding_format": "x"}, "Invalid value for"),
    ],
)
def test_what_the_openai_routes_refuse(path, body, words):
    reply = call(FakePool(), "POST", path, json=body)
    error = reply.json()["error"]
    assert (reply.status_code, error["type"], error["param"], error["code"]) == (
        400,
        "invalid_request_error",
        None,
        None,
    )
    assert error["message"].startswith(words)


def test_what_an_openai_chat_asks_of_the_model():
    pool = FakePool(answer("x"))
    asked = [
        {"role": "system", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": '{"x": 1}'}}]},
        {"role": "tool", "tool_call_id": "1", "content": "r"},
    ]
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    post("/v1/chat/completions", pool, model=NAME, messages=asked, max_tokens=7, stop="s", response_format=form)
    job = pool.jobs[0][1]
    assert job.messages == (
        jobs.ChatMessage("system", "a"),
        jobs.ChatMessage("system", "b"),
        jobs.ChatMessage("assistant", tool_calls=(jobs.ToolCall("f", '{"x": 1}', "1"),)),
        jobs.ChatMessage("tool", "r", tool_name="f", tool_call_id="1"),
    )
    assert (job.sampling.temperature, job.sampling.top_p, job.sampling.num_predict) == (1.0, 1.0, 7)
    assert (job.sampling.stop, json.loads(job.format)) == (("s",), {"type": "object"})


def test_a_streamed_openai_chat():
    reply = post("/v1/chat/completions", model=NAME, messages=USER, stream=True, stream_options={"include_usage": True})
    assert reply.headers["content-type"] == "text/event-stream"
    first, second, finish, usage, end = events(reply)
    assert first["choices"] == [{"index": 0, "delta": {"role": "assistant", "content": "Good"}, "finish_reason": None}]
    assert second["choices"][0]["delta"] == {"content": "bye"}
    assert finish["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert (usage["choices"], usage["usage"]["total_tokens"], end) == ([], 12, "[DONE]")
    assert len({chunk["id"] for chunk in (first, second, finish, usage)}) == 1


def test_openai_completions():
    assert post("/v1/completions", model=NAME, prompt="p").json()["choices"] == [
        {"text": "Goodbye", "index": 0, "finish_reason": "stop"}
    ]
    texts = [
        event["choices"][0]["text"]
        for event in events(post("/v1/completions", model=NAME, prompt="p", stream=True))[:-1]
    ]
    assert texts == ["Good", "bye", ""]


def test_vectors_of_both_apis():
    vector = (0.1, -0.25)
    pool = FakePool([jobs.Vectors((vector, vector), 6, 5)])
    whole = post("/api/embed", pool, model="all-minilm", input=["a", "b"], dimensions=2, truncate=False).json()
    assert (whole["embeddings"][0], whole["prompt_eval_count"]) == ([0.1, -0.25], 6)
    assert pool.jobs[0][1] == jobs.Embed(("a", "b"), False, 2)
    assert post("/api/embeddings", pool, model="all-minilm", prompt="a").json() == {
        "embedding": [0.10000000149011612, -0.25]
    }
    listed = post("/v1/embeddings", pool, model="all-minilm", input="a", encoding_format="base64").json()
    assert struct.unpack("<2f", base64.b64decode(listed["data"][0]["embedding"])) == pytest.approx(vector)
    assert post("/api/embed", FakePool(), model="all-minilm", input=[]).json()["embeddings"] == []


def test_the_lists():
    tags = call(FakePool(), "GET", "/api/tags").json()["models"]
    assert [model["name"] for model in tags] == list(ENTRIES)
    ps = call(FakePool(), "GET", "/api/ps").json()["models"][0]
    assert (ps["size_vram"], ps["context_length"], ps["expires_at"]) == (0, 2048, "2026-01-02T03:09:05.6789Z")
    assert call(FakePool(), "GET", "/v1/models").json()["data"][0]["owned_by"] == "library"
    assert call(FakePool(), "GET", "/v1/models/all-minilm").json()["id"] == "all-minilm"


def test_pull_of_what_is_here_and_of_what_is_not():
    said = [line["status"] for line in lines(post("/api/pull", model=NAME))]
    assert said == [
        "pulling manifest",
        "pulling abababababab",
        "verifying sha256 digest",
        "writing manifest",
        "success",
    ]
    assert post("/api/pull", model=NAME, stream=False).json() == {"status": "success"}
    absent = post("/api/pull", model="nope")
    assert (absent.status_code, len(lines(absent))) == (200, 2)
    assert lines(absent)[1]["error"].startswith("pull model manifest: file does not exist")
    assert post("/api/pull", model="nope", stream=False).status_code == 500


def test_the_plain_ones():
    for method in ("GET", "HEAD"):
        reply = call(FakePool(), method, "/")
        assert (reply.status_code, reply.text) == (200, "Ollama is running" if method == "GET" else reply.text)
    unknown = call(FakePool(), "GET", "/nope")
    assert (unknown.status_code, unknown.text, unknown.headers["content-type"]) == (
        404,
        "404 page not found",
        "text/plain",
    )
    wrong = call(FakePool(), "PUT", "/api/chat")
    assert (wrong.status_code, wrong.text, wrong.headers["allow"]) == (405, "405 method not allowed", "POST")
    assert call(FakePool(), "GET", "/api/tags/").headers["location"] == "/api/tags"
    assert call(FakePool(), "GET", "http://127.0.0.1:11434//evil.com/").status_code == 404
    for path in ("/docs", "/redoc"):
        assert call(FakePool(), "GET", path).status_code == 404


def test_our_own_description_names_every_body():
    made = call(FakePool(), "GET", "/openapi.json").json()
    named = json.dumps(made["paths"])
    for path in ("/api/generate", "/api/chat", "/v1/chat/completions"):
        assert path in made["paths"]
    for name in ("GenerateRequest", "ChatRequest", "ChatCompletionRequest", "Message"):
        assert name in made["components"]["schemas"]
    assert "#/components/schemas/GenerateRequest" in named


@pytest.mark.parametrize("path", ["/api/tags", "/api/ps", "/v1/models", "/openapi.json"])
def test_no_answer_carries_a_path(path):
    assert SECRET.parts[1] not in call(FakePool(), "GET", path).text
    assert SECRET.parts[1] not in post("/api/show", model=NAME).text


def test_the_prompt_can_be_seen_without_an_answer():
    reply = post("/api/chat", model=NAME, messages=USER, _debug_render_only=True)
    assert reply.json()["_debug_info"] == {"rendered_template": "<prompt>"}
