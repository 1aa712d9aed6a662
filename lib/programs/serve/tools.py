"""Tools for a model whose template has no place for them: told in the system prompt, called in plain JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

_TOLD = (
    "You may call these tools:\n{tools}\nTo call one, answer with one line of JSON and nothing else: "
    '{{"name": "the tool", "arguments": {{}}}}. Otherwise answer in plain words.'
)
_FENCES = ("```json", "```", "<tool_call>")
_BEGINS = ("{", "```", "<tool_call>")


def told(messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with the tools in the system prompt, and earlier calls and results as plain text."""
    offered = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    system = [m["content"] for m in messages if m["role"] == "system"]
    made = [{"role": "system", "content": "\n\n".join([*system, _TOLD.format(tools=offered)])}]
    for message in messages:
        if message["role"] == "tool":
            result = f"Result of {message.get('name', 'the tool')}: {message['content']}"
            made.append({"role": "user", "content": result})
        elif message["role"] != "system":
            called = [call["function"] for call in message.get("tool_calls", ())]
            calls = [f'{{"name": {json.dumps(one["name"])}, "arguments": {one["arguments"]}}}' for one in called]
            made.append({"role": message["role"], "content": "\n".join([message["content"], *calls]).strip()})
    return made


def may_call(text: str) -> bool:
    """Whether an answer that begins so may be a call: then it is held back until it is whole."""
    begun = text.lstrip()
    return not begun or any(begun.startswith(sign) or sign.startswith(begun) for sign in _BEGINS)


def call(text: str, names: Sequence[str]) -> dict[str, Any] | None:
    """The call that a whole answer is: a JSON object whose ``name`` is a tool's and whose ``arguments`` are an object.

    JSON that only mentions a tool is no call, nor is one that is cut off or has no arguments.
    """
    for fence in _FENCES:
        text = text.strip().removeprefix(fence).removesuffix(fence.replace("<", "</"))
    try:
        given = json.loads(text)
        name, arguments = given["name"], {} if given["arguments"] is None else given["arguments"]
    except (ValueError, RecursionError, TypeError, KeyError):
        return None
    return {"name": name, "arguments": arguments} if name in names and isinstance(arguments, dict) else None
