"""What ``workbook serve`` adds to a model: the YAML beside a file, and tools where the template has no place for them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from servers import NAME, Server, workbook_serving

from programs.serve import tools
from programs.serve.cards import Defaults
from workbook import models
from workbook.errors import BadOption

YAML = """
parameters: {num_predict: 3, temperature: 0, stop: [Ahoy]}
system: You are a pirate.
license: Apache 2.0
"""
WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "description": "The weather of a city.", "parameters": {"type": "object"}},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("serve")
    os.symlink(models.packaged(), folder / "pirate.gguf")
    (folder / "pirate.yaml").write_text(YAML)
    with workbook_serving(folder, "--model", f"pirate={folder / 'pirate.gguf'}") as running:
        yield running


def post(server: Server, path: str, **body: Any) -> Any:
    answer = httpx.post(server.url + path, json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_yaml_beside_a_file_is_its_modelfile(server: Server) -> None:
    shown = post(server, "/api/show", model="pirate")
    assert (shown["system"], shown["license"]) == ("You are a pirate.", "Apache 2.0")
    assert "Ahoy" in shown["parameters"]
    ask = {"prompt": "Who are you?", "stream": False}
    said, plain = (
        post(server, "/api/generate", model=name, **ask, options=options)
        for name, options in (("pirate", {}), (NAME, {"num_predict": 1}))
    )
    assert said["eval_count"] == 3
    assert said["prompt_eval_count"] > plain["prompt_eval_count"], "the system prompt is read"
    assert post(server, "/api/generate", model="pirate", **ask, options={"num_predict": 1})["eval_count"] == 1


def test_a_yaml_that_says_something_else_is_refused(tmp_path: Path) -> None:
    for text, says in (("parameter: {}", "parameter: Extra"), ("[", "cannot be read"), ("parameters: 3", "read")):
        (tmp_path / "m.yaml").write_text(text)
        with pytest.raises(BadOption, match=says) as caught:
            Defaults.beside(tmp_path / "m.gguf")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"name": "get_time", "arguments": {}}', "get_time"),
        ('{"arguments": {"q": "search and get_time"}, "name": "search"}', "search"),
        ('```json\n{"name": "get_time", "arguments": null}\n```', "get_time"),
        ('<tool_call>{"name": "get_time", "arguments": {}}</tool_call>', "get_time"),
        ('{"note": "use get_time later", "x": {"name": "get_time"}}', None),
        ('{"name": "search", "arguments": {"q": "cut o', None),
        ('{"name": "rm", "arguments": {}}', None),
        ("{'name': 'get_time', 'arguments': {}}", None),
        ('{"name": "get_time", "arguments": "now"}', None),
        ("[" * 100_000, None),
    ],
)
def test_what_is_a_call_and_what_only_looks_so(text: str, name: str | None) -> None:
    found = tools.call(text, ["get_time", "search"])
    assert (found or {}).get("name") == name
    assert found is None or tools.may_call(text[:3])


def test_a_model_without_a_template_for_tools_is_told_of_them(server: Server) -> None:
    ask = {"model": NAME, "messages": [{"role": "user", "content": "Hello"}], "stream": False}
    options = {"num_predict": 4, "temperature": 0}
    with_tools, plain = (
        post(server, "/api/chat", **ask, options=options, tools=offered) for offered in ([WEATHER], [])
    )
    assert with_tools["prompt_eval_count"] > plain["prompt_eval_count"] + 20
    # An answer that a grammar makes a call, under a prompt of tools: it comes as one, not as text.
    call = {
        "properties": {"name": {"const": "get_weather"}, "arguments": {"const": {}}},
        "required": ["name", "arguments"],
    }
    said = post(
        server, "/api/chat", **ask, options={"num_predict": 40}, tools=[WEATHER], format={"type": "object", **call}
    )
    assert said["message"]["tool_calls"][0]["function"] == {"index": 0, "name": "get_weather", "arguments": {}}
    assert said["message"]["content"] == ""
    body = {**ask, "stream": True, "tools": [WEATHER], "options": options}
    lines = httpx.post(server.url + "/api/chat", json=body, timeout=60).text.splitlines()
    assert "".join(json.loads(line)["message"]["content"] for line in lines) == with_tools["message"]["content"]
