"""The bodies that Ollama's routes take, field by field (its api/types.go)."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, FailFast, Field, field_validator

from programs.serve import request_options
from programs.serve.bodies import Body

MAX_MESSAGES, MAX_TEXTS, MAX_TOOLS, MAX_CONTEXT = 4_096, 2_048, 128, 1 << 20

T = TypeVar("T")
Many = Annotated[list[T], FailFast()]  # of a long list, one fault is enough

KeepAlive = Annotated[Any, BeforeValidator(lambda value: request_options.keep_alive(value))]
Think = Annotated[Any, BeforeValidator(lambda value: request_options.think(value))]


class FunctionCall(Body):
    """A call in an earlier message."""

    name: str = ""
    arguments: dict[str, Any] = Field(default_factory=dict)


class GivenCall(Body):
    """A call in an earlier message, with the id it got."""

    id: str = ""
    function: FunctionCall = FunctionCall()


class Message(Body):
    """A message of a chat as a request gives it."""

    role: str = ""
    content: str = ""
    thinking: str = ""
    images: Many[str] = Field(default_factory=list)
    tool_calls: Many[GivenCall] = Field(default_factory=list)
    tool_name: str = ""
    tool_call_id: str = ""


class ToolFunction(Body):
    """A tool's name, what it does and takes; ``parameters`` is a JSON schema."""

    name: str = ""
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)


class Tool(Body):
    """A tool that a request offers."""

    type: str = ""
    function: ToolFunction = ToolFunction()


class _Asked(Body):
    """What all requests for an answer have."""

    model: str = ""
    stream: bool = True
    format: Any = None
    keep_alive: KeepAlive = None
    options: dict[str, Any] = Field(default_factory=dict)
    think: Think = None
    truncate: bool = True
    shift: bool = True
    debug_render_only: bool = Field(default=False, alias="_debug_render_only")
    logprobs: bool = False
    top_logprobs: int = 0


class GenerateRequest(_Asked):
    """POST /api/generate"""

    prompt: str = ""
    suffix: str = ""
    system: str = ""
    template: str = ""
    context: Many[int] = Field(default_factory=list)
    raw: bool = False
    images: Many[str] = Field(default_factory=list)

    @field_validator("context")
    @classmethod
    def _short(cls, given: list[int]) -> list[int]:
        return at_most(given, MAX_CONTEXT, "context")


class ChatRequest(_Asked):
    """POST /api/chat"""

    messages: Many[Message] = Field(default_factory=list)
    tools: Many[Tool] = Field(default_factory=list)

    @field_validator("messages")
    @classmethod
    def _few_messages(cls, given: list[Message]) -> list[Message]:
        return at_most(given, MAX_MESSAGES, "messages")

    @field_validator("tools")
    @classmethod
    def _few_tools(cls, given: list[Tool]) -> list[Tool]:
        return at_most(given, MAX_TOOLS, "tools")


class EmbedRequest(Body):
    """POST /api/embed"""

    model: str = ""
    input: Any = None
    truncate: bool = True
    dimensions: int = 0
    keep_alive: KeepAlive = None
    options: dict[str, Any] = Field(default_factory=dict)


class EmbeddingRequest(Body):
    """POST /api/embeddings, the older one"""

    model: str = ""
    prompt: str = ""
    keep_alive: KeepAlive = None
    options: dict[str, Any] = Field(default_factory=dict)


class ShowRequest(Body):
    """POST /api/show"""

    model: str = ""
    name: str = ""
    system: str = ""
    verbose: bool = False
    options: dict[str, Any] = Field(default_factory=dict)


class PullRequest(Body):
    """POST /api/pull"""

    model: str = ""
    name: str = ""
    stream: bool = True


def at_most(given: list[Any], limit: int, what: str) -> list[Any]:
    """``given``, if it is not longer than ``limit``. Raises ValueError."""
    if len(given) > limit:
        raise ValueError(f"{what}: at most {limit} here, not {len(given)}")
    return given
