"""Tools for a model whose template has no place for them: told in the system prompt, called in plain JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

_TOLD = (
    "You may call these tools:\n{tools}\nTo call one, answer with one line of JSON and nothing else: "
    '{{"name": "the tool", "arguments": {{}}}}. Otherwise answer in plain words.'
)
_WRAPPED = re.compile(r"\s*(?:```(?:json)?\s*(.*?)\s*```|<tool_call>\s*(.*?)\s*</tool_call>|(.*?))\s*", re.DOTALL)
_BEGINS = ("{", "```", "<tool_call>")


def told(messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with the tools in the system prompt, and earlier calls and results as plain text."""
    offered = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    system = [m["content"] for m in messages if m["role"] == "system"]
    made = [{"role": "system", "content": "\n\n".join([*system, _TOLD.format(tools=offered)])}]
    for message in messages:
        if message["role"] == "tool":
            made.append(
                {"role": "user", "content": f"Result of {message.get('name', 'the tool')}: {message['content']}"}
            )
        elif message["role"] != "system":
            calls = [_line(call["function"]) for call in message.get("tool_calls", ())]
            made.append({"role": message["role"], "content": "\n".join([message["content"], *calls]).strip()})
    return made


def _line(function: dict[str, Any]) -> str:
    return json.dumps({"name": function["name"], "arguments": json.loads(function["arguments"])}, ensure_ascii=False)


def may_call(text: str) -> bool:
    """Whether an answer that begins so may be a call: then it is held back until it is whole."""
    begun = text.lstrip()
    return not begun or any(begun.startswith(sign) or sign.startswith(begun) for sign in _BEGINS)


def call(text: str, names: Sequence[str]) -> dict[str, Any] | None:
    """The call that a whole answer is: a JSON object whose ``name`` is a tool's and whose ``arguments`` are an object.

    JSON that only mentions a tool is no call, nor is one that is cut off or has no arguments.
    """
    found = _WRAPPED.fullmatch(text)
    try:
        given = json.loads(next((part for part in found.groups() if part), "")) if found else None
    except (ValueError, RecursionError):
        return None
    if isinstance(given, dict) and given.get("arguments", 0) is None:
        given["arguments"] = {}
    if not isinstance(given, dict) or given.get("name") not in names or not isinstance(given.get("arguments"), dict):
        return None
    return {"name": given["name"], "arguments": given["arguments"]}
