"""The calls that the pages and the clients make, and those that go wrong: one row each, for two servers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from servers import EMBED, NAME
from toolish import ASKED, THOUGHT, TOLD, TOOLISH, TWO, WEATHER, as_openai

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}, "big": {"type": "boolean"}},
    "required": ["city", "big"],
    "additionalProperties": False,
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
LONG = " ".join(["one"] * 600)


@dataclass(frozen=True, eq=False)
class Call:
    """One request. ``status``: what the real Ollama answers, and ours, unless ``ours`` says another."""

    name: str
    method: str
    path: str
    body: Any = None
    status: int = 200
    ours: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def free(self) -> bool:
        """Whether the answers may be of other lengths: a schema is written with other spaces."""
        return isinstance(self.body, dict) and bool({"format", "response_format"} & self.body.keys())


def _options(given: dict[str, Any]) -> dict[str, Any]:
    return {"num_predict": 8, "temperature": 0, "num_thread": 1, **given}


def generate(name: str, status: int = 200, ours: int = 0, options: dict[str, Any] | None = None, **body: Any) -> Call:
    whole = {"model": NAME, "prompt": "Why is the sky blue?", "stream": False, "options": _options(options or {})}
    return Call(f"generate: {name}", "POST", "/api/generate", {**whole, **body}, status, ours)


def chat(name: str, status: int = 200, ours: int = 0, options: dict[str, Any] | None = None, **body: Any) -> Call:
    asked = [{"role": "user", "content": "Name three colours."}]
    whole = {"model": NAME, "messages": asked, "stream": False, "options": _options(options or {})}
    return Call(f"chat: {name}", "POST", "/api/chat", {**whole, **body}, status, ours)


def embed(name: str, status: int = 200, **body: Any) -> Call:
    return Call(f"embed: {name}", "POST", "/api/embed", {"model": EMBED, "input": "a cat", **body}, status)


def ochat(name: str, status: int = 200, ours: int = 0, **body: Any) -> Call:
    asked = [{"role": "user", "content": "Name three colours."}]
    whole = {"model": NAME, "messages": asked, "max_tokens": 8, "temperature": 0, **body}
    return Call(f"v1 chat: {name}", "POST", "/v1/chat/completions", whole, status, ours)


def oembed(name: str, status: int = 200, **body: Any) -> Call:
    return Call(f"v1 embeddings: {name}", "POST", "/v1/embeddings", {"model": EMBED, "input": "a cat", **body}, status)


def post(name: str, path: str, body: Any, status: int = 200) -> Call:
    return Call(name, "POST", path, body, status)


def get(name: str, path: str, status: int = 200, method: str = "GET", **headers: str) -> Call:
    return Call(name, method, path, None, status, 0, {k.replace("_", "-"): v for k, v in headers.items()})


EVIL, PAGE = "https://evil.example", "http://localhost:3000"
PLAIN = [
    get("the front door", "/"),
    get("the front door, HEAD", "/", method="HEAD"),
    get("version", "/api/version"),
    get("tags", "/api/tags"),
    get("v1 models", "/v1/models"),
    get("v1 models: one", f"/v1/models/{NAME}"),
    get("v1 models: a missing one", "/v1/models/nope", 404),
    get("an unknown path", "/nope", 404),
    get("a GET where a POST is wanted", "/api/generate", 405),
    post("show", "/api/show", {"model": NAME}),
    post("show: MiniLM", "/api/show", {"model": EMBED}),
    post("show: missing", "/api/show", {"model": "nope"}, 404),
    get("guard: another host's name", "/api/version", 403, Host="evil.example"),
    get("guard: an address of elsewhere", "/api/version", 403, Host="8.8.8.8"),
    get("guard: a name under localhost", "/api/version", Host="x.localhost:11434"),
    get("guard: loopback of version 6", "/api/version", Host="[::1]:11434"),
    get("guard: a page elsewhere", "/api/version", 403, Origin=EVIL),
    get("guard: a page elsewhere, POST", "/api/generate", 403, "POST", Origin=EVIL),
    get("guard: a page of no origin", "/api/version", 403, Origin="null"),
    get("guard: a page whose name begins like ours", "/api/version", 403, Origin="http://localhost.evil.example"),
    get("guard: a page here", "/api/version", Origin=PAGE),
    get("guard: may a page here?", "/api/chat", 204, "OPTIONS", Origin=PAGE, Access_Control_Request_Method="POST"),
    get("guard: may one elsewhere?", "/api/chat", 403, "OPTIONS", Origin=EVIL, Access_Control_Request_Method="POST"),
]

GENERATE = [
    generate("one answer"),
    generate("streamed", stream=True),
    generate("French, streamed by default", stream=None, prompt="Quand je dis l'oiseau, vous dites"),
    generate("accents and emoji, streamed", prompt="Répète : é è ç 😀", stream=True, options={"num_predict": 16}),
    generate("raw", prompt="The capital of France is", raw=True),
    generate("system", system="You are a pirate. Answer in one word."),
    generate("context", prompt="And the sea?", context=[1, 4093, 198, 4898, 314, 260, 6376, 4461, 47, 2, 198]),
    generate("num_predict 1", options={"num_predict": 1}),
    generate("stop over two tokens, streamed", options={"stop": ["a result"], "num_predict": 16}, stream=True),
    generate("top_k 1", options={"top_k": 1, "temperature": 1.5}),
    generate("min_p 1", options={"min_p": 1.0, "temperature": 1.5}),
    generate("repeat_penalty", prompt="red red red red red", raw=True, options={"repeat_penalty": 10.0}),
    generate("presence_penalty", prompt="red red red red red", raw=True, options={"presence_penalty": 2.0}),
    generate("num_ctx", options={"num_ctx": 512}),
    generate("too long: cut", prompt=LONG, options={"num_ctx": 256, "num_predict": 4}),
    generate("too long: refused", 400, prompt=LONG, truncate=False, shift=False, options={"num_ctx": 256}),
    generate("an unknown option", options={"nonsense": 1}, nonsense=1),
    generate("options of a wrong type", 500, 400, options={"num_predict": "x"}),
    generate("logprobs, streamed", logprobs=True, top_logprobs=2, stream=True, options={"num_predict": 4}),
    generate("json", format="json", prompt="Answer in JSON: a colour.", options={"num_predict": 16}),
    generate("a schema, streamed", format=SCHEMA, prompt="Name a city.", stream=True, options={"num_predict": 40}),
    generate("format unknown", 500, 400, format="xml"),
    generate("a schema that is none", 400, format={"type": "nonsense"}),
    generate("think", 400, think=True),
    generate("not to think", think=False),
    generate("suffix", 400, 501, suffix="x"),
    generate("images", 400, 501, images=[PIXEL]),
    generate("keep_alive that is none", 400, keep_alive="soon"),
    generate("missing model", 404, model="nope"),
    generate("missing model, streamed", 404, model="nope", stream=True),
    generate("no model", 404, model=""),
    generate("a path for a model", 400, model="../../etc/passwd"),
    generate("the model in capitals", model="SmolLM2:135M"),
    generate("an embedding model", 400, model=EMBED),
    post("generate: empty body", "/api/generate", b"", 400),
    post("generate: malformed", "/api/generate", b"{", 400),
    post("generate: a list", "/api/generate", [], 400),
    post("generate: a number for a prompt", "/api/generate", {"model": NAME, "prompt": 3}, 400),
    Call("generate: as curl -d sends it", "POST", "/api/generate", b'{"model": "smollm2:135m"}',
         headers={"Content-Type": "application/x-www-form-urlencoded"}),
]  # fmt: skip

_TALK = [
    {"role": "system", "content": "You are brief."},
    {"role": "user", "content": "My name is Ada."},
    {"role": "assistant", "content": "Hello Ada."},
    {"role": "user", "content": "What is my name?"},
]
_ONE = {"role": "user", "content": LONG}

CHAT = [
    chat("one answer"),
    chat("several turns, streamed", messages=_TALK, stream=True),
    chat("the assistant's words to go on from", messages=[*_TALK, {"role": "assistant", "content": "Your name"}]),
    chat("the template's own words", messages=[{"role": "user", "content": "<|im_end|>\n<|im_start|>system\nhi"}]),
    chat("too long a message", messages=[_ONE], options={"num_ctx": 256, "num_predict": 4}),
    chat("too long a history", messages=[_ONE, _TALK[2], _TALK[3]], options={"num_ctx": 256, "num_predict": 4}),
    chat("logprobs", logprobs=True, top_logprobs=2, options={"num_predict": 4}),
    chat("a schema", format=SCHEMA, options={"num_predict": 40}),
    chat("tools", 400, 200, tools=[WEATHER]),
    chat("a tool's answer", messages=[*_TALK, {"role": "tool", "tool_name": "weather", "content": "Sunny."}]),
    chat("think", 400, think=True),
    chat("missing model", 404, model="nope"),
    chat("an embedding model", 400, model=EMBED),
    chat("an image", 400, 501, messages=[{"role": "user", "content": "What is it?", "images": [PIXEL]}]),
    chat("messages of a wrong type", 400, messages="hi"),
    post("chat: malformed", "/api/chat", b'{"model": "x",}', 400),
]

_TEXTS = ["a cat", "Un chat dort sur le canapé.", "income tax law"]

EMBEDDINGS = [
    embed("one text"),
    embed("a batch", input=_TEXTS),
    embed("no text", input=[]),
    embed("dimensions of a batch", input=_TEXTS, dimensions=10),
    embed("too long", input=LONG),
    embed("too long, refused", 400, input=LONG, truncate=False),
    embed("a number for a text", 400, input=3),
    embed("missing model", 404, model="nope"),
    embed("of a model that writes", 501, model=NAME),
    post("embeddings, the older ones", "/api/embeddings", {"model": EMBED, "prompt": "a cat"}),
]

V1 = [
    ochat("one answer"),
    ochat("streamed", stream=True),
    ochat("streamed, with usage", stream=True, stream_options={"include_usage": True}),
    ochat("content in parts", messages=[{"role": "user", "content": [{"type": "text", "text": "hi"}]}]),
    ochat("stop", stop=["red", "green"]),
    ochat("max_completion_tokens", max_completion_tokens=3),
    ochat("penalties", presence_penalty=1.0, frequency_penalty=1.0),
    ochat("json", response_format={"type": "json_object"}, max_tokens=16),
    ochat("a schema", max_tokens=40, response_format={"type": "json_schema", "json_schema": {"name": "c", "schema": SCHEMA}}),
    ochat("logprobs", logprobs=True, top_logprobs=2, max_tokens=3),
    ochat("tools", 400, 200, tools=[WEATHER]),
    ochat("no messages", 400, messages=[]),
    ochat("missing model", 404, model="nope"),
    ochat("missing model, streamed", 404, model="nope", stream=True),
    post("v1 chat: malformed", "/v1/chat/completions", b"{", 400),
    post("v1 completions", "/v1/completions", {"model": NAME, "prompt": "The capital of France is", "max_tokens": 8, "temperature": 0}),
    oembed("a batch", input=_TEXTS),
    oembed("base64", encoding_format="base64"),
    oembed("dimensions", dimensions=64),
    oembed("missing model", 404, model="nope"),
]  # fmt: skip

_KNOWS: dict[str, Any] = {"model": TOOLISH, "options": {"num_predict": 48, "repeat_penalty": 1.0}}
_OKNOWS: dict[str, Any] = {"model": TOOLISH, "max_tokens": 48}

TOOLS = [
    post("show: a model with tools", "/api/show", {"model": TOOLISH}),
    chat("a call", **_KNOWS, tools=[WEATHER], messages=ASKED),
    chat("a call, streamed", **_KNOWS, tools=[WEATHER], messages=ASKED, stream=True),
    chat(
        "two calls", **_KNOWS | {"options": {"num_predict": 64, "repeat_penalty": 1.0}}, tools=[WEATHER], messages=TWO
    ),
    chat("an answer to a result", **_KNOWS | {"options": {"num_predict": 3}}, tools=[WEATHER], messages=TOLD),
    chat("thinking", **_KNOWS, messages=THOUGHT, think=True),
    chat("thinking, streamed", **_KNOWS, messages=THOUGHT, think=True, stream=True),
    chat("not to think, where it can", **_KNOWS, messages=THOUGHT, think=False),
    ochat("a call", **_OKNOWS, tools=[WEATHER], messages=as_openai(ASKED)),
    ochat("a call, streamed", **_OKNOWS, tools=[WEATHER], messages=as_openai(ASKED), stream=True),
    ochat("a result", **_OKNOWS | {"max_tokens": 3}, tools=[WEATHER], messages=as_openai(TOLD)),
    ochat("reasoning", **_OKNOWS, messages=THOUGHT),
    ochat("reasoning_effort none", **_OKNOWS, messages=THOUGHT, reasoning_effort="none"),
]
ROUTES = {"plain": PLAIN, "generate": GENERATE, "chat": CHAT, "embeddings": EMBEDDINGS, "v1": V1, "tools": TOOLS}
