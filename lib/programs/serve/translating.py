"""Requests to the OpenAI routes as the requests to Ollama's that they mean (its openai/openai.go)."""

from __future__ import annotations

import json
from typing import Any

from programs.serve import refusals
from programs.serve.bodies import kind
from programs.serve.ollama_api import (
    MAX_MESSAGES,
    MAX_TOOLS,
    ChatRequest,
    FunctionCall,
    GenerateRequest,
    GivenCall,
    Message,
)
from programs.serve.openai_api import (
    ChatCompletionRequest,
    ChatMessageGiven,
    ChatToolCall,
    CompletionRequest,
    ResponseFormat,
)
from programs.serve.runner import Refused
from programs.serve.toolcalls import object_in

_GO = {"number": "float64", "string": "string", "bool": "bool", "array": "[]interface {}", "null": "<nil>"}


def as_chat(asked: ChatCompletionRequest) -> ChatRequest:
    """The same request to /api/chat. Raises Refused (400) in the words of Ollama's translation."""
    if not asked.messages:
        raise Refused(400, "[] is too short - 'messages'")
    if len(asked.messages) > MAX_MESSAGES or len(asked.tools) > MAX_TOOLS:
        raise Refused(400, f"at most {MAX_MESSAGES} messages and {MAX_TOOLS} tools here")
    messages = [made for message in asked.messages for made in _messages(message, asked.messages)]
    options: dict[str, Any] = {
        "temperature": 1.0 if asked.temperature is None else asked.temperature,
        "top_p": 1.0 if asked.top_p is None else asked.top_p,
        "num_predict": asked.max_tokens,
        "seed": asked.seed,
        "frequency_penalty": asked.frequency_penalty,
        "presence_penalty": asked.presence_penalty,
        "stop": _stops(asked.stop, strict=False),
    }
    effort = asked.reasoning.effort if asked.reasoning else asked.reasoning_effort or ""
    return ChatRequest.model_construct(
        model=asked.model,
        messages=messages,
        format=_format(asked.response_format),
        options={name: value for name, value in options.items() if value is not None},
        stream=asked.stream,
        tools=asked.tools,
        think=_think(effort),
        logprobs=asked.logprobs,
        top_logprobs=asked.top_logprobs,
        debug_render_only=asked.debug_render_only,
    )


def as_generate(asked: CompletionRequest) -> GenerateRequest:
    """The same request to /api/generate. Raises Refused (400)."""
    options: dict[str, Any] = {
        "temperature": 1.0 if asked.temperature is None else asked.temperature,
        "top_p": asked.top_p or 1.0,
        "num_predict": asked.max_tokens,
        "seed": asked.seed,
        "frequency_penalty": asked.frequency_penalty,
        "presence_penalty": asked.presence_penalty,
        "stop": _stops(asked.stop, strict=True),
    }
    return GenerateRequest.model_construct(
        model=asked.model,
        prompt=asked.prompt,
        options={name: value for name, value in options.items() if value is not None},
        stream=asked.stream,
        suffix=asked.suffix,
        logprobs=bool(asked.logprobs and asked.logprobs > 0),
        top_logprobs=max(asked.logprobs or 0, 0),
        debug_render_only=asked.debug_render_only,
    )


def _stops(given: Any, strict: bool) -> list[str] | None:
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list):
        return None
    wrong = next((item for item in given if not isinstance(item, str)), None)
    if wrong is not None and strict:
        raise Refused(400, f"invalid type for 'stop' field: {_GO.get(kind(wrong), 'map[string]interface {}')}")
    return [item for item in given if isinstance(item, str)]


def _format(given: ResponseFormat | None) -> Any:
    if given is None:
        return None
    named = given.type.strip().lower()
    if named == "json_object":
        return "json"
    return given.json_schema.json_schema if named == "json_schema" and given.json_schema else None


def _think(effort: str) -> bool | str | None:
    levels: dict[str, bool | str | None] = {"": None, "none": False, "minimal": "low", "xhigh": "max", "ultra": "max"}
    levels |= {level: level for level in ("low", "medium", "high", "max")}
    if effort not in levels:
        listed = '"minimal", "low", "medium", "high", "xhigh", "ultra", "max", or "none"'
        raise Refused(400, f"invalid reasoning value: {json.dumps(effort[:100])} (must be {listed})")
    return levels[effort]


def _messages(given: ChatMessageGiven, every: list[ChatMessageGiven]) -> list[Message]:
    calls = _calls(given.tool_calls or [])
    tool_name = given.name or _called(given.tool_call_id, every) if given.role.lower() == "tool" else ""
    more: dict[str, Any] = {"thinking": given.reasoning, "tool_calls": calls, "tool_name": tool_name}
    more["tool_call_id"] = given.tool_call_id
    if isinstance(given.content, str):
        return [Message(role=given.role, content=given.content, **more)]
    if isinstance(given.content, list):
        if len(given.content) > MAX_MESSAGES:
            raise Refused(400, f"content: at most {MAX_MESSAGES} parts here")
        texts = [_text(part) for part in given.content]
        made = [Message(role=given.role, content=text) for text in texts]
        return [*made[:-1], Message(role=given.role, content=texts[-1], **more)] if calls and made else made
    if given.tool_calls is None:
        raise Refused(400, f"invalid message content type: {_GO.get(kind(given.content), 'map[string]interface {}')}")
    return [Message(role=given.role, **more)]


def _text(part: Any) -> str:
    if not isinstance(part, dict):
        raise Refused(400, "invalid message format")
    if part.get("type") == "image_url":
        refusals.not_done("images in requests")
    if part.get("type") == "input_audio":
        refusals.not_done("audio in requests")
    if part.get("type") != "text" or not isinstance(part.get("text"), str):
        raise Refused(400, "invalid message format")
    return str(part["text"])


def _called(call_id: str, every: list[ChatMessageGiven]) -> str:
    """The tool that was called under this id; the last one where several were."""
    named = [call.function.name for message in every for call in message.tool_calls or [] if call.id == call_id]
    return named[-1] if call_id and named else ""


def _calls(given: list[ChatToolCall]) -> list[GivenCall]:
    made = []
    for call in given:
        arguments = object_in(call.function.arguments)
        if arguments is None:
            raise Refused(400, "invalid tool call arguments")
        made.append(GivenCall(id=call.id, function=FunctionCall(name=call.function.name, arguments=arguments)))
    return made
