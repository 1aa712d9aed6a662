"""The bodies that the OpenAI routes take, as Ollama reads them (its openai/openai.go)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from programs.serve.bodies import Body
from programs.serve.ollama_api import Many, Tool


class StreamOptions(Body):
    """Whether a stream ends with the counts of tokens."""

    include_usage: bool = False


class JsonSchema(Body):
    """The schema of an answer."""

    json_schema: Any = Field(default=None, alias="schema")


class ResponseFormat(Body):
    """How an answer is written: "text", "json_object", or "json_schema" with its schema."""

    type: str = ""
    json_schema: JsonSchema | None = None


class Reasoning(Body):
    """How much a model thinks."""

    effort: str = ""


class CalledFunction(Body):
    """A call in an earlier message; its arguments are JSON text."""

    name: str = ""
    arguments: str = ""


class ChatToolCall(Body):
    """A call in an earlier message, with its id."""

    id: str = ""
    function: CalledFunction = CalledFunction()


class ChatMessageGiven(Body):
    """A message; its content is a text, a list of parts, or none beside tool calls."""

    role: str = ""
    content: Any = None
    reasoning: str = ""
    tool_calls: list[ChatToolCall] | None = None
    name: str = ""
    tool_call_id: str = ""


class ChatCompletionRequest(Body):
    """POST /v1/chat/completions"""

    model: str = ""
    messages: Many[ChatMessageGiven] = Field(default_factory=list)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    max_tokens: int | None = None
    seed: int | None = None
    stop: Any = None
    temperature: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    top_p: float | None = None
    response_format: ResponseFormat | None = None
    tools: Many[Tool] = Field(default_factory=list)
    reasoning: Reasoning | None = None
    reasoning_effort: str | None = None
    logprobs: bool = False
    top_logprobs: int = 0
    debug_render_only: bool = Field(default=False, alias="_debug_render_only")


class CompletionRequest(Body):
    """POST /v1/completions"""

    model: str = ""
    prompt: str = ""
    frequency_penalty: float = 0.0
    max_tokens: int | None = None
    presence_penalty: float = 0.0
    seed: int | None = None
    stop: Any = None
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    temperature: float | None = None
    top_p: float = 0.0
    suffix: str = ""
    logprobs: int | None = None
    debug_render_only: bool = Field(default=False, alias="_debug_render_only")


class EmbeddingsRequest(Body):
    """POST /v1/embeddings"""

    input: Any = None
    model: str = ""
    dimensions: int = 0
    encoding_format: str = ""
