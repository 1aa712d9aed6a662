"""The bodies that Ollama's routes answer, field by field (its api/types.go)."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from programs.serve.bodies import AnswerBody


class TokenLogprob(AnswerBody):
    """A token and its logprob; ``bytes`` are those of the token's text."""

    token: str
    logprob: float
    bytes: list[int]
    always: ClassVar[frozenset[str]] = frozenset({"token", "logprob"})


class Logprob(TokenLogprob):
    """A token of the answer with the likeliest ones in its place."""

    top_logprobs: list[TokenLogprob] = Field(default_factory=list)


class FunctionAnswer(AnswerBody):
    """The function of a call that the model makes."""

    index: int
    name: str
    arguments: dict[str, Any]
    always: ClassVar[frozenset[str]] = frozenset({"index", "name", "arguments"})


class CallAnswer(AnswerBody):
    """A call that the model makes."""

    id: str
    function: FunctionAnswer


class MessageAnswer(AnswerBody):
    """The model's message, or a piece of it."""

    role: str = "assistant"
    content: str = ""
    thinking: str = ""
    tool_calls: list[CallAnswer] = Field(default_factory=list)
    always: ClassVar[frozenset[str]] = frozenset({"role", "content"})


class Metrics(AnswerBody):
    """Durations in nanoseconds; prompt_eval_count counts the whole prompt, its duration only what was computed."""

    inline: ClassVar[bool] = True
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0


class DebugInfo(AnswerBody):
    """The prompt that a request makes."""

    rendered_template: str
    always: ClassVar[frozenset[str]] = frozenset({"rendered_template"})


class GenerateAnswer(AnswerBody):
    """An answer of /api/generate, or a line of it."""

    model: str
    created_at: str
    response: str = ""
    thinking: str = ""
    done: bool = False
    done_reason: str = ""
    context: list[int] = Field(default_factory=list)
    metrics: Metrics = Metrics()
    debug_info: DebugInfo | None = Field(default=None, serialization_alias="_debug_info")
    logprobs: list[Logprob] = Field(default_factory=list)
    always: ClassVar[frozenset[str]] = frozenset({"model", "created_at", "response", "done"})


class ChatAnswer(AnswerBody):
    """An answer of /api/chat, or a line of it."""

    model: str
    created_at: str
    message: MessageAnswer = MessageAnswer()
    done: bool = False
    done_reason: str = ""
    debug_info: DebugInfo | None = Field(default=None, serialization_alias="_debug_info")
    logprobs: list[Logprob] = Field(default_factory=list)
    metrics: Metrics = Metrics()
    always: ClassVar[frozenset[str]] = frozenset({"model", "created_at", "message", "done"})


class EmbedAnswer(AnswerBody):
    """The answer of /api/embed: one vector of length 1 a text."""

    model: str
    embeddings: tuple[tuple[float, ...], ...]
    metrics: Metrics = Metrics()
    always: ClassVar[frozenset[str]] = frozenset({"model", "embeddings"})


class ListedModel(AnswerBody):
    """A model in /api/tags."""

    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: dict[str, Any]
    capabilities: list[str] = Field(default_factory=list)


class LoadedModel(AnswerBody):
    """A model in /api/ps; sizes in bytes."""

    name: str
    model: str
    size: int
    digest: str
    details: dict[str, Any]
    expires_at: str
    size_vram: int
    context_length: int
    always: ClassVar[frozenset[str]] = frozenset({"size", "size_vram", "context_length"})


class Progress(AnswerBody):
    """A line of /api/pull."""

    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0
