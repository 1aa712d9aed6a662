"""The official clients, unchanged, against both servers: Ollama's in Python and JavaScript, OpenAI's in Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import ollama
import openai
import pydantic
import pytest
from calls import LONG
from servers import EMBED, NAME, Server, need
from toolish import ASKED, TOOLISH, WEATHER
from wire import cosines

from workbook import paths

SHORT = {"num_predict": 8, "temperature": 0, "num_thread": 1}
HI = [{"role": "user", "content": "Name three colours."}]


@pytest.fixture
def native(server: Server) -> ollama.Client:
    return ollama.Client(host=server.url)


@pytest.fixture
def portable(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.url + "/v1", api_key="unused", max_retries=0)


class City(pydantic.BaseModel):
    """What a schema of page 21 asks for."""

    city: str = pydantic.Field(max_length=12)
    big: bool


def test_answers_and_streams(native: ollama.Client) -> None:
    said = native.generate(NAME, "Why is the sky blue?", options=SHORT)
    assert (said.done, said.done_reason, said.eval_count) == (True, "length", 8)
    parts = list(native.generate(NAME, "Why is the sky blue?", options=SHORT, stream=True))
    assert "".join(part.response for part in parts) == said.response
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    chat = native.chat(NAME, HI, options=SHORT)
    parts = list(native.chat(NAME, HI, options=SHORT, stream=True))
    assert "".join(part.message.content or "" for part in parts) == chat.message.content
    assert (chat.message.role, chat.message.thinking, chat.message.tool_calls) == ("assistant", None, None)


def test_schemas_tools_thinking(native: ollama.Client) -> None:
    ask = [{"role": "user", "content": "A city."}]
    said = native.chat(NAME, ask, format=City.model_json_schema(), options={**SHORT, "num_predict": 60})
    City.model_validate_json(said.message.content or "")
    called = native.chat(TOOLISH, ASKED, tools=[WEATHER], options={**SHORT, "num_predict": 48, "repeat_penalty": 1})
    assert [call.function.name for call in called.message.tool_calls or ()] == ["get_weather"]
    native.chat(TOOLISH, HI, think=False, options={**SHORT, "num_predict": 1})
    with pytest.raises(ollama.ResponseError, match="does not support thinking") as caught:
        native.chat(NAME, HI, think=True)
    assert caught.value.status_code == 400


def test_vectors_lists_and_memory(native: ollama.Client) -> None:
    said = native.embed(EMBED, ["a cat", "a kitten", "income tax law"])
    older = native.embeddings(EMBED, "a cat")
    assert cosines(said.embeddings[0], older.embedding)[0] > 0.999
    near, far = cosines(said.embeddings[:1] * 2, said.embeddings[1:])
    assert near > 0.6 > 0.3 > far
    assert {NAME, "all-minilm:latest"} <= {model.model for model in native.list().models}
    shown = native.show(NAME)
    assert shown.capabilities == ["completion"]
    assert (shown.modelinfo or {})["llama.context_length"] == 8192
    native.generate(NAME, keep_alive="3m")
    (running,) = [m for m in native.ps().models if m.model == NAME]
    assert (running.context_length, running.size_vram) == (4096, 0)
    assert (running.size or 0) > 90e6


def test_errors(native: ollama.Client) -> None:
    for ask, status, says in (
        (lambda: native.generate("nope", "x"), 404, "not found"),
        (lambda: list(native.chat("nope", HI, stream=True)), 404, "not found"),
        (lambda: native.show("nope"), 404, "not found"),
        (lambda: native.chat(EMBED, HI), 400, "does not support chat"),
        (lambda: native.embed(EMBED, LONG, truncate=False), 400, "context length"),
    ):
        with pytest.raises(ollama.ResponseError, match=says) as caught:
            ask()
        assert caught.value.status_code == status


def test_openai_chat(portable: openai.OpenAI) -> None:
    ask: dict[str, Any] = {"model": NAME, "messages": HI, "max_tokens": 8, "temperature": 0}
    said = portable.chat.completions.create(**ask)
    assert said.choices[0].finish_reason == "length"
    assert said.usage is not None
    assert said.usage.total_tokens == said.usage.prompt_tokens + 8
    chunks = list(portable.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == said.choices[0].message.content
    assert chunks[-1].usage == said.usage
    parsed = portable.chat.completions.parse(**ask | {"max_tokens": 60}, response_format=City)
    assert isinstance(parsed.choices[0].message.parsed, City)
    assert {NAME, "all-minilm:latest"} <= {model.id for model in portable.models.list()}


def test_openai_embeddings(portable: openai.OpenAI) -> None:
    """The client asks for base64 by itself; it must give the same vector as floats do."""
    said = portable.embeddings.create(model=EMBED, input=["a cat", "un chat"])
    floats = portable.embeddings.create(model=EMBED, input=["a cat", "un chat"], encoding_format="float")
    assert cosines(*([one.embedding for one in answer.data] for answer in (said, floats))).min() > 0.999999
    assert [one.index for one in said.data] == [0, 1]


def test_openai_errors(portable: openai.OpenAI) -> None:
    for given, error, says in (
        ({"model": "nope"}, openai.NotFoundError, "not found"),
        ({"messages": []}, openai.BadRequestError, "messages"),
    ):
        for stream in (False, True):
            with pytest.raises(error, match=says):
                portable.chat.completions.create(**{"model": NAME, "messages": HI, "stream": stream, **given})


@pytest.fixture(scope="session")
def javascript() -> Path:
    """A folder with npm's package ``ollama``, fetched once a machine."""
    npm, advice = shutil.which("npm"), "put Node.js and its npm on the path"
    need(npm and shutil.which("node"), "node and npm", advice)
    versions = (paths.root() / ".ci" / "versions").read_text(encoding="utf-8")
    (version,) = [line.partition("=")[2] for line in versions.splitlines() if line.startswith("OLLAMA_JS_VERSION=")]
    folder = paths.cache() / f"ollama-js-{version}"
    if not (folder / "node_modules" / "ollama").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        command = [str(npm), "install", "--no-audit", "--no-fund", "--prefix", str(folder), f"ollama@{version}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        need(
            None if done.returncode else True,
            "npm package ollama",
            done.stderr.strip().splitlines()[-1] if done.stderr else "",
        )
    return folder


def test_javascript(server: Server, javascript: Path) -> None:
    script = Path(__file__).with_name("client.mjs")
    env = {**os.environ, "OLLAMA_URL": server.url, "OLLAMA_MODEL": NAME, "OLLAMA_TOOLS": TOOLISH, "OLLAMA_EMBED": EMBED}
    env |= {
        "ASKED": json.dumps({"messages": ASKED, "tools": [WEATHER]}),
        "PACKAGE": str(javascript / "node_modules" / "ollama"),
    }
    done = subprocess.run(["node", str(script)], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == [
        "generate",
        "stream",
        "chat",
        "format",
        "tools",
        "think",
        "embed",
        "list",
        "show",
        "ps",
        "abort",
        "missing",
    ]
